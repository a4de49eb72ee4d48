//! What an upload sets beside its body, an ACL and tags: each takes a permission of its own.
//! Source: S3 API reference, PutObject, "Permissions"; S3 user guide, "Policy examples for ACLs".

use std::cell::Cell;

use crate::support::{Call, User, World, post, put, put_user_policy};

const TAGS: (&str, &str) = ("x-amz-tagging", "team=red");
const FULL_CONTROL: (&str, &str) = ("x-amz-acl", "bucket-owner-full-control");
const PUBLIC_READ: (&str, &str) = ("x-amz-acl", "public-read");
const PRIVATE: (&str, &str) = ("x-amz-acl", "private");

/// A bucket of the owner's with an object that everybody may copy, and keys for new ones.
struct Scene {
    world: World,
    /// Another account.
    other: User,
    keys: Cell<usize>,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new().await;
        let other = world.stranger().await;
        world.succeed(put("/bucket", "")).await;
        world.succeed(put("/source", "")).await;
        world.succeed(put("/source/plain", "body")).await;
        let tagged = put("/source/tagged", "body").header(TAGS.0, TAGS.1);
        world.succeed(tagged).await;
        let read = allow(&["s3:GetObject", "s3:GetObjectTagging"]);
        let read = read.replace(":::bucket/", ":::source/");
        let policy = format!(r#"{{"Version": "2012-10-17", "Statement": [{read}]}}"#);
        world.send(put("/source?policy", policy)).await.is(204);
        Self {
            world,
            other,
            keys: Cell::new(0),
        }
    }

    async fn set_policy(&self, statements: &[String]) {
        let statements = statements.join(",");
        let policy = format!(r#"{{"Version": "2012-10-17", "Statement": [{statements}]}}"#);
        let set = put("/bucket?policy", policy);
        self.world.send(set).await.is(204);
    }

    /// A user of an account who may do this with everything.
    async fn user_of(&self, account: &User, name: &str, actions: &[&str]) -> User {
        let user = self.world.user_of(account, name).await;
        let policy = format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": {actions:?},
                "Resource": "*"}}}}"#
        );
        let allow = put_user_policy(name, &policy);
        self.world.send_by(Some(account), allow).await.is(200);
        user
    }

    fn new_key(&self) -> String {
        self.keys.set(self.keys.get() + 1);
        format!("/bucket/{}", self.keys.get())
    }

    /// Sends every kind of upload with these headers, each of which has to be taken or refused.
    async fn uploads(&self, sender: Option<&User>, headers: &[(&str, &str)], is_allowed: bool) {
        let copy = put(&self.new_key(), "").header("x-amz-copy-source", "source/plain");
        let copy = copy.header("x-amz-tagging-directive", "REPLACE");
        let append = put(&self.new_key(), "body").header("x-amz-write-offset-bytes", "0");
        let mut calls = vec![put(&self.new_key(), "body"), append];
        if sender.is_some() {
            // Who has no account begins no upload in parts, since nobody could go on with it.
            calls.push(post(&format!("{}?uploads", self.new_key()), ""));
            calls.push(copy);
        }
        for (number, call) in calls.into_iter().enumerate() {
            let with = |call: Call, (name, value): &(&str, &str)| call.header(name, value);
            let call = headers.iter().fold(call, with);
            let reply = self.world.send_by(sender, call).await;
            let text = reply.text();
            let expected = if is_allowed { 200 } else { 403 };
            assert_eq!(
                reply.status.as_u16(),
                expected,
                "{number} {headers:?}: {text}"
            );
        }
    }
}

fn allow(actions: &[&str]) -> String {
    format!(
        r#"{{"Effect": "Allow", "Principal": "*", "Action": {actions:?}, "Resource": "arn:aws:s3:::bucket/*"}}"#
    )
}

fn deny(actions: &[&str]) -> String {
    allow(actions).replace("Allow", "Deny")
}

