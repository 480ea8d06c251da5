//! The folder of one run while this process holds it: the notes of its attempts, read back, added to and forgotten.
//! Deletes files one by one, and never a folder in which another one is.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::folder::is_missing;
use super::{FoundNotes, Lease, Leftover, Origin, RunOwner};
use crate::failure::{Failure, state_at};
use batch_export_sandbox::{FileJournal, Journal, read_notes};
use batch_export_system::private;

const LOCK: &str = "lock";
const NOTES_ENDING: &str = "notes";
/// A run that is finished is renamed to this, its id and a number before it is deleted: whoever waited for its lock
/// sees that it holds nothing.
const GONE: &str = ".gone-";
/// Times that somebody else may clear the run between the making of its folder and the look at its lock.
const HOLD_ATTEMPTS: usize = 100;
/// A folder without notes that is older than this was left by a process that ended before its run began.
const EMPTY_AGE: Duration = Duration::from_secs(3600);

/// A run that this process holds. Dropping it lets go; clearing it removes the folder.
#[derive(Debug)]
pub(super) struct HeldRun {
    runs: PathBuf,
    folder: PathBuf,
    id: String,
    _lock: File,
}

fn notes_path(folder: &Path, attempt: &str) -> PathBuf {
    folder.join(format!("{attempt}.{NOTES_ENDING}"))
}

impl HeldRun {
    pub(super) fn new(runs: PathBuf, id: &str) -> Result<Self, Failure> {
        let folder = runs.join(id);
        for _ in 0..HOLD_ATTEMPTS {
            let Some(lock) = try_hold(&folder)? else {
                continue;
            };
            return Ok(Self {
                runs,
                folder,
                id: id.to_owned(),
                _lock: lock,
            });
        }
        Err(Failure::in_progress(&folder.join(LOCK)))
    }

    /// Forgets the run: nothing is left of it. Another process that waits for the lock finds that it is gone.
    fn clear(&self) -> Result<(), Failure> {
        let gone = self.runs.join(format!("{GONE}{}-{:016x}", self.id, fastrand::u64(..)));
        fs::rename(&self.folder, &gone).map_err(state_at(&self.folder))?;
        remove(&gone).map_err(state_at(&gone))
    }
}

impl Lease for HeldRun {
    fn begin(&self, origin: &Origin) -> Result<Box<dyn Journal>, Failure> {
        let path = notes_path(&self.folder, &origin.attempt);
        let journal = serde_json::to_vec(origin)
            .map_err(io::Error::from)
            .and_then(|first| FileJournal::create(&path, &first))
            .map_err(state_at(&path))?;
        Ok(Box::new(journal))
    }

    fn attempts(&self) -> Result<Vec<String>, Failure> {
        let found = attempts(&self.folder).map_err(state_at(&self.folder))?;
        Ok(found.iter().map(|path| attempt_of(path)).collect())
    }

    fn read(&self, attempt: &str) -> FoundNotes {
        let path = notes_path(&self.folder, attempt);
        let notes = match read_notes(&path) {
            Ok(notes) => notes,
            Err(error) if is_missing(&error) => return FoundNotes::Nothing,
            Err(error) => return FoundNotes::Unreadable(error.to_string()),
        };
        // The first note is durable before the plugin can add one.
        if notes.notes.is_empty() && notes.damaged_bytes == 0 {
            return match remove_file(&path) {
                Ok(()) => FoundNotes::Nothing,
                Err(error) => FoundNotes::Unreadable(error.to_string()),
            };
        }
        let first = notes.notes.first().map_or(&[][..], Vec::as_slice);
        match Origin::read(first, &self.id, attempt) {
            Ok(origin) => FoundNotes::Notes(Leftover {
                origin,
                notes: notes.notes.into_iter().skip(1).collect(),
                damaged_bytes: notes.damaged_bytes,
            }),
            Err(problem) => FoundNotes::Unreadable(problem),
        }
    }

    fn forget(&self, attempt: &str) -> Result<(), Failure> {
        let path = notes_path(&self.folder, attempt);
        remove_file(&path).map_err(state_at(&path))
    }

    fn place(&self, attempt: Option<&str>) -> String {
        let path = attempt.map(|attempt| notes_path(&self.folder, attempt));
        path.as_ref().unwrap_or(&self.folder).display().to_string()
    }

    fn finish(self: Box<Self>) -> Result<(), Failure> {
        match self.attempts()?.is_empty() {
            true => self.clear(),
            false => Ok(()),
        }
    }
}

/// The attempt whose notes a file's name says it has.
fn attempt_of(path: &Path) -> String {
    let name = path.file_stem().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The lock of a run's folder; `None` when the folder was cleared meanwhile.
fn try_hold(folder: &Path) -> Result<Option<File>, Failure> {
    let lock = folder.join(LOCK);
    let file = match private::subfolder(folder).and_then(|()| private::open_lock(&lock)) {
        Ok(file) => file,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(problem) => return Err(Failure::state(folder, problem)),
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(Failure::in_progress(&lock)),
        Err(TryLockError::Error(error)) => return Err(Failure::state(&lock, error.into())),
    }
    // Only now can nobody else rename the folder: is this still the lock that others see?
    match private::is_file_at(&file, &lock) {
        Ok(true) => Ok(Some(file)),
        Ok(false) => Ok(None),
        Err(error) => Err(Failure::state(&lock, error.into())),
    }
}

fn attempts(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == NOTES_ENDING) {
            let changed = fs::symlink_metadata(&path).and_then(|metadata| metadata.modified());
            found.push((changed.unwrap_or(UNIX_EPOCH), path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Returns whose a run's folder is, held or not. Changes nothing.
pub(super) fn owner(folder: &Path, id: &str) -> RunOwner {
    let Ok(attempts) = attempts(folder) else {
        return RunOwner::Unknown;
    };
    if attempts.is_empty() {
        let changed = fs::symlink_metadata(folder).and_then(|metadata| metadata.modified());
        let age = changed.map(|changed| changed.elapsed().unwrap_or_default());
        return match age {
            Ok(age) if age > EMPTY_AGE => RunOwner::Nobody,
            _ => RunOwner::Unknown,
        };
    }
    attempts
        .iter()
        .filter_map(|path| {
            let notes = read_notes(path).ok()?;
            Origin::read(notes.notes.first()?, id, &attempt_of(path)).ok()
        })
        .map(|origin| RunOwner::Destination(origin.header.destination))
        .next()
        .unwrap_or(RunOwner::Unreadable)
}

pub(super) fn is_gone(name: &str) -> bool {
    name.starts_with(GONE)
}

/// Deletes a folder with the files in it. A folder in it stays, and so does the whole.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        remove_file(&entry?.path())?;
    }
    absent_is_fine(fs::remove_dir(folder))
}

fn remove_file(path: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_file(path))
}

fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
