//! Batches of a Parquet file: only row groups whose statistics overlap the interval, in batches sized by bytes.
//! Never skips a row group that has no statistics.

use ::parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use ::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use ::parquet::errors::ParquetError;
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;

use super::super::SourceError;
use super::super::select::{Bounds, timestamps};
use super::Batches;
use super::opened::Opened;

/// Decoded bytes a batch aims at: one IPC message.
const BATCH_BYTES: u64 = 8 << 20;
/// Rows of a batch at most: beyond them nothing gets faster.
const MAX_BATCH_ROWS: u64 = 8192;

/// How many row groups of a file are read.
#[derive(Debug, Clone, Copy)]
pub struct RowGroups {
    pub read: u64,
    pub pruned: u64,
}

pub fn batches(
    file: &Opened,
    time_column: &str,
    bounds: Bounds,
) -> Result<(Batches, RowGroups), SourceError> {
    let (handle, metadata) = file.parquet_metadata()?;
    let wanted =
        overlapping(&metadata, time_column, bounds).map_err(|error| file.damaged(error))?;
    let groups = RowGroups {
        read: wanted.len() as u64,
        pruned: (metadata.metadata().num_row_groups() - wanted.len()) as u64,
    };
    let rows = batch_rows(&metadata, &wanted);
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(handle, metadata)
        .with_row_groups(wanted)
        .with_batch_size(rows)
        .build()
        .map_err(|error| file.damaged(error))?;
    let describe = file.describer();
    let batches = reader.map(move |batch| batch.map_err(|error| describe.arrow_error(error)));
    Ok((Box::new(batches), groups))
}

fn overlapping(
    metadata: &ArrowReaderMetadata,
    time_column: &str,
    bounds: Bounds,
) -> Result<Vec<usize>, ParquetError> {
    let groups = metadata.metadata().row_groups();
    let converter =
        StatisticsConverter::try_new(time_column, metadata.schema(), metadata.parquet_schema())?;
    let mins = converter.row_group_mins(groups)?;
    let maxes = converter.row_group_maxes(groups)?;
    let (Some(mins), Some(maxes)) = (Known::new(&mins), Known::new(&maxes)) else {
        return Ok((0..groups.len()).collect());
    };
    Ok((0..groups.len())
        .filter(|group| match (mins.at(*group), maxes.at(*group)) {
            (Some(min), Some(max)) => !bounds.excludes(min, max),
            _ => true,
        })
        .collect())
}

/// A statistic where the file has it.
struct Known<'a> {
    array: &'a ArrayRef,
    values: arrow::buffer::ScalarBuffer<i64>,
}

impl<'a> Known<'a> {
    fn new(array: &'a ArrayRef) -> Option<Self> {
        let DataType::Timestamp(unit, _) = array.data_type() else {
            return None;
        };
        Some(Self {
            array,
            values: timestamps(array, *unit),
        })
    }

    fn at(&self, group: usize) -> Option<i64> {
        self.array.is_valid(group).then(|| self.values[group])
    }
}

/// Rows that make up about [`BATCH_BYTES`], by the fattest row group's own count.
fn batch_rows(metadata: &ArrowReaderMetadata, wanted: &[usize]) -> usize {
    let fattest = wanted
        .iter()
        .map(|group| {
            let group = metadata.metadata().row_group(*group);
            let rows = u64::try_from(group.num_rows()).unwrap_or(0).max(1);
            u64::try_from(group.total_byte_size()).unwrap_or(0) / rows
        })
        .max()
        .unwrap_or(0);
    let rows = BATCH_BYTES.checked_div(fattest).unwrap_or(MAX_BATCH_ROWS);
    rows.clamp(1, MAX_BATCH_ROWS) as usize
}
