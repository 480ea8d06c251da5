//! How much text a row becomes, before it is written: escapes and repeated keys can make it many times as large as the
//! row, and memory that is not there ends the plugin rather than the run. Writes nothing.

use super::column::{Bound, Column, Kind, Nullable, Values};
use crate::encode::json_text;

/// Quotes around a text, brackets around a list, or `null`, and the comma after it.
const PUNCTUATION_BYTES: u64 = 5;

/// Returns the most bytes that the row's text has, its line break included; close to what it has where most of it is
/// text.
pub fn most_bytes(columns: &[Bound<'_>], row: usize) -> u64 {
    fields(columns, row) + 1
}

fn fields(columns: &[Bound<'_>], row: usize) -> u64 {
    let field = |column: &Bound<'_>| column.prefix.len() as u64 + value(&column.values, row);
    columns.iter().map(field).sum::<u64>() + PUNCTUATION_BYTES
}

fn value(array: &Nullable<'_>, row: usize) -> u64 {
    if array.nulls.is_some_and(|nulls| nulls.is_null(row)) {
        return PUNCTUATION_BYTES;
    }
    let text = match &array.values {
        // What is no JSON becomes a string, what is repaired grows by no more than that.
        Values::Json(texts) | Values::String(texts) => json_text::escaped_bytes(texts.value(row).as_bytes()),
        Values::Binary(bytes) => (bytes.value(row).len() as u64).div_ceil(3) * 4,
        Values::List(ranges, items) => ranges.of(row).map(|item| value(items, item)).sum(),
        Values::Struct(columns) => fields(columns, row),
        Values::Map(ranges, entries) => ranges
            .of(row)
            // A key that is not text is written as text: its quotes are escaped.
            .map(|entry| 2 * value(&entries.0, entry) + value(&entries.1, entry))
            .sum(),
        Values::Scalar(values) => values.most_bytes(),
    };
    text + PUNCTUATION_BYTES
}

/// Returns whether keys can make a row's text large while the row is small: because they are longer than `limit_bytes`
/// in all, or stand in the text once for each element of a list.
pub fn keys_outweigh(columns: &[Column], limit_bytes: usize) -> bool {
    key_bytes(columns) > limit_bytes || columns.iter().any(|column| repeats_keys(&column.kind))
}

fn key_bytes(columns: &[Column]) -> usize {
    let own = |column: &Column| {
        column.prefix.len()
            + match &column.kind {
                Kind::Struct(columns) => key_bytes(columns),
                _ => 0,
            }
    };
    columns.iter().map(own).sum()
}

fn repeats_keys(kind: &Kind) -> bool {
    match kind {
        Kind::Json | Kind::Plain => false,
        Kind::List(item) | Kind::Map(item) => has_keys(item),
        Kind::Struct(columns) => columns.iter().any(|column| repeats_keys(&column.kind)),
    }
}

fn has_keys(kind: &Kind) -> bool {
    match kind {
        Kind::Json | Kind::Plain => false,
        Kind::List(item) | Kind::Map(item) => has_keys(item),
        Kind::Struct(_) => true,
    }
}
