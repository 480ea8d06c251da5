//! The one failure that every command and everything else that embeds this crate gets: its class, its code, what
//! happened, what to do about it, and the typed error behind it. Prints nothing and knows no exit code.

mod causes;
mod code;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::problem::Problem;
use crate::recovery::LeftOpen;
use batch_export_system::explain::{Explain, count};

pub use code::FailureCode;

/// The class of a failure: what the caller should do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Action is required: the same run fails again.
    Failed,
    /// The command line, the configuration or the component is wrong; nothing was sent.
    Configuration,
    /// The same run may succeed later.
    Retryable,
    /// It took longer than it may.
    TimedOut,
    /// Somebody interrupted it.
    Cancelled,
    /// The host asked it to end because it shuts down; the same run may be started again.
    ShutDown,
    /// The plugin or this host is at fault: the same run fails again, and it should be reported.
    Defect,
}

/// Why something failed. Serialises as one JSON object; [`Error::source`] is the typed error behind it.
#[derive(Debug)]
pub struct Failure(Box<Parts>);

#[derive(Debug, Serialize)]
struct Parts {
    class: FailureClass,
    code: FailureCode,
    message: String,
    excerpt: Option<String>,
    hint: Option<String>,
    #[serde(rename = "retry_after_ms", serialize_with = "milliseconds")]
    retry_after: Option<Duration>,
    /// JSON pointer of the field of the destination that it is about.
    #[serde(skip)]
    pointer: Option<String>,
    #[serde(skip)]
    file: Option<PathBuf>,
    problems: Vec<Problem>,
    left_open: Vec<LeftOpen>,
    #[serde(skip)]
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// Returns the order in which failures have to be dealt with: nothing else counts before the configuration is right.
fn rank(class: FailureClass) -> u8 {
    match class {
        FailureClass::Configuration => 0,
        FailureClass::Defect => 1,
        FailureClass::Failed => 2,
        FailureClass::TimedOut => 3,
        FailureClass::Retryable => 4,
        FailureClass::ShutDown => 5,
        FailureClass::Cancelled => 6,
    }
}

fn of_count(problems: usize) -> String {
    match problems {
        1 => "the configuration has a problem".to_owned(),
        many => format!("the configuration has {} problems", count(many as u64)),
    }
}

fn milliseconds<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
        .serialize(serializer)
}

impl Failure {
    /// Makes a failure; `message` says what happened, to what and why.
    pub fn new(class: FailureClass, code: FailureCode, message: impl Into<String>) -> Self {
        Failure(Box::new(Parts {
            class,
            code,
            message: message.into(),
            excerpt: None,
            hint: None,
            retry_after: None,
            pointer: None,
            file: None,
            problems: Vec::new(),
            left_open: Vec::new(),
            source: None,
        }))
    }

    /// Makes a failure of an error that explains itself, and keeps that as its source.
    pub fn of<E>(class: FailureClass, code: FailureCode, error: E) -> Self
    where
        E: Explain + Error + Send + Sync + 'static,
    {
        let mut failure = Failure::new(class, code, error.message());
        failure.0.excerpt = error.excerpt();
        failure.0.hint = error.hint();
        failure.with_source(error)
    }

    /// Makes the failure of a configuration with at least one problem, `None` without any. `file` is what it was read
    /// from.
    pub fn of_problems(file: Option<&Path>, class: FailureClass, problems: Vec<Problem>) -> Option<Self> {
        (!problems.is_empty()).then(|| Failure::with_problems(file, class, problems))
    }

    /// Makes one failure of those of several destinations of a file: the only one as it is, or all problems together in
    /// the class of the worst. `None` without any.
    pub fn of_several(file: &Path, mut failures: Vec<Failure>, problems: Vec<Problem>) -> Option<Self> {
        let is_configuration = |failure: &Failure| failure.class() == FailureClass::Configuration;
        if failures.len() == 1 && !is_configuration(&failures[0]) {
            return failures.pop();
        }
        let class = failures.iter().map(Failure::class).min_by_key(|class| rank(*class))?;
        let mut whole = Failure::with_problems(Some(file), class, problems);
        if class != FailureClass::Configuration
            && let Some(worst) = failures.iter().find(|failure| failure.class() == class)
        {
            whole.0.code = worst.code();
        }
        Some(whole)
    }

