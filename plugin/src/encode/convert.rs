//! Converts the columns of blocks to the types that files hold. Never changes a value but to floor it to a coarser
//! unit, and never wraps one: a value that does not fit is an error that names its row.
//!
//! Recursion follows the schema's nesting, which the IPC reader bounds (64 levels), not the data's.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType, Float16Type,
    Float32Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, FixedSizeListArray, GenericListArray, MapArray, OffsetSizeTrait,
    PrimitiveArray, RecordBatch, RecordBatchOptions, StructArray, UInt64Array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, FieldRef, Fields, SchemaRef, TimeUnit};
use arrow_select::take::take;

use super::EncodeError;
use super::types::UUID_BYTES;

/// Milliseconds of a day, the unit of `date64`.
pub const MILLIS_PER_DAY: i64 = 86_400_000;
/// The bytes of a UUID that are preceded by a hyphen.
const HYPHENS_BEFORE: [usize; 4] = [4, 6, 8, 10];
/// Characters of a UUID with its hyphens.
const UUID_CHARS: usize = UUID_BYTES as usize * 2 + HYPHENS_BEFORE.len();

/// The target of the conversion of blocks.
#[derive(Debug, Clone)]
pub struct Target {
    pub schema: SchemaRef,
    /// Whether decimals must have no more digits than their precision: Parquet chooses a width by it, and its writer
    /// drops what does not fit. JSON text has room for all digits.
    pub bounds_decimals: bool,
}

/// Returns the batch with the columns of `target`; columns that have their type already are not copied. `first_row` is
/// the number of the batch's first row, for errors.
pub fn to_target(batch: &RecordBatch, target: &Target, first_row: u64) -> Result<RecordBatch, EncodeError> {
    let slots = Slots {
        live: None,
        bounds_decimals: target.bounds_decimals,
    };
    let columns = batch
        .columns()
        .iter()
        .zip(target.schema.fields())
        .map(|(column, field)| {
            to_type(column, field.data_type(), slots).map_err(|unfit| match unfit {
                Unfit::Value(row) => EncodeError::OutOfRange {
                    column: field.name().clone(),
                    row: first_row + row as u64,
                    target: in_words(field.data_type()),
                },
                Unfit::Arrow(error) => EncodeError::Arrow(error),
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        target.schema.clone(),
        columns,
        &options,
    )?)
}

fn in_words(data_type: &DataType) -> String {
    match data_type {
        DataType::Timestamp(_, _) => "a Parquet timestamp (64-bit microseconds since 1970)".to_owned(),
        DataType::Date32 => "a Parquet date (32-bit days since 1970)".to_owned(),
        DataType::Decimal32(precision, _)
        | DataType::Decimal64(precision, _)
        | DataType::Decimal128(precision, _)
        | DataType::Decimal256(precision, _) => {
            format!("a Parquet decimal of {precision} digits, the column's precision")
        }
        other => format!("the Parquet column's type {other}"),
    }
}

/// Returns a microsecond count of a timestamp in another unit. Nanoseconds are floored, also before 1970: the same
/// digits that JSON Lines shows. It has room for every moment of every unit.
pub fn micros(value: i64, unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => i128::from(value) * 1_000_000,
        TimeUnit::Millisecond => i128::from(value) * 1000,
        TimeUnit::Microsecond => i128::from(value),
        TimeUnit::Nanosecond => i128::from(value.div_euclid(1000)),
    }
}

/// The reason why an array cannot be converted to the target type.
enum Unfit {
    /// The value at this index does not fit.
    Value(usize),
    Arrow(ArrowError),
}

impl From<ArrowError> for Unfit {
    fn from(error: ArrowError) -> Self {
        Unfit::Arrow(error)
    }
}

impl Unfit {
    /// Returns the same in terms of the array that holds the nested one.
    fn in_parent(self, parent_of: impl Fn(usize) -> usize) -> Self {
        match self {
            Unfit::Value(index) => Unfit::Value(parent_of(index)),
            Unfit::Arrow(error) => Unfit::Arrow(error),
        }
    }
}

/// What is required of an array's values.
#[derive(Clone, Copy)]
struct Slots<'a> {
    /// Which of them a row shows, as far as the arrays around them say; all where it is `None`. What lies behind a null
    /// means nothing, and nothing is asked of it.
    live: Option<&'a NullBuffer>,
    bounds_decimals: bool,
}

