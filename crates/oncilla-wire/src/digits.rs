//! Numbers as S3 takes them in headers and parameters: digits, and nothing else.

/// Whether a text is decimal digits alone, at least one.
pub fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The number that digits alone stand for; none for anything else, or beyond 64 bits. Unlike
/// `str::parse`, which takes a plus sign too.
pub fn parse_digits(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| is_digits(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_alone_are_a_number() {
        assert_eq!(parse_digits("0"), Some(0));
        assert_eq!(parse_digits("007"), Some(7));
        assert_eq!(parse_digits("18446744073709551615"), Some(u64::MAX));
        for refused in ["", "+7", "-7", " 7", "7 ", "7.0", "0x7", "٧"] {
            assert_eq!(parse_digits(refused), None, "{refused:?}");
            assert!(!is_digits(refused), "{refused:?}");
        }
        assert_eq!(parse_digits("18446744073709551616"), None);
        assert!(is_digits("18446744073709551616"));
    }
}
