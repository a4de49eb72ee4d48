//! POST Object: uploads out of HTML forms.

use crate::support::{Call, START_DATE, User, World, get, post, put};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use oncilla_hash::{Checksum, ChecksumAlgorithm, hmac_sha1};
use oncilla_iam::Role;
use oncilla_wire::sigv4::{Scope, SigningKey};

/// The day of the tests, and their moment.
const DAY: &str = "20231114";
const MOMENT: &str = "20231114T221320Z";

const BOUNDARY: &str = "----WebKitFormBoundary7MA4YWxkTrZu0gW";

/// A form that is put together.
#[derive(Clone)]
struct Form {
    fields: Vec<(String, String)>,
    filename: String,
    file: Vec<u8>,
    after: String,
}

impl Form {
    fn of(fields: &[(&str, &str)], file: &[u8]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            fields: fields.iter().map(owned).collect(),
            filename: "otter.txt".to_owned(),
            file: file.to_vec(),
            after: format!("--{BOUNDARY}--\r\n"),
        }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    fn named(mut self, filename: &str) -> Self {
        self.filename = filename.to_owned();
        self
    }

    /// Signs the policy with Version 4, for these conditions and those on the signature itself.
    fn signed(self, user: &User, conditions: &str) -> Self {
        self.signed_at(MOMENT, user, conditions)
    }

    fn signed_at(self, moment: &str, user: &User, conditions: &str) -> Self {
        let credential = format!("{}/{DAY}/auto/s3/aws4_request", user.key.access_key_id);
        let policy = policy(&format!(
            "{conditions}, {{\"x-amz-algorithm\": \"AWS4-HMAC-SHA256\"}}, \
             {{\"x-amz-credential\": \"{credential}\"}}, {{\"x-amz-date\": \"{moment}\"}}"
        ));
        let scope = Scope {
            day: DAY.into(),
            region: "auto".into(),
            service: "s3".into(),
        };
        let key = SigningKey::derive(&user.key.secret_access_key, &scope);
        let signature = key.sign_hex(policy.as_bytes());
        self.with("x-amz-algorithm", "AWS4-HMAC-SHA256")
            .with("x-amz-credential", &credential)
            .with("x-amz-date", moment)
            .with("policy", &policy)
            .with("x-amz-signature", &signature)
    }

    /// Signs the policy with Version 2.
    fn signed_v2(self, user: &User, conditions: &str) -> Self {
        let policy = policy(conditions);
        let tag = hmac_sha1(user.key.secret_access_key.as_bytes(), policy.as_bytes());
        self.with("AWSAccessKeyId", &user.key.access_key_id)
            .with("policy", &policy)
            .with("signature", &BASE64.encode(tag))
    }

    fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, value) in &self.fields {
            let part = format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
            body.extend_from_slice(part.as_bytes());
        }
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\n\
             Content-Type: text/plain\r\n\r\n",
            self.filename
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&self.file);
        body.extend_from_slice(b"\r\n");
        body.extend_from_slice(self.after.as_bytes());
        body
    }

    fn to(&self, target: &str) -> Call {
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        post(target, self.body()).header("content-type", &content_type)
    }
}

fn policy(conditions: &str) -> String {
    BASE64.encode(format!(
        "{{\"expiration\": \"2023-11-14T23:00:00Z\", \"conditions\": [{conditions}]}}"
    ))
}

const CONDITIONS: &str = r#"{"bucket": "bucket"}, ["starts-with", "$key", "user/"]"#;

async fn private() -> World {
    let world = World::new().await;
    world.succeed(put("/bucket", "")).await;
    world
}

async fn public() -> World {
    let world = World::new().await;
    let create = put("/bucket", "").header("x-amz-acl", "public-read-write");
    world.succeed(create).await;
    world
}

