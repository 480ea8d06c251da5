//! Column encoders: prepared once for a schema, bound to the arrays of each block, then asked row by row. They build
//! no value and no row, they append text.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, GenericBinaryArray, GenericStringArray, OffsetSizeTrait, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_schema::{ArrowError, DataType, Field};

use super::super::{EncodeError, Repairs, UnsupportedColumn, json_text, types};
use super::number;
use super::scalar::Scalar;

/// A column, or a field of a struct: its key and how its values are written.
#[derive(Debug)]
pub struct Column {
    /// What precedes the value: an opening brace or a comma, the escaped key and a colon.
    pub(super) prefix: Vec<u8>,
    pub(super) kind: Kind,
}

/// What a schema says of values beyond their arrays' type.
#[derive(Debug)]
pub(super) enum Kind {
    /// Strings that are JSON text.
    Json,
    /// Everything that is not nested.
    Plain,
    /// Lists of any sort.
    List(Box<Kind>),
    Struct(Vec<Column>),
    /// The kind of the values; keys are plain.
    Map(Box<Kind>),
}

/// What writing needs besides the arrays: a stack and a buffer that are used again, and the count of repairs.
#[derive(Debug, Default)]
pub struct Scratch {
    json: json_text::Writer,
    key: Vec<u8>,
    pub repairs: Repairs,
}

impl Column {
    /// Returns the encoder of the column or struct field number `index`. `json` says that its text is JSON.
    ///
    /// # Errors
    /// A map's entries are not a key and a value.
    pub fn new(index: usize, field: &Field, json: bool) -> Result<Self, EncodeError> {
        let mut prefix = vec![if index == 0 { b'{' } else { b',' }];
        json_text::write_string(field.name().as_bytes(), &mut prefix);
        prefix.push(b':');
        let kind = Kind::of(field, json)?;
        Ok(Column { prefix, kind })
    }
}

impl Kind {
    fn of(field: &Field, json: bool) -> Result<Self, EncodeError> {
        Ok(match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if json => Kind::Json,
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                Kind::List(Box::new(Kind::of(item, types::is_json(item))?))
            }
            DataType::Struct(fields) => {
                let columns = fields
                    .iter()
                    .enumerate()
                    .map(|(index, field)| Column::new(index, field, types::is_json(field)));
                Kind::Struct(columns.collect::<Result<_, _>>()?)
            }
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) if fields.len() == 2 => {
                    Kind::Map(Box::new(Kind::of(&fields[1], types::is_json(&fields[1]))?))
                }
                _ => return Err(unsupported(field.name(), field.data_type())),
            },
            _ => Kind::Plain,
        })
    }
}

fn unsupported(column: &str, data_type: &DataType) -> EncodeError {
    EncodeError::UnsupportedColumns(vec![UnsupportedColumn {
        column: column.to_owned(),
        data_type: data_type.to_string(),
        reason: "JSON Lines cannot represent it",
    }])
}

/// Makes the error about an array that the schema did not announce.
fn foreign(array: &ArrayRef) -> EncodeError {
    let message = format!(
        "a block contains values of type {}, which its schema does not",
        array.data_type()
    );
    EncodeError::Arrow(ArrowError::SchemaError(message))
}

/// A column encoder bound to a block.
pub struct Bound<'a> {
    pub(super) prefix: &'a [u8],
    pub(super) values: Nullable<'a>,
}

pub(super) struct Nullable<'a> {
    pub(super) nulls: Option<&'a NullBuffer>,
    pub(super) values: Values<'a>,
}

