//! The additional checksums of S3: five algorithms, their base64 form, and how the checksum of an
//! object follows from those of its parts.
//! Source: S3 user guide, "Checking object integrity".

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::CrcAlgorithm;

/// Length of the longest digest, SHA-256.
pub const DIGEST_LENGTH_BYTES_MAX: usize = 32;

/// A checksum algorithm that S3 knows by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChecksumAlgorithm {
    /// CRC-32 of ISO HDLC, as in zip and Ethernet.
    Crc32,
    /// CRC-32C (Castagnoli), as in iSCSI.
    Crc32c,
    /// CRC-64/NVME, the default of current SDKs for multipart uploads.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl ChecksumAlgorithm {
    /// Every algorithm.
    pub const ALL: [ChecksumAlgorithm; 5] = [
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
    ];

    /// The name in XML and in `x-amz-checksum-algorithm`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The header or trailer that carries a value of this algorithm.
    pub fn header_name(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The element that carries a value of this algorithm in XML documents.
    pub fn xml_element(self) -> &'static str {
        match self {
            Self::Crc32 => "ChecksumCRC32",
            Self::Crc32c => "ChecksumCRC32C",
            Self::Crc64Nvme => "ChecksumCRC64NVME",
            Self::Sha1 => "ChecksumSHA1",
            Self::Sha256 => "ChecksumSHA256",
        }
    }

    /// The algorithm whose header is `name`, in any case.
    pub fn from_header_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| name.eq_ignore_ascii_case(algorithm.header_name()))
    }

    /// Length of a digest.
    pub fn digest_length_bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// Whether the checksum of a whole follows from those of its parts, so that a multipart object
    /// can have a `FULL_OBJECT` checksum without being read again. True of the CRCs.
    pub fn can_combine(self) -> bool {
        self.crc().is_some()
    }

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }
}

impl std::fmt::Display for ChecksumAlgorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for ChecksumAlgorithm {
    type Err = ChecksumError;

    /// Accepts the S3 name in any case, as S3 does (SDKs send both `CRC32` and `crc32`).
    fn from_str(name: &str) -> Result<Self, ChecksumError> {
        Self::ALL
            .into_iter()
            .find(|algorithm| name.eq_ignore_ascii_case(algorithm.as_str()))
            .ok_or(ChecksumError::UnknownAlgorithm)
    }
}

/// Why a checksum or the name of an algorithm was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChecksumError {
    /// The name is none of S3's.
    #[error("unknown checksum algorithm")]
    UnknownAlgorithm,
    /// The text is not padded standard base64 (RFC 4648 section 4).
    #[error("checksum is not valid base64")]
    InvalidBase64,
    /// The value does not have the length of the algorithm's digest.
    #[error("checksum has the wrong length for {0}")]
    WrongLength(ChecksumAlgorithm),
}

/// A checksum value together with its algorithm.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksum {
    algorithm: ChecksumAlgorithm,
    /// Zero beyond the digest's length, so that derived equality is right.
    bytes: [u8; DIGEST_LENGTH_BYTES_MAX],
}

impl Checksum {
    /// A checksum from its raw bytes, CRCs big-endian.
    ///
    /// # Errors
    /// [`ChecksumError::WrongLength`].
    pub fn from_bytes(algorithm: ChecksumAlgorithm, digest: &[u8]) -> Result<Self, ChecksumError> {
        if digest.len() != algorithm.digest_length_bytes() {
            return Err(ChecksumError::WrongLength(algorithm));
        }
        let mut bytes = [0; DIGEST_LENGTH_BYTES_MAX];
        bytes[..digest.len()].copy_from_slice(digest);
        Ok(Self { algorithm, bytes })
    }

    /// Parses the base64 form that headers and XML carry.
    ///
    /// # Errors
    /// [`ChecksumError::InvalidBase64`] for anything but padded standard base64 without spaces,
    /// [`ChecksumError::WrongLength`].
    pub fn from_base64(algorithm: ChecksumAlgorithm, text: &str) -> Result<Self, ChecksumError> {
        // No digest has a longer text; this also bounds the work on what a client sent.
        const TEXT_LENGTH_MAX: usize = DIGEST_LENGTH_BYTES_MAX.div_ceil(3) * 4;
        if text.len() > TEXT_LENGTH_MAX {
            return Err(ChecksumError::WrongLength(algorithm));
        }
        let mut buffer = [0; TEXT_LENGTH_MAX];
        let length = BASE64
            .decode_slice(text, &mut buffer)
            .map_err(|_| ChecksumError::InvalidBase64)?;
        Self::from_bytes(algorithm, &buffer[..length])
    }

