//! IAM over its own protocol: users, groups, roles, policies, keys, and what they may do then.

use std::time::Duration;

use crate::slow_client::Served;
use crate::support::*;
use http::StatusCode;
use oncilla_iam::Role;
use oncilla_server::iam::IAM_ACTIONS;
use oncilla_wire::sigv4::PayloadDeclaration;
use tokio::time::Instant;

const READ_ONLY: &str = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess";
const LIST_PHOTOS: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::photos"}}"#;
const DENY_PHOTOS: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::photos"}}"#;
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"*"}}}"#;

/// Parameters that name something for every action.
fn plausible<'a>(account: &str) -> Vec<(&'a str, String)> {
    let mut parameters: Vec<(&str, String)> = [
        ("UserName", "ada"),
        ("GroupName", "people"),
        ("RoleName", "reader"),
        ("PolicyName", "p"),
        ("PolicyDocument", LIST_PHOTOS),
        ("AssumeRolePolicyDocument", TRUST),
        ("VersionId", "v1"),
        ("AccessKeyId", "tid_unheard"),
        ("Status", "Active"),
        ("ClientID", "app"),
        ("Url", "https://idp.example.com"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec();
    parameters.push(("PolicyArn", format!("arn:aws:iam::{account}:policy/p")));
    let provider = format!("arn:aws:iam::{account}:oidc-provider/idp.example.com");
    parameters.push(("OpenIDConnectProviderArn", provider));
    parameters
}

/// `aws kms list-keys --endpoint-url …`
#[tokio::test]
async fn a_request_to_another_service_is_told_so() {
    let world = World::new().await;
    let kms = |target: &str| {
        post("/", "{}")
            .service("kms")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", target)
    };
    for (target, names_command) in [
        ("TrentService.ListKeys", true),
        ("DynamoDB_20120810.ListTables", false),
    ] {
        for sender in [None, Some(&world.owner)] {
            let reply = world.send_by(sender, kms(target)).await.is(501);
            assert_eq!(
                reply.header("content-type"),
                Some("application/x-amz-json-1.1")
            );
            let answer: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!(answer["__type"], "NotImplemented");
            let message = answer["message"].as_str().unwrap();
            assert!(
                message.contains("no request to S3, IAM or STS"),
                "{message}"
            );
            assert_eq!(
                message.contains("`oncilla kms`"),
                names_command,
                "{message}"
            );
        }
    }
    // Everything else is what it was.
    let list = get("/").header("x-amz-target", "TrentService.ListKeys");
    world.succeed(list).await;
    let form = iam(&[("Action", "ListUsers")]).header("x-amz-target", "TrentService.ListKeys");
    world.succeed(form).await;
}

#[tokio::test]
async fn a_user_gets_what_its_policies_say_and_no_more() {
    let world = World::new().await;
    world.succeed(put("/photos", "")).await;
    let account = &world.owner.account_id;
    let created = iam(&[
        ("Action", "CreateUser"),
        ("UserName", "Ada"),
        ("Path", "/staff/"),
    ]);
    let created = world.send(created).await.is(200);
    let arn = format!("arn:aws:iam::{account}:user/staff/Ada");
    assert_eq!(created.element("Arn"), Some(arn.clone()));
    assert_eq!(created.element("Path").as_deref(), Some("/staff/"));
    assert!(created.element("UserId").unwrap().starts_with("AIDA"));
    assert_eq!(created.header("content-type"), Some("text/xml"));

    let ada = world.users_key(&world.owner, "ada").await;
    let lists = || world.send_by(Some(&ada), get("/photos"));
    lists().await.refused(403, "AccessDenied");
    let set = |document| world.send(put_user_policy("ada", document));
    set(LIST_PHOTOS).await.is(200);
    lists().await.is(200);
    set(DENY_PHOTOS).await.is(200);
    lists().await.refused(403, "AccessDenied");
    let removed = [
        ("Action", "DeleteUserPolicy"),
        ("UserName", "ada"),
        ("PolicyName", "p"),
    ];
    world.send(iam(&removed)).await.is(200);

    for (action, name) in [("CreateGroup", "readers"), ("AddUserToGroup", "readers")] {
        let call = [("Action", action), ("GroupName", name), ("UserName", "ada")];
        world.send(iam(&call)).await.is(200);
    }
    let attach = [
        ("Action", "AttachGroupPolicy"),
        ("GroupName", "readers"),
        ("PolicyArn", READ_ONLY),
    ];
    world.send(iam(&attach)).await.is(200);
    lists().await.is(200);
    world
        .send_by(Some(&ada), put("/photos/a", "x"))
        .await
        .refused(403, "AccessDenied");
    let all = world.send_by(Some(&ada), get("/")).await.is(200);
    assert_eq!(all.elements("Name"), ["photos"]);

    let inactive = [
        ("Action", "UpdateAccessKey"),
        ("UserName", "ada"),
        ("AccessKeyId", ada.key.access_key_id.as_str()),
        ("Status", "Inactive"),
    ];
    world.send(iam(&inactive)).await.is(200);
    lists().await.refused(403, "InvalidAccessKeyId");
    let listed = world
        .send(iam(&[("Action", "ListAccessKeys"), ("UserName", "Ada")]))
        .await;
    assert_eq!(listed.elements("Status"), ["Inactive"]);
    assert!(!listed.text().contains(&ada.key.secret_access_key));
    let conflict = world
        .send(iam(&[("Action", "DeleteUser"), ("UserName", "ada")]))
        .await;
    iam_refused(&conflict, 409, "DeleteConflict");
}

#[tokio::test]
async fn a_user_manages_its_own_keys_only_as_far_as_it_may() {
    let world = World::new().await;
    let account = world.owner.account_id.clone();
    let ada = world.user_of(&world.owner, "ada").await;
    world.user_of(&world.owner, "bob").await;
    let own = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"iam:*AccessKey*","Resource":"arn:aws:iam::{account}:user/${{aws:username}}"}}}}"#
    );
    world.send(put_user_policy("ada", &own)).await.is(200);
    let by_ada = |parameters: &[(&str, &str)]| world.send_by(Some(&ada), iam(parameters));
    let second = by_ada(&[("Action", "CreateAccessKey")]).await.is(200);
    let second = second.element("AccessKeyId").unwrap();
    let third = by_ada(&[("Action", "CreateAccessKey")]).await;
    iam_refused(&third, 409, "LimitExceeded");
    let listed = by_ada(&[("Action", "ListAccessKeys")]).await.is(200);
    assert_eq!(listed.elements("AccessKeyId").len(), 2);
    for call in [
        &[("Action", "CreateAccessKey"), ("UserName", "bob")][..],
        &[("Action", "ListAccessKeys"), ("UserName", "bob")],
        &[("Action", "CreateAccessKey"), ("UserName", "nobody")],
        &[("Action", "CreateUser"), ("UserName", "eve")],
        &[("Action", "GetUser")],
    ] {
        iam_refused(&by_ada(call).await, 403, "AccessDenied");
    }
    // A key of the account is not hers, and nobody's key is another's.
    let of_owner = world.owner.key.access_key_id.clone();
    for id in [of_owner.as_str(), "tid_unheard"] {
        let deleted = by_ada(&[("Action", "DeleteAccessKey"), ("AccessKeyId", id)]).await;
        iam_refused(&deleted, 404, "NoSuchEntity");
    }
    by_ada(&[("Action", "DeleteAccessKey"), ("AccessKeyId", &second)])
        .await
        .is(200);
    let identity = by_ada(&[("Action", "GetCallerIdentity")]).await;
    iam_refused(&identity, 400, "IncompleteSignature");
    let identity = world
        .send_by(Some(&ada), sts(&[("Action", "GetCallerIdentity")]))
        .await
        .is(200);
    assert_eq!(identity.element("Account"), Some(account.clone()));
    assert_eq!(
        identity.element("Arn"),
        Some(format!("arn:aws:iam::{account}:user/ada"))
    );
}

