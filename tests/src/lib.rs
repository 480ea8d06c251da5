//! What the tests through the real component share: rows that hurt, where the components are, a store to write to,
//! a sandbox to run guests in, servers in between, and readers that did not write. Never used outside tests.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what tests share: where it fails, the test has failed"
)]

pub mod components;
pub mod keys;
pub mod loopback;
pub mod program;
pub mod read;
pub mod rows;
pub mod scene;
pub mod service;
