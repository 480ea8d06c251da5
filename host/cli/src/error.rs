//! The failures of the program itself, and the exit code of each class. Every other failure comes from the crates
//! below.

use std::io;

use serde::Serialize;

use batch_export_runner::{Failure, FailureClass, FailureCode};
use batch_export_system::explain::{counted, plain};

/// The exit code of a defect, of the plugin's or of this program's own.
pub const DEFECT: u8 = 4;

/// The command line is wrong.
const USAGE_INVALID: FailureCode = FailureCode::new("usage_invalid");
/// `verify` or `demo` found differences.
const ERRORS_FOUND: FailureCode = FailureCode::new("errors_found");
/// Standard output cannot be written.
const OUTPUT_UNWRITABLE: FailureCode = FailureCode::new("output_unwritable");
/// The program cannot start its threads.
const RUNTIME_UNAVAILABLE: FailureCode = FailureCode::new("runtime_unavailable");
/// This program panicked.
const PANICKED: FailureCode = FailureCode::new("panicked");
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
        // 128 + SIGINT and 128 + SIGTERM, as shells count.
        FailureClass::Cancelled => 130,
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
pub fn check(failed: usize, steps: usize, class: FailureClass) -> Failure {
    let message = format!("{failed} of {} failed", counted(steps as u64, "check"));
    let hint = match class {
        FailureClass::Retryable => {
            "start the store if you run it yourself, or correct `endpoint_url`; otherwise check again later"
        }
        _ => "follow the hints for the failed steps, then check again",
    };
    Failure::new(class, FailureCode::CHECK_FAILED, message).with_hint(hint)
}

/// Makes the failure of files that differ from what they should hold; `hints` say what to do for each kind of error.
pub fn errors_found(count: u64, hints: &[&str]) -> Failure {
    let message = format!("found {}", counted(count, "error"));
    Failure::new(FailureClass::Failed, ERRORS_FOUND, message).with_hint(hints.join("; "))
}

/// Makes the failure of output that cannot be written.
pub fn unwritable(error: io::Error) -> Failure {
    let message = format!("cannot write the output: {}", plain(&error));
    Failure::new(FailureClass::Failed, OUTPUT_UNWRITABLE, message).with_source(error)
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
            assert_eq!(exit_code(check(2, 9, class).class()), code, "{class:?}");
        }
    }

    #[test]
    fn a_failure_of_the_program_says_what_happened_and_what_to_do() {
        let full = || io::Error::other("the disk is full");
        let cases = [
            (errors_found(3, &["a", "b"]), "found 3 errors", Some("a; b")),
            (errors_found(1, &["a"]), "found 1 error", Some("a")),
            (
                check(1, 7, FailureClass::Retryable),
                "1 of 7 checks failed",
                Some("start the store if you run it yourself, or correct `endpoint_url`; otherwise check again later"),
            ),
            (
                check(2, 7, FailureClass::Failed),
                "2 of 7 checks failed",
                Some("follow the hints for the failed steps, then check again"),
            ),
            (
                usage("no such option".to_owned()),
                "no such option",
                Some("see `batch-export --help`"),
            ),
            (unwritable(full()), "cannot write the output: the disk is full", None),
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
        let mut known: Vec<&str> = codes.chain(own_codes()).collect();
        listed.sort_unstable();
        known.sort_unstable();
        assert_eq!(listed, known);
    }
}
