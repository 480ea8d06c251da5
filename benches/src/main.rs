//! `bench`: speed and memory of an export through the component, next to a native build of the same code and to other
//! tools in the same run. Prints medians and ratios; judges nothing and is never a test.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a measurement that fails has no result, and what it prints is the result"
)]

mod codecs;
mod costs;
mod curve;
mod events;
mod export;
mod faults;
mod folder;
mod input;
mod job;
mod measure;
mod native;
mod peers;
mod scheduler;
mod sources;
mod speed;
mod store;
mod table;
mod tree;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use serde_json::json;

use measure::Bench;

/// Speed and memory of an export, in rows of about 900 bytes. Run it as `cargo xtask bench`.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(clap::Args)]
struct Settings {
    /// Rows of the input: 1,000,000 a day for peers, 20,000,000 at most for the curve, else 300,000, and four times as
    /// many for memory.
    #[arg(long, global = true)]
    rows: Option<u64>,
    /// How often each variant runs, in turn with the others; medians are printed.
    #[arg(long, default_value_t = 5, global = true)]
    rounds: usize,
    /// The component to measure.
    #[arg(long, default_value = "dist/s3_destination.wasm", global = true)]
    component: PathBuf,
    /// The folder in which inputs are kept for the next time.
    #[arg(long, default_value = "target/bench", global = true)]
    folder: PathBuf,
    /// Print every measurement as JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Rows and bytes a second per format, component and native in turn, and peak memory at once and four times the
    /// input.
    Speed,
    /// What signing and checksums take of the CPU: the same bytes with and without them.
    Costs,
    /// Size and speed of every codec and level on events like real ones.
    Codecs,
    /// What an export of the program takes by its number of rows, and charts of it. By name only.
    Curve(curve::Settings),
    /// What opening and reading a folder of ten thousand small Parquet files takes. By name only.
    Folder,
    /// Requests repeated and bytes sent in vain, by the share of requests that the store lets fail.
    Faults,
    /// This project next to what people would use instead, and what reading each one's files takes. By name only.
    Peers(peers::Settings),
    /// What scheduling alone costs: 100 to 10,000 destinations for three days, with a virtual clock. By name only.
    Scheduler,
    /// Exports from each type of source, next to a program that only reads the same rows. By name only.
    Sources(sources::Settings),
    /// Reads an answer and throws it away; the bench of sources starts it.
    #[command(hide = true)]
    Drain { address: String },
    /// One export in a process of its own; the other commands start it.
    #[command(hide = true)]
    Child { job: String },
    /// The store in a process of its own; the other commands start it.
    #[command(hide = true)]
    Store { fault_share: f64 },
}

/// Rows of the input, unless told otherwise.
const ROWS: u64 = 300_000;

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A bench: measures and prints.
type Part = fn(&Bench) -> Result<table::Printed>;

fn run(arguments: Arguments) -> Result<()> {
    match &arguments.command {
        Some(Command::Child { job }) => return export::child(job),
        Some(Command::Store { fault_share }) => return store::serve(*fault_share),
        Some(Command::Drain { address }) => return sources::drain(address),
        _ => {}
    }
    let settings = arguments.settings;
    let bench = Bench {
        rows: settings.rows.unwrap_or(match arguments.command {
            Some(Command::Peers(_)) => peers::ROWS,
            Some(Command::Curve(_)) => curve::ROWS,
            _ => ROWS,
        }),
        rounds: settings.rounds.max(1),
        component: std::path::absolute(settings.component)?,
        folder: std::path::absolute(settings.folder)?,
    };
    let mut printed = serde_json::Map::new();
    let wants = |name: &str| match &arguments.command {
        None => true,
        Some(Command::Speed) => name == "speed",
        Some(Command::Costs) => name == "costs",
        Some(Command::Codecs) => name == "codecs",
        Some(Command::Faults) => name == "faults",
        Some(_) => false,
    };
    let mut show = |name: &str, result: table::Printed| {
        if settings.json {
            printed.insert(name.to_owned(), json!(result.measurements));
        } else {
            println!("{}", result.text);
        }
    };
    if let Some(Command::Peers(peers)) = &arguments.command {
        show("peers", peers::run(&bench, peers)?);
    }
    if let Some(Command::Folder) = &arguments.command {
        show("folder", folder::run(&bench)?);
    }
    if let Some(Command::Curve(curve)) = &arguments.command {
        show("curve", curve::run(&bench, curve)?);
    }
    if let Some(Command::Scheduler) = &arguments.command {
        show("scheduler", scheduler::run(&bench)?);
    }
    if let Some(Command::Sources(sources)) = &arguments.command {
        show("sources", sources::run(&bench, sources)?);
    }
    let parts: [(&str, Part); 4] = [
        ("speed", speed::run),
        ("costs", costs::run),
        ("codecs", codecs::run),
        ("faults", faults::run),
    ];
    for (name, part) in parts {
        if wants(name) {
            show(name, part(&bench)?);
        }
    }
    if settings.json {
        println!("{}", serde_json::to_string_pretty(&printed)?);
    }
    Ok(())
}
