//! Everything between an Arrow record batch and the bytes of a file. Knows no keys, objects or requests, and never
//! looks at anything but rows and settings: the same rows in the same order give the same bytes.
//!
//! A batch's way: [`EventFilter`] drops rows, [`Rechunker`] cuts what is left into [`Block`]s whose boundaries depend
//! on nothing but the rows and whose columns have the types that files hold, and a [`FileEncoder`] takes rows from
//! blocks until the file is full.

mod block;
mod codec;
mod convert;
mod filter;
mod json_text;
mod jsonl;
mod logical;
mod normal;
mod parquet;
mod repeats;
mod row_size;
#[cfg(test)]
mod tests;
mod types;

use std::num::NonZeroU64;

use ::parquet::errors::ParquetError;
use arrow_schema::{ArrowError, Schema};

pub use block::{Block, BlockLimits, Rechunker};
pub use convert::micros;
pub use filter::EventFilter;
pub use json_text::Repairs;
pub use jsonl::{MAX_ROW_TEXT_BYTES, overshoot_bytes as json_lines_overshoot_bytes};
pub use parquet::{
    MAX_FILE_BYTES as PARQUET_MAX_FILE_BYTES, memory_bytes as parquet_memory_bytes,
    overshoot_bytes as parquet_overshoot_bytes,
};
pub use types::{Meaning, is_text, is_uuid};

use self::convert::Target;
use crate::failure::{Explanation, Failure};
use crate::settings::Format;
use crate::words::count;

/// Output that an encoder gathers before it should be taken: enough that calls do not matter, little next to a part.
pub const OUTPUT_CHUNK_BYTES: usize = 64 << 10;

/// The reason why rows cannot become a file. All but the last three are the fault of the supplied data. The text says
/// what happened, and [`EncodeError::hint`] what to do.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// Found when a run is configured, before the first row: every column that cannot be exported.
    #[error("{}", listed(.0))]
    UnsupportedColumns(Vec<UnsupportedColumn>),
    #[error("the schema has no columns, so there is nothing to export")]
    NoColumns,
    /// Found when a run is configured. JSON readers keep one of two values with the same key, and Parquet readers find
    /// a column by its path.
    #[error("{within} has two fields named {name:?}, of which readers would see only one")]
    DuplicateName {
        /// What holds both: the schema, or a column with a nested type.
        within: String,
        name: String,
    },
    /// Found when a run is configured, as [`EncodeError::UnsupportedColumns`].
    #[error(
        "the schema has {columns} columns (fields of nested columns counted), and a Parquet file with this compression \
         takes at most {most}: the writer keeps buffers for each of them, and so does zstd"
    )]
    TooManyColumns {
        columns: usize,
        most: usize,
        hint: &'static str,
    },
    #[error(
        "row {} (counted from 0 in this run, excluding filtered rows) holds {} bytes, more than the limit of {}",
        count(*row),
        count(*bytes),
        count(*limit_bytes)
    )]
    RowTooLarge { row: u64, bytes: u64, limit_bytes: u64 },
    #[error(
        "row {} (counted from 0 in this run, excluding filtered rows) would be about {} bytes of JSON, more than {} \
         (control characters take six bytes, and keys are repeated in every element of a list)",
        count(*row),
        count(*bytes),
        count(jsonl::MAX_ROW_TEXT_BYTES)
    )]
    TextTooLarge {
        /// In the block, until [`EncodeError::counted_from`] tells it of the blocks before.
        row: u64,
        bytes: u64,
    },
    #[error(
        "column `{column}`, row {} (counted from 0 in this run, excluding filtered rows): the value does not fit \
         {target}",
        count(*row)
    )]
    OutOfRange { column: String, row: u64, target: String },
    #[error("{0}, and filtering by event name needs a string column `event`")]
    EventColumn(String),
    #[error("the rows cannot be read: {0}")]
    Arrow(#[from] ArrowError),
    #[error("the Parquet writer failed: {0}")]
    Parquet(#[from] ParquetError),
    #[error("the codec failed: {0}")]
    Codec(#[from] std::io::Error),
}

/// A column that cannot be exported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column `{column}` is of type {data_type}: {reason}")]
pub struct UnsupportedColumn {
    pub column: String,
    pub data_type: String,
    pub reason: &'static str,
}

/// Columns that a message lists at most.
const LISTED_COLUMNS: usize = 20;

fn listed(columns: &[UnsupportedColumn]) -> String {
    let listed: Vec<String> = columns.iter().take(LISTED_COLUMNS).map(ToString::to_string).collect();
    match columns.len().saturating_sub(LISTED_COLUMNS) {
        0 => listed.join("; "),
        more => format!("{}; and {more} more", listed.join("; ")),
    }
}

impl EncodeError {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            EncodeError::UnsupportedColumns(_) => Some("convert the column in the source, or omit it"),
            EncodeError::NoColumns => Some("choose a source with columns"),
            EncodeError::DuplicateName { .. } => Some("rename one of them in the source"),
            EncodeError::TooManyColumns { hint, .. } => Some(hint),
            EncodeError::RowTooLarge { .. } => Some("raise max_row_mb, or shorten the row in the source"),
            EncodeError::TextTooLarge { .. } => Some("shorten the row in the source, or export to Parquet"),
            EncodeError::OutOfRange { .. } => Some("correct the value in the source"),
            EncodeError::EventColumn(_) => Some("supply the column, or remove include_events and exclude_events"),
            EncodeError::Arrow(_) | EncodeError::Parquet(_) | EncodeError::Codec(_) => None,
        }
    }

    /// Returns the same error with the row counted in the run, for a block whose first row is `first_row`.
    pub fn counted_from(self, first_row: u64) -> Self {
        match self {
            EncodeError::TextTooLarge { row, bytes } => EncodeError::TextTooLarge {
                row: first_row + row,
                bytes,
            },
            other => other,
        }
    }
}

