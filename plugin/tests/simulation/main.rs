//! The plugin's upload path against a simulated store whose every answer can be delayed, lost, repeated, cut or
//! replaced. Deterministic: a seed decides everything, and no test waits for anything but the simulator.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that unwraps has failed, and says where"
)]

mod checksums;
mod condemned;
mod conditional;
mod digests;
mod disasters;
mod draw;
mod faults;
mod leftovers;
mod limits;
mod probe;
mod random;
mod runs;
mod seeds;
mod simulated;
mod store;
mod told;
mod verify;
