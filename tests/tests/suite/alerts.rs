//! What the service tells, through the program: alerts, metrics and health, and a test of the receivers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use batch_export_service::ledger::RunState;
use batch_export_tests::loopback::Server;
use batch_export_tests::program::Program;
use batch_export_tests::scene::Scene;
use batch_export_tests::service::{in_state, known_for, serve, stop, until};
use devstore::{Fault, Operation, What};
use serde_json::{Value, json};

/// A destination that nothing is exported to, and these alerts.
fn configuration(alerts: &str) -> String {
    format!(
        r#"[destinations.archive]
model = "events"
bucket_name = "exports"
region = "us-east-1"
prefix = "x/"
credentials.source = "host"
source = {{ type = "sample", rows_per_hour = 1 }}

[alerts]
{alerts}
"#
    )
}

const TEST: [&str; 4] = ["alerts", "test", "--config", "exports.toml"];

#[tokio::test(flavor = "multi_thread")]
async fn a_test_shows_which_receivers_were_told() {
    let good = Server::answering("200 OK", String::new()).await;
    let bad = Server::answering("404 Not Found", String::new()).await;
    let program = Program::new(&configuration(&format!(
        r#"command = ["/bin/sh", "-c", "cat > told.json; echo canary"]

[[alerts.webhook]]
url = "http://{}/canary"
secret = "canary"

[[alerts.webhook]]
url = "http://{}/canary?token=canary"
"#,
        good.address, bad.address
    )));
    let printed = program.run(&TEST);
    assert_eq!(printed.code, Some(1), "{printed:?}");
    let expect = [
        format!("webhook http://{}  told", good.address),
        format!("webhook http://{}  FAILED: ", bad.address),
        "404 Not Found".to_owned(),
        "hint: check that the URL is complete".to_owned(),
        "2 of 3 receivers told".to_owned(),
    ];
    for text in expect {
        assert!(printed.stdout.contains(&text), "{text}: {}", printed.stdout);
    }
    let error = "error: 1 of 3 receivers did not take the test alert";
    assert!(printed.stderr.starts_with(error), "{}", printed.stderr);
    for text in [&printed.stdout, &printed.stderr] {
        assert!(!text.contains("canary"), "{text}");
        assert!(
            text.lines().all(|line| line.len() <= 80) || text == &printed.stderr,
            "{text}"
        );
    }
    assert_eq!(good.requests(), ["POST /canary HTTP/1.1"]);
    let told = std::fs::read_to_string(program.folder.path().join("told.json")).expect("the command was run");
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!((&told["kind"], &told["id"]), (&json!("test"), &Value::Null));

    let printed = program.run(&[&TEST[..], &["--json"]].concat());
    let answer: Value = serde_json::from_str(&printed.stdout).expect("JSON");
    assert_eq!((&answer["status"], printed.code), (&json!("failed"), Some(1)));
    assert_eq!(answer["error"]["code"], "alert_not_taken");
    let receivers = answer["receivers"].as_array().expect("receivers");
    assert_eq!(
        receivers[0],
        json!({"receiver": format!("webhook http://{}", good.address), "error": null})
    );
    let error = &receivers[1]["error"];
    assert!(
        error["message"].as_str().expect("a text").contains("404 Not Found"),
        "{error}"
    );
    assert!(
        error["hint"].is_string() && !printed.stdout.contains("canary"),
        "{}",
        printed.stdout
    );
    assert_eq!(receivers[2], json!({"receiver": "command /bin/sh", "error": null}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_of_nobody_says_how_to_name_somebody() {
    let program = Program::new(&configuration("late_after = \"1 hour\""));
    let printed = program.run(&TEST);
    assert_eq!(printed.code, Some(2), "{printed:?}");
    let expect = "error: no webhook and no command is named in [alerts] in exports.toml\n\
                  hint: add a table [[alerts.webhook]] with a `url`, or a `command`\n";
    assert_eq!(printed.stderr, expect);
    let good = Server::answering("200 OK", String::new()).await;
    program.configure(&configuration(&format!(
        "[[alerts.webhook]]\nurl = \"http://{}/\"",
        good.address
    )));
    let printed = program.run(&TEST);
    assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), ""), "{printed:?}");
    assert!(printed.stdout.ends_with("1 of 1 receiver told\n"), "{}", printed.stdout);
}

/// Asks the service's listener for a path; `None` while it does not listen.
fn asked(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_once_with_the_command_that_ends_it_and_then_that_it_is_over() {
    let scene = Scene::new().await;
    let denied = What::Status(403, "AccessDenied".to_owned());
    scene.store.set_faults(vec![Fault::on(Operation::PutObject, denied)]);
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let destination = batch_export_tests::program::configuration(
        &scene,
        "archive",
        1_200,
        "schedule = { every = \"5 minutes\", settle = \"0 seconds\", runs_at_once = 1 }",
    );
    let program = Program::new(&format!(
        r#"{destination}
[service]
listen = "{address}"
log_format = "json"
[alerts]
command = ["/bin/sh", "-c", "(cat; echo) >> told.jsonl"]
"#
    ));
    let ledger = program.ledger();
    known_for(&ledger, "archive", 2);
    let told = || -> Vec<Value> {
        let text = std::fs::read_to_string(program.folder.path().join("told.jsonl")).unwrap_or_default();
        let lines = text.lines().filter(|line| line.ends_with('}'));
        lines.map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let mut running = serve(&program);
    until(&mut running, "both runs have failed", || {
        in_state(&ledger, "archive", RunState::Failed) == 2
    });
    until(&mut running, "it is told", || !told().is_empty());
    let metrics = asked(address, "/metrics").expect("metrics");
    let failed = "batch_export_runs_total{destination=\"archive\",outcome=\"failed\"} 2";
    assert!(metrics.contains(failed) && metrics.ends_with("# EOF\n"), "{metrics}");
    let ready = asked(address, "/readyz").expect("an answer");
    assert!(
        ready.starts_with("HTTP/1.1 200 ") && ready.ends_with("{\"ready\":true}\n"),
        "{ready}"
    );

    scene.store.set_faults(Vec::new());
    let alert = told().remove(0);
    let hint = alert["hint"].as_str().expect("a hint");
    let (_, retry) = hint.split_once("`batch-export ").expect(hint);
    let mut words: Vec<&str> = retry.trim_end_matches('`').split(' ').collect();
    words.extend(["--config", "exports.toml"]);
    let printed = program.run(&words);
    assert_eq!(printed.code, Some(0), "{hint}: {printed:?}");
    until(&mut running, "the end of it is told", || told().len() >= 2);
    let log = stop(running);
    let told = told();
    let kinds: Vec<&str> = told.iter().filter_map(|alert| alert["kind"].as_str()).collect();
    assert_eq!(kinds, ["run_failed", "recovered"], "{told:?}");
    let message = told[0]["message"].as_str().expect("a message");
    assert!(
        message.contains("failed for good after 1 attempt: ") && message.contains("AccessDenied"),
        "{message}"
    );
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        assert!(event["time"].is_string() && event["message"].is_string(), "{line}");
    }
}
