//! What outlives a process: for each run in progress a folder with its notes, held by a lock as long as the process
//! lives. Believes nothing that a file in it says about paths, and never deletes notes that somebody else holds.

mod held;
#[cfg(test)]
#[cfg(unix)]
mod tests;

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::failure::{Failure, state_at};
use batch_export_sandbox::contract::{Interval, Run};
use batch_export_system::private::{self, PrivateError};

pub use held::{Found, HeldRun, Leftover, Origin};

/// Folders looked at by one sweep: more leftovers than that are somebody's accident, not crashes.
const MAX_SWEPT: usize = 10_000;
/// The contract's limit for a run's id.
const MAX_ID_BYTES: usize = 128;
/// A fingerprint has 64 bytes.
const MAX_CHECKED_BYTES: u64 = 1024;

/// The state folder.
#[derive(Debug, Clone)]
pub struct State {
    folder: PathBuf,
}

/// What a run is: the same for all its attempts.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Header {
    pub destination: String,
    pub id: String,
    pub model: String,
    pub start_micros: Option<i64>,
    pub end_micros: i64,
}

/// What is in the folder of runs.
#[derive(Debug, Default)]
pub struct Left {
    /// Ids of runs that have a folder, held or not.
    pub ids: Vec<String>,
    /// What is no run's folder.
    pub strange: Vec<PathBuf>,
    /// Whether there is more than one sweep looks at.
    pub more: bool,
}

/// Whose a run's folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// That of the first notes in it that can be read.
    Destination(String),
    /// Nobody's: it has stood without notes for so long that no run is just about to begin in it.
    Nobody,
    /// It has no notes yet.
    Unknown,
    /// It has notes, none of which says whose they are.
    Unreadable,
}

impl State {
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
        }
    }

    /// Whether the destination was tried with these very settings, and worked.
    pub fn remembers_check(&self, destination: &str, fingerprint: &str) -> Result<bool, Failure> {
        let path = self.inside("checked")?.join(destination);
        let mut kept = String::new();
        let read = private::open(&path)
            .and_then(|file| Ok(file.take(MAX_CHECKED_BYTES).read_to_string(&mut kept)?));
        match read {
            Ok(_) => Ok(kept == fingerprint),
            Err(error) if is_missing(&error) => Ok(false),
            Err(problem) => Err(Failure::state(&path, problem)),
        }
    }

    /// Keeps in mind that it worked: one small file for each destination.
    pub fn remember_check(&self, destination: &str, fingerprint: &str) -> Result<(), Failure> {
        let path = self.inside("checked")?.join(destination);
        private::write(&path, fingerprint.as_bytes()).map_err(state_at(&path))
    }

    /// Takes hold of a run, so that no other process does it at the same time.
    pub fn hold(&self, id: &str) -> Result<HeldRun, Failure> {
        let runs = self.inside("runs")?;
        // Ids of this program are always so; anything else could be a path.
        if !is_id(id) {
            let problem = io::Error::other("this is not the id of a run");
            return Err(Failure::state(&runs.join(id), problem.into()));
        }
        HeldRun::new(runs, id)
    }

    /// The runs that have a folder, whoever holds them.
    pub fn left(&self) -> Result<Left, Failure> {
        let runs = self.inside("runs")?;
        let failed = state_at(&runs);
        let mut left = Left::default();
        for (number, entry) in fs::read_dir(&runs).map_err(&failed)?.enumerate() {
            if number == MAX_SWEPT {
                left.more = true;
                break;
            }
            let entry = entry.map_err(&failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if held::is_gone(&name) {
                held::remove(&entry.path()).ok();
            } else if !is_id(&name) || private::is_private_folder(&entry.path()).is_err() {
                left.strange.push(entry.path());
            } else {
                left.ids.push(name);
            }
        }
        left.ids.sort();
        left.strange.sort();
        Ok(left)
    }

    /// Whose a run's folder is, without holding it.
    pub fn owner_of(&self, id: &str) -> Result<Owner, Failure> {
        let folder = self.inside("runs")?.join(id);
        Ok(held::owner(&folder, id))
    }

    /// A folder of ours in the state folder.
    fn inside(&self, name: &str) -> Result<PathBuf, Failure> {
        let folder = &self.folder;
        private::folder(folder).map_err(|problem| Failure::state(folder, problem))?;
        let path = folder.join(name);
        private::subfolder(&path).map_err(|problem| Failure::state(&path, problem))?;
        Ok(path)
    }
}

fn is_missing(error: &PrivateError) -> bool {
    matches!(error, PrivateError::Io(error) if error.kind() == io::ErrorKind::NotFound)
}

/// Letters, digits and `-`, as the contract says: no such text is a path or a hidden name.
fn is_id(text: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
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
