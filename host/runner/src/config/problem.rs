//! What can be wrong with a configuration file, each with its place in it. Never holds a substituted value: `tree::Text` takes it out of every message.

use std::fmt;
use std::path::{Path, PathBuf};

use batch_export_system::terminal::one_line;

/// Line and column, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

/// Turns byte offsets into places.
pub struct Places<'a> {
    text: &'a str,
}

impl<'a> Places<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text }
    }

    /// The place of a byte offset; offsets past the end mean the end.
    pub fn at(&self, offset: usize) -> Place {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// One thing wrong, where and what instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub at: Place,
    /// Dotted path of the field, such as `destinations.archive.source.type`; empty for the file as a whole.
    pub field: String,
    pub message: String,
    /// What is allowed instead.
    pub allowed: Option<String>,
}

impl Problem {
    pub fn new(at: Place, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            at,
            field: field.into(),
            message: message.into(),
            allowed: None,
        }
    }

    pub fn allowed(mut self, allowed: impl Into<String>) -> Self {
        self.allowed = Some(allowed.into());
        self
    }
}

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {}: {source}; name an existing file with --config", path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "there is no {0} in the current folder, which is the default when neither --config nor BATCH_EXPORT_CONFIG names a file; name one with --config"
    )]
    NoDefault(&'static str),
    #[error("the configuration {} is larger than {limit_bytes} bytes; is it the right file?", path.display())]
    TooLarge { path: PathBuf, limit_bytes: u64 },
    #[error("the configuration {} is not UTF-8 text; save it as UTF-8", path.display())]
    NotText { path: PathBuf },
    #[error("{0}")]
    Invalid(Problems),
    #[error("no destination is named `{name}` in {}; there {}", path.display(), listed(known))]
    NoSuchDestination {
        path: PathBuf,
        name: String,
        known: Vec<String>,
    },
    #[error(
        "{} holds {} destinations; choose one with --destination: {}",
        path.display(),
        known.len(),
        known.join(", ")
    )]
    ManyDestinations { path: PathBuf, known: Vec<String> },
}

fn listed(known: &[String]) -> String {
    match known {
        [one] => format!("is `{one}`"),
        many => format!("are {}", many.join(", ")),
    }
}

/// Everything wrong with one file, in the order of its lines; never empty.
#[derive(Debug)]
pub struct Problems {
    file: PathBuf,
    list: Vec<Problem>,
}

impl Problems {
    /// `Ok` when nothing is wrong.
    pub fn check(file: &Path, mut list: Vec<Problem>) -> Result<(), ConfigError> {
        if list.is_empty() {
            return Ok(());
        }
        list.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.field.cmp(&b.field)));
        Err(ConfigError::Invalid(Self {
            file: file.to_path_buf(),
            list,
        }))
    }

    pub fn list(&self) -> &[Problem] {
        &self.list
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.list.len() {
            1 => write!(f, "the configuration has a problem:")?,
            many => write!(f, "the configuration has {many} problems:")?,
        }
        for Problem {
            at,
            field,
            message,
            allowed,
        } in &self.list
        {
            write!(f, "\n  {}:{}:{}: ", self.file.display(), at.line, at.column)?;
            if !field.is_empty() {
                write!(f, "{}: ", one_line(field))?;
            }
            f.write_str(&one_line(message))?;
            if let Some(allowed) = allowed {
                write!(f, "; allowed: {}", one_line(allowed))?;
            }
        }
        Ok(())
    }
}

/// The one of `known` that `written` was probably meant to be.
pub fn near_miss<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Two slips in a short name or one in three letters of a long one is a typing mistake; more is another word.
    let tolerated = (written.chars().count() / 3).max(2);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(written, name), name))
        .filter(|(distance, name)| *distance <= tolerated && *distance < name.chars().count())
        .min()
        .map(|(_, name)| name)
}
