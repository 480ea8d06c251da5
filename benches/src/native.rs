//! The host's side of the contract for the plugin as a part of this program: the same HTTP client, no sandbox, no
//! grants. Only for benches: nothing here is checked, and notes go nowhere.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use hmac::{Hmac, KeyInit, Mac};
use s3_destination::imports::{
    DigestAlgorithm, Imports, Level, Method, NoteError, Refresh, Request, Response, ScopedKey, SignerError,
    TransportError,
};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::job::{ACCESS_KEY, SECRET_KEY};

const DAY_SECONDS: i64 = 86_400;

/// The imports that the plugin gets instead of a host's.
pub struct Native {
    runtime: Handle,
    client: reqwest::Client,
    /// The signing key and the day that it is for.
    key: RefCell<Option<(i64, Vec<u8>)>>,
    body_bytes_sent: Rc<Cell<u64>>,
}

/// A request in progress; dropping it cancels it.
pub struct Exchange(RefCell<State>);

enum State {
    Pending(oneshot::Receiver<Answer>),
    Ready(Answer),
}

type Answer = Result<Response, TransportError>;

impl Native {
    /// `body_bytes_sent` counts bodies of requests as they are started.
    pub fn new(runtime: Handle, body_bytes_sent: Rc<Cell<u64>>) -> Result<Self> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(no_tls()?)
            .http1_only()
            .no_proxy()
            .retry(reqwest::retry::never())
            .tcp_nodelay(true)
            .build()?;
        Ok(Self {
            runtime,
            client,
            key: RefCell::default(),
            body_bytes_sent,
        })
    }
}

/// The store is on loopback without TLS, so that no certificate is trusted.
fn no_tls() -> Result<rustls::ClientConfig> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth())
}

impl Exchange {
    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.borrow_mut();
        let State::Pending(answer) = &mut *state else {
            return Poll::Ready(());
        };
        let answer = ready!(Pin::new(answer).poll(context));
        *state = State::Ready(answer.unwrap_or_else(|_| lost()));
        Poll::Ready(())
    }
}

fn lost() -> Answer {
    Err(TransportError::Interrupted(
        "the request ended without an answer".into(),
    ))
}

impl Imports for Native {
    type Payload = Bytes;
    type Exchange = Exchange;

    fn payload(&self, bytes: Vec<u8>, _digests: &[DigestAlgorithm]) -> Bytes {
        bytes.into()
    }

    fn digest(&self, payload: &Bytes, algorithm: DigestAlgorithm) -> Vec<u8> {
        let crc = |algorithm| crc_fast::checksum(algorithm, payload).to_be_bytes();
        match algorithm {
            DigestAlgorithm::Sha256 => Sha256::digest(payload).to_vec(),
            DigestAlgorithm::Crc64Nvme => crc(CrcAlgorithm::Crc64Nvme).to_vec(),
            DigestAlgorithm::Crc32c => crc(CrcAlgorithm::Crc32Iscsi)[4..].to_vec(),
            DigestAlgorithm::Crc32 => crc(CrcAlgorithm::Crc32IsoHdlc)[4..].to_vec(),
        }
    }

    fn send(&self, request: Request<'_, Bytes>) -> Exchange {
        let body = request.body.cloned().unwrap_or_default();
        self.body_bytes_sent.set(self.body_bytes_sent.get() + body.len() as u64);
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Head => reqwest::Method::HEAD,
            Method::Put => reqwest::Method::PUT,
            Method::Post => reqwest::Method::POST,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut builder = self.client.request(method, request.url).body(body);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let delay = Duration::from_millis(request.delay_ms.into());
        let timeout = Duration::from_millis(request.timeout_ms.into());
        let (mut sender, answer) = oneshot::channel();
        self.runtime.spawn(async move {
            let carried = async {
                tokio::time::sleep(delay).await;
                tokio::time::timeout(timeout, carry(builder))
                    .await
                    .unwrap_or_else(|_| Err(TransportError::Timeout("no answer in time".into())))
            };
            tokio::select! {
                // Nobody wants the answer any more: the request ends here, unsent or cut.
                () = sender.closed() => None,
                answer = carried => Some(answer),
            }
            .map(|answer| sender.send(answer))
        });
        Exchange(RefCell::new(State::Pending(answer)))
    }

    fn wait(&self, exchange: Exchange) -> Answer {
        self.runtime.block_on(poll_fn(|context| exchange.poll_ready(context)));
        match exchange.0.into_inner() {
            State::Ready(answer) => answer,
            State::Pending(_) => lost(),
        }
    }

    fn wait_any(&self, exchanges: &[&Exchange]) -> usize {
        self.runtime.block_on(poll_fn(|context| {
            exchanges
                .iter()
                .position(|exchange| exchange.poll_ready(context).is_ready())
                .map_or(Poll::Pending, Poll::Ready)
        }))
    }

    fn scoped_key(&self, service: &str, region: &str, _refresh: Refresh) -> Result<ScopedKey, SignerError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let timestamp = now.map_or(0, |now| now.as_secs() as i64);
        let day = timestamp / DAY_SECONDS;
        let mut kept = self.key.borrow_mut();
        let key = match &*kept {
            Some((kept_day, key)) if *kept_day == day => key.clone(),
            _ => {
                let key = derive(timestamp, service, region)?;
                *kept = Some((day, key.clone()));
                key
            }
        };
        Ok(ScopedKey {
            access_key_id: ACCESS_KEY.to_owned(),
            session_token: None,
            timestamp,
            key,
        })
    }

    fn note(&self, _note: &[u8], _durable: bool) -> Result<(), NoteError> {
        Ok(())
    }

    fn log(&self, level: Level, message: &str) {
        if matches!(level, Level::Warn | Level::Error) {
            eprintln!("plugin: {message}");
        }
    }
}

/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>
fn derive(timestamp: i64, service: &str, region: &str) -> Result<Vec<u8>, SignerError> {
    let unusable = |what: String| SignerError::Unavailable(what.into());
    let date = chrono::DateTime::from_timestamp(timestamp, 0)
        .ok_or_else(|| unusable(format!("the clock shows {timestamp}")))?
        .format("%Y%m%d")
        .to_string();
    let mut key = format!("AWS4{SECRET_KEY}").into_bytes();
    for part in [date.as_str(), region, service, "aws4_request"] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|error| unusable(error.to_string()))?;
        mac.update(part.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    Ok(key)
}

async fn carry(builder: reqwest::RequestBuilder) -> Answer {
    let classify = |error: reqwest::Error| {
        let text = error.to_string();
        match error.is_connect() {
            true => TransportError::Connect(text.into()),
            false => TransportError::Interrupted(text.into()),
        }
    };
    let response = builder.send().await.map_err(classify)?;
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect();
    let body = response.bytes().await.map_err(classify)?;
    Ok(Response {
        status,
        headers,
        body: body.into(),
    })
}
