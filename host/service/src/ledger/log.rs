//! What was said of runs, and how far their attempts are: log lines of plugins, warnings, and what happened.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Transaction, params};

use super::{Ledger, Result};
use batch_export_source::Moment;

/// Lines that are kept of one run: the limit of a plugin's own lines, and room for the host's.
pub const LINES_LIMIT: u64 = 20_000;

/// A line about a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The run.
    pub run: String,
    /// The number of the attempt.
    pub attempt: u32,
    /// When it was written.
    pub at: Moment,
    /// `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// The text.
    pub line: String,
}

/// How far an attempt is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptProgress {
    /// The run.
    pub run: String,
    /// The number of the attempt.
    pub attempt: u32,
    /// The attempt's id, once it has one.
    pub id: Option<String>,
    /// Rows that it was given.
    pub rows: u64,
}

impl Ledger {
    /// Adds lines, and notes how far attempts are. Lines beyond the limit of a run are dropped, and so is what concerns
    /// runs that the ledger does not have. A power cut may take the last of it.
    pub fn record(&self, lines: &[LogLine], progress: &[AttemptProgress]) -> Result<()> {
        if lines.is_empty() && progress.is_empty() {
            return Ok(());
        }
        self.write_as(false, |transaction| {
            let mut update = transaction.prepare_cached(
                "UPDATE attempts SET id = coalesce(?3, id), rows = max(rows, ?4)
                 WHERE run = ?1 AND number = ?2 AND finished IS NULL",
            )?;
            for at in progress {
                update.execute(params![at.run, at.attempt, at.id, at.rows])?;
            }
            let mut room: HashMap<&str, u64> = HashMap::new();
            let mut insert = transaction
                .prepare_cached("INSERT INTO log (run, attempt, at, level, line) VALUES (?1, ?2, ?3, ?4, ?5)")?;
            for line in lines {
                let room = match room.entry(&line.run) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => new.insert(room_for_lines(transaction, &line.run)?),
                };
                if *room > 0 {
                    *room -= 1;
                    insert.execute(params![line.run, line.attempt, line.at.0, line.level, line.line])?;
                }
            }
            Ok(())
        })
    }

    /// Returns lines of a run that come after the line with the number `after`, in order, at most `limit` of them, each
    /// with its number.
    pub fn lines(&self, run_id: &str, after: i64, limit: u32) -> Result<Vec<(i64, LogLine)>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, run, attempt, at, level, line FROM log WHERE run = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
            )?;
            let lines = statement.query_map(params![run_id, after, limit], |row| {
                let line = LogLine {
                    run: row.get(1)?,
                    attempt: row.get(2)?,
                    at: Moment(row.get(3)?),
                    level: row.get(4)?,
                    line: row.get(5)?,
                };
                Ok((row.get(0)?, line))
            })?;
            Ok(lines.collect::<rusqlite::Result<_>>()?)
        })
    }
}

/// Returns how many more lines are kept of a run: none of one that the ledger does not have.
fn room_for_lines(transaction: &Transaction<'_>, run_id: &str) -> Result<u64> {
    let mut statement = transaction.prepare_cached(
        "SELECT (SELECT count(*) FROM runs WHERE id = ?1), (SELECT count(*) FROM log WHERE run = ?1)",
    )?;
    let (runs, lines): (u64, u64) = statement.query_row([run_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(runs * LINES_LIMIT.saturating_sub(lines))
}
