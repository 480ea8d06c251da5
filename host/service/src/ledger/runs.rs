//! Runs in the ledger: made when their intervals are due, started, cancelled, and asked for again.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::destinations::see;
use super::find::{COLUMNS, read};
use super::rows::{Origin, Run, RunState, Waiting};
use super::{Ledger, Result};
use batch_export_runner::Header;
use batch_export_source::Moment;

/// A due interval of a destination, which gets a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The run.
    pub header: Header,
    /// It does not start earlier.
    pub not_before: Moment,
    /// Why it is not run, if it is not.
    pub skipped: Option<String>,
}

/// A run whose attempt begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Started {
    /// The run.
    pub run: Run,
    /// The number of the attempt.
    pub attempt: u32,
}

impl Ledger {
    /// Gives due intervals their runs, and notes for each destination up to where its schedule is covered. A run that
    /// exists stays as it is where it waits, runs, or was completed after its interval had ended; any other runs again.
    /// One that waits for a backfill is the schedule's from now on.
    pub fn cover(&self, covered: &[(&str, Moment)], due: &[Due], now: Moment) -> Result<()> {
        self.write(|transaction| {
            for due in due {
                insert(transaction, due, Origin::Schedule, None, now)?;
            }
            let mut update =
                transaction.prepare_cached("UPDATE destinations SET covered = ?2 WHERE name = ?1 AND covered < ?2")?;
            for (name, covered) in covered {
                update.execute(params![name, covered.0])?;
            }
            Ok(())
        })
    }

    /// Lets the scheduled runs of a destination whose intervals have not ended yet run when they have: they were made
    /// or skipped while the clock was ahead. What a pause skipped stays so while it lasts. Returns how many there are.
    pub fn uncover(&self, destination: &str, settle_micros: i64, now: Moment) -> Result<u64> {
        self.write(|transaction| {
            let changed = transaction.execute(
                "UPDATE runs SET state = 'starting', not_before = end + ?3, tries = 0, used_ms = 0, finished = NULL,
                        reason = 'the clock was set back to before the end of the interval'
                 WHERE destination = ?1 AND origin = 'schedule' AND end > ?2
                   AND (state IN ('completed', 'failed', 'timed_out')
                        OR state = 'skipped'
                           AND (reason NOT LIKE 'paused%'
                                OR (SELECT paused_at FROM destinations WHERE name = ?1) IS NULL)
                        OR state IN ('starting', 'failed_retryable') AND not_before < end)",
                params![destination, now.0, settle_micros],
            )?;
            Ok(changed as u64)
        })
    }

    /// Lets runs whose intervals have ended start now that wait for longer than they ever would: they were made to wait
    /// by a clock that was ahead. `longest` is how long a run of each destination may wait, in microseconds.
    pub fn bring_forward(&self, longest: &[(&str, i64)], now: Moment) -> Result<()> {
        self.write(|transaction| {
            let mut update = transaction.prepare_cached(
                "UPDATE runs SET not_before = ?2
                 WHERE destination = ?1 AND state IN ('starting', 'failed_retryable') AND end <= ?2
                   AND not_before > ?2 + ?3",
            )?;
            for (destination, longest) in longest {
                update.execute(params![destination, now.0, longest])?;
            }
            Ok(())
        })
    }

    /// Returns the destinations that have runs that wait.
    pub fn waiting_destinations(&self) -> Result<Vec<String>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT DISTINCT destination FROM runs WHERE state IN ('starting', 'failed_retryable')",
            )?;
            let names = statement.query_map([], |row| row.get(0))?;
            Ok(names.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Asks for the end of a run. Returns the state that it was in; one that is over stays as it is.
    pub fn cancel(&self, run_id: &str, now: Moment) -> Result<RunState> {
        self.order(|transaction| {
            let state = transaction.query_row("SELECT state FROM runs WHERE id = ?1", [run_id], |row| row.get(0))?;
            match state {
                RunState::Starting | RunState::FailedRetryable => transaction.execute(
                    "UPDATE runs SET state = 'cancelled', finished = ?2, reason = 'cancelled before it started'
                     WHERE id = ?1",
                    params![run_id, now.0],
                )?,
                RunState::Running => {
                    transaction.execute("UPDATE runs SET cancel_requested = 1 WHERE id = ?1", [run_id])?
                }
                _ => 0,
            };
            Ok(state)
        })
    }

    /// Asks for a run again, now. Returns the state that it was in; one that is in progress stays as it is.
    pub fn retry(&self, run_id: &str, now: Moment) -> Result<RunState> {
        self.order(|transaction| {
            let state = transaction.query_row("SELECT state FROM runs WHERE id = ?1", [run_id], |row| row.get(0))?;
            if state != RunState::Running {
                transaction.execute(
                    "UPDATE runs SET state = 'starting', not_before = ?2, tries = 0, used_ms = 0, reason = ?3,
                            cancel_requested = 0
                     WHERE id = ?1",
                    params![run_id, now.0, format!("asked for again; it was {state}")],
                )?;
            }
            Ok(state)
        })
    }

    /// Notes that the process of a run in progress is gone: it runs again, unless it was run by hand or somebody wanted
    /// it to end. Returns the state that it is in now.
    pub fn interrupted(&self, run: &Run, now: Moment) -> Result<RunState> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE runs SET state = CASE WHEN cancel_requested THEN 'cancelled'
                                              WHEN origin = 'hand' THEN 'failed' ELSE 'starting' END,
                        finished = ?2, not_before = ?2, tries = max(tries - 1, 0), cancel_requested = 0,
                        reason = 'its process ended before it did'
                 WHERE id = ?1 AND state = 'running' AND attempts = ?3",
                params![run.id, now.0, run.attempts],
            )?;
            Ok(transaction.query_row("SELECT state FROM runs WHERE id = ?1", [&run.id], |row| row.get(0))?)
        })
    }
}

