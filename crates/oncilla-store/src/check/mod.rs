//! Checking a store as a whole: *fsck* compares records with each other and with the volumes,
//! *scrub* reads every byte and compares it with its checksums. Neither changes anything.

mod fsck;
mod fsck_history;
mod scrub;

pub use fsck::FsckSummary;
pub use scrub::ScrubSummary;

use bytes::Bytes;

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
