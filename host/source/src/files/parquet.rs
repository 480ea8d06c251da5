//! Batches of a Parquet file: only row groups whose statistics overlap the interval, in batches sized by what rows
//! take once they are decoded. Never skips a row group that has no statistics, and never believes how many rows it has.

use std::sync::Arc;
use std::vec;

use ::parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use ::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use ::parquet::basic::Type as PhysicalType;
use ::parquet::column::page::{Page, PageReader};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::ColumnChunkMetaData;
use ::parquet::file::serialized_reader::SerializedPageReader;
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::DataType;

use super::super::SourceError;
use super::super::message::batch_bytes;
use super::super::select::{Bounds, timestamps};
use super::handle::Handle;
use super::opened::Opened;
use super::{exact, schema};
use crate::arrow_ipc::Describe;

/// Decoded bytes that a batch aims at: two IPC messages.
const BATCH_BYTES: u64 = 8 << 20;
/// Decoded bytes that a batch may have if each of its values were the longest in its dictionary.
const WORST_BATCH_BYTES: u64 = 64 << 20;
/// Rows of a batch at most: beyond them nothing gets faster.
const MAX_BATCH_ROWS: u64 = 8192;
/// Rows of the first batch, when nothing is known of their size but what the file says.
const FIRST_BATCH_ROWS: u64 = 64;
/// Growth from one batch to the next: what is next may be larger than all before.
const GROWTH: u64 = 8;
/// Times that the reader of one row group is made again for larger batches; each time skips what was read.
const MAX_GROWTHS: u32 = 8;

/// Returns a file's columns as they are read.
pub(crate) fn metadata(file: &Handle) -> Result<ArrowReaderMetadata, ParquetError> {
    let found = ArrowReaderMetadata::load(file, ArrowReaderOptions::new())?;
    match schema::as_read(&found) {
        None => Ok(found),
        Some(wanted) => ArrowReaderMetadata::try_new(
            Arc::clone(found.metadata()),
            ArrowReaderOptions::new().with_schema(wanted),
        ),
    }
}

/// The parts of a file that are read and those that are not.
#[derive(Debug)]
pub(crate) struct RowGroups {
    pub read: u64,
    pub pruned: u64,
    pub rows_pruned: u64,
    /// For each row group read: its first row among those read, and in the file.
    pub places: Vec<(u64, u64)>,
}

pub(crate) fn batches(file: &Opened, time_column: &str, bounds: Bounds) -> Result<(Batches, RowGroups), SourceError> {
    let (handle, metadata) = file.parquet()?;
    let handle = Arc::new(handle);
    let wanted = overlapping(&metadata, time_column, bounds).map_err(|error| file.parquet_error(error))?;
    let groups = row_groups(file, &metadata, &wanted)?;
    exact::check(file, &handle, metadata.metadata(), &wanted)?;
    let batches = Batches {
        file: file.describer(),
        handle,
        metadata,
        waiting: wanted.into_iter(),
        current: None,
        rows: FIRST_BATCH_ROWS,
    };
    Ok((batches, groups))
}

/// Checks that the groups' rows are the file's: a footer that counts rows twice may also omit some.
fn row_groups(file: &Opened, metadata: &ArrowReaderMetadata, wanted: &[usize]) -> Result<RowGroups, SourceError> {
    let all = metadata.metadata().row_groups();
    let mut groups = RowGroups {
        read: wanted.len() as u64,
        pruned: (all.len() - wanted.len()) as u64,
        rows_pruned: 0,
        places: Vec::with_capacity(wanted.len()),
    };
    let (mut read, mut seen) = (0_u64, 0_u64);
    for (index, group) in all.iter().enumerate() {
        let rows = u64::try_from(group.num_rows())
            .map_err(|_| file.damaged("one of its row groups has a negative number of rows"))?;
        if wanted.binary_search(&index).is_ok() {
            groups.places.push((read, seen));
            read = read.saturating_add(rows);
        } else {
            groups.rows_pruned = groups.rows_pruned.saturating_add(rows);
        }
        seen = seen.saturating_add(rows);
    }
    let promised = metadata.metadata().file_metadata().num_rows();
    if u64::try_from(promised) != Ok(seen) {
        return Err(file.damaged(format!(
            "its footer declares {promised} rows, but its row groups have {seen}"
        )));
    }
    Ok(groups)
}

