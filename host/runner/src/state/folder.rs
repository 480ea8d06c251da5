//! State in a folder: for each run in progress a folder with its notes, held by a lock for as long as the process
//! lives. Trusts nothing that a file in it says about paths, and never deletes notes that somebody else holds.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::held::{self, HeldRun};
use super::{Lease, LeftRun, Leftovers, State, is_id};
use crate::failure::{Failure, state_at};
use batch_export_system::private::{self, PrivateError};

/// Folders looked at: more runs left behind than that are somebody's accident, not crashes.
const MAX_LISTED: usize = 10_000;
/// A seal has about 100 bytes.
const MAX_CHECKED_BYTES: u64 = 1024;

/// State in a folder that only its owner can write to.
#[derive(Debug, Clone)]
pub struct StateFolder {
    folder: PathBuf,
}

impl StateFolder {
    /// Names the folder, which is made when it is first used.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
        }
    }

    /// Returns a folder in the state folder, which is made where it is missing.
    fn inside(&self, name: &str) -> Result<PathBuf, Failure> {
        let folder = &self.folder;
        private::folder(folder).map_err(|problem| Failure::state(folder, problem))?;
        let path = folder.join(name);
        private::subfolder(&path).map_err(|problem| Failure::state(&path, problem))?;
        Ok(path)
    }
}

impl State for StateFolder {
    fn lease(&self, run_id: &str) -> Result<Box<dyn Lease>, Failure> {
        let runs = self.inside("runs")?;
        // Ids of this program are always so; anything else could be a path.
        if !is_id(run_id) {
            let problem = io::Error::other("this is not the id of a run");
            return Err(Failure::state(&runs.join(run_id), problem.into()));
        }
        Ok(Box::new(HeldRun::new(runs, run_id)?))
    }

    fn leftovers(&self) -> Result<Leftovers, Failure> {
        // Looking for leftovers leaves nothing behind.
        if let Err(error) = fs::symlink_metadata(self.folder.join("runs"))
            && error.kind() == io::ErrorKind::NotFound
        {
            return Ok(Leftovers::default());
        }
        let runs = self.inside("runs")?;
        let mut left = Leftovers::default();
        let entries = fs::read_dir(&runs).map_err(state_at(&runs))?;
        for (number, entry) in entries.enumerate() {
            if number == MAX_LISTED {
                left.more = true;
                break;
            }
            let entry = entry.map_err(state_at(&runs))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if held::is_gone(&name) {
                held::remove(&entry.path()).ok();
            } else if !is_id(&name) || private::is_private_folder(&entry.path()).is_err() {
                left.strange.push(entry.path().display().to_string());
            } else {
                let owner = held::owner(&entry.path(), &name);
                left.runs.push(LeftRun { id: name, owner });
            }
        }
        left.runs.sort_by(|one, other| one.id.cmp(&other.id));
        left.strange.sort();
        Ok(left)
    }

    fn last_check(&self, destination: &str) -> Result<Option<String>, Failure> {
        let path = self.inside("checked")?.join(destination);
        let mut kept = String::new();
        let read = private::open(&path).and_then(|file| Ok(file.take(MAX_CHECKED_BYTES).read_to_string(&mut kept)?));
        match read {
            Ok(_) => Ok(Some(kept)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(problem) => Err(Failure::state(&path, problem)),
        }
    }

    fn remember_check(&self, destination: &str, seal: &str) -> Result<(), Failure> {
        let path = self.inside("checked")?.join(destination);
        private::write(&path, seal.as_bytes()).map_err(state_at(&path))
    }
}

pub(super) fn is_missing(error: &PrivateError) -> bool {
    matches!(error, PrivateError::Io(error) if error.kind() == io::ErrorKind::NotFound)
}
