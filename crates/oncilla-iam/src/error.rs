//! What the door can answer instead of success.

use oncilla_meta::EngineError;

use crate::policy::PolicyError;
use crate::rows::RowError;

/// Why an operation on accounts or keys was refused or failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum IamError {
    /// There is no account with this id or name.
    #[error("no such account")]
    NoSuchAccount,
    /// Another account already has this name or e-mail address.
    #[error("an account with this {attribute} already exists")]
    AccountExists {
        /// `"name"` or `"e-mail address"`.
        attribute: &'static str,
    },
    /// The account still has access keys; delete them first.
    #[error("the account still has access keys")]
    AccountHasKeys,
    /// The root account can be neither deleted nor disabled: nobody could administer any more.
    #[error("the root account can be neither deleted nor disabled")]
    RootAccount,
    /// There is no access key with this id.
    #[error("no such access key")]
    NoSuchKey,
    /// There already is an access key with this id, and it differs from the one given.
    #[error("an access key with this id already exists")]
    KeyExists,
    /// There is no user, group, role, policy … of this name.
    #[error("The {what} with name {name} cannot be found.")]
    NoSuchEntity {
        /// What was looked for, such as `"user"`.
        what: &'static str,
        /// Its name, id or ARN.
        name: String,
    },
    /// There already is one of this name.
    #[error("{what} with name {name} already exists.")]
    EntityExists {
        /// What there is, such as `"User"`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Something else still hangs on what was to be deleted.
    #[error("{0}")]
    DeleteConflict(&'static str),
    /// The account still has users, groups, roles, policies or identity providers.
    #[error("the account still has users, groups, roles, policies or identity providers")]
    AccountHasEntities,
    /// A policy that cannot be read.
    #[error("{0}")]
    Policy(#[from] PolicyError),
    /// What every account has cannot be changed.
    #[error("The policy belongs to everybody and cannot be changed.")]
    AwsManaged,
    /// A name, id, address, secret, description or bucket name breaks its rule.
    #[error("invalid {what}: {rule}")]
    InvalidName {
        /// What is invalid, such as `"account name"`.
        what: &'static str,
        /// What would be valid.
        rule: &'static str,
    },
    /// There would be more than `limit` of something.
    #[error("no more than {limit} {what}")]
    LimitExceeded {
        /// What is limited, such as `"access keys per account"`.
        what: &'static str,
        /// The most there may be.
        limit: usize,
    },
    /// A precondition that the caller added did not hold; nothing was changed.
    #[error("precondition {index} of the caller did not hold")]
    CallersPrecondition {
        /// Its index in the caller's list.
        index: usize,
    },
    /// Others kept changing the same rows; nothing was changed. Trying again may succeed.
    #[error("too many concurrent changes to the same account or key")]
    Contended,
    /// A stored row cannot be read.
    #[error(transparent)]
    Row(#[from] RowError),
    /// The operating system gave no random numbers.
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// The metadata engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}
