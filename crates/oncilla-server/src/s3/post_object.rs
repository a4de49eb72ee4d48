//! POST Object: an upload out of an HTML form.
//!
//! The fields of the form become the headers of a PutObject, which is then carried out as one.
//! Source: S3 API reference, "POST Object" and "Browser-Based Uploads Using POST".

use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, ETAG,
    EXPIRES, HOST, LOCATION, REFERER, USER_AGENT,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri};
use oncilla_iam::Principal;
use oncilla_store::DocumentKind;
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::form::{FormDecoder, FormPart, is_form};
use oncilla_wire::header::{
    X_AMZ_ACL, X_AMZ_OBJECT_SIZE, X_AMZ_SECURITY_TOKEN, X_AMZ_TAGGING, refuse_not_implemented,
};
use oncilla_wire::names::check_key;
use oncilla_wire::operation::Operation;
use oncilla_wire::post_policy::{FormFields, PostPolicy};
use oncilla_wire::query::Query;
use oncilla_wire::sigv2;
use oncilla_wire::sigv4::{SERVICE_S3, SignedPolicy, SigningKey, is_customer_key};
use oncilla_wire::tagging::TagTarget;
use oncilla_wire::uri::{encode_component, encode_path};
use oncilla_wire::xml::post::PostResponse;
use oncilla_wire::xml::tagging;

use crate::s3::answer::{Answer, set};
use crate::s3::authenticate::{Authentication, SignatureVersion, sigv2_not_enabled};
use crate::s3::body::{PayloadForm, in_time};
use crate::s3::form_file::FormFile;
use crate::s3::judged::JudgedObjects;
use crate::s3::payer::{check_payer, tell_charged};
use crate::s3::request::{Inherited, S3Request};
use crate::s3::{S3Service, errors, object};
use crate::{RequestBody, RequestContext, ResponseBody};

/// What the name of the file takes the place of in a key.
const FILENAME: &str = "${filename}";

/// Fields that are standard headers of PutObject.
const HEADER_FIELDS: [HeaderName; 6] = [
    CACHE_CONTROL,
    CONTENT_DISPOSITION,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_TYPE,
    EXPIRES,
];

/// What the names of the others begin with.
const AMZ_PREFIX: &str = "x-amz-";

/// Fields that would be headers, and are about the form or another kind of request.
const FIELDS_OF_THE_FORM: [&str; 9] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-signature",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-security-token",
    "x-amz-trailer",
];

/// A form as far as its file.
struct Form {
    fields: FormFields,
    filename: Option<String>,
    decoder: FormDecoder,
}

impl S3Service {
    /// Takes the file of a form into a bucket.
    pub(super) async fn post_object(
        &self,
        head: Parts,
        mut body: RequestBody,
        name: String,
        query: Query,
        context: RequestContext,
    ) -> Answer {
        let content_type = head.headers.get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let content_type = content_type.filter(|value| is_form(value)).ok_or_else(|| {
            let error = S3Error::new(S3ErrorCode::PreconditionFailed);
            let condition = "Bucket POST must be of the enclosure-type multipart/form-data";
            error.detail("Condition", condition)
        })?;
        let form_bytes = body.length_bytes();
        let form_bytes = form_bytes.ok_or(S3Error::new(S3ErrorCode::MissingContentLength))?;
        let bucket = self.store.bucket(&name).await;
        let bucket =
            bucket.map_err(|error| errors::bucket(error).detail("BucketName", name.clone()))?;
        let mut form = in_time(read_fields(&mut body, content_type)).await?;
        let key = expand_key(&mut form)?;
        context.facts.note_key(&key);
        let (principal, authentication) = self.sender_of_form(&form.fields, &context).await?;
        let lengths = match form.fields.get("policy") {
            None => (0, u64::MAX),
            Some(policy) => {
                let policy = PostPolicy::parse(policy)?;
                let now_ms = self.store.clock().now_ms() as i64;
                policy.check(&form.fields, &bucket.name, now_ms)?;
                policy.lengths()
            }
        };
        let headers = put_headers(&head.headers, &form.fields)?;
        refuse_not_implemented(&headers)?;
        let file = FormFile::new(form.decoder, form_bytes, lengths)?;
        let mut request = S3Request {
            operation: Operation::PostObject,
            bucket: name,
            key,
            query,
            headers,
            body,
            document: None,
            payload: PayloadForm::Form(Box::new(file)),
            principal,
            authentication,
            inherited: Inherited::default(),
            judged: JudgedObjects::default(),
            context,
        };
        let request = &mut request;
        self.log_request(&bucket, request);
        self.authorize_request(request, &bucket).await?;
        let charged = check_payer(request, &bucket)?;
        let stored = match bucket.documents.get(DocumentKind::Notification) {
            Some(_) => object::put(&self.acting_for(request), request, &bucket).await?,
            None => object::put(self, request, &bucket).await?,
        };
        tell_charged(self.posted(request, &form.fields, stored), charged)
    }

