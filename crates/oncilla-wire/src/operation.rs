//! Which operation of the S3 API a request means.
//!
//! The table below is the whole of it. A query key that names a sub-resource either selects its
//! operation or is an error: it never falls through to the plain verb, which would turn
//! `DELETE /bucket?policy` into the loss of the bucket.

use std::collections::HashSet;
use std::sync::LazyLock;

use http::request::Parts;
use http::{HeaderMap, Method};

use crate::error::{S3Error, S3ErrorCode};
use crate::query::Query;

/// What a request is addressed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// The service: `/`.
    Service,
    /// A bucket.
    Bucket,
    /// An object.
    Object,
}

impl Level {
    /// S3's word for it in the `ResourceType` of an error.
    fn resource_type(self) -> &'static str {
        match self {
            Self::Service => "SERVICE",
            Self::Bucket => "BUCKET",
            Self::Object => "OBJECT",
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
struct Route {
    operation: Operation,
    method: &'static str,
    level: Level,
    /// The query keys that must be there; one with `=` must have that value.
    selectors: &'static [&'static str],
    /// The header that must be there, and prefers this row to one without it.
    header: Option<&'static str>,
    name: &'static str,
    iam_action: &'static str,
    implemented: bool,
}

macro_rules! is_implemented {
    (implemented) => {
        true
    };
    (planned) => {
        false
    };
}

macro_rules! optional {
    () => {
        None
    };
    ($value:literal) => {
        Some($value)
    };
}

macro_rules! operations {
    ($($operation:ident: $method:ident $level:ident [$($selector:literal),*] $(+ $header:literal)?
        => $action:literal, $state:ident;)*) => {
        /// An operation of the S3 API, by S3's own name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum Operation { $($operation,)* }

        impl Operation {
            /// Every operation, in the order of the table.
            pub const ALL: &'static [Operation] = &[$(Operation::$operation,)*];
        }

        /// In the order of [`Operation`], so that an operation finds its row by its number.
        const ROUTES: &[Route] = &[$(Route {
            operation: Operation::$operation,
            method: stringify!($method),
            level: Level::$level,
            selectors: &[$($selector),*],
            header: optional!($($header)?),
            name: stringify!($operation),
            iam_action: $action,
            implemented: is_implemented!($state),
        },)*];
    };
}

// operation: method level [sub-resource query keys] + header => IAM action, state;
operations! {
    ListBuckets: GET Service [] => "s3:ListAllMyBuckets", implemented;
    ListDirectoryBuckets: GET Service ["x-id=ListDirectoryBuckets"] => "s3express:ListAllMyDirectoryBuckets", planned;
    ListObjects: GET Bucket [] => "s3:ListBucket", implemented;
    ListObjectsV2: GET Bucket ["list-type=2"] => "s3:ListBucket", implemented;
    ListObjectVersions: GET Bucket ["versions"] => "s3:ListBucketVersions", implemented;
    ListMultipartUploads: GET Bucket ["uploads"] => "s3:ListBucketMultipartUploads", implemented;
    HeadBucket: HEAD Bucket [] => "s3:ListBucket", implemented;
    CreateBucket: PUT Bucket [] => "s3:CreateBucket", implemented;
    DeleteBucket: DELETE Bucket [] => "s3:DeleteBucket", implemented;
    DeleteObjects: POST Bucket ["delete"] => "s3:DeleteObject", implemented;
    PostObject: POST Bucket [] => "s3:PutObject", implemented;
    CreateSession: GET Bucket ["session"] => "s3express:CreateSession", planned;
    GetBucketAbac: GET Bucket ["abac"] => "s3:GetBucketAbac", planned;
    PutBucketAbac: PUT Bucket ["abac"] => "s3:PutBucketAbac", planned;
    GetBucketAccelerateConfiguration: GET Bucket ["accelerate"] => "s3:GetAccelerateConfiguration", implemented;
    PutBucketAccelerateConfiguration: PUT Bucket ["accelerate"] => "s3:PutAccelerateConfiguration", implemented;
    GetBucketAcl: GET Bucket ["acl"] => "s3:GetBucketAcl", implemented;
    PutBucketAcl: PUT Bucket ["acl"] => "s3:PutBucketAcl", implemented;
    GetBucketAnalyticsConfiguration: GET Bucket ["analytics", "id"] => "s3:GetAnalyticsConfiguration", implemented;
    ListBucketAnalyticsConfigurations: GET Bucket ["analytics"] => "s3:GetAnalyticsConfiguration", implemented;
    PutBucketAnalyticsConfiguration: PUT Bucket ["analytics"] => "s3:PutAnalyticsConfiguration", implemented;
    DeleteBucketAnalyticsConfiguration: DELETE Bucket ["analytics"] => "s3:PutAnalyticsConfiguration", implemented;
    GetBucketIntelligentTieringConfiguration: GET Bucket ["intelligent-tiering", "id"] => "s3:GetIntelligentTieringConfiguration", implemented;
    ListBucketIntelligentTieringConfigurations: GET Bucket ["intelligent-tiering"] => "s3:GetIntelligentTieringConfiguration", implemented;
    PutBucketIntelligentTieringConfiguration: PUT Bucket ["intelligent-tiering"] => "s3:PutIntelligentTieringConfiguration", implemented;
    DeleteBucketIntelligentTieringConfiguration: DELETE Bucket ["intelligent-tiering"] => "s3:PutIntelligentTieringConfiguration", implemented;
    GetBucketInventoryConfiguration: GET Bucket ["inventory", "id"] => "s3:GetInventoryConfiguration", implemented;
    ListBucketInventoryConfigurations: GET Bucket ["inventory"] => "s3:GetInventoryConfiguration", implemented;
    PutBucketInventoryConfiguration: PUT Bucket ["inventory"] => "s3:PutInventoryConfiguration", implemented;
    DeleteBucketInventoryConfiguration: DELETE Bucket ["inventory"] => "s3:PutInventoryConfiguration", implemented;
    GetBucketMetricsConfiguration: GET Bucket ["metrics", "id"] => "s3:GetMetricsConfiguration", implemented;
    ListBucketMetricsConfigurations: GET Bucket ["metrics"] => "s3:GetMetricsConfiguration", implemented;
    PutBucketMetricsConfiguration: PUT Bucket ["metrics"] => "s3:PutMetricsConfiguration", implemented;
    DeleteBucketMetricsConfiguration: DELETE Bucket ["metrics"] => "s3:PutMetricsConfiguration", implemented;
    GetBucketCors: GET Bucket ["cors"] => "s3:GetBucketCORS", implemented;
    PutBucketCors: PUT Bucket ["cors"] => "s3:PutBucketCORS", implemented;
    DeleteBucketCors: DELETE Bucket ["cors"] => "s3:PutBucketCORS", implemented;
    GetBucketEncryption: GET Bucket ["encryption"] => "s3:GetEncryptionConfiguration", implemented;
    PutBucketEncryption: PUT Bucket ["encryption"] => "s3:PutEncryptionConfiguration", implemented;
    DeleteBucketEncryption: DELETE Bucket ["encryption"] => "s3:PutEncryptionConfiguration", implemented;
    GetBucketLifecycleConfiguration: GET Bucket ["lifecycle"] => "s3:GetLifecycleConfiguration", implemented;
    PutBucketLifecycleConfiguration: PUT Bucket ["lifecycle"] => "s3:PutLifecycleConfiguration", implemented;
    DeleteBucketLifecycle: DELETE Bucket ["lifecycle"] => "s3:PutLifecycleConfiguration", implemented;
    GetBucketLocation: GET Bucket ["location"] => "s3:GetBucketLocation", implemented;
    GetBucketLogging: GET Bucket ["logging"] => "s3:GetBucketLogging", implemented;
    PutBucketLogging: PUT Bucket ["logging"] => "s3:PutBucketLogging", implemented;
    CreateBucketMetadataConfiguration: POST Bucket ["metadataConfiguration"] => "s3:CreateBucketMetadataTableConfiguration", planned;
    GetBucketMetadataConfiguration: GET Bucket ["metadataConfiguration"] => "s3:GetBucketMetadataTableConfiguration", planned;
    DeleteBucketMetadataConfiguration: DELETE Bucket ["metadataConfiguration"] => "s3:DeleteBucketMetadataTableConfiguration", planned;
    UpdateBucketMetadataInventoryTableConfiguration: PUT Bucket ["metadataInventoryTable"] => "s3:UpdateBucketMetadataInventoryTableConfiguration", planned;
    UpdateBucketMetadataJournalTableConfiguration: PUT Bucket ["metadataJournalTable"] => "s3:UpdateBucketMetadataJournalTableConfiguration", planned;
    CreateBucketMetadataTableConfiguration: POST Bucket ["metadataTable"] => "s3:CreateBucketMetadataTableConfiguration", planned;
    GetBucketMetadataTableConfiguration: GET Bucket ["metadataTable"] => "s3:GetBucketMetadataTableConfiguration", planned;
    DeleteBucketMetadataTableConfiguration: DELETE Bucket ["metadataTable"] => "s3:DeleteBucketMetadataTableConfiguration", planned;
    GetBucketNotificationConfiguration: GET Bucket ["notification"] => "s3:GetBucketNotification", implemented;
    PutBucketNotificationConfiguration: PUT Bucket ["notification"] => "s3:PutBucketNotification", implemented;
    GetObjectLockConfiguration: GET Bucket ["object-lock"] => "s3:GetBucketObjectLockConfiguration", implemented;
    PutObjectLockConfiguration: PUT Bucket ["object-lock"] => "s3:PutBucketObjectLockConfiguration", implemented;
    GetBucketOwnershipControls: GET Bucket ["ownershipControls"] => "s3:GetBucketOwnershipControls", implemented;
    PutBucketOwnershipControls: PUT Bucket ["ownershipControls"] => "s3:PutBucketOwnershipControls", implemented;
    DeleteBucketOwnershipControls: DELETE Bucket ["ownershipControls"] => "s3:PutBucketOwnershipControls", implemented;
    GetBucketPolicy: GET Bucket ["policy"] => "s3:GetBucketPolicy", implemented;
    PutBucketPolicy: PUT Bucket ["policy"] => "s3:PutBucketPolicy", implemented;
    DeleteBucketPolicy: DELETE Bucket ["policy"] => "s3:DeleteBucketPolicy", implemented;
    GetBucketPolicyStatus: GET Bucket ["policyStatus"] => "s3:GetBucketPolicyStatus", implemented;
    GetPublicAccessBlock: GET Bucket ["publicAccessBlock"] => "s3:GetBucketPublicAccessBlock", implemented;
    PutPublicAccessBlock: PUT Bucket ["publicAccessBlock"] => "s3:PutBucketPublicAccessBlock", implemented;
    DeletePublicAccessBlock: DELETE Bucket ["publicAccessBlock"] => "s3:PutBucketPublicAccessBlock", implemented;
    GetBucketReplication: GET Bucket ["replication"] => "s3:GetReplicationConfiguration", planned;
    PutBucketReplication: PUT Bucket ["replication"] => "s3:PutReplicationConfiguration", planned;
    DeleteBucketReplication: DELETE Bucket ["replication"] => "s3:PutReplicationConfiguration", planned;
    GetBucketRequestPayment: GET Bucket ["requestPayment"] => "s3:GetBucketRequestPayment", implemented;
    PutBucketRequestPayment: PUT Bucket ["requestPayment"] => "s3:PutBucketRequestPayment", implemented;
    GetBucketTagging: GET Bucket ["tagging"] => "s3:GetBucketTagging", implemented;
    PutBucketTagging: PUT Bucket ["tagging"] => "s3:PutBucketTagging", implemented;
    DeleteBucketTagging: DELETE Bucket ["tagging"] => "s3:PutBucketTagging", implemented;
    GetBucketVersioning: GET Bucket ["versioning"] => "s3:GetBucketVersioning", implemented;
    PutBucketVersioning: PUT Bucket ["versioning"] => "s3:PutBucketVersioning", implemented;
    GetBucketWebsite: GET Bucket ["website"] => "s3:GetBucketWebsite", implemented;
    PutBucketWebsite: PUT Bucket ["website"] => "s3:PutBucketWebsite", implemented;
    DeleteBucketWebsite: DELETE Bucket ["website"] => "s3:DeleteBucketWebsite", implemented;
    GetObject: GET Object [] => "s3:GetObject", implemented;
    HeadObject: HEAD Object [] => "s3:GetObject", implemented;
    PutObject: PUT Object [] => "s3:PutObject", implemented;
    CopyObject: PUT Object [] + "x-amz-copy-source" => "s3:PutObject", implemented;
    DeleteObject: DELETE Object [] => "s3:DeleteObject", implemented;
    GetObjectAcl: GET Object ["acl"] => "s3:GetObjectAcl", implemented;
    PutObjectAcl: PUT Object ["acl"] => "s3:PutObjectAcl", implemented;
    GetObjectAttributes: GET Object ["attributes"] => "s3:GetObjectAttributes", implemented;
    UpdateObjectEncryption: PUT Object ["encryption"] => "s3:UpdateObjectEncryption", implemented;
    GetObjectLegalHold: GET Object ["legal-hold"] => "s3:GetObjectLegalHold", implemented;
    PutObjectLegalHold: PUT Object ["legal-hold"] => "s3:PutObjectLegalHold", implemented;
    RenameObject: PUT Object ["renameObject"] => "s3:PutObject", implemented;
    RestoreObject: POST Object ["restore"] => "s3:RestoreObject", implemented;
    GetObjectRetention: GET Object ["retention"] => "s3:GetObjectRetention", implemented;
    PutObjectRetention: PUT Object ["retention"] => "s3:PutObjectRetention", implemented;
    SelectObjectContent: POST Object ["select"] => "s3:GetObject", implemented;
    GetObjectTagging: GET Object ["tagging"] => "s3:GetObjectTagging", implemented;
    PutObjectTagging: PUT Object ["tagging"] => "s3:PutObjectTagging", implemented;
    DeleteObjectTagging: DELETE Object ["tagging"] => "s3:DeleteObjectTagging", implemented;
    GetObjectTorrent: GET Object ["torrent"] => "s3:GetObjectTorrent", planned;
    CreateMultipartUpload: POST Object ["uploads"] => "s3:PutObject", implemented;
    UploadPart: PUT Object ["partNumber", "uploadId"] => "s3:PutObject", implemented;
    UploadPartCopy: PUT Object ["partNumber", "uploadId"] + "x-amz-copy-source" => "s3:PutObject", implemented;
    CompleteMultipartUpload: POST Object ["uploadId"] => "s3:PutObject", implemented;
    AbortMultipartUpload: DELETE Object ["uploadId"] => "s3:AbortMultipartUpload", implemented;
    ListParts: GET Object ["uploadId"] => "s3:ListMultipartUploadParts", implemented;
}

/// What uploads lack of S3's checksums.
macro_rules! few_checksums {
    () => {
        "the checksums MD5, SHA512, XXHASH3, XXHASH64 and XXHASH128"
    };
}

/// What implemented operations lack, in words for docs/s3-compatibility.md. One that has all S3
/// documents is not here.
const PARTLY: &[(Operation, &str)] = &[
    (
        Operation::PutBucketAccelerateConfiguration,
        "kept and told, and without an effect",
    ),
    (
        Operation::PutBucketAnalyticsConfiguration,
        "kept and told; nothing is analysed or exported",
    ),
    (
        Operation::PutBucketIntelligentTieringConfiguration,
        "kept and told; no object changes its tier",
    ),
    (
        Operation::PutBucketInventoryConfiguration,
        "CSV; ORC, Parquet, encrypted inventories and the fields `ObjectAccessControlList`, \
         `LifecycleExpirationDate`, `IntelligentTieringReferenceDate` and `ObjectLockEventHold…` are \
         refused with 501",
    ),
    (
        Operation::PutBucketMetricsConfiguration,
        "kept and told; there are no metrics by it",
    ),
    (
        Operation::PutBucketEncryption,
        "`aws:kms:dsse` is refused with 501",
    ),
    (
        Operation::PutBucketLogging,
        "target grants are refused with 501",
    ),
    (
        Operation::PutBucketNotificationConfiguration,
        "EventBridge and the events `s3:ObjectAnnotation:*` and `s3:ObjectRetention:Put` are refused with 501",
    ),
    (
        Operation::PutBucketVersioning,
        "MFA delete is refused with 501",
    ),
    (
        Operation::PutObject,
        concat!(
            "`aws:kms:dsse`, event holds, ",
            few_checksums!(),
            ", and appending where versions are kept or bytes are encrypted, are refused with 501",
        ),
    ),
    (
        Operation::PostObject,
        concat!(
            "`aws:kms:dsse`, event holds and ",
            few_checksums!(),
            " are refused with 501",
        ),
    ),
    (
        Operation::CopyObject,
        concat!(
            "`aws:kms:dsse`, event holds, annotations to copy and ",
            few_checksums!(),
            " are refused with 501",
        ),
    ),
    (
        Operation::CreateMultipartUpload,
        concat!(
            "`aws:kms:dsse`, event holds and ",
            few_checksums!(),
            " are refused with 501",
        ),
    ),
    (
        Operation::UploadPart,
        concat!(few_checksums!(), " are refused with 501"),
    ),
    (
        Operation::CompleteMultipartUpload,
        concat!(few_checksums!(), " are refused with 501"),
    ),
    (
        Operation::AbortMultipartUpload,
        "a condition on when it was initiated is refused with 501",
    ),
    (
        Operation::CreateBucket,
        "directory buckets and the namespace `account-regional` are refused with 501",
    ),
    (
        Operation::PutObjectLockConfiguration,
        "event holds are refused with 501",
    ),
    (
        Operation::PutObjectRetention,
        "event holds are refused with 501",
    ),
    (
        Operation::RestoreObject,
        "a restore of the type `SELECT` is refused with 501",
    ),
    (
        Operation::SelectObjectContent,
        "CSV and JSON; Parquet is refused with 501",
    ),
];

/// Sub-resources that select no operation of the table: of S3's annotations, of its relatives and of
/// extensions. They are listed so that they too can never fall through to the plain verb.
const FOREIGN_SUBRESOURCES: [&str; 14] = [
    "annotation",
    "append",
    "batch",
    "bundle",
    "compose",
    "events",
    "func",
    "metadata",
    "metadataAnnotationTable",
    "position",
    "replication-metrics",
    "replication-reset",
    "syncing",
    "x-amz-object-lambda",
];

/// The path of WriteGetObjectResponse. Source: S3 API reference, WriteGetObjectResponse.
const WRITE_GET_OBJECT_RESPONSE_PATH: &str = "/WriteGetObjectResponse";

/// Every query key that selects an operation, and the foreign ones. Requests are full of parameters
/// that do not (`x-id`), and each of them is looked for in vain.
static SUBRESOURCES: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let selectors = ROUTES.iter().flat_map(|route| route.selectors);
    selectors.chain(&FOREIGN_SUBRESOURCES).copied().collect()
});

