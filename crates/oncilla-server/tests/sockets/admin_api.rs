//! The administration as its clients see it: every call, everybody who must not call, and what
//! must never be told.

use std::collections::BTreeSet;

use crate::admin_support::{Forgery, Reply, World, log_text};
use oncilla_iam::{Grant, NewKey, Role};
use serde_json::{Value, json};

#[test]
fn accounts_are_made_found_changed_and_removed() {
    let world = World::new();
    let made = world.local(
        "POST",
        "/accounts",
        json!({"name": "Ada L", "email": "a@b"}),
    );
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.json["id"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 64);
    assert_eq!(made.json["name"], "Ada L");
    assert_eq!(made.json["disabled"], false);

    for path in [format!("/accounts/{id}"), "/accounts/ada%20l".to_owned()] {
        let found = world.local("GET", &path, Value::Null);
        assert_eq!((found.status, &found.json), (200, &made.json), "{path}");
    }
    for taken in [
        json!({"name": "ada L"}),
        json!({"name": "Bob", "email": "A@B"}),
    ] {
        let refused = world.local("POST", "/accounts", taken);
        refused.is_error(409, "AccountAlreadyExists");
    }

    let path = format!("/accounts/{id}");
    let changed = world.local("PATCH", &path, json!({"name": "Ada", "email": null}));
    assert_eq!(changed.json["name"], "Ada");
    assert_eq!(changed.json["email"], Value::Null);
    let unchanged = world.local("PATCH", &path, json!({}));
    assert_eq!(unchanged.json, changed.json);
    world
        .local("GET", "/accounts/Ada%20L", Value::Null)
        .is_error(404, "NoSuchAccount");

    let disabled = world.local("POST", &format!("{path}/disable"), Value::Null);
    assert_eq!(disabled.json["disabled"], true);
    let enabled = world.local("POST", "/accounts/Ada/enable", Value::Null);
    assert_eq!(enabled.json["disabled"], false);

    let grants = json!([{"bucket": "*", "role": "Editor"}]);
    let key = world.local("POST", "/keys", json!({"account": "Ada", "grants": grants}));
    world
        .local("DELETE", &path, Value::Null)
        .is_error(409, "AccountHasKeys");
    let key_path = format!("/keys/{}", key.json["id"].as_str().unwrap());
    assert_eq!(world.local("DELETE", &key_path, Value::Null).status, 204);
    world.local(
        "POST",
        "/buckets",
        json!({"name": "photos", "account": "Ada"}),
    );
    world
        .local("DELETE", &path, Value::Null)
        .is_error(409, "AccountHasBuckets");
    assert_eq!(
        world.local("DELETE", "/buckets/photos", Value::Null).status,
        204
    );
    assert_eq!(world.local("DELETE", &path, Value::Null).status, 204);
    for method in ["GET", "DELETE"] {
        world
            .local(method, &path, Value::Null)
            .is_error(404, "NoSuchAccount");
    }

    let root = format!("/accounts/{}", world.root_account.id);
    world
        .local("DELETE", &root, Value::Null)
        .is_error(409, "RootAccount");
    world
        .local("POST", &format!("{root}/disable"), Value::Null)
        .is_error(409, "RootAccount");
}

