//! One thing wrong with a configuration: its JSON pointer, its place in a file where it has one, what is wrong, and
//! what to write instead.

use serde::{Serialize, Serializer};

use crate::pointer;
use batch_export_system::explain::Cause;

/// Line and column, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// One thing wrong: where, what, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// JSON pointer of the field, in the destination or in the file, such as `/destinations/archive/source/type`; empty
    /// for the whole.
    pub pointer: String,
    /// The place in the file; `None` for what is not in one.
    pub at: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// What is allowed instead.
    pub allowed: Option<String>,
}

impl Problem {
    /// Makes a problem of what is wrong, and what to do about it where the cause says so.
    pub fn new(pointer: impl Into<String>, cause: impl Into<Cause>) -> Self {
        let (message, hint) = cause.into().into_parts();
        Self {
            pointer: pointer.into(),
            at: None,
            message,
            hint,
            allowed: None,
        }
    }

    /// Adds the place in a file.
    #[must_use]
    pub fn placed(mut self, at: impl Into<Option<Place>>) -> Self {
        self.at = at.into();
        self
    }

    /// Adds what to do about it to any existing hint.
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

    /// Returns the field as people write it, such as `destinations.archive.source.type`.
    pub fn field(&self) -> String {
        pointer::dotted(&self.pointer)
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Form<'a> {
            line: Option<usize>,
            column: Option<usize>,
            pointer: &'a str,
            field: String,
            message: &'a str,
            hint: Option<&'a str>,
            allowed: Option<&'a str>,
        }
        Form {
            line: self.at.map(|at| at.line),
            column: self.at.map(|at| at.column),
            pointer: &self.pointer,
            field: self.field(),
            message: &self.message,
            hint: self.hint.as_deref(),
            allowed: self.allowed.as_deref(),
        }
        .serialize(serializer)
    }
}
