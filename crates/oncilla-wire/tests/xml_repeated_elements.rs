//! What S3's schema has at most once in the document of a request is refused when it is there twice.

#![allow(clippy::unwrap_used)] // A test that fails should say so at once.

use std::ops::Range;

use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::object_lock::{LegalHold, Retention};
use oncilla_wire::tagging::TagTarget;
use oncilla_wire::xml::accelerate::AccelerateStatus;
use oncilla_wire::xml::acl::AccessControlPolicy;
use oncilla_wire::xml::bucket::CreateBucketConfiguration;
use oncilla_wire::xml::cors::CorsConfiguration;
use oncilla_wire::xml::delete::Delete;
use oncilla_wire::xml::encryption::{EncryptionConfiguration, ObjectEncryption};
use oncilla_wire::xml::inventory::InventoryConfiguration;
use oncilla_wire::xml::lifecycle::LifecycleConfiguration;
use oncilla_wire::xml::logging::BucketLoggingStatus;
use oncilla_wire::xml::multipart::CompleteMultipartUpload;
use oncilla_wire::xml::named_configuration::{NamedConfiguration, NamedKind};
use oncilla_wire::xml::notification::NotificationConfiguration;
use oncilla_wire::xml::object_lock::ObjectLockConfiguration;
use oncilla_wire::xml::ownership::ObjectOwnership;
use oncilla_wire::xml::public_access::PublicAccessBlock;
use oncilla_wire::xml::request_payment::Payer;
use oncilla_wire::xml::restore::RestoreRequest;
use oncilla_wire::xml::select::SelectRequest;
use oncilla_wire::xml::tagging;
use oncilla_wire::xml::versioning::VersioningConfiguration;
use oncilla_wire::xml::website::WebsiteConfiguration;

type Parse = fn(&[u8]) -> Result<(), S3Error>;

/// How a request is read, which of its elements there can be several of (or are refused then with a
/// code of their own), and the document, in which every element has a start and an end tag.
type Document = (Parse, &'static [&'static str], &'static str);

