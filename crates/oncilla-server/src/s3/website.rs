//! Buckets as websites, at hosts of their own: pages, folders, errors and redirects.
//!
//! Requests are anonymous and read only; whether the objects may be read is decided as ever.
//! Source: S3 User Guide, "Website endpoints", "Configuring an index document", "Configuring a
//! custom error document", "(Optional) Configuring a webpage redirect".

use std::fmt::Write;

use http::header::{CONTENT_TYPE, HOST, LOCATION};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use oncilla_iam::Principal;
use oncilla_store::Bucket;
use oncilla_store::rows::document::DocumentKind;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::X_AMZ_WEBSITE_REDIRECT_LOCATION;
use oncilla_wire::names::check_key;
use oncilla_wire::operation::{Level, Operation};
use oncilla_wire::query::Query;
use oncilla_wire::uri::{decode_path, encode_path};
use oncilla_wire::website::{matching_rule, redirection};
use oncilla_wire::xml::website::{Protocol, RoutingRule, WebsiteConfiguration};

use crate::bucket_logs::Draft;
use crate::s3::answer::{Answer, empty, set};
use crate::s3::body::PayloadForm;
use crate::s3::bucket::no_website;
use crate::s3::cors::PREFLIGHT;
use crate::s3::judged::JudgedObjects;
use crate::s3::payer::check_payer;
use crate::s3::request::{Inherited, S3Request};
use crate::s3::{S3Service, errors, object};
use crate::{RequestBody, RequestContext, ResponseBody};

/// What requests to websites are counted as.
const WEBSITE: &str = "Website";

const X_AMZ_ERROR_CODE: HeaderName = HeaderName::from_static("x-amz-error-code");
const X_AMZ_ERROR_MESSAGE: HeaderName = HeaderName::from_static("x-amz-error-message");

/// A request for a page.
struct PageRequest {
    head: Parts,
    context: RequestContext,
    bucket: std::sync::Arc<Bucket>,
    /// The path without its first slash, decoded.
    key: String,
}

/// A page that could not be had, and if so why the one for errors could not either.
struct PageError {
    error: S3Error,
    of_error_page: Option<S3Error>,
}

impl From<S3Error> for PageError {
    fn from(error: S3Error) -> Self {
        Self {
            error,
            of_error_page: None,
        }
    }
}

impl S3Service {
    /// Answers a request to the website of a bucket. Its errors are pages too.
    pub(super) async fn serve_website(
        &self,
        head: Parts,
        bucket: String,
        context: RequestContext,
    ) -> Answer {
        context.facts.note_bucket(&bucket);
        if head.method == Method::OPTIONS {
            context.facts.note_operation(PREFLIGHT);
            return self.preflight(&head.headers, &bucket, Level::Object).await;
        }
        context.facts.note_operation(WEBSITE);
        let is_head = head.method == Method::HEAD;
        match self.website_page(head, bucket, context.clone()).await {
            Ok(page) => Ok(page),
            Err(failed) => {
                context.facts.note_error_code(failed.error.code.as_str());
                Ok(error_page(&failed, &context, is_head))
            }
        }
    }

    async fn website_page(
        &self,
        head: Parts,
        name: String,
        context: RequestContext,
    ) -> Result<Response<ResponseBody>, PageError> {
        let bucket = self.store.bucket(&name).await;
        let bucket = bucket.map_err(|error| errors::bucket(error).detail("BucketName", name))?;
        self.log_visit(&bucket, &head, &context);
        let document = bucket.documents.get(DocumentKind::Website);
        let document = document.ok_or_else(|| no_website(&bucket))?;
        let website = document
            .parsed(WebsiteConfiguration::parse)
            .map_err(|error| {
                tracing::error!(bucket = bucket.name, %error, "a stored website is damaged");
                S3Error::new(S3ErrorCode::InternalError)
            })?;
        if head.method != Method::GET && head.method != Method::HEAD {
            let error = S3Error::new(S3ErrorCode::MethodNotAllowed);
            return Err(error.detail("Method", head.method.as_str()).into());
        }
        let path = head.uri.path();
        let key = decode_path(path.strip_prefix('/').unwrap_or(path))?.into_owned();
        if !key.is_empty() {
            context.facts.note_key(&key);
        }
        let request = PageRequest {
            head,
            context,
            bucket,
            key,
        };
        match &*website {
            WebsiteConfiguration::RedirectAll { host, protocol } => {
                Ok(request.redirect_all(host, *protocol)?)
            }
            WebsiteConfiguration::Serve {
                index_suffix,
                error_key,
                rules,
            } => {
                self.serve_page(&request, index_suffix, error_key.as_deref(), rules)
                    .await
            }
        }
    }

