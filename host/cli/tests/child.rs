//! Files read in a child process by the real program: the same rows, bounded memory, no secrets, and an end with its
//! run. A file that ends its reader ends nothing else.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that unwraps has failed, and says where"
)]
#![cfg(unix)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::ipc::writer::FileWriter;
use batch_export_source::Interval;
use batch_export_source::{
    EventFilter, Feed, FilesFactory, FilesSettings, Selection, Source, SourceError, SourceFactory,
};
use batch_export_system::{Budget, Interrupted, Token, child};

const MIB: u64 = 1 << 20;
/// 2024-03-01T05:00Z.
const FIVE: i64 = 1_709_269_200_000_000;

fn with_children() {
    child::use_program(PathBuf::from(env!("CARGO_BIN_EXE_batch-export")));
    assert!(child::is_available());
}

fn files(folder: &Path, path: &str) -> FilesFactory {
    FilesFactory::new(FilesSettings::new(folder, path, "own", "t"))
}

fn here(factory: &FilesFactory) -> Result<Box<dyn Source>, SourceError> {
    factory.open(selection(), &Token::new(), &Budget::unlimited())
}

async fn start(factory: FilesFactory, memory_bytes: u64) -> Result<Feed, SourceError> {
    let factory = Arc::new(factory.in_child(memory_bytes));
    Feed::start(factory, selection(), &Token::new(), &Budget::unlimited()).await
}

fn selection() -> Selection {
    Selection::new(
        Interval::parse("2024-03-01T05:00Z", "2024-03-01T06:00Z").expect("an hour"),
        EventFilter::default(),
    )
}

fn arrow_file(folder: &Path, name: &str, texts: Vec<String>) {
    let rows = RecordBatch::try_from_iter([
        (
            "t",
            Arc::new(TimestampMicrosecondArray::from(vec![FIVE; texts.len()])) as ArrayRef,
        ),
        ("s", Arc::new(StringArray::from(texts)) as ArrayRef),
    ])
    .expect("rows");
    let mut writer = FileWriter::try_new(Vec::new(), &rows.schema()).expect("a writer");
    writer.write(&rows).expect("rows");
    fs::write(folder.join(name), writer.into_inner().expect("a file")).expect("a file");
}

fn all(source: &mut dyn Source) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    while let Some(batch) = source.next_batch().expect("rows") {
        batches.push(batch);
    }
    batches
}

/// Processes whose parent is this one.
fn children() -> BTreeSet<u32> {
    let own = format!("PPid:\t{}", std::process::id());
    fs::read_dir("/proc")
        .expect("processes")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.lines().any(|line| line == own)
        })
        .collect()
}

