//! XML documents.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use oncilla_store::lifecycle::{Calendar, Item, LifecycleRules};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::event::EventKind;
use oncilla_wire::object_lock::{LegalHold, Retention, RetentionPeriod};
use oncilla_wire::storage_class::StorageClass;
use oncilla_wire::tagging::{MAX_BUCKET_TAGS, MAX_OBJECT_TAGS, TagTarget};
use oncilla_wire::xml::acl::{AccessControlPolicy, GRANTS_MAX, parse_grantees};
use oncilla_wire::xml::bucket::CreateBucketConfiguration;
use oncilla_wire::xml::copy::CopyResult;
use oncilla_wire::xml::delete::{Delete, DeleteResult, MAX_DELETE_KEYS, ObjectIdentifier};
use oncilla_wire::xml::encryption::{EncryptionConfiguration, ObjectEncryption};
use oncilla_wire::xml::error::ErrorDocument;
use oncilla_wire::xml::inventory::{InventoryConfiguration, check_id};
use oncilla_wire::xml::lifecycle::{
    LifecycleConfiguration, MAX_LIFECYCLE_RULES, TransitionMinimum,
};
use oncilla_wire::xml::list_buckets::ListBuckets;
use oncilla_wire::xml::list_objects::{ListObjects, ListObjectsV2, ObjectEntry};
use oncilla_wire::xml::list_versions::ListVersions;
use oncilla_wire::xml::logging::{BucketLoggingStatus, MAX_TARGET_GRANTS, MAX_TARGET_PREFIX_BYTES};
use oncilla_wire::xml::multipart::{
    CompleteMultipartUpload, CompleteMultipartUploadResult, InitiateMultipartUpload,
    ListMultipartUploads, ListParts, MAX_PART_NUMBER, MAX_PARTS, check_part_order,
};
use oncilla_wire::xml::notification::NotificationConfiguration;
use oncilla_wire::xml::object_lock::ObjectLockConfiguration;
use oncilla_wire::xml::ownership::ObjectOwnership;
use oncilla_wire::xml::public_access::PublicAccessBlock;
use oncilla_wire::xml::reader::{MAX_DEPTH, MAX_TEXT_BYTES, XmlReader};
use oncilla_wire::xml::restore::RestoreRequest;
use oncilla_wire::xml::versioning::VersioningStatus;
use oncilla_wire::xml::writer::legal_text;
use oncilla_wire::xml::{KeyEncoding, location, tagging as tagging_xml};

/// Every root element that a reader of the protocol takes.
const ROOTS: [&str; 25] = [
    "Delete",
    "DeleteResult",
    "CompleteMultipartUpload",
    "CompleteMultipartUploadResult",
    "InitiateMultipartUploadResult",
    "ListPartsResult",
    "ListMultipartUploadsResult",
    "ListBucketResult",
    "ListVersionsResult",
    "ListAllMyBucketsResult",
    "Tagging",
    "CreateBucketConfiguration",
    "ServerSideEncryptionConfiguration",
    "ObjectEncryption",
    "VersioningConfiguration",
    "ObjectLockConfiguration",
    "Retention",
    "LegalHold",
    "LocationConstraint",
    "CopyObjectResult",
    "CopyPartResult",
    "AccessControlPolicy",
    "PublicAccessBlockConfiguration",
    "OwnershipControls",
    "Error",
];

/// What was read and written is read as the same again.
pub fn round_trip<T: Debug + PartialEq>(
    data: &[u8],
    read: impl Fn(&[u8]) -> Result<T, S3Error>,
    write: impl Fn(&T) -> Vec<u8>,
) -> Option<T> {
    let document = read(data).ok()?;
    let written = write(&document);
    match read(&written) {
        Ok(again) => assert_eq!(again, document),
        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&written)),
    }
    Some(document)
}

/// The body of DeleteObjects.
pub fn delete(data: &[u8]) {
    if let Some(delete) = round_trip(data, Delete::parse, |delete| delete.to_xml()) {
        assert!((1..=MAX_DELETE_KEYS).contains(&delete.objects.len()));
        for object in &delete.objects {
            assert!(!object.key.is_empty());
            let conditions = object.conditions();
            assert_eq!(conditions.if_match.is_some(), object.etag.is_some());
        }
    }
}

