//! The two clocks of a call (computing, waiting) and the way to cancel one. An epoch does not fire while the guest
//! waits inside an import, and a timer does not stop a guest that computes: so each has its own.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;

/// The engine's epoch advances this often. Short enough that a cancelled guest seems to end at once, long enough
/// that the checks cost nothing.
pub(super) const TICK: Duration = Duration::from_millis(20);

/// Why the host ended a guest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stop {
    #[error("cancelled")]
    Cancelled,
    #[error("computing for longer than {limit:?}")]
    ComputeTime { limit: Duration },
    #[error("waiting for longer than {limit:?}")]
    WaitingTime { limit: Duration },
    #[error("{0}")]
    OverLimit(String),
    #[error("no room in memory")]
    Crowded,
}

/// One session's clocks.
pub(super) struct Clock {
    runtime: Handle,
    cancelled: watch::Receiver<bool>,
    compute_limit: Duration,
    computed: Duration,
    waiting_limit: Duration,
    waited: Duration,
    /// The tick after a wait saw waiting, not computing.
    skip_tick: bool,
}

impl Clock {
    pub(super) fn new(
        runtime: Handle,
        cancelled: watch::Receiver<bool>,
        compute_limit: Duration,
        waiting_limit: Duration,
    ) -> Self {
        Clock {
            runtime,
            cancelled,
            compute_limit,
            computed: Duration::ZERO,
            waiting_limit,
            waited: Duration::ZERO,
            skip_tick: false,
        }
    }

    pub(super) fn begin_call(&mut self) {
        self.computed = Duration::ZERO;
        self.waited = Duration::ZERO;
        self.skip_tick = false;
    }

    pub(super) fn is_cancelled(&self) -> bool {
        // A dropped sender means that the session is gone.
        *self.cancelled.borrow() || self.cancelled.has_changed().is_err()
    }

    /// Called while the guest computes, at most once a tick. Counts ticks rather than time passed, so that a guest is
    /// not blamed for the time in which another one had its processor.
    pub(super) fn tick(&mut self) -> Result<(), Stop> {
        if self.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        if !std::mem::take(&mut self.skip_tick) {
            self.computed += TICK;
        }
        match self.computed > self.compute_limit {
            true => Err(Stop::ComputeTime {
                limit: self.compute_limit,
            }),
            false => Ok(()),
        }
    }

    /// Blocks the session's thread until the future is ready, within the call's waiting time.
    pub(super) fn wait<F: Future>(&mut self, future: F) -> Result<F::Output, Stop> {
        let limit = self.waiting_limit;
        let left = limit.saturating_sub(self.waited);
        let mut cancelled = self.cancelled.clone();
        let begun = Instant::now();
        let ended = self.runtime.block_on(async {
            tokio::select! {
                // The future first: what is ready is returned even when no waiting time is left.
                biased;
                output = future => Ok(output),
                // An error means that the sender is gone, and the session with it.
                _ = cancelled.wait_for(|c| *c) => Err(Stop::Cancelled),
                () = tokio::time::sleep(left) => Err(Stop::WaitingTime { limit }),
            }
        });
        let waited = begun.elapsed();
        self.waited += waited;
        self.skip_tick = waited >= TICK;
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(waiting: Duration) -> (watch::Sender<bool>, Clock, tokio::runtime::Runtime) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .unwrap();
        let (sender, receiver) = watch::channel(false);
        let clock = Clock::new(runtime.handle().clone(), receiver, TICK * 3, waiting);
        (sender, clock, runtime)
    }

    #[test]
    fn computing_is_counted_in_ticks_and_begins_anew_with_each_call() {
        let (_sender, mut clock, _runtime) = clock(Duration::from_secs(60));
        for _ in 0..2 {
            clock.begin_call();
            assert_eq!((0..3).filter(|_| clock.tick().is_err()).count(), 0);
            assert_eq!(clock.tick(), Err(Stop::ComputeTime { limit: TICK * 3 }));
        }
    }

    #[test]
    fn waiting_is_not_computing() {
        let (_sender, mut clock, _runtime) = clock(Duration::from_secs(60));
        clock.begin_call();
        for _ in 0..10 {
            clock.wait(async { tokio::time::sleep(TICK).await }).unwrap();
            clock.tick().unwrap();
        }
    }

    #[test]
    fn a_wait_ends_with_its_limit_or_when_cancelled() {
        let (sender, mut clock, _runtime) = clock(Duration::from_millis(1));
        clock.begin_call();
        assert_eq!(clock.wait(async { 7 }), Ok(7));
        let limit = Duration::from_millis(1);
        let never = std::future::pending::<()>;
        assert_eq!(clock.wait(never()), Err(Stop::WaitingTime { limit }));
        clock.waiting_limit = Duration::from_secs(3600);
        sender.send_replace(true);
        assert_eq!(clock.wait(never()), Err(Stop::Cancelled));
        assert_eq!(clock.tick(), Err(Stop::Cancelled));
    }

    #[test]
    fn a_dropped_session_ends_a_wait() {
        let (sender, mut clock, _runtime) = clock(Duration::from_secs(3600));
        drop(sender);
        assert_eq!(clock.wait(std::future::pending::<()>()), Err(Stop::Cancelled));
    }
}
