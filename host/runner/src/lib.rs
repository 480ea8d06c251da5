//! Runs of an export, from a configuration to the proof that the rows of the source are stored: plan, grants and
//! credentials, every batch through a fresh instance of a plugin, recovery of what was left open, and reading back.
//! Knows no command line and no schedule.
//!
//! A program that exports has one [`Runtime`], which its runs share, and a [`Runner`] on top of it with the [`State`]
//! that outlives it. This one starts its own store, and exports an hour of sample rows to it:
//!
//! ```no_run
//! use std::path::Path;
//!
//! use batch_export_runner::config::Config;
//! use batch_export_runner::exporter::Exporter;
//! use batch_export_runner::{RunTokens, Runner, Runtime, StateMemory, component};
//! use batch_export_source::Interval;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let store = devstore::Options::default().start().await?;
//! let text = format!(
//!     r#"
//!     [destinations.archive]
//!     model = "events"
//!     bucket_name = "test-bucket"
//!     region = "us-east-1"
//!     endpoint_url = "{}"
//!     aws_access_key_id = "test-access-key"
//!     aws_secret_access_key = "test-secret-key"
//!     source = {{ type = "sample", rows_per_hour = 1000 }}
//!     egress.allow_private = ["{}"]
//!     "#,
//!     store.endpoint(),
//!     store.address(),
//! );
//! let config = Config::parse(Path::new("exports.toml"), &text, &|_| None)?;
//!
//! let runtime = Runtime::default();
//! let plugin = runtime.load(&component::open(None)?, &|note| eprintln!("{note:?}")).await?;
//! let archive = Exporter::new(config.destination(None)?, &plugin)?.among(&config);
//!
//! let runner = Runner::new(runtime, StateMemory::default());
//! let hour = Interval::parse("2023-07-28T00:00Z", "2023-07-28T01:00Z")?;
//! let report = runner.run(&archive, hour, &RunTokens::new()).await?;
//! assert_eq!(report.rows_supplied, 1_000);
//! # Ok(())
//! # }
//! ```
//!
//! [`Events`] report how runs proceed, [`RunTokens`] end them, [`Runner::recover`] cleans up after processes that are
//! gone, and [`Runner::verify`] reads a finished run back.

#![warn(missing_docs, unreachable_pub)]

mod attempt;
pub mod check;
pub mod component;
pub mod config;
pub mod credentials;
mod destination;
mod events;
pub mod exporter;
mod failure;
pub mod loading;
mod pointer;
mod prepared;
pub mod preview;
mod problem;
mod proof;
mod recovery;
mod report;
mod runner;
mod runtime;
mod state;
mod tokens;
mod verify;

pub use credentials::{AssumeRole, Chain, ChainOptions, CredentialSettings};
pub use destination::{CheckMode, Configuration, Destination, DestinationParts, SecretText};
pub use events::{EVENTS_WAITING, EventReceiver, Events, RunEvent, RunEventKind, RunProgress, RunStage};
pub use failure::{Failure, FailureClass, FailureCode};
pub use problem::{Place, Problem};
pub use recovery::{AbortedUpload, LeftOpen, Recovery, StartupRecovery};
pub use report::RunReport;
pub use runner::Runner;
pub use runtime::{Runtime, RuntimeLimits};
pub use state::{FoundNotes, Header, Lease, LeftRun, Leftover, Leftovers, Origin, RunOwner, State, StateMemory};
pub use tokens::RunTokens;
pub use verify::{Compare, FaultKind, FileOutcome, StoreError, VerifyProgress, VerifyReport, Watch};
