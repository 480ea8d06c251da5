//! The notes of open uploads and the seals of checks, in the ledger. A run in progress is held by a lock on a file of
//! its own, which ends with its process.

use std::fs::{self, File, TryLockError};
use std::path::PathBuf;

use rusqlite::{OptionalExtension, params};

use super::{Ledger, LedgerError, Result};
use batch_export_runner::{Failure, FoundNotes, Lease, LeftRun, Leftover, Leftovers, Origin, RunOwner, State};
use batch_export_sandbox::Journal;
use batch_export_system::explain::Cause;
use batch_export_system::private::{self, PrivateError};

/// Runs that one start looks at: more left behind than that are somebody's accident, not crashes.
const MAX_LISTED: u32 = 10_000;
/// Times that somebody else may clear a run between the making of its lock and the look at it.
const HOLD_ATTEMPTS: u32 = 100;
const LOCKS: &str = "locks";

/// The state of runs, kept in the ledger.
#[derive(Debug, Clone)]
pub struct LedgerState(Ledger);

impl Ledger {
    /// Returns the ledger as the state of runs.
    pub fn state(&self) -> LedgerState {
        LedgerState(self.clone())
    }

    /// Forgets what attempts at a run may have left open, for somebody who has looked after it. Returns how many
    /// attempts there were. Fails while a process is at work on the run.
    pub fn forget_notes(&self, run_id: &str) -> Result<u64, Failure> {
        let lock = Lock::take(self, run_id)?;
        let forgotten = self.write(|transaction| {
            let forgotten = transaction.execute("DELETE FROM journals WHERE run = ?1", [run_id])?;
            Ok(forgotten as u64)
        })?;
        lock.clear();
        Ok(forgotten)
    }

    /// Returns whether some process is at work on a run. Looking takes hold of it for a moment.
    pub fn is_held(&self, run_id: &str) -> Result<bool, Failure> {
        use batch_export_runner::FailureCode;
        match Lock::take(self, run_id) {
            Ok(lock) => {
                lock.clear();
                Ok(false)
            }
            Err(failure) if failure.code() == FailureCode::RUN_IN_PROGRESS => Ok(true),
            Err(failure) => Err(failure),
        }
    }

    /// Returns whether somebody may be at work on a run that is in progress: a process that holds it, or a service, in
    /// which it may still wait for memory before it is held. A service notices itself what nobody is at work on.
    pub fn is_attended(&self, run_id: &str) -> Result<bool, Failure> {
        Ok(self.service()?.is_some() || self.is_held(run_id)?)
    }
}

impl State for LedgerState {
    fn lease(&self, run_id: &str) -> Result<Box<dyn Lease>, Failure> {
        let lock = Lock::take(&self.0, run_id)?;
        Ok(Box::new(HeldRun {
            ledger: self.0.clone(),
            run_id: run_id.to_owned(),
            lock,
        }))
    }

    fn leftovers(&self) -> Result<Leftovers, Failure> {
        let runs = self.0.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT run, min(origin) FROM journals GROUP BY run ORDER BY run LIMIT ?1")?;
            let runs = statement.query_map([MAX_LISTED + 1], |row| {
                let origin: String = row.get(1)?;
                let owner = match serde_json::from_str::<Origin>(&origin) {
                    Ok(origin) => RunOwner::Destination(origin.header.destination),
                    Err(_) => RunOwner::Unreadable,
                };
                Ok(LeftRun { id: row.get(0)?, owner })
            })?;
            Ok(runs.collect::<rusqlite::Result<Vec<_>>>()?)
        })?;
        let limit = MAX_LISTED as usize;
        Ok(Leftovers {
            more: runs.len() > limit,
            runs: runs.into_iter().take(limit).collect(),
        })
    }

    fn last_check(&self, destination: &str) -> Result<Option<String>, Failure> {
        let seal = self.0.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT seal FROM checks WHERE destination = ?1")?;
            Ok(statement.query_row([destination], |row| row.get(0)).optional()?)
        })?;
        Ok(seal)
    }

    fn remember_check(&self, destination: &str, seal: &str) -> Result<(), Failure> {
        self.0.write(|transaction| {
            transaction.execute(
                "INSERT INTO checks (destination, seal) VALUES (?1, ?2)
                 ON CONFLICT (destination) DO UPDATE SET seal = excluded.seal",
                [destination, seal],
            )?;
            Ok(())
        })?;
        Ok(())
    }
}

/// A run that this process holds.
#[derive(Debug)]
struct HeldRun {
    ledger: Ledger,
    run_id: String,
    lock: Lock,
}

