//! Checks a Parquet file: its footer, its row groups, every page decoded, and, where the source's rows are at hand,
//! the values that they have, column by column. Holds one batch at a time.

use std::error::Error;
use std::fs::File;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::Schema;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::Listener;
use super::expected::Rows;
use super::report::{FaultKind, FileOutcome, quoted, shown};
use super::stored::as_stored;
use super::times::Times;
use batch_export_source::SourceError;
use batch_export_system::explain::{count, counted};

/// Rows decoded at once.
const BATCH_ROWS: usize = 4_096;

/// Reads a whole file. `Ok(false)` when it could not be read to its end: what follows it cannot be lined up.
pub(super) fn check(
    file: File,
    schema: &mut Option<Schema>,
    mut rows: Option<&mut Rows>,
    outcome: &mut FileOutcome,
    listener: &Listener,
) -> Result<bool, SourceError> {
    let builder = match ParquetRecordBatchReaderBuilder::try_new(file) {
        Ok(builder) => builder,
        Err(error) => {
            let fault = format!("its Parquet footer cannot be read: {error}");
            outcome.fault(FaultKind::Changed, fault);
            return Ok(false);
        }
    };
    outcome.row_groups = Some(builder.metadata().num_row_groups() as u64);
    let promised = builder.metadata().file_metadata().num_rows();
    let found = builder.schema().as_ref().clone();
    check_schema(&found, schema, rows.as_deref(), outcome);
    let time_column = rows.as_deref().and_then(Rows::time_column);
    outcome.times = time_column.map(|_| Times::default());
    let comparable = rows
        .as_deref()
        .is_some_and(|rows| rows.schema().fields().len() == found.fields().len());
    let broken = |outcome: &mut FileOutcome, error: &dyn Error| {
        let fault = format!("cannot be decoded after {}: {error}", counted(outcome.rows, "row"));
        outcome.fault(FaultKind::Changed, fault);
        Ok(false)
    };
    let reader = match builder.with_batch_size(BATCH_ROWS).build() {
        Ok(reader) => reader,
        Err(error) => return broken(outcome, &error),
    };
    for batch in reader {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => return broken(outcome, &error),
        };
        if let Some(rows) = &mut rows {
            compare(&batch, rows, comparable, outcome)?;
        }
        outcome.rows += batch.num_rows() as u64;
        listener.reached(outcome.rows)?;
    }
    if i64::try_from(outcome.rows) != Ok(promised) {
        let (promised, found) = (promised.unsigned_abs(), outcome.rows);
        let fault = format!(
            "its footer declares {}, but it contains {}",
            counted(promised, "row"),
            count(found)
        );
        outcome.fault(FaultKind::Changed, fault);
    }
    Ok(true)
}

/// The same columns as the first file of the run and, by name, as the source.
fn check_schema(found: &Schema, first: &mut Option<Schema>, rows: Option<&Rows>, outcome: &mut FileOutcome) {
    match first {
        None => *first = Some(found.clone()),
        Some(first) if first.fields() != found.fields() => {
            outcome.fault(
                FaultKind::Changed,
                "has different columns than the first file".to_owned(),
            );
        }
        Some(_) => {}
    }
    let names = |schema: &Schema| {
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        names.join(", ")
    };
    if let Some(rows) = rows
        && names(found) != names(rows.schema())
    {
        let fault = format!(
            "has the columns {}, but the source has {}",
            names(found),
            names(rows.schema())
        );
        outcome.fault(FaultKind::OtherRows, fault);
    }
}

/// A batch of the file with as many of the source's rows, which may come in several pieces.
fn compare(
    batch: &RecordBatch,
    rows: &mut Rows,
    comparable: bool,
    outcome: &mut FileOutcome,
) -> Result<(), SourceError> {
    let mut done = 0;
    let time_column = rows.time_column();
    while done < batch.num_rows()
        && let Some(source) = rows.take(batch.num_rows() - done)?
    {
        if let (Some(times), Some(column)) = (&mut outcome.times, time_column) {
            times.see(source.column(column), 0..source.num_rows());
        }
        if comparable {
            let piece = batch.slice(done, source.num_rows());
            for ((field, file), source) in batch
                .schema_ref()
                .fields()
                .iter()
                .zip(piece.columns())
                .zip(source.columns())
            {
                compare_column(field.name(), file, source, done, outcome);
            }
            outcome.rows_compared += source.num_rows() as u64;
        }
        done += source.num_rows();
    }
    Ok(())
}

fn compare_column(name: &str, file: &ArrayRef, source: &ArrayRef, done: usize, outcome: &mut FileOutcome) {
    let stored = match as_stored(source, file.data_type()) {
        Ok(stored) => stored,
        Err(error) => {
            let why = quoted(&error.to_string());
            let fault = format!("the column `{name}` cannot be compared: {why}");
            outcome.fault(FaultKind::OtherRows, fault);
            return;
        }
    };
    if stored.to_data() == file.to_data() {
        return;
    }
    for row in 0..file.len() {
        if stored.slice(row, 1).to_data() != file.slice(row, 1).to_data() {
            let fault = format!(
                "row {}, `{name}`: the file has {}, but the source has {}",
                outcome.rows + (done + row) as u64 + 1,
                shown(file, row),
                shown(source, row)
            );
            outcome.fault(FaultKind::OtherRows, fault);
        }
    }
}
