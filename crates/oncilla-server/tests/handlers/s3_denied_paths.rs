//! A request that a policy denies is denied on every path that reaches the object, for everybody,
//! whatever else allows it.
//!
//! A new path is a line in [`paths`]. An operation on objects that has none fails the last test.

use crate::support::{
    Call, Reply, User, World, complete, delete, get, head, part_element, post, put,
};
use oncilla_hash::{Checksum, ChecksumAlgorithm};
use oncilla_iam::Role;
use oncilla_keys::NewKmsKey;
use oncilla_wire::operation::{Level, Operation};

/// One way to reach the object `/bucket/secret`.
struct Path {
    operation: Operation,
    name: &'static str,
    call: fn(&Scene) -> Call,
    /// Sent as a presigned URL, which takes somebody to sign.
    presigned: bool,
}

fn path(operation: Operation, name: &'static str, call: fn(&Scene) -> Call) -> Path {
    Path {
        operation,
        name,
        call,
        presigned: false,
    }
}

fn presigned(operation: Operation, name: &'static str, call: fn(&Scene) -> Call) -> Path {
    Path {
        presigned: true,
        ..path(operation, name, call)
    }
}

const SECRET: &str = "/bucket/secret";
/// Has a retention and a legal hold that is off.
const LOCKED: &str = "/bucket/secret-locked";
/// Is archived.
const COLD: &str = "/bucket/secret-cold";
/// Is encrypted by the server.
const SEALED: &str = "/bucket/secret-sealed";
const KMS_KEY: &str = "key-1";
const WEBSITE: &str = "website";
const WEBSITE_CONFIGURATION: &str = "<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument></WebsiteConfiguration>";
const SELECT: &str = "<SelectObjectContentRequest><Expression>SELECT * FROM S3Object</Expression>\
    <ExpressionType>SQL</ExpressionType><InputSerialization><CSV/></InputSerialization>\
    <OutputSerialization><CSV/></OutputSerialization></SelectObjectContentRequest>";
const TAGGING: &str = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";

