//! What a command ends with when it fails, and the exit code of each: the one place where errors of all commands meet.

use std::io;

use crate::demo::DemoError;
use crate::run::error::{Class, RunError};
use crate::verify::VerifyError;

/// The exit code of a defect, of the plugin's or of this program's own.
pub const DEFECT: u8 = 4;

/// A command that did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error(transparent)]
    Run(RunError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
    #[error(transparent)]
    Demo(#[from] DemoError),
    #[error("{failed} of {steps} checks failed; each says what to change")]
    Check {
        failed: usize,
        steps: usize,
        class: Class,
    },
    #[error("faults found: {0}; do not rely on these files, and run the interval again")]
    Faults(u64),
    #[error("cannot write the output: {0}")]
    Output(io::Error),
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}

impl CommandError {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        let class = match self {
            CommandError::Run(error) => error.class(),
            CommandError::Verify(error) => error.class(),
            CommandError::Demo(error) => error.class(),
            CommandError::Check { class, .. } => *class,
            CommandError::Faults(_) | CommandError::Output(_) | CommandError::Runtime(_) => {
                Class::Failed
            }
        };
        match class {
            Class::Failed => 1,
            Class::Configuration => 2,
            Class::Retryable => 3,
            Class::Defect => DEFECT,
            // 128 + SIGINT, as shells count.
            Class::Cancelled => 130,
        }
    }
}

impl<E: Into<RunError>> From<E> for CommandError {
    fn from(error: E) -> Self {
        CommandError::Run(error.into())
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
                "faults found: 3; do not rely on these files, and run the interval again",
                1,
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
