//! The `http` capability: payloads, exchanges and the window of requests in progress, each inside its limit. Every
//! request is checked against the run's grants here, before anything is spawned.

mod carry;
mod digest;
mod event;
mod headers;
mod holding;
mod opened;
mod reason;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use batch_export_system::Budget;
use batch_export_system::explain::{Cause, Explain, count};
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::network::{Labels, Network, NetworkError};
use super::redact::Redactor;
use crate::egress::{Grants, RequestHead};
use crate::limits::HttpLimits;
use digest::{Digests, Hasher};
use event::Teller;
pub use event::{Event, EventKind, Observer};
use holding::{Exceeded, Held, Holding};
pub use opened::Opened;
pub(crate) use reason::{Way, classify};

pub(crate) use digest::{DigestAlgorithm, NotComputed};

/// A request as the guest writes it.
#[derive(Debug)]
pub struct Request {
    /// Its method.
    pub method: http::Method,
    /// Absolute, percent-encoded.
    pub url: String,
    /// In order.
    pub headers: Vec<(String, String)>,
    /// The body; empty means no body.
    pub body: Bytes,
    /// Back-off before sending.
    pub delay: Duration,
    /// From sending to the last byte of the response.
    pub timeout: Duration,
}

/// A complete response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    /// The status code.
    pub(crate) status: u16,
    /// Names in lower case; values that are not UTF-8 are omitted.
    pub(crate) headers: Vec<(String, String)>,
    /// Of the announced length.
    pub(crate) body: Bytes,
}

/// The reasons why there is no response; the cases are the contract's. Each says what happened and, where the host
/// knows it, what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Grants or limits forbid the request.
    #[error("{0}")]
    Forbidden(Cause),
    /// Nothing was sent.
    #[error("{0}")]
    Connect(Cause),
    /// TLS failed.
    #[error("{0}")]
    Tls(Cause),
    /// No complete response in time; the request may have taken effect.
    #[error("{0}")]
    Timeout(Cause),
    /// The connection ended early; the request may have taken effect.
    #[error("{0}")]
    Interrupted(Cause),
    /// The response is larger than the limit.
    #[error("{0}")]
    TooLarge(Cause),
}

impl TransportError {
    /// Returns what happened and what to do about it.
    pub fn cause(&self) -> &Cause {
        match self {
            TransportError::Forbidden(cause)
            | TransportError::Connect(cause)
            | TransportError::Tls(cause)
            | TransportError::Timeout(cause)
            | TransportError::Interrupted(cause)
            | TransportError::TooLarge(cause) => cause,
        }
    }

    /// Returns the same without secrets, which neither of the two texts may repeat.
    fn hidden(mut self, redactor: &Redactor) -> Self {
        match &mut self {
            TransportError::Forbidden(cause)
            | TransportError::Connect(cause)
            | TransportError::Tls(cause)
            | TransportError::Timeout(cause)
            | TransportError::Interrupted(cause)
            | TransportError::TooLarge(cause) => *cause = cause.clone().each(|text| redactor.text(text)),
        }
        self
    }
}

impl Explain for TransportError {
    fn hint(&self) -> Option<String> {
        self.cause().hint()
    }
}

/// What a session has sent so far. Shared: readable while the session runs.
#[derive(Debug)]
pub struct Traffic {
    requests: AtomicU64,
    body_bytes_sent: AtomicU64,
    in_flight: AtomicUsize,
    payloads: Arc<Budget>,
    responses: Arc<Budget>,
    events: AtomicU64,
}

impl Traffic {
    fn within(limits: &HttpLimits) -> Self {
        Traffic {
            requests: AtomicU64::new(0),
            body_bytes_sent: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            payloads: Budget::new(limits.payloads_held_bytes),
            responses: Budget::new(limits.responses_held_bytes),
            events: AtomicU64::new(0),
        }
    }

    /// Returns what the session holds in responses, and the most that it ever did.
    pub fn responses(&self) -> &Budget {
        &self.responses
    }

    /// Requests that the guest made, refused ones included.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Bytes of bodies handed to the network.
    pub fn body_bytes_sent(&self) -> u64 {
        self.body_bytes_sent.load(Ordering::Relaxed)
    }
}

/// The `Date` header of the last response, and when it came.
pub(crate) type ServerDate = Arc<Mutex<Option<(SystemTime, SystemTime)>>>;

/// Bytes that the host holds for request bodies, and what it computes of them.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings name it as public")]
pub struct Payload {
    bytes: Bytes,
    digests: Digests,
}

