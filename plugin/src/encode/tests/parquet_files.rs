//! Parquet files: read back value by value, and what their metadata promises readers.

use std::sync::Arc;

use ::parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use ::parquet::basic::{Compression, Encoding, LogicalType};
use ::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use arrow::array::*;
use arrow::buffer::OffsetBuffer;
use arrow::compute::concat_batches;
use arrow::datatypes::*;
use bytes::Bytes;

use super::*;

const ZSTD: Format = Format::Parquet(ParquetCodec::Zstd(1));

pub fn read(file: &[u8]) -> (RecordBatch, Arc<ParquetMetaData>) {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let file = Bytes::copy_from_slice(file);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).unwrap();
    let (schema, metadata) = (builder.schema().clone(), builder.metadata().clone());
    let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
    (concat_batches(&schema, &batches).unwrap(), metadata)
}

fn read_column(column: ArrayRef) -> ArrayRef {
    let batch = RecordBatch::try_from_iter_with_nullable([("c", column, true)]).unwrap();
    let (read, _) = read(&one_file(&[batch], ZSTD, &[]).bytes);
    assert!(read.schema().field(0).is_nullable());
    read.column(0).clone()
}

fn array(array: impl Array + 'static) -> ArrayRef {
    Arc::new(array)
}

#[test]
fn every_codec_at_every_level_reads_back_equal() {
    let gzip = (0..=9).map(ParquetCodec::Gzip);
    let brotli = (0..=11).map(ParquetCodec::Brotli);
    let zstd = (1..=19).map(ParquetCodec::Zstd);
    let batches = [events(0, 1_000), events(1_000, 1_500)];
    let all = concat_batches(&batches[0].schema(), &batches).unwrap();
    for codec in gzip.chain(brotli).chain(zstd).chain(PARQUET_CODECS) {
        let file = one_file(&batches, Format::Parquet(codec), &[false, false, true]);
        let (rows, metadata) = read(&file.bytes);
        assert_eq!(rows.columns(), all.columns(), "{codec:?}");
        let found = metadata.row_group(0).column(0).compression();
        let agrees = match codec {
            ParquetCodec::None => found == Compression::UNCOMPRESSED,
            ParquetCodec::Gzip(_) => matches!(found, Compression::GZIP(_)),
            ParquetCodec::Brotli(_) => matches!(found, Compression::BROTLI(_)),
            ParquetCodec::Zstd(_) => matches!(found, Compression::ZSTD(_)),
            ParquetCodec::Lz4 => found == Compression::LZ4_RAW,
            ParquetCodec::Snappy => found == Compression::SNAPPY,
        };
        assert!(agrees, "{codec:?} {found:?}");
        assert_eq!(file.rows, 2_500);
        assert!(file.bytes_encoded > 0);
    }
}

#[test]
fn metadata_serves_readers() {
    let file = one_file(&[events(0, 30_000)], ZSTD, &[false, false, true]);
    let (_, metadata) = read(&file.bytes);
    let header = metadata.file_metadata();
    assert_eq!(header.version(), 2);
    assert_eq!(header.created_by(), Some("batch-export"));
    assert_eq!(header.key_value_metadata(), None, "no Arrow schema");
    let text = header.schema_descr().column(2);
    assert_eq!(text.logical_type_ref(), Some(&LogicalType::String));

    let [id, event, properties] = metadata.row_group(0).columns() else {
        panic!("three columns");
    };
    let dictionary = |encodings: Vec<Encoding>| encodings.contains(&Encoding::RLE_DICTIONARY);
    assert!(dictionary(event.encodings().collect()), "event names repeat");
    assert!(event.dictionary_page_offset().is_some());
    assert!(properties.dictionary_page_offset().is_none(), "JSON text does not");
    assert!(id.statistics().unwrap().min_bytes_opt().is_some());
    assert!(event.statistics().is_some());
    assert!(properties.statistics().is_none());

    let index = metadata.page_index_for_row_group(0);
    assert!(index.page_locations(0).unwrap().len() > 1, "bounded pages");
    assert!(index.page_locations(2).unwrap().len() > 1, "bounded pages");
    assert!(index.column_index(0).is_some());
}

#[test]
fn long_statistics_are_cut() {
    let column = array(StringArray::from(vec!["a".repeat(5_000), "z".repeat(5_000)]));
    let batch = RecordBatch::try_from_iter([("c", column)]).unwrap();
    let (_, metadata) = read(&one_file(&[batch], ZSTD, &[]).bytes);
    let statistics = metadata.row_group(0).column(0).statistics().unwrap();
    assert!(statistics.min_bytes_opt().unwrap().len() <= 64);
    assert!(statistics.max_bytes_opt().unwrap().len() <= 64);
}

#[test]
fn moments_become_microseconds_in_utc() {
    let micros = |values: Vec<Option<i64>>| array(TimestampMicrosecondArray::from(values).with_timezone("UTC"));
    let cases: Vec<(ArrayRef, ArrayRef)> = vec![
        (
            array(TimestampSecondArray::from(vec![Some(-1), None])),
            micros(vec![Some(-1_000_000), None]),
        ),
        (
            array(TimestampMillisecondArray::from(vec![Some(-1)])),
            micros(vec![Some(-1_000)]),
        ),
        (
            array(TimestampMicrosecondArray::from(vec![i64::MIN, i64::MAX]).with_timezone("+02:00")),
            micros(vec![Some(i64::MIN), Some(i64::MAX)]),
        ),
        (
            array(TimestampNanosecondArray::from(vec![Some(-1), Some(1_999)])),
            micros(vec![Some(-1), Some(1)]),
        ),
        (array(Date64Array::from(vec![-1])), array(Date32Array::from(vec![-1]))),
        (
            array(Time32SecondArray::from(vec![1])),
            array(Time32MillisecondArray::from(vec![1_000])),
        ),
        (
            array(Time64NanosecondArray::from(vec![1_999])),
            array(Time64MicrosecondArray::from(vec![1])),
        ),
    ];
    for (column, expected) in cases {
        let name = column.data_type().to_string();
        assert_eq!(&read_column(column), &expected, "{name}");
    }
}