impl From<EncodeError> for Failure {
    fn from(error: EncodeError) -> Self {
        let hint = error.hint().map(str::to_owned);
        Failure::Data(Explanation::new(error.to_string()).with_hint(hint))
    }
}

/// What every file of a run has in common, prepared once: column encoders, writer properties, limits.
#[derive(Debug, Clone)]
pub struct Layout {
    target: Target,
    limit_bytes: Option<NonZeroU64>,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    JsonLines(jsonl::Plan),
    Parquet(Box<parquet::Plan>),
}

impl Layout {
    /// Decides how rows of `schema` become files. `meanings` says what each column means in the model (further columns
    /// have their own meaning). `limit_bytes` closes a file once it holds that many bytes.
    ///
    /// # Errors
    /// A column of a type that the format cannot hold, named with its type; or more columns than it can.
    pub fn new(
        schema: &Schema,
        format: Format,
        limit_bytes: Option<NonZeroU64>,
        meanings: &[Meaning],
    ) -> Result<Self, EncodeError> {
        check_schema(schema, format)?;
        let meanings = types::meanings(schema, meanings);
        let (schema, kind) = match format {
            Format::JsonLines(codec) => {
                let schema = types::json_lines_schema(schema);
                let plan = jsonl::Plan::new(&schema, &meanings, codec)?;
                (schema, Kind::JsonLines(plan))
            }
            Format::Parquet(codec) => {
                let schema = types::parquet_schema(schema, &meanings);
                let plan = parquet::Plan::new(&schema, &meanings, codec)?;
                (schema, Kind::Parquet(Box::new(plan)))
            }
        };
        let target = Target {
            schema,
            bounds_decimals: matches!(kind, Kind::Parquet(_)),
        };
        Ok(Layout {
            target,
            limit_bytes,
            kind,
        })
    }

