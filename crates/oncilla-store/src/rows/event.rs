//! Events that wait for their delivery (`q`), in order per target. Written in the same mutation as the change that they tell of.

use bytes::{BufMut, Bytes, BytesMut};
use oncilla_wire::event::EventKind;

use super::codec::{DecodeError, FieldReader, FieldWriter, UnknownFields};
use super::key::{join, prefix, put_ordered, range_of, take_ordered};

const RECORD: &str = "event";

mod tag {
    pub const KIND: u64 = 1;
    pub const TIME_MS: u64 = 2;
    pub const SEQUENCE: u64 = 3;
    pub const BUCKET: u64 = 4;
    pub const BUCKET_OWNER: u64 = 5;
    pub const KEY: u64 = 6;
    pub const SIZE: u64 = 7;
    pub const ETAG: u64 = 8;
    pub const VERSION_ID: u64 = 9;
    pub const CONFIGURATION_ID: u64 = 10;
    pub const PRINCIPAL: u64 = 11;
    pub const SOURCE_IP: u64 = 12;
    pub const REQUEST_ID: u64 = 13;
    pub const HOST_ID: u64 = 14;
    pub const STORAGE_CLASS: u64 = 15;
    pub const RESTORED_UNTIL_MS: u64 = 16;
}

/// An event on its way to a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventRecord {
    /// What happened, by its [number](EventKind::number); 0 is the test event that S3 sends when a
    /// destination is configured.
    pub kind: u8,
    /// When, in Unix milliseconds.
    pub time_ms: u64,
    /// Hybrid-logical time of the change: orders the events of a key.
    pub sequence: u64,
    /// The bucket's name.
    pub bucket: String,
    /// Canonical id of the bucket's owner.
    pub bucket_owner: String,
    /// The object's key.
    pub key: Bytes,
    /// Its length in bytes, where S3 tells it.
    pub size: Option<u64>,
    /// Its entity tag; empty where S3 does not tell it.
    pub etag: String,
    /// Its version id; empty in a bucket that never kept versions.
    pub version_id: String,
    /// Id of the configuration by which the event goes to the target.
    pub configuration_id: String,
    /// Who caused it.
    pub principal: String,
    /// The client's address.
    pub source_ip: String,
    /// The request's id.
    pub request_id: String,
    /// The other id of the request (`x-amz-id-2`).
    pub host_id: String,
    /// Where a transition moved the object, or where a restored one is archived.
    pub storage_class: String,
    /// Until when a restored object can be read, in Unix milliseconds.
    pub restored_until_ms: u64,
    /// Fields of newer versions.
    pub unknown: UnknownFields,
}

impl EventRecord {
    /// What happened; `None` for a test event and for what only a newer version knows.
    pub fn kind(&self) -> Option<EventKind> {
        EventKind::from_number(self.kind)
    }

    /// The row's value.
    pub fn encode(&self) -> Bytes {
        let mut writer = FieldWriter::with_capacity(256 + self.key.len());
        writer.number(tag::KIND, u64::from(self.kind));
        writer.number(tag::TIME_MS, self.time_ms);
        writer.number(tag::SEQUENCE, self.sequence);
        writer.text(tag::BUCKET, &self.bucket);
        writer.text(tag::BUCKET_OWNER, &self.bucket_owner);
        writer.bytes(tag::KEY, &self.key);
        if let Some(size) = self.size {
            writer.bytes(tag::SIZE, &size.to_be_bytes());
        }
        writer.text(tag::ETAG, &self.etag);
        writer.text(tag::VERSION_ID, &self.version_id);
        writer.text(tag::CONFIGURATION_ID, &self.configuration_id);
        writer.text(tag::PRINCIPAL, &self.principal);
        writer.text(tag::SOURCE_IP, &self.source_ip);
        writer.text(tag::REQUEST_ID, &self.request_id);
        writer.text(tag::HOST_ID, &self.host_id);
        writer.text(tag::STORAGE_CLASS, &self.storage_class);
        writer.number(tag::RESTORED_UNTIL_MS, self.restored_until_ms);
        writer.finish(&self.unknown)
    }

