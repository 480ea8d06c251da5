//! Columns of every type that files hold, drawn from a seed: nulls as rare or frequent as asked for.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::*;

/// What a column is drawn from.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    pub rows: usize,
    pub seed: u64,
    /// One value in so many is null.
    pub null_one_in: u64,
}

/// How many kinds of columns there are.
pub const KINDS: usize = 38;

impl Draw {
    fn number(self, row: usize) -> u64 {
        let mixed = (self.seed ^ row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed ^ (mixed >> 29)
    }

    /// Returns a number of 56 bits, or null.
    fn value(self, row: usize) -> Option<u64> {
        let number = self.number(row);
        (!number.is_multiple_of(self.null_one_in)).then_some(number >> 8)
    }

    fn all<T, A: FromIterator<Option<T>>>(self, of: impl Fn(u64) -> T) -> A {
        (0..self.rows).map(|row| self.value(row).map(&of)).collect()
    }

    fn nulls(self) -> NullBuffer {
        (0..self.rows).map(|row| self.value(row).is_some()).collect()
    }

    /// Returns the same rows, other values.
    fn other(self, by: u64) -> Self {
        Draw {
            seed: self.seed ^ by.wrapping_mul(0x2545_F491_4F6C_DD1D),
            ..self
        }
    }

    /// As many rows, each `per_row` values.
    fn inner(self, by: u64, rows: usize) -> Self {
        Draw { rows, ..self.other(by) }
    }

    /// Lengths of lists, with values behind some nulls: Arrow allows it.
    fn lengths(self) -> Vec<usize> {
        (0..self.rows).map(|row| self.number(row) as usize / 7 % 4).collect()
    }
}

fn repeated(n: u64) -> String {
    "\u{e9}\"x".repeat(n as usize % 40)
}

/// No two alike, and more than a dictionary's megabyte in a few thousand rows.
fn unique(n: u64) -> String {
    format!("{n:x}-").repeat(1 + n as usize % 23)
}

fn digits(n: u64, digits: u32) -> i128 {
    let magnitude = i128::from(n) * i128::from(n) % 10_i128.pow(digits);
    if n.is_multiple_of(2) { magnitude } else { -magnitude }
}

fn arc(array: impl Array + 'static) -> ArrayRef {
    Arc::new(array)
}

pub fn column(kind: usize, draw: Draw) -> ArrayRef {
    match kind % KINDS {
        0 => arc(draw.all::<_, Int64Array>(|n| n as i64)),
        1 => arc(draw.all::<_, StringArray>(repeated)),
        2 => arc(draw.all::<_, StringViewArray>(repeated)),
        3 => {
            let texts: StringArray = draw.all(repeated);
            arc(texts.iter().collect::<DictionaryArray<Int16Type>>())
        }
        4 => arc(draw.all::<_, Float64Array>(|n| n as f64 / 7.0)),
        5 => arc(draw.all::<_, BooleanArray>(|n| n.is_multiple_of(2))),
        6 => arc(draw.all::<_, TimestampNanosecondArray>(|n| n as i64)),
        7 => list(draw),
        8 => structure(draw),
        9 => arc(draw.all::<_, StringArray>(unique)),
        10 => arc(draw.all::<_, LargeStringArray>(unique)),
        11 => arc(draw.all::<_, StringViewArray>(unique)),
        12 => arc(draw.all::<_, BinaryArray>(unique)),
        13 => arc(draw.all::<_, LargeBinaryArray>(unique)),
        14 => arc(draw.all::<_, BinaryViewArray>(unique)),
        15 => fixed(draw),
        16 => arc(NullArray::new(draw.rows)),
        17 => arc(draw.all::<_, Int8Array>(|n| n as i8)),
        18 => arc(draw.all::<_, Int16Array>(|n| n as i16)),
        19 => arc(draw.all::<_, Int32Array>(|n| n as i32)),
        20 => arc(draw.all::<_, UInt8Array>(|n| n as u8)),
        21 => arc(draw.all::<_, UInt16Array>(|n| n as u16)),
        22 => arc(draw.all::<_, UInt32Array>(|n| n as u32)),
        23 => arc(draw.all::<_, UInt64Array>(|n| u64::MAX - n)),
        24 => {
            arc(draw.all::<_, Float16Array>(|n| <Float16Type as ArrowPrimitiveType>::Native::from_f32(n as u8 as f32)))
        }
        25 => arc(draw.all::<_, Float32Array>(|n| n as f32)),
        26 => arc(decimal(draw.all::<_, Decimal32Array>(|n| digits(n, 9) as i32), 9)),
        27 => arc(decimal(draw.all::<_, Decimal64Array>(|n| digits(n, 18) as i64), 18)),
        28 => arc(decimal(draw.all::<_, Decimal128Array>(|n| digits(n, 30)), 30)),
        29 => arc(decimal(
            draw.all::<_, Decimal256Array>(|n| i256::from_i128(digits(n, 38))),
            50,
        )),
        30 => arc(draw.all::<_, Date32Array>(|n| n as i32 % 100_000)),
        31 => arc(draw.all::<_, Date64Array>(|n| n as i64 % 10_000_000_000)),
        32 => arc(draw.all::<_, Time32SecondArray>(|n| (n % 86_400) as i32)),
        33 => arc(draw.all::<_, Time64NanosecondArray>(|n| (n % 86_400_000_000) as i64)),
        34 => arc(draw.all::<_, TimestampSecondArray>(|n| n as i64 % 10_000_000_000)),
        35 => map(draw),
        36 => fixed_lists(draw),
        _ => nested_lists(draw),
    }
}

fn decimal<T: DecimalType>(array: PrimitiveArray<T>, precision: u8) -> PrimitiveArray<T> {
    array.with_precision_and_scale(precision, 2).unwrap()
}

fn fixed(draw: Draw) -> ArrayRef {
    let values = (0..draw.rows).map(|row| {
        let half = draw.value(row)?;
        Some([half.to_le_bytes(), draw.number(row + 1).to_le_bytes()].concat())
    });
    arc(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, 16).unwrap())
}

