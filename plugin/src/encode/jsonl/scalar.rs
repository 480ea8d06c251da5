//! Values that are one number, truth value or moment, read from the raw values of an array. Never asks about nulls.

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef};
use arrow_buffer::{BooleanBuffer, i256};
use arrow_schema::{DataType, TimeUnit};

use super::super::convert::MILLIS_PER_DAY;
use super::{number, time};

/// `false`, `null`
const BOOLEAN_BYTES: u64 = 5;
/// `-9223372036854775808`, `18446744073709551615`
const INTEGER_BYTES: u64 = 20;
/// What the writer of floats reserves: 17 digits, sign, point, exponent.
const FLOAT_BYTES: u64 = 32;
/// `"-292277022657-01-27T08:29:52.000000+00:00"`, and the same with longer years where the unit is days.
const MOMENT_BYTES: u64 = 48;

/// The values of an array, by how they are written.
pub enum Scalar<'a> {
    Null,
    Boolean(&'a BooleanBuffer),
    Int8(&'a [i8]),
    Int16(&'a [i16]),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    UInt8(&'a [u8]),
    UInt16(&'a [u16]),
    UInt32(&'a [u32]),
    UInt64(&'a [u64]),
    Float16(&'a [<Float16Type as ArrowPrimitiveType>::Native]),
    Float32(&'a [f32]),
    Float64(&'a [f64]),
    Decimal32(&'a [i32], u8, i8),
    Decimal64(&'a [i64], u8, i8),
    Decimal128(&'a [i128], u8, i8),
    Decimal256(&'a [i256], u8, i8),
    Timestamp(&'a [i64], TimeUnit),
    Date32(&'a [i32]),
    Date64(&'a [i64]),
    /// With the microseconds of its unit.
    Time32(&'a [i32], i64),
    TimeMicros(&'a [i64]),
    TimeNanos(&'a [i64]),
}

impl<'a> Scalar<'a> {
    /// Binds to an array; `None` where its values are no scalars.
    pub fn bind(array: &'a ArrayRef) -> Option<Self> {
        fn of<T: ArrowPrimitiveType>(array: &ArrayRef) -> &[T::Native] {
            array.as_primitive::<T>().values()
        }
        Some(match array.data_type() {
            DataType::Null => Scalar::Null,
            DataType::Boolean => Scalar::Boolean(array.as_boolean().values()),
            DataType::Int8 => Scalar::Int8(of::<Int8Type>(array)),
            DataType::Int16 => Scalar::Int16(of::<Int16Type>(array)),
            DataType::Int32 => Scalar::Int32(of::<Int32Type>(array)),
            DataType::Int64 => Scalar::Int64(of::<Int64Type>(array)),
            DataType::UInt8 => Scalar::UInt8(of::<UInt8Type>(array)),
            DataType::UInt16 => Scalar::UInt16(of::<UInt16Type>(array)),
            DataType::UInt32 => Scalar::UInt32(of::<UInt32Type>(array)),
            DataType::UInt64 => Scalar::UInt64(of::<UInt64Type>(array)),
            DataType::Float16 => Scalar::Float16(of::<Float16Type>(array)),
            DataType::Float32 => Scalar::Float32(of::<Float32Type>(array)),
            DataType::Float64 => Scalar::Float64(of::<Float64Type>(array)),
            DataType::Decimal32(p, s) => Scalar::Decimal32(of::<Decimal32Type>(array), *p, *s),
            DataType::Decimal64(p, s) => Scalar::Decimal64(of::<Decimal64Type>(array), *p, *s),
            DataType::Decimal128(p, s) => Scalar::Decimal128(of::<Decimal128Type>(array), *p, *s),
            DataType::Decimal256(p, s) => Scalar::Decimal256(of::<Decimal256Type>(array), *p, *s),
            DataType::Timestamp(unit, _) => {
                let values = match unit {
                    TimeUnit::Second => of::<TimestampSecondType>(array),
                    TimeUnit::Millisecond => of::<TimestampMillisecondType>(array),
                    TimeUnit::Microsecond => of::<TimestampMicrosecondType>(array),
                    TimeUnit::Nanosecond => of::<TimestampNanosecondType>(array),
                };
                Scalar::Timestamp(values, *unit)
            }
            DataType::Date32 => Scalar::Date32(of::<Date32Type>(array)),
            DataType::Date64 => Scalar::Date64(of::<Date64Type>(array)),
            DataType::Time32(TimeUnit::Second) => Scalar::Time32(of::<Time32SecondType>(array), 1_000_000),
            DataType::Time32(_) => Scalar::Time32(of::<Time32MillisecondType>(array), 1000),
            DataType::Time64(TimeUnit::Microsecond) => Scalar::TimeMicros(of::<Time64MicrosecondType>(array)),
            DataType::Time64(_) => Scalar::TimeNanos(of::<Time64NanosecondType>(array)),
            _ => return None,
        })
    }

    /// Returns the most text that any of the values has.
    pub fn most_bytes(&self) -> u64 {
        match self {
            Scalar::Null | Scalar::Boolean(_) => BOOLEAN_BYTES,
            Scalar::Int8(_)
            | Scalar::Int16(_)
            | Scalar::Int32(_)
            | Scalar::Int64(_)
            | Scalar::UInt8(_)
            | Scalar::UInt16(_)
            | Scalar::UInt32(_)
            | Scalar::UInt64(_) => INTEGER_BYTES,
            Scalar::Float16(_) | Scalar::Float32(_) | Scalar::Float64(_) => FLOAT_BYTES,
            Scalar::Decimal32(_, _, scale) => decimal_bytes(10, *scale),
            Scalar::Decimal64(_, _, scale) => decimal_bytes(19, *scale),
            Scalar::Decimal128(_, _, scale) => decimal_bytes(39, *scale),
            Scalar::Decimal256(_, _, scale) => decimal_bytes(77, *scale),
            Scalar::Timestamp(_, _)
            | Scalar::Date32(_)
            | Scalar::Date64(_)
            | Scalar::Time32(_, _)
            | Scalar::TimeMicros(_)
            | Scalar::TimeNanos(_) => MOMENT_BYTES,
        }
    }

    /// Appends the value of a row.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Scalar::Null => out.extend_from_slice(b"null"),
            Scalar::Boolean(values) if values.value(row) => out.extend_from_slice(b"true"),
            Scalar::Boolean(_) => out.extend_from_slice(b"false"),
            Scalar::Int8(values) => number::write_integer(values[row], out),
            Scalar::Int16(values) => number::write_integer(values[row], out),
            Scalar::Int32(values) => number::write_integer(values[row], out),
            Scalar::Int64(values) => number::write_integer(values[row], out),
            Scalar::UInt8(values) => number::write_integer(values[row], out),
            Scalar::UInt16(values) => number::write_integer(values[row], out),
            Scalar::UInt32(values) => number::write_integer(values[row], out),
            Scalar::UInt64(values) => number::write_integer(values[row], out),
            Scalar::Float16(values) => number::write_float(values[row].to_f32(), out),
            Scalar::Float32(values) => number::write_float(values[row], out),
            Scalar::Float64(values) => number::write_float(values[row], out),
            Scalar::Decimal32(values, p, s) => {
                number::write_decimal::<Decimal32Type>(values[row], *p, *s, out);
            }
            Scalar::Decimal64(values, p, s) => {
                number::write_decimal::<Decimal64Type>(values[row], *p, *s, out);
            }
            Scalar::Decimal128(values, p, s) => {
                number::write_decimal::<Decimal128Type>(values[row], *p, *s, out);
            }
            Scalar::Decimal256(values, p, s) => {
                number::write_decimal::<Decimal256Type>(values[row], *p, *s, out);
            }
            Scalar::Timestamp(values, unit) => write_timestamp(values[row], *unit, out),
            Scalar::Date32(values) => time::write_date(values[row].into(), out),
            Scalar::Date64(values) => time::write_date(values[row].div_euclid(MILLIS_PER_DAY), out),
            Scalar::Time32(values, micros) => {
                time::write_time(i64::from(values[row]) * micros, out);
            }
            Scalar::TimeMicros(values) => time::write_time(values[row], out),
            Scalar::TimeNanos(values) => time::write_time(values[row].div_euclid(1000), out),
        }
    }
}

/// Returns the most text of a decimal of so many digits (those of its width: a value may have more than its precision):
/// all of them, or with the zeros that a scale beyond them adds, behind them or in front; sign, a zero and a point.
fn decimal_bytes(digits: u64, scale: i8) -> u64 {
    let scale_digits = u64::from(scale.unsigned_abs());
    let figures = match scale < 0 {
        true => digits + scale_digits,
        false => digits.max(scale_digits),
    };
    figures + 3
}

/// Units finer than a microsecond are floored to it.
fn write_timestamp(value: i64, unit: TimeUnit, out: &mut Vec<u8>) {
    let (per_second, micros) = match unit {
        TimeUnit::Second => (1, 0),
        TimeUnit::Millisecond => (1000, value.rem_euclid(1000) * 1000),
        TimeUnit::Microsecond => (1_000_000, value.rem_euclid(1_000_000)),
        TimeUnit::Nanosecond => (1_000_000_000, value.rem_euclid(1_000_000_000) / 1000),
    };
    time::write_timestamp(value.div_euclid(per_second), micros, out);
}
