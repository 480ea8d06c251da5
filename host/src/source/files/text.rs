//! JSON Lines and CSV as batches: columns from the model, columns beyond it from the first rows. Memory is bounded by
//! one batch and one row; nothing is read twice but the rows that columns are inferred from.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use super::super::SourceError;
use super::columns::{Column, kind_of_field, kind_of_json, wider};
use super::opened::{Content, Opened};
use super::rows::{CsvRows, JsonRows};
use super::{Batches, FilesSettings};
use crate::model::{Kind, Model};

/// Text of a batch: about one IPC message.
const BATCH_BYTES: u64 = 8 << 20;
/// Rows of a batch at most.
const MAX_BATCH_ROWS: usize = 8192;
/// Columns at most: a file in which every row names others is not a table.
const MAX_COLUMNS: usize = 10_000;

/// The columns that all text files have together; `None` when there is no text file.
pub fn common_schema(
    settings: &FilesSettings,
    files: &[Opened],
) -> Result<Option<SchemaRef>, SourceError> {
    let mut found = Found::default();
    let mut any = false;
    for file in files {
        match file.content {
            Content::JsonLines => found.look_at_json(file, settings.infer_rows)?,
            Content::Csv => found.look_at_csv(file, settings.infer_rows)?,
            _ => continue,
        }
        any = true;
    }
    Ok(any.then(|| found.schema(settings)))
}

/// Columns in the order in which they first appear; a column of nulls has no kind yet.
#[derive(Default)]
struct Found {
    columns: Vec<(String, Option<Kind>)>,
    index: HashMap<String, usize>,
}

impl Found {
    fn add(&mut self, file: &Opened, name: &str, kind: Option<Kind>) -> Result<(), SourceError> {
        let Some(index) = self.index.get(name) else {
            if self.columns.len() == MAX_COLUMNS {
                return Err(file.damaged(format!("it has more than {MAX_COLUMNS} columns")));
            }
            self.index.insert(name.to_owned(), self.columns.len());
            self.columns.push((name.to_owned(), kind));
            return Ok(());
        };
        let known = &mut self.columns[*index].1;
        *known = match (*known, kind) {
            (Some(known), Some(kind)) => {
                Some(wider(known, kind, file.content == Content::JsonLines))
            }
            (known, kind) => known.or(kind),
        };
        Ok(())
    }

    fn look_at_json(&mut self, file: &Opened, infer_rows: u64) -> Result<(), SourceError> {
        let mut rows = JsonRows::open(file)?;
        let mut seen = 0;
        while (infer_rows == 0 || seen < infer_rows)
            && rows.next(|name, value| self.add(file, name, kind_of_json(value)))?
        {
            seen += 1;
        }
        Ok(())
    }

    fn look_at_csv(&mut self, file: &Opened, infer_rows: u64) -> Result<(), SourceError> {
        let mut rows = CsvRows::open(file)?;
        let names = rows.names().to_vec();
        for name in &names {
            self.add(file, name, None)?;
        }
        let mut seen = 0;
        while (infer_rows == 0 || seen < infer_rows) && rows.next()? {
            for (name, field) in names.iter().zip(rows.fields()) {
                self.add(file, name, kind_of_field(field))?;
            }
            seen += 1;
        }
        Ok(())
    }

    /// The model decides its own columns' kinds, and the time column is a time.
    fn schema(self, settings: &FilesSettings) -> SchemaRef {
        let model = Model::named(&settings.model).map(Model::schema);
        if self.columns.is_empty()
            && let Some(model) = model
        {
            // Files without a row: nothing to export, and nothing wrong.
            return model;
        }
        let kind_of = |name: &str, found: Option<Kind>| {
            model
                .as_ref()
                .and_then(|model| Kind::of(model.field_with_name(name).ok()?))
                .or_else(|| (name == settings.time_column).then_some(Kind::Timestamp))
                .or(found)
                .unwrap_or(Kind::Text)
        };
        let fields: Vec<_> = self
            .columns
            .iter()
            .map(|(name, kind)| kind_of(name, *kind).field(name))
            .collect();
        Arc::new(Schema::new(fields))
    }
}

/// Batches of one file with the columns of `schema`, which [`common_schema`] made.
pub fn batches(file: &Opened, schema: SchemaRef) -> Result<Batches, SourceError> {
    let table = Table::new(file.describer(), schema);
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
    index: HashMap<String, usize>,
    /// Rows that each column already has.
    filled: Vec<usize>,
    rows: usize,
    bytes: u64,
    ended: bool,
}

impl Table {
    fn new(file: Opened, schema: SchemaRef) -> Self {
        let fields = schema.fields();
        Self {
            columns: fields
                .iter()
                .map(|field| Column::new(Kind::of(field).unwrap_or(Kind::Text)))
                .collect(),
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
    fn value(
        &mut self,
        name: &str,
        append: impl FnOnce(&mut Column) -> Result<(), String>,
    ) -> Result<(), String> {
        let Some(index) = self.index.get(name).copied() else {
            return Err(format!(
                "column `{name}` is new: the rows looked at before had none of that name; set the source's `infer_rows` higher (0 looks at every row)"
            ));
        };
        if self.filled[index] > self.rows {
            return Err(format!("`{name}` is there twice"));
        }
        append(&mut self.columns[index]).map_err(|cause| format!("column `{name}`: {cause}"))?;
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

    /// The batch so far; `None` when the file has ended and nothing is left.
    fn take(&mut self) -> Option<Result<RecordBatch, SourceError>> {
        if self.rows == 0 {
            return None;
        }
        let columns = self.columns.iter_mut().map(Column::finish).collect();
        self.filled.fill(0);
        self.rows = 0;
        self.bytes = 0;
        Some(
            RecordBatch::try_new(self.schema.clone(), columns)
                .map_err(|error| self.file.damaged(error)),
        )
    }

    fn bad_row(&self, line: u64, cause: String) -> SourceError {
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
