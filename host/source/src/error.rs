//! Errors of a source, each with the file, the cause and the way out.

mod hint;

use std::io;
use std::path::{Path, PathBuf};

use batch_export_system::explain::{Cause, count, plain};
use batch_export_system::{AdmissionError, Interrupted};
use serde::{Deserialize, Serialize};

/// Everything that can go wrong while rows are read. Its text names the file, the cause and the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Nothing has the name that `path` gives.
    #[error("there is no file or folder {}", .0.display())]
    NotFound(PathBuf),
    /// There is a link, and nothing where it leads.
    #[error("{} is a link to {}, which does not exist", path.display(), target.display())]
    DanglingLink {
        /// The link.
        path: PathBuf,
        /// What it leads to.
        target: PathBuf,
    },
    /// A glob matches no file.
    #[error("`{pattern}` does not match any file below {}{skipped}", place.display())]
    NothingMatches {
        /// The glob.
        pattern: String,
        /// The folder that was searched.
        place: PathBuf,
        /// What was met and not taken, for the end of a sentence.
        skipped: String,
    },
    /// A folder holds no file whose name says that it holds rows.
    #[error("the folder {} does not contain any files that can be read{skipped}", folder.display())]
    EmptyFolder {
        /// The folder.
        folder: PathBuf,
        /// The endings of names that say it.
        expected: &'static str,
        /// What was met and not taken, for the end of a sentence.
        skipped: String,
    },
    /// A glob cannot be understood.
    #[error("`{pattern}` is not a valid glob: {cause}")]
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
        cause: Cause,
    },
    /// There are more files or folders than are read at once.
    #[error("{} contains more than {} {what}", place.display(), count(*limit as u64))]
    TooMany {
        /// The folder that was searched.
        place: PathBuf,
        /// The things meant, in words.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// A folder, a named pipe, a socket or a device is where a file should be.
    #[error("{} is {what}, not a file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
        /// The things meant, in words.
        what: &'static str,
    },
    /// One file is in two folders whose names hold different columns: its rows would be there twice.
    #[error("{} and {} are the same file, but the names of their folders give different columns", path.display(), other.display())]
    OneFile {
        /// The file.
        path: PathBuf,
        /// Its other name.
        other: PathBuf,
    },
    /// A folder's name holds a column and is not UTF-8.
    #[error("the name of the folder {} contains a column but is not valid UTF-8", .0.display())]
    FolderName(PathBuf),
    /// The operating system refuses to read a file or folder.
    #[error("cannot read {}: {}", path.display(), plain(source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A file breaks the rules of its own format.
    #[error("{} is corrupt or truncated: {cause}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The reason, for the end of a sentence.
        cause: String,
    },
    /// A file is valid, and holds something that cannot be read here.
    #[error("{} is valid, but cannot be read here: {cause}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The reason, for the end of a sentence.
        cause: Cause,
    },
    /// A file needs more memory than is given to one.
    #[error("{} needs too much memory: {cause}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The reason, for the end of a sentence.
        cause: Cause,
    },
    /// A reader panicked on a file.
    #[error("{} cannot be read: the reader failed unexpectedly ({cause}), most likely because the file is corrupt", path.display())]
    Panicked {
        /// The file.
        path: PathBuf,
        /// The reason, for the end of a sentence.
        cause: String,
    },
    /// Neither the name nor the first bytes of a file say what it holds.
    #[error("cannot determine the format of {}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A Parquet or Arrow file is additionally compressed.
    #[error("{} is {content} inside {packing} compression, which cannot be read in place", path.display())]
    PackedBinary {
        /// The file.
        path: PathBuf,
        /// The format inside.
        content: &'static str,
        /// The compression around it.
        packing: &'static str,
    },
    /// A file has a format or a compression that is not read.
    #[error("{} is {what}, which cannot be read", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The things meant, in words.
        what: &'static str,
        /// The way out.
        remedy: &'static str,
    },
    /// Two counts of the records of a file differ: a defect of this program.
    #[error("{}: {} {what} were read, but a count of its bytes finds {}; rows may be missing, so do not rely on \
             anything from this run", path.display(), count(*read), count(*counted))]
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
    /// The destination names a column that the source does not have.
    #[error("the source has no column `{column}`; it has {found}")]
    NoSuchColumn {
        /// The column.
        column: String,
        /// The one that was probably meant.
        meant: Option<String>,
        /// Those that are there, in quotes.
        found: String,
    },
    /// The destination's new names give two columns the same one.
    #[error("two columns would have the name `{name}`")]
    SameNames {
        /// The name.
        name: String,
    },
    /// A file does not have the model's columns.
    #[error("{} does not fit the model `{model}`: {}", path.display(), problems.join("; "))]
    Columns {
        /// The file.
        path: PathBuf,
        /// The model's name.
        model: String,
        /// Every difference.
        problems: Vec<String>,
    },
    /// Two files have different columns.
    #[error("{} has different columns than {}: {}", path.display(), first.display(), problems.join("; "))]
    DifferentColumns {
        /// The file.
        path: PathBuf,
        /// The file whose columns all others must have.
        first: PathBuf,
        /// Every difference.
        problems: Vec<String>,
    },
    /// A database or a program does not supply what it was asked for.
    #[error("{origin}: {cause}")]
    Supplier {
        /// What it is.
        origin: String,
        /// The reason, for the end of a sentence.
        cause: Cause,
        /// What it means for the reader of the rows.
        kind: SourceErrorKind,
    },
    /// A database or a program does not supply the model's columns.
    #[error("{origin}: the rows do not fit the model `{model}`: {}", problems.join("; "))]
    SuppliedColumns {
        /// What it is.
        origin: String,
        /// The model's name.
        model: String,
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
        cause: Cause,
    },
    /// A column, or the value of it in a folder's name, is wrong.
    #[error("{}, column `{column}`: {cause}", path.display())]
    BadColumn {
        /// The file.
        path: PathBuf,
        /// The column's name.
        column: String,
        /// The reason, for the end of a sentence.
        cause: Cause,
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
        cause: Cause,
    },
    /// A row is larger than the largest message.
    #[error(
        "{}row {} of the interval takes {} bytes, more than the {} that are allowed for one row",
        path.as_ref().map(|path| format!("{}: ", path.display())).unwrap_or_default(),
        count(*row),
        count(*bytes as u64),
        count(*limit_bytes as u64)
    )]
    RowTooLarge {
        /// The file that it is in, if the source has files.
        path: Option<PathBuf>,
        /// The row of the interval, from 1.
        row: u64,
        /// What it takes.
        bytes: usize,
        /// What it may take.
        limit_bytes: usize,
    },
    /// The files read and omitted are not all that were met: a defect of this program.
    #[error(
        "{} file names were found, but {} are counted as read or omitted; rows may be missing, so do not rely on \
         anything from this run", count(*seen), count(*counted)
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
    #[error("there is not enough memory for the source's rows: {0}")]
    NoMemory(AdmissionError),
    /// Arrow refuses to write rows as messages, or to read them back.
    #[error("rows cannot be written as Arrow IPC: {0}")]
    Encode(arrow::error::ArrowError),
    /// The thread that reads the source ended without a word.
    #[error("the thread that reads the source ended unexpectedly")]
    Died,
    /// No thread can be started.
    #[error("cannot start a thread for reading the source: {}", plain(.0))]
    Thread(io::Error),
    /// No child process can be started.
    #[error("cannot start the process that reads the source's files: {}", plain(.0))]
    Child(io::Error),
    /// The child process that reads the files died.
    #[error("the process that reads the source's files ended unexpectedly ({how}){}, most likely because it needs \
             more than the {} MiB of memory that it may use", at(path.as_deref()), count(*limit_mib))]
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
    /// What the child process that reads the files reported when it ended.
    #[error("{message}")]
    Told {
        /// What happened.
        message: String,
        /// What to do about it.
        hint: Option<String>,
        /// What it means for the reader of the rows.
        kind: SourceErrorKind,
    },
}

