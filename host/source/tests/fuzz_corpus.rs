//! Replays the committed corpus of the fuzz targets for the readers of text files. Needs no nightly compiler.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that unwraps has failed, and says where"
)]

#[path = "../../../fuzz/src/readers.rs"]
mod readers;
#[path = "../../../fuzz/src/replay.rs"]
mod replay;

use replay::replay;

#[test]
fn csv() {
    replay("csv", |input| readers::check("csv", input));
}

#[test]
fn frames() {
    replay("frames", |input| readers::check("frames", input));
}

#[test]
fn json_lines() {
    replay("json_lines", |input| readers::check("json_lines", input));
}

#[test]
fn every_target_has_a_corpus_that_a_clone_can_bear() {
    replay::bearable(readers::TARGETS.iter().map(|(target, _)| *target));
}
