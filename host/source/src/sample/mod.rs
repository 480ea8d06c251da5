//! Synthetic rows that anyone can reproduce: a row is a function of its number alone, and numbers lie on a grid of
//! time. So any interval gives the same rows every time, and two intervals side by side give what their union gives.
//! Reads no clock and no file.

mod events;
mod persons;
mod random;
mod sessions;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use batch_export_system::Token;

use crate::error::SourceError;
use crate::factory::Source;
use crate::interval::Moment;
use crate::model::Model;
use crate::select::Selection;
use crate::tally::Tally;

/// 2023-01-01T00:00Z: an interval without a start begins here, since no data set begins at minus infinity.
const FIRST_MICROS: i64 = 1_672_531_200_000_000;
const HOUR_MICROS: i128 = 3_600_000_000;
/// Rows of a batch: about 8 MiB of events.
const BATCH_ROWS: i64 = 8192;

/// Rows of one interval.
pub(crate) struct Sample {
    model: Model,
    rows_per_hour: u64,
    selection: Selection,
    /// Number of the next row, counted from the Unix epoch.
    next: i64,
    /// Number of the first row that no longer belongs to the interval.
    end: i64,
    tally: Tally,
    token: Token,
}

/// A row's number and its time.
#[derive(Debug, Clone, Copy)]
struct Row {
    number: i64,
    at_micros: i64,
}

impl Sample {
    pub(crate) fn new(model: Model, rows_per_hour: u64, selection: Selection, token: &Token) -> Self {
        let start = selection.interval.start().unwrap_or(Moment(FIRST_MICROS));
        Self {
            model,
            rows_per_hour,
            next: first_row_from(start, rows_per_hour),
            end: first_row_from(selection.interval.end(), rows_per_hour),
            selection,
            tally: Tally::default(),
            token: token.clone(),
        }
    }

    fn row(&self, number: i64) -> Row {
        Row {
            number,
            at_micros: time_of(number, self.rows_per_hour),
        }
    }

    fn batch(&self, rows: &[Row]) -> Result<RecordBatch, ArrowError> {
        match self.model {
            Model::Events => events::batch(rows),
            Model::Persons => persons::batch(rows),
            Model::Sessions => sessions::batch(rows),
        }
    }
}

/// Returns a row's place on the grid, rounded up to a whole microsecond.
fn time_of(number: i64, rows_per_hour: u64) -> i64 {
    let rows_per_hour = i128::from(rows_per_hour);
    let micros = -(-i128::from(number) * HOUR_MICROS).div_euclid(rows_per_hour);
    // Intervals end before the year 10000, so this is far inside 64 bits.
    i64::try_from(micros).unwrap_or(i64::MAX)
}

/// Returns the first row at or after a moment.
fn first_row_from(moment: Moment, rows_per_hour: u64) -> i64 {
    // The grid's times are rounded up: row n is at or after m exactly if n >= (m - 1 µs) * rate, rounded down, + 1.
    let number = ((i128::from(moment.0) - 1) * i128::from(rows_per_hour)).div_euclid(HOUR_MICROS);
    i64::try_from(number + 1).unwrap_or(i64::MAX)
}

impl Source for Sample {
    fn schema(&self) -> SchemaRef {
        self.model.schema()
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        self.token.check()?;
        if self.next >= self.end {
            return Ok(None);
        }
        let end = self.end.min(self.next + BATCH_ROWS);
        let mut rows: Vec<Row> = (self.next..end).map(|number| self.row(number)).collect();
        self.next = end;
        self.tally.rows_read += rows.len() as u64;
        let events = &self.selection.events;
        if self.model == Model::Events && !events.takes_all() {
            let before = rows.len();
            rows.retain(|row| events.takes(Some(events::name(*row))));
            self.tally.rows_of_other_events += (before - rows.len()) as u64;
        }
        self.batch(&rows).map(Some).map_err(SourceError::Encode)
    }

    fn tally(&self) -> Tally {
        self.tally
    }
}

#[cfg(test)]
mod tests;
