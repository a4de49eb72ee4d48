//! Digests and their texts.

use oncilla_hash::{
    Checksum, ChecksumAlgorithm, ChecksumHasher, Md5, Sha256, combine, crc32c, hex,
};

use crate::input;

/// Input: where to cut, then the data. Hashing in two pieces is hashing at once, checksums combine,
/// and texts are read back; the data as text is a checksum only if it is written like one.
pub fn checksums(data: &[u8]) {
    let ([cut], body) = input::take(data);
    let (first, second) = body.split_at(usize::from(cut).min(body.len()));
    for algorithm in ChecksumAlgorithm::ALL {
        let whole = Checksum::of(algorithm, body);
        let mut hasher = ChecksumHasher::new(algorithm);
        hasher.update(first);
        hasher.update(second);
        assert_eq!(hasher.finish(), whole);
        assert_eq!(
            Checksum::from_base64(algorithm, &whole.to_base64()),
            Ok(whole)
        );
        assert_eq!(Checksum::from_bytes(algorithm, whole.as_bytes()), Ok(whole));

        let pieces = [
            Checksum::of(algorithm, first),
            Checksum::of(algorithm, second),
        ];
        let combined = combine(&pieces[0], &pieces[1], second.len() as u64);
        assert_eq!(combined, algorithm.can_combine().then_some(whole));

        let text = String::from_utf8_lossy(body);
        if let Ok(read) = Checksum::from_base64(algorithm, &text) {
            assert_eq!(read.to_base64(), text.trim());
        }
    }
    let whole = Checksum::of(ChecksumAlgorithm::Crc32c, body);
    assert_eq!(whole.as_bytes(), crc32c(body).to_be_bytes());

    let mut md5 = Md5::new();
    let mut sha256 = Sha256::new();
    for piece in [first, second] {
        md5.update(piece);
        sha256.update(piece);
    }
    assert_eq!(md5.finish(), Md5::digest(body));
    let sha256 = sha256.finish();
    assert_eq!(sha256, Sha256::digest(body));
    assert_eq!(hex::decode(hex::encode(&sha256).as_bytes()), Some(sha256));
    assert_eq!(hex::encode(&sha256).as_bytes(), hex::encode_32(&sha256));
    if let Some(read) = hex::decode::<32>(body) {
        assert!(hex::encode(&read).as_bytes().eq_ignore_ascii_case(body));
    }
}
