//! Checks a JSON Lines file: every line an object with the same keys in the same order, and, where the source's rows
//! are at hand, the values that they have. Holds one line at a time.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, Read};

use arrow::array::RecordBatch;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Listener;
use super::decode;
use super::expected::Rows;
use super::json::{is_json, same_value};
use super::report::{FaultKind, FileOutcome, bare, quoted, shown};
use super::times::Times;
use batch_export_source::SourceError;
use batch_export_system::explain::{counted, plain_json};

/// Longest line: the largest row that a destination can be configured for, each byte of it escaped, is shorter.
const LINE_LIMIT_BYTES: u64 = 1 << 30;
/// Rows between two updates of the progress display.
const REPORT_ROWS: u64 = 4_096;
/// Rows taken from the source at once.
const SOURCE_ROWS: usize = 4_096;

/// A line's keys and values in order.
struct Line<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Line<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Members).map(Line)
    }
}

/// The source's next rows, a batch at a time.
struct Ahead<'a> {
    rows: &'a mut Rows,
    batch: Option<RecordBatch>,
    at: usize,
}

impl Ahead<'_> {
    fn next(&mut self) -> Result<Option<(&RecordBatch, usize)>, SourceError> {
        let used_up = self.batch.as_ref().is_none_or(|batch| self.at >= batch.num_rows());
        if used_up {
            self.batch = self.rows.take(SOURCE_ROWS)?;
            self.at = 0;
        }
        self.at += 1;
        Ok(self.batch.as_ref().map(|batch| (batch, self.at - 1)))
    }

    fn give_back(self) {
        if let Some(batch) = self.batch {
            self.rows.give_back(batch.num_rows() - self.at.min(batch.num_rows()));
        }
    }
}

/// Reads a whole file. `Ok(false)` when it could not be read to its end: what follows it cannot be lined up.
pub(super) fn check(
    file: File,
    codec: &str,
    keys: &mut Option<Vec<String>>,
    rows: Option<&mut Rows>,
    outcome: &mut FileOutcome,
    listener: &Listener,
) -> Result<bool, SourceError> {
    let mut text = match decode::open(file, codec) {
        Ok(text) => text,
        Err(error) => {
            outcome.fault(FaultKind::Changed, error.to_string());
            return Ok(false);
        }
    };
    let time_column = rows.as_ref().and_then(|rows| rows.time_column());
    outcome.times = time_column.map(|_| Times::default());
    let mut ahead = rows.map(|rows| Ahead {
        rows,
        batch: None,
        at: 0,
    });
    let mut line = Vec::new();
    let whole = loop {
        line.clear();
        let row = outcome.rows + 1;
        match text.as_mut().take(LINE_LIMIT_BYTES).read_until(b'\n', &mut line) {
            Ok(0) => break true,
            Ok(_) => {}
            Err(error) => {
                let fault = format!("after {}: {error}", counted(outcome.rows, "row"));
                outcome.fault(FaultKind::Changed, fault);
                break false;
            }
        }
        if line.pop_if(|last| *last == b'\n').is_none() {
            outcome.fault(FaultKind::Changed, format!("row {row} does not end with a line break"));
        }
        outcome.rows = row;
        if row.is_multiple_of(REPORT_ROWS) {
            listener.reached(row)?;
        }
        let parsed = std::str::from_utf8(&line)
            .map_err(|error| error.to_string())
            .and_then(|text| {
                serde_json::from_str::<Line<'_>>(text)
                    .map_err(|error| format!("{} (character {})", plain_json(&error), error.column()))
            });
        let source = match &mut ahead {
            Some(ahead) => ahead.next()?,
            None => None,
        };
        if let (Some(times), Some(column), Some((batch, at))) = (&mut outcome.times, time_column, source) {
            times.see(batch.column(column), at..at + 1);
        }
        match parsed {
            Ok(Line(members)) => {
                check_keys(&members, keys, row, outcome);
                if let Some((batch, at)) = source {
                    check_row(&members, batch, at, row, outcome);
                    outcome.rows_compared += 1;
                }
            }
            Err(error) => outcome.fault(FaultKind::Changed, format!("row {row} is not a JSON object: {error}")),
        }
    };
    if let Some(ahead) = ahead {
        ahead.give_back();
    }
    Ok(whole)
}

/// The same keys in the same order as the first row of the run.
fn check_keys(members: &[(String, &RawValue)], keys: &mut Option<Vec<String>>, row: u64, outcome: &mut FileOutcome) {
    match keys {
        None => *keys = Some(members.iter().map(|(key, _)| key.clone()).collect()),
        Some(keys) => {
            let same = keys.len() == members.len() && keys.iter().zip(members).all(|(known, (key, _))| known == key);
            if !same {
                outcome.fault(
                    FaultKind::Changed,
                    format!("row {row} has different keys than the first row"),
                );
            }
        }
    }
}

fn check_row(members: &[(String, &RawValue)], batch: &RecordBatch, at: usize, row: u64, outcome: &mut FileOutcome) {
    let schema = batch.schema_ref();
    if members.len() != schema.fields().len() {
        let fault = format!(
            "row {row} has {}, but the source has {}",
            counted(members.len() as u64, "value"),
            counted(schema.fields().len() as u64, "column")
        );
        outcome.fault(FaultKind::OtherRows, fault);
        return;
    }
    for ((field, column), (key, value)) in schema.fields().iter().zip(batch.columns()).zip(members) {
        if field.name() != key {
            let fault = format!(
                "row {row} has `{}` where the source has the column `{}`",
                quoted(key),
                field.name()
            );
            outcome.fault(FaultKind::OtherRows, fault);
        } else if !same_value(field, column, at, value.get()) {
            let source = match is_json(field) {
                true => bare(column, at),
                false => shown(column, at),
            };
            let fault = format!(
                "row {row}, `{key}`: the file has {}, but the source has {source}",
                quoted(value.get())
            );
            outcome.fault(FaultKind::OtherRows, fault);
        }
    }
}
