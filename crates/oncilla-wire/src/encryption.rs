//! How requests ask for encryption: `x-amz-server-side-encryption…`.
//!
//! Sources: S3 User Guide, "Protecting data with server-side encryption"; S3 API reference, PutObject,
//! GetObject, CopyObject; texts of errors as S3 answers them.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use oncilla_hash::Md5;
use zeroize::{Zeroize, Zeroizing};

use crate::error::{S3Error, S3ErrorCode};
use crate::header::{
    X_AMZ_COPY_SOURCE_CUSTOMER_ALGORITHM, X_AMZ_COPY_SOURCE_CUSTOMER_KEY,
    X_AMZ_COPY_SOURCE_CUSTOMER_KEY_MD5, X_AMZ_SERVER_SIDE_ENCRYPTION,
    X_AMZ_SERVER_SIDE_ENCRYPTION_BUCKET_KEY_ENABLED, X_AMZ_SERVER_SIDE_ENCRYPTION_CONTEXT,
    X_AMZ_SERVER_SIDE_ENCRYPTION_CUSTOMER_ALGORITHM, X_AMZ_SERVER_SIDE_ENCRYPTION_CUSTOMER_KEY,
    X_AMZ_SERVER_SIDE_ENCRYPTION_CUSTOMER_KEY_MD5, X_AMZ_SERVER_SIDE_ENCRYPTION_KMS_KEY_ID,
};

/// The algorithm of SSE-S3 and of clients' keys on the wire.
pub const AES256: &str = "AES256";

/// SSE-KMS on the wire.
pub const AWS_KMS: &str = "aws:kms";

/// SSE-KMS in two layers, which is not implemented.
pub const AWS_KMS_DSSE: &str = "aws:kms:dsse";

/// Longest encryption context, as JSON. Source: AWS KMS Developer Guide, "Quotas", 8,192 bytes.
pub const CONTEXT_BYTES_MAX: usize = 8192;

/// A key that a client sent (SSE-C).
#[derive(Clone)]
pub struct CustomerKey {
    /// The key.
    pub key: Zeroizing<[u8; 32]>,
    /// Its MD5 in base64, as the client sent it and the answer repeats it.
    pub md5: String,
}

impl fmt::Debug for CustomerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomerKey").finish_non_exhaustive()
    }
}

/// What a request asks for.
#[derive(Clone, Debug)]
pub enum RequestedEncryption {
    /// SSE-S3.
    S3,
    /// SSE-KMS.
    Kms {
        /// The key, by id, alias or ARN; `None` for the default one.
        key_id: Option<String>,
        /// The encryption context as JSON with sorted keys; empty for none.
        context: String,
    },
    /// SSE-C.
    Customer(CustomerKey),
}

/// The headers that carry a client's key.
struct CustomerHeaders {
    algorithm: HeaderName,
    key: HeaderName,
    md5: HeaderName,
}

/// What the names of all headers of a request begin with that say how its object is encrypted.
const PREFIX: &str = "x-amz-server-side-encryption";

/// Whether any header says how the object of a request is encrypted: what costs nothing to know
/// before the headers are looked up one by one.
pub fn is_named(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with(PREFIX))
}

fn invalid(name: &HeaderName, message: &'static str) -> S3Error {
    // The values stay out of the answer: one of them is a key.
    S3Error::with_message(S3ErrorCode::InvalidArgument, message)
        .detail("ArgumentName", name.as_str())
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let value = headers.get(name)?;
    // What is no text is no valid value of any of these headers.
    Some(value.to_str().unwrap_or("?").trim())
}

