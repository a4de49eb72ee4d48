//! How an object is cut into parts.

use std::ops::RangeInclusive;

/// From this size on parts are worth their extra requests.
pub const DEFAULT_MULTIPART_THRESHOLD_BYTES: u64 = 8 * MIB;

/// Large enough to make the cost of a request vanish, small enough to repeat after a failure.
pub const DEFAULT_PART_BYTES: u64 = 16 * MIB;

/// Smallest part that is not the last (S3's limit).
pub const PART_BYTES_MIN: u64 = 5 * MIB;

/// Largest part (S3's limit).
pub const PART_BYTES_MAX: u64 = 5 * 1024 * MIB;

/// Most parts (S3's limit).
pub const PARTS_MAX: u64 = 10_000;

const MIB: u64 = 1024 * 1024;

/// Why an object cannot be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Even the largest parts are too many.
    #[error("{0} bytes are more than 10,000 parts of 5 GiB can hold")]
    TooLarge(u64),
}

/// The parts of one object: all of the same size but the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartPlan {
    /// Size of the whole.
    pub object_bytes: u64,
    /// Size of every part but the last.
    pub part_bytes: u64,
}

impl PartPlan {
    /// Parts of about `preferred_bytes`, larger where there would be too many, in whole MiB.
    pub fn new(object_bytes: u64, preferred_bytes: u64) -> Result<Self, PlanError> {
        let needed = object_bytes.div_ceil(PARTS_MAX).div_ceil(MIB) * MIB;
        let part_bytes = preferred_bytes
            .clamp(PART_BYTES_MIN, PART_BYTES_MAX)
            .max(needed);
        if part_bytes > PART_BYTES_MAX {
            return Err(PlanError::TooLarge(object_bytes));
        }
        Ok(Self {
            object_bytes,
            part_bytes,
        })
    }

    /// How many parts; an empty object has one.
    pub fn count(&self) -> u32 {
        let count = self.object_bytes.div_ceil(self.part_bytes).max(1);
        // `new` keeps it within 10,000; a plan made by hand saturates.
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// The part numbers in order.
    pub fn numbers(&self) -> RangeInclusive<u32> {
        1..=self.count()
    }

    /// Offset and length of part `number` (from 1).
    pub fn part(&self, number: u32) -> (u64, u64) {
        let offset = u64::from(number.saturating_sub(1)) * self.part_bytes;
        let length = self
            .object_bytes
            .saturating_sub(offset)
            .min(self.part_bytes);
        (offset, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_sizes() {
        let plan = PartPlan::new(100 * MIB, DEFAULT_PART_BYTES).unwrap();
        assert_eq!((plan.part_bytes, plan.count()), (16 * MIB, 7));
        assert_eq!(plan.part(7), (96 * MIB, 4 * MIB));
        let exact = PartPlan::new(32 * MIB, DEFAULT_PART_BYTES).unwrap();
        assert_eq!((exact.count(), exact.part(2)), (2, (16 * MIB, 16 * MIB)));
        assert_eq!(PartPlan::new(0, DEFAULT_PART_BYTES).unwrap().count(), 1);
        let largest = PART_BYTES_MAX * PARTS_MAX;
        assert_eq!(PartPlan::new(largest, 1).unwrap().count(), 10_000);
        assert_eq!(
            PartPlan::new(largest + 1, 1),
            Err(PlanError::TooLarge(largest + 1))
        );
    }

    proptest! {
        #[test]
        fn parts_cover_the_object_without_gap_within_the_limits(
            object_bytes in 1..=PART_BYTES_MAX * PARTS_MAX,
            preferred_bytes: u64,
        ) {
            let plan = PartPlan::new(object_bytes, preferred_bytes).unwrap();
            prop_assert!(u64::from(plan.count()) <= PARTS_MAX);
            prop_assert!((PART_BYTES_MIN..=PART_BYTES_MAX).contains(&plan.part_bytes));
            let mut end = 0;
            for number in plan.numbers() {
                let (offset, length) = plan.part(number);
                prop_assert_eq!(offset, end);
                prop_assert!(length > 0);
                end = offset + length;
            }
            prop_assert_eq!(end, object_bytes);
        }
    }
}
