//! The models beside events, value by value: hard rows of every column through the component and back.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use batch_export_sandbox::Limits;
use batch_export_source::{ColumnKind, Model};
use batch_export_tests::read;
use batch_export_tests::rows::{START_MICROS, rebatched};
use batch_export_tests::scene::{Messages, Scene, run};
use serde_json::{Value, json};

const ROWS: usize = 3_000;

const TEXTS: [Option<&str>; 5] = [
    Some("plain"),
    None,
    Some(""),
    Some("日本語 😀 \"quoted\"\\"),
    Some("line\nbreak\u{1}\u{0}"),
];
const DOCUMENTS: [Option<&str>; 4] = [
    Some(r#"{"name":"someone","nested":[1,{"a":null}]}"#),
    None,
    Some(r#"{"big":18446744073709551615,"price":1.5}"#),
    Some("[]"),
];
const INTEGERS: [Option<i64>; 6] = [
    Some(0),
    Some(-1),
    None,
    Some(i64::MAX),
    Some(i64::MIN),
    Some((1 << 53) + 1),
];
const FLOATS: [Option<f64>; 5] = [Some(0.1), None, Some(-2.5e-7), Some(1e300), Some(3.0)];
const FLAGS: [Option<bool>; 3] = [Some(true), Some(false), None];
const LISTS: [Option<&[Option<&str>]>; 4] = [
    Some(&[Some("https://example.com/a"), None, Some("")]),
    None,
    Some(&[]),
    Some(&[Some("日本語")]),
];
/// Microseconds since the epoch, and as JSON Lines write them.
const TIMES: [Option<(i64, &str)>; 4] = [
    Some((START_MICROS, "2023-07-28T00:00:00+00:00")),
    Some((START_MICROS + 123_456, "2023-07-28T00:00:00.123456+00:00")),
    None,
    Some((-1, "1969-12-31T23:59:59.999999+00:00")),
];

/// The value of a row: columns beside each other take different ones.
fn pick<T: Copy, const N: usize>(values: [T; N], row: usize, column: usize) -> T {
    values[(row + column) % N]
}

fn column(kind: ColumnKind, number: usize) -> ArrayRef {
    let rows = 0..ROWS;
    match kind {
        ColumnKind::Text => Arc::new(rows.map(|row| pick(TEXTS, row, number)).collect::<StringArray>()),
        ColumnKind::Json => Arc::new(rows.map(|row| pick(DOCUMENTS, row, number)).collect::<StringArray>()),
        ColumnKind::Integer => Arc::new(rows.map(|row| pick(INTEGERS, row, number)).collect::<Int64Array>()),
        ColumnKind::Float => Arc::new(rows.map(|row| pick(FLOATS, row, number)).collect::<Float64Array>()),
        ColumnKind::Boolean => Arc::new(rows.map(|row| pick(FLAGS, row, number)).collect::<BooleanArray>()),
        ColumnKind::Timestamp => {
            let times = rows.map(|row| pick(TIMES, row, number).map(|(micros, _)| micros));
            Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
        }
        ColumnKind::TextList => {
            let mut lists = ListBuilder::new(StringBuilder::new());
            for row in rows {
                lists.append_option(pick(LISTS, row, number).map(<[_]>::to_vec));
            }
            Arc::new(lists.finish())
        }
    }
}

/// The same value as a JSON Lines row holds it.
fn in_json(kind: ColumnKind, row: usize, number: usize) -> Value {
    match kind {
        ColumnKind::Text => json!(pick(TEXTS, row, number)),
        ColumnKind::Json => {
            pick(DOCUMENTS, row, number).map_or(Value::Null, |text| serde_json::from_str(text).expect("JSON"))
        }
        ColumnKind::Integer => json!(pick(INTEGERS, row, number)),
        ColumnKind::Float => json!(pick(FLOATS, row, number)),
        ColumnKind::Boolean => json!(pick(FLAGS, row, number)),
        ColumnKind::Timestamp => json!(pick(TIMES, row, number).map(|(_, text)| text)),
        ColumnKind::TextList => json!(pick(LISTS, row, number)),
    }
}

fn kinds(model: Model) -> Vec<(String, ColumnKind)> {
    let schema = model.schema();
    let fields = schema.fields().iter();
    fields
        .map(|field| (field.name().clone(), ColumnKind::of(field).expect("a kind")))
        .collect()
}

fn batch(model: Model) -> RecordBatch {
    let columns = kinds(model)
        .into_iter()
        .enumerate()
        .map(|(number, (_, kind))| column(kind, number));
    RecordBatch::try_new(model.schema(), columns.collect()).expect("columns match the schema")
}

async fn exported(model: Model, format: &str, codec: &str) -> (String, Vec<u8>) {
    let scene = Scene::new().await;
    let further = json!({"file_format": format, "compression": codec});
    let configuration = scene.configuration("{table}/", further);
    let mut run = run();
    run.model = model.name().to_owned();
    let messages = Messages::of(&rebatched(&batch(model), &[1, 700, 0]));
    let plugin = scene.destination();
    let outcome = scene
        .run_as(&run, &plugin, &configuration, &messages, Limits::default())
        .await;
    assert_eq!(outcome.report().rows_exported, ROWS as u64);
    let mut files = scene.files(&outcome);
    assert_eq!(files.len(), 1);
    let (key, bytes) = files.remove(0);
    assert!(key.starts_with(&format!("{}/", model.name())), "{key}");
    (key, bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn persons_and_sessions_come_back_equal_from_parquet() {
    for model in [Model::Persons, Model::Sessions] {
        let (_, bytes) = exported(model, "Parquet", "zstd").await;
        let (found, expected) = (read::parquet(&bytes), batch(model));
        assert_eq!(found.num_columns(), expected.num_columns());
        for ((name, _), (found, expected)) in kinds(model)
            .into_iter()
            .zip(found.columns().iter().zip(expected.columns()))
        {
            assert_eq!(found, expected, "{} column {name}", model.name());
        }
        let schema = found.schema();
        let names: Vec<_> = schema.fields().iter().map(|field| field.name()).collect();
        let wanted = kinds(model);
        assert_eq!(names, wanted.iter().map(|(name, _)| name).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn persons_and_sessions_come_back_equal_from_json_lines() {
    for model in [Model::Persons, Model::Sessions] {
        let (key, bytes) = exported(model, "JSONLines", "gzip").await;
        let rows = read::json_lines(&key, &bytes);
        assert_eq!(rows.len(), ROWS);
        for (row, found) in rows.iter().enumerate() {
            let expected: serde_json::Map<_, _> = kinds(model)
                .into_iter()
                .enumerate()
                .map(|(number, (name, kind))| (name, in_json(kind, row, number)))
                .collect();
            assert_eq!(*found, Value::Object(expected), "{} row {row}", model.name());
        }
    }
}
