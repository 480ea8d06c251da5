//! Which column types files can hold, and the conversion of blocks to the types that they do hold. Never changes a
//! value but to floor it to a coarser unit, and never wraps one: what does not fit is an error that names its row.
//!
//! Recursion follows the schema's nesting, which the IPC reader bounds (64 levels), not the data's.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, FixedSizeListArray, GenericListArray, MapArray,
    OffsetSizeTrait, PrimitiveArray, StructArray,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::compute::{cast, take};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    Field, FieldRef, Schema, SchemaRef, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    validate_decimal_precision_and_scale as fits,
};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::EncodeError;
use crate::settings::Format;

const MILLIS_PER_DAY: i64 = 86_400_000;

/// The key under which a field names its extension type, and the name of JSON text
/// (<https://arrow.apache.org/docs/format/CanonicalExtensions.html#json>).
const EXTENSION_NAME: &str = "ARROW:extension:name";
const JSON_EXTENSION: &str = "arrow.json";

/// Whether a field says of itself that its text is JSON.
pub fn is_json(field: &Field) -> bool {
    let is_text = matches!(
        field.data_type(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(_, _)
    );
    is_text
        && field
            .metadata()
            .get(EXTENSION_NAME)
            .is_some_and(|name| name == JSON_EXTENSION)
}

/// For every column whether its text is JSON: because the caller says so, or because the field does.
pub fn json_columns(schema: &Schema, flagged: &[bool]) -> Vec<bool> {
    let flags = flagged.iter().copied().chain(std::iter::repeat(false));
    let fields = schema.fields().iter();
    fields
        .zip(flags)
        .map(|(field, flag)| flag || is_json(field))
        .collect()
}

/// See [`super::check_schema`].
pub fn check_schema(schema: &Schema, format: Format) -> Result<(), EncodeError> {
    if schema.fields().is_empty() {
        return Err(EncodeError::NoColumns);
    }
    for field in schema.fields() {
        if let Some(reason) = refusal(field.data_type(), format) {
            return Err(EncodeError::UnsupportedColumn {
                column: field.name().clone(),
                data_type: field.data_type().to_string(),
                reason,
            });
        }
    }
    Ok(())
}

/// Why values of this type cannot be exported, if they cannot.
fn refusal(data_type: &DataType, format: Format) -> Option<&'static str> {
    let parquet = matches!(format, Format::Parquet(_));
    match data_type {
        DataType::Interval(_) => Some("intervals cannot be exported"),
        DataType::Duration(_) => Some("durations cannot be exported"),
        DataType::Union(_, _) => Some("unions cannot be exported"),
        DataType::RunEndEncoded(_, _) => Some("run-end encoded columns cannot be exported"),
        DataType::ListView(_) | DataType::LargeListView(_) => {
            Some("list views cannot be exported, lists can")
        }
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..)
            if !is_decimal(data_type) =>
        {
            Some("no decimal of this width has such a precision and scale")
        }
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale)
            if parquet && *scale < 0 =>
        {
            Some("Parquet has no decimals of negative scale")
        }
        DataType::FixedSizeBinary(width) | DataType::FixedSizeList(_, width) if *width < 0 => {
            Some("a width cannot be negative")
        }
        DataType::FixedSizeBinary(0) if parquet => Some("Parquet has no binary of width 0"),
        DataType::Struct(fields) if parquet && fields.is_empty() => {
            Some("Parquet has no structs without fields")
        }
        DataType::Struct(fields) => fields
            .iter()
            .find_map(|field| refusal(field.data_type(), format)),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => refusal(field.data_type(), format),
        DataType::Dictionary(_, values) => refusal(values, format),
        _ => None,
    }
}

/// Whether a decimal's precision fits its width and its scale its precision: nothing else checks a supplied schema, and
/// the Parquet writer takes it for granted.
fn is_decimal(data_type: &DataType) -> bool {
    let checked = match data_type {
        DataType::Decimal32(precision, scale) => fits::<Decimal32Type>(*precision, *scale),
        DataType::Decimal64(precision, scale) => fits::<Decimal64Type>(*precision, *scale),
        DataType::Decimal128(precision, scale) => fits::<Decimal128Type>(*precision, *scale),
        DataType::Decimal256(precision, scale) => fits::<Decimal256Type>(*precision, *scale),
        _ => return false,
    };
    checked.is_ok()
}

