//! Requests in flight: starts them without waiting, retries those worth retrying from the payload that the host holds,
//! and delivers each response to its caller. Knows nothing about parts, files or their order.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::imports::{Imports, Refresh, Request, Response, ScopedKey, SignerError, TransportError};
use crate::s3::body::Body;
use crate::s3::error::{Cause, Class, S3Error};
use crate::s3::fingerprint::Fingerprint;
use crate::s3::reply::{self, FromReply, Reply};
use crate::s3::request::{Operation, Target, Unsigned};
use crate::s3::retry::{self, Decision};
use crate::s3::sign::{self, PayloadHash};

/// Maximum number of requests started before the first of them has a response: enough that small files and looks at
/// many keys do not wait for each other's round trips. How many bytes they carry is bounded by
/// [`Client::with_window_bytes`].
pub const WINDOW_REQUESTS: usize = 16;
/// Requests in flight at once: the window, and one that limits the time of [`Client::drain`].
pub const REQUESTS_IN_FLIGHT: usize = WINDOW_REQUESTS + 1;
/// Maximum time for one request: four parts of 32 MiB that share a 2 Mbit/s line, or the minutes that S3 may take to
/// complete an upload of many parts.
const REQUEST_TIMEOUT_MS: u32 = 600_000;
/// How long to wait for the responses to writes when the run is given up: a store that responds at all will have done
/// so.
const DRAIN_MS: u32 = 10_000;

/// A request that was started; its outcome can be taken once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// The outcome of a request, including retries.
#[derive(Debug)]
pub struct Outcome<T> {
    pub result: Result<T, S3Error>,
    /// Whether an attempt may have taken effect although its response was lost or an error.
    pub doubtful: bool,
    /// The checksum of the data that it carried.
    pub fingerprint: Fingerprint,
}

/// A request that has ended, until its caller takes the outcome.
struct Ended {
    operation: Operation,
    outcome: Outcome<Reply>,
}

/// The number of requests made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Including retries.
    pub requests: u64,
    pub retries: u64,
}

/// All requests of one instance.
pub struct Client<I: Imports> {
    imports: Rc<I>,
    target: Target,
    /// The request that was started last, if the host is still computing what its signature needs.
    prepared: Option<Prepared<I>>,
    in_flight: Vec<InFlight<I>>,
    ended: BTreeMap<Ticket, Ended>,
    next_ticket: u64,
    counts: Counts,
    taken: u64,
    saw_damage: bool,
    /// Whether any response was one that only an S3 store would give.
    saw_s3: bool,
    max_attempts: u32,
    timeout_ms: u32,
    window_bytes: u64,
}

struct Prepared<I: Imports> {
    ticket: Ticket,
    operation: Operation,
    body: Body<I::Payload>,
}

struct InFlight<I: Imports> {
    ticket: Ticket,
    job: Job<I>,
    exchange: I::Exchange,
}

/// A request with everything that its retries need.
struct Job<I: Imports> {
    operation: Operation,
    body: Body<I::Payload>,
    payload_hash: PayloadHash,
    fingerprint: Fingerprint,
    attempts: u32,
    refreshed: bool,
    clock_corrected: bool,
    /// Whether a response did not come from S3, and the request was sent again to see whether the next one does.
    confirming: bool,
    doubtful: bool,
    /// Access key and session token of the last attempt, to see whether the host has newer ones.
    signed_as: (String, Option<String>),
}

impl<I: Imports> Client<I> {
    /// Makes a client without requests.
    pub fn new(imports: Rc<I>, target: Target) -> Self {
        Client {
            imports,
            target,
            prepared: None,
            in_flight: Vec::with_capacity(REQUESTS_IN_FLIGHT),
            ended: BTreeMap::new(),
            next_ticket: 0,
            counts: Counts::default(),
            taken: 0,
            saw_damage: false,
            saw_s3: false,
            max_attempts: retry::MAX_ATTEMPTS,
            timeout_ms: REQUEST_TIMEOUT_MS,
            window_bytes: u64::MAX,
        }
    }

    /// Starts a request that carries data only while those in flight carry no more than this with it: the host holds
    /// what they carry. A request that is larger by itself is sent alone.
    pub fn with_window_bytes(mut self, window_bytes: u64) -> Self {
        self.window_bytes = window_bytes;
        self
    }

