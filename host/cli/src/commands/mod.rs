//! The command line: arguments, one module per command, and how outcomes are shown. Knows nothing that a command's
//! library call does not.

mod alerts;
mod backfill;
mod backfills;
mod cancel;
mod check;
mod completions;
mod demo;
mod inspect;
mod ledger;
mod logs;
mod pause;
mod plan;
mod preview;
mod retry;
mod run;
mod runs;
mod schema;
mod serve;
mod show;
mod status;
mod usage;
mod validate;
mod verify;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use serde::Serialize;

use batch_export_runner::Runtime;
use batch_export_runner::component;
use batch_export_runner::config::{Config, ConfigError};
use batch_export_runner::exporter::Exporter;
use batch_export_runner::loading::{Loaded, LoadingNote};
use batch_export_runner::{Destination, Failure};
use batch_export_source::{Interval, Moment, TimeOf};

use crate::about::About;
use crate::error;
use crate::output::{Answer, Form};
use crate::span::SpanError;

pub use usage::CONFIG_VARIABLE;

/// Exports the rows of a time interval to S3 through destinations that run as sandboxed WebAssembly plugins.
#[derive(Debug, Parser)]
#[command(name = "batch-export", version, arg_required_else_help = true, max_term_width = 80)]
#[command(
    after_help = "Exit codes: 0 success, 1 permanent failure, 2 usage or configuration error, 3 temporary failure \
                  (retry later), 4 bug in the plugin or in this program, 130 interrupted, 129 or 143 terminated."
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Run(run::RunArgs),
    Serve(serve::ServeArgs),
    Verify(verify::VerifyArgs),
    Plan(plan::PlanArgs),
    Preview(preview::PreviewArgs),
    Check(check::CheckArgs),
    Validate(validate::ValidateArgs),
    Inspect(inspect::InspectArgs),
    Status(status::StatusArgs),
    Runs(runs::RunsArgs),
    Show(show::ShowArgs),
    Logs(logs::LogsArgs),
    Retry(retry::RetryArgs),
    Cancel(cancel::CancelArgs),
    Pause(pause::PauseArgs),
    Unpause(pause::UnpauseArgs),
    Backfill(backfill::BackfillArgs),
    Backfills(backfills::BackfillsArgs),
    Ledger(ledger::LedgerArgs),
    Alerts(alerts::AlertsArgs),
    Schema(schema::SchemaArgs),
    Completions(completions::CompletionsArgs),
}

/// Time for threads of the runtime that are in the middle of something when the command is done.
const SHUTDOWN_TIME: Duration = Duration::from_millis(200);

/// Returns the current time; passed in, so that code that depends on it can be tested.
type Clock = fn() -> Moment;

/// Does what the command line asks for, and answers the process's exit code.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    crate::output::tame_panics();
    let arguments: Vec<OsString> = arguments.collect();
    match Arguments::try_parse_from(&arguments) {
        Ok(parsed) => execute(parsed.command, system_clock),
        Err(error) if is_answer(&error) => crate::output::help(&error),
        Err(error) => {
            let outcome: Result<Answer<()>, _> = Err(usage::failure(&error, &arguments));
            let form = Form::new(wants_json(&arguments), false);
            crate::output::show(form, system_clock(), &About::default(), outcome)
        }
    }
}

/// Whether it is help or the version, which are answers; so is help where nothing was asked for.
fn is_answer(error: &clap::Error) -> bool {
    !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

/// Shows that the program panicked, in JSON where the arguments ask for it.
pub fn panicked(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    crate::output::panicked(wants_json(&arguments), system_clock())
}

/// Whether arguments that may be wrong ask for JSON.
fn wants_json(arguments: &[OsString]) -> bool {
    arguments.iter().any(|argument| argument == "--json")
}

fn execute(command: Command, clock: Clock) -> ExitCode {
    match command {
        Command::Schema(command) => on_runtime(command.execute(clock), clock),
        Command::Status(command) => command.execute(clock),
        Command::Runs(command) => command.execute(clock),
        Command::Show(command) => command.execute(clock),
        Command::Logs(command) => command.execute(clock),
        Command::Retry(command) => command.execute(clock),
        Command::Cancel(command) => command.execute(clock),
        Command::Pause(command) => command.execute(clock),
        Command::Unpause(command) => command.execute(clock),
        Command::Backfill(command) => on_runtime(command.execute(clock), clock),
        Command::Backfills(command) => command.execute(clock),
        Command::Ledger(command) => command.execute(clock),
        Command::Completions(command) => command.execute(clock),
        Command::Demo(command) => on_runtime(command.execute(clock), clock),
        Command::Run(command) => on_runtime(command.execute(clock), clock),
        Command::Serve(command) => on_runtime(command.execute(clock), clock),
        Command::Verify(command) => on_runtime(command.execute(clock), clock),
        Command::Preview(command) => on_runtime(command.execute(clock), clock),
        Command::Plan(command) => on_runtime(command.execute(clock), clock),
        Command::Check(command) => on_runtime(command.execute(clock), clock),
        Command::Validate(command) => on_runtime(command.execute(clock), clock),
        Command::Inspect(command) => on_runtime(command.execute(clock), clock),
        Command::Alerts(command) => on_runtime(command.execute(clock), clock),
    }
}

/// Requests go on next to the guest's own thread, so the runtime has more than one.
fn on_runtime(command: impl Future<Output = ExitCode>, clock: Clock) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(command);
            // What still resolves a name or reads a file then has nobody who waits for it.
            runtime.shutdown_timeout(SHUTDOWN_TIME);
            code
        }
        Err(error) => {
            let outcome: Result<Answer<()>, _> = Err(error::not_started(error));
            crate::output::show(Form::Text, clock(), &About::default(), outcome)
        }
    }
}