/// The schema of blocks for JSON Lines: the source's, with dictionaries as their values.
pub fn json_lines_schema(schema: &Schema) -> SchemaRef {
    let fields: Vec<FieldRef> = schema
        .fields()
        .iter()
        .map(|field| {
            let data_type = json_lines_type(field.data_type());
            Arc::new(field.as_ref().clone().with_data_type(data_type))
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// The schema of blocks for Parquet: dictionaries as their values, one unit for each kind of time, nullable
/// throughout, no metadata.
pub fn parquet_schema(schema: &Schema) -> SchemaRef {
    let fields: Vec<FieldRef> = schema.fields().iter().map(parquet_field).collect();
    Arc::new(Schema::new(fields))
}

fn json_lines_type(data_type: &DataType) -> DataType {
    let retyped = |field: &FieldRef| {
        let data_type = json_lines_type(field.data_type());
        Arc::new(field.as_ref().clone().with_data_type(data_type))
    };
    match data_type {
        DataType::Dictionary(_, values) => json_lines_type(values),
        DataType::List(field) => DataType::List(retyped(field)),
        DataType::LargeList(field) => DataType::LargeList(retyped(field)),
        DataType::FixedSizeList(field, width) => DataType::FixedSizeList(retyped(field), *width),
        DataType::Map(field, sorted) => DataType::Map(retyped(field), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(retyped).collect()),
        other => other.clone(),
    }
}

fn parquet_field(field: &FieldRef) -> FieldRef {
    Arc::new(Field::new(
        field.name(),
        parquet_type(field.data_type()),
        true,
    ))
}

fn parquet_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => parquet_type(values),
        DataType::List(field) => DataType::List(parquet_field(field)),
        DataType::LargeList(field) => DataType::LargeList(parquet_field(field)),
        DataType::FixedSizeList(field, width) => {
            DataType::FixedSizeList(parquet_field(field), *width)
        }
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(parquet_field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(parquet_entries(entries), *sorted),
        DataType::Timestamp(_, _) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Date64 => DataType::Date32,
        DataType::Time32(_) => DataType::Time32(TimeUnit::Millisecond),
        DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        // Exact, and known to more readers.
        DataType::Float16 => DataType::Float32,
        other => other.clone(),
    }
}

/// A map's entries and keys are never null; its values may be.
fn parquet_entries(entries: &FieldRef) -> FieldRef {
    let fields = match entries.data_type() {
        DataType::Struct(fields) => fields.iter().enumerate(),
        _ => return entries.clone(),
    };
    let fields = fields
        .map(|(index, field)| {
            let nullable = index > 0;
            Arc::new(Field::new(
                field.name(),
                parquet_type(field.data_type()),
                nullable,
            ))
        })
        .collect();
    Arc::new(Field::new(entries.name(), DataType::Struct(fields), false))
}

/// The batch with the columns of `target`; columns that have their type already are not copied. `first_row` is the
/// number of the batch's first row, for errors.
pub fn to_schema(
    batch: &RecordBatch,
    target: &SchemaRef,
    first_row: u64,
) -> Result<RecordBatch, EncodeError> {
    let columns = batch
        .columns()
        .iter()
        .zip(target.fields())
        .map(|(column, field)| {
            to_type(column, field.data_type()).map_err(|unfit| match unfit {
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
        target.clone(),
        columns,
        &options,
    )?)
}

fn in_words(data_type: &DataType) -> String {
    match data_type {
        DataType::Timestamp(_, _) => {
            "a Parquet timestamp (64-bit microseconds since 1970)".to_owned()
        }
        DataType::Date32 => "a Parquet date (32-bit days since 1970)".to_owned(),
        other => format!("the Parquet column's type {other}"),
    }
}

/// Why an array has no equal of the target type.
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

fn to_type(array: &ArrayRef, target: &DataType) -> Result<ArrayRef, Unfit> {
    if array.data_type() == target {
        return Ok(array.clone());
    }
    match (array.data_type(), target) {
        (DataType::Dictionary(_, _), _) => {
            let dictionary = array.as_any_dictionary();
            to_type(&take(dictionary.values(), dictionary.keys(), None)?, target)
        }
        (DataType::List(_), DataType::List(field)) => list::<i32>(array, field),
        (DataType::LargeList(_), DataType::LargeList(field)) => list::<i64>(array, field),
        (DataType::Map(_, _), DataType::Map(field, sorted)) => map(array, field, *sorted),
        (DataType::FixedSizeList(_, _), DataType::FixedSizeList(field, width)) => {
            let list = array.as_fixed_size_list();
            let per_row = width.unsigned_abs().max(1) as usize;
            let values = to_type(list.values(), field.data_type())
                .map_err(|unfit| unfit.in_parent(|index| index / per_row))?;
            let nulls = list.nulls().cloned();
            Ok(Arc::new(FixedSizeListArray::try_new_with_length(
                field.clone(),
                *width,
                values,
                nulls,
                list.len(),
            )?))
        }
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let source = array.as_struct();
            let columns = source
                .columns()
                .iter()
                .zip(fields)
                .map(|(column, field)| to_type(column, field.data_type()))
                .collect::<Result<Vec<_>, _>>()?;
            let nulls = source.nulls().cloned();
            Ok(Arc::new(StructArray::try_new_with_length(
                fields.clone(),
                columns,
                nulls,
                source.len(),
            )?))
        }
        (DataType::Timestamp(unit, _), DataType::Timestamp(_, _)) => timestamps(array, *unit),
        (DataType::Date64, DataType::Date32) => map_values::<Date64Type, Date32Type>(array, |ms| {
            i32::try_from(ms.div_euclid(MILLIS_PER_DAY)).ok()
        }),
        (DataType::Time32(TimeUnit::Second), DataType::Time32(_)) => {
            map_values::<Time32SecondType, Time32MillisecondType>(array, |s| s.checked_mul(1000))
        }
        (DataType::Time64(TimeUnit::Nanosecond), DataType::Time64(_)) => {
            map_values::<Time64NanosecondType, Time64MicrosecondType>(array, |ns| {
                Some(ns.div_euclid(1000))
            })
        }
        _ => Ok(cast(array, target)?),
    }
}

fn timestamps(array: &ArrayRef, unit: TimeUnit) -> Result<ArrayRef, Unfit> {
    type Micros = TimestampMicrosecondType;
    let micros = match unit {
        TimeUnit::Second => {
            map_values::<TimestampSecondType, Micros>(array, |s| s.checked_mul(1_000_000))?
        }
        TimeUnit::Millisecond => {
            map_values::<TimestampMillisecondType, Micros>(array, |ms| ms.checked_mul(1000))?
        }
        TimeUnit::Microsecond => array.clone(),
        // Floored, also before 1970: the same digits that JSON Lines shows.
        TimeUnit::Nanosecond => {
            map_values::<TimestampNanosecondType, Micros>(array, |ns| Some(ns.div_euclid(1000)))?
        }
    };
    let micros = micros.as_primitive::<Micros>().clone();
    Ok(Arc::new(micros.with_timezone("UTC")))
}

fn map_values<S: ArrowPrimitiveType, T: ArrowPrimitiveType>(
    array: &ArrayRef,
    convert: impl Fn(S::Native) -> Option<T::Native>,
) -> Result<ArrayRef, Unfit> {
    let source = array.as_primitive::<S>();
    let mut values = Vec::with_capacity(source.len());
    for (index, value) in source.values().iter().enumerate() {
        match convert(*value) {
            Some(value) => values.push(value),
            // What lies behind a null means nothing.
            None if source.is_null(index) => values.push(T::Native::default()),
            None => return Err(Unfit::Value(index)),
        }
    }
    let nulls = source.nulls().cloned();
    Ok(Arc::new(PrimitiveArray::<T>::try_new(
        values.into(),
        nulls,
    )?))
}

impl Unfit {
    /// The same in terms of the array that holds the nested one.
    fn in_parent(self, parent_of: impl Fn(usize) -> usize) -> Self {
        match self {
            Unfit::Value(index) => Unfit::Value(parent_of(index)),
            Unfit::Arrow(error) => Unfit::Arrow(error),
        }
    }
}

/// Offsets from 0 and the part of the values that they span: a slice of a list keeps all values of the whole.
fn trimmed<O: OffsetSizeTrait>(
    offsets: &OffsetBuffer<O>,
    values: &dyn Array,
) -> (OffsetBuffer<O>, ArrayRef) {
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

fn list<O: OffsetSizeTrait>(array: &ArrayRef, field: &FieldRef) -> Result<ArrayRef, Unfit> {
    let list = array.as_list::<O>();
    let (offsets, values) = trimmed(list.offsets(), list.values());
    let values = to_type(&values, field.data_type())
        .map_err(|unfit| unfit.in_parent(|index| row_of(&offsets, index)))?;
    let nulls = list.nulls().cloned();
    Ok(Arc::new(GenericListArray::<O>::try_new(
        field.clone(),
        offsets,
        values,
        nulls,
    )?))
}

fn map(array: &ArrayRef, field: &FieldRef, sorted: bool) -> Result<ArrayRef, Unfit> {
    let map = array.as_map();
    let (offsets, entries) = trimmed(map.offsets(), map.entries());
    let entries = to_type(&entries, field.data_type())
        .map_err(|unfit| unfit.in_parent(|index| row_of(&offsets, index)))?;
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
