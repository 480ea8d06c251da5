//! What all runs of a process share: components by digest, network and credentials by destination, and the number of
//! runs at once. Starts no run itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::component::Component;
use crate::destination::Destination;
use crate::exporter::{Access, Exporter, hexadecimal};
use crate::failure::{Failure, FailureClass, FailureCode};
use crate::loading::{Loaded, Loader, LoadingNote};
use batch_export_sandbox::contract::Plan;
use batch_export_sandbox::{MEMORY_BYTES, NotAdmitted};
use batch_export_source::FEED_BYTES;
use batch_export_system::{AdmissionError, Budget, Interrupted, Share, Token};

/// Limits of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuntimeLimits {
    /// Runs at once; others wait in order. A usual run takes a core for encoding and some 100 MiB.
    pub runs_at_once: usize,
    /// The longest time that a run waits for others to end: two of the longest honest runs.
    pub admission_time: Duration,
    /// Memory of all runs together: guests, payloads, responses and batches.
    pub memory_bytes: usize,
}

impl Default for RuntimeLimits {
    fn default() -> Self {
        RuntimeLimits {
            runs_at_once: 16,
            admission_time: Duration::from_secs(6 * 60 * 60),
            memory_bytes: MEMORY_BYTES,
        }
    }
}

/// Everything that the runs of a process share. Cheap to clone.
#[derive(Clone)]
pub struct Runtime(Arc<Shared>);

struct Shared {
    limits: RuntimeLimits,
    runs: Arc<Semaphore>,
    /// Held by the run that waits for memory: it is not passed by for ever by runs that need less.
    turn: tokio::sync::Mutex<()>,
    loader: Loader,
    /// By the SHA-256 of the component's bytes.
    plugins: tokio::sync::Mutex<HashMap<String, Loaded>>,
    /// By the destination as it was configured: one that is configured again gets new ones.
    accesses: Mutex<Vec<(Weak<Destination>, Access)>>,
}

/// The memory that is set aside for a run. What its sessions and its source hold is given back by the last of them.
#[derive(Debug)]
pub(crate) struct RunMemory {
    /// For its sessions, one after the other: guest memory, payloads, responses.
    pub session: Arc<Budget>,
    /// For batches on their way from the source to the plugin.
    pub source: Arc<Budget>,
}

/// The right of a run to be in progress. Dropping it lets the next one begin.
#[derive(Debug)]
pub(crate) struct Admission {
    _permit: OwnedSemaphorePermit,
}

impl Default for Runtime {
    fn default() -> Self {
        Self::new(RuntimeLimits::default())
    }
}

impl Runtime {
    /// Returns a runtime without anything loaded.
    pub fn new(limits: RuntimeLimits) -> Self {
        Runtime(Arc::new(Shared {
            runs: Arc::new(Semaphore::new(limits.runs_at_once.max(1))),
            turn: tokio::sync::Mutex::default(),
            loader: Loader::new(limits.memory_bytes),
            limits,
            plugins: tokio::sync::Mutex::default(),
            accesses: Mutex::default(),
        }))
    }

    /// Compiles a component, unless that was done before, and asks it for its description. Each component is loaded
    /// once. `tell` receives lines for somebody who waits.
    pub async fn load(&self, component: &Component, tell: &(dyn Fn(LoadingNote) + Sync)) -> Result<Loaded, Failure> {
        let digest = hexadecimal(&Sha256::digest(&component.bytes));
        // Held while it compiles: two compilers at once would take twice the memory for nothing.
        let mut plugins = self.0.plugins.lock().await;
        if let Some(loaded) = plugins.get(&digest) {
            return Ok(loaded.clone());
        }
        let loaded = self.0.loader.load(component, tell).await?;
        plugins.insert(digest, loaded.clone());
        Ok(loaded)
    }

    /// Returns the network and the credentials of a destination: the same for all its runs, as long as its settings are
    /// the same.
    pub(crate) fn access(&self, exporter: &Exporter) -> Result<Access, Failure> {
        let destination = exporter.destination();
        let mut accesses = self.0.accesses.lock().unwrap_or_else(PoisonError::into_inner);
        accesses.retain(|(known, _)| known.strong_count() > 0);
        let known = accesses
            .iter()
            .find(|(known, _)| std::ptr::eq(known.as_ptr(), Arc::as_ptr(destination)));
        if let Some((_, access)) = known {
            return Ok(access.clone());
        }
        let access = exporter.access()?;
        accesses.push((Arc::downgrade(destination), access.clone()));
        Ok(access)
    }