/// The bodies of PutObjectLockConfiguration, PutObjectRetention and PutObjectLegalHold.
pub fn object_lock(data: &[u8]) {
    let configuration = round_trip(data, ObjectLockConfiguration::parse, |document| {
        document.to_xml()
    });
    let default = configuration.and_then(|configuration| configuration.default_retention);
    if let Some(default) = default {
        let (RetentionPeriod::Days(count) | RetentionPeriod::Years(count)) = default.period;
        assert!(count > 0);
        let written_ms = 1_700_000_000_000;
        assert!(default.of_version(written_ms).until_ms > written_ms);
    }
    let retention = Retention::parse(data).ok().flatten();
    if let Some(retention) = retention {
        let again = Retention::parse(&retention.to_xml());
        assert_eq!(again.ok().flatten(), Some(retention));
    }
    round_trip(data, LegalHold::parse, |hold| hold.to_xml());
}

/// The body of CompleteMultipartUpload.
pub fn complete(data: &[u8]) {
    let complete = round_trip(data, CompleteMultipartUpload::parse, |complete| {
        complete.to_xml()
    });
    if let Some(complete) = complete {
        assert!((1..=MAX_PARTS).contains(&complete.parts.len()));
        let numbers: Vec<u32> = complete.parts.iter().map(|part| part.part_number).collect();
        assert!(
            numbers
                .iter()
                .all(|number| (1..=MAX_PART_NUMBER).contains(number))
        );
        let ascends = numbers.windows(2).all(|pair| pair[0] < pair[1]);
        assert_eq!(check_part_order(&complete.parts).is_ok(), ascends);
    }
}

/// The bodies of PutObjectTagging and PutBucketTagging: what is fit for an object is for a bucket.
pub fn tagging(data: &[u8]) {
    let read = |target| move |xml: &[u8]| tagging_xml::parse(xml, target);
    let of_object = round_trip(data, read(TagTarget::Object), tagging_xml::to_xml);
    let of_bucket = round_trip(data, read(TagTarget::Bucket), tagging_xml::to_xml);
    if let Some(tags) = of_object {
        assert!(tags.len() <= MAX_OBJECT_TAGS);
        assert_eq!(of_bucket, Some(tags));
    } else if let Some(tags) = of_bucket {
        assert!((MAX_OBJECT_TAGS + 1..=MAX_BUCKET_TAGS).contains(&tags.len()));
    }
}

/// The body of CreateBucket.
pub fn create_bucket(data: &[u8]) {
    let read = round_trip(data, CreateBucketConfiguration::parse, |body| body.to_xml());
    if let Some(configuration) = read {
        assert!(configuration.tags.len() <= MAX_BUCKET_TAGS);
        assert_ne!(configuration.location_constraint.as_deref(), Some(""));
    }
}

/// The body of PutBucketAcl and PutObjectAcl, and the value of a header that grants: as many grants as
/// an ACL can have, for somebody each.
pub fn access_control_policy(data: &[u8]) {
    if let Ok(policy) = AccessControlPolicy::parse(data) {
        assert!(policy.grants.len() <= GRANTS_MAX);
    }
    let text = String::from_utf8_lossy(data);
    if let Ok(grantees) = parse_grantees("x-amz-grant-read", &text) {
        assert!((1..=GRANTS_MAX).contains(&grantees.len()));
    }
}

/// The bodies of PutPublicAccessBlock and PutBucketOwnershipControls.
pub fn access_settings(data: &[u8]) {
    round_trip(data, PublicAccessBlock::parse, |block| block.to_xml());
    round_trip(data, ObjectOwnership::parse, |ownership| ownership.to_xml());
}

/// The body of PutBucketVersioning.
pub fn versioning(data: &[u8]) {
    round_trip(data, VersioningStatus::parse, |status| status.to_xml());
}

/// The body of PutBucketNotificationConfiguration.
pub fn notification(data: &[u8]) {
    let read = round_trip(data, NotificationConfiguration::parse, |body| body.to_xml());
    for destination in read.iter().flat_map(|read| &read.destinations) {
        assert!(!destination.events.is_empty() && !destination.arn.is_empty());
        // A key that consists of what the rules ask for is taken, with one of the events at least or
        // none if they never happen here.
        let prefix = destination.prefix.clone().unwrap_or_default();
        let key = prefix.clone() + &destination.suffix.clone().unwrap_or_default();
        for kind in EventKind::ALL {
            let wanted = destination.events.iter().any(|event| event.covers(*kind));
            assert_eq!(destination.takes(*kind, key.as_bytes()), wanted);
        }
    }
}

