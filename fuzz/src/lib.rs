//! What the plugin promises for any input, one file per fuzz target: each panics when a promise is broken. The targets
//! run them on inputs that libFuzzer makes up, and the plugin's tests on the corpus. Nothing here knows the engine.

mod configuration;
mod ipc;
mod json_text;
mod template;
mod xml;

/// A target: its name, which is its corpus folder's too, and the check.
pub type Target = (&'static str, fn(&[u8]));

/// Every target there is.
pub const TARGETS: [Target; 5] = [
    ("configuration", configuration::check),
    ("ipc", ipc::check),
    ("json_text", json_text::check),
    ("template", template::check),
    ("xml", xml::check),
];

/// Runs one target's check.
pub fn check(target: &str, input: &[u8]) {
    let (_, check) = TARGETS
        .iter()
        .find(|(name, _)| *name == target)
        .expect("a target's name");
    check(input);
}
