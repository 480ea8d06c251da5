//! Values as they arrive from ClickHouse as those that a column becomes: bytes become text, text becomes UUIDs. What is
//! not UTF-8 is repaired and counted; nothing else changes.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryBuilder, GenericListArray, MapArray, OffsetSizeTrait, StringArray,
    StringBuilder, StructArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;

use super::types::{Meaning, Shape, Wire, entries};

/// Returns the values of a column in the type that it becomes, and adds to `repaired` how many texts were not UTF-8.
pub(super) fn converted(shape: &Shape, found: &ArrayRef, repaired: &mut u64) -> Result<ArrayRef, ArrowError> {
    Ok(match &shape.wire {
        Wire::Same(_) => Arc::clone(found),
        Wire::Text(Meaning::Uuid) => uuids(&text(found, repaired)?)?,
        Wire::Text(_) | Wire::Fixed(_) => Arc::new(text(found, repaired)?),
        Wire::List(item) => Arc::new(list::<i32>(item, found, repaired)?),
        Wire::Struct(members) => {
            let found = found.as_struct();
            let columns: Result<Vec<ArrayRef>, ArrowError> = members
                .iter()
                .zip(found.columns())
                .map(|((_, of), column)| converted(of, column, repaired))
                .collect();
            let fields = members.iter().map(|(name, of)| of.field(name)).collect();
            Arc::new(StructArray::try_new(fields, columns?, found.nulls().cloned())?)
        }
        Wire::Map(key, value) => Arc::new(map(key, value, found, repaired)?),
    })
}

fn list<O: OffsetSizeTrait>(
    item: &Shape,
    found: &ArrayRef,
    repaired: &mut u64,
) -> Result<GenericListArray<O>, ArrowError> {
    let found = found.as_list::<O>();
    let values = converted(item, found.values(), repaired)?;
    let field: Arc<Field> = Arc::new(item.field("item"));
    GenericListArray::try_new(field, found.offsets().clone(), values, found.nulls().cloned())
}

fn map(key: &Shape, value: &Shape, found: &ArrayRef, repaired: &mut u64) -> Result<MapArray, ArrowError> {
    let found = found.as_map();
    let keys = converted(key, found.keys(), repaired)?;
    let values = converted(value, found.values(), repaired)?;
    let field = entries(key, value);
    let DataType::Struct(pair) = field.data_type() else {
        return Err(ArrowError::SchemaError("the pairs of a map are a struct".to_owned()));
    };
    let pairs = StructArray::try_new(pair.clone(), vec![keys, values], None)?;
    MapArray::try_new(
        Arc::new(field),
        found.offsets().clone(),
        pairs,
        found.nulls().cloned(),
        false,
    )
}

fn text(found: &ArrayRef, repaired: &mut u64) -> Result<StringArray, ArrowError> {
    match found.data_type() {
        DataType::Utf8 => Ok(found.as_string::<i32>().clone()),
        DataType::LargeUtf8 => Ok(cast(found, &DataType::Utf8)?.as_string::<i32>().clone()),
        DataType::FixedSizeBinary(_) => {
            let found = cast(found, &DataType::Binary)?;
            bytes_as_text(&found, repaired)
        }
        DataType::LargeBinary => {
            let found = cast(found, &DataType::Binary)?;
            bytes_as_text(&found, repaired)
        }
        _ => bytes_as_text(found, repaired),
    }
}

/// Valid UTF-8 stays where it is.
fn bytes_as_text(found: &ArrayRef, repaired: &mut u64) -> Result<StringArray, ArrowError> {
    let bytes = found.as_binary::<i32>();
    if let Ok(texts) = StringArray::try_from_binary(bytes.clone()) {
        return Ok(texts);
    }
    let mut texts = StringBuilder::with_capacity(bytes.len(), bytes.values().len());
    for value in bytes {
        let text = value.map(String::from_utf8_lossy);
        *repaired += u64::from(matches!(text, Some(Cow::Owned(_))));
        texts.append_option(text);
    }
    Ok(texts.finish())
}