fn paths() -> Vec<Path> {
    use Operation as O;
    vec![
        path(O::GetObject, "GET", |_| get(SECRET)),
        path(O::GetObject, "GET of a range", |_| {
            get(SECRET).header("range", "bytes=0-1")
        }),
        path(O::GetObject, "GET of a part", |_| {
            get("/bucket/secret?partNumber=1")
        }),
        path(O::GetObject, "GET of a version", |scene| {
            get(&scene.version(""))
        }),
        path(O::HeadObject, "HEAD", |_| head(SECRET)),
        path(O::HeadObject, "HEAD of a version", |scene| {
            head(&scene.version(""))
        }),
        path(O::GetObjectAttributes, "attributes", |_| {
            with_attributes(get("/bucket/secret?attributes"))
        }),
        path(O::GetObjectAttributes, "attributes of a version", |scene| {
            with_attributes(get(&scene.version("attributes&")))
        }),
        path(O::GetObjectTagging, "tags", |_| {
            get("/bucket/secret?tagging")
        }),
        path(O::GetObjectTagging, "tags of a version", |scene| {
            get(&scene.version("tagging&"))
        }),
        path(O::GetObjectAcl, "ACL", |_| get("/bucket/secret?acl")),
        path(O::GetObjectAcl, "ACL of a version", |scene| {
            get(&scene.version("acl&"))
        }),
        path(O::CopyObject, "copy from it", |_| {
            put("/bucket/copy", "").header("x-amz-copy-source", SECRET)
        }),
        path(O::CopyObject, "copy from a version", |scene| {
            put("/bucket/copy", "").header("x-amz-copy-source", &scene.version(""))
        }),
        path(O::CopyObject, "copy over it", |_| {
            put(SECRET, "").header("x-amz-copy-source", "/bucket/open")
        }),
        path(O::UploadPartCopy, "part copied from it", |scene| {
            put(&scene.part("open"), "").header("x-amz-copy-source", SECRET)
        }),
        path(O::UploadPartCopy, "part copied from a version", |scene| {
            put(&scene.part("open"), "").header("x-amz-copy-source", &scene.version(""))
        }),
        path(O::UploadPartCopy, "part copied for it", |scene| {
            put(&scene.part("secret"), "").header("x-amz-copy-source", "/bucket/open")
        }),
        path(O::PutObject, "PUT", |_| put(SECRET, "other")),
        path(O::PutObject, "PUT with tags and ACL", |_| {
            put(SECRET, "other")
                .header("x-amz-tagging", "a=b")
                .header("x-amz-acl", "private")
        }),
        path(O::CreateMultipartUpload, "upload begun", |_| {
            post("/bucket/secret?uploads", "")
        }),
        path(O::UploadPart, "part", |scene| {
            put(&scene.part("secret"), "other")
        }),
        path(O::CompleteMultipartUpload, "upload completed", |scene| {
            complete(SECRET, &scene.uploads[1], &part_element(1, &scene.etag))
        }),
        path(O::ListParts, "parts listed", |scene| {
            get(&format!("{SECRET}?uploadId={}", scene.uploads[1]))
        }),
        path(O::AbortMultipartUpload, "upload aborted", |scene| {
            delete(&format!("{SECRET}?uploadId={}", scene.uploads[1]))
        }),
        path(O::PutObjectTagging, "tags set", |_| {
            put("/bucket/secret?tagging", TAGGING)
        }),
        path(O::PutObjectTagging, "tags of a version set", |scene| {
            put(&scene.version("tagging&"), TAGGING)
        }),
        path(O::DeleteObjectTagging, "tags removed", |_| {
            delete("/bucket/secret?tagging")
        }),
        path(
            O::DeleteObjectTagging,
            "tags of a version removed",
            |scene| delete(&scene.version("tagging&")),
        ),
        path(O::PutObjectAcl, "ACL set", |_| {
            put("/bucket/secret?acl", "").header("x-amz-acl", "public-read")
        }),
        path(O::PutObjectAcl, "ACL of a version set", |scene| {
            put(&scene.version("acl&"), "").header("x-amz-acl", "public-read")
        }),
        path(O::GetObjectRetention, "retention", |_| {
            get("/bucket/secret-locked?retention")
        }),
        path(O::GetObjectRetention, "retention of a version", |scene| {
            get(&scene.locked("retention&"))
        }),
        path(O::PutObjectRetention, "retention set", |_| {
            put_summed("/bucket/secret-locked?retention", LONGER)
        }),
        path(
            O::PutObjectRetention,
            "retention of a version ended",
            |scene| put_summed(&scene.locked("retention&"), "<Retention/>").bypassing(),
        ),
        path(O::GetObjectLegalHold, "legal hold", |_| {
            get("/bucket/secret-locked?legal-hold")
        }),
        path(O::PutObjectLegalHold, "legal hold set", |_| {
            put_summed("/bucket/secret-locked?legal-hold", HOLD_ON)
        }),
        path(O::DeleteObject, "DELETE of a locked version", |scene| {
            delete(&scene.locked("")).bypassing()
        }),
        path(
            O::DeleteObjects,
            "multi-delete of a locked version",
            |scene| {
                let id = &scene.locked_id;
                let document = format!(
                    "<Delete><Object><Key>secret-locked</Key><VersionId>{id}</VersionId></Object></Delete>"
                );
                post("/bucket?delete", document).bypassing()
            },
        ),
        path(O::PutObject, "PUT with a legal hold", |_| {
            put_summed(SECRET, "other").header("x-amz-object-lock-legal-hold", "OFF")
        }),
        path(O::RestoreObject, "restored", |_| {
            post("/bucket/secret-cold?restore", RESTORE)
        }),
        path(O::RenameObject, "renamed", |_| {
            put("/bucket/renamed?renameObject", "").header("x-amz-rename-source", SECRET)
        }),
        path(O::RenameObject, "renamed over it", |_| {
            put("/bucket/secret?renameObject", "").header("x-amz-rename-source", "/bucket/open")
        }),
        path(O::CopyObject, "renamed by a copy", |_| {
            put("/bucket/renamed", "")
                .header("x-amz-copy-source", SECRET)
                .header("x-tigris-rename", "true")
        }),
        path(O::DeleteObject, "DELETE", |_| delete(SECRET)),
        path(O::DeleteObject, "DELETE of a version", |scene| {
            delete(&scene.version(""))
        }),
        path(O::DeleteObjects, "multi-delete", |_| {
            post(
                "/bucket?delete",
                "<Delete><Object><Key>secret</Key></Object></Delete>",
            )
        }),
        path(O::DeleteObjects, "multi-delete of a version", |scene| {
            let id = &scene.version_id;
            post(
                "/bucket?delete",
                format!(
                    "<Delete><Object><Key>secret</Key><VersionId>{id}</VersionId></Object></Delete>"
                ),
            )
        }),
        path(O::UpdateObjectEncryption, "put under another key", |_| {
            let document = format!(
                "<ObjectEncryption><SSE-KMS><KMSKeyArn>{KMS_KEY}</KMSKeyArn></SSE-KMS></ObjectEncryption>"
            );
            put(&format!("{SEALED}?encryption"), document)
        }),
        path(O::SelectObjectContent, "select", |_| {
            post("/bucket/secret?select&select-type=2", SELECT)
        }),
        path(O::PostObject, "form", |_| {
            let form = "--x\r\ncontent-disposition: form-data; name=\"key\"\r\n\r\nsecret\r\n\
                 --x\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\nother\r\n--x--\r\n";
            post("/bucket", form).header("content-type", "multipart/form-data; boundary=x")
        }),
        path(O::GetObject, WEBSITE, |_| {
            get("/secret").header("host", "bucket.s3-website.localhost")
        }),
        presigned(O::GetObject, "presigned GET", |_| get(SECRET)),
        presigned(O::HeadObject, "presigned HEAD", |_| head(SECRET)),
        presigned(O::PutObject, "presigned PUT", |_| put(SECRET, "other")),
        presigned(O::DeleteObject, "presigned DELETE", |_| delete(SECRET)),
    ]
}

