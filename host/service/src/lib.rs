//! Batch exports as a service: the ledger, in which everything is kept that outlives a process, the scheduler, which
//! decides what runs when, and the service itself, which runs it. Knows no command line.

pub mod alerts;
mod by_hand;
pub mod ledger;
pub mod listener;
pub mod log;
pub mod metrics;
mod record;
pub mod scheduler;
mod serve;
#[cfg(test)]
mod test_support;
mod words;

pub use by_hand::HandRun;
pub use record::{LiveRun, Recorder};
pub use serve::{Order, ServiceOptions, serve};
