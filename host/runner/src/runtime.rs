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
use batch_export_sandbox::MEMORY_BYTES;
use batch_export_system::{AdmissionError, Interrupted, Share, Token};

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
    loader: Loader,
    /// By the SHA-256 of the component's bytes.
    plugins: tokio::sync::Mutex<HashMap<String, Loaded>>,
    /// By the destination as it was configured: one that is configured again gets new ones.
    accesses: Mutex<Vec<(Weak<Destination>, Access)>>,
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
            loader: Loader::new(limits.memory_bytes),
            limits,
            plugins: tokio::sync::Mutex::default(),
            accesses: Mutex::default(),
        }))
    }

    /// Compiles a component, unless that was done before, and asks it what it is. Each component is loaded once. `tell`
    /// is given lines for a person who waits.
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

    /// Waits, in order, until fewer runs are in progress than may be, and then until the memory that a run of this
    /// destination may need is free.
    pub(crate) async fn admit(&self, exporter: &Exporter, token: &Token) -> Result<Admission, Failure> {
        let admission = self.admit_one(token).await?;
        // Only looked for: the run counts what it takes by itself.
        let mut share = Share::none(exporter.plugin.sandbox().budget());
        share
            .admit(exporter.limits.guest_memory_bytes, token)
            .await
            .map_err(|error| match error {
                AdmissionError::Interrupted(_) => Failure::cancelled(),
                other => {
                    let (class, code) = (FailureClass::Retryable, FailureCode::MEMORY_EXHAUSTED);
                    Failure::of(class, code, other)
                }
            })?;
        Ok(admission)
    }

    async fn admit_one(&self, token: &Token) -> Result<Admission, Failure> {
        let limits = &self.0.limits;
        let deadline = Instant::now() + limits.admission_time;
        let waiting = token.child().with_deadline(deadline);
        let permit = Arc::clone(&self.0.runs).acquire_owned();
        match waiting.run(permit).await {
            Ok(Ok(permit)) => Ok(Admission { _permit: permit }),
            // The semaphore is never closed.
            Ok(Err(_)) => Err(Failure::shut_down()),
            Err(Interrupted::Cancelled) => Err(Failure::cancelled()),
            Err(Interrupted::DeadlinePassed) => Err(Failure::new(
                FailureClass::Retryable,
                FailureCode::HOST_BUSY,
                format!(
                    "{} other runs of this process were in progress for {} s",
                    limits.runs_at_once,
                    limits.admission_time.as_secs()
                ),
            )
            .with_hint("run it again later, or allow more runs at once")),
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
        let first = runtime.admit_one(&token).await.expect("there is room");
        let failure = runtime.admit_one(&token).await.expect_err("it is taken");
        assert_eq!(failure.code(), FailureCode::HOST_BUSY);
        assert_eq!(failure.class(), FailureClass::Retryable);
        drop(first);
        runtime.admit_one(&token).await.expect("there is room again");
    }

    #[tokio::test]
    async fn waiting_ends_with_the_token() {
        let runtime = runtime(1, Duration::from_secs(3_600));
        let token = Token::new();
        let _first = runtime.admit_one(&token).await.expect("there is room");
        let waiting = {
            let (runtime, token) = (runtime.clone(), token.clone());
            tokio::spawn(async move { runtime.admit_one(&token).await.err() })
        };
        tokio::task::yield_now().await;
        let begun = Instant::now();
        token.cancel();
        let failure = waiting.await.expect("it ends").expect("with a failure");
        assert_eq!(failure.class(), FailureClass::Cancelled);
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
}
