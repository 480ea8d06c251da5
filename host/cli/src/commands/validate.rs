//! `validate`: reports everything wrong with a configuration at once; sends nothing.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::{Chosen, Clock};
use crate::about::About;
use crate::output::{self, Answer, Form};
use crate::progress::Progress;
use crate::survey;
use batch_export_runner::Runtime;
use batch_export_runner::config::{Config, Destination, Problem};
use batch_export_runner::loading::Loaded;
use batch_export_runner::target::{self, Target};
use batch_export_runner::{Failure, FailureClass};
use batch_export_source::Survey;
use batch_export_source::{Interval, Moment};

/// Check a configuration file, the destination's own fields included; sends nothing.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  batch-export validate --config exports.toml")]
pub struct Validate {
    #[command(flatten)]
    chosen: Chosen,
    /// Read the sources too: their columns and the times of their rows.
    #[arg(long)]
    source: bool,
    /// Print the outcome as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// What is said of a file: either it is valid, or something is wrong with it.
enum Verdict {
    Valid(Vec<Described>),
    Invalid(Failure),
}

/// A destination that is valid.
#[derive(Serialize)]
struct Described {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Survey>,
}

#[derive(Serialize)]
struct Outcome {
    valid: bool,
    destinations: Vec<Described>,
    problems: Vec<Problem>,
}

/// Any interval will do: an hour whose key is long.
const SAMPLE_HOUR: (Moment, Moment) =
    (Moment(1_690_502_400_000_000), Moment(1_690_506_000_000_000));

impl Validate {
    pub async fn execute(self, clock: Clock) -> ExitCode {
        let answer = answer(match self.valid().await {
            Ok(valid) => Verdict::Valid(valid),
            Err(failure) => Verdict::Invalid(failure),
        });
        let form = Form::new(self.json, false);
        output::show(form, clock(), &About::default(), Ok(answer))
    }

    async fn valid(&self) -> Result<Vec<Described>, Failure> {
        let config = self.chosen.config()?;
        let chosen = self.chosen.destinations(&config)?;
        let loaded = self
            .chosen
            .load(&Runtime::default(), &config, output::note)
            .await?;
        let mut class = FailureClass::Configuration;
        let mut found = Vec::new();
        let mut valid = Vec::new();
        for destination in chosen {
            match self.described(&config, destination, &loaded).await {
                Ok(described) => valid.push(described),
                Err(failure) => {
                    found.extend(destination.problems_of(&failure));
                    // What fails for good here is a fault of the file, such as a path where there is nothing.
                    if failure.class() != FailureClass::Failed {
                        class = failure.class();
                    }
                }
            }
        }
        match Failure::of_problems(Some(config.file.as_path()), class, found) {
            Some(failure) => Err(failure),
            None => Ok(valid),
        }
    }

    /// Everything that can be told of a destination without sending a request.
    async fn described(
        &self,
        config: &Config,
        destination: &Arc<Destination>,
        loaded: &Loaded,
    ) -> Result<Described, Failure> {
        planned(config, destination, loaded).await?;
        let mut described = Described {
            name: destination.name.clone(),
            source: None,
        };
        if self.source {
            let progress = Arc::new(Progress::new(self.json));
            let found =
                survey::whole(&destination.source, &destination.limits, None, &progress).await;
            progress.end();
            described.source = Some(found?);
        }
        Ok(described)
    }
}

async fn planned(
    config: &Config,
    destination: &Arc<Destination>,
    loaded: &Loaded,
) -> Result<(), Failure> {
    let target = Target::new(config, destination, loaded)?;
    let interval = Interval::new(Some(SAMPLE_HOUR.0), SAMPLE_HOUR.1)?;
    let run = target.header(interval).run(target::attempt_id()?);
    let plan = target.plan(&run).await?;
    target.grants(&run, &plan)
}

/// What a failure says is wrong; never nothing.
fn problems(failure: &Failure) -> Vec<Problem> {
    match failure.problems() {
        [] => vec![Problem {
            at: None,
            field: String::new(),
            message: failure.message().to_owned(),
            hint: failure.hint().map(str::to_owned),
            allowed: None,
        }],
        problems => problems.to_vec(),
    }
}

fn answer(verdict: Verdict) -> Answer<Outcome> {
    match verdict {
        Verdict::Valid(destinations) => {
            let names: Vec<&str> = destinations.iter().map(|d| d.name.as_str()).collect();
            let mut text = format!("valid: {}\n", names.join(", "));
            for Described { name, source } in &destinations {
                if let Some(source) = source {
                    text.push_str(&format!("\n{name}\n{}", survey::in_words(source)));
                }
            }
            let json = Outcome {
                valid: true,
                destinations,
                problems: Vec::new(),
            };
            Answer::new(json, text)
        }
        Verdict::Invalid(failure) => {
            let json = Outcome {
                valid: false,
                destinations: Vec::new(),
                problems: problems(&failure),
            };
            Answer {
                failure: Some(failure),
                ..Answer::new(json, String::new())
            }
        }
    }
}
