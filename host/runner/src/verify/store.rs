//! A client that reads objects back: signed GET and HEAD of the run's own keys, through the grants and the door that a
//! plugin's requests go through. Takes no address from a plugin that the operator's policy does not have; never writes,
//! lists or deletes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::runtime::Handle;
use url::Url;

use super::advice;
use super::sign::{self, Unsigned};
use super::status::{self, is_busy, is_foreign};
use crate::exporter::Access;
use crate::failure::Failure;
use batch_export_sandbox::Grants;
use batch_export_sandbox::contract::Plan;
use batch_export_sandbox::{HostRequests, Observer, Opened, Redactor, Request, TransportError};
use batch_export_sandbox::{Policy, Reading, Refresh};
use batch_export_system::explain::{Cause, Explain, count, plain};

/// Requests for one object, the first included: a store that is briefly busy is not a fault of the export.
const ATTEMPTS: u32 = 4;
/// Wait before the second request, doubled before each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest silence of a store while it answers.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);
/// Bytes of a refusal's body that a message repeats: S3's error documents are shorter.
const REFUSAL_LIMIT_BYTES: usize = 512;

/// Why an object could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The plan shows no place in the configured bucket to read from.
    #[error("the plan does not include HeadObject in the configured bucket, so verify has no address to read from")]
    NoAddress,
    /// The request must not leave, or the server could not be trusted with it.
    #[error("cannot request {key}: {cause}")]
    NotSent {
        /// The object's key.
        key: String,
        /// Why, and what to do about it.
        cause: Cause,
    },
    /// The request cannot be signed, because no key is available.
    #[error("cannot sign the request for {key}: {cause}")]
    Signing {
        /// The object's key.
        key: String,
        /// Why, and what to do about it.
        cause: Cause,
    },
    /// No response came.
    #[error("no response for {key}: {cause}")]
    Unreachable {
        /// The object's key.
        key: String,
        /// Why, and what to do about it.
        cause: Cause,
    },
    /// The response ended before its end.
    #[error("the connection closed after {} bytes of {key}: {message}", count(*bytes))]
    BrokeOff {
        /// The object's key.
        key: String,
        /// Bytes of the body that came.
        bytes: u64,
        /// Why it ended.
        message: String,
    },
    /// The bucket does not exist.
    #[error("bucket `{bucket}` does not exist at {origin}")]
    NoBucket {
        /// The bucket of the configuration.
        bucket: String,
        /// Scheme, host and port of the store.
        origin: String,
    },
    /// Something responds that is not an S3 store.
    #[error("the server at {origin} does not respond like S3: status {status}, {what}")]
    NotS3 {
        /// Scheme, host and port of the server.
        origin: String,
        /// The status of its response.
        status: u16,
        /// What is wrong with the response, for the end of a sentence.
        what: &'static str,
    },
    /// The store answered with a status other than 200 and 404.
    #[error("the store {} {method} {key}: status {status}{detail}{}", status::does(*status), status::asks_to_wait(*retry_after))]
    Refused {
        /// The request's method.
        method: &'static str,
        /// The bucket of the configuration.
        bucket: String,
        /// The object's key.
        key: String,
        /// The response's status.
        status: u16,
        /// S3's word for the reason, where it said one.
        code: Option<String>,
        /// The word and what the store says, for the end of a sentence.
        detail: String,
        /// How long the store asked to wait.
        retry_after: Option<Duration>,
    },
    /// The object is too large for what it is said to be.
    #[error("{key} is larger than {} bytes, which is too large for a manifest", count(*limit_bytes as u64))]
    TooLarge {
        /// The object's key.
        key: String,
        /// The most that is read of it.
        limit_bytes: usize,
    },
    /// The body is longer than was announced.
    #[error("{key} continued after the {} bytes that {said}; the store contradicts itself", count(*limit_bytes))]
    TooLong {
        /// The object's key.
        key: String,
        /// The length that was announced.
        limit_bytes: u64,
        /// Who announced it, as the end of "the bytes that".
        said: &'static str,
    },
    /// What was read cannot be kept on this machine.
    #[error("cannot keep {key} in a temporary file: {}", plain(source))]
    Temporary {
        /// The object's key.
        key: String,
        /// What the operating system says.
        source: std::io::Error,
    },
}

