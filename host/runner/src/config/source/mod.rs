//! One `[destinations.NAME.source]` table: where rows come from. Each type of source has its own keys.

mod clickhouse;
mod command;
mod files;
mod postgres;
mod query;

use std::path::Path;

use super::section::Section;
use batch_export_source::{Model, SourceSettings};

#[derive(Clone, Copy, PartialEq)]
enum SourceType {
    Sample,
    Files,
    Command,
    ClickHouse,
    Postgres,
}

/// Sample rows an hour unless configured: a demo's worth.
const DEFAULT_ROWS_PER_HOUR: u64 = 10_000;
/// One row per microsecond is the most that timestamps can distinguish.
const MAX_ROWS_PER_HOUR: u64 = 3_600_000_000;

/// Reads the table. `None` leaves at least one problem behind.
pub(super) fn read(folder: &Path, model: Option<&str>, destination: &mut Section<'_>) -> Option<SourceSettings> {
    let Some(mut section) = destination.section("source") else {
        destination.missing(
            "source",
            "specify where rows come from: source = { type = \"sample\" }, or type = \"files\" with a path",
        );
        return None;
    };
    let choices = [
        ("sample", SourceType::Sample),
        ("files", SourceType::Files),
        ("command", SourceType::Command),
        ("clickhouse", SourceType::ClickHouse),
        ("postgres", SourceType::Postgres),
    ];
    let Some(kind) = section.choice("type", &choices) else {
        section.missing("type", "write `sample`, `files`, `command`, `clickhouse` or `postgres`");
        // Its other fields belong to the type, so nothing can be said about them.
        section.rest();
        return None;
    };
    let source = match kind {
        SourceType::Sample => read_sample(model, &mut section),
        SourceType::Files => files::read(folder, model, &mut section),
        SourceType::Command => command::read(folder, model, &mut section),
        SourceType::ClickHouse => clickhouse::read(folder, model, &mut section),
        SourceType::Postgres => postgres::read(folder, model, &mut section),
    };
    section.finish();
    source
}

fn read_sample(model: Option<&str>, section: &mut Section<'_>) -> Option<SourceSettings> {
    let rows_per_hour = section
        .integer("rows_per_hour", 1..=MAX_ROWS_PER_HOUR)
        .unwrap_or(DEFAULT_ROWS_PER_HOUR);
    Some(SourceSettings::Sample {
        // Whether the sample has such a model is checked where the destination is made.
        model: Model::named(model?).unwrap_or(Model::Events),
        rows_per_hour,
    })
}