#[tokio::test]
async fn writers_of_other_accounts_need_what_they_set_to_be_allowed() {
    let scene = Scene::new().await;
    let third = scene.world.user("third").await;
    let (owner, writer) = (&scene.world.owner.account_id, &scene.other.account_id);
    let to_owner = format!("id={owner}");
    let to_both = format!("id=\"{owner}\", id=\"{writer}\"");
    let to_third = format!("id={}", third.account_id);
    let to_third_too = format!("id={owner}, id={}", third.account_id);
    let to_all = "uri=http://acs.amazonaws.com/groups/global/AllUsers";
    let by_email = "emailaddress=owner@example.com";
    const PUT: &str = "s3:PutObject";
    const ACL: &str = "s3:PutObjectAcl";
    const TAGGING: &str = "s3:PutObjectTagging";
    type Row<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], bool);
    let table: &[Row<'_>] = &[
        (&[PUT], &[], true),
        (&[PUT], &[TAGS], false),
        (&[PUT], &[PUBLIC_READ], false),
        (&[PUT], &[("x-amz-acl", "public-read-write")], false),
        (&[PUT], &[("x-amz-acl", "authenticated-read")], false),
        (&[PUT], &[("x-amz-grant-read", &to_third)], false),
        (&[PUT], &[("x-amz-grant-read", &to_third_too)], false),
        (&[PUT], &[("x-amz-grant-write-acp", &to_third)], false),
        (&[PUT], &[("x-amz-grant-full-control", to_all)], false),
        (&[PUT], &[("x-amz-grant-read", by_email)], false),
        (
            &[PUT],
            &[
                ("x-amz-grant-full-control", &to_owner),
                ("x-amz-grant-read", &to_third),
            ],
            false,
        ),
        // What opens it to nobody else is a part of the writing, and policies ask for it so.
        (&[PUT], &[FULL_CONTROL], true),
        (&[PUT], &[("x-amz-acl", "bucket-owner-read")], true),
        (&[PUT], &[PRIVATE], true),
        (&[PUT], &[("x-amz-grant-full-control", &to_owner)], true),
        (&[PUT], &[("x-amz-grant-read", &to_both)], true),
        (&[PUT], &[FULL_CONTROL, TAGS], false),
        (&[PUT, TAGGING], &[TAGS], true),
        (&[PUT, TAGGING], &[FULL_CONTROL, TAGS], true),
        (&[PUT, TAGGING], &[PUBLIC_READ], false),
        (&[PUT, ACL], &[PUBLIC_READ], true),
        (&[PUT, ACL], &[("x-amz-grant-read", &to_third)], true),
        (&[PUT, ACL], &[TAGS], false),
        (&[ACL, TAGGING], &[], false),
    ];
    for (actions, headers, is_allowed) in table {
        scene.set_policy(&[allow(actions)]).await;
        let sender = Some(&scene.other);
        scene.uploads(sender, headers, *is_allowed).await;
        // Who has no account has none to give anything to, and the object is the bucket owner's.
        if !headers.iter().any(|(_, value)| *value == to_both) {
            scene.uploads(None, headers, *is_allowed).await;
        }
    }
    // What is denied stays denied.
    scene.set_policy(&[allow(&[PUT]), deny(&[ACL])]).await;
    scene.uploads(Some(&scene.other), &[], true).await;
    scene
        .uploads(Some(&scene.other), &[FULL_CONTROL], false)
        .await;
}

