//! Why reading a run back failed, and whether it may succeed later. Faults of the run itself are no errors.

use super::store::StoreError;
use crate::error::{Cause, Class};
use batch_export_system::terminal::one_line;

/// Why a run cannot be called good.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Run(Cause),
    #[error("{}", one_line(&.0.to_string()))]
    Store(#[from] StoreError),
    #[error(
        "a thread that reads files ended unexpectedly; report it with the file if it comes back"
    )]
    Died,
}

impl VerifyError {
    pub fn class(&self) -> Class {
        match self {
            VerifyError::Run(cause) => cause.class(),
            VerifyError::Store(error) if error.is_transient() => Class::Retryable,
            VerifyError::Store(_) | VerifyError::Died => Class::Failed,
        }
    }
}

impl<E: Into<Cause>> From<E> for VerifyError {
    fn from(error: E) -> Self {
        VerifyError::Run(error.into())
    }
}
