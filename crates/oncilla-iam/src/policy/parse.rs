//! From the text of a policy to its statements.
//! Source: IAM user guide, "Grammar of the IAM JSON policy language".

use std::collections::BTreeSet;

use super::actions::{ACTIONS, ActionInfo, ResourceKind};
use super::arn::{self, ArnPattern};
use super::condition::{Condition, Operator};
use super::error::{PolicyError, quoted};
use super::json::{self, Json};
use super::key::{ConditionKey, KeyScope};
use super::pattern::Wildcard;
use super::principal::{self, Principals};
use super::statement::{Actions, Resources, Statement};
use super::{
    BUCKET_POLICY_BYTES_MAX, IDENTITY_POLICY_CHARS_MAX, POLICY_TEXT_BYTES_MAX, Policy, PolicyKind,
    SESSION_POLICY_CHARS_MAX, TRUST_POLICY_CHARS_MAX, template,
};

/// Longest name of an action, wildcards included. S3's longest has 51 characters; the rest is room
/// for other services in identity policies.
const ACTION_CHARS_MAX: usize = 128;

pub(super) fn parse(text: &[u8], kind: PolicyKind<'_>) -> Result<Policy, PolicyError> {
    check_size(text, kind)?;
    let fields = json::parse(text)?;
    check_names(&fields, &["Version", "Id", "Statement"])?;
    // Policies without a version are of the first.
    let variables = match field(&fields, "Version") {
        None => false,
        Some(Json::String(version)) if version == "2008-10-17" => false,
        Some(Json::String(version)) if version == "2012-10-17" => true,
        Some(_) => return Err(PolicyError::Version),
    };
    optional_string(&fields, "Id")?;
    let statements = match field(&fields, "Statement") {
        None => return Err(PolicyError::MissingField("Statement")),
        Some(Json::Array(items)) if items.is_empty() => return Err(PolicyError::NoStatement),
        Some(Json::Array(items)) => items.as_slice(),
        Some(single @ Json::Object(_)) => std::slice::from_ref(single),
        Some(_) => return Err(PolicyError::Syntax),
    };
    let reader = StatementReader { kind, variables };
    let statements: Vec<Statement> = statements
        .iter()
        .map(|statement| reader.statement(statement))
        .collect::<Result<_, _>>()?;
    check_sids(&statements, kind)?;
    // serde_json has checked that the text is UTF-8 where it matters; this is the whole of it.
    let text = std::str::from_utf8(text).map_err(|_| PolicyError::NotJson)?;
    Ok(Policy::new(text.into(), statements))
}

/// Refuses condition keys and variables that no request has which their statement is about.
pub(super) fn check_keys(policy: &Policy, kind: PolicyKind<'_>) -> Result<(), PolicyError> {
    for statement in &policy.statements {
        let only_s3 = statement.actions.are_only_s3();
        let never_set = statement.keys().find(|key| key.is_never_set(kind, only_s3));
        if let Some(key) = never_set {
            let name = key.name();
            return Err(PolicyError::KeyNeverSet(quoted(as_written(policy, &name))));
        }
    }
    Ok(())
}

/// A condition key as its policy writes it: the key itself does not keep its capitals. If the policy
/// writes it with JSON's escapes, it is told as it is known here.
fn as_written<'a>(policy: &'a Policy, key: &'a str) -> &'a str {
    let text = policy.text();
    let mut places = text.as_bytes().windows(key.len().max(1));
    let start = places.position(|place| place.eq_ignore_ascii_case(key.as_bytes()));
    let written = start.and_then(|start| text.get(start..start + key.len()));
    written.unwrap_or(key)
}

/// Bucket policies count to the byte, the others without their spaces.
fn check_size(text: &[u8], kind: PolicyKind<'_>) -> Result<(), PolicyError> {
    let (size, limit) = match kind {
        PolicyKind::Bucket { .. } => (text.len(), BUCKET_POLICY_BYTES_MAX),
        _ if text.len() > POLICY_TEXT_BYTES_MAX => (text.len(), POLICY_TEXT_BYTES_MAX),
        PolicyKind::Identity => (count_without_spaces(text), IDENTITY_POLICY_CHARS_MAX),
        PolicyKind::Session => (count_without_spaces(text), SESSION_POLICY_CHARS_MAX),
        PolicyKind::Trust => (count_without_spaces(text), TRUST_POLICY_CHARS_MAX),
    };
    if size > limit {
        return Err(PolicyError::TooLarge { limit });
    }
    Ok(())
}

