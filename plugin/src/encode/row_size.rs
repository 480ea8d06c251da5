//! Counts the bytes of each row from offsets and widths. The count depends on the row's values alone, not on how its
//! arrays are sliced, shared or dictionary-encoded. Never copies or reads a value.

use arrow_array::cast::AsArray;
use arrow_array::types::ByteArrayType;
use arrow_array::{Array, GenericByteArray, OffsetSizeTrait, RecordBatch};
use arrow_schema::{ArrowError, DataType};

/// Bytes counted for a value of variable length in addition to its content, so that rows of nothing but empty strings
/// or lists still fill a block.
const LENGTH_BYTES: u64 = 4;
/// Bytes counted for a value without content of its own: booleans, the null type, null structs.
const PRESENCE_BYTES: u64 = 1;

/// Values whose sizes are counted at the same time, those of rows and of what they nest together: 192 MiB of counts.
/// Twice what a batch can have whose values take a usual number of bytes; structs and lists can claim more while they
/// take none.
const MAX_COUNTS: usize = 24 << 20;

/// Returns the size of every row of the batch, in bytes.
///
/// # Errors
/// A column's type is not one that [`super::check_schema`] accepts, or it nests too many values.
pub fn row_bytes(batch: &RecordBatch) -> Result<Vec<u64>, ArrowError> {
    let mut sizes = counts(batch.num_rows(), 0)?;
    let held = sizes.len();
    for column in batch.columns() {
        add(column, &mut sizes, held)?;
    }
    Ok(sizes)
}

/// Counts of 0 for so many values, besides those held already.
fn counts(values: usize, held: usize) -> Result<Vec<u64>, ArrowError> {
    let together = values.saturating_add(held);
    if together > MAX_COUNTS {
        return Err(ArrowError::MemoryError(format!(
            "a batch contains {together} nested values, more than the limit of {MAX_COUNTS}; supply smaller batches"
        )));
    }
    Ok(vec![0; values])
}

/// Returns what every value of this type counts, if all count the same.
fn constant_bytes(data_type: &DataType) -> Option<u64> {
    match data_type {
        DataType::Null | DataType::Boolean => Some(PRESENCE_BYTES),
        DataType::FixedSizeBinary(width) => Some(u64::from(width.unsigned_abs())),
        DataType::Dictionary(_, _) => None,
        other => other.primitive_width().map(|width| width as u64),
    }
}

fn add(array: &dyn Array, sizes: &mut [u64], held: usize) -> Result<(), ArrowError> {
    if let Some(bytes) = constant_bytes(array.data_type()) {
        add_constant(bytes, sizes);
        return Ok(());
    }
    match array.data_type() {
        DataType::Utf8 => add_bytes(array.as_string::<i32>(), sizes),
        DataType::LargeUtf8 => add_bytes(array.as_string::<i64>(), sizes),
        DataType::Binary => add_bytes(array.as_binary::<i32>(), sizes),
        DataType::LargeBinary => add_bytes(array.as_binary::<i64>(), sizes),
        DataType::Utf8View => add_views(array, array.as_string_view().views(), sizes),
        DataType::BinaryView => add_views(array, array.as_binary_view().views(), sizes),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            return add_lists(array, list.value_offsets(), list.values(), sizes, held);
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            return add_lists(array, list.value_offsets(), list.values(), sizes, held);
        }
        DataType::Map(_, _) => {
            let map = array.as_map();
            return add_lists(array, map.value_offsets(), map.entries(), sizes, held);
        }
        DataType::FixedSizeList(_, width) => {
            let values = Values::of(array.as_fixed_size_list().values(), held)?;
            let width = width.unsigned_abs() as usize;
            for (row, size) in sizes.iter_mut().enumerate() {
                *size += PRESENCE_BYTES;
                if array.is_valid(row) {
                    *size += values.bytes(row * width..(row + 1) * width);
                }
            }
        }
        DataType::Struct(_) => add_struct(array, sizes, held)?,
        DataType::Dictionary(_, _) => add_dictionary(array, sizes, held)?,
        other => {
            return Err(ArrowError::NotYetImplemented(format!(
                "rows with values of type {other}"
            )));
        }
    }
    Ok(())
}

