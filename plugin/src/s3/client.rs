//! Requests in flight: starts them without waiting, repeats those worth it from the payload that the host holds, and
//! hands each answer to whoever asked for it. Knows nothing of parts, files or their order.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::imports::{Imports, Refresh, Request, Response, ScopedKey, SignerError, TransportError};
use crate::s3::body::Body;
use crate::s3::error::{Cause, Class, S3Error};
use crate::s3::fingerprint::Fingerprint;
use crate::s3::reply::{self, Reply};
use crate::s3::request::{Operation, Target, Unsigned};
use crate::s3::retry::{self, Decision};
use crate::s3::sign::{self, PayloadHash};

/// Requests in flight at once: enough to keep a link busy while a part is encoded, and four payloads of host memory.
pub const REQUESTS_IN_FLIGHT: usize = 4;
/// Longest time for one request: four parts of 32 MiB that share a line of 2 Mbit/s, or the minutes that S3 may take
/// to complete an upload of many parts.
const REQUEST_TIMEOUT_MS: u32 = 600_000;

/// A request that was started; its answer is had once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// How a request ended, repetitions included.
#[derive(Debug)]
pub struct Answer {
    pub result: Result<Reply, S3Error>,
    /// An attempt whose answer was lost or an error may have been carried out all the same.
    pub doubtful: bool,
    /// Of the data that it carried.
    pub fingerprint: Fingerprint,
}

/// How many requests were made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// The repeated ones included.
    pub requests: u64,
    pub retries: u64,
}

/// All requests of one instance.
pub struct Client<I: Imports> {
    imports: Rc<I>,
    target: Target,
    /// The request that was started last, where the host is still computing what its signature needs.
    prepared: Option<Prepared<I>>,
    in_flight: Vec<InFlight<I>>,
    answers: BTreeMap<Ticket, Answer>,
    next_ticket: u64,
    counts: Counts,
    taken: u64,
    saw_damage: bool,
    max_attempts: u32,
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

/// A request with all that its repetitions need.
struct Job<I: Imports> {
    operation: Operation,
    body: Body<I::Payload>,
    payload_hash: PayloadHash,
    fingerprint: Fingerprint,
    attempts: u32,
    refreshed: bool,
    clock_corrected: bool,
    doubtful: bool,
    /// Access key and session token of the last attempt, to tell whether the host has newer ones by now.
    signed_as: (String, Option<String>),
}

impl<I: Imports> Client<I> {
    /// A client without requests.
    pub fn new(imports: Rc<I>, target: Target) -> Self {
        Client {
            imports,
            target,
            prepared: None,
            in_flight: Vec::with_capacity(REQUESTS_IN_FLIGHT),
            answers: BTreeMap::new(),
            next_ticket: 0,
            counts: Counts::default(),
            taken: 0,
            saw_damage: false,
            max_attempts: retry::MAX_ATTEMPTS,
        }
    }

    /// Send each request at most that often, rather than [`retry::MAX_ATTEMPTS`] times.
    pub fn with_max_attempts(mut self, max_attempts: u32) -> Self {
        self.max_attempts = max_attempts;
        self
    }

    /// The host's side.
    pub fn imports(&self) -> &I {
        &self.imports
    }

