//! A statement, compiled.

use std::sync::Arc;

use super::arn::ArnPattern;
use super::condition::Condition;
use super::key::{ConditionKey, Context};
use super::pattern::Wildcard;
use super::principal::Principals;
use super::template::Outcome;

/// One statement of a policy.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) sid: Option<Box<str>>,
    /// Deny if not set.
    pub(super) allows: bool,
    pub(super) principals: Principals,
    pub(super) actions: Actions,
    pub(super) resources: Resources,
    pub(super) conditions: Vec<Condition>,
}

/// `Action` or `NotAction`. Names are kept in lower case.
#[derive(Clone, Debug)]
pub(super) struct Actions {
    /// Names without wildcards, sorted. Every key with a role shares those of the role.
    names: Arc<[Box<str>]>,
    patterns: Vec<Wildcard>,
    negated: bool,
    /// Whether each is one of S3's by its name.
    only_s3: bool,
}

impl Actions {
    /// Names without wildcards, sorted and in lower case.
    pub(super) fn of_names(names: Arc<[Box<str>]>) -> Self {
        Self {
            names,
            patterns: Vec::new(),
            negated: false,
            only_s3: true,
        }
    }

    pub(super) fn new(texts: &[String], negated: bool) -> Self {
        let mut names = Vec::new();
        let mut patterns = Vec::new();
        let mut only_s3 = !negated;
        for text in texts {
            let lower = text.to_ascii_lowercase();
            only_s3 &= lower.starts_with("s3:");
            if lower.contains(['*', '?']) {
                patterns.push(Wildcard::new(&lower));
            } else {
                names.push(lower.into_boxed_str());
            }
        }
        names.sort_unstable();
        Self {
            names: names.into(),
            patterns,
            negated,
            only_s3,
        }
    }

    /// Whether the statement is about S3 alone.
    pub(super) fn are_only_s3(&self) -> bool {
        self.only_s3
    }

    /// Whether the statement is about an action, given in lower case.
    pub(super) fn include(&self, action: &str) -> bool {
        let listed = self
            .names
            .binary_search_by(|name| (**name).cmp(action))
            .is_ok()
            || self.patterns.iter().any(|pattern| pattern.matches(action));
        listed != self.negated
    }
}

/// `Resource` or `NotResource`.
#[derive(Clone, Debug)]
pub(super) struct Resources {
    pub(super) patterns: Vec<ArnPattern>,
    pub(super) negated: bool,
}

impl Resources {
    fn include(&self, arn: &str, context: &dyn Context, unresolved_holds: bool) -> bool {
        let outcome = |pattern: &ArnPattern| pattern.matches(arn, context);
        match Outcome::any(self.patterns.iter().map(outcome)) {
            Outcome::Matches => !self.negated,
            Outcome::Differs => self.negated,
            Outcome::Unresolved => self.negated && unresolved_holds,
        }
    }
}

impl Statement {
    /// Whether action (in lower case), resource and conditions fit. Whom the statement is about
    /// is judged before.
    pub(super) fn applies(&self, action: &str, resource: &str, context: &dyn Context) -> bool {
        // What cannot be resolved must not allow, and must not keep from denying.
        let unresolved_holds = !self.allows;
        self.actions.include(action)
            && self.resources.include(resource, context, unresolved_holds)
            && self
                .conditions
                .iter()
                .all(|condition| condition.holds(context, unresolved_holds))
    }

    /// Keys of the context that it asks for.
    pub(super) fn keys(&self) -> impl Iterator<Item = &ConditionKey> {
        let of_resources = self.resources.patterns.iter().flat_map(ArnPattern::keys);
        let of_conditions = self.conditions.iter().flat_map(Condition::keys);
        of_resources.chain(of_conditions)
    }
}
