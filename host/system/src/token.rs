//! The token of a piece of work: says whether the work may continue, until somebody cancels it or its deadline passes.
//! Ends nothing itself; whoever does the work checks its token often enough to stop within a second.

use std::thread;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::explain::Explain;

/// The longest time for which blocking work sleeps before it checks its token again.
const CHECK_EVERY: Duration = Duration::from_millis(50);

/// The reason why work ended before it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Interrupted {
    /// Somebody cancelled the work.
    #[error("it was cancelled")]
    Cancelled,
    /// The work took longer than it was given.
    #[error("its deadline passed")]
    DeadlinePassed,
}

impl Explain for Interrupted {
    fn hint(&self) -> Option<String> {
        match self {
            Interrupted::Cancelled => None,
            Interrupted::DeadlinePassed => Some("give the work more time, or give it less to do".to_owned()),
        }
    }
}

/// Says whether a piece of work may continue. Clones share their fate; a [`child`](Token::child) ends with its parent,
/// and can also be cancelled alone.
///
/// ```
/// use batch_export_system::{Interrupted, Token};
///
/// let run = Token::new();
/// let source = run.child();
/// source.cancel();
/// assert_eq!(source.check(), Err(Interrupted::Cancelled));
/// assert_eq!(run.check(), Ok(()));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Token {
    cancellation: CancellationToken,
    deadline: Option<Instant>,
}

impl Token {
    /// Returns a token without a deadline that nobody has cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a token for a part of the work: it ends with this one at the latest.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            cancellation: self.cancellation.child_token(),
            deadline: self.deadline,
        }
    }

    /// Adds a deadline. Where there are several, the earliest counts.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(self.deadline.map_or(deadline, |known| known.min(deadline)));
        self
    }

    /// Ends the work of this token, its clones and its children. Cancelling twice changes nothing.
    pub fn cancel(&self) {
        self.cancellation.cancel();
    }

    /// Returns the moment at which the work must end, if there is one.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Returns whether somebody cancelled the work. A deadline does not count: see [`check`](Token::check).
    pub fn cancelled(&self) -> bool {
        self.cancellation.is_cancelled()
    }

    /// Returns an error if the work must end now, at the cost of a lock and a look at the clock: for blocking work,
    /// once for each file, batch or block of bytes.
    pub fn check(&self) -> Result<(), Interrupted> {
        if self.cancelled() {
            return Err(Interrupted::Cancelled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Interrupted::DeadlinePassed),
            _ => Ok(()),
        }
    }

    /// Waits until the work must end. Needs a tokio runtime with a timer if there is a deadline.
    pub async fn interrupted(&self) -> Interrupted {
        let Some(deadline) = self.deadline else {
            self.cancellation.cancelled().await;
            return Interrupted::Cancelled;
        };
        tokio::select! {
            biased;
            () = self.cancellation.cancelled() => Interrupted::Cancelled,
            () = tokio::time::sleep_until(deadline.into()) => Interrupted::DeadlinePassed,
        }
    }

    /// Does some work, and drops it where it is if it must end.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> Result<T, Interrupted> {
        tokio::select! {
            biased;
            reason = self.interrupted() => Err(reason),
            done = work => Ok(done),
        }
    }

    /// Returns what ends the work when it is dropped: for a thread that works for somebody who may leave.
    #[must_use]
    pub fn cancel_on_drop(&self) -> CancelOnDrop {
        CancelOnDrop(self.clone())
    }

    /// Sleeps on this thread for a time, or until the work must end.
    pub fn sleep(&self, time: Duration) -> Result<(), Interrupted> {
        let begun = Instant::now();
        loop {
            self.check()?;
            match time.checked_sub(begun.elapsed()) {
                Some(left) if !left.is_zero() => thread::sleep(left.min(CHECK_EVERY)),
                _ => return Ok(()),
            }
        }
    }
}

/// Cancels a token when it is dropped.
#[derive(Debug)]
pub struct CancelOnDrop(Token);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_ends_with_its_parent_and_a_parent_outlives_its_child() {
        let parent = Token::new();
        let (one, two) = (parent.child(), parent.child());
        one.cancel();
        assert_eq!(
            [one.check(), two.check(), parent.check()],
            [Err(Interrupted::Cancelled), Ok(()), Ok(())]
        );
        parent.clone().cancel();
        assert_eq!(two.check(), Err(Interrupted::Cancelled));
        assert_eq!(parent.child().check(), Err(Interrupted::Cancelled));
        let left = Token::new();
        drop(left.cancel_on_drop());
        assert_eq!(left.check(), Err(Interrupted::Cancelled));
    }

    #[test]
    fn the_earliest_deadline_counts_and_a_cancellation_comes_first() {
        let now = Instant::now();
        let later = now + Duration::from_secs(3_600);
        let token = Token::new().with_deadline(later);
        assert_eq!((token.deadline(), token.check()), (Some(later), Ok(())));
        let child = token.child().with_deadline(now);
        assert_eq!(child.check(), Err(Interrupted::DeadlinePassed));
        assert_eq!(child.child().with_deadline(later).deadline(), Some(now));
        assert!(!child.cancelled());
        child.cancel();
        assert_eq!(child.check(), Err(Interrupted::Cancelled));
    }

    #[test]
    fn a_sleep_ends_with_its_token() {
        let token = Token::new();
        assert_eq!(token.sleep(Duration::from_millis(1)), Ok(()));
        let other = token.clone();
        let waker = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            other.cancel();
        });
        let begun = Instant::now();
        let ended = token.sleep(Duration::from_secs(60));
        assert_eq!(ended, Err(Interrupted::Cancelled));
        assert!(begun.elapsed() < Duration::from_secs(1));
        waker.join().unwrap();
        let soon = Token::new().with_deadline(Instant::now() + Duration::from_millis(5));
        let ended = soon.sleep(Duration::from_secs(60));
        assert_eq!(ended, Err(Interrupted::DeadlinePassed));
    }

    #[tokio::test]
    async fn work_is_dropped_when_it_must_end() {
        let token = Token::new();
        assert_eq!(token.run(async { 7 }).await, Ok(7));
        let endless = std::future::pending::<()>;
        let soon = token.child().with_deadline(Instant::now() + Duration::from_millis(5));
        assert_eq!(soon.run(endless()).await, Err(Interrupted::DeadlinePassed));
        token.cancel();
        assert_eq!(token.run(endless()).await, Err(Interrupted::Cancelled));
        assert_eq!(soon.interrupted().await, Interrupted::Cancelled);
    }
}
