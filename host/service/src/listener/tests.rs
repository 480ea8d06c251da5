//! The listener over real connections: what it answers, whom it refuses, and that no client can hold it.

use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::test_support::openmetrics;

/// A listener with health and metrics, and one route that never answers.
struct Scene {
    address: SocketAddr,
    health: Health,
    token: Token,
    served: tokio::task::JoinHandle<()>,
}

async fn scene() -> Scene {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (address, token) = (listener.address(), Token::new());
    let (health, metrics) = (Health::new(), Metrics::new());
    metrics.configured(["archive"]);
    let slow = || async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        "slow"
    };
    let router = router(&health, &metrics).route("/slow", get(slow));
    let served = tokio::spawn(listener.serve(router, token.clone()));
    Scene {
        address,
        health,
        token,
        served,
    }
}

impl Scene {
    async fn send(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // One that closes early may reset the connection.
        stream.read_to_end(&mut answer).await.ok();
        String::from_utf8(answer).unwrap()
    }

    async fn get(&self, path: &str) -> String {
        let host = self.address;
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await
    }
}

#[track_caller]
fn is(answer: &str, status: u16, body: &str) {
    let (head, found) = answer.split_once("\r\n\r\n").expect(answer);
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert_eq!(found.trim_end(), body);
}

#[tokio::test]
async fn health_and_readiness_follow_the_service() {
    let scene = scene().await;
    is(&scene.get("/healthz").await, 200, r#"{"healthy":true}"#);
    let starting = r#"{"ready":false,"reasons":["the service is starting"]}"#;
    is(&scene.get("/readyz").await, 503, starting);
    scene.health.started();
    is(&scene.get("/readyz").await, 200, r#"{"ready":true}"#);
    scene
        .health
        .ledger(Err("the ledger cannot be written: the disk is full".to_owned()));
    let full = r#"{"ready":false,"reasons":["the ledger cannot be written: the disk is full"]}"#;
    is(&scene.get("/readyz").await, 503, full);
    is(&scene.get("/healthz").await, 200, r#"{"healthy":true}"#);
    scene.health.ledger(Ok(()));
    scene.health.age(HEARTBEAT_AGE + Duration::from_millis(500));
    let stuck = r#"{"healthy":false,"reasons":["the service has been stuck for 30 s"]}"#;
    is(&scene.get("/healthz").await, 503, stuck);
    scene.health.beat();
    scene.health.stopping();
    let stopping = r#"{"ready":false,"reasons":["the service is stopping"]}"#;
    is(&scene.get("/readyz").await, 503, stopping);
    is(&scene.get("/healthz").await, 200, r#"{"healthy":true}"#);
}

#[tokio::test]
async fn metrics_are_openmetrics() {
    let scene = scene().await;
    let answer = scene.get("/metrics").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    assert!(head.contains(kind) && head.contains("nosniff"), "{head}");
    let series = openmetrics::parse(body).unwrap();
    assert_eq!(series.value("batch_export_rows_total{destination=archive}"), Some(0.0));
}

#[tokio::test]
async fn a_port_that_is_taken_says_what_to_do() {
    let taken = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let failure = Listener::bind(taken.address()).await.unwrap_err();
    assert_eq!(failure.code(), Listener::ADDRESS_TAKEN);
    let expect = format!("cannot listen on {}: another program listens there", taken.address());
    assert_eq!(failure.message(), expect);
    assert!(failure.hint().unwrap().contains("`listen`"));
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        let failure = Listener::bind(address.parse().unwrap()).await.unwrap_err();
        assert_eq!(failure.code(), Listener::ADDRESS_UNUSABLE, "{address}");
        assert!(failure.message().contains("reached from other machines"), "{failure}");
    }
}

#[tokio::test]
async fn only_names_of_this_machine_are_answered() {
    let scene = scene().await;
    let with = |line: &str, host: &str| format!("GET {line} HTTP/1.1\r\n{host}\r\n\r\n");
    for host in [
        "localhost",
        "LOCALHOST:1234",
        "127.0.0.1",
        "127.9.9.9:80",
        "[::1]",
        "[::1]:80",
    ] {
        let answer = scene.send(&with("/healthz", &format!("Host: {host}"))).await;
        is(&answer, 200, r#"{"healthy":true}"#);
    }
    for (line, host) in [
        ("/healthz", "Host: rebound.example"),
        ("/healthz", "Host: rebound.example:9000"),
        ("/healthz", "Host: localhost.rebound.example"),
        ("/healthz", "Host: 127.0.0.1.rebound.example"),
        ("/healthz", "Host: 192.168.0.1"),
        ("/healthz", "Host: localhost@rebound.example"),
        ("/healthz", "Host: rebound.example@localhost"),
        ("/healthz", "Host:"),
        ("/healthz", "X-Host: localhost"),
        ("/healthz", "Host: localhost\r\nHost: rebound.example"),
        ("http://rebound.example/healthz", "Host: localhost"),
        ("/nowhere", "Host: rebound.example"),
    ] {
        let answer = scene.send(&with(line, host)).await;
        let refused = ["HTTP/1.1 403 ", "HTTP/1.1 400 "]
            .iter()
            .any(|line| answer.starts_with(line));
        assert!(refused && !answer.contains("healthy"), "{line} {host}: {answer}");
    }
}

#[tokio::test]
async fn clients_that_are_slow_or_large_take_nothing_from_others() {
    let scene = scene().await;
    // All the room is taken by clients that never finish their requests.
    let mut stuck = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        let mut stream = TcpStream::connect(scene.address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: loc").await.unwrap();
        stuck.push(stream);
    }
    let begun = Instant::now();
    is(&scene.get("/healthz").await, 200, r#"{"healthy":true}"#);
    assert!(begun.elapsed() < HEAD_TIME * 3, "{:?}", begun.elapsed());
    drop(stuck);
    let long = "x".repeat(2 * MAX_HEAD_BYTES);
    let answer = scene.get(&format!("/healthz?{long}")).await;
    assert!(!answer.contains("healthy"), "{answer}");
    let many = "X-Many: 1\r\n".repeat(MAX_HEADERS + 1);
    let answer = scene
        .send(&format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"))
        .await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn requests_that_are_under_way_are_answered_before_the_end() {
    let scene = scene().await;
    let slow = tokio::spawn({
        let address = scene.address;
        async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n";
            stream.write_all(request).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        }
    });
    let idle = TcpStream::connect(scene.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    scene.token.cancel();
    is(&slow.await.unwrap(), 200, "slow");
    let ended = tokio::time::timeout(ENDING_TIME + Duration::from_secs(1), scene.served).await;
    ended.unwrap().unwrap();
    assert!(TcpStream::connect(scene.address).await.is_err());
    drop(idle);
}