impl Payload {
    pub(crate) fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    /// Ready once the digest is computed.
    pub(crate) fn poll_digest(
        &mut self,
        algorithm: DigestAlgorithm,
        context: &mut Context<'_>,
    ) -> Poll<Result<Vec<u8>, NotComputed>> {
        self.digests.poll(algorithm, &self.bytes, context)
    }
}

/// Why a payload is refused; the contract has no case for either, so the instance ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PayloadRefused {
    /// It would be more than the session may hold.
    OverLimit(String),
    /// It would be more than all sessions of this host may hold: another time there is room.
    Crowded,
}

/// A request in progress. Dropping it cancels it.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings name it as public")]
pub struct Exchange(State);

#[derive(Debug)]
enum State {
    Pending(JoinHandle<Result<Response, TransportError>>),
    Ready(Result<Response, TransportError>),
    Taken,
}

impl Exchange {
    /// Is ready once the response or its error is there.
    pub(crate) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let State::Pending(task) = &mut self.0 else {
            return Poll::Ready(());
        };
        let ended = match std::pin::Pin::new(task).poll(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(ended) => ended,
        };
        self.0 = State::Ready(ended.unwrap_or_else(|e| {
            let cause = Cause::new(format!("the request's task ended without a response ({e})"));
            Err(TransportError::Interrupted(cause.with_hint("report it")))
        }));
        Poll::Ready(())
    }

    /// Returns the response, once; asked for again, or before it is ready, it is `forbidden`.
    pub(crate) fn take(&mut self) -> Result<Response, TransportError> {
        match std::mem::replace(&mut self.0, State::Taken) {
            State::Ready(answer) => answer,
            State::Pending(task) => {
                task.abort();
                Err(TransportError::Forbidden("the response is not there yet".into()))
            }
            State::Taken => Err(TransportError::Forbidden(
                "the response of this exchange was already taken".into(),
            )),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let State::Pending(task) = &self.0 {
            task.abort();
        }
    }
}

/// One session's HTTP.
pub(crate) struct Http {
    client: reqwest::Client,
    grants: Grants,
    limits: HttpLimits,
    runtime: Handle,
    hasher: Hasher,
    labels: Labels,
    /// Hides secrets in all that comes back; the session's signer tells it of further ones.
    redactor: Redactor,
    /// What all sessions may hold together.
    memory: Arc<Budget>,
    traffic: Arc<Traffic>,
    server_date: ServerDate,
    observer: Option<Observer>,
}

impl Http {
    pub(crate) fn new(
        network: &Network,
        grants: Grants,
        limits: HttpLimits,
        runtime: Handle,
        memory: Arc<Budget>,
        observer: Option<Observer>,
    ) -> Result<Self, NetworkError> {
        Ok(Http {
            client: network.client(&grants)?,
            labels: network.labels(),
            redactor: Redactor::of(network.proxy_secrets()),
            grants,
            traffic: Arc::new(Traffic::within(&limits)),
            limits,
            hasher: Hasher::new(runtime.clone()),
            runtime,
            memory,
            server_date: Arc::default(),
            observer,
        })
    }

    pub(crate) fn with_observer(self, observer: Observer) -> Self {
        Http {
            observer: Some(observer),
            ..self
        }
    }

    pub(crate) fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    pub(crate) fn server_date(&self) -> ServerDate {
        Arc::clone(&self.server_date)
    }

    /// Hides the session's secrets; for its signer, and for texts that repeat what came back.
    pub(crate) fn redactor(&self) -> Redactor {
        self.redactor.clone()
    }

    /// Takes bytes over without a further copy, and begins to compute these digests of them.
    pub(crate) fn payload(
        &self,
        bytes: Vec<u8>,
        digests: impl IntoIterator<Item = DigestAlgorithm>,
    ) -> Result<Payload, PayloadRefused> {
        let limit = self.limits.payload_bytes;
        if bytes.len() > limit {
            return Err(PayloadRefused::OverLimit(format!(
                "a payload of {} bytes, the limit is {} (`payload_bytes`)",
                count(bytes.len() as u64),
                count(limit as u64)
            )));
        }
        let payloads = &self.traffic.payloads;
        let mut holding = Holding::none(payloads, &self.memory);
        match holding.grow(bytes.len()) {
            Ok(()) => {
                let bytes = Bytes::from_owner(Held {
                    bytes,
                    _holding: holding,
                });
                let mut begun = Digests::none(self.hasher.clone());
                for algorithm in digests {
                    begun.begin(algorithm, &bytes);
                }
                Ok(Payload { bytes, digests: begun })
            }
            Err(Exceeded::Session) => Err(PayloadRefused::OverLimit(format!(
                "payloads of {} bytes held at once, the limit is {} (`payloads_held_bytes`)",
                count(payloads.held_bytes().saturating_add(bytes.len()) as u64),
                count(payloads.limit_bytes() as u64)
            ))),
            Err(Exceeded::Process) => Err(PayloadRefused::Crowded),
        }
    }

