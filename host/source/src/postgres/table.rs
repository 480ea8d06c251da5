//! The batch under construction.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::build::Builder;
use super::copy::{Fault, Field, Rows};
use super::settings::Infinity;
use super::types::Kind;

/// Data of a batch, as the server sends them: about one message for a plugin.
const BATCH_BYTES: usize = 4 << 20;
/// Rows of a batch at most.
const MAX_BATCH_ROWS: usize = 8192;

/// The columns of a batch under construction.
pub(super) struct Table {
    schema: SchemaRef,
    columns: Vec<Builder>,
    infinity: Infinity,
    rows: usize,
    bytes: usize,
}

impl Table {
    pub(super) fn new(schema: SchemaRef, kinds: impl Iterator<Item = Kind>, infinity: Infinity) -> Self {
        Self {
            schema,
            columns: kinds.map(|kind| Builder::new(&kind)).collect(),
            infinity,
            rows: 0,
            bytes: 0,
        }
    }

    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Returns whether it is large enough to be handed on.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= MAX_BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    /// Returns the rows so far, if there are any, and starts over.
    pub(super) fn take(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        if self.rows == 0 {
            return Ok(None);
        }
        let columns: Result<Vec<ArrayRef>, ArrowError> = self.columns.iter_mut().map(Builder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        (self.rows, self.bytes) = (0, 0);
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns?, &options).map(Some)
    }
}

impl Rows for Table {
    fn row(&mut self, number: u64, bytes: &[u8], fields: &[Field]) -> Result<(), Fault> {
        for (index, (column, field)) in self.columns.iter_mut().zip(fields).enumerate() {
            let value = field.clone().and_then(|field| bytes.get(field));
            column.append(value, self.infinity).map_err(|cause| Fault::Value {
                row: number,
                column: index,
                cause,
            })?;
        }
        self.rows += 1;
        self.bytes += bytes.len();
        Ok(())
    }
}
