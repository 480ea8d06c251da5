//! Runs of one process that share its memory: each is given what its plan says, waits until that is free, and takes no
//! more.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use batch_export_runner::exporter::Exporter;
use batch_export_runner::{FailureClass, FailureCode, RunReport, RunTokens, Runner, Runtime, StateMemory};
use batch_export_source::{FEED_BYTES, Interval};
use batch_export_tests::program::configuration;
use batch_export_tests::scene::Scene;
use devstore::Options;

const MIB: usize = 1 << 20;
/// What a run with rows of at most 1 MiB needs by its plan, its responses and its batches included.
const NEEDED: usize = (69 + 44 + 8) * MIB + MIB / 4 + FEED_BYTES;

fn hour(number: usize) -> Interval {
    let start = format!("2023-07-28T{number:02}:00Z");
    let end = format!("2023-07-28T{:02}:00Z", number + 1);
    Interval::parse(&start, &end).expect("an hour")
}

async fn small_rows(scene: &Scene, rows: usize) -> Exporter {
    let text = configuration(scene, "archive", rows, "max_row_mb = 1\nmanifest = \"detailed\"");
    scene.exporter(&text).await
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_wait_for_the_memory_that_their_plans_need_and_all_complete() {
    const RUNS: usize = 6;
    const ROWS: usize = 30_000;
    let limit = 2 * NEEDED + NEEDED / 2;
    let scene = Scene::with_memory(Options::default(), limit).await;
    let exporter = small_rows(&scene, ROWS).await;
    let budget = exporter.plugin.sandbox().budget().clone();
    let runner = Runner::new(Runtime::default(), StateMemory::default());
    let runs: Vec<_> = (0..RUNS)
        .map(|number| {
            let (runner, exporter) = (runner.clone(), exporter.clone());
            tokio::spawn(async move { runner.run(&exporter, hour(number), &RunTokens::new()).await })
        })
        .collect();
    let mut most_held = 0;
    while !runs.iter().all(|run| run.is_finished()) {
        most_held = most_held.max(budget.held_bytes());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for run in runs {
        let report: RunReport = run.await.expect("no panic").expect("it completes");
        assert_eq!(report.rows_supplied, ROWS as u64);
        assert!(
            report.peak_guest_memory_bytes <= 69 * MIB + MIB,
            "{}",
            report.peak_guest_memory_bytes
        );
    }
    // Two were in progress at once, a third never, and nothing took more than was set aside.
    let peak = budget.peak_bytes();
    assert!(most_held <= peak && peak <= limit, "{most_held} {peak} {limit}");
    assert!(peak >= 2 * NEEDED, "{peak}, {NEEDED} for each");
    assert_eq!(budget.held_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_needs_more_than_all_memory_fails_at_once() {
    let scene = Scene::with_memory(Options::default(), 100 * MIB).await;
    let exporter = small_rows(&scene, 10).await;
    let runner = Runner::new(Runtime::default(), StateMemory::default());
    let begun = Instant::now();
    let failure = runner
        .run(&exporter, hour(0), &RunTokens::new())
        .await
        .expect_err("too large");
    assert_eq!(
        (failure.class(), failure.code()),
        (FailureClass::Configuration, FailureCode::LIMITS_TOO_LOW)
    );
    assert_eq!(
        failure.message(),
        "a run with these settings needs 135 MiB of memory, request bodies and batches, and the \
         limit `memory_bytes` allows 100"
    );
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(scene.store.requests().len(), 0);
}

/// The plan speaks of tables of usual width: a wider one gets what the plugin says of all.
#[tokio::test(flavor = "multi_thread")]
async fn a_wide_table_may_take_more_than_the_plan_says() {
    const COLUMNS: usize = 1_300;
    let scene = Scene::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wide.csv");
    let names: Vec<String> = (0..COLUMNS).map(|column| format!("c{column}")).collect();
    let mut text = format!("at,{}\n", names.join(","));
    for row in 0..1_500 {
        let values: Vec<String> = (0..COLUMNS).map(|column| (row * column).to_string()).collect();
        writeln!(text, "2023-07-28T00:00:01Z,{}", values.join(",")).expect("text");
    }
    std::fs::write(&path, text).expect("written");
    let fields = "file_format = \"Parquet\"\ncompression = \"zstd\"\nmax_row_mb = 1";
    let sample = "source = { type = \"sample\", rows_per_hour = 1 }";
    let files = format!(
        "source = {{ type = \"files\", path = \"{}\", time_column = \"at\" }}",
        path.display()
    );
    let text = configuration(&scene, "archive", 1, fields)
        .replace(sample, &files)
        .replace("model = \"events\"", "model = \"own\"\ncustom_model = true");
    let exporter = scene.exporter(&text).await;
    let run = exporter.header(hour(0)).run("a".to_owned());
    let planned = exporter.plan(&run).await.expect("a plan").memory_bytes;
    let runner = Runner::new(Runtime::default(), StateMemory::default());
    let report = runner
        .run(&exporter, hour(0), &RunTokens::new())
        .await
        .expect("it completes");
    assert_eq!(report.rows_supplied, 1_500);
    assert!(report.peak_guest_memory_bytes as u64 > planned, "{planned}");
}