    /// The checksum of `data`.
    pub fn of(algorithm: ChecksumAlgorithm, data: &[u8]) -> Self {
        let mut hasher = ChecksumHasher::new(algorithm);
        hasher.update(data);
        hasher.finish()
    }

    /// The algorithm.
    pub fn algorithm(&self) -> ChecksumAlgorithm {
        self.algorithm
    }

    /// The digest, CRCs big-endian.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.digest_length_bytes()]
    }

    /// The base64 form that headers and XML carry.
    pub fn to_base64(&self) -> String {
        BASE64.encode(self.as_bytes())
    }

    /// The form of a `COMPOSITE` checksum of an object of `part_count` parts: base64, a hyphen, and
    /// the number of parts.
    pub fn to_base64_composite(&self, part_count: u32) -> String {
        format!("{}-{part_count}", self.to_base64())
    }

    fn from_crc(algorithm: ChecksumAlgorithm, crc: u64) -> Self {
        let length = algorithm.digest_length_bytes();
        let mut bytes = [0; DIGEST_LENGTH_BYTES_MAX];
        let big_endian = crc.to_be_bytes();
        bytes[..length].copy_from_slice(&big_endian[big_endian.len() - length..]);
        Self { algorithm, bytes }
    }

    fn crc_value(&self) -> u64 {
        self.as_bytes()
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte))
    }
}

impl std::fmt::Debug for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Checksum({} {})", self.algorithm, self.to_base64())
    }
}

/// A running checksum.
#[derive(Clone)]
pub struct ChecksumHasher {
    algorithm: ChecksumAlgorithm,
    state: State,
}

#[derive(Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "one per upload: a box would cost more than it saves"
)]
enum State {
    Crc(crc_fast::Digest),
    Sha(digest::Context),
}

impl ChecksumHasher {
    /// Starts a checksum of nothing.
    pub fn new(algorithm: ChecksumAlgorithm) -> Self {
        let state = match algorithm {
            ChecksumAlgorithm::Crc32 => {
                State::Crc(crc_fast::Digest::new(CrcAlgorithm::Crc32IsoHdlc))
            }
            ChecksumAlgorithm::Crc32c => {
                State::Crc(crc_fast::Digest::new(CrcAlgorithm::Crc32Iscsi))
            }
            ChecksumAlgorithm::Crc64Nvme => {
                State::Crc(crc_fast::Digest::new(CrcAlgorithm::Crc64Nvme))
            }
            ChecksumAlgorithm::Sha1 => {
                State::Sha(digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY))
            }
            ChecksumAlgorithm::Sha256 => State::Sha(digest::Context::new(&digest::SHA256)),
        };
        Self { algorithm, state }
    }

    /// The algorithm.
    pub fn algorithm(&self) -> ChecksumAlgorithm {
        self.algorithm
    }

    /// Adds `data` to what is checked.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.state {
            State::Crc(digest) => digest.update(data),
            State::Sha(context) => context.update(data),
        }
    }

    /// Ends the checksum.
    pub fn finish(self) -> Checksum {
        match self.state {
            State::Crc(digest) => Checksum::from_crc(self.algorithm, digest.finalize()),
            State::Sha(context) => {
                let mut bytes = [0; DIGEST_LENGTH_BYTES_MAX];
                let digest = context.finish();
                bytes[..digest.as_ref().len()].copy_from_slice(digest.as_ref());
                Checksum {
                    algorithm: self.algorithm,
                    bytes,
                }
            }
        }
    }
}

impl std::fmt::Debug for ChecksumHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChecksumHasher({}, running)", self.algorithm)
    }
}

/// The checksum of A followed by B, from those of A and of B and the length of B. `None` unless
/// both have the same algorithm and it is a CRC.
pub fn combine(first: &Checksum, second: &Checksum, second_length_bytes: u64) -> Option<Checksum> {
    if first.algorithm != second.algorithm {
        return None;
    }
    let polynomial = Polynomial::of(first.algorithm)?;
    let shifted = polynomial.behind_zeros(first.crc_value(), second_length_bytes);
    let combined = shifted ^ second.crc_value();
    Some(Checksum::from_crc(first.algorithm, combined))
}