impl Explain for StoreError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            StoreError::NoAddress => "ask the plugin's author for a plan that reads back what it writes",
            StoreError::NotSent { cause, .. } => return cause.hint(),
            StoreError::Signing { cause, .. } => {
                return own_or(cause, "correct the credentials, and verify again");
            }
            StoreError::Unreachable { cause, .. } => {
                return own_or(
                    cause,
                    "start the store if you run it yourself, or correct endpoint_url, then verify again",
                );
            }
            StoreError::BrokeOff { .. } => "verify again",
            StoreError::NoBucket { .. } => advice::BUCKET,
            StoreError::NotS3 { .. } => advice::NOT_S3,
            StoreError::Refused {
                bucket,
                key,
                status,
                code,
                ..
            } => return Some(advice::on_refusal(*status, code.as_deref(), &format!("{bucket}/{key}"))),
            StoreError::TooLarge { .. } | StoreError::TooLong { .. } => {
                "find out who wrote this object, and run the interval again"
            }
            StoreError::Temporary { .. } => "free some disk space, or set TMPDIR to a folder on another disk",
        };
        Some(hint.to_owned())
    }
}

impl StoreError {
    /// Returns how long the store asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            StoreError::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            StoreError::Unreachable { .. } | StoreError::BrokeOff { .. } => true,
            StoreError::Refused { status, .. } => is_busy(*status),
            _ => false,
        }
    }
}

/// What the store says of an object.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct ObjectHead {
    pub bytes: Option<u64>,
    pub etag: String,
    /// The run that wrote it, by the mark that every object of a run carries; `None` on somebody else's.
    pub run_id: Option<String>,
    /// Names of algorithms as in the headers, and the headers' values: some stores keep several.
    pub checksums: Vec<(String, String)>,
}

/// Reads objects of one run.
pub(super) struct Store {
    requests: HostRequests,
    reading: Reading,
    bucket: String,
    /// Host and, unless it is the scheme's own, port.
    host: String,
    /// Whether a response has shown that this is a store, and that it has the bucket.
    is_known: AtomicBool,
    asks_for_checksum: bool,
}

fn own_or(cause: &Cause, usual: &str) -> Option<String> {
    cause.hint().or_else(|| Some(usual.to_owned()))
}

/// User metadata that names the run which wrote an object (docs/formats.md).
pub(super) const RUN_HEADER: &str = "x-amz-meta-batch-export-run";
/// What S3 sends with every response.
const REQUEST_ID_HEADER: &str = "x-amz-request-id";
/// The beginning of checksum headers; `-type` and `-algorithm` follow it too.
const CHECKSUM_HEADER: &str = "x-amz-checksum-";

impl Store {
    /// The configured bucket at the address that the plan writes to, which the operator's policy must have.
    pub(super) fn new(
        bucket: &str,
        plan: &Plan,
        policy: &Policy,
        access: Access,
        observer: Observer,
    ) -> Result<Self, Failure> {
        let grant = plan.grants.iter().find(|grant| grant.method == "HEAD");
        let reading = grant
            .and_then(|grant| policy.reading(&grant.origin))
            .ok_or(StoreError::NoAddress)?;
        let scopes = std::slice::from_ref(&reading.scope);
        let grants = Grants::decide(&reading.grants, scopes, policy)?;
        let origin = Url::parse(&reading.origin).map_err(|_| StoreError::NoAddress)?;
        let requests = HostRequests::new(&access.network, grants, access.credentials, Handle::current())?;
        let requests = requests.with_observer(observer);
        Ok(Store {
            requests,
            bucket: bucket.to_owned(),
            host: origin.authority().to_owned(),
            is_known: AtomicBool::new(false),
            reading,
            asks_for_checksum: super::setting(plan, "checksum") != Some("none"),
        })
    }

    /// Hides secrets in texts that quote an object's content; in what the store itself says they are already hidden.
    pub(super) fn redactor(&self) -> Redactor {
        self.requests.redactor()
    }