/// The body of PutBucketLogging.
pub fn logging(data: &[u8]) {
    let read = round_trip(data, BucketLoggingStatus::parse, |status| status.to_xml());
    if let Some(enabled) = read.and_then(|status| status.enabled) {
        assert!(enabled.target_prefix.len() <= MAX_TARGET_PREFIX_BYTES);
        assert!(enabled.target_grants.len() <= MAX_TARGET_GRANTS);
    }
}

/// The body of PutBucketInventoryConfiguration.
pub fn inventory(data: &[u8]) {
    let read = round_trip(data, InventoryConfiguration::parse, |body| body.to_xml());
    if let Some(configuration) = read {
        assert!(check_id(&configuration.id).is_ok());
        assert!(!configuration.destination.bucket.is_empty());
        assert!(configuration.fields.is_sorted_by(|a, b| a < b));
    }
}

/// The body of PutBucketLifecycleConfiguration, and what its rules make due.
pub fn lifecycle(data: &[u8]) {
    let read = round_trip(data, LifecycleConfiguration::parse, |rules| rules.to_xml());
    let Some(configuration) = read else {
        return;
    };
    assert!((1..=MAX_LIFECYCLE_RULES).contains(&configuration.rules.len()));
    let rules = LifecycleRules::new(Arc::new(configuration), TransitionMinimum::default());
    let prefixes = rules.prefixes();
    assert!(
        prefixes
            .windows(2)
            .all(|pair| pair[0] < pair[1] && !pair[1].starts_with(pair[0]))
    );
    let item = Item {
        key: prefixes.first().copied().unwrap_or_default(),
        object: Some((1 << 20, &[])),
    };
    let (created_ms, now_ms) = (1_700_000_000_123, u64::MAX / 2);
    let due = rules.noncurrent_expiration(item, created_ms, 200, Calendar::REAL);
    assert!(due.is_none_or(|due| due.at_ms > created_ms));
    let from = StorageClass::Standard;
    let moved = rules.transition(item, from, created_ms, now_ms, Calendar::REAL);
    assert!(moved.is_none_or(|(class, _)| from.can_transition_to(class)));
}

/// The body of RestoreObject.
pub fn restore(data: &[u8]) {
    let read = round_trip(data, RestoreRequest::parse, |request| request.to_xml());
    assert!(read.is_none_or(|request| request.days > 0));
}

/// The bodies of PutBucketEncryption and UpdateObjectEncryption.
pub fn encryption(data: &[u8]) {
    round_trip(data, EncryptionConfiguration::parse, |it| it.to_xml());
    if let Ok(asked) = ObjectEncryption::parse(data) {
        assert!(!asked.kms_key.is_empty());
    }
}

/// The lists that a client reads.
pub fn lists(data: &[u8]) {
    round_trip(data, ListObjects::parse, |list| list.to_xml());
    round_trip(data, ListObjectsV2::parse, |list| list.to_xml());
    round_trip(data, ListVersions::parse, |list| list.to_xml());
    round_trip(data, ListBuckets::parse, |list| list.to_xml());
    round_trip(data, ListParts::parse, |list| list.to_xml());
    round_trip(data, ListMultipartUploads::parse, |list| list.to_xml());
}

/// As it is written: with messages that XML can have.
fn delete_result(data: &[u8]) -> Result<DeleteResult<'static>, S3Error> {
    let mut result = DeleteResult::parse(data)?;
    for error in &mut result.errors {
        error.message = legal_text(&error.message).into_owned().into();
    }
    Ok(result)
}

