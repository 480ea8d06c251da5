//! Whether the service is alive and ready: what its loop last said, and when. Checks nothing itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The age of a heartbeat from which on the loop is taken for stuck; it ticks at least once a second.
pub const HEARTBEAT_AGE: Duration = Duration::from_secs(30);

/// What the service's loop says of itself. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct Health(Arc<Mutex<Vitals>>);

#[derive(Debug)]
struct Vitals {
    beat: Instant,
    stage: Stage,
    /// Why the ledger cannot be written, while it cannot.
    ledger: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Starting,
    Running,
    Stopping,
}

impl Default for Health {
    fn default() -> Self {
        Health::new()
    }
}

impl Health {
    /// Returns the health of a service that starts.
    pub fn new() -> Self {
        Health(Arc::new(Mutex::new(Vitals {
            beat: Instant::now(),
            stage: Stage::Starting,
            ledger: None,
        })))
    }

    /// Notes that the loop ticks.
    pub fn beat(&self) {
        self.vitals().beat = Instant::now();
    }

    /// Notes that the service has started.
    pub fn started(&self) {
        self.vitals().stage = Stage::Running;
    }

    /// Notes that the service ends: it starts no run any more.
    pub fn stopping(&self) {
        self.vitals().stage = Stage::Stopping;
    }

    /// Notes whether the ledger could be written the last time, and why not.
    pub fn ledger(&self, written: Result<(), String>) {
        self.vitals().ledger = written.err();
    }

    /// Returns why the process is not healthy, if it is not.
    pub fn unhealthy(&self) -> Option<String> {
        let age = self.vitals().beat.elapsed();
        (age > HEARTBEAT_AGE).then(|| format!("the service has been stuck for {} s", age.as_secs()))
    }

    /// Returns why the service is not ready; empty if it is.
    pub fn not_ready(&self) -> Vec<String> {
        let vitals = self.vitals();
        let stage = match vitals.stage {
            Stage::Starting => Some("the service is starting".to_owned()),
            Stage::Running => None,
            Stage::Stopping => Some("the service is stopping".to_owned()),
        };
        let ledger = vitals.ledger.clone();
        drop(vitals);
        stage.into_iter().chain(ledger).chain(self.unhealthy()).collect()
    }

    fn vitals(&self) -> MutexGuard<'_, Vitals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the last heartbeat be older.
    #[cfg(test)]
    pub(super) fn age(&self, by: Duration) {
        let mut vitals = self.vitals();
        vitals.beat = vitals.beat.checked_sub(by).expect("the machine runs for long enough");
    }
}
