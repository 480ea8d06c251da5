//! Why a source has no (more) rows, each with the file, the cause and the way out.

use std::io;
use std::path::{Path, PathBuf};

use crate::interval::IntervalError;
use crate::model::Model;
use batch_export_system::explain::Explain;

/// Everything that can go wrong while rows are read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("there is no file or folder {}; check the source's `path` (relative paths start at the configuration's folder)", .0.display())]
    NotFound(PathBuf),
    #[error("`{pattern}` matches no file below {}{skipped}; check the source's `path`", place.display())]
    NothingMatches {
        pattern: String,
        place: PathBuf,
        /// What was met and not taken, for the end of a sentence.
        skipped: String,
    },
    #[error("the folder {} holds no file that can be read{skipped}; expected names ending in {expected}, or a glob in `path`", folder.display())]
    EmptyFolder {
        folder: PathBuf,
        expected: &'static str,
        skipped: String,
    },
    #[error("`{pattern}` is not a valid glob: {cause}; put a literal `[` or `*` into brackets")]
    BadGlob { pattern: String, cause: String },
    #[error("the source's `path` is `{path}`: {cause}")]
    BadPath { path: String, cause: String },
    #[error("{} holds more than {limit} {what}; narrow the source's `path`", place.display())]
    TooMany {
        place: PathBuf,
        what: &'static str,
        limit: usize,
    },
    #[error("{} is {what} and not a file; remove it, or write a `path` that does not take it", path.display())]
    NotAFile { path: PathBuf, what: &'static str },
    #[error("{} and {} are the same file, and their folders' names hold different columns; remove one of them, or write a `path` that takes only one", path.display(), other.display())]
    OneFile { path: PathBuf, other: PathBuf },
    #[error("the name of the folder {} holds a column and is not UTF-8; rename it, with other bytes written like `%FF`", .0.display())]
    FolderName(PathBuf),
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is damaged or cut short: {cause}; write it anew, or take it out of the source's `path`", path.display())]
    Damaged { path: PathBuf, cause: String },
    #[error("{} cannot be read, though nothing is wrong with it: {cause}", path.display())]
    Foreign { path: PathBuf, cause: String },
    #[error("{} takes too much memory: {cause}", path.display())]
    TooLarge { path: PathBuf, cause: String },
    #[error("{} cannot be read: the reader failed unexpectedly ({cause}); the file is most likely damaged: write it anew, or report this with the file", path.display())]
    Panicked { path: PathBuf, cause: String },
    #[error("cannot tell what {} holds; name it .parquet, .arrow, .jsonl or .csv, or set the source's `format`", path.display())]
    UnknownFormat { path: PathBuf },
    #[error("{} is {content} inside {packing} compression, which cannot be read in place; decompress it first", path.display())]
    PackedBinary {
        path: PathBuf,
        content: &'static str,
        packing: &'static str,
    },
    #[error("{} is {what}, which cannot be read; {remedy}", path.display())]
    Unsupported {
        path: PathBuf,
        what: &'static str,
        remedy: &'static str,
    },
    #[error("{}: {read} {what} were read, and a count of its bytes finds {counted}; rows may be lost, so nothing of this run can be relied on: report it with the file", path.display())]
    Miscounted {
        path: PathBuf,
        what: &'static str,
        read: u64,
        counted: u64,
    },
    #[error(
        "the source's `columns` gives a type to {}, which no file has; the columns found are {}",
        quoted(declared),
        quoted(found)
    )]
    NoSuchColumns {
        declared: Vec<String>,
        found: Vec<String>,
    },
    #[error("{} does not fit the model `{model}`: {}; rename, add or convert the columns{}", path.display(), problems.join("; "), listed(model))]
    Columns {
        path: PathBuf,
        model: String,
        problems: Vec<String>,
    },
    #[error("{} has other columns than {}: {}; give both the same columns, or export them apart", path.display(), first.display(), problems.join("; "))]
    DifferentColumns {
        path: PathBuf,
        first: PathBuf,
        problems: Vec<String>,
    },
    #[error("{}, line {line}: {cause}", path.display())]
    BadRow {
        path: PathBuf,
        line: u64,
        cause: String,
    },
    #[error("{}, column `{column}`: {cause}", path.display())]
    BadColumn {
        path: PathBuf,
        column: String,
        cause: String,
    },
    #[error("{}, row {row}, column `{column}`: {cause}", path.display())]
    BadValue {
        path: PathBuf,
        /// From 1, in the file.
        row: u64,
        column: String,
        cause: String,
    },
    #[error(
        "row {row} of the interval takes {bytes} bytes, more than the {limit_bytes} that one batch may have; leave it out or shorten it"
    )]
    RowTooLarge {
        row: u64,
        bytes: usize,
        limit_bytes: usize,
    },
    #[error("rows cannot be written as Arrow IPC: {0}")]
    Encode(arrow::error::ArrowError),
    #[error(
        "the thread that reads the source ended unexpectedly; run again, and report it with the file if it comes back"
    )]
    Died,
    #[error("no thread for reading the source can be started: {0}")]
    Thread(io::Error),
    #[error("the process that reads the source's files cannot be started: {0}")]
    Child(io::Error),
    #[error("the process that reads the source's files ended unexpectedly ({how}){}; most likely this needs more memory than the {limit_mib} MiB that it may take: set `source_memory_mb` in the destination's `limits` higher if you trust the file, or take it out of the source's `path`", at(path.as_deref()))]
    ChildEnded {
        path: Option<PathBuf>,
        how: String,
        is_transient: bool,
        limit_mib: u64,
    },
    /// What the process that reads the files said.
    #[error("{message}")]
    Told { message: String, is_transient: bool },
}

