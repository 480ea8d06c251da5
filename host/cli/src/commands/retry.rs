//! `retry`: asks for a run again.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::Clock;
use crate::about::About;
use crate::history::{Place, RunJson, ServiceJson, subject};
use crate::message::wrapped;
use crate::output::{self, Answer, Form};
use batch_export_runner::Failure;
use batch_export_service::ledger::RunState;
use batch_export_source::Moment;

/// Let the service run an interval again, whatever its outcome was.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  batch-export retry 3f9c2a17")]
pub struct RetryArgs {
    /// The run: its id, or the first digits that `batch-export runs` shows.
    run: String,
    #[command(flatten)]
    place: Place,
    /// Print the run as JSON.
    #[arg(long)]
    json: bool,
}

/// A run that was changed.
#[derive(Serialize)]
pub struct ChangedJson {
    /// The state that it was in.
    pub was: RunState,
    pub service: ServiceJson,
    #[serde(flatten)]
    pub run: RunJson,
}

impl RetryArgs {
    pub fn execute(self, clock: Clock) -> ExitCode {
        let mut about = About::default();
        let outcome = self.retry(&mut about, clock());
        output::show(Form::new(self.json, false), clock(), &about, outcome)
    }

    fn retry(&self, about: &mut About, now: Moment) -> Result<Answer<ChangedJson>, Failure> {
        let history = self.place.open()?;
        let run = history.run(&self.run)?;
        *about = subject(&run);
        // Without its destination nobody could ever run it.
        history.config.destination(Some(&run.destination))?;
        let is_gone = run.state == RunState::Running && !history.ledger.is_attended(&run.id)?;
        if is_gone {
            history.ledger.interrupted(&run, now)?;
        }
        let was = history.ledger.retry(&run.id, now)?;
        let text = match was {
            RunState::Running => format!("{}: nothing was changed, because it is running", run.id),
            was => format!("{}: runs again, it was {was}; {}", run.id, history.when()),
        };
        let run = history.run(&run.id)?;
        let json = ChangedJson {
            was,
            service: history.service_json(),
            run: RunJson::from(&run),
        };
        Ok(Answer::new(json, wrapped(&text, 2)))
    }
}
