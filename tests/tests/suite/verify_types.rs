//! A model of one's own with a column of every type: what is exported of it, in either format and from either kind of
//! typed file, is found to be what the source holds.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Date64Array, Decimal128Array,
    DictionaryArray, FixedSizeBinaryArray, FixedSizeListArray, Float32Array, Float64Array, Int8Array, Int64Array,
    LargeBinaryArray, LargeListArray, LargeStringArray, ListArray, RecordBatch, StringArray, StringViewArray,
    StructArray, Time32MillisecondArray, Time32SecondArray, Time64MicrosecondArray, Time64NanosecondArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
};
use arrow::datatypes::{Field, Int32Type};
use arrow::ipc::writer::FileWriter;
use batch_export_tests::components;
use batch_export_tests::program::Program;
use batch_export_tests::rows::START_MICROS;
use batch_export_tests::scene::{ACCESS_KEY, BUCKET, SECRET_KEY, Scene};
use parquet::arrow::ArrowWriter;

pub(super) fn configuration(scene: &Scene, file: &str, format: &str, time_column: &str) -> String {
    format!(
        r#"[destinations.archive]
model = "readings"
bucket_name = "{BUCKET}"
region = "us-east-1"
prefix = "{{table}}/{format}//"
file_format = "{format}"
manifest = "detailed"
manifest_when = "rows"
endpoint_url = "{}"
aws_access_key_id = "{ACCESS_KEY}"
aws_secret_access_key = "{SECRET_KEY}"
check = "on_request"
source = {{ type = "files", path = "{file}", time_column = "{time_column}" }}
egress.allow_private = ["{}"]
"#,
        scene.store.endpoint(),
        scene.store.address()
    )
}

fn arc(array: impl Array + 'static) -> ArrayRef {
    Arc::new(array)
}

