//! The host's dealings with the machine: child processes with little memory, files that only their owner reads, text
//! that cannot harm a terminal, budgets of memory, tokens that end work, errors that say what to do, and typing
//! mistakes. Knows nothing of plugins, rows or runs.

#![warn(missing_docs, unreachable_pub)]

mod budget;
pub mod child;
pub mod explain;
mod near;
pub mod private;
mod regular;
mod secret;
pub mod terminal;
mod token;

pub use budget::{ADMISSION_TIME, AdmissionError, Budget, Share};
pub use near::near_miss;
pub use regular::{OpenError, check_regular, not_found, open_regular};
pub use secret::Secret;
pub use token::{CancelOnDrop, Interrupted, Token};
