//! The store from outside, over HTTP, by an independent signer; never looks at its insides but through its handle.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that unwraps has failed, and says where"
)]

mod client;
mod faults;
mod objects;
mod strict;
mod uploads;
