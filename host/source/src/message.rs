//! Rows as the Arrow IPC messages that cross into a plugin: one stream, cut into messages of bounded size. Never
//! changes a row.

use std::sync::Arc;
use std::vec;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use batch_export_system::explain::Cause;
use batch_export_system::{Budget, Share, Token};
use serde::{Deserialize, Serialize};

use crate::error::SourceError;
use crate::factory::Source;
use crate::tally::Tally;

/// The size that a message aims at. Measured, crossing into the guest costs 55-76 µs/MiB at 8 MiB and ten times that at
/// 64 MiB; below 8 MiB nothing is gained but memory, and each message is held by source, queue and guest at once.
pub(crate) const MESSAGE_BYTES: usize = 4 << 20;
/// The largest message: one row of the largest size that a destination can be configured for, and room around it.
pub(crate) const MAX_MESSAGE_BYTES: usize = 160 << 20;

/// The next messages of an IPC stream: dictionaries, then one record batch.
#[derive(Debug)]
#[non_exhaustive]
pub struct Message {
    /// The messages as they are given to a plugin.
    pub bytes: Vec<u8>,
    /// The rows in them.
    pub rows: u64,
    /// What they take of a budget, until this is dropped.
    held: Option<Share>,
}

/// The summary of a source that was read to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Summary {
    /// What was read and omitted.
    pub tally: Tally,
    /// What the operator should know of what was not read.
    pub warnings: Vec<Cause>,
}

/// The rows of one interval, as messages of one IPC stream.
pub trait MessageSource: Send {
    /// Returns the schema message, which the stream begins with.
    fn schema(&self) -> &[u8];

    /// Returns the next messages, in order. `None` at the end, which comes only when every row was returned. Blocking.
    fn next_message(&mut self) -> Result<Option<Message>, SourceError>;

    /// Returns what was read and what was not; complete at the end.
    fn summary(&self) -> Summary;
}

/// A source's batches as messages, for which there is room in a budget.
pub(crate) struct Encoder<'a> {
    source: Box<dyn Source + 'a>,
    stream: Stream,
    /// What is left of the batch at hand.
    pieces: vec::IntoIter<RecordBatch>,
    token: Token,
    budget: Arc<Budget>,
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(source: Box<dyn Source + 'a>, token: &Token, budget: &Arc<Budget>) -> Result<Self, SourceError> {
        Ok(Self {
            stream: Stream::new(&source.schema())?,
            source,
            pieces: Vec::new().into_iter(),
            token: token.clone(),
            budget: Arc::clone(budget),
        })
    }
}

impl MessageSource for Encoder<'_> {
    fn schema(&self) -> &[u8] {
        self.stream.schema()
    }

    fn next_message(&mut self) -> Result<Option<Message>, SourceError> {
        loop {
            self.token.check()?;
            if let Some(piece) = self.pieces.next() {
                let mut held = Share::none(&self.budget);
                let named = |error: SourceError| error.in_file(self.source.file());
                held.blocking_admit(self.stream.needed_bytes(&piece).map_err(named)?, &self.token)?;
                let message = self.stream.message(&piece).map_err(named)?;
                return Ok(Some(message.holding(held)));
            }
            match self.source.next_batch()? {
                Some(batch) => self.pieces = pieces(batch)?.into_iter(),
                None => return Ok(None),
            }
        }
    }

    fn summary(&self) -> Summary {
        Summary {
            tally: self.source.tally(),
            warnings: self.source.warnings(),
        }
    }
}

impl Message {
    pub(crate) fn new(bytes: Vec<u8>, rows: u64) -> Self {
        Self {
            bytes,
            rows,
            held: None,
        }
    }

    pub(crate) fn holding(mut self, share: Share) -> Self {
        self.held = Some(share);
        self
    }

    /// Returns what the message takes of a budget, apart from its bytes: to be dropped when they are.
    pub(crate) fn take_share(&mut self) -> Option<Share> {
        self.held.take()
    }
}