impl Slots<'_> {
    /// Which values count: those that neither the array itself nor one around it says are null.
    fn live_in(self, array: &dyn Array) -> Option<NullBuffer> {
        NullBuffer::union(self.live, array.nulls())
    }
}

fn to_type(array: &ArrayRef, target: &DataType, slots: Slots<'_>) -> Result<ArrayRef, Unfit> {
    if array.data_type() == target && !(slots.bounds_decimals && has_decimals(target)) {
        return Ok(array.clone());
    }
    match (array.data_type(), target) {
        (DataType::Dictionary(_, _), _) => {
            let dictionary = array.as_any_dictionary();
            let values = take(dictionary.values(), dictionary.keys(), None)?;
            to_type(&values, target, slots)
        }
        (DataType::List(_), DataType::List(field)) => list::<i32>(array, field, slots),
        (DataType::LargeList(_), DataType::LargeList(field)) => list::<i64>(array, field, slots),
        (DataType::Map(_, _), DataType::Map(field, sorted)) => map(array, field, *sorted, slots),
        (DataType::FixedSizeList(_, _), DataType::FixedSizeList(field, width)) => {
            fixed_size_list(array, field, *width, slots)
        }
        (DataType::Struct(_), DataType::Struct(fields)) => structure(array, fields, slots),
        (DataType::FixedSizeBinary(UUID_BYTES), DataType::Utf8) => Ok(uuid_texts(array)),
        (DataType::Timestamp(unit, _), DataType::Timestamp(_, _)) => timestamps(array, *unit, slots),
        (DataType::Date64, DataType::Date32) => {
            map_values::<Date64Type, Date32Type>(array, slots, |ms| i32::try_from(ms.div_euclid(MILLIS_PER_DAY)).ok())
        }
        (DataType::Time32(TimeUnit::Second), DataType::Time32(_)) => {
            map_values::<Time32SecondType, Time32MillisecondType>(array, slots, |seconds| seconds.checked_mul(1000))
        }
        (DataType::Time64(TimeUnit::Nanosecond), DataType::Time64(_)) => {
            map_values::<Time64NanosecondType, Time64MicrosecondType>(array, slots, |nanos| {
                Some(nanos.div_euclid(1000))
            })
        }
        (DataType::Decimal32(precision, _), _) => within_precision::<Decimal32Type>(array, *precision, slots),
        (DataType::Decimal64(precision, _), _) => within_precision::<Decimal64Type>(array, *precision, slots),
        (DataType::Decimal128(precision, _), _) => within_precision::<Decimal128Type>(array, *precision, slots),
        (DataType::Decimal256(precision, _), _) => within_precision::<Decimal256Type>(array, *precision, slots),
        (DataType::Float16, DataType::Float32) => {
            map_values::<Float16Type, Float32Type>(array, slots, |value| Some(value.to_f32()))
        }
        (found, target) => Err(Unfit::Arrow(ArrowError::CastError(format!(
            "a column of type {found} cannot be written as {target}"
        )))),
    }
}

/// Returns whether values of this type are decimals or nest some.
fn has_decimals(data_type: &DataType) -> bool {
    match data_type {
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => true,
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => has_decimals(field.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_decimals(field.data_type())),
        _ => false,
    }
}

