//! Compares what Arrow IPC messages declare with the bytes received. Arrow's reader checks the contents of arrays, but
//! trusts the stated position and size of their buffers and the number of their values. Reads no values.
//!
//! Recursion follows the schema's nesting, which the IPC reader bounds (64 levels), not the data's.

use arrow_ipc::{Message, MessageHeader, RecordBatch, root_as_message};
use arrow_schema::{DataType, Schema};

/// Marker before the length of a message since version 0.15 of the format.
/// <https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format>
const CONTINUATION: u32 = u32::MAX;
/// Maximum number of rows of a batch: 8 MiB, the usual size of a batch, of rows of one byte each. Nothing else would
/// bound rows of nulls, which take no bytes.
pub const MAX_BATCH_ROWS: usize = 8 << 20;
/// Maximum number of values in a byte: booleans.
const VALUES_PER_BYTE: usize = 8;

/// Checks the messages of one call, in a stream of this schema.
///
/// # Errors
/// Describes what is wrong with the first message that cannot be read safely.
pub fn check(messages: &[u8], schema: &Schema) -> Result<(), String> {
    let mut rest = messages;
    while !rest.is_empty() {
        let mut length = take_length(&mut rest)?;
        if length == CONTINUATION {
            length = take_length(&mut rest)?;
        }
        if length == 0 {
            // The end of the stream, which the decoder judges.
            return Ok(());
        }
        let message = take(&mut rest, i64::from(length))?;
        let message =
            root_as_message(message).map_err(|error| format!("a message has no readable header ({error})"))?;
        let body = take(&mut rest, message.bodyLength())?;
        if let Some((columns, types)) = columns(&message, schema)? {
            check_sizes(&columns, body.len())?;
            Layout::of(&columns, body.len()).check_all(&types)?;
        }
    }
    Ok(())
}

fn take_length(rest: &mut &[u8]) -> Result<u32, String> {
    let (length, after) = rest.split_first_chunk().ok_or_else(cut_off)?;
    *rest = after;
    Ok(u32::from_le_bytes(*length))
}

fn take<'a>(rest: &mut &'a [u8], length: i64) -> Result<&'a [u8], String> {
    let length = usize::try_from(length).map_err(|_| cut_off())?;
    let (taken, after) = rest.split_at_checked(length).ok_or_else(cut_off)?;
    *rest = after;
    Ok(taken)
}

fn cut_off() -> String {
    "a message is truncated".to_owned()
}

/// Returns the columns that a message carries, with their types, if it is of a kind that has columns.
fn columns<'a, 's>(
    message: &Message<'a>,
    schema: &'s Schema,
) -> Result<Option<(RecordBatch<'a>, Vec<&'s DataType>)>, String> {
    let (columns, types) = match message.header_type() {
        MessageHeader::RecordBatch => (
            message.header_as_record_batch(),
            schema.fields().iter().map(|field| field.data_type()).collect(),
        ),
        MessageHeader::DictionaryBatch => match message.header_as_dictionary_batch() {
            Some(dictionary) => (
                dictionary.data(),
                dictionary_values(schema, dictionary.id()).into_iter().collect(),
            ),
            None => (None, Vec::new()),
        },
        _ => return Ok(None),
    };
    columns
        .map(|columns| Some((columns, types)))
        .ok_or_else(|| "a message has no columns".to_owned())
}

/// Returns the type of a dictionary's values, looked up as Arrow's reader does, by the first matching field.
#[expect(deprecated, reason = "the reader itself still goes by these ids")]
fn dictionary_values(schema: &Schema, id: i64) -> Option<&DataType> {
    match schema.fields_with_dict_id(id).first()?.data_type() {
        DataType::Dictionary(_, values) => Some(values),
        _ => None,
    }
}

