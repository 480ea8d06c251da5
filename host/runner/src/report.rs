//! The report of a run that succeeded, and what the host itself says about it.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::events::RunProgress;
use crate::exporter::Exporter;
use crate::recovery::Recovery;
use batch_export_sandbox::contract::{Report, Run};
use batch_export_source::{Ends, Tally};
use batch_export_system::explain::{Cause, counted};

/// The report of a run that succeeded.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RunReport {
    /// The destination's name.
    pub destination: String,
    /// The run and this attempt at it.
    #[serde(flatten, serialize_with = "identity")]
    pub run: Run,
    /// Rows handed to the plugin: the report's `rows_received` is proven to be the same.
    pub rows_supplied: u64,
    /// Messages that they came in.
    pub batches: u64,
    /// Arrow IPC bytes handed to the plugin.
    pub bytes_supplied: u64,
    /// Bytes of all files written.
    pub bytes_exported: u64,
    /// What the source read and omitted.
    pub source: Tally,
    /// What the plugin says, compared with the host's own counts.
    pub report: Report,
    /// How long it took.
    pub seconds: f64,
    /// Most linear memory that the plugin held.
    pub peak_guest_memory_bytes: usize,
    /// What was cleaned up of earlier attempts before this one.
    pub recovery: Recovery,
    /// What the operator should know, and what to do about it where there is anything to do.
    pub warnings: Vec<Cause>,
}

impl RunReport {
    /// Returns the report of a run that did nothing, to be filled in.
    pub fn new(destination: String, run: Run) -> Self {
        RunReport {
            destination,
            run,
            rows_supplied: 0,
            batches: 0,
            bytes_supplied: 0,
            bytes_exported: 0,
            source: Tally::default(),
            report: Report::default(),
            seconds: 0.0,
            peak_guest_memory_bytes: 0,
            recovery: Recovery::default(),
            warnings: Vec::new(),
        }
    }
}

/// A run in JSON: its ids, its model, and its interval as ISO 8601.
fn identity<S: Serializer>(run: &Run, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Identity<'a> {
        run_id: &'a str,
        attempt_id: &'a str,
        model: &'a str,
        interval: Ends,
    }
    Identity {
        run_id: &run.id,
        attempt_id: &run.attempt,
        model: &run.model,
        interval: Ends::of(run.interval.start_micros, run.interval.end_micros),
    }
    .serialize(serializer)
}

/// What an attempt that succeeded leads to.
pub(crate) struct Done {
    pub progress: RunProgress,
    pub source: Tally,
    pub report: Report,
    pub bytes_exported: u64,
    pub peak_guest_memory_bytes: usize,
    pub warnings: Vec<Cause>,
}

impl Done {
    pub(crate) fn into_report(self, exporter: &Exporter, run: Run, elapsed: Duration, recovery: Recovery) -> RunReport {
        let mut warnings = self.warnings;
        warnings.extend(self.report.warnings.iter().cloned());
        warnings.extend(further_warnings(&self.report, &self.source, &recovery));
        RunReport {
            rows_supplied: self.progress.rows_supplied,
            batches: self.progress.batches,
            bytes_supplied: self.progress.bytes_supplied,
            bytes_exported: self.bytes_exported,
            source: self.source,
            report: self.report,
            seconds: elapsed.as_secs_f64(),
            peak_guest_memory_bytes: self.peak_guest_memory_bytes,
            recovery,
            warnings,
            ..RunReport::new(exporter.name.clone(), run)
        }
    }
}

/// Returns the beginning of a sentence about this many things, including the verb.
pub(crate) fn were(number: u64, thing: &str) -> String {
    let verb = if number == 1 { "was" } else { "were" };
    format!("{} {verb}", counted(number, thing))
}

/// Returns the host's own warnings about a run that succeeded.
fn further_warnings(report: &Report, source: &Tally, recovery: &Recovery) -> Vec<Cause> {
    let mut warnings: Vec<Cause> = Vec::new();
    let mut warn = |warning: String| warnings.push(warning.into());
    if source.rows_without_time > 0 {
        warn(format!(
            "{} omitted: no time in the source's time column",
            were(source.rows_without_time, "row")
        ));
    }
    if source.surrogates_replaced > 0 {
        warn(format!(
            "in the texts of the source, {} replaced by U+FFFD: text cannot contain half of a surrogate pair",
            were(source.surrogates_replaced, "lone surrogate")
        ));
    }
    if source.numbers_rounded > 0 {
        warn(format!(
            "in the source, {} rounded to the nearest 64-bit float, the type of the column",
            were(source.numbers_rounded, "number")
        ));
    }
    if report.rows_received == 0 {
        warn(format!("nothing was written: {}", source.why_empty()));
    }
    let open = recovery.left_open.iter();
    warnings.extend(open.map(|left| left.still_open("attempt")));
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recovery::LeftOpen;

    #[test]
    fn what_a_good_run_omitted_or_left_open_is_a_warning() {
        let mut source = Tally::default();
        source.rows_read = 3;
        source.rows_without_time = 3;
        source.surrogates_replaced = 2;
        source.numbers_rounded = 5;
        let recovery = Recovery {
            left_open: vec![LeftOpen {
                key: Some("x/a.jsonl".to_owned()),
                upload_id: Some("1".to_owned()),
                reason: "403".to_owned(),
                hint: Some("grant it".to_owned()),
                earlier_configuration: None,
            }],
            ..Recovery::default()
        };
        let warnings = further_warnings(&Report::default(), &source, &recovery);
        let told: Vec<_> = warnings.into_iter().map(Cause::into_parts).collect();
        let hints = [None, None, None, None, Some("grant it".to_owned())];
        let messages = [
            "3 rows were omitted: no time in the source's time column",
            "in the texts of the source, 2 lone surrogates were replaced by U+FFFD: text cannot contain half of a surrogate pair",
            "in the source, 5 numbers were rounded to the nearest 64-bit float, the type of the column",
            "nothing was written: the source read 3 rows: 3 without a time",
            "an upload of an earlier attempt is still open: upload `1` of `x/a.jsonl`: 403",
        ];
        let expect: Vec<_> = messages.map(str::to_owned).into_iter().zip(hints).collect();
        assert_eq!(told, expect);
    }
}