/// Returns the array itself, if each of its values has no more digits than the column says.
fn within_precision<T: DecimalType>(array: &ArrayRef, precision: u8, slots: Slots<'_>) -> Result<ArrayRef, Unfit> {
    let live = slots.live_in(array);
    let values = array.as_primitive::<T>().values();
    let unfit = values.iter().enumerate().position(|(index, value)| {
        !T::is_valid_decimal_precision(*value, precision) && live.as_ref().is_none_or(|live| live.is_valid(index))
    });
    match unfit {
        Some(index) => Err(Unfit::Value(index)),
        None => Ok(array.clone()),
    }
}

/// `0189a3f2-5c4b-7d10-8a1e-000000000000`: the form of RFC 9562, in lower case.
fn uuid_texts(array: &ArrayRef) -> ArrayRef {
    let mut texts = StringBuilder::with_capacity(array.len(), array.len() * UUID_CHARS);
    let mut text = String::with_capacity(UUID_CHARS);
    for uuid in array.as_fixed_size_binary() {
        let Some(uuid) = uuid else {
            texts.append_null();
            continue;
        };
        text.clear();
        for (index, byte) in uuid.iter().enumerate() {
            if HYPHENS_BEFORE.contains(&index) {
                text.push('-');
            }
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
            }
        }
        texts.append_value(&text);
    }
    Arc::new(texts.finish())
}

fn timestamps(array: &ArrayRef, unit: TimeUnit, slots: Slots<'_>) -> Result<ArrayRef, Unfit> {
    type Micros = TimestampMicrosecondType;
    let convert = |value| i64::try_from(micros(value, unit)).ok();
    let micros = match unit {
        TimeUnit::Second => map_values::<TimestampSecondType, Micros>(array, slots, convert)?,
        TimeUnit::Millisecond => map_values::<TimestampMillisecondType, Micros>(array, slots, convert)?,
        TimeUnit::Microsecond => array.clone(),
        TimeUnit::Nanosecond => map_values::<TimestampNanosecondType, Micros>(array, slots, convert)?,
    };
    let micros = micros.as_primitive::<Micros>().clone();
    Ok(Arc::new(micros.with_timezone("UTC")))
}

fn map_values<S: ArrowPrimitiveType, T: ArrowPrimitiveType>(
    array: &ArrayRef,
    slots: Slots<'_>,
    convert: impl Fn(S::Native) -> Option<T::Native>,
) -> Result<ArrayRef, Unfit> {
    let source = array.as_primitive::<S>();
    let live = slots.live_in(array);
    let mut values = Vec::with_capacity(source.len());
    for (index, value) in source.values().iter().enumerate() {
        match convert(*value) {
            Some(value) => values.push(value),
            None if live.as_ref().is_some_and(|live| live.is_null(index)) => {
                values.push(T::Native::default());
            }
            None => return Err(Unfit::Value(index)),
        }
    }
    let nulls = source.nulls().cloned();
    Ok(Arc::new(PrimitiveArray::<T>::try_new(values.into(), nulls)?))
}

/// Offsets from 0, and the values that the lists show: a slice of lists keeps all values of the whole, and a null list
/// may have some behind it.
fn shown<O: OffsetSizeTrait>(
    offsets: &OffsetBuffer<O>,
    values: &ArrayRef,
    live: Option<&NullBuffer>,
) -> Result<(OffsetBuffer<O>, ArrayRef), ArrowError> {
    let hides_values = live.is_some_and(|live| {
        let mut lengths = offsets.lengths().zip(live.iter());
        live.null_count() > 0 && lengths.any(|(length, live)| length > 0 && !live)
    });
    let (Some(live), true) = (live, hides_values) else {
        return Ok(trimmed(offsets, values));
    };
    let lengths = offsets.lengths().zip(live.iter());
    let lengths = lengths.map(|(length, live)| if live { length } else { 0 });
    let from_zero = OffsetBuffer::<O>::from_lengths(lengths);
    let ranges = offsets.windows(2).zip(live.iter());
    let indices = ranges
        .filter(|(_, live)| *live)
        .flat_map(|(ends, _)| ends[0].as_usize() as u64..ends[1].as_usize() as u64);
    let values = take(values, &UInt64Array::from_iter_values(indices), None)?;
    Ok((from_zero, values))
}

