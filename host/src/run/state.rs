//! What outlives a process: for each run under way a folder with its notes, held by a lock as long as the process
//! lives. Never deletes notes that somebody else holds.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::Cause;
use crate::capability::journal::{FileJournal, read_notes};
use crate::sandbox::contract::{Interval, Run};

const LOCK: &str = "lock";
const RUN: &str = "run.json";
const NOTES_ENDING: &str = "notes";
/// Folders looked at by one sweep: more leftovers than that are somebody's accident, not crashes.
const MAX_SWEPT: usize = 10_000;

/// The state folder.
#[derive(Debug, Clone)]
pub struct State {
    runs: PathBuf,
    checked: PathBuf,
}

/// What a run's folder says of it.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Header {
    pub destination: String,
    pub id: String,
    pub model: String,
    pub start_micros: Option<i64>,
    pub end_micros: i64,
}

/// A run that this process holds. Dropping it lets go; the folder goes with [`HeldRun::clear`].
#[derive(Debug)]
pub struct HeldRun {
    folder: PathBuf,
    pub header: Header,
    _lock: File,
}

/// Notes of one attempt.
#[derive(Debug)]
pub struct Leftover {
    pub run: Run,
    pub notes: Vec<Vec<u8>>,
    path: PathBuf,
}

impl State {
    pub fn new(folder: &Path) -> Self {
        Self {
            runs: folder.join("runs"),
            checked: folder.join("checked"),
        }
    }

    /// Whether the destination was tried with these very settings, and worked.
    pub fn remembers_check(&self, destination: &str, fingerprint: &str) -> Result<bool, Cause> {
        let path = self.checked.join(destination);
        match fs::read_to_string(&path) {
            Ok(kept) => Ok(kept == fingerprint),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(Cause::State { path, source }),
        }
    }

    /// Keeps in mind that it worked: one small file for each destination.
    pub fn remember_check(&self, destination: &str, fingerprint: &str) -> Result<(), Cause> {
        let path = self.checked.join(destination);
        fs::create_dir_all(&self.checked)
            .and_then(|()| fs::write(&path, fingerprint))
            .map_err(|source| Cause::State { path, source })
    }

    /// Takes hold of a run, so that no other process does it at the same time.
    pub fn hold(&self, header: Header) -> Result<HeldRun, Cause> {
        let folder = self.runs.join(&header.id);
        let failed = |source| Cause::State {
            path: folder.clone(),
            source,
        };
        fs::create_dir_all(&folder).map_err(failed)?;
        let lock = folder.join(LOCK);
        let file = File::create(&lock).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Cause::Busy { lock }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let text = serde_json::to_vec(&header).map_err(|error| failed(error.into()))?;
        fs::write(folder.join(RUN), text).map_err(failed)?;
        Ok(HeldRun {
            folder,
            header,
            _lock: file,
        })
    }

    /// Runs of a destination that a process left behind and nobody holds.
    pub fn abandoned(&self, destination: &str, besides: &str) -> Result<Vec<HeldRun>, Cause> {
        let failed = |source| Cause::State {
            path: self.runs.clone(),
            source,
        };
        let entries = match fs::read_dir(&self.runs) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut abandoned = Vec::new();
        for entry in entries.take(MAX_SWEPT) {
            let folder = entry.map_err(failed)?.path();
            // A folder without a readable header was left before its run began: it has no notes.
            let Some(header) = fs::read(folder.join(RUN))
                .ok()
                .and_then(|text| serde_json::from_slice::<Header>(&text).ok())
            else {
                continue;
            };
            if header.destination != destination || header.id == besides {
                continue;
            }
            match self.hold(header) {
                Ok(held) => abandoned.push(held),
                Err(Cause::Busy { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(abandoned)
    }
}

impl HeldRun {
    /// The journal of a new attempt.
    pub fn journal(&self, attempt: &str) -> Result<FileJournal, Cause> {
        let path = self.folder.join(attempt).with_extension(NOTES_ENDING);
        FileJournal::create(&path).map_err(|source| Cause::State { path, source })
    }

    /// What earlier attempts noted, oldest first.
    pub fn leftovers(&self) -> Result<Vec<Leftover>, Cause> {
        let failed = |source| Cause::State {
            path: self.folder.clone(),
            source,
        };
        let mut leftovers = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_none_or(|ending| ending != NOTES_ENDING) {
                continue;
            }
            let attempt = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let notes = read_notes(&path).map_err(failed)?.notes;
            leftovers.push(Leftover {
                run: self.header.run(attempt),
                notes,
                path,
            });
        }
        leftovers.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(leftovers)
    }

    /// Forgets the run: its notes are dealt with. Another process that waits for the lock finds the folder gone.
    pub fn clear(self) -> Result<(), Cause> {
        fs::remove_dir_all(&self.folder).map_err(|source| Cause::State {
            path: self.folder.clone(),
            source,
        })
    }
}

impl Leftover {
    /// Forgets the notes of an attempt that left nothing open.
    pub fn forget(self) -> Result<(), Cause> {
        fs::remove_file(&self.path).map_err(|source| Cause::State {
            path: self.path.clone(),
            source,
        })
    }
}

impl Header {
    pub fn run(&self, attempt: String) -> Run {
        Run {
            id: self.id.clone(),
            attempt,
            model: self.model.clone(),
            interval: Interval {
                start_micros: self.start_micros,
                end_micros: self.end_micros,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::journal::Journal;

    fn header(id: &str, destination: &str) -> Header {
        Header {
            destination: destination.to_owned(),
            id: id.to_owned(),
            model: "events".to_owned(),
            start_micros: None,
            end_micros: 7,
        }
    }

    #[test]
    fn a_run_is_held_once_and_its_notes_are_found_after_it_was_let_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = State::new(folder.path());
        let held = state.hold(header("a", "x")).expect("free");
        assert!(matches!(
            state.hold(header("a", "x")),
            Err(Cause::Busy { .. })
        ));
        held.journal("1")
            .expect("a journal")
            .note(b"upload")
            .expect("kept");
        assert!(
            state.abandoned("x", "").expect("a list").is_empty(),
            "held by us"
        );
        drop(held);

        assert!(
            state.abandoned("y", "").expect("a list").is_empty(),
            "another's"
        );
        assert!(
            state.abandoned("x", "a").expect("a list").is_empty(),
            "left out"
        );
        let mut abandoned = state.abandoned("x", "").expect("a list");
        let held = abandoned.pop().expect("one");
        let mut leftovers = held.leftovers().expect("notes");
        let leftover = leftovers.pop().expect("one");
        assert_eq!(leftover.notes, [b"upload"]);
        assert_eq!(leftover.run, header("a", "x").run("1".to_owned()));
        leftover.forget().expect("gone");
        assert!(held.leftovers().expect("notes").is_empty());
        held.clear().expect("gone");
        assert!(state.abandoned("x", "").expect("a list").is_empty());
    }
}
