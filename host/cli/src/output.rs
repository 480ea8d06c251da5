//! The one exit: everything that the program prints goes through here, as JSON or as lines on standard output, and as
//! messages on standard error. Colours appear on terminals only. No text that passes can move a terminal or hide.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

use super::about::About;
use super::error::{self, FailureJson};
use super::message::{of_failure, wrapped};
use batch_export_runner::Failure;
use batch_export_source::Moment;
use batch_export_system::explain::Cause;
use batch_export_system::terminal::{harmless, harmless_json, one_line};

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";

/// The form in which the result of a command is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
    /// One object, whatever the outcome.
    Json,
    /// Nothing unless something is wrong.
    Silent,
}

impl Form {
    /// JSON was requested explicitly, so silence concerns only the rest.
    pub fn new(json: bool, quiet: bool) -> Self {
        match (json, quiet) {
            (true, _) => Form::Json,
            (false, true) => Form::Silent,
            (false, false) => Form::Text,
        }
    }
}

/// The result of a command, in both forms.
#[derive(Debug)]
pub struct Answer<J> {
    pub json: J,
    pub text: String,
    /// What the operator should know although it worked.
    pub warnings: Vec<Cause>,
    /// What is wrong with what the command looked at.
    pub errors: Vec<String>,
    /// Why the command ends as failed although it found what it shows.
    pub failure: Option<Failure>,
}

impl<J> Answer<J> {
    pub fn new(json: J, text: String) -> Self {
        Answer {
            json,
            text,
            warnings: Vec::new(),
            errors: Vec::new(),
            failure: None,
        }
    }
}

/// Shows how a command ended, and returns its exit code.
pub fn show<J: Serialize>(
    form: Form,
    finished: Moment,
    about: &About,
    outcome: Result<Answer<J>, Failure>,
) -> ExitCode {
    let (json, text, (warnings, errors), failure) = match outcome {
        Ok(answer) => {
            let Answer {
                json,
                text,
                warnings,
                errors,
                failure,
            } = answer;
            (Some(json), text, (warnings, errors), failure)
        }
        Err(error) => (None, String::new(), Default::default(), Some(error)),
    };
    let printed = match form {
        Form::Json => envelope(finished, about, json.as_ref(), failure.as_ref()).and_then(|text| verbatim(&text)),
        Form::Text if !text.is_empty() => lines(&text),
        Form::Text | Form::Silent => Ok(()),
    };
    if form != Form::Json {
        warnings.iter().for_each(warning);
        for error in &errors {
            message("error:", RED, &one_line(error));
        }
    }
    let failure = match (failure, printed) {
        (Some(failure), _) => failure,
        (None, Err(unprinted)) => return unwritten(&unprinted),
        (None, Ok(())) => return ExitCode::SUCCESS,
    };
    report(&failure);
    if let (Some(destination), Some(interval)) = (&about.destination, about.interval) {
        message("failed:", "", &format!("{destination}, {interval}, at {finished}"));
    }
    ExitCode::from(error::exit_code(failure.class()))
}

/// Prints a failure that came before there was a command, as JSON alone.
pub fn show_as_json(finished: Moment, failure: &Failure) {
    let text = envelope(finished, &About::default(), None::<&()>, Some(failure));
    // Nothing more can be done when this cannot be written: the message and the exit code still tell.
    text.and_then(|text| verbatim(&text)).ok();
}

/// Prints a warning, with what to do about it, on one line.
pub fn warning(warning: &Cause) {
    message("warning:", YELLOW, &one_line(&warning.in_one_text()));
}

/// Shows that a command succeeded and its output is lost: nothing failed that has a destination.
fn unwritten(failure: &Failure) -> ExitCode {
    report(failure);
    ExitCode::from(error::exit_code(failure.class()))
}

/// Prints a failure.
fn report(failure: &Failure) {
    message("error:", RED, &of_failure(failure));
}

/// Prints a message: on a terminal in lines that fit; elsewhere, as in logs, as it is.
fn message(head: &str, colour: &str, text: &str) {
    let stderr = io::stderr();
    if !stderr.is_terminal() {
        return note(&format!("{head} {text}"));
    }
    let (on, off) = match colours_wanted() && !colour.is_empty() {
        true => (colour, "\x1b[0m"),
        false => ("", ""),
    };
    let whole = wrapped(&format!("{head} {}", harmless(text)), 2);
    let rest = whole.strip_prefix(head).unwrap_or(&whole);
    // A closed standard error is nobody listening.
    writeln!(stderr.lock(), "{on}{head}{off}{rest}").ok();
}

/// The object that every command prints with `--json`.
struct Envelope<'a> {
    status: &'static str,
    finished_at: String,
    about: Value,
    body: Value,
    error: Option<FailureJson<'a>>,
}

impl Serialize for Envelope<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("status", self.status)?;
        map.serialize_entry("finished_at", &self.finished_at)?;
        let about = self.about.as_object();
        for (key, value) in about.into_iter().flatten() {
            map.serialize_entry(key, value)?;
        }
        let is_new = |key: &String| about.is_none_or(|about| !about.contains_key(key));
        let body = self.body.as_object().into_iter().flatten();
        for (key, value) in body.filter(|(key, _)| is_new(key)) {
            map.serialize_entry(key, value)?;
        }
        if let Some(error) = &self.error {
            map.serialize_entry("error", error)?;
        }
        map.end()
    }
}

