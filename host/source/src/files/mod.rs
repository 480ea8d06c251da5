//! Rows from files: Parquet, Arrow IPC, JSON Lines and CSV, compressed or not, filtered by the interval on a time
//! column. Every header is read before the first row, so files that do not fit fail the run before anything is sent.

mod columns;
mod compare;
mod csv_rows;
mod discover;
mod exact;
mod frames;
mod handle;
mod infer;
mod input;
mod json_rows;
mod keys;
mod layout;
mod number;
mod opened;
mod parquet;
mod periods;
mod plan;
mod quotes;
mod schema;
mod signature;
mod text;
mod types;
mod unescape;
mod walk;

#[cfg(test)]
mod tests;

pub use discover::check_pattern;
pub(crate) use discover::has_periods;

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::vec;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute;
use arrow::datatypes::{DataType, SchemaRef};
use batch_export_system::Token;
use batch_export_system::explain::Cause;
use serde::{Deserialize, Serialize};

use super::model::Model;
use super::select::{Bounds, TimeOf};
use super::{Selection, Source, SourceError, Tally};
use crate::convert;
use crate::interval::Interval;
use columns::Noted;
pub use csv_rows::Dialect;
use discover::FoundFile;
use keys::Keyed;
use layout::{Layout, Projection};
use opened::Content;
pub(crate) use opened::Opened;
pub use types::{ColumnType, TYPE_NAMES};

/// The place of files and the way in which they are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FilesSettings {
    /// Folder that a relative `path` starts at.
    #[serde(with = "folder")]
    pub base: PathBuf,
    /// A file, a folder (with everything below it), or a glob. With parts of a time in it (`{year}`, `{month}`, …), the
    /// files of the periods that an interval touches.
    pub path: String,
    /// The name of the model: its columns must be in every file. Another name than those of [`Model`](crate::Model)
    /// stands for whatever columns the files have.
    pub model: String,
    /// What text files hold whose name does not say it.
    pub format: Option<TextFormat>,
    /// The way in which CSV is written.
    pub dialect: Dialect,
    /// The interval selects on this column: when rows arrived.
    pub time_column: String,
    /// The interval of a backfill selects on this column: when what they tell of happened. `None` is `timestamp` for
    /// events, and otherwise `time_column`.
    pub backfill_time_column: Option<String>,
    /// The number of rows of each text file that are looked at for its columns; 0 is all.
    pub infer_rows: u64,
    /// Types of text files' columns that are not left to what the files hold.
    pub columns: BTreeMap<String, ColumnType>,
}

impl FilesSettings {
    /// Returns settings that leave the rest to what the files hold: their formats are told by their names and first
    /// bytes, columns of text files by all of their rows.
    pub fn new(
        base: impl Into<PathBuf>,
        path: impl Into<String>,
        model: impl Into<String>,
        time_column: impl Into<String>,
    ) -> Self {
        Self {
            base: base.into(),
            path: path.into(),
            model: model.into(),
            format: None,
            dialect: Dialect::default(),
            time_column: time_column.into(),
            backfill_time_column: None,
            infer_rows: 0,
            columns: BTreeMap::new(),
        }
    }

    /// Returns the column that an interval selects on.
    pub fn time_column_of(&self, by: TimeOf) -> &str {
        let of_events = || (self.model == Model::Events.name()).then_some(EVENT_TIME_COLUMN);
        match by {
            TimeOf::Arrival => &self.time_column,
            TimeOf::Event => {
                let configured = self.backfill_time_column.as_deref();
                configured.or_else(of_events).unwrap_or(&self.time_column)
            }
        }
    }

    /// Returns the interval whose periods hold the selected rows, where the path has periods: those in which rows
    /// arrived. Rows that are selected by another time may be in any of them.
    fn periods_of(&self, selection: &Selection) -> Interval {
        match self.time_column_of(selection.by) == self.time_column {
            true => selection.interval,
            false => Interval::always(),
        }
    }

    /// Returns the columns that select rows, in whatever run: all runs take them for times.
    fn times(&self) -> [String; 2] {
        [TimeOf::Arrival, TimeOf::Event].map(|by| self.time_column_of(by).to_owned())
    }
}

/// When an event happened, in the model of events.
const EVENT_TIME_COLUMN: &str = "timestamp";

/// Formats that cannot be distinguished with certainty by a file's first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TextFormat {
    /// One JSON object on each line.
    JsonLines,
    /// Fields with a delimiter between them, and names in the first line.
    Csv,
}

/// A folder's name need not be UTF-8, and JSON is.
mod folder {
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(folder: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        folder.as_os_str().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        OsString::deserialize(deserializer).map(PathBuf::from)
    }
}

