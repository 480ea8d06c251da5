//! Requests to a loopback server that answers as told: classes of failure, limits, cancelling.

use std::future::poll_fn;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::capability::network::NetworkOptions;

mod echoes;
mod reasons;
mod rebinding;
use crate::contract::Grant;
use crate::egress::policy::{OperatorLists, Policy};
use crate::egress::protocol::Protocol;

/// Serves the same bytes to every request, then closes; passes on what it read.
struct Server {
    port: u16,
    read: mpsc::UnboundedReceiver<String>,
}

impl Server {
    async fn start(answer: impl Into<Vec<u8>>) -> Self {
        let (listener, answer) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), answer.into());
        let port = listener.local_addr().unwrap().port();
        let (told, read) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (answer, told) = (answer.clone(), told.clone());
                tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    while !bytes.windows(4).any(|w| w == b"\r\n\r\n") {
                        match stream.read_buf(&mut bytes).await {
                            Ok(0) | Err(_) => break,
                            Ok(_) => {}
                        }
                    }
                    told.send(String::from_utf8_lossy(&bytes).into_owned()).ok();
                    if answer.is_empty() {
                        // Never answers; ends when the client goes.
                        while matches!(stream.read_buf(&mut bytes).await, Ok(n) if n > 0) {}
                        told.send("gone".to_owned()).ok();
                    }
                    stream.write_all(&answer).await.ok();
                    // A body that arrives after the end would reset the connection, and take the answer with it.
                    stream.shutdown().await.ok();
                    while matches!(stream.read_buf(&mut bytes).await, Ok(n) if n > 0) {}
                });
            }
        });
        Server { port, read }
    }
}

fn http_to(host: &str, port: u16, allow_private: &[&str], limits: HttpLimits) -> Http {
    let network = Network::new(&NetworkOptions::default()).unwrap();
    http_over(&network, host, port, allow_private, limits)
}

fn http_over(network: &Network, host: &str, port: u16, allow_private: &[&str], limits: HttpLimits) -> Http {
    let endpoint = format!("http://{host}:{port}");
    let configuration = serde_json::json!({
        "bucket_name": "b", "region": "auto", "prefix": "", "endpoint_url": endpoint,
    });
    let lists = OperatorLists {
        allow_private: allow_private.iter().map(|r| r.parse().unwrap()).collect(),
        ..OperatorLists::default()
    };
    let policy = Policy::with_head(Protocol::S3, &configuration, &lists, "").unwrap();
    let grant = |method: &str| Grant {
        operation: "Probe".into(),
        method: method.into(),
        origin: endpoint.clone(),
        path_prefix: "/b/".into(),
        query: vec![],
        headers: vec!["range".into()],
    };
    let grants = Grants::decide(&["PUT", "HEAD", "GET"].map(grant), &[], &policy).unwrap();
    Http::new(network, grants, limits, Handle::current(), Budget::new(1 << 30), None).unwrap()
}

fn put(host: &str, port: u16) -> Request {
    Request {
        method: http::Method::PUT,
        url: format!("http://{host}:{port}/b/key"),
        headers: vec![],
        body: Bytes::from_static(b"body"),
        delay: Duration::ZERO,
        timeout: Duration::from_secs(30),
    }
}

async fn answer(mut exchange: Exchange) -> Result<Response, TransportError> {
    poll_fn(|context| exchange.poll_ready(context)).await;
    exchange.take()
}

const LOCAL: &str = "127.0.0.1";

