//! What S3's access log calls an operation: `REST.method.resource`.
//! Source: S3 User Guide, "Amazon S3 server access log format", field "Operation"; where it names no
//! example, the sub-resource in capitals.

use http::Method;
use oncilla_wire::operation::Operation;

/// The name of a request to the website of a bucket: `WEBSITE.method.resource`.
/// Source: S3 User Guide, "Amazon S3 server access log format", field "Operation".
pub fn website_log_name(method: &Method) -> Option<&'static str> {
    match *method {
        Method::GET => Some("WEBSITE.GET.OBJECT"),
        Method::HEAD => Some("WEBSITE.HEAD.OBJECT"),
        Method::POST => Some("WEBSITE.POST.OBJECT"),
        Method::PUT => Some("WEBSITE.PUT.OBJECT"),
        Method::DELETE => Some("WEBSITE.DELETE.OBJECT"),
        _ => None,
    }
}

/// The name of an operation.
pub fn log_name(operation: Operation) -> &'static str {
    use Operation as O;
    match operation {
        O::ListBuckets => "REST.GET.SERVICE",
        O::ListObjects | O::ListObjectsV2 => "REST.GET.BUCKET",
        O::ListObjectVersions => "REST.GET.BUCKETVERSIONS",
        O::ListMultipartUploads => "REST.GET.UPLOADS",
        O::HeadBucket => "REST.HEAD.BUCKET",
        O::CreateBucket => "REST.PUT.BUCKET",
        O::DeleteBucket => "REST.DELETE.BUCKET",
        O::DeleteObjects => "REST.POST.MULTI_OBJECT_DELETE",
        O::PostObject => "REST.POST.OBJECT",
        O::GetObject => "REST.GET.OBJECT",
        O::HeadObject => "REST.HEAD.OBJECT",
        O::PutObject => "REST.PUT.OBJECT",
        O::CopyObject => "REST.COPY.OBJECT",
        O::DeleteObject => "REST.DELETE.OBJECT",
        O::GetBucketAcl | O::GetObjectAcl => "REST.GET.ACL",
        O::PutBucketAcl | O::PutObjectAcl => "REST.PUT.ACL",
        O::GetBucketAccelerateConfiguration => "REST.GET.ACCELERATE",
        O::PutBucketAccelerateConfiguration => "REST.PUT.ACCELERATE",
        O::GetBucketAnalyticsConfiguration | O::ListBucketAnalyticsConfigurations => {
            "REST.GET.ANALYTICS"
        }
        O::PutBucketAnalyticsConfiguration => "REST.PUT.ANALYTICS",
        O::DeleteBucketAnalyticsConfiguration => "REST.DELETE.ANALYTICS",
        O::GetBucketIntelligentTieringConfiguration
        | O::ListBucketIntelligentTieringConfigurations => "REST.GET.INTELLIGENT_TIERING",
        O::PutBucketIntelligentTieringConfiguration => "REST.PUT.INTELLIGENT_TIERING",
        O::DeleteBucketIntelligentTieringConfiguration => "REST.DELETE.INTELLIGENT_TIERING",
        O::GetBucketInventoryConfiguration | O::ListBucketInventoryConfigurations => {
            "REST.GET.INVENTORY"
        }
        O::PutBucketInventoryConfiguration => "REST.PUT.INVENTORY",
        O::DeleteBucketInventoryConfiguration => "REST.DELETE.INVENTORY",
        O::GetBucketMetricsConfiguration | O::ListBucketMetricsConfigurations => "REST.GET.METRICS",
        O::PutBucketMetricsConfiguration => "REST.PUT.METRICS",
        O::DeleteBucketMetricsConfiguration => "REST.DELETE.METRICS",
        O::GetBucketCors => "REST.GET.CORS",
        O::PutBucketCors => "REST.PUT.CORS",
        O::DeleteBucketCors => "REST.DELETE.CORS",
        O::GetBucketEncryption => "REST.GET.ENCRYPTION",
        O::PutBucketEncryption => "REST.PUT.ENCRYPTION",
        O::DeleteBucketEncryption => "REST.DELETE.ENCRYPTION",
        O::GetBucketLifecycleConfiguration => "REST.GET.LIFECYCLE",
        O::PutBucketLifecycleConfiguration => "REST.PUT.LIFECYCLE",
        O::DeleteBucketLifecycle => "REST.DELETE.LIFECYCLE",
        O::GetBucketLocation => "REST.GET.LOCATION",
        O::GetBucketLogging => "REST.GET.LOGGING_STATUS",
        O::PutBucketLogging => "REST.PUT.LOGGING_STATUS",
        O::GetBucketNotificationConfiguration => "REST.GET.NOTIFICATION",
        O::PutBucketNotificationConfiguration => "REST.PUT.NOTIFICATION",
        O::GetObjectLockConfiguration => "REST.GET.OBJECT_LOCK_CONFIGURATION",
        O::PutObjectLockConfiguration => "REST.PUT.OBJECT_LOCK_CONFIGURATION",
        O::GetBucketOwnershipControls => "REST.GET.OWNERSHIP_CONTROLS",
        O::PutBucketOwnershipControls => "REST.PUT.OWNERSHIP_CONTROLS",
        O::DeleteBucketOwnershipControls => "REST.DELETE.OWNERSHIP_CONTROLS",
        O::GetBucketPolicy => "REST.GET.BUCKETPOLICY",
        O::PutBucketPolicy => "REST.PUT.BUCKETPOLICY",
        O::DeleteBucketPolicy => "REST.DELETE.BUCKETPOLICY",
        O::GetBucketPolicyStatus => "REST.GET.POLICY_STATUS",
        O::GetPublicAccessBlock => "REST.GET.PUBLIC_ACCESS_BLOCK",
        O::PutPublicAccessBlock => "REST.PUT.PUBLIC_ACCESS_BLOCK",
        O::DeletePublicAccessBlock => "REST.DELETE.PUBLIC_ACCESS_BLOCK",
        O::GetBucketReplication => "REST.GET.REPLICATION",
        O::PutBucketReplication => "REST.PUT.REPLICATION",
        O::DeleteBucketReplication => "REST.DELETE.REPLICATION",
        O::GetBucketRequestPayment => "REST.GET.REQUEST_PAYMENT",
        O::PutBucketRequestPayment => "REST.PUT.REQUEST_PAYMENT",
        O::GetBucketTagging => "REST.GET.TAGGING",
        O::PutBucketTagging => "REST.PUT.TAGGING",
        O::DeleteBucketTagging => "REST.DELETE.TAGGING",
        O::GetBucketVersioning => "REST.GET.VERSIONING",
        O::PutBucketVersioning => "REST.PUT.VERSIONING",
        O::GetBucketWebsite => "REST.GET.WEBSITE",
        O::PutBucketWebsite => "REST.PUT.WEBSITE",
        O::DeleteBucketWebsite => "REST.DELETE.WEBSITE",
        O::GetObjectAttributes => "REST.GET.OBJECT_ATTRIBUTES",
        O::UpdateObjectEncryption => "REST.PUT.OBJECT_ENCRYPTION",
        O::GetObjectLegalHold => "REST.GET.LEGAL_HOLD",
        O::PutObjectLegalHold => "REST.PUT.LEGAL_HOLD",
        O::RenameObject => "REST.PUT.RENAME_OBJECT",
        O::RestoreObject => "REST.POST.RESTORE",
        O::GetObjectRetention => "REST.GET.RETENTION",
        O::PutObjectRetention => "REST.PUT.RETENTION",
        O::SelectObjectContent => "REST.SELECT.OBJECT",
        O::GetObjectTagging => "REST.GET.OBJECT_TAGGING",
        O::PutObjectTagging => "REST.PUT.OBJECT_TAGGING",
        O::DeleteObjectTagging => "REST.DELETE.OBJECT_TAGGING",
        O::GetObjectTorrent => "REST.GET.TORRENT",
        O::CreateMultipartUpload => "REST.POST.UPLOADS",
        O::UploadPart => "REST.PUT.PART",
        O::UploadPartCopy => "REST.COPY.PART",
        O::CompleteMultipartUpload => "REST.POST.UPLOAD",
        O::AbortMultipartUpload => "REST.DELETE.UPLOAD",
        O::ListParts => "REST.GET.UPLOAD",
        O::CreateSession => "REST.GET.SESSION",
        O::GetBucketAbac => "REST.GET.ABAC",
        O::PutBucketAbac => "REST.PUT.ABAC",
        O::CreateBucketMetadataConfiguration => "REST.POST.METADATA_CONFIGURATION",
        O::GetBucketMetadataConfiguration => "REST.GET.METADATA_CONFIGURATION",
        O::DeleteBucketMetadataConfiguration => "REST.DELETE.METADATA_CONFIGURATION",
        O::UpdateBucketMetadataInventoryTableConfiguration => "REST.PUT.METADATA_INVENTORY_TABLE",
        O::UpdateBucketMetadataJournalTableConfiguration => "REST.PUT.METADATA_JOURNAL_TABLE",
        O::CreateBucketMetadataTableConfiguration => "REST.POST.METADATA_TABLE",
        O::GetBucketMetadataTableConfiguration => "REST.GET.METADATA_TABLE",
        O::DeleteBucketMetadataTableConfiguration => "REST.DELETE.METADATA_TABLE",
        O::ListDirectoryBuckets => "REST.GET.SERVICE",
    }
}
