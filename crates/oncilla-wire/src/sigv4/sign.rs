//! Signing requests, for clients and for the gateway.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};
use oncilla_hash::hex;

use super::canonical::{PathForm, canonical_request, string_to_sign};
use super::{
    ALGORITHM, AmzDate, ChunkSeed, PayloadDeclaration, RequestView, SIGNATURE_LENGTH_BYTES, Scope,
    SigningKey, has_to_be_signed,
};
use crate::uri::{self, MalformedEscape};

const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// Headers that are signed besides `x-amz-*` and `x-tigris-*`. Proxies leave them alone, and they change what the
/// request means.
const SIGNED_HEADERS: [&str; 4] = ["host", "content-type", "content-md5", "range"];

/// An access key. Its `Debug` shows the id alone.
#[derive(Clone)]
pub struct Credentials {
    /// The public part.
    pub access_key_id: String,
    /// The secret part.
    pub secret_access_key: String,
    /// The token of temporary credentials.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Why a request could not be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The access key id, session token or a signed header cannot stand in a header.
    #[error("{0} contains characters that a header cannot carry")]
    NotAHeaderValue(&'static str),
    /// The caller gave no `host` header, which must be signed.
    #[error("a request needs a host header before it is signed")]
    MissingHost,
    /// The path or the query has a malformed percent-escape.
    #[error("the request target has a malformed percent-escape")]
    InvalidTarget,
}

/// The part of a request that is signed besides its headers, as it will stand on the wire.
#[derive(Clone, Copy, Debug)]
pub struct UnsignedRequest<'a> {
    /// The method, such as `PUT`.
    pub method: &'a str,
    /// The percent-encoded path with its leading slash.
    pub raw_path: &'a str,
    /// The query without the question mark; empty when there is none.
    pub raw_query: &'a str,
}

/// Signs requests with one access key for one region and service, on one day. Make a new one when
/// [`Signer::covers`] says that the day is over.
#[derive(Clone, Debug)]
pub struct Signer {
    access_key_id: String,
    session_token: Option<String>,
    scope: Scope<'static>,
    key: SigningKey,
}

impl Signer {
    /// Derives the key for the day of `now`.
    pub fn new(credentials: &Credentials, region: &str, service: &str, now: &AmzDate) -> Self {
        let scope = Scope {
            day: Cow::Owned(now.day().to_owned()),
            region: Cow::Owned(region.to_owned()),
            service: Cow::Owned(service.to_owned()),
        };
        let key = SigningKey::derive(&credentials.secret_access_key, &scope);
        Self {
            access_key_id: credentials.access_key_id.clone(),
            session_token: credentials.session_token.clone(),
            scope,
            key,
        }
    }

    /// Whether requests made at `now` can still be signed.
    pub fn covers(&self, now: &AmzDate) -> bool {
        self.scope.day == now.day()
    }

    /// Signs in the `Authorization` header. Adds `x-amz-date`, `x-amz-content-sha256`,
    /// `x-amz-security-token` if there is one, and `authorization`, replacing older ones. Signs
    /// `host`, `content-type`, `content-md5`, `range` and every `x-amz-*` and `x-tigris-*` header;
    /// other headers may be added or changed afterwards. Returns the seed for signing the chunks of a streaming body.
    ///
    /// # Errors
    /// See [`SignError`].
    pub fn sign(
        &self,
        request: &UnsignedRequest<'_>,
        headers: &mut HeaderMap,
        payload: PayloadDeclaration,
        now: &AmzDate,
    ) -> Result<ChunkSeed, SignError> {
        if !headers.contains_key(HOST) {
            return Err(SignError::MissingHost);
        }
        let payload_text = payload.to_text();
        headers.insert(AMZ_DATE, header_value(now.as_str(), "x-amz-date")?);
        headers.insert(
            CONTENT_SHA256,
            header_value(&payload_text, "x-amz-content-sha256")?,
        );
        headers.remove(SECURITY_TOKEN);
        if let Some(token) = &self.session_token {
            headers.insert(SECURITY_TOKEN, header_value(token, "x-amz-security-token")?);
        }

        let is_signed = |name: &&str| SIGNED_HEADERS.contains(name) || has_to_be_signed(name);
        let signed_headers = sorted_names(headers, is_signed);
        let signature = self.signature(request, headers, &signed_headers, &payload_text, now)?;
        let signature_text = std::str::from_utf8(&signature).unwrap_or_default();
        let authorization = format!(
            "{ALGORITHM} Credential={}/{},SignedHeaders={signed_headers},Signature={signature_text}",
            self.access_key_id, self.scope
        );
        headers.insert(
            AUTHORIZATION,
            header_value(&authorization, "authorization")?,
        );
        Ok(ChunkSeed::new(
            self.key.clone(),
            self.scope.to_string(),
            *now,
            signature,
        ))
    }

