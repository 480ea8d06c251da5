//! What the guest can call: the contract's imports, each a few lines between the bindings and a capability. Decides
//! nothing but the conversion; limits are the capabilities' and the clock's.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime::{Error, Result};

use super::bindings::batch_export::destination::{http, journal, log, signer, types};
use super::clock::{Clock, Stop};
use super::memory::Memory;
use super::session::NoteGate;
use crate::capability::http::{DigestAlgorithm, Exchange, Http, Payload, PayloadRefused, Request, TransportError};
use crate::capability::journal::Journal;
use crate::capability::log::{Level, Log};
use crate::capability::signer::{Refresh, Signer, SignerError};
use batch_export_system::explain::{Cause, count};

/// What one session's store holds.
pub(super) struct State {
    pub(super) table: ResourceTable,
    pub(super) http: Http,
    pub(super) signer: Signer,
    pub(super) journal: Box<dyn Journal>,
    pub(super) note_gate: NoteGate,
    pub(super) notes_left: usize,
    pub(super) note_limit_bytes: usize,
    pub(super) log: Log,
    pub(super) clock: Clock,
    pub(super) memory: Memory,
}

impl State {
    pub(super) fn begin_call(&mut self) {
        self.clock.begin_call();
        self.log.begin_call();
        self.memory.begin_call();
    }

    fn push<T: Send + 'static>(&mut self, entry: T) -> Result<Resource<T>> {
        self.table.push(entry).map_err(|_| {
            Error::new(Stop::OverLimit(
                "too many payloads and exchanges held at once (`exchanges_open`)".to_owned(),
            ))
        })
    }
}

impl types::Host for State {}

impl From<Cause> for types::Explanation {
    fn from(cause: Cause) -> Self {
        let (message, hint) = cause.into_parts();
        types::Explanation { message, hint }
    }
}

impl http::Host for State {
    fn send(&mut self, request: http::Request) -> Result<Resource<Exchange>> {
        let body = match &request.body {
            Some(payload) => self.table.get(payload)?.bytes(),
            None => Bytes::new(),
        };
        let exchange = self.http.send(Request {
            method: request.method.into(),
            url: request.url,
            headers: request.headers,
            body,
            delay: Duration::from_millis(request.delay_ms.into()),
            timeout: Duration::from_millis(request.timeout_ms.into()),
        });
        self.push(exchange)
    }

