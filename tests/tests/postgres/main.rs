//! The `postgres` source against a real server, through the real program and component.
//!
//! Needs a server and the variables that say where it is: `cargo xtask conformance postgres` starts one and runs this,
//! one test after the other.

mod broken;
mod database;
mod doors;
mod inputs;
mod rows;
mod types;
