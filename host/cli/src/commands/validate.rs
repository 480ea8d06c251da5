//! `validate`: reports everything wrong with a configuration at once; sends nothing.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::{Chosen, Clock, told};
use crate::about::About;
use crate::output::{self, Answer, Form};
use crate::progress::Progress;
use crate::signals::until_first;
use crate::survey;
use batch_export_runner::config::{ConfigError, Problems};
use batch_export_runner::exporter::{self, Exporter, SAMPLE_HOUR};
use batch_export_runner::loading::Loaded;
use batch_export_runner::{Destination, Failure, Problem, Runtime};
use batch_export_sandbox::Network;
use batch_export_source::Interval;
use batch_export_source::Survey;
use batch_export_system::Token;

/// Check a configuration file, including the destination's own fields, without sending anything.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  batch-export validate --config exports.toml")]
pub struct ValidateArgs {
    #[command(flatten)]
    chosen: Chosen,
    /// Also read the sources: show their columns and the times of their rows.
    #[arg(long)]
    source: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// What is wrong with a file.
struct Invalid {
    failure: Failure,
    problems: Vec<Problem>,
}

impl From<Failure> for Invalid {
    fn from(failure: Failure) -> Self {
        Invalid {
            problems: failure.as_problems(),
            failure,
        }
    }
}

impl From<ConfigError> for Invalid {
    fn from(error: ConfigError) -> Self {
        Failure::from(error).into()
    }
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
        let outcome = until_first(async |token| Ok(answer(self.valid(token).await))).await;
        output::show(Form::new(self.json, false), clock(), &About::default(), outcome)
    }

    async fn valid(&self, token: &Token) -> Result<Vec<Described>, Invalid> {
        let config = match self.chosen.read() {
            Ok(config) => config,
            Err(ConfigError::Invalid(problems)) => return Err(self.all_of(problems).await.into()),
            Err(error) => return Err(error.into()),
        };
        let chosen = self.chosen.destinations(&config)?;
        let runtime = Runtime::default();
        let loaded = self.chosen.load(&runtime, &config, told(false)).await?;
        let (mut failures, mut problems) = (Vec::new(), Vec::new());
        let mut valid = Vec::new();
        for destination in chosen {
            match self.described(destination, &loaded, token).await {
                Ok(described) => valid.push(described),
                Err(found) => {
                    for failure in found {
                        problems.extend(config.located_problems(&destination.name, &failure));
                        failures.push(config.located(&destination.name, failure));
                    }
                }
            }
        }
        match Failure::of_several(config.file.as_path(), failures, problems.clone()) {
            Some(failure) => Err(Invalid { failure, problems }),
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
            Err(failure) => ConfigError::Invalid(problems.with_failure(&failure)).into(),
        }
    }

    /// Returns everything that can be found out about a destination without sending a request.
    async fn described(
        &self,
        destination: &Arc<Destination>,
        loaded: &Loaded,
        token: &Token,
    ) -> Result<Described, Vec<Failure>> {
        let network = Network::new(&destination.network).map_err(Failure::from);
        let exporter = match (planned(destination, loaded).await, network) {
            (Ok(exporter), Ok(_)) => exporter,
            (planned, network) => return Err(planned.err().into_iter().chain(network.err()).collect()),
        };
        let mut described = Described {
            name: destination.name.clone(),
            source: None,
        };
        if self.source {
            let progress = Arc::new(Progress::new(self.json));
            let found = survey::whole(&exporter, None, token, &progress).await;
            progress.end();
            described.source = Some(found.map_err(|failure| vec![failure])?);
        }
        Ok(described)
    }
}

async fn planned(destination: &Arc<Destination>, loaded: &Loaded) -> Result<Exporter, Failure> {
    let exporter = Exporter::new(destination, loaded)?;
    let interval = Interval::new(Some(SAMPLE_HOUR.0), SAMPLE_HOUR.1)?;
    let run = exporter.header(interval).run(exporter::attempt_id()?);
    let plan = exporter.plan(&run).await?;
    exporter.grants(&run, &plan)?;
    Ok(exporter)
}

fn answer(verdict: Result<Vec<Described>, Invalid>) -> Answer<Outcome> {
    match verdict {
        Ok(destinations) => {
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
        Err(Invalid { failure, problems }) => {
            let json = Outcome {
                valid: false,
                destinations: Vec::new(),
                problems,
            };
            Answer {
                failure: Some(failure),
                ..Answer::new(json, String::new())
            }
        }
    }
}