    /// Signs in the query: returns the whole query string of a URL that holds for `expires_s`
    /// seconds from `now`. All of `headers` are signed, so whoever uses the URL must send them as
    /// they are; `host` must be among them.
    ///
    /// # Errors
    /// See [`SignError`].
    pub fn presign(
        &self,
        request: &UnsignedRequest<'_>,
        headers: &HeaderMap,
        expires_s: u64,
        now: &AmzDate,
    ) -> Result<String, SignError> {
        if !headers.contains_key(HOST) {
            return Err(SignError::MissingHost);
        }
        let signed_headers = sorted_names(headers, |_| true);
        let credential = format!("{}/{}", self.access_key_id, self.scope);
        let mut query = request.raw_query.to_owned();
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str(&format!(
            "X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={}&X-Amz-Date={}\
             &X-Amz-Expires={expires_s}&X-Amz-SignedHeaders={}",
            uri::encode_component(&credential),
            now.as_str(),
            uri::encode_component(&signed_headers),
        ));
        if let Some(token) = &self.session_token {
            query.push_str("&X-Amz-Security-Token=");
            query.push_str(&uri::encode_component(token));
        }
        let unsigned = UnsignedRequest {
            raw_query: &query,
            ..*request
        };
        let payload_text = PayloadDeclaration::UnsignedPayload.to_text();
        let signature = self.signature(&unsigned, headers, &signed_headers, &payload_text, now)?;
        query.push_str("&X-Amz-Signature=");
        query.push_str(std::str::from_utf8(&signature).unwrap_or_default());
        Ok(query)
    }

    fn signature(
        &self,
        request: &UnsignedRequest<'_>,
        headers: &HeaderMap,
        signed_headers: &str,
        payload_text: &str,
        now: &AmzDate,
    ) -> Result<[u8; SIGNATURE_LENGTH_BYTES], SignError> {
        let UnsignedRequest {
            method,
            raw_path,
            raw_query,
        } = *request;
        let view = RequestView {
            method,
            raw_path,
            raw_query,
            headers,
        };
        let canonical = canonical_request(&view, PathForm::Canonical, signed_headers, payload_text)
            .map_err(|MalformedEscape| SignError::InvalidTarget)?;
        let to_sign = string_to_sign(&canonical, now, &self.scope);
        Ok(hex::encode_32(&self.key.sign(&to_sign)))
    }
}

fn header_value(text: &str, name: &'static str) -> Result<HeaderValue, SignError> {
    HeaderValue::from_str(text).map_err(|_| SignError::NotAHeaderValue(name))
}

/// The names of the headers that pass `filter`, sorted and separated by semicolons.
fn sorted_names(headers: &HeaderMap, filter: impl Fn(&&str) -> bool) -> String {
    let mut names: Vec<&str> = headers
        .keys()
        .map(HeaderName::as_str)
        .filter(filter)
        .collect();
    names.sort_unstable();
    names.join(";")
}
