//! A store or proxy that repeats every secret in its errors, in all usual spellings: no command prints or keeps one.

use std::path::Path;

use base64::Engine;
use batch_export_tests::components;
use batch_export_tests::loopback::Server;
use batch_export_tests::program::{Printed, Program, configuration};
use batch_export_tests::scene::{SECRET_KEY, Scene};
use chrono::Utc;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::io::AsyncWriteExt;

const SECRET: &str = "CANARY/secret+key=4711";
const TOKEN: &str = "CANARY/session+token==4712";
/// `CANARY p@ss&4713` in the proxy's URL.
const USER_INFO: &str = "exporter:CANARY%20p%40ss&4713";
const PASSWORD: &str = "CANARY p@ss&4713";

type Spelling = (&'static str, fn(&str) -> String);

/// How a server may write what it repeats.
const SPELLINGS: [Spelling; 6] = [
    ("as it is", str::to_owned),
    ("percent-encoded", |text| each(text, |byte| format!("%{byte:02X}"))),
    ("percent-encoded in lower case", |text| {
        each(text, |byte| format!("%{byte:02x}"))
    }),
    ("as XML character references", |text| {
        each(text, |byte| format!("&#x{byte:x};"))
    }),
    ("in XML", |text| text.replace('&', "&amp;").replace('/', "&#47;")),
    ("with JSON escapes", |text| each(text, |byte| format!("\\u{byte:04x}"))),
];

fn each(text: &str, escape: fn(u8) -> String) -> String {
    let spelled = text.bytes().map(|byte| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => escape(byte),
    });
    spelled.collect()
}

fn hmac(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The derived key of today; the requests of a run over midnight are signed with that of its day.
fn signing_key() -> String {
    let date = Utc::now().format("%Y%m%d").to_string();
    let seed = format!("AWS4{SECRET}").into_bytes();
    let key = [&date, "us-east-1", "s3", "aws4_request"]
        .iter()
        .fold(seed, |key, part| hmac(&key, part));
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn secrets() -> [String; 5] {
    let pair = format!("exporter:{PASSWORD}");
    let basic = base64::engine::general_purpose::STANDARD.encode(pair);
    [
        SECRET.to_owned(),
        TOKEN.to_owned(),
        signing_key(),
        PASSWORD.to_owned(),
        basic,
    ]
}

/// A proxy and store in one that refuses every request and repeats the secrets: all in the message, one in the code,
/// and all in headers.
async fn echoing(spell: fn(&str) -> String) -> Server {
    let spelled = secrets().map(|secret| spell(&secret));
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>{}</Code><Message>{}</Message><RequestId>{}</RequestId></Error>",
        spelled[1],
        spelled.join(" "),
        spelled[0],
    );
    let headers = [
        "x-amz-request-id",
        "x-amz-id-2",
        "server",
        "etag",
        "x-amz-error-message",
    ];
    let headers: String = headers
        .iter()
        .zip(&spelled)
        .map(|(name, secret)| format!("{name}: {secret}\r\n"))
        .collect();
    let head = format!(
        "HTTP/1.1 403 Forbidden\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    Server::serve(move |mut stream, request| {
        let is_head = request.starts_with(b"HEAD");
        let response = if is_head { head.clone() } else { format!("{head}{body}") };
        async move {
            // A client that goes away in the middle is its own business.
            drop(stream.write_all(response.as_bytes()).await);
            drop(stream.shutdown().await);
        }
    })
    .await
}

fn call(program: &Program, command: &str, further: &[&str]) -> Printed {
    let component = components::destination();
    let component = component.to_str().expect("UTF-8");
    let arguments = [command, "--config", "exports.toml", "--component", component];
    program.run(&[&arguments, further].concat())
}

/// Everything that the program keeps, but for its configuration.
fn kept(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            kept(&path, into);
        } else if path.file_name().is_some_and(|name| name != "exports.toml") {
            let bytes = std::fs::read(&path).expect("a file");
            into.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
}

const HOUR: [&str; 4] = ["--start", "2023-07-28T00:00:00Z", "--end", "2023-07-28T01:00:00Z"];

#[tokio::test(flavor = "multi_thread")]
async fn no_command_repeats_what_a_store_or_a_proxy_repeats() {
    let scene = Scene::new().await;
    for (index, (name, spell)) in SPELLINGS.into_iter().enumerate() {
        let server = echoing(spell).await;
        let lines = format!(
            "max_file_size_mb = 1\naws_session_token = \"{TOKEN}\"\negress.proxy = \"http://{USER_INFO}@{}\"",
            server.address
        );
        let text = configuration(&scene, "exports", 10, &lines).replace(SECRET_KEY, SECRET);
        let program = Program::new(&text);
        for (command, further) in [("run", &HOUR[..]), ("check", &[]), ("verify", &HOUR)] {
            let json: &[&str] = if index % 2 == 0 { &[] } else { &["--json"] };
            let printed = call(&program, command, &[further, json].concat());
            assert_ne!(printed.code, Some(0), "{name}, {command}: {printed:?}");
            let mut seen = format!("{}\n{}", printed.stdout, printed.stderr);
            assert!(seen.contains("[***]"), "{name}, {command} quotes nothing: {seen}");
            kept(program.folder.path(), &mut seen);
            let seen = seen.to_lowercase();
            for secret in secrets() {
                for needle in [spell(&secret), secret] {
                    let found = seen.contains(&needle.to_lowercase());
                    assert!(!found, "{name}, {command}: {needle} in {seen}");
                }
            }
        }
        assert!(!server.requests().is_empty());
    }
    assert!(scene.store.requests().is_empty());
}
