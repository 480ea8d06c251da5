//! Servers that repeat secrets: nothing that leaves the capability has one, but for the bytes of an object.

use super::*;
use batch_export_system::Secret;

const SECRET: &str = "canary/1+2";
const BODY: &str = "<Code>canary/1+2</Code><Message>canary%2F1%2B2 canary&#47;1+2</Message>";
const HIDDEN: &str = "<Code>[***]</Code><Message>[***] [***]</Message>";

struct Case {
    method: http::Method,
    path: &'static str,
    status: &'static str,
    hidden: bool,
}

fn case(method: http::Method, path: &'static str, status: &'static str, hidden: bool) -> Case {
    Case {
        method,
        path,
        status,
        hidden,
    }
}

async fn serving(status: &str) -> (Server, Http) {
    let head = format!("content-length: {}\r\nx-echo: {SECRET}", BODY.len());
    let server = Server::start(format!("HTTP/1.1 {status}\r\n{head}\r\n\r\n{BODY}")).await;
    let http = http_to(LOCAL, server.port, &[LOCAL], HttpLimits::default());
    http.redactor().add([Secret::new(SECRET)]);
    (server, http)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_but_an_object_repeats_a_secret() {
    use http::Method;
    for case in [
        case(Method::PUT, "/b/key", "403 No", true),
        case(Method::PUT, "/b/key", "200 OK", true),
        case(Method::GET, "/b/key", "403 No", true),
        case(Method::GET, "/b/key", "200 OK", false),
        case(Method::GET, "/b/key", "206 Part", false),
    ] {
        let (server, http) = serving(case.status).await;
        let request = || Request {
            method: case.method.clone(),
            url: format!("http://{LOCAL}:{}{}", server.port, case.path),
            ..put(LOCAL, server.port)
        };
        let expect = if case.hidden { HIDDEN } else { BODY };
        let name = format!("{} {}", case.method, case.status);

        let response = answer(http.send(request())).await.unwrap();
        assert_eq!(response.body, expect, "{name}");
        let echoed = ("x-echo".to_owned(), "[***]".to_owned());
        assert!(response.headers.contains(&echoed), "{name}");

        let mut opened = http.open(request()).await.unwrap();
        assert_eq!(opened.header("x-echo"), Some("[***]"), "{name}");
        let mut read = Vec::new();
        while let Some(piece) = opened.chunk().await.unwrap() {
            read.extend_from_slice(&piece);
        }
        assert_eq!(String::from_utf8_lossy(&read), expect, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_document_that_is_too_long_is_not_given() {
    let body = format!("{}{SECRET}", "x".repeat(65 << 10));
    let head = format!("HTTP/1.1 500 No\r\ncontent-length: {}", body.len());
    let server = Server::start(format!("{head}\r\n\r\n{body}")).await;
    let http = http_to(LOCAL, server.port, &[LOCAL], HttpLimits::default());
    let mut opened = http.open(put(LOCAL, server.port)).await.unwrap();
    assert_eq!(opened.status(), 500);
    assert_eq!(opened.chunk().await, Ok(None));
}
