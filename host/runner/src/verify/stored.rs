//! A source's column as a Parquet file stores it, type by type: what files and sources can both hold is in this table,
//! and anything else is an error. Never compares by way of text or a cast that rounds.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, GenericListArray, Int32Array, Int64Array, MapArray, OffsetSizeTrait, StringArray,
    StructArray, make_array, new_null_array,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::compute::{CastOptions, cast, cast_with_options, take};
use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use arrow::error::ArrowError;

use super::json::uuid_text;

const SECONDS_A_DAY: i128 = 86_400;

/// The source's values in the type that the file has. Finer times are floored; what does not fit is an error, and so
/// is a pair of types that no export gives.
pub(super) fn as_stored(source: &ArrayRef, target: &DataType) -> Result<ArrayRef, ArrowError> {
    use DataType::{
        Decimal32, Decimal64, Decimal128, Decimal256, Dictionary, FixedSizeBinary, FixedSizeList, Float16, Float32,
        LargeList, List, Map, Null, Struct, Utf8,
    };
    let found = source.data_type();
    if found == target {
        return Ok(Arc::clone(source));
    }
    match (found, target) {
        (Dictionary(_, _), _) => {
            let dictionary = source.as_any_dictionary();
            as_stored(&take(dictionary.values(), dictionary.keys(), None)?, target)
        }
        (Null, _) => Ok(new_null_array(target, source.len())),
        // A UUID where the model wants text.
        (FixedSizeBinary(16), Utf8) => {
            let texts = source.as_fixed_size_binary().iter();
            let texts = texts.map(|uuid| uuid.map(uuid_text));
            Ok(Arc::new(texts.collect::<StringArray>()))
        }
        (List(_) | LargeList(_) | FixedSizeList(_, _), List(field)) => list::<i32>(source, field),
        (List(_) | LargeList(_) | FixedSizeList(_, _), LargeList(field)) => list::<i64>(source, field),
        (Struct(_), Struct(fields)) => {
            let values = source.as_struct();
            if values.num_columns() != fields.len() {
                return Err(unlike(found, target));
            }
            let columns = values.columns().iter().zip(fields);
            let columns = columns
                .map(|(column, field)| as_stored(column, field.data_type()))
                .collect::<Result<_, _>>()?;
            let nulls = values.nulls().cloned();
            let stored = StructArray::try_new_with_length(fields.clone(), columns, nulls, source.len())?;
            Ok(Arc::new(stored))
        }
        (Map(_, _), Map(field, ordered)) => {
            let map = source.as_map();
            let entries: ArrayRef = Arc::new(map.entries().clone());
            let entries = as_stored(&entries, field.data_type())?;
            Ok(Arc::new(MapArray::try_new(
                Arc::clone(field),
                map.offsets().clone(),
                entries.as_struct().clone(),
                map.nulls().cloned(),
                *ordered,
            )?))
        }
        (
            Decimal32(_, scale) | Decimal64(_, scale) | Decimal128(_, scale) | Decimal256(_, scale),
            Decimal32(_, stored) | Decimal64(_, stored) | Decimal128(_, stored) | Decimal256(_, stored),
        ) if scale == stored => exactly(source, target),
        (Float16, Float32) => exactly(source, target),
        _ if same_text(found, target) => exactly(source, target),
        _ => match (ticks_a_day(found), ticks_a_day(target)) {
            (Some((kind, from)), Some((stored, to))) if kind == stored => rescaled(source, from, to, target),
            _ => Err(unlike(found, target)),
        },
    }
}

fn unlike(source: &DataType, file: &DataType) -> ArrowError {
    ArrowError::CastError(format!("the source's type {source} is not stored as {file}"))
}

/// A cast that loses nothing, or fails.
fn exactly(source: &ArrayRef, target: &DataType) -> Result<ArrayRef, ArrowError> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(source, target, &options)
}