/// Digits of a UUID, as everybody writes it, without the dashes.
const UUID_DIGITS: usize = 32;

fn uuids(texts: &StringArray) -> Result<ArrayRef, ArrowError> {
    let mut uuids = FixedSizeBinaryBuilder::with_capacity(texts.len(), 16);
    for text in texts {
        match text {
            None => uuids.append_null(),
            Some(text) => {
                let uuid = uuid(text).ok_or_else(|| ArrowError::ParseError(format!("`{text}` is not a UUID")))?;
                uuids.append_value(uuid)?;
            }
        }
    }
    Ok(Arc::new(uuids.finish()))
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    let digits = text.bytes().filter(|byte| *byte != b'-');
    let mut bytes = [0; 16];
    let mut count = 0;
    for digit in digits {
        let value = char::from(digit).to_digit(16)?;
        let byte = bytes.get_mut(count / 2)?;
        *byte = *byte << 4 | u8::try_from(value).ok()?;
        count += 1;
    }
    (count == UUID_DIGITS).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BinaryArray, FixedSizeBinaryArray, ListArray};
    use arrow::buffer::OffsetBuffer;

    fn shape(written: &str) -> Shape {
        Shape::of(written).expect("a type")
    }

    #[test]
    fn texts_that_are_not_utf8_are_repaired_and_counted() {
        let found: ArrayRef = Arc::new(BinaryArray::from_opt_vec(vec![
            Some(b"a\xffb"),
            None,
            Some("é".as_bytes()),
            Some(b"\xc3"),
        ]));
        let mut repaired = 0;
        let texts = converted(&shape("Nullable(String)"), &found, &mut repaired).expect("texts");
        let expect = StringArray::from(vec![Some("a\u{fffd}b"), None, Some("é"), Some("\u{fffd}")]);
        assert_eq!((texts.as_string::<i32>(), repaired), (&expect, 2));
    }

    #[test]
    fn bytes_of_fixed_length_keep_their_zeros_and_bytes_inside_lists_become_text() {
        let bytes = FixedSizeBinaryArray::try_from_iter([b"ab\0\0", b"\0\0\0\0"].into_iter()).expect("bytes");
        let mut repaired = 0;
        let fixed: ArrayRef = Arc::new(bytes);
        let texts = converted(&shape("FixedString(4)"), &fixed, &mut repaired).expect("texts");
        assert_eq!(texts.as_string::<i32>().value(0), "ab\0\0");
        let list = ListArray::new(
            Arc::new(Field::new("x", DataType::FixedSizeBinary(4), false)),
            OffsetBuffer::from_lengths([1, 0, 1]),
            fixed,
            None,
        );
        let shape = shape("Array(FixedString(4))");
        let found: ArrayRef = Arc::new(list);
        assert!(shape.takes(found.data_type()));
        let lists = converted(&shape, &found, &mut repaired).expect("lists");
        assert_eq!(*lists.data_type(), shape.data_type());
        assert_eq!(lists.as_list::<i32>().value(0).as_string::<i32>().value(0), "ab\0\0");
        assert_eq!(repaired, 0);
    }

    #[test]
    fn uuids_are_read_or_refused() {
        let texts = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![Some(text), None])) };
        let good = texts("00112233-4455-6677-8899-aabbccddeeff");
        let found = converted(&shape("Nullable(UUID)"), &good, &mut 0).expect("UUIDs");
        let expect: Vec<u8> = (0..16).map(|n| n * 17).collect();
        assert_eq!(found.as_fixed_size_binary().value(0), expect);
        assert!(found.is_null(1));
        for bad in [
            "",
            "00112233-4455-6677-8899-aabbccddeef",
            "00112233-4455-6677-8899-aabbccddeeffff",
            "x",
        ] {
            converted(&shape("UUID"), &texts(bad), &mut 0).expect_err(bad);
        }
    }
}