    /// Returns what [`Rechunker`] converts rows to for the encoders.
    fn target(&self) -> &Target {
        &self.target
    }
}

/// Refuses what the format cannot hold, before the first row.
///
/// # Errors
/// Every column that cannot be exported, with its type and the reason; or that there are no columns.
pub fn check_schema(schema: &Schema, format: Format) -> Result<(), EncodeError> {
    types::check_schema(schema, format)
}

/// One open file.
pub struct FileEncoder {
    rows: u64,
    inner: Inner,
}

enum Inner {
    JsonLines(Box<jsonl::LinesEncoder>),
    Parquet(Box<parquet::ParquetEncoder>),
}

/// A finished file's last bytes and what it holds in all.
#[derive(Debug)]
pub struct Finished {
    /// What was produced since the last [`FileEncoder::take_output`].
    pub output: Vec<u8>,
    /// Rows in the file.
    pub rows: u64,
    /// Bytes before compression: JSON text, or encoded Parquet pages.
    pub bytes_encoded: u64,
    /// Repairs made to its JSON columns.
    pub repairs: Repairs,
}

impl FileEncoder {
    /// Opens a file.
    ///
    /// # Errors
    /// The codec or the Parquet writer cannot be set up.
    pub fn new(layout: &Layout) -> Result<Self, EncodeError> {
        let limit_bytes = layout.limit_bytes.map(NonZeroU64::get);
        let inner = match &layout.kind {
            Kind::JsonLines(plan) => Inner::JsonLines(Box::new(jsonl::LinesEncoder::new(plan.clone(), limit_bytes)?)),
            Kind::Parquet(plan) => Inner::Parquet(Box::new(parquet::ParquetEncoder::new(
                plan.as_ref().clone(),
                limit_bytes,
            ))),
        };
        Ok(FileEncoder { rows: 0, inner })
    }

    /// Takes rows of `block` from `from_row` on, until the block is used up, the file is full or
    /// [`OUTPUT_CHUNK_BYTES`] of output should be taken; returns how many were taken. Where the file is full the rest
    /// belongs to the next file. `block` has the schema that [`Rechunker`] gives it.
    ///
    /// # Errors
    /// The Parquet writer or the codec failed.
    pub fn write(&mut self, block: &Block, from_row: usize) -> Result<usize, EncodeError> {
        let taken = match &mut self.inner {
            Inner::JsonLines(encoder) => encoder.write(&block.rows, from_row)?,
            Inner::Parquet(encoder) => encoder.write(block, from_row)?,
        };
        self.rows += taken as u64;
        Ok(taken)
    }

    /// Returns whether the file holds at least its limit of written bytes: finish it and open the next. A Parquet file
    /// is full at [`PARQUET_MAX_FILE_BYTES`] even where no limit is set.
    pub fn is_full(&self) -> bool {
        match &self.inner {
            Inner::JsonLines(encoder) => encoder.is_full(),
            Inner::Parquet(encoder) => encoder.is_full(),
        }
    }

    /// Returns the number of bytes that [`FileEncoder::take_output`] would return.
    pub fn output_len(&self) -> usize {
        match &self.inner {
            Inner::JsonLines(encoder) => encoder.output_len(),
            Inner::Parquet(encoder) => encoder.output_len(),
        }
    }

    /// Takes the bytes produced so far, without copying them.
    pub fn take_output(&mut self) -> Vec<u8> {
        match &mut self.inner {
            Inner::JsonLines(encoder) => encoder.take_output(),
            Inner::Parquet(encoder) => encoder.take_output(),
        }
    }

    /// Returns the number of rows taken so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Closes the file.
    ///
    /// # Errors
    /// The Parquet writer or the codec failed.
    pub fn finish(self) -> Result<Finished, EncodeError> {
        let rows = self.rows;
        match self.inner {
            Inner::JsonLines(encoder) => encoder.finish(rows),
            Inner::Parquet(encoder) => encoder.finish(rows),
        }
    }
}
