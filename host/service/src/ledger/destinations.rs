//! Destinations in the ledger: how far their schedules are covered, and whether they are paused.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::rows::{DestinationRow, Pause, PausedBy, RunState};
use super::{Ledger, Result};
use batch_export_source::Moment;

const COLUMNS: &str = "name, first_seen, covered, failed_in_a_row, empty_in_a_row, paused_at, paused_by, pause_reason";

impl Ledger {
    /// Returns a destination that was seen before.
    pub fn destination(&self, name: &str) -> Result<Option<DestinationRow>> {
        self.read(|connection| find(connection, name))
    }

    /// Returns every destination that was ever seen, by name.
    pub fn destinations(&self) -> Result<Vec<DestinationRow>> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached(&format!("SELECT {COLUMNS} FROM destinations ORDER BY name"))?;
            let rows = statement.query_map([], read)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Notes destinations that exist; `covered` is where a schedule that is new begins.
    pub fn see(&self, seen: &[(&str, Option<Moment>)], now: Moment) -> Result<()> {
        self.write(|transaction| {
            for (name, covered) in seen {
                see(transaction, name, now)?;
                transaction
                    .prepare_cached("UPDATE destinations SET covered = coalesce(covered, ?2) WHERE name = ?1")?
                    .execute(params![name, covered.map(|covered| covered.0)])?;
            }
            Ok(())
        })
    }

    /// Pauses a destination's schedule; what runs goes on. Returns whether it was not paused before: a pause that there
    /// is stays as it is, except that an operator's takes the place of one by failures.
    pub fn pause(&self, name: &str, pause: &Pause) -> Result<bool> {
        self.order(|transaction| {
            see(transaction, name, pause.at)?;
            set_pause(transaction, name, pause)
        })
    }

    /// Lets a destination's schedule run again. With `backfill`, intervals that ended during the pause run, otherwise
    /// they stay skipped. Returns the pause that ended and how many intervals were skipped in it, or `None` where it
    /// was not paused.
    pub fn unpause(&self, name: &str, backfill: bool, now: Moment) -> Result<Option<(Pause, u64)>> {
        self.order(|transaction| {
            let Some(pause) = find(transaction, name)?.and_then(|row| row.pause) else {
                return Ok(None);
            };
            transaction.execute(
                "UPDATE destinations SET paused_at = NULL, paused_by = NULL, pause_reason = NULL, failed_in_a_row = 0
                 WHERE name = ?1",
                [name],
            )?;
            let skipped = "destination = ?1 AND state = 'skipped' AND origin = 'schedule' AND created >= ?2
                           AND reason LIKE 'paused%'";
            let count: u64 = transaction.query_row(
                &format!("SELECT count(*) FROM runs WHERE {skipped}"),
                params![name, pause.at.0],
                |row| row.get(0),
            )?;
            if backfill {
                transaction.execute(
                    &format!(
                        "UPDATE runs SET state = ?3, reason = 'missed during a pause', not_before = ?4, tries = 0,
                                used_ms = 0, cancel_requested = 0
                         WHERE {skipped}"
                    ),
                    params![name, pause.at.0, RunState::Starting, now.0],
                )?;
            }
            Ok(Some((pause, count)))
        })
    }
}

/// Pauses a destination within a transaction; returns whether that is new.
pub(super) fn set_pause(transaction: &Transaction<'_>, name: &str, pause: &Pause) -> Result<bool> {
    let known = find(transaction, name)?.and_then(|row| row.pause);
    let replaces = |known: &Pause| known.by == PausedBy::Failures && pause.by == PausedBy::Operator;
    if known.as_ref().is_none_or(replaces) {
        transaction.execute(
            "UPDATE destinations SET paused_at = coalesce(paused_at, ?2), paused_by = ?3, pause_reason = ?4
             WHERE name = ?1",
            params![name, pause.at.0, pause.by, pause.reason],
        )?;
    }
    Ok(known.is_none())
}

pub(super) fn see(transaction: &Transaction<'_>, name: &str, now: Moment) -> Result<()> {
    transaction
        .prepare_cached("INSERT INTO destinations (name, first_seen) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute(params![name, now.0])?;
    Ok(())
}

pub(super) fn find(connection: &Connection, name: &str) -> Result<Option<DestinationRow>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM destinations WHERE name = ?1"))?;
    Ok(statement.query_row([name], read).optional()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<DestinationRow> {
    let paused_at: Option<i64> = row.get(5)?;
    let pause = match paused_at {
        Some(at) => Some(Pause {
            at: Moment(at),
            by: row.get(6)?,
            reason: row.get(7)?,
        }),
        None => None,
    };
    Ok(DestinationRow {
        name: row.get(0)?,
        first_seen: Moment(row.get(1)?),
        covered: row.get::<_, Option<i64>>(2)?.map(Moment),
        failed_in_a_row: row.get(3)?,
        empty_in_a_row: row.get(4)?,
        pause,
    })
}
