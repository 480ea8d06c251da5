//! One run of an export: its configuration, plan, grants and credentials, then every batch through a fresh instance, and
//! the proof that what was reported is what was supplied. Knows no command line and no schedule.

pub mod check;
pub mod component;
pub mod config;
pub mod credentials;
mod failure;
pub mod loading;
pub mod proof;
mod run;
pub mod state;
pub mod stop;
mod sweep;
pub mod target;
pub mod verify;

pub use failure::{Failure, FailureClass, FailureCode};
pub use run::*;
