//! `serve`: runs every destination on its schedule until it is stopped.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::builder::PossibleValue;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::{CONFIG_VARIABLE, Chosen, Clock};
use crate::about::About;
use crate::output::{Answer, Form};
use crate::signals::orders;
use batch_export_runner::Failure;
use batch_export_service::log::{self, LogLevel};
use batch_export_service::{ServiceOptions, serve};

/// Run every destination on its schedule until stopped.
///
/// The service logs to standard error. Ctrl-C or SIGTERM stops it: nothing new is started, runs in progress may finish
/// for the time that `stop_time` gives, and a second signal ends them at once. SIGHUP reads the configuration again;
/// one that is wrong is reported, and the earlier one stays in force. What the service does is shown by `batch-export
/// status`, `runs` and `show`, whether it is running or not.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  batch-export serve --config exports.toml\n  batch-export serve --config exports.toml \
                  --log-level debug 2> service.log"
)]
pub struct ServeArgs {
    /// Configuration file; defaults to `batch-export.toml` in the current folder.
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE)]
    config: Option<PathBuf>,
    /// Plugin (WebAssembly component) to load instead of the configured or built-in one.
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
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
        // It runs every destination.
        let chosen = Chosen {
            config: self.config,
            destination: None,
            component: self.component,
        };
        let config = chosen.read()?;
        log::init(config.service.log_format, self.log_level);
        drop(config);
        let options = ServiceOptions {
            read: Box::new(move || {
                let config = chosen.read()?;
                Ok(chosen.with_component(config))
            }),
            clock,
        };
        serve(options, orders()).await
    }
}