const DOCUMENTS: &[Document] = &[
    (
        |xml| Delete::parse(xml).map(drop),
        &["Object"],
        "<Delete><Object><Key>k</Key><VersionId>v</VersionId><ETag>e</ETag>\
         <LastModifiedTime>2030-01-01T00:00:00Z</LastModifiedTime><Size>1</Size></Object>\
         <Quiet>true</Quiet></Delete>",
    ),
    (
        |xml| CompleteMultipartUpload::parse(xml).map(drop),
        &["Part"],
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag>\
         <ChecksumCRC32>a</ChecksumCRC32><ChecksumCRC32C>a</ChecksumCRC32C>\
         <ChecksumCRC64NVME>a</ChecksumCRC64NVME><ChecksumSHA1>a</ChecksumSHA1>\
         <ChecksumSHA256>a</ChecksumSHA256></Part></CompleteMultipartUpload>",
    ),
    (
        |xml| tagging::parse(xml, TagTarget::Object).map(drop),
        &["Tag"],
        "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>",
    ),
    (
        |xml| CreateBucketConfiguration::parse(xml).map(drop),
        &["Tag"],
        "<CreateBucketConfiguration><LocationConstraint>auto</LocationConstraint>\
         <Tags><Tag><Key>k</Key><Value>v</Value></Tag></Tags></CreateBucketConfiguration>",
    ),
    (
        |xml| VersioningConfiguration::parse(xml).map(drop),
        &[],
        "<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Disabled</MfaDelete>\
         </VersioningConfiguration>",
    ),
    (
        |xml| ObjectLockConfiguration::parse(xml).map(drop),
        &[],
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>\
         <DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule>\
         </ObjectLockConfiguration>",
    ),
    (
        |xml| ObjectLockConfiguration::parse(xml).map(drop),
        &[],
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>\
         <DefaultRetention><Mode>GOVERNANCE</Mode><Years>1</Years></DefaultRetention></Rule>\
         </ObjectLockConfiguration>",
    ),
    (
        |xml| Retention::parse(xml).map(drop),
        &[],
        "<Retention><Mode>COMPLIANCE</Mode>\
         <RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate></Retention>",
    ),
    (
        |xml| LegalHold::parse(xml).map(drop),
        &[],
        "<LegalHold><Status>ON</Status></LegalHold>",
    ),
    (
        |xml| PublicAccessBlock::parse(xml).map(drop),
        &[],
        "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls>\
         <IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy>\
         <RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>",
    ),
    (
        |xml| ObjectOwnership::parse(xml).map(drop),
        &[],
        "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule>\
         </OwnershipControls>",
    ),
    (
        |xml| EncryptionConfiguration::parse(xml).map(drop),
        &["EncryptionType"],
        "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>\
         <SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID>\
         </ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled>\
         <BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>\
         </Rule></ServerSideEncryptionConfiguration>",
    ),
    (
        |xml| ObjectEncryption::parse(xml).map(drop),
        &[],
        "<ObjectEncryption><SSE-KMS><KMSKeyArn>k</KMSKeyArn>\
         <BucketKeyEnabled>true</BucketKeyEnabled></SSE-KMS></ObjectEncryption>",
    ),
    (
        |xml| CorsConfiguration::parse(xml).map(drop),
        &[
            "CORSRule",
            "AllowedMethod",
            "AllowedOrigin",
            "AllowedHeader",
            "ExposeHeader",
        ],
        "<CORSConfiguration><CORSRule><ID>i</ID><AllowedMethod>GET</AllowedMethod>\
         <AllowedOrigin>*</AllowedOrigin><AllowedHeader>*</AllowedHeader>\
         <ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>1</MaxAgeSeconds></CORSRule>\
         </CORSConfiguration>",
    ),
    (
        |xml| LifecycleConfiguration::parse(xml).map(drop),
        &["Rule", "Tag", "Transition", "NoncurrentVersionTransition"],
        "<LifecycleConfiguration><Rule><ID>i</ID><Filter><And><Prefix>p</Prefix>\
         <Tag><Key>k</Key><Value>v</Value></Tag>\
         <ObjectSizeGreaterThan>1</ObjectSizeGreaterThan>\
         <ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter><Status>Enabled</Status>\
         <Transition><Days>30</Days><StorageClass>GLACIER</StorageClass></Transition>\
         <Expiration><Days>365</Days></Expiration>\
         <NoncurrentVersionTransition><NoncurrentDays>1</NoncurrentDays>\
         <NewerNoncurrentVersions>3</NewerNoncurrentVersions>\
         <StorageClass>GLACIER</StorageClass></NoncurrentVersionTransition>\
         <NoncurrentVersionExpiration><NoncurrentDays>9</NoncurrentDays>\
         <NewerNoncurrentVersions>5</NewerNoncurrentVersions></NoncurrentVersionExpiration>\
         </Rule></LifecycleConfiguration>",
    ),
    (
        |xml| LifecycleConfiguration::parse(xml).map(drop),
        &["Rule", "Transition"],
        "<LifecycleConfiguration><Rule><Prefix>p</Prefix><Status>Enabled</Status>\
         <Transition><Date>2029-01-01T00:00:00Z</Date><StorageClass>GLACIER</StorageClass>\
         </Transition><Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration>\
         <AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>\
         </AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>",
    ),
    (
        |xml| BucketLoggingStatus::parse(xml).map(drop),
        &["Grant"],
        "<BucketLoggingStatus><LoggingEnabled><TargetBucket>b</TargetBucket>\
         <TargetPrefix>p</TargetPrefix><TargetGrants><Grant><Grantee><ID>a</ID>\
         <DisplayName>A</DisplayName></Grantee><Permission>READ</Permission></Grant>\
         <Grant><Grantee><URI>u</URI></Grantee><Permission>READ</Permission></Grant>\
         </TargetGrants><TargetObjectKeyFormat><PartitionedPrefix>\
         <PartitionDateSource>EventTime</PartitionDateSource></PartitionedPrefix>\
         </TargetObjectKeyFormat></LoggingEnabled></BucketLoggingStatus>",
    ),
    (
        |xml| InventoryConfiguration::parse(xml).map(drop),
        &["Field"],
        "<InventoryConfiguration><Destination><S3BucketDestination><AccountId>1</AccountId>\
         <Bucket>arn:aws:s3:::d</Bucket><Prefix>p</Prefix><Format>CSV</Format>\
         <Encryption><SSE-KMS><KeyId>k</KeyId></SSE-KMS></Encryption></S3BucketDestination>\
         </Destination><Filter><Prefix>a/</Prefix></Filter><Id>i</Id>\
         <IncludedObjectVersions>All</IncludedObjectVersions><IsEnabled>true</IsEnabled>\
         <OptionalFields><Field>Size</Field></OptionalFields>\
         <Schedule><Frequency>Daily</Frequency></Schedule></InventoryConfiguration>",
    ),
    (
        |xml| NotificationConfiguration::parse(xml).map(drop),
        &["TopicConfiguration", "Event", "FilterRule"],
        "<NotificationConfiguration><TopicConfiguration><Id>i</Id><Topic>arn:aws:sns:::t</Topic>\
         <Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>prefix</Name>\
         <Value>p</Value></FilterRule></S3Key></Filter></TopicConfiguration>\
         <EventBridgeConfiguration></EventBridgeConfiguration></NotificationConfiguration>",
    ),
    (
        |xml| NamedConfiguration::parse(NamedKind::Metrics, xml).map(drop),
        &["Tag"],
        "<MetricsConfiguration><Id>i</Id><Filter><And><Prefix>p</Prefix>\
         <Tag><Key>k</Key><Value>v</Value></Tag><AccessPointArn>arn:x</AccessPointArn></And>\
         </Filter></MetricsConfiguration>",
    ),
    (
        |xml| NamedConfiguration::parse(NamedKind::Analytics, xml).map(drop),
        &[],
        "<AnalyticsConfiguration><Id>i</Id><StorageClassAnalysis><DataExport>\
         <OutputSchemaVersion>V_1</OutputSchemaVersion><Destination><S3BucketDestination>\
         <Format>CSV</Format><BucketAccountId>1</BucketAccountId>\
         <Bucket>arn:aws:s3:::d</Bucket><Prefix>p</Prefix></S3BucketDestination></Destination>\
         </DataExport></StorageClassAnalysis></AnalyticsConfiguration>",
    ),
    (
        |xml| NamedConfiguration::parse(NamedKind::IntelligentTiering, xml).map(drop),
        &["Tiering"],
        "<IntelligentTieringConfiguration><Id>i</Id><Status>Enabled</Status><Tiering>\
         <Days>90</Days><AccessTier>ARCHIVE_ACCESS</AccessTier></Tiering>\
         </IntelligentTieringConfiguration>",
    ),
    (
        |xml| Payer::parse(xml).map(drop),
        &[],
        "<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>",
    ),
    (
        |xml| AccelerateStatus::parse(xml).map(drop),
        &[],
        "<AccelerateConfiguration><Status>Enabled</Status></AccelerateConfiguration>",
    ),
    (
        |xml| RestoreRequest::parse(xml).map(drop),
        &[],
        "<RestoreRequest><Days>1</Days><GlacierJobParameters><Tier>Bulk</Tier>\
         </GlacierJobParameters><Tier>Bulk</Tier></RestoreRequest>",
    ),
    (
        |xml| SelectRequest::parse(xml).map(drop),
        &["CSV"],
        "<SelectObjectContentRequest><Expression>SELECT 1</Expression>\
         <ExpressionType>SQL</ExpressionType><InputSerialization>\
         <CompressionType>NONE</CompressionType><CSV><FileHeaderInfo>USE</FileHeaderInfo>\
         <Comments>%</Comments><QuoteCharacter>'</QuoteCharacter>\
         <QuoteEscapeCharacter>!</QuoteEscapeCharacter><RecordDelimiter>|</RecordDelimiter>\
         <FieldDelimiter>;</FieldDelimiter>\
         <AllowQuotedRecordDelimiter>false</AllowQuotedRecordDelimiter></CSV>\
         </InputSerialization><OutputSerialization><CSV><QuoteFields>ALWAYS</QuoteFields>\
         <QuoteCharacter>'</QuoteCharacter><QuoteEscapeCharacter>!</QuoteEscapeCharacter>\
         <RecordDelimiter>|</RecordDelimiter><FieldDelimiter>;</FieldDelimiter></CSV>\
         </OutputSerialization><RequestProgress><Enabled>true</Enabled></RequestProgress>\
         <ScanRange><Start>1</Start><End>2</End></ScanRange></SelectObjectContentRequest>",
    ),
    (
        |xml| SelectRequest::parse(xml).map(drop),
        &["JSON"],
        "<SelectObjectContentRequest><Expression>SELECT 1</Expression>\
         <ExpressionType>SQL</ExpressionType><InputSerialization><JSON><Type>LINES</Type></JSON>\
         </InputSerialization><OutputSerialization><JSON><RecordDelimiter>|</RecordDelimiter>\
         </JSON></OutputSerialization></SelectObjectContentRequest>",
    ),
    (
        |xml| WebsiteConfiguration::parse(xml).map(drop),
        &[],
        "<WebsiteConfiguration><RedirectAllRequestsTo><HostName>h</HostName>\
         <Protocol>https</Protocol></RedirectAllRequestsTo></WebsiteConfiguration>",
    ),
    (
        |xml| WebsiteConfiguration::parse(xml).map(drop),
        &["RoutingRule"],
        "<WebsiteConfiguration><IndexDocument><Suffix>i</Suffix></IndexDocument>\
         <ErrorDocument><Key>e</Key></ErrorDocument><RoutingRules><RoutingRule><Condition>\
         <HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals>\
         <KeyPrefixEquals>p</KeyPrefixEquals></Condition><Redirect><HostName>h</HostName>\
         <Protocol>https</Protocol><HttpRedirectCode>302</HttpRedirectCode>\
         <ReplaceKeyPrefixWith>q</ReplaceKeyPrefixWith></Redirect></RoutingRule><RoutingRule>\
         <Redirect><ReplaceKeyWith>k</ReplaceKeyWith></Redirect></RoutingRule></RoutingRules>\
         </WebsiteConfiguration>",
    ),
];

