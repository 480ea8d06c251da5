//! What the host asks of the machine: child processes with little memory, files that only their owner reads, and text
//! that cannot harm a terminal. Knows nothing of plugins, rows or runs.

pub mod child;
pub mod private;
pub mod terminal;
