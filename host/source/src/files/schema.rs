//! The Arrow types that a Parquet file's columns are read as, where the crate's choice would lose something: times of
//! 96 bits beyond the nanoseconds of 64, dictionaries of what is neither text nor bytes, and the marks of UUID and
//! JSON. Reads no values.

use std::sync::Arc;

use ::parquet::arrow::arrow_reader::ArrowReaderMetadata;
use ::parquet::basic::{LogicalType, TimeUnit as ParquetUnit, Type as PhysicalType};
use ::parquet::schema::types::SchemaDescriptor;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};

use crate::model::{EXTENSION_METADATA, EXTENSION_NAME, JSON_EXTENSION, UUID_EXTENSION};

/// Returns the columns with other types, or `None` where nothing has to change.
pub(crate) fn as_read(metadata: &ArrowReaderMetadata) -> Option<SchemaRef> {
    let found = metadata.schema();
    let mut leaves = Leaves {
        columns: metadata.parquet_schema(),
        next: 0,
    };
    let fields: Vec<FieldRef> = found.fields().iter().map(|field| leaves.field(field)).collect();
    let wanted = Schema::new_with_metadata(fields, found.metadata().clone());
    // The walk met each column once, or its numbers mean nothing.
    (leaves.next == leaves.columns.num_columns() && wanted != **found).then(|| Arc::new(wanted))
}

/// Parquet's columns are Arrow's leaves, in the same order.
struct Leaves<'a> {
    columns: &'a SchemaDescriptor,
    next: usize,
}

impl Leaves<'_> {
    fn field(&mut self, field: &FieldRef) -> FieldRef {
        let with = |data_type: DataType| Arc::new(field.as_ref().clone().with_data_type(data_type));
        match field.data_type() {
            DataType::List(item) => with(DataType::List(self.field(item))),
            DataType::LargeList(item) => with(DataType::LargeList(self.field(item))),
            DataType::ListView(item) => with(DataType::ListView(self.field(item))),
            DataType::LargeListView(item) => with(DataType::LargeListView(self.field(item))),
            DataType::FixedSizeList(item, size) => with(DataType::FixedSizeList(self.field(item), *size)),
            DataType::Map(entries, is_sorted) => with(DataType::Map(self.field(entries), *is_sorted)),
            DataType::Struct(fields) => {
                let fields: Vec<FieldRef> = fields.iter().map(|field| self.field(field)).collect();
                with(DataType::Struct(Fields::from(fields)))
            }
            _ => self.leaf(field),
        }
    }

    fn leaf(&mut self, field: &FieldRef) -> FieldRef {
        let index = self.next;
        self.next += 1;
        if index >= self.columns.num_columns() {
            return Arc::clone(field);
        }
        let column = self.columns.column(index);
        let field = &without_dictionary(field, column.physical_type());
        let logical = column.logical_type_ref();
        match (field.data_type(), column.physical_type(), logical) {
            (DataType::Timestamp(_, zone), PhysicalType::INT96, _) => Arc::new(
                field
                    .as_ref()
                    .clone()
                    .with_data_type(DataType::Timestamp(TimeUnit::Microsecond, zone.clone())),
            ),
            // An Arrow schema in the file may name another unit than the column has.
            (DataType::Timestamp(unit, zone), PhysicalType::INT64, Some(LogicalType::Timestamp(written)))
                if *unit != arrow_unit(&written.unit) =>
            {
                Arc::new(
                    field
                        .as_ref()
                        .clone()
                        .with_data_type(DataType::Timestamp(arrow_unit(&written.unit), zone.clone())),
                )
            }
            (DataType::FixedSizeBinary(16), _, Some(LogicalType::Uuid)) => marked(field, UUID_EXTENSION),
            (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, _, Some(LogicalType::Json)) => {
                marked(field, JSON_EXTENSION)
            }
            _ => Arc::clone(field),
        }
    }
}

/// Returns a field without its dictionary, unless it holds texts or bytes: the crate makes no others. Of other values
/// it panics: for times of 96 bits, booleans, and more values than the keys can count, which a batch may hold though
/// each of its writer's batches did not.
fn without_dictionary(field: &FieldRef, physical: PhysicalType) -> FieldRef {
    match field.data_type() {
        DataType::Dictionary(_, values) if physical != PhysicalType::BYTE_ARRAY => {
            Arc::new(Field::clone(field).with_data_type(DataType::clone(values)))
        }
        _ => Arc::clone(field),
    }
}

fn arrow_unit(unit: &ParquetUnit) -> TimeUnit {
    match unit {
        ParquetUnit::MILLIS => TimeUnit::Millisecond,
        ParquetUnit::MICROS => TimeUnit::Microsecond,
        ParquetUnit::NANOS => TimeUnit::Nanosecond,
    }
}

/// Returns the field with a mark; one of the writer's own stays.
fn marked(field: &FieldRef, extension: &str) -> FieldRef {
    let mut metadata = field.metadata().clone();
    if metadata.contains_key(EXTENSION_NAME) {
        return Arc::clone(field);
    }
    metadata.insert(EXTENSION_NAME.to_owned(), extension.to_owned());
    metadata.insert(EXTENSION_METADATA.to_owned(), String::new());
    Arc::new(Field::clone(field).with_metadata(metadata))
}
