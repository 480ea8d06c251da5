//! The ends of attempts in the ledger: what a run comes to, and what that means for its destination.

use std::time::Duration;

use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::Value;

use super::Result;
use super::destinations::set_pause;
use super::rows::{Pause, PausedBy, RunState};
use batch_export_runner::{Failure, RunReport};
use batch_export_source::Moment;

/// Failed runs in a row after which a destination is paused.
pub const FAILURES_BEFORE_PAUSE: u32 = 3;

/// What an attempt comes to, for the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The state in which it leaves the run.
    pub state: RunState,
    /// When the next attempt may start, if one follows.
    pub not_before: Moment,
    /// How long it took, in milliseconds.
    pub used_ms: u64,
    /// Whether it counts as an attempt: one that its host interrupted does not.
    pub counts: bool,
    /// Rows exported.
    pub rows: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Files written.
    pub files: u32,
    /// Warnings.
    pub warnings: u32,
    /// The report, as JSON.
    pub report: Option<Value>,
    /// The failure, as JSON.
    pub error: Option<Value>,
    /// What to write to `reason`.
    pub reason: Option<String>,
}

impl Outcome {
    /// Makes the outcome of an attempt that succeeded at `now`.
    pub fn completed(report: &RunReport, used: Duration, now: Moment) -> Self {
        Outcome {
            rows: report.report.rows_exported,
            bytes: report.bytes_exported,
            files: u32::try_from(report.report.files.len()).unwrap_or(u32::MAX),
            warnings: u32::try_from(report.warnings.len()).unwrap_or(u32::MAX),
            report: serde_json::to_value(report).ok(),
            ..Outcome::new(RunState::Completed, used, now)
        }
    }

    /// Makes the outcome of an attempt that failed at `now` and leaves its run in this state.
    pub fn failed(failure: &Failure, state: RunState, used: Duration, now: Moment) -> Self {
        Outcome {
            error: serde_json::to_value(failure).ok(),
            ..Outcome::new(state, used, now)
        }
    }

    fn new(state: RunState, used: Duration, now: Moment) -> Self {
        Outcome {
            state,
            not_before: now,
            used_ms: u64::try_from(used.as_millis()).unwrap_or(u64::MAX),
            counts: true,
            rows: 0,
            bytes: 0,
            files: 0,
            warnings: 0,
            report: None,
            error: None,
            reason: None,
        }
    }
}

/// What the end of a run changed for its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The state that the run is in now: one that was started too early waits again, and one that somebody else has
    /// started meanwhile goes on.
    pub state: RunState,
    /// Runs that failed for good since the last one that succeeded.
    pub failed_in_a_row: u32,
    /// Completed runs without rows since the last one with rows.
    pub empty_in_a_row: u32,
    /// Whether the destination was paused because of it.
    pub paused: bool,
}

/// How an attempt leaves a run, in all that waiting needs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Left {
    pub state: RunState,
    pub not_before: Moment,
    pub tries: u32,
    pub used_ms: u64,
    pub reason: Option<String>,
}

/// What the ends of runs are counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    /// The schedule and its backfills: failures pause a destination.
    Everything,
    /// A run by hand: it shows at most that the destination works.
    Successes,
}

/// Notes what an attempt came to.
pub(super) fn end(
    transaction: &Transaction<'_>,
    run_id: &str,
    attempt: u32,
    outcome: &Outcome,
    now: Moment,
) -> Result<Ended> {
    let Some(run) = open(transaction, run_id, attempt)? else {
        end_attempt(transaction, run_id, attempt, outcome, now)?;
        return superseded(transaction, run_id);
    };
    let left = match run.is_early(outcome.state, now) {
        true => run.again(),
        false => Left {
            state: outcome.state,
            not_before: outcome.not_before,
            tries: run.tries - u32::from(!outcome.counts),
            used_ms: run.used_ms.saturating_add(outcome.used_ms),
            reason: outcome.reason.clone(),
        },
    };
    end_attempt(transaction, run_id, attempt, outcome, now)?;
    leave(transaction, run_id, &left, outcome, now)?;
    let counted = Counted::Everything;
    count(transaction, &run.destination, left.state, outcome, counted, now)
}

/// A run whose newest attempt ends.
#[derive(Debug)]
pub(super) struct Open {
    pub destination: String,
    pub tries: u32,
    pub used_ms: u64,
    pub cancel_requested: bool,
    is_scheduled: bool,
    started: Option<i64>,
    end: i64,
}

impl Open {
    /// Returns whether it was completed before its interval had ended, by whichever clock: that is not complete.
    pub(super) fn is_early(&self, state: RunState, now: Moment) -> bool {
        let before_the_end = now.0 < self.end || self.started.is_some_and(|started| started < self.end);
        state == RunState::Completed && self.is_scheduled && before_the_end
    }

    /// Returns how it runs again once its interval has ended.
    pub(super) fn again(&self) -> Left {
        Left {
            state: RunState::Starting,
            not_before: Moment(self.end),
            tries: 0,
            used_ms: 0,
            reason: Some("it was exported before its interval had ended".to_owned()),
        }
    }
}

