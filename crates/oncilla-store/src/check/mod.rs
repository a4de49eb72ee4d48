//! Checking a store as a whole: *fsck* compares records with each other and with the volumes,
//! *scrub* reads every byte and compares it with its checksums. Neither changes anything.

mod fsck;
mod fsck_history;
mod scrub;

pub use fsck::FsckSummary;
pub use scrub::ScrubSummary;

use bytes::Bytes;
use oncilla_meta::{Reader, Row, next_key};

use crate::fault::Fault;
use crate::store::scan;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Data is lost or wrong.
    Damage,
    /// Space is taken by what nothing refers to, or a counter is off. No data is affected.
    Leak,
}

impl Severity {
    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Damage => "damage",
            Self::Leak => "leak",
        }
    }
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The bucket it concerns, by name if the name is known.
    pub bucket: Option<String>,
    /// The object key it concerns.
    pub key: Option<Bytes>,
    /// What is wrong.
    pub detail: String,
}

impl Finding {
    fn damage(detail: impl Into<String>) -> Self {
        Self {
            severity: Severity::Damage,
            bucket: None,
            key: None,
            detail: detail.into(),
        }
    }

    fn leak(detail: impl Into<String>) -> Self {
        Self {
            severity: Severity::Leak,
            bucket: None,
            key: None,
            detail: detail.into(),
        }
    }

    fn of_object(mut self, bucket: &str, key: &Bytes) -> Self {
        self.bucket = Some(bucket.to_owned());
        self.key = Some(key.clone());
        self
    }
}

/// Rows read at a time.
const ROWS_PER_STEP: usize = 1_000;

/// Reads a range row by row, a step at a time.
struct Rows<'a> {
    reader: &'a dyn Reader,
    start: Bytes,
    end: Bytes,
    fetched: std::vec::IntoIter<Row>,
    more: bool,
}

impl<'a> Rows<'a> {
    fn new(reader: &'a dyn Reader, (start, end): (Bytes, Bytes)) -> Self {
        Self {
            reader,
            start,
            end,
            fetched: Vec::new().into_iter(),
            more: true,
        }
    }

    async fn next(&mut self) -> Result<Option<Row>, Fault> {
        loop {
            if let Some(row) = self.fetched.next() {
                return Ok(Some(row));
            }
            if !self.more {
                return Ok(None);
            }
            let page = self
                .reader
                .scan(scan(self.start.clone(), self.end.clone(), ROWS_PER_STEP))
                .await?;
            if let Some(last) = page.rows.last() {
                self.start = next_key(&last.key);
            }
            self.more = page.more;
            self.fetched = page.rows.into_iter();
        }
    }
}
