//! Errors of a source, each with the file, the cause and the way out.

use std::io;
use std::path::{Path, PathBuf};

use batch_export_system::explain::Explain;
use batch_export_system::{AdmissionError, Interrupted};

use crate::interval::IntervalError;
use crate::model::Model;

/// Everything that can go wrong while rows are read. Its text names the file, the cause and the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Nothing has the name that `path` gives.
    #[error("there is no file or folder {}; check the source's `path` (relative paths start at the configuration's folder)", .0.display())]
    NotFound(PathBuf),
    /// A glob matches no file.
    #[error("`{pattern}` matches no file below {}{skipped}; check the source's `path`", place.display())]
    NothingMatches {
        /// The glob.
        pattern: String,
        /// The folder that was searched.
        place: PathBuf,
        /// What was met and not taken, for the end of a sentence.
        skipped: String,
    },
    /// A folder holds no file whose name says that it holds rows.
    #[error("the folder {} holds no file that can be read{skipped}; expected names ending in {expected}, or a glob in `path`", folder.display())]
    EmptyFolder {
        /// The folder.
        folder: PathBuf,
        /// The endings of names that say it.
        expected: &'static str,
        /// What was met and not taken, for the end of a sentence.
        skipped: String,
    },
    /// A glob cannot be understood.
    #[error("`{pattern}` is not a valid glob: {cause}; put a literal `[` or `*` into brackets")]
    BadGlob {
        /// The glob.
        pattern: String,
        /// The reason, for the end of a sentence.
        cause: String,
    },
    /// A `path` is wrong whatever the disk holds.
    #[error("the source's `path` is `{path}`: {cause}")]
    BadPath {
        /// The `path` of the configuration.
        path: String,
        /// The reason, for the end of a sentence.
        cause: String,
    },
    /// There are more files or folders than are read at once.
    #[error("{} holds more than {limit} {what}; narrow the source's `path`", place.display())]
    TooMany {
        /// The folder that was searched.
        place: PathBuf,
        /// The things meant, in words.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// A folder, a named pipe, a socket or a device is where a file should be.
    #[error("{} is {what} and not a file; remove it, or write a `path` that does not take it", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
        /// The things meant, in words.
        what: &'static str,
    },
    /// One file is in two folders whose names hold different columns: its rows would be there twice.
    #[error("{} and {} are the same file, and their folders' names hold different columns; remove one of them, or write a `path` that takes only one", path.display(), other.display())]
    OneFile {
        /// The file.
        path: PathBuf,
        /// Its other name.
        other: PathBuf,
    },
    /// A folder's name holds a column and is not UTF-8.
    #[error("the name of the folder {} holds a column and is not UTF-8; rename it, with other bytes written like `%FF`", .0.display())]
    FolderName(PathBuf),
    /// The operating system refuses to read a file or folder.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A file breaks the rules of its own format.
    #[error("{} is damaged or cut short: {cause}; recreate it, or exclude it from the source's `path`", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The reason, for the end of a sentence.
        cause: String,
    },
    /// A file is valid, and holds something that cannot be read here.
    #[error("{} cannot be read, though nothing is wrong with it: {cause}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The reason, for the end of a sentence.
        cause: String,
    },
    /// A file needs more memory than is given to one.
    #[error("{} takes too much memory: {cause}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The reason, for the end of a sentence.
        cause: String,
    },
    /// A reader panicked on a file.
    #[error("{} cannot be read: the reader failed unexpectedly ({cause}); the file is most likely damaged: recreate it, or report this with the file", path.display())]
    Panicked {
        /// The file.
        path: PathBuf,
        /// The reason, for the end of a sentence.
        cause: String,
    },
    /// Neither the name nor the first bytes of a file say what it holds.
    #[error("cannot tell what {} holds; name it .parquet, .arrow, .jsonl or .csv, or set the source's `format`", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A Parquet or Arrow file is compressed once more as a whole.
    #[error("{} is {content} inside {packing} compression, which cannot be read in place; decompress it first", path.display())]
    PackedBinary {
        /// The file.
        path: PathBuf,
        /// The format inside.
        content: &'static str,
        /// The compression around it.
        packing: &'static str,
    },
    /// A file has a format or a compression that is not read.
    #[error("{} is {what}, which cannot be read; {remedy}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The things meant, in words.
        what: &'static str,
        /// The way out.
        remedy: &'static str,
    },
    /// Two counts of the records of a file differ: a defect of this program.
    #[error("{}: {read} {what} were read, and a count of its bytes finds {counted}; rows may be missing, so nothing of this run can be relied on: report it with the file", path.display())]
    Miscounted {
        /// The file.
        path: PathBuf,
        /// The things meant, in words.
        what: &'static str,
        /// Those that were read.
        read: u64,
        /// Those that were counted.
        counted: u64,
    },
    /// The configuration gives a type to columns that no file has.
    #[error(
        "the source's `columns` gives a type to {}, which no file has; the columns found are {}",
        quoted(declared),
        quoted(found)
    )]
    NoSuchColumns {
        /// The columns that are not there.
        declared: Vec<String>,
        /// Those that are.
        found: Vec<String>,
    },
    /// A file does not have the model's columns.
    #[error("{} does not fit the model `{model}`: {}; rename, add or convert the columns{}", path.display(), problems.join("; "), listed(model))]
    Columns {
        /// The file.
        path: PathBuf,
        /// The model's name.
        model: String,
        /// Every difference.
        problems: Vec<String>,
    },
    /// Two files have different columns.
    #[error("{} has other columns than {}: {}; give both the same columns, or export them separately", path.display(), first.display(), problems.join("; "))]
    DifferentColumns {
        /// The file.
        path: PathBuf,
        /// The file whose columns all others must have.
        first: PathBuf,
        /// Every difference.
        problems: Vec<String>,
    },
    /// A row of a text file is wrong.
    #[error("{}, line {line}: {cause}", path.display())]
    BadRow {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The reason, for the end of a sentence.
        cause: String,
    },
    /// A column, or the value of it in a folder's name, is wrong.
    #[error("{}, column `{column}`: {cause}", path.display())]
    BadColumn {
        /// The file.
        path: PathBuf,
        /// The column's name.
        column: String,
        /// The reason, for the end of a sentence.
        cause: String,
    },
    /// A value does not fit its column.
    #[error("{}, row {row}, column `{column}`: {cause}", path.display())]
    BadValue {
        /// The file.
        path: PathBuf,
        /// From 1, in the file.
        row: u64,
        /// The column's name.
        column: String,
        /// The reason, for the end of a sentence.
        cause: String,
    },
    /// A row is larger than the largest message.
    #[error(
        "row {row} of the interval takes {bytes} bytes, more than the {limit_bytes} that one batch may have; remove it or shorten it"
    )]
    RowTooLarge {
        /// The row of the interval, from 0.
        row: u64,
        /// What it takes.
        bytes: usize,
        /// What it may take.
        limit_bytes: usize,
    },
    /// The files read and omitted are not all that were met: a defect of this program.
    #[error(
        "{seen} names of files were met, and {counted} of them are counted as read or omitted; rows may be missing, so nothing of this run can be relied on: report it with the source's `path`"
    )]
    FilesMiscounted {
        /// Names that were met.
        seen: u64,
        /// Those that were counted.
        counted: u64,
    },
    /// The work was cancelled or took too long.
    #[error("reading the source ended early: {0}")]
    Interrupted(#[from] Interrupted),
    /// There is no room for rows in the memory of all runs.
    #[error("the source's rows have no room: {0}")]
    NoMemory(AdmissionError),
    /// Arrow refuses to write rows as messages, or to read them back.
    #[error("rows cannot be written as Arrow IPC: {0}")]
    Encode(arrow::error::ArrowError),
    /// The thread that reads the source ended without a word.
    #[error(
        "the thread that reads the source ended unexpectedly; run again, and report it with the file if it comes back"
    )]
    Died,
    /// No thread can be started.
    #[error("no thread for reading the source can be started: {0}")]
    Thread(io::Error),
    /// No child process can be started.
    #[error("the process that reads the source's files cannot be started: {0}")]
    Child(io::Error),
    /// The child process that reads the files died.
    #[error("the process that reads the source's files ended unexpectedly ({how}){}; most likely this needs more memory than the {limit_mib} MiB that it may take: set `source_memory_mb` in the destination's `limits` higher if you trust the file, or exclude it from the source's `path`", at(path.as_deref()))]
    ChildEnded {
        /// The file that was being read, if any.
        path: Option<PathBuf>,
        /// How it ended.
        how: String,
        /// Whether the same read may succeed later.
        is_transient: bool,
        /// The memory that it was given, in MiB.
        limit_mib: u64,
    },
    /// What the child process said that reads the files.
    #[error("{message}")]
    Told {
        /// Its text.
        message: String,
        /// Whether the same read may succeed later.
        is_transient: bool,
    },
}

