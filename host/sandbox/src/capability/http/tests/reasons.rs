//! What is said when a request cannot be carried: one sentence in plain words for each reason, with the place in it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::*;
use crate::Secret;
use crate::capability::resolve::Lookup;

/// A client of one server by any scheme and name, which resolves to this machine unless `lookup` says otherwise.
fn client(options: &NetworkOptions, lookup: Lookup, endpoint: &str) -> Http {
    let network = Network::new(options).expect("a network").with_lookup(lookup);
    let configuration = serde_json::json!({
        "bucket_name": "b", "region": "auto", "prefix": "", "endpoint_url": endpoint,
    });
    let lists = OperatorLists {
        allow_private: ["127.0.0.1", "store.internal"].map(|rule| rule.parse().unwrap()).into(),
        ..OperatorLists::default()
    };
    let policy = Policy::with_head(Protocol::S3, &configuration, &lists, "").unwrap();
    let grant = Grant {
        operation: "Probe".into(),
        method: "GET".into(),
        origin: endpoint.to_owned(),
        path_prefix: "/b/".into(),
        query: vec![],
        headers: vec![],
    };
    let grants = Grants::decide(&[grant], &[], &policy).unwrap();
    let limits = HttpLimits::default();
    Http::new(&network, grants, limits, Handle::current(), Budget::new(1 << 30), None).unwrap()
}

fn here() -> Lookup {
    Arc::new(|_| Box::pin(async { Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]) }))
}

/// What goes wrong, and which case and words it becomes; `{port}` stands for the server's.
async fn said(options: &NetworkOptions, lookup: Lookup, endpoint: &str, port: u16) -> (&'static str, String) {
    let endpoint = endpoint.replace("{port}", &port.to_string());
    let request = Request {
        method: http::Method::GET,
        url: format!("{endpoint}/b/key"),
        headers: vec![],
        body: Bytes::new(),
        delay: Duration::ZERO,
        timeout: Duration::from_millis(400),
    };
    let error = answer(client(options, lookup, &endpoint).send(request)).await;
    let error = error.expect_err("no response");
    (class(&error), error.to_string().replace(&port.to_string(), "{port}"))
}

/// A port at which nobody listens any more.
async fn closed() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

/// A server that closes every connection with what it was sent still unread, which resets it.
async fn resetting() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.readable().await.ok();
        }
    });
    port
}

/// A server that speaks TLS as `127.0.0.1` and `localhost`, with the certificate of its authority.
async fn with_tls() -> (u16, String) {
    let (acceptor, authority) = devstore::acceptor(&[]).expect("a certificate");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            acceptor.accept(stream).await.ok();
        }
    });
    (port, authority)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_reason_is_one_plain_sentence() {
    let plain = NetworkOptions::default;
    let (tls, authority) = with_tls().await;
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("authority.pem");
    std::fs::write(&ca_file, authority).unwrap();
    let trusting = NetworkOptions {
        ca_file: Some(ca_file),
        ..NetworkOptions::default()
    };
    let proxied = NetworkOptions {
        proxy: Some(Secret::new("http://127.0.0.1:9")),
        ..NetworkOptions::default()
    };
    let unknown: Lookup = Arc::new(|_| {
        let reason = "failed to lookup address information: Name or service not known";
        Box::pin(async move { Err(std::io::Error::other(reason)) })
    });
    let elsewhere: Lookup = Arc::new(|_| Box::pin(async { Ok(vec![IpAddr::from([10, 1, 2, 3])]) }));
    let silent = Server::start("").await.port;
    let by_address = "http://127.0.0.1:{port}";
    let by_name = "http://store.internal:{port}";
    for (options, lookup, endpoint, port, class, expect) in [
        (
            plain(),
            here(),
            by_address,
            closed().await,
            "connect",
            "nothing listens at 127.0.0.1:{port} (connection refused)",
        ),
        (
            proxied,
            here(),
            by_name,
            closed().await,
            "connect",
            "nothing listens at store.internal:{port} or the proxy 127.0.0.1:9 before it (connection refused)",
        ),
        (
            plain(),
            unknown,
            by_name,
            9000,
            "connect",
            "the name `store.internal` cannot be resolved (name or service not known)",
        ),
        (
            plain(),
            elsewhere,
            "http://elsewhere.internal:{port}",
            9000,
            "forbidden",
            "`elsewhere.internal` resolves to 10.1.2.3, which is not public (private); to allow it, add to the \
             destination's `egress` table: allow_private = [\"elsewhere.internal:{port}\"]",
        ),
        (
            plain(),
            here(),
            by_address,
            resetting().await,
            "interrupted",
            "no complete response from 127.0.0.1:{port}: the connection was reset",
        ),
        (
            plain(),
            here(),
            by_address,
            silent,
            "timeout",
            "no complete response from 127.0.0.1:{port} within 0.4 s",
        ),
        (
            plain(),
            here(),
            "https://127.0.0.1:{port}",
            tls,
            "tls",
            "the certificate of 127.0.0.1:{port} is signed by an authority that is not trusted here (`ca_file` names \
             the file of a private authority)",
        ),
        (
            trusting,
            here(),
            "https://store.internal:{port}",
            tls,
            "tls",
            "the certificate of store.internal:{port} is for another name (it names 127.0.0.1, localhost)",
        ),
    ] {
        let (found, said) = said(&options, lookup, endpoint, port).await;
        // A machine without certificates says so behind it.
        let said = said
            .split("; this machine has no certificates")
            .next()
            .unwrap_or_default();
        let said = said.split("; not all of this machine's").next().unwrap_or_default();
        assert_eq!((found, said), (class, expect));
    }
}
