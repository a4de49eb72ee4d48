//! Counters of what a bucket holds (`n`), kept exact by being part of every mutation.

use bytes::Bytes;
use oncilla_meta::Mutation;

use super::key::{BucketId, join, prefix, range_of};

const OBJECTS: u8 = b'o';
const BYTES: u8 = b'b';

/// Key of the counter of live objects.
pub fn objects_key(bucket: BucketId) -> Bytes {
    join(prefix::USAGE, &[&bucket.0.to_be_bytes(), &[OBJECTS]])
}

/// Key of the counter of bytes in live objects.
pub fn bytes_key(bucket: BucketId) -> Bytes {
    join(prefix::USAGE, &[&bucket.0.to_be_bytes(), &[BYTES]])
}

/// The range of a bucket's counters.
pub fn counters_of_bucket(bucket: BucketId) -> (Bytes, Bytes) {
    range_of(join(prefix::USAGE, &[&bucket.0.to_be_bytes()]))
}

/// Counts a change of live objects and bytes.
pub fn count(mutation: &mut Mutation, bucket: BucketId, objects: i64, bytes: i64) {
    if objects != 0 {
        mutation.add(objects_key(bucket), objects);
    }
    if bytes != 0 {
        mutation.add(bytes_key(bucket), bytes);
    }
}

/// A counter's value; an absent or malformed one counts as 0.
pub fn value(row: Option<&Bytes>) -> i64 {
    row.and_then(|row| row[..].try_into().ok())
        .map_or(0, i64::from_be_bytes)
}
