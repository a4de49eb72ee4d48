//! Condition keys, and where their values come from.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::PolicyKind;

/// A condition key. Names are read without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ConditionKey {
    /// One that has a meaning here.
    Known(KnownKey),
    /// `s3:ExistingObjectTag/<key>`: the value of a tag that the object has.
    ExistingObjectTag(Box<str>),
    /// `s3:RequestObjectTag/<key>`: the value of a tag that the request brings.
    RequestObjectTag(Box<str>),
    /// `aws:PrincipalTag/<key>`: the value of a tag of the user or role that asks. The tag in lower
    /// case: keys of tags in IAM are compared without regard to it.
    /// Source: IAM user guide, "Tags for AWS Identity and Access Management resources".
    PrincipalTag(Box<str>),
    /// Any other. Requests for IAM and STS have some of them, such as `iam:ResourceTag/<key>`; those
    /// for S3 have none. In lower case.
    Other(Box<str>),
}

/// What a key is about, which decides which actions have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyScope {
    /// Any request.
    Any,
    /// Lists of a bucket.
    Listing,
    /// Requests for objects.
    Object,
}

/// A condition key that has a meaning here.
/// Source: IAM user guide, "AWS global condition context keys"; service authorization reference,
/// "Condition keys for Amazon S3".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum KnownKey {
    CurrentTime,
    EpochTime,
    MultiFactorAuthAge,
    MultiFactorAuthPresent,
    PrincipalAccount,
    PrincipalArn,
    PrincipalIsAwsService,
    PrincipalServiceName,
    PrincipalServiceNamesList,
    PrincipalType,
    Referer,
    RequestedRegion,
    ResourceAccount,
    SecureTransport,
    SourceAccount,
    SourceArn,
    SourceIp,
    TokenIssueTime,
    UserAgent,
    UserId,
    Username,
    ViaAwsService,
    AuthType,
    Delimiter,
    IfMatch,
    IfNoneMatch,
    InventoryAccessibleOptionalFields,
    LocationConstraint,
    MaxKeys,
    ObjectCreationOperation,
    ObjectLockLegalHold,
    ObjectLockMode,
    ObjectLockRemainingRetentionDays,
    ObjectLockRetainUntilDate,
    Prefix,
    RequestObjectTagKeys,
    S3ResourceAccount,
    SignatureAge,
    SignatureVersion,
    TlsVersion,
    VersionId,
    XAmzAcl,
    XAmzContentSha256,
    XAmzCopySource,
    XAmzGrantFullControl,
    XAmzGrantRead,
    XAmzGrantReadAcp,
    XAmzGrantWrite,
    XAmzGrantWriteAcp,
    XAmzMetadataDirective,
    XAmzObjectOwnership,
    XAmzServerSideEncryption,
    XAmzServerSideEncryptionAwsKmsKeyId,
    XAmzServerSideEncryptionCustomerAlgorithm,
    XAmzStorageClass,
    XAmzWebsiteRedirectLocation,
}

