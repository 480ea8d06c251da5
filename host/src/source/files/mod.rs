//! Rows from files: Parquet, Arrow IPC, JSON Lines and CSV, packed or not, filtered by the interval on a time column.
//! Every header is read before the first row, so files that do not fit fail the run before anything is sent.

mod columns;
mod csv_rows;
mod discover;
mod frames;
mod infer;
mod input;
mod json_rows;
mod layout;
mod number;
mod opened;
mod parquet;
mod plan;
mod quotes;
mod signature;
mod text;
mod types;
mod unescape;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::vec;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute;
use arrow::datatypes::SchemaRef;

use super::select::Bounds;
use super::{Selection, Source, SourceError, Tally};
use columns::Noted;
pub use csv_rows::Dialect;
use layout::{Layout, Projection};
use opened::{Content, Opened};
pub use types::{ColumnType, TYPE_NAMES};

/// Where files are and how they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesSettings {
    /// Folder that a relative `path` starts at.
    pub base: PathBuf,
    /// A file, a folder (with everything below it), or a glob.
    pub path: String,
    pub model: String,
    /// What text files hold whose name does not say it.
    pub format: Option<TextFormat>,
    /// How CSV is written.
    pub dialect: Dialect,
    /// The interval selects on this column.
    pub time_column: String,
    /// Rows of each text file that are looked at for its columns; 0 is all.
    pub infer_rows: u64,
    /// Types of text files' columns that are not left to what the files hold.
    pub columns: BTreeMap<String, ColumnType>,
}

/// Formats that a file's first bytes cannot tell apart for certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    JsonLines,
    Csv,
}

/// Batches of one file as they stand in it.
type Batches = Box<dyn Iterator<Item = Result<RecordBatch, SourceError>> + Send>;

/// The files of one run, one after the other in order of their names.
pub struct Files {
    settings: FilesSettings,
    selection: Selection,
    layout: Layout,
    waiting: vec::IntoIter<(Opened, Projection)>,
    current: Option<(Batches, Projection)>,
    tally: Tally,
    noted: Arc<Noted>,
}

impl Files {
    /// Finds the files, reads every header, and decides the columns of all.
    pub fn open(settings: &FilesSettings, selection: Selection) -> Result<Self, SourceError> {
        let mut files = Vec::new();
        for path in discover::files(&settings.base, &settings.path)? {
            files.push(Opened::open(path, settings.format, settings.dialect)?);
        }
        let layout = Layout::decide(settings, &files)?;
        let mut waiting = Vec::with_capacity(files.len());
        let mut tally = Tally::default();
        for file in files {
            if layout.is_empty(&file) {
                tally.files_read += 1;
                continue;
            }
            let projection = layout.projection(&file)?;
            waiting.push((file, projection));
        }
        Ok(Self {
            settings: settings.clone(),
            selection,
            layout,
            waiting: waiting.into_iter(),
            current: None,
            tally,
            noted: Arc::default(),
        })
    }

    fn start(&mut self, file: Opened, projection: Projection) -> Result<(), SourceError> {
        self.tally.files_read += 1;
        let batches: Batches = match file.content {
            Content::Parquet => {
                let bounds = Bounds::new(&self.selection.interval, projection.time_unit);
                let (batches, groups) =
                    parquet::batches(&file, &self.settings.time_column, bounds)?;
                self.tally.row_groups_read += groups.read;
                self.tally.row_groups_pruned += groups.pruned;
                batches
            }
            Content::ArrowFile | Content::ArrowStream => file.arrow_batches()?,
            Content::JsonLines | Content::Csv => match self.layout.text_plan() {
                Some(plan) => text::batches(&file, plan, &self.noted)?,
                None => Box::new(std::iter::empty()),
            },
        };
        self.current = Some((batches, projection));
        Ok(())
    }

    /// Leaves out rows of other intervals and events, then brings the rest into the common layout.
    fn selected(
        &mut self,
        batch: &RecordBatch,
        projection: &Projection,
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
            let wanted = self
                .selection
                .events
                .mask(batch.column(event))
                .map_err(broken)?;
            mask = compute::and(&mask, &wanted).map_err(broken)?;
            self.tally.rows_of_other_events += inside - mask.true_count() as u64;
        }
        if mask.true_count() == batch.num_rows() {
            return self.layout.arrange(batch, projection);
        }
        let batch = compute::filter_record_batch(batch, &mask).map_err(broken)?;
        self.layout.arrange(&batch, projection)
    }
}

impl Source for Files {
    fn schema(&self) -> SchemaRef {
        self.layout.schema()
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        loop {
            if let Some((mut batches, projection)) = self.current.take()
                && let Some(batch) = batches.next()
            {
                let batch = self.selected(&batch?, &projection)?;
                self.current = Some((batches, projection));
                return Ok(Some(batch));
            }
            match self.waiting.next() {
                Some((file, projection)) => self.start(file, projection)?,
                None => return Ok(None),
            }
        }
    }

    fn tally(&self) -> Tally {
        Tally {
            surrogates_replaced: self.noted.surrogates_replaced.load(Ordering::Relaxed),
            numbers_rounded: self.noted.numbers_rounded.load(Ordering::Relaxed),
            ..self.tally
        }
    }
}
