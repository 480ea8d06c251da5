//! `validate`: reports everything wrong with a configuration at once; sends nothing.

use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::error::CommandError;
use super::{Chosen, output};
use crate::config::{Config, ConfigError, Problem, Problems};
use crate::interval::{Interval, Moment};
use crate::run::error::Cause;
use crate::run::target::{self, Target};

/// Check a configuration file, the destination's own fields included; sends nothing.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  batch-export validate --config exports.toml")]
pub struct Validate {
    #[command(flatten)]
    chosen: Chosen,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Outcome {
    valid: bool,
    destinations: Vec<String>,
    problems: Vec<ProblemJson>,
}

#[derive(Serialize)]
struct ProblemJson {
    line: usize,
    column: usize,
    field: String,
    message: String,
    allowed: Option<String>,
}

/// Any interval will do: an hour whose key is long.
const SAMPLE_HOUR: (Moment, Moment) =
    (Moment(1_690_502_400_000_000), Moment(1_690_506_000_000_000));

impl Validate {
    pub async fn execute(self) -> Result<(), CommandError> {
        let outcome = self.validate().await;
        if self.json {
            let (destinations, problems) = match &outcome {
                Ok(destinations) => (destinations.clone(), Vec::new()),
                Err(Cause::Config(ConfigError::Invalid(problems))) => {
                    (Vec::new(), problems.list().iter().map(as_json).collect())
                }
                Err(_) => (Vec::new(), Vec::new()),
            };
            output::json(&Outcome {
                valid: outcome.is_ok(),
                destinations,
                problems,
            })?;
        }
        let valid = outcome?;
        if self.json {
            return Ok(());
        }
        output::lines(&format!("valid: {}", valid.join(", ")))
    }

    async fn validate(&self) -> Result<Vec<String>, Cause> {
        let config = Config::load(&self.chosen.config)?;
        let chosen = self.chosen.destinations(&config)?;
        let loaded = self.chosen.load(&config).await?;
        let interval = Interval::new(Some(SAMPLE_HOUR.0), SAMPLE_HOUR.1)?;
        let mut problems: Vec<Problem> = Vec::new();
        let mut names = Vec::new();
        for destination in chosen {
            names.push(destination.name.clone());
            let planned = async {
                let target = Target::new(&config, &Arc::clone(destination), &loaded)?;
                let run = target.header(interval).run(target::attempt_id()?);
                let plan = target.plan(&run).await?;
                target.grants(&run, &plan)
            };
            match planned.await {
                Ok(()) => {}
                Err(Cause::Config(ConfigError::Invalid(found))) => {
                    problems.extend_from_slice(found.list());
                }
                Err(other) => return Err(other),
            }
        }
        Problems::check(&config.file, problems)?;
        Ok(names)
    }
}

fn as_json(problem: &Problem) -> ProblemJson {
    ProblemJson {
        line: problem.at.line,
        column: problem.at.column,
        field: problem.field.clone(),
        message: problem.message.clone(),
        allowed: problem.allowed.clone(),
    }
}
