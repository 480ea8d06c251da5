//! Gives equal rows one physical form. The Parquet writer looks at how arrays are built (whether there is a buffer of
//! nulls, where lists begin), not only at their values, and files must not show how rows were batched. Changes no
//! value.
//!
//! Recursion follows the schema's nesting, which the IPC reader bounds (64 levels), not the data's.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, GenericListArray, GenericStringArray, MapArray, OffsetSizeTrait, RecordBatch,
    RecordBatchOptions, StructArray, make_array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, FieldRef};

use super::convert::trimmed;

/// Returns the same rows: no buffer of nulls without a null, no list that begins or ends within its values, at any
/// depth.
///
/// # Errors
/// The rows are not what their schema says.
pub fn normal(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = rows.columns().iter().map(form);
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(rows.schema(), columns.collect::<Result<_, _>>()?, &options)
}

fn form(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
    Ok(match array.data_type() {
        DataType::List(field) => list::<i32>(array, field, nulls)?,
        DataType::LargeList(field) => list::<i64>(array, field, nulls)?,
        DataType::Map(field, sorted) => {
            let map = array.as_map();
            let (offsets, entries) = trimmed(map.offsets(), map.entries());
            let entries = form(&entries)?.as_struct().clone();
            Arc::new(MapArray::try_new(field.clone(), offsets, entries, nulls, *sorted)?)
        }
        DataType::FixedSizeList(field, width) => {
            let list = array.as_fixed_size_list();
            let values = form(list.values())?;
            Arc::new(FixedSizeListArray::try_new_with_length(
                field.clone(),
                *width,
                values,
                nulls,
                list.len(),
            )?)
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns().iter().map(form);
            let columns = columns.collect::<Result<_, _>>()?;
            Arc::new(StructArray::try_new_with_length(
                fields.clone(),
                columns,
                nulls,
                array.len(),
            )?)
        }
        _ if nulls.is_some() || array.nulls().is_none() => array.clone(),
        DataType::Utf8 => text::<i32>(array)?,
        DataType::LargeUtf8 => text::<i64>(array)?,
        _ => make_array(array.to_data().into_builder().nulls(None).build()?),
    })
}

fn list<O: OffsetSizeTrait>(
    array: &ArrayRef,
    field: &FieldRef,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let list = array.as_list::<O>();
    let (offsets, values) = trimmed(list.offsets(), list.values());
    let values = form(&values)?;
    Ok(Arc::new(GenericListArray::<O>::try_new(
        field.clone(),
        offsets,
        values,
        nulls,
    )?))
}

/// Texts without their buffer of nulls. They are looked at again, so only those of the slice, not of all its batch.
fn text<O: OffsetSizeTrait>(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let texts = array.as_string::<O>();
    let first = texts.value_offsets()[0];
    let last = texts.value_offsets()[array.len()];
    let bytes = texts
        .values()
        .slice_with_length(first.as_usize(), (last - first).as_usize());
    let from_zero = texts.offsets().iter().map(|offset| *offset - first);
    let offsets = OffsetBuffer::new(from_zero.collect());
    Ok(Arc::new(GenericStringArray::<O>::try_new(offsets, bytes, None)?))
}