    /// Sends each request at most this many times instead of [`retry::MAX_ATTEMPTS`], and waits this long for each
    /// response.
    pub fn with_patience(mut self, max_attempts: u32, timeout_ms: u32) -> Self {
        self.max_attempts = max_attempts;
        self.timeout_ms = timeout_ms;
        self
    }

    /// Returns the host's side.
    pub fn imports(&self) -> &I {
        &self.imports
    }

    /// Returns where requests are sent.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Returns the number of requests made so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Starts a request. Returns at once unless the window is full, in requests or in bytes: then it waits for
    /// responses that need no retry. An empty body means no body. Where the signature needs digests of the body, the
    /// host computes them while the caller continues, and the request is sent when the next one is started, when one is
    /// waited for, or by [`Client::send_prepared`].
    pub fn start(&mut self, operation: Operation, body: Vec<u8>) -> Ticket {
        self.send_prepared();
        while self.is_full(body.len() as u64) {
            self.progress();
        }
        let ticket = self.new_ticket();
        let body = Body::new(&*self.imports, &self.target, operation.carries_data(), body);
        let is_ready = body.is_ready();
        self.prepared = Some(Prepared {
            ticket,
            operation,
            body,
        });
        if is_ready {
            self.send_prepared();
        }
        ticket
    }

    /// Whether a request with a body of this size has to wait.
    fn is_full(&self, bytes: u64) -> bool {
        let carried: u64 = self.in_flight.iter().map(|flight| flight.job.body.bytes()).sum();
        let too_much = bytes > 0 && carried > 0 && carried.saturating_add(bytes) > self.window_bytes;
        too_much || self.in_flight.len() >= WINDOW_REQUESTS
    }

    /// Sends the request that was started last, if it is waiting for digests, for a caller that will be busy for a
    /// while.
    pub fn send_prepared(&mut self) {
        let Some(Prepared {
            ticket,
            operation,
            body,
        }) = self.prepared.take()
        else {
            return;
        };
        let job = self.job(operation, body);
        self.send(ticket, job, 0, Refresh::None);
    }

