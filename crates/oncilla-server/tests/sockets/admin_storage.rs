//! Buckets as the administration shows and destroys them: who is let in, and what is locked.

use oncilla_wire::object_lock::LegalHold;
use serde_json::{Value, json};

use crate::admin_support::World;

fn everybody_may_read(bucket: &str) -> String {
    let resource = format!("arn:aws:s3:::{bucket}/*");
    let statement = json!({
        "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": resource,
    });
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

/// Asks S3 as root, and expects it to be done.
#[track_caller]
fn done(world: &World, method: &str, path: &str, body: &str) -> String {
    let reply = world.s3(method, path, body.as_bytes(), &world.root);
    assert!(matches!(reply.status, 200 | 204), "{path}: {}", reply.text);
    reply.text
}

/// What is told of `open`, alone and in the list.
#[track_caller]
fn is_public(world: &World) -> bool {
    let shown = world.local("GET", "/buckets/open", Value::Null);
    let listed = world.local("GET", "/buckets", Value::Null);
    assert_eq!(listed.json["items"][0], shown.json, "{}", listed.text);
    shown.json["public"].as_bool().unwrap()
}

#[test]
fn a_bucket_is_public_if_its_policy_or_acl_lets_everybody_in() {
    let world = World::new();
    world.local("POST", "/buckets", json!({"name": "open"}));
    assert!(!is_public(&world));
    done(&world, "PUT", "/open?policy", &everybody_may_read("open"));
    assert!(is_public(&world));
    let restricted = "<PublicAccessBlockConfiguration><RestrictPublicBuckets>true\
                      </RestrictPublicBuckets></PublicAccessBlockConfiguration>";
    done(&world, "PUT", "/open?publicAccessBlock", restricted);
    assert!(!is_public(&world));
    done(&world, "DELETE", "/open?publicAccessBlock", "");
    done(&world, "DELETE", "/open?policy", "");
    assert!(!is_public(&world));

    let owner = &world.root_account.id;
    let acl = format!(
        "<AccessControlPolicy><Owner><ID>{owner}</ID></Owner><AccessControlList><Grant>\
         <Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\">\
         <URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee>\
         <Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>"
    );
    done(&world, "PUT", "/open?acl", &acl);
    assert!(is_public(&world));
    let ignored = "<PublicAccessBlockConfiguration><IgnorePublicAcls>true</IgnorePublicAcls>\
                   </PublicAccessBlockConfiguration>";
    done(&world, "PUT", "/open?publicAccessBlock", ignored);
    assert!(!is_public(&world));
}

#[test]
fn nothing_is_destroyed_while_something_is_locked() {
    let world = World::new();
    world.local("POST", "/buckets", json!({"name": "records"}));
    let enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    done(&world, "PUT", "/records?versioning", enabled);
    world.lock_objects("records");
    done(&world, "PUT", "/records/a", "free");
    done(&world, "PUT", "/records/b", "locked");
    let version = world.set_hold("records", "b", None, LegalHold::On);
    done(&world, "DELETE", "/records/b", "");
    let before = done(&world, "GET", "/records?versions", "");

    world
        .local("DELETE", "/storage/records?force=true", Value::Null)
        .is_error(409, "ObjectLocked");
    assert_eq!(done(&world, "GET", "/records?versions", ""), before);
    let gone = world.s3("GET", "/records/b", b"", &world.root);
    assert_eq!(gone.status, 404, "{}", gone.text);

    world.set_hold("records", "b", Some(version), LegalHold::Off);
    let destroyed = world.local("DELETE", "/storage/records?force=true", Value::Null);
    assert_eq!(destroyed.status, 200, "{}", destroyed.text);
    assert_eq!(destroyed.json["objects_deleted"], 2);
}
