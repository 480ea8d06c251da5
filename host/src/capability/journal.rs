//! The `journal` capability: notes that outlive a session. A note is on disk before `note` returns. Never reads what
//! a note says.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// Longest note that is read back: what a limit ever allowed, and a bound on what a damaged length can ask for.
const NOTE_LIMIT_BYTES: usize = 1 << 20;
/// Largest journal that is read back: 20,000 notes of 4 KiB.
const FILE_LIMIT_BYTES: u64 = 128 << 20;
/// Bytes of SHA-256 kept with each note: enough to tell a torn note from a whole one.
const CHECK_BYTES: usize = 8;
/// Length (little-endian) and check before each note.
const HEADER_BYTES: usize = 4 + CHECK_BYTES;

/// Where a session's notes are kept.
pub trait Journal: Send {
    /// Keep a note durably before returning. An error says why the note is not safe.
    fn note(&self, note: &[u8]) -> Result<(), String>;
}

/// Notes in a file that only grows, one per run attempt; each is on disk when `note` returns.
#[derive(Debug)]
pub struct FileJournal {
    file: File,
    name: String,
}

impl FileJournal {
    /// A new journal; a file of that name must not exist, because attempts are never repeated.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(path)?;
        file.sync_all()?;
        // The name must be durable as well, or the notes cannot be found after a power cut.
        if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        Ok(FileJournal {
            file,
            name: path.display().to_string(),
        })
    }
}

impl Journal for FileJournal {
    fn note(&self, note: &[u8]) -> Result<(), String> {
        let unsafe_because = |e: &dyn std::fmt::Display| format!("the journal {} {e}", self.name);
        let length = u32::try_from(note.len())
            .ok()
            .filter(|_| note.len() <= NOTE_LIMIT_BYTES)
            .ok_or_else(|| unsafe_because(&"takes no note of that size"))?;
        let mut record = Vec::with_capacity(HEADER_BYTES + note.len());
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(&check(note));
        record.extend_from_slice(note);
        (&self.file)
            .write_all(&record)
            .and_then(|()| self.file.sync_data())
            .map_err(|e| unsafe_because(&format!("cannot be written: {e}")))
    }
}

/// Notes in memory, for tests and for hosts that keep them elsewhere. Clones share their notes.
#[derive(Debug, Clone, Default)]
pub struct MemoryJournal {
    notes: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl MemoryJournal {
    /// The notes so far, in order.
    pub fn notes(&self) -> Vec<Vec<u8>> {
        self.notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Journal for MemoryJournal {
    fn note(&self, note: &[u8]) -> Result<(), String> {
        self.notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(note.to_vec());
        Ok(())
    }
}

/// What a journal file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// Whole notes, in order.
    pub notes: Vec<Vec<u8>>,
    /// Bytes after the last whole note: a note cut short by a crash was never acknowledged, so nothing relies on it.
    pub torn_bytes: usize,
}

/// Read a journal back.
pub fn read_notes(path: &Path) -> io::Result<Notes> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(FILE_LIMIT_BYTES)
        .read_to_end(&mut bytes)?;
    let mut notes = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((note, after)) = split_note(rest) {
        notes.push(note.to_vec());
        rest = after;
    }
    Ok(Notes {
        notes,
        torn_bytes: rest.len(),
    })
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
mod tests {
    use super::*;

    #[test]
    fn notes_come_back_in_order_and_every_torn_tail_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        let journal = FileJournal::create(&path).unwrap();
        let written: Vec<Vec<u8>> = vec![b"upload a".to_vec(), vec![], vec![0xff; 4096]];
        for note in &written {
            journal.note(note).unwrap();
        }
        assert_eq!(read_notes(&path).unwrap().notes, written);

        let whole = std::fs::read(&path).unwrap();
        let last_begins = whole.len() - HEADER_BYTES - 4096;
        for end in [last_begins + 1, last_begins + HEADER_BYTES, whole.len() - 1] {
            std::fs::write(&path, &whole[..end]).unwrap();
            let read = read_notes(&path).unwrap();
            assert_eq!(read.notes, written[..2], "cut at {end}");
            assert_eq!(read.torn_bytes, end - last_begins);
        }
    }

    #[test]
    fn a_flipped_bit_or_absurd_length_is_no_note() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        FileJournal::create(&path).unwrap().note(b"upload").unwrap();
        let whole = std::fs::read(&path).unwrap();
        for at in [0, 3, 4, HEADER_BYTES] {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x80;
            std::fs::write(&path, &bytes).unwrap();
            let read = read_notes(&path).unwrap();
            assert_eq!(
                (read.notes.len(), read.torn_bytes),
                (0, bytes.len()),
                "byte {at}"
            );
        }
    }

    #[test]
    fn an_attempt_never_writes_into_another_attempts_notes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        FileJournal::create(&path).unwrap();
        let error = FileJournal::create(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }
}
