//! What a client declares about the integrity of a body or wants to be told about it.
//! Source: S3 user guide, "Checking object integrity"; S3 API reference, PutObject,
//! CreateMultipartUpload, UploadPart, CompleteMultipartUpload.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, HeaderValue};
use oncilla_hash::{Checksum, ChecksumAlgorithm, MD5_LENGTH_BYTES};

use crate::digits::parse_digits;
use crate::error::{S3Error, S3ErrorCode};

const CHECKSUM_PREFIX: &str = "x-amz-checksum-";
const CONTENT_MD5: &str = "content-md5";
const ALGORITHM: &str = "x-amz-checksum-algorithm";
const TYPE: &str = "x-amz-checksum-type";
const MODE: &str = "x-amz-checksum-mode";
const SDK_ALGORITHM: &str = "x-amz-sdk-checksum-algorithm";
const TRAILER: &str = "x-amz-trailer";

/// The algorithms of S3 that are not done here.
/// Source: S3 API reference, `ChecksumAlgorithm` of PutObject.
const NOT_IMPLEMENTED: [&str; 5] = ["MD5", "SHA512", "XXHASH3", "XXHASH64", "XXHASH128"];

/// A multipart upload has no more parts.
const PART_COUNT_MAX: u32 = 10_000;

/// How the checksum of a multipart object follows from its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChecksumType {
    /// The checksum of the parts' checksums, written with the number of parts.
    Composite,
    /// The checksum of the whole object, as if it had been uploaded in one piece.
    FullObject,
}

impl ChecksumType {
    /// The name in headers and XML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Composite => "COMPOSITE",
            Self::FullObject => "FULL_OBJECT",
        }
    }

    /// The type whose name is `text`, in S3's spelling.
    pub fn from_name(text: &str) -> Option<Self> {
        [Self::Composite, Self::FullObject]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }

    /// What a multipart upload gets that names an algorithm and no type: full object for
    /// CRC64NVME, composite for the others.
    pub fn default_for(algorithm: ChecksumAlgorithm) -> Self {
        match algorithm {
            ChecksumAlgorithm::Crc64Nvme => Self::FullObject,
            ChecksumAlgorithm::Crc32
            | ChecksumAlgorithm::Crc32c
            | ChecksumAlgorithm::Sha1
            | ChecksumAlgorithm::Sha256 => Self::Composite,
        }
    }

    /// Refuses the pairs that S3 does not have: SHA for full objects, since it cannot be combined,
    /// and composite CRC64NVME.
    ///
    /// # Errors
    /// `InvalidRequest`.
    pub fn check_for(self, algorithm: ChecksumAlgorithm) -> Result<(), S3Error> {
        let allowed = match self {
            Self::Composite => algorithm != ChecksumAlgorithm::Crc64Nvme,
            Self::FullObject => algorithm.can_combine(),
        };
        if allowed {
            return Ok(());
        }
        Err(invalid_request(format!(
            "The {} checksum type cannot be used with the {} checksum algorithm.",
            self.as_str(),
            algorithm.as_str().to_ascii_lowercase()
        )))
    }
}

/// Everything the checksum headers of one request say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChecksumHeaders {
    /// `Content-MD5`.
    pub content_md5: Option<[u8; MD5_LENGTH_BYTES]>,
    /// The value of `x-amz-checksum-<algorithm>`.
    pub value: Option<Checksum>,
    /// The `-N` after a composite value, as CompleteMultipartUpload may carry it. Elsewhere such a
    /// value is invalid, which is the caller's to say.
    pub value_part_count: Option<u32>,
    /// The algorithm of the value, of the trailer, or else the one that
    /// `x-amz-checksum-algorithm` names.
    pub algorithm: Option<ChecksumAlgorithm>,
    /// `x-amz-checksum-type`.
    pub checksum_type: Option<ChecksumType>,
    /// The checksum that `x-amz-trailer` says will come after the body.
    pub trailer: Option<ChecksumAlgorithm>,
    /// `x-amz-checksum-mode: ENABLED`: answers should carry the checksum.
    pub mode_enabled: bool,
}