#[tokio::test]
async fn a_signed_form_is_taken() {
    let world = private().await;
    let form = Form::of(&[("key", "user/${filename}")], b"body").named("C:\\a\\otter.txt");
    let form = form.signed(&world.owner, CONDITIONS);
    let reply = world
        .send_by(None, form.to("/bucket"))
        .await
        .is(204)
        .body_is(b"");
    let location = "http://127.0.0.1:9000/bucket/user/otter.txt";
    let reply = reply.has("location", location);
    let etag = reply.header("etag").unwrap().to_owned();
    let kept = world
        .succeed(get("/bucket/user/otter.txt"))
        .await
        .body_is(b"body");
    kept.has("etag", &etag)
        .has("content-type", "binary/octet-stream");
    let by_host = form.to("/").header("host", "bucket.localhost");
    let reply = world.send_by(None, by_host).await.is(204);
    reply.has("location", "http://bucket.localhost/user/otter.txt");
}

#[tokio::test]
async fn fields_are_headers_of_the_object() {
    let world = public().await;
    let digest = Checksum::of(ChecksumAlgorithm::Sha256, b"body").to_base64();
    let tags = "<Tagging><TagSet><Tag><Key>a b</Key><Value>c=d+e</Value></Tag></TagSet></Tagging>";
    let fields = [
        ("key", "key"),
        ("acl", "public-read"),
        ("Content-Type", "text/plain"),
        ("Cache-Control", "no-cache"),
        ("Content-Disposition", "attachment"),
        ("Expires", START_DATE),
        ("tagging", tags),
        ("x-amz-meta-Colour", "brown"),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-checksum-sha256", &digest),
        ("x-ignore-me", "x"),
        ("x-amz-copy-source", "/other/key"),
    ];
    world
        .send_by(None, Form::of(&fields, b"body").to("/bucket"))
        .await
        .is(204);
    let kept = world
        .succeed(get("/bucket/key").header("x-amz-checksum-mode", "ENABLED"))
        .await;
    kept.body_is(b"body")
        .has("content-type", "text/plain")
        .has("cache-control", "no-cache")
        .has("content-disposition", "attachment")
        .has("expires", START_DATE)
        .has("x-amz-meta-colour", "brown")
        .has("x-amz-storage-class", "STANDARD_IA")
        .has("x-amz-checksum-sha256", &digest)
        .has("x-amz-tagging-count", "1")
        .lacks("x-ignore-me");
    let kept = world.succeed(get("/bucket/key?tagging")).await;
    assert_eq!(kept.element("Key").as_deref(), Some("a b"));
    assert_eq!(kept.element("Value").as_deref(), Some("c=d+e"));
    world.send_by(None, get("/bucket/key")).await.is(200);
    for (name, value, code) in [
        ("acl", "of-nobody", "InvalidArgument"),
        ("tagging", "<Tagging>", "MalformedXML"),
        ("x-amz-checksum-sha256", "sailorjerry", "BadDigest"),
        ("x-amz-storage-class", "PAPER", "InvalidStorageClass"),
        ("x-amz-meta-a", "b\r\nx-amz-acl: c", "InvalidArgument"),
    ] {
        let form = Form::of(&[("key", "bad"), (name, value)], b"body");
        let reply = world.send_by(None, form.to("/bucket")).await;
        reply.refused(400, code);
    }
    let wrong = Checksum::of(ChecksumAlgorithm::Sha256, b"other").to_base64();
    let form = Form::of(
        &[("key", "bad"), ("x-amz-checksum-sha256", &wrong)],
        b"body",
    );
    world
        .send_by(None, form.to("/bucket"))
        .await
        .refused(400, "BadDigest");
    world.send(get("/bucket/bad")).await.is(404);
}