#[test]
fn a_moment_out_of_range_is_named_with_column_and_row() {
    let inside = [Some(0); 5];
    let seconds = |last| {
        let values = inside.into_iter().chain([last]).collect::<Vec<_>>();
        array(TimestampSecondArray::from(values))
    };
    let item = Arc::new(Field::new_list_field(DataType::Timestamp(TimeUnit::Second, None), true));
    let lists = ListArray::new(
        item,
        OffsetBuffer::new(vec![0, 1, 1, 2, 3, 3, 6].into()),
        seconds(Some(i64::MAX)),
        None,
    );
    let timestamp = "a Parquet timestamp (64-bit microseconds since 1970)";
    let list = "the Parquet column's type List(Timestamp(µs, \"UTC\"))";
    let days = Date64Array::from(vec![0, 0, 0, 0, 0, i64::MAX]);
    let date = "a Parquet date (32-bit days since 1970)";
    let cases = [
        (seconds(Some(i64::MAX)), timestamp),
        (array(lists), list),
        (array(days), date),
    ];
    for (column, target) in cases {
        let batch = RecordBatch::try_from_iter_with_nullable([("at", column, true)]).unwrap();
        let batches = [batch.slice(0, 4), batch.slice(4, 2)];
        let error = export(&batches, ZSTD, None, &[], limits()).err().unwrap();
        assert_eq!(
            error.to_string(),
            format!(
                "column `at`, row 5 (counted from 0 in this run, excluding filtered rows): the value does not fit \
                 {target}"
            )
        );
    }
}

#[test]
fn other_types_keep_their_values() {
    let texts = || vec![Some("a"), None, Some("")];
    let same: Vec<ArrayRef> = vec![
        array(BooleanArray::from(vec![Some(true), None])),
        array(Int8Array::from(vec![-1])),
        array(UInt16Array::from(vec![65_535])),
        array(UInt64Array::from(vec![u64::MAX])),
        array(Float64Array::from(vec![f64::INFINITY, -0.0])),
        array(StringArray::from(texts())),
        array(BinaryArray::from(vec![&b"\0\xff"[..]])),
        array(FixedSizeBinaryArray::try_from_iter([[7_u8; 16]].into_iter()).unwrap()),
        array(Decimal128Array::from(vec![-5]).with_precision_and_scale(20, 2).unwrap()),
        array(Date32Array::from(vec![-1])),
    ];
    for column in same {
        assert_eq!(&read_column(column.clone()), &column, "{}", column.data_type());
    }
    let strings = array(StringArray::from(texts()));
    let as_strings: Vec<ArrayRef> = vec![
        array(LargeStringArray::from(texts())),
        array(StringViewArray::from(texts())),
        array(texts().into_iter().collect::<DictionaryArray<UInt8Type>>()),
    ];
    for column in as_strings {
        assert_eq!(&read_column(column.clone()), &strings, "{}", column.data_type());
    }
    let half = <Float16Type as ArrowPrimitiveType>::Native::from_f32(0.5);
    assert_eq!(
        &read_column(array(Float16Array::from(vec![half]))),
        &array(Float32Array::from(vec![0.5]))
    );
    assert_eq!(read_column(array(NullArray::new(3))).logical_null_count(), 3);
}

#[test]
fn nested_columns_read_back_with_their_dictionaries_as_values() {
    let dictionary: DictionaryArray<Int8Type> = [Some("x"), None, Some("y")].into_iter().collect();
    let item = Arc::new(Field::new_list_field(dictionary.data_type().clone(), false));
    let offsets = || OffsetBuffer::new(vec![0, 2, 3].into());
    let dictionary_item = item.as_ref().clone().with_nullable(true);
    let lists = ListArray::new(Arc::new(dictionary_item), offsets(), array(dictionary), None);
    let read = read_column(array(lists));
    let strings = array(StringArray::from(vec![Some("x"), None, Some("y")]));
    assert_eq!(read.as_list::<i32>().values(), &strings);
    assert_eq!(read.as_list::<i32>().offsets(), &offsets());

    let fields = Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Int64, false),
    ]);
    let numbers = array(Int64Array::from(vec![1, 2, 3]));
    let keys = array(StringArray::from(vec!["a", "b", "c"]));
    let entries = StructArray::new(fields.clone(), vec![keys, numbers.clone()], None);
    let field = Arc::new(Field::new("entries", DataType::Struct(fields), false));
    let read = read_column(array(MapArray::new(field, offsets(), entries, None, false)));
    assert_eq!(read.as_map().values(), &numbers);
}

#[test]
fn what_only_parquet_cannot_hold_is_refused_for_parquet_only() {
    let cases = [
        (
            DataType::Decimal128(5, -2),
            "Parquet does not support decimals with a negative scale",
        ),
        (
            DataType::FixedSizeBinary(0),
            "Parquet does not support binary of width 0",
        ),
        (
            DataType::Struct(Fields::empty()),
            "Parquet does not support structs without fields",
        ),
    ];
    for (data_type, expected) in cases {
        let schema = Schema::new(vec![Field::new("c", data_type, true)]);
        check_schema(&schema, LINES).unwrap();
        match check_schema(&schema, ZSTD) {
            Err(EncodeError::UnsupportedColumns(columns)) => {
                assert_eq!((columns[0].column.as_str(), columns[0].reason), ("c", expected));
            }
            other => panic!("{other:?}"),
        }
    }
}
