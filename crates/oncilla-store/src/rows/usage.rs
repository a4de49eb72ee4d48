//! Counters of what a bucket holds (`n`), kept exact by being part of every mutation: the objects
//! that a listing shows, and apart from them what is in the history.

use bytes::Bytes;
use oncilla_meta::Mutation;

use super::key::{BucketId, join, prefix, range_of};

/// The range of a bucket's counters.
pub fn counters_of_bucket(bucket: BucketId) -> (Bytes, Bytes) {
    range_of(join(prefix::USAGE, &[&bucket.0.to_be_bytes()]))
}

/// One counter of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Objects: what a listing shows.
    Objects,
    /// Bytes in them.
    Bytes,
    /// Entries of the history: superseded objects and delete markers.
    PastEntries,
    /// Bytes in superseded objects.
    PastBytes,
}

impl Counter {
    /// All of them.
    pub const ALL: [Counter; 4] = [
        Counter::Objects,
        Counter::Bytes,
        Counter::PastEntries,
        Counter::PastBytes,
    ];

    /// Key of the counter's row; never changes its meaning.
    pub fn key(self, bucket: BucketId) -> Bytes {
        let name = match self {
            Counter::Objects => b'o',
            Counter::Bytes => b'b',
            Counter::PastEntries => b'h',
            Counter::PastBytes => b'i',
        };
        join(prefix::USAGE, &[&bucket.0.to_be_bytes(), &[name]])
    }
}

/// A reading of a bucket's counters, or a change of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// See [`Counter::Objects`].
    pub objects: i64,
    /// See [`Counter::Bytes`].
    pub bytes: i64,
    /// See [`Counter::PastEntries`].
    pub past_entries: i64,
    /// See [`Counter::PastBytes`].
    pub past_bytes: i64,
}

impl Counts {
    /// The count of one counter.
    pub fn of(&mut self, counter: Counter) -> &mut i64 {
        match counter {
            Counter::Objects => &mut self.objects,
            Counter::Bytes => &mut self.bytes,
            Counter::PastEntries => &mut self.past_entries,
            Counter::PastBytes => &mut self.past_bytes,
        }
    }

    /// Counts an object of `size` bytes.
    pub fn add_object(&mut self, size: u64) {
        self.objects += 1;
        self.bytes += size as i64;
    }

    /// Counts an object of `size` bytes less.
    pub fn remove_object(&mut self, size: u64) {
        self.objects -= 1;
        self.bytes -= size as i64;
    }

    /// Counts an entry of the history with `size` bytes.
    pub fn add_past(&mut self, size: u64) {
        self.past_entries += 1;
        self.past_bytes += size as i64;
    }

    /// Counts an entry of the history with `size` bytes less.
    pub fn remove_past(&mut self, size: u64) {
        self.past_entries -= 1;
        self.past_bytes -= size as i64;
    }

    /// Adds other changes to these.
    pub fn merge(&mut self, mut other: Self) {
        for counter in Counter::ALL {
            *self.of(counter) += *other.of(counter);
        }
    }

    /// Adds these changes to a mutation.
    pub fn apply(mut self, mutation: &mut Mutation, bucket: BucketId) {
        for counter in Counter::ALL {
            let change = *self.of(counter);
            if change != 0 {
                mutation.add(counter.key(bucket), change);
            }
        }
    }
}

/// A counter's value; an absent or malformed one counts as 0.
pub fn value(row: Option<&Bytes>) -> i64 {
    row.and_then(|row| row[..].try_into().ok())
        .map_or(0, i64::from_be_bytes)
}
