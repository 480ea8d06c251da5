//! A source on a thread of its own: its batches as Arrow IPC messages through a bounded channel. Never changes a row;
//! only cuts batches so that a message stays small.

use std::thread;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use tokio::sync::mpsc;

use super::{Selection, Source, SourceError, SourceSettings, Tally};

/// A message aims at this size. Measured, crossing into the guest costs 55-76 µs/MiB at 8 MiB and ten times that at
/// 64 MiB; below 8 MiB nothing is gained but memory, and each message is held by source, queue and guest at once.
const MESSAGE_BYTES: usize = 4 << 20;
/// No message is larger: one row of the largest size that a destination can be configured for, and room around it.
const MAX_MESSAGE_BYTES: usize = 160 << 20;
/// Messages waiting between source and sandbox: one being taken, one ready. More only costs memory.
const MESSAGES_WAITING: usize = 1;

/// The next messages of the IPC stream: dictionaries, then one record batch.
#[derive(Debug)]
pub struct Message {
    pub bytes: Vec<u8>,
    pub rows: u64,
}

/// An open source that reads ahead. Dropping it stops the thread at its next batch.
pub struct Feed {
    schema: Vec<u8>,
    items: mpsc::Receiver<Result<Item, SourceError>>,
    tally: Option<Tally>,
}

enum Item {
    Schema(Vec<u8>),
    Batch(Message),
    End(Tally),
}

impl Feed {
    /// Opens the source on its thread and waits for its schema.
    pub async fn start(
        settings: SourceSettings,
        selection: Selection,
    ) -> Result<Self, SourceError> {
        let (sender, mut items) = mpsc::channel(MESSAGES_WAITING);
        thread::Builder::new()
            .name("source".into())
            .spawn(move || {
                let read =
                    super::open(&settings, selection).and_then(|source| send_all(source, &sender));
                if let Err(error) = read {
                    // Nobody listens any more when the run ended before its source.
                    sender.blocking_send(Err(error)).ok();
                }
            })
            .map_err(SourceError::Thread)?;
        match items.recv().await {
            Some(Ok(Item::Schema(schema))) => Ok(Self {
                schema,
                items,
                tally: None,
            }),
            Some(Err(error)) => Err(error),
            // A thread that panicked sends nothing; the schema always comes first.
            Some(Ok(_)) | None => Err(SourceError::Died),
        }
    }

    /// The schema message of the stream.
    pub fn schema(&self) -> &[u8] {
        &self.schema
    }

    /// The next message; `None` when every row was handed out.
    pub async fn next(&mut self) -> Result<Option<Message>, SourceError> {
        if self.tally.is_some() {
            return Ok(None);
        }
        match self.items.recv().await {
            Some(Ok(Item::Batch(message))) => Ok(Some(message)),
            Some(Ok(Item::End(tally))) => {
                self.tally = Some(tally);
                Ok(None)
            }
            Some(Err(error)) => Err(error),
            Some(Ok(Item::Schema(_))) | None => Err(SourceError::Died),
        }
    }

    /// What was read and left out; known at the end.
    pub fn tally(&self) -> Option<Tally> {
        self.tally
    }
}

/// Reads to the end, or until nobody listens.
fn send_all(
    mut source: Box<dyn Source>,
    sender: &mpsc::Sender<Result<Item, SourceError>>,
) -> Result<(), SourceError> {
    let mut stream = Stream::new(&source.schema())?;
    let schema = Item::Schema(stream.schema.clone());
    if sender.blocking_send(Ok(schema)).is_err() {
        return Ok(());
    }
    while let Some(batch) = source.next_batch()? {
        if sender.is_closed() {
            return Ok(());
        }
        for piece in pieces(batch)? {
            let message = stream.message(&piece)?;
            if sender.blocking_send(Ok(Item::Batch(message))).is_err() {
                return Ok(());
            }
        }
    }
    sender.blocking_send(Ok(Item::End(source.tally()))).ok();
    Ok(())
}

