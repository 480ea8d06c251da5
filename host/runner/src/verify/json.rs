//! JSON as a flat row of tokens, and what a value of a source should be written as. Compares without building trees,
//! so that numbers keep their digits, objects their order and duplicate keys, and no nesting is too deep.

use std::borrow::Cow;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Field, Float16Type,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::civil;

/// A piece of a JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token<'a> {
    /// `{`, `}`, `[`, `]`, `:` or `,`
    Mark(u8),
    /// A string's content, escapes resolved; half a surrogate pair is U+FFFD.
    Text(Cow<'a, str>),
    /// A number, `true`, `false` or `null`, as written.
    Word(&'a str),
}

/// Reads tokens. Takes control characters inside strings, which sources may hold.
#[derive(Debug, Clone)]
struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    fn new(text: &'a str) -> Self {
        Tokens { rest: text }
    }

    /// The text of one whole value, nested ones included.
    fn value(&mut self) -> Option<&'a str> {
        let begun = self.rest;
        let mut open = 0_usize;
        loop {
            match self.next()? {
                Token::Mark(b'{' | b'[') => open += 1,
                Token::Mark(b'}' | b']') => open = open.checked_sub(1)?,
                _ => {}
            }
            if open == 0 {
                return begun.get(..begun.len() - self.rest.len());
            }
        }
    }

    fn string(&mut self) -> Option<Token<'a>> {
        let bytes = self.rest.as_bytes();
        let mut end = 1;
        let mut escaped = false;
        loop {
            match bytes.get(end)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    end += 2;
                }
                _ => end += 1,
            }
        }
        let inside = self.rest.get(1..end)?;
        self.rest = self.rest.get(end + 1..)?;
        let content = if escaped {
            Cow::Owned(unescaped(inside)?)
        } else {
            Cow::Borrowed(inside)
        };
        Some(Token::Text(content))
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    /// The next token; `None` at the end and at what is not JSON.
    fn next(&mut self) -> Option<Token<'a>> {
        self.rest = self.rest.trim_ascii_start();
        match *self.rest.as_bytes().first()? {
            mark @ (b'{' | b'}' | b'[' | b']' | b':' | b',') => {
                self.rest = &self.rest[1..];
                Some(Token::Mark(mark))
            }
            b'"' => self.string(),
            _ => {
                let end = self
                    .rest
                    .find(|c: char| !matches!(c, '0'..='9' | 'a'..='z' | 'A'..='Z' | '+' | '-' | '.'))
                    .unwrap_or(self.rest.len());
                let (word, rest) = self.rest.split_at(end);
                self.rest = rest;
                (!word.is_empty()).then_some(Token::Word(word))
            }
        }
    }
}

/// A string's content with its escapes resolved.
fn unescaped(inside: &str) -> Option<String> {
    let mut text = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let escape = *rest.as_bytes().get(at + 1)?;
        rest = rest.get(at + 2..)?;
        text.push(match escape {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => {
                let (character, after) = unicode(rest)?;
                rest = after;
                character
            }
            other @ (b'"' | b'\\' | b'/') => char::from(other),
            _ => return None,
        });
    }
    text.push_str(rest);
    Some(text)
}

/// The character of the digits behind `\u`, and what follows it.
fn unicode(rest: &str) -> Option<(char, &str)> {
    let unit = |text: &str| u32::from_str_radix(text.get(..4)?, 16).ok();
    let first = unit(rest)?;
    let after = &rest[4..];
    if let Some(character) = char::from_u32(first) {
        return Some((character, after));
    }
    let pair = after
        .strip_prefix("\\u")
        .and_then(unit)
        .filter(|second| first < 0xdc00 && (0xdc00..0xe000).contains(second))
        .and_then(|second| char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)));
    Some(match pair {
        Some(character) => (character, &after[6..]),
        None => ('\u{fffd}', after),
    })
}

/// Returns whether a written JSON text means what a source's JSON text means: the same tokens, or, where the source's
/// is not JSON at all, that text as a string.
pub(super) fn same_document(source: &str, written: &str) -> bool {
    if source == written {
        return true;
    }
    let mut left = Tokens::new(source);
    let mut right = Tokens::new(written);
    loop {
        match (left.next(), right.next()) {
            (None, None) if left.rest.is_empty() && right.rest.is_empty() => return true,
            (Some(a), Some(b)) if a == b => {}
            _ => break,
        }
    }
    let is_json = serde_json::from_str::<&serde_json::value::RawValue>(source).is_ok();
    let mut as_string = Tokens::new(written);
    !is_json && as_string.next() == Some(Token::Text(Cow::Borrowed(source))) && as_string.rest.is_empty()
}

/// Returns whether a written JSON value is what row `row` of a column should be written as.
pub(super) fn same_value(field: &Field, column: &ArrayRef, row: usize, written: &str) -> bool {
    let mut tokens = Tokens::new(written);
    same(field, column, row, &mut tokens) && tokens.rest.trim_ascii().is_empty()
}

