//! The Parquet schema of a block's columns, with the logical types that Arrow knows as extensions: UUID and JSON. Adds
//! nothing else to what the Parquet library makes of an Arrow schema.
//!
//! The library has a feature for it (`arrow_canonical_extension_types`), which would also change what the host's own
//! readers see.

use std::sync::Arc;

use ::parquet::arrow::ArrowSchemaConverter;
use ::parquet::basic::LogicalType;
use ::parquet::errors::ParquetError;
use ::parquet::schema::types::{SchemaDescriptor, Type, TypePtr};
use arrow_schema::{DataType, Field, Schema};

use super::types;

/// Returns the Parquet schema for blocks of `schema`.
///
/// # Errors
/// The library has no Parquet type for a column.
pub fn parquet_schema(schema: &Schema) -> Result<SchemaDescriptor, ParquetError> {
    let made = ArrowSchemaConverter::new().convert(schema)?;
    let root = made.root_schema();
    let columns = root.get_fields().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| annotated(column, field));
    let fields = columns.collect::<Result<_, _>>()?;
    let root = Type::group_type_builder(root.name()).with_fields(fields).build()?;
    Ok(SchemaDescriptor::new(Arc::new(root)))
}

fn annotated(column: &TypePtr, field: &Field) -> Result<TypePtr, ParquetError> {
    match field.data_type() {
        DataType::Struct(fields) => {
            let children = column.get_fields().iter().zip(fields);
            let children = children.map(|(child, field)| annotated(child, field));
            with_children(column, children.collect::<Result<_, _>>()?)
        }
        // A group around a repeated group around the element, or around key and value.
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            let repeated = only_child(column)?;
            let element = annotated(only_child(repeated)?, item)?;
            with_children(column, vec![with_children(repeated, vec![element])?])
        }
        DataType::Map(entries, _) => {
            let repeated = annotated(only_child(column)?, entries)?;
            with_children(column, vec![repeated])
        }
        _ if types::is_uuid(field) => leaf(column, LogicalType::Uuid),
        _ if types::is_json(field) => leaf(column, LogicalType::Json),
        _ => Ok(Arc::clone(column)),
    }
}

fn only_child(group: &Type) -> Result<&TypePtr, ParquetError> {
    group
        .get_fields()
        .first()
        .ok_or_else(|| ParquetError::General(format!("the column {} has no nested column", group.name())))
}

fn leaf(column: &Type, logical_type: LogicalType) -> Result<TypePtr, ParquetError> {
    let length = match column {
        Type::PrimitiveType { type_length, .. } => *type_length,
        Type::GroupType { .. } => -1,
    };
    let made = Type::primitive_type_builder(column.name(), column.get_physical_type())
        .with_repetition(column.get_basic_info().repetition())
        .with_logical_type(Some(logical_type))
        .with_length(length)
        .build()?;
    Ok(Arc::new(made))
}

fn with_children(group: &Type, children: Vec<TypePtr>) -> Result<TypePtr, ParquetError> {
    let about = group.get_basic_info();
    let made = Type::group_type_builder(group.name())
        .with_repetition(about.repetition())
        .with_converted_type(about.converted_type())
        .with_logical_type(about.logical_type_ref().cloned())
        .with_fields(children)
        .build()?;
    Ok(Arc::new(made))
}
