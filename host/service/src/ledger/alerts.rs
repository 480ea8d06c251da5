//! Alerts in the ledger: raised once for a cause, which stays open until it has passed, and delivered to each receiver
//! on its own, so that one that fails or hangs neither delays the others nor has them told twice.

use std::time::Duration;

use rusqlite::{OptionalExtension, Transaction, params};

use super::rows::DeliveryState;
use super::{Ledger, Result};
use batch_export_source::Moment;

/// More than any delivery waits for its next attempt: two hours.
const LONGEST_WAIT_MICROS: i64 = 2 * 3_600_000_000;

/// An alert before it is raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAlert {
    /// Its kind.
    pub kind: &'static str,
    /// The destination.
    pub destination: String,
    /// What it tells of: none is raised while one for the same cause is open.
    pub cause: &'static str,
    /// After this time an open cause is told of again; `None` is never.
    pub again_after: Option<Duration>,
    /// What is sent, as a JSON object.
    pub body: String,
}

/// A cause that an alert told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCause {
    /// The destination.
    pub destination: String,
    /// The cause.
    pub cause: String,
    /// When it was last told of.
    pub since: Moment,
}

/// An alert that is to be sent to a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The alert's number.
    pub alert: i64,
    /// The receiver.
    pub receiver: String,
    /// What is sent, as a JSON object.
    pub body: String,
    /// When it was addressed to the receiver.
    pub since: Moment,
    /// Times that it was sent in vain.
    pub tries: u32,
}

/// What an attempt to deliver an alert comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Where the delivery stands now.
    pub state: DeliveryState,
    /// When it is tried again, if it is.
    pub not_before: Moment,
    /// Why it failed.
    pub error: Option<String>,
}

impl Ledger {
    /// Raises alerts whose causes are not open. Returns how many it did raise.
    pub fn raise(&self, alerts: &[NewAlert], now: Moment) -> Result<u64> {
        self.write(|transaction| {
            let mut raised = 0;
            for alert in alerts {
                let again_after = alert.again_after.map(micros);
                let is_new = transaction
                    .prepare_cached(
                        "INSERT INTO causes (destination, cause, since) VALUES (?1, ?2, ?3)
                         ON CONFLICT DO UPDATE SET since = excluded.since WHERE excluded.since - since >= ?4",
                    )?
                    .execute(params![alert.destination, alert.cause, now.0, again_after])?;
                if is_new > 0 {
                    add(transaction, alert, now)?;
                    raised += 1;
                }
            }
            Ok(raised)
        })
    }

    /// Notes that causes of a destination have passed, and raises the alert that `recovered` makes of those that were
    /// open, the oldest first. Returns how many there were.
    pub fn pass(
        &self,
        destination: &str,
        causes: &[&str],
        recovered: impl FnOnce(&[OpenCause]) -> NewAlert,
        now: Moment,
    ) -> Result<usize> {
        self.write(|transaction| {
            let mut statement = transaction
                .prepare_cached("DELETE FROM causes WHERE destination = ?1 AND cause = ?2 RETURNING since")?;
            let mut passed = Vec::new();
            for cause in causes {
                let since = statement.query_row([destination, *cause], |row| row.get(0));
                passed.extend(since.optional()?.map(|since| OpenCause {
                    destination: destination.to_owned(),
                    cause: (*cause).to_owned(),
                    since: Moment(since),
                }));
            }
            passed.sort_by_key(|cause| cause.since);
            if !passed.is_empty() {
                add(transaction, &recovered(&passed), now)?;
            }
            Ok(passed.len())
        })
    }

