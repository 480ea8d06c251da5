//! What every source has in common: a factory, made from the configuration and kept, that opens the source for each
//! run. A new source is a new factory; nothing else in the host has to know it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use batch_export_system::explain::Cause;
use batch_export_system::{Budget, Token, child};

use crate::clickhouse::{ClickHouseFactory, ClickHouseSettings};
use crate::command::{CommandFactory, CommandSettings, LineSink};
use crate::error::SourceError;
use crate::files::{self, Files, FilesSettings};
use crate::interval::{Interval, Moment};
use crate::message::{Encoder, MessageSource};
use crate::model::Model;
use crate::postgres::{PostgresFactory, PostgresSettings};
use crate::remote::{Remote, RemoteSource};
use crate::sample::Sample;
use crate::select::Selection;
use crate::tally::Tally;

/// The rows of one interval, as record batches.
pub trait Source: Send {
    /// Returns the columns of every batch: the model's first, in its order.
    fn schema(&self) -> SchemaRef;

    /// Returns the next rows, in order; possibly none of a stretch that the selection omits. `None` at the end, which
    /// comes only when every row was returned. Blocking.
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, SourceError>;

    /// Returns the file that the last rows came from, for messages; `None` for a source without files.
    fn file(&self) -> Option<&Path> {
        None
    }

    /// Returns what was read and omitted so far.
    fn tally(&self) -> Tally;

    /// Returns what the operator should know of what was not read.
    fn warnings(&self) -> Vec<Cause> {
        Vec::new()
    }
}

/// A configured source: opens it for one run after the other, for several at once too.
///
/// Whatever it opens ends within a second once `token` says so, with [`SourceError::Interrupted`]: it checks the token
/// between files and batches, and kills child processes. The batches that it holds count against `budget`; where there
/// is no room, it waits.
pub trait SourceFactory: fmt::Debug + Send + Sync {
    /// Returns the name of the column by which rows belong to an interval; `None` where the source alone decides it.
    fn time_column(&self) -> Option<&str>;

    /// Returns the interval whose rows show what the source holds, when an operator asks about one or about none;
    /// `None` where only its columns can be shown. All rows, unless the source has no end or reading it costs others.
    fn surveyed(&self, _asked: Option<Interval>) -> Option<Interval> {
        Some(Interval::always())
    }

    /// Returns what the operator should know of the rows before any of them is read, such as that their order is not
    /// guaranteed.
    fn caution(&self) -> Option<Cause> {
        None
    }

    /// Opens the source: finds what is to be read and decides the columns, so that what does not fit is an error before
    /// the first row. Blocking.
    fn open(&self, selection: Selection, token: &Token, budget: &Arc<Budget>) -> Result<Box<dyn Source>, SourceError>;

    /// Opens the source for the messages that a plugin is given. A source that gets its rows as Arrow IPC hands them on
    /// as they are; usual ones leave this to the default. Blocking.
    fn open_messages(
        &self,
        selection: Selection,
        token: &Token,
        budget: &Arc<Budget>,
    ) -> Result<Box<dyn MessageSource>, SourceError> {
        let source = self.open(selection, token, budget)?;
        Ok(Box::new(Encoder::new(source, token, budget)?))
    }
}

/// A source as the configuration describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceSettings {
    /// Deterministic synthetic rows.
    Sample {
        /// What the rows are.
        model: Model,
        /// Rows in each hour, evenly spread; at least 1.
        rows_per_hour: u64,
    },
    /// Files in a folder.
    Files(FilesSettings),
    /// A program that writes an Arrow IPC stream.
    Command(CommandSettings),
    /// A table or a query of a ClickHouse.
    ClickHouse(ClickHouseSettings),
    /// A PostgreSQL database.
    Postgres(PostgresSettings),
}

impl SourceSettings {
    /// Returns what opens the source. Files are read in a child process that may take `memory_bytes`, where the program
    /// offers one (see [`child`]).
    pub fn factory(&self, memory_bytes: u64) -> Arc<dyn SourceFactory> {
        self.logging_factory(memory_bytes, LineSink::none())
    }

