//! The failures of the program itself, and the exit code of each class. Every other failure comes from the crates
//! below.

use std::io;
use std::path::Path;

use serde::Serialize;

use crate::signals::hung_up;
use batch_export_runner::{Failure, FailureClass, FailureCode, check};
use batch_export_sandbox::contract::CheckStep;
use batch_export_system::explain::{counted, plain};

/// The exit code of a defect, of the plugin's or of this program's own.
pub const DEFECT: u8 = 4;

/// The command line is wrong.
const USAGE_INVALID: FailureCode = FailureCode::new("usage_invalid");
/// `verify` or `demo` found differences.
const ERRORS_FOUND: FailureCode = FailureCode::new("errors_found");
/// A receiver did not take a test alert.
const ALERT_NOT_TAKEN: FailureCode = FailureCode::new("alert_not_taken");
/// The configuration names nobody who is told of anything.
const NOBODY_TOLD: FailureCode = FailureCode::new("nobody_told");
/// Standard output cannot be written.
const OUTPUT_UNWRITABLE: FailureCode = FailureCode::new("output_unwritable");
/// The program cannot start its threads.
const RUNTIME_UNAVAILABLE: FailureCode = FailureCode::new("runtime_unavailable");
/// This program panicked.
const PANICKED: FailureCode = FailureCode::new("panicked");
/// The ledger has no such run.
pub const RUN_UNKNOWN: FailureCode = FailureCode::new("run_unknown");
/// A short id means several runs.
pub const RUN_AMBIGUOUS: FailureCode = FailureCode::new("run_ambiguous");
/// The ledger has no such backfill.
pub const BACKFILL_UNKNOWN: FailureCode = FailureCode::new("backfill_unknown");
/// The times of a backfill do not fit the schedule.
pub const BACKFILL_INVALID: FailureCode = FailureCode::new("backfill_invalid");
/// Runs of a backfill failed.
pub const BACKFILL_FAILED: FailureCode = FailureCode::new("backfill_failed");
/// The destination has no schedule.
pub const NO_SCHEDULE: FailureCode = FailureCode::new("no_schedule");
/// Somebody has to say yes, and nobody can be asked.
pub const NOT_CONFIRMED: FailureCode = FailureCode::new("not_confirmed");
/// The folder of the demo cannot be used.
pub const DEMO_FOLDER_UNUSABLE: FailureCode = FailureCode::new("demo_folder_unusable");
/// The store of the demo does not start.
pub const DEMO_STORE_NOT_STARTED: FailureCode = FailureCode::new("demo_store_not_started");

/// Returns the process's exit code.
pub fn exit_code(class: FailureClass) -> u8 {
    match class {
        FailureClass::Failed | FailureClass::TimedOut => 1,
        FailureClass::Configuration => 2,
        FailureClass::Retryable => 3,
        FailureClass::Defect => DEFECT,
        // 128 + SIGINT, SIGHUP and SIGTERM, as shells count.
        FailureClass::Cancelled => 130,
        FailureClass::ShutDown if hung_up() => 129,
        FailureClass::ShutDown => 143,
    }
}

/// A failure as every command prints it with `--json`.
#[derive(Debug, Serialize)]
pub struct FailureJson<'a> {
    exit_code: u8,
    #[serde(flatten)]
    failure: &'a Failure,
}

impl<'a> From<&'a Failure> for FailureJson<'a> {
    fn from(failure: &'a Failure) -> Self {
        FailureJson {
            exit_code: exit_code(failure.class()),
            failure,
        }
    }
}

/// Makes the failure of arguments that are wrong.
pub fn usage(message: String) -> Failure {
    Failure::new(FailureClass::Configuration, USAGE_INVALID, message).with_hint("see `batch-export --help`")
}

/// Makes the failure of a destination that a check found not to work.
pub fn check(steps: &[CheckStep]) -> Failure {
    let failed = check::failing(steps).count();
    let message = format!("{failed} of {} failed", counted(steps.len() as u64, "check"));
    let class = check::class(steps);
    let hint = match class {
        // What passes by itself may have a hint, as a store that is not started has.
        FailureClass::Retryable => {
            let mut hints: Vec<&str> = check::failing(steps).filter_map(|step| step.hint.as_deref()).collect();
            hints.dedup();
            hints.push("check again later");
            hints.join("; ")
        }
        _ => "follow the hints for the failed steps, then check again".to_owned(),
    };
    Failure::new(class, FailureCode::CHECK_FAILED, message)
        .with_hint(hint)
        .with_retry_after(check::retry_after(steps))
}

/// Makes the failure of files that differ from what they should hold; `hints` say what to do for each kind of error.
pub fn errors_found(count: u64, hints: &[&str]) -> Failure {
    let message = format!("found {}", counted(count, "error"));
    Failure::new(FailureClass::Failed, ERRORS_FOUND, message).with_hint(hints.join("; "))
}

/// Makes the failure of test alerts that did not all arrive.
pub fn alert_not_taken(failed: usize, all: usize) -> Failure {
    let message = format!(
        "{failed} of {} did not take the test alert",
        counted(all as u64, "receiver")
    );
    Failure::new(FailureClass::Failed, ALERT_NOT_TAKEN, message)
        .with_hint("correct [alerts] or the receivers that failed, then test again")
}