    /// Where requests go.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Requests made so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Starts a request. Returns at once unless [`REQUESTS_IN_FLIGHT`] are in progress: then it waits for the first
    /// answer that needs no repetition. An empty body means no body. Where the signature needs digests of the body, the
    /// host computes them while the caller goes on, and the request is sent when the next one is started, when one is
    /// waited for, or by [`Client::send_prepared`].
    pub fn start(&mut self, operation: Operation, body: Vec<u8>) -> Ticket {
        self.send_prepared();
        while self.in_flight.len() >= REQUESTS_IN_FLIGHT {
            self.progress();
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
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

    /// Sends the request that was started last, if it waits for digests: for a caller that will not come back soon.
    pub fn send_prepared(&mut self) {
        let Some(Prepared {
            ticket,
            operation,
            body,
        }) = self.prepared.take()
        else {
            return;
        };
        let job = Job {
            operation,
            payload_hash: body.hash(&*self.imports),
            fingerprint: body.fingerprint(&*self.imports),
            body,
            attempts: 0,
            refreshed: false,
            clock_corrected: false,
            doubtful: false,
            signed_as: (String::new(), None),
        };
        self.send(ticket, job, 0, Refresh::None);
    }

    /// What data that is not sent would be known by.
    pub fn fingerprint(&self, data: Vec<u8>) -> Fingerprint {
        Body::fingerprint_of(&*self.imports, &self.target.object, data)
    }

    /// Take the answer if it is there already; never waits.
    pub fn take(&mut self, ticket: Ticket) -> Option<Answer> {
        let answer = self.answers.remove(&ticket);
        self.taken += u64::from(answer.is_some());
        answer
    }

    /// Answers taken so far.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether an answer, repeated since or not, told that the store keeps other bytes than it was sent.
    pub fn saw_damage(&self) -> bool {
        self.saw_damage
    }

    /// Wait until some request in flight has an answer, and repeat or file it. False when nothing is in flight.
    pub fn progress(&mut self) -> bool {
        self.send_prepared();
        if self.in_flight.is_empty() {
            return false;
        }
        let index = {
            let exchanges: Vec<&I::Exchange> = self
                .in_flight
                .iter()
                .map(|flight| &flight.exchange)
                .collect();
            self.imports.wait_any(&exchanges)
        };
        // The index comes from outside; any request will do, because waiting for one is always right.
        let flight = self.in_flight.remove(index.min(self.in_flight.len() - 1));
        let outcome = self.imports.wait(flight.exchange);
        self.take_in(flight.ticket, flight.job, outcome);
        true
    }

    /// Wait for the answer; `None` when it was taken before.
    pub fn wait(&mut self, ticket: Ticket) -> Option<Answer> {
        self.send_prepared();
        loop {
            if let Some(answer) = self.take(ticket) {
                return Some(answer);
            }
            if !self.in_flight.iter().any(|flight| flight.ticket == ticket) {
                return None;
            }
            self.progress();
        }
    }

    /// Start a request and wait for its answer.
    pub fn call(&mut self, operation: Operation, body: Vec<u8>) -> Answer {
        let ticket = self.start(operation.clone(), body);
        self.answer(&operation, ticket)
    }

    /// Wait for the answer to an operation; one that was taken before is a defect.
    pub fn answer(&mut self, operation: &Operation, ticket: Ticket) -> Answer {
        match self.wait(ticket) {
            Some(answer) => answer,
            None => {
                let cause = Cause::Defect("its answer was taken twice".into());
                Answer {
                    result: Err(self.error(operation, cause, 0, Decision::Refuse, true)),
                    doubtful: true,
                    fingerprint: Fingerprint::None,
                }
            }
        }
    }

    /// Forget a request: one in flight is cancelled, but may have been carried out.
    pub fn cancel(&mut self, ticket: Ticket) {
        self.prepared.take_if(|prepared| prepared.ticket == ticket);
        self.answers.remove(&ticket);
        self.in_flight.retain(|flight| flight.ticket != ticket);
    }

    fn take_in(
        &mut self,
        ticket: Ticket,
        mut job: Job<I>,
        outcome: Result<Response, TransportError>,
    ) {
        let read = match &outcome {
            Ok(response) => reply::read(&job.operation, job.fingerprint.checksum(), response),
            Err(error) => Err(Cause::Transport(error.clone())),
        };
        let cause = match read {
            Ok(reply) => return self.file(ticket, job, Ok(reply)),
            Err(cause) => cause,
        };
        job.doubtful |= cause.may_have_taken_effect();
        self.saw_damage |= matches!(cause, Cause::Damaged { .. });
        let mut decision = retry::decide(&cause);
        let refresh = match decision {
            Decision::Refuse | Decision::GiveUp => None,
            Decision::RefreshCredentials if job.refreshed => None,
            Decision::CorrectClock if job.clock_corrected => None,
            _ if job.attempts >= self.max_attempts => {
                // What was not repaired yet is not refused for good.
                decision = Decision::GiveUp;
                None
            }
            Decision::Retry => Some(Refresh::None),
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
                self.file(ticket, job, Err(error));
            }
        }
    }

    fn file(&mut self, ticket: Ticket, job: Job<I>, result: Result<Reply, S3Error>) {
        let answer = Answer {
            result,
            doubtful: job.doubtful,
            fingerprint: job.fingerprint,
        };
        self.answers.insert(ticket, answer);
    }

    /// Sign and send; what cannot be signed is filed as failed.
    fn send(&mut self, ticket: Ticket, mut job: Job<I>, delay_ms: u32, refresh: Refresh) {
        let unsigned = Unsigned::new(&self.target, &job.operation, job.fingerprint.checksum());
        let signed = self
            .key(&job, refresh)
            .map_err(Cause::Signer)
            .and_then(|key| {
                let headers = sign::sign(&unsigned, &job.payload_hash, &self.target.region, &key)
                    .map_err(|error| {
                    Cause::Defect(format!("{error} (a defect of the host)"))
                })?;
                Ok((headers, (key.access_key_id, key.session_token)))
            });
        let (headers, signed_as) = match signed {
            Ok(signed) => signed,
            Err(cause) => {
                let decision = retry::decide(&cause);
                let error = self.error(&job.operation, cause, job.attempts, decision, job.doubtful);
                return self.file(ticket, job, Err(error));
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
        self.in_flight.push(InFlight {
            ticket,
            job,
            exchange,
        });
    }

    /// No request may take longer than the whole run.
    fn timeout_ms(&self) -> u32 {
        let run_ms = self
            .target
            .time_limit_seconds
            .map_or(u32::MAX, |seconds| seconds.saturating_mul(1_000));
        REQUEST_TIMEOUT_MS.min(run_ms)
    }

    /// The key to sign with. Several requests in flight learn of one expiry: only the first asks for new credentials,
    /// the others find that the host has them already.
    fn key(&self, job: &Job<I>, refresh: Refresh) -> Result<ScopedKey, SignerError> {
        let ask = |refresh| {
            self.imports
                .scoped_key(sign::SERVICE, &self.target.region, refresh)
        };
        if refresh != Refresh::Expired {
            return ask(refresh);
        }
        let current = ask(Refresh::None)?;
        if (&current.access_key_id, &current.session_token) != (&job.signed_as.0, &job.signed_as.1)
        {
            return Ok(current);
        }
        ask(Refresh::Expired)
    }

    fn error(
        &self,
        operation: &Operation,
        cause: Cause,
        attempts: u32,
        decision: Decision,
        doubtful: bool,
    ) -> S3Error {
        let class: Class = retry::class(decision, &cause);
        S3Error {
            operation: operation.kind(),
            bucket: self.target.bucket.clone(),
            key: operation.key().to_owned(),
            cause: Box::new(cause),
            attempts,
            class,
            doubtful,
            signed_region: self.target.region.clone(),
        }
    }
}
