//! The rows that files should hold: the source read again, row after row in step with the files. Changes nothing but to
//! write dictionaries out as their values.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::json::{is_json, is_uuid};
use super::times::time_column;
use batch_export_source::Model;
use batch_export_source::{Selection, Source, SourceError, SourceFactory, Tally};
use batch_export_system::{Budget, Token};

/// The source's rows that no file has been found to hold yet.
pub(super) struct Rows {
    source: Box<dyn Source>,
    schema: SchemaRef,
    /// As the plugin was given it.
    supplied: SchemaRef,
    /// The column whose first and last moment a manifest has.
    time_column: Option<usize>,
    batch: Option<RecordBatch>,
    /// Next row of the batch.
    at: usize,
    taken: u64,
}

impl Rows {
    /// Opens the source as a run does. Blocking.
    pub(super) fn open(
        factory: &dyn SourceFactory,
        selection: Selection,
        model: &str,
        token: &Token,
        budget: &Arc<Budget>,
    ) -> Result<Self, SourceError> {
        let source = factory.open(selection, token, budget)?;
        let known = Model::named(model).map(Model::schema);
        let fields: Vec<Field> = source
            .schema()
            .fields()
            .iter()
            .map(|field| {
                let is_json = is_json(field)
                    || known
                        .as_ref()
                        .and_then(|known| known.field_with_name(field.name()).ok())
                        .is_some_and(is_json);
                written_field(field, is_json)
            })
            .collect();
        Ok(Rows {
            time_column: time_column(model, &source.schema()),
            supplied: source.schema(),
            source,
            schema: Arc::new(Schema::new(fields)),
            batch: None,
            at: 0,
            taken: 0,
        })
    }

    /// The columns of every batch; those of JSON are marked.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The columns as the plugin was given them.
    pub(super) fn supplied(&self) -> &Schema {
        &self.supplied
    }

    /// The column whose first and last moment a manifest has.
    pub(super) fn time_column(&self) -> Option<usize> {
        self.time_column
    }

    /// Rows taken so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Returns what the source read and omitted so far.
    pub(super) fn tally(&self) -> Tally {
        self.source.tally()
    }

    /// Returns at most this many of the next rows; `None` when there are no more. Blocking.
    pub(super) fn take(&mut self, limit: usize) -> Result<Option<RecordBatch>, SourceError> {
        loop {
            if let Some(batch) = &self.batch
                && self.at < batch.num_rows()
            {
                let rows = limit.min(batch.num_rows() - self.at);
                let taken = batch.slice(self.at, rows);
                self.at += rows;
                self.taken += rows as u64;
                return Ok(Some(taken));
            }
            let Some(next) = self.source.next_batch()? else {
                return Ok(None);
            };
            let columns = next
                .columns()
                .iter()
                .map(written_out)
                .collect::<Result<_, _>>()
                .map_err(SourceError::Encode)?;
            let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(SourceError::Encode)?;
            self.batch = Some(batch);
            self.at = 0;
        }
    }

    /// Takes back rows at the end of what was taken last, which turned out not to be needed.
    pub(super) fn give_back(&mut self, rows: usize) {
        self.at -= rows;
        self.taken -= rows as u64;
    }

    /// Takes all that is left, and says how much it was.
    pub(super) fn rest(&mut self) -> Result<u64, SourceError> {
        let before = self.taken;
        while self.take(usize::MAX)?.is_some() {}
        Ok(self.taken - before)
    }
}

fn written_field(field: &Field, is_json: bool) -> Field {
    let data_type = match field.data_type() {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        other => other.clone(),
    };
    let extension = match is_json {
        true => Some("arrow.json"),
        false => is_uuid(field).then_some("arrow.uuid"),
    };
    let metadata: HashMap<String, String> = extension
        .map(|name| ("ARROW:extension:name".to_owned(), name.to_owned()))
        .into_iter()
        .collect();
    Field::new(field.name(), data_type, true).with_metadata(metadata)
}

fn written_out(column: &ArrayRef) -> Result<ArrayRef, arrow::error::ArrowError> {
    match column.data_type() {
        DataType::Dictionary(_, _) => {
            let dictionary = column.as_any_dictionary();
            take(dictionary.values(), dictionary.keys(), None)
        }
        _ => Ok(Arc::clone(column)),
    }
}