#[tokio::test]
async fn the_answer_is_what_the_form_asks_for() {
    let world = public().await;
    let answer = async |fields: &[(&str, &str)]| {
        let form = Form::of(&[&[("key", "a key")], fields].concat(), b"body");
        world.send_by(None, form.to("/bucket")).await
    };
    answer(&[("success_action_status", "200")])
        .await
        .is(200)
        .body_is(b"");
    answer(&[("success_action_status", "404")])
        .await
        .is(204)
        .body_is(b"");
    let created = answer(&[("success_action_status", "201")]).await.is(201);
    assert_eq!(created.element("Bucket").as_deref(), Some("bucket"));
    assert_eq!(created.element("Key").as_deref(), Some("a key"));
    let etag = "&quot;841a2d689ad86bd1611447453c22c6fc&quot;";
    assert_eq!(created.element("ETag").as_deref(), Some(etag));
    let location = "http://127.0.0.1:9000/bucket/a%20key";
    assert_eq!(created.element("Location").as_deref(), Some(location));
    let query = "bucket=bucket&key=a%20key&etag=%22841a2d689ad86bd1611447453c22c6fc%22";
    for (field, url, expected) in [
        (
            "success_action_redirect",
            "http://e.com/",
            format!("http://e.com/?{query}"),
        ),
        (
            "redirect",
            "https://e.com/a?b=c#d",
            format!("https://e.com/a?b=c&{query}#d"),
        ),
    ] {
        let reply = answer(&[(field, url), ("success_action_status", "201")]).await;
        reply.is(303).has("location", &expected);
    }
    answer(&[("success_action_redirect", "javascript:alert(1)")])
        .await
        .is(204);
    let versioned = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    world.succeed(put("/bucket?versioning", versioned)).await;
    assert!(
        answer(&[])
            .await
            .is(204)
            .header("x-amz-version-id")
            .is_some()
    );
}

#[tokio::test]
async fn files_of_every_length_are_whole() {
    let world = public().await;
    // Around what may follow the file, what is kept beside its record, and the pieces of volumes.
    for length in [
        0, 1, 3_000, 16_384, 16_385, 19_000, 20_480, 22_000, 40_000, 70_000, 300_000, 1_500_000,
    ] {
        let file: Vec<u8> = (0..length)
            .map(|at: usize| (at * 7 + at / 251) as u8)
            .collect();
        let plain = Form::of(&[("key", "key")], &file);
        let mut trailing = plain.clone();
        trailing.after = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"submit\"\r\n\r\nUpload\r\n\
             --{BOUNDARY}--"
        );
        for form in [plain, trailing] {
            world.send_by(None, form.to("/bucket")).await.is(204);
            let kept = world.succeed(get("/bucket/key")).await;
            kept.body_is(&file);
            if length > 100 {
                let range = get("/bucket/key").header("range", "bytes=-90");
                let end = world.succeed(range).await.is(206);
                end.body_is(&file[length - 90..]);
            }
        }
    }
}