/// Batches of one file as they are in it.
type Batches = Box<dyn Iterator<Item = Result<RecordBatch, SourceError>> + Send>;

/// Called with each file before it is read.
type Reading<'a> = Box<dyn FnMut(&Path) + Send + 'a>;

/// The files of one run, one after the other in order of their names.
pub(crate) struct Files<'a> {
    selection: Selection,
    layout: Layout,
    waiting: vec::IntoIter<(Opened, Projection)>,
    current: Option<Current>,
    tally: Tally,
    noted: Arc<Noted>,
    warnings: Vec<Cause>,
    token: Token,
    reading: Reading<'a>,
}

/// The file that is being read.
struct Current {
    batches: Batches,
    keyed: Keyed,
    projection: Projection,
    rows: Rows,
}

/// The places of rows in their file.
#[derive(Default)]
struct Rows {
    /// Rows before the batch at hand.
    before: u64,
    /// For each row group read of a Parquet file: its first row among those read, and in the file.
    places: Vec<(u64, u64)>,
}

impl Rows {
    /// Returns the row of the file, from 0, that is this one of the batch at hand.
    fn in_file(&self, row: usize) -> u64 {
        let read = self.before + row as u64;
        match self.places.iter().rfind(|(first, _)| *first <= read) {
            Some((first, place)) => place + (read - first),
            None => read,
        }
    }
}

impl<'a> Files<'a> {
    /// Finds the files, reads every header, and decides the columns of all. `reading` is told of each file before it is
    /// looked at.
    pub(crate) fn open(
        settings: &FilesSettings,
        selection: Selection,
        token: &Token,
        mut reading: impl FnMut(&Path) + Send + 'a,
    ) -> Result<Self, SourceError> {
        let found = discover::files(&settings.base, &settings.path, &settings.periods_of(&selection), token)?;
        let mut files = Vec::with_capacity(found.files.len());
        for file in found.files {
            reading(&file.path);
            let mut opened = guarded(&file.path, token, || {
                Opened::open(file.path.clone(), settings.format, settings.dialect, token)
            })?;
            opened.keys = file.keys;
            opened.share_schema(files.last());
            files.push(opened);
        }
        let all = settings.base.join(&settings.path);
        if files.len() > 1 {
            // Columns are looked for in all of them.
            reading(&all);
        }
        let layout = match &found.other {
            Some(other) => Self::layout_of(settings, selection.by, other, token),
            None => None,
        };
        let layout = match layout {
            Some(layout) => layout,
            None => guarded(&all, token, || Layout::decide(settings, selection.by, &files))?,
        };
        let mut waiting = Vec::with_capacity(files.len());
        let mut tally = Tally {
            files_seen: found.seen,
            files_of_other_names: found.skipped.other_names.count,
            files_hidden: found.skipped.hidden.count,
            files_repeated: found.skipped.repeated.count,
            ..Tally::default()
        };
        for file in files {
            if layout.is_empty(&file) {
                tally.files_read += 1;
                continue;
            }
            let projection = layout.projection(&file)?;
            waiting.push((file, projection));
        }
        let mut warnings = found.skipped.warnings(&settings.base);
        warnings.extend(found.without_files);
        Ok(Self {
            selection,
            layout,
            waiting: waiting.into_iter(),
            current: None,
            tally,
            warnings,
            token: token.clone(),
            reading: Box::new(reading),
            noted: Arc::default(),
        })
    }

    /// Returns the columns of a file that is not read; `None` if it does not tell, which is its own period's trouble.
    fn layout_of(settings: &FilesSettings, by: TimeOf, file: &FoundFile, token: &Token) -> Option<Layout> {
        let decided = guarded(&file.path, token, || {
            let mut opened = Opened::open(file.path.clone(), settings.format, settings.dialect, token)?;
            opened.keys = file.keys.clone();
            let layout = Layout::decide(settings, by, std::slice::from_ref(&opened))?;
            layout.projection(&opened).map(|_| layout)
        });
        decided.ok()
    }

    fn start(&mut self, file: Opened, projection: Projection) -> Result<(), SourceError> {
        self.tally.files_read += 1;
        let mut rows = Rows::default();
        let batches: Batches = match file.content {
            Content::Parquet => {
                let bounds = Bounds::new(&self.selection.interval, projection.time_unit);
                let (batches, groups) = parquet::batches(&file, self.layout.time_column(), bounds)?;
                self.tally.row_groups_read += groups.read;
                self.tally.row_groups_pruned += groups.pruned;
                self.tally.rows_pruned += groups.rows_pruned;
                rows.places = groups.places;
                Box::new(batches)
            }
            Content::ArrowFile | Content::ArrowStream => file.arrow_batches()?,
            Content::JsonLines | Content::Csv => match self.layout.text_plan() {
                Some(plan) => text::batches(&file, plan, &self.noted)?,
                None => Box::new(std::iter::empty()),
            },
        };
        self.current = Some(Current {
            batches,
            keyed: Keyed::new(file.keys, &file.path, self.layout.types(), &self.noted),
            projection,
            rows,
        });
        Ok(())
    }

