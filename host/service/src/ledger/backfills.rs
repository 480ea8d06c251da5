//! Backfills in the ledger: runs of old intervals, asked for together.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::rows::{Backfill, Origin, RunState};
use super::runs::{Due, insert};
use super::{Ledger, Result};
use batch_export_source::Moment;

/// Runs that are asked for in one transaction: a fraction of a second.
const CHUNK: usize = 1_000;

const COLUMNS: &str = "id, destination, start, end, runs_at_once, created, cancelled";

/// A backfill that is asked for.
#[derive(Debug, Clone)]
pub struct BackfillOrder {
    /// The destination's name.
    pub destination: String,
    /// Where its first interval starts.
    pub start: Moment,
    /// Where its last interval ends.
    pub end: Moment,
    /// Runs of it at once.
    pub runs_at_once: u32,
    /// The runs of its intervals, oldest first. One that its schedule will come to must not start earlier than by
    /// that, which takes it over: it is exported once, with the rows that arrived in it.
    pub runs: Vec<Due>,
    /// Whether intervals that are completed run again.
    pub again: bool,
}

/// What a backfill would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BackfillPlan {
    /// Intervals in all.
    pub intervals: u64,
    /// Of them those that are completed.
    pub completed: u64,
    /// Of them those that wait or run already.
    pub under_way: u64,
    /// Of them those that will run.
    pub to_run: u64,
    /// How long a completed run of this destination took on average, in milliseconds; `None` where there was none.
    pub average_ms: Option<u64>,
}

impl Ledger {
    /// Says what a backfill would do, and changes nothing.
    pub fn plan_backfill(&self, order: &BackfillOrder) -> Result<BackfillPlan> {
        self.read(|connection| {
            let mut plan = BackfillPlan {
                intervals: order.runs.len() as u64,
                ..BackfillPlan::default()
            };
            let mut statement = connection.prepare_cached("SELECT state FROM runs WHERE id = ?1")?;
            for due in &order.runs {
                let state: Option<RunState> = statement.query_row([&due.header.id], |row| row.get(0)).optional()?;
                match state {
                    Some(RunState::Completed) => plan.completed += 1,
                    Some(state) if !state.is_over() => plan.under_way += 1,
                    _ => plan.to_run += 1,
                }
            }
            if order.again {
                plan.to_run += plan.completed;
            }
            let average: Option<f64> = connection.query_row(
                "SELECT avg(finished - started) / 1000.0 FROM
                    (SELECT started, finished FROM runs WHERE destination = ?1 AND state = 'completed'
                     ORDER BY finished DESC LIMIT 100)",
                [&order.destination],
                |row| row.get(0),
            )?;
            plan.average_ms = average.map(|average| average as u64);
            Ok(plan)
        })
    }

    /// Asks for a backfill: each of its intervals that is not completed, waiting or running gets a run that waits. A
    /// long one is asked for in pieces, so that nobody waits for the ledger meanwhile; if the process ends between two
    /// of them, the same order again asks for the rest.
    pub fn backfill(&self, order: &BackfillOrder, now: Moment) -> Result<Backfill> {
        let id = self.order(|transaction| {
            transaction.execute(
                "INSERT INTO backfills (destination, start, end, runs_at_once, created) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![order.destination, order.start.0, order.end.0, order.runs_at_once, now.0],
            )?;
            Ok(transaction.last_insert_rowid())
        })?;
        for runs in order.runs.chunks(CHUNK) {
            self.order(|transaction| {
                for due in runs {
                    ask_for(transaction, order, id, due, now)?;
                }
                Ok(())
            })?;
        }
        self.find_backfill(id)?
            .ok_or_else(|| super::LedgerError::Strange(format!("there is no backfill {id}")))
    }

    /// Ends a backfill: its runs that wait are cancelled, and those in progress are asked to end. Returns whether it
    /// exists.
    pub fn cancel_backfill(&self, id: i64, now: Moment) -> Result<bool> {
        self.order(|transaction| {
            let changed = transaction.execute(
                "UPDATE backfills SET cancelled = coalesce(cancelled, ?2) WHERE id = ?1",
                params![id, now.0],
            )?;
            transaction.execute(
                "UPDATE runs SET state = 'cancelled', finished = ?2, reason = 'its backfill was cancelled'
                 WHERE backfill = ?1 AND state IN ('starting', 'failed_retryable')",
                params![id, now.0],
            )?;
            transaction.execute(
                "UPDATE runs SET cancel_requested = 1 WHERE backfill = ?1 AND state = 'running'",
                [id],
            )?;
            Ok(changed > 0)
        })
    }

    /// Returns a backfill by its number.
    pub fn find_backfill(&self, id: i64) -> Result<Option<Backfill>> {
        let found = self.list("WHERE id = ?1", id)?;
        Ok(found.into_iter().next())
    }

    /// Returns the newest backfills, the newest first.
    pub fn backfills(&self, limit: u32) -> Result<Vec<Backfill>> {
        self.list("ORDER BY id DESC LIMIT ?1", i64::from(limit))
    }

    fn list(&self, which: &str, value: i64) -> Result<Vec<Backfill>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM backfills {which}"))?;
            let found = statement
                .query_map([value], read)?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            let mut states =
                connection.prepare_cached("SELECT state, count(*) FROM runs WHERE backfill = ?1 GROUP BY state")?;
            found
                .into_iter()
                .map(|backfill| {
                    let runs = states.query_map([backfill.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
                    let runs = runs.collect::<rusqlite::Result<_>>()?;
                    Ok(Backfill { runs, ..backfill })
                })
                .collect()
        })
    }
}

/// Gives an interval of a backfill its run, unless it is completed and not wanted again.
fn ask_for(transaction: &Transaction<'_>, order: &BackfillOrder, id: i64, due: &Due, now: Moment) -> Result<()> {
    let state: Option<RunState> = transaction
        .prepare_cached("SELECT state FROM runs WHERE id = ?1")?
        .query_row([&due.header.id], |row| row.get(0))
        .optional()?;
    if state == Some(RunState::Completed) && !order.again {
        return Ok(());
    }
    let due = Due {
        not_before: due.not_before.max(now),
        ..due.clone()
    };
    insert(transaction, &due, Origin::Backfill, Some(id), now)?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Backfill> {
    Ok(Backfill {
        id: row.get(0)?,
        destination: row.get(1)?,
        start: Moment(row.get(2)?),
        end: Moment(row.get(3)?),
        runs_at_once: row.get(4)?,
        created: Moment(row.get(5)?),
        cancelled: row.get::<_, Option<i64>>(6)?.map(Moment),
        runs: Vec::new(),
    })
}
