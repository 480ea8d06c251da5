//! Replays the committed corpus of the fuzz targets natively, and random neighbours of it: what a fuzzer once found
//! stays found, without one. Needs no nightly compiler.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that unwraps has failed, and says where"
)]

#[path = "../../fuzz/src/lib.rs"]
mod checks;

#[path = "../../fuzz/src/replay.rs"]
mod replay;

use replay::replay;

#[test]
fn configuration() {
    replay("configuration", |input| checks::check("configuration", input));
}

#[test]
fn ipc() {
    replay("ipc", |input| checks::check("ipc", input));
}

#[test]
fn json_text() {
    replay("json_text", |input| checks::check("json_text", input));
}

#[test]
fn template() {
    replay("template", |input| checks::check("template", input));
}

#[test]
fn xml() {
    replay("xml", |input| checks::check("xml", input));
}

#[test]
fn every_target_has_a_corpus_that_a_clone_can_bear() {
    replay::bearable(checks::TARGETS.iter().map(|(target, _)| *target));
}
