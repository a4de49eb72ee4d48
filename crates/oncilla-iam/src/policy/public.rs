//! When S3 calls a bucket policy public.
//! Source: S3 user guide, "Blocking public access to your Amazon S3 storage", "The meaning of
//! public".

use super::arn::ArnPattern;
use super::condition::{Condition, Quantifier, Test};
use super::ip::Cidr;
use super::key::{ConditionKey, KnownKey};
use super::principal::{PrincipalPattern, Principals};
use super::statement::Statement;
use super::template::{Pattern, Text};

/// Keys without a value here that make a policy non-public when fixed.
const FIXING_KEYS: [&str; 6] = [
    "aws:principalorgid",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
];

/// Whether a statement opens the bucket to the public: it allows something to everybody, and no
/// condition ties it to fixed values (none with a wildcard or a variable). What a Deny takes
/// back does not count, as in S3.
pub(super) fn is_public(statement: &Statement) -> bool {
    let for_everybody = match &statement.principals {
        Principals::Attached => false,
        Principals::Listed(patterns) => !patterns.iter().all(PrincipalPattern::is_fixed),
        Principals::Except(_) => true,
    };
    statement.allows && for_everybody && !statement.conditions.iter().any(is_fixing)
}

/// Whether a condition holds for fixed values of a telling key only.
fn is_fixing(condition: &Condition) -> bool {
    // Each of these holds for requests without the key.
    let holds_without =
        condition.negated || condition.if_exists || condition.quantifier == Quantifier::All;
    if holds_without || !tells_who(&condition.key) {
        return false;
    }
    match &condition.test {
        Test::String { values, .. } => all(values, |value| matches!(value, Text::Fixed(_))),
        Test::Like(values) => all(values, Pattern::is_fixed_text),
        Test::Arn(values) => all(values, ArnPattern::is_fixed_text),
        Test::Ip(values) => all(values, Cidr::is_fixed),
        Test::Null(_) | Test::Numeric(..) | Test::Date(..) | Test::Bool(_) | Test::Binary(_) => {
            false
        }
    }
}

fn all<T>(values: &[T], is_fixed: impl Fn(&T) -> bool) -> bool {
    !values.is_empty() && values.iter().all(is_fixed)
}

fn tells_who(key: &ConditionKey) -> bool {
    match key {
        ConditionKey::Known(key) => matches!(
            key,
            KnownKey::SourceIp
                | KnownKey::SourceArn
                | KnownKey::SourceAccount
                | KnownKey::PrincipalAccount
                | KnownKey::PrincipalArn
                | KnownKey::UserId
        ),
        ConditionKey::Other(name) => FIXING_KEYS.contains(&&**name),
        ConditionKey::ExistingObjectTag(_)
        | ConditionKey::RequestObjectTag(_)
        | ConditionKey::PrincipalTag(_) => false,
    }
}
