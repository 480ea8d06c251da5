//! Decodes Arrow IPC messages from the host into record batches. The bytes are not trusted: anything wrong with them is
//! a data failure, never a crash. Does not copy aligned data.

mod bounds;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::try_schema_from_ipc_buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_schema::SchemaRef;

use crate::failure::Failure;

/// The first bytes of a following message. Arrow's decoder processes a message without a body only once it has bytes of
/// the next one; a batch of only null columns is such a message.
const NEXT_MESSAGE: [u8; 4] = [0xff; 4];

/// The stream of one run: its schema, then one batch at a time.
#[derive(Debug)]
pub struct Decoder {
    stream: StreamDecoder,
    schema: SchemaRef,
}

impl Decoder {
    /// Makes a decoder for batches of the schema in `message`, the schema message of an IPC stream.
    ///
    /// # Errors
    /// `Failure::Data` if it is not one.
    pub fn new(message: Vec<u8>) -> Result<Self, Failure> {
        let schema = try_schema_from_ipc_buffer(&message).map_err(|error| {
            let message = format!("the schema that the host supplied is not an Arrow IPC schema message: {error}");
            Failure::Data(message.into())
        })?;
        bounds::check(&message, &schema).map_err(|what| malformed(&what))?;
        let mut decoder = Decoder {
            stream: StreamDecoder::new(),
            schema: SchemaRef::new(schema),
        };
        match decoder.decode(&mut Buffer::from_vec(message))? {
            None => Ok(decoder),
            Some(_) => Err(malformed("the schema message is followed by rows")),
        }
    }

    /// Returns the stream's schema.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Decodes the record batch in `messages`, which may begin with dictionary batches.
    ///
    /// # Errors
    /// `Failure::Data` if there is no batch, more than one, an incomplete one, or one that does not fit its own bytes.
    pub fn batch(&mut self, messages: Vec<u8>) -> Result<RecordBatch, Failure> {
        bounds::check(&messages, &self.schema).map_err(|what| malformed(&what))?;
        let mut buffer = Buffer::from_vec(messages);
        let batch = match self.decode(&mut buffer)? {
            Some(batch) => Some(batch),
            None => self.decode(&mut Buffer::from(NEXT_MESSAGE))?,
        };
        match batch {
            Some(batch) if buffer.is_empty() => Ok(batch),
            Some(_) => Err(malformed("a call contains more than one record batch")),
            None => Err(malformed("a call contains no complete record batch")),
        }
    }

    fn decode(&mut self, buffer: &mut Buffer) -> Result<Option<RecordBatch>, Failure> {
        self.stream
            .decode(buffer)
            .map_err(|error| malformed(&error.to_string()))
    }
}

fn malformed(what: &str) -> Failure {
    let message = format!("the rows that the host supplied are not an Arrow IPC stream: {what}");
    Failure::Data(message.into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, DictionaryArray, Int64Array, NullArray, RecordBatch, StringArray};
    use arrow::datatypes::Int32Type;
    use arrow::ipc::writer::StreamWriter;

    use super::*;
    use crate::failure::Explanation;

    /// Returns the schema message, then one chunk per batch.
    fn stream(batches: &[RecordBatch]) -> (Vec<u8>, Vec<Vec<u8>>) {
        let mut writer = StreamWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
        let schema = std::mem::take(writer.get_mut());
        let chunks = batches
            .iter()
            .map(|batch| {
                writer.write(batch).unwrap();
                std::mem::take(writer.get_mut())
            })
            .collect();
        (schema, chunks)
    }

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap()
    }

    #[test]
    fn batches_come_back_equal_whatever_their_size() {
        let numbers = |n: i64| batch(vec![("n", Arc::new(Int64Array::from_iter(0..n)) as ArrayRef)]);
        let batches = [numbers(3), numbers(0), numbers(1), numbers(10_000), numbers(0)];
        let (schema, chunks) = stream(&batches);
        let mut decoder = Decoder::new(schema).unwrap();
        for (expected, chunk) in batches.iter().zip(chunks) {
            assert_eq!(&decoder.batch(chunk).unwrap(), expected);
        }
    }

    #[test]
    fn a_batch_of_null_columns_has_no_body_and_still_arrives() {
        let nulls = batch(vec![("n", Arc::new(NullArray::new(7)) as ArrayRef)]);
        let (schema, chunks) = stream(&[nulls.clone(), nulls.clone()]);
        let mut decoder = Decoder::new(schema).unwrap();
        for chunk in chunks {
            assert_eq!(decoder.batch(chunk).unwrap().num_rows(), 7);
        }
    }

    #[test]
    fn dictionaries_come_with_the_batch_that_needs_them() {
        let words: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
        let rows = batch(vec![("d", Arc::new(words) as ArrayRef)]);
        let (schema, chunks) = stream(std::slice::from_ref(&rows));
        let mut decoder = Decoder::new(schema).unwrap();
        assert_eq!(decoder.batch(chunks[0].clone()).unwrap(), rows);
    }

    #[test]
    fn malformed_bytes_are_a_data_failure() {
        let rows = batch(vec![("s", Arc::new(StringArray::from(vec!["x", "y"])) as ArrayRef)]);
        let (schema, chunks) = stream(&[rows]);
        let whole = &chunks[0];
        let twice = [whole.as_slice(), whole.as_slice()].concat();
        let mut flipped = whole.clone();
        for byte in &mut flipped[8..40] {
            *byte ^= 0xff;
        }
        let rows = "the rows that the host supplied are not an Arrow IPC stream: ";
        let cases: [(Vec<u8>, &str); 5] = [
            (Vec::new(), "a call contains no complete record batch"),
            (whole[..whole.len() - 9].to_vec(), "a message is truncated"),
            (twice, "a call contains more than one record batch"),
            (vec![0x5a; 4096], "a message is truncated"),
            (flipped, "a message has no readable header ("),
        ];
        for (bytes, expected) in cases {
            let mut decoder = Decoder::new(schema.clone()).unwrap();
            let Err(Failure::Data(Explanation { message, hint: None })) = decoder.batch(bytes) else {
                panic!("{expected}");
            };
            assert!(message.starts_with(&format!("{rows}{expected}")), "{message}");
        }
        for bytes in [Vec::new(), vec![7; 64]] {
            let Err(Failure::Data(Explanation { message, hint: None })) = Decoder::new(bytes) else {
                panic!("no schema");
            };
            let expected = "the schema that the host supplied is not an Arrow IPC schema message: ";
            assert!(message.starts_with(expected), "{message}");
        }
    }
}