/// Returns the columns in a schema message.
pub(crate) fn read_schema(message: &[u8]) -> Result<SchemaRef, ArrowError> {
    StreamReader::try_new(message, None).map(|reader| reader.schema())
}

/// An IPC stream whose bytes are taken after every batch.
pub struct Stream {
    schema: Vec<u8>,
    writer: StreamWriter<Vec<u8>>,
    rows: u64,
}

impl Stream {
    /// Begins a stream of batches with these columns.
    pub fn new(schema: &SchemaRef) -> Result<Self, SourceError> {
        let mut writer = StreamWriter::try_new(Vec::new(), schema).map_err(SourceError::Encode)?;
        let schema = std::mem::take(writer.get_mut());
        Ok(Self {
            schema,
            writer,
            rows: 0,
        })
    }

    /// Returns the schema message, which the stream begins with.
    pub fn schema(&self) -> &[u8] {
        &self.schema
    }

    /// Returns the messages of one batch.
    pub fn message(&mut self, batch: &RecordBatch) -> Result<Message, SourceError> {
        let needed = self.needed_bytes(batch)?;
        self.writer.get_mut().reserve(needed);
        self.writer.write(batch).map_err(SourceError::Encode)?;
        let rows = batch.num_rows() as u64;
        let bytes = std::mem::take(self.writer.get_mut());
        self.check_size(bytes.len())?;
        self.rows += rows;
        Ok(Message::new(bytes, rows))
    }

    /// Returns the memory that the messages of a batch take. Looked at before they are made: only a single row can be
    /// too large.
    fn needed_bytes(&self, batch: &RecordBatch) -> Result<usize, SourceError> {
        let bytes = batch_bytes(batch).map_err(SourceError::Encode)?;
        self.check_size(bytes)?;
        // An eighth more than the data: offsets, padding and headers, so that the buffer need not grow.
        Ok(bytes + bytes / 8)
    }

    fn check_size(&self, bytes: usize) -> Result<(), SourceError> {
        match bytes > MAX_MESSAGE_BYTES {
            true => Err(SourceError::RowTooLarge {
                path: None,
                row: self.rows + 1,
                bytes,
                limit_bytes: MAX_MESSAGE_BYTES,
            }),
            false => Ok(()),
        }
    }
}

/// Cuts a batch into pieces of about [`MESSAGE_BYTES`]; a single row is never cut.
fn pieces(batch: RecordBatch) -> Result<Vec<RecordBatch>, SourceError> {
    let mut pieces = Vec::new();
    let mut waiting = vec![compacted(batch)?];
    while let Some(batch) = waiting.pop() {
        let rows = batch.num_rows();
        if rows == 0 {
            continue;
        }
        let bytes = batch_bytes(&batch).map_err(SourceError::Encode)?;
        if rows == 1 || bytes <= MESSAGE_BYTES {
            pieces.push(batch);
            continue;
        }
        let parts = bytes.div_ceil(MESSAGE_BYTES).clamp(2, rows);
        let step = rows.div_ceil(parts);
        let starts: Vec<usize> = (0..rows).step_by(step).collect();
        for start in starts.into_iter().rev() {
            waiting.push(compacted(batch.slice(start, step.min(rows - start)))?);
        }
    }
    Ok(pieces)
}

/// View columns carry all their buffers along with every slice: copied into buffers of their own.
fn compacted(batch: RecordBatch) -> Result<RecordBatch, SourceError> {
    let is_view = |column: &ArrayRef| matches!(column.data_type(), DataType::Utf8View | DataType::BinaryView);
    if !batch.columns().iter().any(is_view) {
        return Ok(batch);
    }
    let columns = batch
        .columns()
        .iter()
        .map(|column| match column.data_type() {
            DataType::Utf8View => Arc::new(column.as_string_view().gc()) as ArrayRef,
            DataType::BinaryView => Arc::new(column.as_binary_view().gc()) as ArrayRef,
            _ => column.clone(),
        })
        .collect();
    RecordBatch::try_new(batch.schema(), columns).map_err(SourceError::Encode)
}