/// Names of the known keys.
#[rustfmt::skip]
const NAMES: &[(&str, KnownKey)] = &[
    ("aws:CurrentTime", KnownKey::CurrentTime),
    ("aws:EpochTime", KnownKey::EpochTime),
    ("aws:MultiFactorAuthAge", KnownKey::MultiFactorAuthAge),
    ("aws:MultiFactorAuthPresent", KnownKey::MultiFactorAuthPresent),
    ("aws:PrincipalAccount", KnownKey::PrincipalAccount),
    ("aws:PrincipalArn", KnownKey::PrincipalArn),
    ("aws:PrincipalIsAWSService", KnownKey::PrincipalIsAwsService),
    ("aws:PrincipalServiceName", KnownKey::PrincipalServiceName),
    ("aws:PrincipalServiceNamesList", KnownKey::PrincipalServiceNamesList),
    ("aws:PrincipalType", KnownKey::PrincipalType),
    ("aws:Referer", KnownKey::Referer),
    ("aws:RequestedRegion", KnownKey::RequestedRegion),
    ("aws:ResourceAccount", KnownKey::ResourceAccount),
    ("aws:SecureTransport", KnownKey::SecureTransport),
    ("aws:SourceAccount", KnownKey::SourceAccount),
    ("aws:SourceArn", KnownKey::SourceArn),
    ("aws:SourceIp", KnownKey::SourceIp),
    ("aws:TokenIssueTime", KnownKey::TokenIssueTime),
    ("aws:UserAgent", KnownKey::UserAgent),
    ("aws:userid", KnownKey::UserId),
    ("aws:username", KnownKey::Username),
    ("aws:ViaAWSService", KnownKey::ViaAwsService),
    ("s3:authType", KnownKey::AuthType),
    ("s3:delimiter", KnownKey::Delimiter),
    ("s3:if-match", KnownKey::IfMatch),
    ("s3:if-none-match", KnownKey::IfNoneMatch),
    ("s3:InventoryAccessibleOptionalFields", KnownKey::InventoryAccessibleOptionalFields),
    ("s3:locationconstraint", KnownKey::LocationConstraint),
    ("s3:max-keys", KnownKey::MaxKeys),
    ("s3:ObjectCreationOperation", KnownKey::ObjectCreationOperation),
    ("s3:object-lock-legal-hold", KnownKey::ObjectLockLegalHold),
    ("s3:object-lock-mode", KnownKey::ObjectLockMode),
    ("s3:object-lock-remaining-retention-days", KnownKey::ObjectLockRemainingRetentionDays),
    ("s3:object-lock-retain-until-date", KnownKey::ObjectLockRetainUntilDate),
    ("s3:prefix", KnownKey::Prefix),
    ("s3:RequestObjectTagKeys", KnownKey::RequestObjectTagKeys),
    ("s3:ResourceAccount", KnownKey::S3ResourceAccount),
    ("s3:signatureAge", KnownKey::SignatureAge),
    ("s3:signatureversion", KnownKey::SignatureVersion),
    ("s3:TlsVersion", KnownKey::TlsVersion),
    ("s3:VersionId", KnownKey::VersionId),
    ("s3:x-amz-acl", KnownKey::XAmzAcl),
    ("s3:x-amz-content-sha256", KnownKey::XAmzContentSha256),
    ("s3:x-amz-copy-source", KnownKey::XAmzCopySource),
    ("s3:x-amz-grant-full-control", KnownKey::XAmzGrantFullControl),
    ("s3:x-amz-grant-read", KnownKey::XAmzGrantRead),
    ("s3:x-amz-grant-read-acp", KnownKey::XAmzGrantReadAcp),
    ("s3:x-amz-grant-write", KnownKey::XAmzGrantWrite),
    ("s3:x-amz-grant-write-acp", KnownKey::XAmzGrantWriteAcp),
    ("s3:x-amz-metadata-directive", KnownKey::XAmzMetadataDirective),
    ("s3:x-amz-object-ownership", KnownKey::XAmzObjectOwnership),
    ("s3:x-amz-server-side-encryption", KnownKey::XAmzServerSideEncryption),
    ("s3:x-amz-server-side-encryption-aws-kms-key-id", KnownKey::XAmzServerSideEncryptionAwsKmsKeyId),
    ("s3:x-amz-server-side-encryption-customer-algorithm", KnownKey::XAmzServerSideEncryptionCustomerAlgorithm),
    ("s3:x-amz-storage-class", KnownKey::XAmzStorageClass),
    ("s3:x-amz-website-redirect-location", KnownKey::XAmzWebsiteRedirectLocation),
];

/// Keys that AWS has and no request has here, because there are no organizations, private networks,
/// access points and federated users. A policy may name them: a condition on one sees a missing key, as
/// in AWS where a request does not come by these.
const WITHOUT_VALUE: &[&str] = &[
    "aws:assumedroot",
    "aws:calledvia",
    "aws:calledviafirst",
    "aws:calledvialast",
    "aws:chatbotsourcearn",
    "aws:ec2instancesourceprivateipv4",
    "aws:ec2instancesourcevpc",
    "aws:federatedprovider",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:resourceorgid",
    "aws:resourceorgpaths",
    "aws:sourceidentity",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpcarn",
    "aws:sourcevpce",
    "aws:vpceaccount",
    "aws:vpceorgid",
    "aws:vpceorgpaths",
    "aws:vpcsourceip",
    "s3:accessgrantsinstancearn",
    "s3:accesspointnetworkorigin",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
];

/// The same for keys that end in the name of a tag.
const TAGS_WITHOUT_VALUE: &[&str] = &["s3:accesspointtag/"];

/// Keys that AWS has of requests which are here too, and which requests for S3 do not have here: a
/// policy that is about these and names one would do nothing. Requests for IAM have the first three.
const NOT_IN_S3: &[&str] = &[
    "aws:requesttag/",
    "aws:resourcetag/",
    "aws:tagkeys",
    "s3:buckettag/",
];

const PRINCIPAL_TAG: &str = "aws:principaltag/";
const EXISTING_OBJECT_TAG: &str = "s3:existingobjecttag/";
const REQUEST_OBJECT_TAG: &str = "s3:requestobjecttag/";

