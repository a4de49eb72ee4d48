//! Condition keys that have values: what statements do that name them, and that those which could do
//! nothing are refused.

use crate::support::*;

fn policy(statements: &str) -> String {
    format!(r#"{{"Version": "2012-10-17", "Statement": [{statements}]}}"#)
}

/// A statement of an identity policy on everything.
fn statement(effect: &str, action: &str, condition: &str) -> String {
    format!(
        r#"{{"Effect": "{effect}", "Action": "{action}", "Resource": "*", "Condition": {{{condition}}}}}"#
    )
}

/// A statement of the policy of `/bucket`.
fn of_bucket(effect: &str, action: &str, condition: &str) -> String {
    format!(
        r#"{{"Effect": "{effect}", "Principal": "*", "Action": "{action}",
            "Resource": ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"], "Condition": {{{condition}}}}}"#
    )
}

async fn set_policy(world: &World, statements: &str) {
    let call = put("/bucket?policy", policy(statements));
    world.send(call).await.is(204);
}

async fn by_owner(world: &World, parameters: &[(&str, &str)]) -> Reply {
    world.send(iam(parameters)).await.is(200)
}

/// Creates a user with a tag `team`, or without.
async fn user(world: &World, name: &str, team: Option<&str>) -> User {
    let mut create = vec![("Action", "CreateUser"), ("UserName", name)];
    if let Some(team) = team {
        create.extend([("Tags.member.1.Key", "team"), ("Tags.member.1.Value", team)]);
    }
    by_owner(world, &create).await;
    world.users_key(&world.owner, name).await
}

/// Lets a policy of these statements be the one of `ada`.
async fn set_policy_of_ada(world: &World, statements: &str) -> Reply {
    let set = put_user_policy("ada", &policy(statements));
    world.send(set).await
}

/// S3 user guide, "Enforce conditional writes on Amazon S3 buckets".
#[tokio::test]
async fn conditional_writes_can_be_enforced() {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    world.succeed(put("/bucket/old", "body")).await;
    let unconditional =
        r#""Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}"#;
    set_policy(&world, &of_bucket("Deny", "s3:PutObject", unconditional)).await;

    let write = || put("/bucket/new", "body");
    world.send(write()).await.refused(403, "AccessDenied");
    let by_etag = write().header("if-none-match", "\"0\"");
    world.send(by_etag).await.refused(403, "AccessDenied");
    world.succeed(write().header("if-none-match", "*")).await;
    let again = write().header("if-none-match", "*");
    world.send(again).await.refused(412, "PreconditionFailed");

    let copy = || put("/bucket/copy", "").header("x-amz-copy-source", "/bucket/old");
    world.send(copy()).await.refused(403, "AccessDenied");
    world.succeed(copy().header("if-none-match", "*")).await;

    let created = world.succeed(post("/bucket/big?uploads", "")).await;
    let id = created.element("UploadId").unwrap();
    let part = put(&format!("/bucket/big?partNumber=1&uploadId={id}"), "body");
    let etag = world.succeed(part).await.header("etag").unwrap().to_owned();
    let copied = put(&format!("/bucket/big?partNumber=2&uploadId={id}"), "");
    let copied = copied.header("x-amz-copy-source", "/bucket/old");
    world.succeed(copied).await;
    let complete = || complete("/bucket/big", &id, &part_element(1, &etag));
    world.send(complete()).await.refused(403, "AccessDenied");
    world.succeed(complete().header("if-none-match", "*")).await;

    // What is neither has no such key.
    let is_there = r#""Null": {"s3:ObjectCreationOperation": "false"}"#;
    set_policy(&world, &of_bucket("Deny", "s3:*", is_there)).await;
    world.succeed(get("/bucket/old")).await;
    let begin = post("/bucket/big?uploads", "");
    world.send(begin).await.refused(403, "AccessDenied");
}

#[tokio::test]
async fn the_condition_of_a_replacement_is_seen() {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    let old = world.succeed(put("/bucket/key", "body")).await;
    let etag = old.header("etag").unwrap().to_owned();
    let missing = r#""Null": {"s3:if-match": "true"}"#;
    set_policy(&world, &of_bucket("Deny", "s3:PutObject", missing)).await;
    let write = || put("/bucket/key", "new");
    world.send(write()).await.refused(403, "AccessDenied");
    world.succeed(write().header("if-match", &etag)).await;
}

/// A bucket with a part for each of two teams.
async fn bucket_of_teams() -> World {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    for key in ["/bucket/red/a", "/bucket/blue/a"] {
        world.succeed(put(key, "body")).await;
    }
    world
}

#[tokio::test]
async fn tags_of_users_are_seen_by_bucket_policies() {
    let world = bucket_of_teams().await;
    let red = user(&world, "ada", Some("red")).await;
    let none = user(&world, "bob", None).await;
    // The second names one's own part by a variable.
    let by_tag = of_bucket(
        "Allow",
        "s3:ListBucket",
        r#""StringEquals": {"aws:PrincipalTag/Team": "red"}"#,
    );
    let own = r#"{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::bucket/${aws:PrincipalTag/team}/*"}"#;
    set_policy(&world, &format!("{by_tag}, {own}")).await;
    for (sender, target, expected) in [
        (&red, "/bucket", 200),
        (&red, "/bucket/red/a", 200),
        (&red, "/bucket/blue/a", 403),
        (&none, "/bucket", 403),
        (&none, "/bucket/red/a", 403),
    ] {
        let name = &sender.key.access_key_id;
        let reply = world.send_by(Some(sender), get(target)).await;
        assert_eq!(reply.status.as_u16(), expected, "{name} {target}");
        // Nothing that the request says makes it one of the team.
        let claims = get(target).header("x-amz-tagging", "team=red");
        let reply = world.send_by(Some(sender), claims).await;
        assert_eq!(reply.status.as_u16(), expected, "{name} {target}");
    }
    let anonymous = world.send_by(None, get("/bucket")).await;
    anonymous.refused(403, "AccessDenied");
    // A tag that is changed counts at once.
    let retag = [
        ("Action", "TagUser"),
        ("UserName", "ada"),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "blue"),
    ];
    by_owner(&world, &retag).await;
    let blue = world.send_by(Some(&red), get("/bucket/blue/a")).await;
    blue.is(200);
    let was = world.send_by(Some(&red), get("/bucket/red/a")).await;
    was.refused(403, "AccessDenied");
}

