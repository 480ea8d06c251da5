//! `run`: exports one interval now.

use std::sync::Arc;

use clap::Args;

use super::error::CommandError;
use super::progress::Progress;
use super::signals::stop_on_signals;
use super::{Chosen, Span, output};
use crate::capability::log::Level;
use crate::run::state::State;
use crate::run::{self, Listener, RunReport};
use crate::terminal::one_line;

/// Export one interval to a destination.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  batch-export run --config exports.toml --start 2023-07-28T00:00:00Z --end 2023-07-28T01:00:00Z"
)]
pub struct Run {
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    span: Span,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// Show neither progress nor the plugin's log lines.
    #[arg(long, short)]
    quiet: bool,
}

impl Run {
    pub async fn execute(self) -> Result<(), CommandError> {
        let interval = self.span.interval()?;
        let (config, target) = self.chosen.target().await?;
        let progress = Arc::new(Progress::new(self.quiet));
        let quiet = self.quiet;
        let lines = Arc::clone(&progress);
        let listener = Listener {
            progress: &|snapshot| progress.show(snapshot),
            log: Arc::new(move |level, line| {
                if !quiet && level >= Level::Warn {
                    lines.line(&format!("plugin: {line}"));
                }
            }),
            requests: Some(progress.observer()),
        };
        let signals = Arc::clone(&progress);
        let stop = stop_on_signals(move |text| {
            if !quiet {
                signals.line(text);
            }
        });
        let state = State::new(&config.state_dir);
        let run = run::run(&target, &state, interval, &listener, &stop);
        let outcome = progress.during(run).await;
        progress.end();
        let report = outcome?;
        if self.json {
            output::json(&report)?;
        } else {
            output::lines(&summary(&report))?;
        }
        Ok(())
    }
}

fn summary(report: &RunReport) -> String {
    let exported = &report.report;
    let rate = (report.rows_supplied as f64 / report.seconds.max(0.001)) as u64;
    let mut text = format!(
        "{}: {} rows in {}, {} ({} before compression), in {:.1} s ({} rows/s)\n",
        report.destination,
        output::count(exported.rows_exported),
        output::files(exported.files.len() as u64),
        output::bytes(report.bytes_exported),
        output::bytes(exported.bytes_encoded),
        report.seconds,
        output::count(rate),
    );
    let files: Vec<_> = exported
        .files
        .iter()
        .map(|file| {
            let size = format!(
                "{} rows, {}",
                output::count(file.rows),
                output::bytes(file.bytes)
            );
            (file.key.clone(), size)
        })
        .chain(
            exported
                .manifest_key
                .iter()
                .map(|key| (key.clone(), "manifest".to_owned())),
        )
        .collect();
    text.push_str(&output::table(&files));
    // The source omits them all; a plugin that omits any has not proven its run, so the second count is zero.
    let filtered = report
        .source
        .rows_of_other_events
        .saturating_add(exported.rows_filtered);
    if filtered > 0 {
        text.push_str(&format!(
            "{} of {} rows read were omitted by include_events and exclude_events\n",
            output::count(filtered),
            output::count(report.source.rows_read),
        ));
    }
    for (kind, times) in &exported.repairs {
        text.push_str(&format!(
            "repaired JSON, {kind}: {}\n",
            output::count(*times)
        ));
    }
    for upload in &report.recovery.aborted {
        text.push_str(&format!(
            "aborted an upload of an earlier attempt: {upload}\n"
        ));
    }
    for warning in &report.warnings {
        text.push_str(&format!("warning: {}\n", one_line(warning)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::contract::{ExportedFile, Interval, Recovery, Report};
    use crate::source::Tally;

    #[test]
    fn a_run_is_summed_up_with_all_that_a_person_should_know() {
        let file = |key: &str, rows| ExportedFile {
            key: key.to_owned(),
            rows,
            bytes: 2_048,
            etag: String::new(),
        };
        let report = RunReport {
            destination: "archive".to_owned(),
            run: crate::sandbox::contract::Run {
                id: "r".to_owned(),
                attempt: "1".to_owned(),
                model: "events".to_owned(),
                interval: Interval {
                    start_micros: None,
                    end_micros: 0,
                },
            },
            rows_supplied: 2_000,
            batches: 1,
            bytes_supplied: 9_000,
            bytes_exported: 4_096,
            source: Tally {
                rows_read: 3_000,
                rows_of_other_events: 1_000,
                ..Tally::default()
            },
            report: Report {
                rows_received: 2_000,
                rows_exported: 2_000,
                rows_filtered: 0,
                bytes_encoded: 8_192,
                files: vec![file("x/a-0.jsonl", 1_500), file("x/a-1.jsonl", 500)],
                manifest_key: Some("x/a_manifest.json".to_owned()),
                repairs: vec![("lone surrogates replaced".to_owned(), 1_234)],
                ..Report::default()
            },
            seconds: 2.0,
            peak_guest_memory_bytes: 0,
            recovery: Recovery {
                aborted: vec!["`x/a.jsonl` (id)".to_owned()],
                left_open: Vec::new(),
            },
            warnings: vec!["something".to_owned()],
        };
        assert_eq!(
            summary(&report),
            "archive: 2,000 rows in 2 files, 4.00 KiB (8.00 KiB before compression), in 2.0 s (1,000 rows/s)
  x/a-0.jsonl        1,500 rows, 2.00 KiB
  x/a-1.jsonl        500 rows, 2.00 KiB
  x/a_manifest.json  manifest
1,000 of 3,000 rows read were omitted by include_events and exclude_events
repaired JSON, lone surrogates replaced: 1,234
aborted an upload of an earlier attempt: `x/a.jsonl` (id)
warning: something
"
        );
    }
}
