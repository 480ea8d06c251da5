//! The one integration binary: everything that goes through the real component, and the rules of the house.

mod cli;
mod determinism;
mod docs;
mod embed;
mod end_to_end;
mod imports;
mod loading;
mod sandbox;
mod tidy;
mod verify;