    /// Reads a row's value.
    pub fn decode(value: Bytes) -> Result<Self, DecodeError> {
        let mut reader = FieldReader::new(RECORD, &value)?;
        let mut record = Self::default();
        while let Some(field) = reader.next_field()? {
            match field.tag {
                tag::KIND => {
                    let number = u8::try_from(field.number()?);
                    record.kind = number.map_err(|_| reader.error("bad kind"))?;
                }
                tag::TIME_MS => record.time_ms = field.number()?,
                tag::SEQUENCE => record.sequence = field.number()?,
                tag::BUCKET => record.bucket = field.text()?,
                tag::BUCKET_OWNER => record.bucket_owner = field.text()?,
                tag::KEY => record.key = value.slice_ref(field.value),
                tag::SIZE => record.size = Some(u64::from_be_bytes(field.array()?)),
                tag::ETAG => record.etag = field.text()?,
                tag::VERSION_ID => record.version_id = field.text()?,
                tag::CONFIGURATION_ID => record.configuration_id = field.text()?,
                tag::PRINCIPAL => record.principal = field.text()?,
                tag::SOURCE_IP => record.source_ip = field.text()?,
                tag::REQUEST_ID => record.request_id = field.text()?,
                tag::HOST_ID => record.host_id = field.text()?,
                tag::STORAGE_CLASS => record.storage_class = field.text()?,
                tag::RESTORED_UNTIL_MS => record.restored_until_ms = field.number()?,
                _ => reader.keep(field),
            }
        }
        record.unknown = reader.into_unknown();
        Ok(record)
    }
}

/// Key of an event that waits for a target. Events of one time are told apart by `number`.
pub fn event_key(target: &str, time: u64, number: u64) -> Bytes {
    let mut key = ordered(target);
    key.put_u64(time);
    key.put_u64(number);
    key.freeze()
}

/// The range of the events that wait for a target, oldest first.
pub fn events_of_target(target: &str) -> (Bytes, Bytes) {
    range_of(ordered(target).freeze())
}

/// The range of all events that wait.
pub fn all_events() -> (Bytes, Bytes) {
    range_of(join(prefix::EVENT, &[]))
}

/// The target and the time in the key of an event.
pub fn split_event_key(row_key: &Bytes) -> Result<(String, u64), DecodeError> {
    let parts = (|| {
        let mut rest = row_key.slice(row_key.len().min(1)..);
        let target = take_ordered(&mut rest)?;
        let target = String::from_utf8(target.into()).ok()?;
        let (time, number) = rest.split_first_chunk::<8>()?;
        (number.len() == 8).then_some((target, u64::from_be_bytes(*time)))
    })();
    parts.ok_or(DecodeError {
        record: RECORD,
        detail: "bad key",
    })
}

fn ordered(target: &str) -> BytesMut {
    let mut key = BytesMut::with_capacity(1 + target.len() + 2 + 16);
    key.put_u8(prefix::EVENT);
    put_ordered(&mut key, target.as_bytes());
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_round_trip(
            numbers: (u8, u64, u64, Option<u64>, u64), texts: [String; 10], key: Vec<u8>,
        ) {
            let [bucket, bucket_owner, etag, version_id, configuration_id, principal, source_ip,
                request_id, host_id, storage_class] = texts;
            let record = EventRecord {
                kind: numbers.0, time_ms: numbers.1, sequence: numbers.2, bucket, bucket_owner,
                key: key.into(), size: numbers.3, etag, version_id, configuration_id, principal,
                source_ip, request_id, host_id, storage_class, restored_until_ms: numbers.4,
                unknown: UnknownFields::default(),
            };
            prop_assert_eq!(EventRecord::decode(record.encode()), Ok(record));
        }

        #[test]
        fn keys_round_trip_and_sort_by_target_and_time(
            a: String, b: String, times: (u64, u64), number: u64,
        ) {
            let key = event_key(&a, times.0, number);
            prop_assert_eq!(split_event_key(&key), Ok((a.clone(), times.0)));
            let (start, end) = events_of_target(&a);
            prop_assert!(start <= key && key < end);
            let other = event_key(&b, times.1, number);
            prop_assert_eq!((&a, times.0).cmp(&(&b, times.1)), key.cmp(&other));
        }

        #[test]
        fn any_bytes_are_read_or_refused(value: Vec<u8>) {
            let _ = split_event_key(&Bytes::from(value.clone()));
            let _ = EventRecord::decode(Bytes::from(value));
        }
    }
}