/// Performs a command for an interval, and shows the result.
async fn for_interval<T: Serialize>(
    form: Form,
    clock: Clock,
    interval: Result<Interval, SpanError>,
    command: impl AsyncFnOnce(Interval, &mut About) -> Result<Answer<T>, Failure>,
) -> ExitCode {
    let mut about = About::default();
    let outcome = match interval {
        Ok(interval) => {
            about = About::new(Some(interval));
            command(interval, &mut about).await
        }
        Err(error) => Err(error.into()),
    };
    crate::output::show(form, clock(), &about, outcome)
}

fn system_clock() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = since.map_or(0, |since| since.as_micros());
    Moment(i64::try_from(micros).unwrap_or(i64::MAX))
}

/// What is done with notes while a plugin is loaded.
type Tell = fn(LoadingNote);

/// Shows warnings always, and progress unless the command was asked to be quiet.
fn told(quiet: bool) -> Tell {
    match quiet {
        true => |note| {
            if let LoadingNote::Warning(warning) = note {
                crate::output::warning(&warning);
            }
        },
        false => |note| match note {
            LoadingNote::Warning(warning) => crate::output::warning(&warning),
            LoadingNote::Progress(text) => crate::output::note(&text),
            _ => {}
        },
    }
}

/// The file that is read when none is named.
pub const DEFAULT_CONFIG: &str = "batch-export.toml";

/// Which configuration file, destination and plugin.
#[derive(Debug, Args)]
struct Chosen {
    /// Configuration file; defaults to `batch-export.toml` in the current folder.
    #[arg(long, value_name = "FILE", env = usage::CONFIG_VARIABLE)]
    config: Option<PathBuf>,
    /// Name of the destination in the configuration file; optional if there is only one.
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    destination: Option<String>,
    /// Plugin (WebAssembly component) to load instead of the configured or built-in one.
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
}

/// By which time rows belong to the interval.
#[derive(Debug, Args)]
struct By {
    /// Select rows by the time of the event, as backfills do: the source's `backfill_time_column`.
    #[arg(long)]
    backfill: bool,
}

impl By {
    fn time(&self) -> TimeOf {
        match self.backfill {
            true => TimeOf::Event,
            false => TimeOf::Arrival,
        }
    }
}

impl Chosen {
    fn file(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG))
    }

    fn read(&self) -> Result<Config, ConfigError> {
        let file = self.file();
        if self.config.is_none() && !file.exists() {
            return Err(ConfigError::NoDefault(DEFAULT_CONFIG));
        }
        Config::load(file)
    }

    /// Returns the configuration with the component that the command line names, if it names one.
    fn with_component(&self, mut config: Config) -> Config {
        if let Some(component) = &self.component {
            config.component = Some(component.clone());
        }
        config
    }

    /// Reads the configuration, chooses the destination and loads the plugin; `tell` receives lines for somebody who
    /// waits.
    async fn exporter(&self, runtime: &Runtime, about: &mut About, tell: Tell) -> Result<(Config, Exporter), Failure> {
        let config = self.read()?;
        let destination = Arc::clone(config.destination(self.destination.as_deref())?);
        about.learn(&destination);
        let loaded = self.load(runtime, &config, tell).await?;
        let exporter = Exporter::new(&destination, &loaded)
            .map_err(|failure| config.located(&destination.name, failure))?
            .among(&config);
        Ok((config, exporter))
    }

    /// Every destination that was chosen: the named one, or all.
    fn destinations<'a>(&self, config: &'a Config) -> Result<Vec<&'a Arc<Destination>>, Failure> {
        match &self.destination {
            Some(name) => Ok(vec![config.destination(Some(name))?]),
            None => Ok(config.destinations.iter().collect()),
        }
    }

    async fn load(&self, runtime: &Runtime, config: &Config, tell: Tell) -> Result<Loaded, Failure> {
        let path = self.component.as_deref().or(config.component.as_deref());
        let component = component::open(path)?;
        runtime.load(&component, &tell).await
    }
}
