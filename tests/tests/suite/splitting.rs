//! Splitting at the sizes that people set, through the component: from 1 MiB to 1 GiB. The store keeps sizes only.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use batch_export_sandbox::Limits;
use batch_export_tests::rows::{events_batch, plain_events};
use batch_export_tests::scene::{BUCKET, Messages, Scene};
use devstore::{Options, Storage};
use serde_json::json;

const MIB: usize = 1 << 20;
const ROWS_PER_BATCH: usize = 8;
/// A few MiB: the exact bounds are held natively, by plugin/src/encode/tests/split.rs.
const OVERSHOOT_BYTES: u64 = 4 << 20;

/// Eight rows of about 1 MiB, no two alike, so that no dictionary makes them small.
fn batch() -> RecordBatch {
    let batch = events_batch(&plain_events(ROWS_PER_BATCH));
    let chains = (0..ROWS_PER_BATCH).map(|row| Some(format!("{row}{}", "x".repeat(MIB))));
    let chains: StringArray = chains.collect();
    let at = batch.schema().index_of("elements_chain").expect("a column");
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    columns[at] = Arc::new(chains);
    RecordBatch::try_new(batch.schema(), columns).expect("a batch")
}

#[tokio::test(flavor = "multi_thread")]
async fn files_hold_at_least_their_limit_and_little_more() {
    let message = Messages::of(&[batch()]);
    let plugin = Scene::new().await.destination();
    for (format, limit_mib, batches) in [
        ("JSONLines", 1, 1),
        ("JSONLines", 64, 25),
        ("JSONLines", 1024, 130),
        ("Parquet", 1, 1),
        ("Parquet", 64, 25),
        ("Parquet", 1024, 130),
    ] {
        let scene = Scene::with(Options {
            storage: Storage::Discard {
                verify_payload_hash: true,
            },
            ..Options::default()
        })
        .await;
        let further = json!({"file_format": format, "max_file_size_mb": limit_mib});
        let configuration = scene.configuration("exports/", further);
        let messages = Messages {
            schema: message.schema.clone(),
            batches: vec![message.batches[0].clone(); batches],
            rows: (batches * ROWS_PER_BATCH) as u64,
        };
        let outcome = scene.run(&plugin, &configuration, &messages, Limits::default()).await;
        let report = outcome.report();
        let rows = (batches * ROWS_PER_BATCH) as u64;
        assert_eq!(report.rows_exported, rows, "{format}, {limit_mib} MiB");
        let (last, full) = report.files.split_last().expect("files");
        let limit_bytes = limit_mib * MIB as u64;
        for file in full {
            let over = file.bytes.checked_sub(limit_bytes);
            assert!(
                over.is_some_and(|over| over < OVERSHOOT_BYTES),
                "{format}, {limit_mib} MiB: {file:?}"
            );
        }
        assert!(last.rows > 0 && last.bytes > 0, "{format}: {last:?}");
        let least = rows * MIB as u64 / (limit_bytes + OVERSHOOT_BYTES);
        assert!(full.len() as u64 >= least.max(1), "{format}: {full:?}");
        let stored = scene.store.keys(BUCKET).len();
        assert_eq!(stored, report.files.len() + 1, "with the manifest");
        assert_eq!(scene.store.open_uploads(), []);
    }
}
