//! What happens to requests, for whoever observes a session. Changes nothing about them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Traffic, TransportError};

/// What an observer is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Position among all events of the session, from 0.
    pub sequence: u64,
    /// The request's number in the session, from 0 in the order of `send`.
    pub request: u64,
    /// What happened.
    pub kind: EventKind,
}

/// What happened to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// It leaves (any delay is over).
    Sent {
        /// What the grant that covers it calls it, such as `UploadPart`.
        operation: String,
        /// The host and, unless it is the scheme's own, the port that it goes to.
        host: String,
        /// Its method.
        method: http::Method,
        /// Its path, without the query.
        path: String,
        /// Bytes of its body.
        body_bytes: usize,
    },
    /// Its response is complete.
    Responded {
        /// The status code.
        status: u16,
    },
    /// There is no response.
    Failed {
        /// Why.
        error: TransportError,
    },
    /// Nobody waits for its response any more.
    Cancelled,
}

/// Receives events on the runtime's threads; it should be quick.
pub type Observer = Arc<dyn Fn(&Event) + Send + Sync>;

/// Counts what leaves and tells the observer.
pub(super) struct Teller {
    number: u64,
    traffic: Arc<Traffic>,
    observer: Option<Observer>,
    /// It was sent, and how it ended is not told yet.
    is_open: AtomicBool,
}

impl Drop for Teller {
    fn drop(&mut self) {
        if self.is_open.load(Ordering::Relaxed) {
            self.tell(EventKind::Cancelled);
        }
    }
}

impl Teller {
    pub(super) fn new(number: u64, traffic: Arc<Traffic>, observer: Option<Observer>) -> Self {
        Teller {
            number,
            traffic,
            observer,
            is_open: AtomicBool::new(false),
        }
    }

    pub(super) fn tell(&self, kind: EventKind) {
        let is_open = matches!(kind, EventKind::Sent { .. });
        self.is_open.store(is_open, Ordering::Relaxed);
        if let EventKind::Sent { body_bytes, .. } = &kind {
            let bytes = u64::try_from(*body_bytes).unwrap_or(u64::MAX);
            self.traffic.body_bytes_sent.fetch_add(bytes, Ordering::Relaxed);
        }
        let sequence = self.traffic.events.fetch_add(1, Ordering::AcqRel);
        if let Some(observer) = &self.observer {
            observer(&Event {
                sequence,
                request: self.number,
                kind,
            });
        }
    }
}
