//! The one integration binary: everything that goes through the real component, and the rules of the house.

mod check;
mod cli;
mod credentials;
mod determinism;
mod docs;
mod embed;
mod end_to_end;
mod faults;
mod imports;
mod interrupted;
mod leftovers;
mod lies;
mod loading;
mod models;
mod network;
mod objects;
mod proxies;
mod renewal;
mod rerun;
mod sandbox;
mod splitting;
mod text_files;
mod tidy;
mod unasked;
mod verify;
mod verify_types;
