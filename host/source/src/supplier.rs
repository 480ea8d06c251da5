//! Rows from a supplier, which is a database or a program: its columns become the model's, and rows that the selection
//! does not take are omitted and counted, whether the supplier was asked to omit them or not.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute;
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef, TimeUnit};
use batch_export_system::Token;
use batch_export_system::explain::{Cause, count};

use crate::error::{SourceError, SourceErrorKind};
use crate::factory::Source;
use crate::fit::{self, Unfit};
use crate::model::Model;
use crate::select::{Bounds, Selection, TimeOf};
use crate::tally::Tally;
use crate::{convert, time_column};

/// A database or a program that supplies rows, open for one run.
pub(crate) trait Supplier: Send {
    /// Returns what it is, to begin a sentence with: `PostgreSQL at db.example.com:5432`.
    fn origin(&self) -> &str;

    /// Returns the columns of every batch, as the supplier has them.
    fn schema(&self) -> SchemaRef;

    /// Returns the next rows. `None` at the end, which comes only when it is proven that every row was returned.
    /// Blocking.
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, SourceError>;

    /// Returns the rows that it did not supply because they have no time, and so belong to no interval; complete once
    /// the rows ended.
    fn rows_without_time(&self) -> u64 {
        0
    }

    /// Returns what the operator should know of how the rows were read.
    fn warnings(&self) -> Vec<Cause> {
        Vec::new()
    }
}

/// The columns by which rows of a supplier belong to an interval.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TimeColumns {
    /// When a row arrived. `None` where the supplier alone decides which rows belong to an interval.
    pub arrival: Option<String>,
    /// When what a row tells of happened, for backfills. `None` is `timestamp` for events, and otherwise `arrival`.
    pub event: Option<String>,
}

/// When an event happened, in the model of events.
const EVENT_TIME_COLUMN: &str = "timestamp";

impl TimeColumns {
    /// Returns the columns for rows that are asked for by the bounds of an interval alone: those bounds mean the same
    /// in a backfill, so that no other column may decide then. `says` is what has the bounds.
    pub(crate) fn beside_bounds(self, says: &str) -> Result<Self, Cause> {
        if self.event.is_some() {
            return Err(Cause::new(format!(
                "backfill_time_column has no effect: {says} says itself which rows belong to an interval, in a backfill \
                 too"
            ))
            .with_hint("remove it, or remove the interval and set time_column"));
        }
        Ok(Self {
            event: self.arrival.clone(),
            ..self
        })
    }

    /// Returns the column that an interval selects on.
    pub fn of(&self, model: &str, by: TimeOf) -> Option<&str> {
        let arrival = self.arrival.as_deref()?;
        let of_events = || (model == Model::Events.name()).then_some(EVENT_TIME_COLUMN);
        match by {
            TimeOf::Arrival => Some(arrival),
            TimeOf::Event => Some(self.event.as_deref().or_else(of_events).unwrap_or(arrival)),
        }
    }
}

/// The rows of a supplier that a run wants, with the model's columns.
pub(crate) struct Supplied {
    supplier: Box<dyn Supplier>,
    selection: Selection,
    schema: SchemaRef,
    /// The supplier's column for each of the schema.
    columns: Vec<usize>,
    /// The supplier's column by which rows belong to the interval.
    time: Option<usize>,
    /// The supplier's column with the event's name, where the model has one.
    event: Option<usize>,
    tally: Tally,
    token: Token,
}

impl Supplied {
    /// Checks the supplier's columns: every problem at once.
    pub(crate) fn new(
        supplier: Box<dyn Supplier>,
        model: &str,
        times: &TimeColumns,
        selection: Selection,
        token: &Token,
    ) -> Result<Self, SourceError> {
        let found = supplier.schema();
        let time_column = times.of(model, selection.by);
        check(supplier.origin(), &found, model, time_column, selection.by)?;
        let schema = Arc::new(Schema::new(fit::wanted(model, &found)));
        let index = |name: &str| found.index_of(name).ok();
        Ok(Self {
            columns: schema.fields().iter().filter_map(|field| index(field.name())).collect(),
            time: time_column.and_then(index),
            event: (model == Model::Events.name()).then(|| index("event")).flatten(),
            schema,
            supplier,
            selection,
            tally: Tally::default(),
            token: token.clone(),
        })
    }

