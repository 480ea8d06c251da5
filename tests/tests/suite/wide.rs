//! Tables of thousands of columns through the component, within the memory that it asks for: they go through, or are
//! refused by name before the first row. Never a trap.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
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

/// The Parquet writer keeps a compressed page in a buffer of the size that it had before: a row group of rows that
/// compress well, which is long in coming, took the memory of all its rows.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_compress_a_hundred_times_take_no_more_memory_than_others() {
    const BATCHES: usize = 100;
    const ROWS: usize = 2_000;
    let scene = Scene::with(Options {
        storage: Storage::Discard {
            verify_payload_hash: true,
        },
        ..Options::default()
    })
    .await;
    let plugin = scene.destination();
    let run = Run {
        model: "repetitive".to_owned(),
        ..run()
    };
    let batches: Vec<RecordBatch> = (0..BATCHES)
        .map(|batch| {
            let text = |row: usize| format!("{:032x}", (batch * ROWS + row) / 16).repeat(32);
            let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..ROWS).map(text)));
            RecordBatch::try_from_iter([("text", texts)]).expect("a batch")
        })
        .collect();
    let messages = Messages::of(&batches);
    for codec in ["zstd", "snappy"] {
        let further = json!({"file_format": "Parquet", "compression": codec});
        let configuration = scene.configuration("repetitive/", further);
        let outcome = scene
            .run_as(&run, &plugin, &configuration, &messages, Limits::default())
            .await;
        assert_eq!(outcome.report().rows_exported, (BATCHES * ROWS) as u64, "{codec}");
        let peak_mib = outcome.peak_memory_bytes >> 20;
        assert!(peak_mib < 128, "{codec}: {peak_mib} MiB");
    }
}