fn add_struct(array: &dyn Array, sizes: &mut [u64], held: usize) -> Result<(), ArrowError> {
    let columns = array.as_struct().columns();
    add_constant(PRESENCE_BYTES, sizes);
    if array.null_count() == 0 {
        return columns.iter().try_for_each(|column| add(column, sizes, held));
    }
    let mut own = counts(array.len(), held)?;
    for column in columns {
        add(column, &mut own, held + array.len())?;
    }
    for (row, (size, own)) in sizes.iter_mut().zip(own).enumerate() {
        *size += if array.is_valid(row) { own } else { 0 };
    }
    Ok(())
}

fn add_dictionary(array: &dyn Array, sizes: &mut [u64], held: usize) -> Result<(), ArrowError> {
    let dictionary = array.as_any_dictionary();
    let null_bytes = null_bytes(dictionary.values().data_type());
    // Without values every key is null (and there are no keys to normalise).
    if dictionary.values().is_empty() {
        add_constant(null_bytes, sizes);
        return Ok(());
    }
    let held_with_values = held + dictionary.values().len();
    let mut values = counts(dictionary.values().len(), held)?;
    add(dictionary.values(), &mut values, held_with_values)?;
    let keys = dictionary.normalized_keys();
    for (row, (size, key)) in sizes.iter_mut().zip(keys).enumerate() {
        *size += if array.is_valid(row) { values[key] } else { null_bytes };
    }
    Ok(())
}

/// Returns what the values in lists count. Values that all count the same need no memory for it: a byte holds eight
/// truth values, and nulls take no bytes at all.
enum Values {
    Constant(u64),
    Each(Vec<u64>),
}

impl Values {
    fn of(array: &dyn Array, held: usize) -> Result<Self, ArrowError> {
        if let Some(bytes) = constant_bytes(array.data_type()) {
            return Ok(Values::Constant(bytes));
        }
        let mut each = counts(array.len(), held)?;
        add(array, &mut each, held + array.len())?;
        Ok(Values::Each(each))
    }

    fn bytes(&self, range: std::ops::Range<usize>) -> u64 {
        match self {
            Values::Constant(bytes) => bytes * range.len() as u64,
            Values::Each(each) => each[range].iter().sum(),
        }
    }
}

/// Returns what a null counts in an array of this type, so that a dictionary's null counts as its values' type would.
fn null_bytes(data_type: &DataType) -> u64 {
    match data_type {
        DataType::Null | DataType::Boolean | DataType::Struct(_) => PRESENCE_BYTES,
        DataType::FixedSizeList(_, _) => PRESENCE_BYTES,
        DataType::FixedSizeBinary(width) => u64::from(width.unsigned_abs()),
        DataType::Dictionary(_, values) => null_bytes(values),
        other => other.primitive_width().map_or(LENGTH_BYTES, |width| width as u64),
    }
}

fn add_constant(bytes: u64, sizes: &mut [u64]) {
    for size in sizes {
        *size += bytes;
    }
}

fn add_bytes<T: ByteArrayType>(array: &GenericByteArray<T>, sizes: &mut [u64]) {
    let lengths = array.offsets().lengths();
    match array.nulls() {
        None => {
            for (size, length) in sizes.iter_mut().zip(lengths) {
                *size += LENGTH_BYTES + length as u64;
            }
        }
        // Arrow allows bytes behind a null; they are not part of the row.
        Some(nulls) => {
            for ((size, length), valid) in sizes.iter_mut().zip(lengths).zip(nulls) {
                *size += LENGTH_BYTES + if valid { length as u64 } else { 0 };
            }
        }
    }
}

fn add_views(array: &dyn Array, views: &[u128], sizes: &mut [u64]) {
    for (row, (size, view)) in sizes.iter_mut().zip(views).enumerate() {
        // The low 32 bits of a view are its length.
        let length = u64::from(*view as u32);
        *size += LENGTH_BYTES + if array.is_valid(row) { length } else { 0 };
    }
}

fn add_lists<O: OffsetSizeTrait>(
    array: &dyn Array,
    offsets: &[O],
    values: &dyn Array,
    sizes: &mut [u64],
    held: usize,
) -> Result<(), ArrowError> {
    let first = offsets.first().map_or(0, |offset| offset.as_usize());
    let last = offsets.last().map_or(0, |offset| offset.as_usize());
    let used = Values::of(&values.slice(first, last - first), held)?;
    for (row, (size, ends)) in sizes.iter_mut().zip(offsets.windows(2)).enumerate() {
        *size += LENGTH_BYTES;
        if array.is_valid(row) {
            let (start, end) = (ends[0].as_usize() - first, ends[1].as_usize() - first);
            *size += used.bytes(start..end);
        }
    }
    Ok(())
}