/// How a new object is to be encrypted; `None` if the request says nothing of it.
///
/// # Errors
/// `InvalidArgument` for headers that do not go together or have no valid value,
/// `InvalidEncryptionAlgorithmError`, `NotImplemented` for `aws:kms:dsse`.
pub fn requested(headers: &HeaderMap) -> Result<Option<RequestedEncryption>, S3Error> {
    let customer = customer_key(headers)?;
    let method = text(headers, &X_AMZ_SERVER_SIDE_ENCRYPTION);
    let key_id = text(headers, &X_AMZ_SERVER_SIDE_ENCRYPTION_KMS_KEY_ID);
    bucket_key_enabled(headers)?;
    let is_kms = method == Some(AWS_KMS) || method == Some(AWS_KMS_DSSE);
    if customer.is_some() && (method.is_some() || key_id.is_some()) {
        return Err(invalid(
            &X_AMZ_SERVER_SIDE_ENCRYPTION,
            "Server Side Encryption with Customer provided key is incompatible with the encryption \
             method specified",
        ));
    }
    if key_id.is_some() && !is_kms {
        return Err(invalid(
            &X_AMZ_SERVER_SIDE_ENCRYPTION,
            "Server Side Encryption with AWS KMS managed key requires HTTP header \
             x-amz-server-side-encryption : aws:kms",
        ));
    }
    let context = context(headers)?;
    if context.is_some() && !is_kms {
        return Err(invalid(
            &X_AMZ_SERVER_SIDE_ENCRYPTION_CONTEXT,
            "The x-amz-server-side-encryption-context header is only allowed with \
             x-amz-server-side-encryption : aws:kms",
        ));
    }
    match method {
        None => Ok(customer.map(RequestedEncryption::Customer)),
        Some(AES256) => Ok(Some(RequestedEncryption::S3)),
        Some(AWS_KMS) => Ok(Some(RequestedEncryption::Kms {
            key_id: key_id.filter(|id| !id.is_empty()).map(str::to_owned),
            context: context.unwrap_or_default(),
        })),
        Some(AWS_KMS_DSSE) => Err(dsse_not_implemented()),
        Some(other) => Err(S3Error::invalid_argument(
            X_AMZ_SERVER_SIDE_ENCRYPTION.as_str(),
            other,
            "The encryption method specified is not supported",
        )),
    }
}

/// The answer to whoever asks for encryption in two layers.
pub fn dsse_not_implemented() -> S3Error {
    let message = "Dual-layer encryption (aws:kms:dsse) is not implemented. Nothing was changed.";
    S3Error::with_message(S3ErrorCode::NotImplemented, message)
}

/// Refuses the headers that say how to encrypt on what only reads: a client that sends them believes
/// they have an effect. Those of a client's key are the exception.
///
/// # Errors
/// `InvalidArgument`.
pub fn refuse_on_read(headers: &HeaderMap) -> Result<(), S3Error> {
    for name in [
        X_AMZ_SERVER_SIDE_ENCRYPTION,
        X_AMZ_SERVER_SIDE_ENCRYPTION_KMS_KEY_ID,
        X_AMZ_SERVER_SIDE_ENCRYPTION_CONTEXT,
        X_AMZ_SERVER_SIDE_ENCRYPTION_BUCKET_KEY_ENABLED,
    ] {
        if headers.contains_key(&name) {
            let message = format!("{name} header is not supported for this operation.");
            let error = S3Error::with_message(S3ErrorCode::InvalidArgument, message);
            return Err(error.detail("ArgumentName", name.as_str()));
        }
    }
    Ok(())
}

/// The longest unknown algorithm that an error repeats.
const ALGORITHM_TOLD_BYTES_MAX: usize = 20;

/// The client's key of the object that a request is about.
///
/// # Errors
/// `InvalidArgument`, `InvalidEncryptionAlgorithmError`.
pub fn customer_key(headers: &HeaderMap) -> Result<Option<CustomerKey>, S3Error> {
    read_customer_key(
        headers,
        &CustomerHeaders {
            algorithm: X_AMZ_SERVER_SIDE_ENCRYPTION_CUSTOMER_ALGORITHM,
            key: X_AMZ_SERVER_SIDE_ENCRYPTION_CUSTOMER_KEY,
            md5: X_AMZ_SERVER_SIDE_ENCRYPTION_CUSTOMER_KEY_MD5,
        },
    )
}

/// The client's key of the object that a copy reads.
///
/// # Errors
/// As [`customer_key`].
pub fn copy_source_customer_key(headers: &HeaderMap) -> Result<Option<CustomerKey>, S3Error> {
    read_customer_key(
        headers,
        &CustomerHeaders {
            algorithm: X_AMZ_COPY_SOURCE_CUSTOMER_ALGORITHM,
            key: X_AMZ_COPY_SOURCE_CUSTOMER_KEY,
            md5: X_AMZ_COPY_SOURCE_CUSTOMER_KEY_MD5,
        },
    )
}

