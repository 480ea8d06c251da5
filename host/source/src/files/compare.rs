//! Compares the rows of a file with what its folder's name says. What is written is parsed exactly and never rounded;
//! what cannot be compared is an error, never a guess. Text without a time zone is UTC.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, Decimal256Array, Float32Array, Float64Array, Int64Array, Scalar,
    StringArray,
};
use arrow::compute::{CastOptions, cast_with_options, kernels::cmp};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, TimeUnit};
use arrow::error::ArrowError;
use batch_export_system::explain::Cause;

use super::columns;
use super::number::{self, Number};
use crate::convert;
use crate::interval::Moment;

const NANOS_OF_A_MICRO: i128 = 1_000;
const NANOS_OF_A_DAY: i128 = 86_400_000_000_000;

/// Returns one bit for each row that is not `value`.
pub(crate) fn differing(value: Option<&str>, field: &Field, column: &ArrayRef) -> Result<BooleanArray, Cause> {
    let failed = |error: ArrowError| Cause::new(error.to_string());
    let Some(value) = value else {
        return arrow::compute::is_not_null(column).map_err(failed);
    };
    let column = match column.data_type() {
        DataType::Dictionary(_, values) => cast(column, values).map_err(failed)?,
        _ => Arc::clone(column),
    };
    let (column, expected) = match column.data_type() {
        _ if convert::is_uuid(field) => (
            convert::to(&column, &DataType::Utf8).map_err(failed)?,
            Some(text(&value.to_ascii_lowercase())),
        ),
        DataType::Null => (Arc::clone(&column), None),
        DataType::Timestamp(unit, _) => instants(&column, nanos_of(*unit), value)?,
        DataType::Date32 => {
            let days = cast(&column, &DataType::Int32).map_err(failed)?;
            instants(&days, NANOS_OF_A_DAY, value)?
        }
        DataType::Date64 => instants(&column, nanos_of(TimeUnit::Millisecond), value)?,
        is => {
            let expected = expected(value, is)?;
            (Arc::clone(&column), expected)
        }
    };
    match expected {
        Some(expected) => cmp::distinct(&column, &Scalar::new(expected)).map_err(failed),
        // No value of the type is what the name says.
        None => Ok(BooleanArray::from(vec![true; column.len()])),
    }
}

fn cast(column: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(column, wanted, &options)
}

fn text(value: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![value]))
}

fn nanos_of(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => NANOS_OF_A_MICRO,
        TimeUnit::Nanosecond => 1,
    }
}

/// Times as counts, whatever their zone, and the count that the name says where there is one.
fn instants(column: &ArrayRef, nanos: i128, value: &str) -> Result<(ArrayRef, Option<ArrayRef>), Cause> {
    let counts = cast(column, &DataType::Int64).map_err(|error| Cause::new(error.to_string()))?;
    let count = instant(value)?
        .filter(|instant| instant % nanos == 0)
        .and_then(|instant| i64::try_from(instant / nanos).ok())
        .map(|count| Arc::new(Int64Array::from(vec![count])) as ArrayRef);
    Ok((counts, count))
}

/// Nanoseconds since 1970; `None` for a time that no column can hold because it is finer.
fn instant(value: &str) -> Result<Option<i128>, Cause> {
    let Moment(micros) = Moment::parse(value).map_err(|error| Cause::of(&error))?;
    let fraction = value.split_once('.').map_or("", |(_, behind)| behind);
    let end = fraction
        .find(|digit: char| !digit.is_ascii_digit())
        .unwrap_or(fraction.len());
    // Those that a moment omits.
    let finer = fraction[..end].get(6..).unwrap_or("").trim_end_matches('0');
    let nanos: i128 = match finer.len() {
        0 => 0,
        1..=3 => format!("{finer:0<3}")
            .parse()
            .map_err(|_| format!("`{value}` is not a time"))?,
        _ => return Ok(None),
    };
    Ok(Some(i128::from(micros) * NANOS_OF_A_MICRO + nanos))
}

