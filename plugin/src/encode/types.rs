//! The column types that files can hold, and the schemas of the blocks that files are made from. Does not look at
//! values.
//!
//! Recursion follows the schema's nesting, which the IPC reader bounds (64 levels), not the data's.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::types::{
    Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, validate_decimal_precision_and_scale as fits,
};
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};

use super::{EncodeError, UnsupportedColumn};
use crate::settings::Format;

/// The key under which a field names its extension type, and the names that mean something here
/// (<https://arrow.apache.org/docs/format/CanonicalExtensions.html>).
const EXTENSION_NAME: &str = "ARROW:extension:name";
const JSON_EXTENSION: &str = "arrow.json";
const UUID_EXTENSION: &str = "arrow.uuid";
/// Bytes of a UUID.
pub const UUID_BYTES: i32 = 16;

/// The meaning that a model gives to a column, beyond what the column's own field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Meaning {
    /// The model does not know the column: its own type and extension decide.
    #[default]
    Own,
    /// Text: a UUID becomes its hyphenated form in every format.
    Text,
    /// JSON text, whatever the field says: nested in JSON Lines, a plain string in Parquet.
    Json,
}

fn has_extension(field: &Field, name: &str) -> bool {
    field.metadata().get(EXTENSION_NAME).is_some_and(|found| found == name)
}

/// Returns the type of a column's values, which a dictionary holds once for each key.
fn value_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => value_type(values),
        other => other,
    }
}

/// Returns whether a field says of itself that its text is JSON.
pub fn is_json(field: &Field) -> bool {
    has_extension(field, JSON_EXTENSION) && is_text(field.data_type())
}

/// Returns whether a field says of itself that its 16 bytes are a UUID.
pub fn is_uuid(field: &Field) -> bool {
    has_extension(field, UUID_EXTENSION) && *value_type(field.data_type()) == DataType::FixedSizeBinary(UUID_BYTES)
}

/// Returns whether this is a string type, or a dictionary of strings.
pub fn is_text(data_type: &DataType) -> bool {
    matches!(
        value_type(data_type),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

/// Returns the meaning of every column; columns beyond `meanings` have their own.
pub fn meanings(schema: &Schema, meanings: &[Meaning]) -> Vec<Meaning> {
    let known = meanings.iter().copied();
    let rest = std::iter::repeat(Meaning::Own);
    known.chain(rest).take(schema.fields().len()).collect()
}

/// Implements [`super::check_schema`].
pub fn check_schema(schema: &Schema, format: Format) -> Result<(), EncodeError> {
    if schema.fields().is_empty() {
        return Err(EncodeError::NoColumns);
    }
    check_names(schema.fields(), || "the schema".to_owned())?;
    let refused = |field: &FieldRef| {
        refusal(field.data_type(), format).map(|reason| UnsupportedColumn {
            column: field.name().clone(),
            data_type: field.data_type().to_string(),
            reason,
        })
    };
    let unsupported: Vec<UnsupportedColumn> = schema.fields().iter().filter_map(refused).collect();
    match unsupported.is_empty() {
        true => Ok(()),
        false => Err(EncodeError::UnsupportedColumns(unsupported)),
    }
}

/// Refuses fields of one name next to each other, at any depth.
fn check_names(fields: &Fields, within: impl Fn() -> String) -> Result<(), EncodeError> {
    let mut names = HashSet::with_capacity(fields.len());
    for field in fields {
        if !names.insert(field.name()) {
            return Err(EncodeError::DuplicateName {
                within: within(),
                name: field.name().clone(),
            });
        }
        check_nested_names(field.data_type(), field.name())?;
    }
    Ok(())
}

fn check_nested_names(data_type: &DataType, column: &str) -> Result<(), EncodeError> {
    match data_type {
        DataType::Struct(fields) => check_names(fields, || format!("the column `{column}`")),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => check_nested_names(item.data_type(), column),
        DataType::Dictionary(_, values) => check_nested_names(values, column),
        _ => Ok(()),
    }
}

/// Returns why values of this type cannot be exported, if they cannot.
fn refusal(data_type: &DataType, format: Format) -> Option<&'static str> {
    let parquet = matches!(format, Format::Parquet(_));
    match data_type {
        DataType::Interval(_) => Some("intervals cannot be exported"),
        DataType::Duration(_) => Some("durations cannot be exported"),
        DataType::Union(_, _) => Some("unions cannot be exported"),
        DataType::RunEndEncoded(_, _) => Some("run-end encoded columns cannot be exported"),
        DataType::ListView(_) | DataType::LargeListView(_) => Some("list views cannot be exported, but lists can"),
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..)
            if !is_decimal(data_type) =>
        {
            Some("its precision and scale are not valid for a decimal of this width")
        }
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale)
            if parquet && *scale < 0 =>
        {
            Some("Parquet does not support decimals with a negative scale")
        }
        DataType::FixedSizeBinary(width) | DataType::FixedSizeList(_, width) if *width < 0 => {
            Some("a width cannot be negative")
        }
        DataType::FixedSizeBinary(0) if parquet => Some("Parquet does not support binary of width 0"),
        DataType::Struct(fields) if parquet && fields.is_empty() => Some(
            "Parquet does not support structs without \
                                                                          fields",
        ),
        DataType::Struct(fields) => fields.iter().find_map(|field| refusal(field.data_type(), format)),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => refusal(field.data_type(), format),
        DataType::Dictionary(_, values) => refusal(values, format),
        _ => None,
    }
}