impl From<AdmissionError> for SourceError {
    fn from(error: AdmissionError) -> Self {
        match error {
            AdmissionError::Interrupted(reason) => SourceError::Interrupted(reason),
            error => SourceError::NoMemory(error),
        }
    }
}

fn at(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| format!(" at {}", path.display()))
}

/// Names that a message lists at most.
const LISTED_NAMES: usize = 20;

/// Returns names in quotes that make blanks visible.
pub(crate) fn quoted(names: &[String]) -> String {
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

/// Returns where the columns of a model are listed, if it is one that this program knows.
fn listed(model: &str) -> String {
    Model::named(model).map_or_else(String::new, |_| format!(" (`batch-export schema {model}` lists them)"))
}

impl Explain for SourceError {}
impl Explain for IntervalError {}

impl SourceError {
    /// Returns whether the same read may succeed later without anybody changing anything.
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
            SourceError::Thread(_) | SourceError::Child(_) | SourceError::NoMemory(AdmissionError::Crowded { .. }) => {
                true
            }
            SourceError::ChildEnded { is_transient, .. } | SourceError::Told { is_transient, .. } => *is_transient,
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
                "row 7 of the interval takes 200 bytes, more than the 160 that one batch may have; remove it or shorten it",
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
                "the process that reads the source's files ended unexpectedly (signal: 6 (SIGABRT)) at in/a.arrow; most likely this needs more memory than the 2048 MiB that it may take: set `source_memory_mb` in the destination's `limits` higher if you trust the file, or exclude it from the source's `path`",
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
