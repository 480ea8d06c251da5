//! The one integration binary: everything that goes through the real component, and the rules of the house.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that unwraps has failed, and says where"
)]

mod alerts;
mod answers;
mod arrows;
mod cancelled;
mod chaos;
mod check;
mod cli;
mod clickhouse;
mod credentials;
mod determinism;
mod docs;
mod echoes;
mod embed;
mod end_to_end;
mod exit_codes;
mod faults;
mod grants;
mod history;
mod imports;
mod instructions;
mod interrupted;
mod late;
mod leftovers;
mod lies;
mod loading;
mod models;
mod network;
mod objects;
mod orders;
mod parts;
mod preview;
mod programs;
mod proxies;
mod renewal;
mod rerun;
mod runtime;
mod sandbox;
mod service;
mod silent;
mod splitting;
mod terminal;
mod text_files;
mod tidy;
mod tokens;
mod unasked;
mod verify;
mod verify_types;
mod wide;
