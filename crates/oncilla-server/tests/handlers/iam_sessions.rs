//! Temporary credentials over HTTP: who may assume which role, and what the credentials open then.

use crate::support::*;

const EVERYTHING: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
const READ_A: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/a"}}"#;

fn trust(principal: &str, condition: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{{"AWS":"{principal}"}}{condition}}}}}"#
    )
}

struct Scene {
    world: World,
    user: User,
    role_arn: String,
}

impl Scene {
    /// A bucket with an object, a user without policies, and a role that may do everything and
    /// trusts `principal`, in which `{account}` is the account.
    async fn new(principal: &str, condition: &str) -> Self {
        let world = World::new().await;
        world.succeed(put("/photos", "")).await;
        world.succeed(put("/photos/a", "otter")).await;
        world.succeed(put("/photos/b", "otter")).await;
        let account = world.owner.account_id.clone();
        let user = world.user_of(&world.owner, "ada").await;
        let trust = trust(&principal.replace("{account}", &account), condition);
        let create = [
            ("Action", "CreateRole"),
            ("RoleName", "reader"),
            ("AssumeRolePolicyDocument", trust.as_str()),
        ];
        let role_arn = world
            .send(iam(&create))
            .await
            .is(200)
            .element("Arn")
            .unwrap();
        let put = [
            ("Action", "PutRolePolicy"),
            ("RoleName", "reader"),
            ("PolicyName", "p"),
            ("PolicyDocument", EVERYTHING),
        ];
        world.send(iam(&put)).await.is(200);
        Self {
            world,
            user,
            role_arn,
        }
    }

    fn assume(&self, more: &[(&str, &str)]) -> Call {
        let mut parameters = vec![
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleArn", self.role_arn.as_str()),
            ("RoleSessionName", "s1"),
        ];
        parameters.extend_from_slice(more);
        sts(&parameters)
    }

    async fn allow_assuming(&self) {
        let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}}"#;
        let put = put_user_policy("ada", policy);
        self.world.send(put).await.is(200);
    }
}

#[tokio::test]
async fn a_role_is_assumed_by_whom_it_trusts_and_whom_the_account_lets() {
    // principal of the trust policy, whether it is enough, whether it is with a policy of the user
    for (principal, alone, with_policy) in [
        ("arn:aws:iam::{account}:user/ada", true, true),
        ("*", true, true),
        ("arn:aws:iam::{account}:root", false, true),
        ("{account}", false, true),
        ("arn:aws:iam::{account}:user/bob", false, false),
    ] {
        let scene = Scene::new(principal, "").await;
        let assume = || scene.world.send_by(Some(&scene.user), scene.assume(&[]));
        let check = |reply: Reply, may: bool| match may {
            true => assert_eq!(reply.status.as_u16(), 200, "{principal} {}", reply.text()),
            false => iam_refused(&reply, 403, "AccessDenied"),
        };
        check(assume().await, alone);
        scene.allow_assuming().await;
        check(assume().await, with_policy);
    }
}

#[tokio::test]
async fn across_accounts_both_sides_have_to_allow_it() {
    let scene = Scene::new("*", "").await;
    let other = scene.world.stranger().await;
    let by_other = |call| scene.world.send_by(Some(&other), call);
    // The root of the other account has all that its account can give.
    by_other(scene.assume(&[])).await.is(200);
    let eve = scene.world.user_of(&other, "eve").await;
    let refused = scene.world.send_by(Some(&eve), scene.assume(&[])).await;
    iam_refused(&refused, 403, "AccessDenied");
    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:*","Resource":"*"}}"#;
    by_other(put_user_policy("eve", policy)).await.is(200);
    let assumed = scene
        .world
        .send_by(Some(&eve), scene.assume(&[]))
        .await
        .is(200);
    let session = User::of(&assumed, &scene.world.owner.account_id);
    scene
        .world
        .send_by(Some(&session), get("/photos/a"))
        .await
        .is(200);
}

