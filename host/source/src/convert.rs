//! Values of one type as values of another: large strings, other widths, other units of time, UUIDs as text. A value
//! that does not fit is an error, not a null, and its row can be found.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, StringBuilder};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType};
use arrow::error::ArrowError;

use crate::model::{EXTENSION_NAME, UUID_EXTENSION};

const UUID_BYTES: i32 = 16;
const NANOS_OF_A_MICRO: i64 = 1_000;

/// Returns whether a column is marked to hold UUIDs.
pub(crate) fn is_uuid(field: &Field) -> bool {
    *field.data_type() == DataType::FixedSizeBinary(UUID_BYTES)
        && field
            .metadata()
            .get(EXTENSION_NAME)
            .is_some_and(|name| name == UUID_EXTENSION)
}

/// Returns the same values in another type.
pub(crate) fn to(column: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    match (column.data_type(), wanted) {
        (found, wanted) if found == wanted => Ok(Arc::clone(column)),
        (DataType::Timestamp(unit, zone), DataType::Timestamp(TimeUnit::Microsecond, wanted)) => {
            let micros = micros(column, *unit, zone.as_ref(), &options)?;
            Ok(Arc::new(micros.with_timezone_opt(wanted.clone())))
        }
        (DataType::FixedSizeBinary(UUID_BYTES), DataType::Utf8) => Ok(uuids(column)),
        _ => cast_with_options(column, wanted, &options),
    }
}

/// Times without a zone are UTC. Arrow would look the zone up in a database that it is built without, and would cut
/// nanoseconds before 1970 towards it.
fn micros(
    column: &ArrayRef,
    unit: TimeUnit,
    zone: Option<&Arc<str>>,
    options: &CastOptions<'_>,
) -> Result<PrimitiveArray<TimestampMicrosecondType>, ArrowError> {
    if unit == TimeUnit::Nanosecond {
        let nanos = column.as_primitive::<TimestampNanosecondType>();
        return Ok(nanos.unary(|nanos| nanos.div_euclid(NANOS_OF_A_MICRO)));
    }
    let same_zone = DataType::Timestamp(TimeUnit::Microsecond, zone.cloned());
    let micros = cast_with_options(column, &same_zone, options)?;
    Ok(micros.as_primitive::<TimestampMicrosecondType>().clone())
}

/// As everybody writes them: `6f9619ff-8b86-d011-b42d-00c04fc964ff`.
fn uuids(column: &ArrayRef) -> ArrayRef {
    let values = column.as_fixed_size_binary();
    let mut texts = StringBuilder::with_capacity(values.len(), values.len() * 36);
    for value in values {
        texts.append_option(value.map(uuid));
    }
    Arc::new(texts.finish())
}

fn uuid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 0xf] {
            text.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    text
}

/// Returns the first row that cannot be converted, where one cannot.
pub(crate) fn first_failing(column: &ArrayRef, wanted: &DataType) -> usize {
    let (mut start, mut end) = (0, column.len());
    while end - start > 1 {
        let middle = start + (end - start) / 2;
        match to(&column.slice(start, middle - start), wanted) {
            Ok(_) => start = middle,
            Err(_) => end = middle,
        }
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        FixedSizeBinaryArray, StringArray, TimestampMicrosecondArray, TimestampNanosecondArray, TimestampSecondArray,
        UInt64Array,
    };

    #[test]
    fn times_are_floored_and_never_wrap() {
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![
            Some(-1),
            Some(-1_001),
            Some(1_999),
            None,
        ]));
        let found = to(&nanos, &utc).expect("times");
        let expect = TimestampMicrosecondArray::from(vec![Some(-1), Some(-2), Some(1), None]);
        assert_eq!(
            found.as_primitive::<TimestampMicrosecondType>(),
            &expect.with_timezone("UTC")
        );
        for seconds in [1_i64 << 62, i64::MIN, 9_223_372_036_855] {
            let column: ArrayRef = Arc::new(TimestampSecondArray::from(vec![0, 5, seconds, 7]));
            to(&column, &utc).expect_err("too far");
            assert_eq!(first_failing(&column, &utc), 2);
        }
        let numbers: ArrayRef = Arc::new(UInt64Array::from(vec![1, 2, 3, 1 << 63]));
        to(&numbers, &DataType::Int64).expect_err("too large");
        assert_eq!(first_failing(&numbers, &DataType::Int64), 3);
    }

    #[test]
    fn uuids_are_written_as_everybody_writes_them() {
        let bytes: Vec<u8> = (0..16).map(|n| n * 17).collect();
        let column = FixedSizeBinaryArray::try_from_sparse_iter_with_size(
            [Some(bytes.as_slice()), None].into_iter(),
            UUID_BYTES,
        );
        let column: ArrayRef = Arc::new(column.expect("UUIDs"));
        let texts = to(&column, &DataType::Utf8).expect("texts");
        let expect = StringArray::from(vec![Some("00112233-4455-6677-8899-aabbccddeeff"), None]);
        assert_eq!(texts.as_string::<i32>(), &expect);
    }
}