    /// Omits rows of other intervals and events, then brings the rest into the model's columns.
    fn selected(&mut self, batch: &RecordBatch) -> Result<RecordBatch, SourceError> {
        let before = self.tally.rows_read;
        let rows = batch.num_rows();
        self.tally.rows_read += rows as u64;
        let mut mask = BooleanArray::from(vec![true; rows]);
        if let Some(time) = self.time {
            let (times, unit) = times(batch.column(time)).map_err(|cause| self.broken(cause))?;
            let timed = Bounds::new(&self.selection.interval, unit).mask(&times, unit);
            let inside = timed.mask.true_count();
            self.tally.rows_without_time += timed.without_time;
            self.tally.rows_outside_interval += (rows - inside) as u64 - timed.without_time;
            mask = timed.mask;
        }
        if let Some(event) = self.event
            && !self.selection.events.takes_all()
        {
            let inside = mask.true_count();
            let broken = |cause| self.broken(cause);
            let events = convert::to(batch.column(event), &DataType::Utf8).map_err(broken)?;
            let wanted = self.selection.events.mask(&events).map_err(broken)?;
            mask = compute::and(&mask, &wanted).map_err(broken)?;
            self.tally.rows_of_other_events += (inside - mask.true_count()) as u64;
        }
        if mask.true_count() == rows {
            return self.arranged(batch, |row| before + row as u64);
        }
        let batch = compute::filter_record_batch(batch, &mask).map_err(|cause| self.broken(cause))?;
        self.arranged(&batch, |row| {
            let kept = mask.values().set_indices().nth(row);
            before + kept.unwrap_or(row) as u64
        })
    }

    /// Returns a batch with the model's columns. `row` maps a row of the batch to one of those supplied.
    fn arranged(&self, batch: &RecordBatch, row: impl Fn(usize) -> u64) -> Result<RecordBatch, SourceError> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (field, index) in self.schema.fields().iter().zip(&self.columns) {
            let fitted = fit::fitted(batch.column(*index), field.data_type());
            columns.push(fitted.map_err(|unfit| match unfit {
                Unfit::Value(at, cause) => self.bad_value(row(at) + 1, field, cause),
                Unfit::Column(cause) => self.broken(cause),
            })?);
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|cause| self.broken(cause))
    }

    fn bad_value(&self, row: u64, field: &FieldRef, cause: Cause) -> SourceError {
        let cause = cause.map(|text| format!("row {}, column `{}`: {text}", count(row), field.name()));
        SourceError::supplier(self.supplier.origin(), cause, SourceErrorKind::Permanent)
    }

    fn broken(&self, cause: impl ToString) -> SourceError {
        let cause = Cause::new(format!("its rows cannot be decoded: {}", cause.to_string()))
            .with_hint("report this with the source's columns and their types");
        SourceError::supplier(self.supplier.origin(), cause, SourceErrorKind::Permanent)
    }

    /// Returns the next rows. Decoders may panic on what a supplier sends: that ends the run, and nothing more.
    fn next(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        let supplier = &mut self.supplier;
        let batch = catch_unwind(AssertUnwindSafe(|| supplier.next_batch()))
            .unwrap_or_else(|panic| Err(self.broken(said(panic.as_ref()))))?;
        batch.map(|batch| self.selected(&batch)).transpose()
    }
}

impl Source for Supplied {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        self.token.check()?;
        // What a connection makes of work that was ended looks like a failure of the supplier.
        self.next().or_else(|error| {
            self.token.check()?;
            Err(error)
        })
    }

    fn tally(&self) -> Tally {
        let without_time = self.supplier.rows_without_time();
        Tally {
            rows_read: self.tally.rows_read.saturating_add(without_time),
            rows_without_time: self.tally.rows_without_time.saturating_add(without_time),
            ..self.tally
        }
    }

    fn warnings(&self) -> Vec<Cause> {
        self.supplier.warnings()
    }
}

/// Checks for columns that are missing, of another kind or doubled, and for the time column.
pub(crate) fn check(
    origin: &str,
    found: &Schema,
    model: &str,
    time_column: Option<&str>,
    by: TimeOf,
) -> Result<(), SourceError> {
    let mut problems = fit::problems_of_model(model, found);
    if found.fields().is_empty() {
        problems.push("there are no columns".to_owned());
    }
    let known = Model::named(model).map(Model::schema);
    if let Some(name) = time_column.filter(|_| !found.fields().is_empty())
        && !found
            .field_with_name(name)
            .is_ok_and(|field| is_date(field.data_type()))
    {
        problems.extend(time_column::problem(name, by, found, known.as_deref()));
    }
    problems.extend(fit::problems_of_names(found));
    match problems.is_empty() {
        true => Ok(()),
        false => Err(SourceError::SuppliedColumns {
            origin: origin.to_owned(),
            model: model.to_owned(),
            problems,
        }),
    }
}

fn is_date(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date32 | DataType::Date64)
}

/// Returns the times of a column, and their unit. A date is its first moment in UTC.
fn times(column: &ArrayRef) -> Result<(ArrayRef, TimeUnit), arrow::error::ArrowError> {
    match column.data_type() {
        DataType::Timestamp(unit, _) => Ok((Arc::clone(column), *unit)),
        _ => {
            let seconds = DataType::Timestamp(TimeUnit::Second, None);
            Ok((convert::to(column, &seconds)?, TimeUnit::Second))
        }
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "the decoder failed unexpectedly".to_owned())
}

#[cfg(test)]
mod tests;