#[tokio::test]
async fn every_action_is_denied_to_whoever_has_no_policy_for_it() {
    let world = World::new().await;
    let eve = world.user_of(&world.owner, "eve").await;
    let editor = world.key("*", Role::Editor).await;
    let bucket_admin = world.key("photos", Role::Admin).await;
    let account = world.owner.account_id.clone();
    for action in IAM_ACTIONS {
        let mut parameters = plausible(&account);
        parameters.push(("Action", (*action).to_owned()));
        let pairs: Vec<(&str, &str)> = parameters
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        for sender in [&eve, &editor, &bucket_admin] {
            let refused = world.send_by(Some(sender), iam(&pairs)).await;
            assert_eq!(
                refused.element("Code").as_deref(),
                Some("AccessDenied"),
                "{action}"
            );
        }
        let anonymous = world.send_by(None, iam(&pairs)).await;
        iam_refused(&anonymous, 403, "MissingAuthenticationToken");
        // The account itself gets something else: the action is there.
        let reply = world.send(iam(&pairs)).await;
        let code = reply.element("Code");
        assert_ne!(code.as_deref(), Some("InvalidAction"), "{action}");
        assert_ne!(code.as_deref(), Some("AccessDenied"), "{action}");
        assert!(
            !reply.status.is_server_error(),
            "{action}: {}",
            reply.text()
        );
    }
}

