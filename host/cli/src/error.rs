//! What a command ends with when it fails, and the exit code of each: the one place where errors of all commands meet.

use std::io;

use serde::Serialize;

use super::findings::{Finding, Findings, headline, of_cause};
use super::message::Message;
use super::span::SpanError;
use crate::demo::DemoError;
use batch_export_runner::config::ConfigError;
use batch_export_runner::error::{Cause, Class, RunError};
use batch_export_runner::verify::VerifyError;

/// The exit code of a defect, of the plugin's or of this program's own.
pub const DEFECT: u8 = 4;

/// A command that did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
    #[error(transparent)]
    Demo(#[from] DemoError),
    #[error(transparent)]
    Span(#[from] SpanError),
    #[error("{0}")]
    Invalid(Box<Findings>),
    #[error("{0}")]
    Usage(String),
    #[error("{failed} of {steps} checks failed; each says what to change")]
    Check {
        failed: usize,
        steps: usize,
        class: Class,
    },
    #[error("found {}; do not rely on these files, and run the interval again", errors(*.0))]
    Faults(u64),
    #[error("cannot write the output: {0}")]
    Output(io::Error),
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}

fn errors(count: u64) -> String {
    super::words::counted(count, "error")
}

/// An error in JSON.
#[derive(Debug, Serialize)]
pub struct ErrorJson {
    class: Class,
    exit_code: u8,
    message: String,
    /// What to do about it, where the message says it.
    hint: Option<String>,
    /// What is wrong with the configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<Finding>,
    /// Uploads that a failed run could not abort.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_open: Vec<String>,
}

impl CommandError {
    pub fn class(&self) -> Class {
        match self {
            CommandError::Run(error) => error.class(),
            CommandError::Verify(error) => error.class(),
            CommandError::Demo(error) => error.class(),
            CommandError::Span(_) | CommandError::Usage(_) => Class::Configuration,
            CommandError::Invalid(findings) => findings.class(),
            CommandError::Check { class, .. } => *class,
            CommandError::Faults(_) | CommandError::Output(_) | CommandError::Runtime(_) => {
                Class::Failed
            }
        }
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self.class() {
            Class::Failed => 1,
            Class::Configuration => 2,
            Class::Retryable => 3,
            Class::Defect => DEFECT,
            // 128 + SIGINT, as shells count.
            Class::Cancelled => 130,
        }
    }

    pub fn as_json(&self) -> ErrorJson {
        let (text, problems) = match (self, self.cause()) {
            // `validate` lists them next to this.
            (CommandError::Invalid(findings), _) => (findings.headline(), Vec::new()),
            (_, Some(cause @ Cause::Config(ConfigError::Invalid(_)))) => {
                let problems = of_cause(None, cause);
                (headline(problems.len()), problems)
            }
            (_, Some(cause)) => (cause.to_string(), Vec::new()),
            (other, None) => (other.to_string(), Vec::new()),
        };
        let Message { what, hint } = Message::of(&text);
        ErrorJson {
            class: self.class(),
            exit_code: self.exit_code(),
            message: what.to_owned(),
            hint: hint.map(str::to_owned),
            problems,
            left_open: self.left_open().to_vec(),
        }
    }

    /// What is behind it, without what was done about it.
    fn cause(&self) -> Option<&Cause> {
        match self {
            CommandError::Run(error) | CommandError::Demo(DemoError::Run(error)) => {
                Some(&error.cause)
            }
            CommandError::Verify(VerifyError::Run(cause))
            | CommandError::Demo(DemoError::Verify(VerifyError::Run(cause))) => Some(cause),
            _ => None,
        }
    }

    fn left_open(&self) -> &[String] {
        match self {
            CommandError::Run(error) | CommandError::Demo(DemoError::Run(error)) => {
                &error.recovery.left_open
            }
            _ => &[],
        }
    }
}

impl From<Cause> for CommandError {
    fn from(cause: Cause) -> Self {
        CommandError::Run(cause.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_failed_says_why_and_ends_with_its_code() {
        let check = |class| CommandError::Check {
            failed: 2,
            steps: 9,
            class,
        };
        let two_of_nine = "2 of 9 checks failed; each says what to change";
        let cases = [
            (check(Class::Failed), two_of_nine, 1),
            (check(Class::Configuration), two_of_nine, 2),
            (check(Class::Retryable), two_of_nine, 3),
            (check(Class::Defect), two_of_nine, 4),
            (check(Class::Cancelled), two_of_nine, 130),
            (
                CommandError::Faults(3),
                "found 3 errors; do not rely on these files, and run the interval again",
                1,
            ),
            (
                CommandError::Faults(1),
                "found 1 error; do not rely on these files, and run the interval again",
                1,
            ),
            (
                CommandError::Usage("no such option".to_owned()),
                "no such option",
                2,
            ),
            (
                CommandError::Output(io::Error::other("the disk is full")),
                "cannot write the output: the disk is full",
                1,
            ),
            (
                CommandError::Runtime(io::Error::other("too many threads")),
                "cannot start: too many threads",
                1,
            ),
        ];
        for (error, expect, code) in cases {
            assert_eq!(error.to_string(), expect);
            assert_eq!(error.exit_code(), code, "{error:?}");
        }
    }
}