fn check_sizes(columns: &RecordBatch<'_>, body_bytes: usize) -> Result<(), String> {
    if columns.compression().is_some() {
        return Err("compressed buffers are not supported".to_owned());
    }
    if !usize::try_from(columns.length()).is_ok_and(|rows| rows <= MAX_BATCH_ROWS) {
        return Err(format!(
            "a batch contains {} rows, more than {MAX_BATCH_ROWS}",
            columns.length()
        ));
    }
    let most_values = MAX_BATCH_ROWS.saturating_add(body_bytes.saturating_mul(VALUES_PER_BYTE));
    for node in columns.nodes().iter().flatten() {
        let values = usize::try_from(node.length()).unwrap_or(usize::MAX);
        if values > most_values || !(0..=node.length()).contains(&node.null_count()) {
            return Err(format!(
                "a column claims {} values and {} nulls in {body_bytes} bytes",
                node.length(),
                node.null_count()
            ));
        }
    }
    for buffer in columns.buffers().iter().flatten() {
        let end = buffer.offset().checked_add(buffer.length());
        let is_inside = buffer.offset() >= 0
            && buffer.length() >= 0
            && end
                .and_then(|end| usize::try_from(end).ok())
                .is_some_and(|end| end <= body_bytes);
        if !is_inside {
            return Err(format!(
                "a column claims {} bytes at {} of {body_bytes} bytes",
                buffer.length(),
                buffer.offset()
            ));
        }
    }
    Ok(())
}

/// The lengths of a message's columns and buffers, consumed in the order in which types own them.
struct Layout {
    body_bytes: u64,
    /// Values of each column, those of nested ones after the column that holds them.
    values: std::vec::IntoIter<i64>,
    lengths: std::vec::IntoIter<i64>,
    /// For each column of views, how many buffers it has besides its views.
    variadic_counts: std::vec::IntoIter<i64>,
}

impl Layout {
    fn of(columns: &RecordBatch<'_>, body_bytes: usize) -> Self {
        let values = columns.nodes().into_iter().flatten();
        let values: Vec<i64> = values.map(|node| node.length()).collect();
        let lengths = columns.buffers().into_iter().flatten();
        let lengths: Vec<i64> = lengths.map(|buffer| buffer.length()).collect();
        let counts = columns.variadicBufferCounts().into_iter().flatten();
        let counts: Vec<i64> = counts.collect();
        Layout {
            body_bytes: body_bytes as u64,
            values: values.into_iter(),
            lengths: lengths.into_iter(),
            variadic_counts: counts.into_iter(),
        }
    }

    fn check_all(&mut self, types: &[&DataType]) -> Result<(), String> {
        types.iter().try_for_each(|data_type| self.check(data_type))
    }

    /// Checks that the lengths of offsets, views and dictionary keys are multiples of their width, because the reader
    /// panics otherwise. It checks itself that there are enough of them.
    fn check(&mut self, data_type: &DataType) -> Result<(), String> {
        // If there are too few columns, the reader says so.
        let values = self.values.next().unwrap_or_default();
        match data_type {
            DataType::Null => Ok(()),
            DataType::Utf8 | DataType::Binary => self.wholes(data_type, 4, 1),
            DataType::LargeUtf8 | DataType::LargeBinary => self.wholes(data_type, 8, 1),
            DataType::Utf8View | DataType::BinaryView => {
                let count = self.variadic_counts.next().unwrap_or_default();
                let count = usize::try_from(count).unwrap_or_default();
                self.wholes(data_type, 16, count)
            }
            DataType::List(item) | DataType::Map(item, _) => {
                self.wholes(data_type, 4, 0)?;
                self.check(item.data_type())
            }
            DataType::LargeList(item) => {
                self.wholes(data_type, 8, 0)?;
                self.check(item.data_type())
            }
            DataType::FixedSizeList(item, width) => {
                self.fixed(data_type, values, *width)?;
                self.skip(1);
                self.check(item.data_type())
            }
            DataType::Struct(fields) => {
                self.skip(1);
                let mut fields = fields.iter();
                fields.try_for_each(|field| self.check(field.data_type()))
            }
            DataType::Dictionary(key, _) => self.wholes(data_type, key.primitive_width().unwrap_or(1), 0),
            DataType::FixedSizeBinary(width) => {
                self.fixed(data_type, values, *width)?;
                self.skip(2);
                Ok(())
            }
            DataType::Boolean => {
                self.skip(2);
                Ok(())
            }
            other if other.primitive_width().is_some() => {
                self.skip(2);
                Ok(())
            }
            // Refused when the run is configured, so rows of such a column are never counted.
            other => Err(format!("a column is of type {other}, which is not supported")),
        }
    }

