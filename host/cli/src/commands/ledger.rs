//! `ledger`: copies the ledger, and forgets notes of uploads that somebody has looked after by hand.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::Clock;
use crate::about::About;
use crate::error;
use crate::history::{History, Place};
use crate::output::{self, Answer, Form};
use crate::words;
use batch_export_runner::{Failure, FailureClass, RunOwner, State};

/// Back up the ledger of all runs, or forget notes in it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  batch-export ledger backup /backups/ledger.sqlite\n  batch-export ledger forget 3f9c2a17"
)]
pub struct LedgerArgs {
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Debug, Subcommand)]
enum LedgerCommand {
    /// Copy the whole ledger to a new file, while a service goes on working with it.
    Backup {
        #[command(flatten)]
        place: Place,
        /// The file, which must not exist.
        file: PathBuf,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Forget which uploads attempts at a run may have left open, after you have looked after them at the store.
    Forget {
        #[command(flatten)]
        place: Place,
        /// The run: its id, or the first digits.
        #[arg(required_unless_present = "destination")]
        run: Option<String>,
        /// Instead of a run: all runs of a destination.
        #[arg(long, value_name = "NAME", conflicts_with = "run")]
        destination: Option<String>,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Serialize)]
struct BackupJson {
    file: PathBuf,
    bytes: u64,
}

#[derive(Serialize)]
struct ForgottenJson {
    runs: Vec<String>,
    attempts: u64,
}

impl LedgerArgs {
    pub fn execute(self, clock: Clock) -> ExitCode {
        let about = About::default();
        match self.command {
            LedgerCommand::Backup { place, file, json } => {
                let outcome = place.open().and_then(|history| backup(&history, file));
                output::show(Form::new(json, false), clock(), &about, outcome)
            }
            LedgerCommand::Forget {
                place,
                run,
                destination,
                json,
            } => {
                let forget = |history| forget(&history, run.as_deref(), destination.as_deref());
                output::show(Form::new(json, false), clock(), &about, place.open().and_then(forget))
            }
        }
    }
}

fn backup(history: &History, file: PathBuf) -> Result<Answer<BackupJson>, Failure> {
    history.ledger.backup(&file)?;
    let bytes = std::fs::metadata(&file).map_or(0, |metadata| metadata.len());
    let text = format!(
        "copied {} to {} ({})\n",
        history.ledger.file().display(),
        file.display(),
        words::bytes(bytes)
    );
    Ok(Answer::new(BackupJson { file, bytes }, text))
}

fn forget(history: &History, run: Option<&str>, destination: Option<&str>) -> Result<Answer<ForgottenJson>, Failure> {
    let left = history.ledger.state().leftovers()?;
    let is_meant = |id: &str, owner: &RunOwner| match (run, destination) {
        // Notes may be of a run that the history has forgotten, so they are what is looked through.
        (Some(run), _) => id == run || id.rsplit('-').next().is_some_and(|hash| hash.starts_with(run)),
        (None, Some(name)) => *owner == RunOwner::Destination(name.to_owned()),
        (None, None) => false,
    };
    let meant = left.runs.into_iter().filter(|left| is_meant(&left.id, &left.owner));
    let runs: Vec<String> = meant.map(|left| left.id).collect();
    if runs.is_empty() {
        let what = match (run, destination) {
            (Some(run), _) => format!("the run `{run}`"),
            (None, name) => format!("runs of the destination `{}`", name.unwrap_or_default()),
        };
        let message = format!("there are no notes of {what} in {}", history.ledger.file().display());
        return Err(Failure::new(FailureClass::Configuration, error::RUN_UNKNOWN, message));
    }
    if run.is_some() && runs.len() > 1 {
        let message = format!("this may mean several runs: {}", runs.join(", "));
        return Err(
            Failure::new(FailureClass::Configuration, error::RUN_AMBIGUOUS, message).with_hint("write more digits")
        );
    }
    let mut attempts = 0;
    for run in &runs {
        attempts += history.ledger.forget_notes(run)?;
    }
    let text = format!(
        "forgot the notes of {} at {}\n",
        words::counted(attempts, "attempt"),
        words::counted(runs.len() as u64, "run")
    );
    Ok(Answer::new(ForgottenJson { runs, attempts }, text))
}
