//! Running an interval again: the same rows give the same objects, other rows replace them, and nothing is left over.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use batch_export_system::explain::Cause;
use batch_export_tests::program::{self, Program};
use batch_export_tests::read;
use batch_export_tests::rows::{events_batch, plain_events, rebatched};
use batch_export_tests::scene::{ACCESS_KEY, BUCKET, SECRET_KEY, Scene};
use devstore::{Identity, Permission};
use serde_json::{Value, json};

const STEM: &str = "again/2023-07-28T00:00:00+00:00-2023-07-28T01:00:00+00:00";

fn rows(count: usize) -> RecordBatch {
    events_batch(&plain_events(count))
}

fn configuration(scene: &Scene) -> Value {
    scene.configuration("again/", json!({"max_file_size_mb": 1}))
}

/// Every object of the bucket with its bytes.
fn objects(scene: &Scene) -> BTreeMap<String, Vec<u8>> {
    let keys = scene.store.keys(BUCKET).into_iter();
    keys.map(|key| {
        let bytes = scene.bytes(&key);
        (key, bytes)
    })
    .collect()
}

/// The files that the manifest lists must be all there are, and hold so many rows.
#[track_caller]
fn assert_consistent(scene: &Scene, rows: usize) -> usize {
    let manifest = scene.bytes(&format!("{STEM}_manifest.json"));
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    let listed: Vec<&str> = manifest["files"]
        .as_array()
        .expect("files")
        .iter()
        .map(|key| key.as_str().expect("a key"))
        .collect();
    let mut expected: Vec<String> = listed.iter().map(|key| (*key).to_owned()).collect();
    expected.push(format!("{STEM}_manifest.json"));
    expected.sort();
    assert_eq!(scene.store.keys(BUCKET), expected);
    let found: usize = listed
        .iter()
        .map(|key| read::json_lines(key, &scene.bytes(key)).len())
        .sum();
    assert_eq!(found, rows);
    listed.len()
}

