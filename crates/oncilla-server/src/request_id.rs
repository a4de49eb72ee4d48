//! Request ids: what a user quotes when something went wrong, and what the access log is searched by.

use std::fmt::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The id of one request, unique within this server's life and unlikely to repeat in another's.
///
/// On the wire (`x-amz-request-id`) it is 16 upper-case hexadecimal digits, as S3 writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(u64);

/// An odd multiplier (2^64 divided by the golden ratio) spreads consecutive counts over all digits;
/// being odd it is invertible modulo 2^64, so two counts never give the same id.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Length of what [`RequestId::host_id`] gives.
const HOST_ID_LENGTH_BYTES: usize = 32;

static NEXT: AtomicU64 = AtomicU64::new(0);
static SEED: OnceLock<u64> = OnceLock::new();

impl RequestId {
    /// The next id of this process.
    pub fn next() -> Self {
        let count = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(count.wrapping_mul(SPREAD) ^ seed())
    }

    /// The second id (`x-amz-id-2`, `<HostId>`): which server process answered, and the request again.
    pub fn host_id(self) -> String {
        let mut text = String::with_capacity(HOST_ID_LENGTH_BYTES);
        // Writing to a string cannot fail.
        let _ = write!(text, "{:016X}{:016X}", seed(), self.0);
        text
    }
}

/// Random per process, so that ids of different servers and starts differ. Ids are no secret: should
/// the operating system have no randomness to give, the time of the start does as well.
fn seed() -> u64 {
    *SEED.get_or_init(|| {
        let mut bytes = [0u8; 8];
        if getrandom::fill(&mut bytes).is_ok() {
            return u64::from_le_bytes(bytes);
        }
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos() as u64)
    })
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_sixteen_upper_case_digits_and_never_repeat() {
        let mut seen = HashSet::new();
        for _ in 0..10_000 {
            let text = RequestId::next().to_string();
            assert_eq!(text.len(), 16);
            assert!(
                text.bytes()
                    .all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)),
                "{text}"
            );
            assert!(seen.insert(text));
        }
    }
}
