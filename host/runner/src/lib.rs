//! One run of an export: its configuration, plan, grants and credentials, then every batch through a fresh instance, and
//! the proof that what was reported is what was supplied. Knows no command line and no schedule.

mod attempt;
pub mod check;
pub mod component;
pub mod config;
pub mod credentials;
mod events;
mod failure;
pub mod loading;
pub mod proof;
mod recovery;
mod report;
mod runner;
mod runtime;
pub mod state;
pub mod target;
mod tokens;
pub mod verify;

pub use events::{
    EVENTS_WAITING, EventReceiver, Events, RunEvent, RunEventKind, RunProgress, RunStage,
};
pub use failure::{Failure, FailureClass, FailureCode};
pub use recovery::StartupRecovery;
pub use report::RunReport;
pub use runner::Runner;
pub use runtime::{Runtime, RuntimeLimits};
pub use state::{State, StateFolder, StateMemory};
pub use tokens::RunTokens;
