//! `completions`: prints what a shell needs to complete this program's arguments.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Arguments, Clock};
use crate::about::About;
use crate::output::{self, Answer, Form};

/// Print a completion script for a shell.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  batch-export completions bash \\\n    > ~/.local/share/bash-completion/completions/batch-export"
)]
pub struct CompletionsArgs {
    /// Shell to print the script for.
    shell: Shell,
}

impl CompletionsArgs {
    pub fn execute(self, clock: Clock) -> ExitCode {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "batch-export", &mut script);
        let script = String::from_utf8_lossy(&script).into_owned();
        let outcome = output::verbatim(&script).map(|()| Answer::new((), String::new()));
        output::show(Form::Text, clock(), &About::default(), outcome)
    }
}