/// A text of any make; `None` for a column of anything else.
fn text_at(column: &ArrayRef, row: usize) -> Option<Cow<'_, str>> {
    Some(match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => column.as_string::<i64>().value(row).into(),
        DataType::Utf8View => column.as_string_view().value(row).into(),
        DataType::Dictionary(_, _) => {
            let value = entry(column, row)?;
            text_at(&value, 0)?.into_owned().into()
        }
        _ => return None,
    })
}

/// The value behind a dictionary's key, as an array of one.
fn entry(column: &ArrayRef, row: usize) -> Option<ArrayRef> {
    let dictionary = column.as_any_dictionary();
    let key = dictionary.keys().slice(row, 1);
    arrow::compute::take(dictionary.values(), &key, None).ok()
}

/// Returns whether a column holds JSON text, as its field says.
pub(super) fn is_json(field: &Field) -> bool {
    has_extension(field, "arrow.json")
}

/// Returns whether a column holds UUIDs, as its field says: 16 bytes that are written as text.
pub(super) fn is_uuid(field: &Field) -> bool {
    has_extension(field, "arrow.uuid")
}

fn has_extension(field: &Field, name: &str) -> bool {
    field
        .metadata()
        .get("ARROW:extension:name")
        .is_some_and(|found| found == name)
}

/// `0189a3f2-5c4b-7d10-8a1e-0123456789ab`
pub(super) fn uuid_text(uuid: &[u8]) -> String {
    let digits: String = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut rest = digits.as_str();
    let mut groups = Vec::new();
    for length in [8, 4, 4, 4] {
        let (group, after) = rest.split_at(length.min(rest.len()));
        groups.push(group);
        rest = after;
    }
    groups.push(rest);
    groups.join("-")
}

