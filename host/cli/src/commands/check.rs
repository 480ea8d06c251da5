//! `check`: tests a destination step by step with the settings of a run.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::{Chosen, Clock, told};
use crate::about::About;
use crate::error;
use crate::output::{self, Answer, Form};
use crate::progress::Progress;
use crate::signals::cancelled_by_signals;
use crate::words;
use batch_export_runner::check;
use batch_export_runner::{Events, Failure, Runner, Runtime};
use batch_export_sandbox::contract::{CheckStep, StepOutcome};
use batch_export_service::ledger::Ledger;
use batch_export_source::{Interval, Moment};

/// Test a destination: write an object, read it back, start and abort an upload, delete the object.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  batch-export check --config exports.toml --destination archive")]
pub struct CheckArgs {
    #[command(flatten)]
    chosen: Chosen,
    /// Print the steps as JSON.
    #[arg(long)]
    json: bool,
}

/// Length of the interval that the probe's key is made from: an hour, as most runs have.
const HOUR_MICROS: i64 = 3_600_000_000;

#[derive(Serialize)]
struct Steps {
    steps: Vec<CheckStep>,
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl CheckArgs {
    pub async fn execute(self, clock: Clock) -> ExitCode {
        let mut about = About::default();
        let outcome = self.check(clock(), &mut about).await;
        output::show(Form::new(self.json, false), clock(), &about, outcome)
    }

    async fn check(&self, now: Moment, about: &mut About) -> Result<Answer<Steps>, Failure> {
        let runtime = Runtime::default();
        let progress = Arc::new(Progress::new(false));
        let signals = Arc::clone(&progress);
        let tokens = cancelled_by_signals(move |text| signals.line(text));
        let loading = self.chosen.exporter(&runtime, about, told(false));
        let (config, exporter) = tokens.work.run(loading).await.map_err(|_| tokens.ended())??;
        let state = Ledger::open(&config.state_dir)?.state();
        let (events, mut received) = Events::queue();
        let runner = Runner::new(runtime, state).with_events(events);
        let checking = runner.check(&exporter, hour_of(now)?, &tokens);
        let steps = progress.during(checking, &mut received, |_| ()).await;
        let steps = steps.map_err(|failure| config.located(&exporter.name, failure))?;
        let failure = check::failing(&steps).next().map(|_| error::check(&steps));
        let steps = Steps::new(steps);
        let text = in_words(about, &steps);
        Ok(Answer {
            failure,
            ..Answer::new(steps, text)
        })
    }
}

impl Steps {
    fn new(steps: Vec<CheckStep>) -> Self {
        let count = |outcome| steps.iter().filter(|s| s.outcome == outcome).count();
        Steps {
            passed: count(StepOutcome::Passed),
            failed: check::failing(&steps).count(),
            skipped: count(StepOutcome::Skipped),
            steps,
        }
    }
}

fn hour_of(now: Moment) -> Result<Interval, Failure> {
    let end = now.0 - now.0.rem_euclid(HOUR_MICROS);
    Ok(Interval::new(Some(Moment(end - HOUR_MICROS)), Moment(end))?)
}

fn in_words(about: &About, steps: &Steps) -> String {
    let rows: Vec<_> = steps
        .steps
        .iter()
        .flat_map(|step| {
            let outcome = match step.outcome {
                StepOutcome::Passed => "passed",
                StepOutcome::Failed => "FAILED",
                StepOutcome::Unavailable => "UNAVAILABLE",
                StepOutcome::Skipped => "skipped",
            };
            let told = match step.detail.as_str() {
                "" => outcome.to_owned(),
                detail => format!("{outcome}: {detail}"),
            };
            let hint = step.hint.iter().map(|hint| (String::new(), format!("hint: {hint}")));
            std::iter::once((step.name.clone(), told)).chain(hint)
        })
        .collect();
    let name = about.destination.as_deref().unwrap_or_default();
    let skipped = match steps.skipped {
        0 => String::new(),
        some => format!(", {some} skipped"),
    };
    format!(
        "{name}: bucket {}\n{}{} of {} passed{skipped}\n",
        about.bucket_in_words(),
        words::table(&rows),
        steps.passed,
        steps.steps.len(),
    )
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
            hint: None,
            retry_after_ms: None,
        };
        let steps = vec![
            step("write an object", StepOutcome::Passed, ""),
            CheckStep {
                hint: Some(
                    "grant s3:GetObject to the keys, and check that no policy of the bucket denies it".to_owned(),
                ),
                ..step(
                    "read it back",
                    StepOutcome::Failed,
                    "the store answered GetObject with 403 AccessDenied, and said no more than that",
                )
            },
            step("upload", StepOutcome::Unavailable, "the store is busy"),
            step("delete", StepOutcome::Skipped, "nothing was written"),
        ];
        let about = About {
            destination: Some("archive".to_owned()),
            bucket: Some("exports".to_owned()),
            ..About::default()
        };
        assert_eq!(
            in_words(&about, &Steps::new(steps)),
            "archive: bucket exports at AWS
  write an object  passed
  read it back     FAILED: the store answered GetObject with 403 AccessDenied,
                   and said no more than that
                   hint: grant s3:GetObject to the keys, and check that no
                   policy of the bucket denies it
  upload           UNAVAILABLE: the store is busy
  delete           skipped: nothing was written
1 of 4 passed, 1 skipped
"
        );
    }
}