/// The values of an array, by how they are written.
pub(super) enum Values<'a> {
    Scalar(Scalar<'a>),
    String(Strings<'a>),
    Json(Strings<'a>),
    Binary(Bytes<'a>),
    List(Ranges<'a>, Box<Nullable<'a>>),
    Struct(Vec<Bound<'a>>),
    Map(Ranges<'a>, Box<(Nullable<'a>, Nullable<'a>)>),
}

pub(super) enum Strings<'a> {
    Small(&'a GenericStringArray<i32>),
    Large(&'a GenericStringArray<i64>),
    View(&'a arrow_array::StringViewArray),
}

pub(super) enum Bytes<'a> {
    Small(&'a GenericBinaryArray<i32>),
    Large(&'a GenericBinaryArray<i64>),
    View(&'a arrow_array::BinaryViewArray),
    Fixed(&'a arrow_array::FixedSizeBinaryArray),
}

/// The position of each row's elements.
pub(super) enum Ranges<'a> {
    Small(&'a [i32]),
    Large(&'a [i64]),
    Fixed(usize),
}

impl Strings<'_> {
    #[inline]
    pub(super) fn value(&self, row: usize) -> &str {
        match self {
            Strings::Small(array) => array.value(row),
            Strings::Large(array) => array.value(row),
            Strings::View(array) => array.value(row),
        }
    }
}

impl Bytes<'_> {
    pub(super) fn value(&self, row: usize) -> &[u8] {
        match self {
            Bytes::Small(array) => array.value(row),
            Bytes::Large(array) => array.value(row),
            Bytes::View(array) => array.value(row),
            Bytes::Fixed(array) => array.value(row),
        }
    }
}

impl Ranges<'_> {
    pub(super) fn of(&self, row: usize) -> std::ops::Range<usize> {
        fn between<O: OffsetSizeTrait>(offsets: &[O], row: usize) -> std::ops::Range<usize> {
            offsets[row].as_usize()..offsets[row + 1].as_usize()
        }
        match self {
            Ranges::Small(offsets) => between(offsets, row),
            Ranges::Large(offsets) => between(offsets, row),
            Ranges::Fixed(width) => row * width..(row + 1) * width,
        }
    }
}

/// Binds the encoders to the arrays of a block of the schema that they were prepared for.
///
/// # Errors
/// A column is of a type that JSON Lines cannot hold.
pub fn bind<'a>(columns: &'a [Column], block: &'a RecordBatch) -> Result<Vec<Bound<'a>>, EncodeError> {
    bind_all(columns, block.columns())
}

fn bind_all<'a>(columns: &'a [Column], arrays: &'a [ArrayRef]) -> Result<Vec<Bound<'a>>, EncodeError> {
    let pairs = columns.iter().zip(arrays);
    pairs
        .map(|(column, array)| {
            Ok(Bound {
                prefix: &column.prefix,
                values: bind_array(&column.kind, array)?,
            })
        })
        .collect()
}

fn bind_array<'a>(kind: &'a Kind, array: &'a ArrayRef) -> Result<Nullable<'a>, EncodeError> {
    let values = match (kind, array.data_type()) {
        (Kind::List(item), DataType::List(_)) => {
            let list = array.as_list::<i32>();
            let ranges = Ranges::Small(list.value_offsets());
            Values::List(ranges, Box::new(bind_array(item, list.values())?))
        }
        (Kind::List(item), DataType::LargeList(_)) => {
            let list = array.as_list::<i64>();
            let ranges = Ranges::Large(list.value_offsets());
            Values::List(ranges, Box::new(bind_array(item, list.values())?))
        }
        (Kind::List(item), DataType::FixedSizeList(_, width)) => {
            let list = array.as_fixed_size_list();
            let ranges = Ranges::Fixed(width.unsigned_abs() as usize);
            Values::List(ranges, Box::new(bind_array(item, list.values())?))
        }
        (Kind::Struct(columns), DataType::Struct(_)) => Values::Struct(bind_all(columns, array.as_struct().columns())?),
        (Kind::Map(value), DataType::Map(_, _)) => {
            let map = array.as_map();
            let keys = bind_array(&Kind::Plain, map.keys())?;
            let values = bind_array(value, map.values())?;
            Values::Map(Ranges::Small(map.value_offsets()), Box::new((keys, values)))
        }
        (Kind::Json, _) => match strings(array) {
            Some(strings) => Values::Json(strings),
            None => return Err(foreign(array)),
        },
        _ => bind_plain(array).ok_or_else(|| foreign(array))?,
    };
    Ok(Nullable {
        nulls: array.nulls(),
        values,
    })
}

fn strings(array: &ArrayRef) -> Option<Strings<'_>> {
    Some(match array.data_type() {
        DataType::Utf8 => Strings::Small(array.as_string()),
        DataType::LargeUtf8 => Strings::Large(array.as_string()),
        DataType::Utf8View => Strings::View(array.as_string_view()),
        _ => return None,
    })
}

fn bind_plain(array: &ArrayRef) -> Option<Values<'_>> {
    Some(match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Values::String(strings(array)?),
        DataType::Binary => Values::Binary(Bytes::Small(array.as_binary())),
        DataType::LargeBinary => Values::Binary(Bytes::Large(array.as_binary())),
        DataType::BinaryView => Values::Binary(Bytes::View(array.as_binary_view())),
        DataType::FixedSizeBinary(_) => Values::Binary(Bytes::Fixed(array.as_fixed_size_binary())),
        _ => Values::Scalar(Scalar::bind(array)?),
    })
}

/// Appends a row and its line break.
pub fn write_row(columns: &[Bound<'_>], row: usize, out: &mut Vec<u8>, scratch: &mut Scratch) {
    write_fields(columns, row, out, scratch);
    out.push(b'\n');
}

fn write_fields(columns: &[Bound<'_>], row: usize, out: &mut Vec<u8>, scratch: &mut Scratch) {
    if columns.is_empty() {
        out.push(b'{');
    }
    for column in columns {
        out.extend_from_slice(column.prefix);
        write_value(&column.values, row, out, scratch);
    }
    out.push(b'}');
}

fn write_value(array: &Nullable<'_>, row: usize, out: &mut Vec<u8>, scratch: &mut Scratch) {
    if array.nulls.is_some_and(|nulls| nulls.is_null(row)) {
        out.extend_from_slice(b"null");
        return;
    }
    match &array.values {
        Values::Json(texts) => {
            scratch.json.write(texts.value(row), out, &mut scratch.repairs);
        }
        Values::String(texts) => json_text::write_string(texts.value(row).as_bytes(), out),
        Values::Binary(bytes) => number::write_binary(bytes.value(row), out),
        Values::List(ranges, items) => {
            out.push(b'[');
            for (count, item) in ranges.of(row).enumerate() {
                if count > 0 {
                    out.push(b',');
                }
                write_value(items, item, out, scratch);
            }
            out.push(b']');
        }
        Values::Struct(columns) => write_fields(columns, row, out, scratch),
        Values::Map(ranges, entries) => {
            out.push(b'{');
            for (count, entry) in ranges.of(row).enumerate() {
                if count > 0 {
                    out.push(b',');
                }
                write_key(&entries.0, entry, out, scratch);
                out.push(b':');
                write_value(&entries.1, entry, out, scratch);
            }
            out.push(b'}');
        }
        Values::Scalar(values) => values.write(row, out),
    }
}

/// Writes a map's key: the string, or the JSON text of any other value, as a string.
fn write_key(keys: &Nullable<'_>, entry: usize, out: &mut Vec<u8>, scratch: &mut Scratch) {
    let mut text = std::mem::take(&mut scratch.key);
    text.clear();
    write_value(keys, entry, &mut text, scratch);
    if text.starts_with(b"\"") {
        out.extend_from_slice(&text);
    } else {
        json_text::write_string(&text, out);
    }
    scratch.key = text;
}
