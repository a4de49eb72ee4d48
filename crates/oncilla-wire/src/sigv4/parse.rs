//! Reading what a request says about its signature, from the header or from the query.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::{AUTHORIZATION, DATE};

use super::payload::{CONTENT_SHA256, UNSIGNED_PAYLOAD, ecdsa_not_implemented, header_text};
use super::scope::parse_credential;
use super::{
    ALGORITHM, AmzDate, ChunkSeed, PayloadDeclaration, RequestView, SIGNATURE_LENGTH_BYTES, Scope,
    SignatureLocation, SigningKey,
};
use crate::error::{S3Error, S3ErrorCode};
use crate::uri;

/// More headers than this cannot be signed. HTTP servers commonly accept no more than 100 headers
/// in all; the bound keeps the search for repeated names short.
const SIGNED_HEADERS_MAX: usize = 100;

/// A signature together with everything needed to verify it.
#[derive(Clone, Debug)]
pub struct SignedRequest<'r> {
    /// Where it stood.
    pub location: SignatureLocation,
    /// Who claims to have signed.
    pub access_key_id: Cow<'r, str>,
    /// The scope of the key it was signed with.
    pub scope: Scope<'r>,
    /// The names of the signed headers as sent: lower-case, separated by semicolons.
    pub signed_headers: Cow<'r, str>,
    /// The signature as sent.
    pub signature: Cow<'r, str>,
    /// When it was signed.
    pub timestamp: AmzDate,
    /// For how long it holds, of presigned requests.
    pub expires_s: Option<u64>,
    /// What it says of the body.
    pub payload: PayloadDeclaration,
    /// `x-amz-security-token`, from the header or the query.
    pub security_token: Option<Cow<'r, str>>,
    /// `x-amz-content-sha256` as sent, which goes into the canonical request.
    pub(super) payload_text: Cow<'r, str>,
}

impl<'r> SignedRequest<'r> {
    /// Reads the signature of a request. `None` for an anonymous one.
    ///
    /// # Errors
    /// S3's own: `AuthorizationHeaderMalformed`, `AuthorizationQueryParametersError`,
    /// `InvalidArgument` (two signatures, or an unknown kind), `InvalidRequest` (Signature
    /// Version 2, or no `x-amz-content-sha256`), `AccessDenied` (no date), `NotImplemented`
    /// (ECDSA), `InvalidURI`.
    pub fn parse(request: &RequestView<'r>) -> Result<Option<Self>, S3Error> {
        Self::parse_with(request, None)
    }

    /// Reads the signature of a request to another service than S3, where the digest of the body is
    /// signed without standing in a header. `body_sha256` is that of the body as it came, in
    /// hexadecimal.
    ///
    /// # Errors
    /// As [`SignedRequest::parse`].
    pub fn parse_with_body(
        request: &RequestView<'r>,
        body_sha256: &'r str,
    ) -> Result<Option<Self>, S3Error> {
        Self::parse_with(request, Some(body_sha256))
    }

    fn parse_with(
        request: &RequestView<'r>,
        body_sha256: Option<&'r str>,
    ) -> Result<Option<Self>, S3Error> {
        let query = QueryAuthorization::find(request.raw_query)?;
        let mut headers = request.headers.get_all(AUTHORIZATION).iter();
        let Some(header) = headers.next() else {
            return match query {
                QueryAuthorization::None => Ok(None),
                QueryAuthorization::Version2 => Err(version_2_not_supported()),
                QueryAuthorization::Version4(parameters) => {
                    Self::from_query(request, *parameters).map(Some)
                }
            };
        };
        let header = header.to_str().map_err(|_| {
            malformed(
                SignatureLocation::Header,
                "it contains characters that are not ASCII",
            )
        })?;
        if headers.next().is_some() || !matches!(query, QueryAuthorization::None) {
            return Err(S3Error::invalid_argument(
                "Authorization",
                header,
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, \
                 Signature query string parameter or the Authorization header should be specified",
            ));
        }
        Self::from_header(request, header.trim(), body_sha256).map(Some)
    }

