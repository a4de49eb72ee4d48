//! Lines that wait for their delivery.

use std::collections::HashMap;
use std::sync::Arc;

use oncilla_store::Bucket;
use oncilla_wire::xml::logging::{
    BucketLoggingStatus, LogKeyFormat, LoggingEnabled, PartitionDateSource,
};
use parking_lot::Mutex;

const MS_PER_DAY: u64 = 86_400_000;

/// What the overhead of a group is taken for, so that very many buckets with a line each do not
/// escape the limit.
const GROUP_BYTES: usize = 512;

/// Lines that go into one object: of one bucket to one destination, and of one day if that is in the
/// object's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// The bucket that was asked for something.
    pub bucket: String,
    /// Canonical id of its owner.
    pub owner: String,
    destination: LoggingEnabled,
    /// The day since 1970, if it matters.
    day: Option<u64>,
}

impl Group {
    /// The group of a request that was received at `time_ms`; `None` if the logs go nowhere.
    pub fn new(bucket: &Bucket, status: &BucketLoggingStatus, time_ms: u64) -> Option<Self> {
        let destination = status.enabled.clone()?;
        let by_day = matches!(
            destination.key_format,
            LogKeyFormat::Partitioned(PartitionDateSource::EventTime)
        );
        Some(Self {
            bucket: bucket.name.clone(),
            owner: bucket.record.owner.clone(),
            destination,
            day: by_day.then_some(time_ms / MS_PER_DAY),
        })
    }

    /// Where it goes.
    pub fn destination(&self) -> &LoggingEnabled {
        &self.destination
    }

    /// A moment of its day, in Unix milliseconds.
    pub fn event_ms(&self) -> i64 {
        let ms = self.day.unwrap_or_default().saturating_mul(MS_PER_DAY);
        i64::try_from(ms).unwrap_or(i64::MAX)
    }
}

#[derive(Debug, Default)]
struct Lines {
    text: Vec<u8>,
    count: u64,
    /// When the first of them came, in Unix milliseconds.
    since_ms: u64,
}

#[derive(Debug, Default)]
struct State {
    groups: HashMap<Arc<Group>, Lines>,
    bytes: usize,
}

/// All lines that wait.
#[derive(Debug)]
pub struct Buffers {
    state: Mutex<State>,
    bytes_max: usize,
}

impl Buffers {
    pub fn new(bytes_max: usize) -> Self {
        Self {
            state: Mutex::default(),
            bytes_max,
        }
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> u64 {
        self.state.lock().bytes as u64
    }

    /// Takes a line, unless there is no room.
    pub fn push(&self, group: Group, line: &[u8], now_ms: u64) -> bool {
        let mut state = self.state.lock();
        let is_new = !state.groups.contains_key(&group);
        let bytes = line.len() + if is_new { GROUP_BYTES } else { 0 };
        if state.bytes + bytes > self.bytes_max {
            return false;
        }
        state.bytes += bytes;
        let lines = state.groups.entry(Arc::new(group)).or_default();
        if lines.count == 0 {
            lines.since_ms = now_ms;
        }
        lines.text.extend_from_slice(line);
        lines.count += 1;
        true
    }

    /// Takes a group whose first line came before `before_ms`, or which has more than `bytes`.
    pub fn take(&self, before_ms: u64, bytes: usize) -> Option<Batch<'_>> {
        let mut state = self.state.lock();
        let is_due = |lines: &Lines| lines.since_ms <= before_ms || lines.text.len() >= bytes;
        let due = state.groups.iter().find(|(_, lines)| is_due(lines));
        let group = due.map(|(group, _)| Arc::clone(group))?;
        let lines = state.groups.remove(&group)?;
        state.bytes = state.bytes.saturating_sub(lines.text.len() + GROUP_BYTES);
        Some(Batch {
            buffers: self,
            group,
            lines,
        })
    }

    fn put_back(&self, group: Arc<Group>, mut before: Lines) {
        let mut state = self.state.lock();
        state.bytes += before.text.len();
        match state.groups.get_mut(&group) {
            Some(lines) => {
                before.text.append(&mut lines.text);
                before.count += lines.count;
                *lines = before;
            }
            None => {
                state.bytes += GROUP_BYTES;
                state.groups.insert(group, before);
            }
        }
    }
}

/// Lines on their way. Dropped without [`Batch::done`], they wait again.
#[derive(Debug)]
pub struct Batch<'a> {
    buffers: &'a Buffers,
    group: Arc<Group>,
    lines: Lines,
}

impl Batch<'_> {
    pub fn group(&self) -> &Group {
        &self.group
    }

    pub fn text(&self) -> &[u8] {
        &self.lines.text
    }

    /// How many there are.
    pub fn lines(&self) -> u64 {
        self.lines.count
    }

    /// They have arrived, or are given up.
    pub fn done(mut self) {
        self.lines = Lines::default();
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if self.lines.count > 0 {
            let lines = std::mem::take(&mut self.lines);
            self.buffers.put_back(Arc::clone(&self.group), lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(bucket: &str) -> Group {
        Group {
            bucket: bucket.to_owned(),
            owner: String::new(),
            destination: LoggingEnabled {
                target_bucket: "logs".to_owned(),
                target_prefix: String::new(),
                target_grants: Vec::new(),
                key_format: LogKeyFormat::Simple,
            },
            day: None,
        }
    }

    #[test]
    fn lines_wait_until_they_are_old_or_many_and_never_exceed_the_limit() {
        let buffers = Buffers::new(2 * GROUP_BYTES + 100);
        assert!(buffers.push(group("a"), &[b'1'; 40], 1_000));
        assert!(buffers.push(group("a"), &[b'2'; 40], 2_000));
        assert!(buffers.push(group("b"), &[b'3'; 20], 3_000));
        assert!(!buffers.push(group("b"), b"4", 3_000));
        assert!(!buffers.push(group("c"), b"", 3_000));
        assert!(buffers.take(999, 1_000).is_none());
        let old = buffers.take(1_000, 1_000).unwrap();
        assert_eq!((old.group().bucket.as_str(), old.lines()), ("a", 2));
        assert!(buffers.push(group("a"), &[b'5'; 5], 4_000));
        drop(old);
        let again = buffers.take(0, 81).unwrap();
        assert_eq!(
            again.text(),
            [&[b'1'; 40][..], &[b'2'; 40], &[b'5'; 5]].concat()
        );
        again.done();
        buffers.take(0, 0).unwrap().done();
        assert_eq!(buffers.bytes(), 0);
    }
}
