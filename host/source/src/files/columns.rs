//! Arrow columns built from values that were written as text: JSON as it is, or fields of CSV. Never guesses and
//! never rounds unless told to: a value that does not match the column is an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{
    ArrayRef, BooleanBuilder, Decimal128Builder, Decimal256Builder, Float64Builder, Int64Builder, ListBuilder,
    StringBuilder, TimestampMicrosecondBuilder, TimestampNanosecondBuilder, UInt64Builder,
};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, TimeUnit};
use batch_export_system::explain::Cause;
use serde_json::value::RawValue;

use super::infer;
use super::number::{self, Number};
use super::types::ColumnType;
use super::unescape::Unescaped;
use crate::interval::Moment;

/// The origin of a column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The model, or the need for a time.
    Model,
    /// The configuration.
    Declared,
    /// The rows that were examined.
    Found,
}

/// The type of a column and its origin. JSON that was found is values of several kinds, each kept as it is written;
/// JSON that was declared is documents, which a string may hold too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Make {
    pub is: ColumnType,
    pub origin: Origin,
}

/// Counts of what was done to values on the way, of all files of a run.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    /// Halves of surrogate pairs that became U+FFFD.
    pub surrogates_replaced: AtomicU64,
    /// Numbers that became the nearest 64-bit float, in columns that are said to be of floats.
    pub numbers_rounded: AtomicU64,
}

impl Noted {
    pub(crate) fn replaced(&self, surrogates: u64) {
        if surrogates > 0 {
            self.surrogates_replaced.fetch_add(surrogates, Ordering::Relaxed);
        }
    }
}

/// A column under construction.
pub(crate) struct Column {
    make: Make,
    values: Values,
    noted: Arc<Noted>,
}

enum Values {
    /// Text, documents, and inferred values as written.
    Text(StringBuilder),
    Integer(Int64Builder),
    Unsigned(UInt64Builder),
    Float(Float64Builder),
    Boolean(BooleanBuilder),
    Decimal128(Decimal128Builder, u8, u8),
    Decimal256(Decimal256Builder, u8, u8),
    Micros(TimestampMicrosecondBuilder),
    Nanos(TimestampNanosecondBuilder),
    TextList(ListBuilder<StringBuilder>),
}

impl Column {
    pub(crate) fn new(make: Make, noted: Arc<Noted>) -> Self {
        let data_type = make.is.field("").data_type().clone();
        let values = match make.is {
            ColumnType::Text | ColumnType::Json => Values::Text(StringBuilder::new()),
            ColumnType::Int64 => Values::Integer(Int64Builder::new()),
            ColumnType::UInt64 => Values::Unsigned(UInt64Builder::new()),
            ColumnType::Float64 => Values::Float(Float64Builder::new()),
            ColumnType::Boolean => Values::Boolean(BooleanBuilder::new()),
            ColumnType::Decimal { precision, scale } if precision <= DECIMAL128_MAX_PRECISION => {
                let builder = Decimal128Builder::new().with_data_type(data_type);
                Values::Decimal128(builder, precision, scale)
            }
            ColumnType::Decimal { precision, scale } => {
                let builder = Decimal256Builder::new().with_data_type(data_type);
                Values::Decimal256(builder, precision, scale)
            }
            ColumnType::Epoch(TimeUnit::Nanosecond) => {
                Values::Nanos(TimestampNanosecondBuilder::new().with_data_type(data_type))
            }
            ColumnType::Time | ColumnType::Epoch(_) => {
                Values::Micros(TimestampMicrosecondBuilder::new().with_data_type(data_type))
            }
            ColumnType::TextList => Values::TextList(ListBuilder::new(StringBuilder::new())),
        };
        Self { make, values, noted }
    }

    pub(crate) fn append_null(&mut self) {
        match &mut self.values {
            Values::Text(builder) => builder.append_null(),
            Values::Integer(builder) => builder.append_null(),
            Values::Unsigned(builder) => builder.append_null(),
            Values::Float(builder) => builder.append_null(),
            Values::Boolean(builder) => builder.append_null(),
            Values::Decimal128(builder, ..) => builder.append_null(),
            Values::Decimal256(builder, ..) => builder.append_null(),
            Values::Micros(builder) => builder.append_null(),
            Values::Nanos(builder) => builder.append_null(),
            Values::TextList(builder) => builder.append_null(),
        }
    }

    /// Appends a JSON value. Documents keep their very characters.
    pub(crate) fn append_json(&mut self, value: &RawValue) -> Result<(), Cause> {
        let raw = value.get();
        if raw == "null" {
            self.append_null();
            return Ok(());
        }
        let is_string = raw.starts_with('"');
        match (self.make.is, self.make.origin) {
            (ColumnType::Json, Origin::Found) => self.append_raw(raw),
            (ColumnType::Json, _) if is_string => self.append_string(raw),
            (ColumnType::Json, _) => self.append_raw(raw),
            (ColumnType::Text, _) if is_string => self.append_string(raw),
            // Asked for as text, a value is the characters that stand for it.
            (ColumnType::Text, Origin::Declared) => self.append_raw(raw),
            (ColumnType::Text, _) => Err(self.expected("text", raw)),
            (ColumnType::Time, _) if is_string => self.append_unquoted(raw),
            (ColumnType::Time, _) => Err(expected_time(raw)),
            // Numbers in quotes are how others keep them exact.
            (_, Origin::Declared) if is_string => self.append_unquoted(raw),
            _ => self.append_written(raw),
        }
        .map_err(|cause| self.with_way_out(cause))
    }