/// The length of a policy as IAM counts it.
pub fn count_without_spaces(text: &[u8]) -> usize {
    let is_counted = |byte: &&u8| !byte.is_ascii_whitespace();
    text.iter().filter(is_counted).count()
}

/// A bucket policy may name its statements as it likes, also several the same.
fn check_sids(statements: &[Statement], kind: PolicyKind<'_>) -> Result<(), PolicyError> {
    if matches!(kind, PolicyKind::Bucket { .. }) {
        return Ok(());
    }
    let mut seen = BTreeSet::new();
    for sid in statements.iter().filter_map(|s| s.sid.as_deref()) {
        let is_plain = sid.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_plain {
            return Err(PolicyError::SidCharacters);
        }
        if !sid.is_empty() && !seen.insert(sid) {
            return Err(PolicyError::DuplicateSid);
        }
    }
    Ok(())
}

fn field<'a>(fields: &'a [(String, Json)], name: &str) -> Option<&'a Json> {
    let found = fields.iter().find(|(this, _)| this == name);
    found.map(|(_, value)| value)
}

fn check_names(fields: &[(String, Json)], known: &[&str]) -> Result<(), PolicyError> {
    match fields.iter().find(|(name, _)| !known.contains(&&**name)) {
        Some((name, _)) => Err(PolicyError::UnknownField(quoted(name))),
        None => Ok(()),
    }
}

fn optional_string<'a>(
    fields: &'a [(String, Json)],
    name: &str,
) -> Result<Option<&'a str>, PolicyError> {
    match field(fields, name) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(_) => Err(PolicyError::Syntax),
    }
}

/// One of two fields that exclude each other, and whether it is the second.
fn either<'a>(
    fields: &'a [(String, Json)],
    name: &'static str,
    negated: &'static str,
) -> Result<Option<(&'a Json, bool)>, PolicyError> {
    match (field(fields, name), field(fields, negated)) {
        (Some(_), Some(_)) => Err(PolicyError::ExclusiveFields(name, negated)),
        (Some(value), None) => Ok(Some((value, false))),
        (None, Some(value)) => Ok(Some((value, true))),
        (None, None) => Ok(None),
    }
}

/// A string or a list of strings, not empty.
fn strings(value: &Json) -> Result<Vec<String>, PolicyError> {
    let items = match value {
        Json::Array(items) if !items.is_empty() => items.as_slice(),
        Json::String(_) => std::slice::from_ref(value),
        _ => return Err(PolicyError::Syntax),
    };
    let text = |item: &Json| match item {
        Json::String(text) => Ok(text.clone()),
        _ => Err(PolicyError::Syntax),
    };
    items.iter().map(text).collect()
}

/// The values of a condition: strings, numbers or booleans, one or a list.
fn condition_values(value: &Json) -> Result<Vec<String>, PolicyError> {
    let items = match value {
        Json::Array(items) if !items.is_empty() => items.as_slice(),
        single => std::slice::from_ref(single),
    };
    let text = |item: &Json| match item {
        Json::String(text) | Json::Number(text) => Ok(text.clone()),
        Json::Bool(value) => Ok(value.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => Err(PolicyError::Syntax),
    };
    items.iter().map(text).collect()
}

struct StatementReader<'a> {
    kind: PolicyKind<'a>,
    /// Whether `${…}` is a variable: since version 2012-10-17.
    variables: bool,
}

