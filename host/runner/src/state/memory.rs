//! State in the memory of a process: gone with it. For tests, and for programs that keep their runs elsewhere.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{FoundNotes, Lease, LeftRun, Leftover, Leftovers, Origin, RunOwner, State};
use crate::failure::Failure;
use batch_export_sandbox::Journal;
use batch_export_system::explain::Cause;

/// The place that messages name.
const PLACE: &str = "the memory of this process";

/// State in memory. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct StateMemory(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    runs: BTreeMap<String, KeptRun>,
    /// Fingerprints by destination.
    checked: HashMap<String, String>,
}

#[derive(Debug, Default)]
struct KeptRun {
    is_held: bool,
    attempts: Vec<KeptAttempt>,
}

#[derive(Debug)]
struct KeptAttempt {
    origin: Origin,
    notes: Vec<Vec<u8>>,
}

impl StateMemory {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State for StateMemory {
    fn lease(&self, run_id: &str) -> Result<Box<dyn Lease>, Failure> {
        let mut kept = self.kept();
        let run = kept.runs.entry(run_id.to_owned()).or_default();
        if std::mem::replace(&mut run.is_held, true) {
            return Err(Failure::in_progress(Path::new(run_id)));
        }
        Ok(Box::new(HeldInMemory {
            state: self.clone(),
            run_id: run_id.to_owned(),
        }))
    }

    fn leftovers(&self) -> Result<Leftovers, Failure> {
        let kept = self.kept();
        let runs = kept.runs.iter().map(|(id, run)| LeftRun {
            id: id.clone(),
            owner: match run.attempts.first() {
                Some(attempt) => RunOwner::Destination(attempt.origin.header.destination.clone()),
                None => RunOwner::Unknown,
            },
        });
        Ok(Leftovers {
            runs: runs.collect(),
            ..Leftovers::default()
        })
    }

    fn last_check(&self, destination: &str) -> Result<Option<String>, Failure> {
        Ok(self.kept().checked.get(destination).cloned())
    }

    fn remember_check(&self, destination: &str, seal: &str) -> Result<(), Failure> {
        let (destination, seal) = (destination.to_owned(), seal.to_owned());
        self.kept().checked.insert(destination, seal);
        Ok(())
    }
}

/// A run held in memory.
#[derive(Debug)]
struct HeldInMemory {
    state: StateMemory,
    run_id: String,
}

impl HeldInMemory {
    fn with<T>(&self, work: impl FnOnce(&mut KeptRun) -> T) -> T {
        work(self.state.kept().runs.entry(self.run_id.clone()).or_default())
    }
}

impl Lease for HeldInMemory {
    fn begin(&self, origin: &Origin) -> Result<Box<dyn Journal>, Failure> {
        self.with(|run| {
            run.attempts.push(KeptAttempt {
                origin: origin.clone(),
                notes: Vec::new(),
            });
        });
        Ok(Box::new(JournalInMemory {
            state: self.state.clone(),
            run_id: self.run_id.clone(),
            attempt: origin.attempt.clone(),
        }))
    }

    fn attempts(&self) -> Result<Vec<String>, Failure> {
        Ok(self.with(|run| {
            let attempts = run.attempts.iter();
            attempts.map(|kept| kept.origin.attempt.clone()).collect()
        }))
    }

    fn read(&self, attempt: &str) -> FoundNotes {
        self.with(|run| {
            let found = run.attempts.iter();
            let mut found = found.filter(|kept| kept.origin.attempt == attempt);
            match found.next_back() {
                None => FoundNotes::Nothing,
                Some(kept) => FoundNotes::Notes(Leftover {
                    origin: kept.origin.clone(),
                    notes: kept.notes.clone(),
                }),
            }
        })
    }

    fn forget(&self, attempt: &str) -> Result<(), Failure> {
        self.with(|run| run.attempts.retain(|kept| kept.origin.attempt != attempt));
        Ok(())
    }

    fn place(&self, _: Option<&str>) -> String {
        PLACE.to_owned()
    }

    fn finish(self: Box<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

impl Drop for HeldInMemory {
    fn drop(&mut self) {
        let mut kept = self.state.kept();
        if let Some(run) = kept.runs.get_mut(&self.run_id) {
            run.is_held = false;
            if run.attempts.is_empty() {
                kept.runs.remove(&self.run_id);
            }
        }
    }
}

/// Takes the notes of one attempt.
struct JournalInMemory {
    state: StateMemory,
    run_id: String,
    attempt: String,
}

impl Journal for JournalInMemory {
    fn note(&self, note: &[u8], _is_durable: bool) -> Result<(), Cause> {
        let mut kept = self.state.kept();
        let attempts = kept.runs.get_mut(&self.run_id).map(|run| &mut run.attempts);
        let mut attempts = attempts.into_iter().flatten();
        match attempts.find(|kept| kept.origin.attempt == self.attempt) {
            Some(attempt) => {
                attempt.notes.push(note.to_vec());
                Ok(())
            }
            None => Err("the attempt was forgotten".into()),
        }
    }
}
