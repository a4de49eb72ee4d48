//! The way every S3 request takes.

use std::sync::Arc;

use http::header::{CONTENT_RANGE, CONTENT_TYPE, HOST, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use oncilla_iam::policy::{Policy, RequestFacts};
use oncilla_store::{Bucket, DocumentKind};
use oncilla_wire::address::Address;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::{
    X_AMZ_COPY_SOURCE, X_AMZ_EXPECTED_BUCKET_OWNER, refuse_not_implemented,
};
use oncilla_wire::names::check_bucket_name;
use oncilla_wire::operation::{self, Operation};
use oncilla_wire::query::Query;
use oncilla_wire::sigv2;
use oncilla_wire::sigv4::RequestView;
use oncilla_wire::xml::acl::MAX_ACL_BODY_BYTES;
use oncilla_wire::xml::delete::MAX_DELETE_BODY_BYTES;
use oncilla_wire::xml::encryption::MAX_ENCRYPTION_BODY_BYTES;
use oncilla_wire::xml::inventory::MAX_INVENTORY_BODY_BYTES;
use oncilla_wire::xml::named_configuration::NamedKind;
use oncilla_wire::xml::object_lock::MAX_OBJECT_LOCK_BODY_BYTES;
use oncilla_wire::xml::restore::MAX_RESTORE_BODY_BYTES;
use oncilla_wire::xml::select::MAX_SELECT_BODY_BYTES;
use oncilla_wire::xml::tagging::MAX_TAGGING_BODY_BYTES;

use crate::bucket_logs::Draft;
use crate::s3::answer::{Answer, held};
use crate::s3::body::read_document;
use crate::s3::condition_keys::read_what_policies_ask_for;
use crate::s3::cors::PREFLIGHT;
use crate::s3::errors::ACTUAL_OBJECT_SIZE;
use crate::s3::judged::JudgedObjects;
use crate::s3::payer::{check_payer, tell_charged};
use crate::s3::request::{Inherited, S3Request};
use crate::s3::{S3Service, bucket, errors, multipart, object, service};
use crate::{RequestBody, RequestContext, ResponseBody, Service, iam};

impl Service for S3Service {
    async fn handle(
        &self,
        request: Request<RequestBody>,
        context: RequestContext,
    ) -> Response<ResponseBody> {
        let is_head = request.method() == Method::HEAD;
        let uri = request.uri().clone();
        let cross_origin = self.cross_origin(request.method(), &uri, request.headers());
        let answer = self.answer(request, context.clone()).await;
        // Pages of listings have what was reserved for them; of other documents few are long.
        let answer = answer.and_then(|answer| held(&context, answer, None));
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                context.facts.note_error_code(error.code.as_str());
                error_answer(&error, uri.path(), &context, is_head)
            }
        };
        if let Some(request) = cross_origin {
            Box::pin(self.add_cors_headers(&request, &mut answer)).await;
        }
        if let Some(log) = context.facts.bucket_log() {
            log.answered(&answer);
        }
        answer
    }

    async fn complete_refusal(&self, request: &Parts, answer: &mut Response<ResponseBody>) {
        let cross_origin = self.cross_origin(&request.method, &request.uri, &request.headers);
        if let Some(request) = cross_origin {
            self.add_cors_headers(&request, answer).await;
        }
    }
}

