//! What follows an attempt: whether another one does, and when. Pure: the same attempt leads to the same answer.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::ledger::{Outcome, RunState};
use batch_export_runner::{Failure, FailureClass, FailureCode, RunReport};
use batch_export_source::Moment;

/// The wait after a first attempt that failed; it doubles with every further one.
pub const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// The longest wait: a store that is back is used within the hour.
pub const MAX_BACKOFF: Duration = Duration::from_secs(60 * 60);
/// The longest wait that a store can ask for: more would be an outage that somebody should look at.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(6 * 60 * 60);
/// The part of a wait by which it varies up or down, so that runs that failed together do not return together.
const JITTER_PERCENT: u64 = 20;
/// The wait for another process that is at work on the same interval.
const HELD_WAIT: Duration = Duration::from_secs(10);

/// An attempt that is over.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The run.
    pub run_id: &'a str,
    /// Attempts since the run was last asked for, this one included.
    pub tries: u32,
    /// The time that attempts and waits before it took.
    pub used: Duration,
    /// How long it took, without the time for which the process stood still.
    pub took: Duration,
    /// Whether the process stood still for a while, so that a limit of time may have passed for nothing.
    pub stood_still: bool,
    /// How long a run may take, with all its attempts and the waits in between.
    pub limit: Duration,
    /// When it ended.
    pub now: Moment,
}

impl Attempt<'_> {
    /// Returns what an attempt that succeeded comes to.
    pub fn succeeded(&self, report: &RunReport) -> Outcome {
        Outcome::completed(report, self.took, self.now)
    }

    /// Returns what an attempt that failed comes to.
    pub fn failed(&self, failure: &Failure) -> Outcome {
        let leaving = |state| Outcome::failed(failure, state, self.took, self.now);
        // An attempt that says nothing about the run.
        let uncounted = |state, wait| Outcome {
            not_before: later(self.now, wait),
            used_ms: 0,
            counts: false,
            ..leaving(state)
        };
        match failure.class() {
            FailureClass::Cancelled => leaving(RunState::Cancelled),
            // Its host ended it: it starts again with the next service.
            FailureClass::ShutDown => uncounted(RunState::Starting, Duration::ZERO),
            FailureClass::Retryable if failure.code() == FailureCode::RUN_IN_PROGRESS => {
                uncounted(RunState::FailedRetryable, HELD_WAIT)
            }
            FailureClass::TimedOut if self.stood_still => uncounted(RunState::FailedRetryable, FIRST_BACKOFF),
            FailureClass::Retryable => self.again(failure),
            FailureClass::TimedOut => leaving(RunState::TimedOut),
            FailureClass::Failed | FailureClass::Configuration | FailureClass::Defect => leaving(RunState::Failed),
        }
    }

    /// Another attempt, unless there is no time left for one.
    fn again(&self, failure: &Failure) -> Outcome {
        let asked = failure.retry_after().unwrap_or_default().min(MAX_RETRY_AFTER);
        let wait = backoff(self.run_id, self.tries).max(asked);
        let used = self.took.saturating_add(wait);
        if self.used.saturating_add(used) > self.limit {
            return Outcome {
                reason: Some(format!("no attempt succeeded within {}", in_words(self.limit))),
                ..Outcome::failed(failure, RunState::TimedOut, self.took, self.now)
            };
        }
        Outcome {
            not_before: later(self.now, wait),
            ..Outcome::failed(failure, RunState::FailedRetryable, used, self.now)
        }
    }
}

/// Returns how long a run waits after so many attempts that failed: from 1 s, doubled each time, up to 1 h, and up to a
/// fifth more or less, always the same for the same run.
pub fn backoff(run_id: &str, tries: u32) -> Duration {
    let doubled = FIRST_BACKOFF.saturating_mul(1 << tries.saturating_sub(1).min(20));
    let most = u64::try_from(doubled.min(MAX_BACKOFF).as_millis()).unwrap_or(u64::MAX);
    let hash = Sha256::digest(format!("{run_id} {tries}"));
    let spread = most * JITTER_PERCENT / 100;
    let moved = u64::from(u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]])) % (2 * spread).max(1);
    Duration::from_millis(most - spread + moved)
}

