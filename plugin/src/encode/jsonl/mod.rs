//! Writes blocks as JSON Lines: one object per row, keys in column order, every column present. Compresses the text in
//! pieces that depend on the rows alone, and closes a file at most one record past its limit.

mod column;
mod number;
mod scalar;
mod text_size;
mod time;

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;

use self::column::{Column, Scratch};
use super::codec::{FLUSH_BYTES, Stream, bound_bytes};
use super::types::{self, Meaning};
use super::{EncodeError, Finished, OUTPUT_CHUNK_BYTES};
use crate::settings::JsonLinesCodec;

/// Text is handed to the codec once there is this much, at the end of a row: small enough to stay in the cache
/// between being written and being compressed, large enough for the codec to work without interruption.
const TEXT_BLOCK_BYTES: usize = 64 << 10;
/// Maximum text of one row: twice the largest `max_row_mb`, so that a row of quotes and line breaks still fits. With
/// the row itself and what the codec makes of it, a third of the memory that the plugin asks for stays free.
pub const MAX_ROW_TEXT_BYTES: u64 = 128 << 20;
/// The text buffer is given back after a row that made it larger than this.
const TEXT_BUFFER_BYTES: usize = 4 * TEXT_BLOCK_BYTES;

/// What every JSON Lines file of a run has in common.
#[derive(Debug, Clone)]
pub struct Plan {
    columns: Arc<[Column]>,
    codec: JsonLinesCodec,
    /// Rows are measured before they are written even where they are small.
    measures_every_row: bool,
}

impl Plan {
    /// Encoders for the columns of blocks of `schema`; `meanings` says what each means in the model.
    ///
    /// # Errors
    /// A column's type cannot be represented in JSON Lines.
    pub fn new(schema: &Schema, meanings: &[Meaning], codec: JsonLinesCodec) -> Result<Self, EncodeError> {
        let fields = schema.fields().iter().zip(meanings).enumerate();
        let columns = fields.map(|(index, (field, meaning))| {
            let is_json = *meaning == Meaning::Json || types::is_json(field);
            Column::new(index, field, is_json)
        });
        let columns: Arc<[Column]> = columns.collect::<Result<_, _>>()?;
        Ok(Plan {
            measures_every_row: text_size::keys_outweigh(&columns, TEXT_BUFFER_BYTES),
            columns,
            codec,
        })
    }
}

/// Returns the most by which a file can exceed its limit, for records of at most `record_text_bytes` of text (its line
/// break included).
///
/// Without a codec, only the last record exceeds the limit. With one, the encoder flushes the codec before a
/// further record could carry the file to its limit unseen, so again one record is the most, in its compressed form
/// (which is larger than the text by a 32nd at the worst), and then the end of the stream.
pub fn overshoot_bytes(codec: JsonLinesCodec, record_text_bytes: u64) -> u64 {
    match codec {
        JsonLinesCodec::None => record_text_bytes,
        JsonLinesCodec::Gzip(_) | JsonLinesCodec::Brotli(_) | JsonLinesCodec::Zstd(_) => {
            bound_bytes(record_text_bytes) + FLUSH_BYTES
        }
    }
}