impl S3Service {
    async fn answer(&self, request: Request<RequestBody>, context: RequestContext) -> Answer {
        let (mut head, body) = request.into_parts();
        let host = head.headers.get(HOST).and_then(|value| value.to_str().ok());
        if let Some(bucket) = host.and_then(|host| self.websites.bucket_of(host)) {
            return Box::pin(self.serve_website(head, bucket, context)).await;
        }
        let address = self.addressing.resolve(host, head.uri.path())?;
        if address == Address::Service && iam::is_query_request(&head) {
            return Ok(iam::answer(self, &head, body, &context).await);
        }
        if address == Address::Service && iam::is_to_other_service(&head) {
            return Ok(iam::refuse_other_service(&head, &context));
        }
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
        if head.method == Method::OPTIONS {
            context.facts.note_operation(PREFLIGHT);
            return Box::pin(self.preflight(&head.headers, &bucket, level)).await;
        }
        let mut operation = operation::of_request(&head, level, &query);
        if let Ok(operation) = operation {
            context.facts.note_operation(operation.name());
        }
        if matches!(operation, Ok(Operation::PostObject)) {
            return Box::pin(self.post_object(head, body, bucket, query, context)).await;
        }
        let is_copy = head.headers.contains_key(X_AMZ_COPY_SOURCE);
        if self.options.sigv2 && sigv2::is_presigned(head.uri.query().unwrap_or_default()) {
            sigv2::hoist_headers(head.uri.query().unwrap_or_default(), &mut head.headers)?;
        }
        let view = RequestView {
            method: head.method.as_str(),
            raw_path: head.uri.path(),
            raw_query: head.uri.query().unwrap_or_default(),
            headers: &head.headers,
        };
        let sender = match self.authenticate(&view, &context).await {
            Ok(sender) => sender,
            Err(error) => {
                self.log_unauthenticated(&bucket, &head.headers, &query, &context)
                    .await;
                return Err(error);
            }
        };
        sender.complete_headers(&mut head)?;
        // It may have stood in the query, and says what is asked for.
        if head.headers.contains_key(X_AMZ_COPY_SOURCE) != is_copy {
            operation = operation::of_request(&head, level, &query);
            if let Ok(operation) = operation {
                context.facts.note_operation(operation.name());
            }
        }
        // What does not exist is told to whoever proved who they are, and to nobody before.
        let operation = operation?;
        let request = S3Request {
            operation,
            bucket,
            key,
            query,
            headers: head.headers,
            body,
            document: None,
            payload: sender.payload,
            principal: sender.principal,
            authentication: sender.authentication,
            inherited: Inherited::default(),
            judged: JudgedObjects::default(),
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
                self.authorize_on_service(request, &RequestFacts::default(), &[])?;
                return service::list_buckets(self, request).await;
            }
            Operation::CreateBucket => {
                check_bucket_name(&request.bucket)?;
                // Its body says more of what has to be allowed, and is not read for nobody: only for
                // those whose policies ask where the bucket is to be is it read before all.
                if !request.principal.policies().any(Policy::needs_location) {
                    self.authorize_on_service(request, &RequestFacts::default(), &[])?;
                }
                return bucket::create(self, request).await;
            }
            _ => {}
        }
        if !operation.implemented() {
            return Err(not_implemented(operation));
        }
        let mut bucket = self.bucket_of(request).await?;
        self.log_request(&bucket, request);
        read_what_policies_ask_for(self, request, &bucket).await?;
        let mut charged = self.judge(request, &bucket).await?;
        if let Some(limit_bytes) = document_limit(operation) {
            // Nobody's document is read who may not do it now; and whoever may is judged again once
            // it has come, because they say when that is.
            request.document = Some(read_document(request, limit_bytes).await?);
            bucket = self.bucket_of(request).await?;
            charged = self.judge(request, &bucket).await?;
        }
        // Only then do events have to know who caused them.
        let answer = match bucket.documents.get(DocumentKind::Notification) {
            Some(_) => self.acting_for(request).perform(request, &bucket).await,
            None => self.perform(request, &bucket).await,
        };
        tell_charged(answer, charged)
    }

    async fn bucket_of(&self, request: &S3Request) -> Result<Arc<Bucket>, S3Error> {
        let found = self.store.bucket(&request.bucket).await;
        found.map_err(|error| errors::bucket(error).detail("BucketName", request.bucket.clone()))
    }

    /// Judges a request by its bucket as it is now; gives whether the sender pays for it. Only who
    /// is let in otherwise can be told that there is no object.
    async fn judge(&self, request: &S3Request, bucket: &Bucket) -> Result<bool, S3Error> {
        check_expected_owner(request, &X_AMZ_EXPECTED_BUCKET_OWNER, bucket)?;
        let charged = check_payer(request, bucket)?;
        self.authorize_request(request, bucket).await?;
        Ok(charged)
    }

    /// Begins the request's line in its bucket's log, if the bucket has one.
    pub(super) fn log_request(&self, bucket: &Bucket, request: &S3Request) {
        let S3Request {
            headers,
            query,
            context,
            ..
        } = request;
        let logs = self.bucket_logs.as_ref();
        let draft = logs.and_then(|logs| Draft::begin(logs, bucket, headers, query, context));
        if let Some(draft) = draft {
            let account_id = request.account_id();
            let authentication = request.authentication;
            let draft = draft.of(request.operation, account_id, authentication, headers);
            context.facts.note_bucket_log(draft);
        }
    }

    /// As [`S3Service::log_request`] for a request whose sender is not known.
    async fn log_unauthenticated(
        &self,
        bucket: &str,
        headers: &HeaderMap,
        query: &Query,
        context: &RequestContext,
    ) {
        let Some(logs) = &self.bucket_logs else {
            return;
        };
        if bucket.is_empty() {
            return;
        }
        // A line that is missing is as good as one that was lost.
        let Ok(bucket) = self.store.bucket(bucket).await else {
            return;
        };
        if let Some(draft) = Draft::begin(logs, &bucket, headers, query, context) {
            context.facts.note_bucket_log(draft);
        }
    }

    /// Hands a request that is authorized to its handler.
    async fn perform(&self, request: &mut S3Request, bucket: &Bucket) -> Answer {
        let operation = request.operation;
        match operation {
            Operation::HeadBucket => bucket::head(self, bucket),
            Operation::DeleteBucket => bucket::delete(self, bucket).await,
            Operation::GetBucketLocation => bucket::location(self, bucket),
            Operation::GetBucketVersioning => bucket::get_versioning(bucket),
            Operation::PutBucketVersioning => bucket::put_versioning(self, request, bucket).await,
            Operation::GetBucketNotificationConfiguration => bucket::get_notification(bucket),
            Operation::PutBucketNotificationConfiguration => {
                bucket::put_notification(self, request, bucket).await
            }
            Operation::GetBucketInventoryConfiguration => bucket::get_inventory(request, bucket),
            Operation::ListBucketInventoryConfigurations => {
                bucket::list_inventories(request, bucket)
            }
            Operation::PutBucketInventoryConfiguration => {
                bucket::put_inventory(self, request, bucket).await
            }
            Operation::DeleteBucketInventoryConfiguration => {
                bucket::delete_inventory(self, request, bucket).await
            }
            Operation::GetBucketLogging => bucket::get_logging(bucket),
            Operation::PutBucketLogging => bucket::put_logging(self, request, bucket).await,
            Operation::GetObjectLockConfiguration => bucket::get_object_lock(bucket),
            Operation::PutObjectLockConfiguration => {
                bucket::put_object_lock(self, request, bucket).await
            }
            Operation::GetBucketAcl => bucket::get_acl(self, bucket).await,
            Operation::PutBucketAcl => bucket::put_acl(self, request, bucket).await,
            Operation::GetBucketPolicy => bucket::get_policy(bucket),
            Operation::PutBucketPolicy => bucket::put_policy(self, request, bucket).await,
            Operation::DeleteBucketPolicy => bucket::delete_policy(self, bucket).await,
            Operation::GetBucketPolicyStatus => bucket::get_policy_status(bucket),
            Operation::GetPublicAccessBlock => bucket::get_public_access_block(bucket),
            Operation::PutPublicAccessBlock => {
                bucket::put_public_access_block(self, request, bucket).await
            }
            Operation::DeletePublicAccessBlock => {
                bucket::delete_public_access_block(self, bucket).await
            }
            Operation::GetBucketOwnershipControls => bucket::get_ownership(bucket),
            Operation::PutBucketOwnershipControls => {
                bucket::put_ownership(self, request, bucket).await
            }
            Operation::DeleteBucketOwnershipControls => {
                bucket::delete_ownership(self, bucket).await
            }
            Operation::GetBucketEncryption => bucket::get_encryption(self, bucket),
            Operation::PutBucketEncryption => bucket::put_encryption(self, request, bucket).await,
            Operation::DeleteBucketEncryption => bucket::delete_encryption(self, bucket).await,
            Operation::GetBucketTagging => bucket::get_tagging(bucket),
            Operation::PutBucketTagging => bucket::put_tagging(self, request, bucket).await,
            Operation::DeleteBucketTagging => bucket::delete_tagging(self, bucket).await,
            Operation::GetBucketLifecycleConfiguration => bucket::get_lifecycle(bucket),
            Operation::PutBucketLifecycleConfiguration => {
                bucket::put_lifecycle(self, request, bucket).await
            }
            Operation::DeleteBucketLifecycle => bucket::delete_lifecycle(self, bucket).await,
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
            Operation::RenameObject => object::rename(self, request, bucket).await,
            Operation::GetObjectAttributes => object::attributes(self, request, bucket).await,
            Operation::GetObjectTagging => object::get_tagging(self, request, bucket).await,
            Operation::PutObjectTagging => object::put_tagging(self, request, bucket).await,
            Operation::DeleteObjectTagging => object::delete_tagging(self, request, bucket).await,
            Operation::UpdateObjectEncryption => {
                object::update_encryption(self, request, bucket).await
            }
            Operation::GetObjectAcl => object::get_acl(self, request, bucket).await,
            Operation::PutObjectAcl => object::put_acl(self, request, bucket).await,
            Operation::SelectObjectContent => object::select(self, request, bucket).await,
            Operation::GetObjectRetention => object::get_retention(self, request, bucket).await,
            Operation::PutObjectRetention => object::put_retention(self, request, bucket).await,
            Operation::GetObjectLegalHold => object::get_legal_hold(self, request, bucket).await,
            Operation::PutObjectLegalHold => object::put_legal_hold(self, request, bucket).await,
            Operation::RestoreObject => object::restore(self, request, bucket).await,
            Operation::CreateMultipartUpload => multipart::create(self, request, bucket).await,
            Operation::UploadPart => multipart::upload_part(self, request, bucket).await,
            Operation::UploadPartCopy => multipart::upload_part_copy(self, request, bucket).await,
            Operation::CompleteMultipartUpload => multipart::complete(self, request, bucket).await,
            Operation::AbortMultipartUpload => multipart::abort(self, request, bucket).await,
            Operation::ListParts => multipart::list_parts(self, request, bucket).await,
            Operation::GetBucketCors => bucket::get_cors(bucket),
            Operation::PutBucketCors => bucket::put_cors(self, request, bucket).await,
            Operation::DeleteBucketCors => bucket::delete_cors(self, bucket).await,
            Operation::GetBucketWebsite => bucket::get_website(bucket),
            Operation::PutBucketWebsite => bucket::put_website(self, request, bucket).await,
            Operation::DeleteBucketWebsite => bucket::delete_website(self, bucket).await,
            Operation::GetBucketRequestPayment => bucket::get_request_payment(bucket),
            Operation::PutBucketRequestPayment => {
                bucket::put_request_payment(self, request, bucket).await
            }
            Operation::GetBucketAccelerateConfiguration => bucket::get_accelerate(bucket),
            Operation::PutBucketAccelerateConfiguration => {
                bucket::put_accelerate(self, request, bucket).await
            }
            Operation::GetBucketAnalyticsConfiguration => {
                bucket::get_configuration(request, bucket, NamedKind::Analytics)
            }
            Operation::ListBucketAnalyticsConfigurations => {
                bucket::list_configurations(request, bucket, NamedKind::Analytics)
            }
            Operation::PutBucketAnalyticsConfiguration => {
                bucket::put_configuration(self, request, bucket, NamedKind::Analytics).await
            }
            Operation::DeleteBucketAnalyticsConfiguration => {
                bucket::delete_configuration(self, request, bucket, NamedKind::Analytics).await
            }
            Operation::GetBucketMetricsConfiguration => {
                bucket::get_configuration(request, bucket, NamedKind::Metrics)
            }
            Operation::ListBucketMetricsConfigurations => {
                bucket::list_configurations(request, bucket, NamedKind::Metrics)
            }
            Operation::PutBucketMetricsConfiguration => {
                bucket::put_configuration(self, request, bucket, NamedKind::Metrics).await
            }
            Operation::DeleteBucketMetricsConfiguration => {
                bucket::delete_configuration(self, request, bucket, NamedKind::Metrics).await
            }
            Operation::GetBucketIntelligentTieringConfiguration => {
                bucket::get_configuration(request, bucket, NamedKind::IntelligentTiering)
            }
            Operation::ListBucketIntelligentTieringConfigurations => {
                bucket::list_configurations(request, bucket, NamedKind::IntelligentTiering)
            }
            Operation::PutBucketIntelligentTieringConfiguration => {
                bucket::put_configuration(self, request, bucket, NamedKind::IntelligentTiering)
                    .await
            }
            Operation::DeleteBucketIntelligentTieringConfiguration => {
                bucket::delete_configuration(self, request, bucket, NamedKind::IntelligentTiering)
                    .await
            }
            _ => Err(not_implemented(operation)),
        }
    }
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

/// The longest document of an operation that is about objects which are there already, and may be
/// others by the time that the document has come.
pub fn document_limit(operation: Operation) -> Option<u64> {
    let limit_bytes = match operation {
        Operation::DeleteObjects => MAX_DELETE_BODY_BYTES,
        Operation::PutObjectAcl => MAX_ACL_BODY_BYTES,
        Operation::PutObjectTagging => MAX_TAGGING_BODY_BYTES,
        Operation::PutObjectRetention | Operation::PutObjectLegalHold => MAX_OBJECT_LOCK_BODY_BYTES,
        Operation::RestoreObject => MAX_RESTORE_BODY_BYTES,
        Operation::SelectObjectContent => MAX_SELECT_BODY_BYTES,
        Operation::UpdateObjectEncryption => MAX_ENCRYPTION_BODY_BYTES,
        Operation::PutBucketInventoryConfiguration => MAX_INVENTORY_BODY_BYTES,
        _ => return None,
    };
    Some(limit_bytes as u64)
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
    if error.code != S3ErrorCode::InvalidRange {
        return None;
    }
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