    fn wait_any(&mut self, exchanges: Vec<Resource<Exchange>>) -> Result<u32> {
        if exchanges.is_empty() {
            return Err(Error::new(Stop::OverLimit(
                "`wait-any` was called with no exchange".to_owned(),
            )));
        }
        let table = &mut self.table;
        self.clock
            .wait(poll_fn(|context| {
                for (index, exchange) in (0..).zip(&exchanges) {
                    let ready = table
                        .get_mut(exchange)
                        .map(|exchange| exchange.poll_ready(context).is_ready());
                    match ready {
                        Ok(true) => return Poll::Ready(Ok(index)),
                        Ok(false) => {}
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
                Poll::Pending
            }))
            .map_err(Error::new)?
            .map_err(Error::new)
    }
}

impl http::HostPayload for State {
    fn new(&mut self, bytes: Vec<u8>, digests: Vec<http::DigestAlgorithm>) -> Result<Resource<Payload>> {
        let digests = digests.into_iter().map(DigestAlgorithm::from);
        let payload = self.http.payload(bytes, digests).map_err(|refused| {
            Error::new(match refused {
                PayloadRefused::OverLimit(text) => Stop::OverLimit(text),
                PayloadRefused::Crowded => Stop::Crowded,
            })
        })?;
        self.push(payload)
    }

    fn digest(&mut self, payload: Resource<Payload>, algorithm: http::DigestAlgorithm) -> Result<Vec<u8>> {
        let payload = self.table.get_mut(&payload)?;
        self.clock
            .wait(poll_fn(|context| payload.poll_digest(algorithm.into(), context)))
            .map_err(Error::new)?
            .map_err(Error::new)
    }

    fn drop(&mut self, payload: Resource<Payload>) -> Result<()> {
        self.table.delete(payload)?;
        Ok(())
    }
}

impl From<http::Method> for ::http::Method {
    fn from(method: http::Method) -> Self {
        match method {
            http::Method::Get => ::http::Method::GET,
            http::Method::Head => ::http::Method::HEAD,
            http::Method::Put => ::http::Method::PUT,
            http::Method::Post => ::http::Method::POST,
            http::Method::Delete => ::http::Method::DELETE,
        }
    }
}

impl From<http::DigestAlgorithm> for DigestAlgorithm {
    fn from(algorithm: http::DigestAlgorithm) -> Self {
        match algorithm {
            http::DigestAlgorithm::Sha256 => DigestAlgorithm::Sha256,
            http::DigestAlgorithm::Crc64nvme => DigestAlgorithm::Crc64Nvme,
            http::DigestAlgorithm::Crc32c => DigestAlgorithm::Crc32c,
            http::DigestAlgorithm::Crc32 => DigestAlgorithm::Crc32,
        }
    }
}

impl http::HostExchange for State {
    fn wait(
        &mut self,
        exchange: Resource<Exchange>,
    ) -> Result<std::result::Result<http::Response, http::TransportError>> {
        let exchange = self.table.get_mut(&exchange)?;
        self.clock
            .wait(poll_fn(|context| exchange.poll_ready(context)))
            .map_err(Error::new)?;
        Ok(exchange
            .take()
            .map(|response| http::Response {
                status: response.status,
                headers: response.headers,
                body: response.body.into(),
            })
            .map_err(|error| match error {
                TransportError::Forbidden(cause) => http::TransportError::Forbidden(cause.into()),
                TransportError::Connect(cause) => http::TransportError::Connect(cause.into()),
                TransportError::Tls(cause) => http::TransportError::Tls(cause.into()),
                TransportError::Timeout(cause) => http::TransportError::Timeout(cause.into()),
                TransportError::Interrupted(cause) => http::TransportError::Interrupted(cause.into()),
                TransportError::TooLarge(cause) => http::TransportError::TooLarge(cause.into()),
            }))
    }

    fn drop(&mut self, exchange: Resource<Exchange>) -> Result<()> {
        self.table.delete(exchange)?;
        Ok(())
    }
}

impl signer::Host for State {
    fn scoped_key(
        &mut self,
        service: String,
        region: String,
        refresh: signer::Refresh,
    ) -> Result<std::result::Result<signer::SigningKey, signer::SignerError>> {
        let refresh = match refresh {
            signer::Refresh::None => Refresh::None,
            signer::Refresh::Expired => Refresh::Expired,
            signer::Refresh::Skewed => Refresh::Skewed,
        };
        let key = self
            .clock
            .wait(self.signer.scoped_key(&service, &region, refresh))
            .map_err(Error::new)?;
        Ok(key
            .map(|scoped| signer::SigningKey {
                access_key_id: scoped.access_key_id,
                session_token: scoped.session_token,
                timestamp: scoped.timestamp,
                key: scoped.key.to_vec(),
            })
            .map_err(|error| match error {
                SignerError::Forbidden(cause) => signer::SignerError::Forbidden(cause.into()),
                SignerError::Missing(cause) => signer::SignerError::Missing(cause.into()),
                SignerError::Unavailable(cause) => signer::SignerError::Unavailable(cause.into()),
            }))
    }
}

impl journal::Host for State {
    fn note(&mut self, note: Vec<u8>, durable: bool) -> Result<std::result::Result<(), journal::NoteError>> {
        if note.len() > self.note_limit_bytes {
            let cause = Cause::new(format!(
                "a note of {} bytes, the limit is {} (`note_bytes`)",
                count(note.len() as u64),
                count(self.note_limit_bytes as u64)
            ));
            return Ok(Err(journal::NoteError::TooLong(cause.into())));
        }
        let Some(left) = self.notes_left.checked_sub(1) else {
            let cause = Cause::new("the run has used up its notes (limit `notes`), and may not begin further uploads");
            return Ok(Err(journal::NoteError::UsedUp(cause.into())));
        };
        self.notes_left = left;
        self.note_gate
            .pass(|| self.journal.note(&note, durable))
            .map(|kept| kept.map_err(|cause| journal::NoteError::Unavailable(cause.into())))
            .map_err(Error::new)
    }
}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) -> Result<()> {
        let level = match level {
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        self.log.write(level, &message);
        Ok(())
    }
}
