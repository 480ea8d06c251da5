//! `verify`: reads a finished run back and compares it with its source.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::{By, Chosen, Clock, for_interval, told};
use crate::about::About;
use crate::error;
use crate::message::wrapped;
use crate::output::{Answer, Form};
use crate::progress::Progress;
use crate::signals::until_first;
use crate::span::Span;
use crate::words::{self, Object};
use batch_export_runner::{
    Compare, Events, Failure, Runner, Runtime, StateMemory, VerifyProgress, VerifyReport, Watch,
};
use batch_export_source::{Interval, Moment};
use batch_export_system::Token;
use batch_export_system::terminal::one_line;

/// Read a finished run back and compare it with its source.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  batch-export verify --config exports.toml \\\n    --start 2023-07-28T00:00:00Z --end 2023-07-28T01:00:00Z"
)]
pub struct VerifyArgs {
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    span: Span,
    #[command(flatten)]
    by: By,
    /// Check only the files, without reading the source.
    #[arg(long)]
    no_source: bool,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
    /// Print nothing on success; errors still go to standard error.
    #[arg(long, short)]
    quiet: bool,
}

impl VerifyArgs {
    pub async fn execute(self, clock: Clock) -> ExitCode {
        let form = Form::new(self.json, self.quiet);
        let interval = self.span.ended(clock());
        let command = async |interval, about: &mut About| {
            until_first(async |token| self.verify(interval, about, clock, token).await).await
        };
        for_interval(form, clock, interval, command).await
    }

    async fn verify(
        &self,
        interval: Interval,
        about: &mut About,
        clock: Clock,
        token: &Token,
    ) -> Result<Answer<VerifyReport>, Failure> {
        let runtime = Runtime::default();
        let (config, exporter) = self.chosen.exporter(&runtime, about, told(self.quiet)).await?;
        let exporter = exporter.selecting(self.by.time());
        let compare = match self.no_source {
            true => Compare::FilesOnly,
            false => Compare::WithSource,
        };
        let progress = Arc::new(Progress::new(self.quiet));
        let (events, mut received) = Events::queue();
        let runner = Runner::new(runtime, StateMemory::default()).with_events(events);
        let verifying = runner.verify(&exporter, interval, compare, token, watch(&progress));
        let outcome = progress.during(verifying, &mut received, |_| ()).await;
        let report = outcome.map_err(|failure| config.located(&exporter.name, failure))?;
        let errors = errors(&report);
        let failure = match report.passed {
            true => None,
            false => Some(error::errors_found(report.faults_found(), &report.hints())),
        };
        Ok(Answer {
            text: in_words(about, &report, compare, clock()),
            json: report,
            warnings: Vec::new(),
            errors,
            failure,
        })
    }
}

/// Shows how far reading back is.
pub fn watch(progress: &Arc<Progress>) -> Watch {
    let progress = Arc::clone(progress);
    Arc::new(move |at: VerifyProgress| {
        progress.message(format!(
            "reading back: {}, {}, {}",
            words::counted(at.files, "file"),
            words::counted(at.rows, "row"),
            words::bytes(at.bytes)
        ));
    })
}

/// The word for an outcome.
pub fn verdict(passed: bool) -> &'static str {
    match passed {
        true => "OK",
        false => "MISMATCH",
    }
}

/// Files whose errors, and whose names, are printed; the rest is counted, and in the JSON.
const ERRONEOUS_FILES_SHOWN: usize = 10;
const FILES_SHOWN: usize = 100;

/// Returns the problems file by file, then those of the whole run.
pub fn errors(report: &VerifyReport) -> Vec<String> {
    let mut errors = Vec::new();
    let erroneous: Vec<_> = report.files.iter().filter(|file| !file.passed()).collect();
    for file in erroneous.iter().take(ERRONEOUS_FILES_SHOWN) {
        errors.extend(file.faults.iter().map(|fault| format!("{}: {fault}", file.key)));
        if file.further_faults > 0 {
            let further = words::counted(file.further_faults, "further error");
            errors.push(format!("{}: {further}", file.key));
        }
    }
    if let Some(further) = erroneous.len().checked_sub(ERRONEOUS_FILES_SHOWN + 1) {
        let files = words::counted(further as u64 + 1, "more file");
        errors.push(format!("{files} with errors (--json lists them all)"));
    }
    errors.extend(report.faults.iter().cloned());
    if report.further_faults > 0 {
        let further = words::counted(report.further_faults, "further error");
        errors.push(format!("{further} concerning the whole run"));
    }
    errors
}

