//! What can be wrong with a policy.

use super::PolicyKind;
use super::principal::PrincipalPattern;
use crate::validate::is_aws_account_id;

/// Most characters of a user's text that an error repeats, so that an answer stays small.
const QUOTED_CHARS_MAX: usize = 128;

/// Why a policy was refused. The text is S3's for `PutBucketPolicy` where S3's is known, else in
/// its style; [`message`](PolicyError::message) has IAM's for the other kinds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not JSON, nested too deeply, or something stands before the first brace.
    #[error("Policies must be valid JSON and the first byte must be '{{'")]
    NotJson,
    /// Longer than policies of its kind may be.
    #[error("Normalized policy document exceeds the maximum allowed size of {limit} bytes.")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// A value of the wrong type.
    #[error("Invalid policy syntax.")]
    Syntax,
    /// A field stands twice in one object.
    #[error("Duplicate field {0}")]
    DuplicateField(String),
    /// A field that the policy language does not have. Names are case-sensitive.
    #[error("Unknown field {0}")]
    UnknownField(String),
    /// A field is not there.
    #[error("Missing required field {0}")]
    MissingField(&'static str),
    /// A field that policies of this kind cannot have.
    #[error("Has prohibited field {0}")]
    ProhibitedField(&'static str),
    /// Two fields that exclude each other.
    #[error("Statement contains both {0} and {1}")]
    ExclusiveFields(&'static str, &'static str),
    /// Neither 2012-10-17 nor 2008-10-17.
    #[error("The policy must contain a valid version string")]
    Version,
    /// There is no statement.
    #[error("Could not parse the policy: Statement is empty!")]
    NoStatement,
    /// Neither Allow nor Deny.
    #[error("Invalid effect: {0}")]
    Effect(String),
    /// Two statements have one id.
    #[error("Statement IDs (SID) in a single policy must be unique.")]
    DuplicateSid,
    /// An id of a statement in an identity policy that is not alphanumeric.
    #[error(
        "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"
    )]
    SidCharacters,
    /// Nobody that a policy can name: the principal as it was sent, as far as it was one text.
    #[error("Invalid principal in policy")]
    Principal(String),
    /// Only a bucket policy says whom it is about.
    #[error("Policy document should not specify a principal.")]
    PrincipalNotAllowed,
    /// To allow all but some would include the whole world.
    #[error("Allow with NotPrincipal is not allowed.")]
    AllowNotPrincipal,
    /// An action that S3 does not have, or, in an identity policy, one without a service.
    #[error("Policy has invalid action")]
    Action(String),
    /// A resource of another bucket, or none at all.
    #[error("Policy has invalid resource")]
    Resource(String),
    /// An action on objects with no object among the resources, or the reverse.
    #[error("Action does not apply to any resource(s) in statement")]
    ActionWithoutResource,
    /// No such operator.
    #[error("Invalid Condition type : {0}")]
    ConditionOperator(String),
    /// No such condition key.
    #[error("Policy has an invalid condition key")]
    ConditionKey(String),
    /// A condition key that no request has which the statement is about.
    #[error(
        "The condition key {0} is not supported here: it is never set for the actions of the statement"
    )]
    KeyNeverSet(String),
    /// A value that its operator cannot compare with.
    #[error("Invalid value {value} for condition {operator}")]
    ConditionValue {
        /// The operator.
        operator: String,
        /// The value.
        value: String,
    },
    /// A condition on something that none of the statement's actions has.
    #[error("Conditions do not apply to combination of actions and resources in statement")]
    ConditionWithoutAction,
}

impl PolicyError {
    /// The error code: S3's for bucket policies, else IAM's.
    pub fn code(&self, kind: PolicyKind<'_>) -> &'static str {
        match kind {
            PolicyKind::Bucket { .. } => "MalformedPolicy",
            PolicyKind::Identity | PolicyKind::Session | PolicyKind::Trust => match self {
                Self::TooLarge { .. } => "LimitExceeded",
                _ => "MalformedPolicyDocument",
            },
        }
    }

    /// That a bucket policy names a principal which does not exist.
    pub fn no_such_principal(principal: &PrincipalPattern) -> Self {
        let (kind, text) = principal.as_named();
        Self::Principal(named_principal(kind, &text))
    }

    /// What S3 says beside the message: which principal, action, resource, condition key or operator
    /// it is. (AWS has the element `Detail` for it.)
    pub fn detail(&self) -> Option<&str> {
        let detail = match self {
            Self::Principal(text)
            | Self::Action(text)
            | Self::Resource(text)
            | Self::ConditionKey(text)
            | Self::ConditionOperator(text) => text,
            _ => return None,
        };
        (!detail.is_empty()).then_some(detail.as_str())
    }

    /// The message in the words of S3 for bucket policies, of IAM for the others.
    pub fn message(&self, kind: PolicyKind<'_>) -> String {
        if matches!(kind, PolicyKind::Bucket { .. }) {
            return self.to_string();
        }
        match self {
            Self::NotJson | Self::Syntax | Self::UnknownField(_) | Self::DuplicateField(_) => {
                "Syntax errors in policy.".to_owned()
            }
            Self::TooLarge { limit } => {
                format!("Cannot exceed quota for PolicySize: {limit}")
            }
            Self::MissingField("Statement") | Self::NoStatement => {
                "Policy document must contain a statement.".to_owned()
            }
            Self::MissingField("Action") => "Policy statement must contain actions.".to_owned(),
            Self::MissingField("Resource") => "Policy statement must contain resources.".to_owned(),
            Self::Version => "Policy document must be version 2012-10-17 or greater.".to_owned(),
            Self::Action(_) => {
                "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
                    .to_owned()
            }
            Self::Resource(_) => "Resource must be in ARN format or \"*\".".to_owned(),
            Self::Principal(text) if !text.is_empty() => {
                format!("Invalid principal in policy: {text}")
            }
            other => other.to_string(),
        }
    }
}

/// A principal as AWS repeats it. Whoever brings a policy from there learns what an account is here.
pub(super) fn named_principal(kind: &str, text: &str) -> String {
    let named = format!("\"{}\" : \"{}\"", quoted(kind), quoted(text));
    let account = match text.split(':').nth(4) {
        Some(account) if text.starts_with("arn:") => account,
        _ => text,
    };
    match is_aws_account_id(account) {
        true => format!("{named} (the id of an account is 64 hexadecimal digits here)"),
        false => named,
    }
}

/// A user's text as an error repeats it.
pub(super) fn quoted(text: &str) -> String {
    text.chars().take(QUOTED_CHARS_MAX).collect()
}