/// Returns the value of that type that is exactly what is written; `None` if the type has none.
fn expected(value: &str, is: &DataType) -> Result<Option<ArrayRef>, Cause> {
    match is {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => round_trip(value, is).map(Some),
        DataType::Boolean => match value.to_ascii_lowercase().as_str() {
            word @ ("true" | "false") => round_trip(word, is).map(Some),
            _ => Err(Cause::new(format!("`{value}` is neither true nor false"))),
        },
        _ if is.is_integer() => {
            let whole = parsed(value, is)?.as_decimal128(DECIMAL128_MAX_PRECISION, 0);
            Ok(whole.ok().and_then(|whole| cast(&text(&whole.to_string()), is).ok()))
        }
        DataType::Float64 => {
            let (float, is_exact) = columns::float(value).ok_or_else(|| not_a_number(value, is))?;
            Ok(is_exact.then(|| Arc::new(Float64Array::from(vec![float])) as ArrayRef))
        }
        DataType::Float32 => Ok(single(value, is)?.map(|float| Arc::new(float) as ArrayRef)),
        DataType::Float16 => {
            let Some(float) = single(value, is)? else {
                return Ok(None);
            };
            let float: ArrayRef = Arc::new(float);
            let failed = |error: ArrowError| Cause::new(error.to_string());
            let half = cast(&float, is).map_err(failed)?;
            let back = cast(&half, &DataType::Float32).map_err(failed)?;
            Ok((back == float).then_some(half))
        }
        _ if is.is_decimal() => decimal(value, is),
        _ => round_trip(value, is).map(Some),
    }
}

fn parsed(value: &str, is: &DataType) -> Result<Number, Cause> {
    Number::parse(number::without_plus(value)).ok_or_else(|| not_a_number(value, is))
}

fn not_a_number(value: &str, is: &DataType) -> Cause {
    Cause::new(format!("`{value}` is not a number, but the column is {is}"))
}

/// Returns the 32-bit float whose shortest text is the number.
fn single(value: &str, is: &DataType) -> Result<Option<Float32Array>, Cause> {
    let float: f32 = value.parse().map_err(|_| not_a_number(value, is))?;
    let written = Number::parse(number::without_plus(value));
    // Words such as `NaN` are what they say.
    let is_exact = written.is_none() || written == Number::parse(&format!("{float:e}"));
    Ok(is_exact.then(|| Float32Array::from(vec![float])))
}

fn decimal(value: &str, is: &DataType) -> Result<Option<ArrayRef>, Cause> {
    let number = parsed(value, is)?;
    let (precision, scale) = match is {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => (*precision, *scale),
        _ => return Err(cannot(is)),
    };
    // Points before the last digit of a whole number.
    let points = u8::try_from(scale).map_err(|_| cannot(is))?;
    let failed = |error: ArrowError| Cause::new(error.to_string());
    let found: ArrayRef = if precision <= DECIMAL128_MAX_PRECISION {
        let Ok(decimal) = number.as_decimal128(precision, points) else {
            return Ok(None);
        };
        let array = Decimal128Array::from(vec![decimal]);
        Arc::new(array.with_precision_and_scale(precision, scale).map_err(failed)?)
    } else {
        let Ok(decimal) = number.as_decimal256(precision, points) else {
            return Ok(None);
        };
        let array = Decimal256Array::from(vec![decimal]);
        Arc::new(array.with_precision_and_scale(precision, scale).map_err(failed)?)
    };
    cast(&found, is).map(Some).map_err(failed)
}

/// Returns a value of any other type, if its text is what is written.
fn round_trip(value: &str, is: &DataType) -> Result<ArrayRef, Cause> {
    let written = text(value);
    let there = cast(&written, is).map_err(|_| cannot(is))?;
    let back = cast(&there, &DataType::Utf8).map_err(|_| cannot(is))?;
    match back == written {
        true => Ok(there),
        false => Err(cannot(is)),
    }
}