impl ChecksumHeaders {
    /// Reads the headers of a request.
    ///
    /// # Errors
    /// `InvalidDigest` for a malformed `Content-MD5`, `BadDigest` for a malformed checksum;
    /// `NotImplemented` for an algorithm that S3 has and this server does not; `InvalidRequest` for
    /// everything else.
    pub fn parse(headers: &HeaderMap) -> Result<Self, S3Error> {
        let content_md5 = parse_content_md5(headers)?;
        let value = parse_value(headers)?;
        let trailer = parse_trailer(headers)?;
        if value.is_some() && trailer.is_some() {
            return Err(expecting_a_single_header());
        }
        let declared = value.map(|(checksum, _)| checksum.algorithm()).or(trailer);

        let sdk_algorithm = parse_algorithm(headers, SDK_ALGORITHM)?;
        if sdk_algorithm.is_some() && declared.is_none() {
            return Err(invalid_request(
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or \
                 x-amz-trailer headers were found.",
            ));
        }
        let named_algorithm = parse_algorithm(headers, ALGORITHM)?;
        for (name, algorithm) in [(SDK_ALGORITHM, sdk_algorithm), (ALGORITHM, named_algorithm)] {
            if algorithm.is_some() && declared.is_some() && algorithm != declared {
                return Err(value_is_invalid(name));
            }
        }
        let algorithm = declared.or(named_algorithm);

        let checksum_type = match single_text(headers, TYPE)? {
            Some(text) => {
                Some(ChecksumType::from_name(text).ok_or_else(|| value_is_invalid(TYPE))?)
            }
            None => None,
        };
        if let (Some(checksum_type), Some(algorithm)) = (checksum_type, algorithm) {
            checksum_type.check_for(algorithm)?;
        }
        let mode_enabled = match single_text(headers, MODE)? {
            Some(text) if text.eq_ignore_ascii_case("ENABLED") => true,
            Some(_) => return Err(value_is_invalid(MODE)),
            None => false,
        };
        Ok(Self {
            content_md5,
            value: value.map(|(checksum, _)| checksum),
            value_part_count: value.and_then(|(_, part_count)| part_count),
            algorithm,
            checksum_type,
            trailer,
            mode_enabled,
        })
    }
}

fn parse_content_md5(headers: &HeaderMap) -> Result<Option<[u8; MD5_LENGTH_BYTES]>, S3Error> {
    let mut values = headers.get_all(CONTENT_MD5).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let digest = decode_md5(value).filter(|_| values.next().is_none());
    let invalid = || {
        S3Error::with_message(
            S3ErrorCode::InvalidDigest,
            "The Content-MD5 you specified is not valid.",
        )
        .detail("Content-MD5", String::from_utf8_lossy(value.as_bytes()))
    };
    digest.map(Some).ok_or_else(invalid)
}

fn decode_md5(value: &HeaderValue) -> Option<[u8; MD5_LENGTH_BYTES]> {
    // 16 bytes are 24 characters; the decoder asks for room for whole groups of three.
    let mut buffer = [0; MD5_LENGTH_BYTES + 2];
    let length = BASE64
        .decode_slice(value.as_bytes().trim_ascii(), &mut buffer)
        .ok()?;
    buffer[..length].try_into().ok()
}

/// The only `x-amz-checksum-<algorithm>` header, and the number of parts if it is a composite.
fn parse_value(headers: &HeaderMap) -> Result<Option<(Checksum, Option<u32>)>, S3Error> {
    let mut found = None;
    for (name, value) in headers {
        let name = name.as_str();
        if !name.starts_with(CHECKSUM_PREFIX) || matches!(name, ALGORITHM | TYPE | MODE) {
            continue;
        }
        let Some(algorithm) = ChecksumAlgorithm::from_header_name(name) else {
            refuse_not_implemented(&name[CHECKSUM_PREFIX.len()..])?;
            return Err(invalid_request(
                "The algorithm type you specified in x-amz-checksum- header is invalid.",
            ));
        };
        if found.replace((algorithm, value)).is_some() {
            return Err(expecting_a_single_header());
        }
    }
    let Some((algorithm, value)) = found else {
        return Ok(None);
    };
    let invalid = || no_checksum(algorithm.header_name());
    let text = value.to_str().map_err(|_| invalid())?.trim();
    let (digest, part_count) = match text.split_once('-') {
        Some((digest, count)) => (digest, Some(parse_part_count(count).ok_or_else(invalid)?)),
        None => (text, None),
    };
    let checksum = Checksum::from_base64(algorithm, digest).map_err(|_| invalid())?;
    Ok(Some((checksum, part_count)))
}

fn parse_part_count(digits: &str) -> Option<u32> {
    let count = u32::try_from(parse_digits(digits)?).ok()?;
    (1..=PART_COUNT_MAX).contains(&count).then_some(count)
}