/// Returns a run if this attempt at it is the newest and in progress.
pub(super) fn open(transaction: &Transaction<'_>, run_id: &str, attempt: u32) -> Result<Option<Open>> {
    let mut statement = transaction.prepare_cached(
        "SELECT destination, tries, used_ms, cancel_requested, origin = 'schedule', started, end FROM runs
         WHERE id = ?1 AND attempts = ?2 AND state = 'running'",
    )?;
    let found = statement.query_row(params![run_id, attempt], |row| {
        Ok(Open {
            destination: row.get(0)?,
            tries: row.get(1)?,
            used_ms: row.get(2)?,
            cancel_requested: row.get(3)?,
            is_scheduled: row.get(4)?,
            started: row.get(5)?,
            end: row.get(6)?,
        })
    });
    Ok(found.optional()?)
}

/// Notes the outcome of an attempt.
pub(super) fn end_attempt(
    transaction: &Transaction<'_>,
    run_id: &str,
    attempt: u32,
    outcome: &Outcome,
    now: Moment,
) -> Result<()> {
    transaction
        .prepare_cached(
            "UPDATE attempts SET finished = ?3, outcome = ?4, rows = max(rows, ?5), report = ?6, error = ?7
             WHERE run = ?1 AND number = ?2",
        )?
        .execute(params![
            run_id,
            attempt,
            now.0,
            outcome.state,
            outcome.rows,
            outcome.report.as_ref().map(Value::to_string),
            outcome.error.as_ref().map(Value::to_string),
        ])?;
    Ok(())
}

/// Leaves a run as its attempt ended.
pub(super) fn leave(
    transaction: &Transaction<'_>,
    run_id: &str,
    left: &Left,
    outcome: &Outcome,
    now: Moment,
) -> Result<()> {
    transaction
        .prepare_cached(
            "UPDATE runs SET state = ?2, reason = ?3, finished = ?4, not_before = ?5, tries = ?6, used_ms = ?7,
                    rows = ?8, bytes = ?9, files = ?10, warnings = ?11, error = ?12, cancel_requested = 0
             WHERE id = ?1",
        )?
        .execute(params![
            run_id,
            left.state,
            left.reason,
            now.0,
            left.not_before.0,
            left.tries,
            left.used_ms,
            outcome.rows,
            outcome.bytes,
            outcome.files,
            outcome.warnings,
            outcome.error.as_ref().map(Value::to_string),
        ])?;
    Ok(())
}

/// Says how things stand with a run that somebody else has taken over: an attempt that ends late changes nothing.
pub(super) fn superseded(transaction: &Transaction<'_>, run_id: &str) -> Result<Ended> {
    let mut statement = transaction.prepare_cached(
        "SELECT state, failed_in_a_row, empty_in_a_row FROM runs JOIN destinations ON name = destination WHERE id = ?1",
    )?;
    let ended = statement.query_row([run_id], |row| {
        Ok(Ended {
            state: row.get(0)?,
            failed_in_a_row: row.get(1)?,
            empty_in_a_row: row.get(2)?,
            paused: false,
        })
    });
    Ok(ended?)
}

/// Counts what a run's end means for its destination, and pauses that after too many failures in a row.
pub(super) fn count(
    transaction: &Transaction<'_>,
    destination: &str,
    state: RunState,
    outcome: &Outcome,
    counted: Counted,
    now: Moment,
) -> Result<Ended> {
    let is_failed = matches!(state, RunState::Failed | RunState::TimedOut) && counted == Counted::Everything;
    let (failed, empty) = match state {
        RunState::Completed if outcome.rows > 0 => ("0", "0"),
        RunState::Completed if counted == Counted::Everything => ("0", "empty_in_a_row + 1"),
        RunState::Completed => ("0", "empty_in_a_row"),
        _ if is_failed => ("failed_in_a_row + 1", "empty_in_a_row"),
        _ => ("failed_in_a_row", "empty_in_a_row"),
    };
    let sql = format!(
        "UPDATE destinations SET failed_in_a_row = {failed}, empty_in_a_row = {empty} WHERE name = ?1
         RETURNING failed_in_a_row, empty_in_a_row"
    );
    let (failed_in_a_row, empty_in_a_row): (u32, u32) = transaction
        .prepare_cached(&sql)?
        .query_row([destination], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut paused = false;
    if is_failed && failed_in_a_row >= FAILURES_BEFORE_PAUSE {
        let message = outcome.error.as_ref().and_then(|error| error["message"].as_str());
        let reason = format!(
            "{failed_in_a_row} runs in a row failed, the last one with: {}",
            message.unwrap_or("an unknown error")
        );
        let pause = Pause {
            at: now,
            by: PausedBy::Failures,
            reason: Some(reason),
        };
        paused = set_pause(transaction, destination, &pause)?;
    }
    Ok(Ended {
        state,
        failed_in_a_row,
        empty_in_a_row,
        paused,
    })
}