#[tokio::test]
async fn accounts_do_not_see_each_other() {
    let world = World::new().await;
    let other = world.stranger().await;
    let account = world.owner.account_id.clone();
    let ada = world.user_of(&world.owner, "ada").await;
    let created = [
        ("Action", "CreatePolicy"),
        ("PolicyName", "p"),
        ("PolicyDocument", LIST_PHOTOS),
    ];
    world.send(iam(&created)).await.is(200);
    let by_other = |parameters: &[(&str, &str)]| world.send_by(Some(&other), iam(parameters));
    let users = by_other(&[("Action", "ListUsers")]).await.is(200);
    assert!(users.elements("UserName").is_empty());
    let arn = format!("arn:aws:iam::{account}:policy/p");
    for call in [
        &[("Action", "GetUser"), ("UserName", "ada")][..],
        &[("Action", "DeleteUser"), ("UserName", "ada")],
        &[("Action", "GetPolicy"), ("PolicyArn", arn.as_str())],
        &[("Action", "DeletePolicy"), ("PolicyArn", arn.as_str())],
        &[
            ("Action", "DeleteAccessKey"),
            ("AccessKeyId", &ada.key.access_key_id),
        ],
        &[
            ("Action", "AttachUserPolicy"),
            ("UserName", &ada.key.access_key_id),
            ("PolicyArn", READ_ONLY),
        ],
        &[
            ("Action", "AttachUserPolicy"),
            ("UserName", &world.owner.key.access_key_id),
            ("PolicyArn", READ_ONLY),
        ],
    ] {
        let refused = by_other(call).await;
        let code = refused.element("Code").unwrap_or_default();
        assert!(
            ["NoSuchEntity", "AccessDenied"].contains(&code.as_str()),
            "{call:?} {code}"
        );
    }
    // A user of the same name may have the other's policy, by its own ARN only.
    by_other(&[("Action", "CreateUser"), ("UserName", "ada")])
        .await
        .is(200);
    let attach = [
        ("Action", "AttachUserPolicy"),
        ("UserName", "ada"),
        ("PolicyArn", &arn),
    ];
    iam_refused(&by_other(&attach).await, 404, "NoSuchEntity");
}

#[tokio::test]
async fn policies_are_attached_to_keys_as_tigris_does() {
    let world = World::new().await;
    world.succeed(put("/photos", "")).await;
    let key = world.key("other", Role::Editor).await;
    let lists = || world.send_by(Some(&key), get("/photos"));
    lists().await.refused(403, "AccessDenied");
    let created = [
        ("Action", "CreatePolicy"),
        ("PolicyName", "list"),
        ("PolicyDocument", LIST_PHOTOS),
        ("Description", "a & b"),
    ];
    // Tigris' own client names the action in the query.
    let body = form(&created[1..]);
    let create = post("/?Action=CreatePolicy&Version=2010-05-08", body).service("iam");
    let created = world.send(create).await.is(200);
    assert_eq!(created.element("Description").as_deref(), Some("a &amp; b"));
    let arn = created.element("Arn").unwrap();
    let key_id = key.key.access_key_id.as_str();
    let with_key = |action| {
        iam(&[
            ("Action", action),
            ("UserName", key_id),
            ("PolicyArn", arn.as_str()),
        ])
    };
    world.send(with_key("AttachUserPolicy")).await.is(200);
    lists().await.is(200);
    let listed = world
        .send(with_key("ListAttachedUserPolicies"))
        .await
        .is(200);
    assert_eq!(listed.elements("PolicyArn"), std::slice::from_ref(&arn));
    let holders = world.send(with_key("ListEntitiesForPolicy")).await.is(200);
    assert_eq!(holders.elements("UserName"), [key_id]);
    let shown = world.send(with_key("GetPolicy")).await.is(200);
    assert_eq!(shown.element("AttachmentCount").as_deref(), Some("1"));
    iam_refused(
        &world.send(with_key("DeletePolicy")).await,
        409,
        "DeleteConflict",
    );
    world.send(with_key("DetachUserPolicy")).await.is(200);
    lists().await.refused(403, "AccessDenied");
    iam_refused(
        &world.send(with_key("DetachUserPolicy")).await,
        404,
        "NoSuchEntity",
    );
    world.send(with_key("DeletePolicy")).await.is(200);
}

