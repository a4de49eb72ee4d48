//! The resolver as a whole: every method with every sub-resource.

#![allow(clippy::unwrap_used)] // A test that fails should say so at once.

use http::{HeaderMap, HeaderValue, Method, Request};
use oncilla_wire::error::S3ErrorCode;
use oncilla_wire::operation::{Level, Operation, of_request, resolve};
use oncilla_wire::query::Query;
use proptest::prelude::*;

/// Written out by hand, not taken from the table, so that a row lost there is found here.
const SUBRESOURCES: &[&str] = &[
    "abac",
    "accelerate",
    "acl",
    "analytics",
    "annotation",
    "append",
    "attributes",
    "batch",
    "bundle",
    "compose",
    "cors",
    "delete",
    "encryption",
    "events",
    "func",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metadata",
    "metadataAnnotationTable",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "position",
    "publicAccessBlock",
    "renameObject",
    "replication",
    "replication-metrics",
    "replication-reset",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "session",
    "syncing",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versioning",
    "versions",
    "website",
    "x-amz-object-lambda",
];

const PLAIN: &[Operation] = &[
    Operation::ListBuckets,
    Operation::ListObjects,
    Operation::ListObjectsV2,
    Operation::HeadBucket,
    Operation::CreateBucket,
    Operation::DeleteBucket,
    Operation::PostObject,
    Operation::GetObject,
    Operation::HeadObject,
    Operation::PutObject,
    Operation::CopyObject,
    Operation::DeleteObject,
];

const METHODS: [Method; 8] = [
    Method::GET,
    Method::HEAD,
    Method::PUT,
    Method::POST,
    Method::DELETE,
    Method::PATCH,
    Method::OPTIONS,
    Method::TRACE,
];

const LEVELS: [Level; 3] = [Level::Service, Level::Bucket, Level::Object];

fn ask(method: &Method, level: Level, query: &str) -> Result<Operation, S3ErrorCode> {
    ask_with(method, level, query, &HeaderMap::new())
}

fn ask_with(
    method: &Method,
    level: Level,
    query: &str,
    headers: &HeaderMap,
) -> Result<Operation, S3ErrorCode> {
    let query = Query::parse(Some(query)).unwrap();
    resolve(method, level, &query, headers).map_err(|error| error.code)
}

fn copy_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-copy-source", HeaderValue::from_static("a/b"));
    headers
}

#[test]
fn no_subresource_ever_falls_through_to_the_plain_verb() {
    let mut asked = 0;
    for subresource in SUBRESOURCES {
        for method in &METHODS {
            for level in LEVELS {
                for headers in [HeaderMap::new(), copy_headers()] {
                    for query in [
                        (*subresource).to_owned(),
                        format!("{subresource}="),
                        format!("{subresource}=x"),
                        format!("prefix=a&{subresource}&x-id=PutObject"),
                        format!("list-type=2&{subresource}"),
                        format!("{subresource}&{subresource}"),
                        format!("{subresource}&id=1&versionId=2"),
                    ] {
                        asked += 1;
                        if let Ok(operation) = ask_with(method, level, &query, &headers) {
                            assert!(!PLAIN.contains(&operation), "{method} {query}: {operation}");
                            assert_eq!(operation.level(), level, "{method} {query}");
                        }
                    }
                }
            }
        }
    }
    assert_eq!(
        asked,
        SUBRESOURCES.len() * METHODS.len() * LEVELS.len() * 2 * 7
    );
}

