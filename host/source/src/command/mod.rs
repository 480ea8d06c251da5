//! Rows of any program: it is told the interval and writes an Arrow IPC stream to its standard output. Its rows count
//! only if the stream says that it ends, nothing follows, and the program ends with exit code 0.

mod arguments;
mod process;
mod program;
mod rows;
mod stderr;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use batch_export_system::explain::Cause;
use batch_export_system::{Budget, Token};

use crate::error::SourceError;
use crate::factory::{Source, SourceFactory};
use crate::interval::Interval;
use crate::select::{Selection, TimeOf};
use crate::supplier::{Supplied, TimeColumns};
use arguments::Arguments;
pub use arguments::check_argument;
use rows::Rows;
pub use stderr::LineSink;

/// How long a program may take to end once its output is over, and what it started to close the output once the program
/// has ended: a connection is closed in less, and more is a program that does not end.
const ENDING_TIME: Duration = Duration::from_secs(5);

/// A program that supplies rows, and the way in which it is run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommandSettings {
    /// The folder of the configuration: a program with a slash and `folder` start there.
    pub base: PathBuf,
    /// The name of the model: its columns must be among those of the rows. Another name than those of
    /// [`Model`](crate::Model) stands for whatever columns there are.
    pub model: String,
    /// The columns by which rows belong to an interval; needed where the program is not told the interval.
    pub times: TimeColumns,
    /// The environment variables that the program is given, by their names; it has no others.
    pub environment: Vec<String>,
    /// The folder that the program runs in. `None` is `base`.
    pub folder: Option<PathBuf>,
    program: String,
    arguments: Arguments,
}

impl CommandSettings {
    /// Returns settings for a program and its arguments, in which `{data_interval_start}` and `{data_interval_end}`
    /// stand for the interval; an error if nothing says which rows belong to an interval.
    pub fn new(
        base: impl Into<PathBuf>,
        model: impl Into<String>,
        command: &[String],
        times: TimeColumns,
    ) -> Result<Self, Cause> {
        let example = "write the program and its arguments, as in [\"python3\", \"export.py\"]";
        let [program, arguments @ ..] = command else {
            return Err(Cause::new("it is empty").with_hint(example));
        };
        if program.trim().is_empty() {
            return Err(Cause::new("it names no program").with_hint(example));
        }
        if program.contains('\0') {
            return Err("the program's name contains a NUL character, which file names cannot contain".into());
        }
        let arguments = Arguments::parse(arguments)?;
        if !arguments.have_bounds() && times.arrival.is_none() {
            return Err(Cause::new(
                "nothing says which rows belong to an interval: every run would export all of them",
            )
            .with_hint(
                "pass {data_interval_start} and {data_interval_end} to the program, or set time_column to the column \
                 with the time at which a row arrived",
            ));
        }
        Ok(Self {
            base: base.into(),
            model: model.into(),
            times: match arguments.have_bounds() {
                true => times.beside_bounds("the program, which is told the interval,")?,
                false => times,
            },
            environment: Vec::new(),
            folder: None,
            program: program.clone(),
            arguments,
        })
    }

    /// Returns the column by which an interval selects rows, if there is one.
    pub fn time_column_of(&self, by: TimeOf) -> Option<&str> {
        self.times.of(&self.model, by)
    }

    /// Returns the folder that the program runs in.
    fn working_folder(&self) -> PathBuf {
        self.below(self.folder.as_deref().unwrap_or(Path::new("")))
    }

    /// Returns a path of the configuration, from the root.
    fn below(&self, path: &Path) -> PathBuf {
        // The folder of a configuration here is an empty path, which stands for no folder by itself.
        let path = Path::new(".").join(&self.base).join(path);
        std::path::absolute(&path).unwrap_or(path)
    }
}

/// Returns what is wrong with the name of an environment variable.
pub fn check_variable(name: &str) -> Result<(), Cause> {
    match name {
        "" => Err("it is empty".into()),
        name if name.contains(['=', '\0']) => {
            Err(Cause::new("not the name of an environment variable")
                .with_hint("write its name alone, without a value"))
        }
        _ => Ok(()),
    }
}

/// Runs a program for each run.
#[derive(Debug, Clone)]
pub struct CommandFactory {
    settings: CommandSettings,
    log: LineSink,
}

impl CommandFactory {
    /// Returns a factory that passes on to `log` what the program writes to its standard error.
    pub fn new(settings: CommandSettings, log: LineSink) -> Self {
        Self { settings, log }
    }
}

impl SourceFactory for CommandFactory {
    fn time_column(&self) -> Option<&str> {
        self.settings.time_column_of(TimeOf::Arrival)
    }

    /// What a program does for an interval, it may cost others.
    fn surveyed(&self, asked: Option<Interval>) -> Option<Interval> {
        asked
    }

    fn open(&self, selection: Selection, token: &Token, _: &Arc<Budget>) -> Result<Box<dyn Source>, SourceError> {
        let settings = &self.settings;
        let rows = Rows::start(settings, &selection.interval, &self.log, token).or_else(|error| {
            // What a decoder makes of output that was ended looks like a failure of the program.
            token.check()?;
            Err(error)
        })?;
        let supplied = Supplied::new(Box::new(rows), &settings.model, &settings.times, selection, token)?;
        Ok(Box::new(supplied))
    }
}
