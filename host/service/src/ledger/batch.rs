//! Several steps of the scheduler in one transaction: on disk together, or not at all. At the top of an hour thousands
//! of runs start and end at nearly the same moment, and each transaction waits for the disk.

use rusqlite::{Transaction, params};

use super::ends::{self, Ended, Outcome};
use super::rows::Waiting;
use super::runs::{self, Started};
use super::{Ledger, Result};
use batch_export_source::Moment;

/// A transaction of the scheduler.
#[derive(Debug)]
pub struct Batch<'a>(&'a Transaction<'a>);

impl Ledger {
    /// Does several steps, or none of them if one fails.
    pub fn batch<T>(&self, work: impl FnOnce(&Batch<'_>) -> Result<T>) -> Result<T> {
        self.write(|transaction| work(&Batch(transaction)))
    }

    /// Does [`Batch::next_run`] alone.
    pub fn next_run(&self, destination: &str, backfills: bool, now: Moment) -> Result<Option<Waiting>> {
        self.read(|connection| runs::next(connection, destination, backfills, now))
    }

    /// Does [`Batch::next_start`] alone.
    pub fn next_start(&self, destination: &str) -> Result<Option<Moment>> {
        self.read(|connection| runs::next_start(connection, destination))
    }

    /// Does [`Batch::start`] alone.
    pub fn start(&self, run_id: &str, component: &str, now: Moment) -> Result<Option<Started>> {
        self.batch(|batch| batch.start(run_id, component, now))
    }

    /// Does [`Batch::end`] alone.
    pub fn end(&self, run_id: &str, attempt: u32, outcome: &Outcome, now: Moment) -> Result<Ended> {
        self.batch(|batch| batch.end(run_id, attempt, outcome, now))
    }
}

impl Batch<'_> {
    /// Returns the run that a destination should start next: that of the newest interval of its schedule, then the
    /// oldest one that is due, then, if they are wanted, those of backfills.
    pub fn next_run(&self, destination: &str, backfills: bool, now: Moment) -> Result<Option<Waiting>> {
        runs::next(self.0, destination, backfills, now)
    }

    /// Returns when the next run of a destination may start that waits now.
    pub fn next_start(&self, destination: &str) -> Result<Option<Moment>> {
        runs::next_start(self.0, destination)
    }

    /// Notes that an attempt at a run that waits begins. `None` where it does not wait any more.
    pub fn start(&self, run_id: &str, component: &str, now: Moment) -> Result<Option<Started>> {
        let changed = self
            .0
            .prepare_cached(
                "UPDATE runs SET state = 'running', started = ?2, finished = NULL, attempts = attempts + 1,
                        tries = tries + 1
                 WHERE id = ?1 AND state IN ('starting', 'failed_retryable')",
            )?
            .execute(params![run_id, now.0])?;
        match changed {
            0 => Ok(None),
            _ => runs::begin_attempt(self.0, run_id, component, now).map(Some),
        }
    }

    /// Notes what an attempt came to.
    pub fn end(&self, run_id: &str, attempt: u32, outcome: &Outcome, now: Moment) -> Result<Ended> {
        ends::end(self.0, run_id, attempt, outcome, now)
    }
}