fn class(error: &TransportError) -> &'static str {
    match error {
        TransportError::Forbidden(_) => "forbidden",
        TransportError::Connect(_) => "connect",
        TransportError::Tls(_) => "tls",
        TransportError::Timeout(_) => "timeout",
        TransportError::Interrupted(_) => "interrupted",
        TransportError::TooLarge(_) => "too-large",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_answer_has_its_class() {
    let large = format!("HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n{}", "x".repeat(200));
    let headers = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: {}\r\n\r\n",
        "x".repeat(2000)
    );
    let cases = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", "200 ok"),
        ("HTTP/1.1 503 Slow\r\ncontent-length: 0\r\n\r\n", "503 "),
        ("HTTP/1.1 204 No\r\n\r\n", "204 "),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "200 ok",
        ),
        // No redirect is followed.
        (
            "HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:1/b/x\r\ncontent-length: 0\r\n\r\n",
            "307 ",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", "interrupted"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok",
            "interrupted",
        ),
        ("HTTP/1.1 200 OK\r\n\r\nok", "interrupted"),
        ("garbage\r\n\r\n", "interrupted"),
        ("HTTP/1.1 200 O", "interrupted"),
        (large.as_str(), "too-large"),
        (headers.as_str(), "too-large"),
    ];
    let limits = HttpLimits {
        response_body_bytes: 100,
        response_header_bytes: 1000,
        ..HttpLimits::default()
    };
    for (sent, expected) in cases {
        let server = Server::start(sent).await;
        let http = http_to(LOCAL, server.port, &[LOCAL], limits.clone());
        let seen = match answer(http.send(put(LOCAL, server.port))).await {
            Ok(r) => format!("{} {}", r.status, String::from_utf8_lossy(&r.body)),
            Err(error) => class(&error).to_owned(),
        };
        assert_eq!(seen, expected, "{sent:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_leaves_is_what_was_written() {
    let mut server = Server::start("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let http = http_to(LOCAL, server.port, &[LOCAL], HttpLimits::default());
    let mut request = put(LOCAL, server.port);
    request.headers.push(("range".into(), "bytes=0-1".into()));
    answer(http.send(request)).await.unwrap();
    let read = server.read.recv().await.unwrap();
    assert!(read.starts_with("PUT /b/key HTTP/1.1\r\n"), "{read}");
    for expected in ["range: bytes=0-1\r\n", "content-length: 4\r\n"] {
        assert!(read.contains(expected), "{read}");
    }
    for foreign in ["cookie", "referer", "accept-encoding", "authorization"] {
        assert!(!read.contains(foreign), "{read}");
    }
    assert_eq!((http.traffic.requests(), http.traffic.body_bytes_sent()), (1, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_resolves_to_a_private_address_is_refused_after_resolution() {
    let server = Server::start("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    // Known only once it is resolved, to this machine.
    let host = "store.localhost";
    let http = http_to(host, server.port, &[], HttpLimits::default());
    match answer(http.send(put(host, server.port))).await {
        Err(TransportError::Forbidden(cause)) => {
            let line = format!("allow_private = [\"store.localhost:{}\"]", server.port);
            assert!(cause.hint().is_some_and(|hint| hint.ends_with(&line)), "{cause:?}");
        }
        other => panic!("{other:?}"),
    }
    let named = format!("store.localhost:{}", server.port);
    let http = http_to(host, server.port, &[&named], HttpLimits::default());
    assert_eq!(answer(http.send(put(host, server.port))).await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_listening_is_connect() {
    // Bound, so that nobody else takes the port, and not listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    let http = http_to(LOCAL, port, &[LOCAL], HttpLimits::default());
    let error = answer(http.send(put(LOCAL, port))).await.unwrap_err();
    assert_eq!(class(&error), "connect", "{error}");
    assert!(error.to_string().contains(&port.to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_a_timeout_and_dropping_an_exchange_ends_its_request() {
    let mut server = Server::start("").await;
    let http = http_to(
        LOCAL,
        server.port,
        &[LOCAL],
        HttpLimits {
            in_flight: 1,
            ..HttpLimits::default()
        },
    );
    let mut request = put(LOCAL, server.port);
    request.timeout = Duration::from_millis(50);
    assert_eq!(class(&answer(http.send(request)).await.unwrap_err()), "timeout");
    let pending = http.send(put(LOCAL, server.port));
    let beside = answer(http.send(put(LOCAL, server.port))).await.unwrap_err();
    assert!(beside.to_string().contains("`in_flight`"), "{beside}");
    drop(pending);
    while server.read.recv().await.unwrap() != "gone" {}
    while http.traffic.in_flight.load(Ordering::Acquire) > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payloads_and_requests_are_bounded_and_an_answer_is_taken_once() {
    let limits = HttpLimits {
        payload_bytes: 10,
        payloads_held_bytes: 15,
        requests: 1,
        ..HttpLimits::default()
    };
    let http = http_to(LOCAL, 1, &[LOCAL], limits);
    let refused = |bytes: usize, words: &str| match http.payload(vec![0; bytes], []) {
        Err(PayloadRefused::OverLimit(text)) => assert!(text.contains(words), "{text}"),
        other => panic!("{words}: {other:?}"),
    };
    refused(11, "`payload_bytes`");
    let first = http.payload(vec![0; 10], []).unwrap();
    refused(
        10,
        "payloads of 20 bytes held at once, the limit is 15 (`payloads_held_bytes`)",
    );
    let body = first.bytes();
    drop(first);
    assert!(
        http.payload(vec![0; 10], []).is_err(),
        "a request still holds the bytes"
    );
    drop(body);
    http.payload(vec![0; 10], []).unwrap();

    let mut exchange = http.send(Request {
        url: "http://evil/".into(),
        ..put(LOCAL, 1)
    });
    assert_eq!(class(&exchange.take().unwrap_err()), "forbidden");
    let twice = exchange.take().unwrap_err();
    assert!(twice.to_string().contains("already taken"), "{twice}");
    let flood = answer(http.send(put(LOCAL, 1))).await.unwrap_err();
    assert!(flood.to_string().contains("`requests`"), "{flood}");
}

#[test]
fn jitter_adds_up_to_a_quarter() {
    for _ in 0..1000 {
        let delay = with_jitter(Duration::from_secs(4));
        assert!((4.0..=5.0).contains(&delay.as_secs_f64()), "{delay:?}");
    }
}

/// Answers count from their first byte until they are taken or dropped, headers too; the one that has no room is the
/// one that fails, by name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_not_taken_have_a_budget() {
    let body = "x".repeat(100);
    let known = format!("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{body}");
    let chunked = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\n{body}\r\n0\r\n\r\n");
    for reply in [known, chunked] {
        let server = Server::start(reply.clone()).await;
        let limits = HttpLimits {
            responses_held_bytes: 300,
            ..HttpLimits::default()
        };
        let http = http_to(LOCAL, server.port, &[LOCAL], limits);
        let mut hoard = Vec::new();
        for _ in 0..3 {
            let mut exchange = http.send(put(LOCAL, server.port));
            poll_fn(|context| exchange.poll_ready(context)).await;
            hoard.push(exchange);
        }
        let answers = http.traffic.responses();
        assert!((200..=300).contains(&answers.held_bytes()), "{answers:?}");
        let refused = hoard.pop().expect("the third").take().unwrap_err();
        assert_eq!(class(&refused), "too-large");
        assert!(refused.to_string().contains("`responses_held_bytes`"), "{refused}");
        let taken = hoard.pop().expect("the second").take().expect("an answer");
        assert_eq!(taken.body, body.as_bytes());
        drop(taken);
        let again = answer(http.send(put(LOCAL, server.port))).await;
        assert_eq!(again.expect("there is room again").status, 200);
        drop(hoard);
        assert_eq!(http.traffic.responses().held_bytes(), 0);
        assert!(http.traffic.responses().peak_bytes() <= 300);
    }
}

/// What all sessions hold together is bounded as well; whoever finds no room may ask again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_share_one_budget() {
    let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}", "x".repeat(100));
    let server = Server::start(reply).await;
    let mut http = http_to(LOCAL, server.port, &[LOCAL], HttpLimits::default());
    http.memory = Budget::new(250);
    let payload = http.payload(vec![0; 200], []).expect("room");
    assert_eq!(http.payload(vec![0; 51], []).unwrap_err(), PayloadRefused::Crowded);
    let refused = answer(http.send(put(LOCAL, server.port))).await.unwrap_err();
    assert_eq!(class(&refused), "interrupted");
    assert!(refused.to_string().contains("`memory_bytes`"), "{refused}");
    drop(payload);
    answer(http.send(put(LOCAL, server.port))).await.expect("room again");
    assert_eq!(http.memory.held_bytes(), 0);
}
