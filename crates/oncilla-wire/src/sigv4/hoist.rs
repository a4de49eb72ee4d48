//! What a presigned URL says in its query in the place of a header.

use http::{HeaderMap, HeaderName, HeaderValue};
use oncilla_hash::{Checksum, ChecksumAlgorithm};

use super::is_customer_key;
use crate::error::{S3Error, S3ErrorCode};
use crate::operation::is_subresource_name;
use crate::uri::{decode_query, raw_parameters};

/// What the names of the parameters begin with that stand for headers.
const PREFIX: &str = "x-amz-";

/// The parameters of the signature itself, in lower case. What `X-Amz-Content-Sha256` says of the body
/// is read with them.
const OF_SIGNATURE: [&str; 8] = [
    "x-amz-algorithm",
    "x-amz-content-sha256",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
];

/// What SDKs say of how they would send the body themselves. Whoever has the URL sends it as they
/// like: the AWS SDK for JavaScript, given a stream, signs the first two beside `UNSIGNED-PAYLOAD`.
const OF_SENDER: [&str; 3] = [
    "x-amz-decoded-content-length",
    "x-amz-trailer",
    "x-amz-sdk-checksum-algorithm",
];

/// Moves the parameters of a presigned URL that stand for headers into the headers, where they take
/// effect: who signed a lock, tags or encryption must get them. A header that is there stays; it was
/// signed too, and the AWS SDK for PHP wants both. To be called once the signature was verified, which
/// covers the whole query.
/// Source: AWS SDKs for PHP and JavaScript, `SignatureV4::moveHeadersToQuery`, which hoist every
/// `x-amz-*` header.
///
/// # Errors
/// `InvalidURI`, `InvalidArgument` for what cannot be a header, `InvalidRequest` for a parameter that is
/// there twice: its order is not signed, so whoever has the URL could choose.
pub fn hoist_headers(raw_query: &str, headers: &mut HeaderMap) -> Result<(), S3Error> {
    let mut hoisted = HeaderMap::new();
    for parameter in header_parameters(raw_query, is_hoisted) {
        let (name, value) = parameter?;
        if is_checksum_of_nothing(&name, &value) {
            continue;
        }
        if hoisted.insert(name.clone(), value).is_some() {
            let message = format!("The parameter {name} must be given only once.");
            return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
        }
    }
    for (name, value) in &hoisted {
        if !headers.contains_key(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
    Ok(())
}

/// Whether a parameter, named in lower case, stands for a header in a presigned URL of Version 4.
fn is_hoisted(name: &str) -> bool {
    name.starts_with(PREFIX)
        && !OF_SIGNATURE.contains(&name)
        && !OF_SENDER.contains(&name)
        && !is_subresource_name(name)
}

/// Whether it is the checksum of no bytes at all. SDKs that sum every body sign this one by default
/// into URLs for bodies that they have not seen, which says nothing of them. S3 stores such uploads: it
/// looks at no checksum in a URL.
/// Source: S3 User Guide, "Download and upload objects with presigned URLs"; AWS SDK for JavaScript
/// 3.729.0, `getSignedUrl`.
fn is_checksum_of_nothing(name: &HeaderName, value: &HeaderValue) -> bool {
    let algorithm = ChecksumAlgorithm::from_header_name(name.as_str());
    algorithm.is_some_and(|algorithm| {
        let of_nothing = Checksum::of(algorithm, b"").to_base64();
        value.as_bytes() == of_nothing.as_bytes()
    })
}

/// Moves the parameters whose names, in lower case, are those of headers into the headers. Of several
/// the first counts, and a header that is there stays.
pub(crate) fn hoist(
    raw_query: &str,
    headers: &mut HeaderMap,
    is_header: impl Fn(&str) -> bool,
) -> Result<(), S3Error> {
    for parameter in header_parameters(raw_query, is_header) {
        let (name, value) = parameter?;
        if !headers.contains_key(&name) {
            headers.insert(name, value);
        }
    }
    Ok(())
}

/// The parameters whose names, in lower case, are those of headers, as these.
fn header_parameters(
    raw_query: &str,
    is_header: impl Fn(&str) -> bool,
) -> impl Iterator<Item = Result<(HeaderName, HeaderValue), S3Error>> {
    raw_parameters(raw_query)
        .filter_map(move |(name, value)| as_header(name, value, &is_header).transpose())
}

fn as_header(
    raw_name: &str,
    raw_value: Option<&str>,
    is_header: impl Fn(&str) -> bool,
) -> Result<Option<(HeaderName, HeaderValue)>, S3Error> {
    let name = decode_query(raw_name)?.to_ascii_lowercase();
    if !is_header(&name) {
        return Ok(None);
    }
    let value = decode_query(raw_value.unwrap_or_default())?;
    let header = HeaderName::try_from(name.as_str()).ok();
    let header = header.zip(HeaderValue::try_from(value.as_ref()).ok());
    header.map(Some).ok_or_else(|| not_a_header(&name, &value))
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
        hoist_headers(query, &mut headers)?;
        Ok(headers)
    }

    #[test]
    fn what_asks_for_encryption_becomes_a_header() {
        let headers = hoisted(
            "X-Amz-Server-Side-Encryption=aws%3Akms&x%2Damz-server-side-encryption-context=x\
             &X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key=a%2Bb%3D",
        )
        .unwrap();
        assert_eq!(headers["x-amz-server-side-encryption"], "aws:kms");
        assert_eq!(headers["x-amz-server-side-encryption-context"], "e30=");
        let of_source = "x-amz-copy-source-server-side-encryption-customer-key";
        assert_eq!(headers[of_source], "a+b=");
        assert_eq!(headers.len(), 3, "{headers:?}");
    }

    #[test]
    fn every_parameter_of_s3s_becomes_a_header() {
        for (parameter, name, value) in [
            (
                "x-amz-object-lock-mode=COMPLIANCE",
                "x-amz-object-lock-mode",
                "COMPLIANCE",
            ),
            (
                "X-Amz-Tagging=a%3Db%26c%3Dd+e",
                "x-amz-tagging",
                "a=b&c=d e",
            ),
            ("x-amz-meta-Author=ada", "x-amz-meta-author", "ada"),
            (
                "x-amz-storage-class=GLACIER",
                "x-amz-storage-class",
                "GLACIER",
            ),
            ("x%2Damz%2Dacl=private", "x-amz-acl", "private"),
            ("x-amz-copy-source=b%2Fk", "x-amz-copy-source", "b/k"),
            (
                "x-amz-expected-bucket-owner=1",
                "x-amz-expected-bucket-owner",
                "1",
            ),
            (
                "x-amz-request-payer=requester",
                "x-amz-request-payer",
                "requester",
            ),
            (
                "x-amz-checksum-crc32=NhCmhg%3D%3D",
                "x-amz-checksum-crc32",
                "NhCmhg==",
            ),
            (
                "x-amz-checksum-algorithm=SHA1",
                "x-amz-checksum-algorithm",
                "SHA1",
            ),
            (
                "x-amz-website-redirect-location=%2Fa",
                "x-amz-website-redirect-location",
                "/a",
            ),
            (
                "x-amz-bypass-governance-retention=true",
                "x-amz-bypass-governance-retention",
                "true",
            ),
            ("x-amz-grant-read", "x-amz-grant-read", ""),
        ] {
            let headers = hoisted(parameter).unwrap();
            assert_eq!(headers[name], value, "{parameter}");
            assert_eq!(headers.len(), 2, "{parameter}: {headers:?}");
        }
    }

    #[test]
    fn what_is_of_the_signature_or_the_sender_becomes_none() {
        for parameter in [
            "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            "X-Amz-Credential=a",
            "X-Amz-Date=20130524T000000Z",
            "X-Amz-Expires=60",
            "X-Amz-SignedHeaders=host",
            "X-Amz-Signature=00",
            "X-Amz-Security-Token=a",
            "X-Amz-Content-Sha256=UNSIGNED-PAYLOAD",
            "x-amz-content-sha256=STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "x-amz-trailer=x-amz-checksum-crc32",
            "x-amz-decoded-content-length=1",
            "x-amz-sdk-checksum-algorithm=CRC32",
            "x-amz-object-lambda",
            "X-Tigris-Rename=true",
            "x-id=PutObject",
            "content-type=a",
            "acl",
        ] {
            let headers = hoisted(parameter).unwrap();
            assert_eq!(headers.len(), 1, "{parameter}: {headers:?}");
        }
    }

    /// The AWS SDK for JavaScript signs them into the URL of a PUT whose body it has not seen.
    #[test]
    fn the_checksum_of_nothing_is_that_of_no_body() {
        for (name, of_nothing) in [
            ("crc32", "AAAAAA%3D%3D"),
            ("CRC32C", "AAAAAA%3D%3D"),
            ("crc64nvme", "AAAAAAAAAAA%3D"),
            ("sha1", "2jmj7l5rSw0yVb%2FvlWAYkK%2FYBwk%3D"),
            (
                "Sha256",
                "47DEQpj8HBSa%2B%2FTImW%2B5JCeuQeRkm5NMpJWZG3hSuFU%3D",
            ),
        ] {
            let headers = hoisted(&format!("x-amz-checksum-{name}={of_nothing}")).unwrap();
            assert_eq!(headers.len(), 1, "{name}: {headers:?}");
        }
    }

    #[test]
    fn a_parameter_is_given_once() {
        for query in [
            "x-amz-acl=private&x-amz-acl=private",
            "x-amz-acl=private&X-Amz-Acl=public-read",
            "x-amz-server-side-encryption=AES256&x%2Damz-server-side-encryption=aws%3Akms",
        ] {
            let error = hoisted(query).unwrap_err();
            assert_eq!(error.code, S3ErrorCode::InvalidRequest, "{query}");
        }
        let key = "x-amz-server-side-encryption-customer-key=wombat";
        let error = hoisted(&format!("{key}&{key}")).unwrap_err();
        assert!(!format!("{error:?}").contains("wombat"), "{error:?}");
    }

    #[test]
    fn what_cannot_be_a_header_is_refused_and_no_key_told() {
        for (query, is_told) in [
            ("x-amz-server-side-encryption=wombat%0A", true),
            ("x-amz-server-side-encryption-customer-key=wombat%0A", false),
            ("x-amz-meta-a%20b=wombat", true),
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
