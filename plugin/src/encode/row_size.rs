//! Counts the bytes of each row from offsets and widths. The count depends on the row's values alone, not on how its
//! arrays are sliced, shared or dictionary-encoded. Never copies or reads a value.

use arrow::array::{Array, AsArray, GenericByteArray, OffsetSizeTrait};
use arrow::datatypes::{ByteArrayType, DataType};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

/// What a value of variable length counts beside its content: so that rows of nothing but empty strings or lists
/// still fill a block.
const LENGTH_BYTES: u64 = 4;
/// What a value counts that has no content of its own: booleans, the null type, null structs.
const PRESENCE_BYTES: u64 = 1;

/// The size of every row of the batch, in bytes.
///
/// # Errors
/// A column's type is none that [`super::check_schema`] accepts.
pub fn row_bytes(batch: &RecordBatch) -> Result<Vec<u64>, ArrowError> {
    let mut sizes = vec![0; batch.num_rows()];
    for column in batch.columns() {
        add(column, &mut sizes)?;
    }
    Ok(sizes)
}

fn add(array: &dyn Array, sizes: &mut [u64]) -> Result<(), ArrowError> {
    match array.data_type() {
        DataType::Null | DataType::Boolean => add_constant(PRESENCE_BYTES, sizes),
        DataType::Utf8 => add_bytes(array.as_string::<i32>(), sizes),
        DataType::LargeUtf8 => add_bytes(array.as_string::<i64>(), sizes),
        DataType::Binary => add_bytes(array.as_binary::<i32>(), sizes),
        DataType::LargeBinary => add_bytes(array.as_binary::<i64>(), sizes),
        DataType::Utf8View => add_views(array, array.as_string_view().views(), sizes),
        DataType::BinaryView => add_views(array, array.as_binary_view().views(), sizes),
        DataType::FixedSizeBinary(width) => add_constant(u64::from(width.unsigned_abs()), sizes),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            return add_lists(array, list.value_offsets(), list.values(), sizes);
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            return add_lists(array, list.value_offsets(), list.values(), sizes);
        }
        DataType::Map(_, _) => {
            let map = array.as_map();
            return add_lists(array, map.value_offsets(), map.entries(), sizes);
        }
        DataType::FixedSizeList(_, width) => {
            let list = array.as_fixed_size_list();
            let mut children = vec![0; list.values().len()];
            add(list.values(), &mut children)?;
            let width = width.unsigned_abs() as usize;
            for (row, size) in sizes.iter_mut().enumerate() {
                *size += PRESENCE_BYTES;
                if array.is_valid(row) {
                    *size += children[row * width..(row + 1) * width].iter().sum::<u64>();
                }
            }
        }
        DataType::Struct(_) => {
            let mut own = vec![0; array.len()];
            for column in array.as_struct().columns() {
                add(column, &mut own)?;
            }
            for (row, size) in sizes.iter_mut().enumerate() {
                *size += PRESENCE_BYTES;
                if array.is_valid(row) {
                    *size += own[row];
                }
            }
        }
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            let mut values = vec![0; dictionary.values().len()];
            add(dictionary.values(), &mut values)?;
            let null_bytes = null_bytes(dictionary.values().data_type());
            // Without values every key is null (and there are no keys to normalise).
            if values.is_empty() {
                add_constant(null_bytes, sizes);
                return Ok(());
            }
            let keys = dictionary.normalized_keys();
            for (row, (size, key)) in sizes.iter_mut().zip(keys).enumerate() {
                *size += if array.is_valid(row) {
                    values[key]
                } else {
                    null_bytes
                };
            }
        }
        other => match other.primitive_width() {
            Some(width) => add_constant(width as u64, sizes),
            None => {
                return Err(ArrowError::NotYetImplemented(format!(
                    "rows with values of type {other}"
                )));
            }
        },
    }
    Ok(())
}

/// What a null counts in an array of this type, so that a dictionary's null counts as its values' type would.
fn null_bytes(data_type: &DataType) -> u64 {
    match data_type {
        DataType::Null | DataType::Boolean | DataType::Struct(_) => PRESENCE_BYTES,
        DataType::FixedSizeList(_, _) => PRESENCE_BYTES,
        DataType::FixedSizeBinary(width) => u64::from(width.unsigned_abs()),
        DataType::Dictionary(_, values) => null_bytes(values),
        other => other
            .primitive_width()
            .map_or(LENGTH_BYTES, |width| width as u64),
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
) -> Result<(), ArrowError> {
    let first = offsets.first().map_or(0, |offset| offset.as_usize());
    let last = offsets.last().map_or(0, |offset| offset.as_usize());
    let used = values.slice(first, last - first);
    let mut children = vec![0; used.len()];
    add(&used, &mut children)?;
    for (row, (size, ends)) in sizes.iter_mut().zip(offsets.windows(2)).enumerate() {
        *size += LENGTH_BYTES;
        if array.is_valid(row) {
            let (start, end) = (ends[0].as_usize() - first, ends[1].as_usize() - first);
            *size += children[start..end].iter().sum::<u64>();
        }
    }
    Ok(())
}