    /// Omits rows of other intervals and events, then brings the rest into the common layout.
    fn selected(
        &mut self,
        batch: &RecordBatch,
        projection: &Projection,
        place: &Rows,
    ) -> Result<RecordBatch, SourceError> {
        let bounds = Bounds::new(&self.selection.interval, projection.time_unit);
        let timed = bounds.mask(batch.column(projection.time), projection.time_unit);
        let rows = batch.num_rows() as u64;
        let inside = timed.mask.true_count() as u64;
        self.tally.rows_read += rows;
        self.tally.rows_without_time += timed.without_time;
        self.tally.rows_outside_interval += rows - inside - timed.without_time;

        let broken = |cause| projection.broken(cause);
        let mut mask: BooleanArray = timed.mask;
        if let Some(event) = projection.event
            && !self.selection.events.takes_all()
        {
            // Names of another type, such as UUIDs, are compared as the text that is exported.
            let events = convert::to(batch.column(event), &DataType::Utf8).map_err(broken)?;
            let wanted = self.selection.events.mask(&events).map_err(broken)?;
            mask = compute::and(&mask, &wanted).map_err(broken)?;
            self.tally.rows_of_other_events += inside - mask.true_count() as u64;
        }
        if mask.true_count() == batch.num_rows() {
            return self.layout.arrange(batch, projection, |row| place.in_file(row));
        }
        let batch = compute::filter_record_batch(batch, &mask).map_err(broken)?;
        self.layout.arrange(&batch, projection, |row| {
            let kept = mask.values().set_indices().nth(row);
            place.in_file(kept.unwrap_or(row))
        })
    }

    fn next_of(&mut self, mut current: Current) -> Result<Option<RecordBatch>, SourceError> {
        let Some(batch) = current.batches.next() else {
            return Ok(None);
        };
        let rows = &current.rows;
        let batch = current.keyed.apply(batch?, |row| rows.in_file(row))?;
        let selected = self.selected(&batch, &current.projection, &current.rows)?;
        current.rows.before += batch.num_rows() as u64;
        self.current = Some(current);
        Ok(Some(selected))
    }
}

impl Source for Files<'_> {
    fn schema(&self) -> SchemaRef {
        self.layout.schema()
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        loop {
            if let Some(current) = self.current.take() {
                let path = current.projection.path.clone();
                let token = self.token.clone();
                if let Some(batch) = guarded(&path, &token, || self.next_of(current))? {
                    return Ok(Some(batch));
                }
            }
            let Some((file, projection)) = self.waiting.next() else {
                self.tally.check_files()?;
                return Ok(None);
            };
            let (path, token) = (file.path.clone(), self.token.clone());
            (self.reading)(&path);
            guarded(&path, &token, || self.start(file, projection))?;
        }
    }

    fn file(&self) -> Option<&Path> {
        self.current.as_ref().map(|current| current.projection.path.as_path())
    }

    fn tally(&self) -> Tally {
        Tally {
            surrogates_replaced: self.noted.surrogates_replaced.load(Ordering::Relaxed),
            numbers_rounded: self.noted.numbers_rounded.load(Ordering::Relaxed),
            ..self.tally
        }
    }

    fn warnings(&self) -> Vec<Cause> {
        self.warnings.clone()
    }
}

/// Returns the files that are read for a selection of rows, in order. Opens none of them.
pub fn paths(settings: &FilesSettings, selection: &Selection, token: &Token) -> Result<Vec<PathBuf>, SourceError> {
    let found = discover::files(&settings.base, &settings.path, &settings.periods_of(selection), token)?;
    Ok(found.files.into_iter().map(|file| file.path).collect())
}

/// Does some work on one file, unless the whole work must end. A reader that panics is a file that cannot be read, and
/// nothing more: nothing that it left half done is used again.
fn guarded<T>(path: &Path, token: &Token, work: impl FnOnce() -> Result<T, SourceError>) -> Result<T, SourceError> {
    token.check()?;
    let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(SourceError::Panicked {
            path: path.to_path_buf(),
            cause: said(panic.as_ref()),
        })
    });
    // What a decoder makes of a read that was ended looks like a damaged file.
    done.or_else(|error| {
        token.check()?;
        Err(error)
    })
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it did not say why".to_owned())
}
