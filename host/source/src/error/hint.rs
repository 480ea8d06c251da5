//! What to do about each error of a source.

use std::io;

use batch_export_system::explain::Explain;

use super::{SourceError, SourceErrorKind};
use crate::interval::IntervalError;
use crate::model::Model;

/// Returns where the columns of a model are listed, if it is one that this program knows.
fn listed(model: &str) -> String {
    Model::named(model).map_or_else(String::new, |_| format!(" (`batch-export schema {model}` lists them)"))
}

impl Explain for SourceError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            SourceError::DanglingLink { .. } => "correct or remove the link, or correct the source's `path`",
            SourceError::NotFound(_) => {
                "correct the source's `path`; a relative path is relative to the configuration's folder"
            }
            SourceError::NothingMatches { .. } => "correct the source's `path`",
            SourceError::EmptyFolder { expected, .. } => {
                return Some(format!(
                    "rename the files so that they end in {expected}, or use a glob in the source's `path`"
                ));
            }
            SourceError::BadGlob { .. } => "put a literal `[` or `*` in brackets",
            SourceError::TooMany { .. } => "narrow the source's `path`",
            SourceError::NotAFile { .. } => "remove it, or set a `path` that does not match it",
            SourceError::OneFile { .. } => "remove one of them, or set a `path` that matches only one",
            SourceError::FolderName(_) => "rename it, encoding other bytes as in `%FF`",
            SourceError::Unreadable { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => "allow the user that runs this program to read it",
                _ if self.kind() == SourceErrorKind::Transient => "run it again when the file can be read",
                _ => "correct the source's `path`",
            },
            SourceError::Damaged { .. } => "recreate it, or exclude it from the source's `path`",
            SourceError::Panicked { .. } => "recreate the file, or report this with the file",
            SourceError::UnknownFormat { .. } => {
                "name it .parquet, .arrow, .jsonl or .csv, or set the source's `format`"
            }
            SourceError::PackedBinary { .. } => "decompress it first",
            SourceError::Unsupported { remedy, .. } => remedy,
            SourceError::Miscounted { .. } => "report this with the file",
            SourceError::FilesMiscounted { .. } => "report this with the source's `path`",
            SourceError::NoSuchColumns { .. } => "correct the names in the source's `columns`, or remove them",
            SourceError::NoSuchColumn { meant: Some(meant), .. } => return Some(format!("did you mean `{meant}`?")),
            SourceError::NoSuchColumn { .. } => "correct the name in the destination's `columns` or `rename`",
            SourceError::SameNames { .. } => "give one of them another name in the destination's `rename`",
            SourceError::Columns { model, .. } => {
                return Some(format!("rename, add or convert the columns{}", listed(model)));
            }
            SourceError::SuppliedColumns { model, .. } => {
                return Some(format!(
                    "rename, add or convert the columns, for example in a query{}",
                    listed(model)
                ));
            }
            SourceError::DifferentColumns { .. } => "give both files the same columns, or export them separately",
            SourceError::BadPath { cause, .. }
            | SourceError::Foreign { cause, .. }
            | SourceError::TooLarge { cause, .. }
            | SourceError::BadRow { cause, .. }
            | SourceError::BadColumn { cause, .. }
            | SourceError::BadValue { cause, .. }
            | SourceError::Supplier { cause, .. } => return cause.hint(),
            SourceError::RowTooLarge { .. } => "remove the row, or shorten it",
            SourceError::Interrupted(reason) => return reason.hint(),
            SourceError::NoMemory(reason) => return reason.hint(),
            SourceError::Encode(_) => "report this with the source's columns and their types",
            SourceError::Died => "run it again, and report it with the file if it happens again",
            SourceError::Thread(_) | SourceError::Child(_) => "run it again when fewer processes are running",
            SourceError::ChildEnded { .. } => {
                "raise `source_memory_mb` in the destination's `limits` if you trust the file, or exclude the file \
                 from the source's `path`"
            }
            SourceError::Told { hint, .. } => return hint.clone(),
        };
        Some(hint.to_owned())
    }

    fn excerpt(&self) -> Option<String> {
        match self {
            SourceError::Supplier { cause, .. } => cause.excerpt(),
            _ => None,
        }
    }
}

impl Explain for IntervalError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            IntervalError::NoSuchDay(_) => "correct the month or the day",
            IntervalError::NotATime(_) => "write it like 2023-07-28T01:00:00Z (without a zone it is UTC)",
            IntervalError::OutOfRange(_) => "give a time in these years",
            IntervalError::Empty(_) => "give an end that is later than the start; the end is exclusive",
            IntervalError::Inverted { .. } => "swap them",
            IntervalError::OpenEnd(_) => "give the time at which the interval ends",
        };
        Some(hint.to_owned())
    }
}
