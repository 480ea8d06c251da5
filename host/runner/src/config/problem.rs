//! What can be wrong with a configuration file, each with its place in it. Never holds a substituted value: `tree::Text` takes it out of every message.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use crate::failure::{Failure, FailureClass};
use batch_export_system::explain::{Explain, divided};
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

/// One thing wrong: where, what, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The place in the file; `None` for what is not in it.
    pub at: Option<Place>,
    /// Dotted path of the field, such as `destinations.archive.source.type`; empty for the file as a whole.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// What is allowed instead.
    pub allowed: Option<String>,
}

impl Problem {
    /// Makes a problem; an instruction at the end of the message becomes its hint.
    pub fn new(
        at: impl Into<Option<Place>>,
        field: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        let text = message.into();
        let (message, hint) = divided(&text);
        Self {
            at: at.into(),
            field: field.into(),
            message: message.to_owned(),
            hint: hint.map(str::to_owned),
            allowed: None,
        }
    }

    /// Adds what to do about it, after what is said already.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        self.hint = Some(match self.hint {
            Some(first) => format!("{first}; {hint}"),
            None => hint,
        });
        self
    }

    /// Adds what was probably meant, if anything.
    #[must_use]
    pub fn meaning(self, meant: Option<&str>) -> Self {
        match meant {
            Some(meant) => self.with_hint(format!("did you mean `{meant}`?")),
            None => self,
        }
    }

    /// Adds what is allowed instead.
    #[must_use]
    pub fn allowing(mut self, allowed: impl Into<Option<String>>) -> Self {
        self.allowed = allowed.into();
        self
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Form<'a> {
            line: Option<usize>,
            column: Option<usize>,
            field: &'a str,
            message: &'a str,
            hint: Option<&'a str>,
            allowed: Option<&'a str>,
        }
        Form {
            line: self.at.map(|at| at.line),
            column: self.at.map(|at| at.column),
            field: &self.field,
            message: &self.message,
            hint: self.hint.as_deref(),
            allowed: self.allowed.as_deref(),
        }
        .serialize(serializer)
    }
}

/// The reason why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {}: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "there is no {0} in the current folder, which is the default when neither --config nor BATCH_EXPORT_CONFIG names a file"
    )]
    NoDefault(&'static str),
    #[error("the configuration {} is larger than {limit_bytes} bytes", path.display())]
    TooLarge { path: PathBuf, limit_bytes: u64 },
    #[error("the configuration {} is not UTF-8 text", path.display())]
    NotText { path: PathBuf },
    #[error("{0}")]
    Invalid(Problems),
    #[error("no destination is named `{name}` in {}", path.display())]
    NoSuchDestination {
        path: PathBuf,
        name: String,
        known: Vec<String>,
    },
    #[error("{} has {} destinations, and none was chosen", path.display(), known.len())]
    ManyDestinations { path: PathBuf, known: Vec<String> },
}

impl Explain for ConfigError {
    fn message(&self) -> String {
        self.to_string()
    }

    fn hint(&self) -> Option<String> {
        match self {
            ConfigError::Unreadable { .. } => {
                Some("name an existing file with --config".to_owned())
            }
            ConfigError::NoDefault(_) => Some("name a file with --config".to_owned()),
            ConfigError::TooLarge { .. } => Some("name the right file with --config".to_owned()),
            ConfigError::NotText { .. } => Some("save it as UTF-8".to_owned()),
            ConfigError::Invalid(_) => None,
            ConfigError::NoSuchDestination { known, .. } => Some(match known.as_slice() {
                [one] => format!("use `{one}`, the only one that there is"),
                many => format!("use one of {}", many.join(", ")),
            }),
            ConfigError::ManyDestinations { known, .. } => Some(format!(
                "choose one with --destination: {}",
                known.join(", ")
            )),
        }
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

    /// Returns them all.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// Returns the failure that they make.
    pub(crate) fn into_failure(self) -> Failure {
        Failure::with_problems(
            Some(self.file.as_path()),
            FailureClass::Configuration,
            self.list,
        )
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
            hint,
            allowed,
        } in &self.list
        {
            write!(f, "\n  {}:", self.file.display())?;
            if let Some(Place { line, column }) = at {
                write!(f, "{line}:{column}:")?;
            }
            if !field.is_empty() {
                write!(f, " {}:", one_line(field))?;
            }
            write!(f, " {}", one_line(message))?;
            if let Some(hint) = hint {
                write!(f, "; {}", one_line(hint))?;
            }
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
