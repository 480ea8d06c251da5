//! The program `batch-export`: hands its arguments to the command line and ends with the exit code of the outcome; or
//! does a child's job. Decides nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

mod about;
mod columns;
mod commands;
mod demo;
mod error;
mod grid;
mod history;
mod message;
mod output;
mod progress;
mod requests;
mod signals;
mod span;
mod survey;
mod words;

use batch_export_sandbox::COMPILE_TASK;
use batch_export_source::READ_TASK;
use batch_export_system::child;

fn main() -> ExitCode {
    if let Some(code) = child::answer(&[COMPILE_TASK, READ_TASK]) {
        return code;
    }
    child::use_this_program();
    catch_unwind(AssertUnwindSafe(|| commands::main(std::env::args_os())))
        .unwrap_or_else(|_| commands::panicked(std::env::args_os()))
}