    /// Waits, in order, until fewer runs are in progress than may be.
    pub(crate) async fn admit(&self, token: &Token) -> Result<Admission, Failure> {
        let limits = &self.0.limits;
        let permit = Arc::clone(&self.0.runs).acquire_owned();
        match self.patience(token).run(permit).await {
            Ok(Ok(permit)) => Ok(Admission { _permit: permit }),
            // The semaphore is never closed.
            Ok(Err(_)) => Err(Failure::shut_down("the host")),
            Err(reason) => Err(self.waited(reason, &format!("{} other runs were in progress", limits.runs_at_once))),
        }
    }

    /// Waits, in order, until the memory that a run with this plan needs is free, and sets it aside for the run. More
    /// than there is at all is an error at once.
    pub(crate) async fn set_aside(
        &self,
        exporter: &Exporter,
        plan: &Plan,
        token: &Token,
    ) -> Result<RunMemory, Failure> {
        let session_bytes = exporter.limits.of_plan(plan).held_bytes();
        let bytes = session_bytes.saturating_add(FEED_BYTES);
        let whole = exporter.plugin.sandbox().budget();
        let crowded = |reason| self.waited(reason, "other runs used all of the memory");
        let patience = self.patience(token);
        let mut share = Share::none(whole);
        let waiting = async {
            whole.fits(bytes)?;
            let _turn = patience.run(self.0.turn.lock()).await?;
            share.admit(bytes, self.0.limits.admission_time, &patience).await
        };
        waiting.await.map_err(|error| match error {
            AdmissionError::TooLarge { .. } => {
                let mib = |bytes: usize| (bytes as u64).div_ceil(1 << 20);
                let refused = NotAdmitted {
                    limit: "memory_bytes",
                    needed: mib(bytes),
                    allowed: whole.limit_bytes() as u64 >> 20,
                    unit: "MiB of memory, request bodies and batches",
                };
                Failure::not_admitted(&exporter.name, refused)
            }
            AdmissionError::Interrupted(reason) => crowded(reason),
            _ => crowded(Interrupted::DeadlinePassed),
        })?;
        Ok(RunMemory {
            session: Budget::reserved(share.split(session_bytes)),
            source: Budget::reserved(share),
        })
    }

    fn patience(&self, token: &Token) -> Token {
        token
            .child()
            .with_deadline(Instant::now() + self.0.limits.admission_time)
    }

    /// Makes the failure of a run that waited for others in vain.
    fn waited(&self, reason: Interrupted, what: &str) -> Failure {
        match reason {
            Interrupted::Cancelled => Failure::cancelled(),
            Interrupted::DeadlinePassed => Failure::new(
                FailureClass::Retryable,
                FailureCode::HOST_BUSY,
                format!("{what} for {} s", self.0.limits.admission_time.as_secs()),
            )
            .with_hint("run it again later, or allow more runs at once"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime(runs_at_once: usize, admission_time: Duration) -> Runtime {
        Runtime::new(RuntimeLimits {
            runs_at_once,
            admission_time,
            ..RuntimeLimits::default()
        })
    }

    #[tokio::test]
    async fn runs_wait_in_order_and_not_for_ever() {
        let runtime = runtime(1, Duration::from_millis(50));
        let token = Token::new();
        let first = runtime.admit(&token).await.expect("there is room");
        let failure = runtime.admit(&token).await.expect_err("it is taken");
        assert_eq!(failure.code(), FailureCode::HOST_BUSY);
        assert_eq!(failure.class(), FailureClass::Retryable);
        drop(first);
        runtime.admit(&token).await.expect("there is room again");
    }

    #[tokio::test]
    async fn waiting_ends_with_the_token() {
        let runtime = runtime(1, Duration::from_secs(3_600));
        let token = Token::new();
        let _first = runtime.admit(&token).await.expect("there is room");
        let waiting = {
            let (runtime, token) = (runtime.clone(), token.clone());
            tokio::spawn(async move { runtime.admit(&token).await.err() })
        };
        tokio::task::yield_now().await;
        let begun = Instant::now();
        token.cancel();
        let failure = waiting.await.expect("it ends").expect("with a failure");
        assert_eq!(failure.class(), FailureClass::Cancelled);
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
}
