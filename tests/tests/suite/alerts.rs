//! Alerts through the program: a test of the receivers.

use batch_export_tests::loopback::Server;
use batch_export_tests::program::Program;
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
