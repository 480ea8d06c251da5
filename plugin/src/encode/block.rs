//! Cuts a run's rows into blocks whose boundaries depend on nothing but the rows, so that no byte of a file depends
//! on how the host batched them. Never reorders, drops or changes a row (types aside, see `convert`).

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;

use super::convert::{self, Target};
use super::{EncodeError, Layout, row_size};

/// The maximum sizes of a block and a row.
#[derive(Debug, Clone, Copy)]
pub struct BlockLimits {
    /// A block has at most this many rows.
    pub max_rows: usize,
    /// A block of more than one row has at most this many bytes; a larger row is a block of its own.
    pub max_bytes: u64,
    /// A larger row is an error.
    pub max_row_bytes: u64,
}

/// Rows of a block: as many as the Parquet writer encodes well in one go.
const MAX_ROWS: usize = 4096;
/// Bytes of a block: what one Parquet data page holds, and what a Parquet file can overshoot its limit by.
const MAX_BYTES: u64 = 1 << 20;

impl BlockLimits {
    /// Returns the limits of an export; `max_row_bytes` is the configuration's.
    pub fn of_export(max_row_bytes: usize) -> Self {
        BlockLimits {
            max_rows: MAX_ROWS,
            max_bytes: MAX_BYTES,
            max_row_bytes: max_row_bytes as u64,
        }
    }
}

/// Consecutive rows, with the types that files hold.
#[derive(Debug, Clone)]
pub struct Block {
    /// Number of the first row in the run, from 0, without filtered rows.
    pub first_row: u64,
    /// What the rows take, as they were supplied.
    pub bytes: u64,
    pub rows: RecordBatch,
}

/// Takes batches of any size and gives blocks.
///
/// It holds less than one block of rows between calls (as slices of the batches they came in).
#[derive(Debug)]
pub struct Rechunker {
    limits: BlockLimits,
    target: Target,
    pending: Vec<RecordBatch>,
    pending_rows: usize,
    pending_bytes: u64,
    /// Number of the first pending row.
    first_row: u64,
}

impl Rechunker {
    /// Returns a re-chunker for the rows of one run.
    pub fn new(layout: &Layout, limits: BlockLimits) -> Self {
        Rechunker {
            limits,
            target: layout.target().clone(),
            pending: Vec::new(),
            pending_rows: 0,
            pending_bytes: 0,
            first_row: 0,
        }
    }

    /// Takes a batch in; gives the blocks that are complete with it, in order.
    ///
    /// # Errors
    /// A row over the limit, or a value that the target type cannot hold; both name the row.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<Vec<Block>, EncodeError> {
        let mut blocks = Vec::new();
        let mut start = 0;
        for (row, bytes) in row_size::row_bytes(batch)?.into_iter().enumerate() {
            self.check_row(start, row, bytes)?;
            let rows = self.pending_rows + (row - start);
            let too_many_rows = rows >= self.limits.max_rows;
            let too_many_bytes = self.pending_bytes.saturating_add(bytes) > self.limits.max_bytes;
            if rows > 0 && (too_many_rows || too_many_bytes) {
                self.append(batch, start, row);
                blocks.push(self.close()?);
                start = row;
            }
            self.pending_bytes = self.pending_bytes.saturating_add(bytes);
        }
        self.append(batch, start, batch.num_rows());
        Ok(blocks)
    }

    /// Returns the last block, if rows are left.
    ///
    /// # Errors
    /// As for [`Rechunker::push`].
    pub fn finish(mut self) -> Result<Option<Block>, EncodeError> {
        if self.pending_rows == 0 {
            return Ok(None);
        }
        self.close().map(Some)
    }

    fn check_row(&self, start: usize, row: usize, bytes: u64) -> Result<(), EncodeError> {
        if bytes <= self.limits.max_row_bytes {
            return Ok(());
        }
        Err(EncodeError::RowTooLarge {
            row: self.first_row + (self.pending_rows + row - start) as u64,
            bytes,
            limit_bytes: self.limits.max_row_bytes,
        })
    }

    /// Notes rows as pending, without copying them; their bytes are counted already.
    fn append(&mut self, batch: &RecordBatch, start: usize, end: usize) {
        if end > start {
            self.pending.push(batch.slice(start, end - start));
            self.pending_rows += end - start;
        }
    }

    /// Makes a block of what is pending: the slice itself where one batch covers it, else one copy.
    fn close(&mut self) -> Result<Block, EncodeError> {
        let mut converted = Vec::with_capacity(self.pending.len());
        let mut row = self.first_row;
        for slice in self.pending.drain(..) {
            let rows = slice.num_rows() as u64;
            converted.push(convert::to_target(&slice, &self.target, row)?);
            row += rows;
        }
        let rows = match converted.len() {
            1 => converted.remove(0),
            _ => concat_batches(&self.target.schema, &converted)?,
        };
        let first_row = std::mem::replace(&mut self.first_row, row);
        self.pending_rows = 0;
        let bytes = std::mem::take(&mut self.pending_bytes);
        Ok(Block { first_row, bytes, rows })
    }
}