async fn started(factory: FilesFactory) -> (Feed, u32) {
    let before = children();
    let feed = start(factory, 512 * MIB).await.expect("a source");
    let child = children().difference(&before).next().copied();
    (feed, child.expect("a child"))
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_tally_and_warnings_are_those_of_this_process() {
    with_children();
    let folder = tempfile::tempdir().expect("a folder");
    let texts = (0..30_000).map(|n| format!("text {n} {}", "x".repeat(n % 900)));
    arrow_file(folder.path(), "a.arrow", texts.collect());
    fs::write(folder.path().join("b.txt"), "not rows").expect("a file");
    fs::write(folder.path().join("c.jsonl"), "").expect("a file");
    let factory = files(folder.path(), ".");

    let mut here = here(&factory).expect("a source");
    let expect = all(here.as_mut());
    let schema = here.schema();
    let expect = arrow::compute::concat_batches(&schema, &expect).expect("rows");
    let budget = Budget::new(64 << 20);
    let mut there = factory
        .clone()
        .in_child(512 * MIB)
        .open(selection(), &Token::new(), &budget)
        .expect("a source");
    let found = all(there.as_mut());
    assert_eq!(there.schema(), schema);
    assert!(found.len() > 2, "{}", found.len());
    let found = arrow::compute::concat_batches(&schema, &found).expect("rows");
    assert_eq!(found, expect);
    assert_eq!((there.tally(), there.warnings()), (here.tally(), here.warnings()));
    assert_eq!(there.warnings().len(), 1);
    assert!(budget.peak_bytes() > 0 && budget.held_bytes() == 0);

    let (mut feed, _) = started(factory).await;
    let mut rows = 0;
    while let Some(message) = feed.next().await.expect("a message") {
        rows += message.rows;
    }
    assert_eq!(rows, 30_000);
    let summary = feed.summary().expect("the end");
    assert_eq!((summary.tally, &summary.warnings), (here.tally(), &here.warnings()));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_come_over_with_their_words_and_their_class() {
    with_children();
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a.parquet"), "PAR1 and no more, PAR1").expect("a file");
    for path in ["a.parquet", "none"] {
        let factory = files(folder.path(), path);
        let here = here(&factory).map(|_| ()).expect_err("an error");
        let there = start(factory, 512 * MIB).await.map(|_| ());
        let there = there.expect_err("an error");
        assert_eq!(there.to_string(), here.to_string());
        assert_eq!(there.is_transient(), here.is_transient());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_takes_too_much_ends_its_reader_and_nothing_else() {
    with_children();
    let folder = tempfile::tempdir().expect("a folder");
    // Half a gigabyte of one row as a few hundred kilobytes of gzip.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, b"{\"t\":\"2024-03-01T05:00:00Z\",\"s\":\"").expect("gzip");
    for _ in 0..120 {
        std::io::Write::write_all(&mut gzip, &vec![b'x'; 1 << 20]).expect("gzip");
    }
    std::io::Write::write_all(&mut gzip, b"\"}\n").expect("gzip");
    fs::write(folder.path().join("bomb.jsonl.gz"), gzip.finish().expect("gzip")).expect("a file");
    let texts = (0..20_000).map(|n| format!("{n} {}", "y".repeat(1_000)));
    arrow_file(folder.path(), "good.arrow", texts.collect());

    let (mut good, _) = started(files(folder.path(), "good.arrow")).await;
    let first = good.next().await.expect("a message").expect("rows").rows;
    let bomb = start(files(folder.path(), "bomb.jsonl.gz"), 64 * MIB).await;
    let outcome = match bomb {
        Ok(mut feed) => feed.next().await.map(|_| ()),
        Err(error) => Err(error),
    };
    let error = outcome.expect_err("too much");
    let SourceError::ChildEnded {
        limit_mib: 64,
        is_transient: false,
        ..
    } = &error
    else {
        panic!("{error}");
    };
    let text = error.to_string();
    assert!(
        text.contains("bomb.jsonl.gz, most likely because it needs more than the 64 MiB"),
        "{text}"
    );
    let mut rows = first;
    while let Some(message) = good.next().await.expect("a message") {
        rows += message.rows;
    }
    assert_eq!(rows, 20_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_knows_no_secret_and_ends_with_its_run() {
    with_children();
    let folder = tempfile::tempdir().expect("a folder");
    // More than fits into pipe and queue, so that the child is at work until somebody takes it.
    let texts = (0..60_000).map(|n| format!("{n} {}", "y".repeat(1_000)));
    arrow_file(folder.path(), "a.arrow", texts.collect());
    let (feed, child) = started(files(folder.path(), "a.arrow")).await;
    let environment = fs::read_to_string(format!("/proc/{child}/environ")).expect("an environment");
    let mut known: Vec<&str> = environment
        .split_terminator('\0')
        .filter_map(|variable| variable.split('=').next())
        .collect();
    known.sort();
    // What bounds its threads, and nothing of this process.
    assert_eq!(known, ["MALLOC_ARENA_MAX", "RAYON_NUM_THREADS"]);
    drop(feed);
    gone(child).await;

    // Killed by somebody else: an error that another try may cure, and never an end that looks like one.
    let (mut feed, child) = started(files(folder.path(), "a.arrow")).await;
    let pid = rustix::process::Pid::from_raw(child.cast_signed()).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
    let error = loop {
        match feed.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the rest of the rows is missing, and nobody says so"),
            Err(error) => break error,
        }
    };
    assert!(error.is_transient(), "{error}");
    assert!(error.to_string().contains("signal: 9 (SIGKILL)"), "{error}");
    gone(child).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_the_child_within_a_second_whoever_waits_for_it() {
    with_children();
    let folder = tempfile::tempdir().expect("a folder");
    let texts = (0..60_000).map(|n| format!("{n} {}", "y".repeat(1_000)));
    arrow_file(folder.path(), "a.arrow", texts.collect());
    let factory = files(folder.path(), "a.arrow").in_child(512 * MIB);
    for ends_by_time in [false, true] {
        let (before, mut token) = (children(), Token::new());
        if ends_by_time {
            token = token.with_deadline(Instant::now() + Duration::from_millis(1_500));
        }
        let budget = Budget::new(64 << 20);
        let factory = Arc::new(factory.clone());
        let feed = Feed::start(factory.clone(), selection(), &token, &budget);
        let mut feed = feed.await.expect("a source");
        let opened = factory.open(selection(), &token, &budget);
        let mut source = opened.expect("a source");
        let running: Vec<u32> = children().difference(&before).copied().collect();
        assert_eq!(running.len(), 2);
        let message = feed.next().await.expect("a message").expect("rows");
        assert!(budget.held_bytes() >= message.bytes.len());
        source.next_batch().expect("rows").expect("a batch");
        let expect = match ends_by_time {
            true => {
                tokio::time::sleep_until(token.deadline().expect("a deadline").into()).await;
                Interrupted::DeadlinePassed
            }
            false => {
                token.cancel();
                Interrupted::Cancelled
            }
        };
        let ended = Instant::now();
        for child in running {
            gone(child).await;
        }
        let error = feed.next().await.expect_err("interrupted");
        assert!(matches!(error, SourceError::Interrupted(reason) if reason == expect));
        let error = loop {
            match source.next_batch() {
                Ok(batch) => assert!(batch.is_some(), "an end that is none"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, SourceError::Interrupted(reason) if reason == expect));
        feed.close().await;
        assert!(ended.elapsed() < Duration::from_secs(1));
        drop((message, source));
        assert_eq!(budget.held_bytes(), 0);
    }
}

async fn gone(child: u32) {
    for _ in 0..1_000 {
        if !children().contains(&child) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the child {child} is still there");
}
