//! Writes blocks as a Parquet file, closing row groups early enough for the file to end near its limit. Never
//! converts a type: blocks come as `convert` makes them.

use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_writer::ArrowWriterOptions;
use ::parquet::basic::{BrotliLevel, Compression, Encoding, GzipLevel, LogicalType, Type as PhysicalType, ZstdLevel};
use ::parquet::file::metadata::RowGroupMetaData;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use ::parquet::schema::types::{ColumnDescriptor, ColumnPath, SchemaDescriptor};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::normal::normal;
use super::repeats::seldom_repeats;
use super::types::Meaning;
use super::{Block, EncodeError, Finished, Repairs, logical};
use crate::settings::ParquetCodec;

/// Smallest row group begun for a file that nears its limit: below this, metadata outweighs data.
const MIN_ROW_GROUP_BYTES: u64 = 1 << 20;
/// Largest row group, encoded. It is held in memory until it is complete, and once more while it is written out; at
/// usual compression it is some 50,000 rows, what readers like to spread over threads. Measured: with 16 MiB the
/// guest took 140 to 160 MiB in all.
const MAX_ROW_GROUP_BYTES: u64 = 8 << 20;
/// Maximum memory for a row group in progress, dictionaries under construction included, whatever it will encode to.
const MAX_ROW_GROUP_MEMORY_BYTES: usize = 24 << 20;
/// Rows of a row group take at most this before they are encoded, and one block. The writer keeps each compressed page
/// in a buffer of the size that it had before (parquet 60, pages of version 2), so that rows which compress a hundred
/// times would take the memory of a hundred row groups; and readers have to hold them.
const MAX_ROW_GROUP_VALUE_BYTES: u64 = 64 << 20;
/// Maximum number of rows of a row group: bounds the page index where rows are tiny.
const MAX_ROW_GROUP_ROWS: usize = 1 << 20;
/// A data page ends at this size before compression, what a reader decodes at once, ...
const DATA_PAGE_BYTES: usize = 1 << 20;
/// ... or at this many rows, so that the page index can skip to few of them.
const DATA_PAGE_ROWS: usize = 20_000;
/// A dictionary larger than this is no longer worthwhile: the column continues in plain encoding.
const DICTIONARY_PAGE_BYTES: usize = 1 << 20;
/// Minimum and maximum of long strings are cut to this, in footer and page index.
const STATISTICS_BYTES: usize = 64;
/// A file is full at this size whatever its limit: the Parquet writer counts positions in `usize`, which in the guest
/// ends at 4 GiB. The rest is for the row group in progress and the footer.
pub const MAX_FILE_BYTES: u64 = (4 << 30) - (256 << 20);
/// What columns may take in all before the first row: three quarters of what the plugin asks for; the row group under
/// way, the parts in flight and a row take the rest.
const COLUMNS_MEMORY_BYTES: u64 = 384 << 20;
/// What the writer of one column takes.
const COLUMN_BYTES: u64 = 32 << 10;
/// What zstd keeps for one column on top of that, to compress and to decompress. Measured with pages of 4 KiB, which is
/// what so many columns leave each other: 200 KiB up to level 9, ...
const ZSTD_COLUMN_BYTES: u64 = 256 << 10;
/// ... and 370 KiB from level 10 on.
const ZSTD_DEEP_COLUMN_BYTES: u64 = 512 << 10;
/// The first level that takes so much.
const ZSTD_DEEP_FROM_LEVEL: i32 = 10;
/// The first level whose tables grow with pages to many MiB for each column.
const ZSTD_SMALLER_PAGES_FROM_LEVEL: i32 = 9;
/// The size of pages from that level on, and what zstd's tables for one column then take at most, both in KiB:
/// `ZSTD_estimateCCtxSize_usingCParams` of zstd 1.5.7 over levels 9 to 19, for a page that ends a little later.
const ZSTD_TABLES_KIB: [(usize, u64); 9] = [
    (1_024, 34_816),
    (512, 18_432),
    (256, 10_240),
    (128, 6_144),
    (64, 3_072),
    (32, 2_048),
    (16, 1_280),
    (8, 640),
    (4, 512),
];
/// Fixed, so that bytes do not depend on the versions of libraries more than they must.
const CREATED_BY: &str = "batch-export";

/// What every Parquet file of a run has in common.
#[derive(Debug, Clone)]
pub struct Plan {
    properties: WriterProperties,
    columns: SchemaDescriptor,
    schema: SchemaRef,
}