#[tokio::test]
async fn credentials_open_what_role_and_session_policy_both_allow() {
    let scene = Scene::new("*", "").await;
    let world = &scene.world;
    let assumed = world
        .send_by(Some(&scene.user), scene.assume(&[]))
        .await
        .is(200);
    let account = world.owner.account_id.clone();
    let arn = format!("arn:aws:sts::{account}:assumed-role/reader/s1");
    assert_eq!(assumed.element("Arn"), Some(arn.clone()));
    let whole = User::of(&assumed, &account);
    for object in ["/photos/a", "/photos/b"] {
        world
            .send_by(Some(&whole), get(object))
            .await
            .is(200)
            .body_is(b"otter");
    }
    let identity = world
        .send_by(Some(&whole), sts(&[("Action", "GetCallerIdentity")]))
        .await;
    assert_eq!(identity.element("Arn"), Some(arn));
    let denied = world
        .send_by(Some(&whole), iam(&[("Action", "ListUsers")]))
        .await;
    iam_refused(&denied, 403, "AccessDenied");

    let limited = scene.assume(&[("Policy", READ_A)]);
    let assumed = world.send_by(Some(&scene.user), limited).await.is(200);
    assert!(assumed.element("PackedPolicySize").is_some());
    let limited = User::of(&assumed, &account);
    world
        .send_by(Some(&limited), get("/photos/a"))
        .await
        .is(200);
    world
        .send_by(Some(&limited), get("/photos/b"))
        .await
        .refused(403, "AccessDenied");
    world
        .send_by(Some(&limited), put("/photos/a", "x"))
        .await
        .refused(403, "AccessDenied");
    let read_only = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess";
    let by_arn = scene.assume(&[("PolicyArns.member.1.arn", read_only)]);
    let by_arn = User::of(
        &world.send_by(Some(&scene.user), by_arn).await.is(200),
        &account,
    );
    world.send_by(Some(&by_arn), get("/photos/b")).await.is(200);
    world
        .send_by(Some(&by_arn), put("/photos/b", "x"))
        .await
        .refused(403, "AccessDenied");
    // Another's token, no token, a token of nobody.
    let mut mixed = whole.clone();
    mixed
        .key
        .session_token
        .clone_from(&limited.key.session_token);
    world
        .send_by(Some(&mixed), get("/photos/a"))
        .await
        .refused(400, "InvalidToken");
    mixed.key.session_token = None;
    world
        .send_by(Some(&mixed), get("/photos/a"))
        .await
        .refused(403, "InvalidAccessKeyId");
    mixed.key.session_token = Some("x".repeat(20_000));
    world
        .send_by(Some(&mixed), get("/photos/a"))
        .await
        .refused(400, "InvalidToken");
    let mut owner = world.owner.clone();
    owner.key.session_token = whole.key.session_token.clone();
    world
        .send_by(Some(&owner), get("/photos/a"))
        .await
        .refused(400, "InvalidToken");
}

#[tokio::test]
async fn credentials_end_in_time_and_with_what_they_are_made_of() {
    let scene = Scene::new("*", "").await;
    let world = &scene.world;
    let account = world.owner.account_id.clone();
    let assume = || async {
        let call = scene.assume(&[("DurationSeconds", "900")]);
        User::of(
            &world.send_by(Some(&scene.user), call).await.is(200),
            &account,
        )
    };
    let first = assume().await;
    world.send_by(Some(&first), get("/photos/a")).await.is(200);
    world.advance_ms(899_000);
    world.send_by(Some(&first), get("/photos/a")).await.is(200);
    world.advance_ms(1_000);
    world
        .send_by(Some(&first), get("/photos/a"))
        .await
        .refused(400, "ExpiredToken");
    let identity = world
        .send_by(Some(&first), sts(&[("Action", "GetCallerIdentity")]))
        .await;
    iam_refused(&identity, 400, "ExpiredToken");

    let second = assume().await;
    world.send_by(Some(&second), get("/photos/a")).await.is(200);
    let deleted = [
        ("Action", "DeleteAccessKey"),
        ("UserName", "ada"),
        ("AccessKeyId", scene.user.key.access_key_id.as_str()),
    ];
    world.send(iam(&deleted)).await.is(200);
    world
        .send_by(Some(&second), get("/photos/a"))
        .await
        .refused(403, "InvalidAccessKeyId");
}

#[tokio::test]
async fn a_session_token_has_the_power_of_its_key_but_administers_nothing() {
    let scene = Scene::new("*", "").await;
    let world = &scene.world;
    let asked = sts(&[("Action", "GetSessionToken"), ("DurationSeconds", "900")]);
    let got = world.send(asked).await.is(200);
    let owner = User::of(&got, &world.owner.account_id);
    world
        .send_by(Some(&owner), put("/photos/c", "x"))
        .await
        .is(200);
    world.send_by(Some(&owner), put("/more", "")).await.is(200);
    let users = world
        .send_by(Some(&owner), iam(&[("Action", "ListUsers")]))
        .await;
    iam_refused(&users, 403, "InvalidClientTokenId");
    let again = world
        .send_by(Some(&owner), sts(&[("Action", "GetSessionToken")]))
        .await;
    iam_refused(&again, 403, "AccessDenied");
    world.send_by(Some(&owner), scene.assume(&[])).await.is(200);
    // Sixteen minutes later they have expired, whatever was asked of a session made with them.
    world.advance_ms(16 * 60 * 1_000);
    world
        .send_by(Some(&owner), get("/photos/a"))
        .await
        .refused(400, "ExpiredToken");
}