fn overlapping(metadata: &ArrowReaderMetadata, time_column: &str, bounds: Bounds) -> Result<Vec<usize>, ParquetError> {
    let groups = metadata.metadata().row_groups();
    let all = || (0..groups.len()).collect();
    // The time may also be the folder's.
    if metadata.schema().column_with_name(time_column).is_none() {
        return Ok(all());
    }
    let converter = StatisticsConverter::try_new(time_column, metadata.schema(), metadata.parquet_schema())?;
    let mins = converter.row_group_mins(groups)?;
    let maxes = converter.row_group_maxes(groups)?;
    let (Some(mins), Some(maxes)) = (Known::new(&mins), Known::new(&maxes)) else {
        return Ok(all());
    };
    Ok((0..groups.len())
        .filter(|group| match (mins.at(*group), maxes.at(*group)) {
            // Statistics that contradict themselves say nothing.
            (Some(min), Some(max)) if min <= max => !bounds.excludes(min, max),
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

/// The wanted row groups, one after the other.
pub(crate) struct Batches {
    file: Opened,
    handle: Arc<Handle>,
    metadata: ArrowReaderMetadata,
    waiting: vec::IntoIter<usize>,
    current: Option<Group>,
    /// Rows that the next batch should have.
    rows: u64,
}

/// A row group that is being read.
struct Group {
    index: usize,
    reader: ParquetRecordBatchReader,
    batch_rows: u64,
    /// Rows that a batch may have whatever was seen so far.
    most_rows: u64,
    read: u64,
    growths: u32,
}

impl Batches {
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        loop {
            let Some(mut group) = self.current.take() else {
                match self.waiting.next() {
                    Some(index) => self.current = Some(self.begin(index)?),
                    None => return Ok(None),
                }
                continue;
            };
            let Some(batch) = group.reader.next() else {
                self.check_whole(&group)?;
                continue;
            };
            let batch = batch.map_err(|error| Describe::arrow_error(&self.file, error))?;
            group.read += batch.num_rows() as u64;
            self.learn(&batch, group.batch_rows)?;
            self.current = Some(self.adapted(group)?);
            return Ok(Some(batch));
        }
    }

    fn begin(&self, index: usize) -> Result<Group, SourceError> {
        let most_rows = self.most_rows(index).map_err(|error| self.file.parquet_error(error))?;
        let batch_rows = self.rows.min(most_rows);
        Ok(Group {
            index,
            reader: self.reader(index, 0, batch_rows)?,
            batch_rows,
            most_rows,
            read: 0,
            growths: 0,
        })
    }

    fn reader(&self, group: usize, skip: u64, rows: u64) -> Result<ParquetRecordBatchReader, SourceError> {
        ParquetRecordBatchReaderBuilder::new_with_metadata(Handle::clone(&self.handle), self.metadata.clone())
            .with_row_groups(vec![group])
            .with_offset(skip as usize)
            .with_batch_size(rows as usize)
            .build()
            .map_err(|error| self.file.parquet_error(error))
    }

    /// Sizes the next batch by this one.
    fn learn(&mut self, batch: &RecordBatch, batch_rows: u64) -> Result<(), SourceError> {
        let rows = (batch.num_rows() as u64).max(1);
        let bytes = batch_bytes(batch).map_err(|error| Describe::arrow_error(&self.file, error))? as u64;
        let fitting = BATCH_BYTES
            .saturating_mul(rows)
            .checked_div(bytes)
            .unwrap_or(MAX_BATCH_ROWS);
        let most = MAX_BATCH_ROWS.min(batch_rows.saturating_mul(GROWTH));
        self.rows = fitting.clamp(1, most);
        Ok(())
    }

    /// Returns a reader with another size of batches, where that is worth skipping what was read.
    fn adapted(&self, mut group: Group) -> Result<Group, SourceError> {
        let rows = self.rows.min(group.most_rows);
        let grows = rows >= 2 * group.batch_rows && group.growths < MAX_GROWTHS;
        let promised = self.metadata.metadata().row_group(group.index).num_rows();
        let is_over = u64::try_from(promised).is_ok_and(|promised| group.read >= promised);
        if is_over || !grows && 2 * rows > group.batch_rows {
            return Ok(group);
        }
        group.reader = self.reader(group.index, group.read, rows)?;
        group.batch_rows = rows;
        group.growths += u32::from(grows);
        Ok(group)
    }

    fn check_whole(&self, group: &Group) -> Result<(), SourceError> {
        let promised = self.metadata.metadata().row_group(group.index).num_rows();
        match u64::try_from(promised) == Ok(group.read) {
            true => Ok(()),
            false => Err(self.file.damaged(format!(
                "its row group {} declares {promised} rows, but contains {}",
                group.index, group.read
            ))),
        }
    }

    /// Returns rows that take [`WORST_BATCH_BYTES`] when each value is the longest of its column's dictionary: the file
    /// says how long a dictionary is, and not how often it uses which value.
    fn most_rows(&self, index: usize) -> Result<u64, ParquetError> {
        let group = self.metadata.metadata().row_group(index);
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        let mut longest = 0_u64;
        for column in group.columns() {
            if column.column_type() == PhysicalType::BYTE_ARRAY {
                longest = longest.saturating_add(self.longest_in_dictionary(column, rows)?);
            }
        }
        let rows = WORST_BATCH_BYTES.checked_div(longest).unwrap_or(MAX_BATCH_ROWS);
        Ok(rows.clamp(1, MAX_BATCH_ROWS))
    }

    fn longest_in_dictionary(&self, column: &ColumnChunkMetaData, rows: usize) -> Result<u64, ParquetError> {
        if column.num_values() <= 0 {
            return Ok(0);
        }
        let mut pages = SerializedPageReader::new(Arc::clone(&self.handle), column, rows, None)?;
        if !pages.peek_next_page()?.is_some_and(|page| page.is_dict) {
            return Ok(0);
        }
        let Some(Page::DictionaryPage { buf, .. }) = pages.get_next_page()? else {
            return Ok(0);
        };
        let (mut longest, mut rest) = (0, buf.as_ref());
        // Each value behind its length. What is wrong in it is the reader's to say.
        while let Some((length, values)) = rest.split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*length);
            longest = longest.max(u64::from(length));
            rest = values.get(length as usize..).unwrap_or_default();
        }
        Ok(longest)
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}
