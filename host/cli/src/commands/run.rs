//! `run`: exports one interval now.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::{By, Chosen, Clock, for_interval, told};
use crate::about::About;
use crate::message::wrapped;
use crate::output::{self, Answer, Form};
use crate::progress::Progress;
use crate::signals::cancelled_by_signals;
use crate::span::Span;
use crate::survey;
use crate::words::{self, Object};
use batch_export_runner::{Events, Failure, RunEvent, RunReport, Runner, Runtime, StartupRecovery};
use batch_export_service::ledger::Ledger;
use batch_export_service::{HandRun, Recorder};
use batch_export_source::{Interval, Moment};
use batch_export_system::explain::Cause;
use batch_export_system::terminal::one_line;

/// Export one interval to a destination.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  batch-export run --config exports.toml \\\n    --start 2023-07-28T00:00:00Z --end 2023-07-28T01:00:00Z\n  batch-export run --last hour --quiet"
)]
pub struct RunArgs {
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    span: Span,
    #[command(flatten)]
    by: By,
    /// Print the report as JSON, even if the run fails.
    #[arg(long)]
    json: bool,
    /// Print nothing on success; warnings and errors still go to standard error.
    #[arg(long, short)]
    quiet: bool,
}

impl RunArgs {
    pub async fn execute(self, clock: Clock) -> ExitCode {
        let form = Form::new(self.json, self.quiet);
        let interval = self.span.ended(clock());
        let command = async |interval, about: &mut About| self.run(interval, about, clock).await;
        for_interval(form, clock, interval, command).await
    }

    async fn run(&self, interval: Interval, about: &mut About, clock: Clock) -> Result<Answer<RunReport>, Failure> {
        let runtime = Runtime::default();
        let progress = Arc::new(Progress::new(self.quiet));
        let (quiet, signals) = (self.quiet, Arc::clone(&progress));
        let tokens = cancelled_by_signals(move |text| {
            if !quiet {
                signals.line(text);
            }
        });
        let loading = self.chosen.exporter(&runtime, about, told(self.quiet));
        let (config, exporter) = tokens.work.run(loading).await.map_err(|_| tokens.ended())??;
        let exporter = exporter.selecting(self.by.time());
        let (events, mut received) = Events::queue();
        let recorder = Recorder::new(Ledger::open(&config.state_dir)?);
        let header = exporter.header(interval);
        let own = header.id.clone();
        let by_hand = HandRun::new(&recorder, header, exporter.plugin.digest(), clock);
        let runner = Runner::new(runtime, by_hand.clone()).with_events(events);
        let work = async {
            // The job of a host that starts; this one starts for a single run, which looks after itself.
            let left = runner.recover(&exporter, Some(&own), &tokens).await?;
            match runner.run(&exporter, interval, &tokens).await {
                Ok(report) => Ok(with_left(report, left)),
                Err(failure) => {
                    for warning in &left.warnings {
                        progress.line(&format!("warning: {}", one_line(&warning.in_one_text())));
                    }
                    Err(failure)
                }
            }
        };
        let told = || progress.line("stopping and cleaning up, as `batch-export cancel` asks");
        let work = by_hand.during(work, &tokens, told);
        let record = |event: &RunEvent| recorder.event(event, clock());
        let outcome = progress.during(work, &mut received, record).await;
        let outcome = outcome.map_err(|failure| config.located(&exporter.name, failure));
        // The run is what it is, whatever becomes of its place in the history.
        let unwritten = by_hand.end(outcome.as_ref()).err();
        let unwritten = unwritten.map(|error| Cause::of(&error).map(|text| format!("not in the history: {text}")));
        if let (Some(warning), Err(_)) = (&unwritten, &outcome) {
            output::warning(warning);
        }
        let mut report: RunReport = outcome?;
        report.warnings.extend(unwritten);
        if has_no_rows(&report) {
            report.warnings.extend(survey::glance(&exporter, &tokens.work).await);
        }
        Ok(Answer {
            warnings: report.warnings.clone(),
            text: summary(about, &report, clock()),
            json: report,
            errors: Vec::new(),
            failure: None,
        })
    }
}

/// Adds what was cleaned up at the start.
fn with_left(mut report: RunReport, left: StartupRecovery) -> RunReport {
    let open = left.recovery.left_open.iter();
    let open = open.map(|left| left.still_open("run"));
    report.warnings.extend(left.warnings);
    report.warnings.extend(open);
    report.recovery.aborted.splice(0..0, left.recovery.aborted);
    report.recovery.left_open.extend(left.recovery.left_open);
    report
}

/// Whether the source had nothing for the interval, whatever the event lists.
fn has_no_rows(report: &RunReport) -> bool {
    report.rows_supplied == 0 && report.source.rows_of_other_events == 0
}

