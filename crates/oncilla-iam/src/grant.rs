//! What a key may touch: a role on one bucket, or on all of them.

use serde::{Deserialize, Serialize};

use crate::role::Role;

/// Which buckets a [`Grant`] covers. Written as the bucket's name, or `*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum BucketPattern {
    /// Every bucket of the account, present and future.
    Any,
    /// The bucket of exactly this name.
    Exact(String),
}

/// How [`BucketPattern::Any`] is written.
const ANY_BUCKET: &str = "*";

impl BucketPattern {
    /// Whether the pattern covers `bucket`.
    pub fn covers(&self, bucket: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => name == bucket,
        }
    }

    /// The pattern as it is written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Any => ANY_BUCKET,
            Self::Exact(name) => name,
        }
    }
}

impl From<String> for BucketPattern {
    fn from(text: String) -> Self {
        if text == ANY_BUCKET {
            return Self::Any;
        }
        Self::Exact(text)
    }
}

impl From<&str> for BucketPattern {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<BucketPattern> for String {
    fn from(pattern: BucketPattern) -> Self {
        match pattern {
            BucketPattern::Any => ANY_BUCKET.to_owned(),
            BucketPattern::Exact(name) => name,
        }
    }
}

/// A role on the buckets a pattern covers. The grants of a key add up; none takes away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The buckets.
    pub bucket: BucketPattern,
    /// What may be done with them.
    pub role: Role,
}

impl Grant {
    /// A grant of `role` on the bucket called `bucket`, or on all for `*`.
    pub fn new(bucket: impl Into<BucketPattern>, role: Role) -> Self {
        Self {
            bucket: bucket.into(),
            role,
        }
    }
}