#[tokio::test]
async fn tags_of_roles_are_seen_of_their_sessions() {
    let world = bucket_of_teams().await;
    // The user is of another team than the role.
    let ada = user(&world, "ada", Some("blue")).await;
    let trust = |team: &str| {
        policy(&format!(
            r#"{{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {{"AWS": "*"}},
                "Condition": {{"StringEquals": {{"aws:PrincipalTag/team": "{team}",
                    "iam:ResourceTag/team": "red"}}}}}}"#
        ))
    };
    let trusted = trust("blue");
    let create = [
        ("Action", "CreateRole"),
        ("RoleName", "reader"),
        ("AssumeRolePolicyDocument", trusted.as_str()),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "red"),
    ];
    let arn = by_owner(&world, &create).await.element("Arn").unwrap();
    let own = policy(
        r#"{"Effect": "Allow", "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::bucket/${aws:PrincipalTag/team}/*"}"#,
    );
    let put_policy = [
        ("Action", "PutRolePolicy"),
        ("RoleName", "reader"),
        ("PolicyName", "p"),
        ("PolicyDocument", own.as_str()),
    ];
    by_owner(&world, &put_policy).await;
    let assume = || {
        let call = [
            ("Action", "AssumeRole"),
            ("RoleArn", arn.as_str()),
            ("RoleSessionName", "s1"),
        ];
        world.send_by(Some(&ada), sts(&call))
    };
    let session = User::of(&assume().await.is(200), &world.owner.account_id);
    let read = |target| world.send_by(Some(&session), get(target));
    read("/bucket/red/a").await.is(200);
    read("/bucket/blue/a").await.refused(403, "AccessDenied");

    let other = trust("red");
    let update = [
        ("Action", "UpdateAssumeRolePolicy"),
        ("RoleName", "reader"),
        ("PolicyDocument", other.as_str()),
    ];
    by_owner(&world, &update).await;
    iam_refused(&assume().await, 403, "AccessDenied");
}