impl Plan {
    /// Writer options for blocks of `schema`; `meanings` says what each column means in the model.
    ///
    /// # Errors
    /// The codec has no such level, or needs more memory for so many columns than there is.
    pub fn new(schema: &SchemaRef, meanings: &[Meaning], codec: ParquetCodec) -> Result<Self, EncodeError> {
        let columns = logical::parquet_schema(schema)?;
        check_width(columns.num_columns(), codec)?;
        let plan = Plan {
            properties: properties(&columns, meanings, codec)?,
            columns,
            schema: SchemaRef::clone(schema),
        };
        // What the writer refuses is said before the first row.
        plan.open(None)?;
        Ok(plan)
    }

    /// Opens a file that begins with these rows, or one without rows. Text that hardly repeats in them is written
    /// without a dictionary, which the writer would give up only when it is full. The rows alone decide, so equal rows
    /// still give equal files.
    fn open(&self, first: Option<&RecordBatch>) -> Result<ArrowWriter<Vec<u8>>, EncodeError> {
        let mut properties = self.properties.clone().into_builder();
        let columns = first.map(RecordBatch::columns).unwrap_or_default();
        for (field, _) in self
            .schema
            .fields()
            .iter()
            .zip(columns)
            .filter(|(_, column)| seldom_repeats(column))
        {
            let path = ColumnPath::from(vec![field.name().clone()]);
            properties = properties.set_column_dictionary_enabled(path, false);
        }
        let options = ArrowWriterOptions::new()
            .with_properties(properties.build())
            .with_parquet_schema(self.columns.clone())
            // The embedded Arrow schema would make Arrow readers restore the source's own types (views, large
            // strings) while all others see Parquet's: every reader shall see the same.
            .with_skip_arrow_metadata(true);
        let schema = SchemaRef::clone(&self.schema);
        Ok(ArrowWriter::try_new_with_options(Vec::new(), schema, options)?)
    }
}

fn properties(
    columns: &SchemaDescriptor,
    meanings: &[Meaning],
    codec: ParquetCodec,
) -> Result<WriterProperties, EncodeError> {
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(compression(codec)?)
        .set_max_row_group_row_count(Some(MAX_ROW_GROUP_ROWS))
        // The writer looks for the end of a page once in so many rows or a page's rows, which of them depends on how
        // its arrays are built. With one number for both, pages end where the rows say.
        .set_write_batch_size(DATA_PAGE_ROWS)
        .set_data_page_size_limit(data_page_bytes(columns.num_columns(), codec))
        .set_data_page_row_count_limit(DATA_PAGE_ROWS)
        .set_dictionary_page_size_limit(DICTIONARY_PAGE_BYTES)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_statistics_truncate_length(Some(STATISTICS_BYTES))
        .set_column_index_truncate_length(Some(STATISTICS_BYTES));
    for (index, column) in columns.columns().iter().enumerate() {
        let path = column.path();
        if let Some(encoding) = plain_encoding(column) {
            properties = properties.set_column_encoding(path.clone(), encoding);
        }
        let meaning = meanings.get(columns.get_column_root_idx(index));
        let is_nested = path.parts().len() > 1;
        let is_json =
            column.logical_type_ref() == Some(&LogicalType::Json) || (!is_nested && meaning == Some(&Meaning::Json));
        if is_json {
            // Its minimum and maximum tell a reader nothing.
            properties = properties.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
        }
        if is_seldom_repeated(column) || (is_json && is_nested) {
            properties = properties.set_column_dictionary_enabled(path.clone(), false);
        }
    }
    Ok(properties.build())
}

/// How values are written that no dictionary holds, where the library's choice for version 2 (`DELTA_BYTE_ARRAY` for
/// all bytes) does not serve readers: Polars refuses it for values of fixed length, and all are slower with it.
fn plain_encoding(column: &ColumnDescriptor) -> Option<Encoding> {
    match column.physical_type() {
        PhysicalType::BYTE_ARRAY => Some(Encoding::DELTA_LENGTH_BYTE_ARRAY),
        PhysicalType::FIXED_LEN_BYTE_ARRAY => Some(Encoding::PLAIN),
        _ => None,
    }
}