    pub(crate) fn with_problems(file: Option<&Path>, class: FailureClass, mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| (a.at, &a.pointer).cmp(&(b.at, &b.pointer)));
        // Two destinations may find the same fault of the component, and two rules the same field.
        problems.dedup();
        let message = of_count(problems.len());
        let mut failure = Failure::new(class, FailureCode::CONFIGURATION_INVALID, message);
        failure.0.file = file.map(Path::to_path_buf);
        failure.0.problems = problems;
        failure
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds how long the destination asked to be left alone.
    #[must_use]
    pub fn with_retry_after(mut self, time: Option<Duration>) -> Self {
        self.0.retry_after = time;
        self
    }

    /// Adds the typed error behind it.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    /// Puts what was being done before what happened.
    #[must_use]
    pub(crate) fn within(mut self, context: &str) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// Adds the field of the destination that it is about.
    #[must_use]
    pub(crate) fn at(mut self, pointer: impl Into<String>) -> Self {
        self.0.pointer = Some(pointer.into());
        self
    }

    /// Puts the problems into a file, each in its place; a failure about one field is one problem.
    #[must_use]
    pub(crate) fn in_file(mut self, file: &Path, placed: impl Fn(Problem) -> Problem) -> Self {
        if self.0.problems.is_empty() && self.0.pointer.is_some() && self.class() == FailureClass::Configuration {
            self.0.problems = self.as_problems();
            self.0.message = of_count(1);
            self.0.hint = None;
        }
        if self.0.file.is_none() && !self.0.problems.is_empty() {
            let problems = std::mem::take(&mut self.0.problems);
            self.0.problems = problems.into_iter().map(placed).collect();
            self.0
                .problems
                .sort_by(|a, b| (a.at, &a.pointer).cmp(&(b.at, &b.pointer)));
            self.0.file = Some(file.to_path_buf());
        }
        self
    }

    /// Adds what a failed attempt could not clean up.
    #[must_use]
    pub fn leaving_open(mut self, left_open: Vec<LeftOpen>) -> Self {
        self.0.left_open = left_open;
        self
    }

    /// Returns what to do about it in general.
    pub fn class(&self) -> FailureClass {
        self.0.class
    }

    /// Returns the word for its cause.
    pub fn code(&self) -> FailureCode {
        self.0.code
    }

    /// Returns what happened.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns lines of what it happened to, such as a line of a query and a caret below the mistake in it.
    pub fn excerpt(&self) -> Option<&str> {
        self.0.excerpt.as_deref()
    }

    /// Returns what to do about it, if there is anything to do.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Returns how long the destination asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns the JSON pointer of the field of the destination that it is about, if it is about one.
    pub fn pointer(&self) -> Option<&str> {
        self.0.pointer.as_deref()
    }

    /// Returns its content as problems with a destination; never empty.
    pub fn as_problems(&self) -> Vec<Problem> {
        if !self.0.problems.is_empty() {
            return self.0.problems.clone();
        }
        let mut problem = Problem::new(self.pointer().unwrap_or_default(), self.message());
        problem.message = self.0.message.clone();
        problem.hint = self.0.hint.clone();
        vec![problem]
    }

    /// Returns the file that the problems are in, if they are in one.
    pub fn file(&self) -> Option<&Path> {
        self.0.file.as_deref()
    }

    /// Returns everything that is wrong with the configuration, in the order of its lines.
    pub fn problems(&self) -> &[Problem] {
        &self.0.problems
    }

    /// Returns what could not be cleaned up, or is not known to be.
    pub fn left_open(&self) -> &[LeftOpen] {
        &self.0.left_open
    }

    /// Returns message and hint as one text, for a place that has room for one.
    pub fn in_one_text(&self) -> String {
        match self.hint() {
            Some(hint) => format!("{}; {hint}", self.message()),
            None => self.message().to_owned(),
        }
    }
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl Explain for Failure {
    fn hint(&self) -> Option<String> {
        self.0.hint.clone()
    }

    fn excerpt(&self) -> Option<String> {
        self.0.excerpt.clone()
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}
