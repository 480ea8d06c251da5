//! Runs `csv` of the readers' checks on inputs that libFuzzer makes up. Decides nothing.
#![no_main]

#[path = "../src/readers.rs"]
mod readers;

libfuzzer_sys::fuzz_target!(|input: &[u8]| readers::check("csv", input));