/// Binary values are hashes, ids and blobs. Times of events have microseconds, and are smaller as differences than in a
/// dictionary. Measured on sample events, with the smaller row groups: files 11 % smaller, a sixth less CPU.
fn is_seldom_repeated(column: &ColumnDescriptor) -> bool {
    let is_bytes = matches!(
        column.physical_type(),
        PhysicalType::BYTE_ARRAY | PhysicalType::FIXED_LEN_BYTE_ARRAY
    );
    match column.logical_type_ref() {
        Some(LogicalType::Timestamp(_) | LogicalType::Uuid) => true,
        None => is_bytes,
        Some(_) => false,
    }
}

/// Refuses more columns than the memory takes that the plugin asks for.
fn check_width(columns: usize, codec: ParquetCodec) -> Result<(), EncodeError> {
    let column_bytes = column_bytes(codec);
    let most = (COLUMNS_MEMORY_BYTES / column_bytes) as usize;
    if columns <= most {
        return Ok(());
    }
    Err(EncodeError::TooManyColumns {
        columns,
        most,
        hint: match codec {
            ParquetCodec::Zstd(_) => "select fewer columns, use the compression `snappy`, or export to JSONLines",
            _ => "select fewer columns, or export to JSONLines",
        },
    })
}

/// Returns the size at which pages end. It depends on settings and schema alone: with more columns pages get smaller
/// where zstd's tables grow with them, so that those of all columns fit into [`COLUMNS_MEMORY_BYTES`].
fn data_page_bytes(columns: usize, codec: ParquetCodec) -> usize {
    match codec {
        ParquetCodec::Zstd(level) if level >= ZSTD_SMALLER_PAGES_FROM_LEVEL => {
            let fits = |tables_kib: u64| (columns as u64 * tables_kib) << 10 <= COLUMNS_MEMORY_BYTES;
            let [.., (smallest_kib, _)] = ZSTD_TABLES_KIB;
            let page_kib = ZSTD_TABLES_KIB
                .into_iter()
                .find(|(_, tables_kib)| fits(*tables_kib))
                .map_or(smallest_kib, |(page_kib, _)| page_kib);
            page_kib << 10
        }
        _ => DATA_PAGE_BYTES,
    }
}

fn compression(codec: ParquetCodec) -> Result<Compression, EncodeError> {
    Ok(match codec {
        ParquetCodec::None => Compression::UNCOMPRESSED,
        ParquetCodec::Gzip(level) => Compression::GZIP(GzipLevel::try_new(level)?),
        ParquetCodec::Brotli(level) => Compression::BROTLI(BrotliLevel::try_new(level)?),
        ParquetCodec::Zstd(level) => Compression::ZSTD(ZstdLevel::try_new(level)?),
        ParquetCodec::Lz4 => Compression::LZ4_RAW,
        ParquetCodec::Snappy => Compression::SNAPPY,
    })
}

fn column_bytes(codec: ParquetCodec) -> u64 {
    match codec {
        ParquetCodec::Zstd(level) if level >= ZSTD_DEEP_FROM_LEVEL => COLUMN_BYTES + ZSTD_DEEP_COLUMN_BYTES,
        ParquetCodec::Zstd(_) => COLUMN_BYTES + ZSTD_COLUMN_BYTES,
        _ => COLUMN_BYTES,
    }
}

/// Returns the most memory that writing a table of so many columns takes, rows aside: the row group in progress, its
/// encoded bytes twice while they are written out, and the writers of the columns.
pub fn memory_bytes(codec: ParquetCodec, columns: usize) -> u64 {
    let columns_bytes = match codec {
        ParquetCodec::Zstd(level) if level >= ZSTD_SMALLER_PAGES_FROM_LEVEL => COLUMNS_MEMORY_BYTES,
        _ => columns as u64 * column_bytes(codec),
    };
    MAX_ROW_GROUP_VALUE_BYTES + MAX_ROW_GROUP_MEMORY_BYTES as u64 + 2 * MAX_ROW_GROUP_BYTES + columns_bytes
}

/// Returns the most by which a file can exceed its limit: the smallest row group, the block that completed it, and the
/// metadata (page headers, page index, footer) of all `row_groups` of the file. `largest_block_bytes` is the block
/// limit, or the largest row where that is larger.
pub fn overshoot_bytes(columns: usize, row_groups: usize, largest_block_bytes: u64) -> u64 {
    let metadata = (columns as u64) * (row_groups as u64) * CHUNK_METADATA_BYTES;
    MIN_ROW_GROUP_BYTES + largest_block_bytes + metadata + FOOTER_BYTES
}

