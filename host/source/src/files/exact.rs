//! Looks for values of a Parquet file that the crate would wrap silently: times of 96 bits beyond 64-bit
//! microseconds, and integers beyond the width that their column promises. Changes nothing.

use std::sync::Arc;

use ::parquet::basic::{ConvertedType, LogicalType, Type as PhysicalType};
use ::parquet::column::page::PageReader;
use ::parquet::column::reader::ColumnReaderImpl;
use ::parquet::data_type::{DataType, Int32Type, Int96, Int96Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use ::parquet::file::serialized_reader::SerializedPageReader;
use batch_export_system::explain::Cause;

use super::super::SourceError;
use super::handle::Handle;
use super::opened::Opened;

/// Records looked at at once.
const RECORDS: usize = 1024;
const JULIAN_DAY_OF_EPOCH: i64 = 2_440_588;
const MICROS_OF_A_DAY: i64 = 86_400_000_000;

/// Looks through the columns that can wrap; most files have none.
pub(crate) fn check(
    file: &Opened,
    handle: &Arc<Handle>,
    metadata: &ParquetMetaData,
    wanted: &[usize],
) -> Result<(), SourceError> {
    let mut before = 0_u64;
    for (index, group) in metadata.row_groups().iter().enumerate() {
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        for column in group.columns() {
            if wanted.binary_search(&index).is_err() {
                continue;
            }
            file.check()?;
            let found = match wraps(column) {
                Some(Wraps::Time) => first_of::<Int96Type>(handle, column, rows, &is_time),
                Some(Wraps::Integer(promised)) => {
                    first_of::<Int32Type>(handle, column, rows, &|value| promised.holds(*value))
                }
                None => continue,
            };
            let found = found.map_err(|error| file.parquet_error(error))?;
            if let Some((row, value)) = found {
                return Err(SourceError::BadValue {
                    path: file.path.clone(),
                    row: before + row + 1,
                    column: column.column_path().string(),
                    cause: Cause::new(format!("{value} is outside the range of the column's type"))
                        .with_hint("correct the value"),
                });
            }
        }
        before = before.saturating_add(rows as u64);
    }
    Ok(())
}

enum Wraps {
    Time,
    Integer(Promised),
}

/// A width below that of the values.
#[derive(Clone, Copy)]
struct Promised {
    bits: u8,
    is_signed: bool,
}

impl Promised {
    fn holds(self, value: i32) -> bool {
        let value = i64::from(value);
        match self.is_signed {
            true => {
                let most = 1_i64 << (self.bits - 1);
                (-most..most).contains(&value)
            }
            false => (0..1_i64 << self.bits).contains(&value),
        }
    }
}

fn wraps(column: &ColumnChunkMetaData) -> Option<Wraps> {
    let descriptor = column.column_descr();
    if column.column_type() == PhysicalType::INT96 {
        return Some(Wraps::Time);
    }
    let (bits, is_signed) = match (descriptor.logical_type_ref(), descriptor.converted_type()) {
        (Some(LogicalType::Integer(integer)), _) => (integer.bit_width, integer.is_signed),
        (_, ConvertedType::INT_8) => (8, true),
        (_, ConvertedType::INT_16) => (16, true),
        (_, ConvertedType::UINT_8) => (8, false),
        (_, ConvertedType::UINT_16) => (16, false),
        _ => return None,
    };
    let is_narrow = column.column_type() == PhysicalType::INT32 && matches!(bits, 8 | 16);
    is_narrow.then_some(Wraps::Integer(Promised {
        bits: bits.unsigned_abs(),
        is_signed,
    }))
}

/// Returns whether a day and its nanoseconds are microseconds of 64 bits.
fn is_time(value: &Int96) -> bool {
    let [low, high, day] = value.data() else {
        return false;
    };
    let nanos = (i64::from(*high) << 32) + i64::from(*low);
    let days = i64::from(day.cast_signed()) - JULIAN_DAY_OF_EPOCH;
    nanos >= 0
        && days
            .checked_mul(MICROS_OF_A_DAY)
            .is_some_and(|micros| micros.checked_add(nanos / 1_000).is_some())
}

/// Returns the first value that is not as it should be, and its row in the group.
fn first_of<T: DataType>(
    handle: &Arc<Handle>,
    column: &ColumnChunkMetaData,
    rows: usize,
    is_right: &dyn Fn(&T::T) -> bool,
) -> Result<Option<(u64, String)>, ParquetError>
where
    T::T: std::fmt::Display,
{
    let pages: Box<dyn PageReader> = Box::new(SerializedPageReader::new(Arc::clone(handle), column, rows, None)?);
    let descriptor = column.column_descr_ptr();
    let (whole, repeated) = (descriptor.max_def_level(), descriptor.max_rep_level());
    let mut reader = ColumnReaderImpl::<T>::new(descriptor, pages);
    let mut before = 0_u64;
    loop {
        let (mut values, mut defined, mut repeats) = (Vec::new(), Vec::new(), Vec::new());
        let (records, _, levels) = reader.read_records(RECORDS, Some(&mut defined), Some(&mut repeats), &mut values)?;
        if records == 0 && levels == 0 {
            return Ok(None);
        }
        if let Some(wrong) = values.iter().position(|value| !is_right(value)) {
            // The row of the value: those before it that are there, and where rows begin.
            let mut there =
                (0..levels.max(values.len())).filter(|level| whole == 0 || defined.get(*level) == Some(&whole));
            let level = there.nth(wrong).unwrap_or(wrong);
            let row = match repeated {
                0 => level,
                _ => repeats[..=level].iter().filter(|level| **level == 0).count() - 1,
            };
            return Ok(Some((before + row as u64, values[wrong].to_string())));
        }
        before += records as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_integers_are_held_up_to_their_last_value() {
        let time = |day: i64, nanos: u64| {
            let day = (day + JULIAN_DAY_OF_EPOCH) as i32;
            Int96::from(vec![nanos as u32, (nanos >> 32) as u32, day as u32])
        };
        assert!(is_time(&time(0, 0)) && is_time(&time(-354_285, 1)));
        assert!(is_time(&time(106_751_991, 14_454_775_807_999)));
        assert!(!is_time(&time(106_751_991, 14_454_775_808_000)));
        assert!(!is_time(&time(106_751_992, 0)));
        assert!(!is_time(&time(0, u64::MAX)));
        for (bits, is_signed, holds, not) in [
            (8, true, [-128, 127], [-129, 128]),
            (8, false, [0, 255], [-1, 256]),
            (16, true, [-32_768, 32_767], [-32_769, 32_768]),
            (16, false, [0, 65_535], [-1, 65_536]),
        ] {
            let promised = Promised { bits, is_signed };
            assert!(holds.iter().all(|value| promised.holds(*value)));
            assert!(!not.iter().any(|value| promised.holds(*value)));
        }
    }
}
