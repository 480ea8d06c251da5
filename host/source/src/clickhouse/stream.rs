//! The body of an answer as bytes for the Arrow decoder, with what arrived last of it: where the stream breaks, that
//! says why. Decodes nothing.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use batch_export_system::explain::Cause;
use reqwest::Response;

use super::client::{Server, tag};
use super::exception::Exception;
use crate::arrow_ipc::Describe;
use crate::error::{SourceError, SourceErrorKind};

/// Bytes of the end of an answer that are kept: an exception has at most 16 KiB.
const TAIL_BYTES: usize = 64 << 10;
/// How long the rest of a broken answer is read for the reason.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// Bytes of that rest.
const DRAIN_BYTES: usize = 64 << 20;

/// An answer that is being read.
pub(super) struct Body {
    server: Arc<Server>,
    response: Response,
    /// What was received and not read yet.
    chunk: bytes::Bytes,
    tail: VecDeque<bytes::Bytes>,
    tail_bytes: usize,
    /// The reason why it ended too early.
    failure: Option<SourceError>,
    is_at_end: bool,
}

impl Body {
    fn new(server: Arc<Server>, response: Response) -> Self {
        Self {
            server,
            response,
            chunk: bytes::Bytes::new(),
            tail: VecDeque::new(),
            tail_bytes: 0,
            failure: None,
            is_at_end: false,
        }
    }

    /// Receives the next bytes. `false` at the end, which HTTP has proven.
    fn receive(&mut self, silence: Duration) -> Result<bool, SourceError> {
        if self.is_at_end {
            return Ok(false);
        }
        let chunk = self.server.wait(silence, self.response.chunk())?;
        let Some(chunk) = chunk.map_err(|error| self.server.transport(&error))? else {
            self.is_at_end = true;
            return Ok(false);
        };
        self.tail_bytes += chunk.len();
        self.tail.push_back(chunk.clone());
        while let Some(first) = self.tail.front()
            && self.tail_bytes - first.len() >= TAIL_BYTES
        {
            self.tail_bytes -= first.len();
            self.tail.pop_front();
        }
        self.chunk = chunk;
        Ok(true)
    }

    /// Reads what is left of an answer that nobody can decode any more, for the reason at its end.
    fn drain(&mut self) {
        let begun = Instant::now();
        let mut bytes = 0;
        while self.failure.is_none() && bytes < DRAIN_BYTES {
            let Some(left) = DRAIN_TIME.checked_sub(begun.elapsed()) else {
                return;
            };
            match self.receive(left) {
                Ok(true) => bytes += self.chunk.len(),
                // What it was broken by is known already.
                Ok(false) | Err(_) => return,
            }
        }
    }

    fn exception(&self) -> Option<Exception> {
        let tail: Vec<u8> = self.tail.iter().flatten().copied().collect();
        Exception::find(&tail, tag(self.response.headers()))
    }
}

/// The body, for the decoder and for whoever explains what it meets.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Body>>);

impl Shared {
    pub(super) fn new(server: Arc<Server>, response: Response) -> Self {
        Shared(Arc::new(Mutex::new(Body::new(server, response))))
    }

    fn body(&self) -> MutexGuard<'_, Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns why the stream broke: the server's own reason, else the connection's, else what the decoder met.
    pub(super) fn explained(&self, error: SourceError, sql: &str) -> SourceError {
        let mut body = self.body();
        if let Err(interrupted) = body.server.token().check() {
            return interrupted.into();
        }
        body.drain();
        match (body.exception(), body.failure.take()) {
            (Some(exception), _) => body.server.exception(&exception, sql),
            (None, Some(failure)) => failure,
            (None, None) => error,
        }
    }
}

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut body = self.body();
        while body.chunk.is_empty() {
            let silence = body.server.silence();
            match body.receive(silence) {
                Ok(true) => {}
                Ok(false) => return Ok(0),
                Err(error) => {
                    let said = error.to_string();
                    body.failure = Some(error);
                    return Err(io::Error::other(said));
                }
            }
        }
        let length = buffer.len().min(body.chunk.len());
        let chunk = body.chunk.split_to(length);
        buffer[..length].copy_from_slice(&chunk);
        Ok(length)
    }
}

/// Says what is wrong with rows from a server.
pub(super) struct FromServer(pub Arc<Server>);

impl FromServer {
    fn broken(&self, cause: Cause) -> SourceError {
        self.0.error(cause, SourceErrorKind::Transient)
    }
}

impl Describe for FromServer {
    fn check(&self) -> Result<(), SourceError> {
        Ok(self.0.token().check()?)
    }

    fn damaged(&self, cause: String) -> SourceError {
        if cause.contains("UTF-8") || cause.contains("utf-8") || cause.contains("UTF8") {
            let cause = Cause::new("a text is not valid UTF-8, and the user may not let it be sent as bytes")
                .with_hint(
                    "repair it in a query, as in toValidUTF8(column), or let the user change \
                     output_format_arrow_string_as_string",
                );
            return self.0.error(cause, SourceErrorKind::Permanent);
        }
        self.broken(Cause::new(format!("its rows are cut or corrupt: {cause}")))
    }

    fn unsupported(&self, cause: Cause) -> SourceError {
        self.0.error(
            cause.map(|cause| format!("its rows cannot be read here: {cause}")),
            SourceErrorKind::Permanent,
        )
    }

    fn too_large(&self, cause: Cause) -> SourceError {
        let (cause, _) = cause.into_parts();
        let cause = Cause::new(format!("its rows need too much memory: {cause}"))
            .with_hint("set max_block_size in the source's `settings` to fewer rows, such as \"1000\"");
        self.0.error(cause, SourceErrorKind::Permanent)
    }

    fn read_error(&self, error: io::Error) -> SourceError {
        self.broken(Cause::new(error.to_string()))
    }

    fn needs_end(&self) -> bool {
        true
    }
}