    /// Who sends a form: whoever signed its policy; and how that is known. A form without one is
    /// anonymous.
    async fn sender_of_form(
        &self,
        fields: &FormFields,
        context: &RequestContext,
    ) -> Result<(Principal, Option<Authentication>), S3Error> {
        const VERSION_2: [&str; 2] = ["awsaccesskeyid", "signature"];
        const VERSION_4: [&str; 4] = [
            "x-amz-algorithm",
            "x-amz-credential",
            "x-amz-date",
            "x-amz-signature",
        ];
        let has_any = |names: &[&str]| names.iter().any(|name| fields.get(name).is_some());
        let is_version_4 = has_any(&VERSION_4);
        if !is_version_4 && !has_any(&VERSION_2) && fields.get("policy").is_none() {
            return Ok((Principal::Anonymous, None));
        }
        let required = |name| required(fields, name);
        let policy = required("policy")?;
        let token = fields.get(X_AMZ_SECURITY_TOKEN.as_str());
        if is_version_4 {
            let [algorithm, credential, date, signature] = VERSION_4.map(required);
            let signed = SignedPolicy::new(algorithm?, credential?, date?, signature?)?;
            signed.check_time(self.now_s(), &self.limits(SERVICE_S3))?;
            let found = self.find_key(&signed.access_key_id, token, context).await?;
            let key = SigningKey::derive(found.key.secret.expose(), &signed.scope);
            signed.verify(policy, &key)?;
            let signed = Some(signed.timestamp);
            let authentication = Authentication::of_form(SignatureVersion::V4, signed);
            return Ok((self.usable(&found)?, Some(authentication)));
        }
        let [access_key_id, signature] = VERSION_2.map(required);
        let (access_key_id, signature) = (access_key_id?, signature?);
        if !self.options.sigv2 {
            return Err(sigv2_not_enabled());
        }
        let found = self.find_key(access_key_id, token, context).await?;
        sigv2::verify_policy(policy, access_key_id, signature, found.key.secret.expose())?;
        let authentication = Authentication::of_form(SignatureVersion::V2, None);
        Ok((self.usable(&found)?, Some(authentication)))
    }

    /// What the form asked to be answered. Source: "POST Object", `success_action_status` and
    /// `success_action_redirect`.
    fn posted(
        &self,
        request: &S3Request,
        fields: &FormFields,
        mut answer: Response<ResponseBody>,
    ) -> Answer {
        answer.headers_mut().remove(X_AMZ_OBJECT_SIZE);
        let etag = answer
            .headers()
            .get(ETAG)
            .and_then(|etag| etag.to_str().ok());
        let etag = etag.unwrap_or_default().to_owned();
        let redirect = fields.get("success_action_redirect");
        let redirect = redirect.or_else(|| fields.get("redirect"));
        if let Some(target) = redirect.and_then(|url| redirect_target(url, request, &etag)) {
            *answer.status_mut() = StatusCode::SEE_OTHER;
            answer.headers_mut().insert(LOCATION, target);
            return Ok(answer);
        }
        let location = self.url_of(request);
        set(&mut answer, LOCATION, location.as_str())?;
        match fields.get("success_action_status") {
            Some("200") => {}
            Some("201") => {
                *answer.status_mut() = StatusCode::CREATED;
                let content_type = HeaderValue::from_static("application/xml");
                answer.headers_mut().insert(CONTENT_TYPE, content_type);
                let document = PostResponse {
                    location: &location,
                    bucket: &request.bucket,
                    key: &request.key,
                    etag: etag.trim_matches('"'),
                };
                answer = answer.map(|_| ResponseBody::from(document.to_xml()));
            }
            // Any other value counts as none.
            _ => *answer.status_mut() = StatusCode::NO_CONTENT,
        }
        Ok(answer)
    }

    /// The URL of the object, in the form of address that the form was sent to.
    fn url_of(&self, request: &S3Request) -> String {
        let scheme = if request.context.tls { "https" } else { "http" };
        let host = request.host();
        let path = match self.addressing.bucket_of_host(host) {
            Some(_) => format!("/{}", request.key),
            None => format!("/{}/{}", request.bucket, request.key),
        };
        format!("{scheme}://{host}{}", encode_path(&path))
    }
}

