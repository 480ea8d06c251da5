//! The same rows in the same order give the same bytes and keys, wherever batches begin and end.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::ipc::writer::FileWriter;
use batch_export_sandbox::Limits;
use batch_export_tests::program::{self, Program};
use batch_export_tests::rows::{events_batch, plain_events, rebatched};
use batch_export_tests::scene::{BUCKET, Messages, Scene};
use serde_json::json;

/// How the rows are cut: at once, small, odd, with empty batches between.
const CUTS: [&[usize]; 4] = [&[usize::MAX], &[977], &[1, 4_096, 13], &[0, 3_000, 0, 2]];

#[tokio::test(flavor = "multi_thread")]
async fn bytes_and_keys_do_not_depend_on_batch_boundaries() {
    let batch = events_batch(&plain_events(12_000));
    for (format, codec) in [
        ("JSONLines", "gzip"),
        ("JSONLines", "brotli"),
        ("JSONLines", "zstd"),
        ("Parquet", "zstd"),
    ] {
        let mut first: Option<BTreeMap<String, Vec<u8>>> = None;
        for cut in CUTS {
            let scene = Scene::new().await;
            let further =
                json!({"file_format": format, "compression": codec, "max_file_size_mb": 1, "manifest": "detailed"});
            let configuration = scene.configuration("same/", further);
            let messages = Messages::of(&rebatched(&batch, cut));
            let outcome = scene
                .run(&scene.destination(), &configuration, &messages, Limits::default())
                .await;
            outcome.report();
            let objects: BTreeMap<String, Vec<u8>> = scene
                .store
                .keys(BUCKET)
                .into_iter()
                .map(|key| {
                    let bytes = scene.store.object(BUCKET, &key).expect("an object").bytes.to_vec();
                    (key, bytes)
                })
                .collect();
            match &first {
                None => first = Some(objects),
                Some(first) => {
                    let keys: Vec<_> = first.keys().collect();
                    assert_eq!(keys, objects.keys().collect::<Vec<_>>(), "{format} {codec} {cut:?}");
                    for (key, bytes) in &objects {
                        assert!(first[key] == *bytes, "{format} {codec} {cut:?}: {key} differs");
                    }
                }
            }
        }
    }
}

/// A table whose columns have a null in some pages and none in others, and more than a page's megabyte of text.
fn sparse_rows(rows: usize) -> RecordBatch {
    const START_MICROS: i64 = 1_690_502_400_000_000;
    let noise = |row: usize| (row as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let seldom = |row: usize| (!row.is_multiple_of(9_001)).then_some(row);
    let numbers: Int64Array = (0..rows)
        .map(|row| seldom(row + 7).map(|row| noise(row) as i64))
        .collect();
    let texts: StringArray = (0..rows)
        .map(|row| seldom(row).map(|row| format!("{:x}", noise(row)).repeat(4)))
        .collect();
    let times = (0..rows).map(|row| START_MICROS + row as i64 * 30_000);
    let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
    RecordBatch::try_from_iter_with_nullable([
        ("number", Arc::new(numbers) as ArrayRef, true),
        ("text", Arc::new(texts) as ArrayRef, true),
        ("_inserted_at", Arc::new(times) as ArrayRef, true),
    ])
    .expect("columns of one length")
}

/// The rows in so many Arrow files, in order by their names.
fn write_files(folder: &Path, rows: &RecordBatch, files: usize) {
    std::fs::create_dir(folder).expect("a folder");
    let count = rows.num_rows();
    for file in 0..files {
        let (from, to) = (file * count / files, (file + 1) * count / files);
        let path = folder.join(format!("part-{file:03}.arrow"));
        let sink = File::create(path).expect("a file");
        let mut writer = FileWriter::try_new(sink, &rows.schema()).expect("a writer");
        writer.write(&rows.slice(from, to - from)).expect("rows");
        writer.finish().expect("an end");
    }
}

/// What a user sees of it: however the source is cut into files, the program writes the same objects.
#[tokio::test(flavor = "multi_thread")]
async fn one_two_and_a_hundred_source_files_give_the_same_objects() {
    let rows = sparse_rows(100_000);
    let scene = Scene::new().await;
    let further = |name: &str, format: &str| {
        let source = format!(r#"{{ type = "files", path = "{name}" }}"#);
        let table = program::configuration(&scene, name, 1, &format!("file_format = \"{format}\""));
        let table = table.replace("{ type = \"sample\", rows_per_hour = 1 }", &source);
        table.replace("model = \"events\"", "model = \"own\"").replace(
            &format!("prefix = \"{name}/\""),
            &format!("prefix = \"{name}/{format}\""),
        )
    };
    for format in ["Parquet", "JSONLines"] {
        let mut first: Option<Vec<u8>> = None;
        for files in [1, 2, 100] {
            let name = format!("in{files}");
            let program = Program::new(&further(&name, format));
            write_files(&program.folder.path().join(&name), &rows, files);
            let printed = program.export(&[]);
            assert_eq!(printed.code, Some(0), "{printed:?}");
            let folder = format!("{name}/{format}/");
            let keys = scene.store.keys(BUCKET);
            let keys: Vec<_> = keys.iter().filter(|key| key.starts_with(&folder)).collect();
            assert_eq!(keys.len(), 1, "{keys:?}");
            let bytes = scene.bytes(keys[0]);
            let first = first.get_or_insert_with(|| bytes.clone());
            assert!(
                *first == bytes,
                "{format}, {files} files: {} bytes, {} from one",
                bytes.len(),
                first.len()
            );
        }
    }
}
