//! What errors say that no small file can bring about, and what to do about each.

use super::*;

#[test]
fn what_no_small_file_can_bring_about_is_said_as_well() {
    let broken = || arrow::error::ArrowError::SchemaError("no such type".to_owned());
    let cases = [
        (
            SourceError::TooMany {
                place: PathBuf::from("events"),
                what: "files",
                limit: 100_000,
            },
            "events contains more than 100,000 files; narrow the source's `path`",
            false,
        ),
        (
            SourceError::RowTooLarge {
                path: Some(PathBuf::from("events/a.jsonl")),
                row: 7_000,
                bytes: 200,
                limit_bytes: 160,
            },
            "events/a.jsonl: row 7,000 of the interval takes 200 bytes, more than the 160 that are allowed for one row; \
             remove the row, or shorten it",
            false,
        ),
        (
            SourceError::Encode(broken()),
            "rows cannot be written as Arrow IPC: Schema error: no such type; report this with the source's columns and their types",
            false,
        ),
        (
            SourceError::Died,
            "the thread that reads the source ended unexpectedly; run it again, and report it with the file if it happens again",
            false,
        ),
        (
            SourceError::Thread(io::Error::other("too many threads")),
            "cannot start a thread for reading the source: too many threads; run it again when fewer processes are \
             running",
            true,
        ),
        (
            SourceError::Child(io::Error::other("too many processes")),
            "cannot start the process that reads the source's files: too many processes; run it again when fewer \
             processes are running",
            true,
        ),
        (
            SourceError::ChildEnded {
                path: Some(PathBuf::from("in/a.arrow")),
                how: "signal: 6 (SIGABRT)".to_owned(),
                is_transient: false,
                limit_mib: 2048,
            },
            "the process that reads the source's files ended unexpectedly (signal: 6 (SIGABRT)) at in/a.arrow, most \
             likely because it needs more than the 2,048 MiB of memory that it may use; raise `source_memory_mb` in \
             the destination's `limits` if you trust the file, or exclude the file from the source's `path`",
            false,
        ),
        (
            SourceError::Unreadable {
                path: PathBuf::from("in/e.jsonl/"),
                source: io::Error::from(io::ErrorKind::NotADirectory),
            },
            "cannot read in/e.jsonl/: not a directory; correct the source's `path`",
            false,
        ),
    ];
    for (error, expect, is_transient) in cases {
        assert_eq!(Cause::of(&error).in_one_text(), expect);
        assert_eq!(error.is_transient(), is_transient, "{expect}");
    }
}
