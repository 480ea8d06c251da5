//! Memory that may be held at once, counted in bytes: one [`Budget`] for all runs of a process (guest memory, payloads,
//! responses, batches of a source), and smaller ones for a part of it. Only counts; allocates nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::explain::{Explain, count};
use crate::token::{Interrupted, Token};

/// The longest time to wait for memory that others hold. Others give theirs back with every part that is uploaded; if
/// nothing comes back for minutes, they are themselves waiting, and one of them has to fail for the rest to continue.
pub const ADMISSION_TIME: Duration = Duration::from_secs(120);
/// The time between two attempts. Uploading a part takes far longer.
const ADMISSION_STEP: Duration = Duration::from_millis(20);

/// A number of bytes that may be held at once, shared by all that hold some of it.
#[derive(Debug)]
pub struct Budget {
    limit_bytes: usize,
    held_bytes: AtomicUsize,
    peak_bytes: AtomicUsize,
}

/// A reason why memory is not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdmissionError {
    /// More than there is, however long one waits.
    #[error("{} bytes are more than the {} that all runs of this process may hold in memory", count(*wanted_bytes as u64), count(*limit_bytes as u64))]
    TooLarge {
        /// The bytes that were asked for.
        wanted_bytes: usize,
        /// The whole budget.
        limit_bytes: usize,
    },
    /// Others held it for longer than [`ADMISSION_TIME`].
    #[error("the other runs of this process held its memory for {} s: {} of {} bytes were not free", waited.as_secs(), count(*wanted_bytes as u64), count(*limit_bytes as u64))]
    Crowded {
        /// The bytes that were asked for.
        wanted_bytes: usize,
        /// The whole budget.
        limit_bytes: usize,
        /// The time spent waiting.
        waited: Duration,
    },
    /// The work that it was for must end.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Explain for AdmissionError {
    fn hint(&self) -> Option<String> {
        match self {
            AdmissionError::TooLarge { .. } => Some("give this process more memory (`memory_bytes`)".to_owned()),
            AdmissionError::Crowded { .. } => Some("run fewer at once".to_owned()),
            AdmissionError::Interrupted(reason) => reason.hint(),
        }
    }
}

impl Budget {
    /// Returns a budget of this many bytes, none of them held.
    pub fn new(limit_bytes: usize) -> Arc<Self> {
        Arc::new(Budget {
            limit_bytes,
            held_bytes: AtomicUsize::new(0),
            peak_bytes: AtomicUsize::new(0),
        })
    }

    /// Returns a budget without a limit, for programs that do one thing at a time.
    pub fn unlimited() -> Arc<Self> {
        Self::new(usize::MAX)
    }

    /// Returns the bytes that are held now.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes.load(Ordering::Relaxed)
    }

    /// Returns the most bytes that were held at once so far.
    pub fn peak_bytes(&self) -> usize {
        self.peak_bytes.load(Ordering::Relaxed)
    }

    /// Returns the bytes that may be held at once.
    pub fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = self
            .held_bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |held| {
                held.checked_add(bytes).filter(|sum| *sum <= self.limit_bytes)
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

/// The bytes that one user holds of a budget. Dropping it gives them back.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Share {
    /// Returns a share of no bytes.
    pub fn none(budget: &Arc<Budget>) -> Self {
        Share {
            budget: Arc::clone(budget),
            bytes: 0,
        }
    }

    /// Returns the budget of which this is a share.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Returns the bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Holds more, unless that is more than is free now; returns whether it was.
    #[must_use]
    pub fn grow(&mut self, bytes: usize) -> bool {
        let grown = self.budget.take(bytes);
        if grown {
            self.bytes += bytes;
        }
        grown
    }

    /// Holds more, and waits while others hold it, at most [`ADMISSION_TIME`].
    pub async fn admit(&mut self, bytes: usize, token: &Token) -> Result<(), AdmissionError> {
        let begun = Instant::now();
        while !self.is_admitted(bytes, begun, token)? {
            tokio::time::sleep(ADMISSION_STEP).await;
        }
        Ok(())
    }

    /// Holds more, and waits on this thread while others hold it, at most [`ADMISSION_TIME`].
    pub fn blocking_admit(&mut self, bytes: usize, token: &Token) -> Result<(), AdmissionError> {
        let begun = Instant::now();
        while !self.is_admitted(bytes, begun, token)? {
            thread::sleep(ADMISSION_STEP);
        }
        Ok(())
    }

    fn is_admitted(&mut self, wanted_bytes: usize, begun: Instant, token: &Token) -> Result<bool, AdmissionError> {
        token.check()?;
        if self.grow(wanted_bytes) {
            return Ok(true);
        }
        let limit_bytes = self.budget.limit_bytes;
        if wanted_bytes > limit_bytes {
            return Err(AdmissionError::TooLarge {
                wanted_bytes,
                limit_bytes,
            });
        }
        let waited = begun.elapsed();
        match waited < ADMISSION_TIME {
            true => Ok(false),
            false => Err(AdmissionError::Crowded {
                wanted_bytes,
                limit_bytes,
                waited,
            }),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.held_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back_and_what_is_refused_is_not_counted() {
        let budget = Budget::new(10);
        let (mut one, mut two) = (Share::none(&budget), Share::none(&budget));
        assert!(one.grow(6) && !two.grow(5) && two.grow(4));
        assert!(!two.grow(usize::MAX));
        assert_eq!((one.bytes(), two.bytes(), budget.held_bytes()), (6, 4, 10));
        drop(one);
        assert_eq!((budget.held_bytes(), budget.peak_bytes()), (4, 10));
        drop(two);
        assert_eq!(budget.held_bytes(), 0);
    }

    #[test]
    fn memory_that_others_hold_is_waited_for() {
        let budget = Budget::new(10);
        let mut theirs = Share::none(&budget);
        assert!(theirs.grow(8));
        let waiting = thread::spawn({
            let mut ours = Share::none(&budget);
            move || ours.blocking_admit(5, &Token::new())
        });
        thread::sleep(3 * ADMISSION_STEP);
        assert!(!waiting.is_finished());
        drop(theirs);
        assert_eq!(waiting.join().unwrap(), Ok(()));
        assert_eq!(budget.held_bytes(), 0);
    }

    #[tokio::test]
    async fn waiting_ends_when_it_is_in_vain() {
        let budget = Budget::new(10);
        let mut share = Share::none(&budget);
        let token = Token::new();
        assert_eq!(
            share.admit(11, &token).await,
            Err(AdmissionError::TooLarge {
                wanted_bytes: 11,
                limit_bytes: 10
            })
        );
        assert_eq!(share.admit(10, &token).await, Ok(()));
        let mut late = Share::none(&budget);
        let soon = token.child().with_deadline(Instant::now() + ADMISSION_STEP / 2);
        let ended = late.admit(1, &soon).await;
        assert_eq!(ended, Err(Interrupted::DeadlinePassed.into()));
        token.cancel();
        let ended = late.blocking_admit(1, &token);
        assert_eq!(ended, Err(Interrupted::Cancelled.into()));
        assert_eq!(budget.held_bytes(), 10);
    }

    #[test]
    fn refusals_say_what_to_do() {
        let crowded = AdmissionError::Crowded {
            wanted_bytes: 5,
            limit_bytes: 10,
            waited: ADMISSION_TIME,
        };
        assert_eq!(
            crowded.to_string(),
            "the other runs of this process held its memory for 120 s: 5 of 10 bytes were not free"
        );
        assert_eq!(crowded.hint().as_deref(), Some("run fewer at once"));
    }
}
