//! The program `batch-export`: parse the command line, do it, and turn the outcome into an exit code; or do a child's
//! job. Decides nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use batch_export::{child, cli};
use clap::Parser;

fn main() -> ExitCode {
    if let Some(code) = child::answer() {
        return code;
    }
    child::use_this_program();
    cli::tame_panics();
    let arguments = match cli::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return cli::usage(&error),
    };
    match catch_unwind(AssertUnwindSafe(|| cli::execute(arguments))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => cli::report(&error),
        // What happened was said already, by the hook.
        Err(_) => ExitCode::from(cli::DEFECT),
    }
}