/// Returns the run that a destination should start next.
pub(super) fn next(
    connection: &Connection,
    destination: &str,
    backfills: bool,
    now: Moment,
) -> Result<Option<Waiting>> {
    let newest = "AND (backfill IS NOT NULL) = 0 AND end = (SELECT covered FROM destinations WHERE name = ?1)";
    if let Some(run) = waiting(connection, newest, destination, now)? {
        return Ok(Some(run));
    }
    if let Some(run) = waiting(connection, "AND (backfill IS NOT NULL) = 0", destination, now)? {
        return Ok(Some(run));
    }
    if !backfills {
        return Ok(None);
    }
    let below_its_limit = "AND (backfill IS NOT NULL) = 1
         AND (SELECT count(*) FROM runs AS other WHERE other.state = 'running' AND other.backfill = runs.backfill)
             < coalesce((SELECT runs_at_once FROM backfills WHERE id = runs.backfill), 1)";
    waiting(connection, below_its_limit, destination, now)
}

/// Returns when the next run of a destination may start that waits now.
pub(super) fn next_start(connection: &Connection, destination: &str) -> Result<Option<Moment>> {
    let mut statement = connection.prepare_cached(
        "SELECT min(not_before) FROM runs WHERE destination = ?1 AND state IN ('starting', 'failed_retryable')",
    )?;
    let next: Option<i64> = statement.query_row([destination], |row| row.get(0))?;
    Ok(next.map(Moment))
}

/// Gives an interval its run.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    due: &Due,
    origin: Origin,
    backfill: Option<i64>,
    now: Moment,
) -> Result<bool> {
    let Header {
        destination,
        id,
        model,
        start_micros,
        end_micros,
    } = &due.header;
    see(transaction, destination, now)?;
    let state = match due.skipped {
        Some(_) => RunState::Skipped,
        None => RunState::Starting,
    };
    let changed = transaction
        .prepare_cached(
            "INSERT INTO runs (id, destination, model, start, end, state, origin, backfill, reason, created, not_before,
                               finished)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, iif(?6 = 'skipped', ?10, NULL))
             ON CONFLICT (id) DO UPDATE
             SET origin = iif(runs.origin = 'schedule', runs.origin, excluded.origin),
                 state = iif(runs.state = 'running', runs.state, excluded.state),
                 backfill = excluded.backfill, reason = excluded.reason, not_before = excluded.not_before,
                 tries = 0, used_ms = 0
             WHERE excluded.origin = 'schedule' AND runs.origin <> 'schedule'
                   AND NOT (runs.state = 'completed' AND runs.started >= runs.end)
                   AND runs.state NOT IN ('starting', 'failed_retryable')
                OR excluded.origin = 'schedule' AND excluded.state <> 'skipped' AND runs.origin = 'backfill'
                   AND runs.state IN ('starting', 'failed_retryable')
                OR excluded.origin = 'backfill' AND runs.state NOT IN ('starting', 'running', 'failed_retryable')",
        )?
        .execute(params![
            id,
            destination,
            model,
            start_micros,
            end_micros,
            state,
            origin,
            backfill,
            due.skipped,
            now.0,
            due.not_before.0,
        ])?;
    Ok(changed > 0)
}

pub(super) fn begin_attempt(
    transaction: &Transaction<'_>,
    run_id: &str,
    component: &str,
    now: Moment,
) -> Result<Started> {
    let sql = format!("SELECT {COLUMNS} FROM runs WHERE id = ?1");
    let run = transaction.prepare_cached(&sql)?.query_row([run_id], read)?;
    transaction
        .prepare_cached("INSERT INTO attempts (run, number, started, component) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![run_id, run.attempts, now.0, component])?;
    Ok(Started {
        attempt: run.attempts,
        run,
    })
}

fn waiting(connection: &Connection, which: &str, destination: &str, now: Moment) -> Result<Option<Waiting>> {
    let sql = format!(
        "SELECT id, start, end, origin, backfill, not_before FROM runs
         WHERE destination = ?1 AND state IN ('starting', 'failed_retryable') AND not_before <= ?2 {which}
         ORDER BY end LIMIT 1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement.query_row(params![destination, now.0], |row| {
        Ok(Waiting {
            id: row.get(0)?,
            start: row.get::<_, Option<i64>>(1)?.map(Moment),
            end: Moment(row.get(2)?),
            origin: row.get(3)?,
            backfill: row.get(4)?,
            not_before: Moment(row.get(5)?),
        })
    });
    Ok(found.optional()?)
}
