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

/// What goes wrong: the case, the message and the hint that it becomes; `{port}` stands for the server's.
async fn said(options: &NetworkOptions, lookup: Lookup, endpoint: &str, port: u16) -> (&'static str, String, String) {
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
    let (message, hint) = error.cause().clone().into_parts();
    let shown = |text: String| text.replace(&port.to_string(), "{port}");
    (class(&error), shown(message), shown(hint.unwrap_or_default()))
}

/// A port at which nobody listens any more.
async fn closed() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

/// A server that resets every connection on which something was sent: without lingering, closing is a reset.
async fn resetting() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.read_u8().await.unwrap();
            stream.set_zero_linger().unwrap();
        }
    });
    port
}

/// A server that answers whatever comes first, as servers of plain HTTP do to the beginning of TLS.
async fn answering(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            stream.read_buf(&mut bytes).await.ok();
            stream.write_all(answer.as_bytes()).await.ok();
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
async fn each_reason_is_one_plain_sentence_and_what_the_host_can_do_about_it_its_hint() {
    let plain = NetworkOptions::default;
    let (tls, authority) = with_tls().await;
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("authority.pem");
    std::fs::write(&ca_file, authority).unwrap();
    let trusting = NetworkOptions {
        ca_file: Some(ca_file),
        ..NetworkOptions::default()
    };
    let proxied_by = |port: u16| NetworkOptions {
        proxy: Some(Secret::new(format!("http://127.0.0.1:{port}"))),
        ..NetworkOptions::default()
    };
    let through =
        "check `proxy` in the destination's `egress` table, that the proxy runs, and that it reaches the store";
    let foreign = Server::start("SSH-2.0-OpenSSH_9.9\r\n").await.port;
    let refusing = answering("HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n").await;
    let protected = answering("HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n").await;
    let unknown: Lookup = Arc::new(|_| {
        let reason = "failed to lookup address information: Name or service not known";
        Box::pin(async move { Err(std::io::Error::other(reason)) })
    });
    let elsewhere: Lookup = Arc::new(|_| Box::pin(async { Ok(vec![IpAddr::from([10, 1, 2, 3])]) }));
    let silent = Server::start("").await.port;
    let by_address = "http://127.0.0.1:{port}";
    let by_name = "http://store.internal:{port}";
    for (options, lookup, endpoint, port, class, message, hint) in [
        (
            plain(),
            here(),
            by_address,
            closed().await,
            "connect",
            "nothing listens at 127.0.0.1:{port} (connection refused)",
            "",
        ),
        (
            proxied_by(9),
            here(),
            by_name,
            closed().await,
            "connect",
            "nothing listens at store.internal:{port} or the proxy 127.0.0.1:9 before it (connection refused)",
            through,
        ),
        (
            proxied_by(foreign),
            here(),
            by_name,
            foreign,
            "interrupted",
            "the server at store.internal:{port} or the proxy 127.0.0.1:{port} before it does not speak HTTP: invalid \
             HTTP version parsed",
            through,
        ),
        (
            proxied_by(refusing),
            here(),
            "https://store.internal:{port}",
            refusing,
            "connect",
            "the proxy 127.0.0.1:{port} does not connect to store.internal:{port}",
            through,
        ),
        (
            plain(),
            unknown,
            by_name,
            9000,
            "connect",
            "the name `store.internal` cannot be resolved (name or service not known)",
            "",
        ),
        (
            plain(),
            elsewhere,
            "http://elsewhere.internal:{port}",
            9000,
            "forbidden",
            "`elsewhere.internal` resolves to 10.1.2.3, which is not public (private)",
            "to allow it, add it to allow_private in the destination's `egress` table, as in allow_private = [\"elsewhere.internal:{port}\"]",
        ),
        (
            plain(),
            here(),
            by_address,
            resetting().await,
            "interrupted",
            "no complete response from 127.0.0.1:{port}: the connection was reset",
            "",
        ),
        (
            plain(),
            here(),
            by_address,
            foreign,
            "interrupted",
            "the server at 127.0.0.1:{port} does not speak HTTP: invalid HTTP version parsed",
            "check host and port; if the server speaks TLS, write https:// in place of http://",
        ),
        (
            plain(),
            here(),
            by_address,
            silent,
            "timeout",
            "no complete response from 127.0.0.1:{port} within 0.4 s",
            "",
        ),
        (
            proxied_by(silent),
            here(),
            by_name,
            silent,
            "timeout",
            "no complete response from store.internal:{port} or the proxy 127.0.0.1:{port} before it within 0.4 s",
            "",
        ),
        (
            plain(),
            here(),
            "https://127.0.0.1:{port}",
            tls,
            "tls",
            "the certificate of 127.0.0.1:{port} is signed by an authority that is not trusted here",
            "if the authority is private, let `ca_file` in the destination's `egress` table name its PEM file",
        ),
        (
            trusting,
            here(),
            "https://store.internal:{port}",
            tls,
            "tls",
            "the certificate of store.internal:{port} is for another name (it names 127.0.0.1, localhost)",
            "",
        ),
        (
            plain(),
            here(),
            "https://127.0.0.1:{port}",
            answering("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await,
            "tls",
            "the server at 127.0.0.1:{port} speaks plain HTTP",
            "write http:// in place of https://, or give the port at which it speaks TLS",
        ),
        (
            proxied_by(protected),
            here(),
            by_name,
            protected,
            "forbidden",
            "the proxy refuses the request without the right user and password (407)",
            "write both in the proxy's URL, as in proxy = \"http://user:password@proxy.internal:3128\"",
        ),
        (
            plain(),
            here(),
            by_address,
            answering("HTTP/1.1 200 OK\r\ncontent-length: 9000000\r\n\r\n").await,
            "too-large",
            "the response from 127.0.0.1:{port} is larger than 8,388,608 bytes",
            "",
        ),
    ] {
        let (found, told, advised) = said(&options, lookup, endpoint, port).await;
        // A machine without certificates, or with unreadable ones, says so behind the one and before the other.
        let told = told
            .split(": this machine has no certificates")
            .next()
            .unwrap_or_default();
        let told = told.split(": not all of this machine's").next().unwrap_or_default();
        let advised = advised.split("a file of certificates; ").last().unwrap_or_default();
        assert_eq!((found, told, advised), (class, message, hint));
    }
}

/// What a session used up or holds is said with the setting that changes it, and numbers can be read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_limit_is_named_with_what_to_do() {
    let limits = |change: fn(&mut HttpLimits)| {
        let mut limits = HttpLimits::default();
        change(&mut limits);
        limits
    };
    type Change = fn(&mut Request);
    let cases: [(HttpLimits, Change, &str, &str); 5] = [
        (
            limits(|limits| limits.requests = 0),
            |_| {},
            "the run has made 0 requests, its limit (`requests`)",
            "export shorter intervals, or larger files and parts",
        ),
        (
            limits(|limits| limits.in_flight = 0),
            |_| {},
            "0 requests are in flight already, the limit (`in_flight`)",
            "raise `requests_in_flight` in the destination's `limits`",
        ),
        (
            limits(|limits| limits.url_bytes = 8_192),
            |request| request.url.push_str(&"x".repeat(9_000)),
            "the URL has 9,028 bytes, the limit is 8,192",
            "",
        ),
        (
            HttpLimits::default(),
            |request| request.headers.push(("range".into(), "x".repeat(20_000))),
            "the request's headers have 20,005 bytes, the limit is 16,384",
            "",
        ),
        (
            HttpLimits::default(),
            |request| request.url = "http://elsewhere/b/key".into(),
            "no grant of this run covers PUT http://elsewhere/b/key: no grant for this scheme, host and port",
            "",
        ),
    ];
    for (limits, change, message, hint) in cases {
        let http = http_to(LOCAL, 10_000, &[LOCAL], limits);
        let mut request = put(LOCAL, 10_000);
        change(&mut request);
        let error = answer(http.send(request)).await.expect_err(message);
        assert_eq!(class(&error), "forbidden");
        let (told, advised) = error.cause().clone().into_parts();
        assert_eq!((told.as_str(), advised.as_deref().unwrap_or_default()), (message, hint));
    }
}

/// A certificate that is not trusted, on a machine whose own certificates are wrong.
#[test]
fn what_is_wrong_with_this_machines_certificates_comes_with_its_own_remedy() {
    let none = Cause::new("this machine has no certificates to trust (there are none)").with_hint("install them");
    let damaged = Cause::new("not all of this machine's certificates could be read (1 of them cannot be used)");
    let private = "if the authority is private, let `ca_file` in the destination's `egress` table name its PEM file";
    for (own, message, hint) in [
        (
            &none,
            ": this machine has no certificates to trust (there are none)",
            format!("install them; {private}"),
        ),
        (
            &damaged,
            ": not all of this machine's certificates could be read (1 of them cannot be used)",
            private.to_owned(),
        ),
    ] {
        let found = reason::untrusted(Way {
            host: "store:443",
            proxy: None,
            certificates: Some(own),
        });
        let untrusted = "the certificate of store:443 is signed by an authority that is not trusted here";
        assert_eq!(found.into_parts(), (format!("{untrusted}{message}"), Some(hint)));
    }
}

/// Neither text may repeat a secret.
#[test]
fn message_and_hint_are_both_free_of_secrets() {
    let redactor = Redactor::of(&[Secret::new("canary-secret")]);
    let cause = || Cause::new("it said canary-secret").with_hint("write canary-secret");
    for case in [
        TransportError::Forbidden,
        TransportError::Connect,
        TransportError::Tls,
        TransportError::Timeout,
        TransportError::Interrupted,
        TransportError::TooLarge,
    ] {
        let hidden = Cause::new("it said [***]").with_hint("write [***]");
        assert_eq!(case(cause()).hidden(&redactor), case(hidden));
    }
}
