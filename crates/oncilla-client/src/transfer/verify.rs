//! Whether the bytes that arrived are the bytes that are stored.

use std::fs::File;
use std::os::unix::fs::FileExt;

use oncilla_hash::{ChecksumAlgorithm, ChecksumHasher, Md5, hex};

use crate::error::Error;
use crate::types::ObjectInfo;

/// Bytes per read while a file is checked.
const READ_BYTES: usize = 1024 * 1024;

/// The fastest first: all of them are there to catch damage, and any one does.
const PREFERENCE: [ChecksumAlgorithm; 5] = [
    ChecksumAlgorithm::Crc64Nvme,
    ChecksumAlgorithm::Crc32c,
    ChecksumAlgorithm::Crc32,
    ChecksumAlgorithm::Sha256,
    ChecksumAlgorithm::Sha1,
];

/// How an object was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Against a checksum over all its bytes.
    Checksum(ChecksumAlgorithm),
    /// Against the checksum over its parts' checksums.
    CompositeChecksum(ChecksumAlgorithm),
    /// Against its ETag, an MD5.
    Md5,
    /// Against its ETag, an MD5 over its parts' MD5s.
    CompositeMd5,
    /// The endpoint states nothing else that could be checked.
    LengthOnly,
}

/// What an object can be checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expectation {
    Whole {
        digest: DigestKind,
        expected: String,
    },
    Parts {
        digest: DigestKind,
        expected: String,
        parts: u32,
    },
    Nothing,
}

/// A digest that objects are checked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DigestKind {
    Checksum(ChecksumAlgorithm),
    Md5,
}

impl DigestKind {
    pub(crate) fn name(self) -> String {
        match self {
            DigestKind::Checksum(algorithm) => algorithm.to_string(),
            DigestKind::Md5 => "MD5 ETag".to_owned(),
        }
    }

    fn start(self) -> Digest {
        match self {
            DigestKind::Checksum(algorithm) => {
                Digest::Checksum(Box::new(ChecksumHasher::new(algorithm)))
            }
            DigestKind::Md5 => Digest::Md5(Md5::new()),
        }
    }

    fn text(self, digest: &[u8]) -> String {
        use base64::Engine;
        match self {
            DigestKind::Checksum(_) => base64::engine::general_purpose::STANDARD.encode(digest),
            DigestKind::Md5 => hex::encode(digest),
        }
    }
}

enum Digest {
    Checksum(Box<ChecksumHasher>),
    Md5(Md5),
}

impl Digest {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Digest::Checksum(hasher) => hasher.update(bytes),
            Digest::Md5(md5) => md5.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Digest::Checksum(hasher) => hasher.finish().as_bytes().to_vec(),
            Digest::Md5(md5) => md5.finish().to_vec(),
        }
    }
}

impl Expectation {
    /// The best check that an object's headers allow.
    pub(crate) fn of(info: &ObjectInfo) -> Self {
        let is_composite = info.checksum_type.as_deref() == Some("COMPOSITE");
        let mut composite = None;
        for algorithm in PREFERENCE {
            let Some(value) = info.checksums.get(&algorithm) else {
                continue;
            };
            let digest = DigestKind::Checksum(algorithm);
            match split_parts(value) {
                None if !is_composite => {
                    return Expectation::Whole {
                        digest,
                        expected: value.clone(),
                    };
                }
                Some(parts) if composite.is_none() => {
                    composite = Some(Expectation::Parts {
                        digest,
                        expected: value.clone(),
                        parts,
                    });
                }
                _ => {}
            }
        }
        let etag = info.etag.as_deref().filter(|_| !etag_is_opaque(info));
        let by_etag = etag.and_then(|etag| {
            let digest = DigestKind::Md5;
            let (hash, parts) = match etag.split_once('-') {
                Some((hash, _)) => (hash, Some(split_parts(etag)?)),
                None => (etag, None),
            };
            let is_md5 = hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
            let expected = etag.to_ascii_lowercase();
            is_md5.then_some(match parts {
                None => Expectation::Whole { digest, expected },
                Some(parts) => Expectation::Parts {
                    digest,
                    expected,
                    parts,
                },
            })
        });
        match (composite, by_etag) {
            // A plain MD5 needs no knowledge of the parts.
            (_, Some(whole @ Expectation::Whole { .. })) => whole,
            (Some(composite), _) => composite,
            (None, Some(parts)) => parts,
            (None, None) => Expectation::Nothing,
        }
    }
}

