//! How the columns that a source finds become the columns of a model: which of them take the model's places, which
//! follow, and what each value must be. Casts between types of the same kind (large strings, other time units); never
//! guesses what a column of another type could mean.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::error::ArrowError;
use batch_export_system::explain::Cause;

use crate::convert;
use crate::model::{ColumnKind, Model};
use crate::time_of_day;

/// Returns the model's columns as the model has them, then the others as they were found.
pub(crate) fn wanted(model: &str, found: &Schema) -> Vec<FieldRef> {
    let model = Model::named(model).map(Model::schema);
    let mut wanted: Vec<FieldRef> = Vec::new();
    for field in model.iter().flat_map(|model| model.fields()) {
        wanted.push(field.clone());
    }
    for field in found.fields() {
        let doubled = wanted.iter().any(|known| known.name() == field.name());
        if !doubled {
            wanted.push(Arc::new(plain(field)));
        }
    }
    wanted
}

/// Returns a field without what only its source's format knows; the marks of Arrow's extension types stay.
fn plain(field: &Field) -> Field {
    let marks: HashMap<String, String> = field
        .metadata()
        .iter()
        .filter(|(key, _)| key.starts_with("ARROW:extension:"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    Field::new(field.name(), field.data_type().clone(), true).with_metadata(marks)
}

/// Returns the columns of a model that are missing or of another kind, in words.
pub(crate) fn problems_of_model(model: &str, found: &Schema) -> Vec<String> {
    let model = Model::named(model).map(Model::schema);
    let mut problems = Vec::new();
    for wanted in model.iter().flat_map(|model| model.fields()) {
        let Some(kind) = ColumnKind::of(wanted) else {
            continue;
        };
        match found.column_with_name(wanted.name()) {
            None => problems.push(format!("column `{}` ({}) is missing", wanted.name(), kind.in_words())),
            Some((_, found)) if !is_made_like(kind, found) => {
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
    problems
}

/// Returns the columns whose names an earlier column has, in words.
pub(crate) fn problems_of_names(found: &Schema) -> Vec<String> {
    let fields = found.fields().iter().enumerate();
    fields
        .filter(|(index, field)| found.index_of(field.name()).is_ok_and(|first| first < *index))
        .map(|(_, field)| format!("column `{}` appears twice", field.name()))
        .collect()
}

/// Returns whether a column holds that kind of thing.
pub(crate) fn is_made_like(kind: ColumnKind, found: &Field) -> bool {
    let made = found.data_type();
    match kind {
        _ if *made == DataType::Null => true,
        ColumnKind::Text | ColumnKind::Json if is_text(made) => true,
        ColumnKind::Text => convert::is_uuid(found),
        ColumnKind::Json => false,
        ColumnKind::Integer => made.is_integer(),
        ColumnKind::Float => made.is_floating(),
        ColumnKind::Boolean => *made == DataType::Boolean,
        ColumnKind::Timestamp => matches!(made, DataType::Timestamp(..)),
        ColumnKind::TextList => match made {
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

/// The reason why a column does not become what is wanted.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// The value in this row of the batch.
    Value(usize, Cause),
    /// The column as a whole.
    Column(ArrowError),
}

/// Returns the values of a column in the wanted type, if every one of them fits.
pub(crate) fn fitted(column: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, Unfit> {
    if let Some((row, value)) = time_of_day::first_outside(column).map_err(Unfit::Column)? {
        let cause = Cause::new(format!("the time of day {value} is not within a day"))
            .with_hint("correct the value, or convert the column to text or to a number");
        return Err(Unfit::Value(row, cause));
    }
    convert::to(column, wanted).map_err(|cause| {
        let row = convert::first_failing(column, wanted);
        Unfit::Value(row, cause.to_string().into())
    })
}
