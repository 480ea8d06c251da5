//! What the log looks like, what it leaves out, and that nothing in it does harm.

use std::sync::{Arc, Mutex};

use batch_export_system::terminal::is_harmful;
use tracing::subscriber::with_default;

use super::*;

/// Returns the lines of what some code logs.
fn logged(form: Form, level: LogLevel, code: impl FnOnce()) -> Vec<String> {
    let lines = Arc::new(Mutex::new(String::new()));
    let written = Arc::clone(&lines);
    let write = move |line: &str| written.lock().unwrap().push_str(line);
    with_default(subscriber(form, level, write), code);
    let lines = lines.lock().unwrap();
    lines.lines().map(str::to_owned).collect()
}

/// Takes the time off, which is one in UTC.
fn without_time(line: &str) -> &str {
    let (time, rest) = line.split_once(' ').unwrap();
    assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    time.parse::<Timestamp>().unwrap();
    rest
}

#[test]
fn an_event_is_one_line_of_text() {
    let lines = logged(Form::Plain, LogLevel::Info, || {
        tracing::info!("the service has started");
        tracing::warn!(
            destination = "archive",
            run = "ab-12",
            attempt = 2_u64,
            "the run {}",
            "failed"
        );
        tracing::error!(
            destination = "archive",
            reason = "no \"space\"\nleft",
            is_last = true,
            "a\u{1b}[2J\nb"
        );
    });
    let lines: Vec<&str> = lines.iter().map(|line| without_time(line)).collect();
    assert_eq!(
        lines,
        [
            "info  the service has started",
            "warn  archive: the run failed run=ab-12 attempt=2",
            "error archive: a\\u{1b}[2J\\nb reason=\"no \\\"space\\\"\\nleft\" is_last=true",
        ]
    );
}

#[test]
fn an_event_is_one_line_of_json() {
    let lines = logged(Form::Json, LogLevel::Info, || {
        tracing::warn!(
            destination = "archive",
            run = "ab-12",
            attempt = 2,
            share = 0.5,
            "a\u{1b}[2J\n\u{202e}b"
        );
    });
    assert_eq!(lines.len(), 1);
    assert!(!lines[0].contains(is_harmful), "{}", lines[0]);
    let mut event: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    let time = event["time"].take();
    time.as_str().unwrap().parse::<Timestamp>().unwrap();
    assert_eq!(
        event,
        serde_json::json!({
            "time": null,
            "level": "warn",
            "target": "batch_export_service::log::tests",
            "destination": "archive",
            "message": "a\u{1b}[2J\n\u{202e}b",
            "run": "ab-12",
            "attempt": 2,
            "share": 0.5,
        })
    );
}

#[test]
fn levels_are_kept_and_other_crates_only_warn() {
    let every = || {
        tracing::error!("1");
        tracing::warn!("2");
        tracing::info!("3");
        tracing::debug!("4");
        tracing::trace!("5");
        tracing::error!(target: "hyper::client", "6");
        tracing::warn!(target: "hyper::client", "7");
        tracing::info!(target: "hyper::client", "8");
    };
    for (level, expect) in [
        (LogLevel::Error, "1 hyper::client:6"),
        (LogLevel::Warn, "1 2 hyper::client:6 hyper::client:7"),
        (LogLevel::Info, "1 2 3 hyper::client:6 hyper::client:7"),
        (LogLevel::Debug, "1 2 3 4 hyper::client:6 hyper::client:7"),
    ] {
        let lines = logged(Form::Plain, level, every);
        let texts: Vec<String> = lines
            .iter()
            .map(|line| without_time(line)[6..].replace(": ", ":"))
            .collect();
        assert_eq!(texts.join(" "), expect, "{level:?}");
    }
}

#[test]
fn colours_are_for_terminals() {
    let lines = logged(Form::Coloured, LogLevel::Info, || {
        tracing::error!("broken");
        tracing::info!("done");
    });
    assert!(
        lines[0].contains("Z\u{1b}[0m \u{1b}[1;31merror\u{1b}[0m broken"),
        "{lines:?}"
    );
    assert!(lines[1].contains("info \u{1b}[0m done"), "{lines:?}");
}

#[test]
fn an_error_is_told_with_its_causes() {
    let error = std::io::Error::other(std::fmt::Error);
    let lines = logged(Form::Plain, LogLevel::Info, || {
        tracing::error!(error = &error as &dyn std::error::Error, "no");
    });
    assert!(lines[0].contains("error=\"an error occurred"), "{lines:?}");
}
