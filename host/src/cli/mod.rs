//! The command line: arguments, one module per command, and how outcomes are shown. Knows nothing that a command's
//! library call does not.

mod check;
mod completions;
mod demo;
mod error;
mod inspect;
mod output;
mod plan;
mod progress;
mod requests;
mod run;
mod schema;
mod signals;
mod validate;
mod verify;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::capability::network::{Network, NetworkOptions};
use crate::component;
use crate::config::{Config, Destination};
use crate::interval::Interval;
use crate::run::error::Cause;
use crate::run::loading::{self, Loaded};
use crate::run::target::Target;

use error::CommandError;
pub use error::DEFECT;
pub use output::{report, tame_panics, usage};

/// Exports batches of rows to destinations that run as sandboxed WebAssembly components.
#[derive(Debug, Parser)]
#[command(
    name = "batch-export",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed for good, 2 usage or configuration, 3 worth retrying, 4 a defect of the plugin or of this program, 130 interrupted."
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoCommand),
    Run(run::Run),
    Verify(verify::Verify),
    Plan(plan::PlanCommand),
    Check(check::Check),
    Validate(validate::Validate),
    Inspect(inspect::Inspect),
    Schema(schema::SchemaCommand),
    Completions(completions::Completions),
}

/// Time for threads of the runtime that are in the middle of something when the command is done.
const SHUTDOWN_TIME: Duration = Duration::from_millis(200);

/// Does what the command line asks for.
pub fn execute(arguments: Arguments) -> Result<(), CommandError> {
    match arguments.command {
        Command::Schema(command) => command.execute(),
        Command::Completions(command) => command.execute(),
        Command::Demo(command) => on_runtime(command.execute()),
        Command::Run(command) => on_runtime(command.execute()),
        Command::Verify(command) => on_runtime(command.execute()),
        Command::Plan(command) => on_runtime(command.execute()),
        Command::Check(command) => on_runtime(command.execute()),
        Command::Validate(command) => on_runtime(command.execute()),
        Command::Inspect(command) => on_runtime(command.execute()),
    }
}

/// Requests go on beside the guest's own thread, so the runtime has more than one.
fn on_runtime(command: impl Future<Output = Result<(), CommandError>>) -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(CommandError::Runtime)?;
    let outcome = runtime.block_on(command);
    // What still resolves a name or reads a file then has nobody who waits for it.
    runtime.shutdown_timeout(SHUTDOWN_TIME);
    outcome
}

/// Which configuration file, destination and component.
#[derive(Debug, Args)]
struct Chosen {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "BATCH_EXPORT_CONFIG")]
    config: PathBuf,
    /// The destination in it; may be left out when there is only one.
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// A component to load instead of the configured or bundled one.
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
}

/// The interval, half-open.
#[derive(Debug, Args)]
struct Span {
    /// First moment of the interval, ISO 8601; `START` or `beginning` leaves it open.
    #[arg(long, value_name = "TIME")]
    start: String,
    /// First moment after the interval, ISO 8601.
    #[arg(long, value_name = "TIME")]
    end: String,
}

impl Span {
    fn interval(&self) -> Result<Interval, Cause> {
        Ok(Interval::parse(&self.start, &self.end)?)
    }
}

impl Chosen {
    /// Reads the configuration, chooses the destination and loads the component.
    async fn target(&self) -> Result<(Config, Target), Cause> {
        let config = Config::load(&self.config)?;
        let destination = Arc::clone(config.destination(self.destination.as_deref())?);
        let loaded = self.load(&config).await?;
        let target = Target::new(&config, &destination, &loaded)?;
        Ok((config, target))
    }

    /// Every destination that was chosen: the named one, or all.
    fn destinations<'a>(&self, config: &'a Config) -> Result<Vec<&'a Arc<Destination>>, Cause> {
        match &self.destination {
            Some(name) => Ok(vec![config.destination(Some(name))?]),
            None => Ok(config.destinations.iter().collect()),
        }
    }

    async fn load(&self, config: &Config) -> Result<Loaded, Cause> {
        let path = self.component.as_deref().or(config.component.as_deref());
        let component = component::open(path)?;
        // The pure exports send nothing; each destination brings its own network for the rest.
        let network = Network::new(&NetworkOptions::default())?;
        loading::load(&component, network, &output::note).await
    }
}
