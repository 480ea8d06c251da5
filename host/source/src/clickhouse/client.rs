//! One ClickHouse over HTTP: a statement goes out, an answer comes back, and what still runs when nobody wants it any
//! more is ended. Credentials travel in headers and appear in no message.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use batch_export_system::explain::Cause;
use batch_export_system::{Secret, Token};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use reqwest::{Client, Response, Url};
use tokio::runtime::{Builder, Runtime};
use zeroize::Zeroizing;

use super::exception::Exception;
use super::{ClickHouseSettings, transport};
use crate::error::{SourceError, SourceErrorKind};
use crate::tls;

/// Longest time for name, TCP and TLS together; a server that needs longer is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How often an idle connection is tried, so that one whose other end is gone is noticed.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// Headers of an answer. ClickHouse sends about fifteen; more are progress, which is switched off.
const MAX_HEADERS: usize = 100;
/// How long a statement that reads no rows may take. A server that needs longer is not well.
const SHORT_SILENCE: Duration = Duration::from_secs(60);
/// How long the end of a query is waited for when a run ends early: within the second that a run may take to end.
const KILL_TIMEOUT: Duration = Duration::from_millis(500);
/// Bytes of an error's text.
const MAX_ERROR_BYTES: usize = 64 << 10;
/// Bytes of an answer that does not hold rows: the columns of a table, with long enums.
const MAX_SHORT_BYTES: usize = 64 << 20;

/// A server, for one run.
pub(super) struct Server {
    /// Taken when this is dropped.
    runtime: Option<Runtime>,
    client: Client,
    url: Url,
    headers: HeaderMap,
    password: Option<Secret>,
    origin: String,
    silence: Duration,
    token: Token,
    /// The query that may still run.
    running: Mutex<Option<String>>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// A statement with what it is sent with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statement<'a> {
    pub sql: &'a str,
    /// Settings of the query.
    pub settings: &'a [(String, String)],
}

impl Server {
    /// Makes the client; asks the server nothing.
    pub(super) fn new(settings: &ClickHouseSettings, token: &Token) -> Result<Self, SourceError> {
        let origin = settings.origin();
        let broken = |cause: Cause| SourceError::supplier(&origin, cause, SourceErrorKind::Permanent);
        let tls = tls::client_config(settings.ca_file.as_deref()).map_err(broken)?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .http1_max_headers(MAX_HEADERS)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(KEEPALIVE)
            // A connection that waited while rows were written may be closed on the other side by now.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("batch-export/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| broken(Cause::new(format!("the HTTP client cannot be set up: {error}"))))?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(SourceError::Thread)?;
        let mut url = settings.url.clone();
        if let Some(database) = &settings.database {
            url.query_pairs_mut().append_pair("database", database);
        }
        Ok(Self {
            runtime: Some(runtime),
            client,
            url,
            headers: credentials(settings).map_err(broken)?,
            password: settings.password.clone(),
            origin,
            silence: settings.query_timeout,
            token: token.clone(),
            running: Mutex::new(None),
        })
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    pub(super) fn token(&self) -> &Token {
        &self.token
    }

    /// Waits for something of this server, for as long as it may be silent.
    pub(super) fn wait<T>(&self, silence: Duration, work: impl Future<Output = T>) -> Result<T, SourceError> {
        let Some(runtime) = &self.runtime else {
            return Err(SourceError::Died);
        };
        let waited = runtime.block_on(self.token.run(async { tokio::time::timeout(silence, work).await }))?;
        waited.map_err(|_| {
            let cause = Cause::new(format!("it was silent for {} s", silence.as_secs())).with_hint(
                "run it again, or raise the source's `query_timeout` if the server needs longer for this query",
            );
            self.error(cause, SourceErrorKind::Transient)
        })
    }

    /// How long it may be silent in the middle of a query.
    pub(super) fn silence(&self) -> Duration {
        self.silence
    }

    /// Returns an error of this server, free of its password.
    pub(super) fn error(&self, cause: impl Into<Cause>, kind: SourceErrorKind) -> SourceError {
        let cause = cause.into().each(|text| self.redacted(text));
        SourceError::supplier(&self.origin, cause, kind)
    }

    fn redacted(&self, text: &str) -> String {
        match &self.password {
            Some(password) if !password.expose().is_empty() => text.replace(password.expose(), "[secret]"),
            _ => text.to_owned(),
        }
    }

    /// Returns the error of an exception.
    pub(super) fn exception(&self, exception: &Exception, sql: &str) -> SourceError {
        self.ended();
        self.error(exception.cause(sql), exception.kind())
    }

    /// Returns the error of a client's error.
    pub(super) fn transport(&self, error: &reqwest::Error) -> SourceError {
        let (cause, kind) = transport::reason(error);
        self.error(cause, kind)
    }

    /// Notes that no query runs any more.
    pub(super) fn ended(&self) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Sends a statement that answers with rows, and returns the answer once it begins.
    pub(super) fn begin(&self, statement: Statement<'_>) -> Result<Response, SourceError> {
        self.send(statement, self.silence, &[])
    }

    /// Sends a statement and returns the whole of its short answer.
    pub(super) fn short(&self, statement: Statement<'_>) -> Result<Vec<u8>, SourceError> {
        self.whole(statement, SHORT_SILENCE.min(self.silence))
    }

    /// The same for a statement that reads rows.
    pub(super) fn counted(&self, statement: Statement<'_>) -> Result<Vec<u8>, SourceError> {
        self.whole(statement, self.silence)
    }

    fn whole(&self, statement: Statement<'_>, silence: Duration) -> Result<Vec<u8>, SourceError> {
        // The server then knows how the query ended before it says anything.
        let mut response = self.send(statement, silence, &[("wait_end_of_query", "1")])?;
        let body = self.read(&mut response, silence, MAX_SHORT_BYTES)?;
        let Some(body) = body else {
            return Err(self.error("its answer is longer than expected", SourceErrorKind::Permanent));
        };
        self.ended();
        match Exception::in_lines(&body) {
            Some(exception) => Err(self.exception(&exception, statement.sql)),
            None => Ok(body),
        }
    }

    /// Reads an answer to its end; `None` if it is longer than the limit.
    fn read(&self, response: &mut Response, silence: Duration, limit: usize) -> Result<Option<Vec<u8>>, SourceError> {
        let mut body = Vec::new();
        while let Some(chunk) = self
            .wait(silence, response.chunk())?
            .map_err(|error| self.transport(&error))?
        {
            if body.len() + chunk.len() > limit {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body))
    }

    fn send(
        &self,
        statement: Statement<'_>,
        silence: Duration,
        parameters: &[(&str, &str)],
    ) -> Result<Response, SourceError> {
        self.token.check()?;
        let id = query_id()?;
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.clone());
        let response = self
            .wait(silence, self.request(statement, &id, parameters).send())?
            .map_err(|error| self.transport(&error))?;
        let status = response.status();
        let is_clickhouse = is_clickhouses(response.headers());
        if !status.is_success() || !is_clickhouse || response.headers().contains_key("x-clickhouse-exception-code") {
            return Err(self.refusal(response, silence, statement.sql));
        }
        let headers = response.headers();
        if !headers.contains_key(CONTENT_LENGTH) && !headers.contains_key(TRANSFER_ENCODING) {
            let cause = Cause::new("its answer has neither a length nor chunks, so that its end cannot be proven")
                .with_hint("reach the server without the proxy in between, or let it speak HTTP/1.1 to the server");
            return Err(self.error(cause, SourceErrorKind::Permanent));
        }
        Ok(response)
    }

