//! Runs by hand in the ledger: somebody exports an interval now, whatever its run comes to. One that waited for its
//! turn waits again as before, unless the run by hand made it unnecessary.

use rusqlite::{OptionalExtension, params};

use super::ends::{Counted, Ended, Left, Outcome, count, end_attempt, leave, open, superseded};
use super::rows::{Origin, RunState};
use super::runs::{Due, Started, begin_attempt, insert};
use super::{Ledger, Result};
use batch_export_runner::Header;
use batch_export_source::Moment;

/// A run by hand whose attempt begins.
#[derive(Debug, Clone, PartialEq)]
pub struct StartedByHand {
    /// The run and the number of the attempt.
    pub started: Started,
    /// What it waited for before.
    waited: Option<Left>,
}

impl Ledger {
    /// Notes that somebody runs an interval by hand. The caller holds the run.
    pub fn start_by_hand(&self, header: &Header, component: &str, now: Moment) -> Result<StartedByHand> {
        self.write(|transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT state, not_before, tries, used_ms, reason FROM runs
                 WHERE id = ?1 AND state IN ('starting', 'failed_retryable')",
            )?;
            let waited = statement.query_row([&header.id], |row| {
                Ok(Left {
                    state: row.get(0)?,
                    not_before: Moment(row.get(1)?),
                    tries: row.get(2)?,
                    used_ms: row.get(3)?,
                    reason: row.get(4)?,
                })
            });
            let waited = waited.optional()?;
            let due = Due {
                header: header.clone(),
                not_before: now,
                skipped: None,
            };
            insert(transaction, &due, Origin::Hand, None, now)?;
            // An attempt of a process that is gone never ends: this one takes its place.
            transaction.execute(
                "UPDATE runs SET state = 'running', started = ?2, finished = NULL, attempts = attempts + 1, tries = 1,
                        used_ms = 0, cancel_requested = 0
                 WHERE id = ?1",
                params![header.id, now.0],
            )?;
            let started = begin_attempt(transaction, &header.id, component, now)?;
            Ok(StartedByHand { started, waited })
        })
    }

    /// Notes what a run by hand came to. One that failed never pauses its destination.
    pub fn end_by_hand(&self, by_hand: &StartedByHand, outcome: &Outcome, now: Moment) -> Result<Ended> {
        let (id, attempt) = (&by_hand.started.run.id, by_hand.started.attempt);
        self.write(|transaction| {
            end_attempt(transaction, id, attempt, outcome, now)?;
            let Some(run) = open(transaction, id, attempt)? else {
                return superseded(transaction, id);
            };
            let left = match &by_hand.waited {
                _ if run.is_early(outcome.state, now) => run.again(),
                Some(waited) if outcome.state != RunState::Completed && !run.cancel_requested => waited.clone(),
                _ => Left {
                    state: outcome.state,
                    not_before: outcome.not_before,
                    tries: run.tries,
                    used_ms: run.used_ms.saturating_add(outcome.used_ms),
                    reason: outcome.reason.clone(),
                },
            };
            leave(transaction, id, &left, outcome, now)?;
            count(
                transaction,
                &run.destination,
                left.state,
                outcome,
                Counted::Successes,
                now,
            )
        })
    }
}