#[test]
fn listings_come_in_pages_that_together_are_everything() {
    let world = World::new();
    let mut ids = BTreeSet::new();
    for name in ["anna", "bert", "cleo"] {
        world.local("POST", "/accounts", json!({"name": name}));
        let keys = if name == "bert" { 0 } else { 3 };
        for _ in 0..keys {
            let made = world.local("POST", "/keys", json!({"account": name, "grants": []}));
            ids.insert(made.json["id"].as_str().unwrap().to_owned());
        }
        let bucket = format!("{name}-bucket");
        world.local("POST", "/buckets", json!({"name": bucket, "account": name}));
    }
    let names = |items: &[Value], field: &str| -> Vec<String> {
        items
            .iter()
            .map(|item| item[field].as_str().unwrap().to_owned())
            .collect()
    };
    for limit in [1, 2, 5, 1_000, 5_000] {
        let accounts = world.every_page("/accounts?", limit);
        assert_eq!(
            names(&accounts, "name"),
            ["anna", "bert", "cleo", "root"],
            "{limit}"
        );
        let buckets = world.every_page("/buckets?", limit);
        let all = ["anna-bucket", "bert-bucket", "cleo-bucket"];
        assert_eq!(names(&buckets, "name"), all, "{limit}");
        let of_bert = world.every_page("/buckets?account=bert&", limit);
        assert_eq!(names(&of_bert, "name"), ["bert-bucket"], "{limit}");
        let of_anna = world.every_page("/keys?account=anna&", limit);
        assert_eq!(of_anna.len(), 3, "{limit}");

        let everybodys = names(&world.every_page("/keys?account=*&", limit), "id");
        let mut expected = ids.clone();
        expected.insert(world.root.access_key_id.clone());
        assert_eq!(everybodys.len(), expected.len(), "{limit}");
        assert_eq!(
            everybodys.into_iter().collect::<BTreeSet<_>>(),
            expected,
            "{limit}"
        );
    }
    // As the command line asks when nobody is named.
    let roots = names(&world.every_page("/keys?", 10), "id");
    assert_eq!(roots, [world.root.access_key_id.as_str()]);
    world
        .local("GET", "/keys?account=nobody", Value::Null)
        .is_error(404, "NoSuchAccount");
    // The account of the cursor is gone: the listing goes on behind it.
    let page = world.local("GET", "/keys?account=*&limit=2", Value::Null);
    let cursor = page.json["next"]
        .as_str()
        .unwrap()
        .replace("anna/", "annb/");
    let rest = world.local(
        "GET",
        &format!("/keys?account=*&after={cursor}"),
        Value::Null,
    );
    assert_eq!(
        rest.json["items"].as_array().unwrap().len(),
        4,
        "{}",
        rest.text
    );
}

#[test]
fn keys_are_made_rotated_disabled_and_removed() {
    let world = World::new();
    let grants = json!([{"bucket": "*", "role": "Editor"}, {"bucket": "b.c", "role": "ReadOnly"}]);
    let new = json!({"description": "für die Kamera", "grants": grants, "expires_ms": null});
    let made = world.local("POST", "/keys", new);
    assert_eq!(made.status, 201, "{}", made.text);
    let first = made.credentials();
    assert!(first.access_key_id.starts_with("tid_"));
    assert!(first.secret_access_key.starts_with("tsec_"));
    assert_eq!(made.json["account_id"], world.root_account.id.as_str());
    assert_eq!(made.json["grants"], grants);
    assert_eq!(made.json["description"], "für die Kamera");
    assert_eq!(made.json["generation"], 1);
    assert_eq!(world.s3("GET", "/", b"", &first).status, 200);

    let path = format!("/keys/{}", first.access_key_id);
    let shown = world.local("GET", &path, Value::Null);
    assert_eq!(shown.json.get("secret"), None);
    assert_eq!(shown.json["grants"], grants);

    let rotated = world.local("POST", &format!("{path}/rotate"), Value::Null);
    let second = rotated.credentials();
    assert_eq!(second.access_key_id, first.access_key_id);
    assert_ne!(second.secret_access_key, first.secret_access_key);
    assert_eq!(rotated.json["generation"], 2);
    assert_eq!(world.s3("GET", "/", b"", &first).status, 403);
    assert_eq!(world.s3("GET", "/", b"", &second).status, 200);

    let disabled = world.local("POST", &format!("{path}/disable"), Value::Null);
    assert_eq!(disabled.json["disabled"], true);
    assert_eq!(world.s3("GET", "/", b"", &second).status, 403);
    let enabled = world.local("POST", &format!("{path}/enable"), json!({}));
    assert_eq!(enabled.json["disabled"], false);
    assert_eq!(world.s3("GET", "/", b"", &second).status, 200);

    assert_eq!(world.s3("PUT", "/made-by-it", b"", &second).status, 200);
    let fewer = json!([{"bucket": "*", "role": "ReadOnly"}]);
    let set = world.local("PUT", &format!("{path}/grants"), fewer.clone());
    assert_eq!((set.status, &set.json["grants"]), (200, &fewer));
    assert_eq!(world.s3("PUT", "/made-by-it-too", b"", &second).status, 403);

    let changed = world.local("PATCH", &path, json!({"description": "x", "expires_ms": 1}));
    assert_eq!(
        (&changed.json["description"], &changed.json["expires_ms"]),
        (&json!("x"), &json!(1))
    );
    assert_eq!(world.s3("GET", "/", b"", &second).status, 403);
    let changed = world.local("PATCH", &path, json!({"expires_ms": null, "grants": []}));
    assert_eq!(
        (&changed.json["expires_ms"], &changed.json["grants"]),
        (&Value::Null, &json!([]))
    );
    assert_eq!(changed.json["description"], "x");

    assert_eq!(world.local("DELETE", &path, Value::Null).status, 204);
    for (method, path) in [("GET", path.clone()), ("POST", format!("{path}/rotate"))] {
        world
            .local(method, &path, Value::Null)
            .is_error(404, "NoSuchKey");
    }
}