/// S3 has a code of its own for lists of grants.
const ACCESS_CONTROL_POLICY: Document = (
    |xml| AccessControlPolicy::parse(xml).map(drop),
    &["Grant"],
    "<AccessControlPolicy><Owner><ID>o</ID></Owner><AccessControlList><Grant><Grantee>\
     <ID>a</ID></Grantee><Permission>READ</Permission></Grant></AccessControlList>\
     </AccessControlPolicy>",
);

/// Every element but the root: its name, and where it stands.
fn elements(document: &str) -> Vec<(&str, Range<usize>)> {
    let mut open = Vec::new();
    let mut elements = Vec::new();
    for (start, _) in document.match_indices('<') {
        let end = start + document[start..].find('>').unwrap() + 1;
        match document[start + 1..end - 1].strip_prefix('/') {
            None => open.push(start),
            Some(name) => elements.push((name, open.pop().unwrap()..end)),
        }
    }
    elements.pop();
    elements
}

fn assert_refuses_a_second((parse, several, document): Document, code: S3ErrorCode) {
    let read = |document: &str| parse(document.as_bytes()).map_err(|error| error.code);
    assert_eq!(read(document), Ok(()), "{document}");
    // Clients send other namespaces than S3's.
    let foreign = document.replacen('>', " xmlns=\"http://example.com/\">", 1);
    assert_eq!(read(&foreign), Ok(()), "{foreign}");
    for (name, element) in elements(document) {
        if several.contains(&name) {
            continue;
        }
        let (before, after) = document.split_at(element.end);
        let twice = format!("{before}{}{after}", &document[element]);
        assert_eq!(read(&twice), Err(code), "{name}: {twice}");
    }
}

#[test]
fn an_element_that_can_be_there_once_is_not_there_twice() {
    for document in DOCUMENTS {
        assert_refuses_a_second(*document, S3ErrorCode::MalformedXML);
    }
    assert_refuses_a_second(ACCESS_CONTROL_POLICY, S3ErrorCode::MalformedACLError);
}