impl StatementReader<'_> {
    fn statement(&self, value: &Json) -> Result<Statement, PolicyError> {
        let Json::Object(fields) = value else {
            return Err(PolicyError::Syntax);
        };
        let known = [
            "Sid",
            "Effect",
            "Principal",
            "NotPrincipal",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
        ];
        check_names(fields, &known)?;
        let allows = match field(fields, "Effect") {
            None => return Err(PolicyError::MissingField("Effect")),
            Some(Json::String(effect)) if effect == "Allow" => true,
            Some(Json::String(effect)) if effect == "Deny" => false,
            Some(Json::String(effect)) => return Err(PolicyError::Effect(quoted(effect))),
            Some(_) => return Err(PolicyError::Syntax),
        };
        let principals = self.principals(fields, allows)?;
        let (actions, not_action) =
            either(fields, "Action", "NotAction")?.ok_or(PolicyError::MissingField("Action"))?;
        let actions = strings(actions)?;
        let known_actions = self.check_actions(&actions)?;
        let (resources, not_resource) = match either(fields, "Resource", "NotResource")? {
            // The role itself is the resource of its trust policy.
            None if self.kind == PolicyKind::Trust => (vec!["*".to_owned()], false),
            Some(_) if self.kind == PolicyKind::Trust => {
                return Err(PolicyError::ProhibitedField("Resource"));
            }
            None => return Err(PolicyError::MissingField("Resource")),
            Some((resources, negated)) => (strings(resources)?, negated),
        };
        let (patterns, covered) = self.resources(&resources)?;
        let is_bucket_policy = matches!(self.kind, PolicyKind::Bucket { .. });
        let conditions = self.conditions(field(fields, "Condition"))?;
        if is_bucket_policy && !not_action {
            if !not_resource && !covered.fit(&known_actions) {
                return Err(PolicyError::ActionWithoutResource);
            }
            let named: Vec<_> = known_actions.iter().flatten().copied().collect();
            if !conditions.iter().all(|this| is_applicable(this, &named)) {
                return Err(PolicyError::ConditionWithoutAction);
            }
        }
        Ok(Statement {
            sid: optional_string(fields, "Sid")?.map(Box::from),
            allows,
            principals,
            actions: Actions::new(&actions, not_action),
            resources: Resources {
                patterns,
                negated: not_resource,
            },
            conditions,
        })
    }

    fn principals(
        &self,
        fields: &[(String, Json)],
        allows: bool,
    ) -> Result<Principals, PolicyError> {
        let found = either(fields, "Principal", "NotPrincipal")?;
        match (self.kind, found) {
            (PolicyKind::Bucket { .. } | PolicyKind::Trust, None) => {
                Err(PolicyError::MissingField("Principal"))
            }
            (PolicyKind::Bucket { .. } | PolicyKind::Trust, Some((_, true))) if allows => {
                Err(PolicyError::AllowNotPrincipal)
            }
            (PolicyKind::Bucket { .. } | PolicyKind::Trust, Some((value, false))) => {
                Ok(Principals::Listed(principal::parse(value)?))
            }
            (PolicyKind::Bucket { .. } | PolicyKind::Trust, Some((value, true))) => {
                Ok(Principals::Except(principal::parse(value)?))
            }
            (PolicyKind::Identity | PolicyKind::Session, None) => Ok(Principals::Attached),
            (PolicyKind::Identity | PolicyKind::Session, Some(_)) => {
                Err(PolicyError::PrincipalNotAllowed)
            }
        }
    }

    /// Checks the names of actions, and says which of S3's each means. In an identity policy an
    /// action has to have a service, whose actions need not be known.
    fn check_actions(
        &self,
        actions: &[String],
    ) -> Result<Vec<Vec<&'static ActionInfo>>, PolicyError> {
        let mut known = Vec::with_capacity(actions.len());
        for action in actions {
            let refused = || Err(PolicyError::Action(quoted(action)));
            if action.len() > ACTION_CHARS_MAX {
                return refused();
            }
            let is_bucket_policy = matches!(self.kind, PolicyKind::Bucket { .. });
            if action == "*" {
                known.push(ACTIONS.iter().collect());
                continue;
            }
            let in_service = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            let is_action = action.split_once(':').is_some_and(|(service, name)| {
                let named = service == "*" && !is_bucket_policy || service.bytes().all(in_service);
                named && !service.is_empty() && !name.is_empty()
            });
            if !is_action {
                return refused();
            }
            if !is_bucket_policy {
                continue;
            }
            let pattern = Wildcard::new(&action.to_ascii_lowercase());
            let means = |info: &&ActionInfo| pattern.matches(&info.name.to_ascii_lowercase());
            let named: Vec<_> = ACTIONS.iter().filter(means).collect();
            if named.is_empty() {
                return refused();
            }
            known.push(named);
        }
        Ok(known)
    }

    fn resources(&self, texts: &[String]) -> Result<(Vec<ArnPattern>, Covered), PolicyError> {
        let mut patterns = Vec::with_capacity(texts.len());
        let mut covered = Covered::default();
        for text in texts {
            if let PolicyKind::Bucket { bucket } = self.kind {
                covered.add(text, bucket)?;
            }
            let pattern = template::parse(text, self.variables)
                .and_then(ArnPattern::new)
                .ok_or_else(|| PolicyError::Resource(quoted(text)))?;
            patterns.push(pattern);
        }
        Ok((patterns, covered))
    }

    fn conditions(&self, value: Option<&Json>) -> Result<Vec<Condition>, PolicyError> {
        let operators = match value {
            None => return Ok(Vec::new()),
            Some(Json::Object(operators)) => operators,
            Some(_) => return Err(PolicyError::Syntax),
        };
        let mut conditions = Vec::new();
        for (operator, keys) in operators {
            let Json::Object(keys) = keys else {
                return Err(PolicyError::Syntax);
            };
            let operator = Operator::parse(operator)?;
            for (name, values) in keys {
                let key = ConditionKey::new(name);
                if matches!(self.kind, PolicyKind::Bucket { .. }) && !key.exists() {
                    return Err(PolicyError::ConditionKey(quoted(name)));
                }
                let values = condition_values(values)?;
                conditions.push(Condition::new(&operator, key, &values, self.variables)?);
            }
        }
        Ok(conditions)
    }
}

