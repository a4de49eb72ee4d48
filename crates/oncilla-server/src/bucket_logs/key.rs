//! Names of log objects.
//! Source: S3 User Guide, "Enabling Amazon S3 server access logging", "Log object key format".

use oncilla_wire::time::iso8601;
use oncilla_wire::xml::logging::{LogKeyFormat, LoggingEnabled, PartitionDateSource};

/// What the name of a log object is made of.
#[derive(Clone, Copy, Debug)]
pub struct LogObject<'a> {
    /// Where it goes.
    pub destination: &'a LoggingEnabled,
    /// Canonical id of the owner of the bucket that was asked for something.
    pub source_account: &'a str,
    /// That bucket's region.
    pub source_region: &'a str,
    /// That bucket.
    pub source_bucket: &'a str,
    /// The day of the requests in it, as any moment in it, in Unix milliseconds.
    pub event_ms: i64,
    /// When it is delivered, in Unix milliseconds.
    pub delivery_ms: i64,
    /// Tells it from others of the same second.
    pub unique: &'a str,
}

impl LogObject<'_> {
    /// The key. With `EventTime`, hour, minute and second are 0.
    pub fn key(&self) -> String {
        let prefix = &self.destination.target_prefix;
        let unique = self.unique;
        let (day, time) = match self.destination.key_format {
            LogKeyFormat::Simple => {
                let (day, time) = day_and_time(self.delivery_ms);
                return format!("{prefix}{day}-{time}-{unique}");
            }
            LogKeyFormat::Partitioned(PartitionDateSource::DeliveryTime) => {
                day_and_time(self.delivery_ms)
            }
            LogKeyFormat::Partitioned(PartitionDateSource::EventTime) => {
                (day_and_time(self.event_ms).0, "00-00-00".to_owned())
            }
        };
        let partition = day.replace('-', "/");
        let (account, region, bucket) =
            (self.source_account, self.source_region, self.source_bucket);
        format!("{prefix}{account}/{region}/{bucket}/{partition}/{day}-{time}-{unique}")
    }
}

/// `2024-02-29` and `13-07-59`.
fn day_and_time(unix_ms: i64) -> (String, String) {
    let text = iso8601(unix_ms);
    let part = |range: std::ops::Range<usize>| String::from_utf8_lossy(&text[range]).into_owned();
    (part(0..10), part(11..19).replace(':', "-"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_begin_with_the_prefix_and_are_never_too_long(
            prefix in proptest::string::string_regex("[a-z/]{0,768}").unwrap(),
            account in "[0-9a-f]{64}", region in "[a-z0-9-]{1,63}", bucket in "[a-z0-9.-]{63}",
            times in (0..253_402_300_799_999_i64, 0..253_402_300_799_999_i64),
            kind in 0..3,
        ) {
            let key_format = match kind {
                0 => LogKeyFormat::Simple,
                1 => LogKeyFormat::Partitioned(PartitionDateSource::EventTime),
                _ => LogKeyFormat::Partitioned(PartitionDateSource::DeliveryTime),
            };
            let destination = LoggingEnabled {
                target_bucket: "logs".to_owned(),
                target_prefix: prefix.clone(),
                target_grants: Vec::new(),
                key_format,
            };
            let object = LogObject {
                destination: &destination,
                source_account: &account,
                source_region: &region,
                source_bucket: &bucket,
                event_ms: times.0,
                delivery_ms: times.1,
                unique: "0123456789ABCDEF",
            };
            let key = object.key();
            prop_assert!(oncilla_wire::names::check_key(&key).is_ok(), "{}", key);
            prop_assert!(key.starts_with(&prefix) && key.ends_with("-0123456789ABCDEF"));
            let name = &key[prefix.len()..];
            let slashes = name.matches('/').count();
            prop_assert_eq!(slashes, if key_format == LogKeyFormat::Simple { 0 } else { 6 });
        }
    }

    #[test]
    fn keys_are_those_of_s3() {
        let key = |key_format| {
            let destination = LoggingEnabled {
                target_bucket: "logs".to_owned(),
                target_prefix: "p/".to_owned(),
                target_grants: Vec::new(),
                key_format,
            };
            let object = LogObject {
                destination: &destination,
                source_account: "account",
                source_region: "eu-west-1",
                source_bucket: "source",
                event_ms: 1_709_164_799_000,
                delivery_ms: 1_709_164_805_000,
                unique: "0123456789ABCDEF",
            };
            object.key()
        };
        assert_eq!(
            key(LogKeyFormat::Simple),
            "p/2024-02-29-00-00-05-0123456789ABCDEF"
        );
        assert_eq!(
            key(LogKeyFormat::Partitioned(PartitionDateSource::DeliveryTime)),
            "p/account/eu-west-1/source/2024/02/29/2024-02-29-00-00-05-0123456789ABCDEF"
        );
        assert_eq!(
            key(LogKeyFormat::Partitioned(PartitionDateSource::EventTime)),
            "p/account/eu-west-1/source/2024/02/28/2024-02-28-00-00-00-0123456789ABCDEF"
        );
    }
}
