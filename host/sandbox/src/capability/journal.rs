//! The `journal` capability: notes that outlive a session. A durable note is on disk before `note` returns, and a note
//! that could not be written leaves those before and after it readable. Never reads what a note says.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use batch_export_system::explain::{Cause, plain};
use batch_export_system::private;

/// Upper bound for a note that is read back, so that a corrupt length cannot cause a huge allocation. No limit ever
/// allowed more.
const NOTE_LIMIT_BYTES: usize = 1 << 20;
/// Largest journal that is read back: 60,000 notes of 4 KiB.
const FILE_LIMIT_BYTES: u64 = 256 << 20;
/// Bytes of SHA-256 kept with each note: enough to tell a torn note from a whole one.
const CHECK_BYTES: usize = 8;
/// Length (little-endian) and check before each note.
const HEADER_BYTES: usize = 4 + CHECK_BYTES;

/// A place where a session's notes are kept.
pub trait Journal: Send {
    /// Keeps a note, after all earlier ones. A durable one, and every note before it, survives a power cut once this
    /// returns; another one survives only the end of the process. An error says why the note is not safe, and what to
    /// do about it.
    ///
    /// It is called on the session's own thread and may block there, for an `fsync` or a database; the time is not
    /// counted against the plugin. It has no time limit: an implementation should have one. A session that is dropped
    /// or closed meanwhile waits for it.
    fn note(&self, note: &[u8], durable: bool) -> Result<(), Cause>;
}

/// Notes in a file that only grows, one file per attempt of a run. Only durable notes are synced to disk.
#[derive(Debug)]
pub struct FileJournal {
    file: File,
    name: String,
    length: Mutex<Length>,
}

/// How far the file can be relied on.
#[derive(Debug, Clone, Copy)]
enum Length {
    /// Whole notes up to here, and nothing after them.
    Good(u64),
    /// Something follows the last whole note that could not be removed: what followed it would never be read.
    Unknown,
}

impl FileJournal {
    /// Creates a journal whose first note says what it belongs to; a file of that name must not exist, because attempts
    /// are never repeated. When this fails, no file is left.
    pub fn create(path: &Path, first: &[u8]) -> io::Result<Self> {
        let journal = FileJournal {
            file: private::create_new(path)?,
            name: path.display().to_string(),
            length: Mutex::new(Length::Good(0)),
        };
        // The names must be durable as well, or the notes cannot be found after a power cut: the file's, and that of
        // its folder, which may be new.
        let folders = path.ancestors().skip(1).take(2);
        let noted = journal.note(first, true);
        let durable = noted
            .map_err(|cause| io::Error::other(cause.to_string()))
            .and_then(|()| {
                folders
                    .filter(|folder| !folder.as_os_str().is_empty())
                    .try_for_each(private::sync_folder)
            });
        match durable {
            Ok(()) => Ok(journal),
            Err(error) => {
                // A piece of a first note is not mistaken for one, so an error here changes nothing.
                std::fs::remove_file(path).ok();
                Err(error)
            }
        }
    }

    fn unwritable(&self, error: &io::Error) -> Cause {
        let name = &self.name;
        let hint = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                format!("free some space on the disk of {name}")
            }
            _ => format!("check the disk of {name}"),
        };
        Cause::new(format!("the journal {name} cannot be written: {}", plain(error))).with_hint(hint)
    }

    /// Writes one record, or takes back what was written of it.
    fn append(&self, record: &[u8], durable: bool) -> io::Result<()> {
        let mut length = self.length.lock().unwrap_or_else(PoisonError::into_inner);
        let Length::Good(good) = *length else {
            return Err(io::Error::other(
                "an earlier note could not be written, and its remains could not be removed",
            ));
        };
        let written = (&self.file).write_all(record);
        match written {
            Ok(()) if !durable => *length = Length::Good(good + record.len() as u64),
            Ok(()) => match self.file.sync_data() {
                Ok(()) => *length = Length::Good(good + record.len() as u64),
                // What a disk holds after a failed sync is unknown, and a second sync may call it good.
                Err(error) => {
                    *length = Length::Unknown;
                    self.file.set_len(good).ok();
                    return Err(error);
                }
            },
            Err(error) => {
                let repaired = self.file.set_len(good).and_then(|()| self.file.sync_data());
                if repaired.is_err() {
                    *length = Length::Unknown;
                }
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Journal for FileJournal {
    fn note(&self, note: &[u8], durable: bool) -> Result<(), Cause> {
        let length = u32::try_from(note.len())
            .ok()
            .filter(|_| note.len() <= NOTE_LIMIT_BYTES)
            .ok_or_else(|| format!("the journal {} takes no note of that size", self.name))?;
        let mut record = Vec::with_capacity(HEADER_BYTES + note.len());
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(&check(note));
        record.extend_from_slice(note);
        self.append(&record, durable).map_err(|error| self.unwritable(&error))
    }
}

/// Notes in memory, for tests and for hosts that keep them elsewhere. Clones share their notes.
#[derive(Debug, Clone, Default)]
pub struct MemoryJournal {
    notes: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl MemoryJournal {
    /// Returns the notes so far, in order.
    pub fn notes(&self) -> Vec<Vec<u8>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Journal for MemoryJournal {
    fn note(&self, note: &[u8], _durable: bool) -> Result<(), Cause> {
        self.notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(note.to_vec());
        Ok(())
    }
}

/// The contents of a journal file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// Whole notes, in order.
    pub notes: Vec<Vec<u8>>,
    /// Bytes after the last whole note: a note cut short by a crash was never acknowledged, so nothing relies on it.
    pub torn_bytes: usize,
    /// Bytes after the last whole note that are more than a piece of the next one: notes that were acknowledged may be
    /// among them.
    pub damaged_bytes: usize,
}

/// Reads a journal back: a regular file of this user's own.
pub fn read_notes(path: &Path) -> Result<Notes, private::PrivateError> {
    let file = private::open(path)?;
    let size = file.metadata()?.len();
    let mut bytes = Vec::new();
    file.take(FILE_LIMIT_BYTES).read_to_end(&mut bytes)?;
    let beyond = size.saturating_sub(FILE_LIMIT_BYTES);
    let mut found = Notes::default();
    let mut rest = bytes.as_slice();
    while let Some((note, after)) = split_note(rest) {
        found.notes.push(note.to_vec());
        rest = after;
    }
    if beyond == 0 && is_torn(rest) {
        found.torn_bytes = rest.len();
    } else {
        found.damaged_bytes = rest.len() + usize::try_from(beyond).unwrap_or(usize::MAX);
    }
    Ok(found)
}

/// Whether bytes are what a crash leaves of one record: less than the record's own length, or a length that the file
/// system granted without writing anything there.
fn is_torn(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return true;
    };
    let claimed = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let is_short = claimed <= NOTE_LIMIT_BYTES && rest.len() < CHECK_BYTES + claimed;
    is_short || bytes.iter().all(|byte| *byte == 0)
}

fn split_note(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (expected, rest) = rest.split_first_chunk::<CHECK_BYTES>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (note, after) = (length <= NOTE_LIMIT_BYTES)
        .then(|| rest.split_at_checked(length))
        .flatten()?;
    (check(note) == *expected).then_some((note, after))
}

fn check(note: &[u8]) -> [u8; CHECK_BYTES] {
    let digest: [u8; 32] = Sha256::digest(note).into();
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&digest[..CHECK_BYTES]);
    check
}

#[cfg(test)]
mod tests;
