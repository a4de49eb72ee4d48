//! What the expressions of one record may cost.
//!
//! The number of expressions says little about that: one LIKE goes through a text of 1 MiB, and an
//! expression of 256 KiB has thousands of them. So whatever reads, compares or makes texts tells the
//! budget of the record in how many steps, and a query that needs more than [`RECORD_STEPS_MAX`] of
//! them for one record ends with an error. Texts that were made also count as long as they are there:
//! see [`MADE_BYTES_MAX`].

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use oncilla_wire::error::{S3Error, S3ErrorCode};

use crate::input::buffer::check_length;
use crate::{RECORD_BYTES_MAX, error};

/// How many steps the expressions of one record take at most: about as many bytes that are looked at,
/// or comparisons of a character, which is some tenths of a second. The longest record can be gone
/// through 64 times.
pub const RECORD_STEPS_MAX: usize = 64 << 20;

/// How many bytes the texts have that were made and are still needed, all together: room for a few of
/// the longest ones. Expressions lie up to 64 deep within each other, and each level could hold one.
pub const MADE_BYTES_MAX: usize = 4 * RECORD_BYTES_MAX;

/// How many steps it takes to change the case of a byte that is not ASCII.
pub(crate) const CASE_STEPS: usize = 4;

/// What is left for one record. Atomic only so that a query can move between threads: one at a time
/// works on it.
#[derive(Debug)]
pub struct Budget {
    steps: AtomicUsize,
    made_bytes: AtomicUsize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            steps: AtomicUsize::new(RECORD_STEPS_MAX),
            made_bytes: AtomicUsize::new(MADE_BYTES_MAX),
        }
    }
}

impl Budget {
    /// Takes so many steps off: before they are made, or after them if they are no more than the bytes
    /// of a record.
    ///
    /// # Errors
    /// `ExternalEvalException` if there are not so many left.
    pub fn burn(&self, steps: usize) -> Result<(), S3Error> {
        let left = self.steps.load(Relaxed).checked_sub(steps);
        self.steps.store(left.unwrap_or(0), Relaxed);
        match left {
            Some(_) => Ok(()),
            None => Err(too_costly()),
        }
    }

    /// How many steps are left.
    pub fn left(&self) -> usize {
        self.steps.load(Relaxed)
    }

    /// How many steps were made.
    pub fn burned(&self) -> usize {
        RECORD_STEPS_MAX - self.steps.load(Relaxed)
    }

    /// Counts a text that was made.
    ///
    /// # Errors
    /// `OverMaxRecordSize` for one that no record may have, `ExternalEvalException` if there are too
    /// many at once.
    pub fn hold(&self, text: String) -> Result<Made<'_>, S3Error> {
        check_length(text.len())?;
        let held = text.capacity();
        self.take(held)?;
        Ok(Made {
            text,
            held,
            budget: self,
        })
    }

    fn take(&self, bytes: usize) -> Result<(), S3Error> {
        let left = self.made_bytes.load(Relaxed).checked_sub(bytes);
        self.made_bytes.store(left.ok_or_else(too_costly)?, Relaxed);
        Ok(())
    }
}

/// A text that was made, which counts until it is dropped.
#[derive(Debug)]
pub struct Made<'b> {
    text: String,
    /// How many bytes of the budget it has.
    held: usize,
    budget: &'b Budget,
}

impl Made<'_> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text with more behind it. What is there is not copied each time, so that a chain takes time
    /// proportional to what comes of it.
    ///
    /// # Errors
    /// As [`Budget::hold`].
    pub fn with(mut self, more: &str) -> Result<Self, S3Error> {
        let length = self.text.len() + more.len();
        check_length(length)?;
        if length > self.text.capacity() {
            let twice = 2 * self.text.capacity();
            let capacity = length.max(twice.min(RECORD_BYTES_MAX));
            self.budget.take(capacity.saturating_sub(self.held))?;
            self.held = self.held.max(capacity);
            self.text.reserve_exact(capacity - self.text.len());
        }
        self.text.push_str(more);
        Ok(self)
    }
}

impl Clone for Made<'_> {
    /// Counts as well, although it cannot be refused; what is made after it is.
    fn clone(&self) -> Self {
        let text = self.text.clone();
        let held = text.capacity().min(self.budget.made_bytes.load(Relaxed));
        let left = self.budget.made_bytes.load(Relaxed) - held;
        self.budget.made_bytes.store(left, Relaxed);
        Self {
            text,
            held,
            budget: self.budget,
        }
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        let left = self.budget.made_bytes.load(Relaxed);
        self.budget.made_bytes.store(left + self.held, Relaxed);
    }
}

/// S3 has no code for this one: "the query cannot be evaluated" says it best.
fn too_costly() -> S3Error {
    let message = "The SQL expression is too costly for one record: it reads or makes too much text. \
                   Use fewer or simpler operations on long texts.";
    error(S3ErrorCode::ExternalEvalException, message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn steps_are_used_up() {
        let budget = Budget::default();
        budget.burn(RECORD_STEPS_MAX - 1).unwrap();
        budget.burn(1).unwrap();
        budget.burn(0).unwrap();
        assert_eq!((budget.left(), budget.burned()), (0, RECORD_STEPS_MAX));
        let refused = budget.burn(1).unwrap_err();
        assert_eq!(refused.code, S3ErrorCode::ExternalEvalException);
        // More than is left uses up the rest.
        let budget = Budget::default();
        assert!(budget.burn(RECORD_STEPS_MAX + 1).is_err());
        assert_eq!(budget.left(), 0);
    }

    #[test]
    fn texts_count_until_they_are_dropped() {
        let budget = Budget::default();
        let long = || "x".repeat(RECORD_BYTES_MAX);
        for _ in 0..20 {
            budget.hold(long()).unwrap();
        }
        let mut held: Vec<_> = (0..4).map(|_| budget.hold(long()).unwrap()).collect();
        let refused = budget.hold("x".to_owned()).unwrap_err();
        assert_eq!(refused.code, S3ErrorCode::ExternalEvalException);
        held.pop();
        let copy = held[0].clone();
        assert!(budget.hold("x".to_owned()).is_err());
        drop((held, copy));
        assert_eq!(budget.made_bytes.load(Relaxed), MADE_BYTES_MAX);
        let refused = budget.hold(long() + "x").unwrap_err();
        assert_eq!(refused.code, S3ErrorCode::OverMaxRecordSize);
    }

    #[test]
    fn a_text_grows_up_to_the_longest() {
        let budget = Budget::default();
        let mut text = budget.hold("ab".to_owned()).unwrap();
        for _ in 0..(RECORD_BYTES_MAX - 2) / 3 {
            text = text.with("xyz").unwrap();
        }
        assert_eq!(text.as_str().len(), RECORD_BYTES_MAX - 2);
        assert!(text.as_str().starts_with("abxyzxyz"));
        let taken = MADE_BYTES_MAX - budget.made_bytes.load(Relaxed);
        assert!(taken <= RECORD_BYTES_MAX, "{taken}");
        let refused = text.with("xyz").unwrap_err();
        assert_eq!(refused.code, S3ErrorCode::OverMaxRecordSize);
        assert_eq!(budget.made_bytes.load(Relaxed), MADE_BYTES_MAX);
    }
}
