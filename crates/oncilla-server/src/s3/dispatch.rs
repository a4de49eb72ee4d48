//! The way every S3 request takes.

use http::header::{CONTENT_RANGE, CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use oncilla_store::Bucket;
use oncilla_wire::address::Address;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::{X_AMZ_EXPECTED_BUCKET_OWNER, refuse_not_implemented};
use oncilla_wire::names::check_bucket_name;
use oncilla_wire::operation::{self, Level, Operation};
use oncilla_wire::query::Query;
use oncilla_wire::sigv4::RequestView;

use crate::s3::answer::Answer;
use crate::s3::authorize::ObjectTarget;
use crate::s3::errors::ACTUAL_OBJECT_SIZE;
use crate::s3::request::S3Request;
use crate::s3::{S3Service, bucket, errors, multipart, object, service};
use crate::{RequestBody, RequestContext, ResponseBody, Service};

impl Service for S3Service {
    async fn handle(
        &self,
        request: Request<RequestBody>,
        context: RequestContext,
    ) -> Response<ResponseBody> {
        let is_head = request.method() == Method::HEAD;
        let uri = request.uri().clone();
        match self.answer(request, context.clone()).await {
            Ok(answer) => answer,
            Err(error) => {
                context.facts.note_error_code(error.code.as_str());
                error_answer(&error, uri.path(), &context, is_head)
            }
        }
    }
}

impl S3Service {
    async fn answer(&self, request: Request<RequestBody>, context: RequestContext) -> Answer {
        let (mut head, body) = request.into_parts();
        settle_host(&mut head)?;
        let host = head.headers.get(HOST).and_then(|value| value.to_str().ok());
        let address = self.addressing.resolve(host, head.uri.path())?;
        let query = Query::parse(head.uri.query())?;
        let Some(level) = address.level() else {
            return Err(S3ErrorCode::NoSuchKey.into());
        };
        let (bucket, key) = match address {
            Address::Service | Address::Internal => (String::new(), String::new()),
            Address::Bucket { bucket } => (bucket, String::new()),
            Address::Object { bucket, key } => (bucket, key),
        };
        if !bucket.is_empty() {
            context.facts.note_bucket(&bucket);
        }
        if !key.is_empty() {
            context.facts.note_key(&key);
        }
        let operation = operation::resolve(&head.method, level, &query, &head.headers);
        if let Ok(operation) = operation {
            context.facts.note_operation(operation.name());
        }
        let view = RequestView {
            method: head.method.as_str(),
            raw_path: head.uri.path(),
            raw_query: head.uri.query().unwrap_or_default(),
            headers: &head.headers,
        };
        let sender = self.authenticate(&view, &context).await?;
        // What does not exist is told to whoever proved who they are, and to nobody before.
        let operation = operation?;
        let request = S3Request {
            operation,
            bucket,
            key,
            query,
            headers: head.headers,
            body,
            payload: sender.payload,
            principal: sender.principal,
            context,
        };
        self.route(request).await
    }

    /// Authorizes a request and hands it to its handler.
    async fn route(&self, mut request: S3Request) -> Answer {
        let request = &mut request;
        let operation = request.operation;
        refuse_not_implemented(&request.headers)?;
        match operation {
            Operation::ListBuckets => {
                self.authorize_on_service(&request.principal, operation, None)?;
                return service::list_buckets(self, request).await;
            }
            Operation::CreateBucket => {
                check_bucket_name(&request.bucket)?;
                self.authorize_on_service(&request.principal, operation, Some(&request.bucket))?;
                return bucket::create(self, request).await;
            }
            _ => {}
        }
        if !operation.implemented() {
            return Err(not_implemented(operation));
        }
        let bucket = self.store.bucket(&request.bucket).await;
        let bucket = bucket
            .map_err(|error| errors::bucket(error).detail("BucketName", request.bucket.clone()))?;
        let version = match operation.level() {
            Level::Object => request.version_id()?,
            Level::Bucket | Level::Service => None,
        };
        let target = ObjectTarget {
            key: &request.key,
            version,
        };
        self.authorize_in_bucket(&request.principal, operation, &bucket, target)
            .await?;
        check_expected_owner(request, &X_AMZ_EXPECTED_BUCKET_OWNER, &bucket)?;
        let bucket = &bucket;
        match operation {
            Operation::HeadBucket => bucket::head(self, bucket),
            Operation::DeleteBucket => bucket::delete(self, bucket).await,
            Operation::GetBucketLocation => bucket::location(self, bucket),
            Operation::GetBucketVersioning => bucket::get_versioning(bucket),
            Operation::PutBucketVersioning => bucket::put_versioning(self, request, bucket).await,
            Operation::GetBucketAcl => bucket::get_acl(self, bucket).await,
            Operation::PutBucketAcl => bucket::put_acl(self, request, bucket).await,
            Operation::GetBucketEncryption => bucket::get_encryption(self, bucket),
            Operation::PutBucketEncryption => bucket::put_encryption(self, request, bucket).await,
            Operation::DeleteBucketEncryption => bucket::delete_encryption(self, bucket).await,
            Operation::GetBucketTagging => bucket::get_tagging(bucket),
            Operation::PutBucketTagging => bucket::put_tagging(self, request, bucket).await,
            Operation::DeleteBucketTagging => bucket::delete_tagging(self, bucket).await,
            Operation::ListObjects => bucket::list_objects(self, request, bucket).await,
            Operation::ListObjectsV2 => bucket::list_objects_v2(self, request, bucket).await,
            Operation::ListObjectVersions => bucket::list_versions(self, request, bucket).await,
            Operation::ListMultipartUploads => multipart::list_uploads(self, request, bucket).await,
            Operation::DeleteObjects => object::delete_many(self, request, bucket).await,
            Operation::PutObject => object::put(self, request, bucket).await,
            Operation::GetObject => object::get(self, request, bucket).await,
            Operation::HeadObject => object::head(self, request, bucket).await,
            Operation::DeleteObject => object::delete(self, request, bucket).await,
            Operation::CopyObject => object::copy(self, request, bucket).await,
            Operation::GetObjectAttributes => object::attributes(self, request, bucket).await,
            Operation::GetObjectTagging => object::get_tagging(self, request, bucket).await,
            Operation::PutObjectTagging => object::put_tagging(self, request, bucket).await,
            Operation::DeleteObjectTagging => object::delete_tagging(self, request, bucket).await,
            Operation::UpdateObjectEncryption => {
                object::update_encryption(self, request, bucket).await
            }
            Operation::GetObjectAcl => object::get_acl(self, request, bucket).await,
            Operation::PutObjectAcl => object::put_acl(self, request, bucket).await,
            Operation::CreateMultipartUpload => multipart::create(self, request, bucket).await,
            Operation::UploadPart => multipart::upload_part(self, request, bucket).await,
            Operation::UploadPartCopy => multipart::upload_part_copy(self, request, bucket).await,
            Operation::CompleteMultipartUpload => multipart::complete(self, request, bucket).await,
            Operation::AbortMultipartUpload => multipart::abort(self, request, bucket).await,
            Operation::ListParts => multipart::list_parts(self, request, bucket).await,
            _ => Err(not_implemented(operation)),
        }
    }
}

/// Leaves a request with one host, which then both names the bucket and is what was signed: with
/// two of them, a URL presigned for one bucket would open another. The host of a target in absolute
/// form takes the place of the header (RFC 9112 §3.2.2); several headers are refused (§3.2).
fn settle_host(head: &mut http::request::Parts) -> Result<(), S3Error> {
    if let Some(authority) = head.uri.authority() {
        let host = HeaderValue::try_from(authority.as_str());
        let host = host.map_err(|_| S3Error::new(S3ErrorCode::InvalidURI))?;
        head.headers.insert(HOST, host);
    }
    if head.headers.get_all(HOST).iter().count() > 1 {
        let message = "The request must have one Host header.";
        return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
    }
    Ok(())
}

/// Refuses a request whose sender expects the bucket to belong to somebody else.
/// Source: S3 User Guide, "Verifying bucket ownership with bucket owner condition".
pub fn check_expected_owner(
    request: &S3Request,
    name: &HeaderName,
    bucket: &Bucket,
) -> Result<(), S3Error> {
    match request.headers.get(name) {
        Some(expected) if expected.as_bytes() != bucket.record.owner.as_bytes() => {
            Err(S3ErrorCode::AccessDenied.into())
        }
        _ => Ok(()),
    }
}

fn not_implemented(operation: Operation) -> S3Error {
    S3Error::with_message(
        S3ErrorCode::NotImplemented,
        format!(
            "{} is not implemented. Nothing was changed.",
            operation.name()
        ),
    )
}

/// `Content-Range` of an answer 416: how long the object is. Source: RFC 9110 §15.5.17.
fn unsatisfied_range(error: &S3Error) -> Option<HeaderValue> {
    let mut details = error.details.iter();
    let (_, size) = details.find(|(element, _)| *element == ACTUAL_OBJECT_SIZE)?;
    HeaderValue::try_from(format!("bytes */{size}")).ok()
}

/// The answer that tells an error. A HEAD has no body, so its error is the status alone.
fn error_answer(
    error: &S3Error,
    path: &str,
    context: &RequestContext,
    is_head: bool,
) -> Response<ResponseBody> {
    let status = error.code.status();
    let mut answer = Response::new(ResponseBody::Empty);
    *answer.status_mut() = status;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    for (name, value) in &error.headers {
        answer.headers_mut().insert(name, value.clone());
    }
    if let Some(value) = unsatisfied_range(error) {
        answer.headers_mut().insert(CONTENT_RANGE, value);
    }
    if is_head || status == StatusCode::NOT_MODIFIED {
        return answer;
    }
    let id = context.request_id;
    let document = error.to_xml(path, &id.to_string(), &id.host_id());
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    answer.map(|_| ResponseBody::Full(document.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(target: &str, hosts: &[&str]) -> Result<String, S3Error> {
        let mut request = Request::builder().uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        settle_host(&mut head)?;
        let hosts: Vec<_> = head.headers.get_all(HOST).iter().collect();
        assert!(hosts.len() <= 1);
        Ok(hosts
            .first()
            .map_or(String::new(), |host| host.to_str().unwrap().to_owned()))
    }

    #[test]
    fn a_request_has_one_host() {
        assert_eq!(settled("/k", &["a.localhost:1"]).unwrap(), "a.localhost:1");
        assert_eq!(settled("/k", &[]).unwrap(), "");
        for hosts in [&[][..], &["a.localhost"], &["a.localhost", "c.localhost"]] {
            let target = "http://b.localhost:1/k";
            assert_eq!(settled(target, hosts).unwrap(), "b.localhost:1");
        }
        let two = settled("/k", &["a.localhost", "b.localhost"]).unwrap_err();
        assert_eq!(two.code, S3ErrorCode::InvalidRequest);
    }
}