    /// What the chunk signatures of a streaming body start from. Call it after `verify`.
    /// `None` if the signature is not 64 characters long, which no verified one is.
    pub fn chunk_seed(&self, key: &SigningKey) -> Option<ChunkSeed> {
        let seed: [u8; SIGNATURE_LENGTH_BYTES] = self.signature.as_bytes().try_into().ok()?;
        Some(ChunkSeed::new(
            key.clone(),
            self.scope.to_string(),
            self.timestamp,
            seed,
        ))
    }

    fn from_header(
        request: &RequestView<'r>,
        header: &'r str,
        body_sha256: Option<&'r str>,
    ) -> Result<Self, S3Error> {
        let location = SignatureLocation::Header;
        let (algorithm, components) = header.split_once([' ', '\t']).unwrap_or((header, ""));
        match algorithm {
            ALGORITHM => {}
            // It names no kind at all (ceph/s3-tests: test_object_create_bad_authorization_empty).
            "" => return Err(S3ErrorCode::AccessDenied.into()),
            "AWS" => return Err(version_2_not_supported()),
            _ if algorithm.starts_with("AWS4-ECDSA-") => return Err(ecdsa_not_implemented()),
            _ => {
                return Err(S3Error::invalid_argument(
                    "Authorization",
                    // Whatever it is may be a secret of another scheme: name the scheme only.
                    algorithm,
                    "Unsupported Authorization Type",
                ));
            }
        }

        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for component in components.split(',') {
            let slot_and_value =
                component
                    .trim()
                    .split_once('=')
                    .and_then(|(name, value)| match name {
                        "Credential" => Some((&mut credential, value)),
                        "SignedHeaders" => Some((&mut signed_headers, value)),
                        "Signature" => Some((&mut signature, value)),
                        _ => None,
                    });
            // An unknown, repeated or empty component makes the header ambiguous.
            match slot_and_value {
                Some((slot, value)) if slot.is_none() && !value.is_empty() => *slot = Some(value),
                _ => return Err(three_components_required()),
            }
        }
        let (Some(credential), Some(signed_headers), Some(signature)) =
            (credential, signed_headers, signature)
        else {
            return Err(three_components_required());
        };

        let (access_key_id, scope) = parse_credential(Cow::Borrowed(credential), location)?;
        check_signed_headers(signed_headers, location)?;
        let timestamp = header_timestamp(request.headers)?;
        let declared = header_text(request.headers, CONTENT_SHA256)?;
        let Some(payload_text) = declared.or(body_sha256) else {
            return Err(S3Error::with_message(
                S3ErrorCode::InvalidRequest,
                "Missing required header for this request: x-amz-content-sha256",
            ));
        };
        Ok(Self {
            location,
            access_key_id,
            scope,
            signed_headers: Cow::Borrowed(signed_headers),
            signature: Cow::Borrowed(signature),
            timestamp,
            expires_s: None,
            payload: PayloadDeclaration::parse(payload_text)?,
            security_token: header_text(request.headers, "x-amz-security-token")?
                .map(Cow::Borrowed),
            payload_text: Cow::Borrowed(payload_text),
        })
    }

