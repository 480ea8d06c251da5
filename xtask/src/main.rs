//! Everything cargo alone cannot say, one file per command: `cargo xtask` lists them. Never a part of what is shipped.

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a command of the build prints")]

use std::process::ExitCode;

use anyhow::{Result, bail};

mod bench;
mod build;
mod chaos;
mod component;
mod conformance;
mod demo;
mod fuzz;
mod guests;
mod lint;
mod notices;
mod postgres;
mod process;
mod public_api;
mod python;
mod reproduce;
mod setup;
mod test;
mod tools;
mod workspace;

use workspace::Workspace;

/// A command: its name, its arguments in words, a line on what it does, and what it does.
struct Command {
    name: &'static str,
    arguments: &'static str,
    summary: &'static str,
    run: fn(&Workspace, &[String]) -> Result<()>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "demo",
        arguments: "[ARGUMENTS…]",
        summary: "build the component and run an export end to end (nothing leaves this machine)",
        run: demo::run,
    },
    Command {
        name: "test",
        arguments: "[FILTER]",
        summary: "run all tests of the workspace, through the real component",
        run: test::run,
    },
    Command {
        name: "build",
        arguments: "",
        summary: "build dist/s3_destination.wasm, its SHA-256 and the third-party notices",
        run: build::run,
    },
    Command {
        name: "guests",
        arguments: "",
        summary: "build the hostile guests used by tests, for running `cargo test` directly",
        run: guests::run,
    },
    Command {
        name: "bench",
        arguments: "[ARGUMENTS…]",
        summary: "measure speed and memory, in turn with the native build or `peers` (`bench --help` for what)",
        run: bench::run,
    },
    Command {
        name: "chaos",
        arguments: "[FILTER]",
        summary: "kill, stop and fill up the service, and check that every interval is exported once (needs root)",
        run: chaos::run,
    },
    Command {
        name: "lint",
        arguments: "",
        summary: "check formatting, spelling, dependencies, clippy and documentation; warnings are errors",
        run: lint::run,
    },
    Command {
        name: "public-api",
        arguments: "[--write]",
        summary: "compare the libraries' public API with their public-api.txt",
        run: public_api::run,
    },
    Command {
        name: "conformance",
        arguments: "[NAMES…] [--only TEXT] [--json]",
        summary: "run with other projects: readers, commands, clickhouse, postgres, hosts, orchestrators, devstore, seaweedfs, ceph, garage, servers, all",
        run: conformance::run,
    },
    Command {
        name: "fuzz",
        arguments: "[TARGET] [--seconds N]",
        summary: "run the fuzz targets; `plugin` or `source` selects one kind (needs a nightly compiler)",
        run: fuzz::run,
    },
    Command {
        name: "reproduce",
        arguments: "",
        summary: "build the component twice in different folders and compare the digests",
        run: reproduce::run,
    },
    Command {
        name: "setup",
        arguments: "",
        summary: "install the build requirements (all other commands do this automatically)",
        run: setup::run,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let Some((name, rest)) = arguments.split_first() else {
        print!("{}", usage());
        return Ok(());
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        print!("{}", usage());
        return Ok(());
    }
    match COMMANDS.iter().find(|command| command.name == name) {
        Some(command) => (command.run)(&Workspace::discover()?, rest),
        None => bail!("there is no command `{name}`\n\n{}", usage()),
    }
}

fn usage() -> String {
    let mut text = String::from("Usage: cargo xtask COMMAND\n\nCommands:\n");
    for command in COMMANDS {
        let call = format!("{} {}", command.name, command.arguments);
        text.push_str(&format!("  {call:<22} {}\n", command.summary));
    }
    text
}
