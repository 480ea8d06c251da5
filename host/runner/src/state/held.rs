//! The folder of one run while this process holds it: the notes of its attempts, read back, added to and forgotten.
//! Deletes files one by one, and never a folder in which another one is.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Header, Owner, is_missing};
use crate::failure::{Failure, state_at};
use batch_export_sandbox::{FileJournal, Notes, read_notes};
use batch_export_system::private;

const LOCK: &str = "lock";
const NOTES_ENDING: &str = "notes";
/// A run that is done with is renamed to this, its id and a number before it is deleted: whoever waited for its lock
/// sees that it holds nothing.
const GONE: &str = ".gone-";
/// Times that somebody else may clear the run between the making of its folder and the look at its lock.
const HOLD_ATTEMPTS: usize = 100;
/// A folder without notes that is older than this was left by a process that ended before its run began.
const EMPTY_AGE: Duration = Duration::from_secs(3600);
/// The form of file written here; a file of another form is kept and reported.
const FORM: u32 = 1;

/// A run that this process holds. Dropping it lets go; clearing it removes the folder.
#[derive(Debug)]
pub struct HeldRun {
    runs: PathBuf,
    folder: PathBuf,
    id: String,
    _lock: File,
}

/// What an attempt's notes belong to: the first note in its file.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub struct Origin {
    pub(super) form: u32,
    #[serde(flatten)]
    pub header: Header,
    pub attempt: String,
    /// When it began, in seconds since the Unix epoch.
    pub(super) begun: u64,
    /// What the plugin was configured with: no secrets.
    pub configuration: Value,
}

/// Notes of one attempt.
#[derive(Debug)]
pub struct Leftover {
    pub origin: Origin,
    pub notes: Vec<Vec<u8>>,
    /// Bytes of notes that cannot be read.
    pub damaged_bytes: usize,
    pub path: PathBuf,
}

/// What a file of notes turned out to be.
#[derive(Debug)]
pub enum Found {
    /// Nothing was ever noted in it: it is deleted.
    Nothing,
    Notes(Leftover),
    /// It cannot be used, and why.
    Unreadable(String),
}

impl Origin {
    pub fn new(header: Header, attempt: String, configuration: Value) -> Self {
        let begun = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            form: FORM,
            header,
            attempt,
            begun: begun.unwrap_or_default().as_secs(),
            configuration,
        }
    }

    /// Reads the first note of an attempt's file in a run's folder.
    fn read(notes: &Notes, id: &str, path: &Path) -> Result<Self, String> {
        let first = notes.notes.first().map_or(&[][..], Vec::as_slice);
        let origin: Origin = serde_json::from_slice(first)
            .map_err(|_| "it does not begin with what its notes belong to".to_owned())?;
        if origin.form != FORM {
            return Err(format!(
                "it has the form {}, and this program knows {FORM}",
                origin.form
            ));
        }
        if origin.header.id != id || notes_path(Path::new(""), &origin.attempt) != name_of(path) {
            return Err("it belongs to another run or attempt than its name says".to_owned());
        }
        Ok(origin)
    }
}

fn name_of(path: &Path) -> PathBuf {
    path.file_name().map(PathBuf::from).unwrap_or_default()
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

    /// The journal of a new attempt, which begins with what it belongs to.
    pub fn journal(&self, origin: &Origin) -> Result<FileJournal, Failure> {
        let path = notes_path(&self.folder, &origin.attempt);
        serde_json::to_vec(origin)
            .map_err(io::Error::from)
            .and_then(|first| FileJournal::create(&path, &first))
            .map_err(state_at(&path))
    }

    /// The files in which earlier attempts noted something, oldest first.
    pub fn attempts(&self) -> Result<Vec<PathBuf>, Failure> {
        attempts(&self.folder).map_err(state_at(&self.folder))
    }

    /// Reads one of them.
    pub fn read(&self, path: &Path) -> Found {
        let notes = match read_notes(path) {
            Ok(notes) => notes,
            Err(error) if is_missing(&error) => return Found::Nothing,
            Err(error) => return Found::Unreadable(error.to_string()),
        };
        // The first note is durable before the plugin can add one.
        if notes.notes.is_empty() && notes.damaged_bytes == 0 {
            return match remove_file(path) {
                Ok(()) => Found::Nothing,
                Err(error) => Found::Unreadable(error.to_string()),
            };
        }
        match Origin::read(&notes, &self.id, path) {
            Ok(origin) => Found::Notes(Leftover {
                origin,
                notes: notes.notes.into_iter().skip(1).collect(),
                damaged_bytes: notes.damaged_bytes,
                path: path.to_path_buf(),
            }),
            Err(problem) => Found::Unreadable(problem),
        }
    }

    /// Forgets the notes of an attempt of this process that left nothing open.
    pub fn forget(&self, attempt: &str) -> Result<(), Failure> {
        let path = notes_path(&self.folder, attempt);
        remove_file(&path).map_err(state_at(&path))
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Forgets the run, unless it still has notes.
    pub fn clear_if_empty(self) -> Result<(), Failure> {
        match self.attempts()?.is_empty() {
            true => self.clear(),
            false => Ok(()),
        }
    }

    /// Forgets the run: its notes are dealt with. Another process that waits for the lock finds that it is gone.
    fn clear(self) -> Result<(), Failure> {
        let gone = self
            .runs
            .join(format!("{GONE}{}-{:016x}", self.id, fastrand::u64(..)));
        fs::rename(&self.folder, &gone).map_err(state_at(&self.folder))?;
        remove(&gone).map_err(state_at(&gone))
    }
}

impl Leftover {
    /// Forgets the notes of an attempt that left nothing open.
    pub fn forget(self) -> Result<(), Failure> {
        remove_file(&self.path).map_err(state_at(&self.path))
    }
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
        if path
            .extension()
            .is_some_and(|ending| ending == NOTES_ENDING)
        {
            let changed = fs::symlink_metadata(&path).and_then(|metadata| metadata.modified());
            found.push((changed.unwrap_or(UNIX_EPOCH), path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Of a run that may be held: nothing is changed.
pub(super) fn owner(folder: &Path, id: &str) -> Owner {
    let Ok(attempts) = attempts(folder) else {
        return Owner::Unknown;
    };
    if attempts.is_empty() {
        let changed = fs::symlink_metadata(folder).and_then(|metadata| metadata.modified());
        let age = changed.map(|changed| changed.elapsed().unwrap_or_default());
        return match age {
            Ok(age) if age > EMPTY_AGE => Owner::Nobody,
            _ => Owner::Unknown,
        };
    }
    attempts
        .iter()
        .filter_map(|path| Origin::read(&read_notes(path).ok()?, id, path).ok())
        .map(|origin| Owner::Destination(origin.header.destination))
        .next()
        .unwrap_or(Owner::Unreadable)
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