/// Makes the failure of a test of alerts that have no receivers.
pub fn nobody_told(file: &Path) -> Failure {
    let message = format!("no webhook and no command is named in [alerts] in {}", file.display());
    Failure::new(FailureClass::Configuration, NOBODY_TOLD, message)
        .with_hint("add a table [[alerts.webhook]] with a `url`, or a `command`")
}

/// Makes the failure of a command whose output cannot be written.
pub fn unwritable(error: io::Error) -> Failure {
    let message = format!(
        "the command succeeded, but its output cannot be written: {}",
        plain(&error)
    );
    Failure::new(FailureClass::Failed, OUTPUT_UNWRITABLE, message)
        .with_hint("make room there, or direct standard output elsewhere")
        .with_source(error)
}

/// Makes the failure of threads that cannot be started.
pub fn not_started(error: io::Error) -> Failure {
    let message = format!("cannot start: {}", plain(&error));
    Failure::new(FailureClass::Failed, RUNTIME_UNAVAILABLE, message).with_source(error)
}

/// Makes the failure of a panic of this program.
pub fn panicked(what: &str) -> Failure {
    let message = format!("this program ended because of a bug in it: {what}");
    Failure::new(FailureClass::Defect, PANICKED, message).with_hint("report it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch_export_sandbox::contract::StepOutcome;
    use batch_export_service::ledger::LedgerError;

    #[test]
    fn a_class_has_an_exit_code() {
        for (class, code) in [
            (FailureClass::Failed, 1),
            (FailureClass::TimedOut, 1),
            (FailureClass::Configuration, 2),
            (FailureClass::Retryable, 3),
            (FailureClass::Defect, 4),
            (FailureClass::Cancelled, 130),
            (FailureClass::ShutDown, 143),
        ] {
            assert_eq!(exit_code(class), code, "{class:?}");
        }
    }

    #[test]
    fn a_failure_of_the_program_says_what_happened_and_what_to_do() {
        let full = || io::Error::other("the disk is full");
        let step = |outcome, hint: Option<&str>| CheckStep {
            name: "reach".to_owned(),
            outcome,
            detail: String::new(),
            hint: hint.map(str::to_owned),
            retry_after_ms: None,
        };
        let cases = [
            (errors_found(3, &["a", "b"]), "found 3 errors", Some("a; b")),
            (errors_found(1, &["a"]), "found 1 error", Some("a")),
            (
                alert_not_taken(1, 2),
                "1 of 2 receivers did not take the test alert",
                Some("correct [alerts] or the receivers that failed, then test again"),
            ),
            (
                nobody_told(Path::new("exports.toml")),
                "no webhook and no command is named in [alerts] in exports.toml",
                Some("add a table [[alerts.webhook]] with a `url`, or a `command`"),
            ),
            (
                check(&[
                    step(StepOutcome::Unavailable, Some("start it")),
                    step(StepOutcome::Skipped, None),
                ]),
                "1 of 2 checks failed",
                Some("start it; check again later"),
            ),
            (
                check(&[step(StepOutcome::Unavailable, None)]),
                "1 of 1 check failed",
                Some("check again later"),
            ),
            (
                check(&[step(StepOutcome::Unavailable, None), step(StepOutcome::Failed, None)]),
                "2 of 2 checks failed",
                Some("follow the hints for the failed steps, then check again"),
            ),
            (
                usage("no such option".to_owned()),
                "no such option",
                Some("see `batch-export --help`"),
            ),
            (
                unwritable(full()),
                "the command succeeded, but its output cannot be written: the disk is full",
                Some("make room there, or direct standard output elsewhere"),
            ),
            (not_started(full()), "cannot start: the disk is full", None),
            (
                panicked("index out of bounds"),
                "this program ended because of a bug in it: index out of bounds",
                Some("report it"),
            ),
        ];
        for (failure, message, hint) in cases {
            assert_eq!(failure.message(), message);
            assert_eq!(failure.hint(), hint);
        }
    }

    /// The codes of this file, so that none is forgotten.
    fn own_codes() -> Vec<&'static str> {
        let declarations = include_str!("error.rs").split("FailureCode::new(\"");
        declarations
            .skip(1)
            .filter_map(|rest| rest.split_once('"'))
            .map(|(word, _)| word)
            .collect()
    }

    #[test]
    fn the_documentation_lists_every_code_and_no_other() {
        let page = include_str!("../../../docs/commands.md");
        let (_, table) = page.split_once("| code | meaning |").expect("a table");
        let mut listed: Vec<&str> = table
            .lines()
            .skip(2)
            .map_while(|line| line.strip_prefix("| `"))
            .filter_map(|line| line.split_once('`'))
            .map(|(word, _)| word)
            .collect();
        let codes = FailureCode::ALL.iter().map(|code| code.as_str());
        let of_ledger = LedgerError::CODES.iter().map(|code| code.as_str());
        let mut known: Vec<&str> = codes.chain(of_ledger).chain(own_codes()).collect();
        listed.sort_unstable();
        known.sort_unstable();
        assert_eq!(listed, known);
    }
}
