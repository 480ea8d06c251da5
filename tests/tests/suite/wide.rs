//! Tables of thousands of columns through the component, within the memory that it asks for: they go through, or are
//! refused by name before the first row. Never a trap.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use batch_export_sandbox::Limits;
use batch_export_sandbox::contract::Run;
use batch_export_tests::scene::{Messages, Scene, run};
use devstore::{Options, Storage};
use serde_json::{Value, json};

/// So many columns with names of that length, and rows of `true`.
fn booleans(columns: usize, name_bytes: usize, rows: usize) -> RecordBatch {
    let values: ArrayRef = Arc::new(BooleanArray::from(vec![true; rows]));
    let columns = (0..columns).map(|column| (format!("{column:0name_bytes$}"), values.clone()));
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

#[tokio::test(flavor = "multi_thread")]
async fn wide_tables_go_through_or_are_refused_by_name() {
    let scene = Scene::with(Options {
        storage: Storage::Discard {
            verify_payload_hash: true,
        },
        ..Options::default()
    })
    .await;
    let plugin = scene.destination();
    let run = Run {
        model: "wide".to_owned(),
        ..run()
    };
    // Rows of 0.8 MiB of text from a batch of 2 MB; and as many columns as zstd has memory for, at both kinds of level.
    let taken: [(RecordBatch, Value); 4] = [
        (booleans(2_000, 400, 300), json!({"compression": "none"})),
        (booleans(2_000, 400, 300), json!({"compression": "zstd"})),
        (
            booleans(1_365, 8, 9_000),
            json!({"file_format": "Parquet", "compression": "zstd", "compression_level": 9}),
        ),
        (
            booleans(722, 8, 9_000),
            json!({"file_format": "Parquet", "compression": "zstd", "compression_level": 19}),
        ),
    ];
    for (batch, further) in taken {
        let configuration = scene.configuration("wide/", further.clone());
        let rows = batch.num_rows() as u64;
        let messages = Messages::of(&[batch]);
        let outcome = scene
            .run_as(&run, &plugin, &configuration, &messages, Limits::default())
            .await;
        assert_eq!(outcome.report().rows_exported, rows, "{further}");
        assert!(outcome.peak_memory_bytes < 512 << 20, "{further}");
    }
    let further = json!({"file_format": "Parquet", "compression": "zstd"});
    let configuration = scene.configuration("wide/", further);
    let messages = Messages::of(&[booleans(4_000, 8, 10)]);
    let outcome = scene
        .run_as(&run, &plugin, &configuration, &messages, Limits::default())
        .await;
    assert_eq!(outcome.step, "configure");
    let error = outcome.error();
    assert!(
        error.contains("4000 columns") && error.contains("at most 1365"),
        "{error}"
    );
}