    fn from_query(
        request: &RequestView<'r>,
        parameters: QueryParameters<'r>,
    ) -> Result<Self, S3Error> {
        let location = SignatureLocation::Query;
        if let Some(algorithm) = &parameters.algorithm
            && algorithm != ALGORITHM
        {
            if algorithm.starts_with("AWS4-ECDSA-") {
                return Err(ecdsa_not_implemented());
            }
            return Err(malformed(
                location,
                "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"",
            ));
        }
        let (
            Some(_),
            Some(credential),
            Some(date),
            Some(expires),
            Some(signed_headers),
            Some(signature),
        ) = (
            parameters.algorithm,
            parameters.credential,
            parameters.date,
            parameters.expires,
            parameters.signed_headers,
            parameters.signature,
        )
        else {
            return Err(malformed(
                location,
                "Query-string authentication version 4 requires the X-Amz-Algorithm, \
                 X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and \
                 X-Amz-Expires parameters.",
            ));
        };

        let (access_key_id, scope) = parse_credential(credential, location)?;
        check_signed_headers(&signed_headers, location)?;
        let timestamp = AmzDate::parse(date.as_bytes()).ok_or_else(|| {
            malformed(
                location,
                "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
            )
        })?;
        let expires_s = parse_seconds(&expires)
            .ok_or_else(|| malformed(location, "X-Amz-Expires should be a number"))?;
        // One that expired before it was made has expired (ceph/s3-tests,
        // test_object_raw_put_authenticated_expired).
        let expires_s = u64::try_from(expires_s).unwrap_or(0);
        let payload_text = match parameters.content_sha256 {
            Some(text) => text,
            None => Cow::Borrowed(
                header_text(request.headers, CONTENT_SHA256)?.unwrap_or(UNSIGNED_PAYLOAD),
            ),
        };
        let payload = PayloadDeclaration::parse(&payload_text)?;
        if matches!(
            payload,
            PayloadDeclaration::StreamingSigned | PayloadDeclaration::StreamingSignedTrailer
        ) {
            return Err(S3Error::with_message(
                S3ErrorCode::NotImplemented,
                "Signed chunks cannot be sent to a presigned URL. Send the body with \
                 UNSIGNED-PAYLOAD or STREAMING-UNSIGNED-PAYLOAD-TRAILER.",
            ));
        }
        Ok(Self {
            location,
            access_key_id,
            scope,
            signed_headers,
            signature,
            timestamp,
            expires_s: Some(expires_s),
            payload,
            security_token: parameters.security_token,
            payload_text,
        })
    }

    /// The texts that the client may have put at the end of its canonical request. A presigned URL
    /// is made without knowing the body, so it is `UNSIGNED-PAYLOAD` even if the request declares
    /// a digest; yet some signers use the declared text.
    pub(super) fn payload_texts(&self) -> impl Iterator<Item = &str> {
        let declared = self.payload_text.as_ref();
        let unsigned = self.location == SignatureLocation::Query && declared != UNSIGNED_PAYLOAD;
        unsigned
            .then_some(UNSIGNED_PAYLOAD)
            .into_iter()
            .chain([declared])
    }
}

/// What the query says about a signature.
enum QueryAuthorization<'r> {
    None,
    Version2,
    Version4(Box<QueryParameters<'r>>),
}

#[derive(Default)]
struct QueryParameters<'r> {
    algorithm: Option<Cow<'r, str>>,
    credential: Option<Cow<'r, str>>,
    date: Option<Cow<'r, str>>,
    expires: Option<Cow<'r, str>>,
    signed_headers: Option<Cow<'r, str>>,
    signature: Option<Cow<'r, str>>,
    security_token: Option<Cow<'r, str>>,
    content_sha256: Option<Cow<'r, str>>,
}

impl<'r> QueryAuthorization<'r> {
    fn find(raw_query: &'r str) -> Result<Self, S3Error> {
        let mut parameters: Option<Box<QueryParameters<'r>>> = None;
        let (mut version_2_key, mut version_2_signature) = (false, false);
        for (name, value) in uri::raw_parameters(raw_query) {
            match name {
                "AWSAccessKeyId" => version_2_key = true,
                "Signature" => version_2_signature = true,
                _ => {}
            }
            if !name.starts_with("X-Amz-") {
                continue;
            }
            let parameters = parameters.get_or_insert_default();
            let slot = match name {
                "X-Amz-Algorithm" => &mut parameters.algorithm,
                "X-Amz-Credential" => &mut parameters.credential,
                "X-Amz-Date" => &mut parameters.date,
                "X-Amz-Expires" => &mut parameters.expires,
                "X-Amz-SignedHeaders" => &mut parameters.signed_headers,
                "X-Amz-Signature" => &mut parameters.signature,
                "X-Amz-Security-Token" => &mut parameters.security_token,
                "X-Amz-Content-Sha256" => &mut parameters.content_sha256,
                _ => continue,
            };
            if slot.is_some() {
                return Err(malformed(
                    SignatureLocation::Query,
                    format!("The parameter {name} must be given only once."),
                ));
            }
            *slot = Some(uri::decode_query(value.unwrap_or_default())?);
        }
        if let Some(parameters) = parameters
            && (parameters.algorithm.is_some()
                || parameters.credential.is_some()
                || parameters.signature.is_some())
        {
            return Ok(Self::Version4(parameters));
        }
        Ok(if version_2_key && version_2_signature {
            Self::Version2
        } else {
            Self::None
        })
    }
}