/// What the resources of a statement in a bucket policy cover.
#[derive(Default)]
struct Covered {
    bucket: bool,
    objects: bool,
}

impl Covered {
    /// Adds a resource, which must be the bucket or objects in it. Its name can be a pattern that
    /// matches the bucket's, but no variable.
    fn add(&mut self, text: &str, bucket: &str) -> Result<(), PolicyError> {
        if text == "*" {
            self.bucket = true;
            self.objects = true;
            return Ok(());
        }
        let refused = || PolicyError::Resource(quoted(text));
        let parts = arn::split(text).ok_or_else(refused)?;
        let ["arn", "aws", "s3", "", "", resource] = parts else {
            return Err(refused());
        };
        let (name, key) = match resource.split_once('/') {
            Some((name, key)) => (name, Some(key)),
            None => (resource, None),
        };
        if name.contains("${") || !Wildcard::new(name).matches(bucket) {
            return Err(refused());
        }
        match key {
            Some(_) => self.objects = true,
            None => {
                self.bucket = true;
                // A star in the name reaches over the slash into the keys.
                self.objects |= name.contains('*');
            }
        }
        Ok(())
    }

    /// Whether each action has something among the resources that it can be done to.
    fn fit(&self, actions: &[Vec<&'static ActionInfo>]) -> bool {
        let has = |info: &&ActionInfo| match info.resource {
            ResourceKind::Service => false,
            ResourceKind::Bucket => self.bucket,
            ResourceKind::Object => self.objects,
        };
        actions.iter().all(|named| named.iter().any(has))
    }
}

/// Whether some of the actions can have a condition's key.
fn is_applicable(condition: &Condition, actions: &[&ActionInfo]) -> bool {
    let lists = [
        "s3:ListBucket",
        "s3:ListBucketVersions",
        "s3:ListBucketMultipartUploads",
    ];
    match condition.key.scope() {
        KeyScope::Any => true,
        KeyScope::Listing => actions.iter().any(|info| lists.contains(&info.name)),
        KeyScope::Object => actions
            .iter()
            .any(|info| info.resource == ResourceKind::Object),
    }
}
