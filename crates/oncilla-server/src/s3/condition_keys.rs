//! The condition keys of a request: what policies can ask of it. Nothing is worked out before a
//! policy asks.

use std::borrow::Cow;
use std::net::IpAddr;

use oncilla_iam::policy::{ConditionKey, Context, ContextValue, KnownKey, Policy};
use oncilla_store::bucket::BucketError;
use oncilla_store::multipart::UploadError;
use oncilla_store::object::GetObjectError;
use oncilla_store::rows::upload::UploadRecord;
use oncilla_store::{Bucket, Scheme, UniqueId};
use oncilla_wire::copy_source::CopySource;
use oncilla_wire::encryption::{AES256, AWS_KMS};
use oncilla_wire::error::S3Error;
use oncilla_wire::header::{
    X_AMZ_COPY_SOURCE, X_AMZ_RENAME_SOURCE, X_AMZ_TAGGING, X_AMZ_TAGGING_DIRECTIVE,
};
use oncilla_wire::object_lock::{LegalHold, Retention};
use oncilla_wire::operation::Operation;
use oncilla_wire::rename_source::rename_source;
use oncilla_wire::tagging::{TagSet, TagTarget};
use oncilla_wire::time::{iso8601, parse_iso8601};
use oncilla_wire::xml::encryption::ObjectEncryption;
use oncilla_wire::xml::inventory::InventoryConfiguration;
use oncilla_wire::xml::tagging;

use crate::Peer;
use crate::s3::access::BucketAccess;
use crate::s3::authorize::needs;
use crate::s3::body::read_document;
use crate::s3::dispatch::document_limit;
use crate::s3::request::{S3Request, refuse_tags_and_acl, version_id};
use crate::s3::tags::stored_tag_set;
use crate::s3::{S3Service, errors};

const MINUTE_MS: f64 = 60_000.0;
const MINUTES_PER_DAY: f64 = 24.0 * 60.0;

/// What policies see of a request.
pub struct ConditionKeys<'r> {
    /// The request.
    pub request: &'r S3Request,
    /// The server that it came to.
    pub service: &'r S3Service,
    /// The version that is asked for.
    pub version: Option<String>,
    /// What takes the place of the parameter `prefix`.
    pub prefix: Option<&'r str>,
    /// The tags that the object has, if they had to be looked at.
    pub existing_tags: &'r [(String, String)],
    /// What the request brings elsewhere than in its head.
    pub given: &'r [(KnownKey, &'r str)],
}

/// A value that was made for the answer, if there is one.
fn owned<'a>(value: Option<String>) -> ContextValue<'a> {
    value.map_or(ContextValue::Absent, ContextValue::one)
}

/// The text of a time in Unix milliseconds.
fn time_text(unix_ms: i64) -> Option<String> {
    String::from_utf8(iso8601(unix_ms).to_vec()).ok()
}

/// Whether the body of an operation brings what policies ask for: tags, locks, encryption keys and
/// the fields of inventories.
fn brings_in_body(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::PutObjectTagging
            | Operation::PutObjectRetention
            | Operation::PutObjectLegalHold
            | Operation::UpdateObjectEncryption
            | Operation::PutBucketInventoryConfiguration
    )
}

/// Whether an operation goes on with an upload, by whose encryption what it writes is encrypted.
fn goes_on_with_upload(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::UploadPart | Operation::UploadPartCopy | Operation::CompleteMultipartUpload
    )
}

/// Whether an operation makes an object, of those that are judged as `s3:PutObject`: so a policy can
/// ask for conditional writes and not be in the way of the parts of an upload, which cannot be
/// conditional.
/// Source: S3 user guide, "Enforce conditional writes on Amazon S3 buckets".
fn creates_object(operation: Operation) -> Option<bool> {
    match operation {
        Operation::PutObject
        | Operation::PostObject
        | Operation::CopyObject
        | Operation::RenameObject
        | Operation::CompleteMultipartUpload => Some(true),
        Operation::CreateMultipartUpload | Operation::UploadPart | Operation::UploadPartCopy => {
            Some(false)
        }
        _ => None,
    }
}

/// Whether what the request makes has the tags of its source, whatever `x-amz-tagging` says.
/// Source: S3 API reference, CopyObject, `x-amz-tagging-directive`.
fn keeps_tags_of_source(request: &S3Request) -> bool {
    let directive = request.headers.get(X_AMZ_TAGGING_DIRECTIVE);
    let replaces = directive.is_some_and(|directive| directive.as_bytes() == b"REPLACE");
    request.renames() || (request.operation == Operation::CopyObject && !replaces)
}

