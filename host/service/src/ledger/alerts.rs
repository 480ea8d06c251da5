//! Alerts in the ledger: raised once for a cause, kept until they are sent, and open until the cause has passed.

use rusqlite::{Row, params};

use super::{Ledger, Result};
use batch_export_source::Moment;

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertState {
    /// It is to be sent, or sent again.
    Waiting,
    /// Every receiver has it.
    Sent,
    /// It could not be sent for so long that nobody tries any more.
    GivenUp,
}

/// An alert that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Its number.
    pub id: i64,
    /// When it was raised.
    pub at: Moment,
    /// Its kind.
    pub kind: String,
    /// The destination.
    pub destination: String,
    /// What is sent, as JSON.
    pub body: String,
    /// Times that it was sent in vain.
    pub tries: u32,
}

impl Ledger {
    /// Raises an alert, unless one for the same cause was raised and the cause has not passed. Returns whether it did.
    pub fn raise(&self, kind: &str, destination: &str, cause: &str, body: &str, now: Moment) -> Result<bool> {
        self.write(|transaction| {
            let is_new = transaction.execute(
                "INSERT INTO causes (destination, cause, since) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![destination, cause, now.0],
            )?;
            if is_new > 0 {
                add(transaction, kind, destination, cause, body, now)?;
            }
            Ok(is_new > 0)
        })
    }

    /// Raises an alert about something that happens once and does not pass.
    pub fn tell(&self, kind: &str, destination: &str, body: &str, now: Moment) -> Result<()> {
        self.write(|transaction| add(transaction, kind, destination, "", body, now))
    }

    /// Notes that causes of a destination have passed: all that begin so. Returns those that were open, with the time
    /// since when.
    pub fn pass(&self, destination: &str, beginning: &str) -> Result<Vec<(String, Moment)>> {
        self.write(|transaction| {
            let mut statement = transaction.prepare_cached(
                "DELETE FROM causes WHERE destination = ?1 AND substr(cause, 1, length(?2)) = ?2
                 RETURNING cause, since",
            )?;
            let passed = statement.query_map([destination, beginning], |row| Ok((row.get(0)?, Moment(row.get(1)?))))?;
            Ok(passed.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Returns the causes of a destination that are open, with the time since when.
    pub fn causes(&self, destination: &str) -> Result<Vec<(String, Moment)>> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT cause, since FROM causes WHERE destination = ?1 ORDER BY since")?;
            let open = statement.query_map([destination], |row| Ok((row.get(0)?, Moment(row.get(1)?))))?;
            Ok(open.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Returns alerts that are to be sent now, the oldest first.
    pub fn alerts_to_send(&self, now: Moment, limit: u32) -> Result<Vec<Alert>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, at, kind, destination, body, tries FROM alerts
                 WHERE state = 'waiting' AND not_before <= ?1 ORDER BY id LIMIT ?2",
            )?;
            let alerts = statement.query_map(params![now.0, limit], read)?;
            Ok(alerts.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Notes what sending an alert came to; with [`AlertState::Waiting`] it is sent again from `not_before` on.
    pub fn alert_sent(&self, id: i64, state: AlertState, not_before: Moment, error: Option<&str>) -> Result<()> {
        let state = match state {
            AlertState::Waiting => "waiting",
            AlertState::Sent => "sent",
            AlertState::GivenUp => "given_up",
        };
        self.write(|transaction| {
            transaction.execute(
                "UPDATE alerts SET state = ?2, tries = tries + 1, not_before = ?3, error = ?4 WHERE id = ?1",
                params![id, state, not_before.0, error],
            )?;
            Ok(())
        })
    }
}

fn add(
    transaction: &rusqlite::Transaction<'_>,
    kind: &str,
    destination: &str,
    cause: &str,
    body: &str,
    now: Moment,
) -> Result<()> {
    transaction.execute(
        "INSERT INTO alerts (at, kind, destination, cause, body, state, not_before)
         VALUES (?1, ?2, ?3, ?4, ?5, 'waiting', ?1)",
        params![now.0, kind, destination, cause, body],
    )?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Alert> {
    Ok(Alert {
        id: row.get(0)?,
        at: Moment(row.get(1)?),
        kind: row.get(2)?,
        destination: row.get(3)?,
        body: row.get(4)?,
        tries: row.get(5)?,
    })
}