    /// Begins the line of a request in its bucket's log, if the bucket has one.
    fn log_visit(&self, bucket: &Bucket, head: &Parts, context: &RequestContext) {
        let Some(logs) = &self.bucket_logs else {
            return;
        };
        let query = Query::default();
        if let Some(draft) = Draft::begin(logs, bucket, &head.headers, &query, context) {
            context
                .facts
                .note_bucket_log(draft.of_website(&head.method));
        }
    }

    async fn serve_page(
        &self,
        request: &PageRequest,
        index_suffix: &str,
        error_key: Option<&str>,
        rules: &[RoutingRule],
    ) -> Result<Response<ResponseBody>, PageError> {
        let key = &request.key;
        if let Some(rule) = matching_rule(rules, key, None) {
            return Ok(request.redirect_by(rule)?);
        }
        let is_folder = key.is_empty() || key.ends_with('/');
        let page_key = if is_folder {
            format!("{key}{index_suffix}")
        } else {
            key.clone()
        };
        // What S3's access logs name, too: the object that was looked for (observed).
        request.context.facts.note_key(&page_key);
        let operation = match request.head.method == Method::HEAD {
            true => Operation::HeadObject,
            false => Operation::GetObject,
        };
        let headers = request.head.headers.clone();
        let read = self.read_page(request, operation, &page_key, headers);
        let error = match read.await {
            Ok(page) => return Ok(follow_object(page)?),
            Err(error) => error,
        };
        let status = error.code.status();
        if !matches!(
            status,
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED
        ) {
            return Err(error.into());
        }
        if !is_folder {
            let index = format!("{key}/{index_suffix}");
            let found = self.read_page(request, Operation::HeadObject, &index, HeaderMap::new());
            if found.await.is_ok() {
                return Ok(redirect(StatusCode::FOUND, &folder_path(key))?);
            }
        }
        if let Some(rule) = matching_rule(rules, key, Some(status.as_u16())) {
            return Ok(request.redirect_by(rule)?);
        }
        let Some(error_key) = error_key else {
            return Err(error.into());
        };
        // Conditions and ranges are on the page that was asked for.
        let read = self.read_page(request, operation, error_key, HeaderMap::new());
        match read.await {
            Ok(mut page) => {
                request.context.facts.note_error_code(error.code.as_str());
                *page.status_mut() = status;
                set_error_headers(&mut page, &error);
                Ok(page)
            }
            Err(of_error_page) => Err(PageError {
                error,
                of_error_page: Some(of_error_page),
            }),
        }
    }

    /// Reads an object for a request, as anybody may.
    async fn read_page(
        &self,
        request: &PageRequest,
        operation: Operation,
        key: &str,
        headers: HeaderMap,
    ) -> Answer {
        check_key(key)?;
        let bucket = &request.bucket;
        let mut read = S3Request {
            operation,
            bucket: bucket.name.clone(),
            key: key.to_owned(),
            query: Query::default(),
            headers,
            body: RequestBody::from_bytes(""),
            document: None,
            payload: PayloadForm::Unsigned,
            principal: Principal::Anonymous,
            authentication: None,
            inherited: Inherited::default(),
            judged: JudgedObjects::default(),
            context: request.context.clone(),
        };
        self.authorize_request(&read, bucket).await?;
        check_payer(&read, bucket)?;
        match operation {
            Operation::HeadObject => object::head(self, &mut read, bucket).await,
            _ => object::get(self, &mut read, bucket).await,
        }
    }
}

impl PageRequest {
    fn host(&self) -> &str {
        let host = self.head.headers.get(HOST);
        host.and_then(|host| host.to_str().ok()).unwrap_or_default()
    }

    fn protocol(&self) -> Protocol {
        match self.context.tls {
            true => Protocol::Https,
            false => Protocol::Http,
        }
    }

    fn redirect_all(&self, host: &str, protocol: Option<Protocol>) -> Answer {
        let protocol = protocol.unwrap_or(self.protocol()).as_str();
        let path = self.head.uri.path_and_query();
        let path = path.map_or("/", |path| path.as_str());
        redirect(
            StatusCode::MOVED_PERMANENTLY,
            &format!("{protocol}://{host}{path}"),
        )
    }