/// Three rows of every type, before 1970 where that matters, and with nulls.
pub(super) fn every_type() -> RecordBatch {
    let seconds = START_MICROS / 1_000_000;
    let lists = || vec![Some(vec![Some(1), None]), None, Some(vec![])];
    let fixed = || vec![Some(vec![Some(1), None]), None, Some(vec![None, Some(2)])];
    let text = || vec![Some("a\u{1}\"ü"), None, Some("")];
    let bytes = || vec![Some(&b"\xff\x00"[..]), None, Some(&b""[..])];
    let inside: ArrayRef = arc(TimestampSecondArray::from(vec![Some(-1), None, Some(1)]));
    let field = Arc::new(Field::new("t", inside.data_type().clone(), true));
    let decimals = Decimal128Array::from(vec![Some(-12_345), None, Some(5)]);
    let small =
        FixedSizeBinaryArray::try_from_sparse_iter_with_size([Some([1_u8, 2]), None, Some([0, 0])].into_iter(), 2);
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "at",
            arc(TimestampMicrosecondArray::from(vec![
                START_MICROS,
                START_MICROS + 1,
                START_MICROS + 2,
            ])),
        ),
        ("boolean", arc(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("int8", arc(Int8Array::from(vec![Some(i8::MIN), None, Some(1)]))),
        ("int64", arc(Int64Array::from(vec![Some(i64::MIN), None, Some(1)]))),
        ("uint64", arc(UInt64Array::from(vec![Some(u64::MAX), None, Some(1)]))),
        ("float32", arc(Float32Array::from(vec![Some(0.1), None, Some(-0.0)]))),
        ("float64", arc(Float64Array::from(vec![Some(0.1), None, Some(1e300)]))),
        (
            "decimal",
            arc(decimals.with_precision_and_scale(12, 3).expect("they fit")),
        ),
        ("text", arc(StringArray::from(text()))),
        ("large_text", arc(LargeStringArray::from(text()))),
        ("text_view", arc(StringViewArray::from(text()))),
        ("words", arc(text().into_iter().collect::<DictionaryArray<Int32Type>>())),
        ("binary", arc(BinaryArray::from(bytes()))),
        ("large_binary", arc(LargeBinaryArray::from(bytes()))),
        ("binary_view", arc(BinaryViewArray::from(bytes()))),
        ("fixed_binary", arc(small.expect("two bytes each"))),
        ("date32", arc(Date32Array::from(vec![Some(-1), None, Some(1)]))),
        (
            "date64",
            arc(Date64Array::from(vec![Some(-86_400_000), None, Some(86_400_000)])),
        ),
        (
            "time_s",
            arc(Time32SecondArray::from(vec![Some(1), None, Some(86_399)])),
        ),
        (
            "time_ms",
            arc(Time32MillisecondArray::from(vec![Some(1), None, Some(86_399_999)])),
        ),
        (
            "time_us",
            arc(Time64MicrosecondArray::from(vec![Some(1), None, Some(86_399_999_999)])),
        ),
        (
            "time_ns",
            arc(Time64NanosecondArray::from(vec![Some(1_999), None, Some(0)])),
        ),
        (
            "naive_s",
            arc(TimestampSecondArray::from(vec![Some(-1), None, Some(seconds)])),
        ),
        (
            "naive_ms",
            arc(TimestampMillisecondArray::from(vec![Some(-1), None, Some(1)])),
        ),
        (
            "naive_us",
            arc(TimestampMicrosecondArray::from(vec![Some(-1), None, Some(1)])),
        ),
        (
            "naive_ns",
            arc(TimestampNanosecondArray::from(vec![Some(-1), None, Some(1)])),
        ),
        (
            "utc",
            arc(TimestampMillisecondArray::from(vec![Some(-1), None, Some(1)]).with_timezone("UTC")),
        ),
        (
            "offset",
            arc(TimestampNanosecondArray::from(vec![Some(-1), None, Some(1)]).with_timezone("+02:00")),
        ),
        (
            "zone",
            arc(TimestampSecondArray::from(vec![Some(-1), None, Some(1)]).with_timezone("Europe/Berlin")),
        ),
        ("list", arc(ListArray::from_iter_primitive::<Int32Type, _, _>(lists()))),
        (
            "large_list",
            arc(LargeListArray::from_iter_primitive::<Int32Type, _, _>(lists())),
        ),
        (
            "fixed_list",
            arc(FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(fixed(), 2)),
        ),
        ("struct", arc(StructArray::from(vec![(field, inside)]))),
    ];
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns).expect("three rows")
}

pub(super) fn write(folder: &Path, rows: &RecordBatch) {
    let file = File::create(folder.join("rows.arrow")).expect("a file");
    let mut writer = FileWriter::try_new(file, &rows.schema()).expect("a writer");
    writer.write(rows).expect("written");
    writer.finish().expect("written");
    let file = File::create(folder.join("rows.parquet")).expect("a file");
    let mut writer = ArrowWriter::try_new(file, rows.schema(), None).expect("a writer");
    writer.write(rows).expect("written");
    writer.close().expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_a_source_is_good_when_it_was_exported() {
    let scene = Scene::new().await;
    let rows = every_type();
    for file in ["rows.arrow", "rows.parquet"] {
        for format in ["Parquet", "JSONLines"] {
            let program = Program::new(&configuration(&scene, file, format, "at"));
            write(program.folder.path(), &rows);
            for command in ["run", "verify"] {
                let component = components::destination();
                let printed = program.run(&[
                    command,
                    "--config",
                    "exports.toml",
                    "--component",
                    component.to_str().expect("UTF-8"),
                    "--start",
                    "2023-07-28T00:00:00Z",
                    "--end",
                    "2023-07-28T01:00:00Z",
                ]);
                assert_eq!(printed.code, Some(0), "{command} {file} {format}: {printed:?}");
                assert!(printed.stdout.contains("3 rows"), "{file} {format}: {printed:?}");
            }
        }
    }
    // A prefix may end in any number of slashes.
    let keys = scene.store.keys(BUCKET);
    assert!(keys.iter().all(|key| !key.contains("//")), "{keys:?}");
}
