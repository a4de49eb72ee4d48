//! What a presigned URL says in its query in the place of a header.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::is_customer_key;
use crate::error::{S3Error, S3ErrorCode};
use crate::uri::{decode_query, raw_parameters};

/// What the names of the parameters begin with that say how an object, or the source of a copy, is
/// encrypted.
const ENCRYPTION_PREFIXES: [&str; 2] = [
    "x-amz-server-side-encryption",
    "x-amz-copy-source-server-side-encryption",
];

/// Moves the parameters of a presigned URL that ask for encryption into the headers, where they take
/// effect: an object whose signer asked for it must not be kept in plain. A header that is there
/// stays. To be called once the signature was verified, which covers the whole query.
/// Source: AWS SDK for PHP, `SignatureV4::moveHeadersToQuery`, which hoists every `x-amz-*` header.
///
/// # Errors
/// `InvalidURI`, `InvalidArgument` for what cannot be a header.
pub fn hoist_encryption(raw_query: &str, headers: &mut HeaderMap) -> Result<(), S3Error> {
    hoist(raw_query, headers, |name| {
        ENCRYPTION_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
    })
}

/// Moves the parameters whose names, in lower case, are those of headers into the headers. Of several
/// the first counts, and a header that is there stays.
pub(crate) fn hoist(
    raw_query: &str,
    headers: &mut HeaderMap,
    is_header: impl Fn(&str) -> bool,
) -> Result<(), S3Error> {
    for (name, value) in raw_parameters(raw_query) {
        let name = decode_query(name)?.to_ascii_lowercase();
        if !is_header(&name) {
            continue;
        }
        let value = decode_query(value.unwrap_or_default())?;
        let header = HeaderName::try_from(name.as_str()).ok();
        let header = header.zip(HeaderValue::try_from(value.as_ref()).ok());
        let Some((header, value_of_header)) = header else {
            return Err(not_a_header(&name, &value));
        };
        if !headers.contains_key(&header) {
            headers.insert(header, value_of_header);
        }
    }
    Ok(())
}

fn not_a_header(name: &str, value: &str) -> S3Error {
    let message = "The parameter cannot be a header.";
    match is_customer_key(name) {
        true => S3Error::with_message(S3ErrorCode::InvalidArgument, message)
            .detail("ArgumentName", name),
        false => S3Error::invalid_argument(name, value, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hoisted(query: &str) -> Result<HeaderMap, S3Error> {
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-amz-server-side-encryption-context",
            "e30=".parse().unwrap(),
        );
        hoist_encryption(query, &mut headers)?;
        Ok(headers)
    }

    #[test]
    fn what_asks_for_encryption_becomes_a_header() {
        let headers = hoisted(
            "X-Amz-Server-Side-Encryption=aws%3Akms&x%2Damz-server-side-encryption-context=x\
             &X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key=a%2Bb%3D&x-amz-acl=private\
             &x-amz-server-side-encryption=AES256",
        )
        .unwrap();
        assert_eq!(headers["x-amz-server-side-encryption"], "aws:kms");
        assert_eq!(headers["x-amz-server-side-encryption-context"], "e30=");
        let of_source = "x-amz-copy-source-server-side-encryption-customer-key";
        assert_eq!(headers[of_source], "a+b=");
        assert_eq!(headers.len(), 3, "{headers:?}");
    }

    #[test]
    fn what_cannot_be_a_header_is_refused_and_no_key_told() {
        for (query, is_told) in [
            ("x-amz-server-side-encryption=wombat%0A", true),
            ("x-amz-server-side-encryption-customer-key=wombat%0A", false),
        ] {
            let error = hoisted(query).unwrap_err();
            assert_eq!(error.code, S3ErrorCode::InvalidArgument);
            assert_eq!(format!("{error:?}").contains("wombat"), is_told, "{query}");
        }
        assert_eq!(
            hoisted("x-amz-server-side-encryption=%").unwrap_err().code,
            S3ErrorCode::InvalidURI
        );
    }
}
