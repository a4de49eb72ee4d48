//! Random text without modulo bias.

/// Digits and letters, in the order of ASCII.
const ALPHANUMERIC: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Bytes below this are taken modulo 62, others are drawn again: 248 is the largest multiple of
/// 62 that a byte can reach, so every character is equally likely.
const UNBIASED_BYTES_END: u8 = 248;

/// Random bytes fetched per system call; about three in a hundred are drawn again.
const CHUNK_BYTES: usize = 64;

/// `length` random alphanumeric characters: 5.95 bits each.
pub(crate) fn alphanumeric(length: usize) -> Result<String, getrandom::Error> {
    let mut text = String::with_capacity(length);
    let mut chunk = [0u8; CHUNK_BYTES];
    while text.len() < length {
        getrandom::fill(&mut chunk)?;
        let missing = length - text.len();
        let unbiased = chunk.iter().filter(|byte| **byte < UNBIASED_BYTES_END);
        text.extend(
            unbiased
                .take(missing)
                .map(|byte| char::from(ALPHANUMERIC[usize::from(byte % 62)])),
        );
    }
    Ok(text)
}

/// `length` random digits and upper-case letters: 5.17 bits each.
pub(crate) fn upper_alphanumeric(length: usize) -> Result<String, getrandom::Error> {
    let digits = &ALPHANUMERIC[..36];
    let mut text = String::with_capacity(length);
    for _ in 0..length {
        let place = below(digits.len() as u32)? as usize;
        text.push(char::from(digits[place]));
    }
    Ok(text)
}

/// A random 256-bit number as 64 lower-case hexadecimal digits: the form of S3's canonical user
/// id.
pub(crate) fn canonical_id() -> Result<String, getrandom::Error> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A random number below `end`, which must not be 0.
pub(crate) fn below(end: u32) -> Result<u32, getrandom::Error> {
    debug_assert!(end > 0);
    let end = end.max(1);
    // The largest multiple of `end` within 32 bits; what lies beyond it would favour small numbers.
    let unbiased_end = u32::MAX - u32::MAX % end;
    loop {
        let drawn = getrandom::u32()?;
        if drawn < unbiased_end {
            return Ok(drawn % end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ALPHANUMERIC, alphanumeric, below, canonical_id};

    #[test]
    fn text_has_the_length_and_alphabet_asked_for() {
        for length in [0, 1, 24, 48, 500] {
            let text = alphanumeric(length).unwrap();
            assert_eq!(text.len(), length);
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
    }

    #[test]
    fn every_character_is_about_equally_likely() {
        const DRAWN: usize = 620_000;
        let mut counts = [0usize; 256];
        for byte in alphanumeric(DRAWN).unwrap().bytes() {
            counts[usize::from(byte)] += 1;
        }
        // The mean is 10,000 and the standard deviation about 99. A plain modulo would give the
        // first eight characters a quarter more than the others.
        for character in ALPHANUMERIC {
            let count = counts[usize::from(*character)];
            assert!((9_000..11_000).contains(&count), "{character}: {count}");
        }
    }

    #[test]
    fn canonical_ids_have_the_form_of_s3() {
        let id = canonical_id().unwrap();
        assert_eq!(id.len(), 64);
        assert!(
            id.bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        );
        assert_ne!(id, canonical_id().unwrap());
    }

    #[test]
    fn numbers_stay_below_their_end_and_reach_it() {
        let drawn: Vec<u32> = (0..1_000).map(|_| below(3).unwrap()).collect();
        assert!(drawn.iter().all(|number| *number < 3));
        assert!((0..3).all(|number| drawn.contains(&number)));
        assert_eq!(below(1).unwrap(), 0);
    }
}
