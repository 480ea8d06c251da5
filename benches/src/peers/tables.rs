//! The tables, narrow enough for a terminal. Every time is followed by how many times the best peer's it is.

use super::exports::{Export, Series};
use super::reads::{QUERIES, Read};
use super::tool::{Kind, Tool};
use crate::job::{FileFormat, Format};
use crate::measure::median;
use crate::table::{count, table};

/// What stands where there is nothing to measure.
const NOTHING: &str = "-";

/// Everything that was measured, and the small print.
pub fn all(exported: &[Series], read: &[Read], small_print: &[String]) -> String {
    let mut parts: Vec<String> = exported.chunk_by(|a, b| head(a) == head(b)).map(exports).collect();
    let mut files: Vec<(Format, &str)> = Vec::new();
    for read in read
        .iter()
        .filter(|read| read.format.file_format == FileFormat::Parquet)
    {
        if !files.contains(&(read.format, read.reader)) {
            files.push((read.format, read.reader));
        }
    }
    for (format, reader) in files {
        let reads = read
            .iter()
            .filter(|read| (read.format, read.reader) == (format, reader));
        let caption = format!("Reading {format} by {reader}");
        parts.push(reads_table(&caption, &QUERIES, reads, |read| read.query));
    }
    let lines = read
        .iter()
        .filter(|read| read.format.file_format == FileFormat::JSONLines);
    if lines.clone().next().is_some() {
        let caption = format!("Reading {} whole", Format::JSON_LINES_GZIP);
        parts.push(reads_table(
            &caption,
            &[("DuckDB", "DuckDB"), ("polars", "polars")],
            lines,
            |read| read.reader,
        ));
    }
    let notes: Vec<String> = small_print.iter().map(|line| format!("* {line}\n")).collect();
    parts.push(format!(
        "Seconds, `x` the best peer's. MB are 10^6 bytes.\n\n{}",
        notes.concat()
    ));
    parts.join("\n")
}

fn head(series: &Series) -> (Format, u32) {
    (series.format, series.at_once)
}

/// One table of tools; all are of the same format, and as many at once.
fn exports(series: &[Series]) -> String {
    let Some(first) = series.first() else {
        return String::new();
    };
    let column = |of: fn(&Export) -> f64| -> Vec<(&Tool, Option<f64>)> {
        let value = |series: &Series| (!series.rounds.is_empty()).then(|| median(series.rounds.iter().map(of)));
        series.iter().map(|series| (series.tool, value(series))).collect()
    };
    let plain = |values: Vec<(&Tool, Option<f64>)>, digits: fn(f64) -> String| -> Vec<String> {
        values
            .into_iter()
            .map(|(_, value)| value.map_or(NOTHING.to_owned(), digits))
            .collect()
    };
    let columns = [
        series.iter().map(|series| series.tool.name.to_owned()).collect(),
        with_ratios(&column(|export| export.seconds)),
        with_ratios(&column(|export| export.cpu_seconds)),
        plain(column(|export| export.peak_bytes as f64 / 1e6), count),
        plain(column(|export| export.written_bytes as f64 / 1e6), |size| {
            format!("{size:.1}")
        }),
        plain(column(|export| export.requests as f64), count),
    ];
    let caption = match first.at_once {
        1 => first.format.to_string(),
        several => format!("{}, {several} days at once", first.format),
    };
    let mut text = table(
        &caption,
        &["", "wall", "CPU", "peak MB", "MB out", "requests"],
        &transposed(&columns),
    );
    let unable = series.iter().filter(|series| series.rounds.is_empty());
    for (name, why) in unable.filter_map(|series| Some((series.tool.name, series.tool.no_json_lines?))) {
        text.push_str(&format!("\n{name}: {why}.\n"));
    }
    text
}

/// One table of files, with a column for each word that `of` gives the reads.
fn reads_table<'a>(
    caption: &str,
    words: &[(&str, &str)],
    reads: impl Iterator<Item = &'a Read> + Clone,
    of: fn(&Read) -> &str,
) -> String {
    let mut tools: Vec<&Tool> = Vec::new();
    for read in reads.clone() {
        if !tools.contains(&read.tool) {
            tools.push(read.tool);
        }
    }
    let mut columns = vec![tools.iter().map(|tool| tool.name.to_owned()).collect()];
    for (word, _) in words {
        let seconds = |tool: &Tool| {
            let read = reads.clone().find(|read| read.tool == tool && of(read) == *word);
            read.map(|read| median(read.seconds.iter().copied()))
        };
        let values: Vec<(&Tool, Option<f64>)> = tools.iter().map(|tool| (*tool, seconds(tool))).collect();
        columns.push(with_ratios(&values));
    }
    let heads: Vec<&str> = std::iter::once("written by")
        .chain(words.iter().map(|(_, head)| *head))
        .collect();
    table(caption, &heads, &transposed(&columns))
}

/// Returns each value with its ratio to the best peer's, or to the best of all if there is no peer.
fn with_ratios(values: &[(&Tool, Option<f64>)]) -> Vec<String> {
    let least = |peers_only: bool| {
        let values = values
            .iter()
            .filter(|(tool, _)| !peers_only || tool.kind == Kind::Script);
        values.filter_map(|(_, value)| *value).min_by(f64::total_cmp)
    };
    let best = least(true).or_else(|| least(false)).unwrap_or(0.0);
    let cell = |value: f64| match best > 0.0 {
        true => format!("{value:.2} x{:.2}", value / best),
        false => format!("{value:.2}"),
    };
    values
        .iter()
        .map(|(_, value)| value.map_or(NOTHING.to_owned(), cell))
        .collect()
}

fn transposed(columns: &[Vec<String>]) -> Vec<Vec<String>> {
    let rows = columns.first().map_or(0, Vec::len);
    (0..rows)
        .map(|row| columns.iter().filter_map(|column| column.get(row).cloned()).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tool::TOOLS;
    use super::*;

    fn series(tool: &'static Tool, seconds: &[f64]) -> Series {
        let export = |seconds: &f64| Export {
            seconds: *seconds,
            cpu_seconds: 10.0 * seconds,
            peak_bytes: 2_510_000_000,
            written_bytes: 1_152_040_000,
            requests: 1_234,
        };
        Series {
            tool,
            format: Format::JSON_LINES_GZIP,
            at_once: 2,
            rounds: seconds.iter().map(export).collect(),
        }
    }

    #[test]
    fn ratios_are_to_the_best_peer_and_what_is_impossible_has_a_reason() {
        let all = [
            series(&TOOLS[0], &[90.0, 12.0, 11.0]),
            series(&TOOLS[2], &[24.0]),
            series(&TOOLS[3], &[]),
        ];
        let text = exports(&all);
        assert_eq!(
            text,
            "JSON Lines + gzip, 2 days at once

|              |        wall |          CPU | peak MB | MB out | requests |
| ------------ | ----------- | ------------ | ------- | ------ | -------- |
| batch-export | 12.00 x0.50 | 120.00 x0.50 |   2,510 | 1152.0 |    1,234 |
| polars       | 24.00 x1.00 | 240.00 x1.00 |   2,510 | 1152.0 |    1,234 |
| pyarrow      |           - |            - |       - |      - |        - |

pyarrow: it writes no JSON.
"
        );
    }

    #[test]
    fn tables_fit_a_terminal() {
        let all: Vec<Series> = TOOLS.iter().map(|tool| series(tool, &[10.0])).collect();
        for line in exports(&all).lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