    /// Appends a field of CSV; an empty one is null.
    pub(crate) fn append_field(&mut self, field: &str) -> Result<(), Cause> {
        if field.is_empty() {
            self.append_null();
            return Ok(());
        }
        match (self.make.is, self.make.origin) {
            // Found in JSON Lines next to this file: a field is the value that it looks like there.
            (ColumnType::Json, Origin::Found) => self.append_raw(&infer::field_as_json(field)),
            (ColumnType::Text | ColumnType::Json, _) => self.append_raw(field),
            // A name made of digits is not a number because the fields before it were.
            (is, Origin::Found) if is != ColumnType::Boolean && !infer::is_number(field) => {
                Err(self.expected("a number", field))
            }
            _ => self.append_written(field),
        }
        .map_err(|cause| self.with_way_out(cause))
    }

    fn append_raw(&mut self, raw: &str) -> Result<(), Cause> {
        if let Values::Text(builder) = &mut self.values {
            builder.append_value(raw);
        }
        Ok(())
    }

    fn append_string(&mut self, raw: &str) -> Result<(), Cause> {
        let text = unescaped(raw)?;
        self.noted.replaced(text.replaced);
        self.append_raw(&text.text)
    }

    /// Appends a value inside JSON's quotes.
    fn append_unquoted(&mut self, raw: &str) -> Result<(), Cause> {
        let text = unescaped(raw)?;
        self.noted.replaced(text.replaced);
        self.append_written(&text.text)
    }

    /// Appends a value that is not text, exactly as written.
    fn append_written(&mut self, raw: &str) -> Result<(), Cause> {
        let Make { is, origin } = self.make;
        let expected = |what: &str| Cause::new(format!("expected {what}, found {}", quoted(raw)));
        match &mut self.values {
            Values::Text(builder) => builder.append_value(raw),
            Values::Integer(builder) => {
                let integer = whole(raw, origin).and_then(|whole| i64::try_from(whole).ok());
                builder.append_value(integer.ok_or_else(|| expected("a 64-bit integer"))?);
            }
            Values::Unsigned(builder) => {
                let integer = whole(raw, origin).and_then(|whole| u64::try_from(whole).ok());
                let what = "an integer from 0 to 18446744073709551615";
                builder.append_value(integer.ok_or_else(|| expected(what))?);
            }
            Values::Float(builder) => {
                let (float, is_exact) = float(raw).ok_or_else(|| expected("a number"))?;
                if float.is_infinite() && raw.bytes().any(|byte| byte.is_ascii_digit()) {
                    return Err(Cause::new(format!(
                        "{} is outside the range of 64-bit floats",
                        quoted(raw)
                    )));
                }
                if !is_exact && origin == Origin::Found {
                    return Err(Cause::new(format!(
                        "{} cannot be represented exactly by a 64-bit float",
                        quoted(raw)
                    )));
                }
                if !is_exact {
                    self.noted.numbers_rounded.fetch_add(1, Ordering::Relaxed);
                }
                builder.append_value(float);
            }
            Values::Boolean(builder) => match raw {
                "true" => builder.append_value(true),
                "false" => builder.append_value(false),
                _ => return Err(expected("true or false")),
            },
            Values::Decimal128(builder, precision, scale) => {
                let number = Number::parse(raw).ok_or_else(|| expected("a number"))?;
                let decimal = number.as_decimal128(*precision, *scale);
                builder.append_value(decimal.map_err(|cause| misfit(raw, is, &cause))?);
            }
            Values::Decimal256(builder, precision, scale) => {
                let number = Number::parse(raw).ok_or_else(|| expected("a number"))?;
                let decimal = number.as_decimal256(*precision, *scale);
                builder.append_value(decimal.map_err(|cause| misfit(raw, is, &cause))?);
            }
            Values::Micros(builder) => builder.append_value(match is {
                ColumnType::Epoch(unit) => epoch_micros(raw, unit)?,
                _ => time(raw)?,
            }),
            Values::Nanos(builder) => builder.append_value(epoch_nanos(raw)?),
            Values::TextList(builder) => {
                let items: Vec<Option<Unescaped<'_>>> =
                    serde_json::from_str(raw).map_err(|_| expected("a list of text"))?;
                for item in items {
                    self.noted.replaced(item.as_ref().map_or(0, |item| item.replaced));
                    builder.values().append_option(item.map(|item| item.text));
                }
                builder.append(true);
            }
        }
        Ok(())
    }

    fn expected(&self, what: &str, raw: &str) -> Cause {
        Cause::new(format!("expected {what}, found {}", quoted(raw)))
    }

