//! A source on a thread of its own: its batches as Arrow IPC messages through a bounded channel. Never changes a row;
//! only cuts batches so that a message stays small.

use std::path::Path;
use std::thread;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::remote::Remote;
use super::{Selection, SourceError, SourceSettings, Tally};
use batch_export_system::child::{self, Running};

/// A message aims at this size. Measured, crossing into the guest costs 55-76 µs/MiB at 8 MiB and ten times that at
/// 64 MiB; below 8 MiB nothing is gained but memory, and each message is held by source, queue and guest at once.
const MESSAGE_BYTES: usize = 4 << 20;
/// No message is larger: one row of the largest size that a destination can be configured for, and room around it.
pub(super) const MAX_MESSAGE_BYTES: usize = 160 << 20;
/// Messages waiting between source and sandbox: one being taken, one ready. More only costs memory.
const MESSAGES_WAITING: usize = 1;

/// The next messages of the IPC stream: dictionaries, then one record batch.
#[derive(Debug)]
pub struct Message {
    pub bytes: Vec<u8>,
    pub rows: u64,
}

/// What a source says once it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub tally: Tally,
    pub warnings: Vec<String>,
}

/// What comes out of a source, in this order.
pub enum Item {
    Schema(Vec<u8>),
    Batch(Message),
    End(Summary),
}

/// An open source that reads ahead. Dropping it stops the thread at its next batch, and a child process at once.
pub struct Feed {
    schema: Vec<u8>,
    items: mpsc::Receiver<Result<Item, SourceError>>,
    child: Option<Running>,
    summary: Option<Summary>,
}

impl Feed {
    /// Opens the source and waits for its schema. Files are read in a child process that may take `memory_bytes`,
    /// where the program offers one (see [`child`]), and in this process otherwise.
    pub async fn start(
        settings: SourceSettings,
        selection: Selection,
        memory_bytes: u64,
    ) -> Result<Self, SourceError> {
        let (sender, mut items) = mpsc::channel(MESSAGES_WAITING);
        let mut running = None;
        let work: Box<dyn FnOnce() + Send> = match &settings {
            SourceSettings::Files(files) if child::is_available() => {
                let remote = Remote::start(files, &selection, memory_bytes)?;
                running = Some(remote.running());
                Box::new(move || forward(remote, &sender))
            }
            _ => Box::new(move || {
                // A receiver that is gone is a run that ended before its source.
                let mut take = |item| sender.blocking_send(Ok(item)).is_ok();
                if let Err(error) = produce(&settings, selection, &mut |_| {}, &mut take) {
                    sender.blocking_send(Err(error)).ok();
                }
            }),
        };
        thread::Builder::new()
            .name("source".into())
            .spawn(work)
            .map_err(SourceError::Thread)?;
        match items.recv().await {
            Some(Ok(Item::Schema(schema))) => Ok(Self {
                schema,
                items,
                child: running,
                summary: None,
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
        if self.summary.is_some() {
            return Ok(None);
        }
        match self.items.recv().await {
            Some(Ok(Item::Batch(message))) => Ok(Some(message)),
            Some(Ok(Item::End(summary))) => {
                self.summary = Some(summary);
                Ok(None)
            }
            Some(Err(error)) => Err(error),
            Some(Ok(Item::Schema(_))) | None => Err(SourceError::Died),
        }
    }

    /// What was read, and what was not; known at the end.
    pub fn summary(&self) -> Option<&Summary> {
        self.summary.as_ref()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some(child) = &self.child {
            child.kill();
        }
    }
}

/// Hands on what a child says, until it has said all or nobody listens.
fn forward(mut remote: Remote, sender: &mpsc::Sender<Result<Item, SourceError>>) {
    loop {
        let item = remote.next_item();
        let is_last = !matches!(item, Ok(Item::Schema(_) | Item::Batch(_)));
        if sender.blocking_send(item).is_err() || is_last {
            return;
        }
    }
}

/// Reads a source to its end, or until `take` wants no more. `reading` is told of each file before it is looked at.
pub(super) fn produce(
    settings: &SourceSettings,
    selection: Selection,
    reading: &mut (dyn FnMut(&Path) + Send),
    take: &mut dyn FnMut(Item) -> bool,
) -> Result<(), SourceError> {
    let mut source = super::open_watched(settings, selection, reading)?;
    let mut stream = Stream::new(&source.schema())?;
    if !take(Item::Schema(stream.schema.clone())) {
        return Ok(());
    }
    while let Some(batch) = source.next_batch()? {
        for piece in pieces(batch)? {
            if !take(Item::Batch(stream.message(&piece)?)) {
                return Ok(());
            }
        }
    }
    take(Item::End(Summary {
        tally: source.tally(),
        warnings: source.warnings(),
    }));
    Ok(())
}

/// The columns that a schema message tells of.
pub(super) fn read_schema(message: &[u8]) -> Result<SchemaRef, ArrowError> {
    StreamReader::try_new(message, None).map(|reader| reader.schema())
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
        let bytes = std::mem::take(self.writer.get_mut());
        if bytes.len() > MAX_MESSAGE_BYTES {
            return Err(limit(bytes.len()));
        }
        self.rows += rows;
        Ok(Message { bytes, rows })
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

pub(super) fn batch_bytes(batch: &RecordBatch) -> Result<usize, ArrowError> {
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
