//! A client that reads objects back: signed GET and HEAD of the run's own keys, through the grants and the door that a
//! plugin's requests go through. Takes no address from a plugin that the operator's policy does not have; never writes,
//! lists or deletes.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::runtime::Handle;
use url::Url;

use super::sign::{self, Unsigned};
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
    /// There is no key to sign the request with.
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
    /// The store answered with a status other than 200 and 404.
    #[error("the store refuses {method} {key}: status {status}{detail}")]
    Refused {
        /// The request's method.
        method: &'static str,
        /// The object's key.
        key: String,
        /// The response's status.
        status: u16,
        /// S3's word for the reason, where it said one.
        code: Option<String>,
        /// The word and what the store says, for the end of a sentence.
        detail: String,
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
            StoreError::Refused { status, code, .. } => return Some(advice(*status, code.as_deref()).to_owned()),
            StoreError::TooLarge { .. } | StoreError::TooLong { .. } => {
                "find out who wrote this object, and run the interval again"
            }
            StoreError::Temporary { .. } => "free some disk space, or set TMPDIR to a folder on another disk",
        };
        Some(hint.to_owned())
    }
}

/// Returns what a reason says to do about it, or this.
fn own_or(cause: &Cause, usual: &str) -> Option<String> {
    cause.hint().or_else(|| Some(usual.to_owned()))
}

/// Returns what to do about a refusal: by the store's own word where it said one.
fn advice(status: u16, code: Option<&str>) -> &'static str {
    match (status, code) {
        (_, Some("SignatureDoesNotMatch")) => "correct the secret key: it does not match the access key",
        (_, Some("InvalidAccessKeyId")) => "correct the access key: the store does not recognize it",
        (_, Some("InvalidToken" | "ExpiredToken" | "TokenRefreshRequired")) => "renew the session token",
        (_, Some("RequestTimeTooSkewed")) => "correct this machine's clock",
        (_, Some("AccessDenied" | "AllAccessDisabled")) => "grant s3:GetObject on the prefix to these keys",
        (_, Some("NoSuchBucket")) => "correct bucket_name, region and endpoint_url",
        (401 | 403, _) => "correct the keys if they are wrong, or grant them s3:GetObject on the prefix",
        (busy, _) if is_busy(busy) => "verify again when the store has recovered",
        _ => "correct region, endpoint_url and bucket_name",
    }
}

impl StoreError {
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
    /// Host and, unless it is the scheme's own, port.
    host: String,
    asks_for_checksum: bool,
}

/// User metadata that names the run which wrote an object (docs/formats.md).
pub(super) const RUN_HEADER: &str = "x-amz-meta-batch-export-run";
/// The beginning of checksum headers; `-type` and `-algorithm` follow it too.
const CHECKSUM_HEADER: &str = "x-amz-checksum-";

impl Store {
    /// The configured bucket at the address that the plan writes to, which the operator's policy must have.
    pub(super) fn new(plan: &Plan, policy: &Policy, access: Access, observer: Observer) -> Result<Self, Failure> {
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
            host: origin.authority().to_owned(),
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
        match self.request("HEAD", key).await {
            Ok(answer) => Ok(answer.map(|answer| answer.head)),
            // HEAD has no body, so it cannot say why: the same question as GET can.
            Err(refused @ StoreError::Refused { status: 400..=403, .. }) => match self.get(key).await {
                Err(explained @ StoreError::Refused { .. }) => Err(explained),
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
        match answer.response.status() {
            200 => Ok(Some(answer)),
            404 => Ok(None),
            status => {
                let (code, detail) = answer.refusal().await;
                Err(StoreError::Refused {
                    method,
                    key: key.to_owned(),
                    status,
                    code,
                    detail,
                })
            }
        }
    }
}

fn silent() -> String {
    format!("nothing was received for {} s", SILENCE_LIMIT.as_secs())
}

fn is_busy(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
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

    /// The code and message of S3's error document, as far as there is one.
    async fn refusal(self) -> (Option<String>, String) {
        let Ok(bytes) = self.whole(REFUSAL_LIMIT_BYTES * 8).await else {
            return (None, String::new());
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
        (code, detail)
    }
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
