//! Receivers as they are and as they should not be: webhooks that answer in every way, commands that fail, hang or
//! print without end.

use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::alerts::command::Command;
use crate::alerts::receivers::{Message, Receiver};
use crate::alerts::webhook::{WEBHOOK_TIME, WebhookClient};
use batch_export_runner::config::{AlertCommand, Webhook};
use batch_export_sandbox::{Network, NetworkOptions, Secret};
use batch_export_system::explain::Cause;

/// What a webhook on this machine does with a request.
#[derive(Debug, Clone)]
pub(super) enum Manner {
    /// Sends these responses, one for each request, and the last one again for all that follow.
    Responds(Vec<String>),
    /// Takes requests and never responds.
    Hangs,
}

pub(super) fn responds(statuses: &[&str]) -> Manner {
    let whole = |status: &&str| format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    Manner::Responds(statuses.iter().map(whole).collect())
}

/// A request as it came.
#[derive(Debug)]
pub(super) struct Came {
    pub head: String,
    pub body: String,
}

impl Came {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// Listens as a webhook; returns its URL, with secrets in it, and what comes.
pub(super) async fn webhook(manner: Manner) -> (String, mpsc::UnboundedReceiver<Came>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/canary/hook?token=canary", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut open = Vec::new();
        for count in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            sender.send(request(&mut stream).await).ok();
            match &manner {
                Manner::Responds(responses) => {
                    let response = &responses[count.min(responses.len() - 1)];
                    // One that is too long may not be read to its end.
                    stream.write_all(response.as_bytes()).await.ok();
                }
                Manner::Hangs => open.push(stream),
            }
        }
    });
    (url, receiver)
}

async fn request(stream: &mut tokio::net::TcpStream) -> Came {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let came = Came {
                head: head.to_owned(),
                body: body.to_owned(),
            };
            let length = came
                .header("content-length")
                .map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return came;
            }
        }
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap();
        assert!(read > 0, "half a request: {text}");
        bytes.extend_from_slice(&piece[..read]);
    }
}

pub(super) fn hook(url: &str, secret: Option<&str>) -> Receiver {
    let network = Network::new(&NetworkOptions::default()).unwrap();
    let webhook = Webhook::new(url, secret.map(Secret::new)).unwrap();
    Receiver::Webhook(Box::new(WebhookClient::new(&webhook, &network).unwrap()))
}

fn message() -> Message {
    let body = r#"{"text":"a\nb","kind":"late","destination":"archive","run_id":null,"at":"now","message":"m"}"#;
    Message::new(Some(7), body).unwrap()
}

async fn sent(receiver: &Receiver) -> Result<(), Cause> {
    receiver.deliver(&message(), Moment(1_700_000_000_900_000)).await
}

#[tokio::test]
async fn a_webhook_gets_json_that_it_can_verify() {
    let (url, mut came) = webhook(responds(&["204 No Content"])).await;
    sent(&hook(&url, Some("hush"))).await.unwrap();
    let came = came.recv().await.unwrap();
    assert!(
        came.head.starts_with("POST /canary/hook?token=canary HTTP/1.1"),
        "{}",
        came.head
    );
    assert_eq!(came.header("content-type"), Some("application/json"));
    assert_eq!(came.header("x-batch-export-timestamp"), Some("1700000000"));
    let body: serde_json::Value = serde_json::from_str(&came.body).unwrap();
    assert_eq!((&body["id"], &body["kind"]), (&7.into(), &"late".into()));
    // By other code than the sender's.
    let expect = hmac_sha256(b"hush", format!("1700000000.{}", came.body).as_bytes());
    assert_eq!(
        came.header("x-batch-export-signature"),
        Some(format!("sha256={expect}").as_str())
    );
    let (url, mut came) = webhook(responds(&["200 OK"])).await;
    sent(&hook(&url, None)).await.unwrap();
    let came = came.recv().await.unwrap();
    assert_eq!(came.header("x-batch-export-signature"), None);
}