#[tokio::test]
async fn bounds_and_conditions_of_assuming_hold() {
    let external = r#","Condition":{"StringEquals":{"sts:ExternalId":"e-1"}}"#;
    let scene = Scene::new("*", external).await;
    let assume = |more: &'static [(&'static str, &'static str)]| {
        scene.world.send_by(Some(&scene.user), scene.assume(more))
    };
    iam_refused(&assume(&[]).await, 403, "AccessDenied");
    iam_refused(&assume(&[("ExternalId", "e-2")]).await, 403, "AccessDenied");
    assume(&[("ExternalId", "e-1")]).await.is(200);
    for (more, code) in [
        (
            &[("ExternalId", "e-1"), ("DurationSeconds", "899")],
            "ValidationError",
        ),
        (
            &[("ExternalId", "e-1"), ("DurationSeconds", "3601")],
            "ValidationError",
        ),
        (
            &[("ExternalId", "e-1"), ("DurationSeconds", "x")],
            "ValidationError",
        ),
        (
            &[("ExternalId", "e-1"), ("Policy", "{}")],
            "MalformedPolicyDocument",
        ),
    ] {
        iam_refused(&assume(more).await, 400, code);
    }
    iam_refused(
        &assume(&[("ExternalId", "e-1"), ("SerialNumber", "mfa")]).await,
        501,
        "NotImplemented",
    );
    let long = format!("{READ_A}{}", " ".repeat(2_048));
    let too_long = scene.assume(&[("ExternalId", "e-1"), ("Policy", &long)]);
    let refused = scene.world.send_by(Some(&scene.user), too_long).await;
    iam_refused(&refused, 400, "ValidationError");
    let account = &scene.world.owner.account_id;
    for (arn, status, code) in [
        (
            format!("arn:aws:iam::{account}:role/nobody"),
            403,
            "AccessDenied",
        ),
        (
            format!("arn:aws:iam::{account}:role/x/reader"),
            403,
            "AccessDenied",
        ),
        (
            format!("arn:aws:iam::{account}:user/ada"),
            400,
            "ValidationError",
        ),
        ("reader".to_owned(), 400, "ValidationError"),
    ] {
        let call = sts(&[
            ("Action", "AssumeRole"),
            ("RoleArn", arn.as_str()),
            ("RoleSessionName", "s1"),
            ("ExternalId", "e-1"),
        ]);
        iam_refused(&scene.world.send(call).await, status, code);
    }
    let of_aws = "arn:aws:iam::123456789012:role/reader";
    let call = sts(&[
        ("Action", "AssumeRole"),
        ("RoleArn", of_aws),
        ("RoleSessionName", "s1"),
    ]);
    let reply = scene.world.send(call).await;
    iam_refused(&reply, 400, "ValidationError");
    let message = reply.element("Message").unwrap();
    assert!(message.starts_with(of_aws), "{message}");
    assert!(message.contains("64 hexadecimal digits"), "{message}");
    for name in ["s", "a b", &"s".repeat(65)] {
        let call = sts(&[
            ("Action", "AssumeRole"),
            ("RoleArn", scene.role_arn.as_str()),
            ("RoleSessionName", name),
        ]);
        iam_refused(&scene.world.send(call).await, 400, "ValidationError");
    }
}

/// IAM user guide, "Revoking IAM role temporary security credentials": what the console adds.
#[tokio::test]
async fn sessions_that_began_before_are_revoked() {
    let scene = Scene::new("*", "").await;
    let world = &scene.world;
    let assume = || async {
        let assumed = world.send_by(Some(&scene.user), scene.assume(&[])).await;
        User::of(&assumed.is(200), &world.owner.account_id)
    };
    let older = assume().await;
    world.send_by(Some(&older), get("/photos/a")).await.is(200);
    let revoke = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":["*"],"Resource":["*"],"Condition":{"DateLessThan":{"aws:TokenIssueTime":"2023-11-14T22:13:21Z"}}}}"#;
    let put_policy = [
        ("Action", "PutRolePolicy"),
        ("RoleName", "reader"),
        ("PolicyName", "AWSRevokeOlderSessions"),
        ("PolicyDocument", revoke),
    ];
    world.send(iam(&put_policy)).await.is(200);
    let refused = world.send_by(Some(&older), get("/photos/a")).await;
    refused.refused(403, "AccessDenied");
    world.advance_ms(1_000);
    let newer = assume().await;
    world.send_by(Some(&newer), get("/photos/a")).await.is(200);
    world
        .send_by(Some(&older), put("/photos/a", "x"))
        .await
        .refused(403, "AccessDenied");
    // A lasting key has no token.
    let by_bucket = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::photos/*","Condition":{"Null":{"aws:TokenIssueTime":"true"}}}}"#;
    world.send(put("/photos?policy", by_bucket)).await.is(204);
    world
        .send(get("/photos/a"))
        .await
        .refused(403, "AccessDenied");
    world.send_by(Some(&newer), get("/photos/a")).await.is(200);
}
