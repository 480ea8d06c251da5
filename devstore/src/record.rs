//! The log of requests in the order they came and were answered; never holds a signature or a token.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::fault::What;
use crate::operation::{Operation, Target};

/// Requests kept; older ones are dropped, so that a long bench does not grow without end.
const REQUESTS_KEPT: usize = 100_000;

/// Headers whose value proves an identity.
const REDACTED: &[&str] = &["authorization", "x-amz-security-token"];

/// A request as it came, and how it was answered. Sequence numbers come from one counter over arrivals and answers,
/// so comparing them shows what was in flight at the same time.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// Stamp taken when the head of the request had arrived; identifies the request.
    pub sequence: u64,
    pub method: String,
    pub operation: Operation,
    pub bucket: Option<String>,
    /// Decoded key.
    pub key: Option<String>,
    /// Path as it was sent, percent-encoded.
    pub path: String,
    /// Query as it was sent, without the question mark.
    pub query: String,
    /// Headers with lower-case names; the values of `authorization` and `x-amz-security-token` are redacted.
    pub headers: Vec<(String, String)>,
    /// Bytes of body that `content-length` declares.
    pub body_bytes: u64,
    /// Stamp taken when the answer was ready; absent while it is not, and for connections cut without an answer.
    pub answered: Option<u64>,
    /// Status of the answer.
    pub status: Option<u16>,
    /// The fault that struck it.
    pub fault: Option<What>,
}

impl RecordedRequest {
    /// Whether both were in flight at some moment.
    pub fn overlaps(&self, other: &Self) -> bool {
        let before = |a: &Self, b: &Self| a.answered.is_some_and(|answered| answered < b.sequence);
        !before(self, other) && !before(other, self)
    }

    /// The value of a header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The log itself.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    requests: VecDeque<RecordedRequest>,
}

impl Entries {
    fn stamp(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl Log {
    /// Notes the arrival; gives the request's sequence number.
    pub fn arrived(&self, request: &http::request::Parts, target: &Target, fault: Option<What>) -> u64 {
        let headers = request.headers.iter().map(|(name, value)| {
            let value = if REDACTED.contains(&name.as_str()) {
                "[redacted]".to_owned()
            } else {
                String::from_utf8_lossy(value.as_bytes()).into_owned()
            };
            (name.as_str().to_owned(), value)
        });
        let length = request.headers.get(http::header::CONTENT_LENGTH);
        let body_bytes = length.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
        let mut entries = self.entries();
        let sequence = entries.stamp();
        if entries.requests.len() == REQUESTS_KEPT {
            entries.requests.pop_front();
        }
        entries.requests.push_back(RecordedRequest {
            sequence,
            method: request.method.to_string(),
            operation: target.operation,
            bucket: target.bucket.clone(),
            key: target.key.clone(),
            path: request.uri.path().to_owned(),
            query: request.uri.query().unwrap_or_default().to_owned(),
            headers: headers.collect(),
            body_bytes,
            answered: None,
            status: None,
            fault,
        });
        sequence
    }

    /// Notes that the answer is ready.
    pub fn answered(&self, sequence: u64, status: u16) {
        let mut entries = self.entries();
        let stamp = entries.stamp();
        // Sequence numbers grow along the queue, so the search is by halves.
        if let Ok(index) = entries
            .requests
            .binary_search_by_key(&sequence, |request| request.sequence)
        {
            entries.requests[index].answered = Some(stamp);
            entries.requests[index].status = Some(status);
        }
    }

    /// All requests kept, in the order of arrival.
    pub fn all(&self) -> Vec<RecordedRequest> {
        self.entries().requests.iter().cloned().collect()
    }

    /// Forgets the requests so far; numbering continues.
    pub fn clear(&self) {
        self.entries().requests.clear();
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