impl Operation {
    /// S3's name for it, such as `GetObject`.
    pub fn name(self) -> &'static str {
        self.route().name
    }

    /// The action that a policy has to allow, such as `s3:GetObject`. The source of a copy needs
    /// `s3:GetObject` besides; see also [`Operation::iam_action_on_version`].
    pub fn iam_action(self) -> &'static str {
        self.route().iam_action
    }

    /// The action that a policy has to allow when the request names a version. Source: service
    /// authorization reference, "Actions, resources, and condition keys for Amazon S3".
    pub fn iam_action_on_version(self) -> &'static str {
        match self {
            Self::GetObject | Self::HeadObject => "s3:GetObjectVersion",
            Self::DeleteObject => "s3:DeleteObjectVersion",
            Self::GetObjectAcl => "s3:GetObjectVersionAcl",
            Self::PutObjectAcl => "s3:PutObjectVersionAcl",
            Self::GetObjectAttributes => "s3:GetObjectVersionAttributes",
            Self::GetObjectTagging => "s3:GetObjectVersionTagging",
            Self::PutObjectTagging => "s3:PutObjectVersionTagging",
            Self::DeleteObjectTagging => "s3:DeleteObjectVersionTagging",
            _ => self.iam_action(),
        }
    }

    /// Whether the server does it. The others answer `NotImplemented` and change nothing.
    pub fn implemented(self) -> bool {
        self.route().implemented
    }

    /// What it lacks of what S3 documents, if it is implemented and lacks anything.
    pub fn partly(self) -> Option<&'static str> {
        let mut all = PARTLY.iter();
        all.find(|(operation, _)| *operation == self)
            .map(|(_, lacks)| *lacks)
    }

    /// What it is addressed to.
    pub fn level(self) -> Level {
        self.route().level
    }

    /// The method and the query keys that select it, as in the table.
    pub fn request_line(self) -> (&'static str, &'static [&'static str]) {
        (self.route().method, self.route().selectors)
    }

    fn route(self) -> &'static Route {
        &ROUTES[self as usize]
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The operation that a request means, by its head: as [`resolve`] says.
///
/// WriteGetObjectResponse is told by its path, of which the rest would make a form for a bucket, or,
/// behind a host that begins with its route, a POST to an object. No bucket can have that name, and a
/// POST to an object without a sub-resource means nothing else.
///
/// # Errors
/// As [`resolve`].
pub fn of_request(head: &Parts, level: Level, query: &Query) -> Result<Operation, S3Error> {
    let resolved = resolve(&head.method, level, query, &head.headers);
    if head.method != Method::POST || head.uri.path() != WRITE_GET_OBJECT_RESPONSE_PATH {
        return resolved;
    }
    match resolved {
        Ok(operation) if operation != Operation::PostObject => Ok(operation),
        Err(error) if error.code != S3ErrorCode::MethodNotAllowed => Err(error),
        Ok(_) | Err(_) => Err(S3Error::with_message(
            S3ErrorCode::NotImplemented,
            "WriteGetObjectResponse is not implemented. Nothing was changed.",
        )),
    }
}

/// The operation that a request means by its method, its query and its headers; it can be one that is
/// not implemented, see [`Operation::implemented`].
///
/// # Errors
/// `MethodNotAllowed` for a verb that the resource or sub-resource does not have, `InvalidArgument`
/// for sub-resources that exclude each other and for a version id in a plain PUT, `NotImplemented`
/// for a sub-resource that is known but has no operation at this level. Unknown query parameters
/// are no errors: S3 ignores them, and SDKs send some (`x-id=PutObject`).
pub fn resolve(
    method: &Method,
    level: Level,
    query: &Query,
    headers: &HeaderMap,
) -> Result<Operation, S3Error> {
    let verb = method.as_str();
    let mut best: Option<&Route> = None;
    for route in ROUTES
        .iter()
        .filter(|route| route.level == level && route.method == verb)
    {
        // More selectors win; among equals the row that asks for a header.
        let specific = |route: &Route| (route.selectors.len(), route.header.is_some());
        if route.applies(query, headers) && best.is_none_or(|best| specific(best) < specific(route))
        {
            best = Some(route);
        }
    }
    if query.is_empty() {
        return best
            .map(|route| route.operation)
            .ok_or_else(|| method_not_allowed(verb, level));
    }
    let unused = |name: &str| {
        let is_used = best.is_some_and(|route| route.selectors.contains(&name));
        is_subresource(verb, level, name) && !is_used
    };
    if query.iter().any(|(name, _)| unused(name)) {
        return Err(refuse_subresource(verb, level, query));
    }
    let Some(best) = best else {
        return Err(method_not_allowed(verb, level));
    };
    let is_plain_put = verb == "PUT" && level == Level::Object && best.selectors.is_empty();
    if let Some(version_id) = query.get("versionId").filter(|_| is_plain_put) {
        let message = "This operation does not accept a version-id.";
        return Err(S3Error::invalid_argument("versionId", version_id, message));
    }
    Ok(best.operation)
}

impl Route {
    fn applies(&self, query: &Query, headers: &HeaderMap) -> bool {
        let selected = |selector: &&str| match selector.split_once('=') {
            Some((name, value)) => query.get(name) == Some(value),
            None => query.has(selector),
        };
        self.selectors.iter().all(selected)
            && self
                .header
                .is_none_or(|header| headers.contains_key(header))
    }
}

/// Whether a query key has to be accounted for. `partNumber` selects an operation in a PUT but is a
/// plain parameter of GET and HEAD; `id` and `list-type` only ever refine one.
fn is_subresource(verb: &str, level: Level, name: &str) -> bool {
    match name {
        "id" | "list-type" => false,
        "partNumber" => level == Level::Object && verb != "GET" && verb != "HEAD",
        _ => SUBRESOURCES.contains(name),
    }
}

/// Whether a query key, decoded, can name a sub-resource.
pub fn is_subresource_name(name: &str) -> bool {
    SUBRESOURCES.contains(name)
}

/// The error for sub-resources that no row accounts for.
fn refuse_subresource(verb: &str, level: Level, query: &Query) -> S3Error {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in query.iter() {
        if is_subresource(verb, level, name) && !names.contains(&name) {
            names.push(name);
        }
    }
    let at_level = |name: &str| {
        ROUTES
            .iter()
            .any(|route| route.level == level && route.selectors.contains(&name))
    };
    if names.iter().any(|name| !at_level(name)) {
        return S3Error::new(S3ErrorCode::NotImplemented).detail("ResourceType", names.join(","));
    }
    if let [only] = names[..] {
        if ["partNumber", "uploadId"].contains(&only) && verb == "PUT" {
            let missing = if only == "partNumber" {
                "uploadId"
            } else {
                "partNumber"
            };
            let message = "This operation needs both partNumber and uploadId.";
            return S3Error::invalid_argument(missing, "", message);
        }
        return method_not_allowed(verb, level).detail("Subresource", only);
    }
    let both_of_a_part = names
        .iter()
        .all(|name| ["partNumber", "uploadId"].contains(name));
    if both_of_a_part {
        return method_not_allowed(verb, level).detail("Subresource", names.join(","));
    }
    let message = format!("Conflicting query string parameters: {}", names.join(", "));
    S3Error::with_message(S3ErrorCode::InvalidArgument, message)
}

fn method_not_allowed(verb: &str, level: Level) -> S3Error {
    S3Error::new(S3ErrorCode::MethodNotAllowed)
        .detail("Method", verb)
        .detail("ResourceType", level.resource_type())
}
