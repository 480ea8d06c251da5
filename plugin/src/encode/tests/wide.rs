//! Tables of very many columns: output comes in bounded pieces, and what memory cannot hold is refused by name.

use std::sync::Arc;

use arrow::array::{Array, BooleanArray, Decimal256Array, Int64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, i256};

use super::*;

/// So many columns with names of that length, and rows of `true`.
fn booleans(columns: usize, name_bytes: usize, rows: usize) -> RecordBatch {
    let values: ArrayRef = Arc::new(BooleanArray::from(vec![true; rows]));
    RecordBatch::try_from_iter((0..columns).map(|column| {
        let name = format!("{column:0name_bytes$}");
        (name, values.clone())
    }))
    .unwrap()
}

/// Returns the largest piece of output, and all bytes.
fn pieces(batch: &RecordBatch, format: Format) -> (usize, usize) {
    let layout = Layout::new(&batch.schema(), format, None, &[]).unwrap();
    let mut rechunker = Rechunker::new(&layout, limits());
    let mut blocks = rechunker.push(batch).unwrap();
    blocks.extend(rechunker.finish().unwrap());
    let mut encoder = FileEncoder::new(&layout).unwrap();
    let (mut largest, mut all) = (0, 0);
    for block in blocks {
        let mut row = 0;
        while row < block.rows.num_rows() {
            let taken = encoder.write(&block, row).unwrap();
            assert!(taken > 0, "every call takes a row");
            row += taken;
            largest = largest.max(encoder.output_len());
            all += encoder.output_len();
            encoder.take_output();
        }
    }
    (largest, all)
}

#[test]
fn the_text_of_wide_rows_comes_in_pieces() {
    // A row is 0.8 MiB of text and 2,000 bytes in memory: a block of them would be 400 MiB.
    let batch = booleans(2_000, 400, 600);
    let (largest, all) = pieces(&batch, LINES);
    assert!(all > 450 << 20, "{all} bytes");
    assert!(largest < 1 << 20, "{largest} bytes at once");
    // And a codec's.
    let (largest, _) = pieces(&batch.slice(0, 40), Format::JsonLines(JsonLinesCodec::Gzip(0)));
    assert!(largest < 2 << 20, "{largest} bytes at once");
}

#[test]
fn more_columns_than_memory_holds_are_refused_with_the_number() {
    for (format, columns, most) in [
        (Format::Parquet(ParquetCodec::Zstd(1)), 4_000, Some(1_365)),
        (Format::Parquet(ParquetCodec::Zstd(9)), 1_365, None),
        (Format::Parquet(ParquetCodec::Zstd(10)), 723, Some(722)),
        (Format::Parquet(ParquetCodec::Snappy), 4_000, None),
        (Format::Parquet(ParquetCodec::Snappy), 12_289, Some(12_288)),
        (Format::JsonLines(JsonLinesCodec::Zstd(1)), 20_000, None),
    ] {
        let schema = booleans(columns, 8, 0).schema();
        let layout = Layout::new(&schema, format, None, &[]);
        let told = layout
            .err()
            .map(|error| (error.to_string(), error.hint().unwrap_or_default().to_owned()));
        let expected = most.map(|most| {
            let snappy = match format {
                Format::Parquet(ParquetCodec::Zstd(_)) => ", use the compression `snappy`",
                _ => "",
            };
            let message = format!(
                "the schema has {columns} columns (fields of nested columns counted), and a Parquet file with this \
                 compression takes at most {most}: the writer keeps buffers for each of them, and so does zstd"
            );
            (message, format!("select fewer columns{snappy}, or export to JSONLines"))
        });
        assert_eq!(told, expected, "{format:?}");
    }
    // Fields of nested columns are columns of the file.
    let flat = booleans(4_000, 8, 0).schema();
    let structure = Field::new("s", DataType::Struct(flat.fields().clone()), true);
    let schema = Schema::new(vec![structure]);
    let zstd = Format::Parquet(ParquetCodec::Zstd(1));
    assert!(Layout::new(&schema, zstd, None, &[]).is_err());
}

/// The text of a row that is a block of its own is measured before it is written: never less than it is, and close
/// enough not to refuse a row that fits.
#[test]
fn measured_text_has_room_for_every_decimal_and_is_close_for_numbers() {
    let widest = i256::MIN;
    for scale in [-128, -1, 0, 1, 76] {
        let decimals = Decimal256Array::from(vec![widest; 9_000])
            .with_precision_and_scale(76, scale)
            .unwrap();
        let text = lines_of(lists_of_all(Arc::new(decimals)), false);
        assert_eq!(text.lines().count(), 1);
        assert!(text.len() > 9_000 * 77, "{scale}: {}", text.len());
    }
    // 8 MiB of integers are some 20 MiB of text, which was taken for 160.
    let integers = Int64Array::from_iter_values((0..1 << 20).map(|n| i64::MAX - n));
    let text = lines_of(lists_of_all(Arc::new(integers)), false);
    assert!(text.len() > 20 << 20);
}

/// One row that lists all of them.
fn lists_of_all(values: ArrayRef) -> ArrayRef {
    let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    Arc::new(ListArray::new(item, offsets, values, None))
}