    /// Starts a request; a refusal is its result.
    pub(crate) fn send(&self, request: Request) -> Exchange {
        let number = self.traffic.requests.fetch_add(1, Ordering::Relaxed);
        match self.prepare(request, number) {
            Ok(task) => Exchange(State::Pending(self.runtime.spawn(task.run()))),
            Err(error) => Exchange(State::Ready(Err(error))),
        }
    }

    /// Sends a request of the host's own, through the very checks that a guest's goes through. The response's body is
    /// left to be read piece by piece.
    pub(crate) async fn open(&self, request: Request) -> Result<Opened, TransportError> {
        let number = self.traffic.requests.fetch_add(1, Ordering::Relaxed);
        self.prepare(request, number)?.open().await
    }

    /// Makes every check that needs no network.
    fn prepare(&self, request: Request, number: u64) -> Result<carry::Task, TransportError> {
        let limits = &self.limits;
        if number >= limits.requests {
            let made = format!(
                "the run has made {} requests, its limit (`requests`)",
                count(limits.requests)
            );
            let cause = Cause::new(made).with_hint("export shorter intervals, or larger files and parts");
            return Err(TransportError::Forbidden(cause));
        }
        if request.url.len() > limits.url_bytes {
            let message = format!(
                "the URL has {} bytes, the limit is {}",
                count(request.url.len() as u64),
                count(limits.url_bytes as u64)
            );
            return Err(TransportError::Forbidden(message.into()));
        }
        let refused = |message: String| TransportError::Forbidden(message.into());
        let headers = headers::parse(&request.headers, limits).map_err(refused)?;
        let (url, operation) = self
            .grants
            .check(&RequestHead {
                method: &request.method,
                url: &request.url,
                headers: &headers,
            })
            .map_err(|e| TransportError::Forbidden(Cause::of(&e)))?;
        let slot = InFlight::take(&self.traffic, limits.in_flight).ok_or_else(|| {
            let flying = format!(
                "{} requests are in flight already, the limit (`in_flight`)",
                limits.in_flight
            );
            let hint = "raise `requests_in_flight` in the destination's `limits`";
            TransportError::Forbidden(Cause::new(flying).with_hint(hint))
        })?;
        Ok(carry::Task {
            client: self.client.clone(),
            redactor: self.redactor.for_request(&headers),
            operation: operation.to_owned(),
            method: request.method,
            url,
            headers,
            body: request.body,
            delay: with_jitter(request.delay.min(limits.delay)),
            timeout: request.timeout.min(limits.timeout),
            body_limit_bytes: limits.response_body_bytes,
            header_limit_bytes: limits.response_header_bytes,
            holding: Holding::none(&self.traffic.responses, &self.memory),
            labels: self.labels.clone(),
            server_date: self.server_date(),
            teller: Teller::new(number, self.traffic(), self.observer.clone()),
            _slot: slot,
        })
    }
}

/// A place among the requests in progress, given back when dropped.
struct InFlight(Arc<Traffic>);

impl InFlight {
    fn take(traffic: &Arc<Traffic>, limit: usize) -> Option<Self> {
        traffic
            .in_flight
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                (now < limit).then_some(now + 1)
            })
            .ok()
            .map(|_| InFlight(Arc::clone(traffic)))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Returns a delay and up to a quarter more, so that many runs do not come back at the same moment.
fn with_jitter(delay: Duration) -> Duration {
    const QUARTER: f64 = 0.25;
    delay + delay.mul_f64(QUARTER * fastrand::f64())
}

fn remember_date(server_date: &ServerDate, headers: &http::HeaderMap) {
    let date = headers
        .get(http::header::DATE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| httpdate::parse_http_date(text).ok());
    if let Some(date) = date {
        *server_date.lock().unwrap_or_else(PoisonError::into_inner) = Some((date, SystemTime::now()));
    }
}
