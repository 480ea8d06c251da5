//! `validate`: reports everything wrong with a configuration at once; sends nothing.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::{Chosen, Clock};
use crate::about::About;
use crate::error::CommandError;
use crate::findings::{Finding, Findings, of_cause};
use crate::output::{self, Answer, Form};
use crate::progress::Progress;
use crate::survey;
use batch_export_runner::config::{Config, Destination};
use batch_export_runner::error::{Cause, Class};
use batch_export_runner::loading::Loaded;
use batch_export_runner::target::{self, Target};
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
    Invalid(Findings),
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
    problems: Vec<Finding>,
}

/// Any interval will do: an hour whose key is long.
const SAMPLE_HOUR: (Moment, Moment) =
    (Moment(1_690_502_400_000_000), Moment(1_690_506_000_000_000));

impl Validate {
    pub async fn execute(self, clock: Clock) -> ExitCode {
        let outcome = self.verdict().await.map(answer);
        output::show(
            Form::new(self.json, false),
            clock(),
            &About::default(),
            outcome,
        )
    }

    async fn verdict(&self) -> Result<Verdict, CommandError> {
        let file = self.chosen.file();
        let whole = |cause: Cause| Verdict::Invalid(Findings::of_whole(file, &cause));
        let config = match self.chosen.config() {
            Ok(config) => config,
            Err(cause) => return Ok(whole(cause)),
        };
        let chosen = match self.chosen.destinations(&config) {
            Ok(chosen) => chosen,
            Err(cause) => return Ok(whole(cause)),
        };
        let loaded = match self.chosen.load(&config, output::note).await {
            Ok(loaded) => loaded,
            Err(cause) => return Ok(whole(cause)),
        };
        let mut class = Class::Configuration;
        let mut found = Vec::new();
        let mut valid = Vec::new();
        for destination in chosen {
            match self.described(&config, destination, &loaded).await? {
                Ok(described) => valid.push(described),
                Err(cause) => {
                    found.extend(of_cause(Some(destination), &cause));
                    // What fails for good here is a fault of the file, such as a path where there is nothing.
                    if !matches!(cause.class(), Class::Failed | Class::Configuration) {
                        class = cause.class();
                    }
                }
            }
        }
        Ok(match Findings::new(file, found, class) {
            Some(findings) => Verdict::Invalid(findings),
            None => Verdict::Valid(valid),
        })
    }

    /// Everything that can be told of a destination without sending a request.
    async fn described(
        &self,
        config: &Config,
        destination: &Arc<Destination>,
        loaded: &Loaded,
    ) -> Result<Result<Described, Cause>, CommandError> {
        if let Err(cause) = planned(config, destination, loaded).await {
            return Ok(Err(cause));
        }
        let mut described = Described {
            name: destination.name.clone(),
            source: None,
        };
        if self.source {
            let progress = Arc::new(Progress::new(self.json));
            let found =
                survey::whole(&destination.source, &destination.limits, None, &progress).await;
            progress.end();
            match found? {
                Ok(survey) => described.source = Some(survey),
                Err(error) => return Ok(Err(error.into())),
            }
        }
        Ok(Ok(described))
    }
}

async fn planned(
    config: &Config,
    destination: &Arc<Destination>,
    loaded: &Loaded,
) -> Result<(), Cause> {
    let target = Target::new(config, destination, loaded)?;
    let interval = Interval::new(Some(SAMPLE_HOUR.0), SAMPLE_HOUR.1)?;
    let run = target.header(interval).run(target::attempt_id()?);
    let plan = target.plan(&run).await?;
    target.grants(&run, &plan)
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
        Verdict::Invalid(findings) => {
            let json = Outcome {
                valid: false,
                destinations: Vec::new(),
                problems: findings.list().cloned().collect(),
            };
            Answer {
                failure: Some(CommandError::Invalid(Box::new(findings))),
                ..Answer::new(json, String::new())
            }
        }
    }
}
