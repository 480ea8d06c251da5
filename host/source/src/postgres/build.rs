//! Columns under construction, from values in PostgreSQL's binary form. What does not fit is said of its value; nothing
//! is rounded, cut or replaced.

use std::str;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Decimal128Builder, Decimal256Builder, FixedSizeBinaryBuilder, ListArray,
    PrimitiveBuilder, StringBuilder,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Decimal256Type, DecimalType, Field, Float32Type,
    Float64Type, Int16Type, Int32Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use batch_export_system::explain::Cause;

use super::numeric::{Numeric, Unscaled};
use super::settings::Infinity;
use super::types::Kind;

/// From 1970-01-01, where Arrow begins to count, to 2000-01-01, where PostgreSQL does.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// The format of `jsonb` that there is.
const JSONB_VERSION: u8 = 1;
/// Dimensions of an array that is a list.
const LIST_DIMENSIONS: i32 = 1;

/// A column under construction.
pub(super) enum Builder {
    Boolean(BooleanBuilder),
    Int16(PrimitiveBuilder<Int16Type>),
    Int32(PrimitiveBuilder<Int32Type>),
    Int64(PrimitiveBuilder<Int64Type>),
    Oid(PrimitiveBuilder<Int64Type>),
    Float32(PrimitiveBuilder<Float32Type>),
    Float64(PrimitiveBuilder<Float64Type>),
    Text(StringBuilder),
    Jsonb(StringBuilder),
    Binary(BinaryBuilder),
    Uuid(FixedSizeBinaryBuilder),
    Date(PrimitiveBuilder<Date32Type>),
    Time(PrimitiveBuilder<Time64MicrosecondType>),
    Timestamp(PrimitiveBuilder<TimestampMicrosecondType>),
    NumericText(StringBuilder),
    Decimal128(Decimal128Builder, u8, i8),
    Decimal256(Decimal256Builder, u8, i8),
    List(Box<List>),
}

/// A column of lists under construction.
pub(super) struct List {
    kind: Kind,
    items: Builder,
    ends: Vec<i32>,
    valid: Vec<bool>,
}

impl Builder {
    pub(super) fn new(kind: &Kind) -> Self {
        let data_type = kind.data_type();
        match kind {
            Kind::Boolean => Builder::Boolean(BooleanBuilder::new()),
            Kind::Int16 => Builder::Int16(PrimitiveBuilder::new()),
            Kind::Int32 => Builder::Int32(PrimitiveBuilder::new()),
            Kind::Int64 => Builder::Int64(PrimitiveBuilder::new()),
            Kind::Oid => Builder::Oid(PrimitiveBuilder::new()),
            Kind::Float32 => Builder::Float32(PrimitiveBuilder::new()),
            Kind::Float64 => Builder::Float64(PrimitiveBuilder::new()),
            Kind::Text | Kind::Json => Builder::Text(StringBuilder::new()),
            Kind::Jsonb => Builder::Jsonb(StringBuilder::new()),
            Kind::Binary => Builder::Binary(BinaryBuilder::new()),
            Kind::Uuid => Builder::Uuid(FixedSizeBinaryBuilder::new(16)),
            Kind::Date => Builder::Date(PrimitiveBuilder::new()),
            Kind::Time => Builder::Time(PrimitiveBuilder::new()),
            Kind::Timestamp { .. } => Builder::Timestamp(PrimitiveBuilder::new().with_data_type(data_type)),
            Kind::NumericText => Builder::NumericText(StringBuilder::new()),
            Kind::Decimal128 { precision, scale } => {
                let builder = Decimal128Builder::new().with_data_type(data_type);
                Builder::Decimal128(builder, *precision, *scale)
            }
            Kind::Decimal256 { precision, scale } => {
                let builder = Decimal256Builder::new().with_data_type(data_type);
                Builder::Decimal256(builder, *precision, *scale)
            }
            Kind::List(kind) => Builder::List(Box::new(List {
                items: Builder::new(kind),
                kind: kind.as_ref().clone(),
                ends: Vec::new(),
                valid: Vec::new(),
            })),
        }
    }

