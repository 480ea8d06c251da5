//! Every type that sources have, written to Parquet as a file has it, read back and compared.

use arrow::array::{
    ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Date64Array, Decimal128Array, Decimal256Array,
    DictionaryArray, FixedSizeBinaryArray, FixedSizeListArray, Float16Array, Float32Array, Float64Array,
    LargeBinaryArray, LargeListArray, LargeStringArray, ListArray, MapBuilder, NullArray, RecordBatch, StringArray,
    StringBuilder, StringViewArray, StructArray, Time32MillisecondArray, Time32SecondArray, Time64MicrosecondArray,
    Time64NanosecondArray, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
    TimestampSecondArray, UInt64Array,
};
use arrow::datatypes::{Field, Int32Type, Schema, i256};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::ArrowWriterOptions;

use super::*;

type Half = <arrow::datatypes::Float16Type as arrow::array::ArrowPrimitiveType>::Native;

fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn arc(array: impl Array + 'static) -> ArrayRef {
    Arc::new(array)
}

/// Through a Parquet file without Arrow's own description of its types, as exports are.
fn through_a_file(column: &ArrayRef) -> ArrayRef {
    let field = Field::new("c", column.data_type().clone(), true);
    let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column.clone()]);
    let batch = batch.expect("a batch");
    let mut bytes = Vec::new();
    let options = ArrowWriterOptions::new().with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(&mut bytes, batch.schema(), options).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("written");
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes));
    let mut reader = reader.expect("a footer").build().expect("a reader");
    reader.next().expect("a batch").expect("rows").column(0).clone()
}

fn map(values: [Option<&str>; 2]) -> ArrayRef {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for (key, value) in ["k", "l"].into_iter().zip(values) {
        builder.keys().append_value(key);
        builder.values().append_option(value);
    }
    builder.append(true).expect("an entry");
    builder.append(false).expect("a null");
    arc(builder.finish())
}

fn in_struct(column: ArrayRef) -> ArrayRef {
    let field = Arc::new(Field::new("inside", column.data_type().clone(), true));
    arc(StructArray::from(vec![(field, column)]))
}