/// Returns the bytes that the rows of a batch take.
pub(crate) fn batch_bytes(batch: &RecordBatch) -> Result<usize, ArrowError> {
    batch
        .columns()
        .iter()
        .try_fold(0, |sum, column| Ok(sum + array_bytes(column)?))
}

/// Returns bytes of the rows that an array shows. Arrow's own count takes all children of a sliced list.
fn array_bytes(array: &ArrayRef) -> Result<usize, ArrowError> {
    let child = |first: usize, last: usize, values: &ArrayRef| {
        Ok(8 * array.len() + array_bytes(&values.slice(first, last - first))?)
    };
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let offsets = list.value_offsets();
            child(offsets[0] as usize, offsets[list.len()] as usize, list.values())
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let offsets = list.value_offsets();
            child(offsets[0] as usize, offsets[list.len()] as usize, list.values())
        }
        DataType::Struct(_) => array
            .as_struct()
            .columns()
            .iter()
            .try_fold(0, |sum, column| Ok(sum + array_bytes(column)?)),
        _ => array.to_data().get_slice_memory_size(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ListArray, StringArray, StringViewArray, UInt32Array};
    use arrow::datatypes::Int32Type;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).expect("a batch")
    }

    fn round_trip(whole: &RecordBatch) -> (Vec<usize>, RecordBatch) {
        let mut stream = Stream::new(&whole.schema()).expect("a stream");
        let mut bytes = stream.schema().to_vec();
        let mut sizes = Vec::new();
        for piece in pieces(whole.clone()).expect("pieces") {
            let message = stream.message(&piece).expect("a message");
            sizes.push(message.bytes.len());
            bytes.extend(message.bytes);
        }
        let read: Vec<_> = StreamReader::try_new(bytes.as_slice(), None)
            .expect("a stream")
            .map(|batch| batch.expect("a batch"))
            .collect();
        let joined = arrow::compute::concat_batches(&whole.schema(), &read).expect("rows");
        (sizes, joined)
    }

    #[test]
    fn large_batches_cross_in_messages_of_bounded_size_and_arrive_equal() {
        let text = |row: u32| "x".repeat((row % 97) as usize * 40);
        let rows = 20_000_u32;
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(
            (0..rows).map(|row| Some((0..row % 300).map(|value| Some(value as i32)))),
        );
        let whole = batch(vec![
            ("row", Arc::new(UInt32Array::from_iter_values(0..rows))),
            ("plain", Arc::new(StringArray::from_iter_values((0..rows).map(text)))),
            ("view", Arc::new(StringViewArray::from_iter_values((0..rows).map(text)))),
            ("list", Arc::new(lists)),
        ]);
        let (sizes, read) = round_trip(&whole);
        assert_eq!(read, whole);
        assert!(sizes.len() > 8, "{sizes:?}");
        assert!(
            sizes.iter().all(|size| *size <= MESSAGE_BYTES + MESSAGE_BYTES / 4),
            "{sizes:?}"
        );
    }

    #[test]
    fn one_row_is_never_cut_and_has_a_limit() {
        let large = batch(vec![(
            "a",
            Arc::new(StringArray::from(vec!["x".repeat(MESSAGE_BYTES * 4)])),
        )]);
        let (sizes, read) = round_trip(&large);
        assert_eq!((sizes.len(), read), (1, large));

        let too_large = batch(vec![(
            "a",
            Arc::new(StringArray::from(vec!["x".repeat(MAX_MESSAGE_BYTES)])),
        )]);
        let mut stream = Stream::new(&too_large.schema()).expect("a stream");
        let error = stream.message(&too_large).expect_err("too large");
        assert!(
            error.to_string().starts_with("row 1 of the interval takes 167,77"),
            "{error}"
        );
    }
}
