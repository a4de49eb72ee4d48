//! How locks are written into records.

use bytes::{Bytes, BytesMut};
use oncilla_wire::object_lock::{
    DefaultRetention, LegalHold, Retention, RetentionMode, RetentionPeriod,
};
use oncilla_wire::xml::object_lock::ObjectLockConfiguration;

use super::codec::{DecodeError, Field, put_varint, take_varint};

/// The number of a mode in records; never changes its meaning.
fn mode_number(mode: RetentionMode) -> u8 {
    match mode {
        RetentionMode::Governance => 1,
        RetentionMode::Compliance => 2,
    }
}

fn mode_of_number(number: u8) -> Option<RetentionMode> {
    match number {
        1 => Some(RetentionMode::Governance),
        2 => Some(RetentionMode::Compliance),
        _ => None,
    }
}

/// A retention as a field: its mode, and the Unix milliseconds of its end.
pub fn encode_retention(retention: &Retention) -> [u8; 9] {
    let mut field = [0; 9];
    field[0] = mode_number(retention.mode);
    field[1..].copy_from_slice(&retention.until_ms.to_be_bytes());
    field
}

/// Reads what [`encode_retention`] wrote.
pub fn decode_retention(field: &Field) -> Result<Retention, DecodeError> {
    let error = field.error("bad retention");
    let [mode, until @ ..] = field.array::<9>()?;
    Ok(Retention {
        mode: mode_of_number(mode).ok_or(error)?,
        until_ms: i64::from_be_bytes(until),
    })
}

/// The number of a legal hold in records; never changes its meaning.
pub fn legal_hold_number(hold: Option<LegalHold>) -> u64 {
    match hold {
        None => 0,
        Some(LegalHold::On) => 1,
        Some(LegalHold::Off) => 2,
    }
}

/// Reads what [`legal_hold_number`] gave.
pub fn decode_legal_hold(field: Field) -> Result<Option<LegalHold>, DecodeError> {
    let error = field.error("unknown legal hold");
    match field.number()? {
        0 => Ok(None),
        1 => Ok(Some(LegalHold::On)),
        2 => Ok(Some(LegalHold::Off)),
        _ => Err(error),
    }
}

mod period {
    pub const NONE: u8 = 0;
    pub const DAYS: u8 = 1;
    pub const YEARS: u8 = 2;
}

/// A bucket's configuration as a field: what its default retention is counted in, and then its mode
/// and its length.
pub fn encode_configuration(configuration: &ObjectLockConfiguration) -> Bytes {
    let mut field = BytesMut::with_capacity(8);
    let Some(default) = &configuration.default_retention else {
        field.extend_from_slice(&[period::NONE]);
        return field.freeze();
    };
    let (unit, count) = match default.period {
        RetentionPeriod::Days(days) => (period::DAYS, days),
        RetentionPeriod::Years(years) => (period::YEARS, years),
    };
    field.extend_from_slice(&[unit, mode_number(default.mode)]);
    put_varint(&mut field, u64::from(count));
    field.freeze()
}

/// Reads what [`encode_configuration`] wrote.
pub fn decode_configuration(field: &Field) -> Result<ObjectLockConfiguration, DecodeError> {
    let read = || {
        let (&unit, rest) = field.value.split_first()?;
        if unit == period::NONE {
            return rest.is_empty().then(ObjectLockConfiguration::default);
        }
        let (&mode, mut rest) = rest.split_first()?;
        let mode = mode_of_number(mode)?;
        let count = u32::try_from(take_varint(&mut rest)?).ok()?;
        let period = match unit {
            period::DAYS => RetentionPeriod::Days(count),
            period::YEARS => RetentionPeriod::Years(count),
            _ => return None,
        };
        rest.is_empty().then_some(ObjectLockConfiguration {
            default_retention: Some(DefaultRetention { mode, period }),
        })
    };
    read().ok_or(field.error("bad object lock configuration"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn modes() -> impl Strategy<Value = RetentionMode> {
        prop_oneof![
            Just(RetentionMode::Governance),
            Just(RetentionMode::Compliance)
        ]
    }

    /// Any locks of a version.
    pub fn locks() -> impl Strategy<Value = (Option<Retention>, Option<LegalHold>)> {
        let retention =
            (modes(), any::<i64>()).prop_map(|(mode, until_ms)| Retention { mode, until_ms });
        let hold = prop_oneof![Just(LegalHold::On), Just(LegalHold::Off)];
        (proptest::option::of(retention), proptest::option::of(hold))
    }

    /// Any configuration of a bucket.
    pub fn configurations() -> impl Strategy<Value = ObjectLockConfiguration> {
        let period = prop_oneof![
            any::<u32>().prop_map(RetentionPeriod::Days),
            any::<u32>().prop_map(RetentionPeriod::Years)
        ];
        let default = (modes(), period);
        let default = default.prop_map(|(mode, period)| DefaultRetention { mode, period });
        proptest::option::of(default)
            .prop_map(|default_retention| ObjectLockConfiguration { default_retention })
    }
}
