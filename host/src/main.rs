//! The program `batch-export`: parse the command line, do it, and turn the outcome into an exit code. Decides nothing.

use std::process::ExitCode;

use batch_export::cli;
use clap::Parser;

fn main() -> ExitCode {
    cli::tame_panics();
    let arguments = match cli::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return cli::usage(&error),
    };
    match cli::execute(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::report(&error),
    }
}
