//! Ends that come early: work that must end, and files that are lost on the way.

use std::time::{Duration, Instant};

use super::*;
use batch_export_system::Interrupted;

fn own(folder: &TempDir, path: &str) -> FilesSettings {
    FilesSettings::new(folder.path(), path, "own", "t")
}

fn lines(rows: usize) -> String {
    (0..rows)
        .map(|n| format!("{{\"t\":\"2024-03-01T05:00:00Z\",\"n\":{n}}}\n"))
        .collect()
}

fn is_interrupted(error: &SourceError) -> bool {
    matches!(error, SourceError::Interrupted(Interrupted::Cancelled))
}

#[test]
fn reading_ends_where_it_is_when_the_work_must_end() {
    let folder = folder();
    put(&folder, "in/a.jsonl", lines(20_000));
    put(&folder, "in/b.jsonl", lines(1));
    let columns: [(&str, Arc<dyn Array>); 2] = [
        (
            "t",
            Arc::new(arrow::array::TimestampMicrosecondArray::from(vec![
                1_709_269_200_000_000;
                20_000
            ])),
        ),
        ("n", Arc::new(Int64Array::from(vec![1; 20_000]))),
    ];
    let rows = RecordBatch::try_from_iter(columns).expect("rows");
    put(&folder, "a.parquet", parquet(&rows, 1_000));
    put(&folder, "a.arrow", arrow_stream(&rows, None));
    for path in ["in", "a.parquet", "a.arrow"] {
        let settings = own(&folder, path);
        // Before anything, and at every file that is looked at first.
        let token = Token::new();
        token.cancel();
        let outcome = Files::open(&settings, selection(START, END), &token, |_| {}).map(|_| ());
        assert!(is_interrupted(&outcome.expect_err(path)), "{path}");
        let token = Token::new();
        let at_once = token.clone();
        let reading = move |_: &Path| at_once.cancel();
        let outcome = Files::open(&settings, selection(START, END), &token, reading).map(|_| ());
        assert!(is_interrupted(&outcome.expect_err(path)), "{path}");
    }
    // Between two batches.
    let token = Token::new();
    let settings = own(&folder, "in");
    let mut files = Files::open(&settings, selection(START, END), &token, |_| {}).expect("files");
    files.next_batch().expect("rows").expect("a batch");
    token.cancel();
    assert!(is_interrupted(&files.next_batch().expect_err("cancelled")));
    // In the middle of what is looked at as a whole.
    let late = Token::new().with_deadline(Instant::now() + Duration::from_millis(5));
    let mut settings = own(&folder, "in");
    settings.infer_rows = 0;
    put(&folder, "in/a.jsonl", lines(400_000));
    let begun = Instant::now();
    let outcome = Files::open(&settings, selection(START, END), &late, |_| {}).map(|_| ());
    assert!(matches!(
        outcome,
        Err(SourceError::Interrupted(Interrupted::DeadlinePassed))
    ));
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_file_that_is_lost_on_the_way_is_a_failure() {
    let folder = folder();
    put(&folder, "in/a.jsonl", lines(1));
    put(&folder, "in/b.jsonl", lines(1));
    put(&folder, "in/c.jsonl", "");
    let settings = own(&folder, "in");
    let mut files = open(&settings, selection(START, END)).expect("files");
    files.waiting.next();
    let error = loop {
        match files.next_batch() {
            Ok(batch) => assert!(batch.is_some(), "an end that is none"),
            Err(error) => break error,
        }
    };
    assert_eq!(
        error.to_string(),
        "3 file names were found, but 2 are counted as read or omitted; rows may be missing, so do not rely on \
         anything from this run"
    );
}
