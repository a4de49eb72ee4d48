//! Whom a statement is about.
//! Source: IAM user guide, "AWS JSON policy elements: Principal" and "NotPrincipal".

use std::borrow::Cow;

use super::arn;
use super::error::{PolicyError, named_principal, quoted};
use super::evaluate::{Caller, CallerKind};
use super::json::Json;
use crate::validate::is_aws_account_id;

/// Longest account id in an ARN: that of a canonical user id.
const ACCOUNT_CHARS_MAX: usize = 64;

/// `Principal` or `NotPrincipal` of a statement.
#[derive(Clone, Debug)]
pub(super) enum Principals {
    /// There is none: the statement is about whom the policy is attached to.
    Attached,
    /// One of these.
    Listed(Vec<PrincipalPattern>),
    /// Anybody else.
    Except(Vec<PrincipalPattern>),
}

/// One principal as a policy names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrincipalPattern {
    /// `*`: anybody, with or without credentials.
    Anyone,
    /// An account by its id, or by the ARN of its root: all its users, as far as their own
    /// policies go.
    Account(String),
    /// An account by its canonical user id.
    CanonicalUser(String),
    /// A user, a role or a session of one.
    Arn(String),
    /// A service, such as `logging.s3.amazonaws.com`.
    Service(String),
    /// An identity provider. Nobody here comes from one.
    Federated(String),
}

/// How a principal that a statement lists covers the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Coverage {
    /// Its account is meant: permission goes to the account, which has to pass it on.
    Account,
    /// It is meant itself, or everybody is.
    Itself,
    /// This very session is meant, so that its session policy does not limit what it is given.
    Session,
}

impl PrincipalPattern {
    fn covers(&self, caller: &Caller<'_>) -> Option<Coverage> {
        let identity = match caller {
            Caller::Anonymous => {
                return (*self == Self::Anyone).then_some(Coverage::Itself);
            }
            Caller::Service(name) => {
                return match self {
                    Self::Anyone => Some(Coverage::Itself),
                    Self::Service(service) => (service == name).then_some(Coverage::Itself),
                    _ => None,
                };
            }
            Caller::Identity(identity) => identity,
        };
        let of_account = |matches: bool| {
            let coverage = match identity.kind {
                CallerKind::AccountRoot => Coverage::Itself,
                CallerKind::User | CallerKind::AssumedRole => Coverage::Account,
            };
            matches.then_some(coverage)
        };
        match self {
            Self::Anyone => Some(Coverage::Itself),
            Self::Account(account) => of_account(account == identity.account),
            Self::CanonicalUser(id) => of_account(id == identity.canonical_user),
            Self::Arn(arn) if arn == identity.arn => Some(match identity.kind {
                CallerKind::AssumedRole => Coverage::Session,
                CallerKind::AccountRoot | CallerKind::User => Coverage::Itself,
            }),
            Self::Arn(arn) => (identity.role_arn == Some(arn.as_str())).then_some(Coverage::Itself),
            Self::Service(_) | Self::Federated(_) => None,
        }
    }

    /// Whether the principal is one and not everybody.
    pub(super) fn is_fixed(&self) -> bool {
        *self != Self::Anyone
    }

    /// The field of `Principal` that names it, and how. An account is named by the ARN of its root, as
    /// AWS does.
    pub(super) fn as_named(&self) -> (&'static str, Cow<'_, str>) {
        match self {
            Self::Anyone => ("AWS", "*".into()),
            Self::Account(id) => ("AWS", crate::arn::root_arn(id).into()),
            Self::CanonicalUser(id) => ("CanonicalUser", id.into()),
            Self::Arn(arn) => ("AWS", arn.into()),
            Self::Service(name) => ("Service", name.into()),
            Self::Federated(name) => ("Federated", name.into()),
        }
    }

    fn read(kind: &str, text: &str) -> Option<Self> {
        let is_name = |text: &str| {
            let allowed = |byte: u8| byte.is_ascii_graphic() && !b"*?".contains(&byte);
            !text.is_empty() && text.bytes().all(allowed)
        };
        match kind {
            "AWS" if text == "*" => Some(Self::Anyone),
            "AWS" if is_account_id(text) => Some(Self::Account(text.to_owned())),
            "AWS" => Self::read_arn(text),
            "CanonicalUser" => {
                is_canonical_user(text).then(|| Self::CanonicalUser(text.to_owned()))
            }
            "Service" => is_name(text).then(|| Self::Service(text.to_owned())),
            "Federated" => is_name(text).then(|| Self::Federated(text.to_owned())),
            _ => None,
        }
    }

