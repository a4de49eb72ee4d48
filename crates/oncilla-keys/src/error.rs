//! Why a key could not be had.

use oncilla_meta::{EngineError, Interrupted};

/// Why a key could not be had or changed. No variant holds a secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum KeysError {
    /// There is no KMS key of this id, alias or ARN.
    #[error("there is no KMS key {0}")]
    NotFound(String),
    /// No KMS key was named, and there is no default one.
    #[error("no KMS key was named, and there is no default one")]
    NoDefault,
    /// The KMS key is disabled.
    #[error("the KMS key {0} is disabled")]
    Disabled(String),
    /// A key or alias of this name exists already.
    #[error("there already is a KMS key or alias {0}")]
    Exists(String),
    /// A name is not one that keys or aliases can have.
    #[error("invalid {what}; allowed: {rule}")]
    InvalidName {
        /// Of what.
        what: &'static str,
        /// What is allowed.
        rule: &'static str,
    },
    /// There are as many as there can be.
    #[error("there can be no more than {limit} {what}")]
    LimitExceeded {
        /// Of what.
        what: &'static str,
        /// How many.
        limit: usize,
    },
    /// The server needs this key itself: it can be rotated and not disabled.
    #[error("the key {0} belongs to the server: without it no object of SSE-S3 could be read")]
    Managed(String),
    /// Keys cannot be used: there is no master key, or not the one that wrapped them.
    #[error("the key service is locked: {0}")]
    Locked(String),
    /// A new master key would be lost: the present one was given by a setting, so there is no file to
    /// keep another in.
    #[error("the master key was given by a setting, so a new one has to be given as well")]
    NowhereToKeep,
    /// A wrapped key does not open with the key that is to open it.
    #[error(transparent)]
    OpenFailed(#[from] OpenFailed),
    /// A row of the key service cannot be read.
    #[error("a KMS key is damaged: {0}")]
    Damaged(String),
    /// The master key could not be read or made.
    #[error(transparent)]
    Master(#[from] crate::master::MasterKeyError),
    /// The system's random source failed.
    #[error("the system's random source failed: {0}")]
    Random(String),
    /// The work of making a key ended early.
    #[error("making a key ended early: {0}")]
    Interrupted(#[from] Interrupted),
    /// Others keep changing the same key.
    #[error("others keep changing the same key; nothing was changed")]
    Contended,
    /// A failure of the engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<getrandom::Error> for KeysError {
    fn from(error: getrandom::Error) -> Self {
        Self::Random(error.to_string())
    }
}

/// Something encrypted is not what was encrypted with this key, for this purpose: another key, or
/// changed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the encrypted bytes do not open with this key")]
pub struct OpenFailed;