#[test]
fn a_key_is_imported_once_and_works() {
    let world = World::new();
    let import = |secret: &str| {
        json!({
            "grants": [{"bucket": "*", "role": "Admin"}],
            "import": {"id": "AKIAEXAMPLE", "secret": secret},
        })
    };
    let imported = world.local("POST", "/keys", import("wombat-in-the-wild"));
    assert_eq!(
        (imported.status, &imported.json["id"]),
        (201, &json!("AKIAEXAMPLE"))
    );
    assert!(!imported.text.contains("wombat"), "{}", imported.text);
    assert_eq!(
        world
            .local("POST", "/keys", import("wombat-in-the-wild"))
            .status,
        201
    );
    world
        .local("POST", "/keys", import("another-secret"))
        .is_error(409, "KeyAlreadyExists");
    let refused = world.local("POST", "/keys", import("sh\u{f6}rt-and-unicode"));
    refused.is_error(400, "InvalidArgument");
    let credentials = crate::admin_support::credentials("AKIAEXAMPLE", "wombat-in-the-wild");
    assert_eq!(world.s3("GET", "/", b"", &credentials).status, 200);
    assert_eq!(
        world
            .signed("GET", "/accounts", Value::Null, &credentials)
            .status,
        200
    );
    assert!(!log_text().contains("wombat"));
}

#[test]
fn buckets_show_their_owner_and_what_they_hold() {
    let world = World::new();
    let ada = world.local("POST", "/accounts", json!({"name": "ada"}));
    let made = world.local(
        "POST",
        "/buckets",
        json!({"name": "open", "account": "ada", "public": true}),
    );
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.json["account_id"], ada.json["id"]);
    assert_eq!(made.json["public"], true);
    let made = world.local("POST", "/buckets", json!({"name": "closed"}));
    assert_eq!(made.json["account_id"], world.root_account.id.as_str());
    assert_eq!(
        (&made.json["public"], &made.json["objects"]),
        (&json!(false), &json!(0))
    );
    assert_eq!(
        world.s3("PUT", "/closed/a/b", b"12345", &world.root).status,
        200
    );
    let shown = world.local("GET", "/buckets/closed", Value::Null);
    assert_eq!(
        (&shown.json["objects"], &shown.json["bytes"]),
        (&json!(1), &json!(5))
    );
    let listed = world.every_page("/buckets?account=root&", 10);
    assert_eq!(listed, [shown.json]);

    let again = world.local("POST", "/buckets", json!({"name": "closed"}));
    again.is_error(409, "BucketAlreadyOwnedByYou");
    let again = world.local(
        "POST",
        "/buckets",
        json!({"name": "closed", "account": "ada"}),
    );
    again.is_error(409, "BucketAlreadyExists");
    for name in ["", "No", "a/b", "-x-", "b\u{fc}cher", &"x".repeat(64)] {
        let refused = world.local("POST", "/buckets", json!({"name": name}));
        refused.is_error(400, "InvalidBucketName");
    }
    let nobody = world.local(
        "POST",
        "/buckets",
        json!({"name": "fine", "account": "nobody"}),
    );
    nobody.is_error(404, "NoSuchAccount");
    world
        .local("GET", "/buckets/fine", Value::Null)
        .is_error(404, "NoSuchBucket");

    world
        .local("DELETE", "/buckets/closed", Value::Null)
        .is_error(409, "BucketNotEmpty");
    assert_eq!(
        world.s3("DELETE", "/closed/a/b", b"", &world.root).status,
        204
    );
    assert_eq!(
        world.local("DELETE", "/buckets/closed", Value::Null).status,
        204
    );
    world
        .local("DELETE", "/buckets/closed", Value::Null)
        .is_error(404, "NoSuchBucket");
}

