//! Times of day must be within a day. A file may hold others, which readers of the exported files understand in
//! different ways or refuse. Changes nothing.

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Field, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimeUnit,
};
use arrow::error::ArrowError;

const DAY_SECONDS: i64 = 86_400;

/// Returns the first row that holds a time outside its day, with the value: also one inside a list or a struct.
pub(crate) fn first_outside(column: &ArrayRef) -> Result<Option<(usize, i64)>, ArrowError> {
    if !holds_times(column.data_type()) {
        return Ok(None);
    }
    let found = match column.data_type() {
        DataType::Time32(TimeUnit::Second) => of::<Time32SecondType>(column, DAY_SECONDS),
        DataType::Time32(_) => of::<Time32MillisecondType>(column, DAY_SECONDS * 1_000),
        DataType::Time64(TimeUnit::Microsecond) => of::<Time64MicrosecondType>(column, DAY_SECONDS * 1_000_000),
        DataType::Time64(_) => of::<Time64NanosecondType>(column, DAY_SECONDS * 1_000_000_000),
        DataType::Dictionary(_, values) => return first_outside(&cast(column, values)?),
        DataType::RunEndEncoded(_, values) => {
            return first_outside(&cast(column, values.data_type())?);
        }
        _ => return inside(column),
    };
    Ok(found)
}

fn of<T: ArrowPrimitiveType>(column: &ArrayRef, day: i64) -> Option<(usize, i64)>
where
    T::Native: Into<i64>,
{
    let times: &PrimitiveArray<T> = column.as_primitive();
    let is_outside = |value: &i64| !(0..day).contains(value);
    let values = times.values().iter().map(|value| (*value).into());
    values
        .enumerate()
        .find(|(row, value)| is_outside(value) && times.is_valid(*row))
}

/// Looks into lists and structs row by row: few columns hold times there.
fn inside(column: &ArrayRef) -> Result<Option<(usize, i64)>, ArrowError> {
    for row in (0..column.len()).filter(|row| column.is_valid(*row)) {
        for values in members(&column.slice(row, 1)) {
            if let Some((_, value)) = first_outside(&values)? {
                return Ok(Some((row, value)));
            }
        }
    }
    Ok(None)
}

/// Returns the values inside the only row of a column.
fn members(row: &ArrayRef) -> Vec<ArrayRef> {
    match row.data_type() {
        DataType::List(_) => vec![row.as_list::<i32>().value(0)],
        DataType::LargeList(_) => vec![row.as_list::<i64>().value(0)],
        DataType::ListView(_) => vec![row.as_list_view::<i32>().value(0)],
        DataType::LargeListView(_) => vec![row.as_list_view::<i64>().value(0)],
        DataType::FixedSizeList(..) => vec![row.as_fixed_size_list().value(0)],
        DataType::Map(..) => row.as_map().value(0).columns().to_vec(),
        DataType::Struct(_) => row.as_struct().columns().to_vec(),
        _ => Vec::new(),
    }
}

fn holds_times(data_type: &DataType) -> bool {
    let in_field = |field: &Field| holds_times(field.data_type());
    match data_type {
        DataType::Time32(_) | DataType::Time64(_) => true,
        DataType::Dictionary(_, values) => holds_times(values),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _)
        | DataType::RunEndEncoded(_, item) => in_field(item),
        DataType::Struct(fields) => fields.iter().any(|field| in_field(field)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::{
        DictionaryArray, Int8Array, ListArray, StructArray, Time32MillisecondArray, Time32SecondArray,
        Time64MicrosecondArray, Time64NanosecondArray,
    };

    #[test]
    fn the_first_time_outside_its_day_is_found_in_any_unit_and_at_any_depth() {
        const DAY: i64 = 86_400_000_000;
        let micros = |values: Vec<Option<i64>>| Arc::new(Time64MicrosecondArray::from(values));
        let good: ArrayRef = micros(vec![Some(0), None, Some(DAY - 1)]);
        let field = Field::new("t", good.data_type().clone(), true);
        let bad = || micros(vec![Some(1), Some(-1), Some(DAY)]);
        let list = |rows: Vec<Vec<i64>>| -> ArrayRef {
            let rows = rows.into_iter().map(|row| Some(row.into_iter().map(Some)));
            Arc::new(ListArray::from_iter_primitive::<Time64MicrosecondType, _, _>(rows))
        };
        let keys = Int8Array::from(vec![Some(0), None, Some(2)]);
        let cases: Vec<(ArrayRef, Option<(usize, i64)>)> = vec![
            (good.clone(), None),
            (Arc::new(Int8Array::from(vec![-1])), None),
            (bad(), Some((1, -1))),
            (Arc::new(bad().slice(1, 2)), Some((0, -1))),
            (
                Arc::new(Time64NanosecondArray::from(vec![0, DAY * 1_000])),
                Some((1, DAY * 1_000)),
            ),
            (
                Arc::new(Time32MillisecondArray::from(vec![86_399_999, -5])),
                Some((1, -5)),
            ),
            (Arc::new(Time32SecondArray::from(vec![86_400])), Some((0, 86_400))),
            (
                // The second value is in the dictionary, and in no row.
                Arc::new(DictionaryArray::new(keys, bad())),
                Some((2, DAY)),
            ),
            (list(vec![vec![1, 2], vec![], vec![3, -4]]), Some((2, -4))),
            (list(vec![vec![1, 2], vec![]]), None),
            (
                Arc::new(StructArray::from(vec![(Arc::new(field), bad() as ArrayRef)])),
                Some((1, -1)),
            ),
        ];
        for (column, expect) in cases {
            let found = first_outside(&column).unwrap();
            assert_eq!(found, expect, "{column:?}");
        }
    }
}