fn read_customer_key(
    headers: &HeaderMap,
    names: &CustomerHeaders,
) -> Result<Option<CustomerKey>, S3Error> {
    let algorithm = text(headers, &names.algorithm);
    let (key, md5) = (text(headers, &names.key), text(headers, &names.md5));
    let Some(algorithm) = algorithm.filter(|algorithm| !algorithm.is_empty()) else {
        if key.is_none() && md5.is_none() && !headers.contains_key(&names.algorithm) {
            return Ok(None);
        }
        return Err(invalid(
            &names.algorithm,
            "Requests specifying Server Side Encryption with Customer provided keys must provide a \
             valid encryption algorithm.",
        ));
    };
    if algorithm != AES256 {
        let error = S3Error::new(S3ErrorCode::InvalidEncryptionAlgorithmError)
            .detail("ArgumentName", names.algorithm.as_str());
        // What is longer than a name may be a key in the wrong header, which no error repeats.
        return Err(match algorithm.len() <= ALGORITHM_TOLD_BYTES_MAX {
            true => error.detail("ArgumentValue", algorithm),
            false => error,
        });
    }
    let Some(key) = key else {
        return Err(invalid(
            &names.key,
            "Requests specifying Server Side Encryption with Customer provided keys must provide an \
             appropriate secret key.",
        ));
    };
    let Some(md5) = md5 else {
        return Err(invalid(
            &names.md5,
            "Requests specifying Server Side Encryption with Customer provided keys must provide the \
             client calculated MD5 of the secret key.",
        ));
    };
    let mut decoded = BASE64_STANDARD.decode(key).unwrap_or_default();
    let bytes = <[u8; 32]>::try_from(&decoded[..]).map(Zeroizing::new);
    decoded.zeroize();
    let Ok(key) = bytes else {
        return Err(invalid(
            &names.key,
            "The secret key was invalid for the specified algorithm.",
        ));
    };
    let sent = BASE64_STANDARD.decode(md5).unwrap_or_default();
    if sent != Md5::digest(&key[..]) {
        return Err(invalid(
            &names.md5,
            "The calculated MD5 hash of the key did not match the hash that was provided.",
        ));
    }
    let md5 = md5.to_owned();
    Ok(Some(CustomerKey { key, md5 }))
}

/// Whether a bucket key is asked for; `None` if the request does not say.
///
/// # Errors
/// `InvalidArgument` for what is neither `true` nor `false`.
pub fn bucket_key_enabled(headers: &HeaderMap) -> Result<Option<bool>, S3Error> {
    let name = X_AMZ_SERVER_SIDE_ENCRYPTION_BUCKET_KEY_ENABLED;
    match text(headers, &name) {
        None => Ok(None),
        Some(value) if value.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Some(value) if value.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Some(value) => Err(S3Error::invalid_argument(
            name.as_str(),
            value,
            "The value must be true or false.",
        )),
    }
}

/// The encryption context as JSON with sorted keys, so that equal contexts are equal texts.
///
/// # Errors
/// `InvalidArgument`.
fn context(headers: &HeaderMap) -> Result<Option<String>, S3Error> {
    let name = X_AMZ_SERVER_SIDE_ENCRYPTION_CONTEXT;
    let Some(value) = text(headers, &name) else {
        return Ok(None);
    };
    parse_context(value).map(Some).ok_or_else(|| {
        S3Error::invalid_argument(
            name.as_str(),
            value,
            "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string \
             holding JSON which represents a string-string map",
        )
    })
}

/// Reads an encryption context: base64 of a JSON object of strings. `None` for anything else.
pub fn parse_context(value: &str) -> Option<String> {
    let json = BASE64_STANDARD.decode(value).ok()?;
    if json.len() > CONTEXT_BYTES_MAX {
        return None;
    }
    let pairs: BTreeMap<String, String> = serde_json::from_slice(&json).ok()?;
    if pairs.is_empty() {
        return Some(String::new());
    }
    serde_json::to_string(&pairs).ok()
}