/// The checksum among the names in `x-amz-trailer`.
fn parse_trailer(headers: &HeaderMap) -> Result<Option<ChecksumAlgorithm>, S3Error> {
    let unsupported =
        || invalid_request("The value specified in the x-amz-trailer header is not supported");
    let mut found = None;
    for value in headers.get_all(TRAILER) {
        for name in value.to_str().map_err(|_| unsupported())?.split(',') {
            let name = name.trim().to_ascii_lowercase();
            if let Some(algorithm) = name.strip_prefix(CHECKSUM_PREFIX) {
                refuse_not_implemented(algorithm)?;
            }
            let algorithm = ChecksumAlgorithm::from_header_name(&name).ok_or_else(unsupported)?;
            if found.replace(algorithm).is_some() {
                return Err(expecting_a_single_header());
            }
        }
    }
    Ok(found)
}

fn parse_algorithm(
    headers: &HeaderMap,
    name: &'static str,
) -> Result<Option<ChecksumAlgorithm>, S3Error> {
    let Some(text) = single_text(headers, name)? else {
        return Ok(None);
    };
    refuse_not_implemented(text)?;
    text.parse().map(Some).map_err(|_| value_is_invalid(name))
}

/// Refuses an algorithm that S3 has and this server does not, by its name in any case.
///
/// # Errors
/// `NotImplemented`, which names those that work.
pub(crate) fn refuse_not_implemented(algorithm: &str) -> Result<(), S3Error> {
    let mut all = NOT_IMPLEMENTED.iter();
    let Some(algorithm) = all.find(|known| known.eq_ignore_ascii_case(algorithm)) else {
        return Ok(());
    };
    let works = ChecksumAlgorithm::ALL
        .map(ChecksumAlgorithm::as_str)
        .join(", ");
    let message =
        format!("The checksum algorithm {algorithm} is not implemented here. These are: {works}.");
    Err(S3Error::with_message(S3ErrorCode::NotImplemented, message))
}

fn single_text<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h str>, S3Error> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(value_is_invalid(name));
    }
    value
        .to_str()
        .map(|text| Some(text.trim()))
        .map_err(|_| value_is_invalid(name))
}

fn expecting_a_single_header() -> S3Error {
    invalid_request(
        "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
    )
}

/// A value that is no checksum at all is not that of the bytes either.
/// Source: ceph/s3-tests, test_object_checksum_sha256 and its like.
fn no_checksum(name: &'static str) -> S3Error {
    let message = format!("Value for {name} header is invalid.");
    S3Error::with_message(S3ErrorCode::BadDigest, message)
}

fn value_is_invalid(name: &'static str) -> S3Error {
    invalid_request(format!("Value for {name} header is invalid."))
}

