//! `cancel`: ends a run or a backfill.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::Clock;
use super::retry::ChangedJson;
use crate::about::About;
use crate::error;
use crate::history::{BackfillJson, History, Place, RunJson, subject};
use crate::message::wrapped;
use crate::output::{self, Answer, Form};
use crate::words;
use batch_export_runner::{Failure, FailureClass};
use batch_export_service::ledger::RunState;
use batch_export_source::Moment;

/// Cancel a run, or all runs of a backfill that are not over.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  batch-export cancel 3f9c2a17\n  batch-export cancel --backfill 3")]
pub struct CancelArgs {
    /// The run: its id, or the first digits that `batch-export runs` shows.
    #[arg(required_unless_present = "backfill")]
    run: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Instead of a run: the number of a backfill.
    #[arg(long, value_name = "N", conflicts_with = "run")]
    backfill: Option<i64>,
    /// Print the run or the backfill as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum CancelledJson {
    Run(Box<ChangedJson>),
    Backfill(BackfillJson),
}

impl CancelArgs {
    pub fn execute(self, clock: Clock) -> ExitCode {
        let mut about = About::default();
        let outcome = self.place.open().and_then(|history| match (&self.run, self.backfill) {
            (_, Some(number)) => cancel_backfill(&history, number, clock()),
            (run, None) => cancel(&history, run.as_deref().unwrap_or_default(), &mut about, clock()),
        });
        output::show(Form::new(self.json, false), clock(), &about, outcome)
    }
}

fn cancel(history: &History, run: &str, about: &mut About, now: Moment) -> Result<Answer<CancelledJson>, Failure> {
    let run = history.run(run)?;
    *about = subject(&run);
    let was = history.ledger.cancel(&run.id, now)?;
    let said = match was {
        RunState::Running if history.ledger.is_attended(&run.id)? => {
            "ends within a few seconds and cleans up".to_owned()
        }
        RunState::Running => {
            history.ledger.interrupted(&run, now)?;
            "cancelled; its process was gone".to_owned()
        }
        was if was.is_waiting() => "cancelled".to_owned(),
        was => format!("nothing was changed, because it is over: it is {was}"),
    };
    let text = wrapped(&format!("{}: {said}", run.id), 2);
    let run = history.run(&run.id)?;
    let json = ChangedJson {
        was,
        service: history.service_json(),
        run: RunJson::from(&run),
    };
    Ok(Answer::new(CancelledJson::Run(Box::new(json)), text))
}

fn cancel_backfill(history: &History, number: i64, now: Moment) -> Result<Answer<CancelledJson>, Failure> {
    let before = history
        .ledger
        .find_backfill(number)?
        .ok_or_else(|| unknown(history, number))?;
    let (waiting, running) = (
        before.count(RunState::is_waiting),
        before.count(|state| state == RunState::Running),
    );
    history.ledger.cancel_backfill(number, now)?;
    let after = history
        .ledger
        .find_backfill(number)?
        .ok_or_else(|| unknown(history, number))?;
    let said = match (waiting, running) {
        (0, 0) => "nothing was left to cancel".to_owned(),
        (waiting, 0) => format!("cancelled {}", words::counted(waiting, "run")),
        (waiting, running) => format!(
            "cancelled {} that waited; {} in progress {} within a few seconds and {} up",
            words::counted(waiting, "run"),
            words::counted(running, "run"),
            if running == 1 { "ends" } else { "end" },
            if running == 1 { "cleans" } else { "clean" },
        ),
    };
    let text = wrapped(&format!("backfill {number} of {}: {said}", after.destination), 2);
    Ok(Answer::new(CancelledJson::Backfill(BackfillJson::from(&after)), text))
}

fn unknown(history: &History, number: i64) -> Failure {
    let message = format!("there is no backfill {number} in {}", history.ledger.file().display());
    Failure::new(FailureClass::Configuration, error::BACKFILL_UNKNOWN, message)
        .with_hint("`batch-export backfills` lists them")
}
