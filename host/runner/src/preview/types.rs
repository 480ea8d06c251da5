//! The types that columns get in files, in words, as `docs/formats.md` lists them. Looks at no value.

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};

use batch_export_source::ColumnKind;

const EXTENSION_NAME: &str = "ARROW:extension:name";

/// Returns the type of a column in a Parquet file; `kind` is what it is to the model, which then decides what text is.
pub(super) fn in_parquet(field: &Field, kind: Option<ColumnKind>) -> String {
    let inner = |field: &FieldRef| in_parquet(field, None);
    match field.data_type() {
        DataType::Dictionary(_, values) => in_parquet(&field.clone().with_data_type(values.as_ref().clone()), kind),
        DataType::Null => "null".to_owned(),
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 => "INT32 (8 bits)".to_owned(),
        DataType::Int16 => "INT32 (16 bits)".to_owned(),
        DataType::Int32 => "INT32".to_owned(),
        DataType::Int64 => "INT64".to_owned(),
        DataType::UInt8 => "INT32 (8 bits, unsigned)".to_owned(),
        DataType::UInt16 => "INT32 (16 bits, unsigned)".to_owned(),
        DataType::UInt32 => "INT32 (unsigned)".to_owned(),
        DataType::UInt64 => "INT64 (unsigned)".to_owned(),
        DataType::Float16 | DataType::Float32 => "FLOAT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            match is_marked(field, "arrow.json") && kind.is_none() {
                true => "JSON".to_owned(),
                false => "STRING".to_owned(),
            }
        }
        DataType::FixedSizeBinary(16) if is_marked(field, "arrow.uuid") => match kind {
            Some(ColumnKind::Text) => "STRING".to_owned(),
            _ => "UUID".to_owned(),
        },
        DataType::FixedSizeBinary(width) => format!("FIXED_LEN_BYTE_ARRAY({width})"),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BYTE_ARRAY".to_owned(),
        DataType::Date32 | DataType::Date64 => "DATE".to_owned(),
        DataType::Time32(_) => "TIME (ms)".to_owned(),
        DataType::Time64(_) => "TIME (µs)".to_owned(),
        DataType::Timestamp(_, _) => "TIMESTAMP (µs, UTC)".to_owned(),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            format!("LIST of {}", inner(item))
        }
        DataType::Struct(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|field| format!("{}: {}", field.name(), inner(field)))
                .collect();
            format!("group ({})", fields.join(", "))
        }
        DataType::Map(entries, _) => match key_and_value(entries) {
            Some((key, value)) => format!("MAP of {} to {}", inner(key), inner(value)),
            None => "MAP".to_owned(),
        },
        // No plugin takes it.
        other => other.to_string(),
    }
}

/// Returns what the values of a column are in JSON Lines.
pub(super) fn in_json_lines(field: &Field, kind: Option<ColumnKind>) -> String {
    let inner = |field: &FieldRef| in_json_lines(field, None);
    match field.data_type() {
        DataType::Dictionary(_, values) => in_json_lines(&field.clone().with_data_type(values.as_ref().clone()), kind),
        DataType::Null => "null".to_owned(),
        DataType::Boolean => "true or false".to_owned(),
        numeric if numeric.is_numeric() => "number".to_owned(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
            if is_marked(field, "arrow.json") || kind == Some(ColumnKind::Json) =>
        {
            "nested JSON".to_owned()
        }
        DataType::FixedSizeBinary(16) if is_marked(field, "arrow.uuid") => "string".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "string (base64)".to_owned()
        }
        DataType::Date32 | DataType::Date64 => "string (date)".to_owned(),
        DataType::Time32(TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond | TimeUnit::Nanosecond)
        | DataType::Time64(_) => "string (time)".to_owned(),
        DataType::Timestamp(_, _) => "string (date and time)".to_owned(),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            format!("array of {}", inner(item))
        }
        DataType::Struct(_) | DataType::Map(_, _) => "object".to_owned(),
        _ => "string".to_owned(),
    }
}

fn is_marked(field: &Field, extension: &str) -> bool {
    field
        .metadata()
        .get(EXTENSION_NAME)
        .is_some_and(|name| name == extension)
}

fn key_and_value(entries: &Field) -> Option<(&FieldRef, &FieldRef)> {
    match entries.data_type() {
        DataType::Struct(fields) => match &fields[..] {
            [key, value] => Some((key, value)),
            _ => None,
        },
        _ => None,
    }
}
