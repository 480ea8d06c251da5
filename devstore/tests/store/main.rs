//! The store from outside, over HTTP, by an independent signer; never looks at its insides but through its handle.

mod client;
mod faults;
mod objects;
mod strict;
mod uploads;