/// The number after the hyphen of a composite value.
fn split_parts(value: &str) -> Option<u32> {
    value
        .rsplit_once('-')?
        .1
        .parse()
        .ok()
        .filter(|parts| *parts > 0)
}

/// With these encryptions S3's ETag is no digest of the content.
fn etag_is_opaque(info: &ObjectInfo) -> bool {
    info.headers.iter().any(|(name, value)| {
        name == "x-amz-server-side-encryption-customer-algorithm"
            || (name == "x-amz-server-side-encryption" && value != "AES256")
    })
}

/// Checks a whole object as it streams by.
pub struct StreamVerifier {
    subject: String,
    expected_bytes: u64,
    seen_bytes: u64,
    check: Option<(DigestKind, Digest, String)>,
}

impl StreamVerifier {
    /// A check of the object with these headers, which must not be those of a range.
    pub fn new(subject: impl Into<String>, info: &ObjectInfo) -> Self {
        let check = match Expectation::of(info) {
            Expectation::Whole { digest, expected } => Some((digest, digest.start(), expected)),
            Expectation::Parts { .. } | Expectation::Nothing => None,
        };
        let expected_bytes = info.content_length;
        Self {
            subject: subject.into(),
            expected_bytes,
            seen_bytes: 0,
            check,
        }
    }

    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.seen_bytes += bytes.len() as u64;
        if let Some((_, digest, _)) = &mut self.check {
            digest.update(bytes);
        }
    }

    /// Whether all of it arrived as it is stored.
    pub fn finish(self) -> Result<Verified, Error> {
        check_length(&self.subject, self.expected_bytes, self.seen_bytes)?;
        let Some((kind, digest, expected)) = self.check else {
            return Ok(Verified::LengthOnly);
        };
        let found = kind.text(&digest.finish());
        compare(&self.subject, kind.name(), &expected, &found)?;
        Ok(match kind {
            DigestKind::Checksum(algorithm) => Verified::Checksum(algorithm),
            DigestKind::Md5 => Verified::Md5,
        })
    }
}

impl std::fmt::Debug for StreamVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "StreamVerifier({}, {} bytes seen)",
            self.subject, self.seen_bytes
        )
    }
}

pub(crate) fn check_length(subject: &str, expected: u64, found: u64) -> Result<(), Error> {
    compare(
        subject,
        "length".to_owned(),
        &expected.to_string(),
        &found.to_string(),
    )
}

pub(crate) fn compare(
    subject: &str,
    what: String,
    expected: &str,
    found: &str,
) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Integrity {
        subject: subject.to_owned(),
        what,
        expected: expected.to_owned(),
        found: found.to_owned(),
    })
}

/// The digest over a range of a file, in the text form of its kind. Blocks.
pub(crate) fn range_text(
    kind: DigestKind,
    file: &File,
    offset: u64,
    length: u64,
) -> std::io::Result<String> {
    Ok(kind.text(&range_digest(kind, file, offset, length)?))
}

fn range_digest(
    kind: DigestKind,
    file: &File,
    mut offset: u64,
    length: u64,
) -> std::io::Result<Vec<u8>> {
    let mut digest = kind.start();
    let end = offset + length;
    let mut buffer = vec![0; READ_BYTES.min(usize::try_from(length).unwrap_or(READ_BYTES))];
    while offset < end {
        let left = usize::try_from(end - offset).unwrap_or(buffer.len());
        let piece = left.min(buffer.len());
        file.read_exact_at(&mut buffer[..piece], offset)?;
        digest.update(&buffer[..piece]);
        offset += piece as u64;
    }
    Ok(digest.finish())
}