/// Offsets from 0 and the part of the values that they span.
pub fn trimmed<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>, values: &dyn Array) -> (OffsetBuffer<O>, ArrayRef) {
    let first = offsets[0];
    let length = offsets[offsets.len() - 1] - first;
    let from_zero: ScalarBuffer<O> = offsets.iter().map(|offset| *offset - first).collect();
    let used = values.slice(first.as_usize(), length.as_usize());
    (OffsetBuffer::new(from_zero), used)
}

fn row_of<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>, index: usize) -> usize {
    offsets
        .partition_point(|offset| offset.as_usize() <= index)
        .saturating_sub(1)
}

fn list<O: OffsetSizeTrait>(array: &ArrayRef, field: &FieldRef, slots: Slots<'_>) -> Result<ArrayRef, Unfit> {
    let list = array.as_list::<O>();
    let live = slots.live_in(array);
    let (offsets, values) = shown(list.offsets(), list.values(), live.as_ref())?;
    let all = Slots { live: None, ..slots };
    let values =
        to_type(&values, field.data_type(), all).map_err(|unfit| unfit.in_parent(|index| row_of(&offsets, index)))?;
    let nulls = list.nulls().cloned();
    Ok(Arc::new(GenericListArray::<O>::try_new(
        field.clone(),
        offsets,
        values,
        nulls,
    )?))
}

fn map(array: &ArrayRef, field: &FieldRef, sorted: bool, slots: Slots<'_>) -> Result<ArrayRef, Unfit> {
    let map = array.as_map();
    let live = slots.live_in(array);
    let entries: ArrayRef = Arc::new(map.entries().clone());
    let (offsets, entries) = shown(map.offsets(), &entries, live.as_ref())?;
    let all = Slots { live: None, ..slots };
    let entries =
        to_type(&entries, field.data_type(), all).map_err(|unfit| unfit.in_parent(|index| row_of(&offsets, index)))?;
    let nulls = map.nulls().cloned();
    let entries = entries.as_struct().clone();
    Ok(Arc::new(MapArray::try_new(
        field.clone(),
        offsets,
        entries,
        nulls,
        sorted,
    )?))
}

fn fixed_size_list(array: &ArrayRef, field: &FieldRef, width: i32, slots: Slots<'_>) -> Result<ArrayRef, Unfit> {
    let list = array.as_fixed_size_list();
    let per_row = width.unsigned_abs() as usize;
    let live = slots.live_in(array).map(|live| live.expand(per_row));
    let inner = Slots {
        live: live.as_ref(),
        ..slots
    };
    let values = to_type(list.values(), field.data_type(), inner)
        .map_err(|unfit| unfit.in_parent(|index| index / per_row.max(1)))?;
    let nulls = list.nulls().cloned();
    Ok(Arc::new(FixedSizeListArray::try_new_with_length(
        field.clone(),
        width,
        values,
        nulls,
        list.len(),
    )?))
}

fn structure(array: &ArrayRef, fields: &Fields, slots: Slots<'_>) -> Result<ArrayRef, Unfit> {
    let source = array.as_struct();
    let live = slots.live_in(array);
    let inner = Slots {
        live: live.as_ref(),
        ..slots
    };
    let columns = source
        .columns()
        .iter()
        .zip(fields)
        .map(|(column, field)| to_type(column, field.data_type(), inner))
        .collect::<Result<Vec<_>, _>>()?;
    let nulls = source.nulls().cloned();
    Ok(Arc::new(StructArray::try_new_with_length(
        fields.clone(),
        columns,
        nulls,
        source.len(),
    )?))
}
