//! What one session holds in payloads and responses, counted twice: for the session, and for all runs of the process.
//! Counts only; whoever is refused says what that means.

use std::sync::Arc;

use batch_export_system::{Budget, Share};

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

    /// Takes all of it, leaving nothing.
    pub(super) fn take(&mut self) -> Self {
        let rest = Holding::none(self.session.budget(), self.process.budget());
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
