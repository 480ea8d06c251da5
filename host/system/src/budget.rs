//! Memory that may be held at once, counted in bytes: one [`Budget`] for all runs of a process (guest memory, payloads,
//! responses, batches of a source), and smaller ones for a part of it. Only counts; allocates nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::explain::{Explain, count};
use crate::token::{Interrupted, Token};

/// The longest time for which somebody who holds memory waits for more that others hold. If nothing comes back for
/// minutes, they are themselves waiting, and one of them has to fail for the rest to continue.
pub const ADMISSION_TIME: Duration = Duration::from_secs(120);
/// The time between two attempts. Uploading a part takes far longer.
const ADMISSION_STEP: Duration = Duration::from_millis(20);

/// A number of bytes that may be held at once, shared by all that hold some of it.
#[derive(Debug)]
pub struct Budget {
    limit_bytes: usize,
    counts: Mutex<Counts>,
    /// The bytes of another budget that are set aside for this one.
    reserved: Option<Share>,
}

#[derive(Debug, Default)]
struct Counts {
    held_bytes: usize,
    peak_bytes: usize,
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
    /// Others held it for longer than could be waited.
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
            counts: Mutex::default(),
            reserved: None,
        })
    }

    /// Returns a budget within another one: the bytes of `share` are there whatever others hold, until the last that is
    /// held of them is given back. What is held beyond them is taken of the whole, as far as that has room.
    pub fn reserved(share: Share) -> Arc<Self> {
        Arc::new(Budget {
            limit_bytes: share.budget.limit_bytes,
            counts: Mutex::default(),
            reserved: Some(share),
        })
    }

    /// Returns a budget without a limit, for programs that do one thing at a time.
    pub fn unlimited() -> Arc<Self> {
        Self::new(usize::MAX)
    }

    /// Returns the bytes that are held now.
    pub fn held_bytes(&self) -> usize {
        self.counts().held_bytes
    }

    /// Returns the most bytes that were held at once so far.
    pub fn peak_bytes(&self) -> usize {
        self.counts().peak_bytes
    }

    /// Returns the bytes that may be held at once.
    pub fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// Returns an error if so many bytes are more than there will ever be.
    pub fn fits(&self, wanted_bytes: usize) -> Result<(), AdmissionError> {
        match wanted_bytes <= self.limit_bytes {
            true => Ok(()),
            false => Err(AdmissionError::TooLarge {
                wanted_bytes,
                limit_bytes: self.limit_bytes,
            }),
        }
    }

    fn take(&self, bytes: usize) -> bool {
        let mut counts = self.counts();
        let sum = counts.held_bytes.checked_add(bytes);
        let Some(sum) = sum.filter(|sum| *sum <= self.limit_bytes) else {
            return false;
        };
        if let Some(reserved) = &self.reserved {
            let further = reserved.beyond(sum) - reserved.beyond(counts.held_bytes);
            if !reserved.budget.take(further) {
                return false;
            }
        }
        counts.held_bytes = sum;
        counts.peak_bytes = counts.peak_bytes.max(sum);
        true
    }

    fn give_back(&self, bytes: usize) {
        let mut counts = self.counts();
        let rest = counts.held_bytes - bytes;
        if let Some(reserved) = &self.reserved {
            let no_more = reserved.beyond(counts.held_bytes) - reserved.beyond(rest);
            reserved.budget.give_back(no_more);
        }
        counts.held_bytes = rest;
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Returns some of the bytes as a share of their own; at most all of them.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Share {
            budget: Arc::clone(&self.budget),
            bytes,
        }
    }

    /// Holds more, and waits while others hold it, at most so long.
    pub async fn admit(&mut self, bytes: usize, patience: Duration, token: &Token) -> Result<(), AdmissionError> {
        let begun = Instant::now();
        while !self.is_admitted(bytes, begun, patience, token)? {
            tokio::time::sleep(ADMISSION_STEP).await;
        }
        Ok(())
    }

    /// Holds more, and waits on this thread while others hold it, at most [`ADMISSION_TIME`].
    pub fn blocking_admit(&mut self, bytes: usize, token: &Token) -> Result<(), AdmissionError> {
        let begun = Instant::now();
        while !self.is_admitted(bytes, begun, ADMISSION_TIME, token)? {
            thread::sleep(ADMISSION_STEP);
        }
        Ok(())
    }

    fn is_admitted(
        &mut self,
        wanted_bytes: usize,
        begun: Instant,
        patience: Duration,
        token: &Token,
    ) -> Result<bool, AdmissionError> {
        token.check()?;
        self.budget.fits(wanted_bytes)?;
        if self.grow(wanted_bytes) {
            return Ok(true);
        }
        let waited = begun.elapsed();
        match waited < patience {
            true => Ok(false),
            false => Err(AdmissionError::Crowded {
                wanted_bytes,
                limit_bytes: self.budget.limit_bytes,
                waited,
            }),
        }
    }

    /// Returns how many of so many bytes are more than this holds.
    fn beyond(&self, held_bytes: usize) -> usize {
        held_bytes.saturating_sub(self.bytes)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
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
    fn what_is_set_aside_is_there_and_more_is_taken_of_the_whole() {
        let whole = Budget::new(10);
        let mut aside = Share::none(&whole);
        assert!(aside.grow(6));
        let other = aside.split(2);
        let within = Budget::reserved(aside);
        let mut theirs = Share::none(&whole);
        assert!(theirs.grow(3));
        let mut ours = Share::none(&within);
        assert!(ours.grow(3) && ours.grow(2) && !ours.grow(1));
        assert_eq!((within.held_bytes(), whole.held_bytes()), (5, 10));
        let mut more = Share::none(&within);
        assert!(!more.grow(1));
        drop(theirs);
        assert!(more.grow(3));
        assert_eq!((within.held_bytes(), whole.held_bytes()), (8, 10));
        // Held by whoever holds any of it, whether its owner is gone or not.
        drop((within, ours));
        assert_eq!(whole.held_bytes(), 6);
        drop(more);
        assert_eq!(whole.held_bytes(), 2);
        drop(other);
        assert_eq!((whole.held_bytes(), whole.peak_bytes()), (0, 10));
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
            share.admit(11, ADMISSION_TIME, &token).await,
            Err(AdmissionError::TooLarge {
                wanted_bytes: 11,
                limit_bytes: 10
            })
        );
        assert_eq!(share.admit(10, ADMISSION_TIME, &token).await, Ok(()));
        let mut late = Share::none(&budget);
        let soon = token.child().with_deadline(Instant::now() + ADMISSION_STEP / 2);
        let ended = late.admit(1, ADMISSION_TIME, &soon).await;
        assert_eq!(ended, Err(Interrupted::DeadlinePassed.into()));
        let ended = late.admit(1, Duration::ZERO, &token).await;
        assert!(matches!(ended, Err(AdmissionError::Crowded { .. })), "{ended:?}");
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