/// RFC 2104, by its definition.
fn hmac_sha256(key: &[u8], text: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let padded = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
    let outer = Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize();
    outer.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_webhook_that_does_not_take_an_alert_is_explained_without_its_url() {
    let redirect = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/canary\r\ncontent-length: 0\r\n\r\n";
    let endless = format!(
        "HTTP/1.1 500 No\r\ncontent-length: 100000000\r\n\r\n{}",
        "canary ".repeat(1 << 20)
    );
    for (manner, expect) in [
        (
            responds(&["500 Internal Server Error"]),
            "responded with 500 Internal Server Error",
        ),
        (
            responds(&["404 Not Found"]),
            "responded with 404 Not Found; check that the URL is complete and that the webhook still exists",
        ),
        (
            responds(&["429 Too Many Requests"]),
            "responded with 429 Too Many Requests",
        ),
        (
            Manner::Responds(vec![redirect.to_owned()]),
            "responded with 302 Found; redirects are not followed: let the URL be that of the webhook itself",
        ),
        (
            Manner::Responds(vec![endless]),
            "responded with 500 Internal Server Error",
        ),
        (
            Manner::Responds(vec!["canary\r\n\r\n".to_owned()]),
            "does not speak HTTP",
        ),
        (Manner::Responds(vec![String::new()]), "no complete response"),
    ] {
        let (url, _came) = webhook(manner.clone()).await;
        let receiver = hook(&url, Some("canary"));
        let said = sent(&receiver).await.unwrap_err().in_one_text();
        assert!(said.contains(expect), "{manner:?}: {said}");
        assert!(
            !said.contains("canary") && !receiver.name().contains("canary"),
            "{said}"
        );
    }
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let said = sent(&hook(&format!("http://{free}/canary"), None))
        .await
        .unwrap_err()
        .in_one_text();
    assert!(said.contains(&free.to_string()) && !said.contains("canary"), "{said}");
    let huge = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n{}",
        "x".repeat(8 << 20)
    );
    let (url, _came) = webhook(Manner::Responds(vec![huge])).await;
    let begun = Instant::now();
    sent(&hook(&url, None)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_webhook_that_hangs_is_given_up_in_time() {
    let (url, _came) = webhook(Manner::Hangs).await;
    let begun = Instant::now();
    let said = sent(&hook(&url, None)).await.unwrap_err().in_one_text();
    assert!(said.contains("did not respond in time"), "{said}");
    assert!(
        begun.elapsed() < WEBHOOK_TIME + Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
}

#[cfg(unix)]
mod commands {
    use super::*;

    fn command(program: &str, arguments: &[&str]) -> Command {
        Command::new(&AlertCommand {
            program: program.into(),
            arguments: arguments.iter().map(|argument| Secret::new(*argument)).collect(),
        })
    }

    fn shell(script: &str) -> Command {
        command("/bin/sh", &["-c", script]).within(Duration::from_secs(2))
    }

    async fn ran(script: &str) -> Result<(), Cause> {
        sent(&Receiver::Command(shell(script))).await
    }

    #[tokio::test]
    async fn a_command_gets_the_alert_on_its_input_and_in_its_environment() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("told").display().to_string();
        let script = format!(
            "cat > '{file}'; printf '\\n%s|%s|%s|%s' \"$BATCH_EXPORT_ALERT_KIND\" \"$BATCH_EXPORT_ALERT_DESTINATION\" \
             \"$BATCH_EXPORT_ALERT_RUN_ID\" \"$BATCH_EXPORT_ALERT_TEXT\" >> '{file}'"
        );
        ran(&script).await.unwrap();
        let told = std::fs::read_to_string(file).unwrap();
        let (json, variables) = told.split_once('\n').unwrap();
        let body: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!((&body["id"], &body["message"]), (&7.into(), &"m".into()));
        assert_eq!(variables, "late|archive||a\nb");
    }

    #[tokio::test]
    async fn a_command_that_fails_is_told_with_its_last_line() {
        for (script, expect) in [
            ("exit 3", "`/bin/sh` failed with exit status: 3"),
            (
                "echo one; echo two; exit 1",
                "`/bin/sh` failed with exit status: 1: two",
            ),
            (
                "echo out; echo ' err ' >&2; echo; exit 1",
                "`/bin/sh` failed with exit status: 1: err",
            ),
            (
                "printf 'a\\033[2J\\rb' >&2; exit 1",
                "`/bin/sh` failed with exit status: 1: a\\u{1b}[2J\\rb",
            ),
            ("kill -9 $$", "`/bin/sh` failed with signal: 9 (SIGKILL)"),
            (
                "yes x | head -c 8000000; yes y | head -c 8000000 >&2; echo >&2; echo end >&2; exit 2",
                "`/bin/sh` failed with exit status: 2: end",
            ),
        ] {
            assert_eq!(ran(script).await, Err(Cause::new(expect)), "{script}");
        }
        let missing = command("/nowhere/tell", &[]);
        let said = sent(&Receiver::Command(missing)).await.unwrap_err().in_one_text();
        let expect = "`/nowhere/tell` cannot be started: no such file or directory; correct `command` in [alerts]";
        assert_eq!(said, expect);
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_killed_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pids").display().to_string();
        let begun = Instant::now();
        let said = ran(&format!("sleep 600 & echo $! > '{file}'; echo waiting; wait")).await;
        let expect = "`/bin/sh` did not end within 2 s and was killed: waiting";
        assert_eq!(said, Err(Cause::new(expect)));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let pid: i32 = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        for _ in 0..50 {
            if rustix::process::test_kill_process(pid).is_err() || is_zombie(pid) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("what the command started is still there");
    }

    /// Whether a process is dead and nobody has asked for its end yet.
    fn is_zombie(pid: rustix::process::Pid) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
        stat.is_ok_and(|stat| stat.contains(") Z "))
    }

    #[tokio::test]
    async fn output_without_end_and_children_that_stay_hold_nothing() {
        let begun = Instant::now();
        assert!(ran("yes").await.is_err());
        // Its child keeps the output open after it.
        assert_eq!(ran("sleep 5 & exit 0").await, Ok(()));
        // It does not read what it gets.
        assert_eq!(ran("exec <&-; exit 0").await, Ok(()));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }

    #[test]
    fn arguments_are_not_shown() {
        let receiver = Receiver::Command(command("/bin/tell", &["canary"]));
        let shown = format!("{receiver:?} {} {}", receiver.name(), receiver.id());
        assert!(!shown.contains("canary"), "{shown}");
    }
}