    fn new_ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        ticket
    }

    fn job(&self, operation: Operation, body: Body<I::Payload>) -> Job<I> {
        Job {
            operation,
            payload_hash: body.hash(&*self.imports),
            fingerprint: body.fingerprint(&*self.imports),
            body,
            attempts: 0,
            refreshed: false,
            clock_corrected: false,
            confirming: false,
            doubtful: false,
            signed_as: (String::new(), None),
        }
    }

    /// Returns the fingerprints of data that is not sent.
    pub fn fingerprint(&self, data: Vec<u8>) -> Fingerprint {
        Body::fingerprint_of(&*self.imports, &self.target.object, data)
    }

    /// Takes the outcome if it is available; never waits. A caller that takes the reply as a type other than its
    /// operation's gets an error, which is a defect.
    pub fn take<T: FromReply>(&mut self, ticket: Ticket) -> Option<Outcome<T>> {
        let Ended { operation, outcome } = self.ended.remove(&ticket)?;
        self.taken += 1;
        let result = outcome.result.and_then(|reply| {
            T::from_reply(reply).ok_or_else(|| self.defect(&operation, "its reply was read as another operation's"))
        });
        Some(Outcome {
            result,
            doubtful: outcome.doubtful,
            fingerprint: outcome.fingerprint,
        })
    }

    /// Returns the number of outcomes taken so far.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Returns whether any response, even to a request retried since, said that the store keeps different bytes than
    /// were sent.
    pub fn saw_damage(&self) -> bool {
        self.saw_damage
    }

    /// Waits until some request in flight has a response, and retries or ends it. Returns false if nothing is in
    /// flight.
    pub fn progress(&mut self) -> bool {
        self.send_prepared();
        if self.in_flight.is_empty() {
            return false;
        }
        let index = {
            let exchanges: Vec<&I::Exchange> = self.in_flight.iter().map(|flight| &flight.exchange).collect();
            self.imports.wait_any(&exchanges)
        };
        // The index comes from outside; any request is accepted, because waiting for one is always right.
        let flight = self.in_flight.remove(index.min(self.in_flight.len() - 1));
        let outcome = self.imports.wait(flight.exchange);
        self.take_in(flight.ticket, flight.job, outcome);
        true
    }

    /// Waits for the outcome; `None` if it was already taken.
    fn wait<T: FromReply>(&mut self, ticket: Ticket) -> Option<Outcome<T>> {
        self.send_prepared();
        loop {
            if let Some(outcome) = self.take(ticket) {
                return Some(outcome);
            }
            if !self.in_flight.iter().any(|flight| flight.ticket == ticket) {
                return None;
            }
            self.progress();
        }
    }

    /// Starts a request and waits for its outcome.
    pub fn call<T: FromReply>(&mut self, operation: Operation, body: Vec<u8>) -> Outcome<T> {
        let ticket = self.start(operation.clone(), body);
        self.outcome(&operation, ticket)
    }

    /// Waits for the outcome of an operation; taking it twice is a defect.
    pub fn outcome<T: FromReply>(&mut self, operation: &Operation, ticket: Ticket) -> Outcome<T> {
        match self.wait(ticket) {
            Some(outcome) => outcome,
            None => Outcome {
                result: Err(self.defect(operation, "its outcome was taken twice")),
                doubtful: true,
                fingerprint: Fingerprint::None,
            },
        }
    }

    /// Forgets every request: those in flight are cancelled, but may take effect.
    pub fn cancel_all(&mut self) {
        self.prepared = None;
        self.ended.clear();
        self.in_flight.clear();
    }

    /// Gives up every request but the writes of whole objects, and waits for the responses to those, at most
    /// `DRAIN_MS`: they show what the store keeps. None is retried; their outcomes can be taken.
    pub fn drain(&mut self) {
        self.prepared = None;
        self.in_flight.retain(|flight| flight.job.operation.makes_object());
        let Some(flight) = self.in_flight.first() else {
            return;
        };
        // The only clock is the delay of a request, which is not sent if the others have responded in the meantime.
        let look = Operation::HeadObject {
            key: flight.job.operation.key().to_owned(),
        };
        let body = Body::new(&*self.imports, &self.target, false, Vec::new());
        let (timer, job) = (self.new_ticket(), self.job(look, body));
        self.send(timer, job, DRAIN_MS, Refresh::None);
        let max_attempts = std::mem::replace(&mut self.max_attempts, 0);
        while self.in_flight.len() > 1 && self.in_flight.iter().any(|flight| flight.ticket == timer) {
            self.progress();
        }
        self.max_attempts = max_attempts;
        self.in_flight.clear();
    }

    /// Forgets a request: one in flight is cancelled, but may take effect.
    pub fn cancel(&mut self, ticket: Ticket) {
        self.prepared.take_if(|prepared| prepared.ticket == ticket);
        self.ended.remove(&ticket);
        self.in_flight.retain(|flight| flight.ticket != ticket);
    }

    fn take_in(&mut self, ticket: Ticket, mut job: Job<I>, outcome: Result<Response, TransportError>) {
        let read = match &outcome {
            Ok(response) => reply::read(&job.operation, job.fingerprint.checksum(), response),
            Err(error) => Err(Cause::Transport(error.clone())),
        };
        self.saw_s3 |= outcome.as_ref().is_ok_and(|response| reply::is_s3(&read, response));
        let cause = match read {
            Ok(reply) => return self.end(ticket, job, Ok(reply)),
            Err(cause) => cause,
        };
        job.doubtful |= cause.may_have_taken_effect();
        self.saw_damage |= matches!(cause, Cause::Damaged { .. });
        let mut decision = match retry::decide(&cause) {
            // A proxy may respond in place of a store for a moment; a store that was never there does not come back.
            Decision::Confirm if self.saw_s3 => Decision::Retry,
            decision => decision,
        };
        let refresh = match decision {
            Decision::Refuse | Decision::GiveUp => None,
            Decision::RefreshCredentials if job.refreshed => None,
            Decision::CorrectClock if job.clock_corrected => None,
            Decision::Confirm if job.confirming => None,
            _ if job.attempts >= self.max_attempts => {
                // What has not been repaired yet is not refused permanently.
                decision = Decision::GiveUp;
                None
            }
            Decision::Retry => Some(Refresh::None),
            Decision::Confirm => {
                job.confirming = true;
                Some(Refresh::None)
            }
            Decision::RefreshCredentials => {
                job.refreshed = true;
                Some(Refresh::Expired)
            }
            Decision::CorrectClock => {
                job.clock_corrected = true;
                Some(Refresh::Skewed)
            }
        };
        match refresh {
            Some(refresh) => {
                let delay_ms = match refresh {
                    Refresh::None => retry::delay_ms(job.attempts, &cause),
                    Refresh::Expired | Refresh::Skewed => 0,
                };
                self.send(ticket, job, delay_ms, refresh);
            }
            None => {
                let error = self.error(&job.operation, cause, job.attempts, decision, job.doubtful);
                self.end(ticket, job, Err(error));
            }
        }
    }

    fn end(&mut self, ticket: Ticket, job: Job<I>, result: Result<Reply, S3Error>) {
        let ended = Ended {
            operation: job.operation,
            outcome: Outcome {
                result,
                doubtful: job.doubtful,
                fingerprint: job.fingerprint,
            },
        };
        self.ended.insert(ticket, ended);
    }

    /// Signs and sends a request; one that cannot be signed has failed.
    fn send(&mut self, ticket: Ticket, mut job: Job<I>, delay_ms: u32, refresh: Refresh) {
        let unsigned = Unsigned::new(&self.target, &job.operation, job.fingerprint.checksum());
        let signed = self.key(&job, refresh).map_err(Cause::Signer).and_then(|key| {
            let headers = sign::sign(&unsigned, &job.payload_hash, &self.target.region, &key)
                .map_err(|error| Cause::Defect(format!("the host's signing key is not usable: {error}")))?;
            Ok((headers, (key.access_key_id, key.session_token)))
        });
        let (headers, signed_as) = match signed {
            Ok(signed) => signed,
            Err(cause) => {
                let decision = retry::decide(&cause);
                let error = self.error(&job.operation, cause, job.attempts, decision, job.doubtful);
                return self.end(ticket, job, Err(error));
            }
        };
        job.signed_as = signed_as;
        job.attempts += 1;
        self.counts.requests += 1;
        self.counts.retries += u64::from(job.attempts > 1);
        let exchange = self.imports.send(Request {
            method: unsigned.method,
            url: unsigned.url,
            headers,
            body: job.body.payload(),
            delay_ms,
            timeout_ms: self.timeout_ms(),
        });
        self.in_flight.push(InFlight { ticket, job, exchange });
    }

    /// Returns the time for a request, which may not take longer than the whole run.
    fn timeout_ms(&self) -> u32 {
        let run_ms = self
            .target
            .time_limit_seconds
            .map_or(u32::MAX, |seconds| seconds.saturating_mul(1_000));
        self.timeout_ms.min(run_ms)
    }

    /// Returns the key to sign with. Several requests in flight may notice the same expiry: only the first asks for new
    /// credentials, the others find that the host already has them.
    fn key(&self, job: &Job<I>, refresh: Refresh) -> Result<ScopedKey, SignerError> {
        let ask = |refresh| self.imports.scoped_key(sign::SERVICE, &self.target.region, refresh);
        if refresh != Refresh::Expired {
            return ask(refresh);
        }
        let current = ask(Refresh::None)?;
        if (&current.access_key_id, &current.session_token) != (&job.signed_as.0, &job.signed_as.1) {
            return Ok(current);
        }
        ask(Refresh::Expired)
    }

    fn defect(&self, operation: &Operation, what: &str) -> S3Error {
        let cause = Cause::Defect(what.to_owned());
        self.error(operation, cause, 0, Decision::Refuse, true)
    }

    fn error(&self, operation: &Operation, cause: Cause, attempts: u32, decision: Decision, doubtful: bool) -> S3Error {
        let class: Class = retry::class(decision, &cause);
        S3Error {
            operation: operation.kind(),
            origin: self.target.endpoint.origin().into(),
            bucket: self.target.bucket.as_str().into(),
            key: operation.key().to_owned(),
            cause: Box::new(cause),
            attempts,
            class,
            doubtful,
            signed_region: self.target.region.as_str().into(),
            names_owner: self.target.object.expected_bucket_owner.is_some(),
        }
    }
}
