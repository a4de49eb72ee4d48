//! When a request may be sent again, and how long to wait before.

use std::time::Duration;

use http::StatusCode;

/// Attempts per request unless set otherwise, the first one included. Three, as the AWS SDKs'
/// standard mode, hides a restart badly; five spans about ten seconds.
pub const DEFAULT_MAX_ATTEMPTS: u32 = 5;

/// Upper bound of the first wait; it doubles with each further attempt.
const BASE_DELAY: Duration = Duration::from_millis(100);

/// No wait is longer, so that a command does not look dead.
const MAX_DELAY: Duration = Duration::from_secs(20);

/// Decides about further attempts.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Attempts per request, the first one included; at least 1.
    pub max_attempts: u32,
}

impl RetryPolicy {
    /// How long to wait before attempt number `attempt + 1`, when `attempt` (from 1) has failed;
    /// `None` when no attempt is left. `random` is uniform over all values and spreads the waits
    /// of many clients ("full jitter"). A server's own `retry_after` is honoured up to the cap.
    pub fn delay(
        &self,
        attempt: u32,
        random: u32,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        if attempt >= self.max_attempts {
            return None;
        }
        // Past 2^16 times the base the cap decides anyway.
        let doublings = attempt.saturating_sub(1).min(16);
        let ceiling = (BASE_DELAY * (1 << doublings)).min(MAX_DELAY);
        let jittered = ceiling.mul_f64(f64::from(random) / f64::from(u32::MAX));
        Some(jittered.max(retry_after.unwrap_or_default()).min(MAX_DELAY))
    }
}

/// Whether a response with this status and S3 code may turn out better next time.
///
/// 501 and 507 are statements about the server, not about the moment.
pub fn is_transient(status: StatusCode, code: &str) -> bool {
    matches!(status.as_u16(), 429 | 500 | 502 | 503 | 504) || code == "RequestTimeout"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_end() {
        let policy = RetryPolicy { max_attempts: 12 };
        let longest = (1..12)
            .map(|n| policy.delay(n, u32::MAX, None).unwrap())
            .collect::<Vec<_>>();
        assert_eq!(longest[0], BASE_DELAY);
        assert!(longest.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(*longest.last().unwrap(), MAX_DELAY);
        assert_eq!(policy.delay(12, 0, None), None);
        assert_eq!(policy.delay(3, 0, None), Some(Duration::ZERO));
    }

    #[test]
    fn the_server_may_ask_for_more_patience_up_to_the_cap() {
        let policy = RetryPolicy { max_attempts: 3 };
        let asked = Some(Duration::from_secs(2));
        assert_eq!(policy.delay(1, 0, asked), asked);
        assert_eq!(
            policy.delay(1, 0, Some(Duration::from_secs(3600))),
            Some(MAX_DELAY)
        );
    }

    #[test]
    fn only_passing_trouble_is_retried() {
        assert!(is_transient(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"));
        assert!(is_transient(StatusCode::BAD_REQUEST, "RequestTimeout"));
        assert!(!is_transient(StatusCode::NOT_IMPLEMENTED, "NotImplemented"));
        assert!(!is_transient(StatusCode::FORBIDDEN, "AccessDenied"));
        assert!(!is_transient(
            StatusCode::INSUFFICIENT_STORAGE,
            "InsufficientStorage"
        ));
    }
}