    /// Returns the same, which passes on to `log` the lines that a source has for the log of a run.
    pub fn logging_factory(&self, memory_bytes: u64, log: LineSink) -> Arc<dyn SourceFactory> {
        match self {
            SourceSettings::Sample { model, rows_per_hour } => Arc::new(SampleFactory::new(*model, *rows_per_hour)),
            SourceSettings::Files(settings) => Arc::new(FilesFactory::new(settings.clone()).in_child(memory_bytes)),
            SourceSettings::Command(settings) => Arc::new(CommandFactory::new(settings.clone(), log)),
            SourceSettings::ClickHouse(settings) => Arc::new(ClickHouseFactory::new(settings.clone())),
            SourceSettings::Postgres(settings) => Arc::new(PostgresFactory::new(settings.clone())),
        }
    }
}

/// The column by which sample rows belong to an interval.
const SAMPLE_TIME_COLUMN: &str = "_inserted_at";
/// The hour that shows what sample rows are when no interval is given.
const SAMPLE_HOUR_MICROS: (i64, i64) = (1_690_502_400_000_000, 1_690_506_000_000_000);

/// Opens synthetic rows.
#[derive(Debug, Clone, Copy)]
pub struct SampleFactory {
    model: Model,
    rows_per_hour: u64,
}

impl SampleFactory {
    /// Returns a factory for `rows_per_hour` rows in every hour, at least 1.
    pub fn new(model: Model, rows_per_hour: u64) -> Self {
        Self { model, rows_per_hour }
    }
}

impl SourceFactory for SampleFactory {
    fn time_column(&self) -> Option<&str> {
        Some(SAMPLE_TIME_COLUMN)
    }

    fn surveyed(&self, asked: Option<Interval>) -> Option<Interval> {
        let (start, end) = SAMPLE_HOUR_MICROS;
        asked.or_else(|| Interval::new(Some(Moment(start)), Moment(end)).ok())
    }

    fn open(&self, selection: Selection, token: &Token, _: &Arc<Budget>) -> Result<Box<dyn Source>, SourceError> {
        let sample = Sample::new(self.model, self.rows_per_hour, selection, token);
        Ok(Box::new(sample))
    }
}

/// Opens files: in this process, or in a child process of limited memory.
#[derive(Debug, Clone)]
pub struct FilesFactory {
    settings: FilesSettings,
    memory_bytes: Option<u64>,
}

impl FilesFactory {
    /// Returns a factory that reads in this process. A hostile file can take all of its memory.
    pub fn new(settings: FilesSettings) -> Self {
        Self {
            settings,
            memory_bytes: None,
        }
    }

    /// Reads in a child process that may take `memory_bytes`, where the program offers one (see [`child`]).
    #[must_use]
    pub fn in_child(mut self, memory_bytes: u64) -> Self {
        self.memory_bytes = Some(memory_bytes);
        self
    }

    fn remote(
        &self,
        selection: &Selection,
        token: &Token,
        budget: &Arc<Budget>,
    ) -> Result<Option<Remote>, SourceError> {
        match self.memory_bytes {
            Some(memory_bytes) if child::is_available() => {
                Remote::open(&self.settings, selection, memory_bytes, token, budget).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn here(&self, selection: Selection, token: &Token) -> Result<Box<dyn Source>, SourceError> {
        let files = Files::open(&self.settings, selection, token, |_| {})?;
        Ok(Box::new(files))
    }
}

impl SourceFactory for FilesFactory {
    fn time_column(&self) -> Option<&str> {
        Some(&self.settings.time_column)
    }

    fn surveyed(&self, asked: Option<Interval>) -> Option<Interval> {
        // Where the path says which files belong to an interval, no others are read to tell what is in it.
        let by_interval = asked.filter(|_| files::has_periods(&self.settings.path));
        by_interval.or_else(|| Some(Interval::always()))
    }

    fn open(&self, selection: Selection, token: &Token, budget: &Arc<Budget>) -> Result<Box<dyn Source>, SourceError> {
        match self.remote(&selection, token, budget)? {
            Some(remote) => Ok(Box::new(RemoteSource::new(remote)?)),
            None => self.here(selection, token),
        }
    }

    fn open_messages(
        &self,
        selection: Selection,
        token: &Token,
        budget: &Arc<Budget>,
    ) -> Result<Box<dyn MessageSource>, SourceError> {
        match self.remote(&selection, token, budget)? {
            Some(remote) => Ok(Box::new(remote)),
            None => {
                let source = self.here(selection, token)?;
                Ok(Box::new(Encoder::new(source, token, budget)?))
            }
        }
    }
}