const RETENTION: &str = "<Retention><Mode>GOVERNANCE</Mode>\
    <RetainUntilDate>2023-12-01T00:00:00.000Z</RetainUntilDate></Retention>";
const LONGER: &str = "<Retention><Mode>GOVERNANCE</Mode>\
    <RetainUntilDate>2023-12-02T00:00:00.000Z</RetainUntilDate></Retention>";
const HOLD_ON: &str = "<LegalHold><Status>ON</Status></LegalHold>";
const HOLD_OFF: &str = "<LegalHold><Status>OFF</Status></LegalHold>";
const RESTORE: &str = "<RestoreRequest><Days>1</Days></RestoreRequest>";

/// A body whose digest is sent along.
fn put_summed(target: &str, body: &'static str) -> Call {
    let digest = Checksum::of(ChecksumAlgorithm::Crc32, body.as_bytes());
    put(target, body).header("x-amz-checksum-crc32", &digest.to_base64())
}

trait Bypassing {
    fn bypassing(self) -> Self;
}

impl Bypassing for Call {
    fn bypassing(self) -> Self {
        self.header("x-amz-bypass-governance-retention", "true")
    }
}

fn with_attributes(call: Call) -> Call {
    call.header("x-amz-object-attributes", "ETag")
}

/// A bucket that a policy opens to everybody, with an object that is to be out of reach.
struct Scene {
    world: World,
    version_id: String,
    /// The version of the locked object.
    locked_id: String,
    etag: String,
    /// Of uploads to `open` and `secret`; the second has a part.
    uploads: [String; 2],
}

const ALLOW_ALL: &str = r#"{"Effect": "Allow", "Principal": "*", "Action": "s3:*",
    "Resource": ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"]}"#;
const DENY_SECRET: &str = r#"{"Effect": "Deny", "Principal": "*", "Action": "s3:*",
    "Resource": "arn:aws:s3:::bucket/secret*"}"#;

