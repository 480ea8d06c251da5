//! What may be held in memory at once, counted in bytes: by one session, and by all sessions of a sandbox together.
//! Counts only; whoever is refused says what that means.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of bytes that its users share.
#[derive(Debug)]
pub struct Budget {
    limit_bytes: usize,
    held_bytes: AtomicUsize,
    peak_bytes: AtomicUsize,
}

impl Budget {
    /// Of this many bytes.
    pub fn new(limit_bytes: usize) -> Arc<Self> {
        Arc::new(Budget {
            limit_bytes,
            held_bytes: AtomicUsize::new(0),
            peak_bytes: AtomicUsize::new(0),
        })
    }

    /// What is held now.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes.load(Ordering::Relaxed)
    }

    /// The most that was held at once so far.
    pub fn peak_bytes(&self) -> usize {
        self.peak_bytes.load(Ordering::Relaxed)
    }

    /// How much may be held.
    pub fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = self
            .held_bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |held| {
                held.checked_add(bytes)
                    .filter(|sum| *sum <= self.limit_bytes)
            });
        match taken {
            Ok(before) => {
                self.peak_bytes.fetch_max(before + bytes, Ordering::AcqRel);
                true
            }
            Err(_) => false,
        }
    }
}

/// What one user holds of a budget; given back when dropped.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Share {
    /// Nothing yet.
    pub fn none(budget: &Arc<Budget>) -> Self {
        Share {
            budget: Arc::clone(budget),
            bytes: 0,
        }
    }

    /// The whole of which it is a share.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Holds more, unless that is more than there is.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let grown = self.budget.take(bytes);
        if grown {
            self.bytes += bytes;
        }
        grown
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget
            .held_bytes
            .fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// Which budget has no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exceeded {
    /// The session's own.
    Session,
    /// That of all sessions together.
    Process,
}

/// Bytes that count for their session and for all sessions together.
#[derive(Debug)]
pub(super) struct Holding {
    session: Share,
    process: Share,
}

impl Holding {
    pub(super) fn none(session: &Arc<Budget>, process: &Arc<Budget>) -> Self {
        Holding {
            session: Share::none(session),
            process: Share::none(process),
        }
    }

    /// All of it, leaving nothing.
    pub(super) fn take(&mut self) -> Self {
        let rest = Holding::none(&self.session.budget, &self.process.budget);
        std::mem::replace(self, rest)
    }

    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Exceeded> {
        if !self.session.grow(bytes) {
            return Err(Exceeded::Session);
        }
        // What the session took stays taken: whoever is refused is dropped.
        match self.process.grow(bytes) {
            true => Ok(()),
            false => Err(Exceeded::Process),
        }
    }
}

/// Bytes that stay counted until their last user lets go: the guest, a request, a connection.
pub(super) struct Held<B> {
    pub(super) bytes: B,
    pub(super) _holding: Holding,
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Held<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back_and_what_is_refused_is_not_counted() {
        let (session, process) = (Budget::new(10), Budget::new(15));
        let mut one = Holding::none(&session, &process);
        assert_eq!(one.grow(6), Ok(()));
        assert_eq!(one.grow(5), Err(Exceeded::Session));
        assert_eq!((session.held_bytes(), process.held_bytes()), (6, 6));
        let mut two = Holding::none(&Budget::new(100), &process);
        assert_eq!(two.grow(10), Err(Exceeded::Process));
        assert_eq!(two.grow(9), Ok(()));
        assert_eq!(two.grow(usize::MAX), Err(Exceeded::Session));
        drop((one, two));
        assert_eq!((session.held_bytes(), process.held_bytes()), (0, 0));
        assert_eq!((session.peak_bytes(), process.peak_bytes()), (6, 15));
    }
}