fn envelope<J: Serialize>(
    finished: Moment,
    about: &About,
    body: Option<&J>,
    failure: Option<&Failure>,
) -> Result<String, Failure> {
    let unprintable = |error: serde_json::Error| error::unwritable(error.into());
    let envelope = Envelope {
        status: if failure.is_some() { "failed" } else { "succeeded" },
        finished_at: finished.to_string(),
        about: serde_json::to_value(about).map_err(unprintable)?,
        body: serde_json::to_value(body).map_err(unprintable)?,
        error: failure.map(FailureJson::from),
    };
    let text = serde_json::to_string_pretty(&envelope).map_err(unprintable)?;
    Ok(harmless_json(&text).into_owned())
}

/// Prints help or the version.
pub fn help(error: &clap::Error) -> ExitCode {
    let code = ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    if error.use_stderr() {
        note(error.render().to_string().trim_end());
        return code;
    }
    match written(error.print().and_then(|()| io::stdout().flush())) {
        Ok(()) => code,
        Err(failure) => unwritten(&failure),
    }
}

/// Returns whether output may be coloured: not with `NO_COLOR` set and not empty (<https://no-color.org>).
pub fn colours_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints text to standard output.
fn lines(text: &str) -> Result<(), Failure> {
    verbatim(&harmless(text))
}

/// Prints lines before a command is done.
pub fn print(text: &str) -> Result<(), Failure> {
    lines(text)
}

/// Prints this program's own text unchanged. A closed pipe (`| head`) is not a failure.
pub fn verbatim(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    written(writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush()))
}

fn written(outcome: io::Result<()>) -> Result<(), Failure> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error::unwritable(error)),
        _ => Ok(()),
    }
}

/// Prints a line to standard error, for people who wait.
pub fn note(text: &str) {
    // A closed standard error is nobody listening.
    writeln!(io::stderr().lock(), "{}", harmless(text)).ok();
}

/// The text of the last panic.
static PANIC: Mutex<String> = Mutex::new(String::new());

/// Has a panic say what happened, in one line that cannot move the terminal.
pub fn tame_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let text = panic.to_string();
        note(&format!(
            "error: a bug in this program ended the thread `{}`: {}\nhint: report it",
            thread.name().unwrap_or("?"),
            one_line(&text)
        ));
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = text;
        let backtrace = std::backtrace::Backtrace::capture();
        if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
            note(&backtrace.to_string());
        }
    }));
}

/// Shows that the program panicked, which the hook has said on standard error already.
pub fn panicked(json: bool, finished: Moment) -> ExitCode {
    let failure = error::panicked(&PANIC.lock().unwrap_or_else(PoisonError::into_inner));
    if json {
        show_as_json(finished, &failure);
    }
    ExitCode::from(error::exit_code(failure.class()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch_export_runner::LeftOpen;
    use batch_export_source::Interval;

    fn about() -> About {
        About {
            destination: Some("archive".to_owned()),
            bucket: Some("exports".to_owned()),
            ..About::new(Interval::parse("beginning", "2026-01-01").ok())
        }
    }

    fn shown(body: Option<&Value>, failure: Option<&Failure>) -> Value {
        let text = envelope(Moment(0), &about(), body, failure).expect("JSON");
        serde_json::from_str(&text).expect("JSON")
    }

    #[test]
    fn every_outcome_is_one_object_of_the_same_shape() {
        let identity = serde_json::json!({
            "finished_at": "1970-01-01T00:00:00+00:00",
            "destination": "archive",
            "bucket": "exports",
            "interval": {"start": null, "end": "2026-01-01T00:00:00+00:00"},
        });
        let with = |further: Value| {
            let mut whole = identity.clone();
            let entries = further.as_object().expect("an object").clone();
            whole.as_object_mut().expect("an object").extend(entries);
            whole
        };
        let body = serde_json::json!({"destination": "not again", "rows": 7});
        assert_eq!(
            shown(Some(&body), None),
            with(serde_json::json!({"status": "succeeded", "rows": 7}))
        );
        let left_open = LeftOpen::new("403").of_upload("x/a", "id");
        let cancelled = Failure::cancelled().leaving_open(vec![left_open]);
        assert_eq!(
            shown(None, Some(&cancelled)),
            with(serde_json::json!({
                "status": "failed",
                "error": {
                    "exit_code": 130,
                    "class": "cancelled",
                    "code": "cancelled",
                    "message": "interrupted",
                    "hint": null,
                    "excerpt": null,
                    "retry_after_ms": null,
                    "problems": [],
                    "left_open": [{
                        "key": "x/a",
                        "upload_id": "id",
                        "reason": "403",
                        "hint": null,
                        "earlier_configuration": null,
                    }],
                },
            }))
        );
        let faults = error::errors_found(1, &["run it again"]);
        let found = shown(Some(&body), Some(&faults));
        assert_eq!((&found["status"], &found["rows"]), (&"failed".into(), &7.into()));
        assert_eq!(found["error"]["exit_code"], 1);
        assert!(found["error"]["hint"].is_string(), "{found}");
    }

    #[test]
    fn json_that_was_asked_for_is_printed_quietly_too() {
        assert_eq!(Form::new(true, true), Form::Json);
        assert_eq!(Form::new(false, true), Form::Silent);
        assert_eq!(Form::new(false, false), Form::Text);
    }
}
