//! The `postgres` source against a real server, through the real program and component.
//!
//! Needs a server and the variables that say where it is: `cargo xtask conformance postgres` starts one and runs this,
//! one test after the other.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that unwraps has failed, and says where"
)]

mod broken;
mod database;
mod doors;
mod inputs;
mod rows;
mod types;
