//! What was said of runs: log lines of plugins, warnings, and what happened.

use rusqlite::params;

use super::{Ledger, Result};
use batch_export_source::Moment;

/// Lines that are kept of one run: the limit of a plugin's own lines, and room for the host's.
pub const LINES_LIMIT: u64 = 20_000;

/// A line about a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Its place among all lines.
    pub id: i64,
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

impl Ledger {
    /// Adds lines; those beyond the limit of a run are dropped.
    pub fn add_lines(&self, lines: &[LogLine]) -> Result<()> {
        self.write(|transaction| {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO log (run, attempt, at, level, line)
                 SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM runs WHERE id = ?1)
                    AND (SELECT count(*) FROM log WHERE run = ?1) < ?6",
            )?;
            for line in lines {
                insert.execute(params![
                    line.run,
                    line.attempt,
                    line.at.0,
                    line.level,
                    line.line,
                    LINES_LIMIT
                ])?;
            }
            Ok(())
        })
    }

    /// Returns lines of a run that come after the line with the number `after`, in order, at most `limit` of them.
    pub fn lines(&self, run_id: &str, after: i64, limit: u32) -> Result<Vec<LogLine>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, run, attempt, at, level, line FROM log WHERE run = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
            )?;
            let lines = statement.query_map(params![run_id, after, limit], |row| {
                Ok(LogLine {
                    id: row.get(0)?,
                    run: row.get(1)?,
                    attempt: row.get(2)?,
                    at: Moment(row.get(3)?),
                    level: row.get(4)?,
                    line: row.get(5)?,
                })
            })?;
            Ok(lines.collect::<rusqlite::Result<_>>()?)
        })
    }
}
