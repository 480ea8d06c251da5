//! Carries the requests of the credential chain with this host's own HTTP client and TLS. Follows nothing, repeats
//! nothing, and remembers of a request only where it went.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use bytes::{Bytes, BytesMut};

/// Longest time for an answer to one request, where the chain itself sets none: three attempts fit into the whole.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer that a credential source may give; real ones have a few KiB.
const ANSWER_LIMIT_BYTES: usize = 1 << 20;

/// Where the last request went: errors of the chain do not say it.
pub(super) type LastAsked = Arc<Mutex<Option<String>>>;

/// The host's HTTP client in the form that the chain asks for.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    pub(super) client: reqwest::Client,
    pub(super) last_asked: LastAsked,
}

impl Connector {
    pub(super) fn with(&self, settings: &HttpConnectorSettings) -> SharedHttpConnector {
        let connect = settings.connect_timeout().unwrap_or_default();
        SharedHttpConnector::new(TimedConnector {
            connector: self.clone(),
            timeout: connect + settings.read_timeout().unwrap_or(ANSWER_TIMEOUT),
        })
    }
}

#[derive(Debug)]
struct TimedConnector {
    connector: Connector,
    timeout: Duration,
}

impl HttpConnector for TimedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Connector { client, last_asked } = self.connector.clone();
        let timeout = self.timeout;
        *last_asked.lock().unwrap_or_else(PoisonError::into_inner) = place(request.uri());
        HttpConnectorFuture::new(async move { carry(&client, timeout, request).await })
    }
}

/// The origin of a URL: what stands behind it may be a secret, or what another answer said.
fn place(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    Some(url.origin().ascii_serialization())
}

async fn carry(
    client: &reqwest::Client,
    timeout: Duration,
    request: HttpRequest,
) -> Result<HttpResponse, ConnectorError> {
    let user = |e: &dyn fmt::Display| ConnectorError::user(e.to_string().into());
    let method = reqwest::Method::from_bytes(request.method().as_bytes()).map_err(|e| user(&e))?;
    let body = request
        .body()
        .bytes()
        .map(Bytes::copy_from_slice)
        .ok_or_else(|| user(&"the credential chain sent a streaming body"))?;
    let mut outgoing = client.request(method, request.uri()).timeout(timeout).body(body);
    for (name, value) in request.headers() {
        outgoing = outgoing.header(name, value);
    }
    let mut answer = outgoing.send().await.map_err(failed)?;
    let status = answer.status().as_u16();
    let headers = answer.headers().clone();
    let mut received = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if received.len() + chunk.len() > ANSWER_LIMIT_BYTES {
            return Err(user(&format!("an answer of more than {ANSWER_LIMIT_BYTES} bytes")));
        }
        received.extend_from_slice(&chunk);
    }
    let status = status.try_into().map_err(|e| user(&e))?;
    let mut response = HttpResponse::new(status, SdkBody::from(received.freeze()));
    for (name, value) in &headers {
        if let Ok(value) = value.to_str() {
            response
                .headers_mut()
                .try_append(name.as_str().to_owned(), value.to_owned())
                .map_err(|e| user(&e))?;
        }
    }
    Ok(response)
}

fn failed(error: reqwest::Error) -> ConnectorError {
    match error.is_timeout() {
        true => ConnectorError::timeout(error.into()),
        false => ConnectorError::io(error.into()),
    }
}
