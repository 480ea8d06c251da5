//! The columns that all files of a run have in common, and how each file's columns become them. Casts between types
//! of the same kind (large strings, other time units); never guesses what a column of another type could mean.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use batch_export_system::explain::Cause;

use super::super::SourceError;
use super::FilesSettings;
use super::keys;
use super::opened::{Content, Opened};
use super::plan::{self, Plan};
use super::types::ColumnType;
use crate::fit::{self, Unfit, is_made_like};
use crate::model::{ColumnKind, Model};
use crate::select::TimeOf;
use crate::{marks, time_column};

/// The columns of the run.
#[derive(Debug)]
pub(crate) struct Layout {
    schema: SchemaRef,
    /// How text files are read, if any of them has a row or a header.
    text: Option<Plan>,
    /// The time columns, and types that the configuration gives.
    types: keys::Types,
    /// The interval selects on this column.
    time_column: String,
    by: TimeOf,
    first: PathBuf,
    first_is_text: bool,
    model: String,
}

/// The way in which one file's columns become the run's.
#[derive(Debug)]
pub(crate) struct Projection {
    pub path: PathBuf,
    /// Index in the file of each of the run's columns.
    columns: Vec<usize>,
    /// Index in the file of the time column.
    pub time: usize,
    pub time_unit: TimeUnit,
    /// Index in the file of the event's name, where the model has one.
    pub event: Option<usize>,
}

impl Projection {
    pub(crate) fn broken(&self, cause: ArrowError) -> SourceError {
        SourceError::Damaged {
            path: self.path.clone(),
            cause: cause.to_string(),
        }
    }
}

impl Layout {
    /// Returns the model's columns in its order, then those that the first file has beyond them.
    pub(crate) fn decide(settings: &FilesSettings, by: TimeOf, files: &[Opened]) -> Result<Self, SourceError> {
        let mut layout = Self {
            schema: Arc::new(Schema::empty()),
            text: text_plan(settings, files)?,
            types: keys::Types {
                times: settings.times(),
                declared: settings.columns.clone(),
            },
            time_column: settings.time_column_of(by).to_owned(),
            by,
            first: PathBuf::new(),
            first_is_text: false,
            model: settings.model.clone(),
        };
        let first = files.iter().find(|file| !layout.is_empty(file));
        let wanted = match first {
            Some(first) => {
                layout.first = first.path.clone();
                layout.first_is_text = first.schema.is_none();
                fit::wanted(&settings.model, &layout.columns(first))
            }
            // Files without a row: nothing to export, and nothing wrong.
            None => match Model::named(&settings.model) {
                Some(model) => model.schema().fields().iter().cloned().collect(),
                None => vec![Arc::new(ColumnKind::Timestamp.field(&layout.time_column))],
            },
        };
        layout.schema = Arc::new(Schema::new(wanted));
        Ok(layout)
    }

    /// Returns a file's columns, and behind them those of its folders' names.
    fn columns(&self, file: &Opened) -> SchemaRef {
        // A text file is read with the schema that all text files have in common.
        let of_text = self.text.as_ref().map(|plan| &plan.schema);
        let schema = file.schema.as_ref().or(of_text);
        match schema {
            Some(schema) => keys::with(schema, &file.keys, &self.types),
            None => Arc::new(Schema::empty()),
        }
    }

