//! The columns that all files of a run have in common, and how each file's columns become them. Casts between makes
//! of the same thing (large strings, other time units); never guesses what a column of another type could mean.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;

use super::super::SourceError;
use super::super::error::quoted;
use super::FilesSettings;
use super::opened::Opened;
use super::plan::{self, Plan};
use super::types::ColumnType;
use crate::model::{Kind, Model};

/// The columns of the run.
#[derive(Debug)]
pub struct Layout {
    schema: SchemaRef,
    /// How text files are read, if any of them has a row or a header.
    text: Option<Plan>,
    /// Types that the configuration gives.
    declared: BTreeMap<String, ColumnType>,
    first: PathBuf,
    model: String,
    time_column: String,
}

/// How one file's columns become the run's.
#[derive(Debug)]
pub struct Projection {
    path: PathBuf,
    /// Index in the file of each of the run's columns.
    columns: Vec<usize>,
    /// Index in the file of the time column.
    pub time: usize,
    pub time_unit: TimeUnit,
    /// Index in the file of the event's name, where the model has one.
    pub event: Option<usize>,
}

impl Projection {
    pub fn broken(&self, cause: ArrowError) -> SourceError {
        SourceError::Damaged {
            path: self.path.clone(),
            cause: cause.to_string(),
        }
    }
}

impl Layout {
    /// The model's columns in its order, then those that the first file has beyond them.
    pub fn decide(settings: &FilesSettings, files: &[Opened]) -> Result<Self, SourceError> {
        let text = plan::decide(settings, files)?;
        let of_text = text.as_ref().map(|plan| &plan.schema);
        let known = files
            .iter()
            .find_map(|file| Some((file, file.schema.as_ref().or(of_text)?)));
        let (first, schema) = match (known, files) {
            (Some((first, schema)), _) => (first, Arc::clone(schema)),
            // Nothing but empty text files: no rows, and nothing wrong.
            (None, [first, ..]) => (first, empty_schema(settings)),
            (None, []) => {
                return Err(SourceError::NothingMatches {
                    pattern: settings.path.clone(),
                });
            }
        };
        let wanted = wanted_columns(&settings.model, &schema);
        let layout = Self {
            schema: Arc::new(Schema::new(wanted)),
            text,
            declared: settings.columns.clone(),
            first: first.path.clone(),
            model: settings.model.clone(),
            time_column: settings.time_column.clone(),
        };
        Ok(layout)
    }

    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// How text files are read.
    pub fn text_plan(&self) -> Option<&Plan> {
        self.text.as_ref()
    }

    /// Whether a file is known to have no row, nor any column.
    pub fn is_empty(&self, file: &Opened) -> bool {
        file.schema.is_none() && self.text.is_none()
    }

