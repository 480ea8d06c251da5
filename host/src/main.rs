//! The program `batch-export`: hands its arguments to the command line and ends with the exit code of the outcome; or
//! does a child's job. Decides nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use batch_export::{child, cli};

fn main() -> ExitCode {
    if let Some(code) = child::answer() {
        return code;
    }
    child::use_this_program();
    // What happened was said already, by the hook.
    catch_unwind(AssertUnwindSafe(|| cli::main(std::env::args_os())))
        .unwrap_or_else(|_| ExitCode::from(cli::DEFECT))
}