#[test]
fn plain_verbs() {
    let cases = [
        (Method::GET, Level::Service, "", Operation::ListBuckets),
        (
            Method::GET,
            Level::Service,
            "max-buckets=10",
            Operation::ListBuckets,
        ),
        (Method::GET, Level::Bucket, "", Operation::ListObjects),
        (
            Method::GET,
            Level::Bucket,
            "list-type=1",
            Operation::ListObjects,
        ),
        (
            Method::GET,
            Level::Bucket,
            "list-type=2&prefix=a",
            Operation::ListObjectsV2,
        ),
        (Method::HEAD, Level::Bucket, "", Operation::HeadBucket),
        (Method::PUT, Level::Bucket, "", Operation::CreateBucket),
        (
            Method::PUT,
            Level::Bucket,
            "x-id=CreateBucket",
            Operation::CreateBucket,
        ),
        (Method::DELETE, Level::Bucket, "", Operation::DeleteBucket),
        (
            Method::GET,
            Level::Object,
            "partNumber=3",
            Operation::GetObject,
        ),
        (
            Method::GET,
            Level::Object,
            "versionId=x&response-expires=y",
            Operation::GetObject,
        ),
        (
            Method::HEAD,
            Level::Object,
            "partNumber=3",
            Operation::HeadObject,
        ),
        (
            Method::PUT,
            Level::Object,
            "x-id=PutObject&mine=1",
            Operation::PutObject,
        ),
        (
            Method::DELETE,
            Level::Object,
            "versionId=x",
            Operation::DeleteObject,
        ),
    ];
    for (method, level, query, expected) in cases {
        assert_eq!(ask(&method, level, query), Ok(expected), "{method} {query}");
    }
}

#[test]
fn subresources_select_their_operation() {
    let cases = [
        (
            Method::GET,
            Level::Bucket,
            "location",
            Operation::GetBucketLocation,
        ),
        (
            Method::GET,
            Level::Bucket,
            "versions&prefix=",
            Operation::ListObjectVersions,
        ),
        (
            Method::GET,
            Level::Bucket,
            "uploads",
            Operation::ListMultipartUploads,
        ),
        (
            Method::GET,
            Level::Bucket,
            "versioning",
            Operation::GetBucketVersioning,
        ),
        (
            Method::POST,
            Level::Bucket,
            "delete",
            Operation::DeleteObjects,
        ),
        (
            Method::DELETE,
            Level::Bucket,
            "policy",
            Operation::DeleteBucketPolicy,
        ),
        (
            Method::GET,
            Level::Bucket,
            "inventory",
            Operation::ListBucketInventoryConfigurations,
        ),
        (
            Method::GET,
            Level::Bucket,
            "inventory&id=a",
            Operation::GetBucketInventoryConfiguration,
        ),
        (
            Method::POST,
            Level::Object,
            "uploads",
            Operation::CreateMultipartUpload,
        ),
        (
            Method::PUT,
            Level::Object,
            "partNumber=1&uploadId=u",
            Operation::UploadPart,
        ),
        (
            Method::POST,
            Level::Object,
            "uploadId=u",
            Operation::CompleteMultipartUpload,
        ),
        (
            Method::DELETE,
            Level::Object,
            "uploadId=u",
            Operation::AbortMultipartUpload,
        ),
        (
            Method::GET,
            Level::Object,
            "uploadId=u&max-parts=5",
            Operation::ListParts,
        ),
        (
            Method::GET,
            Level::Object,
            "attributes&versionId=1",
            Operation::GetObjectAttributes,
        ),
        (
            Method::GET,
            Level::Object,
            "tagging",
            Operation::GetObjectTagging,
        ),
        (Method::PUT, Level::Object, "acl", Operation::PutObjectAcl),
    ];
    for (method, level, query, expected) in cases {
        assert_eq!(ask(&method, level, query), Ok(expected), "{method} {query}");
    }
    let headers = copy_headers();
    let put = |query| ask_with(&Method::PUT, Level::Object, query, &headers);
    assert_eq!(put(""), Ok(Operation::CopyObject));
    assert_eq!(
        put("partNumber=1&uploadId=u"),
        Ok(Operation::UploadPartCopy)
    );
    assert_eq!(put("acl"), Ok(Operation::PutObjectAcl));
}