impl Scene {
    async fn new() -> Self {
        let world = World::new().await;
        // It keeps versions too.
        let bucket = put("/bucket", "").header("x-amz-bucket-object-lock-enabled", "true");
        world.succeed(bucket).await;
        world
            .succeed(put("/bucket?website", WEBSITE_CONFIGURATION))
            .await;
        world.succeed(put("/bucket/open", "open")).await;
        let secret = put(SECRET, "secret").header("x-amz-tagging", "kept=yes");
        let secret = world.succeed(secret).await;
        let version_id = secret.header("x-amz-version-id").unwrap().to_owned();
        let locked = world.succeed(put(LOCKED, "locked")).await;
        let locked_id = locked.header("x-amz-version-id").unwrap().to_owned();
        for (query, document) in [("retention", RETENTION), ("legal-hold", HOLD_OFF)] {
            let set = put_summed(&format!("{LOCKED}?{query}"), document);
            world.succeed(set).await;
        }
        let cold = put(COLD, "cold").header("x-amz-storage-class", "GLACIER");
        world.succeed(cold).await;
        let key = NewKmsKey {
            id: Some(KMS_KEY.to_owned()),
            aliases: Vec::new(),
        };
        world.store.keys().unwrap().create(key).await.unwrap();
        let sealed = put(SEALED, "sealed").header("x-amz-server-side-encryption", "AES256");
        world.succeed(sealed).await;
        let mut uploads = [const { String::new() }; 2];
        let mut etag = String::new();
        for (upload, key) in uploads.iter_mut().zip(["open", "secret"]) {
            let begun = post(&format!("/bucket/{key}?uploads"), "");
            *upload = world.succeed(begun).await.element("UploadId").unwrap();
            let part = put(
                &format!("/bucket/{key}?partNumber=1&uploadId={upload}"),
                "part",
            );
            etag = world.succeed(part).await.header("etag").unwrap().to_owned();
        }
        Self {
            world,
            version_id,
            locked_id,
            etag,
            uploads,
        }
    }

    fn version(&self, query: &str) -> String {
        format!("{SECRET}?{query}versionId={}", self.version_id)
    }

    fn locked(&self, query: &str) -> String {
        format!("{LOCKED}?{query}versionId={}", self.locked_id)
    }

    fn part(&self, key: &str) -> String {
        let upload = &self.uploads[usize::from(key == "secret")];
        format!("/bucket/{key}?partNumber=2&uploadId={upload}")
    }

    async fn set_policy(&self, statements: &[&str]) {
        let policy = format!(
            r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#,
            statements.join(",")
        );
        self.world.succeed(put("/bucket?policy", policy)).await;
    }

    async fn send(&self, sender: Option<&User>, path: &Path) -> Reply {
        let call = (path.call)(self);
        match sender {
            Some(sender) if path.presigned => self.world.send_presigned(sender, call).await,
            _ => self.world.send_by(sender, call).await,
        }
    }

    /// What the owner sees of the object, its versions and its uploads.
    async fn everything(&self) -> Vec<String> {
        let mut seen = Vec::new();
        for target in [
            SECRET,
            "/bucket?versions",
            "/bucket?uploads",
            "/bucket/secret?tagging",
            "/bucket/secret?acl",
            "/bucket/secret-locked?retention",
            "/bucket/secret-locked?legal-hold",
        ] {
            seen.push(self.world.succeed(get(target)).await.text());
        }
        let parts = get(&format!("{SECRET}?uploadId={}", self.uploads[1]));
        seen.push(self.world.succeed(parts).await.text());
        seen
    }
}

