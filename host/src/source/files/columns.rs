//! Arrow columns built from values that were written as text: JSON as it stands, or fields of CSV. Never guesses: a
//! value that is not what the column holds is an error.

use std::borrow::Cow;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, ListBuilder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use serde_json::value::RawValue;
use std::sync::Arc;

use crate::interval::Moment;
use crate::model::Kind;

/// A column under construction.
pub enum Column {
    Text(StringBuilder),
    Json(StringBuilder),
    Integer(Int64Builder),
    Float(Float64Builder),
    Boolean(BooleanBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    TextList(ListBuilder<StringBuilder>),
}

impl Column {
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::Text => Column::Text(StringBuilder::new()),
            Kind::Json => Column::Json(StringBuilder::new()),
            Kind::Integer => Column::Integer(Int64Builder::new()),
            Kind::Float => Column::Float(Float64Builder::new()),
            Kind::Boolean => Column::Boolean(BooleanBuilder::new()),
            Kind::Timestamp => {
                Column::Timestamp(TimestampMicrosecondBuilder::new().with_timezone("UTC"))
            }
            Kind::TextList => Column::TextList(ListBuilder::new(StringBuilder::new())),
        }
    }

    pub fn append_null(&mut self) {
        match self {
            Column::Text(builder) | Column::Json(builder) => builder.append_null(),
            Column::Integer(builder) => builder.append_null(),
            Column::Float(builder) => builder.append_null(),
            Column::Boolean(builder) => builder.append_null(),
            Column::Timestamp(builder) => builder.append_null(),
            Column::TextList(builder) => builder.append_null(),
        }
    }

    /// A JSON value. JSON columns keep its very characters; a string in one of them is taken for JSON text, as
    /// databases write it that have no JSON type.
    pub fn append_json(&mut self, value: &RawValue) -> Result<(), String> {
        let raw = value.get();
        if raw == "null" {
            self.append_null();
            return Ok(());
        }
        match self {
            Column::Text(builder) => builder.append_value(string(raw)?),
            Column::Json(builder) if raw.starts_with('"') => builder.append_value(string(raw)?),
            Column::Json(builder) => builder.append_value(raw),
            Column::Integer(builder) => builder.append_value(integer(raw)?),
            Column::Float(builder) => builder.append_value(float(raw)?),
            Column::Boolean(builder) => builder.append_value(boolean(raw)?),
            Column::Timestamp(builder) => builder.append_value(time(&string(raw)?)?),
            Column::TextList(builder) => append_list(builder, raw)?,
        }
        Ok(())
    }

    /// A field of CSV; an empty one is null.
    pub fn append_field(&mut self, field: &str) -> Result<(), String> {
        if field.is_empty() {
            self.append_null();
            return Ok(());
        }
        match self {
            Column::Text(builder) | Column::Json(builder) => builder.append_value(field),
            Column::Integer(builder) => builder.append_value(integer(field)?),
            Column::Float(builder) => builder.append_value(float(field)?),
            Column::Boolean(builder) => builder.append_value(boolean(field)?),
            Column::Timestamp(builder) => builder.append_value(time(field)?),
            Column::TextList(builder) => append_list(builder, field)?,
        }
        Ok(())
    }

    pub fn finish(&mut self) -> ArrayRef {
        match self {
            Column::Text(builder) | Column::Json(builder) => Arc::new(builder.finish()),
            Column::Integer(builder) => Arc::new(builder.finish()),
            Column::Float(builder) => Arc::new(builder.finish()),
            Column::Boolean(builder) => Arc::new(builder.finish()),
            Column::Timestamp(builder) => Arc::new(builder.finish()),
            Column::TextList(builder) => Arc::new(builder.finish()),
        }
    }
}

/// What a value of JSON could be a column of; `None` for null.
pub fn kind_of_json(value: &RawValue) -> Option<Kind> {
    let raw = value.get();
    match raw.as_bytes().first()? {
        b'n' => None,
        b't' | b'f' => Some(Kind::Boolean),
        b'"' => Some(Kind::Text),
        b'{' | b'[' => Some(Kind::Json),
        _ if raw.parse::<i64>().is_ok() => Some(Kind::Integer),
        _ => Some(Kind::Float),
    }
}