/// The names must be header names, each once: a repeated one would let a short request make a long
/// canonical one.
fn check_signed_headers(names: &str, location: SignatureLocation) -> Result<(), S3Error> {
    let is_token_byte = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'_'
                    | b'.'
                    | b'!'
                    | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'^'
                    | b'`'
                    | b'|'
                    | b'~'
            )
    };
    for (index, name) in names.split(';').enumerate() {
        let repeated = names
            .split(';')
            .take(index)
            .any(|earlier| earlier.eq_ignore_ascii_case(name));
        let valid = !name.is_empty() && name.bytes().all(is_token_byte);
        if index >= SIGNED_HEADERS_MAX || repeated || !valid {
            return Err(malformed(
                location,
                "SignedHeaders must be a list of distinct header names separated by semicolons.",
            ));
        }
    }
    Ok(())
}

/// When a request was signed, by its `x-amz-date` or `Date`.
pub(crate) fn header_timestamp(headers: &HeaderMap) -> Result<AmzDate, S3Error> {
    let value = headers.get("x-amz-date").or_else(|| headers.get(DATE));
    value
        .and_then(|value| AmzDate::parse_header(value.as_bytes().trim_ascii()))
        .ok_or_else(|| {
            S3Error::with_message(
                S3ErrorCode::AccessDenied,
                "AWS authentication requires a valid Date or x-amz-date header",
            )
        })
}

/// The seconds that a presigned URL says. They may be negative; the standard library reads a plus sign
/// too, which no signer writes.
pub(crate) fn parse_seconds(text: &str) -> Option<i64> {
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

fn three_components_required() -> S3Error {
    malformed(
        SignatureLocation::Header,
        "the authorization header requires three components: Credential, SignedHeaders, and \
         Signature.",
    )
}

/// The error of the place the signature stands in.
pub(super) fn malformed(
    location: SignatureLocation,
    reason: impl Into<Cow<'static, str>>,
) -> S3Error {
    match location {
        SignatureLocation::Header => S3Error::with_message(
            S3ErrorCode::AuthorizationHeaderMalformed,
            format!("The authorization header is malformed; {}", reason.into()),
        ),
        SignatureLocation::Query => {
            S3Error::with_message(S3ErrorCode::AuthorizationQueryParametersError, reason)
        }
    }
}

/// As [`malformed`], for what is wrong within the credential.
pub(super) fn malformed_credential(
    location: SignatureLocation,
    reason: impl Into<Cow<'static, str>>,
) -> S3Error {
    match location {
        SignatureLocation::Header => malformed(location, reason),
        SignatureLocation::Query => malformed(
            location,
            format!(
                "Error parsing the X-Amz-Credential parameter; {}",
                reason.into()
            ),
        ),
    }
}

fn version_2_not_supported() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::InvalidRequest,
        "The authorization mechanism you have provided is not supported. Please use \
         AWS4-HMAC-SHA256. (boto3 and aws CLI version 1 presign by Signature Version 2 unless \
         AWS_DEFAULT_REGION or a region is set, to auto for instance. The server's operator can allow \
         Version 2 by --sigv2 true.)",
    )
}
