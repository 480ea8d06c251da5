//! `verify`: reads a finished run back and compares it with its source.

use std::sync::Arc;

use clap::Args;

use super::error::CommandError;
use super::progress::Progress;
use super::{Chosen, Span, output};
use crate::terminal::one_line;
use crate::verify::{self, Compare, VerifyReport, Watch};

/// Read a finished run back and compare it with its source.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  batch-export verify --config exports.toml --start 2023-07-28T00:00:00Z --end 2023-07-28T01:00:00Z"
)]
pub struct Verify {
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    span: Span,
    /// Check the files by themselves, without reading the source.
    #[arg(long)]
    no_source: bool,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
    /// Show no progress.
    #[arg(long, short)]
    quiet: bool,
}

impl Verify {
    pub async fn execute(self) -> Result<(), CommandError> {
        let interval = self.span.interval()?;
        let (_, target) = self.chosen.target().await?;
        let compare = match self.no_source {
            true => Compare::FilesOnly,
            false => Compare::WithSource,
        };
        let progress = Arc::new(Progress::new(self.quiet));
        let outcome = verify::verify(&target, interval, compare, watch(&progress)).await;
        progress.end();
        let report = outcome?;
        if self.json {
            output::json(&report)?;
        } else {
            output::lines(&in_words(&report))?;
        }
        match report.passed {
            true => Ok(()),
            false => Err(CommandError::Faults(report.faults_found())),
        }
    }
}

/// Shows how far reading back is.
pub fn watch(progress: &Arc<Progress>) -> Watch {
    let progress = Arc::clone(progress);
    Arc::new(move |at: verify::Snapshot| {
        progress.message(format!(
            "reading back: {}, {} rows, {}",
            output::files(at.files),
            output::count(at.rows),
            output::bytes(at.bytes)
        ));
    })
}

fn in_words(report: &VerifyReport) -> String {
    let head = if report.passed { "good" } else { "FAULTY" };
    let mut text = format!(
        "{}: {head}, {} rows in {} ({}, {}), {}, in {:.1} s\n",
        report.destination,
        output::count(report.rows),
        output::files(report.files.len() as u64),
        report.file_format,
        report.compression,
        output::bytes(report.bytes),
        report.seconds,
    );
    let files: Vec<_> = report
        .files
        .iter()
        .map(|file| {
            let size = format!(
                "{} rows, {}, {}",
                output::count(file.rows),
                output::bytes(file.bytes),
                if file.passed() { "good" } else { "FAULTY" }
            );
            (file.key.clone(), size)
        })
        .collect();
    text.push_str(&output::table(&files));
    text.push_str(&match report.source_rows {
        Some(rows) => {
            let omitted = report
                .source
                .map_or(0, |source| source.rows_of_other_events);
            let omitted = match omitted {
                0 => String::new(),
                omitted => format!(
                    " ({} more were omitted by include_events and exclude_events)",
                    output::count(omitted)
                ),
            };
            format!(
                "compared with the source's {} rows{omitted}\n",
                output::count(rows)
            )
        }
        None => "not compared with the source as a whole\n".to_owned(),
    });
    for file in report.files.iter().filter(|file| !file.passed()) {
        for fault in &file.faults {
            text.push_str(&format!(
                "fault: {}: {}\n",
                one_line(&file.key),
                one_line(fault)
            ));
        }
        if file.further_faults > 0 {
            let further = output::count(file.further_faults);
            text.push_str(&format!("fault: {}: {further} more\n", one_line(&file.key)));
        }
    }
    for fault in &report.faults {
        text.push_str(&format!("fault: {}\n", one_line(fault)));
    }
    if report.further_faults > 0 {
        let further = output::count(report.further_faults);
        text.push_str(&format!("fault: {further} more of the run as a whole\n"));
    }
    for note in &report.notes {
        text.push_str(&format!("note: {}\n", one_line(note)));
    }
    if report.further_notes > 0 {
        let further = output::count(report.further_notes);
        text.push_str(&format!("note: {further} more\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::FileOutcome;

    #[test]
    fn what_was_found_is_said_file_by_file() {
        let mut bad = FileOutcome::new("x/a-1.jsonl");
        for row in 1..=12 {
            bad.fault(format!("row {row} is wrong"));
        }
        let mut report = VerifyReport {
            destination: "archive".to_owned(),
            run_id: "r".to_owned(),
            model: "events".to_owned(),
            file_format: "JSONLines".to_owned(),
            compression: "gzip".to_owned(),
            manifest_key: None,
            manifest: None,
            files: vec![FileOutcome {
                bytes: 2_048,
                rows: 1_500,
                ..FileOutcome::new("x/a-0.jsonl")
            }],
            rows: 1_500,
            bytes: 2_048,
            source_rows: Some(1_500),
            source: None,
            faults: Vec::new(),
            further_faults: 0,
            notes: Vec::new(),
            further_notes: 0,
            seconds: 0.5,
            passed: true,
        };
        assert_eq!(
            in_words(&report),
            "archive: good, 1,500 rows in 1 file (JSONLines, gzip), 2.00 KiB, in 0.5 s
  x/a-0.jsonl  1,500 rows, 2.00 KiB, good
compared with the source's 1,500 rows
"
        );
        report.files[0] = bad;
        report.source_rows = None;
        report.passed = false;
        report.faults.push("the run is wrong".to_owned());
        report.notes.push("this is known".to_owned());
        let rows: String = (1..=10)
            .map(|row| format!("fault: x/a-1.jsonl: row {row} is wrong\n"))
            .collect();
        assert_eq!(
            in_words(&report),
            format!(
                "archive: FAULTY, 1,500 rows in 1 file (JSONLines, gzip), 2.00 KiB, in 0.5 s
  x/a-1.jsonl  0 rows, 0 B, FAULTY
not compared with the source as a whole
{rows}fault: x/a-1.jsonl: 2 more
fault: the run is wrong
note: this is known
"
            )
        );
        assert_eq!(report.faults_found(), 13);
    }
}
