//! Where rows come from: a schema, then record batches in order. A source never looks at a destination and hands on
//! every row of the interval exactly as it stands, duplicates included.

mod error;
mod feed;
mod files;
mod interval;
mod model;
mod remote;
mod sample;
mod select;
mod survey;

use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};

pub use error::SourceError;
pub use feed::{Feed, Stream, Summary};
pub use files::{
    ColumnType, Dialect, Files, FilesSettings, TYPE_NAMES, TextFormat, check_pattern, paths,
};
pub use interval::{Ends, Interval, IntervalError, Moment};
pub use model::{Kind, Model};
pub use remote::TASK as READ_TASK;
pub use select::{EVENT_LISTS, EventFilter, EventListError, Selection};
pub use survey::{Column, Survey, survey};

use batch_export_system::child;
use remote::{Remote, RemoteSource};

/// A source that can be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceSettings {
    /// Deterministic synthetic rows.
    Sample { model: Model, rows_per_hour: u64 },
    /// Files in a folder.
    Files(FilesSettings),
}

/// Rows of one interval.
pub trait Source: Send {
    /// The columns of every batch: the model's first, in its order.
    fn schema(&self) -> SchemaRef;

    /// The next rows, in order; possibly none of a stretch that the selection leaves out. `None` at the end.
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, SourceError>;

    /// What was read and left out so far.
    fn tally(&self) -> Tally;

    /// What a person should know of what was not read.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What a source read and omitted. Rows omitted here count as not supplied; with those supplied they are all that was
/// read, and a run that cannot show it fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub files_read: u64,
    /// Files of a folder whose names do not say that they hold rows.
    pub files_of_other_names: u64,
    /// Files and folders whose names begin with `.` or `_`.
    pub files_hidden: u64,
    /// Further names of files and folders that were read under another.
    pub files_repeated: u64,
    /// Rows looked at one by one; those of pruned row groups are not.
    pub rows_read: u64,
    pub rows_outside_interval: u64,
    /// Rows whose time column is null: they belong to no interval.
    pub rows_without_time: u64,
    /// Rows omitted by the destination's include and exclude lists.
    pub rows_of_other_events: u64,
    /// Halves of surrogate pairs in text, and in names, that became U+FFFD.
    pub surrogates_replaced: u64,
    /// Numbers that became the nearest float in columns of 64-bit floats.
    pub numbers_rounded: u64,
    pub row_groups_read: u64,
    /// Parquet row groups that their statistics place outside the interval.
    pub row_groups_pruned: u64,
    /// Rows in those row groups, which nobody looked at.
    pub rows_pruned: u64,
}

impl Tally {
    /// Why there was nothing to export, with what was read and omitted.
    pub fn why_empty(&self) -> String {
        let omitted = [
            (self.rows_outside_interval, "outside the interval"),
            (self.rows_without_time, "without a time"),
            (
                self.rows_of_other_events,
                "omitted by include_events and exclude_events",
            ),
        ];
        let omitted: Vec<String> = omitted
            .iter()
            .filter(|(rows, _)| *rows > 0)
            .map(|(rows, why)| format!("{rows} {why}"))
            .collect();
        match (self.rows_read, self.row_groups_pruned) {
            (0, 0) => "the interval has no rows".to_owned(),
            (0, groups) => format!(
                "the interval has no rows ({groups} row groups of the files are outside it)"
            ),
            (read, _) => format!("the source read {read} rows: {}", omitted.join(", ")),
        }
    }

    /// Rows read and not omitted, which the source must have handed on; `None` when its counts cannot be true.
    pub fn rows_kept(&self) -> Option<u64> {
        self.rows_read
            .checked_sub(self.rows_outside_interval)?
            .checked_sub(self.rows_without_time)?
            .checked_sub(self.rows_of_other_events)
    }
}

/// Opens a source. Reads headers and footers, and looks at rows of text files to find their columns: blocking.
pub fn open<'a>(
    settings: &SourceSettings,
    selection: Selection,
) -> Result<Box<dyn Source + 'a>, SourceError> {
    open_watched(settings, selection, |_| {})
}

/// The same, with files read in a child process that may take `memory_bytes`, where the program offers one.
pub fn open_apart(
    settings: &SourceSettings,
    selection: Selection,
    memory_bytes: u64,
) -> Result<Box<dyn Source>, SourceError> {
    match settings {
        SourceSettings::Files(files) if child::is_available() => {
            let remote = Remote::start(files, &selection, memory_bytes)?;
            Ok(Box::new(RemoteSource::open(remote)?))
        }
        _ => open(settings, selection),
    }
}

/// The same in this process; `reading` is told of each file before it is looked at.
fn open_watched<'a>(
    settings: &SourceSettings,
    selection: Selection,
    reading: impl FnMut(&Path) + Send + 'a,
) -> Result<Box<dyn Source + 'a>, SourceError> {
    Ok(match settings {
        SourceSettings::Sample {
            model,
            rows_per_hour,
        } => Box::new(sample::Sample::new(*model, *rows_per_hour, selection)),
        SourceSettings::Files(settings) => {
            Box::new(files::Files::open_watched(settings, selection, reading)?)
        }
    })
}