    /// The ARN of a root, a user, a role or a session. Whether the account has such a one is not
    /// known here. (Ceph's form for a user outside of accounts, `arn:aws:iam:::user/…`, is none: whose
    /// user would be meant?)
    fn read_arn(text: &str) -> Option<Self> {
        let [_, partition, service, region, account, resource] = arn::split(text)?;
        let in_account = |byte: u8| byte.is_ascii_alphanumeric() || b"_.$-".contains(&byte);
        let fits = text.starts_with("arn:")
            && partition.starts_with("aws")
            && region.is_empty()
            && (1..=ACCOUNT_CHARS_MAX).contains(&account.len())
            && account.bytes().all(in_account)
            && !text.contains(['*', '?', '$'])
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            return None;
        }
        if service == "iam" && resource == "root" {
            return Some(Self::Account(account.to_owned()));
        }
        let (kind, name) = resource.split_once('/')?;
        let named = !name.is_empty();
        let is_principal = match (service, kind) {
            ("iam", "user" | "role") | ("sts", "federated-user") => named,
            ("sts", "assumed-role") => name
                .split_once('/')
                .is_some_and(|(role, session)| !role.is_empty() && !session.is_empty()),
            _ => false,
        };
        is_principal.then(|| Self::Arn(text.to_owned()))
    }
}

/// Twelve digits, as AWS has them, or a canonical user id, which is the id of an account here.
fn is_account_id(text: &str) -> bool {
    is_aws_account_id(text) || is_canonical_user(text)
}

fn is_canonical_user(text: &str) -> bool {
    crate::validate::is_canonical_id(text)
}

impl Principals {
    /// How the statement covers the caller, if it does.
    pub(super) fn cover(&self, caller: &Caller<'_>) -> Option<Coverage> {
        match self {
            Self::Attached => Some(Coverage::Itself),
            Self::Listed(patterns) => {
                let covers = patterns.iter().filter_map(|pattern| pattern.covers(caller));
                covers.max()
            }
            Self::Except(patterns) => match is_excepted(patterns, caller) {
                true => None,
                false => Some(Coverage::Itself),
            },
        }
    }

    /// Everybody it lists.
    pub(super) fn patterns(&self) -> &[PrincipalPattern] {
        match self {
            Self::Attached => &[],
            Self::Listed(patterns) | Self::Except(patterns) => patterns,
        }
    }
}

/// Whether `NotPrincipal` takes the caller out. The account is looked at first: a user or a role has to
/// be named and its account too, or else it is denied with all that is in the account. Of a session,
/// the role counts.
/// Source: IAM user guide, "AWS JSON policy elements: NotPrincipal".
fn is_excepted(patterns: &[PrincipalPattern], caller: &Caller<'_>) -> bool {
    let Caller::Identity(identity) = caller else {
        return patterns
            .iter()
            .any(|pattern| pattern.covers(caller).is_some());
    };
    let is_account = |pattern: &PrincipalPattern| match pattern {
        PrincipalPattern::Account(account) => account == identity.account,
        PrincipalPattern::CanonicalUser(id) => id == identity.canonical_user,
        pattern => *pattern == PrincipalPattern::Anyone,
    };
    let named = identity.role_arn.unwrap_or(identity.arn);
    let is_itself = |pattern: &PrincipalPattern| match pattern {
        PrincipalPattern::Arn(arn) => arn == named,
        pattern => *pattern == PrincipalPattern::Anyone,
    };
    let is_root = identity.kind == CallerKind::AccountRoot;
    patterns.iter().any(is_account) && (is_root || patterns.iter().any(is_itself))
}

/// Reads the value of `Principal` or `NotPrincipal`.
pub(super) fn parse(value: &Json) -> Result<Vec<PrincipalPattern>, PolicyError> {
    let is_no_name = || PolicyError::Principal(String::new());
    let fields = match value {
        Json::String(text) if text == "*" => return Ok(vec![PrincipalPattern::Anyone]),
        Json::String(text) => return Err(PolicyError::Principal(quoted(text))),
        Json::Object(fields) if !fields.is_empty() => fields,
        _ => return Err(is_no_name()),
    };
    let mut patterns = Vec::new();
    for (kind, value) in fields {
        let items = match value {
            Json::Array(items) if !items.is_empty() => items.as_slice(),
            Json::String(_) => std::slice::from_ref(value),
            _ => return Err(is_no_name()),
        };
        for item in items {
            let Json::String(text) = item else {
                return Err(is_no_name());
            };
            let pattern = PrincipalPattern::read(kind, text);
            let refused = || PolicyError::Principal(named_principal(kind, text));
            patterns.push(pattern.ok_or_else(refused)?);
        }
    }
    Ok(patterns)
}