impl Lease for HeldRun {
    fn begin(&self, origin: &Origin) -> Result<Box<dyn Journal>, Failure> {
        let text = serde_json::to_string(origin).map_err(|error| LedgerError::Strange(error.to_string()))?;
        self.ledger.write(|transaction| {
            // In the order in which they began, whatever the clock says.
            transaction.execute(
                "INSERT INTO journals (attempt, run, began, origin)
                 VALUES (?1, ?2, (SELECT coalesce(max(began), 0) + 1 FROM journals WHERE run = ?2), ?3)",
                params![origin.attempt, self.run_id, text],
            )?;
            Ok(())
        })?;
        Ok(Box::new(LedgerJournal {
            ledger: self.ledger.clone(),
            attempt: origin.attempt.clone(),
        }))
    }

    fn attempts(&self) -> Result<Vec<String>, Failure> {
        let attempts = self.ledger.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT attempt FROM journals WHERE run = ?1 ORDER BY began")?;
            let attempts = statement.query_map([&self.run_id], |row| row.get(0))?;
            Ok(attempts.collect::<rusqlite::Result<_>>()?)
        })?;
        Ok(attempts)
    }

    fn read(&self, attempt: &str) -> FoundNotes {
        let found = self.ledger.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT origin FROM journals WHERE attempt = ?1 AND run = ?2")?;
            let origin: Option<String> = statement
                .query_row([attempt, &self.run_id], |row| row.get(0))
                .optional()?;
            let mut statement =
                connection.prepare_cached("SELECT note FROM notes WHERE attempt = ?1 ORDER BY number")?;
            let notes = statement.query_map([attempt], |row| row.get(0))?;
            Ok((origin, notes.collect::<rusqlite::Result<Vec<Vec<u8>>>>()?))
        });
        let (origin, notes) = match found {
            Ok((Some(origin), notes)) => (origin, notes),
            Ok((None, _)) => return FoundNotes::Nothing,
            Err(error) => return FoundNotes::Unreadable(error.to_string()),
        };
        match Origin::read(origin.as_bytes(), &self.run_id, attempt) {
            Ok(origin) => FoundNotes::Notes(Leftover { origin, notes }),
            Err(problem) => FoundNotes::Unreadable(problem),
        }
    }

    fn forget(&self, attempt: &str) -> Result<(), Failure> {
        self.ledger.write(|transaction| {
            transaction
                .prepare_cached("DELETE FROM journals WHERE attempt = ?1 AND run = ?2")?
                .execute([attempt, &self.run_id])?;
            Ok(())
        })?;
        Ok(())
    }

    fn place(&self, attempt: Option<&str>) -> String {
        let file = self.ledger.file();
        match attempt {
            Some(attempt) => format!("{} (attempt {attempt} of run {})", file.display(), self.run_id),
            None => format!("{} (run {})", file.display(), self.run_id),
        }
    }

    fn finish(self: Box<Self>) -> Result<(), Failure> {
        self.lock.clear();
        Ok(())
    }
}

/// Takes the notes of one attempt.
#[derive(Debug)]
struct LedgerJournal {
    ledger: Ledger,
    attempt: String,
}

impl Journal for LedgerJournal {
    fn note(&self, note: &[u8], durable: bool) -> Result<(), Cause> {
        let added = self.ledger.write_as(durable, |transaction| {
            let added = transaction
                .prepare_cached(
                    "INSERT INTO notes (attempt, number, note)
                     SELECT attempt, (SELECT coalesce(max(number), 0) + 1 FROM notes WHERE attempt = ?1), ?2
                     FROM journals WHERE attempt = ?1",
                )?
                .execute(params![self.attempt, note])?;
            Ok(added)
        });
        match added {
            Ok(0) => Err("the attempt was forgotten".into()),
            Ok(_) => Ok(()),
            Err(error) => Err(Cause::of(&error)),
        }
    }
}

/// The lock of a run. It ends with this value, or with the process.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    fn take(ledger: &Ledger, run_id: &str) -> Result<Self, Failure> {
        let locks = ledger.folder().join(LOCKS);
        private::subfolder(&locks).map_err(|problem| Failure::state(&locks, problem))?;
        let path = locks.join(run_id);
        // Ids of this program are always so; anything else could be a path.
        let is_id = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !is_id(run_id) {
            let problem = std::io::Error::other("this is not the id of a run");
            return Err(Failure::state(&path, problem.into()));
        }
        for _ in 0..HOLD_ATTEMPTS {
            let file = match private::open_lock(&path) {
                Ok(file) => file,
                Err(PrivateError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(problem) => return Err(Failure::state(&path, problem)),
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(Failure::in_progress(&path)),
                Err(TryLockError::Error(error)) => return Err(Failure::state(&path, error.into())),
            }
            // Whoever held it before may have deleted it: is this still the lock that others see?
            match private::is_file_at(&file, &path) {
                Ok(true) => return Ok(Lock { path, _file: file }),
                Ok(false) => {}
                Err(error) => return Err(Failure::state(&path, error.into())),
            }
        }
        Err(Failure::in_progress(&path))
    }

    /// Lets go, and leaves no file behind. One that stays is in nobody's way.
    fn clear(self) {
        fs::remove_file(&self.path).ok();
    }
}