#[tokio::test]
async fn requests_that_are_none_are_refused_in_the_shape_of_iam() {
    let world = World::new().await;
    let users = [("Action", "ListUsers"), ("Version", "2010-05-08")];
    world.send(iam(&users)).await.is(200);
    // Signed for another service, or not at all, or not with the body.
    let as_s3 = world.send(iam(&users).service("s3")).await;
    iam_refused(&as_s3, 400, "IncompleteSignature");
    let unsigned = iam(&users).payload(PayloadDeclaration::UnsignedPayload);
    iam_refused(&world.send(unsigned).await, 400, "IncompleteSignature");
    let other_body = iam(&users).payload(PayloadDeclaration::Sha256([1; 32]));
    iam_refused(&world.send(other_body).await, 400, "IncompleteSignature");
    let mut stranger = world.owner.clone();
    stranger.key.secret_access_key = "tsec_wrong".to_owned();
    let wrong = world.send_by(Some(&stranger), iam(&users)).await;
    iam_refused(&wrong, 403, "SignatureDoesNotMatch");
    stranger.key.access_key_id = "tid_unheard".to_owned();
    let unknown = world.send_by(Some(&stranger), iam(&users)).await;
    iam_refused(&unknown, 403, "InvalidClientTokenId");

    for (parameters, status, code) in [
        (&[("Version", "2010-05-08")][..], 400, "MissingAction"),
        (&[("Action", "")], 400, "MissingAction"),
        (&[("Action", "Unheard")], 400, "InvalidAction"),
        (&[("Action", "listusers")], 400, "InvalidAction"),
        (
            &[("Action", "AssumeRoleWithWebIdentity")],
            501,
            "NotImplemented",
        ),
        (
            &[("Action", "SimulatePrincipalPolicy")],
            501,
            "NotImplemented",
        ),
        (
            &[("Action", "ListUsers"), ("Version", "2006-03-01")],
            400,
            "InvalidAction",
        ),
        (
            &[("Action", "ListUsers"), ("Version", "2011-06-15")],
            400,
            "InvalidAction",
        ),
        (
            &[("Action", "ListUsers"), ("MaxItems", "0")],
            400,
            "ValidationError",
        ),
        (
            &[("Action", "ListUsers"), ("MaxItems", "1001")],
            400,
            "ValidationError",
        ),
        (&[("Action", "CreateUser")], 400, "ValidationError"),
        (
            &[("Action", "CreateUser"), ("UserName", "a b")],
            400,
            "ValidationError",
        ),
        (
            &[("Action", "CreateUser"), ("UserName", "a"), ("Path", "a")],
            400,
            "ValidationError",
        ),
        (
            &[("Action", "GetUser"), ("UserName", "a")],
            404,
            "NoSuchEntity",
        ),
        (
            &[
                ("Action", "CreateUser"),
                ("UserName", "a"),
                ("PermissionsBoundary", "x"),
            ],
            501,
            "NotImplemented",
        ),
        (
            &[
                ("Action", "CreateRole"),
                ("RoleName", "r"),
                ("AssumeRolePolicyDocument", "{}"),
            ],
            400,
            "MalformedPolicyDocument",
        ),
        (
            &[
                ("Action", "CreateRole"),
                ("RoleName", "r"),
                ("AssumeRolePolicyDocument", LIST_PHOTOS),
            ],
            400,
            "MalformedPolicyDocument",
        ),
        (
            &[
                ("Action", "CreatePolicy"),
                ("PolicyName", "p"),
                ("PolicyDocument", TRUST),
            ],
            400,
            "MalformedPolicyDocument",
        ),
    ] {
        let refused = world.send(iam(parameters)).await;
        assert_eq!(
            refused.element("Code").as_deref(),
            Some(code),
            "{parameters:?}"
        );
        assert_eq!(refused.status.as_u16(), status, "{parameters:?}");
        assert!(refused.element("RequestId").is_some());
    }
    let twice = call("POST", "/", "Action=ListUsers&Action=ListUsers").service("iam");
    let twice = twice.header("content-type", "application/x-www-form-urlencoded");
    iam_refused(&world.send(twice).await, 400, "MalformedInput");
    let long = "x".repeat(600 * 1024);
    let too_long = iam(&[("Action", "ListUsers"), ("Marker", &long)]);
    iam_refused(&world.send(too_long).await, 413, "RequestEntityTooLarge");
    // What is no form is S3's to refuse.
    let plain = world.send(post("/", "Action=ListUsers")).await;
    assert_eq!(plain.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn listings_have_pages_that_fit_together() {
    let world = World::new().await;
    let names: Vec<String> = (0..7).map(|number| format!("user{number}")).collect();
    for name in &names {
        let create = iam(&[("Action", "CreateUser"), ("UserName", name)]);
        world.send(create).await.is(200);
        let put = [
            ("Action", "PutUserPolicy"),
            ("UserName", "user0"),
            ("PolicyName", name.as_str()),
            ("PolicyDocument", LIST_PHOTOS),
        ];
        world.send(iam(&put)).await.is(200);
    }
    for (action, element) in [("ListUsers", "UserName"), ("ListUserPolicies", "member")] {
        let mut found = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let mut parameters = vec![("Action", action), ("MaxItems", "3"), ("UserName", "user0")];
            if let Some(marker) = &marker {
                parameters.push(("Marker", marker));
            }
            let page = world.send(iam(&parameters)).await.is(200);
            let items = page.elements(element);
            assert!(items.len() <= 3);
            found.extend(items);
            marker = page.element("Marker");
            let is_truncated = page.element("IsTruncated").as_deref() == Some("true");
            assert_eq!(is_truncated, marker.is_some());
            if marker.is_none() {
                break;
            }
        }
        assert_eq!(found.len(), 7, "{action}: {found:?}");
    }
    let summary = world
        .send(iam(&[("Action", "GetAccountSummary")]))
        .await
        .is(200);
    assert!(summary.text().contains("<key>Users</key><value>7</value>"));
}

/// The path of an entity is not told by a refusal: only of one that is there could it be.
#[tokio::test]
async fn a_refusal_names_no_more_than_the_request() {
    let world = World::new().await;
    for (name, path) in [("eve", "/"), ("bob", "/secret-path/")] {
        let create = iam(&[("Action", "CreateUser"), ("UserName", name), ("Path", path)]);
        world.send(create).await.is(200);
    }
    let eve = world.users_key(&world.owner, "eve").await;
    let refusal = async |name: &str| {
        let call = iam(&[("Action", "GetUser"), ("UserName", name)]);
        let reply = world.send_by(Some(&eve), call).await;
        iam_refused(&reply, 403, "AccessDenied");
        reply.element("Message").unwrap()
    };
    let of_bob = refusal("bob").await;
    assert_eq!(of_bob.replace("bob", "nobody"), refusal("nobody").await);
    assert!(!of_bob.contains("secret-path"), "{of_bob}");
}

/// Whoever sends forms is not known before they are there: they take no memory from others, and hold
/// what they do take for a while only.
#[tokio::test(start_paused = true)]
async fn forms_of_nobody_take_no_memory_from_requests() {
    let world = World::new().await;
    let served = Served::new(&world);
    let longest = post("/", vec![b'a'; 512 << 10]);
    let longest = longest.header("content-type", "application/x-www-form-urlencoded");
    let request = world.request(None, longest);
    let began = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..200 {
        let mut client = served.begin(&request).await;
        client.send(b"a").await;
        clients.push(client);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.memory.reserved_bytes(), 0);
    world.send(iam(&[("Action", "GetUser")])).await.is(200);
    world.succeed(put("/photos", "")).await;
    for client in clients {
        let answer = client.trickle(request.body().clone()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(answer.contains("timeout"), "{answer}");
    }
    assert!(began.elapsed() < Duration::from_secs(60));
}
