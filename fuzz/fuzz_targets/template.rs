//! Runs `template` of the checks on inputs that libFuzzer makes up. Decides nothing.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| batch_export_fuzz::check("template", input));