fn in_words(about: &About, report: &VerifyReport, compare: Compare, finished: Moment) -> String {
    let mut text = format!(
        "{}: {}, {} in {} ({}, {}), {}\n",
        report.destination,
        verdict(report.passed),
        words::counted(report.rows, "row"),
        words::counted(report.files.len() as u64, "file"),
        report.file_format,
        report.compression,
        words::bytes(report.bytes),
    );
    let mut facts = Vec::new();
    if let Some(interval) = about.interval {
        facts.push(("interval".to_owned(), interval.to_string()));
    }
    let took = format!("{finished}, after {:.1} s", report.seconds);
    facts.push(("finished".to_owned(), took));
    facts.push(("bucket".to_owned(), about.bucket_in_words()));
    let compared = match report.source_rows {
        Some(rows) => {
            let source = report.source.map_or(0, |source| source.rows_of_other_events);
            let omitted = match source {
                0 => String::new(),
                omitted => format!(
                    " ({} more were excluded by include_events and exclude_events)",
                    words::count(omitted)
                ),
            };
            format!("compared with the source's {}{omitted}", words::counted(rows, "row"))
        }
        None if compare == Compare::FilesOnly => "not read, so rows were not compared with it (--no-source)".to_owned(),
        None => "not fully compared with the source".to_owned(),
    };
    facts.push(("source".to_owned(), compared));
    text.push_str(&words::table(&facts));
    let objects: Vec<Object> = report
        .files
        .iter()
        .take(FILES_SHOWN)
        .map(|file| Object {
            cells: vec![
                words::counted(file.rows, "row"),
                words::bytes(file.bytes),
                verdict(file.passed()).to_owned(),
            ],
            key: file.key.clone(),
        })
        .collect();
    if !objects.is_empty() {
        text.push_str(&words::objects(&about.place(), &objects));
    }
    if let Some(further) = report.files.len().checked_sub(FILES_SHOWN + 1) {
        let files = words::counted(further as u64 + 1, "more file");
        text.push_str(&format!("  and {files} (--json lists them all)\n"));
    }
    for note in &report.notes {
        text.push_str(&wrapped(&format!("note: {}", one_line(note)), 2));
        text.push('\n');
    }
    if report.further_notes > 0 {
        let further = words::counted(report.further_notes, "further note");
        text.push_str(&format!("note: {further}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch_export_runner::{FaultKind, FileOutcome};

    #[test]
    fn what_was_found_is_said_file_by_file() {
        let about = About {
            bucket: Some("exports".to_owned()),
            endpoint_url: Some("http://127.0.0.1:9000".to_owned()),
            ..About::new(Interval::parse("2026-01-01", "2026-01-01T01:00Z").ok())
        };
        let mut good = FileOutcome::new("x/a-0.jsonl");
        good.bytes = 2_048;
        good.rows = 1;
        let mut report = VerifyReport::default();
        report.destination = "archive".to_owned();
        report.file_format = "JSONLines".to_owned();
        report.compression = "gzip".to_owned();
        report.files = vec![good];
        (report.rows, report.bytes, report.source_rows) = (1, 2_048, Some(1));
        (report.seconds, report.passed) = (0.5, true);
        assert_eq!(
            in_words(&about, &report, Compare::WithSource, Moment(1_800_000_000_000_000)),
            "archive: OK, 1 row in 1 file (JSONLines, gzip), 2.00 KiB
  interval  2026-01-01T00:00:00+00:00 to 2026-01-01T01:00:00+00:00
  finished  2027-01-15T08:00:00+00:00, after 0.5 s
  bucket    exports at http://127.0.0.1:9000
  source    compared with the source's 1 row
  s3://exports/x/
    1 row  2.00 KiB  OK  a-0.jsonl
"
        );
        let mut bad = FileOutcome::new("x/a-1.jsonl");
        for row in 1..=12 {
            bad.fault(FaultKind::OtherRows, format!("row {row} is wrong"));
        }
        report.files = vec![bad];
        report.source_rows = None;
        report.passed = false;
        report.faults.push("the run is wrong".to_owned());
        report.notes.push("this is known".to_owned());
        let text = in_words(&about, &report, Compare::WithSource, Moment(0));
        for words in [
            "archive: MISMATCH, 1 row in 1 file",
            "\n  source    not fully compared with the source\n",
            "\n    0 rows  0 B  MISMATCH  a-1.jsonl\n",
            "\nnote: this is known\n",
        ] {
            assert!(text.contains(words), "{words} in\n{text}");
        }
        let mut expect: Vec<String> = (1..=10).map(|row| format!("x/a-1.jsonl: row {row} is wrong")).collect();
        expect.push("x/a-1.jsonl: 2 further errors".to_owned());
        expect.push("the run is wrong".to_owned());
        assert_eq!(errors(&report), expect);
        assert_eq!(report.faults_found(), 13);

        let text = in_words(&about, &report, Compare::FilesOnly, Moment(0));
        let said = "\n  source    not read, so rows were not compared with it (--no-source)\n";
        assert!(text.contains(said), "{text}");

        report.files = (0..1_000)
            .map(|number| {
                let mut bad = FileOutcome::new(&format!("x/a-{number}.jsonl"));
                bad.fault(FaultKind::Missing, "is missing".to_owned());
                bad
            })
            .collect();
        let lines = errors(&report);
        assert_eq!(lines.len(), 12);
        assert_eq!(lines[10], "990 more files with errors (--json lists them all)");
        let text = in_words(&about, &report, Compare::WithSource, Moment(0));
        assert_eq!(text.matches("MISMATCH  ").count(), 100);
        assert!(
            text.contains("\n  and 900 more files (--json lists them all)\n"),
            "{text}"
        );
    }
}
