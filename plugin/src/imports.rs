//! What the host provides, with one method per WIT import. The bindings implement it for the component, the simulator
//! for tests; nothing here decides anything.

use std::fmt;

use crate::failure::Explanation;

/// The `http.method` of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    Get,
    Head,
    Put,
    Post,
    Delete,
}

impl Method {
    /// Returns its name in a request line and in a canonical request.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Put => "PUT",
            Method::Post => "POST",
            Method::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request for the host to send.
#[derive(Debug)]
pub struct Request<'a, P> {
    pub method: Method,
    /// Absolute and already percent-encoded.
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<&'a P>,
    pub delay_ms: u32,
    pub timeout_ms: u32,
}

/// A response, whatever its status.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// Returns the first header with that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// The reasons why there is no response; the cases and their meaning are the contract's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransportError {
    Forbidden(Explanation),
    Connect(Explanation),
    Tls(Explanation),
    Timeout(Explanation),
    Interrupted(Explanation),
    TooLarge(Explanation),
}

/// A digest that the host can compute of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestAlgorithm {
    Sha256,
    Crc64Nvme,
    Crc32c,
    Crc32,
}

/// What the plugin learned about its last key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    None,
    Expired,
    Skewed,
}

/// A SigV4 key for one date, region and service.
#[derive(Clone)]
pub struct ScopedKey {
    pub access_key_id: String,
    pub session_token: Option<String>,
    /// Seconds since the Unix epoch.
    pub timestamp: i64,
    pub key: Vec<u8>,
}

impl fmt::Debug for ScopedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedKey")
            .field("access_key_id", &self.access_key_id)
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}

/// The reasons why there is no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignerError {
    Forbidden(Explanation),
    Missing(Explanation),
    Unavailable(Explanation),
}

/// Why a note was not kept; the cases and their meaning are the contract's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoteError {
    TooLong(Explanation),
    UsedUp(Explanation),
    Unavailable(Explanation),
}

impl NoteError {
    /// Returns the host's explanation.
    pub fn explanation(&self) -> &Explanation {
        match self {
            NoteError::TooLong(said) | NoteError::UsedUp(said) | NoteError::Unavailable(said) => said,
        }
    }
}

/// The importance of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// The host's side of the contract. Methods take `&self`: one instance, one thread, and implementations keep what
/// they need behind cells.
pub trait Imports {
    /// Bytes the host holds for request bodies.
    type Payload;
    /// A request in progress; dropping it cancels it.
    type Exchange;

    /// `http.payload`: hands bytes over, one copy; the host begins to compute these digests.
    fn payload(&self, bytes: Vec<u8>, digests: &[DigestAlgorithm]) -> Self::Payload;
    /// `payload.digest`: waits until it is computed. CRCs are big-endian.
    fn digest(&self, payload: &Self::Payload, algorithm: DigestAlgorithm) -> Vec<u8>;
    /// `http.send`: starts a request and returns at once.
    fn send(&self, request: Request<'_, Self::Payload>) -> Self::Exchange;
    /// `exchange.wait`: blocks until the response is there.
    fn wait(&self, exchange: Self::Exchange) -> Result<Response, TransportError>;
    /// `http.wait-any`: blocks until one is ready and return its index. Never called with an empty slice.
    fn wait_any(&self, exchanges: &[&Self::Exchange]) -> usize;
    /// `signer.scoped-key`.
    fn scoped_key(&self, service: &str, region: &str, refresh: Refresh) -> Result<ScopedKey, SignerError>;
    /// `journal.note`: a durable one is on stable storage when this returns.
    fn note(&self, note: &[u8], durable: bool) -> Result<(), NoteError>;
    /// `log.write`.
    fn log(&self, level: Level, message: &str);
}