#[tokio::test]
async fn calls_of_iam_are_judged_by_tags_of_caller_and_of_what_they_change() {
    let world = World::new().await;
    let ada = user(&world, "ada", Some("red")).await;
    user(&world, "bob", Some("red")).await;
    user(&world, "eve", Some("blue")).await;
    user(&world, "ned", None).await;
    let list = |key: &'static str, value: &str| {
        let condition = format!(r#""StringEquals": {{"{key}": "{value}"}}"#);
        statement("Allow", "iam:ListUserTags", &condition)
    };
    let tags_of = async |name: &str| {
        let call = iam(&[("Action", "ListUserTags"), ("UserName", name)]);
        world.send_by(Some(&ada), call).await.status.as_u16()
    };
    for key in ["iam:ResourceTag/team", "aws:ResourceTag/TEAM"] {
        for value in ["red", "${aws:PrincipalTag/team}"] {
            set_policy_of_ada(&world, &list(key, value)).await.is(200);
            for (name, expected) in [("bob", 200), ("eve", 403), ("ned", 403), ("nobody", 403)] {
                assert_eq!(tags_of(name).await, expected, "{key} {value} {name}");
            }
        }
    }

    // Of policies too.
    let document = policy(&statement("Allow", "s3:*", ""));
    let create = |name: &'static str, team: &'static str| {
        let parameters = [
            ("Action", "CreatePolicy"),
            ("PolicyName", name),
            ("PolicyDocument", document.as_str()),
            ("Tags.member.1.Key", "team"),
            ("Tags.member.1.Value", team),
        ];
        iam(&parameters)
    };
    let condition = r#""StringEquals": {"aws:ResourceTag/team": "red"}"#;
    let allowed = statement("Allow", "iam:GetPolicy", condition);
    set_policy_of_ada(&world, &allowed).await.is(200);
    for (name, team, expected) in [("p1", "red", 200), ("p2", "blue", 403)] {
        let created = world.send(create(name, team)).await.is(200);
        let arn = created.element("Arn").unwrap();
        let read = iam(&[("Action", "GetPolicy"), ("PolicyArn", arn.as_str())]);
        let reply = world.send_by(Some(&ada), read).await;
        assert_eq!(reply.status.as_u16(), expected, "{name}");
    }
}

#[tokio::test]
async fn calls_of_iam_are_judged_by_the_tags_they_give() {
    let world = World::new().await;
    let ada = user(&world, "ada", None).await;
    let everything = statement("Allow", "iam:*", "");
    let untagged = statement(
        "Deny",
        "iam:CreateUser",
        r#""Null": {"aws:RequestTag/team": "true"}"#,
    );
    let other_keys = statement(
        "Deny",
        "*",
        r#""ForAnyValue:StringNotEquals": {"aws:TagKeys": ["team", "place"]}"#,
    );
    // Tags that an action does not take are none.
    let fixed = statement(
        "Deny",
        "iam:CreateAccessKey",
        r#""Null": {"aws:RequestTag/team": "true", "aws:TagKeys": "true"}"#,
    );
    let statements = [everything, untagged, other_keys, fixed].join(", ");
    set_policy_of_ada(&world, &statements).await.is(200);
    for (action, name, tag, expected) in [
        ("CreateUser", "u1", None, 403),
        ("CreateUser", "u1", Some("place"), 403),
        ("CreateUser", "u1", Some("team"), 200),
        ("CreateUser", "u2", Some("Team"), 403),
        ("TagUser", "u1", Some("place"), 200),
        ("TagUser", "u1", Some("colour"), 403),
        ("CreateAccessKey", "u1", Some("team"), 403),
    ] {
        let mut parameters = vec![("Action", action), ("UserName", name)];
        if let Some(tag) = tag {
            parameters.push(("Tags.member.1.Key", tag));
            parameters.push(("Tags.member.1.Value", "x"));
        }
        let reply = world.send_by(Some(&ada), iam(&parameters)).await;
        assert_eq!(reply.status.as_u16(), expected, "{action} {name} {tag:?}");
    }
    for (key, expected) in [("colour", 403), ("place", 200)] {
        let untag = [
            ("Action", "UntagUser"),
            ("UserName", "u1"),
            ("TagKeys.member.1", key),
        ];
        let reply = world.send_by(Some(&ada), iam(&untag)).await;
        assert_eq!(reply.status.as_u16(), expected, "UntagUser {key}");
    }
}