/// Arithmetic modulo a CRC's polynomial, to combine checksums.
///
/// crc-fast can do that too, but squares a matrix for each bit of the length: 0.45 ms each time,
/// 4.6 s for an object of 10,000 parts. Multiplying by a power of x takes 5 µs. The test of
/// [`combine`] compares it with the checksum of the whole.
struct Polynomial {
    /// Without its highest term, lowest power in the highest bit: as CRCs compute it.
    reflected: u64,
    width_bits: u32,
}

impl Polynomial {
    /// None for what is no CRC. Source of the values: the catalogue of parametrised CRC algorithms
    /// (CRC-32/ISO-HDLC, CRC-32/ISCSI, CRC-64/NVME).
    fn of(algorithm: ChecksumAlgorithm) -> Option<Self> {
        let (reflected, width_bits) = match algorithm {
            ChecksumAlgorithm::Crc32 => (0xedb8_8320, 32),
            ChecksumAlgorithm::Crc32c => (0x82f6_3b78, 32),
            ChecksumAlgorithm::Crc64Nvme => (0x9a6c_9329_ac4b_c9b5, 64),
            ChecksumAlgorithm::Sha1 | ChecksumAlgorithm::Sha256 => return None,
        };
        Some(Self {
            reflected,
            width_bits,
        })
    }

    /// What `crc` becomes behind so many zero bytes, but for the initial value and the final
    /// complement: these cancel out in [`combine`], as they are the same in all of S3's CRCs.
    fn behind_zeros(&self, mut crc: u64, mut bytes: u64) -> u64 {
        let mut power = 1 << (self.width_bits - 1 - u8::BITS);
        while bytes > 0 {
            if bytes & 1 == 1 {
                crc = self.multiply(power, crc);
            }
            power = self.multiply(power, power);
            bytes >>= 1;
        }
        crc
    }

    fn multiply(&self, a: u64, mut b: u64) -> u64 {
        let mut product = 0;
        for bit in (0..self.width_bits).rev() {
            if (a >> bit) & 1 == 1 {
                product ^= b;
            }
            let carry = b & 1 == 1;
            b >>= 1;
            if carry {
                b ^= self.reflected;
            }
        }
        product
    }
}

/// The `COMPOSITE` checksum of a multipart object: the checksum over the parts' digests (not their
/// texts) in the order of the parts. `None` if a part has another algorithm.
pub fn composite<'a>(
    algorithm: ChecksumAlgorithm,
    parts: impl IntoIterator<Item = &'a Checksum>,
) -> Option<Checksum> {
    let mut hasher = ChecksumHasher::new(algorithm);
    for part in parts {
        if part.algorithm != algorithm {
            return None;
        }
        hasher.update(part.as_bytes());
    }
    Some(hasher.finish())
}

