//! What can be wrong with a configuration file, each with its place in it. Never holds a substituted
//! value: `SecretText` takes it out of every message.

use std::fmt;
use std::path::{Path, PathBuf};

use super::Config;
use crate::destination::Draft;
use crate::exporter;
use crate::failure::{Failure, FailureClass};
use crate::loading::Loaded;
use crate::pointer;
use crate::problem::{Place, Problem};
use batch_export_system::explain::{Explain, count, plain};
use batch_export_system::terminal::one_line;

/// Turns byte offsets into places. Every entry of a file asks for its own, so that lines are counted only once.
pub(super) struct Places<'a> {
    text: &'a str,
    /// Where each line but the first starts.
    line_starts: Vec<usize>,
}

impl<'a> Places<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let line_starts = text.match_indices('\n').map(|(newline, _)| newline + 1).collect();
        Self { text, line_starts }
    }

    /// The place of a byte offset; offsets past the end mean the end.
    pub(super) fn at(&self, offset: usize) -> Place {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let newlines = self.line_starts.partition_point(|start| *start <= offset);
        let line_start = newlines.checked_sub(1).map_or(0, |last| self.line_starts[last]);
        Place {
            line: newlines + 1,
            column: self.text[line_start..offset].chars().count() + 1,
        }
    }
}

/// A reason why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {}", path.display(), plain(source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// No file was named, and the default is not there.
    #[error(
        "there is no {0} in the current folder, which is the default when neither --config nor BATCH_EXPORT_CONFIG names a file"
    )]
    NoDefault(&'static str),
    /// The file is larger than any configuration.
    #[error("the configuration {} is larger than {} bytes", path.display(), count(*limit_bytes))]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit_bytes: u64,
    },
    /// The file is not text.
    #[error("the configuration {} is not valid UTF-8", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// The file has problems.
    #[error("{0}")]
    Invalid(Problems),
    /// The file has no destination of that name.
    #[error("there is no destination `{name}` in {}", path.display())]
    NoSuchDestination {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
        /// The names that it has.
        known: Vec<String>,
    },
    /// The file has several destinations, but none was selected.
    #[error("{} has {} destinations, but none was selected", path.display(), known.len())]
    ManyDestinations {
        /// The file.
        path: PathBuf,
        /// Their names.
        known: Vec<String>,
    },
}

impl Explain for ConfigError {
    fn hint(&self) -> Option<String> {
        match self {
            ConfigError::Unreadable { .. } => {
                Some("name an existing file with --config, or in BATCH_EXPORT_CONFIG if that named this one".to_owned())
            }
            ConfigError::NoDefault(_) => Some("specify a file with --config".to_owned()),
            ConfigError::TooLarge { .. } => Some("specify the right file with --config".to_owned()),
            ConfigError::NotText { .. } => Some("save it as UTF-8".to_owned()),
            ConfigError::Invalid(_) => None,
            ConfigError::NoSuchDestination { known, .. } => Some(match known.as_slice() {
                [one] => format!("write `{one}`, the only destination in it"),
                many => format!("use one of {}", many.join(", ")),
            }),
            ConfigError::ManyDestinations { known, .. } => {
                Some(format!("choose one with --destination: {}", known.join(", ")))
            }
        }
    }
}

/// Everything wrong with one file, in the order of its lines; never empty.
#[derive(Debug)]
pub struct Problems {
    file: PathBuf,
    list: Vec<Problem>,
    /// What could be read all the same; `None` after a syntax error.
    read: Option<Box<(Config, Vec<Draft>)>>,
}

impl Problems {
    pub(super) fn new(file: &Path, mut list: Vec<Problem>, read: Option<(Config, Vec<Draft>)>) -> Self {
        list.sort_by(|a, b| (a.at, &a.pointer).cmp(&(b.at, &b.pointer)));
        Self {
            file: file.to_path_buf(),
            list,
            read: read.map(Box::new),
        }
    }

    /// Returns what could be read all the same; `None` after a syntax error.
    pub fn config(&self) -> Option<&Config> {
        self.read.as_ref().map(|read| &read.0)
    }

    /// Adds the problems of a failure that is about no part of the file, such as a plugin that cannot be loaded.
    #[must_use]
    pub fn with_failure(mut self, failure: &Failure) -> Self {
        self.list.extend(failure.as_problems());
        self
    }

    /// Adds the problems that the plugin finds in its own fields, so that everything is reported at once.
    pub async fn with_plugin(mut self, loaded: &Loaded) -> Self {
        let Some((config, drafts)) = self.read.as_deref() else {
            return self;
        };
        let mut found = Vec::new();
        for draft in drafts {
            if let Err(failure) = exporter::plan_of(draft, loaded).await {
                found.extend(config.located_problems(&draft.name, &failure));
            }
        }
        let is_known = |known: &[Problem], problem: &Problem| {
            known
                .iter()
                .any(|known| pointer::is_within(&known.pointer, &problem.pointer))
        };
        found.retain(|problem| !is_known(&self.list, problem));
        self.list.extend(found);
        self
    }

    /// Returns the failure that they make.
    pub(crate) fn into_failure(self) -> Failure {
        Failure::with_problems(Some(self.file.as_path()), FailureClass::Configuration, self.list)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.list.len() {
            1 => write!(f, "the configuration has a problem:")?,
            many => write!(f, "the configuration has {many} problems:")?,
        }
        for problem in &self.list {
            write!(f, "\n  {}:", self.file.display())?;
            if let Some(Place { line, column }) = problem.at {
                write!(f, "{line}:{column}:")?;
            }
            let field = problem.field();
            if !field.is_empty() {
                write!(f, " {}:", one_line(&field))?;
            }
            write!(f, " {}", one_line(&problem.message))?;
            if let Some(hint) = &problem.hint {
                write!(f, "; {}", one_line(hint))?;
            }
            if let Some(allowed) = &problem.allowed {
                write!(f, "; allowed: {}", one_line(allowed))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_the_number_of_lines_and_of_characters_before_it() {
        for text in ["", "a", "\n", "a\n", "a = 1\nb = \"ü\u{1f600}x\"\n\nc = 2"] {
            let places = Places::new(text);
            for offset in 0..text.len() + 2 {
                let inside = (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
                let before = &text[..inside.expect("the beginning")];
                let last_line = before.rsplit('\n').next().expect("a line");
                let expect = (before.matches('\n').count() + 1, last_line.chars().count() + 1);
                let place = places.at(offset);
                assert_eq!((place.line, place.column), expect, "{text:?} at {offset}");
            }
        }
    }

    #[test]
    fn a_file_with_many_entries_is_read_in_a_time_that_grows_with_its_length() {
        let text = "key = 1\n".repeat(400_000);
        let places = Places::new(&text);
        // Counting the lines before each entry anew would take 640 GB of reading.
        for (number, offset) in (0..text.len()).step_by(8).enumerate() {
            let place = places.at(offset);
            assert_eq!((place.line, place.column), (number + 1, 1));
        }
    }
}
