//! How long the ledger keeps what is over, and copies of it.

use std::path::Path;

use rusqlite::params;

use super::error::{LedgerError, in_words};
use super::{Ledger, Result};
use batch_export_source::Moment;
use batch_export_system::explain::plain;

/// Rows deleted at once, so that nobody waits long for the ledger.
const CHUNK: u32 = 1_000;
const DAY_MICROS: i64 = 86_400_000_000;

/// How long runs that are over are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Days after the end of a run.
    pub runs_days: u32,
    /// Runs in all; the oldest go first.
    pub runs: u64,
    /// Days that log lines are kept.
    pub log_days: u32,
}

impl Ledger {
    /// Deletes a piece of what is older than it is kept: runs that are over, with their attempts and log, and log lines
    /// and alerts. Returns whether there may be more. What an attempt has open is never deleted.
    pub fn forget_old(&self, keep: Keep, now: Moment) -> Result<bool> {
        let before = |days: u32| now.0 - i64::from(days) * DAY_MICROS;
        self.write(|transaction| {
            let is_over = "state NOT IN ('starting', 'running', 'failed_retryable')";
            let old = transaction.execute(
                &format!(
                    "DELETE FROM runs WHERE id IN
                        (SELECT id FROM runs WHERE finished < ?1 AND {is_over} ORDER BY finished LIMIT {CHUNK})"
                ),
                [before(keep.runs_days)],
            )?;
            let many: u64 = transaction.query_row("SELECT count(*) FROM runs", [], |row| row.get(0))?;
            let excess = many.saturating_sub(keep.runs).min(u64::from(CHUNK));
            let beyond = transaction.execute(
                &format!(
                    "DELETE FROM runs WHERE id IN
                        (SELECT id FROM runs WHERE finished IS NOT NULL AND {is_over} ORDER BY finished LIMIT ?1)"
                ),
                [excess],
            )?;
            let lines = transaction.execute(
                &format!("DELETE FROM log WHERE id IN (SELECT id FROM log WHERE at < ?1 ORDER BY id LIMIT {CHUNK})"),
                [before(keep.log_days)],
            )?;
            transaction.execute(
                "DELETE FROM backfills
                 WHERE created < ?1 AND NOT EXISTS (SELECT 1 FROM runs WHERE backfill = backfills.id)",
                [before(keep.runs_days)],
            )?;
            transaction.execute(
                "DELETE FROM alerts WHERE at < ?1 AND addressed = 1
                    AND NOT EXISTS (SELECT 1 FROM deliveries WHERE alert = alerts.id AND state = 'waiting')",
                params![before(keep.runs_days)],
            )?;
            let chunk = CHUNK as usize;
            Ok(old == chunk || beyond == chunk || lines == chunk)
        })
    }

    /// Writes a copy of the whole ledger to a file that does not exist yet, while others go on working with it.
    pub fn backup(&self, file: &Path) -> Result<()> {
        let failed = |reason: String| LedgerError::Backup {
            file: file.to_path_buf(),
            reason,
        };
        // The owner's alone from the beginning, as the ledger is.
        match batch_export_system::private::create_new(file) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(LedgerError::BackupExists {
                    file: file.to_path_buf(),
                });
            }
            Err(error) => return Err(failed(plain(&error))),
        }
        let copied = self.read(|connection| {
            let copied = connection.execute("VACUUM INTO ?1", [file.to_string_lossy()]);
            copied.map(drop).map_err(|error| failed(in_words(&error)))
        });
        if copied.is_err() {
            std::fs::remove_file(file).ok();
        }
        copied
    }
}