fn in_text(warnings: &[Cause]) -> String {
    let texts: Vec<String> = warnings.iter().map(Cause::in_one_text).collect();
    texts.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_rows_give_the_same_bytes_and_keys() {
    let scene = Scene::new().await;
    for further in [
        json!({"max_file_size_mb": 1, "manifest": "detailed"}),
        json!({"file_format": "Parquet", "compression": "zstd", "manifest": "detailed"}),
    ] {
        let configuration = scene.configuration("again/", further);
        let batch = rows(8_000);
        let batches = rebatched(&batch, &[900]);
        let first = scene.export("attempt-1", &configuration, &batches);
        first.await.report();
        let before = objects(&scene);
        let batches = rebatched(&batch, &[2_500]);
        let second = scene.export("attempt-2", &configuration, &batches);
        second.await.report();
        let after = objects(&scene);
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
        for (key, bytes) in &before {
            assert!(after[key] == *bytes, "{key} differs");
        }
        assert_eq!(scene.store.open_uploads(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fewer_rows_leave_no_file_of_before() {
    let scene = Scene::new().await;
    let configuration = configuration(&scene);
    scene
        .export("attempt-1", &configuration, &[rows(12_000)])
        .await
        .report();
    assert!(assert_consistent(&scene, 12_000) > 3);
    scene.export("attempt-2", &configuration, &[rows(1_000)]).await.report();
    assert_eq!(assert_consistent(&scene, 1_000), 1);
    scene.export("attempt-3", &configuration, &[rows(6_000)]).await.report();
    assert!(assert_consistent(&scene, 6_000) > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_may_only_write_say_what_they_could_not_look_for() {
    let scene = Scene::new().await;
    let configuration = configuration(&scene);
    scene
        .export("attempt-1", &configuration, &[rows(12_000)])
        .await
        .report();
    let only_write = Identity::new(ACCESS_KEY, SECRET_KEY).with_permission(Permission::WriteOnly);
    scene.store.set_identities(vec![only_write]);
    let outcome = scene.export("attempt-2", &configuration, &[rows(1_000)]).await;
    let report = outcome.report();
    assert_eq!((report.rows_exported, report.files.len()), (1_000, 1));
    let manifest = scene.bytes(&format!("{STEM}_manifest.json"));
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    assert_eq!(manifest, json!({"files": [format!("{STEM}-0.jsonl")]}));
    let warnings = in_text(&report.warnings);
    assert!(warnings.contains(&format!("{STEM}-1.jsonl")), "{warnings}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rerun_without_rows_says_that_older_objects_are_still_there() {
    let scene = Scene::new().await;
    let configuration = configuration(&scene);
    scene.export("attempt-1", &configuration, &[rows(4_000)]).await.report();
    let before = scene.store.keys(BUCKET);
    let outcome = scene.export("attempt-2", &configuration, &[rows(0)]).await;
    let report = outcome.report();
    assert_eq!(report.files, []);
    assert_eq!(scene.store.keys(BUCKET), before);
    let warnings = in_text(&report.warnings);
    assert!(warnings.contains(STEM), "{warnings}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_interval_writes_nothing_and_says_so() {
    let scene = Scene::new().await;
    let program = Program::new(&program::configuration(&scene, "again", 1, "max_file_size_mb = 1"));
    // One row an hour: a second of it has none.
    let printed = program.start_export("00:30:30", "00:30:31", &[]).wait();
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let sentence = "no files were written: the interval has no rows";
    assert!(printed.stdout.contains(sentence), "{printed:?}");
    let sentence = "warning: nothing was written: the interval has no rows";
    assert!(printed.stderr.contains(sentence), "{printed:?}");
    assert_eq!(scene.store.keys(BUCKET), Vec::<String>::new());
    assert_eq!(scene.store.open_uploads(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn never_overwriting_proves_an_equal_rerun_and_refuses_another() {
    let scene = Scene::new().await;
    for further in [
        json!({"if_none_match": true, "max_file_size_mb": 1}),
        json!({"if_none_match": true, "file_format": "Parquet", "manifest": "detailed"}),
        // In parts: the store refuses only once they are all there.
        json!({"if_none_match": true, "max_file_size_mb": 12}),
        json!({"if_none_match": true, "max_file_size_mb": 12, "checksum": "crc64nvme"}),
        json!({"if_none_match": true, "max_file_size_mb": 12, "checksum": "crc32c"}),
        json!({"if_none_match": true, "max_file_size_mb": 12, "checksum": "crc32"}),
        json!({"if_none_match": true, "max_file_size_mb": 12, "checksum": "sha256"}),
    ] {
        let prefix = format!("never-{}/", further.as_object().expect("an object").len());
        let prefix = format!("{prefix}{}/", scene.store.keys(BUCKET).len());
        let configuration = scene.configuration(&prefix, further);
        let batch = rows(20_000);
        let first = scene.export("attempt-1", &configuration, std::slice::from_ref(&batch));
        first.await.report();
        let before = objects(&scene);
        let again = scene
            .export("attempt-2", &configuration, std::slice::from_ref(&batch))
            .await;
        assert_eq!(again.report().rows_exported, 20_000);
        assert!(objects(&scene) == before, "{configuration}");

        let other = scene
            .export("attempt-3", &configuration, &[batch.slice(1, 19_999)])
            .await;
        let error = other.error();
        assert!(error.contains("if_none_match forbids overwriting"), "{error}");
        assert!(objects(&scene) == before, "{configuration}");
        assert_eq!(scene.store.open_uploads(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_takes_an_equal_rerun_that_overwrites_nothing() {
    for (rows, fields) in [
        (100, "if_none_match = true"),
        (100, "if_none_match = true\nmanifest = \"detailed\""),
        (40_000, "if_none_match = true\nmax_file_size_mb = 1"),
        (40_000, "if_none_match = true\nchecksum = \"sha256\""),
    ] {
        let scene = Scene::new().await;
        let program = Program::new(&program::configuration(&scene, "exports", rows, fields));
        let first = program.export(&[]);
        assert_eq!(first.code, Some(0), "{fields}: {first:?}");
        let before = objects(&scene);
        assert!(!before.is_empty());
        let again = program.export(&[]);
        assert_eq!(again.code, Some(0), "{fields}: {again:?}");
        assert!(objects(&scene) == before, "{fields}");
    }
}
