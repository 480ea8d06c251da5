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
use batch_export_sandbox::Network;
use batch_export_system::explain::count;
use bytes::{Bytes, BytesMut};
use url::Position;

/// Longest time for an answer to one request, where the chain itself sets none: three attempts fit into the whole.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer that a credential source may give; real ones have a few KiB.
const ANSWER_LIMIT_BYTES: usize = 1 << 20;

/// Where the last request went: errors of the chain do not say it.
pub(super) type LastAsked = Arc<Mutex<Option<String>>>;

/// The host's HTTP client in the form that the chain asks for.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) client: reqwest::Client,
    /// Explains what goes wrong.
    pub(super) network: Network,
    pub(super) last_asked: LastAsked,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
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
        let (connector, timeout) = (self.connector.clone(), self.timeout);
        let url = url::Url::parse(request.uri()).ok();
        // Not the whole URL: what stands behind the origin may be a secret, or what another answer said.
        let origin = url.as_ref().map(|url| url.origin().ascii_serialization());
        *connector.last_asked.lock().unwrap_or_else(PoisonError::into_inner) = origin;
        let host = url.map(|url| url[Position::BeforeHost..Position::AfterPort].to_owned());
        HttpConnectorFuture::new(async move { carry(&connector, &host.unwrap_or_default(), timeout, request).await })
    }
}

async fn carry(
    connector: &Connector,
    host: &str,
    timeout: Duration,
    request: HttpRequest,
) -> Result<HttpResponse, ConnectorError> {
    let user = |e: &dyn fmt::Display| ConnectorError::user(e.to_string().into());
    let failed = |error: reqwest::Error| {
        let explained = connector.network.explain(&error, host).into();
        match error.is_timeout() {
            true => ConnectorError::timeout(explained),
            false => ConnectorError::io(explained),
        }
    };
    let method = reqwest::Method::from_bytes(request.method().as_bytes()).map_err(|e| user(&e))?;
    let body = request
        .body()
        .bytes()
        .map(Bytes::copy_from_slice)
        .ok_or_else(|| user(&"the credential chain sent a streaming body"))?;
    let mut outgoing = connector.client.request(method, request.uri());
    outgoing = outgoing.timeout(timeout).body(body);
    for (name, value) in request.headers() {
        outgoing = outgoing.header(name, value);
    }
    let mut answer = outgoing.send().await.map_err(failed)?;
    let status = answer.status().as_u16();
    let headers = answer.headers().clone();
    let mut received = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if received.len() + chunk.len() > ANSWER_LIMIT_BYTES {
            let limit = count(ANSWER_LIMIT_BYTES as u64);
            return Err(user(&format!("the answer of {host} has more than {limit} bytes")));
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