/// What a field of CSV could be a column of; `None` for an empty one. A number that would be written otherwise
/// (`007`, `+1`) is text: it is a name made of digits.
pub fn kind_of_field(field: &str) -> Option<Kind> {
    if field.is_empty() {
        return None;
    }
    let written_alike = |integer: i64| integer.to_string() == field;
    let leading_zero = field.len() > 1 && field.starts_with('0') && !field.starts_with("0.");
    let is_float = || {
        !leading_zero
            && field.bytes().any(|b| b.is_ascii_digit())
            && !field.starts_with('+')
            && field
                .bytes()
                .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
            && field.parse::<f64>().is_ok()
    };
    Some(match field {
        "true" | "false" => Kind::Boolean,
        _ if field.parse().is_ok_and(written_alike) => Kind::Integer,
        _ if is_float() => Kind::Float,
        _ => Kind::Text,
    })
}

/// The kind that holds both.
pub fn wider(a: Kind, b: Kind, is_json: bool) -> Kind {
    match (a, b) {
        (a, b) if a == b => a,
        (Kind::Integer, Kind::Float) | (Kind::Float, Kind::Integer) => Kind::Float,
        // JSON holds every value as it stands; CSV's fields are all text.
        _ if is_json => Kind::Json,
        _ => Kind::Text,
    }
}

fn append_list(builder: &mut ListBuilder<StringBuilder>, raw: &str) -> Result<(), String> {
    let items: Vec<Option<Cow<'_, str>>> = serde_json::from_str(raw)
        .map_err(|_| format!("expected a list of text, found {}", quoted(raw)))?;
    for item in items {
        builder.values().append_option(item);
    }
    builder.append(true);
    Ok(())
}

fn string(raw: &str) -> Result<Cow<'_, str>, String> {
    // Without an escape, the characters between the quotes are the text.
    if let Some(inner) = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'))
        && !inner.contains('\\')
    {
        return Ok(Cow::Borrowed(inner));
    }
    serde_json::from_str::<String>(raw)
        .map(Cow::Owned)
        .map_err(|_| format!("expected text, found {}", quoted(raw)))
}

fn integer(raw: &str) -> Result<i64, String> {
    raw.parse()
        .map_err(|_| format!("expected a 64-bit integer, found {}", quoted(raw)))
}

fn float(raw: &str) -> Result<f64, String> {
    raw.parse()
        .map_err(|_| format!("expected a number, found {}", quoted(raw)))
}

fn boolean(raw: &str) -> Result<bool, String> {
    match raw {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("expected true or false, found {}", quoted(raw))),
    }
}

fn time(text: &str) -> Result<i64, String> {
    Moment::parse(text)
        .map(|moment| moment.0)
        .map_err(|error| error.to_string())
}

/// Characters of a wrong value that a message repeats.
const QUOTED_CHARS: usize = 40;

fn quoted(raw: &str) -> String {
    match raw.char_indices().nth(QUOTED_CHARS) {
        Some((cut, _)) => format!("`{}…`", &raw[..cut]),
        None => format!("`{raw}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_another_kind_are_named_and_cut() {
        let long = format!("[{}]", "7".repeat(60));
        let cut = format!("expected text, found `[{}…`", "7".repeat(39));
        let cases = [
            (
                Kind::Integer,
                "1.5",
                "expected a 64-bit integer, found `1.5`",
            ),
            (Kind::Float, "\"1\"", "expected a number, found `\"1\"`"),
            (Kind::Boolean, "1", "expected true or false, found `1`"),
            (
                Kind::TextList,
                "[1]",
                "expected a list of text, found `[1]`",
            ),
            (Kind::Text, &long, &cut),
        ];
        for (kind, written, expect) in cases {
            let value = serde_json::from_str(written).expect("JSON");
            let found = Column::new(kind).append_json(value);
            assert_eq!(found, Err(expect.to_owned()));
        }
    }
}