    /// Checks a product that the reader computes in `usize`, which has 32 bits here, before it compares it with the
    /// actual length.
    fn fixed(&self, of: &DataType, values: i64, width: i32) -> Result<(), String> {
        // The reader assumes it, and a dictionary can arrive before the schema is checked for the format.
        let width = u64::try_from(width).map_err(|_| format!("a column of type {of} has a negative width"))?;
        let values = values.unsigned_abs();
        // A list's values may be booleans, or nothing at all.
        let most = (MAX_BATCH_ROWS as u64).saturating_add(self.body_bytes * VALUES_PER_BYTE as u64);
        match values.saturating_mul(width) > most {
            false => Ok(()),
            true => Err(format!(
                "a column of type {of} claims {values} values in {} bytes",
                self.body_bytes
            )),
        }
    }

    /// Skips the null bits, then a buffer of values of `width_bytes`, then `more` buffers of bytes.
    fn wholes(&mut self, of: &DataType, width_bytes: usize, more: usize) -> Result<(), String> {
        self.skip(1);
        // If there are too few buffers, the reader says so.
        let length = self.lengths.next().unwrap_or_default();
        self.skip(more);
        match length % width_bytes as i64 {
            0 => Ok(()),
            _ => Err(format!(
                "a column of type {of} has {length} bytes, which is not a multiple of {width_bytes}"
            )),
        }
    }

