//! Marks of Arrow's extension types, which make a column more than its type says: JSON, UUIDs, and any other. Compares
//! them; never changes a column.

use arrow::datatypes::{DataType, Field};

use crate::model::{EXTENSION_METADATA, EXTENSION_NAME, JSON_EXTENSION, UUID_EXTENSION};

/// Returns the mark of a column beyond its type, and the mark's settings. JSON and UUIDs have none that
/// matter.
fn mark(field: &Field) -> Option<(&str, &str)> {
    let text = |key: &str| field.metadata().get(key).map(String::as_str);
    let name = text(EXTENSION_NAME)?;
    let settings = match name {
        JSON_EXTENSION | UUID_EXTENSION => "",
        _ => text(EXTENSION_METADATA).unwrap_or_default(),
    };
    Some((name, settings))
}

/// Returns whether two columns of one type are marked alike, and all that is in them.
pub(crate) fn are_alike(a: &Field, b: &Field) -> bool {
    mark(a) == mark(b) && are_alike_inside(a.data_type(), b.data_type())
}

fn are_alike_inside(a: &DataType, b: &DataType) -> bool {
    match (a, b) {
        (DataType::Struct(a), DataType::Struct(b)) => a
            .iter()
            .all(|inner| b.find(inner.name()).is_some_and(|(_, other)| are_alike(inner, other))),
        (DataType::Dictionary(_, a), b) => are_alike_inside(a, b),
        (a, DataType::Dictionary(_, b)) => are_alike_inside(a, b),
        _ => match (item(a), item(b)) {
            (Some(a), Some(b)) => are_alike(a, b),
            _ => true,
        },
    }
}

/// Returns what lists and maps are lists of.
fn item(list: &DataType) -> Option<&Field> {
    match list {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => Some(item),
        _ => None,
    }
}

/// Returns a column's type for messages.
pub(crate) fn described(field: &Field) -> String {
    match mark(field) {
        Some((JSON_EXTENSION, _)) => format!("JSON ({})", field.data_type()),
        Some((UUID_EXTENSION, _)) => format!("UUID ({})", field.data_type()),
        Some((name, _)) => format!("{} marked as `{name}`", field.data_type()),
        None => field.data_type().to_string(),
    }
}