/// The other answers that a client reads, among them those that can be an error under status 200.
pub fn results(data: &[u8]) {
    round_trip(data, delete_result, |result| result.to_xml());
    round_trip(data, InitiateMultipartUpload::parse, |result| {
        result.to_xml()
    });
    round_trip(data, location::parse, |region| location::to_xml(region));
    let error = ErrorDocument::parse(data);
    if let Ok(error) = &error {
        assert!(error.details.len() <= 32);
        for (name, value) in &error.details {
            assert!(error.detail(name).is_some());
            assert!(value.len() <= MAX_TEXT_BYTES);
        }
    }
    match CopyResult::parse(data) {
        Ok(Ok(result)) => {
            assert_eq!(
                CopyResult::parse(&result.to_object_xml()).ok(),
                Some(Ok(result.clone()))
            );
            assert_eq!(
                CopyResult::parse(&result.to_part_xml()).ok(),
                Some(Ok(result))
            );
        }
        Ok(Err(found)) => assert_eq!(error.as_ref().ok(), Some(&found)),
        Err(_) => {}
    }
    match CompleteMultipartUploadResult::parse(data) {
        Ok(Ok(result)) => {
            let again = CompleteMultipartUploadResult::parse(&result.to_xml());
            assert_eq!(again.ok(), Some(Ok(result)));
        }
        Ok(Err(found)) => assert_eq!(error.as_ref().ok(), Some(&found)),
        Err(_) => {}
    }
}

/// The reader itself: walking through a document and skipping it accept the same documents, and no
/// document is deeper than allowed.
pub fn reader(data: &[u8]) {
    let walked = XmlReader::open_with_any_character(data, &ROOTS).and_then(|mut reader| {
        let mut depth = 1;
        while depth > 0 {
            match reader.child()? {
                Some(name) => {
                    assert!(!name.contains(':'));
                    depth += 1;
                    assert!(depth <= MAX_DEPTH);
                }
                None => depth -= 1,
            }
        }
        reader.finish()
    });
    let skipped = XmlReader::open_with_any_character(data, &ROOTS).and_then(|mut reader| {
        reader.skip()?;
        reader.finish()
    });
    assert_eq!(skipped.is_ok(), walked.is_ok(), "{skipped:?} {walked:?}");
    let value = XmlReader::open_with_any_character(data, &ROOTS).and_then(|mut reader| {
        let value = reader.value()?;
        reader.finish()?;
        Ok(value)
    });
    let value_or_skip = XmlReader::open_with_any_character(data, &ROOTS).and_then(|mut reader| {
        let value = reader.value_or_skip()?;
        reader.finish()?;
        Ok(value)
    });
    match (value, value_or_skip) {
        (Ok(value), other) => {
            assert!(value.len() <= MAX_TEXT_BYTES);
            assert_eq!(other.ok(), Some(Some(value)));
            assert!(walked.is_ok());
        }
        (Err(_), Ok(value)) => assert_eq!(value, None),
        (Err(_), Err(_)) => {}
    }
}

/// Input: any text. As a key, a prefix and a message it survives every encoding, control characters
/// and what looks like markup included.
pub fn text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if text.is_empty() || text.len() > MAX_TEXT_BYTES {
        return;
    }
    let key: Cow<'static, str> = Cow::Owned(text.clone().into_owned());
    let delete = Delete {
        objects: vec![ObjectIdentifier {
            key: key.clone(),
            ..Default::default()
        }],
        quiet: false,
    };
    assert_eq!(Delete::parse(&delete.to_xml()).ok(), Some(delete));

    for encoding in [KeyEncoding::Plain, KeyEncoding::Url] {
        let list = ListObjectsV2 {
            prefix: key.clone(),
            delimiter: Some(key.clone()),
            encoding,
            start_after: Some(key.clone()),
            contents: vec![ObjectEntry {
                key: key.clone(),
                ..Default::default()
            }],
            common_prefixes: vec![key.clone()],
            ..Default::default()
        };
        let written = list.to_xml();
        // Percent-encoding makes a text up to three times as long.
        if written.len() <= MAX_TEXT_BYTES {
            assert_eq!(ListObjectsV2::parse(&written).ok(), Some(list));
        }
    }

    let error = S3Error::with_message(S3ErrorCode::NoSuchKey, text.clone().into_owned())
        .detail("Key", text.clone());
    let document = ErrorDocument::parse(&error.to_xml(&text, "request", &text));
    let document = document.unwrap_or_else(|error| panic!("just written: {error}"));
    assert_eq!(document.code, "NoSuchKey");
    assert_eq!(document.message, legal_text(&text));
    assert_eq!(document.resource, legal_text(&text));
    assert_eq!(document.host_id.as_str(), text);
    assert_eq!(document.detail("Key"), Some(&*legal_text(&text)));
}
