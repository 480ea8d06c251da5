//! `preview`: shows what a source gives for an interval, and how its columns will be in a file; writes nothing.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::{By, Chosen, Clock, for_interval, told};
use crate::about::About;
use crate::columns;
use crate::output::{Answer, Form};
use crate::progress::Progress;
use crate::signals::until_first;
use crate::span::Span;
use crate::words;
use batch_export_runner::preview::{PreviewOptions, PreviewedColumn, exported_rows};
use batch_export_runner::{Failure, Runtime};
use batch_export_source::{Interval, Moment, Preview, Tally};
use batch_export_system::Token;
use batch_export_system::explain::Cause;

/// Most rows that can be shown: beyond that, an export is easier to look through.
const MAX_ROWS: i64 = 1_000;
/// Characters of a value that are shown to people. JSON has all of them.
const SHOWN_CHARS: usize = 200;

/// Show what the source gives for an interval: columns with their types in a file, the first rows, and how many rows
/// there are. Writes nothing.
#[derive(Debug, Args)]
#[command(
    name = "preview",
    after_help = "Examples:\n  batch-export preview --config exports.toml \\\n    \
                  --start 2023-07-28T00:00:00Z --end 2023-07-28T01:00:00Z\n  \
                  batch-export preview --last day --rows 3 --no-count"
)]
pub struct PreviewArgs {
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    span: Span,
    #[command(flatten)]
    by: By,
    /// Show this many of the first rows.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=MAX_ROWS))]
    rows: u16,
    /// Stop after these rows instead of counting all of the interval.
    #[arg(long)]
    no_count: bool,
    /// Print the preview as JSON.
    #[arg(long)]
    json: bool,
}

/// A preview as JSON.
#[derive(Serialize)]
struct Previewed {
    columns: Vec<PreviewedColumn>,
    /// For each row, a text or null for each column.
    rows: Vec<Vec<Option<String>>>,
    /// Null where not all rows were read.
    rows_in_interval: Option<u64>,
    source: Tally,
    warnings: Vec<Cause>,
}

impl PreviewArgs {
    pub async fn execute(self, clock: Clock) -> ExitCode {
        let now = clock();
        let interval = self.span.interval(now);
        let command = async |interval, about: &mut About| {
            until_first(async |token| self.preview(interval, now, about, token).await).await
        };
        for_interval(Form::new(self.json, false), clock, interval, command).await
    }

    async fn preview(
        &self,
        interval: Interval,
        now: Moment,
        about: &mut About,
        token: &Token,
    ) -> Result<Answer<Previewed>, Failure> {
        let runtime = Runtime::default();
        let (config, exporter) = self.chosen.exporter(&runtime, about, told(false)).await?;
        let exporter = exporter.selecting(self.by.time());
        let options = PreviewOptions {
            interval,
            rows: self.rows.into(),
            counts_all: !self.no_count,
        };
        let progress = Arc::new(Progress::new(self.json));
        let watched = Arc::clone(&progress);
        let watch = move |rows| watched.message(format!("reading the source: {}", words::counted(rows, "row")));
        let found = exported_rows(&runtime, &exporter, options, token, watch).await;
        progress.end();
        let (columns, found) = found.map_err(|failure| config.located(&exporter.name, failure))?;
        let unfinished = self.span.unfinished(interval, now);
        let mut warnings: Vec<Cause> = unfinished.iter().map(Cause::of).collect();
        warnings.extend(found.warnings.iter().cloned());
        let text = in_words(about, &columns, &found);
        let json = Previewed {
            columns,
            rows_in_interval: found.is_complete.then_some(found.rows_read),
            rows: found.rows,
            source: found.tally,
            warnings: warnings.clone(),
        };
        let mut answer = Answer::new(json, text);
        answer.warnings = warnings;
        Ok(answer)
    }
}

fn in_words(about: &About, columns: &[PreviewedColumn], found: &Preview) -> String {
    let known = |text: &Option<String>| text.clone().unwrap_or_default();
    let interval = about.interval.map(|interval| interval.to_string());
    let mut text = format!(
        "{}: what the source gives for a run of {}\n",
        known(&about.destination),
        known(&about.model)
    );
    text.push_str(&words::table(&[("interval".to_owned(), known(&interval))]));
    text.push_str(&columns::in_words(columns));
    for (index, row) in found.rows.iter().enumerate() {
        text.push_str(&format!("row {}\n", index + 1));
        let cells = columns.iter().zip(row);
        let cells: Vec<(String, String)> = cells
            .map(|(column, value)| (column.name.clone(), shown(value.as_deref())))
            .collect();
        text.push_str(&words::table(&cells));
    }
    text.push_str("rows\n");
    let in_interval = match found.is_complete {
        true => words::count(found.rows_read),
        false => format!("at least {}", words::count(found.rows_read)),
    };
    let mut rows = vec![("in the interval".to_owned(), in_interval)];
    let omitted = [
        (found.tally.rows_outside_interval, "outside of it"),
        (found.tally.rows_without_time, "without a time"),
        (found.tally.rows_of_other_events, "of other events"),
    ];
    let omitted = omitted.into_iter().filter(|(rows, _)| *rows > 0);
    rows.extend(omitted.map(|(rows, why)| (why.to_owned(), words::count(rows))));
    text.push_str(&words::table(&rows));
    text
}

fn shown(value: Option<&str>) -> String {
    match value {
        None => "(null)".to_owned(),
        Some("") => "(empty)".to_owned(),
        Some(value) => match value.char_indices().nth(SHOWN_CHARS) {
            Some((cut, _)) => format!("{}…", &value[..cut]),
            None => value.to_owned(),
        },
    }
}