fn cannot(is: &DataType) -> Cause {
    Cause::new(format!(
        "a column of type {is} cannot exactly represent a folder's name"
    ))
    .with_hint("rename the folder or the column")
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Date32Array, Int32Array, TimestampMicrosecondArray, TimestampNanosecondArray};

    fn rows(value: Option<&str>, column: &ArrayRef) -> Result<Vec<bool>, Cause> {
        let field = Field::new("x", column.data_type().clone(), true);
        let found = differing(value, &field, column)?;
        Ok((0..found.len()).map(|row| found.value(row)).collect())
    }

    #[test]
    fn a_column_of_any_type_is_compared_by_value() {
        let days: ArrayRef = Arc::new(Date32Array::from(vec![Some(0), Some(1), None]));
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), Some(2), None]));
        let wide: ArrayRef = Arc::new(Int64Array::from(vec![1 << 53, (1 << 53) + 1]));
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![9_007_199_254_740_992.0, 0.1]));
        let singles: ArrayRef = Arc::new(Float32Array::from(vec![0.1, 2.0]));
        let cents = Decimal128Array::from(vec![101, 100]).with_precision_and_scale(5, 2);
        let cents: ArrayRef = Arc::new(cents.expect("decimals"));
        let small = cast(&cents, &DataType::Decimal64(5, 2)).expect("decimals");
        let words = text("x");
        let flags = cast(&text("true"), &DataType::Boolean).expect("a boolean");
        let same_number: &[(&str, &ArrayRef, &[bool])] = &[
            ("1970-01-01", &days, &[false, true, true]),
            ("1970-01-02T00:00:00Z", &days, &[true, false, true]),
            ("1970-01-01T05:00:00Z", &days, &[true, true, true]),
            ("01", &numbers, &[false, true, true]),
            ("+2.0", &numbers, &[true, false, true]),
            ("1.5", &numbers, &[true, true, true]),
            ("4294967297", &numbers, &[true, true, true]),
            ("9007199254740993", &wide, &[true, false]),
            ("9007199254740993", &floats, &[true, true]),
            ("9007199254740992", &floats, &[false, true]),
            ("0.10", &floats, &[true, false]),
            ("0.10000000000000001", &floats, &[true, true]),
            ("0.1", &singles, &[false, true]),
            ("0.100000001", &singles, &[true, true]),
            ("1.005", &cents, &[true, true]),
            ("1.010", &cents, &[false, true]),
            ("1", &cents, &[true, false]),
            ("1.01", &small, &[false, true]),
            ("1.005", &small, &[true, true]),
            ("x", &words, &[false]),
            ("X", &words, &[true]),
            ("True", &flags, &[false]),
            ("false", &flags, &[true]),
        ];
        for (value, column, expect) in same_number {
            let found = rows(Some(value), column);
            assert_eq!(found, Ok(expect.to_vec()), "{value} {}", column.data_type());
        }
        assert_eq!(rows(None, &numbers), Ok(vec![true, true, false]));
        for (value, column) in [
            ("x", &numbers),
            ("1", &flags),
            ("x", &floats),
            ("x", &singles),
            ("later", &days),
            ("", &cents),
        ] {
            rows(Some(value), column).expect_err(value);
        }
        let bytes: ArrayRef = Arc::new(arrow::array::DurationSecondArray::from(vec![1]));
        let text = rows(Some("1"), &bytes).expect_err("no such text");
        assert!(text.to_string().contains("cannot exactly represent"), "{text}");
    }

    #[test]
    fn times_are_compared_as_instants_in_any_zone() {
        let five = 1_709_269_200_000_000;
        for zone in [None, Some("UTC"), Some("+02:00"), Some("Europe/Berlin")] {
            let micros: ArrayRef = Arc::new(
                TimestampMicrosecondArray::from(vec![Some(five), Some(five + 1), None]).with_timezone_opt(zone),
            );
            let nanos: ArrayRef =
                Arc::new(TimestampNanosecondArray::from(vec![five * 1_000, five * 1_000 + 1]).with_timezone_opt(zone));
            for (value, expect) in [
                ("2024-03-01T05:00:00Z", [false, true, true]),
                ("2024-03-01 05:00:00", [false, true, true]),
                ("2024-03-01T07:00:00.000000+02:00", [false, true, true]),
                ("2024-03-01T05:00:00.000001Z", [true, false, true]),
                ("2024-03-01T05:00:00.0000001Z", [true, true, true]),
                ("2024-03-01T07:00:00Z", [true, true, true]),
            ] {
                assert_eq!(rows(Some(value), &micros), Ok(expect.to_vec()), "{value}");
            }
            for (value, expect) in [
                ("2024-03-01T05:00:00Z", [false, true]),
                ("2024-03-01T05:00:00.000000001Z", [true, false]),
                ("2024-03-01T05:00:00.0000000011Z", [true, true]),
            ] {
                assert_eq!(rows(Some(value), &nanos), Ok(expect.to_vec()), "{value}");
            }
            rows(Some("later"), &micros).expect_err("no time");
        }
    }
}
