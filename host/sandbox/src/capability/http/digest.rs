//! Digests of payloads: computed on threads of the host while the guest goes on, each once, and only those that the
//! guest asked for. Bounded by turns, so that no session keeps another from computing.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::limits::{DIGEST_THREADS, DIGESTS_PER_SESSION};

/// The turns of all sessions of the process together.
static THREADS: Semaphore = Semaphore::const_new(DIGEST_THREADS);

/// What can be computed of a payload; the cases are the contract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DigestAlgorithm {
    Sha256,
    Crc64Nvme,
    Crc32c,
    Crc32,
}

impl DigestAlgorithm {
    /// CRCs big-endian, as the contract says.
    fn compute(self, bytes: &[u8]) -> Vec<u8> {
        let crc = |algorithm| crc_fast::checksum(algorithm, bytes).to_be_bytes();
        let last_four = |[_, _, _, _, crc @ ..]: [u8; 8]| crc.to_vec();
        match self {
            DigestAlgorithm::Sha256 => Sha256::digest(bytes).to_vec(),
            DigestAlgorithm::Crc64Nvme => crc(CrcAlgorithm::Crc64Nvme).to_vec(),
            DigestAlgorithm::Crc32c => last_four(crc(CrcAlgorithm::Crc32Iscsi)),
            DigestAlgorithm::Crc32 => last_four(crc(CrcAlgorithm::Crc32IsoHdlc)),
        }
    }
}

/// Computes the digests of one session, a few at a time.
#[derive(Debug, Clone)]
pub(super) struct Hasher {
    runtime: Handle,
    turns: Arc<Semaphore>,
}

impl Hasher {
    pub(super) fn new(runtime: Handle) -> Self {
        Hasher {
            runtime,
            turns: Arc::new(Semaphore::new(DIGESTS_PER_SESSION)),
        }
    }

    /// Begins to compute. Waits for the session's turn first, so that at most so many of a session wait for a thread.
    fn begin(&self, algorithm: DigestAlgorithm, bytes: Bytes) -> JoinHandle<Option<Vec<u8>>> {
        let turns = Arc::clone(&self.turns);
        self.runtime.spawn(async move {
            let turn = turns.acquire_owned().await.ok()?;
            let thread = THREADS.acquire().await.ok()?;
            let computed = tokio::task::spawn_blocking(move || {
                let digest = algorithm.compute(&bytes);
                // Held to the end even where nobody waits for it any more.
                drop((turn, thread));
                digest
            });
            computed.await.ok()
        })
    }
}

/// A digest was not computed: the runtime is shutting down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the digest of a payload was not computed, because the host is shutting down")]
pub(crate) struct NotComputed;

/// The digests of one payload. Dropping them abandons those that no thread has begun.
#[derive(Debug)]
pub(super) struct Digests {
    hasher: Hasher,
    begun: BTreeMap<DigestAlgorithm, Computation>,
}

#[derive(Debug)]
enum Computation {
    Running(JoinHandle<Option<Vec<u8>>>),
    Done(Result<Vec<u8>, NotComputed>),
}

impl Digests {
    pub(super) fn none(hasher: Hasher) -> Self {
        Digests {
            hasher,
            begun: BTreeMap::new(),
        }
    }

    /// Begins to compute one, unless that was begun before.
    pub(super) fn begin(&mut self, algorithm: DigestAlgorithm, bytes: &Bytes) {
        self.begun
            .entry(algorithm)
            .or_insert_with(|| Computation::Running(self.hasher.begin(algorithm, bytes.clone())));
    }

    /// Ready once the digest is computed; one that was not begun is begun now.
    pub(super) fn poll(
        &mut self,
        algorithm: DigestAlgorithm,
        bytes: &Bytes,
        context: &mut Context<'_>,
    ) -> Poll<Result<Vec<u8>, NotComputed>> {
        let computation = self
            .begun
            .entry(algorithm)
            .or_insert_with(|| Computation::Running(self.hasher.begin(algorithm, bytes.clone())));
        let done = match computation {
            Computation::Done(done) => return Poll::Ready(done.clone()),
            Computation::Running(task) => match Pin::new(task).poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Some(digest))) => Ok(digest),
                Poll::Ready(Ok(None) | Err(_)) => Err(NotComputed),
            },
        };
        *computation = Computation::Done(done.clone());
        Poll::Ready(done)
    }
}

impl Drop for Digests {
    fn drop(&mut self) {
        for computation in self.begun.values() {
            if let Computation::Running(task) = computation {
                task.abort();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    const ALL: [DigestAlgorithm; 4] = [
        DigestAlgorithm::Sha256,
        DigestAlgorithm::Crc64Nvme,
        DigestAlgorithm::Crc32c,
        DigestAlgorithm::Crc32,
    ];

    async fn digest(digests: &mut Digests, algorithm: DigestAlgorithm, bytes: &Bytes) -> Vec<u8> {
        poll_fn(|context| digests.poll(algorithm, bytes, context))
            .await
            .unwrap()
    }

    /// Check values of the CRC catalogue, and of `printf 123456789 | sha256sum`.
    #[tokio::test]
    async fn known_values_are_computed_whether_begun_early_or_late() {
        let bytes = Bytes::from_static(b"123456789");
        let known = [
            (
                DigestAlgorithm::Sha256,
                "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
            ),
            (DigestAlgorithm::Crc64Nvme, "ae8b14860a799888"),
            (DigestAlgorithm::Crc32c, "e3069283"),
            (DigestAlgorithm::Crc32, "cbf43926"),
        ];
        for is_begun in [false, true] {
            let mut digests = Digests::none(Hasher::new(Handle::current()));
            if is_begun {
                ALL.iter().for_each(|known| digests.begin(*known, &bytes));
            }
            for (algorithm, expected) in known.iter().chain(&known) {
                let computed = digest(&mut digests, *algorithm, &bytes).await;
                assert_eq!(crate::plugin::hex(&computed), *expected, "{algorithm:?}");
            }
        }
    }

    /// A session that asks for very much waits for its own turns, and its abandoned digests are not computed.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_session_cannot_keep_another_from_computing() {
        let large = Bytes::from(vec![7; 16 << 20]);
        let greedy = Hasher::new(Handle::current());
        let mut flood: Vec<Digests> = (0..500).map(|_| Digests::none(greedy.clone())).collect();
        for digests in &mut flood {
            ALL.iter().for_each(|known| digests.begin(*known, &large));
        }
        let honest = async {
            let mut digests = Digests::none(Hasher::new(Handle::current()));
            digest(&mut digests, DigestAlgorithm::Sha256, &large).await
        };
        tokio::time::timeout(Duration::from_secs(5), honest)
            .await
            .expect("computed among the flood");
        drop(flood);
        let free = greedy.turns.acquire_many(DIGESTS_PER_SESSION as u32);
        let free = tokio::time::timeout(Duration::from_secs(5), free).await;
        assert!(free.is_ok_and(|turns| turns.is_ok()), "abandoned with it");
    }
}
