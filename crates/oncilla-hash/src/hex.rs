//! Lower-case hexadecimal, the form of ETags and signatures.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// `bytes` as lower-case hexadecimal.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
    text
}

/// Appends `bytes` as lower-case hexadecimal to `out`.
pub fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// An MD5 digest as hexadecimal, without an allocation.
pub fn encode_16(bytes: &[u8; 16]) -> [u8; 32] {
    digits(bytes)
}

/// A SHA-256 digest or HMAC tag as hexadecimal, without an allocation.
pub fn encode_32(bytes: &[u8; 32]) -> [u8; 64] {
    digits(bytes)
}

/// `N` is twice the number of bytes.
fn digits<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut text = [0; N];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

/// The bytes that `text` stands for; `None` unless it is exactly `2 * N` hexadecimal digits, of
/// either case.
pub fn decode<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit_value(pair[0])? << 4 | digit_value(pair[1])?;
    }
    Some(bytes)
}

/// The value of one hexadecimal digit of either case.
pub fn digit_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refuses_what_is_not_hexadecimal_of_that_length() {
        assert_eq!(decode::<2>(b"00ff"), Some([0, 255]));
        assert_eq!(decode::<2>(b"00Ff"), Some([0, 255]));
        for bad in ["", "0", "00f", "00ff0", "00fg", "0x00", "+0ff"] {
            assert_eq!(decode::<2>(bad.as_bytes()), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(bytes in any::<[u8; 32]>()) {
            let text = encode(&bytes);
            prop_assert_eq!(decode::<32>(text.as_bytes()), Some(bytes));
            prop_assert_eq!(&encode_32(&bytes)[..], text.as_bytes());
            let mut appended = Vec::new();
            append(&mut appended, &bytes);
            prop_assert_eq!(appended, text.as_bytes());
        }
    }
}