    /// What the store says about an object; `None` if it does not exist.
    pub(super) async fn head(&self, key: &str) -> Result<Option<ObjectHead>, StoreError> {
        // HEAD has no body, so it cannot say why: the same question as GET can.
        match self.request("HEAD", key).await {
            Ok(None) if !self.is_known.load(Ordering::Relaxed) => Ok(self.get(key).await?.map(|answer| answer.head)),
            Ok(answer) => Ok(answer.map(|answer| answer.head)),
            Err(refused @ StoreError::Refused { status: 400..=405, .. }) => match self.get(key).await {
                Err(
                    explained @ (StoreError::Refused { .. } | StoreError::NoBucket { .. } | StoreError::NotS3 { .. }),
                ) => Err(explained),
                _ => Err(refused),
            },
            Err(error) => Err(error),
        }
    }

    /// An object whose body is to be read piece by piece; `None` if it does not exist.
    pub(super) async fn get(&self, key: &str) -> Result<Option<Answer>, StoreError> {
        self.request("GET", key).await
    }

    async fn request(&self, method: &'static str, key: &str) -> Result<Option<Answer>, StoreError> {
        let mut pause = FIRST_PAUSE;
        let mut refresh = Refresh::None;
        for _ in 1..ATTEMPTS {
            match self.attempt(method, key, refresh).await {
                Err(error) if error.is_transient() => {}
                // HEAD has no body that could say whether the session ended; asking for credentials again is cheap.
                Err(StoreError::Refused { status: 400 | 403, .. }) if matches!(refresh, Refresh::None) => {
                    refresh = Refresh::Expired;
                }
                other => return other,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.attempt(method, key, refresh).await
    }

    async fn attempt(&self, method: &'static str, key: &str, refresh: Refresh) -> Result<Option<Answer>, StoreError> {
        let signing = |cause: Cause| StoreError::Signing {
            key: key.to_owned(),
            cause,
        };
        let scoped = self
            .requests
            .scoped_key(&self.reading.scope, refresh)
            .await
            .map_err(|error| signing(Cause::of(&error)))?;
        let path = self.reading.path(key);
        let checksum_mode = [("x-amz-checksum-mode", "ENABLED")];
        let unsigned = Unsigned {
            method,
            host: &self.host,
            path: &path,
            headers: if self.asks_for_checksum { &checksum_mode } else { &[] },
        };
        let scope = &self.reading.scope;
        let headers = sign::sign(&unsigned, &scope.region, &scope.service, &scoped)
            .ok_or_else(|| signing("this machine's clock or the signing key cannot be used".into()))?;
        let request = Request {
            method: match method {
                "HEAD" => http::Method::HEAD,
                _ => http::Method::GET,
            },
            url: format!("{}{path}", self.reading.origin),
            headers: headers
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            body: Bytes::new(),
            delay: Duration::ZERO,
            timeout: SILENCE_LIMIT,
        };
        let key_of = || key.to_owned();
        let response = self.requests.send(request).await.map_err(|error| match error {
            TransportError::Forbidden(cause) | TransportError::Tls(cause) => {
                StoreError::NotSent { key: key_of(), cause }
            }
            error => StoreError::Unreachable {
                key: key_of(),
                cause: Cause::of(&error),
            },
        })?;
        let answer = Answer {
            head: head_of(&response),
            key: key.to_owned(),
            response,
            read_bytes: 0,
        };
        match (answer.response.status(), method) {
            (status @ 200, _) => match page(&answer) {
                Some(what) => Err(self.not_s3(status, what)),
                None => {
                    self.is_known.store(true, Ordering::Relaxed);
                    Ok(Some(answer))
                }
            },
            (404, "HEAD") => Ok(None),
            _ => self.refused(method, answer).await,
        }
    }

    fn not_s3(&self, status: u16, what: &'static str) -> StoreError {
        StoreError::NotS3 {
            origin: self.reading.origin.clone(),
            status,
            what,
        }
    }

    /// Reads a response that is no object: `None` where it says that there is none.
    async fn refused(&self, method: &'static str, answer: Answer) -> Result<Option<Answer>, StoreError> {
        let (status, key) = (answer.response.status(), answer.key.clone());
        let retry_after = answer.response.header("retry-after").and_then(status::seconds);
        let has_id = answer.response.header(REQUEST_ID_HEADER).is_some();
        let Refusal { code, detail, is_empty } = answer.refusal().await;
        if method == "GET" && !has_id && code.is_none() && is_foreign(status, is_empty) {
            return Err(self.not_s3(status, "without S3's error document"));
        }
        match (status, code.as_deref()) {
            (404, Some("NoSuchBucket")) => Err(StoreError::NoBucket {
                bucket: self.bucket.clone(),
                origin: self.reading.origin.clone(),
            }),
            (404, _) => {
                self.is_known.store(true, Ordering::Relaxed);
                Ok(None)
            }
            _ => Err(StoreError::Refused {
                method,
                bucket: self.bucket.clone(),
                key,
                status,
                code,
                detail,
                retry_after,
            }),
        }
    }
}

/// Returns what shows that a success is not that of a store.
fn page(answer: &Answer) -> Option<&'static str> {
    let response = &answer.response;
    let is_page = || {
        let content = response.header("content-type").unwrap_or_default();
        content.starts_with("text/html") && response.header(REQUEST_ID_HEADER).is_none()
    };
    match answer.head.etag.is_empty() {
        true => Some("its response contains no ETag"),
        false => is_page().then_some("its response is a web page"),
    }
}

fn silent() -> String {
    format!("nothing was received for {} s", SILENCE_LIMIT.as_secs())
}

/// An answer whose body is still to be read.
pub(super) struct Answer {
    pub head: ObjectHead,
    key: String,
    response: Opened,
    read_bytes: u64,
}

impl Answer {
    /// The next piece of the body; `None` at its end.
    pub(super) async fn next(&mut self) -> Result<Option<bytes::Bytes>, StoreError> {
        let next = tokio::time::timeout(SILENCE_LIMIT, self.response.chunk()).await;
        let broke_off = |message: String| StoreError::BrokeOff {
            key: self.key.clone(),
            bytes: self.read_bytes,
            message,
        };
        let piece = next.map_err(|_| broke_off(silent()))?.map_err(broke_off)?;
        self.read_bytes += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        Ok(piece)
    }

