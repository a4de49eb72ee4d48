//! Cross-origin requests: preflights, and the headers that let scripts read answers.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Method, Response, StatusCode, Uri};
use oncilla_store::Bucket;
use oncilla_store::rows::document::DocumentKind;
use oncilla_wire::address::Address;
use oncilla_wire::cors::{CrossOrigin, not_allowed, not_enabled};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::operation::Level;
use oncilla_wire::xml::cors::CorsConfiguration;

use crate::ResponseBody;
use crate::s3::answer::{Answer, empty};
use crate::s3::{S3Service, errors};

/// A request that a script of another origin made to a bucket.
pub struct CrossOriginRequest {
    bucket: String,
    asked: CrossOrigin,
}

/// What preflights are counted as.
pub const PREFLIGHT: &str = "Preflight";

impl S3Service {
    /// What has to be known of a request so that its answer can be read by the script that made
    /// it; `None` for nearly all, which cost no more than a look for `Origin`.
    pub(super) fn cross_origin(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Option<Box<CrossOriginRequest>> {
        // A preflight is answered by itself, headers and all.
        if !headers.contains_key(ORIGIN) || method == Method::OPTIONS {
            return None;
        }
        Some(Box::new(CrossOriginRequest {
            bucket: self.bucket_asked(uri, headers)?,
            asked: CrossOrigin::of_request(method, headers)?,
        }))
    }

    fn bucket_asked(&self, uri: &Uri, headers: &HeaderMap) -> Option<String> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        if let Some(bucket) = host.and_then(|host| self.websites.bucket_of(host)) {
            return Some(bucket);
        }
        match self.addressing.resolve(host, uri.path()).ok()? {
            Address::Bucket { bucket } | Address::Object { bucket, .. } => Some(bucket),
            Address::Service | Address::Internal => None,
        }
    }

    /// Adds what the bucket's rules say to any answer, errors among them. An answer does without if
    /// the rules cannot be had: it is the browser then that keeps it from the script.
    pub(super) async fn add_cors_headers(
        &self,
        request: &CrossOriginRequest,
        answer: &mut Response<ResponseBody>,
    ) {
        let Ok(bucket) = self.store.bucket(&request.bucket).await else {
            return;
        };
        let Ok(Some(rules)) = rules_of(&bucket) else {
            return;
        };
        if let Some(headers) = request.asked.answer(&rules) {
            answer.headers_mut().extend(headers);
        }
    }

    /// Answers a preflight. It carries no signature, so it is judged by the bucket's rules alone.
    /// Source: S3 API reference, "OPTIONS object".
    pub(super) async fn preflight(&self, headers: &HeaderMap, name: &str, level: Level) -> Answer {
        let asked = CrossOrigin::of_preflight(headers)?;
        let resource_type = match level {
            Level::Object => "OBJECT",
            Level::Bucket => "BUCKET",
            Level::Service => return Err(not_enabled(&asked, "SERVICE")),
        };
        let bucket = self.store.bucket(name).await;
        let bucket = bucket.map_err(|error| errors::bucket(error).detail("BucketName", name))?;
        let Some(rules) = rules_of(&bucket)? else {
            return Err(not_enabled(&asked, resource_type));
        };
        let Some(allowed) = asked.answer(&rules) else {
            return Err(not_allowed(&asked, resource_type));
        };
        let mut answer = empty(StatusCode::OK);
        answer.headers_mut().extend(allowed);
        Ok(answer)
    }
}

/// The rules of a bucket, if it has any.
fn rules_of(bucket: &Bucket) -> Result<Option<std::sync::Arc<CorsConfiguration>>, S3Error> {
    let Some(document) = bucket.documents.get(DocumentKind::Cors) else {
        return Ok(None);
    };
    let rules = document.parsed(CorsConfiguration::parse);
    rules.map(Some).map_err(|error| {
        tracing::error!(bucket = bucket.name, %error, "stored CORS rules break the rules");
        S3ErrorCode::InternalError.into()
    })
}