/// CRC-32C of `data`, the check of a frame in a volume.
pub fn crc32c(data: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(data)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_algorithm() -> impl Strategy<Value = ChecksumAlgorithm> {
        prop::sample::select(ChecksumAlgorithm::ALL.to_vec())
    }

    /// The check values of the CRC catalogue and of FIPS 180 for "123456789", big-endian.
    #[test]
    fn known_vectors() {
        let vectors = [
            (ChecksumAlgorithm::Crc32, "cbf43926"),
            (ChecksumAlgorithm::Crc32c, "e3069283"),
            (ChecksumAlgorithm::Crc64Nvme, "ae8b14860a799888"),
            (
                ChecksumAlgorithm::Sha1,
                "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
            ),
            (
                ChecksumAlgorithm::Sha256,
                "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
            ),
        ];
        for (algorithm, expected) in vectors {
            let checksum = Checksum::of(algorithm, b"123456789");
            assert_eq!(
                crate::hex::encode(checksum.as_bytes()),
                expected,
                "{algorithm}"
            );
        }
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    /// Values S3 answers with for an object `hello world`.
    #[test]
    fn base64_is_of_big_endian_bytes() {
        let vectors = [
            (ChecksumAlgorithm::Crc32, "DUoRhQ=="),
            (ChecksumAlgorithm::Crc32c, "yZRlqg=="),
            (ChecksumAlgorithm::Crc64Nvme, "jSnVw/bqjr4="),
            (ChecksumAlgorithm::Sha1, "Kq5sNclPz7QV2+lfQIuc6R7oRu0="),
            (
                ChecksumAlgorithm::Sha256,
                "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=",
            ),
        ];
        for (algorithm, text) in vectors {
            assert_eq!(
                Checksum::of(algorithm, b"hello world").to_base64(),
                text,
                "{algorithm}"
            );
        }
    }

    #[test]
    fn names_parse_in_any_case() {
        for algorithm in ChecksumAlgorithm::ALL {
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
            assert_eq!(algorithm.as_str().to_lowercase().parse(), Ok(algorithm));
            let header = algorithm.header_name();
            assert_eq!(ChecksumAlgorithm::from_header_name(header), Some(algorithm));
        }
        assert_eq!(
            "CRC".parse::<ChecksumAlgorithm>(),
            Err(ChecksumError::UnknownAlgorithm)
        );
        assert_eq!(
            "".parse::<ChecksumAlgorithm>(),
            Err(ChecksumError::UnknownAlgorithm)
        );
    }

    #[test]
    fn strict_base64() {
        let parse = |text| Checksum::from_base64(ChecksumAlgorithm::Crc32, text);
        assert!(parse("y/Q5Jg==").is_ok());
        for bad in [
            "y/Q5Jg",
            "y/Q5Jg=",
            " y/Q5Jg==",
            "y_Q5Jg==",
            "y/Q5Jg==\n",
            "y/Q5Jh==",
            "!",
        ] {
            assert_eq!(parse(bad), Err(ChecksumError::InvalidBase64), "{bad:?}");
        }
        let too_long = "A".repeat(1000);
        for bad in ["", "AAAA", "AAAAAAA=", too_long.as_str()] {
            let expected = ChecksumError::WrongLength(ChecksumAlgorithm::Crc32);
            assert_eq!(parse(bad), Err(expected), "{bad:?}");
        }
    }

    #[test]
    fn only_crcs_combine() {
        for algorithm in ChecksumAlgorithm::ALL {
            let empty = Checksum::of(algorithm, b"");
            assert_eq!(
                combine(&empty, &empty, 0).is_some(),
                algorithm.can_combine()
            );
        }
        let other = Checksum::of(ChecksumAlgorithm::Crc32c, b"");
        assert_eq!(
            combine(&Checksum::of(ChecksumAlgorithm::Crc32, b""), &other, 0),
            None
        );
    }

    #[test]
    fn composite_refuses_a_part_of_another_algorithm() {
        let part = Checksum::of(ChecksumAlgorithm::Sha1, b"x");
        assert_eq!(composite(ChecksumAlgorithm::Sha256, [&part]), None);
    }

    proptest! {
        #[test]
        fn split_anywhere_equals_whole(
            algorithm in any_algorithm(),
            data in proptest::collection::vec(any::<u8>(), 0..2000),
            at in any::<prop::sample::Index>(),
        ) {
            let (head, tail) = data.split_at(at.index(data.len() + 1));
            let whole = Checksum::of(algorithm, &data);
            let mut hasher = ChecksumHasher::new(algorithm);
            hasher.update(head);
            hasher.update(tail);
            prop_assert_eq!(hasher.finish(), whole);
            let (first, second) = (Checksum::of(algorithm, head), Checksum::of(algorithm, tail));
            if let Some(combined) = combine(&first, &second, tail.len() as u64) {
                prop_assert_eq!(combined, whole);
            }
            let concatenated = [first.as_bytes(), second.as_bytes()].concat();
            prop_assert_eq!(
                composite(algorithm, [&first, &second]),
                Some(Checksum::of(algorithm, &concatenated))
            );
        }

        #[test]
        fn base64_round_trip(algorithm in any_algorithm(), data in any::<[u8; 16]>()) {
            let checksum = Checksum::of(algorithm, &data);
            prop_assert_eq!(Checksum::from_base64(algorithm, &checksum.to_base64()), Ok(checksum));
        }

        #[test]
        fn parsing_never_panics(algorithm in any_algorithm(), text in ".{0,60}") {
            let _ = Checksum::from_base64(algorithm, &text);
        }
    }
}