/// Who asks: the account itself, a key of it, another account, nobody.
async fn senders(world: &World) -> [(&'static str, Option<User>); 4] {
    [
        ("the owner", Some(world.owner.clone())),
        (
            "a key of the owner",
            Some(world.key("bucket", Role::Admin).await),
        ),
        ("another account", Some(world.stranger().await)),
        ("nobody", None),
    ]
}

fn is_denied(path: &Path, reply: &Reply) -> bool {
    match path.operation {
        // Each key of a list has an answer of its own.
        Operation::DeleteObjects => {
            reply.elements("Code") == ["AccessDenied"] && reply.elements("Deleted").is_empty()
        }
        // A page for people.
        _ if path.name == WEBSITE => {
            reply.status == 403 && reply.header("x-amz-error-code") == Some("AccessDenied")
        }
        // Its error has no document.
        Operation::HeadObject => reply.status == 403,
        _ => reply.status == 403 && reply.element("Code").as_deref() == Some("AccessDenied"),
    }
}

#[tokio::test]
async fn what_a_policy_denies_is_denied_on_every_path() {
    let mut denied = 0;
    for path in paths() {
        for number in 0..4 {
            let scene = Scene::new().await;
            let (who, sender) = senders(&scene.world).await[number].clone();
            if path.presigned && sender.is_none() {
                continue;
            }
            let sender = sender.as_ref();
            scene.set_policy(&[ALLOW_ALL, DENY_SECRET]).await;
            let reply = scene.send(sender, &path).await;
            assert!(
                is_denied(&path, &reply),
                "{} by {who}: {} {}",
                path.name,
                reply.status,
                reply.text()
            );
            scene.world.succeed(delete("/bucket?policy")).await;
            let before = Scene::new().await.everything().await;
            let after = scene.everything().await;
            assert_eq!(before.len(), after.len());
            assert_eq!(after[0], "secret", "{} by {who}", path.name);
            assert!(after[3].contains("kept"), "{} by {who}", path.name);
            assert!(!after[4].contains("AllUsers"), "{} by {who}", path.name);
            assert_eq!(before[5..7], after[5..7], "{} by {who}", path.name);
            for (before, after) in before.iter().zip(&after) {
                let count = |text: &String| text.matches("</").count();
                assert_eq!(
                    count(before),
                    count(after),
                    "{} by {who}: {after}",
                    path.name
                );
            }
            denied += 1;
        }
    }
    assert!(denied > 140, "{denied}");
}

/// The paths lead somewhere: without the Deny they are open to everybody.
#[tokio::test]
async fn every_path_reaches_the_object_where_nothing_denies_it() {
    for path in paths() {
        for number in 0..4 {
            let scene = Scene::new().await;
            let (who, sender) = senders(&scene.world).await[number].clone();
            if path.presigned && sender.is_none() {
                continue;
            }
            scene.set_policy(&[ALLOW_ALL]).await;
            let reply = scene.send(sender.as_ref(), &path).await;
            // S3 Select supports no anonymous access.
            if sender.is_none() && path.operation == Operation::SelectObjectContent {
                reply.refused(403, "AccessDenied");
                continue;
            }
            assert!(
                reply.status.is_success(),
                "{} by {who}: {}",
                path.name,
                reply.text()
            );
            assert!(
                reply.element("Code").is_none(),
                "{} by {who}: {}",
                path.name,
                reply.text()
            );
        }
    }
}

/// Where nothing allows it, it is as shut as where something denies it.
#[tokio::test]
async fn what_nothing_allows_is_denied_on_every_path() {
    for path in paths() {
        let scene = Scene::new().await;
        let reader = scene.world.key("other-bucket", Role::Admin).await;
        let stranger = scene.world.stranger().await;
        for sender in [Some(&reader), Some(&stranger), None] {
            if path.presigned && sender.is_none() {
                continue;
            }
            let reply = scene.send(sender, &path).await;
            let is_whole = reply.status == 403;
            assert!(
                is_whole || is_denied(&path, &reply),
                "{}: {}",
                path.name,
                reply.text()
            );
        }
    }
}

#[test]
fn every_operation_on_objects_has_a_path() {
    let paths = paths();
    for &operation in Operation::ALL {
        let reaches_objects = operation.level() == Level::Object
            || matches!(operation, Operation::DeleteObjects | Operation::PostObject);
        if reaches_objects && operation.implemented() {
            let has_path = paths.iter().any(|path| path.operation == operation);
            assert!(has_path, "{operation} is not in the table");
        }
    }
}