    /// Adds a value, or null.
    pub(super) fn append(&mut self, value: Option<&[u8]>, infinity: Infinity) -> Result<(), Cause> {
        let Some(value) = value else {
            self.append_null();
            return Ok(());
        };
        match self {
            Builder::Boolean(builder) => match value {
                [0] => builder.append_value(false),
                [1] => builder.append_value(true),
                _ => return Err(odd("boolean")),
            },
            Builder::Int16(builder) => builder.append_value(i16::from_be_bytes(exact(value, "smallint")?)),
            Builder::Int32(builder) => builder.append_value(i32::from_be_bytes(exact(value, "integer")?)),
            Builder::Int64(builder) => builder.append_value(i64::from_be_bytes(exact(value, "bigint")?)),
            Builder::Oid(builder) => builder.append_value(i64::from(u32::from_be_bytes(exact(value, "oid")?))),
            Builder::Float32(builder) => builder.append_value(f32::from_be_bytes(exact(value, "real")?)),
            Builder::Float64(builder) => builder.append_value(f64::from_be_bytes(exact(value, "double precision")?)),
            Builder::Text(builder) => builder.append_value(text(value)?),
            Builder::Jsonb(builder) => match value {
                [JSONB_VERSION, json @ ..] => builder.append_value(text(json)?),
                _ => return Err(odd("jsonb")),
            },
            Builder::Binary(builder) => builder.append_value(value),
            Builder::Uuid(builder) => builder.append_value(value).map_err(|_| odd("uuid"))?,
            Builder::Date(builder) => {
                let days = i32::from_be_bytes(exact(value, "date")?);
                append_time(builder, days, [i32::MIN, i32::MAX], infinity, |days| {
                    days.checked_add(EPOCH_DAYS)
                })?;
            }
            Builder::Time(builder) => builder.append_value(i64::from_be_bytes(exact(value, "time")?)),
            Builder::Timestamp(builder) => {
                let micros = i64::from_be_bytes(exact(value, "timestamp")?);
                append_time(builder, micros, [i64::MIN, i64::MAX], infinity, |micros| {
                    micros.checked_add(EPOCH_MICROS)
                })?;
            }
            Builder::NumericText(builder) => match Numeric::read(value).ok_or_else(|| odd("numeric"))? {
                Numeric::Number(number) => builder.append_value(number.text()),
                Numeric::Other(name) => builder.append_value(name),
            },
            Builder::Decimal128(builder, precision, scale) => {
                builder.append_value(decimal::<Decimal128Type>(value, *precision, *scale)?);
            }
            Builder::Decimal256(builder, precision, scale) => {
                builder.append_value(decimal::<Decimal256Type>(value, *precision, *scale)?);
            }
            Builder::List(list) => list.append(value, infinity)?,
        }
        Ok(())
    }

    fn append_null(&mut self) {
        match self {
            Builder::Boolean(builder) => builder.append_null(),
            Builder::Int16(builder) => builder.append_null(),
            Builder::Int32(builder) => builder.append_null(),
            Builder::Int64(builder) | Builder::Oid(builder) => builder.append_null(),
            Builder::Float32(builder) => builder.append_null(),
            Builder::Float64(builder) => builder.append_null(),
            Builder::Text(builder) | Builder::Jsonb(builder) | Builder::NumericText(builder) => builder.append_null(),
            Builder::Binary(builder) => builder.append_null(),
            Builder::Uuid(builder) => builder.append_null(),
            Builder::Date(builder) => builder.append_null(),
            Builder::Time(builder) => builder.append_null(),
            Builder::Timestamp(builder) => builder.append_null(),
            Builder::Decimal128(builder, ..) => builder.append_null(),
            Builder::Decimal256(builder, ..) => builder.append_null(),
            Builder::List(list) => list.end(false),
        }
    }

    /// Returns the values so far, and starts over.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Builder::Boolean(builder) => Arc::new(builder.finish()),
            Builder::Int16(builder) => Arc::new(builder.finish()),
            Builder::Int32(builder) => Arc::new(builder.finish()),
            Builder::Int64(builder) | Builder::Oid(builder) => Arc::new(builder.finish()),
            Builder::Float32(builder) => Arc::new(builder.finish()),
            Builder::Float64(builder) => Arc::new(builder.finish()),
            Builder::Text(builder) | Builder::Jsonb(builder) | Builder::NumericText(builder) => {
                Arc::new(builder.finish())
            }
            Builder::Binary(builder) => Arc::new(builder.finish()),
            Builder::Uuid(builder) => Arc::new(builder.finish()),
            Builder::Date(builder) => Arc::new(builder.finish()),
            Builder::Time(builder) => Arc::new(builder.finish()),
            Builder::Timestamp(builder) => Arc::new(builder.finish()),
            Builder::Decimal128(builder, ..) => Arc::new(builder.finish()),
            Builder::Decimal256(builder, ..) => Arc::new(builder.finish()),
            Builder::List(list) => Arc::new(list.finish()?),
        })
    }

    fn len(&self) -> usize {
        use arrow::array::ArrayBuilder;
        match self {
            Builder::Boolean(builder) => builder.len(),
            Builder::Int16(builder) => builder.len(),
            Builder::Int32(builder) => builder.len(),
            Builder::Int64(builder) | Builder::Oid(builder) => builder.len(),
            Builder::Float32(builder) => builder.len(),
            Builder::Float64(builder) => builder.len(),
            Builder::Text(builder) | Builder::Jsonb(builder) | Builder::NumericText(builder) => builder.len(),
            Builder::Binary(builder) => builder.len(),
            Builder::Uuid(builder) => builder.len(),
            Builder::Date(builder) => builder.len(),
            Builder::Time(builder) => builder.len(),
            Builder::Timestamp(builder) => builder.len(),
            Builder::Decimal128(builder, ..) => builder.len(),
            Builder::Decimal256(builder, ..) => builder.len(),
            Builder::List(list) => list.ends.len(),
        }
    }
}