fn at(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| format!(" at {}", path.display()))
}

/// Names that a message lists at most.
const LISTED_NAMES: usize = 20;

/// Names in quotes that make blanks visible.
pub fn quoted(names: &[String]) -> String {
    let listed: Vec<String> = names
        .iter()
        .take(LISTED_NAMES)
        .map(|name| format!("`{name}`"))
        .collect();
    match names.len().saturating_sub(LISTED_NAMES) {
        0 => listed.join(", "),
        more => format!("{} and {more} more", listed.join(", ")),
    }
}

/// Where the columns of a model are told, which only those are that this program knows.
fn listed(model: &str) -> String {
    Model::named(model).map_or_else(String::new, |_| {
        format!(" (`batch-export schema {model}` lists them)")
    })
}

impl Explain for SourceError {}
impl Explain for IntervalError {}

impl SourceError {
    /// Whether the same read may succeed later without anybody doing something.
    pub fn is_transient(&self) -> bool {
        match self {
            SourceError::Unreadable { source, .. } => !matches!(
                source.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::PermissionDenied
                    | io::ErrorKind::NotADirectory
                    | io::ErrorKind::IsADirectory
                    | io::ErrorKind::InvalidInput
                    | io::ErrorKind::InvalidFilename
                    | io::ErrorKind::Unsupported
            ),
            SourceError::Thread(_) | SourceError::Child(_) => true,
            SourceError::ChildEnded { is_transient, .. }
            | SourceError::Told { is_transient, .. } => *is_transient,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
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
                "events holds more than 100000 files; narrow the source's `path`",
                false,
            ),
            (
                SourceError::RowTooLarge {
                    row: 7,
                    bytes: 200,
                    limit_bytes: 160,
                },
                "row 7 of the interval takes 200 bytes, more than the 160 that one batch may have; leave it out or shorten it",
                false,
            ),
            (
                SourceError::Encode(broken()),
                "rows cannot be written as Arrow IPC: Schema error: no such type",
                false,
            ),
            (
                SourceError::Died,
                "the thread that reads the source ended unexpectedly; run again, and report it with the file if it comes back",
                false,
            ),
            (
                SourceError::Thread(io::Error::other("too many threads")),
                "no thread for reading the source can be started: too many threads",
                true,
            ),
            (
                SourceError::Child(io::Error::other("too many processes")),
                "the process that reads the source's files cannot be started: too many processes",
                true,
            ),
            (
                SourceError::ChildEnded {
                    path: Some(PathBuf::from("in/a.arrow")),
                    how: "signal: 6 (SIGABRT)".to_owned(),
                    is_transient: false,
                    limit_mib: 2048,
                },
                "the process that reads the source's files ended unexpectedly (signal: 6 (SIGABRT)) at in/a.arrow; most likely this needs more memory than the 2048 MiB that it may take: set `source_memory_mb` in the destination's `limits` higher if you trust the file, or take it out of the source's `path`",
                false,
            ),
            (
                SourceError::Unreadable {
                    path: PathBuf::from("in/e.jsonl/"),
                    source: io::Error::from(io::ErrorKind::NotADirectory),
                },
                "cannot read in/e.jsonl/: not a directory",
                false,
            ),
        ];
        for (error, expect, is_transient) in cases {
            assert_eq!(error.to_string(), expect);
            assert_eq!(error.is_transient(), is_transient, "{expect}");
        }
    }
}
