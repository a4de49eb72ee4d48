//! What can go wrong beneath the store, told in terms of what the caller can do about it.

use oncilla_blob::{ReadError, WriteError};
use oncilla_meta::{EngineError, Interrupted};

use crate::rows::DecodeError;

/// A failure that has nothing to do with the request.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// The device is full: nothing was changed; the same request may succeed when there is space.
    #[error("no space left on the device")]
    NoSpace,
    /// The store cannot serve now; retry later.
    #[error("temporarily unavailable: {0}")]
    Unavailable(String),
    /// Stored data is not what was written. It was not handed out.
    #[error("stored data is damaged: {0}")]
    Damaged(String),
    /// A failure of the device or the operating system.
    #[error("storage failed: {0}")]
    Failed(String),
}

impl From<EngineError> for Fault {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::NoSpace => Self::NoSpace,
            EngineError::Unavailable { reason } => Self::Unavailable(reason),
            EngineError::Damaged { detail } => Self::Damaged(detail),
            EngineError::TooLarge { .. } | EngineError::Failed { .. } => {
                Self::Failed(error.to_string())
            }
        }
    }
}

impl From<Interrupted> for Fault {
    fn from(error: Interrupted) -> Self {
        Self::Failed(format!("a write ended early: {error}"))
    }
}

impl From<WriteError> for Fault {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::NoSpace => Self::NoSpace,
            WriteError::Closed => Self::Unavailable(error.to_string()),
            WriteError::TooLong { .. }
            | WriteError::LengthMismatch { .. }
            | WriteError::Interrupted
            | WriteError::VolumeFailed { .. }
            | WriteError::NotThisExtent { .. }
            | WriteError::VolumeInUse(_)
            | WriteError::Io(_) => Self::Failed(error.to_string()),
        }
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Missing { .. }
            | ReadError::Damaged { .. }
            | ReadError::Unsupported { .. } => Self::Damaged(error.to_string()),
            ReadError::Range { .. } | ReadError::Io { .. } => Self::Failed(error.to_string()),
        }
    }
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<getrandom::Error> for Fault {
    fn from(error: getrandom::Error) -> Self {
        Self::Failed(format!("the system's random source failed: {error}"))
    }
}