/// Reads a form as far as its file.
async fn read_fields(body: &mut RequestBody, content_type: &str) -> Result<Form, S3Error> {
    let mut decoder = FormDecoder::new(content_type)?;
    let mut fields = FormFields::default();
    let without_file = || {
        let message = "POST requires exactly one file upload per request.";
        S3Error::invalid_argument("file", "0", message)
    };
    loop {
        match decoder.next_part()? {
            Some(FormPart::Field { name, value }) => fields.add(&name, value)?,
            Some(FormPart::File { filename }) => {
                return Ok(Form {
                    fields,
                    filename,
                    decoder,
                });
            }
            Some(FormPart::End | FormPart::Bytes(_) | FormPart::FileEnd) => {
                return Err(without_file());
            }
            None => match body.next().await {
                Some(bytes) => decoder.push(bytes.map_err(errors::body)?),
                None => {
                    decoder.finish()?;
                    return Err(without_file());
                }
            },
        }
    }
}

/// The key of the object, with the name of the file in it. The policy is judged by it.
fn expand_key(form: &mut Form) -> Result<String, S3Error> {
    let template = required(&form.fields, "key")?;
    // Of a path, only the last part counts.
    let filename = form.filename.as_deref().unwrap_or_default();
    let filename = filename.rsplit(['/', '\\']).next().unwrap_or_default();
    let key = template.replace(FILENAME, filename);
    check_key(&key)?;
    form.fields.replace("key", key.clone());
    Ok(key)
}

fn required<'f>(fields: &'f FormFields, name: &'static str) -> Result<&'f str, S3Error> {
    fields.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
        let message = format!(
            "Bucket POST must contain a field named '{name}'.  If it is specified, please check \
             the order of the fields."
        );
        S3Error::invalid_argument(name, "", message)
    })
}

/// The headers of the PutObject that the form is.
fn put_headers(of_request: &HeaderMap, fields: &FormFields) -> Result<HeaderMap, S3Error> {
    let mut headers = HeaderMap::new();
    for name in [HOST, REFERER, USER_AGENT] {
        if let Some(value) = of_request.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    for (name, value) in fields.iter() {
        let (header, value) = match name {
            "acl" => (X_AMZ_ACL, value.to_owned()),
            "tagging" => {
                let tags = tagging::parse(value.as_bytes(), TagTarget::Object)?;
                (X_AMZ_TAGGING, tags.to_header())
            }
            name if FIELDS_OF_THE_FORM.contains(&name) => continue,
            name if name.starts_with(AMZ_PREFIX)
                || HEADER_FIELDS.iter().any(|field| field.as_str() == name) =>
            {
                let header = HeaderName::try_from(name).map_err(|_| not_a_header(name, value))?;
                (header, value.to_owned())
            }
            _ => continue,
        };
        // Text beyond ASCII goes as it is, as in headers.
        let bytes = HeaderValue::from_bytes(value.as_bytes());
        headers.insert(header, bytes.map_err(|_| not_a_header(name, &value))?);
    }
    Ok(headers)
}

fn not_a_header(name: &str, value: &str) -> S3Error {
    // Whatever came in the place of a client's key may be most of one.
    let value = if is_customer_key(name) { "" } else { value };
    S3Error::invalid_argument(name, value, "The field cannot be a header of the object.")
}

/// Where the client is sent, with what was stored in the query; `None` for what is no URL, which S3
/// takes for absent.
fn redirect_target(url: &str, request: &S3Request, etag: &str) -> Option<HeaderValue> {
    let (url, fragment) = match url.split_once('#') {
        Some((url, fragment)) => (url, Some(fragment)),
        None => (url, None),
    };
    let parsed: Uri = url.parse().ok()?;
    if !matches!(parsed.scheme_str(), Some("http" | "https")) || parsed.host().is_none() {
        return None;
    }
    let mut target = String::from(url);
    target.push(if parsed.query().is_some() { '&' } else { '?' });
    for (name, value) in [
        ("bucket=", request.bucket.as_str()),
        ("&key=", &request.key),
        ("&etag=", etag),
    ] {
        target.push_str(name);
        target.push_str(&encode_component(value));
    }
    if let Some(fragment) = fragment {
        target.push('#');
        target.push_str(fragment);
    }
    HeaderValue::try_from(target).ok()
}