/// Footer, page headers and page index of one column of one row group, statistics cut to [`STATISTICS_BYTES`].
const CHUNK_METADATA_BYTES: u64 = 2 << 10;
/// The file's schema and magic bytes.
const FOOTER_BYTES: u64 = 256 << 10;

/// One open Parquet file.
pub struct ParquetEncoder {
    plan: Plan,
    /// Absent until the first rows.
    writer: Option<ArrowWriter<Vec<u8>>>,
    limit_bytes: u64,
    /// What the rows of the row group in progress take.
    value_bytes: u64,
}

impl ParquetEncoder {
    /// Opens a file.
    pub fn new(plan: Plan, limit_bytes: Option<u64>) -> Self {
        ParquetEncoder {
            plan,
            writer: None,
            limit_bytes: limit_bytes.unwrap_or(MAX_FILE_BYTES).min(MAX_FILE_BYTES),
            value_bytes: 0,
        }
    }

    /// Takes all rows from `from_row` on: a block is never split between files, it is small enough.
    ///
    /// # Errors
    /// The writer failed.
    pub fn write(&mut self, block: &Block, from_row: usize) -> Result<usize, EncodeError> {
        let rows = block.rows.num_rows() - from_row;
        self.value_bytes += block.bytes;
        let block = normal(&block.rows.slice(from_row, rows))?;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => self.writer.insert(self.plan.open(Some(&block))?),
        };
        writer.write(&block)?;
        // The row group in progress is closed at what the file lacks to its limit. The estimate counts open pages
        // before compression, so a file nears its limit in a few ever smaller row groups.
        let lacking_bytes = self.limit_bytes.saturating_sub(writer.bytes_written() as u64);
        let row_group_bytes = lacking_bytes.clamp(MIN_ROW_GROUP_BYTES, MAX_ROW_GROUP_BYTES);
        let size_bytes = writer.in_progress_size();
        if size_bytes as u64 >= row_group_bytes
            || writer.memory_size() >= MAX_ROW_GROUP_MEMORY_BYTES
            || self.value_bytes >= MAX_ROW_GROUP_VALUE_BYTES
        {
            // Growing the output by doubling would need three times the row group for a moment.
            writer.inner_mut().reserve(size_bytes);
            writer.flush()?;
            self.value_bytes = 0;
        }
        Ok(rows)
    }

    /// Returns whether completed row groups fill the file.
    pub fn is_full(&self) -> bool {
        let written_bytes = self.writer.as_ref().map_or(0, ArrowWriter::bytes_written);
        written_bytes as u64 >= self.limit_bytes
    }

    /// Returns how much output has not been taken.
    pub fn output_len(&self) -> usize {
        self.writer.as_ref().map_or(0, |writer| writer.inner().len())
    }

    /// Takes the output. The writer counts positions itself and never looks back.
    pub fn take_output(&mut self) -> Vec<u8> {
        let writer = self.writer.as_mut();
        writer
            .map(|writer| std::mem::take(writer.inner_mut()))
            .unwrap_or_default()
    }

    /// Writes what is left and the footer.
    ///
    /// # Errors
    /// The writer failed.
    pub fn finish(self, rows: u64) -> Result<Finished, EncodeError> {
        let mut writer = match self.writer {
            Some(writer) => writer,
            None => self.plan.open(None)?,
        };
        let size_bytes = writer.in_progress_size();
        writer.inner_mut().reserve(size_bytes);
        let metadata = writer.finish()?;
        let encoded = metadata.row_groups().iter().map(RowGroupMetaData::total_byte_size);
        Ok(Finished {
            bytes_encoded: encoded.map(i64::unsigned_abs).sum(),
            output: std::mem::take(writer.inner_mut()),
            rows,
            repairs: Repairs::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_deep_zstd_get_smaller_with_the_number_of_columns() {
        for (columns, level, page_kib) in [
            (1, 19, 1_024),
            (11, 10, 1_024),
            (12, 10, 512),
            (24, 15, 256),
            (100, 19, 64),
            (700, 19, 4),
            (24, 9, 256),
            (24, 8, 1_024),
            (700, 1, 1_024),
        ] {
            let page_bytes = data_page_bytes(columns, ParquetCodec::Zstd(level));
            assert_eq!(page_bytes, page_kib << 10, "{columns} columns, level {level}");
        }
        assert_eq!(data_page_bytes(700, ParquetCodec::Snappy), DATA_PAGE_BYTES);
    }
}