/// Returns the most text that the row has; an error where that is more than memory is reckoned for.
fn measured(columns: &[column::Bound<'_>], row: usize) -> Result<usize, EncodeError> {
    let bytes = text_size::most_bytes(columns, row);
    match usize::try_from(bytes) {
        Ok(fits) if bytes <= MAX_ROW_TEXT_BYTES => Ok(fits),
        _ => Err(EncodeError::TextTooLarge { row: row as u64, bytes }),
    }
}

/// One open JSON Lines file.
pub struct LinesEncoder {
    columns: Arc<[Column]>,
    measures_every_row: bool,
    limit_bytes: Option<u64>,
    stream: Stream,
    compresses: bool,
    /// Rows that the codec has not seen yet.
    text: Vec<u8>,
    /// Text that the codec was given since its last flush.
    unflushed_bytes: u64,
    /// What the codec had produced after its last flush.
    flushed_bytes: u64,
    /// Text of the whole file.
    text_bytes: u64,
    full: bool,
    scratch: Scratch,
}

impl LinesEncoder {
    /// Opens a file.
    ///
    /// # Errors
    /// The codec cannot be set up.
    pub fn new(plan: Plan, limit_bytes: Option<u64>) -> Result<Self, EncodeError> {
        Ok(LinesEncoder {
            columns: plan.columns,
            measures_every_row: plan.measures_every_row,
            limit_bytes,
            stream: Stream::new(plan.codec)?,
            compresses: plan.codec != JsonLinesCodec::None,
            text: Vec::new(),
            unflushed_bytes: 0,
            flushed_bytes: 0,
            text_bytes: 0,
            full: false,
            scratch: Scratch::default(),
        })
    }

    /// Takes rows until the block is used up, the file is full, or there is so much output that it should be taken: a
    /// block's text can be many times as large as the block.
    ///
    /// # Errors
    /// The codec failed, the block has another schema, or a row's text would be larger than [`MAX_ROW_TEXT_BYTES`].
    pub fn write(&mut self, block: &RecordBatch, from_row: usize) -> Result<usize, EncodeError> {
        let columns = Arc::clone(&self.columns);
        let bound = column::bind(&columns, block)?;
        for row in from_row..block.num_rows() {
            // A block that is one row may hold a large one.
            let text_bytes = match self.measures_every_row || block.num_rows() == 1 {
                true => measured(&bound, row)?,
                false => 0,
            };
            // Without a codec the output is the text: nothing is copied.
            let out = if self.compresses {
                &mut self.text
            } else {
                self.stream.output()
            };
            if text_bytes > TEXT_BUFFER_BYTES {
                // All at once: growing by doubling would take three times as much.
                out.reserve_exact(text_bytes);
            }
            let before = out.len();
            column::write_row(&bound, row, out, &mut self.scratch);
            debug_assert!(
                text_bytes == 0 || out.len() - before <= text_bytes,
                "{} bytes were measured, {} written",
                text_bytes,
                out.len() - before
            );
            self.text_bytes += (out.len() - before) as u64;
            if self.compresses {
                self.compress()?;
            } else {
                self.full = self.limit_bytes.is_some_and(|limit| self.text_bytes >= limit);
            }
            if self.full || self.stream.output_len() >= OUTPUT_CHUNK_BYTES {
                return Ok(row + 1 - from_row);
            }
        }
        Ok(block.num_rows() - from_row)
    }

    /// Gives the codec the text if there is enough of it, and find out whether the file is full if it could be.
    fn compress(&mut self) -> Result<(), EncodeError> {
        let pending_bytes = self.unflushed_bytes + self.text.len() as u64;
        let could_be_full = self.limit_bytes.filter(|limit| {
            // What was produced since the last flush is part of the bound of the text given since.
            self.flushed_bytes + bound_bytes(pending_bytes) >= *limit
        });
        if let Some(limit) = could_be_full {
            self.feed()?;
            self.stream.flush()?;
            self.unflushed_bytes = 0;
            self.flushed_bytes = self.stream.produced_bytes();
            self.full = self.flushed_bytes >= limit;
        } else if self.text.len() >= TEXT_BLOCK_BYTES {
            self.feed()?;
        }
        Ok(())
    }

    fn feed(&mut self) -> Result<(), EncodeError> {
        self.stream.write(&self.text)?;
        self.unflushed_bytes += self.text.len() as u64;
        self.text.clear();
        self.text.shrink_to(TEXT_BUFFER_BYTES);
        Ok(())
    }

    /// Returns whether the file holds its limit.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Returns how much output has not been taken.
    pub fn output_len(&self) -> usize {
        self.stream.output_len()
    }

    /// Takes the output.
    pub fn take_output(&mut self) -> Vec<u8> {
        self.stream.take_output()
    }

    /// Ends the file.
    ///
    /// # Errors
    /// The codec failed.
    pub fn finish(mut self, rows: u64) -> Result<Finished, EncodeError> {
        self.feed()?;
        Ok(Finished {
            output: self.stream.finish()?,
            rows,
            bytes_encoded: self.text_bytes,
            repairs: self.scratch.repairs,
        })
    }
}
