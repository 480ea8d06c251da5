//! `validate`: reports everything wrong with a configuration at once; sends nothing.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::{Chosen, Clock, told};
use crate::about::About;
use crate::output::{self, Answer, Form};
use crate::progress::Progress;
use crate::survey;
use batch_export_runner::config::{ConfigError, Problems};
use batch_export_runner::exporter::{self, Exporter, SAMPLE_HOUR};
use batch_export_runner::loading::Loaded;
use batch_export_runner::{Destination, Failure, FailureClass, Problem, Runtime};
use batch_export_source::Interval;
use batch_export_source::Survey;

/// Check a configuration file, the destination's own fields included; sends nothing.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  batch-export validate --config exports.toml")]
pub struct ValidateArgs {
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

impl ValidateArgs {
    pub async fn execute(self, clock: Clock) -> ExitCode {
        let answer = answer(match self.valid().await {
            Ok(valid) => Verdict::Valid(valid),
            Err(failure) => Verdict::Invalid(failure),
        });
        let form = Form::new(self.json, false);
        output::show(form, clock(), &About::default(), Ok(answer))
    }

    async fn valid(&self) -> Result<Vec<Described>, Failure> {
        let config = match self.chosen.read() {
            Ok(config) => config,
            Err(ConfigError::Invalid(problems)) => return Err(self.all_of(problems).await),
            Err(error) => return Err(error.into()),
        };
        let chosen = self.chosen.destinations(&config)?;
        let runtime = Runtime::default();
        let loaded = self.chosen.load(&runtime, &config, told(false)).await?;
        let mut class = FailureClass::Configuration;
        let mut found = Vec::new();
        let mut valid = Vec::new();
        for destination in chosen {
            match self.described(destination, &loaded).await {
                Ok(described) => valid.push(described),
                Err(failure) => {
                    // What fails for good here is a fault of the file, such as a path where there is nothing.
                    if failure.class() != FailureClass::Failed {
                        class = failure.class();
                    }
                    found.extend(config.located_problems(&destination.name, &failure));
                }
            }
        }
        match Failure::of_problems(Some(config.file.as_path()), class, found) {
            Some(failure) => Err(failure),
            None => Ok(valid),
        }
    }

    /// Everything wrong with a file that the host alone cannot use: its plugin looks at it all the same.
    async fn all_of(&self, problems: Problems) -> Failure {
        let Some(config) = problems.config() else {
            return ConfigError::Invalid(problems).into();
        };
        let runtime = Runtime::default();
        let loaded = self.chosen.load(&runtime, config, told(false)).await;
        match loaded {
            Ok(loaded) => ConfigError::Invalid(problems.with_plugin(&loaded).await).into(),
            // The plugin's own problem is said when it is the only one.
            Err(_) => ConfigError::Invalid(problems).into(),
        }
    }

    /// Everything that can be told of a destination without sending a request.
    async fn described(&self, destination: &Arc<Destination>, loaded: &Loaded) -> Result<Described, Failure> {
        planned(destination, loaded).await?;
        let mut described = Described {
            name: destination.name.clone(),
            source: None,
        };
        if self.source {
            let progress = Arc::new(Progress::new(self.json));
            let found = survey::whole(&destination.source, &destination.limits, None, &progress).await;
            progress.end();
            described.source = Some(found?);
        }
        Ok(described)
    }
}

async fn planned(destination: &Arc<Destination>, loaded: &Loaded) -> Result<(), Failure> {
    let exporter = Exporter::new(destination, loaded)?;
    let interval = Interval::new(Some(SAMPLE_HOUR.0), SAMPLE_HOUR.1)?;
    let run = exporter.header(interval).run(exporter::attempt_id()?);
    let plan = exporter.plan(&run).await?;
    exporter.grants(&run, &plan)
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
                problems: failure.as_problems(),
            };
            Answer {
                failure: Some(failure),
                ..Answer::new(json, String::new())
            }
        }
    }
}
