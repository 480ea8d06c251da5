//! The two tokens of a run. Handles no signal itself.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::failure::{Failure, FailureClass};
use batch_export_system::{Interrupted, Token};

/// The tokens by which a run is ended: first in order, then at once. Clones share their fate.
#[derive(Debug, Clone, Default)]
pub struct RunTokens {
    /// Ends the work. What is open is cleaned up then, as far as that goes quickly.
    pub work: Token,
    /// Ends cleaning up as well; what is open stays noted.
    pub clean_up: Token,
    /// What ends the host, where the work ends because its host does.
    shut_down_by: Arc<OnceLock<&'static str>>,
}

impl RunTokens {
    /// Returns tokens that are not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the work because the host shuts down; `by` is what ends it, such as `SIGTERM`. Its failure says so: the run
    /// was not cancelled, and it may be started again.
    pub fn shut_down(&self, by: &'static str) {
        self.shut_down_by.get_or_init(|| by);
        self.work.cancel();
    }

    /// Returns the failure of work that was ended before it was done.
    pub fn ended(&self) -> Failure {
        self.told(Failure::cancelled())
    }

    /// Returns a failure as it is, unless it is about a cancellation that was the host's shutting down.
    pub(crate) fn told(&self, failure: Failure) -> Failure {
        match (failure.class(), self.shut_down_by.get()) {
            (FailureClass::Cancelled, Some(by)) => failure.into_shut_down(by),
            _ => failure,
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureCode;
    use crate::recovery::LeftOpen;

    #[test]
    fn a_host_that_shuts_down_is_told_from_somebody_who_cancels() {
        let tokens = RunTokens::new();
        tokens.work.cancel();
        assert_eq!(tokens.ended().class(), FailureClass::Cancelled);
        let tokens = RunTokens::new();
        tokens.clone().shut_down("SIGTERM");
        assert!(tokens.is_over());
        let open = vec![LeftOpen::unknown(&Failure::cancelled())];
        let left = Failure::cancelled().leaving_open(open.clone());
        let told = tokens.told(left);
        assert_eq!(
            (told.class(), told.code()),
            (FailureClass::ShutDown, FailureCode::SHUT_DOWN)
        );
        assert_eq!(told.message(), "terminated by SIGTERM");
        assert_eq!(told.hint(), Some("run it again"));
        assert_eq!(told.left_open(), open);
        let late = tokens.told(Failure::timed_out(Duration::from_secs(1)));
        assert_eq!(late.class(), FailureClass::TimedOut);
    }
}
