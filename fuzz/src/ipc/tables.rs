//! Small tables that together have every kind of column that an export takes. Deterministic.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Date64Array, Decimal128Array, DictionaryArray,
    FixedSizeBinaryArray, FixedSizeListArray, Float16Array, Float64Array, Int8Array, Int64Array, LargeBinaryArray,
    LargeStringArray, ListArray, MapArray, NullArray, RecordBatch, StringArray, StringViewArray, StructArray,
    Time64NanosecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Fields, Float16Type, Int32Type};

/// Every table: events, numbers and times, bytes, nested columns, dictionaries, nothing but nulls, no rows.
pub fn all() -> [RecordBatch; 7] {
    let events = events();
    let no_rows = events.slice(0, 0);
    [
        events,
        numbers(),
        bytes(),
        nested(),
        dictionaries(),
        table([("n", Arc::new(NullArray::new(3)))]),
        no_rows,
    ]
}

fn table<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
}

fn events() -> RecordBatch {
    let json = [Some(r#"{"$browser": "Firefox", "n": 1.10}"#), None, Some("no JSON")];
    let times = TimestampNanosecondArray::from(vec![Some(1_690_502_400_000_000_001), None, Some(-1)]);
    table([
        (
            "event",
            Arc::new(StringArray::from(vec![Some("$pageview"), Some(""), None])),
        ),
        ("json", Arc::new(StringArray::from(json.to_vec()))),
        ("timestamp", Arc::new(times.with_timezone("UTC"))),
    ])
}

fn numbers() -> RecordBatch {
    let decimals = Decimal128Array::from(vec![Some(-12_345), None]);
    let decimals = decimals.with_precision_and_scale(10, 2).expect("a decimal type");
    let halves = [1.5, f32::NAN].map(<Float16Type as arrow::datatypes::ArrowPrimitiveType>::Native::from_f32);
    table([
        ("i8", Arc::new(Int8Array::from(vec![Some(-128), None]))),
        ("i64", Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX]))),
        ("u64", Arc::new(UInt64Array::from(vec![0, u64::MAX]))),
        ("f16", Arc::new(Float16Array::from(halves.to_vec()))),
        ("f64", Arc::new(Float64Array::from(vec![f64::INFINITY, -0.0]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("decimal", Arc::new(decimals)),
        ("day", Arc::new(Date32Array::from(vec![i32::MIN, 19_566]))),
        ("date", Arc::new(Date64Array::from(vec![-1, 1]))),
        (
            "time",
            Arc::new(Time64NanosecondArray::from(vec![0, 86_399_999_999_999])),
        ),
        (
            "second",
            Arc::new(TimestampSecondArray::from(vec![-62_135_596_800, 253_402_300_800])),
        ),
    ])
}

fn bytes() -> RecordBatch {
    let long = "longer than the twelve bytes that a view holds itself";
    let fixed = FixedSizeBinaryArray::try_from_iter([[1, 2, 3], [4, 5, 6]].into_iter());
    table([
        (
            "binary",
            Arc::new(BinaryArray::from_opt_vec(vec![Some(&b"\xFF\0"[..]), None])),
        ),
        (
            "large",
            Arc::new(LargeBinaryArray::from_opt_vec(vec![Some(&b"a"[..]), Some(b"")])),
        ),
        ("fixed", Arc::new(fixed.expect("one width"))),
        (
            "text",
            Arc::new(LargeStringArray::from(vec![Some("é\u{1F600}"), Some("\n\"")])),
        ),
        ("view", Arc::new(StringViewArray::from(vec![Some("short"), Some(long)]))),
        ("raw view", Arc::new(BinaryViewArray::from(vec![long.as_bytes(), b""]))),
    ])
}

fn nested() -> RecordBatch {
    let lists = [Some(vec![Some(1), None]), None, Some(vec![])];
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(lists);
    let item = Arc::new(Field::new("item", DataType::Int64, true));
    let pairs = Arc::new(Int64Array::from_iter_values(0..6));
    let pairs = FixedSizeListArray::try_new(item, 2, pairs, None).expect("three pairs");
    let name = Field::new("name", DataType::Utf8, true);
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
    let nulls = NullBuffer::from(vec![true, false, true]);
    let structs = StructArray::new(Fields::from(vec![name]), vec![texts], Some(nulls));
    table([
        ("list", Arc::new(lists)),
        ("pair", Arc::new(pairs)),
        ("struct", Arc::new(structs)),
        ("map", Arc::new(map())),
    ])
}

fn map() -> MapArray {
    let fields = Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Float64, true),
    ]);
    let keys: ArrayRef = Arc::new(StringArray::from(vec!["x", "y"]));
    let values: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.5), None]));
    let entries = StructArray::new(fields.clone(), vec![keys, values], None);
    let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0, 2, 2, 2]));
    let field = Arc::new(Field::new("entries", DataType::Struct(fields), false));
    MapArray::new(field, offsets, entries, None, false)
}

fn dictionaries() -> RecordBatch {
    let words: DictionaryArray<Int32Type> = [Some("a"), Some("b"), None].into_iter().collect();
    let json = [Some("{}"), Some("[1,\n2]"), Some("\u{7f}")];
    let json: DictionaryArray<Int32Type> = json.into_iter().collect();
    table([("word", Arc::new(words)), ("json", Arc::new(json))])
}