    fn redirect_by(&self, rule: &RoutingRule) -> Answer {
        let (code, location) = redirection(rule, &self.key, self.host(), self.protocol());
        let status = StatusCode::from_u16(code);
        redirect(status.unwrap_or(StatusCode::MOVED_PERMANENTLY), &location)
    }
}

/// The path of a folder. A key may begin with a slash, and a `Location` that begins with two names
/// another host (RFC 3986 §4.2), so the second is escaped. A backslash, which browsers take for a slash,
/// always is.
fn folder_path(key: &str) -> String {
    let path = encode_path(key);
    match path.strip_prefix('/') {
        Some(rest) => format!("/%2F{rest}/"),
        None => format!("/{path}/"),
    }
}

/// Sends the client where the object says, if it says so.
fn follow_object(page: Response<ResponseBody>) -> Answer {
    match page.headers().get(X_AMZ_WEBSITE_REDIRECT_LOCATION) {
        None => Ok(page),
        Some(location) => {
            let mut answer = empty(StatusCode::MOVED_PERMANENTLY);
            answer.headers_mut().insert(LOCATION, location.clone());
            Ok(answer)
        }
    }
}

fn redirect(status: StatusCode, location: &str) -> Answer {
    let mut answer = empty(status);
    set(&mut answer, LOCATION, location)?;
    Ok(answer)
}

fn set_error_headers(page: &mut Response<ResponseBody>, error: &S3Error) {
    let code = HeaderValue::from_static(error.code.as_str());
    page.headers_mut().insert(X_AMZ_ERROR_CODE, code);
    if let Ok(message) = HeaderValue::try_from(error.message.as_ref()) {
        page.headers_mut().insert(X_AMZ_ERROR_MESSAGE, message);
    }
}

/// An error as a page for people. A HEAD has no body.
fn error_page(
    failed: &PageError,
    context: &RequestContext,
    is_head: bool,
) -> Response<ResponseBody> {
    let error = &failed.error;
    let status = error.code.status();
    let mut page = empty(status);
    set_error_headers(&mut page, error);
    for (name, value) in &error.headers {
        page.headers_mut().insert(name, value.clone());
    }
    if is_head || status == StatusCode::NOT_MODIFIED {
        return page;
    }
    let html_type = HeaderValue::from_static("text/html; charset=utf-8");
    page.headers_mut().insert(CONTENT_TYPE, html_type);
    let title = format!(
        "{} {}",
        status.as_u16(),
        status.canonical_reason().unwrap_or("Error")
    );
    let mut html = format!(
        "<!DOCTYPE html>\n<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n"
    );
    let id = context.request_id;
    let ids = [("RequestId", id.to_string()), ("HostId", id.host_id())];
    push_facts(&mut html, error, &ids);
    if let Some(error) = &failed.of_error_page {
        html.push_str("<h3>The page for errors could not be read either</h3>\n");
        push_facts(&mut html, error, &[]);
    }
    html.push_str("</body>\n</html>\n");
    page.map(|_| ResponseBody::from(html))
}

/// The list of what is known of an error.
fn push_facts(html: &mut String, error: &S3Error, ids: &[(&str, String)]) {
    html.push_str("<ul>\n");
    let code = ("Code", error.code.as_str());
    let message = ("Message", error.message.as_ref());
    let details = error.details.iter();
    let details = details.map(|(name, value)| (*name, value.as_str()));
    let ids = ids.iter().map(|(name, value)| (*name, value.as_str()));
    for (name, value) in [code, message].into_iter().chain(details).chain(ids) {
        // Writing to a string cannot fail.
        let _ = writeln!(html, "<li>{name}: {}</li>", escape(value));
    }
    html.push_str("</ul>\n");
}

/// Text as HTML has it.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_folder_names_no_host() {
        for (key, path) in [
            ("docs", "/docs/"),
            ("a b/c", "/a%20b/c/"),
            ("/evil.com", "/%2Fevil.com/"),
            ("//evil.com", "/%2F/evil.com/"),
            ("\\evil.com", "/%5Cevil.com/"),
            ("\t/evil.com", "/%09/evil.com/"),
        ] {
            assert_eq!(folder_path(key), path);
            let decoded = decode_path(&path[1..path.len() - 1]).unwrap();
            assert_eq!(decoded, key);
        }
    }

    #[test]
    fn no_markup_gets_into_a_page() {
        assert_eq!(
            escape("<script>'a' & \"b\"</script>"),
            "&lt;script&gt;&#39;a&#39; &amp; &quot;b&quot;&lt;/script&gt;"
        );
    }
}