#[tokio::test]
async fn tags_of_policies_are_set_and_taken_away_by_the_action_for_it() {
    let world = World::new().await;
    let document = policy(&statement("Allow", "s3:*", ""));
    let create = [
        ("Action", "CreatePolicy"),
        ("PolicyName", "p"),
        ("PolicyDocument", document.as_str()),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "red"),
    ];
    let arn = by_owner(&world, &create).await.element("Arn").unwrap();
    let change = async |action: &str, set: &str, unset: &str| {
        let parameters = [
            ("Action", action),
            ("PolicyArn", arn.as_str()),
            ("Tags.member.1.Key", set),
            ("Tags.member.1.Value", "x"),
            ("TagKeys.member.1", unset),
        ];
        by_owner(&world, &parameters).await;
        let list = [("Action", "ListPolicyTags"), ("PolicyArn", arn.as_str())];
        by_owner(&world, &list).await.elements("Key")
    };
    assert_eq!(
        change("TagPolicy", "place", "team").await,
        ["place", "team"]
    );
    assert_eq!(change("UntagPolicy", "colour", "team").await, ["place"]);
}

/// S3 user guide, "Bucket policy examples using condition keys", `s3:LocationConstraint`.
#[tokio::test]
async fn buckets_are_created_where_policies_allow() {
    let world = World::new().await;
    let ada = user(&world, "ada", None).await;
    let body = |region: &str| {
        format!(
            "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint>\
             </CreateBucketConfiguration>"
        )
    };
    let create = |name: &str, body: String| world.send_by(Some(&ada), put(name, body));
    let there = r#""StringLike": {"s3:LocationConstraint": "eu-west-1"}"#;
    let allowed = statement("Allow", "s3:CreateBucket", there);
    set_policy_of_ada(&world, &allowed).await.is(200);
    create("/one", body("eu-west-1")).await.is(200);
    let elsewhere = create("/two", body("eu-west-2")).await;
    elsewhere.refused(403, "AccessDenied");
    let nowhere = create("/two", String::new()).await;
    nowhere.refused(403, "AccessDenied");
    world.send(head("/two")).await.is(404);

    let denied = statement("Deny", "s3:CreateBucket", there);
    let statements = format!("{}, {denied}", statement("Allow", "s3:*", ""));
    set_policy_of_ada(&world, &statements).await.is(200);
    let denied = create("/three", body("eu-west-1")).await;
    denied.refused(403, "AccessDenied");
    create("/three", String::new()).await.is(200);
    create("/four", body("eu-west-2")).await.is(200);
}

/// S3 user guide, "Bucket policy examples", "Managing Amazon S3 Inventory and analytics".
#[tokio::test]
async fn fields_of_inventories_can_be_denied() {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    let tags = r#""ForAnyValue:StringEquals": {"s3:InventoryAccessibleOptionalFields": ["Size"]}"#;
    let denied = of_bucket("Deny", "s3:PutInventoryConfiguration", tags);
    set_policy(&world, &denied).await;
    let configuration = |field: &str| {
        let document = format!(
            "<InventoryConfiguration><Destination><S3BucketDestination>\
             <Bucket>arn:aws:s3:::bucket</Bucket><Format>CSV</Format></S3BucketDestination>\
             </Destination><Id>a</Id><IncludedObjectVersions>Current</IncludedObjectVersions>\
             <IsEnabled>true</IsEnabled><OptionalFields><Field>{field}</Field></OptionalFields>\
             <Schedule><Frequency>Daily</Frequency></Schedule></InventoryConfiguration>"
        );
        put("/bucket?inventory&id=a", document)
    };
    let refused = world.send(configuration("Size")).await;
    refused.refused(403, "AccessDenied");
    world.succeed(configuration("ETag")).await;
}

