//! What the ledger's tables hold, as types. Reads and writes nothing.

use serde_json::Value;

use crate::words::words;
use batch_export_source::{Ends, Interval, Moment};

words! {
    /// Where a run stands.
    RunState {
        /// It waits for its turn.
        Starting = "starting",
        /// An attempt is in progress.
        Running = "running",
        /// Everything is stored and proven.
        Completed = "completed",
        /// It failed for good: something has to be done.
        Failed = "failed",
        /// The last attempt failed, and another one follows.
        FailedRetryable = "failed_retryable",
        /// Somebody ended it.
        Cancelled = "cancelled",
        /// It took longer than it may, with all its attempts.
        TimedOut = "timed_out",
        /// It was not run, for the reason that is given.
        Skipped = "skipped",
    }
}

impl RunState {
    /// Returns whether an attempt is to follow.
    pub fn is_waiting(self) -> bool {
        matches!(self, RunState::Starting | RunState::FailedRetryable)
    }

    /// Returns whether nothing more happens by itself.
    pub fn is_over(self) -> bool {
        !self.is_waiting() && self != RunState::Running
    }
}

words! {
    /// Who asked for a run first.
    Origin {
        /// The destination's schedule.
        Schedule = "schedule",
        /// A backfill.
        Backfill = "backfill",
        /// Somebody, by `batch-export run`.
        Hand = "hand",
    }
}

words! {
    /// Who paused a destination.
    PausedBy {
        /// Somebody, by `batch-export pause`.
        Operator = "operator",
        /// The service, because runs failed one after the other.
        Failures = "failures",
    }
}

words! {
    /// Where a backfill stands.
    BackfillState {
        /// Some of its runs are not over.
        Running = "running",
        /// All of its runs are over, and none failed.
        Completed = "completed",
        /// All of its runs are over, and some failed.
        Failed = "failed",
        /// Somebody ended it.
        Cancelled = "cancelled",
    }
}

words! {
    /// Where an alert's way to a receiver stands.
    DeliveryState {
        /// It is to be sent, or sent again.
        Waiting = "waiting",
        /// The receiver has it.
        Sent = "sent",
        /// It could not be sent for so long that nobody tries any more.
        GivenUp = "given_up",
    }
}

/// A destination as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationRow {
    /// Its name.
    pub name: String,
    /// When it was first seen.
    pub first_seen: Moment,
    /// Every scheduled interval up to here has a run; `None` until a service has seen the schedule.
    pub covered: Option<Moment>,
    /// Runs that failed for good since the last one that succeeded.
    pub failed_in_a_row: u32,
    /// Completed runs without rows since the last one with rows.
    pub empty_in_a_row: u32,
    /// Why its schedule does not run, if it does not.
    pub pause: Option<Pause>,
}

/// A pause of a destination's schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Since when.
    pub at: Moment,
    /// By whom.
    pub by: PausedBy,
    /// Why.
    pub reason: Option<String>,
}

/// A run: one interval of one destination.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its id, the same for every attempt.
    pub id: String,
    /// The destination's name.
    pub destination: String,
    /// What is exported.
    pub model: String,
    /// The interval's first moment; `None` without a beginning.
    pub start: Option<Moment>,
    /// The first moment behind the interval.
    pub end: Moment,
    /// Where it stands.
    pub state: RunState,
    /// Who asked for it.
    pub origin: Origin,
    /// The backfill that it belongs to.
    pub backfill: Option<i64>,
    /// Why it was skipped, or runs again.
    pub reason: Option<String>,
    /// When it was first asked for.
    pub created: Moment,
    /// It does not start earlier.
    pub not_before: Moment,
    /// When its last attempt started.
    pub started: Option<Moment>,
    /// When its last attempt ended.
    pub finished: Option<Moment>,
    /// Attempts ever made.
    pub attempts: u32,
    /// Attempts since it was last asked for.
    pub tries: u32,
    /// The time that those took, in milliseconds.
    pub used_ms: u64,
    /// Rows of the last attempt.
    pub rows: u64,
    /// Bytes written by the last attempt.
    pub bytes: u64,
    /// Files written by the last attempt.
    pub files: u32,
    /// Warnings of the last attempt.
    pub warnings: u32,
    /// The failure of the last attempt, as JSON.
    pub error: Option<Value>,
    /// Whether somebody wants it to end.
    pub cancel_requested: bool,
}

impl Run {
    /// Returns its ends in ISO 8601.
    pub fn ends(&self) -> Ends {
        Ends::of(self.start.map(|start| start.0), self.end.0)
    }

    /// Returns its interval, unless the ledger holds one that is empty.
    pub fn interval(&self) -> Option<Interval> {
        Interval::new(self.start, self.end).ok()
    }
}

/// An attempt at a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The first has the number 1.
    pub number: u32,
    /// Its id, once it has one.
    pub id: Option<String>,
    /// When it started.
    pub started: Moment,
    /// When it ended.
    pub finished: Option<Moment>,
    /// The state in which it left the run; `None` while it is in progress, and if its process ended first.
    pub outcome: Option<RunState>,
    /// SHA-256 of the plugin.
    pub component: String,
    /// Rows that it exported, or had read when it ended.
    pub rows: u64,
    /// The report of an attempt that succeeded, as JSON.
    pub report: Option<Value>,
    /// The failure of one that did not, as JSON.
    pub error: Option<Value>,
}

/// A run that can start, as far as the scheduler needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The run's id.
    pub id: String,
    /// Its interval's first moment.
    pub start: Option<Moment>,
    /// The first moment behind it.
    pub end: Moment,
    /// Who asked for it.
    pub origin: Origin,
    /// The backfill that it belongs to.
    pub backfill: Option<i64>,
    /// It does not start earlier.
    pub not_before: Moment,
}

/// A backfill and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backfill {
    /// Its number.
    pub id: i64,
    /// The destination's name.
    pub destination: String,
    /// Where its first interval starts.
    pub start: Moment,
    /// Where its last interval ends.
    pub end: Moment,
    /// Runs of it at once.
    pub runs_at_once: u32,
    /// When it was asked for.
    pub created: Moment,
    /// When somebody ended it.
    pub cancelled: Option<Moment>,
    /// How many of its runs are in each state.
    pub runs: Vec<(RunState, u64)>,
}

impl Backfill {
    /// Returns how many runs it has in the states that `which` picks.
    pub fn count(&self, which: impl Fn(RunState) -> bool) -> u64 {
        let runs = self.runs.iter().filter(|(state, _)| which(*state));
        runs.map(|(_, count)| count).sum()
    }

    /// Returns where it stands.
    pub fn state(&self) -> BackfillState {
        let is_failed = |state| matches!(state, RunState::Failed | RunState::TimedOut);
        match self.cancelled {
            Some(_) => BackfillState::Cancelled,
            None if self.count(|state| !state.is_over()) > 0 => BackfillState::Running,
            None if self.count(is_failed) > 0 => BackfillState::Failed,
            None => BackfillState::Completed,
        }
    }
}

/// A run that the ledger does not have, or several that a short id means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnknownRun {
    /// There is none.
    None,
    /// There are several.
    Several(Vec<String>),
}