    fn request(&self, statement: Statement<'_>, id: &str, parameters: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let mut url = self.url.clone();
        {
            let mut pairs = url.query_pairs_mut();
            pairs.append_pair("query_id", id).extend_pairs(parameters);
            pairs.extend_pairs(statement.settings.iter().map(|(name, value)| (name, value)));
        }
        self.client
            .post(url)
            .headers(self.headers.clone())
            .body(statement.sql.to_owned())
    }

    /// Returns the error of an answer that is not the one asked for.
    fn refusal(&self, mut response: Response, silence: Duration, sql: &str) -> SourceError {
        self.ended();
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Ok(Ok(Some(chunk))) = self.wait(silence, response.chunk()) {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ERROR_BYTES {
                body.truncate(MAX_ERROR_BYTES);
                break;
            }
        }
        if let Err(interrupted) = self.token.check() {
            return interrupted.into();
        }
        let text = String::from_utf8_lossy(&body);
        let exception = Exception::read(&text).or_else(|| Exception::find(&body, tag(&headers)));
        match exception {
            Some(exception) => self.exception(&exception, sql),
            None => {
                let (cause, kind) = transport::foreign(status, &headers, &text);
                self.error(cause, kind)
            }
        }
    }
}

impl Drop for Server {
    /// Ends the query that still runs, if there is one, and waits for nothing else.
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(id), Ok(own)) = (running, query_id()) {
            let sql = format!("KILL QUERY WHERE query_id = '{id}' ASYNC");
            let statement = Statement {
                sql: &sql,
                settings: &[],
            };
            let kill = self.request(statement, &own, &[]).send();
            // Best effort: a server that is gone runs nothing, and closing the connection ends the query as well.
            drop(runtime.block_on(async { tokio::time::timeout(KILL_TIMEOUT, kill).await }));
        }
        // A name that is still being looked up would be waited for.
        runtime.shutdown_background();
    }
}

/// Returns the tag that a server writes around exceptions in an answer that had begun.
pub(super) fn tag(headers: &HeaderMap) -> Option<&str> {
    let tag = headers.get("x-clickhouse-exception-tag")?.to_str().ok()?;
    (!tag.is_empty()).then_some(tag)
}

fn is_clickhouses(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with("x-clickhouse-"))
}

/// Returns the headers with user and password. Where a header cannot hold them as they are, they go encoded.
fn credentials(settings: &ClickHouseSettings) -> Result<HeaderMap, Cause> {
    let user = settings.user.as_deref().unwrap_or("default");
    let password = settings.password.as_ref().map_or("", |password| password.expose());
    let is_plain = |text: &str| text.trim() == text && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let mut headers = HeaderMap::new();
    let secret = |bytes: &[u8]| {
        let mut value = HeaderValue::from_bytes(bytes).map_err(|_| Cause::new("the user cannot be sent"))?;
        value.set_sensitive(true);
        Ok::<_, Cause>(value)
    };
    if is_plain(user) && is_plain(password) {
        headers.insert("x-clickhouse-user", secret(user.as_bytes())?);
        if settings.password.is_some() {
            headers.insert("x-clickhouse-key", secret(password.as_bytes())?);
        }
        return Ok(headers);
    }
    if user.contains(':') {
        return Err(Cause::new("a user with a colon cannot be sent with this password")
            .with_hint("give the user another name, or a password of printable ASCII"));
    }
    let pair = Zeroizing::new(format!("{user}:{password}"));
    let encoded = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    headers.insert(AUTHORIZATION, secret(encoded.as_bytes())?);
    Ok(headers)
}

/// Returns a name for a query that no other has.
fn query_id() -> Result<String, SourceError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| SourceError::Thread(io::Error::other(error.to_string())))?;
    Ok(format!("batch-export-{:032x}", u128::from_be_bytes(bytes)))
}
