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
    /// They could not be delivered, and are not tried again before this time.
    again_ms: u64,
}

#[derive(Debug, Default)]
struct State {
    groups: HashMap<Arc<Group>, Lines>,
    bytes: usize,
    /// Bytes by the owners of the buckets.
    bytes_of: HashMap<String, usize>,
}

impl State {
    fn add(&mut self, owner: &str, bytes: usize) {
        self.bytes += bytes;
        match self.bytes_of.get_mut(owner) {
            Some(of_owner) => *of_owner += bytes,
            None => {
                self.bytes_of.insert(owner.to_owned(), bytes);
            }
        }
    }

    fn remove(&mut self, owner: &str, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        let Some(of_owner) = self.bytes_of.get_mut(owner) else {
            return;
        };
        *of_owner = of_owner.saturating_sub(bytes);
        if *of_owner == 0 {
            self.bytes_of.remove(owner);
        }
    }
}

/// All lines that wait. Whose buckets are asked for much fills no more than is left to all others: one
/// owner alone half of the room, two a third each. So there is some for everybody.
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
        let of_owner = state.bytes_of.get(&group.owner).copied();
        let left = self.bytes_max.saturating_sub(state.bytes + bytes);
        if of_owner.unwrap_or_default() + bytes > left {
            return false;
        }
        state.add(&group.owner, bytes);
        let lines = state.groups.entry(Arc::new(group)).or_default();
        if lines.count == 0 {
            lines.since_ms = now_ms;
        }
        lines.text.extend_from_slice(line);
        lines.count += 1;
        true
    }

    /// The groups whose first line came before `before_ms`, or which have more than `bytes`, but for
    /// those that failed and wait.
    pub fn due(&self, now_ms: u64, before_ms: u64, bytes: usize) -> Vec<Arc<Group>> {
        self.groups(|lines| {
            let is_due = lines.since_ms <= before_ms || lines.text.len() >= bytes;
            is_due && lines.again_ms <= now_ms
        })
    }

    /// All groups.
    pub fn all(&self) -> Vec<Arc<Group>> {
        self.groups(|_| true)
    }

    fn groups(&self, is_wanted: impl Fn(&Lines) -> bool) -> Vec<Arc<Group>> {
        let state = self.state.lock();
        let wanted = state.groups.iter().filter(|(_, lines)| is_wanted(lines));
        wanted.map(|(group, _)| Arc::clone(group)).collect()
    }

    /// Takes what waits of a group.
    pub fn take(&self, group: Arc<Group>) -> Option<Batch<'_>> {
        let mut state = self.state.lock();
        let lines = state.groups.remove(&group)?;
        state.remove(&group.owner, lines.text.len() + GROUP_BYTES);
        Some(Batch {
            buffers: self,
            group,
            lines,
        })
    }

    fn put_back(&self, group: Arc<Group>, mut before: Lines) {
        let mut state = self.state.lock();
        state.add(&group.owner, before.text.len());
        match state.groups.get_mut(&group) {
            Some(lines) => {
                before.text.append(&mut lines.text);
                before.count += lines.count;
                *lines = before;
            }
            None => {
                state.add(&group.owner, GROUP_BYTES);
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

    /// They could not be delivered, and wait until then.
    pub fn try_again_at(mut self, ms: u64) {
        self.lines.again_ms = ms;
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

    fn group_of(owner: &str, bucket: &str) -> Group {
        Group {
            owner: owner.to_owned(),
            ..group(bucket)
        }
    }

    fn due(buffers: &Buffers, now_ms: u64, before_ms: u64, bytes: usize) -> Vec<String> {
        let due = buffers.due(now_ms, before_ms, bytes);
        let mut due: Vec<_> = due.iter().map(|group| group.bucket.clone()).collect();
        due.sort();
        due
    }

    fn take<'a>(buffers: &'a Buffers, bucket: &str) -> Batch<'a> {
        buffers.take(Arc::new(group(bucket))).unwrap()
    }

    #[test]
    fn lines_wait_until_they_are_old_or_many_and_never_exceed_the_limit() {
        let buffers = Buffers::new(2 * (2 * GROUP_BYTES + 100));
        assert!(buffers.push(group("a"), &[b'1'; 40], 1_000));
        assert!(buffers.push(group("a"), &[b'2'; 40], 2_000));
        assert!(buffers.push(group("b"), &[b'3'; 20], 3_000));
        assert!(!buffers.push(group("b"), b"4", 3_000));
        assert!(!buffers.push(group("c"), b"", 3_000));
        assert!(due(&buffers, 9_000, 999, 1_000).is_empty());
        assert_eq!(due(&buffers, 9_000, 1_000, 1_000), ["a"]);
        assert_eq!(due(&buffers, 9_000, 3_000, 1_000), ["a", "b"]);
        let old = take(&buffers, "a");
        assert_eq!((old.group().bucket.as_str(), old.lines()), ("a", 2));
        assert!(buffers.push(group("a"), &[b'5'; 5], 4_000));
        drop(old);
        assert_eq!(due(&buffers, 9_000, 0, 81), ["a"]);
        let again = take(&buffers, "a");
        assert_eq!(
            again.text(),
            [&[b'1'; 40][..], &[b'2'; 40], &[b'5'; 5]].concat()
        );
        again.done();
        take(&buffers, "b").done();
        assert_eq!(buffers.bytes(), 0);
        assert!(buffers.state.lock().bytes_of.is_empty());
    }

    #[test]
    fn what_failed_waits_and_keeps_its_lines() {
        let buffers = Buffers::new(10_000);
        for bucket in ["a", "b"] {
            assert!(buffers.push(group(bucket), b"1", 1_000));
        }
        take(&buffers, "a").try_again_at(5_000);
        assert!(buffers.push(group("a"), b"2", 2_000));
        assert_eq!(due(&buffers, 4_999, 4_999, 1), ["b"]);
        assert_eq!(due(&buffers, 5_000, 4_999, 1), ["a", "b"]);
        assert_eq!(buffers.all().len(), 2);
        assert_eq!(take(&buffers, "a").text(), b"12");
    }

    #[test]
    fn one_owner_leaves_room_for_others() {
        let buffers = Buffers::new(32_000);
        let fill = |owner: &str| {
            let before = buffers.bytes();
            let mut bucket = 0;
            while buffers.push(group_of(owner, &bucket.to_string()), &[b'x'; 100], 0) {
                bucket += 1;
            }
            buffers.bytes() - before
        };
        assert!((15_000..=16_000).contains(&fill("a")));
        assert!((7_000..=8_000).contains(&fill("b")));
        assert!(buffers.push(group_of("c", "c"), &[b'x'; 1_000], 0));
        // What was delivered makes room again.
        for group in buffers.all() {
            buffers.take(group).unwrap().done();
        }
        assert!((15_000..=16_000).contains(&fill("b")));
    }
}
