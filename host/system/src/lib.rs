//! What the host asks of the machine: child processes with little memory, files that only their owner reads, text that
//! cannot harm a terminal, budgets of memory, tokens that end work, and errors that say what to do. Knows nothing of
//! plugins, rows or runs.

mod budget;
pub mod child;
pub mod explain;
pub mod private;
pub mod terminal;
mod token;

pub use budget::{ADMISSION_TIME, AdmissionError, Budget, Share};
pub use token::{Interrupted, Token};