    /// Returns what can be done about a value that does not fit what the rows before had.
    fn with_way_out(&self, cause: Cause) -> Cause {
        match self.make.origin {
            Origin::Found => cause
                .map(|text| format!("{text}; the column's type was found in the first rows"))
                .with_hint(LOOK_FURTHER),
            _ => cause,
        }
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        match &mut self.values {
            Values::Text(builder) => Arc::new(builder.finish()),
            Values::Integer(builder) => Arc::new(builder.finish()),
            Values::Unsigned(builder) => Arc::new(builder.finish()),
            Values::Float(builder) => Arc::new(builder.finish()),
            Values::Boolean(builder) => Arc::new(builder.finish()),
            Values::Decimal128(builder, ..) => Arc::new(builder.finish()),
            Values::Decimal256(builder, ..) => Arc::new(builder.finish()),
            Values::Micros(builder) => Arc::new(builder.finish()),
            Values::Nanos(builder) => Arc::new(builder.finish()),
            Values::TextList(builder) => Arc::new(builder.finish()),
        }
    }
}

/// What to do where later rows differ from the first ones.
pub(crate) const LOOK_FURTHER: &str =
    "raise the source's `infer_rows` (0 means all rows), or give the column a type in the source's `columns`";

fn expected_time(raw: &str) -> Cause {
    let found = quoted(raw);
    match number::float(raw) {
        Some((number, _)) => Cause::new(format!(
            "expected a time such as \"2026-01-01T00:00:00Z\", found the number {found}"
        ))
        .with_hint(format!(
            "if it is counted from 1970, give the column the type `{}` in the source's `columns`",
            likely_epoch(number)
        )),
        None => Cause::new(format!(
            "expected a time such as \"2026-01-01T00:00:00Z\", found {found}"
        )),
    }
}

/// Returns the type that a number of that size most likely is a time in: each covers the years 1973 to 5138.
fn likely_epoch(number: f64) -> ColumnType {
    let unit = match number.abs() {
        size if size < 1e11 => TimeUnit::Second,
        size if size < 1e14 => TimeUnit::Millisecond,
        size if size < 1e17 => TimeUnit::Microsecond,
        _ => TimeUnit::Nanosecond,
    };
    ColumnType::Epoch(unit)
}

fn unescaped(raw: &str) -> Result<Unescaped<'_>, String> {
    serde_json::from_str(raw).map_err(|_| format!("expected text, found {}", quoted(raw)))
}

/// Returns a whole number, however it is written: `5`, `5.0`, `5e3`. Nobody asked for integers where they were found,
/// so the sign of a zero must not be lost there.
fn whole(raw: &str, origin: Origin) -> Option<i128> {
    let whole = match raw.parse::<i64>() {
        Ok(integer) => integer.into(),
        Err(_) => Number::parse(raw)?.as_decimal128(DECIMAL128_MAX_PRECISION, 0).ok()?,
    };
    let loses_sign = origin == Origin::Found && whole == 0 && raw.starts_with('-');
    (!loses_sign).then_some(whole)
}

/// Returns a float as text, with a leading `+` too, the words for those that are not numbers included.
pub(crate) fn float(raw: &str) -> Option<(f64, bool)> {
    number::float(number::without_plus(raw)).or_else(|| Some((raw.parse().ok()?, true)))
}

fn misfit(raw: &str, is: ColumnType, cause: &str) -> String {
    format!("{} {cause}, but the column is {is}", quoted(raw))
}

fn time(text: &str) -> Result<i64, Cause> {
    Moment::parse(text)
        .map(|moment| moment.0)
        .map_err(|error| match number::float(text) {
            Some(_) => expected_time(text),
            None => Cause::of(&error),
        })
}

/// Digits behind the point that a count in this unit has as one of microseconds.
fn micro_digits(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 6,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond | TimeUnit::Nanosecond => 0,
    }
}

/// Microseconds from a count since 1970. Fractions finer than that are cut, as those of times written as text.
fn epoch_micros(raw: &str, unit: TimeUnit) -> Result<i64, Cause> {
    let number = epoch_number(raw)?;
    number
        .floored(micro_digits(unit))
        .and_then(|micros| i64::try_from(micros).ok())
        .filter(|micros| Moment(*micros).is_in_range())
        .ok_or_else(|| Cause::new(format!("{} is not in the years 1 to 9999", quoted(raw))))
}

fn epoch_nanos(raw: &str) -> Result<i64, Cause> {
    let number = epoch_number(raw)?;
    number
        .floored(0)
        .and_then(|nanos| i64::try_from(nanos).ok())
        .ok_or_else(|| Cause::new(format!("{} nanoseconds do not fit into 64 bits", quoted(raw))))
}

fn epoch_number(raw: &str) -> Result<Number, Cause> {
    Number::parse(raw).ok_or_else(|| {
        Cause::new(format!("expected a time as a number, found {}", quoted(raw)))
            .with_hint("if times are written as text, give the column the type `timestamp`")
    })
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
mod tests;
