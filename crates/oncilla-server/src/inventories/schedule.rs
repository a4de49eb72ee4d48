//! When an inventory is due.

use oncilla_wire::xml::inventory::Frequency;

const MS_PER_DAY: u64 = 86_400_000;

/// Days from the Sunday before 1970 to its first day, a Thursday.
const DAYS_SINCE_SUNDAY: u64 = 4;

/// The day of a moment, counted from 1970 in UTC.
pub fn day_of(unix_ms: u64) -> u64 {
    unix_ms / MS_PER_DAY
}

/// Whether an inventory that was last made on `last` is due on `today`. A new one always is. A weekly
/// one is made on Sundays, or as soon as it can be afterwards.
pub fn is_due(frequency: Frequency, last: Option<u64>, today: u64) -> bool {
    let Some(last) = last else {
        return true;
    };
    let week = |day: u64| (day + DAYS_SINCE_SUNDAY) / 7;
    match frequency {
        Frequency::Daily => last < today,
        Frequency::Weekly => week(last) < week(today),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weekly_inventories_are_made_on_sundays() {
        // Sunday, 1 March 2026.
        let sunday = day_of(1_772_323_200_000);
        for frequency in [Frequency::Daily, Frequency::Weekly] {
            assert!(is_due(frequency, None, sunday));
            assert!(!is_due(frequency, Some(sunday), sunday));
            assert!(is_due(frequency, Some(sunday - 1), sunday));
        }
        assert!(is_due(Frequency::Daily, Some(sunday), sunday + 1));
        assert!(!is_due(Frequency::Weekly, Some(sunday), sunday + 6));
        assert!(is_due(Frequency::Weekly, Some(sunday), sunday + 7));
        assert!(is_due(Frequency::Weekly, Some(sunday + 6), sunday + 9));
    }
}