#[test]
fn what_is_refused_and_how() {
    use S3ErrorCode::{InvalidArgument, MethodNotAllowed, NotImplemented};
    let cases = [
        (Method::POST, Level::Service, "", MethodNotAllowed),
        (Method::DELETE, Level::Service, "", MethodNotAllowed),
        (Method::POST, Level::Object, "", MethodNotAllowed),
        (Method::PATCH, Level::Bucket, "", MethodNotAllowed),
        (Method::DELETE, Level::Bucket, "acl", MethodNotAllowed),
        (Method::GET, Level::Bucket, "delete", MethodNotAllowed),
        (Method::HEAD, Level::Object, "tagging", MethodNotAllowed),
        (Method::HEAD, Level::Object, "uploadId=u", MethodNotAllowed),
        (Method::DELETE, Level::Object, "policy", NotImplemented),
        (Method::POST, Level::Bucket, "restore", NotImplemented),
        (Method::POST, Level::Bucket, "bundle", NotImplemented),
        (
            Method::GET,
            Level::Bucket,
            "metadata&with-size=true",
            NotImplemented,
        ),
        (Method::POST, Level::Service, "func=presign", NotImplemented),
        (Method::PUT, Level::Object, "partNumber=1", InvalidArgument),
        (Method::PUT, Level::Object, "uploadId=u", InvalidArgument),
        (Method::PUT, Level::Object, "versionId=u", InvalidArgument),
        (Method::GET, Level::Bucket, "acl&policy", InvalidArgument),
        (
            Method::DELETE,
            Level::Object,
            "uploadId=u&tagging",
            InvalidArgument,
        ),
    ];
    for (method, level, query, expected) in cases {
        assert_eq!(
            ask(&method, level, query),
            Err(expected),
            "{method} {query}"
        );
    }
}

#[test]
fn a_response_of_object_lambda_is_told_by_its_path() {
    let ask = |method: &str, target: &str, level| {
        let request = Request::builder().method(method).uri(target);
        let (head, ()) = request.body(()).unwrap().into_parts();
        let query = Query::parse(head.uri.query()).unwrap();
        of_request(&head, level, &query).map_err(|error| error.code)
    };
    let path = "/WriteGetObjectResponse";
    let with_id = "/WriteGetObjectResponse?x-id=WriteGetObjectResponse";
    for target in [path, with_id] {
        // Behind a host that begins with a route, it looks like a key.
        for level in [Level::Bucket, Level::Object] {
            let answer = ask("POST", target, level);
            assert_eq!(answer, Err(S3ErrorCode::NotImplemented), "{target}");
        }
    }
    let others = [
        ("POST", "/bucket", Level::Bucket, Operation::PostObject),
        ("GET", path, Level::Object, Operation::GetObject),
        ("PUT", path, Level::Object, Operation::PutObject),
        (
            "POST",
            "/WriteGetObjectResponse?uploads",
            Level::Object,
            Operation::CreateMultipartUpload,
        ),
    ];
    for (method, target, level, operation) in others {
        assert_eq!(ask(method, target, level), Ok(operation), "{target}");
    }
    let post = ask("POST", "/key", Level::Object);
    assert_eq!(post, Err(S3ErrorCode::MethodNotAllowed));
}

#[test]
fn every_operation_can_be_reached_and_names_itself() {
    let mut reached = std::collections::HashSet::new();
    let queries = SUBRESOURCES.iter().flat_map(|subresource| {
        [
            (*subresource).to_owned(),
            format!("{subresource}&id=1"),
            format!("{subresource}&partNumber=1"),
        ]
    });
    let others = ["", "list-type=2", "x-id=ListDirectoryBuckets"].map(str::to_owned);
    for query in queries.chain(others) {
        for method in &METHODS {
            for level in LEVELS {
                for headers in [HeaderMap::new(), copy_headers()] {
                    reached.extend(ask_with(method, level, &query, &headers));
                }
            }
        }
    }
    for operation in Operation::ALL {
        assert!(reached.contains(operation), "{operation} cannot be reached");
        assert_eq!(operation.name(), format!("{operation:?}"));
        assert!(operation.iam_action().starts_with("s3"));
    }
}

proptest! {
    #[test]
    fn arbitrary_queries_never_panic(query in ".{0,100}", method in 0usize..8, level in 0usize..3) {
        if let Ok(query) = Query::parse(Some(&query)) {
            let _ = resolve(&METHODS[method], LEVELS[level], &query, &HeaderMap::new());
        }
    }
}
