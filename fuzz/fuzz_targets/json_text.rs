//! Runs `json_text` of the checks on inputs that libFuzzer makes up. Decides nothing.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| batch_export_fuzz::check("json_text", input));