impl ConditionKey {
    /// The key of this name. Every name is one; those that AWS does not have are
    /// [`Other`](Self::Other) too.
    pub fn new(name: &str) -> Self {
        let same = |known: &&(&str, KnownKey)| known.0.eq_ignore_ascii_case(name);
        if let Some((_, key)) = NAMES.iter().find(same) {
            return Self::Known(*key);
        }
        if let Some(tag) = strip_prefix_ignoring_case(name, EXISTING_OBJECT_TAG) {
            return Self::ExistingObjectTag(tag.into());
        }
        if let Some(tag) = strip_prefix_ignoring_case(name, REQUEST_OBJECT_TAG) {
            return Self::RequestObjectTag(tag.into());
        }
        if let Some(tag) = strip_prefix_ignoring_case(name, PRINCIPAL_TAG) {
            return Self::PrincipalTag(tag.to_ascii_lowercase().into());
        }
        Self::Other(name.to_ascii_lowercase().into())
    }

    /// Whether AWS has such a key, so that a bucket policy may name it.
    pub(super) fn exists(&self) -> bool {
        match self {
            Self::Known(_) => true,
            Self::ExistingObjectTag(tag)
            | Self::RequestObjectTag(tag)
            | Self::PrincipalTag(tag) => !tag.is_empty(),
            Self::Other(name) => self.is_never_needed() || is_among(name, NOT_IN_S3),
        }
    }

    /// Whether it is about what is not here at all, so that no request can have it.
    fn is_never_needed(&self) -> bool {
        let Self::Other(name) = self else {
            return false;
        };
        is_among(name, WITHOUT_VALUE) || is_among(name, TAGS_WITHOUT_VALUE)
    }

    /// Whether no request has it that a statement is about, though AWS has it there: such a statement
    /// would do nothing.
    pub(super) fn is_never_set(&self, kind: PolicyKind<'_>, only_s3: bool) -> bool {
        let is_bucket_policy = matches!(kind, PolicyKind::Bucket { .. });
        match self {
            // No policy of a bucket is asked before the bucket is there.
            Self::Known(KnownKey::LocationConstraint) => is_bucket_policy,
            Self::Other(name) if name.starts_with("s3:") => !self.is_never_needed(),
            Self::Other(name) => (is_bucket_policy || only_s3) && is_among(name, NOT_IN_S3),
            _ => false,
        }
    }

    pub(super) fn scope(&self) -> KeyScope {
        match self {
            Self::Known(KnownKey::Prefix | KnownKey::Delimiter | KnownKey::MaxKeys) => {
                KeyScope::Listing
            }
            Self::ExistingObjectTag(_) | Self::RequestObjectTag(_) => KeyScope::Object,
            Self::Known(_) | Self::PrincipalTag(_) | Self::Other(_) => KeyScope::Any,
        }
    }

    /// The name as AWS writes it; in lower case where AWS's writing is not known here.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Known(key) => Cow::Borrowed(key.name()),
            Self::ExistingObjectTag(tag) => format!("s3:ExistingObjectTag/{tag}").into(),
            Self::RequestObjectTag(tag) => format!("s3:RequestObjectTag/{tag}").into(),
            Self::PrincipalTag(tag) => format!("aws:PrincipalTag/{tag}").into(),
            Self::Other(name) => Cow::Borrowed(name),
        }
    }
}

/// Whether a list has a key, or what it begins with before the name of a tag.
fn is_among(name: &str, list: &[&str]) -> bool {
    list.iter().any(|listed| match listed.ends_with('/') {
        true => name.len() > listed.len() && name.starts_with(listed),
        false => name == *listed,
    })
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, tail) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(tail)
}

impl KnownKey {
    /// The name as AWS writes it.
    pub fn name(self) -> &'static str {
        let found = NAMES.iter().find(|(_, key)| *key == self);
        found.map_or("", |(name, _)| *name)
    }

    /// The request header, in lower case, whose value is the key's value; `None` for keys whose
    /// values come from elsewhere. A presigned request has some of them in its query instead.
    pub fn header(self) -> Option<&'static str> {
        match self {
            Self::Referer => Some("referer"),
            Self::UserAgent => Some("user-agent"),
            Self::IfMatch => Some("if-match"),
            Self::IfNoneMatch => Some("if-none-match"),
            Self::ObjectLockLegalHold => Some("x-amz-object-lock-legal-hold"),
            Self::ObjectLockMode => Some("x-amz-object-lock-mode"),
            Self::ObjectLockRetainUntilDate => Some("x-amz-object-lock-retain-until-date"),
            _ => self
                .name()
                .strip_prefix("s3:")
                .filter(|name| name.starts_with("x-amz-")),
        }
    }

    /// The query parameter whose value is the key's value, if there is one.
    pub fn query_parameter(self) -> Option<&'static str> {
        match self {
            Self::Prefix => Some("prefix"),
            Self::Delimiter => Some("delimiter"),
            Self::MaxKeys => Some("max-keys"),
            Self::VersionId => Some("versionId"),
            _ => None,
        }
    }
}