/// Returns whether two types hold the same bytes in different layouts.
fn same_text(one: &DataType, other: &DataType) -> bool {
    let is_text = |of: &DataType| matches!(of, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let is_binary = |of: &DataType| {
        matches!(
            of,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
        )
    };
    (is_text(one) && is_text(other)) || (is_binary(one) && is_binary(other))
}

/// The meaning of a type of time.
#[derive(PartialEq, Eq)]
enum TimeKind {
    Moment,
    Date,
    TimeOfDay,
}

/// Returns what a type counts, and how finely. A timestamp without a zone is taken for UTC, and a zone changes no
/// instant.
fn ticks_a_day(of: &DataType) -> Option<(TimeKind, i128)> {
    let ticks = |unit: &TimeUnit| {
        SECONDS_A_DAY
            * match unit {
                TimeUnit::Second => 1,
                TimeUnit::Millisecond => 1_000,
                TimeUnit::Microsecond => 1_000_000,
                TimeUnit::Nanosecond => 1_000_000_000,
            }
    };
    Some(match of {
        DataType::Timestamp(unit, _) => (TimeKind::Moment, ticks(unit)),
        DataType::Time32(unit) | DataType::Time64(unit) => (TimeKind::TimeOfDay, ticks(unit)),
        DataType::Date32 => (TimeKind::Date, 1),
        DataType::Date64 => (TimeKind::Date, ticks(&TimeUnit::Millisecond)),
        _ => return None,
    })
}

fn rescaled(source: &ArrayRef, from: i128, to: i128, target: &DataType) -> Result<ArrayRef, ArrowError> {
    let numbers = cast(source, &is_narrow(source.data_type()))?;
    let numbers = cast(&numbers, &DataType::Int64)?;
    let numbers = numbers.as_primitive::<arrow::datatypes::Int64Type>();
    let beyond = |value: i64| ArrowError::CastError(format!("{value} is beyond {target}"));
    // Floored, also before 1970.
    let scaled = |value: i64| (i128::from(value) * to).div_euclid(from);
    let values = match is_narrow(target) {
        DataType::Int32 => numbers
            .iter()
            .map(|value| {
                value
                    .map(|v| i32::try_from(scaled(v)).map_err(|_| beyond(v)))
                    .transpose()
            })
            .collect::<Result<Int32Array, _>>()?
            .into_data(),
        _ => numbers
            .iter()
            .map(|value| {
                value
                    .map(|v| i64::try_from(scaled(v)).map_err(|_| beyond(v)))
                    .transpose()
            })
            .collect::<Result<Int64Array, _>>()?
            .into_data(),
    };
    let typed = values.into_builder().data_type(target.clone()).build()?;
    Ok(make_array(typed))
}

/// The integers that a type of time is made of.
fn is_narrow(of: &DataType) -> DataType {
    match of {
        DataType::Date32 | DataType::Time32(_) => DataType::Int32,
        _ => DataType::Int64,
    }
}

/// Lists of any layout as lists with offsets.
fn list<O: OffsetSizeTrait>(source: &ArrayRef, field: &FieldRef) -> Result<ArrayRef, ArrowError> {
    let (offsets, values): (Vec<i64>, &ArrayRef) = match source.data_type() {
        DataType::List(_) => {
            let list = source.as_list::<i32>();
            let offsets = list.value_offsets().iter().map(|at| i64::from(*at));
            (offsets.collect(), list.values())
        }
        DataType::LargeList(_) => {
            let list = source.as_list::<i64>();
            (list.value_offsets().to_vec(), list.values())
        }
        _ => {
            let list = source.as_fixed_size_list();
            let width = i64::from(list.value_length());
            let rows = i64::try_from(list.len()).unwrap_or(i64::MAX);
            ((0..=rows).map(|row| row * width).collect(), list.values())
        }
    };
    let offsets: Option<ScalarBuffer<O>> = offsets
        .into_iter()
        .map(|at| usize::try_from(at).ok().and_then(O::from_usize))
        .collect::<Option<Vec<O>>>()
        .map(ScalarBuffer::from);
    let offsets =
        offsets.ok_or_else(|| ArrowError::CastError("a list's offsets do not match those of the file".to_owned()))?;
    Ok(Arc::new(GenericListArray::<O>::try_new(
        Arc::clone(field),
        OffsetBuffer::new(offsets),
        as_stored(values, field.data_type())?,
        source.nulls().cloned(),
    )?))
}

#[cfg(test)]
mod tests;