    /// Returns every cause that is open.
    pub fn causes(&self) -> Result<Vec<OpenCause>> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT destination, cause, since FROM causes ORDER BY since")?;
            let open = statement.query_map([], |row| {
                Ok(OpenCause {
                    destination: row.get(0)?,
                    cause: row.get(1)?,
                    since: Moment(row.get(2)?),
                })
            })?;
            Ok(open.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Forgets a cause of a destination without telling anybody.
    pub fn forget_cause(&self, open: &OpenCause) -> Result<()> {
        self.write(|transaction| {
            transaction
                .prepare_cached("DELETE FROM causes WHERE destination = ?1 AND cause = ?2")?
                .execute([&open.destination, &open.cause])?;
            Ok(())
        })
    }

    /// Addresses new alerts to the receivers that there are now. An alert that is older than `at_most` is news to
    /// nobody any more, and what waits for a receiver that is gone is given up.
    pub fn address(&self, receivers: &[String], at_most: Duration, now: Moment) -> Result<()> {
        // Usually there is nothing to do, and reading is cheaper than writing nothing.
        if !self.has_unaddressed(receivers)? {
            return Ok(());
        }
        self.write(|transaction| {
            for receiver in receivers {
                transaction.execute(
                    "INSERT INTO deliveries (alert, receiver, state, since, not_before)
                     SELECT id, ?1, 'waiting', ?2, ?2 FROM alerts WHERE addressed = 0 AND at >= ?3",
                    params![receiver, now.0, now.0.saturating_sub(micros(at_most))],
                )?;
            }
            transaction.execute("UPDATE alerts SET addressed = 1 WHERE addressed = 0", [])?;
            for receiver in waited_for(transaction)? {
                if !receivers.contains(&receiver) {
                    transaction.execute(
                        "UPDATE deliveries SET state = 'given_up', error = 'the receiver is no longer configured'
                         WHERE receiver = ?1 AND state = 'waiting'",
                        [receiver],
                    )?;
                }
            }
            Ok(())
        })
    }

    fn has_unaddressed(&self, receivers: &[String]) -> Result<bool> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM alerts WHERE addressed = 0)")?;
            let is_new = statement.query_row([], |row| row.get(0))?;
            Ok(is_new || waited_for(connection)?.iter().any(|known| !receivers.contains(known)))
        })
    }

    /// Returns what is to be sent to a receiver now, the longest due first: also what waits for longer than it ever
    /// would, by a clock that was ahead.
    pub fn next_delivery(&self, receiver: &str, now: Moment) -> Result<Option<Delivery>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT alert, receiver, body, since, tries FROM deliveries JOIN alerts ON alerts.id = alert
                 WHERE receiver = ?1 AND state = 'waiting' AND (not_before <= ?2 OR not_before > ?2 + ?3)
                 ORDER BY not_before, alert LIMIT 1",
            )?;
            let found = statement.query_row(params![receiver, now.0, LONGEST_WAIT_MICROS], |row| {
                Ok(Delivery {
                    alert: row.get(0)?,
                    receiver: row.get(1)?,
                    body: row.get(2)?,
                    since: Moment(row.get(3)?),
                    tries: row.get(4)?,
                })
            });
            Ok(found.optional()?)
        })
    }

    /// Notes what an attempt to deliver an alert came to.
    pub fn delivered(&self, delivery: &Delivery, delivered: &Delivered) -> Result<()> {
        self.write(|transaction| {
            transaction
                .prepare_cached(
                    "UPDATE deliveries SET state = ?3, tries = tries + 1, not_before = ?4, error = ?5
                     WHERE alert = ?1 AND receiver = ?2",
                )?
                .execute(params![
                    delivery.alert,
                    delivery.receiver,
                    delivered.state,
                    delivered.not_before.0,
                    delivered.error
                ])?;
            Ok(())
        })
    }
}

/// Returns the receivers that something waits for.
fn waited_for(connection: &rusqlite::Connection) -> Result<Vec<String>> {
    let mut statement =
        connection.prepare_cached("SELECT DISTINCT receiver FROM deliveries WHERE state = 'waiting'")?;
    let receivers = statement.query_map([], |row| row.get(0))?;
    Ok(receivers.collect::<rusqlite::Result<_>>()?)
}

fn add(transaction: &Transaction<'_>, alert: &NewAlert, now: Moment) -> Result<()> {
    transaction
        .prepare_cached("INSERT INTO alerts (at, kind, destination, body) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![now.0, alert.kind, alert.destination, alert.body])?;
    Ok(())
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_waits_for_no_clock_that_was_ahead() {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = Ledger::open(folder.path()).expect("a ledger");
        let alert = NewAlert {
            kind: "late",
            destination: "a".to_owned(),
            cause: "late",
            again_after: None,
            body: "{}".to_owned(),
        };
        ledger.raise(&[alert], Moment(0)).expect("raised");
        let receivers = ["x".to_owned()];
        let day = Duration::from_secs(86_400);
        ledger.address(&receivers, day, Moment(0)).expect("addressed");
        for (waits_until, expect) in [(LONGEST_WAIT_MICROS / 2, false), (LONGEST_WAIT_MICROS * 100, true)] {
            let delivery = ledger
                .next_delivery("x", Moment(LONGEST_WAIT_MICROS * 200))
                .expect("read");
            let failed = Delivered {
                state: DeliveryState::Waiting,
                not_before: Moment(waits_until),
                error: None,
            };
            ledger.delivered(&delivery.expect("one"), &failed).expect("noted");
            let found = ledger.next_delivery("x", Moment(1)).expect("read");
            assert_eq!(found.is_some(), expect, "{waits_until}");
        }
    }
}