/// The meaning of a source's error for the reader of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceErrorKind {
    /// The same read fails until something is changed.
    Permanent,
    /// The same read may succeed later without any change.
    Transient,
    /// This program is at fault: nothing that was read can be relied on.
    Defect,
    /// Somebody cancelled the work.
    Cancelled,
    /// The work took longer than it may.
    TimedOut,
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

impl SourceError {
    /// Returns what it means for the reader of the rows.
    pub fn kind(&self) -> SourceErrorKind {
        match self {
            SourceError::Unreadable { source, .. } => match source.kind() {
                io::ErrorKind::NotFound
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::InvalidFilename
                | io::ErrorKind::Unsupported => SourceErrorKind::Permanent,
                _ => SourceErrorKind::Transient,
            },
            SourceError::Thread(_) | SourceError::Child(_) | SourceError::NoMemory(AdmissionError::Crowded { .. }) => {
                SourceErrorKind::Transient
            }
            SourceError::Miscounted { .. } | SourceError::FilesMiscounted { .. } => SourceErrorKind::Defect,
            SourceError::Interrupted(Interrupted::DeadlinePassed) => SourceErrorKind::TimedOut,
            SourceError::Interrupted(_) => SourceErrorKind::Cancelled,
            SourceError::ChildEnded { is_transient: true, .. } => SourceErrorKind::Transient,
            SourceError::Told { kind, .. } | SourceError::Supplier { kind, .. } => *kind,
            _ => SourceErrorKind::Permanent,
        }
    }

    /// Returns the error of a database or a program that does not supply what it was asked for.
    pub(crate) fn supplier(origin: &str, cause: Cause, kind: SourceErrorKind) -> Self {
        SourceError::Supplier {
            origin: origin.to_owned(),
            cause,
            kind,
        }
    }

    /// Adds the file, where it is known, to an error about a row.
    pub(crate) fn in_file(mut self, file: Option<&Path>) -> Self {
        if let SourceError::RowTooLarge { path, .. } = &mut self {
            *path = file.map(Path::to_path_buf);
        }
        self
    }

    /// Returns whether the same read may succeed later without any change.
    pub fn is_transient(&self) -> bool {
        self.kind() == SourceErrorKind::Transient
    }
}

#[cfg(test)]
mod tests;
