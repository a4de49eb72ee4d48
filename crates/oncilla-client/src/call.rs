//! A request before it is addressed and signed.

use http::{HeaderMap, HeaderValue, Method};

use crate::body::Progress;
use crate::error::Error;

/// Whether doing the request twice is the same as doing it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Any failure that may pass is worth another attempt.
    Safe,
    /// Only a failure that surely came before the request took effect: a connection that could not
    /// be made, or an answer that says so.
    IfNotBegun,
}

/// Whether the body is to carry a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyChecksum {
    None,
    /// Unless the settings turn checksums off.
    WhereSupported,
}

/// A request before it is addressed and signed.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) bucket: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
    /// A path of the endpoint itself, encoded, in place of bucket and key.
    pub(crate) own_path: Option<&'a str>,
    /// Encoded, without the question mark.
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) repeat: Repeat,
    /// Signs the bytes of the body although TLS protects them.
    pub(crate) sign_payload: bool,
    pub(crate) checksum: BodyChecksum,
    pub(crate) progress: Option<Progress>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: Method, bucket: Option<&'a str>, key: Option<&'a str>) -> Self {
        Self {
            method,
            bucket,
            key,
            own_path: None,
            query: String::new(),
            headers: HeaderMap::new(),
            repeat: Repeat::Safe,
            sign_payload: false,
            checksum: BodyChecksum::None,
            progress: None,
        }
    }

    /// Adds a query parameter; one without a value stands without an equals sign's right side.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        push_parameter(&mut self.query, name, value);
        self
    }

    pub(crate) fn optional_query(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// Adds a header whose value comes from the caller.
    pub(crate) fn header(mut self, name: http::HeaderName, value: &str) -> Result<Self, Error> {
        let value = HeaderValue::from_str(value)
            .or_else(|_| HeaderValue::from_bytes(value.as_bytes()))
            .map_err(|_| Error::Config(format!("{name}: {value:?} cannot be sent in a header")))?;
        self.headers.insert(name, value);
        Ok(self)
    }

    pub(crate) fn optional_header(
        self,
        name: http::HeaderName,
        value: Option<&str>,
    ) -> Result<Self, Error> {
        match value {
            Some(value) => self.header(name, value),
            None => Ok(self),
        }
    }
}

/// Appends `name=value` to a query, encoded as SigV4 wants it.
pub(crate) fn push_parameter(query: &mut String, name: &str, value: &str) {
    if !query.is_empty() {
        query.push('&');
    }
    query.push_str(name);
    query.push('=');
    query.push_str(&oncilla_wire::uri::encode_component(value));
}