/// Returns whether a decimal's precision fits its width and its scale its precision: nothing else checks a supplied
/// schema, and the Parquet writer takes it for granted.
fn is_decimal(data_type: &DataType) -> bool {
    let checked = match data_type {
        DataType::Decimal32(precision, scale) => fits::<Decimal32Type>(*precision, *scale),
        DataType::Decimal64(precision, scale) => fits::<Decimal64Type>(*precision, *scale),
        DataType::Decimal128(precision, scale) => fits::<Decimal128Type>(*precision, *scale),
        DataType::Decimal256(precision, scale) => fits::<Decimal256Type>(*precision, *scale),
        _ => return false,
    };
    checked.is_ok()
}

/// Returns the schema of blocks for JSON Lines: the source's, with dictionaries as their values and UUIDs as text.
pub fn json_lines_schema(schema: &Schema) -> SchemaRef {
    let fields: Vec<FieldRef> = schema.fields().iter().map(json_lines_field).collect();
    Arc::new(Schema::new(fields))
}

/// Returns the schema of blocks for Parquet: dictionaries as their values, one unit for each kind of time, nullable
/// throughout, no metadata but the extensions that Parquet has logical types for.
pub fn parquet_schema(schema: &Schema, meanings: &[Meaning]) -> SchemaRef {
    let columns = schema.fields().iter().zip(meanings);
    let fields: Vec<FieldRef> = columns
        .map(|(field, meaning)| match meaning {
            Meaning::Own => parquet_field(field),
            Meaning::Text if is_uuid(field) => Arc::new(Field::new(field.name(), DataType::Utf8, true)),
            Meaning::Text | Meaning::Json => Arc::new(Field::new(field.name(), parquet_type(field.data_type()), true)),
        })
        .collect();
    Arc::new(Schema::new(fields))
}

fn json_lines_field(field: &FieldRef) -> FieldRef {
    if is_uuid(field) {
        return Arc::new(Field::new(field.name(), DataType::Utf8, field.is_nullable()));
    }
    let data_type = json_lines_type(field.data_type());
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

fn json_lines_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => json_lines_type(values),
        DataType::List(field) => DataType::List(json_lines_field(field)),
        DataType::LargeList(field) => DataType::LargeList(json_lines_field(field)),
        DataType::FixedSizeList(field, width) => DataType::FixedSizeList(json_lines_field(field), *width),
        DataType::Map(field, sorted) => DataType::Map(json_lines_field(field), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(json_lines_field).collect()),
        other => other.clone(),
    }
}

fn parquet_field(field: &FieldRef) -> FieldRef {
    Arc::new(marked(field, true))
}

/// Returns a field of Parquet's own type, with the extension that says more about it.
fn marked(field: &Field, nullable: bool) -> Field {
    let made = Field::new(field.name(), parquet_type(field.data_type()), nullable);
    let extension = match (is_json(field), is_uuid(field)) {
        (true, _) => JSON_EXTENSION,
        (_, true) => UUID_EXTENSION,
        _ => return made,
    };
    made.with_metadata([(EXTENSION_NAME.to_owned(), extension.to_owned())])
}

fn parquet_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => parquet_type(values),
        DataType::List(field) => DataType::List(parquet_field(field)),
        DataType::LargeList(field) => DataType::LargeList(parquet_field(field)),
        DataType::FixedSizeList(field, width) => DataType::FixedSizeList(parquet_field(field), *width),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(parquet_field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(parquet_entries(entries), *sorted),
        DataType::Timestamp(_, _) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Date64 => DataType::Date32,
        DataType::Time32(_) => DataType::Time32(TimeUnit::Millisecond),
        DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        // Exact, and known to more readers.
        DataType::Float16 => DataType::Float32,
        other => other.clone(),
    }
}

/// Returns the fields of a map's entries: entries and keys are never null; values may be.
fn parquet_entries(entries: &FieldRef) -> FieldRef {
    let fields = match entries.data_type() {
        DataType::Struct(fields) => fields.iter().enumerate(),
        _ => return entries.clone(),
    };
    let fields = fields
        .map(|(index, field)| Arc::new(marked(field, index > 0)))
        .collect();
    Arc::new(Field::new(entries.name(), DataType::Struct(fields), false))
}