/// Reads what stands elsewhere than in the head of a request before that is judged, if any policy asks
/// for it.
///
/// # Errors
/// Those of [`read_document`]; `InvalidArgument` for tags or an ACL that would be judged and not be set; those of
/// the store.
pub async fn read_what_policies_ask_for(
    service: &S3Service,
    request: &mut S3Request,
    bucket: &Bucket,
) -> Result<(), S3Error> {
    if request.extends_object() {
        refuse_tags_and_acl(request)?;
    }
    let operation = request.operation;
    let body_limit = document_limit(operation).filter(|_| brings_in_body(operation));
    let keeps_tags = keeps_tags_of_source(request);
    if body_limit.is_none() && !keeps_tags && !goes_on_with_upload(operation) {
        return Ok(());
    }
    let access = BucketAccess::of(bucket)?;
    let asks = |asks: fn(&Policy) -> bool| needs(&request.principal, &access, asks);
    if let Some(limit_bytes) = body_limit {
        if asks(Policy::needs_request_body) {
            request.document = Some(read_document(request, limit_bytes).await?);
        }
    } else if keeps_tags {
        if asks(Policy::needs_request_tags) {
            request.inherited.tags = tags_of_source(service, request, bucket).await?;
        }
    } else if asks(Policy::needs_encryption)
        && let Some(upload) = upload_gone_on_with(service, request, bucket).await?
    {
        request.inherited.encryption = upload.encryption;
        request.inherited.kms_key_name = upload.kms_key_name;
    }
    Ok(())
}

/// The tags of what the request copies or renames. `None` if there is no such object, of which the
/// handler tells whom it may.
async fn tags_of_source(
    service: &S3Service,
    request: &S3Request,
    bucket: &Bucket,
) -> Result<Option<TagSet>, S3Error> {
    let store = &service.store;
    let found = if request.operation == Operation::RenameObject {
        let source = request.headers.get(X_AMZ_RENAME_SOURCE);
        let source = source.and_then(|value| rename_source(value.as_bytes(), &bucket.name).ok());
        let Some(key) = source else {
            return Ok(None);
        };
        store.object_version(bucket, key.as_bytes(), None).await
    } else {
        let source = request.headers.get(X_AMZ_COPY_SOURCE);
        let source = source.and_then(|value| CopySource::parse(value.as_bytes()).ok());
        let Some(source) = source else {
            return Ok(None);
        };
        let Ok(version) = source.version_id.as_deref().map(version_id).transpose() else {
            return Ok(None);
        };
        let of_source = match store.bucket(&source.bucket).await {
            Ok(bucket) => bucket,
            Err(BucketError::NoSuchBucket) => return Ok(None),
            Err(BucketError::Fault(fault)) => return Err(errors::fault(fault)),
        };
        let key = source.key.as_bytes();
        store.object_version(&of_source, key, version).await
    };
    match found {
        Ok(record) => stored_tag_set(&record.tags, TagTarget::Object).map(Some),
        Err(GetObjectError::Fault(fault)) => Err(errors::fault(fault)),
        Err(_) => Ok(None),
    }
}

/// The upload that the request names. `None` if there is none, of which the handler tells.
async fn upload_gone_on_with(
    service: &S3Service,
    request: &S3Request,
    bucket: &Bucket,
) -> Result<Option<UploadRecord>, S3Error> {
    let text = request.query.get("uploadId").unwrap_or_default();
    let Some(id) = UniqueId::from_hex(text) else {
        return Ok(None);
    };
    let key = request.key.as_bytes();
    match service.store.upload(bucket, key, id).await {
        Ok(upload) => Ok(Some(upload.record)),
        Err(UploadError::NoSuchUpload) => Ok(None),
        Err(UploadError::Fault(fault)) => Err(errors::fault(fault)),
    }
}