#[tokio::test]
async fn the_policy_decides() {
    let world = private().await;
    let send = async |form: &Form| world.send_by(None, form.to("/bucket")).await;
    let owner = &world.owner;
    let form = |conditions: &str| {
        let fields = [("key", "user/1"), ("Content-Type", "image/png")];
        Form::of(&fields, b"body").signed(owner, conditions)
    };
    let covered = format!(r#"{CONDITIONS}, ["starts-with", "$Content-Type", "image/"]"#);
    send(&form(&covered)).await.is(204);
    for (conditions, message) in [
        (CONDITIONS.to_owned(), "Extra input fields: content-type"),
        (
            covered.replace("\"bucket\"}", "\"another\"}"),
            "Policy Condition failed: [\"eq\"",
        ),
        (
            covered.replace("user/", "other/"),
            "Policy Condition failed: [\"starts-with\"",
        ),
    ] {
        let refused = send(&form(&conditions)).await.refused(403, "AccessDenied");
        let text = refused.element("Message").unwrap().replace("&quot;", "\"");
        assert!(text.starts_with("Invalid according to Policy: "), "{text}");
        assert!(text.contains(message), "{text}");
    }
    let range = |min: u32, max: u32| {
        form(&format!(
            "{covered}, [\"content-length-range\", {min}, {max}]"
        ))
    };
    send(&range(4, 4)).await.is(204);
    let large = send(&range(0, 3)).await.refused(400, "EntityTooLarge");
    assert_eq!(large.element("MaxSizeAllowed").as_deref(), Some("3"));
    let small = send(&range(5, 10)).await.refused(400, "EntityTooSmall");
    assert_eq!(small.element("MinSizeAllowed").as_deref(), Some("5"));
    let mut long = range(0, 1000);
    long.file = vec![0; 100_000];
    send(&long).await.refused(400, "EntityTooLarge");
    world.advance_ms(3600 * 1000);
    let expired = send(&form(&covered)).await.refused(403, "AccessDenied");
    let message = "Invalid according to Policy: Policy expired.";
    assert_eq!(expired.element("Message").as_deref(), Some(message));
}

/// A client's encryption key has no business in answers, which end up in logs.
#[tokio::test]
async fn no_error_repeats_a_clients_key() {
    const NAME: &str = "x-amz-server-side-encryption-customer-key";
    const KEY: &str = "pO3upElrwuEXSoFwCfnZPdSsmt/xWeFa0N9KgDijwVs=";
    const MD5: &str = "DWygnHRtgiJ77HCm+1rvHw==";
    let world = World::with_sigv2().await;
    world.succeed(put("/bucket", "")).await;
    let form = |key: &str| {
        Form::of(&[("key", "user/k")], b"body")
            .with("x-amz-server-side-encryption-customer-algorithm", "AES256")
            .with("x-amz-server-side-encryption-customer-key-md5", MD5)
            .with(NAME, key)
    };
    let beside = format!(
        r#"{CONDITIONS}, ["starts-with", "$x-amz-server-side-encryption-customer-algorithm", ""],
            ["starts-with", "$x-amz-server-side-encryption-customer-key-md5", ""]"#
    );
    let exact = format!(r#"{beside}, {{"{NAME}": "{KEY}"}}"#);
    let any = format!(r#"{beside}, ["starts-with", "${NAME}", ""]"#);
    let mut forger = world.owner.clone();
    forger.key.secret_access_key = "wrong".to_owned();
    let owner = &world.owner;
    let send = async |form: Form| world.send_by(None, form.to("/bucket")).await;
    send(form(KEY).signed(owner, &exact)).await.is(204);
    let other = format!("q{}", &KEY[1..]);
    let not_a_header = format!("{KEY}\u{1}");
    for (form, status, code) in [
        (
            form(KEY).signed(&forger, &exact),
            403,
            "SignatureDoesNotMatch",
        ),
        (
            form(KEY).signed_v2(&forger, &exact),
            403,
            "SignatureDoesNotMatch",
        ),
        (form(&other).signed(owner, &exact), 403, "AccessDenied"),
        (form(&other).signed_v2(owner, &exact), 403, "AccessDenied"),
        (
            form(&not_a_header).signed(owner, &any),
            400,
            "InvalidArgument",
        ),
        (form(&KEY[1..]).signed(owner, &any), 400, "InvalidArgument"),
    ] {
        let refused = send(form).await.refused(status, code);
        let text = refused.text();
        assert!(!text.contains(&KEY[1..40]), "{text}");
        assert_eq!(refused.element("StringToSign"), None, "{text}");
    }
    // Without one, the author of a form is told what was to be signed.
    let plain = Form::of(&[("key", "user/k")], b"body").signed(&forger, CONDITIONS);
    let refused = send(plain).await.refused(403, "SignatureDoesNotMatch");
    assert!(refused.element("StringToSign").is_some());
}

#[tokio::test]
async fn who_signed_has_to_be_allowed() {
    let world = private().await;
    let stranger = world.stranger().await;
    let reader = world.key("bucket", Role::ReadOnly).await;
    let editor = world.key("bucket", Role::Editor).await;
    let form = Form::of(&[("key", "user/1")], b"body");
    let send = async |form: Form| world.send_by(None, form.to("/bucket")).await;
    send(form.clone()).await.refused(403, "AccessDenied");
    for user in [&stranger, &reader] {
        let signed = form.clone().signed(user, CONDITIONS);
        send(signed).await.refused(403, "AccessDenied");
    }
    world.send(get("/bucket/user/1")).await.is(404);
    send(form.clone().signed(&editor, CONDITIONS)).await.is(204);
    let mut forged = world.owner.clone();
    forged.key.secret_access_key = "of somebody else".to_owned();
    let refused = send(form.clone().signed(&forged, CONDITIONS)).await;
    refused.refused(403, "SignatureDoesNotMatch");
    forged.key.access_key_id = "tid_nobody".to_owned();
    let refused = send(form.clone().signed(&forged, CONDITIONS)).await;
    refused.refused(403, "InvalidAccessKeyId");
    let mut changed = form.clone().signed(&editor, CONDITIONS);
    let other = policy(r#"{"bucket": "bucket"}, ["starts-with", "$key", ""]"#);
    changed
        .fields
        .iter_mut()
        .find(|(name, _)| name == "policy")
        .unwrap()
        .1 = other;
    send(changed).await.refused(403, "SignatureDoesNotMatch");
    let only_policy = form.clone().with("policy", &policy(CONDITIONS));
    send(only_policy).await.refused(400, "InvalidArgument");
    let mut unsigned = form.signed(&editor, CONDITIONS);
    unsigned
        .fields
        .retain(|(name, _)| name != "x-amz-signature");
    send(unsigned).await.refused(400, "InvalidArgument");
}

/// A form of the future is worth as much as it says only when the future has come: policies that ask how
/// old its signature is would find it younger than it is.
#[tokio::test]
async fn forms_of_the_future_are_refused() {
    let world = private().await;
    let young = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Principal": "*",
        "Action": "s3:PutObject", "Resource": "arn:aws:s3:::bucket/*",
        "Condition": {"NumericGreaterThan": {"s3:signatureAge": "600000"}}}}"#;
    world.send(put("/bucket?policy", young)).await.is(204);
    let send = async |moment: &str| {
        let form = Form::of(&[("key", "user/1")], b"body");
        let form = form.signed_at(moment, &world.owner, CONDITIONS);
        world.send_by(None, form.to("/bucket")).await
    };
    // It is 22:13:20, and clocks may differ by 15 minutes.
    send("20231114T222820Z").await.is(204);
    for moment in ["20231114T222821Z", "20231114T225900Z", "20231114T235959Z"] {
        let refused = send(moment).await.refused(403, "AccessDenied");
        let message = refused.element("Message");
        assert_eq!(message.as_deref(), Some("Request is not yet valid"));
    }
    world.advance_ms(1_000);
    send("20231114T222821Z").await.is(204);
    // What is old holds as long as its policy, but for what a bucket's policy says of its age.
    send("20231114T220321Z").await.is(204);
    send("20231114T220320Z").await.refused(403, "AccessDenied");
}

#[tokio::test]
async fn forms_signed_by_version_2_need_the_setting() {
    for (world, taken) in [
        (World::new().await, false),
        (World::with_sigv2().await, true),
    ] {
        world.succeed(put("/bucket", "")).await;
        let form = Form::of(&[("key", "user/1")], b"body");
        let signed = form.clone().signed_v2(&world.owner, CONDITIONS);
        let reply = world.send_by(None, signed.to("/bucket")).await;
        if !taken {
            reply.refused(400, "InvalidRequest");
            continue;
        }
        reply.is(204);
        let mut forged = world.owner.clone();
        forged.key.secret_access_key = "of somebody else".to_owned();
        let signed = form.signed_v2(&forged, CONDITIONS);
        let refused = world.send_by(None, signed.to("/bucket")).await;
        refused.refused(403, "SignatureDoesNotMatch");
    }
}

#[tokio::test]
async fn what_is_no_form() {
    let world = public().await;
    let send = |call| world.send_by(None, call);
    let refused = send(post("/bucket", "body"))
        .await
        .refused(412, "PreconditionFailed");
    assert!(
        refused
            .element("Condition")
            .unwrap()
            .contains("multipart/form-data")
    );
    let no_boundary = post("/bucket", "body").header("content-type", "multipart/form-data");
    send(no_boundary).await.refused(400, "MalformedPOSTRequest");
    let form = Form::of(&[("key", "key")], b"body");
    send(form.to("/absent")).await.refused(404, "NoSuchBucket");
    let no_key = Form::of(&[("acl", "private")], b"body");
    let refused = send(no_key.to("/bucket"))
        .await
        .refused(400, "InvalidArgument");
    assert_eq!(refused.element("ArgumentName").as_deref(), Some("key"));
    let twice = form.clone().with("Key", "other");
    send(twice.to("/bucket"))
        .await
        .refused(400, "MalformedPOSTRequest");
    let mut cut_short = form.clone();
    cut_short.after = String::new();
    send(cut_short.to("/bucket"))
        .await
        .refused(400, "MalformedPOSTRequest");
    let large = form.clone().with("x-ignore-this", &"x".repeat(20 * 1024));
    send(large.to("/bucket"))
        .await
        .refused(400, "MaxPostPreDataLengthExceeded");
    let mut trailing = form.clone();
    trailing.after = "x".repeat(30_000);
    send(trailing.to("/bucket"))
        .await
        .refused(400, "MalformedPOSTRequest");
    trailing.after = format!("--{BOUNDARY}--\r\n{}", "x".repeat(30_000));
    send(trailing.to("/bucket"))
        .await
        .refused(400, "MaxPostPreDataLengthExceeded");
    let without_file = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n--{BOUNDARY}--"
    );
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let without_file = post("/bucket", without_file).header("content-type", &content_type);
    let refused = send(without_file).await.refused(400, "InvalidArgument");
    assert_eq!(refused.element("ArgumentName").as_deref(), Some("file"));
    let encrypted = form.clone().with("x-amz-object-lock-mode", "GOVERNANCE");
    let refused = send(encrypted.to("/bucket")).await;
    assert!(!refused.status.is_success());
    world.send(get("/bucket/key")).await.is(404);
    send(form.to("/bucket")).await.is(204);
}

#[tokio::test]
async fn policies_see_that_it_is_a_form() {
    let world = World::with_sigv2().await;
    world.succeed(put("/bucket", "")).await;
    let stranger = world.stranger().await;
    let form = || Form::of(&[("key", "user/1")], b"body");
    let by_v4 = || {
        form()
            .signed(&stranger, CONDITIONS)
            .to("/bucket?X-Amz-Signature=x")
    };
    let by_v2 = || form().signed_v2(&stranger, CONDITIONS).to("/bucket");
    let anonymous = || form().to("/bucket");
    for (condition, v4, v2, nobody) in [
        (r#""StringEquals": {"s3:authType": "POST"}"#, 204, 204, 403),
        (r#""Null": {"s3:authType": "true"}"#, 403, 403, 204),
        (
            r#""StringEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}"#,
            204,
            403,
            403,
        ),
        (
            r#""StringEquals": {"s3:signatureversion": "AWS"}"#,
            403,
            204,
            403,
        ),
        (
            r#""NumericLessThan": {"s3:signatureAge": "1000"}"#,
            204,
            403,
            403,
        ),
    ] {
        let policy = format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Principal": "*",
                "Action": "s3:PutObject", "Resource": "arn:aws:s3:::bucket/*",
                "Condition": {{{condition}}}}}}}"#
        );
        world.send(put("/bucket?policy", policy)).await.is(204);
        for (call, expected) in [(by_v4(), v4), (by_v2(), v2), (anonymous(), nobody)] {
            let reply = world.send_by(None, call).await;
            assert_eq!(reply.status.as_u16(), expected, "{condition}");
        }
    }
}