fn invalid_request(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&'static str, &'static str)]) -> Result<ChecksumHeaders, S3Error> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        ChecksumHeaders::parse(&headers)
    }

    fn refused(pairs: &[(&'static str, &'static str)], message: &str) {
        let error = parse(pairs).unwrap_err();
        assert_eq!(error.code, S3ErrorCode::InvalidRequest, "{pairs:?}");
        assert!(
            error.message.contains(message),
            "{pairs:?}: {}",
            error.message
        );
    }

    #[test]
    fn nothing_declared() {
        assert_eq!(parse(&[]).unwrap(), ChecksumHeaders::default());
    }

    #[test]
    fn content_md5() {
        let headers = parse(&[("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")]).unwrap();
        assert_eq!(headers.content_md5, Some(oncilla_hash::Md5::digest(b"")));
        for bad in [
            "",
            "1B2M2Y8AsgTpgAmY7PhCfg",
            "AAAA",
            "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXo=",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("content-md5", HeaderValue::from_static(bad));
            let error = ChecksumHeaders::parse(&headers).unwrap_err();
            assert_eq!(error.code, S3ErrorCode::InvalidDigest, "{bad:?}");
        }
    }

    #[test]
    fn a_value_with_its_algorithm() {
        let expected = Checksum::of(ChecksumAlgorithm::Crc32, b"123456789");
        for sdk_algorithm in ["CRC32", "crc32"] {
            let headers = parse(&[
                ("x-amz-checksum-crc32", "y/Q5Jg=="),
                ("x-amz-sdk-checksum-algorithm", sdk_algorithm),
                ("x-amz-checksum-mode", "ENABLED"),
            ])
            .unwrap();
            assert_eq!(headers.value, Some(expected));
            assert_eq!(headers.algorithm, Some(ChecksumAlgorithm::Crc32));
            assert!(headers.mode_enabled);
        }
    }

    #[test]
    fn a_composite_value() {
        let headers = parse(&[("x-amz-checksum-crc32", "y/Q5Jg==-3")]).unwrap();
        assert_eq!(headers.value_part_count, Some(3));
        for bad in [
            "y/Q5Jg==-",
            "y/Q5Jg==-0",
            "y/Q5Jg==-+3",
            "y/Q5Jg==-10001",
            "y/Q5Jg==-1-1",
        ] {
            let error = parse(&[("x-amz-checksum-crc32", bad)]).unwrap_err();
            assert_eq!(error.code, S3ErrorCode::BadDigest, "{bad}");
        }
    }

    #[test]
    fn a_trailer() {
        let headers = parse(&[
            ("x-amz-trailer", "x-amz-checksum-crc64nvme"),
            ("x-amz-sdk-checksum-algorithm", "CRC64NVME"),
        ])
        .unwrap();
        assert_eq!(headers.trailer, Some(ChecksumAlgorithm::Crc64Nvme));
        assert_eq!(headers.algorithm, Some(ChecksumAlgorithm::Crc64Nvme));
        assert_eq!(headers.value, None);
        refused(&[("x-amz-trailer", "x-amz-meta-a")], "x-amz-trailer");
        let both = [
            ("x-amz-trailer", "x-amz-checksum-crc32"),
            ("x-amz-checksum-crc32", "y/Q5Jg=="),
        ];
        refused(&both, "Expecting a single");
        refused(
            &[("x-amz-trailer", "x-amz-checksum-crc32,x-amz-checksum-sha1")],
            "single",
        );
    }

    #[test]
    fn more_than_one_value() {
        let two = [
            ("x-amz-checksum-crc32", "y/Q5Jg=="),
            ("x-amz-checksum-crc32c", "4waSgw=="),
        ];
        refused(&two, "Expecting a single x-amz-checksum- header");
        let twice = [
            ("x-amz-checksum-crc32", "y/Q5Jg=="),
            ("x-amz-checksum-crc32", "y/Q5Jg=="),
        ];
        refused(&twice, "Expecting a single x-amz-checksum- header");
    }

    #[test]
    fn values_that_do_not_fit() {
        let of_another = parse(&[("x-amz-checksum-sha256", "y/Q5Jg==")]).unwrap_err();
        assert_eq!(of_another.code, S3ErrorCode::BadDigest);
        refused(&[("x-amz-checksum-md4", "y/Q5Jg==")], "algorithm type");
        refused(
            &[("x-amz-checksum-algorithm", "MD4")],
            "Value for x-amz-checksum-algorithm",
        );
        refused(
            &[("x-amz-checksum-mode", "on")],
            "Value for x-amz-checksum-mode",
        );
        refused(
            &[("x-amz-sdk-checksum-algorithm", "CRC32")],
            "no corresponding",
        );
        for name in ["x-amz-sdk-checksum-algorithm", "x-amz-checksum-algorithm"] {
            refused(
                &[("x-amz-checksum-crc32", "y/Q5Jg=="), (name, "SHA1")],
                name,
            );
        }
    }

    #[test]
    fn algorithms_of_s3_that_are_not_here() {
        for (name, value) in [
            ("x-amz-checksum-sha512", "y/Q5Jg=="),
            ("x-amz-checksum-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
            ("x-amz-checksum-xxhash64", "y/Q5Jg=="),
            ("x-amz-checksum-algorithm", "XXHASH3"),
            ("x-amz-checksum-algorithm", "sha512"),
            ("x-amz-sdk-checksum-algorithm", "XXHASH128"),
            ("x-amz-trailer", "x-amz-checksum-md5"),
            ("x-amz-trailer", "X-Amz-Checksum-SHA512"),
        ] {
            let error = parse(&[(name, value)]).unwrap_err();
            assert_eq!(error.code, S3ErrorCode::NotImplemented, "{name}: {value}");
            for works in ChecksumAlgorithm::ALL {
                assert!(error.message.contains(works.as_str()), "{}", error.message);
            }
        }
    }

    #[test]
    fn types_per_algorithm() {
        for algorithm in ChecksumAlgorithm::ALL {
            let composite = ChecksumType::Composite.check_for(algorithm).is_ok();
            let full_object = ChecksumType::FullObject.check_for(algorithm).is_ok();
            let expected = match algorithm {
                ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c => (true, true),
                ChecksumAlgorithm::Crc64Nvme => (false, true),
                ChecksumAlgorithm::Sha1 | ChecksumAlgorithm::Sha256 => (true, false),
            };
            assert_eq!((composite, full_object), expected, "{algorithm}");
            assert!(
                ChecksumType::default_for(algorithm)
                    .check_for(algorithm)
                    .is_ok()
            );
        }
        refused(
            &[
                ("x-amz-checksum-algorithm", "SHA256"),
                ("x-amz-checksum-type", "FULL_OBJECT"),
            ],
            "cannot be used with the sha256",
        );
        refused(
            &[("x-amz-checksum-type", "full")],
            "Value for x-amz-checksum-type",
        );
    }
}
