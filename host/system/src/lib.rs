//! What the host asks of the machine: child processes with little memory, files that only their owner reads, text that
//! cannot harm a terminal, budgets of memory, and tokens that end work. Knows nothing of plugins, rows or runs.

mod budget;
pub mod child;
pub mod private;
pub mod terminal;
mod token;

pub use budget::{ADMISSION_TIME, AdmissionError, Budget, Share};
pub use token::{Interrupted, Token};