#[test]
fn storage_is_a_bucket_with_an_editor_key_of_its_own() {
    let world = World::new();
    let made = world.local("POST", "/storage", Value::Null);
    assert_eq!(made.status, 201, "{}", made.text);
    let name = made.json["bucket"]["name"].as_str().unwrap();
    assert_eq!(name.split('-').count(), 3, "{name}");
    assert_eq!(
        made.json["key"]["grants"],
        json!([{"bucket": name, "role": "Editor"}])
    );
    assert_eq!(made.json["endpoint_url"], "http://s3.example.com");
    assert_eq!(made.json["region"], "auto");
    let key = Reply::of(&made.json["key"]).credentials();
    assert_eq!(
        world.s3("PUT", &format!("/{name}/x"), b"1", &key).status,
        200
    );
    assert_eq!(world.s3("PUT", "/another-bucket", b"", &key).status, 403);
    assert_eq!(
        world.signed("GET", "/accounts", Value::Null, &key).status,
        403
    );

    let new = json!({"name": "chosen", "public": true, "description": "site"});
    let chosen = world.local("POST", "/storage", new);
    assert_eq!(chosen.json["bucket"]["public"], true);
    assert_eq!(chosen.json["key"]["description"], "site");

    world.local("POST", "/accounts", json!({"name": "ada"}));
    let keys_before = world.every_page("/keys?account=*&", 100);
    for (account, code) in [
        ("root", "BucketAlreadyOwnedByYou"),
        ("ada", "BucketAlreadyExists"),
    ] {
        let taken = world.local(
            "POST",
            "/storage",
            json!({"name": "chosen", "account": account}),
        );
        taken.is_error(409, code);
    }
    let invalid = world.local("POST", "/storage", json!({"name": "Not Valid"}));
    invalid.is_error(400, "InvalidBucketName");
    let invalid = world.local(
        "POST",
        "/storage",
        json!({"name": "fine", "description": "a\nb"}),
    );
    invalid.is_error(400, "InvalidArgument");
    assert_eq!(world.every_page("/keys?account=*&", 100), keys_before);
}

#[test]
fn destroying_storage_takes_its_keys_along_and_no_others() {
    let world = World::new();
    let made = world.local("POST", "/storage", json!({"name": "doomed"}));
    let own_key = made.json["key"]["id"].clone();
    let key_with = |grants: Value| {
        let made = world.local("POST", "/keys", json!({"grants": grants}));
        made.json["id"].clone()
    };
    let second = key_with(json!([{"bucket": "doomed", "role": "ReadOnly"}]));
    let kept = [
        key_with(
            json!([{"bucket": "doomed", "role": "Editor"}, {"bucket": "b", "role": "Editor"}]),
        ),
        key_with(json!([{"bucket": "*", "role": "Editor"}])),
        key_with(json!([])),
        key_with(json!([{"bucket": "doomed-too", "role": "Editor"}])),
    ];
    // More than one batch.
    const OBJECTS: usize = 1_100;
    for number in 0..OBJECTS {
        let stored = world.put_object("doomed", &format!("o/{number}"), b"x");
        stored.unwrap();
    }
    world
        .local("DELETE", "/storage/doomed", Value::Null)
        .is_error(409, "BucketNotEmpty");
    world
        .local("DELETE", "/storage/doomed?force=false", Value::Null)
        .is_error(409, "BucketNotEmpty");
    let shown = world.local("GET", "/buckets/doomed", Value::Null);
    assert_eq!(shown.json["objects"], OBJECTS);

    let destroyed = world.local("DELETE", "/storage/doomed?force=true", Value::Null);
    assert_eq!(destroyed.status, 200, "{}", destroyed.text);
    assert_eq!(destroyed.json["bucket"], "doomed");
    assert_eq!(destroyed.json["objects_deleted"], OBJECTS);
    let mut expected = [own_key, second].map(|id| id.as_str().unwrap().to_owned());
    expected.sort();
    assert_eq!(destroyed.json["keys_deleted"], json!(expected));
    for id in kept {
        let found = world.local(
            "GET",
            &format!("/keys/{}", id.as_str().unwrap()),
            Value::Null,
        );
        assert_eq!(found.status, 200);
    }
    world
        .local("DELETE", "/storage/doomed", Value::Null)
        .is_error(404, "NoSuchBucket");
}

#[test]
fn a_failure_at_any_step_leaves_nothing_half_made() {
    let world = World::new();
    let keys_before = world.every_page("/keys?", 100);
    let mut failures = 0;
    loop {
        world.engine.fail_commit_after(failures);
        let made = world.local("POST", "/storage", json!({"name": "all-or-none"}));
        if made.status == 201 {
            break;
        }
        made.is_error(503, "ServiceUnavailable");
        failures += 1;
        let left = world.local("GET", "/buckets/all-or-none", Value::Null);
        left.is_error(404, "NoSuchBucket");
        assert_eq!(
            world.every_page("/keys?", 100),
            keys_before,
            "after {failures}"
        );
    }
    assert_eq!(failures, 2, "the key and the bucket");
    world.engine.fail_commit_after(u64::MAX);
}