/// An IPC stream whose bytes are taken after every batch.
pub struct Stream {
    schema: Vec<u8>,
    writer: StreamWriter<Vec<u8>>,
    rows: u64,
}

impl Stream {
    pub fn new(schema: &SchemaRef) -> Result<Self, SourceError> {
        let mut writer = StreamWriter::try_new(Vec::new(), schema).map_err(SourceError::Encode)?;
        let schema = std::mem::take(writer.get_mut());
        Ok(Self {
            schema,
            writer,
            rows: 0,
        })
    }

    /// The schema message.
    pub fn schema(&self) -> &[u8] {
        &self.schema
    }

    /// The messages of one batch.
    pub fn message(&mut self, batch: &RecordBatch) -> Result<Message, SourceError> {
        let limit = |bytes| SourceError::RowTooLarge {
            row: self.rows,
            bytes,
            limit_bytes: MAX_MESSAGE_BYTES,
        };
        // Looked at before it is copied: only a single row can be that large.
        let bytes = batch_bytes(batch).map_err(SourceError::Encode)?;
        if bytes > MAX_MESSAGE_BYTES {
            return Err(limit(bytes));
        }
        // An eighth more than the data: offsets, padding and headers, so that the buffer need not grow.
        self.writer.get_mut().reserve(bytes + bytes / 8);
        self.writer.write(batch).map_err(SourceError::Encode)?;
        let rows = batch.num_rows() as u64;
        self.rows += rows;
        Ok(Message {
            bytes: std::mem::take(self.writer.get_mut()),
            rows,
        })
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
    let is_view = |column: &ArrayRef| {
        matches!(
            column.data_type(),
            DataType::Utf8View | DataType::BinaryView
        )
    };
    if !batch.columns().iter().any(is_view) {
        return Ok(batch);
    }
    let columns = batch
        .columns()
        .iter()
        .map(|column| match column.data_type() {
            DataType::Utf8View => std::sync::Arc::new(column.as_string_view().gc()) as ArrayRef,
            DataType::BinaryView => std::sync::Arc::new(column.as_binary_view().gc()) as ArrayRef,
            _ => column.clone(),
        })
        .collect();
    RecordBatch::try_new(batch.schema(), columns).map_err(SourceError::Encode)
}

fn batch_bytes(batch: &RecordBatch) -> Result<usize, ArrowError> {
    batch
        .columns()
        .iter()
        .try_fold(0, |sum, column| Ok(sum + array_bytes(column)?))
}

/// Bytes of the rows that an array shows. Arrow's own count takes all children of a sliced list.
fn array_bytes(array: &ArrayRef) -> Result<usize, ArrowError> {
    let child = |first: usize, last: usize, values: &ArrayRef| {
        Ok(8 * array.len() + array_bytes(&values.slice(first, last - first))?)
    };
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let offsets = list.value_offsets();
            child(
                offsets[0] as usize,
                offsets[list.len()] as usize,
                list.values(),
            )
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let offsets = list.value_offsets();
            child(
                offsets[0] as usize,
                offsets[list.len()] as usize,
                list.values(),
            )
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
    use arrow::ipc::reader::StreamReader;
    use std::sync::Arc;

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
            (
                "plain",
                Arc::new(StringArray::from_iter_values((0..rows).map(text))),
            ),
            (
                "view",
                Arc::new(StringViewArray::from_iter_values((0..rows).map(text))),
            ),
            ("list", Arc::new(lists)),
        ]);
        let (sizes, read) = round_trip(&whole);
        assert_eq!(read, whole);
        assert!(sizes.len() > 8, "{sizes:?}");
        assert!(
            sizes
                .iter()
                .all(|size| *size <= MESSAGE_BYTES + MESSAGE_BYTES / 4),
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
            error
                .to_string()
                .starts_with("row 0 of the interval takes 16777"),
            "{error}"
        );
    }
}
