//! The ledger: one SQLite database next to the configuration, in which everything is kept that outlives a process:
//! destinations, runs with their attempts and log, backfills, alerts, and the notes of open uploads. Any number of
//! processes work with it at the same time. Decides nothing about what should run.

mod alerts;
mod backfills;
mod batch;
mod destinations;
mod ends;
mod error;
mod find;
mod hand;
mod keeping;
mod log;
mod open;
mod rows;
mod runs;
mod state;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use alerts::{Delivered, Delivery, NewAlert, OpenCause};
pub use backfills::{BackfillOrder, BackfillPlan};
pub use batch::Batch;
pub use ends::{Ended, FAILURES_BEFORE_PAUSE, Outcome};
pub use error::LedgerError;
pub use find::{RunFilter, Skipped};
pub use hand::StartedByHand;
pub use keeping::Keep;
pub use log::{AttemptProgress, LINES_LIMIT, LogLine};
pub use open::ServiceLock;
pub use rows::{
    Attempt, Backfill, BackfillState, DeliveryState, DestinationRow, Origin, Pause, PausedBy, Run, RunState,
    UnknownRun, Waiting,
};
pub use runs::{Due, Started};
pub use state::LedgerState;

/// The ledger's file in the state folder.
pub const LEDGER_FILE: &str = "ledger.sqlite";

/// What is kept of all runs. Cheap to clone; clones share one connection, on which one call at a time works.
///
/// Its calls block for as long as the disk takes, and wait up to ten seconds for another process that writes.
#[derive(Debug, Clone)]
pub struct Ledger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    connection: Mutex<Connection>,
}

/// What a call comes to.
pub type Result<T, E = LedgerError> = std::result::Result<T, E>;

impl Ledger {
    /// Opens the ledger of a state folder, and makes both where they are missing.
    ///
    /// Fails where the folder is not this user's alone or on a network file system, and where the ledger was written by
    /// a newer version or is damaged.
    pub fn open(folder: &Path) -> Result<Self> {
        let connection = open::open(folder)?;
        Ok(Ledger(Arc::new(Inner {
            folder: folder.to_path_buf(),
            connection: Mutex::new(connection),
        })))
    }

    /// Returns the folder that it is in.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Returns the database's file.
    pub fn file(&self) -> PathBuf {
        self.0.folder.join(LEDGER_FILE)
    }

    /// Takes the right to be the only service of this ledger, for as long as the lock lives.
    pub fn lock_service(&self) -> Result<ServiceLock> {
        ServiceLock::take(&self.0.folder)
    }

    /// Returns the process id of the service that works with this ledger now, if there is one; 0 where it does not say.
    pub fn service(&self) -> Result<Option<u32>> {
        ServiceLock::holder(&self.0.folder)
    }

    /// Reads every page of the database, and fails if it is damaged: the job of a service that starts.
    pub fn examine(&self) -> Result<()> {
        self.read(open::examine)
    }

    /// Returns a number that grows whenever a command asks for something that a running service has to notice.
    pub fn orders(&self) -> Result<i64> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT number FROM orders")?;
            Ok(statement.query_row([], |row| row.get(0))?)
        })
    }

    /// Reads. What it reads is of one moment only within one statement.
    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let connection = self.0.connection.lock().unwrap_or_else(PoisonError::into_inner);
        work(&connection)
    }

    /// Does everything or nothing of what a running service has to notice.
    fn order<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        self.write(|transaction| {
            transaction.execute("UPDATE orders SET number = number + 1", [])?;
            work(transaction)
        })
    }

    /// Does everything or nothing, and is on disk when it returns.
    fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        self.write_as(true, work)
    }

    /// Does everything or nothing. What is not durable survives the end of the process, but may be lost in a power cut
    /// until something durable follows it.
    fn write_as<T>(&self, durable: bool, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut connection = self.0.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let synchronous = if durable { "FULL" } else { "NORMAL" };
        connection.execute_batch(&format!("PRAGMA synchronous = {synchronous}"))?;
        // From the beginning for writing: one that turned into that halfway would fail while others write.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }
}