impl ConditionKeys<'_> {
    fn now_ms(&self) -> i64 {
        self.service.store.clock().now_ms() as i64
    }

    fn source_ip(&self) -> Option<IpAddr> {
        match self.request.context.peer {
            Peer::Tcp(address) => Some(address.ip().to_canonical()),
            Peer::LocalSocket => None,
        }
    }

    /// The version of TLS as a number, such as `1.3`; without TLS there is none.
    /// Source: S3 user guide, "Bucket policy examples using condition keys", `s3:TlsVersion`.
    fn tls_version(&self) -> Option<&'static str> {
        let session = self.request.context.tls_session?;
        session.version.strip_prefix("TLSv")
    }

    /// Milliseconds since it was signed.
    fn signature_age_ms(&self) -> Option<i64> {
        let signed_ms = self.request.authentication?.signed_ms?;
        Some(self.now_ms().saturating_sub(signed_ms))
    }

    /// What was signed of the body.
    fn signed_payload(&self) -> ContextValue<'_> {
        let authentication = self.request.authentication;
        let payload = authentication.and_then(|authentication| authentication.payload);
        payload.map_or(ContextValue::Absent, |payload| {
            ContextValue::one(payload.to_text())
        })
    }

    fn token_issue_time(&self) -> Option<String> {
        let issued_ms = self.request.principal.token_issued_ms()?;
        time_text(i64::try_from(issued_ms).ok()?)
    }

    /// A header; one that is there several times is one value, as HTTP has it.
    fn header(&self, name: &str) -> ContextValue<'_> {
        let mut values = self.request.headers.get_all(name).iter();
        let Some(first) = values.next() else {
            return ContextValue::Absent;
        };
        let mut text = String::from_utf8_lossy(first.as_bytes());
        for value in values {
            text = format!("{text},{}", String::from_utf8_lossy(value.as_bytes())).into();
        }
        ContextValue::One(text)
    }

    /// What the head of the request has for a key that is a parameter or a header of it.
    fn of_head(&self, key: KnownKey) -> ContextValue<'_> {
        match (key.query_parameter(), key.header()) {
            (Some(name), _) => ContextValue::optional(self.request.query.get(name)),
            (None, Some(name)) => self.header(name),
            (None, None) => ContextValue::Absent,
        }
    }

    /// `bucket/key`, however it was written.
    fn copy_source(&self) -> Option<String> {
        let value = self.request.headers.get(X_AMZ_COPY_SOURCE)?;
        let source = CopySource::parse(value.as_bytes()).ok()?;
        Some(format!("{}/{}", source.bucket, source.key))
    }

    /// The retention in the body of PutObjectRetention.
    fn retention_of_body(&self) -> Option<Retention> {
        let document = self.request.document.as_ref()?;
        Retention::parse(document).ok()?
    }

    fn retain_until_ms(&self) -> Option<i64> {
        if self.request.operation == Operation::PutObjectRetention {
            return self.retention_of_body().map(|retention| retention.until_ms);
        }
        let header = KnownKey::ObjectLockRetainUntilDate.header()?;
        parse_iso8601(self.request.headers.get(header)?.to_str().ok()?)
    }

    /// The days that the retention lasts from now on, with their fraction: in whole days, some retention
    /// would get past a rule that forbids longer ones, or past one that forbids shorter ones. (AWS does
    /// not document that it rounds.) A begun minute counts as one, so that ten days from when a request
    /// was sent are still ten when it arrives.
    fn remaining_retention_days(&self) -> Option<String> {
        let left_ms = self.retain_until_ms()?.saturating_sub(self.now_ms());
        let minutes = (left_ms as f64 / MINUTE_MS).ceil();
        Some((minutes / MINUTES_PER_DAY).to_string())
    }

    fn lock(&self, key: KnownKey) -> ContextValue<'_> {
        match brings_in_body(self.request.operation) {
            true => self.lock_of_body(key),
            false => self.of_head(key),
        }
    }

    /// A lock as the body of PutObjectRetention or PutObjectLegalHold says it.
    fn lock_of_body(&self, key: KnownKey) -> ContextValue<'_> {
        let retention = self.retention_of_body();
        owned(match (self.request.operation, key) {
            (Operation::PutObjectRetention, KnownKey::ObjectLockMode) => {
                retention.map(|retention| retention.mode.as_str().to_owned())
            }
            (Operation::PutObjectRetention, KnownKey::ObjectLockRetainUntilDate) => {
                retention.and_then(|retention| time_text(retention.until_ms))
            }
            (Operation::PutObjectLegalHold, KnownKey::ObjectLockLegalHold) => {
                let hold = self.request.document.as_ref();
                let hold = hold.and_then(|document| LegalHold::parse(document).ok());
                hold.map(|hold| hold.as_str().to_owned())
            }
            _ => None,
        })
    }

    fn encryption(&self, key: KnownKey) -> ContextValue<'_> {
        match self.request.operation {
            operation if goes_on_with_upload(operation) => self.encryption_of_upload(key),
            Operation::UpdateObjectEncryption => owned(self.encryption_of_body(key)),
            _ => self.of_head(key),
        }
    }

    /// How the body of UpdateObjectEncryption wants the object encrypted: by a KMS key, always.
    fn encryption_of_body(&self, key: KnownKey) -> Option<String> {
        let document = self.request.document.as_ref()?;
        let asked = ObjectEncryption::parse(document).ok()?;
        match key {
            KnownKey::XAmzServerSideEncryption => Some(AWS_KMS.to_owned()),
            KnownKey::XAmzServerSideEncryptionAwsKmsKeyId => Some(asked.kms_key),
            _ => None,
        }
    }

    /// How the upload is encrypted that the request goes on with, as its parts will be: no client can
    /// say so with a part. A policy that denies what is not encrypted is about the upload.
    /// Source: S3 API reference, UploadPart, "Encryption".
    fn encryption_of_upload(&self, key: KnownKey) -> ContextValue<'_> {
        let Some(encryption) = self.request.inherited.encryption.as_deref() else {
            return ContextValue::Absent;
        };
        match (encryption.scheme, key) {
            (Scheme::S3, KnownKey::XAmzServerSideEncryption)
            | (Scheme::Customer, KnownKey::XAmzServerSideEncryptionCustomerAlgorithm) => {
                ContextValue::one(AES256)
            }
            (Scheme::Kms, KnownKey::XAmzServerSideEncryption) => ContextValue::one(AWS_KMS),
            (Scheme::Kms, KnownKey::XAmzServerSideEncryptionAwsKmsKeyId) => {
                self.names_of_key(&encryption.key_id)
            }
            _ => ContextValue::Absent,
        }
    }

    /// The KMS key of the upload: by the name by which that was begun, as the header of PutObject has
    /// it and policies name keys (most by an ARN), and by its id and its aliases.
    fn names_of_key<'k>(&'k self, id: &'k str) -> ContextValue<'k> {
        let asked = self.request.inherited.kms_key_name.as_str();
        let mut names = vec![Cow::Borrowed(id)];
        if !asked.is_empty() {
            names.push(Cow::Borrowed(asked));
        }
        let keys = self.service.store.keys();
        if let Ok(key) = keys.and_then(|keys| keys.find(id)) {
            let aliases = key.info().aliases.into_iter();
            names.extend(aliases.map(|alias| Cow::Owned(format!("alias/{alias}"))));
        }
        ContextValue::Many(names)
    }

    /// The tags that the request brings, in its head or in its body; of what keeps those of its
    /// source, these.
    fn request_tags(&self) -> Option<TagSet> {
        if keeps_tags_of_source(self.request) {
            return self.request.inherited.tags.clone();
        }
        if self.request.operation == Operation::PutObjectTagging {
            let document = self.request.document.as_ref()?;
            return tagging::parse(document, TagTarget::Object).ok();
        }
        let value = self.request.headers.get(X_AMZ_TAGGING)?;
        TagSet::from_header(value.as_bytes()).ok()
    }

    fn request_tag(&self, name: &str) -> Option<String> {
        let tags = self.request_tags()?;
        let tag = tags.iter().find(|tag| tag.key == name)?;
        Some(tag.value.clone())
    }

    /// `If-None-Match`. Of what makes an object, S3 takes no other than `*`, so a policy that asks
    /// whether it is there means that nothing is replaced; an ETag, which is taken here, says less.
    /// Source: S3 API reference, PutObject, `If-None-Match`.
    fn if_none_match(&self) -> ContextValue<'_> {
        let value = self.of_head(KnownKey::IfNoneMatch);
        if creates_object(self.request.operation) != Some(true) {
            return value;
        }
        match value {
            ContextValue::One(text) if text.trim() == "*" => ContextValue::one("*"),
            _ => ContextValue::Absent,
        }
    }

    /// The optional fields that an inventory is to have.
    /// Source: service authorization reference, "Condition keys for Amazon S3",
    /// `s3:InventoryAccessibleOptionalFields`.
    fn inventory_fields(&self) -> ContextValue<'_> {
        if self.request.operation != Operation::PutBucketInventoryConfiguration {
            return ContextValue::Absent;
        }
        let document = self.request.document.as_ref();
        let inventory = document.and_then(|text| InventoryConfiguration::parse(text).ok());
        inventory.map_or(ContextValue::Absent, |inventory| {
            let names = inventory.fields.iter().map(|field| field.name().into());
            ContextValue::Many(names.collect())
        })
    }

    fn known(&self, key: KnownKey) -> ContextValue<'_> {
        if let Some((_, value)) = self.given.iter().find(|(given, _)| *given == key) {
            return ContextValue::one(*value);
        }
        let request = self.request;
        let authentication = request.authentication;
        match key {
            KnownKey::CurrentTime => owned(time_text(self.now_ms())),
            KnownKey::EpochTime => owned(Some((self.now_ms() / 1_000).to_string())),
            KnownKey::SourceIp => owned(self.source_ip().map(|address| address.to_string())),
            KnownKey::SecureTransport => {
                ContextValue::one(if request.context.tls { "true" } else { "false" })
            }
            KnownKey::TlsVersion => ContextValue::optional(self.tls_version()),
            KnownKey::RequestedRegion => ContextValue::one(self.service.options.region.as_str()),
            KnownKey::TokenIssueTime => owned(self.token_issue_time()),
            // Only temporary credentials have it, and there are no devices to have been there.
            // Source: IAM user guide, "AWS global condition context keys".
            KnownKey::MultiFactorAuthPresent => {
                let issued = request.principal.token_issued_ms();
                ContextValue::optional(issued.map(|_| "false"))
            }
            KnownKey::AuthType => ContextValue::optional(authentication.map(|it| it.kind.as_str())),
            KnownKey::SignatureVersion => {
                ContextValue::optional(authentication.map(|it| it.version.as_str()))
            }
            KnownKey::SignatureAge => owned(self.signature_age_ms().map(|age| age.to_string())),
            KnownKey::XAmzContentSha256 => self.signed_payload(),
            KnownKey::Prefix => {
                ContextValue::optional(self.prefix.or_else(|| request.query.get("prefix")))
            }
            KnownKey::IfNoneMatch => self.if_none_match(),
            KnownKey::InventoryAccessibleOptionalFields => self.inventory_fields(),
            KnownKey::ObjectCreationOperation => {
                let creates = creates_object(request.operation);
                ContextValue::optional(creates.map(|yes| if yes { "true" } else { "false" }))
            }
            KnownKey::VersionId => ContextValue::optional(self.version.as_deref()),
            KnownKey::XAmzCopySource => owned(self.copy_source()),
            KnownKey::ObjectLockRemainingRetentionDays => owned(self.remaining_retention_days()),
            KnownKey::ObjectLockMode
            | KnownKey::ObjectLockRetainUntilDate
            | KnownKey::ObjectLockLegalHold => self.lock(key),
            KnownKey::RequestObjectTagKeys => match self.request_tags() {
                None => ContextValue::Absent,
                Some(tags) => {
                    let keys = tags.iter().map(|tag| Cow::Owned(tag.key.clone()));
                    ContextValue::Many(keys.collect())
                }
            },
            KnownKey::XAmzServerSideEncryption
            | KnownKey::XAmzServerSideEncryptionAwsKmsKeyId
            | KnownKey::XAmzServerSideEncryptionCustomerAlgorithm => self.encryption(key),
            // One by one, so that a new key cannot be forgotten here.
            KnownKey::Delimiter
            | KnownKey::IfMatch
            | KnownKey::MaxKeys
            | KnownKey::Referer
            | KnownKey::UserAgent
            | KnownKey::XAmzAcl
            | KnownKey::XAmzGrantFullControl
            | KnownKey::XAmzGrantRead
            | KnownKey::XAmzGrantReadAcp
            | KnownKey::XAmzGrantWrite
            | KnownKey::XAmzGrantWriteAcp
            | KnownKey::XAmzMetadataDirective
            | KnownKey::XAmzObjectOwnership
            | KnownKey::XAmzStorageClass
            | KnownKey::XAmzWebsiteRedirectLocation => self.of_head(key),
            // A region is in the body, and given; nobody has a device here; only services have a
            // source, and send no requests; the others the evaluator knows.
            KnownKey::LocationConstraint
            | KnownKey::MultiFactorAuthAge
            | KnownKey::SourceAccount
            | KnownKey::SourceArn
            | KnownKey::PrincipalAccount
            | KnownKey::PrincipalArn
            | KnownKey::PrincipalIsAwsService
            | KnownKey::PrincipalServiceName
            | KnownKey::PrincipalServiceNamesList
            | KnownKey::PrincipalType
            | KnownKey::ResourceAccount
            | KnownKey::S3ResourceAccount
            | KnownKey::UserId
            | KnownKey::Username
            | KnownKey::ViaAwsService => ContextValue::Absent,
        }
    }
}

impl Context for ConditionKeys<'_> {
    fn value(&self, key: &ConditionKey) -> ContextValue<'_> {
        match key {
            ConditionKey::Known(key) => self.known(*key),
            ConditionKey::ExistingObjectTag(name) => {
                let mut tags = self.existing_tags.iter();
                let tag = tags.find(|(key, _)| **key == **name);
                ContextValue::optional(tag.map(|(_, value)| value.as_str()))
            }
            ConditionKey::RequestObjectTag(name) => owned(self.request_tag(name)),
            // Tags of the sender the evaluator knows.
            ConditionKey::PrincipalTag(_) | ConditionKey::Other(_) => ContextValue::Absent,
        }
    }
}
