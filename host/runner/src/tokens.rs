//! The two tokens of a run. Handles no signal itself.

use std::time::Duration;

use crate::failure::Failure;
use batch_export_system::{Interrupted, Token};

/// The tokens by which a run is ended: first in order, then at once. Clones share their fate.
#[derive(Debug, Clone, Default)]
pub struct RunTokens {
    /// Ends the work. What is open is cleaned up then, as far as that goes quickly.
    pub work: Token,
    /// Ends cleaning up as well; what is open stays noted.
    pub clean_up: Token,
}

impl RunTokens {
    /// Returns tokens that nobody has cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns whether the work has to end.
    pub(crate) fn is_over(&self) -> bool {
        self.work.check().is_err()
    }
}

/// Returns the failure of work that was ended. `limit` is the time that it was given.
pub(crate) fn ended(reason: Interrupted, limit: Duration) -> Failure {
    match reason {
        Interrupted::Cancelled => Failure::cancelled(),
        Interrupted::DeadlinePassed => Failure::timed_out(limit),
    }
}