#[test]
fn the_server_tells_what_it_is_and_counts_when_asked() {
    let world = World::new();
    world.local("POST", "/storage", json!({"name": "counted"}));
    world.put_object("counted", "x", b"123").unwrap();
    let told = world.local("GET", "/server", Value::Null);
    assert_eq!(told.json["version"], "1.2.3");
    assert_eq!(told.json["cluster_id"], "cluster-7");
    assert_eq!(told.json["region"], "auto");
    assert_eq!(told.json["endpoint_url"], "http://s3.example.com");
    assert_eq!(told.json["root_account_id"], world.root_account.id.as_str());
    assert!(told.json["uptime_s"].is_u64());
    assert_eq!(told.json.get("counts"), None);
    let told = world.local("GET", "/server?counts=true", Value::Null);
    let counts = json!({"accounts": 1, "keys": 2, "buckets": 1, "objects": 1, "bytes": 3});
    assert_eq!(told.json["counts"], counts);
}

/// Every call, with a document that would be accepted.
fn every_call(account: &str) -> Vec<(&'static str, String, Value)> {
    let grants = json!([{"bucket": "*", "role": "Admin"}]);
    let path = |path: &str| path.to_owned();
    vec![
        ("GET", path("/server"), Value::Null),
        ("GET", path("/accounts"), Value::Null),
        ("POST", path("/accounts"), json!({"name": "intruder"})),
        ("GET", path("/accounts/root"), Value::Null),
        ("GET", path("/accounts/nobody"), Value::Null),
        (
            "PATCH",
            format!("/accounts/{account}"),
            json!({"name": "changed"}),
        ),
        ("POST", path("/accounts/victim/disable"), Value::Null),
        ("POST", path("/accounts/victim/enable"), Value::Null),
        ("DELETE", path("/accounts/victim"), Value::Null),
        ("GET", path("/keys"), Value::Null),
        ("GET", path("/keys?account=*"), Value::Null),
        ("POST", path("/keys"), json!({"grants": grants})),
        ("GET", path("/keys/spare"), Value::Null),
        ("PATCH", path("/keys/spare"), json!({"grants": grants})),
        ("POST", path("/keys/spare/rotate"), Value::Null),
        ("POST", path("/keys/spare/disable"), Value::Null),
        ("POST", path("/keys/spare/enable"), Value::Null),
        ("PUT", path("/keys/spare/grants"), grants),
        ("DELETE", path("/keys/spare"), Value::Null),
        ("GET", path("/buckets"), Value::Null),
        ("POST", path("/buckets"), json!({"name": "intruders"})),
        ("GET", path("/buckets/present"), Value::Null),
        ("GET", path("/buckets/absent"), Value::Null),
        ("DELETE", path("/buckets/present"), Value::Null),
        ("POST", path("/storage"), json!({})),
        ("DELETE", path("/storage/present?force=true"), Value::Null),
        // What is not there and what is not allowed looks the same to them.
        ("GET", path("/nothing/here"), Value::Null),
        ("GET", path(""), Value::Null),
        ("GET", path("/"), Value::Null),
        ("TRACE", path("/keys"), Value::Null),
        ("POST", path("/keys"), json!({"unknown": "field"})),
    ]
}

