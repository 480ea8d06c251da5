//! Carries one checked request: waits out its delay, sends it, reads the whole response within its limits, and turns
//! what goes wrong into the contract's cases. Follows nothing and repeats nothing.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, header};
use url::Url;

use super::holding::{Exceeded, Held, Holding};
use super::opened::{self, Opened, is_object};
use super::reason;
use super::{EventKind, InFlight, Response, ServerDate, Teller, TransportError, remember_date};
use crate::capability::network::Labels;
use crate::capability::redact::Redactor;
use batch_export_system::explain::{Cause, count};

pub(super) struct Task {
    pub(super) client: reqwest::Client,
    /// What its grant calls it.
    pub(super) operation: String,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) delay: Duration,
    pub(super) timeout: Duration,
    pub(super) body_limit_bytes: usize,
    pub(super) header_limit_bytes: usize,
    /// What the response takes, from its first byte until the guest has taken it.
    pub(super) holding: Holding,
    /// Hides what the response must not repeat.
    pub(super) redactor: Redactor,
    pub(super) labels: Labels,
    pub(super) server_date: ServerDate,
    pub(super) teller: Teller,
    pub(super) _slot: InFlight,
}

impl Task {
    /// Carries it up to the response's head.
    pub(super) async fn open(self) -> Result<Opened, TransportError> {
        self.teller.tell(self.leaving());
        let response = match tokio::time::timeout(self.timeout, self.begin()).await {
            Ok(response) => response,
            Err(_) => {
                let silent = format!("{} sent nothing for {} s", self.host(), self.timeout.as_secs_f64());
                Err(TransportError::Timeout(silent.into()))
            }
        };
        let response = response
            .map(|response| Opened::new(&self.method, &self.url, response, self.redactor.clone()))
            .map_err(|error| error.hidden(&self.redactor));
        self.teller.tell(match &response {
            Ok(response) => EventKind::Responded {
                status: response.status(),
            },
            Err(error) => EventKind::Failed { error: error.clone() },
        });
        response
    }

    fn leaving(&self) -> EventKind {
        EventKind::Sent {
            operation: self.operation.clone(),
            host: self.host(),
            method: self.method.clone(),
            path: self.url.path().to_owned(),
            body_bytes: self.body.len(),
        }
    }

    pub(super) async fn run(mut self) -> Result<Response, TransportError> {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        self.teller.tell(self.leaving());
        let response = match tokio::time::timeout(self.timeout, self.exchange()).await {
            Ok(response) => response,
            Err(_) => {
                let (host, seconds) = (self.host(), self.timeout.as_secs_f64());
                let place = self.labels.way(&host).place();
                let late = format!("no complete response from {place} within {seconds} s");
                Err(TransportError::Timeout(late.into()))
            }
        }
        .map_err(|error| error.hidden(&self.redactor));
        self.teller.tell(match &response {
            Ok(response) => EventKind::Responded {
                status: response.status,
            },
            Err(error) => EventKind::Failed { error: error.clone() },
        });
        response
    }

    async fn exchange(&mut self) -> Result<Response, TransportError> {
        let response = self.begin().await?;
        self.read(response).await
    }

    async fn begin(&self) -> Result<reqwest::Response, TransportError> {
        let response = self
            .client
            .request(self.method.clone(), self.url.clone())
            .headers(self.headers.clone())
            .body(self.body.clone())
            .send()
            .await
            .map_err(|e| self.classify(&e))?;
        // A server that is asked without a proxy may well be one: that response is for the plugin to explain.
        let is_proxied = self.labels.way(&self.host()).proxy.is_some();
        if is_proxied && response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return Err(reason::proxy_wants_a_password());
        }
        remember_date(&self.server_date, response.headers());
        Ok(response)
    }

    async fn read(&mut self, mut response: reqwest::Response) -> Result<Response, TransportError> {
        let status = response.status();
        let header_bytes: usize = response.headers().iter().map(|(n, v)| n.as_str().len() + v.len()).sum();
        if header_bytes > self.header_limit_bytes {
            let message = format!(
                "the response's headers have {} bytes, the limit is {}",
                count(header_bytes as u64),
                count(self.header_limit_bytes as u64)
            );
            return Err(TransportError::TooLarge(message.into()));
        }
        self.hold(header_bytes)?;
        if has_body(&self.method, status) && !announces_its_end(response.headers()) {
            let message = format!(
                "the response from {} (status {}) has no length, so it cannot be told from one that was cut short",
                self.host(),
                status.as_u16()
            );
            return Err(TransportError::Interrupted(message.into()));
        }
        let headers = opened::headers(&response, &self.redactor);
        let as_stored = is_object(&self.method, &self.url, status);
        let body = self.body(&mut response).await?.freeze();
        let body = match as_stored {
            true => body,
            false => self.redactor.bytes(body),
        };
        Ok(Response {
            status: status.as_u16(),
            headers,
            body: Bytes::from_owner(Held {
                bytes: body,
                _holding: self.holding.take(),
            }),
        })
    }

    async fn body(&mut self, response: &mut reqwest::Response) -> Result<BytesMut, TransportError> {
        // Room for all of it at once where its length is known: growing would take up to twice as much.
        let announced = response
            .content_length()
            .map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        self.fits(announced)?;
        self.hold(announced)?;
        let mut body = BytesMut::with_capacity(announced);
        while let Some(chunk) = response.chunk().await.map_err(|e| self.classify(&e))? {
            let size = body.len() + chunk.len();
            self.fits(size)?;
            if size > announced {
                self.hold(size - body.len().max(announced))?;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn fits(&self, body_bytes: usize) -> Result<(), TransportError> {
        if body_bytes <= self.body_limit_bytes {
            return Ok(());
        }
        let (host, limit) = (self.host(), count(self.body_limit_bytes as u64));
        let message = format!("the response from {host} is larger than {limit} bytes");
        Err(TransportError::TooLarge(message.into()))
    }

    /// Counts further bytes of the response.
    fn hold(&mut self, bytes: usize) -> Result<(), TransportError> {
        match self.holding.grow(bytes) {
            Ok(()) => Ok(()),
            Err(Exceeded::Session) => {
                let message = format!(
                    "the responses that the plugin has not taken yet leave no room for the one from {} \
                     (`responses_held_bytes`)",
                    self.host()
                );
                let hint = "report it to the plugin's author, because a plugin should take each response as it comes";
                Err(TransportError::TooLarge(Cause::new(message).with_hint(hint)))
            }
            // Others take the room for now, so it is worth asking again.
            Err(Exceeded::Process) => {
                let message = format!(
                    "the runs of this host leave no room in memory for the response from {} (`memory_bytes`)",
                    self.host()
                );
                let cause = Cause::new(message).with_hint("run it again when fewer run");
                Err(TransportError::Interrupted(cause))
            }
        }
    }

    fn host(&self) -> String {
        self.url.authority().to_owned()
    }

    fn classify(&self, error: &reqwest::Error) -> TransportError {
        let host = self.host();
        reason::classify(error, self.labels.way(&host))
    }
}

/// RFC 9112 section 6.3: which responses have a body at all.
fn has_body(method: &Method, status: StatusCode) -> bool {
    *method != Method::HEAD
        && !status.is_informational()
        && status != StatusCode::NO_CONTENT
        && status != StatusCode::NOT_MODIFIED
}

fn announces_its_end(headers: &HeaderMap) -> bool {
    headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING)
}