#[tokio::test]
async fn users_need_what_they_set_to_be_allowed_by_their_account() {
    let scene = Scene::new().await;
    let (owner, other) = (scene.world.owner.clone(), scene.other.clone());
    let reads = ["s3:GetObject", "s3:GetObjectTagging"];
    let may = |actions: &[&'static str]| [&reads[..], actions].concat();
    let put_only = may(&["s3:PutObject"]);
    let with_tags = may(&["s3:PutObject", "s3:PutObjectTagging"]);
    let with_acl = may(&["s3:PutObject", "s3:PutObjectAcl"]);
    // Of the bucket's account, whatever is set has to be allowed.
    for (name, actions, tags, acl) in [
        ("put", &put_only, false, false),
        ("tags", &with_tags, true, false),
        ("acl", &with_acl, false, true),
    ] {
        let user = scene.user_of(&owner, name, actions).await;
        scene.uploads(Some(&user), &[], true).await;
        scene.uploads(Some(&user), &[TAGS], tags).await;
        for header in [PRIVATE, FULL_CONTROL, PUBLIC_READ] {
            scene.uploads(Some(&user), &[header], acl).await;
        }
    }
    // Of another account, both sides have to allow it.
    scene.set_policy(&[allow(&["s3:PutObject*"])]).await;
    for (name, actions, tags, acl) in [
        ("put", &put_only, false, false),
        ("tags", &with_tags, true, false),
        ("acl", &with_acl, false, true),
    ] {
        let user = scene.user_of(&other, name, actions).await;
        scene.uploads(Some(&user), &[], true).await;
        scene.uploads(Some(&user), &[TAGS], tags).await;
        scene.uploads(Some(&user), &[PUBLIC_READ], acl).await;
        scene.uploads(Some(&user), &[FULL_CONTROL], true).await;
    }
}

#[tokio::test]
async fn whom_the_acl_of_the_bucket_lets_write_may_set_both() {
    let scene = Scene::new().await;
    let (world, other) = (&scene.world, scene.other.clone());
    let third = world.user("third").await;
    let open = put("/bucket?acl", "").header("x-amz-acl", "public-read-write");
    world.succeed(open).await;
    for sender in [Some(&other), None] {
        for headers in [&[TAGS][..], &[PUBLIC_READ], &[TAGS, FULL_CONTROL]] {
            scene.uploads(sender, headers, true).await;
        }
    }
    let grant = format!("id={}", other.account_id);
    let to_other = put("/bucket?acl", "").header("x-amz-grant-write", &grant);
    world.succeed(to_other).await;
    scene
        .uploads(Some(&other), &[TAGS, PUBLIC_READ], true)
        .await;
    scene.uploads(Some(&third), &[], false).await;
    // The account has to pass it on.
    let reads = ["s3:GetObject", "s3:GetObjectTagging", "s3:PutObject"];
    let user = scene.user_of(&other, "put", &reads).await;
    scene.uploads(Some(&user), &[], true).await;
    scene.uploads(Some(&user), &[TAGS], false).await;
    scene.uploads(Some(&user), &[PUBLIC_READ], false).await;
    // And nothing that is denied is meant by it.
    scene.set_policy(&[deny(&["s3:PutObjectTagging"])]).await;
    scene.uploads(Some(&other), &[PUBLIC_READ], true).await;
    scene.uploads(Some(&other), &[TAGS], false).await;
}

#[tokio::test]
async fn tags_are_copied_by_those_who_may_set_them() {
    let scene = Scene::new().await;
    let copy = |source: &str| {
        let source = format!("source/{source}");
        put(&scene.new_key(), "").header("x-amz-copy-source", &source)
    };
    let send = async |call: Call| scene.world.send_by(Some(&scene.other), call).await;
    scene.set_policy(&[allow(&["s3:PutObject"])]).await;
    send(copy("plain")).await.is(200);
    let without = copy("tagged").header("x-amz-tagging-directive", "REPLACE");
    send(without).await.is(200);
    send(copy("tagged")).await.refused(403, "AccessDenied");
    scene
        .set_policy(&[allow(&["s3:PutObject", "s3:PutObjectTagging"])])
        .await;
    send(copy("tagged")).await.is(200);
}

#[tokio::test]
async fn forms_set_no_more_than_their_sender_may() {
    const TAGGING: &str =
        "<Tagging><TagSet><Tag><Key>team</Key><Value>red</Value></Tag></TagSet></Tagging>";
    let scene = Scene::new().await;
    let form = |name: &str, value: &str| {
        let field = |name: &str, value: &str| {
            format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let fields = [
            field("key", "form"),
            field(name, value),
            field("file", "body"),
        ];
        let body = format!("{}--x--\r\n", fields.concat());
        post("/bucket", body).header("content-type", "multipart/form-data; boundary=x")
    };
    let grant = format!("id={}", scene.other.account_id);
    for (actions, tagged, opened) in [
        (&["s3:PutObject"][..], 403, 403),
        (&["s3:PutObject", "s3:PutObjectTagging"][..], 204, 403),
        (&["s3:PutObject", "s3:PutObjectAcl"][..], 403, 204),
    ] {
        scene.set_policy(&[allow(actions)]).await;
        for (name, value, expected) in [
            ("x-ignore-this", "", 204),
            ("acl", "bucket-owner-full-control", 204),
            ("tagging", TAGGING, tagged),
            ("x-amz-tagging", "team=red", tagged),
            ("acl", "public-read", opened),
            ("x-amz-acl", "public-read", opened),
            ("x-amz-grant-read", grant.as_str(), opened),
        ] {
            let reply = scene.world.send_by(None, form(name, value)).await;
            let text = reply.text();
            let status = reply.status.as_u16();
            assert_eq!(status, expected, "{actions:?} {name} {value}: {text}");
        }
    }
}
