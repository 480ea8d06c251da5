//! JSON Lines and CSV as batches with the columns of a plan. Memory is bounded by one batch and one row; nothing is
//! read twice but the rows that columns are inferred from.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use batch_export_system::explain::Cause;

use super::super::SourceError;
use super::Batches;
use super::columns::{Column, LOOK_FURTHER, Noted};
use super::csv_rows::CsvRows;
use super::json_rows::JsonRows;
use super::opened::{Content, Opened};
use super::plan::Plan;

/// Text of a batch: about one IPC message.
const BATCH_BYTES: u64 = 8 << 20;
/// Rows of a batch at most.
const MAX_BATCH_ROWS: usize = 8192;

/// Returns batches of one file with the columns of `plan`.
pub(crate) fn batches(file: &Opened, plan: &Plan, noted: &Arc<Noted>) -> Result<Batches, SourceError> {
    let table = Table::new(file.describer(), plan, noted);
    Ok(match file.content {
        Content::Csv => Box::new(CsvBatches {
            rows: CsvRows::open(file)?,
            table,
        }),
        _ => Box::new(JsonBatches {
            rows: JsonRows::open(file)?,
            table,
        }),
    })
}

/// The columns of a batch under construction.
struct Table {
    file: Opened,
    schema: SchemaRef,
    columns: Vec<Column>,
    noted: Arc<Noted>,
    index: HashMap<String, usize>,
    /// Rows that each column already has.
    filled: Vec<usize>,
    rows: usize,
    bytes: u64,
    ended: bool,
}

impl Table {
    fn new(file: Opened, plan: &Plan, noted: &Arc<Noted>) -> Self {
        let schema = Arc::clone(&plan.schema);
        let fields = schema.fields();
        Self {
            columns: plan
                .makes
                .iter()
                .map(|make| Column::new(*make, Arc::clone(noted)))
                .collect(),
            noted: Arc::clone(noted),
            index: fields
                .iter()
                .enumerate()
                .map(|(index, field)| (field.name().clone(), index))
                .collect(),
            filled: vec![0; fields.len()],
            rows: 0,
            bytes: 0,
            ended: false,
            file,
            schema,
        }
    }

    fn is_full(&self) -> bool {
        self.rows >= MAX_BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    /// Adds a value to the row under construction.
    fn value(&mut self, name: &str, append: impl FnOnce(&mut Column) -> Result<(), Cause>) -> Result<(), Cause> {
        let Some(index) = self.index.get(name).copied() else {
            return Err(Cause::new(format!(
                "column `{name}` is new: the rows inspected before did not have it"
            ))
            .with_hint(LOOK_FURTHER));
        };
        if self.filled[index] > self.rows {
            return Err(Cause::new(format!("`{name}` appears twice")));
        }
        append(&mut self.columns[index]).map_err(|cause| cause.map(|text| format!("column `{name}`: {text}")))?;
        self.filled[index] += 1;
        Ok(())
    }

    /// Ends a row: columns it did not name are null.
    fn end_row(&mut self, bytes: u64) {
        self.rows += 1;
        self.bytes += bytes;
        for (column, filled) in self.columns.iter_mut().zip(&mut self.filled) {
            if *filled < self.rows {
                column.append_null();
                *filled += 1;
            }
        }
    }

    /// Returns the batch so far; `None` when the file has ended and nothing is left.
    fn take(&mut self) -> Option<Result<RecordBatch, SourceError>> {
        if self.rows == 0 {
            return None;
        }
        let columns = self.columns.iter_mut().map(Column::finish).collect();
        self.filled.fill(0);
        self.rows = 0;
        self.bytes = 0;
        Some(RecordBatch::try_new(self.schema.clone(), columns).map_err(|error| self.file.damaged(error)))
    }

    fn bad_row(&self, line: u64, cause: Cause) -> SourceError {
        SourceError::BadRow {
            path: self.file.path.clone(),
            line,
            cause,
        }
    }
}

struct JsonBatches {
    rows: JsonRows,
    table: Table,
}

impl JsonBatches {
    fn fill(&mut self) -> Result<(), SourceError> {
        let table = &mut self.table;
        while !table.ended && !table.is_full() {
            let line = self.rows.line() + 1;
            let more = self.rows.next(|name, value| {
                table
                    .value(name, |column| column.append_json(value))
                    .map_err(|cause| table.bad_row(line, cause))
            })?;
            if more {
                table.noted.replaced(self.rows.surrogates_replaced());
                table.end_row(self.rows.row_bytes());
            } else {
                table.ended = true;
            }
        }
        Ok(())
    }
}

impl Iterator for JsonBatches {
    type Item = Result<RecordBatch, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.fill() {
            Ok(()) => self.table.take(),
            Err(error) => Some(Err(error)),
        }
    }
}

struct CsvBatches {
    rows: CsvRows,
    table: Table,
}

impl CsvBatches {
    fn fill(&mut self) -> Result<(), SourceError> {
        let table = &mut self.table;
        while !table.ended && !table.is_full() {
            if !self.rows.next()? {
                table.ended = true;
                break;
            }
            for (name, field) in self.rows.names().iter().zip(self.rows.fields()) {
                table
                    .value(name, |column| column.append_field(field))
                    .map_err(|cause| table.bad_row(self.rows.line(), cause))?;
            }
            table.end_row(self.rows.row_bytes());
        }
        Ok(())
    }
}

impl Iterator for CsvBatches {
    type Item = Result<RecordBatch, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.fill() {
            Ok(()) => self.table.take(),
            Err(error) => Some(Err(error)),
        }
    }
}
