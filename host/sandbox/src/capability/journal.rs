//! The `journal` capability: notes that outlive a session. A durable note is safe before `note` returns. Never reads
//! what a note says.

use std::sync::{Arc, Mutex, PoisonError};

use batch_export_system::explain::Cause;

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
