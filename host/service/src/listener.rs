//! The HTTP listener: a door on this machine alone, through which monitoring looks at the service. A web page that the
//! operator opens elsewhere cannot look through it, and no client can hold it open. What is behind it are routers of
//! others; its own are health and metrics.

mod health;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::metrics::{CONTENT_TYPE, Metrics};
use batch_export_runner::{Failure, FailureClass, FailureCode};
use batch_export_system::Token;
use batch_export_system::explain::plain;

pub use health::{HEARTBEAT_AGE, Health};

/// Connections at once; further ones wait until one ends.
const MAX_CONNECTIONS: usize = 64;
/// Bytes of a request's line and headers.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Headers of a request.
const MAX_HEADERS: usize = 64;
/// Time for a request's line and headers to arrive.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// Time for a response to be made.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Time of a connection, which carries one request.
const CONNECTION_TIME: Duration = Duration::from_secs(30);
/// Time that connections have to end when the listener does.
const ENDING_TIME: Duration = Duration::from_secs(2);
/// Time until the next attempt when no connection can be accepted, as when the process has no file handle left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A loopback address on which this process listens.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Another program listens on the address.
    pub const ADDRESS_TAKEN: FailureCode = FailureCode::new("listen_address_taken");
    /// The address cannot be listened on for another reason.
    pub const ADDRESS_UNUSABLE: FailureCode = FailureCode::new("listen_address_unusable");

    /// Listens on a loopback address; port 0 is any that is free.
    pub async fn bind(address: SocketAddr) -> Result<Self, Failure> {
        if !address.ip().is_loopback() {
            let message = format!("cannot listen on {address}: it can be reached from other machines");
            return Err(
                Failure::new(FailureClass::Configuration, Self::ADDRESS_UNUSABLE, message)
                    .with_hint("listen on a loopback address such as 127.0.0.1"),
            );
        }
        let unusable = |error| not_listening(address, error);
        let listener = TcpListener::bind(address).await.map_err(unusable)?;
        let address = listener.local_addr().map_err(unusable)?;
        Ok(Listener { listener, address })
    }

    /// Returns the address, with its port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until the token ends it; requests that are in progress then are answered first, within a bound.
    pub async fn serve(self, router: Router, token: Token) {
        let service = router.layer(from_fn(guard));
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let ending = Token::new();
        let mut connections = JoinSet::new();
        let accept = async {
            loop {
                // The semaphore is never closed.
                let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                    return;
                };
                while connections.try_join_next().is_some() {}
                match self.listener.accept().await {
                    Ok((stream, _)) => {
                        let connection = serve_one(stream, service.clone(), ending.clone());
                        connections.spawn(async move {
                            connection.await;
                            drop(permit);
                        });
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                }
            }
        };
        // Interrupted is the only way in which this ends.
        token.run(accept).await.ok();
        drop(self.listener);
        ending.cancel();
        let all = async { while connections.join_next().await.is_some() {} };
        // Those that take longer end with the set.
        tokio::time::timeout(ENDING_TIME, all).await.ok();
    }
}

fn not_listening(address: SocketAddr, error: io::Error) -> Failure {
    let (code, reason, hint) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            Listener::ADDRESS_TAKEN,
            "another program listens there".to_owned(),
            "end that program, or let `listen` in [service] name another port",
        ),
        io::ErrorKind::PermissionDenied => (
            Listener::ADDRESS_UNUSABLE,
            "this user may not use that port".to_owned(),
            "let `listen` in [service] name a port above 1023",
        ),
        _ => (
            Listener::ADDRESS_UNUSABLE,
            plain(&error),
            "let `listen` in [service] name an address of this machine such as 127.0.0.1",
        ),
    };
    let message = format!("cannot listen on {address}: {reason}");
    Failure::new(FailureClass::Failed, code, message)
        .with_hint(hint)
        .with_source(error)
}

/// Serves a connection: one request, so that nothing idle takes room.
async fn serve_one(stream: TcpStream, router: Router, ending: Token) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let served = async {
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = ending.interrupted() => {}
        }
        connection.as_mut().graceful_shutdown();
        // What is wrong with a connection is the client's concern.
        connection.await.ok();
    };
    tokio::time::timeout(CONNECTION_TIME, served).await.ok();
}

/// Lets only requests in that mean this machine, and bounds the time of each.
///
/// A page on the internet may have its own name resolve to a loopback address and so read what is here in the
/// operator's browser ("DNS rebinding"); its requests carry that name.
async fn guard(request: Request, next: Next) -> Response {
    if !is_for_this_machine(&request) {
        let what = "this listener answers requests to `localhost` or a loopback address only\n";
        return (StatusCode::FORBIDDEN, what).into_response();
    }
    let mut response = match tokio::time::timeout(REQUEST_TIME, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "this takes too long\n").into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

fn is_for_this_machine(request: &Request) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let named = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    let in_line = request.uri().authority();
    named.as_ref().is_some_and(is_loopback) && in_line.is_none_or(is_loopback)
}

fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let has_user = authority.as_str().contains('@');
    !has_user && (host.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()))
}

/// Returns `/healthz`, `/readyz` and `/metrics`.
pub fn router(health: &Health, metrics: &Metrics) -> Router {
    let observed = Observed {
        health: health.clone(),
        metrics: metrics.clone(),
    };
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(exposition))
        .with_state(observed)
}

#[derive(Clone)]
struct Observed {
    health: Health,
    metrics: Metrics,
}

async fn healthz(State(observed): State<Observed>) -> Result<Response, Infallible> {
    Ok(answer("healthy", observed.health.unhealthy().into_iter().collect()))
}

async fn readyz(State(observed): State<Observed>) -> Result<Response, Infallible> {
    Ok(answer("ready", observed.health.not_ready()))
}

/// Returns `{"ready": true}`, or `{"ready": false, "reasons": […]}` with status 503.
fn answer(question: &str, reasons: Vec<String>) -> Response {
    let (status, json) = match reasons.is_empty() {
        true => (StatusCode::OK, serde_json::json!({ question: true })),
        false => (
            StatusCode::SERVICE_UNAVAILABLE,
            serde_json::json!({ question: false, "reasons": reasons }),
        ),
    };
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (status, headers, format!("{json}\n")).into_response()
}

async fn exposition(State(observed): State<Observed>) -> Response {
    // Of ten thousand destinations it takes a while.
    let encoded = tokio::task::spawn_blocking(move || observed.metrics.encode()).await;
    match encoded {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n").into_response(),
    }
}