fn list(draw: Draw) -> ArrayRef {
    let lengths = draw.lengths();
    let values = draw.inner(1, lengths.iter().sum());
    let values: Int32Array = values.all(|n| n as i32);
    let item = Arc::new(Field::new_list_field(DataType::Int32, true));
    let offsets = OffsetBuffer::from_lengths(lengths);
    arc(ListArray::new(item, offsets, arc(values), Some(draw.nulls())))
}

fn structure(draw: Draw) -> ArrayRef {
    let fields = Fields::from(vec![
        Field::new("a", DataType::Utf8, true),
        Field::new("b", DataType::Int64, true),
    ]);
    let columns = vec![column(1, draw.other(1)), column(0, draw.other(2))];
    arc(StructArray::new(fields, columns, Some(draw.nulls())))
}

fn map(draw: Draw) -> ArrayRef {
    let lengths = draw.lengths();
    let count = lengths.iter().sum();
    let keys = (0..count).map(|entry| format!("k{}", entry % 9));
    let values = column(9, draw.inner(3, count));
    let fields = Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Utf8, true),
    ]);
    let keys = StringArray::from_iter_values(keys);
    let entries = StructArray::new(fields.clone(), vec![arc(keys), values], None);
    let field = Arc::new(Field::new("entries", DataType::Struct(fields), false));
    let offsets = OffsetBuffer::from_lengths(lengths);
    arc(MapArray::new(field, offsets, entries, Some(draw.nulls()), false))
}

fn fixed_lists(draw: Draw) -> ArrayRef {
    let values = column(6, draw.inner(4, draw.rows * 2));
    let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    arc(FixedSizeListArray::new(item, 2, values, Some(draw.nulls())))
}

/// Large lists of structs of lists and a dictionary.
fn nested_lists(draw: Draw) -> ArrayRef {
    let lengths = draw.lengths();
    let inner = draw.inner(5, lengths.iter().sum());
    let columns = vec![list(inner), column(3, inner.other(1))];
    let fields = Fields::from(vec![
        Field::new("numbers", columns[0].data_type().clone(), true),
        Field::new("word", columns[1].data_type().clone(), true),
    ]);
    let structs = StructArray::new(fields.clone(), columns, Some(inner.nulls()));
    let item = Arc::new(Field::new_list_field(DataType::Struct(fields), true));
    let offsets = OffsetBuffer::from_lengths(lengths);
    arc(LargeListArray::new(item, offsets, arc(structs), Some(draw.nulls())))
}