/// A form cannot be conditional, whatever the request says that brings it.
#[tokio::test]
async fn forms_make_objects_without_a_condition() {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    let form = |header: Option<&str>| {
        let body = "--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nkey\r\n--b\r\n\
                    Content-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nbody\r\n--b--\r\n";
        let call = post("/bucket", body);
        let call = call.header("content-type", "multipart/form-data; boundary=b");
        let call = match header {
            Some(value) => call.header("if-none-match", value),
            None => call,
        };
        world.send_by(None, call)
    };
    let allowed = of_bucket("Allow", "s3:PutObject", "");
    set_policy(&world, &allowed).await;
    form(None).await.is(204);
    for denied in [
        r#""Null": {"s3:if-none-match": "true"}"#,
        r#""Bool": {"s3:ObjectCreationOperation": "true"}"#,
    ] {
        let denied = of_bucket("Deny", "s3:PutObject", denied);
        set_policy(&world, &format!("{allowed}, {denied}")).await;
        form(None).await.refused(403, "AccessDenied");
        form(Some("*")).await.refused(403, "AccessDenied");
    }
}

/// IAM user guide, "AWS global condition context keys", `aws:MultiFactorAuthPresent`.
#[tokio::test]
async fn only_sessions_say_that_there_was_no_second_factor() {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    let ada = user(&world, "ada", None).await;
    let statements = [
        statement("Allow", "*", ""),
        statement(
            "Deny",
            "s3:*",
            r#""Bool": {"aws:MultiFactorAuthPresent": "false"}"#,
        ),
    ];
    let put = set_policy_of_ada(&world, &statements.join(", ")).await;
    put.is(200);
    world.send_by(Some(&ada), get("/bucket")).await.is(200);
    let begin = sts(&[("Action", "GetSessionToken")]);
    let begun = world.send_by(Some(&ada), begin).await.is(200);
    let session = User::of(&begun, &world.owner.account_id);
    let refused = world.send_by(Some(&session), get("/bucket")).await;
    refused.refused(403, "AccessDenied");
}

#[tokio::test]
async fn what_is_never_set_is_refused_by_name() {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    user(&world, "ada", None).await;
    let is = |key: &str| format!(r#""StringEquals": {{"{key}": "x"}}"#);
    for key in [
        "aws:RequestTag/team",
        "aws:ResourceTag/team",
        "aws:TagKeys",
        "s3:BucketTag/team",
        "s3:LocationConstraint",
    ] {
        let statements = of_bucket("Deny", "s3:*", &is(key));
        let call = put("/bucket?policy", policy(&statements));
        let reply = world.send(call).await.refused(400, "MalformedPolicy");
        let message = reply.element("Message").unwrap().to_ascii_lowercase();
        assert!(message.contains(&key.to_ascii_lowercase()), "{message}");
    }
    for (action, key, is_taken) in [
        ("s3:*", "aws:ResourceTag/team", false),
        ("s3:DeleteBucket", "aws:TagKeys", false),
        ("s3:*", "s3:BucketTag/team", false),
        ("*", "s3:BucketTag/team", false),
        ("*", "s3:x-amz-storage", false),
        ("*", "aws:ResourceTag/team", true),
        ("iam:*", "aws:TagKeys", true),
        ("s3:*", "s3:LocationConstraint", true),
        ("*", "ec2:Region", true),
        ("*", "aws:SourceVpce", true),
    ] {
        let statements = statement("Deny", action, &is(key));
        let reply = set_policy_of_ada(&world, &statements).await;
        if is_taken {
            reply.is(200);
            continue;
        }
        iam_refused(&reply, 400, "MalformedPolicyDocument");
        // As it was written, capitals and all.
        let message = reply.element("Message").unwrap();
        assert!(message.contains(key), "{message}");
    }
}

#[tokio::test]
async fn an_operator_that_is_none_is_named() {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    for condition in [
        r#""Foo": {"aws:Unheard": "x"}"#,
        r#""Foo": {"aws:SourceIp": "x"}"#,
        r#""Foo": {}"#,
    ] {
        let call = put(
            "/bucket?policy",
            policy(&of_bucket("Deny", "s3:*", condition)),
        );
        let reply = world.send(call).await.refused(400, "MalformedPolicy");
        let message = reply.element("Message");
        assert_eq!(message.as_deref(), Some("Invalid Condition type : Foo"));
        assert_eq!(reply.element("Detail").as_deref(), Some("Foo"));
    }
}
