//! `serve`: runs every destination on its schedule until it is stopped.

use std::process::ExitCode;

use clap::Args;
use clap::builder::PossibleValue;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::{Chosen, Clock};
use crate::about::About;
use crate::output::{Answer, Form};
use crate::signals::orders;
use batch_export_runner::Failure;
use batch_export_service::log::{self, LogLevel};
use batch_export_service::{ServiceOptions, serve};

/// Run every destination on its schedule until stopped.
///
/// The service logs to standard error. Ctrl-C or SIGTERM stops it: nothing new is started, runs under way may finish
/// for the time that `stop_time` gives, and a second signal ends them at once. SIGHUP reads the configuration again;
/// one that is wrong is reported, and the earlier one stays in force. What the service does is shown by `batch-export
/// status`, `runs` and `show`, whether it is running or not.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  batch-export serve --config exports.toml\n  batch-export serve --config exports.toml \
                  --log-level debug 2> service.log"
)]
pub struct ServeArgs {
    #[command(flatten)]
    chosen: Chosen,
    /// The least important messages to log.
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = level())]
    log_level: LogLevel,
}

fn level() -> impl TypedValueParser<Value = LogLevel> {
    let words = LogLevel::ALL.map(|(word, _)| PossibleValue::new(word));
    PossibleValuesParser::new(words).map(|word| {
        let known = LogLevel::ALL.iter().find(|(name, _)| *name == word);
        known.map_or(LogLevel::default(), |(_, level)| *level)
    })
}

impl ServeArgs {
    pub async fn execute(self, clock: Clock) -> ExitCode {
        let outcome = self.run(clock).await.map(|()| Answer::new((), String::new()));
        crate::output::show(Form::Silent, clock(), &About::default(), outcome)
    }

    async fn run(self, clock: Clock) -> Result<(), Failure> {
        let config = self.chosen.read()?;
        log::init(config.service.log_format, self.log_level);
        drop(config);
        let options = ServiceOptions {
            read: Box::new(move || {
                let config = self.chosen.read()?;
                Ok(self.chosen.with_component(config))
            }),
            clock,
        };
        serve(options, orders()).await
    }
}