/// An encryption context as an answer has it; `None` for none.
pub fn context_header(context: &str) -> Option<HeaderValue> {
    if context.is_empty() {
        return None;
    }
    HeaderValue::try_from(BASE64_STANDARD.encode(context)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "pO3upElrwuEXSoFwCfnZPdSsmt/xWeFa0N9KgDijwVs=";
    const MD5: &str = "DWygnHRtgiJ77HCm+1rvHw==";

    /// Headers by what follows the prefix.
    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::try_from(format!("{PREFIX}{name}")).unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn refusal(pairs: &[(&str, &str)]) -> (S3ErrorCode, String) {
        let error = requested(&headers(pairs)).unwrap_err();
        assert!(!format!("{error:?}").contains(KEY), "{error:?}");
        (error.code, error.message.into_owned())
    }

    #[test]
    fn what_is_asked_for() {
        assert!(requested(&headers(&[])).unwrap().is_none());
        let s3 = requested(&headers(&[("", "AES256")])).unwrap();
        assert!(matches!(s3, Some(RequestedEncryption::S3)));
        let context = BASE64_STANDARD.encode(r#"{"b":"2","a":"1"}"#);
        let kms = requested(&headers(&[
            ("", "aws:kms"),
            ("-aws-kms-key-id", "k"),
            ("-context", &context),
            ("-bucket-key-enabled", "True"),
        ]));
        let Some(RequestedEncryption::Kms { key_id, context }) = kms.unwrap() else {
            panic!("not KMS");
        };
        assert_eq!(
            (key_id.as_deref(), &context[..]),
            (Some("k"), r#"{"a":"1","b":"2"}"#)
        );
        let customer = requested(&headers(&[
            ("-customer-algorithm", "AES256"),
            ("-customer-key", KEY),
            ("-customer-key-md5", MD5),
        ]));
        let Some(RequestedEncryption::Customer(customer)) = customer.unwrap() else {
            panic!("not a client's key");
        };
        assert_eq!(customer.md5, MD5);
        assert!(!format!("{customer:?}").contains("key"));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let algorithm = ("-customer-algorithm", "AES256");
        let (key, md5) = (("-customer-key", KEY), ("-customer-key-md5", MD5));
        let wrong_md5 = ("-customer-key-md5", "AAAAAAAAAAAAAAAAAAAAAA==");
        let short_key = ("-customer-key", "AAAA");
        for (pairs, message) in [
            (&[("", "AES192")][..], "is not supported"),
            (&[("", "aes:kms")], "is not supported"),
            (
                &[("", "AES256"), ("-aws-kms-key-id", "k")],
                "requires HTTP header",
            ),
            (&[("-aws-kms-key-id", "k")], "requires HTTP header"),
            (
                &[("", "AES256"), ("-context", "e30=")],
                "is only allowed with",
            ),
            (&[("", "aws:kms"), ("-context", "?")], "string-string map"),
            (
                &[("", "aws:kms"), ("-context", "eyJhIjoxfQ==")],
                "string-string map",
            ),
            (
                &[("", "aws:kms"), ("-bucket-key-enabled", "yes")],
                "true or false",
            ),
            (&[algorithm, key, md5, ("", "AES256")], "is incompatible"),
            (&[algorithm, key, md5, ("", "aws:kms")], "is incompatible"),
            (&[algorithm], "an appropriate secret key"),
            (&[algorithm, key], "client calculated MD5"),
            (&[algorithm, key, wrong_md5], "did not match"),
            (&[algorithm, short_key, md5], "was invalid"),
            (&[key, md5], "valid encryption algorithm"),
            (
                &[("-customer-algorithm", ""), key, md5],
                "valid encryption algorithm",
            ),
        ] {
            let (code, text) = refusal(pairs);
            assert_eq!(code, S3ErrorCode::InvalidArgument, "{pairs:?}");
            assert!(text.contains(message), "{pairs:?}: {text}");
        }
        let (code, _) = refusal(&[("-customer-algorithm", "AES192"), key, md5]);
        assert_eq!(code, S3ErrorCode::InvalidEncryptionAlgorithmError);
        assert_eq!(
            refusal(&[("", "aws:kms:dsse")]).0,
            S3ErrorCode::NotImplemented
        );
    }

    #[test]
    fn what_reads_takes_a_clients_key_only() {
        for name in ["", "-aws-kms-key-id", "-context", "-bucket-key-enabled"] {
            assert!(refuse_on_read(&headers(&[(name, "x")])).is_err(), "{name}");
        }
        assert!(refuse_on_read(&headers(&[("-customer-key", "x")])).is_ok());
    }

    proptest! {
        #[test]
        fn any_headers_are_read_or_refused(
            pairs in proptest::collection::vec((0usize..7, "[ -~]{0,40}"), 0..7),
        ) {
            let names = [
                "", "-aws-kms-key-id", "-context", "-bucket-key-enabled", "-customer-algorithm",
                "-customer-key", "-customer-key-md5",
            ];
            let pairs: Vec<_> =
                pairs.iter().map(|(name, value)| (names[*name], value.as_str())).collect();
            let _ = requested(&headers(&pairs));
        }

        #[test]
        fn contexts_round_trip(pairs: BTreeMap<String, String>) {
            let json = serde_json::to_string(&pairs).unwrap();
            let parsed = parse_context(&BASE64_STANDARD.encode(&json)).unwrap();
            let again = context_header(&parsed);
            prop_assert_eq!(again.is_none(), pairs.is_empty());
            if let Some(again) = again {
                prop_assert_eq!(parse_context(again.to_str().unwrap()), Some(parsed));
            }
        }
    }
}