#[test]
fn nobody_else_gets_in_or_learns_anything() {
    let world = World::new();
    let account = world.local("POST", "/accounts", json!({"name": "victim"}));
    let account = account.json["id"].as_str().unwrap().to_owned();
    world.local("POST", "/buckets", json!({"name": "present"}));
    let spare = json!({"id": "spare", "secret": "spare-secret"});
    world.local("POST", "/keys", json!({"grants": [], "import": spare}));
    let key = |account: &str, bucket: &str, role: Role, expires_ms: Option<u64>| {
        world.create_key(NewKey {
            account_id: account.to_owned(),
            description: String::new(),
            grants: vec![Grant::new(bucket, role)],
            expires_ms,
        })
    };
    let root = world.root_account.id.clone();
    let disabled = key(&root, "*", Role::Admin, None);
    let path = format!("/keys/{}/disable", disabled.access_key_id);
    assert_eq!(world.local("POST", &path, Value::Null).status, 200);
    let mut unknown = world.root.clone();
    unknown.access_key_id.push('x');
    let mut wrong_secret = world.root.clone();
    wrong_secret.secret_access_key.push('x');
    let mut with_token = world.root.clone();
    with_token.session_token = Some("token".to_owned());
    let session = world.begin_session(&world.root);
    let reply = world.s3("GET", "/", b"", &session);
    assert_eq!(reply.status, 200, "{}", reply.text);
    let callers = [
        ("unknown key", unknown, Forgery::None),
        ("wrong secret", wrong_secret, Forgery::None),
        ("session token", with_token, Forgery::None),
        ("temporary credentials", session, Forgery::None),
        (
            "another account's Admin",
            key(&account, "*", Role::Admin, None),
            Forgery::None,
        ),
        (
            "root's Editor",
            key(&root, "*", Role::Editor, None),
            Forgery::None,
        ),
        (
            "root's ReadOnly",
            key(&root, "*", Role::ReadOnly, None),
            Forgery::None,
        ),
        (
            "root's Admin of one bucket",
            key(&root, "present", Role::Admin, None),
            Forgery::None,
        ),
        ("disabled", disabled, Forgery::None),
        (
            "expired",
            key(&root, "*", Role::Admin, Some(1)),
            Forgery::None,
        ),
        ("unsigned", world.root.clone(), Forgery::Anonymous),
        (
            "an old request",
            world.root.clone(),
            Forgery::SkewS(-16 * 60),
        ),
        (
            "a request of the future",
            world.root.clone(),
            Forgery::SkewS(16 * 60),
        ),
        (
            "another service",
            world.root.clone(),
            Forgery::Service("iam"),
        ),
        (
            "another path",
            world.root.clone(),
            Forgery::Path("/-/admin/v1/other"),
        ),
        (
            "another body",
            world.root.clone(),
            Forgery::Body("{\"name\":\"other\"}"),
        ),
        (
            "unsigned body",
            world.root.clone(),
            Forgery::UnsignedPayload,
        ),
        ("presigned", world.root.clone(), Forgery::Presigned),
        (
            "a header added",
            world.root.clone(),
            Forgery::AddedHeader("x-amz-acl: private"),
        ),
        (
            "a claimed origin",
            world.root.clone(),
            Forgery::AnonymousWith("x-forwarded-for: 127.0.0.1"),
        ),
    ];
    let before = world.everything();
    let mut answers = BTreeSet::new();
    for (who, credentials, forgery) in &callers {
        for (method, path, document) in every_call(&account) {
            let reply = world.forged(method, &path, &document, credentials, forgery);
            assert_eq!(reply.status, 403, "{who}: {method} {path}: {}", reply.text);
            assert_eq!(
                reply.json["error"]["code"], "AccessDenied",
                "{who}: {method} {path}"
            );
            answers.insert(reply.text);
        }
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(world.everything(), before);
    // The same calls are calls, for whoever may make them.
    let reply = world.signed("GET", "/accounts", Value::Null, &world.root);
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let reply = world.signed(
        "POST",
        "/accounts",
        json!({"name": "J\u{fc}rgen"}),
        &world.root,
    );
    reply.is_error(400, "InvalidArgument");
    let reply = world.signed("POST", "/accounts", json!({"name": "juergen"}), &world.root);
    assert_eq!(reply.status, 201, "{}", reply.text);
    let skewed = Forgery::SkewS(-14 * 60);
    let reply = world.forged("GET", "/accounts", &Value::Null, &world.root, &skewed);
    assert_eq!(reply.status, 200, "{}", reply.text);
}

#[test]
fn every_call_is_one_for_those_who_may() {
    let world = World::new();
    let account = world.local("POST", "/accounts", json!({"name": "victim"}));
    let account = account.json["id"].as_str().unwrap().to_owned();
    world.local("POST", "/buckets", json!({"name": "present"}));
    let spare = json!({"id": "spare", "secret": "spare-secret"});
    world.local("POST", "/keys", json!({"grants": [], "import": spare}));
    for (method, path, document) in every_call(&account) {
        let reply = world.signed(method, &path, document, &world.root);
        assert_ne!(reply.status, 403, "{method} {path}: {}", reply.text);
        assert!(reply.status < 500, "{method} {path}: {}", reply.text);
        if reply.status >= 400 {
            assert!(
                reply.json["error"]["code"].is_string(),
                "{method} {path}: {}",
                reply.text
            );
            assert!(
                reply.json["error"]["message"].is_string(),
                "{method} {path}"
            );
        }
    }
}

#[test]
fn only_the_administration_is_behind_its_door() {
    let world = World::new();
    assert_eq!(world.own_page("/-/health").status, 200);
    assert_eq!(world.own_page("/-/ready").status, 200);
    assert_eq!(world.own_page("/-/nothing").status, 404);
    assert_eq!(world.own_page("/-/admin").status, 403);
    assert_eq!(world.own_page("/-/admin/v2/accounts").status, 403);
    world
        .local("GET", "/nothing", Value::Null)
        .is_error(404, "NotFound");
    world
        .local("PUT", "/accounts", json!({}))
        .is_error(405, "MethodNotAllowed");
    world
        .local("DELETE", "/keys", Value::Null)
        .is_error(405, "MethodNotAllowed");
}

#[test]
fn hostile_documents_are_refused_with_a_reason() {
    let world = World::new();
    let before = world.everything();
    let refused = |method: &str, path: &str, body: &str| -> String {
        let reply = world.local_text(method, path, body);
        reply.is_error(400, "MalformedJSON");
        reply.json["error"]["message"].as_str().unwrap().to_owned()
    };
    for (method, path, body, named) in [
        ("POST", "/accounts", r#"{"name":"a","nmae":"b"}"#, "`nmae`"),
        ("POST", "/accounts", r#"{}"#, "`name`"),
        ("POST", "/accounts", r#"{"name":"a","name":"b"}"#, "`name`"),
        (
            "POST",
            "/keys",
            r#"{"grants":[{"bucket":"*","role":"Admin","x":1}]}"#,
            "`x`",
        ),
        (
            "POST",
            "/keys",
            r#"{"grants":[{"bucket":"*","role":"Owner"}]}"#,
            "`Owner`",
        ),
        (
            "POST",
            "/keys",
            r#"{"grants":[],"import":{"id":"abc"}}"#,
            "`secret`",
        ),
        (
            "POST",
            "/keys",
            r#"{"grants":[],"import":{"id":"abc","secret":"12345678","more":1}}"#,
            "`more`",
        ),
        (
            "POST",
            "/buckets",
            r#"{"name":"abc","owner":"x"}"#,
            "`owner`",
        ),
        ("POST", "/storage", r#"{"bucket":"abc"}"#, "`bucket`"),
        (
            "POST",
            "/keys/x/rotate",
            r#"{"secret":"chosen"}"#,
            "`secret`",
        ),
        ("PATCH", "/keys/x", r#"{"disabled":true}"#, "`disabled`"),
    ] {
        let message = refused(method, path, body);
        assert!(message.contains(named), "{body}: {message}");
    }
    for body in [
        "[",
        "null",
        "5",
        "\"x\"",
        "[]",
        "{\"name\":5}",
        "{\"name\":null}",
        "{\"name\":[\"a\"]}",
        "{\"name\":{}}",
        "{\"name\":\"a\"}{",
        "\u{feff}{}",
        "{\"name\":\"\\ud800\"}",
        "{\"name\":\"a\",\"email\":7}",
    ] {
        refused("POST", "/accounts", body);
    }
    for number in [
        "-1",
        "1.5",
        "1e400",
        "99999999999999999999",
        "\"1\"",
        "true",
    ] {
        refused(
            "POST",
            "/keys",
            &format!("{{\"grants\":[],\"expires_ms\":{number}}}"),
        );
    }
    refused("POST", "/accounts", &"[".repeat(60_000));
    let invalid_utf8 = world.local_bytes("POST", "/accounts", b"{\"name\":\"\xff\xfe\"}");
    invalid_utf8.is_error(400, "MalformedJSON");

    for name in [
        "",
        " ",
        "a\u{0}b",
        "J\u{fc}rgen",
        "\u{202e}evil",
        "a/b",
        "*",
        &"x".repeat(65),
    ] {
        let reply = world.local("POST", "/accounts", json!({"name": name}));
        reply.is_error(400, "InvalidArgument");
    }
    for path in [
        "%00",
        "%F0%9F%A6%A6",
        "%2F..%2F",
        "..%2Froot",
        "%2e%2e",
        "a%0ab",
        "*",
    ] {
        let reply = world.local("GET", &format!("/accounts/{path}"), Value::Null);
        assert_eq!(reply.status, 404, "{path}: {}", reply.text);
        let reply = world.local("GET", &format!("/keys/{path}"), Value::Null);
        assert_eq!(reply.status, 404, "{path}: {}", reply.text);
        let reply = world.local("GET", &format!("/buckets/{path}"), Value::Null);
        assert_eq!(reply.status, 404, "{path}: {}", reply.text);
    }
    world
        .local("GET", "/accounts/%ff%fe", Value::Null)
        .is_error(400, "InvalidArgument");
    for query in [
        "limit=0",
        "limit=-1",
        "limit=x",
        "limit=",
        "what=1",
        "limit=1&limit=2",
        "prefix=a",
    ] {
        let reply = world.local("GET", &format!("/accounts?{query}"), Value::Null);
        reply.is_error(400, "InvalidArgument");
    }
    world
        .local("DELETE", "/storage/x?force=maybe", Value::Null)
        .is_error(400, "InvalidArgument");
    world
        .local("GET", "/keys/x?force=true", Value::Null)
        .is_error(400, "InvalidArgument");
    let many = vec![json!({"bucket": "abc", "role": "Editor"}); 101];
    world
        .local("POST", "/keys", json!({"grants": many}))
        .is_error(409, "LimitExceeded");
    assert_eq!(world.everything(), before);
}

#[test]
fn a_body_is_read_up_to_its_limit() {
    const LIMIT: usize = 64 << 10;
    let world = World::new();
    let padded = |length: usize| {
        let document = r#"{"name":"padded"}"#;
        format!("{document}{}", " ".repeat(length - document.len()))
    };
    let reply = world.local_text("POST", "/accounts", &padded(LIMIT + 1));
    reply.is_error(413, "MaxMessageLengthExceeded");
    assert_eq!(
        world.local_text("POST", "/accounts", &padded(LIMIT)).status,
        201
    );
    let announced = world.announce("POST", "/accounts", 5 << 30);
    announced.is_error(413, "MaxMessageLengthExceeded");
    // Nobody reads what a stranger sends, and it is refused all the same.
    let unsigned = world.forged(
        "POST",
        "/accounts",
        &Value::String("x".repeat(10 << 20)),
        &world.root,
        &Forgery::Anonymous,
    );
    assert_eq!(unsigned.status, 403);
}

#[test]
fn secrets_are_told_once_and_never_written_down() {
    let world = World::new();
    let mut secrets = vec![world.root.secret_access_key.clone()];
    let made = world.local("POST", "/keys", json!({"grants": []}));
    let id = made.json["id"].as_str().unwrap().to_owned();
    secrets.push(made.credentials().secret_access_key);
    let rotated = world.local("POST", &format!("/keys/{id}/rotate"), Value::Null);
    secrets.push(rotated.credentials().secret_access_key);
    let storage = world.local("POST", "/storage", json!({"name": "with-a-key"}));
    secrets.push(
        Reply::of(&storage.json["key"])
            .credentials()
            .secret_access_key,
    );
    let imported = json!({"id": "from-elsewhere", "secret": "numbat-at-noon"});
    world.local("POST", "/keys", json!({"grants": [], "import": imported}));
    secrets.push("numbat-at-noon".to_owned());
    world.signed("GET", "/keys", Value::Null, &world.root);

    let mut told = world.everything();
    for path in [
        format!("/keys/{id}"),
        "/keys/from-elsewhere".to_owned(),
        "/server?counts=true".to_owned(),
    ] {
        told.push_str(&world.local("GET", &path, Value::Null).text);
    }
    let changes = [
        world.local("PATCH", &format!("/keys/{id}"), json!({"description": "d"})),
        world.local("POST", &format!("/keys/{id}/disable"), Value::Null),
        world.local("POST", &format!("/keys/{id}/enable"), Value::Null),
        world.local("PUT", &format!("/keys/{id}/grants"), json!([])),
    ];
    changes.iter().for_each(|reply| told.push_str(&reply.text));
    let log = log_text();
    for secret in &secrets {
        assert!(!told.contains(secret.as_str()), "told: {told}");
        assert!(!log.contains(secret.as_str()), "a secret was logged");
    }
}

#[test]
fn every_change_is_logged_with_who_and_what() {
    let world = World::new();
    let account = world.local("POST", "/accounts", json!({"name": "logged"}));
    let id = account.json["id"].as_str().unwrap();
    world.signed("POST", "/accounts/logged/disable", Value::Null, &world.root);
    let key = world.local(
        "POST",
        "/keys",
        json!({"account": id, "grants": [{"bucket": "b", "role": "Editor"}]}),
    );
    let key = key.json["id"].as_str().unwrap();
    world.local("POST", &format!("/keys/{key}/rotate"), Value::Null);
    world.local("DELETE", &format!("/keys/{key}"), Value::Null);
    let log = log_text();
    let line = |parts: &[&str]| {
        let all = |line: &&str| parts.iter().all(|part| line.contains(part));
        assert!(log.lines().any(|found| all(&found)), "{parts:?}");
    };
    line(&["admin", "by=local socket", "CreateAccount", id]);
    line(&[
        "admin",
        &format!("by={}", world.root.access_key_id),
        "DisableAccount",
        id,
    ]);
    line(&["CreateKey", key, "grants b:Editor"]);
    line(&["RotateKey", key, "generation 2"]);
    line(&["DeleteKey", key]);
}