    /// The whole body of a small object.
    pub(super) async fn whole(mut self, limit_bytes: usize) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.next().await? {
            if bytes.len() + piece.len() > limit_bytes {
                return Err(StoreError::TooLarge {
                    key: self.key,
                    limit_bytes,
                });
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// What S3's error document says, as far as there is one.
    async fn refusal(self) -> Refusal {
        let Ok(bytes) = self.whole(REFUSAL_LIMIT_BYTES * 8).await else {
            return Refusal::default();
        };
        let text = String::from_utf8_lossy(&bytes);
        let inside = |tag: &str| {
            let (_, after) = text.split_once(&format!("<{tag}>"))?;
            let (inside, _) = after.split_once("</")?;
            Some(inside.chars().take(REFUSAL_LIMIT_BYTES).collect::<String>())
        };
        let code = inside("Code");
        let detail = match (&code, inside("Message")) {
            (Some(code), Some(message)) => format!(", {code}: {message}"),
            (Some(code), None) => format!(", {code}"),
            _ => String::new(),
        };
        Refusal {
            code,
            detail,
            is_empty: bytes.is_empty(),
        }
    }
}

/// The body of a response that is no object. One that is too long, or that breaks off, has no code either.
#[derive(Default)]
struct Refusal {
    code: Option<String>,
    detail: String,
    is_empty: bool,
}

fn head_of(response: &Opened) -> ObjectHead {
    let checksum = |(name, value): (&str, &str)| {
        let algorithm = name.strip_prefix(CHECKSUM_HEADER)?;
        let is_value = !matches!(algorithm, "type" | "algorithm" | "mode");
        is_value.then(|| (algorithm.to_owned(), value.to_owned()))
    };
    ObjectHead {
        bytes: response.header("content-length").and_then(|length| length.parse().ok()),
        etag: response.header("etag").unwrap_or_default().to_owned(),
        run_id: response.header(RUN_HEADER).map(str::to_owned),
        checksums: response.headers().filter_map(checksum).collect(),
    }
}
