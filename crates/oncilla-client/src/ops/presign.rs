//! Presigned URLs: requests that somebody without credentials can make.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, header};
use oncilla_wire::header as s3_header;
use oncilla_wire::sigv4::UnsignedRequest;
use oncilla_wire::uri::encode_path;

use crate::call::push_parameter;
use crate::client::{Client, unsignable};
use crate::error::Error;

/// Longest validity that S3 itself accepts. Other endpoints allow more (Tigris 90 days), so it is
/// a caller's business to warn, not a limit here.
pub const S3_EXPIRES_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What a presigned URL allows.
#[derive(Clone, Debug)]
pub struct PresignRequest {
    /// `GET`, `PUT`, `HEAD` or `DELETE`.
    pub method: Method,
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// How long from now.
    pub expires: Duration,
    /// Further query parameters to sign, such as `response-content-type`.
    pub query: Vec<(String, String)>,
}

impl Client {
    /// A URL that allows one request until it expires. Nothing is sent.
    ///
    /// # Errors
    /// [`Error::Credentials`] without credentials.
    pub fn presign(&self, request: &PresignRequest) -> Result<String, Error> {
        let Some((signer, now)) = self.signer()? else {
            return Err(Error::Credentials(
                "a presigned URL needs credentials".to_owned(),
            ));
        };
        let endpoint = &self.settings().endpoint;
        let encoded_key = encode_path(&request.key);
        let target = endpoint.target(Some(&request.bucket), Some(&encoded_key));
        let mut query = String::new();
        for (name, value) in &request.query {
            push_parameter(&mut query, name, value);
        }
        // A browser sends no such header, so S3 takes it as a parameter too.
        if self.settings().request_payer {
            push_parameter(
                &mut query,
                s3_header::X_AMZ_REQUEST_PAYER.as_str(),
                "requester",
            );
        }
        let mut headers = HeaderMap::new();
        let host = HeaderValue::from_str(&target.host)
            .map_err(|_| Error::Config(format!("host {:?} is not valid", target.host)))?;
        headers.insert(header::HOST, host);
        let unsigned = UnsignedRequest {
            method: request.method.as_str(),
            raw_path: &target.path,
            raw_query: &query,
        };
        let signed = signer
            .presign(&unsigned, &headers, request.expires.as_secs(), &now)
            .map_err(unsignable)?;
        Ok(format!(
            "{}://{}{}?{signed}",
            endpoint.scheme(),
            target.host,
            target.path
        ))
    }
}