fn later(now: Moment, wait: Duration) -> Moment {
    let wait = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
    Moment(now.0.saturating_add(wait))
}

/// Returns a length of time for a sentence.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    let (number, unit) = match seconds {
        s if s >= 86_400 && s % 86_400 == 0 => (s / 86_400, "day"),
        s if s >= 3_600 && s % 3_600 == 0 => (s / 3_600, "hour"),
        s if s >= 60 && s % 60 == 0 => (s / 60, "minute"),
        s => (s, "second"),
    };
    batch_export_system::explain::counted(number, unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn attempt(tries: u32, used: Duration) -> Attempt<'static> {
        Attempt {
            run_id: "archive-0123",
            tries,
            used,
            took: Duration::from_secs(10),
            stood_still: false,
            limit: 6 * HOUR,
            now: Moment(1_000_000),
        }
    }

    fn failure(class: FailureClass) -> Failure {
        Failure::new(class, FailureCode::STORE_UNAVAILABLE, "503")
    }

    #[test]
    fn a_class_of_failure_leads_to_a_state() {
        use FailureClass::{Cancelled, Configuration, Defect, Failed, Retryable, ShutDown, TimedOut};
        for (class, state, counts) in [
            (Failed, RunState::Failed, true),
            (Configuration, RunState::Failed, true),
            (Defect, RunState::Failed, true),
            (Retryable, RunState::FailedRetryable, true),
            (TimedOut, RunState::TimedOut, true),
            (Cancelled, RunState::Cancelled, true),
            (ShutDown, RunState::Starting, false),
        ] {
            let outcome = attempt(1, Duration::ZERO).failed(&failure(class));
            assert_eq!((outcome.state, outcome.counts), (state, counts), "{class:?}");
            assert_eq!(outcome.error.map(|error| error["message"].clone()), Some("503".into()));
        }
    }

    #[test]
    fn waits_grow_from_a_second_to_an_hour_and_differ_between_runs() {
        let middle = |tries| FIRST_BACKOFF.saturating_mul(1_u32 << (tries - 1_u32)).min(MAX_BACKOFF);
        for tries in 1..=40 {
            let (wait, middle) = (backoff("a", tries), middle(tries.min(20)));
            assert!(wait >= middle * 8 / 10 && wait <= middle * 12 / 10, "{tries}: {wait:?}");
            assert_eq!(wait, backoff("a", tries), "always the same");
        }
        let waits: std::collections::BTreeSet<_> = (0..100).map(|run| backoff(&run.to_string(), 8)).collect();
        assert!(waits.len() > 90);
    }

    #[test]
    fn the_store_s_own_wish_counts_where_it_is_longer() {
        for (asked, expect) in [(2_u64, 2_u64), (600, 600), (86_400 * 7, 6 * 3_600)] {
            let failure = failure(FailureClass::Retryable).with_retry_after(Some(Duration::from_secs(asked)));
            let mut attempt = attempt(1, Duration::ZERO);
            attempt.limit = 24 * HOUR;
            let outcome = attempt.failed(&failure);
            assert_eq!(outcome.not_before.0 - 1_000_000, expect as i64 * 1_000_000, "{asked} s");
        }
    }

    #[test]
    fn a_run_that_used_up_its_time_has_timed_out() {
        let outcome = attempt(12, 6 * HOUR - Duration::from_secs(60)).failed(&failure(FailureClass::Retryable));
        assert_eq!(outcome.state, RunState::TimedOut);
        assert_eq!(outcome.reason.as_deref(), Some("no attempt succeeded within 6 hours"));
    }

    #[test]
    fn the_time_for_which_the_process_stood_still_is_nobodys_fault() {
        let mut attempt = attempt(1, Duration::ZERO);
        attempt.stood_still = true;
        let outcome = attempt.failed(&failure(FailureClass::TimedOut));
        assert_eq!((outcome.state, outcome.counts), (RunState::FailedRetryable, false));
    }
}