fn in_list(column: ArrayRef) -> ArrayRef {
    let field = Arc::new(Field::new("item", column.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths([1, column.len() - 1]);
    arc(ListArray::new(field, offsets, column, None))
}

/// A source's column, what a file holds of it, and what a file with another value would hold.
fn pairs() -> Vec<(ArrayRef, ArrayRef, ArrayRef)> {
    let micros = |values: [Option<i64>; 2]| arc(TimestampMicrosecondArray::from(values.to_vec()).with_timezone("UTC"));
    let same = |good: ArrayRef, bad: ArrayRef| (good.clone(), good, bad);
    let lists = |n: i32| vec![Some(vec![Some(n), None]), None, Some(vec![])];
    let fixed = |n: i32| vec![Some(vec![Some(n), None]), None];
    let mut pairs = vec![
        same(
            arc(BooleanArray::from(vec![Some(true), None])),
            arc(BooleanArray::from(vec![Some(false), None])),
        ),
        same(
            arc(UInt64Array::from(vec![Some(u64::MAX), None])),
            arc(UInt64Array::from(vec![Some(1), None])),
        ),
        same(
            arc(Float32Array::from(vec![f32::NAN, -0.0])),
            arc(Float32Array::from(vec![f32::NAN, 0.0])),
        ),
        same(
            arc(Float64Array::from(vec![0.1, 1e300])),
            arc(Float64Array::from(vec![0.1, 1e301])),
        ),
        (
            arc(Float16Array::from(vec![Half::from_f32(1.5), Half::from_f32(-0.0)])),
            arc(Float32Array::from(vec![1.5, -0.0])),
            arc(Float32Array::from(vec![1.5, 0.0])),
        ),
        same(
            arc(StringArray::from(vec![Some("a"), None])),
            arc(StringArray::from(vec![Some("b"), None])),
        ),
        same(
            arc(LargeStringArray::from(vec![Some("a"), None])),
            arc(StringArray::from(vec![Some("a"), Some("")])),
        ),
        same(
            arc(StringViewArray::from(vec![Some("a"), None])),
            arc(StringArray::from(vec![Some("a "), None])),
        ),
        same(
            arc(BinaryArray::from(vec![&b"a"[..], b""])),
            arc(BinaryArray::from(vec![&b"a"[..], b"b"])),
        ),
        same(
            arc(LargeBinaryArray::from(vec![&b"a"[..], b""])),
            arc(BinaryArray::from(vec![&b"a"[..], b"b"])),
        ),
        same(
            arc(BinaryViewArray::from(vec![&b"a"[..], b""])),
            arc(BinaryArray::from(vec![&b"a"[..], b"b"])),
        ),
        same(
            arc(FixedSizeBinaryArray::try_from_iter([b"ab", b"cd"].into_iter()).expect("two")),
            arc(FixedSizeBinaryArray::try_from_iter([b"ab", b"ce"].into_iter()).expect("two")),
        ),
        same(
            arc(Decimal128Array::from(vec![Some(-1), None])
                .with_precision_and_scale(5, 2)
                .expect("fits")),
            arc(Decimal128Array::from(vec![Some(-2), None])
                .with_precision_and_scale(5, 2)
                .expect("fits")),
        ),
        same(
            arc(Decimal256Array::from(vec![Some(i256::from(7)), None])
                .with_precision_and_scale(60, 5)
                .expect("fits")),
            arc(Decimal256Array::from(vec![Some(i256::from(8)), None])
                .with_precision_and_scale(60, 5)
                .expect("fits")),
        ),
        same(
            arc(Date32Array::from(vec![Some(-1), None])),
            arc(Date32Array::from(vec![Some(0), None])),
        ),
        (
            arc(Date64Array::from(vec![Some(-1), None])),
            arc(Date32Array::from(vec![Some(-1), None])),
            arc(Date32Array::from(vec![Some(0), None])),
        ),
        (
            arc(Time32SecondArray::from(vec![Some(2), None])),
            arc(Time32MillisecondArray::from(vec![Some(2_000), None])),
            arc(Time32MillisecondArray::from(vec![Some(2_001), None])),
        ),
        (
            arc(Time64NanosecondArray::from(vec![Some(1_999), None])),
            arc(Time64MicrosecondArray::from(vec![Some(1), None])),
            arc(Time64MicrosecondArray::from(vec![Some(2), None])),
        ),
        (
            arc(TimestampSecondArray::from(vec![Some(-1), None])),
            micros([Some(-1_000_000), None]),
            micros([Some(0), None]),
        ),
        (
            arc(TimestampMillisecondArray::from(vec![Some(-1), None])),
            micros([Some(-1_000), None]),
            micros([Some(-1_001), None]),
        ),
        (
            arc(TimestampMicrosecondArray::from(vec![Some(-1), None])),
            micros([Some(-1), None]),
            micros([Some(-1), Some(0)]),
        ),
        (
            arc(TimestampNanosecondArray::from(vec![Some(-1), None])),
            micros([Some(-1), None]),
            micros([Some(0), None]),
        ),
        (
            arc(ListArray::from_iter_primitive::<Int32Type, _, _>(lists(1))),
            arc(ListArray::from_iter_primitive::<Int32Type, _, _>(lists(1))),
            arc(ListArray::from_iter_primitive::<Int32Type, _, _>(lists(2))),
        ),
        same(
            arc(LargeListArray::from_iter_primitive::<Int32Type, _, _>(lists(1))),
            arc(ListArray::from_iter_primitive::<Int32Type, _, _>(lists(2))),
        ),
        same(
            arc(FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(fixed(1), 2)),
            arc(ListArray::from_iter_primitive::<Int32Type, _, _>(fixed(2))),
        ),
        (
            arc(vec![Some("a"), None, Some("a")]
                .into_iter()
                .collect::<DictionaryArray<Int32Type>>()),
            arc(StringArray::from(vec![Some("a"), None, Some("a")])),
            arc(StringArray::from(vec![Some("a"), None, Some("b")])),
        ),
        same(map([Some("1"), None]), map([Some("1"), Some("2")])),
        same(arc(NullArray::new(2)), arc(Date32Array::from(vec![None, Some(1)]))),
    ];
    // Zones of all makes, none of which changes an instant, here and inside of others.
    for zone in ["UTC", "+00:00", "+02:00", "Europe/Berlin", "Z"] {
        let zoned = arc(TimestampMillisecondArray::from(vec![Some(5), None]).with_timezone(zone));
        pairs.push((zoned, micros([Some(5_000), None]), micros([Some(5_001), None])));
    }
    for wrap in [in_struct, in_list] {
        let inside: Vec<_> = pairs
            .iter()
            .take(24)
            .filter(|(source, good, bad)| source.len() == good.len() && good.len() == bad.len())
            .map(|(source, good, bad)| (wrap(source.clone()), wrap(good.clone()), wrap(bad.clone())))
            .collect();
        pairs.extend(inside);
    }
    pairs
}

#[test]
fn every_type_is_compared_with_what_a_file_holds_of_it() {
    for (source, good, bad) in pairs() {
        let kind = source.data_type();
        let file = through_a_file(&good);
        let stored = as_stored(&source, file.data_type());
        let stored = stored.unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(stored.to_data(), file.to_data(), "{kind}");
        let other = through_a_file(&bad);
        if let Ok(stored) = as_stored(&source, other.data_type()) {
            assert_ne!(stored.to_data(), other.to_data(), "{kind}: another value passes");
        }
    }
}

#[test]
fn slices_are_compared_by_their_own_rows() {
    for (source, good, _) in pairs() {
        let kind = source.data_type().clone();
        let file = through_a_file(&good);
        for row in 0..source.len() {
            let stored = as_stored(&source.slice(row, 1), file.data_type()).expect("comparable");
            assert_eq!(stored.to_data(), file.slice(row, 1).to_data(), "{kind}, row {row}");
        }
    }
}

#[test]
fn what_no_export_stores_cannot_be_compared() {
    let text = arc(StringArray::from(vec!["1"]));
    let number = arc(UInt64Array::from(vec![1]));
    let time = arc(TimestampSecondArray::from(vec![i64::MAX]));
    let date = arc(Date64Array::from(vec![i64::MAX]));
    let fine = arc(Decimal128Array::from(vec![15])
        .with_precision_and_scale(5, 2)
        .expect("fits"));
    for (source, target) in [
        (&text, DataType::UInt64),
        (&number, DataType::Utf8),
        (&number, DataType::Int32),
        (&number, DataType::Float64),
        (&number, utc()),
        (&time, utc()),
        (&time, DataType::Date32),
        (&time, DataType::Int64),
        (&date, DataType::Date32),
        (&fine, DataType::Decimal128(5, 1)),
        (&text, DataType::Binary),
        (&in_struct(text.clone()), DataType::Struct(Default::default())),
    ] {
        as_stored(source, &target).expect_err(&format!("{} as {target}", source.data_type()));
    }
}