    /// Returns the column that the interval selects on.
    pub(crate) fn time_column(&self) -> &str {
        &self.time_column
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Returns what decides the types of the columns in folders' names.
    pub(crate) fn types(&self) -> &keys::Types {
        &self.types
    }

    /// Returns how text files are read.
    pub(crate) fn text_plan(&self) -> Option<&Plan> {
        self.text.as_ref()
    }

    /// Returns whether a file is known to have no row, nor any column.
    pub(crate) fn is_empty(&self, file: &Opened) -> bool {
        file.schema.is_none() && self.text.is_none()
    }

    /// Checks a file's columns: every problem at once.
    pub(crate) fn projection(&self, file: &Opened) -> Result<Projection, SourceError> {
        let schema = self.columns(file);
        self.check_model(file, &schema)?;
        self.check_extra(file, &schema)?;
        let columns = self
            .schema
            .fields()
            .iter()
            .filter_map(|field| schema.index_of(field.name()).ok())
            .collect();
        let time = schema.index_of(&self.time_column).unwrap_or_default();
        let time_unit = match schema.fields().get(time).map(|field| field.data_type()) {
            Some(DataType::Timestamp(unit, _)) => *unit,
            _ => TimeUnit::Microsecond,
        };
        Ok(Projection {
            path: file.path.clone(),
            columns,
            time,
            time_unit,
            event: (self.model == Model::Events.name())
                .then(|| schema.index_of("event").ok())
                .flatten(),
        })
    }

    /// Checks for missing and mistyped columns of the model, duplicate ones, and the time column.
    fn check_model(&self, file: &Opened, schema: &Schema) -> Result<(), SourceError> {
        let model = Model::named(&self.model).map(Model::schema);
        let mut problems = fit::problems_of_model(&self.model, schema);
        problems.extend(time_column::problem(
            &self.time_column,
            self.by,
            schema,
            model.as_deref(),
        ));
        problems.extend(fit::problems_of_names(schema));
        problems.extend(self.misdeclared(file, schema));
        if problems.is_empty() {
            return Ok(());
        }
        if matches!(file.content, Content::Csv)
            && let Some((column, delimiter)) = joined_columns(schema)
        {
            return Err(SourceError::BadColumn {
                path: file.path.clone(),
                column,
                cause: Cause::new("it is the only column, and its name looks like several names").with_hint(format!(
                    "add delimiter = \"{}\" to the source",
                    delimiter.escape_default()
                )),
            });
        }
        Err(SourceError::Columns {
            path: file.path.clone(),
            model: self.model.clone(),
            problems,
        })
    }

    /// Returns the problems of columns to which the configuration gives a type, in a file that has other types of its
    /// own.
    fn misdeclared(&self, file: &Opened, schema: &Schema) -> Vec<String> {
        if file.schema.is_none() {
            return Vec::new();
        }
        let mismatch = |(name, declared): (&String, &ColumnType)| {
            let Some((_, found)) = schema.column_with_name(name) else {
                return Some(format!(
                    "column `{name}`, which the source's `columns` gives a type, is missing"
                ));
            };
            let fits = match declared.kind() {
                Some(kind) => {
                    is_made_like(kind, found)
                        && (self.is_of_model(name)
                            || *found.data_type() == DataType::Null
                            || marks::are_alike(found, &declared.field(name)))
                }
                None => found.data_type() == declared.field(name).data_type(),
            };
            (!fits).then(|| {
                format!(
                    "column `{name}` is {}, and the source's `columns` gives it the type {declared}: only columns of text files can be given another type",
                    marks::described(found)
                )
            })
        };
        self.types.declared.iter().filter_map(mismatch).collect()
    }

    /// Checks that the columns beyond the model are the first file's.
    fn check_extra(&self, file: &Opened, schema: &Schema) -> Result<(), SourceError> {
        let mut problems = Vec::new();
        for wanted in self.schema.fields() {
            match schema.column_with_name(wanted.name()) {
                None => problems.push(format!("column `{}` is missing", wanted.name())),
                Some((_, found)) if !self.is_arranged(found, wanted) => {
                    problems.push(format!(
                        "column `{}` is {} here, but {} there{}",
                        wanted.name(),
                        marks::described(found),
                        marks::described(wanted),
                        self.remedy(file)
                    ));
                }
                Some(_) => {}
            }
        }
        for field in schema.fields() {
            if self.schema.column_with_name(field.name()).is_none() {
                problems.push(format!("column `{}` is only here", field.name()));
            }
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(SourceError::DifferentColumns {
            path: file.path.clone(),
            first: self.first.clone(),
            problems,
        })
    }

    /// Returns whether a column can take the place of the first file's: the model's by kind, the others by type and
    /// mark, so that the order of the files decides nothing. Text is JSON to a model alone, which says so.
    fn is_arranged(&self, found: &Field, wanted: &Field) -> bool {
        let by_kind = ColumnKind::of(wanted).is_some_and(|kind| is_made_like(kind, found));
        let is_same = by_kind || found.data_type().equals_datatype(wanted.data_type());
        let is_free = self.is_of_model(wanted.name()) || *found.data_type() == DataType::Null;
        is_same && (is_free || marks::are_alike(found, wanted))
    }

    fn is_of_model(&self, name: &str) -> bool {
        Model::named(&self.model).is_some_and(|model| model.schema().index_of(name).is_ok())
    }

    /// Returns what else can be done if one of two files is text.
    fn remedy(&self, file: &Opened) -> &'static str {
        match file.schema.is_none() || self.first_is_text {
            true => " (a column of text files can be given its type in the source's `columns`)",
            false => "",
        }
    }

    /// Returns a file's batch with the run's columns. `row` maps a row of the batch to a row of the file.
    pub(crate) fn arrange(
        &self,
        batch: &RecordBatch,
        projection: &Projection,
        row: impl Fn(usize) -> u64,
    ) -> Result<RecordBatch, SourceError> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(projection.columns.len());
        for (field, index) in self.schema.fields().iter().zip(&projection.columns) {
            let column = batch.column(*index);
            let bad = |at: usize, cause: Cause| SourceError::BadValue {
                path: projection.path.clone(),
                row: row(at) + 1,
                column: field.name().clone(),
                cause,
            };
            let fitted = fit::fitted(column, field.data_type());
            columns.push(fitted.map_err(|unfit| match unfit {
                Unfit::Value(at, cause) => bad(at, cause),
                Unfit::Column(cause) => projection.broken(cause),
            })?);
        }
        RecordBatch::try_new(self.schema.clone(), columns).map_err(|cause| projection.broken(cause))
    }
}

/// Returns how text files are read. A column that has a type and is in no file may be in the folders' names: its type
/// is the files' business only where they hold it too.
fn text_plan(settings: &FilesSettings, files: &[Opened]) -> Result<Option<Plan>, SourceError> {
    let keys = files.iter().flat_map(|file| &file.keys);
    let mut typed: Vec<&str> = keys
        .map(|key| key.name.as_str())
        .filter(|name| settings.columns.contains_key(*name))
        .collect();
    if typed.is_empty() {
        return plan::decide(settings, files);
    }
    let without = |names: &[&str]| {
        let mut settings = settings.clone();
        for name in names {
            settings.columns.remove(*name);
        }
        plan::decide(&settings, files)
    };
    let plan = without(&typed)?;
    let holds = |name: &str| {
        plan.as_ref()
            .is_some_and(|plan| plan.schema.column_with_name(name).is_some())
    };
    let before = typed.len();
    typed.retain(|name| !holds(name));
    match typed.len() == before {
        true => Ok(plan),
        false => without(&typed),
    }
}

/// Returns the only column of a table, and the delimiter that its name holds: a header that was not taken apart.
fn joined_columns(schema: &Schema) -> Option<(String, char)> {
    let [only] = &schema.fields()[..] else {
        return None;
    };
    let delimiter = only.name().chars().find(|c| matches!(c, ';' | '\t' | '|' | ','))?;
    Some((only.name().clone(), delimiter))
}