    fn skip(&mut self, buffers: usize) {
        self.lengths.by_ref().take(buffers).for_each(drop);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, DictionaryArray, FixedSizeBinaryArray, Int32RunArray, NullArray, RecordBatch, StringArray,
        StringViewArray,
    };
    use arrow::datatypes::{DataType, Field, Int32Type, Schema};
    use arrow::ipc::CompressionType;
    use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};

    use crate::failure::{Explanation, Failure};
    use crate::ipc::Decoder;

    const ROWS: i64 = 3;

    /// Two adjacent numbers in a message's header.
    type Pair = (i64, i64);

    fn text() -> ArrayRef {
        Arc::new(StringArray::from(vec![Some("a"), None, Some("b")]))
    }

    fn views() -> ArrayRef {
        let long = "longer than the twelve bytes that a view holds";
        Arc::new(StringViewArray::from(vec![Some("a"), None, Some(long)]))
    }

    fn words() -> ArrayRef {
        let words: DictionaryArray<Int32Type> = [Some("a"), None, Some("b")].into_iter().collect();
        Arc::new(words)
    }

    /// Schema message and the messages of one batch.
    fn messages(column: ArrayRef) -> (Vec<u8>, Vec<u8>) {
        let batch = RecordBatch::try_from_iter_with_nullable([("c", column, true)]).unwrap();
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
        let schema = std::mem::take(writer.get_mut());
        writer.write(&batch).unwrap();
        (schema, std::mem::take(writer.get_mut()))
    }

    /// Returns the messages with one pair of numbers, as encoded in a message's header, replaced by another.
    fn with(messages: &[u8], from: Pair, to: Pair) -> Vec<u8> {
        let pair = |(a, b): Pair| [a.to_le_bytes(), b.to_le_bytes()].concat();
        let found = messages.windows(16).position(|at| at == pair(from));
        let at = found.unwrap_or_else(|| panic!("no {from:?}"));
        let mut changed = messages.to_vec();
        changed[at..at + 16].copy_from_slice(&pair(to));
        changed
    }

    fn decoded(schema: &[u8], messages: Vec<u8>) -> Result<RecordBatch, Failure> {
        Decoder::new(schema.to_vec()).unwrap().batch(messages)
    }

    #[test]
    fn what_messages_say_of_themselves_fits_their_bytes() {
        // A batch's column has its values and nulls as a pair, and for each buffer its place and length.
        let node = (ROWS, 1);
        let cases: [(ArrayRef, Pair, Pair, &str); 9] = [
            (
                text(),
                node,
                (i64::MAX, 1),
                "a column claims 9223372036854775807 values",
            ),
            (text(), node, (-1, 0), "a column claims -1 values"),
            (text(), node, (ROWS, 4), "a column claims 3 values and 4 nulls"),
            (
                text(),
                (64, 16),
                (1 << 40, 16),
                "a column claims 16 bytes at 1099511627776 of ",
            ),
            (
                text(),
                (64, 16),
                (i64::MAX, 16),
                "a column claims 16 bytes at 9223372036854775807 of ",
            ),
            (text(), (64, 16), (64, -16), "a column claims -16 bytes at 64 of "),
            (
                text(),
                (64, 16),
                (64, 17),
                "Utf8 has 17 bytes, which is not a multiple of 4",
            ),
            (
                views(),
                (64, 48),
                (64, 49),
                "Utf8View has 49 bytes, which is not a multiple of 16",
            ),
            (
                words(),
                (64, 12),
                (64, 11),
                "Dictionary(Int32, Utf8) has 11 bytes, which is not a multiple of 4",
            ),
        ];
        for (column, from, to, expected) in cases {
            let (schema, messages) = messages(column);
            decoded(&schema, messages.clone()).unwrap();
            match decoded(&schema, with(&messages, from, to)) {
                Err(Failure::Data(Explanation { message, .. })) => {
                    assert!(message.contains(expected), "{message}: not {expected}");
                }
                other => panic!("{expected}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_fixed_width_that_overflows_32_bits_is_refused() {
        let (_, bytes) = messages(Arc::new(
            FixedSizeBinaryArray::try_from_iter([b"abcd", b"efgh", b"ijkl"].into_iter()).unwrap(),
        ));
        let wide = DataType::FixedSizeBinary(1_431_655_766);
        let (schema, _) = messages(arrow::array::new_empty_array(&wide));
        let Err(Failure::Data(Explanation { message, .. })) = decoded(&schema, bytes) else {
            panic!("three values of that width come to two bytes in 32 bits");
        };
        let expected = "a column of type FixedSizeBinary(1431655766) claims 3 values in ";
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn batches_that_are_packed_endless_or_of_another_kind_are_refused() {
        let runs: Int32RunArray = [Some("a"), Some("a")].into_iter().collect();
        let rows = super::MAX_BATCH_ROWS + 1;
        let cases: [(ArrayRef, Option<CompressionType>, &str); 3] = [
            (
                text(),
                Some(CompressionType::ZSTD),
                "compressed buffers are not supported",
            ),
            (
                Arc::new(NullArray::new(rows)),
                None,
                "a batch contains 8388609 rows, more than 8388608",
            ),
            (
                Arc::new(runs),
                None,
                "a column is of type RunEndEncoded(non-null Int32, Utf8), which is not supported",
            ),
        ];
        for (column, compression, expected) in cases {
            let batch = RecordBatch::try_from_iter_with_nullable([("c", column, true)]).unwrap();
            let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
            let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
            let schema = std::mem::take(writer.get_mut());
            writer.write(&batch).unwrap();
            match decoded(&schema, std::mem::take(writer.get_mut())) {
                Err(Failure::Data(Explanation { message, .. })) => assert!(message.ends_with(expected), "{message}"),
                other => panic!("{expected}: {other:?}"),
            }
        }
    }

    #[test]
    fn widths_are_not_negative() {
        let item = Arc::new(Field::new_list_field(DataType::Int32, true));
        for odd in [DataType::FixedSizeBinary(-1), DataType::FixedSizeList(item, -1)] {
            let expected = format!("a column of type {odd} has a negative width");
            let schema = Schema::new(vec![Field::new("c", odd, true)]);
            let mut schema = StreamWriter::try_new(Vec::new(), &schema).unwrap();
            let (_, messages) = messages(text());
            let Err(Failure::Data(Explanation { message, .. })) = decoded(schema.get_mut(), messages) else {
                panic!("not refused: {expected}");
            };
            assert!(message.ends_with(&expected), "{message}: not {expected}");
        }
    }

    #[test]
    fn rows_with_the_schema_are_refused() {
        let (schema, messages) = messages(text());
        let both = [schema, messages].concat();
        let Err(Failure::Data(Explanation { message, .. })) = Decoder::new(both) else {
            panic!("rows were lost");
        };
        assert!(message.ends_with("the schema message is followed by rows"), "{message}");
    }
}
