//! What a command ends with when it fails, and the exit code of each: the one place where errors of all commands meet.

use std::io;

use crate::demo::DemoError;
use crate::run::error::{Class, RunError};
use crate::verify::VerifyError;

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