/// The composite value of a file cut into parts of these sizes. Blocks.
pub(crate) fn composite_text(
    kind: DigestKind,
    file: &File,
    part_sizes: &[u64],
) -> std::io::Result<String> {
    let mut whole = kind.start();
    let mut offset = 0;
    for size in part_sizes {
        whole.update(&range_digest(kind, file, offset, *size)?);
        offset += size;
    }
    Ok(format!(
        "{}-{}",
        kind.text(&whole.finish()),
        part_sizes.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn info(etag: &str, checksums: &[(ChecksumAlgorithm, &str)], kind: Option<&str>) -> ObjectInfo {
        ObjectInfo {
            content_length: 11,
            etag: Some(etag.to_owned()),
            checksums: checksums
                .iter()
                .map(|(a, v)| (*a, (*v).to_owned()))
                .collect(),
            checksum_type: kind.map(str::to_owned),
            ..ObjectInfo::default()
        }
    }

    const HELLO_MD5: &str = "5eb63bbbe01eeed093cb22bb8f5acdc3";

    fn verify(info: &ObjectInfo, bytes: &[u8]) -> Result<Verified, Error> {
        let mut verifier = StreamVerifier::new("s3://b/k", info);
        verifier.update(bytes);
        verifier.finish()
    }

    #[test]
    fn the_full_object_checksum_decides() {
        let stored = [(ChecksumAlgorithm::Crc64Nvme, "jSnVw/bqjr4=")];
        let info = info("whatever", &stored, Some("FULL_OBJECT"));
        assert_eq!(
            verify(&info, b"hello world").unwrap(),
            Verified::Checksum(ChecksumAlgorithm::Crc64Nvme)
        );
        let error = verify(&info, b"hello_world").unwrap_err();
        assert!(matches!(error, Error::Integrity { what, .. } if what == "CRC64NVME"));
        let error = verify(&info, b"hello worl").unwrap_err();
        assert!(matches!(error, Error::Integrity { what, .. } if what == "length"));
    }

    #[test]
    fn an_md5_etag_decides_unless_encryption_makes_it_opaque() {
        let mut info = info(HELLO_MD5, &[], None);
        assert_eq!(verify(&info, b"hello world").unwrap(), Verified::Md5);
        assert!(verify(&info, b"hello_world").is_err());
        info.headers = vec![("x-amz-server-side-encryption".into(), "aws:kms".into())];
        assert_eq!(verify(&info, b"hello_world").unwrap(), Verified::LengthOnly);
    }

    #[test]
    fn composite_values_are_recognised() {
        let etag = format!("{HELLO_MD5}-3");
        let expected = Expectation::Parts {
            digest: DigestKind::Md5,
            expected: etag.clone(),
            parts: 3,
        };
        assert_eq!(Expectation::of(&info(&etag, &[], None)), expected);
        let stored = [(ChecksumAlgorithm::Crc32, "DUoRhQ==-2")];
        let composite = Expectation::of(&info(&etag, &stored, Some("COMPOSITE")));
        assert!(matches!(
            composite,
            Expectation::Parts {
                digest: DigestKind::Checksum(_),
                parts: 2,
                ..
            }
        ));
        assert_eq!(
            Expectation::of(&info("opaque", &[], None)),
            Expectation::Nothing
        );
        assert_eq!(
            Expectation::of(&info("abc-0", &[], None)),
            Expectation::Nothing
        );
    }

    #[test]
    fn the_composite_md5_is_that_of_s3() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"hello world").unwrap();
        let mut digests = Md5::digest(b"hello ").to_vec();
        digests.extend_from_slice(&Md5::digest(b"world"));
        let expected = format!("{}-2", hex::encode(&Md5::digest(&digests)));
        assert_eq!(
            composite_text(DigestKind::Md5, &file, &[6, 5]).unwrap(),
            expected
        );
        assert!(composite_text(DigestKind::Md5, &file, &[6, 6]).is_err());
    }
}