/// What a request has for a condition key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextValue<'a> {
    /// The request has no such key.
    Absent,
    /// One value, which may be empty.
    One(Cow<'a, str>),
    /// A set of values, as for `s3:RequestObjectTagKeys`; an empty one counts as absent.
    Many(Vec<Cow<'a, str>>),
}

impl<'a> ContextValue<'a> {
    /// One value.
    pub fn one(value: impl Into<Cow<'a, str>>) -> Self {
        Self::One(value.into())
    }

    /// One value or none.
    pub fn optional(value: Option<&'a str>) -> Self {
        value.map_or(Self::Absent, Self::one)
    }

    pub(super) fn as_slice(&self) -> &[Cow<'a, str>] {
        match self {
            Self::Absent => &[],
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

/// What is known of a request beyond who asks for what.
///
/// The evaluator asks only for keys that a statement names once principal, action and resource
/// already match, and can ask for a key several times. What it says of the sender
/// (`aws:username`, `aws:userid`, `aws:PrincipalArn`, `aws:PrincipalAccount`, `aws:PrincipalType`,
/// `aws:PrincipalTag/<key>`, `aws:PrincipalIsAWSService`, `aws:PrincipalServiceName`,
/// `aws:ViaAWSService`) and of the owner (`s3:ResourceAccount`,
/// `aws:ResourceAccount`) it knows itself. Values that cost a read, such as the tags of the object,
/// are fetched before where [`Policy::needs_existing_tags`](super::Policy::needs_existing_tags) and
/// its like say so.
///
/// Forms of values: times in ISO 8601 (`aws:EpochTime` in seconds), booleans `true` or `false`,
/// `s3:signatureAge` in milliseconds.
pub trait Context {
    /// The request's value of a key.
    fn value(&self, key: &ConditionKey) -> ContextValue<'_>;
}

/// A [`Context`] from a table: for tests, simulations and requests with few facts.
#[derive(Clone, Debug, Default)]
pub struct ContextTable {
    values: BTreeMap<String, Vec<String>>,
}

impl ContextTable {
    /// No values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value; a key that gets several has a set of values.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        let name = ConditionKey::new(key).name().into_owned();
        self.values.entry(name).or_default().push(value.to_owned());
        self
    }
}

impl Context for ContextTable {
    fn value(&self, key: &ConditionKey) -> ContextValue<'_> {
        match self.values.get(&*key.name()).map(Vec::as_slice) {
            None | Some([]) => ContextValue::Absent,
            Some([value]) => ContextValue::one(value.as_str()),
            Some(values) => ContextValue::Many(values.iter().map(Cow::from).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_without_regard_to_case() {
        for (name, key) in NAMES {
            for written in [
                (*name).to_owned(),
                name.to_ascii_uppercase(),
                name.to_ascii_lowercase(),
            ] {
                assert_eq!(ConditionKey::new(&written), ConditionKey::Known(*key));
            }
            assert_eq!(key.name(), *name);
        }
        let tag = ConditionKey::new("S3:existingobjecttag/Some Key");
        assert_eq!(tag, ConditionKey::ExistingObjectTag("Some Key".into()));
        assert!(tag.exists() && !ConditionKey::new("s3:ExistingObjectTag/").exists());
        assert!(ConditionKey::new("aws:PrincipalTag/team").exists());
        assert!(!ConditionKey::new("aws:PrincipalTag/").exists());
        assert!(ConditionKey::new("aws:SourceVpce").exists());
        assert!(!ConditionKey::new("aws:SourceAddress").exists());
        assert!(!ConditionKey::new("é").exists());
    }

    #[test]
    fn sources_of_values() {
        let acl = KnownKey::XAmzAcl;
        assert_eq!(acl.header(), Some("x-amz-acl"));
        assert_eq!(
            KnownKey::ObjectLockMode.header(),
            Some("x-amz-object-lock-mode")
        );
        assert_eq!(KnownKey::SourceIp.header(), None);
        assert_eq!(KnownKey::VersionId.query_parameter(), Some("versionId"));
    }
}