/// Takes the tokens of one value; whether they say what the column holds. Recursion follows the schema.
fn same(field: &Field, column: &ArrayRef, row: usize, tokens: &mut Tokens<'_>) -> bool {
    if column.is_null(row) || column.data_type() == &DataType::Null {
        return tokens.next() == Some(Token::Word("null"));
    }
    if is_json(field)
        && let Some(text) = text_at(column, row)
    {
        return tokens.value().is_some_and(|written| same_document(&text, written));
    }
    match column.data_type() {
        DataType::Boolean => word(
            tokens,
            if column.as_boolean().value(row) {
                "true"
            } else {
                "false"
            },
        ),
        DataType::Int8 => number::<Int8Type>(column, row, tokens),
        DataType::Int16 => number::<Int16Type>(column, row, tokens),
        DataType::Int32 => number::<Int32Type>(column, row, tokens),
        DataType::Int64 => number::<Int64Type>(column, row, tokens),
        DataType::UInt8 => number::<UInt8Type>(column, row, tokens),
        DataType::UInt16 => number::<UInt16Type>(column, row, tokens),
        DataType::UInt32 => number::<UInt32Type>(column, row, tokens),
        DataType::UInt64 => number::<UInt64Type>(column, row, tokens),
        DataType::Float16 => single(column.as_primitive::<Float16Type>().value(row).to_f32(), tokens),
        DataType::Float32 => single(column.as_primitive::<Float32Type>().value(row), tokens),
        DataType::Float64 => double(column.as_primitive::<Float64Type>().value(row), tokens),
        DataType::Decimal32(_, _) => word(tokens, &column.as_primitive::<Decimal32Type>().value_as_string(row)),
        DataType::Decimal64(_, _) => word(tokens, &column.as_primitive::<Decimal64Type>().value_as_string(row)),
        DataType::Decimal128(_, _) => word(tokens, &column.as_primitive::<Decimal128Type>().value_as_string(row)),
        DataType::Decimal256(_, _) => word(tokens, &column.as_primitive::<Decimal256Type>().value_as_string(row)),
        DataType::Utf8 => text(tokens, column.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => text(tokens, column.as_string::<i64>().value(row)),
        DataType::Utf8View => text(tokens, column.as_string_view().value(row)),
        DataType::Binary => binary(tokens, column.as_binary::<i32>().value(row)),
        DataType::LargeBinary => binary(tokens, column.as_binary::<i64>().value(row)),
        DataType::BinaryView => binary(tokens, column.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) if is_uuid(field) => {
            text(tokens, &uuid_text(column.as_fixed_size_binary().value(row)))
        }
        DataType::FixedSizeBinary(_) => binary(tokens, column.as_fixed_size_binary().value(row)),
        DataType::List(item) => items(item, &column.as_list::<i32>().value(row), tokens),
        DataType::LargeList(item) => items(item, &column.as_list::<i64>().value(row), tokens),
        DataType::FixedSizeList(item, _) => items(item, &column.as_fixed_size_list().value(row), tokens),
        DataType::Struct(_) => members(column, row, tokens),
        DataType::Map(_, _) => entries(column, row, tokens),
        DataType::Dictionary(_, _) => entry(column, row).is_some_and(|value| same(field, &value, 0, tokens)),
        _ => moment(column, row).is_some_and(|written| text(tokens, &written)),
    }
}

/// A date, time of day or timestamp as it is written.
fn moment(column: &ArrayRef, row: usize) -> Option<String> {
    const SECOND: i128 = 1_000_000;
    let micros = |value: i64, unit: &TimeUnit| match unit {
        TimeUnit::Second => i128::from(value) * SECOND,
        TimeUnit::Millisecond => i128::from(value) * 1_000,
        TimeUnit::Microsecond => i128::from(value),
        TimeUnit::Nanosecond => i128::from(value).div_euclid(1_000),
    };
    Some(match column.data_type() {
        DataType::Timestamp(unit, _) => {
            let value = match unit {
                TimeUnit::Second => column.as_primitive::<TimestampSecondType>().value(row),
                TimeUnit::Millisecond => column.as_primitive::<TimestampMillisecondType>().value(row),
                TimeUnit::Microsecond => column.as_primitive::<TimestampMicrosecondType>().value(row),
                TimeUnit::Nanosecond => column.as_primitive::<TimestampNanosecondType>().value(row),
            };
            civil::timestamp(micros(value, unit))
        }
        DataType::Date32 => civil::date(column.as_primitive::<Date32Type>().value(row).into()),
        DataType::Date64 => {
            let millis = column.as_primitive::<Date64Type>().value(row);
            civil::date(millis.div_euclid(86_400_000).into())
        }
        DataType::Time32(unit @ TimeUnit::Second) => civil::time(micros(
            column.as_primitive::<Time32SecondType>().value(row).into(),
            unit,
        )),
        DataType::Time32(unit) => civil::time(micros(
            column.as_primitive::<Time32MillisecondType>().value(row).into(),
            unit,
        )),
        DataType::Time64(unit @ TimeUnit::Nanosecond) => {
            civil::time(micros(column.as_primitive::<Time64NanosecondType>().value(row), unit))
        }
        DataType::Time64(unit) => civil::time(micros(column.as_primitive::<Time64MicrosecondType>().value(row), unit)),
        _ => return None,
    })
}

fn word(tokens: &mut Tokens<'_>, expect: &str) -> bool {
    tokens.next() == Some(Token::Word(expect))
}

fn text(tokens: &mut Tokens<'_>, expect: &str) -> bool {
    tokens.next() == Some(Token::Text(Cow::Borrowed(expect)))
}

fn binary(tokens: &mut Tokens<'_>, expect: &[u8]) -> bool {
    text(tokens, &BASE64.encode(expect))
}

fn number<T: ArrowPrimitiveType<Native: std::fmt::Display>>(
    column: &ArrayRef,
    row: usize,
    tokens: &mut Tokens<'_>,
) -> bool {
    word(tokens, &column.as_primitive::<T>().value(row).to_string())
}

fn single(value: f32, tokens: &mut Tokens<'_>) -> bool {
    match tokens.next() {
        Some(Token::Word("null")) => !value.is_finite(),
        Some(Token::Word(word)) => word.parse().is_ok_and(|read: f32| read.to_bits() == value.to_bits()),
        _ => false,
    }
}

fn double(value: f64, tokens: &mut Tokens<'_>) -> bool {
    match tokens.next() {
        Some(Token::Word("null")) => !value.is_finite(),
        Some(Token::Word(word)) => word.parse().is_ok_and(|read: f64| read.to_bits() == value.to_bits()),
        _ => false,
    }
}

fn mark(tokens: &mut Tokens<'_>, expect: u8) -> bool {
    tokens.next() == Some(Token::Mark(expect))
}

fn items(field: &Field, values: &ArrayRef, tokens: &mut Tokens<'_>) -> bool {
    mark(tokens, b'[')
        && (0..values.len()).all(|item| (item == 0 || mark(tokens, b',')) && same(field, values, item, tokens))
        && mark(tokens, b']')
}

fn members(column: &ArrayRef, row: usize, tokens: &mut Tokens<'_>) -> bool {
    let members = column.as_struct();
    mark(tokens, b'{')
        && members
            .fields()
            .iter()
            .zip(members.columns())
            .enumerate()
            .all(|(place, (field, values))| {
                (place == 0 || mark(tokens, b','))
                    && text(tokens, field.name())
                    && mark(tokens, b':')
                    && same(field, values, row, tokens)
            })
        && mark(tokens, b'}')
}

/// A map is an object; keys that are not text are written as the text of their value.
fn entries(column: &ArrayRef, row: usize, tokens: &mut Tokens<'_>) -> bool {
    let entries = column.as_map().value(row);
    let ([key_field, value_field], [keys, values]) = (&entries.fields()[..], entries.columns()) else {
        return false;
    };
    mark(tokens, b'{')
        && (0..entries.len()).all(|entry| {
            (entry == 0 || mark(tokens, b','))
                && match tokens.next() {
                    Some(Token::Text(key)) => {
                        let quoted = serde_json::Value::from(key.as_ref()).to_string();
                        same(key_field, keys, entry, &mut Tokens::new(&quoted))
                            || same(key_field, keys, entry, &mut Tokens::new(&key))
                    }
                    _ => false,
                }
                && mark(tokens, b':')
                && same(value_field, values, entry, tokens)
        })
        && mark(tokens, b'}')
}

#[cfg(test)]
mod tests;
