//! Checks that rows can be chosen by the time column that the source names, and names the columns that could be used.
//! Reads no values.

use arrow::datatypes::{DataType, Schema};

use crate::error::quoted;
use crate::model::ColumnKind;
use crate::select::TimeOf;

/// Returns what is wrong with the time column, with the columns that are there.
pub(crate) fn problem(name: &str, by: TimeOf, schema: &Schema, model: Option<&Schema>) -> Option<String> {
    let key = match by {
        TimeOf::Arrival => "time_column",
        TimeOf::Event => "backfill_time_column",
    };
    let of_model = model.and_then(|model| model.field_with_name(name).ok());
    let should_be_time = of_model.is_some_and(|field| ColumnKind::of(field) == Some(ColumnKind::Timestamp));
    match schema.field_with_name(name).map(|field| field.data_type()) {
        Ok(DataType::Timestamp(..)) => None,
        // A null column of the model passes as every kind, but cannot select rows.
        Ok(DataType::Null) => Some(format!("the time column `{name}` is all null")),
        // Said as a column of the model.
        Ok(_) | Err(_) if should_be_time => None,
        Ok(found) => Some(format!(
            "the time column `{name}` is {found}, expected a timestamp (the source's `{key}` can name a \
             different one); {}",
            others(schema)
        )),
        Err(_) => Some(format!(
            "the time column `{name}` is missing (the source's `{key}` can name a different one); {}{}",
            nested(name, schema),
            others(schema)
        )),
    }
}

/// `a.b` is what other programs call a member of a struct.
fn nested(name: &str, schema: &Schema) -> String {
    let is_struct = |name: &str| {
        schema
            .field_with_name(name)
            .is_ok_and(|field| matches!(field.data_type(), DataType::Struct(_)))
    };
    match name.split_once('.') {
        Some((column, _)) if is_struct(column) => {
            format!("a column inside `{column}` cannot be one; ")
        }
        _ => String::new(),
    }
}

fn others(schema: &Schema) -> String {
    let names = |wanted: fn(&DataType) -> bool| -> Vec<String> {
        let fields = schema.fields().iter();
        fields
            .filter(|field| wanted(field.data_type()))
            .map(|field| field.name().clone())
            .collect()
    };
    let times = names(|made| matches!(made, DataType::Timestamp(..)));
    if !times.is_empty() {
        return format!("the timestamps here are {}", quoted(&times));
    }
    format!("the columns found are {}", quoted(&names(|_| true)))
}
