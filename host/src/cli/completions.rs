//! `completions`: prints what a shell needs to complete this program's arguments.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::error::CommandError;
use super::{Arguments, output};

/// Print a shell's completion script.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  batch-export completions bash > ~/.local/share/bash-completion/completions/batch-export"
)]
pub struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub fn execute(self) -> Result<(), CommandError> {
        let mut script = Vec::new();
        clap_complete::generate(
            self.shell,
            &mut Arguments::command(),
            "batch-export",
            &mut script,
        );
        output::verbatim(&String::from_utf8_lossy(&script))
    }
}
