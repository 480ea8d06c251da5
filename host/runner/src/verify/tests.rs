//! Runs that are damaged in one way each, and the sentences that reading back says about them. Loads no component: what
//! a good run looks like is written down here.

mod absent;
mod files;
mod runs;
mod stores;

use std::fs::File;
use std::io::{Seek, Write};

use arrow::datatypes::Schema;
use tempfile::TempDir;

use super::allowed::allowed_bytes;
use super::*;
use batch_export_source::FilesSettings;
use batch_export_source::{EventFilter, Selection, SourceSettings};
use batch_export_system::Budget;

/// The source of every test, and the same rows as a JSON Lines file holds them.
const SOURCE: &str = r#"{"at":"2024-03-01T05:00:00Z","n":1,"s":"a"}
{"at":"2024-03-01T05:00:01Z","n":2,"s":"b"}
{"at":"2024-03-01T05:00:02Z","n":3,"s":"c"}
"#;
const WRITTEN: &str = r#"{"at":"2024-03-01T05:00:00+00:00","n":1,"s":"a"}
{"at":"2024-03-01T05:00:01+00:00","n":2,"s":"b"}
{"at":"2024-03-01T05:00:02+00:00","n":3,"s":"c"}
"#;

/// The rows of a source that holds this text, and the folder that it is in.
fn rows_of(text: &str) -> (TempDir, Rows) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rows.jsonl"), text).expect("a file");
    let settings = FilesSettings::new(folder.path(), "rows.jsonl", "own", "at");
    let factory = SourceSettings::Files(settings).factory(1 << 30);
    let selection = Selection::new(
        Interval::parse("2024-03-01T05:00Z", "2024-03-01T06:00Z").expect("an interval"),
        EventFilter::default(),
    );
    let rows = Rows::open(factory.as_ref(), selection, "own", &Token::new(), &Budget::unlimited()).expect("a source");
    (folder, rows)
}

fn nobody_watches() -> Watch {
    Arc::new(|_| {})
}

fn nobody_listens() -> Listener {
    Listener {
        token: Token::new(),
        watch: nobody_watches(),
        before: VerifyProgress::default(),
    }
}

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("written");
    file.rewind().expect("a beginning");
    file
}

/// Each fault is the sentence expected, or begins with it where a library's words follow.
#[track_caller]
fn assert_faults(faults: &[String], expect: &[&str], case: &str) {
    let fits = faults.len() == expect.len()
        && faults
            .iter()
            .zip(expect)
            .all(|(fault, expect)| match expect.strip_suffix('…') {
                Some(start) => fault.starts_with(start) && fault.len() > start.len(),
                None => fault == expect,
            });
    assert!(fits, "{case}: {faults:#?}, expected {expect:#?}");
}
