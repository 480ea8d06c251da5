//! `check`: tries a destination step by step with the settings of a run.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use super::error::CommandError;
use super::signals::stop_on_signals;
use super::{Chosen, output};
use crate::capability::log;
use crate::interval::{Interval, Moment};
use crate::run::check;
use crate::run::state::State;
use crate::sandbox::contract::{CheckStep, StepOutcome};

/// Try a destination: write, read back, begin and abort an upload, delete.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  batch-export check --config exports.toml --destination archive"
)]
pub struct Check {
    #[command(flatten)]
    chosen: Chosen,
    /// Print the steps as JSON.
    #[arg(long)]
    json: bool,
}

/// Length of the interval that the probe's key is made from: an hour, as most runs have.
const HOUR_MICROS: i64 = 3_600_000_000;

impl Check {
    pub async fn execute(self) -> Result<(), CommandError> {
        let (config, target) = self.chosen.target().await?;
        let state = State::new(&config.state_dir);
        let stop = stop_on_signals(output::note);
        let steps = check::check(&target, &state, this_hour()?, log::discard(), &stop).await?;
        if self.json {
            output::json(&steps)?;
        } else {
            output::lines(&in_words(&steps))?;
        }
        match check::failing(&steps).count() {
            0 => Ok(()),
            failed => Err(CommandError::Check {
                failed,
                steps: steps.len(),
                class: check::class(&steps),
            }),
        }
    }
}

fn this_hour() -> Result<Interval, CommandError> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let micros = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
    let end = micros - micros.rem_euclid(HOUR_MICROS);
    Ok(Interval::new(Some(Moment(end - HOUR_MICROS)), Moment(end))?)
}

fn in_words(steps: &[CheckStep]) -> String {
    let rows: Vec<_> = steps
        .iter()
        .map(|step| {
            let outcome = match step.outcome {
                StepOutcome::Passed => "passed",
                StepOutcome::Failed => "FAILED",
                StepOutcome::Unavailable => "NOT NOW",
                StepOutcome::Skipped => "skipped",
            };
            let detail = match step.detail.as_str() {
                "" => outcome.to_owned(),
                detail => format!("{outcome:7}  {detail}"),
            };
            (step.name.clone(), detail)
        })
        .collect();
    output::table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_a_line_with_its_outcome() {
        let step = |name: &str, outcome, detail: &str| CheckStep {
            name: name.to_owned(),
            outcome,
            detail: detail.to_owned(),
        };
        let steps = [
            step("write an object", StepOutcome::Passed, ""),
            step("read it back", StepOutcome::Failed, "grant s3:GetObject"),
            step("upload", StepOutcome::Unavailable, "the store is busy"),
            step("delete", StepOutcome::Skipped, "nothing was written"),
        ];
        assert_eq!(
            in_words(&steps),
            "  write an object  passed
  read it back     FAILED   grant s3:GetObject
  upload           NOT NOW  the store is busy
  delete           skipped  nothing was written
"
        );
    }
}