    /// Checks a file's columns: every problem at once.
    pub fn projection(&self, file: &Opened) -> Result<Projection, SourceError> {
        // A text file is read with the columns that all text files have together.
        let empty = Arc::new(Schema::empty());
        let of_text = self.text.as_ref().map(|plan| &plan.schema);
        let schema = file.schema.as_ref().or(of_text).unwrap_or(&empty);
        self.check_model(file, schema)?;
        self.check_extra(file, schema)?;
        let columns = self
            .schema
            .fields()
            .iter()
            .filter_map(|field| schema.index_of(field.name()).ok())
            .collect();
        let time = schema.index_of(&self.time_column).unwrap_or_default();
        let time_unit = match schema.field(time).data_type() {
            DataType::Timestamp(unit, _) => *unit,
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

    /// Missing and mistyped columns of the model, doubled ones, and the time column.
    fn check_model(&self, file: &Opened, schema: &Schema) -> Result<(), SourceError> {
        let mut problems = Vec::new();
        let model = Model::named(&self.model).map(Model::schema);
        for wanted in model.iter().flat_map(|model| model.fields()) {
            let Some(kind) = Kind::of(wanted) else {
                continue;
            };
            match schema.column_with_name(wanted.name()) {
                None => problems.push(format!(
                    "column `{}` ({}) is missing",
                    wanted.name(),
                    kind.in_words()
                )),
                Some((_, found)) if !is_made_like(kind, found.data_type()) => {
                    problems.push(format!(
                        "column `{}` is {}, expected {}",
                        wanted.name(),
                        found.data_type(),
                        kind.in_words()
                    ));
                }
                Some(_) => {}
            }
        }
        let is_models = |name: &str| {
            model
                .as_ref()
                .is_some_and(|model| model.column_with_name(name).is_some())
        };
        match schema.column_with_name(&self.time_column) {
            None if !is_models(&self.time_column) => problems.push(format!(
                "the time column `{}` is missing (the source's `time_column` names another); the columns found are {}",
                self.time_column,
                found_columns(schema)
            )),
            Some((_, found))
                if !matches!(found.data_type(), DataType::Timestamp(..))
                    && !is_models(&self.time_column) =>
            {
                problems.push(format!(
                    "the time column `{}` is {}, expected a timestamp (the source's `time_column` names another)",
                    self.time_column,
                    found.data_type()
                ));
            }
            // A null column of the model passes as every kind, but cannot select rows.
            Some((_, found)) if *found.data_type() == DataType::Null => {
                problems.push(format!(
                    "the time column `{}` is all null",
                    self.time_column
                ));
            }
            _ => {}
        }
        for (index, field) in schema.fields().iter().enumerate() {
            if schema
                .index_of(field.name())
                .is_ok_and(|first| first < index)
            {
                problems.push(format!("column `{}` is there twice", field.name()));
            }
        }
        problems.extend(self.misdeclared(file, schema));
        if problems.is_empty() {
            return Ok(());
        }
        Err(SourceError::Columns {
            path: file.path.clone(),
            model: self.model.clone(),
            problems,
        })
    }

    /// Types that the configuration gives to columns of a file that has types of its own, and other ones.
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
                Some(kind) => is_made_like(kind, found.data_type()),
                None => found.data_type() == declared.field(name).data_type(),
            };
            (!fits).then(|| {
                format!(
                    "column `{name}` is {}, and the source's `columns` gives it the type {declared}: only columns of text files can be given another type",
                    found.data_type()
                )
            })
        };
        self.declared.iter().filter_map(mismatch).collect()
    }

    /// Columns beyond the model must be the first file's.
    fn check_extra(&self, file: &Opened, schema: &Schema) -> Result<(), SourceError> {
        let mut problems = Vec::new();
        for wanted in self.schema.fields() {
            match schema.column_with_name(wanted.name()) {
                None => problems.push(format!("column `{}` is missing", wanted.name())),
                Some((_, found)) if !is_arranged(found.data_type(), wanted.data_type()) => {
                    problems.push(format!(
                        "column `{}` is {}, there {}",
                        wanted.name(),
                        found.data_type(),
                        wanted.data_type()
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

    /// A file's batch with the run's columns.
    pub fn arrange(
        &self,
        batch: &RecordBatch,
        projection: &Projection,
    ) -> Result<RecordBatch, SourceError> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(projection.columns.len());
        for (field, index) in self.schema.fields().iter().zip(&projection.columns) {
            let column = batch.column(*index);
            if column.data_type() == field.data_type() {
                columns.push(column.clone());
                continue;
            }
            let column =
                cast(column, field.data_type()).map_err(|cause| SourceError::BadColumn {
                    path: projection.path.clone(),
                    column: field.name().clone(),
                    cause: cause.to_string(),
                })?;
            columns.push(column);
        }
        RecordBatch::try_new(self.schema.clone(), columns).map_err(|cause| projection.broken(cause))
    }
}

/// The same values in another make; one that does not fit is an error, not a null.
fn cast(column: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    match (column.data_type(), wanted) {
        // Times without a zone are UTC. Arrow would look the zone up in a database that it is built without.
        (DataType::Timestamp(_, None), DataType::Timestamp(TimeUnit::Microsecond, Some(zone))) => {
            let naive = DataType::Timestamp(TimeUnit::Microsecond, None);
            let times = cast_with_options(column, &naive, &options)?;
            let times = times.as_primitive::<TimestampMicrosecondType>().clone();
            Ok(Arc::new(times.with_timezone(Arc::clone(zone))))
        }
        _ => cast_with_options(column, wanted, &options),
    }
}

/// The columns of no rows at all.
fn empty_schema(settings: &FilesSettings) -> SchemaRef {
    let time = Kind::Timestamp.field(&settings.time_column);
    Model::named(&settings.model).map_or_else(|| Arc::new(Schema::new(vec![time])), Model::schema)
}

/// The names of a file's columns, and what they tell about its delimiter.
fn found_columns(schema: &Schema) -> String {
    let names: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    let hint = match names.as_slice() {
        [only] if only.contains([';', '\t', '|', ',']) => {
            " (a single one: the source's `delimiter` may be another)"
        }
        _ => "",
    };
    format!("{}{hint}", quoted(&names))
}

/// The model's columns as the model has them, then the others as the file has them.
fn wanted_columns(model: &str, schema: &Schema) -> Vec<Arc<Field>> {
    let model = Model::named(model).map(Model::schema);
    let mut wanted: Vec<Arc<Field>> = Vec::new();
    for field in model.iter().flat_map(|model| model.fields()) {
        wanted.push(field.clone());
    }
    for field in schema.fields() {
        let doubled = wanted.iter().any(|known| known.name() == field.name());
        if !doubled {
            wanted.push(Arc::new(plain(field)));
        }
    }
    wanted
}

/// A field without what only its file's format knows; the marks of Arrow's extension types stay.
fn plain(field: &Field) -> Field {
    let marks: HashMap<String, String> = field
        .metadata()
        .iter()
        .filter(|(key, _)| key.starts_with("ARROW:extension:"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    Field::new(field.name(), field.data_type().clone(), true).with_metadata(marks)
}

/// Whether a column of that type holds that kind of thing.
fn is_made_like(kind: Kind, found: &DataType) -> bool {
    match kind {
        _ if *found == DataType::Null => true,
        Kind::Text | Kind::Json => is_text(found),
        Kind::Integer => found.is_integer(),
        Kind::Float => found.is_floating(),
        Kind::Boolean => *found == DataType::Boolean,
        Kind::Timestamp => matches!(found, DataType::Timestamp(..)),
        Kind::TextList => match found {
            DataType::List(item) | DataType::LargeList(item) => is_text(item.data_type()),
            _ => false,
        },
    }
}

fn is_text(found: &DataType) -> bool {
    match found {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// Whether a column can stand where the first file's stands: the model's kinds by kind, the others by type.
fn is_arranged(found: &DataType, wanted: &DataType) -> bool {
    let by_kind = Kind::of(&Field::new("", wanted.clone(), true))
        .is_some_and(|kind| is_made_like(kind, found));
    by_kind || found.equals_datatype(wanted)
}