fn summary(about: &About, report: &RunReport, finished: Moment) -> String {
    let exported = &report.report;
    let rate = (report.rows_supplied as f64 / report.seconds.max(0.001)) as u64;
    let mut text = match exported.files.len() as u64 {
        0 => {
            let reason = report.source.why_empty();
            wrapped(&format!("{}: no files were written: {reason}", report.destination), 2) + "\n"
        }
        files => format!(
            "{}: {} in {}, {} ({} before compression)\n",
            report.destination,
            words::counted(exported.rows_exported, "row"),
            words::counted(files, "file"),
            words::bytes(report.bytes_exported),
            words::bytes(exported.bytes_encoded),
        ),
    };
    let mut facts = Vec::new();
    if let Some(interval) = about.interval {
        facts.push(("interval".to_owned(), interval.to_string()));
    }
    facts.push((
        "finished".to_owned(),
        format!(
            "{finished}, after {:.1} s ({} rows/s)",
            report.seconds,
            words::count(rate)
        ),
    ));
    facts.push(("bucket".to_owned(), about.bucket_in_words()));
    text.push_str(&words::table(&facts));
    let manifest = exported.manifest_key.iter().map(|key| Object {
        cells: vec![String::new(), "manifest".to_owned()],
        key: key.clone(),
    });
    let files = exported.files.iter().map(|file| Object {
        cells: vec![words::counted(file.rows, "row"), words::bytes(file.bytes)],
        key: file.key.clone(),
    });
    let objects: Vec<Object> = files.chain(manifest).collect();
    if !objects.is_empty() {
        text.push_str(&words::objects(&about.place(), &objects));
    }
    // The source omits them all; a plugin that omits any has not proven its run, so the second count is zero.
    let filtered = report
        .source
        .rows_of_other_events
        .saturating_add(exported.rows_filtered);
    if filtered > 0 {
        text.push_str(&format!(
            "{} of {} read were excluded by include_events and exclude_events\n",
            words::count(filtered),
            words::counted(report.source.rows_read, "row"),
        ));
    }
    for (kind, times) in &exported.repairs {
        text.push_str(&format!("repaired JSON, {kind}: {}\n", words::count(*times)));
    }
    let aborted = &report.recovery.aborted;
    if !aborted.is_empty() {
        text.push_str(&format!(
            "cleaned up {} from an earlier run\n",
            words::counted(aborted.len() as u64, "unfinished upload")
        ));
        for upload in aborted {
            text.push_str(&format!("  {}\n", one_line(&upload.to_string())));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch_export_runner::AbortedUpload;
    use batch_export_sandbox::contract::{self, ExportedFile, Report};

    fn report(report: Report) -> RunReport {
        let run = contract::Run {
            id: "r".to_owned(),
            attempt: "1".to_owned(),
            model: "events".to_owned(),
            interval: contract::Interval {
                start_micros: None,
                end_micros: 0,
            },
        };
        let mut whole = RunReport::new("archive".to_owned(), run);
        whole.rows_supplied = report.rows_received;
        whole.bytes_exported = 4_096;
        whole.report = report;
        whole.seconds = 2.0;
        whole
    }

    fn about() -> About {
        About {
            destination: Some("archive".to_owned()),
            bucket: Some("exports".to_owned()),
            ..About::new(Interval::parse("2026-01-01", "2026-01-01T01:00Z").ok())
        }
    }

    #[test]
    fn a_run_is_summed_up_with_all_that_a_log_needs() {
        let file = |key: &str, rows| ExportedFile {
            key: key.to_owned(),
            rows,
            bytes: 2_048,
            etag: String::new(),
        };
        let mut report = report(Report {
            rows_received: 1_501,
            rows_exported: 1_501,
            bytes_encoded: 8_192,
            files: vec![file("x/a-0.jsonl", 1_500), file("x/a-1.jsonl", 1)],
            manifest_key: Some("x/a_manifest.json".to_owned()),
            repairs: vec![("lone surrogates replaced".to_owned(), 1_234)],
            ..Report::default()
        });
        report.source.rows_read = 3_000;
        report.source.rows_of_other_events = 1_499;
        report.recovery.aborted = vec![AbortedUpload::new("x/a.jsonl", "id")];
        assert_eq!(
            summary(&about(), &report, Moment(1_800_000_000_000_000)),
            "archive: 1,501 rows in 2 files, 4.00 KiB (8.00 KiB before compression)
  interval  2026-01-01T00:00:00+00:00 to 2026-01-01T01:00:00+00:00
  finished  2027-01-15T08:00:00+00:00, after 2.0 s (750 rows/s)
  bucket    exports at AWS
  s3://exports/x/
    1,500 rows  2.00 KiB  a-0.jsonl
         1 row  2.00 KiB  a-1.jsonl
                manifest  a_manifest.json
1,499 of 3,000 rows read were excluded by include_events and exclude_events
repaired JSON, lone surrogates replaced: 1,234
cleaned up 1 unfinished upload from an earlier run
  upload `id` of `x/a.jsonl`
"
        );
    }

    #[test]
    fn a_run_without_rows_says_so() {
        assert_eq!(
            summary(&about(), &report(Report::default()), Moment(0)),
            "archive: no files were written: the interval has no rows
  interval  2026-01-01T00:00:00+00:00 to 2026-01-01T01:00:00+00:00
  finished  1970-01-01T00:00:00+00:00, after 2.0 s (0 rows/s)
  bucket    exports at AWS
"
        );
        let mut filtered = report(Report::default());
        filtered.source.rows_read = 7;
        filtered.source.rows_of_other_events = 7;
        let text = summary(&about(), &filtered, Moment(0));
        let expect = "archive: no files were written: the source read 7 rows: 7 excluded by\n  include_events and exclude_events\n";
        assert!(text.starts_with(expect), "{text}");
    }
}