impl List {
    /// Adds an array: its dimensions, then each element with its length.
    fn append(&mut self, value: &[u8], infinity: Infinity) -> Result<(), Cause> {
        let mut rest = value;
        let mut next = || -> Result<i32, Cause> {
            let (number, after) = rest.split_first_chunk::<4>().ok_or_else(|| odd("array"))?;
            rest = after;
            Ok(i32::from_be_bytes(*number))
        };
        let dimensions = next()?;
        let (_has_nulls, _type) = (next()?, next()?);
        let elements = match dimensions {
            0 => 0,
            LIST_DIMENSIONS => {
                let elements = next()?;
                let _first_index = next()?;
                elements
            }
            dimensions => {
                return Err(Cause::new(format!(
                    "an array of {dimensions} dimensions cannot be exported as a list"
                ))
                .with_hint("cast the column to text in a query, or export one dimension of it"));
            }
        };
        for _ in 0..elements {
            let (length, after) = rest.split_first_chunk::<4>().ok_or_else(|| odd("array"))?;
            rest = after;
            let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
                self.items.append(None, infinity)?;
                continue;
            };
            let (item, after) = rest.split_at_checked(length).ok_or_else(|| odd("array"))?;
            rest = after;
            self.items.append(Some(item), infinity)?;
        }
        if !rest.is_empty() {
            return Err(odd("array"));
        }
        self.end(true);
        Ok(())
    }

    fn end(&mut self, valid: bool) {
        // A batch is far smaller than what 31 bits count.
        self.ends.push(i32::try_from(self.items.len()).unwrap_or(i32::MAX));
        self.valid.push(valid);
    }

    fn finish(&mut self) -> Result<ListArray, ArrowError> {
        let mut offsets = vec![0];
        offsets.append(&mut self.ends);
        let valid = NullBuffer::from(std::mem::take(&mut self.valid));
        let field = Arc::new(self.kind.field(Field::LIST_FIELD_DEFAULT_NAME));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        ListArray::try_new(field, offsets, self.items.finish()?, Some(valid))
    }
}

/// Adds a date or a time, which may be before or after all others.
fn append_time<T: ArrowPrimitiveType>(
    builder: &mut PrimitiveBuilder<T>,
    value: T::Native,
    [before_all, after_all]: [T::Native; 2],
    infinity: Infinity,
    since_1970: impl Fn(T::Native) -> Option<T::Native>,
) -> Result<(), Cause> {
    let name = match value {
        value if value == before_all => "-infinity",
        value if value == after_all => "infinity",
        value => {
            let since_1970 = since_1970(value).ok_or_else(|| {
                Cause::new("the time is later than any that can be exported")
                    .with_hint("correct the value, or cast the column to text in a query")
            })?;
            builder.append_value(since_1970);
            return Ok(());
        }
    };
    match infinity {
        Infinity::Null => {
            builder.append_null();
            Ok(())
        }
        Infinity::Refuse => Err(Cause::new(format!("`{name}` is not a time that can be exported")).with_hint(
            "set infinity = \"null\" in the source to export null in its place, or cast the column to text in a query",
        )),
    }
}

fn decimal<T: DecimalType>(value: &[u8], precision: u8, scale: i8) -> Result<T::Native, Cause>
where
    T::Native: Unscaled,
{
    let as_text = "cast the column to text in a query";
    match Numeric::read(value).ok_or_else(|| odd("numeric"))? {
        Numeric::Other(name) => Err(Cause::new(format!("`{name}` is not a decimal")).with_hint(as_text)),
        Numeric::Number(number) => number
            .unscaled::<T::Native>(i32::from(scale))
            .filter(|unscaled| T::is_valid_decimal_precision(*unscaled, precision))
            .ok_or_else(|| {
                Cause::new(format!(
                    "{} does not fit {}",
                    number.text(),
                    DataType::Decimal256(precision, scale).to_string().replace("256", "")
                ))
                .with_hint(as_text)
            }),
    }
}

fn text(value: &[u8]) -> Result<&str, Cause> {
    str::from_utf8(value).map_err(|_| {
        Cause::new("the text is not valid UTF-8").with_hint(
            "the database does not check its texts (its encoding is SQL_ASCII): convert the column in a query, as in \
             convert_from(column::bytea, 'LATIN1')",
        )
    })
}

fn exact<const N: usize>(value: &[u8], name: &str) -> Result<[u8; N], Cause> {
    value.try_into().map_err(|_| odd(name))
}

/// Returns the reason for a value that is not in the form of its type.
fn odd(name: &str) -> Cause {
    Cause::new(format!("the bytes are not a value of the type {name}"))
        .with_hint("report this with the column's type, or cast the column to text in a query")
}
