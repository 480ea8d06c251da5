//! Finding runs in the ledger. Changes nothing.

use rusqlite::{OptionalExtension, Row, params, params_from_iter};
use serde_json::Value;

use super::destinations;
use super::rows::{Attempt, Run, RunState, UnknownRun};
use super::{Ledger, LedgerError, Result};
use batch_export_source::Moment;

/// Digits of the hash at the end of a run's id.
const HASH_DIGITS: usize = 24;
/// Runs that an ambiguous beginning is told to mean.
const NAMED: usize = 5;

pub(super) const COLUMNS: &str = "id, destination, model, start, end, state, origin, backfill, reason, created, not_before, \
                       started, finished, attempts, tries, used_ms, rows, bytes, files, warnings, error, \
                       cancel_requested";

/// A scheduled run that is not exported yet, as the index has it.
const OPEN: &str =
    "origin = 'schedule' AND state IN ('starting', 'running', 'failed', 'failed_retryable', 'timed_out')";

/// Which runs a list shows.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Of one destination.
    pub destination: Option<String>,
    /// In these states; empty: in any.
    pub states: Vec<RunState>,
    /// Of one backfill.
    pub backfill: Option<i64>,
    /// At most so many, the newest intervals first.
    pub limit: u32,
}

/// Intervals that were left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// How many there are.
    pub count: u64,
    /// Where the first one starts.
    pub start: Moment,
    /// Where the last one ends.
    pub end: Moment,
    /// Why the last one was left out.
    pub reason: Option<String>,
}

impl Ledger {
    /// Returns a run by its id, the beginning of its id, or that of the hash at the end of it.
    pub fn run(&self, id: &str) -> Result<std::result::Result<Run, UnknownRun>> {
        let (id, after) = (id.to_owned(), format!("{id}\u{10ffff}"));
        self.read(|connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM runs WHERE id >= ?1 AND id < ?2
                 UNION SELECT {COLUMNS} FROM runs WHERE substr(id, -{HASH_DIGITS}) >= ?1
                                                    AND substr(id, -{HASH_DIGITS}) < ?2
                 LIMIT {}",
                NAMED + 1
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let found = statement.query_map([&id, &after], read)?;
            let mut found = found.collect::<rusqlite::Result<Vec<Run>>>()?;
            if let Some(exact) = found.iter().position(|run| run.id == id) {
                return Ok(Ok(found.swap_remove(exact)));
            }
            Ok(match found.len() {
                0 => Err(UnknownRun::None),
                1 => Ok(found.swap_remove(0)),
                _ => Err(UnknownRun::Several(
                    found.into_iter().take(NAMED).map(|run| run.id).collect(),
                )),
            })
        })
    }

    /// Returns runs, the newest intervals first.
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<Run>> {
        self.read(|connection| {
            let mut conditions = vec!["1".to_owned()];
            let mut values: Vec<rusqlite::types::Value> = Vec::new();
            if let Some(destination) = &filter.destination {
                values.push(destination.clone().into());
                conditions.push(format!("destination = ?{}", values.len()));
            }
            if let Some(backfill) = filter.backfill {
                values.push(backfill.into());
                conditions.push(format!("backfill = ?{}", values.len()));
            }
            if !filter.states.is_empty() {
                let states = filter.states.iter().map(|state| format!("'{state}'"));
                conditions.push(format!("state IN ({})", states.collect::<Vec<_>>().join(", ")));
            }
            let sql = format!(
                "SELECT {COLUMNS} FROM runs WHERE {} ORDER BY end DESC, destination LIMIT {}",
                conditions.join(" AND "),
                filter.limit
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let runs = statement.query_map(params_from_iter(values), read)?;
            Ok(runs.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Returns the run of a destination that ended last, of those that were ever started.
    pub fn last_run(&self, destination: &str, state: Option<RunState>) -> Result<Option<Run>> {
        self.read(|connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM runs WHERE destination = ?1 AND started IS NOT NULL AND finished IS NOT NULL
                    AND (?2 IS NULL OR state = ?2)
                 ORDER BY finished DESC LIMIT 1"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            Ok(statement
                .query_row(params![destination, state.map(RunState::as_str)], read)
                .optional()?)
        })
    }

    /// Returns how many runs of a destination are in each state that at least one is in.
    pub fn counts(&self, destination: &str) -> Result<Vec<(RunState, u64)>> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT state, count(*) FROM runs WHERE destination = ?1 GROUP BY state")?;
            let counts = statement.query_map([destination], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(counts.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Returns the end of the last interval of a destination's schedule before which every one is completed, skipped or
    /// cancelled: what is exported so far. `None` without a schedule.
    pub fn exported_up_to(&self, destination: &str) -> Result<Option<Moment>> {
        self.read(|connection| {
            let Some(covered) = destinations::find(connection, destination)?.and_then(|row| row.covered) else {
                return Ok(None);
            };
            let first_open: Option<i64> = connection
                .prepare_cached(
                    "SELECT coalesce(start, end) FROM runs
                     WHERE destination = ?1 AND origin = 'schedule'
                       AND state IN ('starting', 'running', 'failed', 'failed_retryable', 'timed_out')
                     ORDER BY end LIMIT 1",
                )?
                .query_row([destination], |row| row.get(0))
                .optional()?;
            Ok(Some(first_open.map_or(covered, |open| Moment(open.min(covered.0)))))
        })
    }

    /// Returns the oldest scheduled run of a destination that is not exported and not given up by decision either.
    pub fn oldest_open(&self, destination: &str) -> Result<Option<Run>> {
        self.read(|connection| {
            let sql = format!("SELECT {COLUMNS} FROM runs WHERE destination = ?1 AND {OPEN} ORDER BY end LIMIT 1");
            Ok(connection
                .prepare_cached(&sql)?
                .query_row([destination], read)
                .optional()?)
        })
    }

    /// Returns how many such runs a destination has.
    pub fn count_open(&self, destination: &str) -> Result<u64> {
        self.read(|connection| {
            let sql = format!("SELECT count(*) FROM runs WHERE destination = ?1 AND {OPEN}");
            Ok(connection
                .prepare_cached(&sql)?
                .query_row([destination], |row| row.get(0))?)
        })
    }

    /// Returns how many runs wait, of all destinations.
    pub fn count_waiting(&self) -> Result<u64> {
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT count(*) FROM runs WHERE state IN ('starting', 'failed_retryable')")?;
            Ok(statement.query_row([], |row| row.get(0))?)
        })
    }

    /// Returns the intervals of a destination's schedule that were left out and have not run since, if there are any.
    pub fn skipped(&self, destination: &str) -> Result<Option<Skipped>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT count(*), min(coalesce(start, end)), max(end), reason FROM runs
                 WHERE destination = ?1 AND state = 'skipped' AND origin = 'schedule'",
            )?;
            let skipped = statement.query_row([destination], |row| {
                let (start, end): (Option<i64>, Option<i64>) = (row.get(1)?, row.get(2)?);
                let (count, reason) = (row.get(0)?, row.get(3)?);
                Ok(start.zip(end).map(|(start, end)| Skipped {
                    count,
                    start: Moment(start),
                    end: Moment(end),
                    reason,
                }))
            });
            Ok(skipped?)
        })
    }

    /// Returns the attempts at a run, the first one first.
    pub fn attempts(&self, run_id: &str) -> Result<Vec<Attempt>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT number, id, started, finished, outcome, component, rows, report, error
                 FROM attempts WHERE run = ?1 ORDER BY number",
            )?;
            let attempts = statement.query_map([run_id], |row| {
                Ok(Attempt {
                    number: row.get(0)?,
                    id: row.get(1)?,
                    started: Moment(row.get(2)?),
                    finished: row.get::<_, Option<i64>>(3)?.map(Moment),
                    outcome: row.get(4)?,
                    component: row.get(5)?,
                    rows: row.get(6)?,
                    report: json(row.get(7)?),
                    error: json(row.get(8)?),
                })
            })?;
            Ok(attempts.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Returns the runs that are in progress, by what the ledger says.
    pub fn running(&self) -> Result<Vec<Run>> {
        self.read(|connection| {
            let sql = format!("SELECT {COLUMNS} FROM runs WHERE state = 'running'");
            let mut statement = connection.prepare_cached(&sql)?;
            let runs = statement.query_map([], read)?;
            Ok(runs.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Returns the runs in progress that somebody wants to end.
    pub fn cancel_requests(&self) -> Result<Vec<String>> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT id FROM runs WHERE state = 'running' AND cancel_requested = 1")?;
            let ids = statement.query_map([], |row| row.get(0))?;
            Ok(ids.collect::<rusqlite::Result<_>>()?)
        })
    }
}

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        id: row.get(0)?,
        destination: row.get(1)?,
        model: row.get(2)?,
        start: row.get::<_, Option<i64>>(3)?.map(Moment),
        end: Moment(row.get(4)?),
        state: row.get(5)?,
        origin: row.get(6)?,
        backfill: row.get(7)?,
        reason: row.get(8)?,
        created: Moment(row.get(9)?),
        not_before: Moment(row.get(10)?),
        started: row.get::<_, Option<i64>>(11)?.map(Moment),
        finished: row.get::<_, Option<i64>>(12)?.map(Moment),
        attempts: row.get(13)?,
        tries: row.get(14)?,
        used_ms: row.get(15)?,
        rows: row.get(16)?,
        bytes: row.get(17)?,
        files: row.get(18)?,
        warnings: row.get(19)?,
        error: json(row.get(20)?),
        cancel_requested: row.get(21)?,
    })
}

/// A text that is not JSON, which this program never writes, is shown as it is.
fn json(text: Option<String>) -> Option<Value> {
    text.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

impl From<rusqlite::types::FromSqlError> for LedgerError {
    fn from(error: rusqlite::types::FromSqlError) -> Self {
        LedgerError::Strange(error.to_string())
    }
}
