//! Arrow IPC files and streams, message by message: every length that a file declares is checked against the file and
//! against a limit before memory is taken for it. Decodes nothing itself.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::vec;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc as format;
use arrow::ipc::convert::try_fb_to_schema;
use arrow::ipc::reader::{FileDecoder, read_footer_length};
use arrow::ipc::{Block, MessageHeader};
use batch_export_system::explain::{Cause, count};

use crate::error::SourceError;

/// Bytes of one record batch or dictionary, as it lies in the file and as it is in memory. Usual writers stay below a
/// hundredth of it, and both must fit into what the reading process may take.
const MAX_BATCH_BYTES: u64 = 1 << 30;
/// Bytes of the header of a message, and of a file's footer: columns' names and places.
const MAX_HEADER_BYTES: usize = 64 << 20;
/// The first bytes of a message.
const CONTINUATION: [u8; 4] = [0xff; 4];
/// Magic number and length behind a footer.
const TRAILER_BYTES: usize = 10;
/// In front of the length of a compressed buffer's data; as a length, that it is not compressed.
const LENGTH_BYTES: usize = 8;
const NOT_COMPRESSED: i64 = -1;

/// What messages come from: says in its own words what is wrong with them.
pub(crate) trait Describe: Send {
    /// Returns an error if the work must end.
    fn check(&self) -> Result<(), SourceError>;

    /// Returns the error for what is not as its format says.
    fn damaged(&self, cause: String) -> SourceError;

    /// Returns the error for what is valid in itself, and not read by this program.
    fn unsupported(&self, cause: Cause) -> SourceError;

    /// Returns the error for what would take too much memory.
    fn too_large(&self, cause: Cause) -> SourceError;

    /// Returns what an I/O error means.
    fn read_error(&self, error: io::Error) -> SourceError;

    /// Returns whether a stream that just stops is cut. Writers of files may leave the end out.
    fn needs_end(&self) -> bool;

    /// Returns what an error of the decoder means.
    fn arrow_error(&self, error: ArrowError) -> SourceError {
        match error {
            ArrowError::IoError(_, error) => self.read_error(error),
            ArrowError::NotYetImplemented(cause) => self.unsupported(cause.into()),
            error => self.damaged(error.to_string()),
        }
    }
}

/// Record batches of one file or stream, in order.
pub(crate) struct Batches {
    origin: Box<dyn Describe>,
    decoder: FileDecoder,
    schema: SchemaRef,
    messages: Messages,
}

enum Messages {
    /// A file says where its messages are.
    File {
        reader: BufReader<File>,
        dictionaries: Vec<Block>,
        batches: vec::IntoIter<Block>,
    },
    /// A stream's messages follow each other.
    Stream(Box<dyn Read + Send>),
}

impl Batches {
    /// Reads the footer of a file.
    pub(crate) fn of_file(describe: Box<dyn Describe>, file: File) -> Result<Self, SourceError> {
        let bytes = file.metadata().map_err(|error| describe.read_error(error))?.len();
        let mut reader = BufReader::new(file);
        let footer = footer_bytes(describe.as_ref(), &mut reader, bytes)?;
        let footer = format::root_as_footer(&footer)
            .map_err(|error| describe.damaged(format!("its footer cannot be read: {error}")))?;
        let (Some(schema), Some(batches)) = (footer.schema(), footer.recordBatches()) else {
            return Err(describe.damaged("its footer has no columns or no list of batches".to_owned()));
        };
        let schema = read_schema(describe.as_ref(), schema)?;
        let dictionaries: Vec<Block> = footer.dictionaries().iter().flatten().copied().collect();
        let batches: Vec<Block> = batches.iter().copied().collect();
        for block in dictionaries.iter().chain(&batches) {
            check_block(describe.as_ref(), block, bytes)?;
        }
        Ok(Self {
            decoder: FileDecoder::new(Arc::clone(&schema), footer.version()),
            schema,
            origin: describe,
            messages: Messages::File {
                reader,
                dictionaries,
                batches: batches.into_iter(),
            },
        })
    }

    /// Reads the first message of a stream.
    pub(crate) fn of_stream(
        describe: Box<dyn Describe>,
        mut reader: Box<dyn Read + Send>,
    ) -> Result<Self, SourceError> {
        let Some((block, bytes)) = next_message(describe.as_ref(), &mut reader)? else {
            return Err(describe.damaged("it is empty".to_owned()));
        };
        let message = message(describe.as_ref(), &bytes)?;
        let Some(schema) = message.header_as_schema() else {
            return Err(describe.damaged("its first message does not describe its columns".to_owned()));
        };
        if block.bodyLength() != 0 {
            return Err(describe.damaged("its first message has a body".to_owned()));
        }
        let schema = read_schema(describe.as_ref(), schema)?;
        Ok(Self {
            decoder: FileDecoder::new(Arc::clone(&schema), message.version()),
            schema,
            origin: describe,
            messages: Messages::Stream(reader),
        })
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Reads a file's dictionaries, which its batches need.
    pub(crate) fn load(mut self) -> Result<Self, SourceError> {
        if let Messages::File {
            reader, dictionaries, ..
        } = &mut self.messages
        {
            for block in std::mem::take(dictionaries) {
                self.origin.check()?;
                let bytes = block_bytes(self.origin.as_ref(), reader, &block)?;
                self.decoder
                    .read_dictionary(&block, &checked(self.origin.as_ref(), &block, bytes)?)
                    .map_err(|error| self.origin.arrow_error(error))?;
            }
        }
        Ok(self)
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        loop {
            let (block, bytes) = match &mut self.messages {
                Messages::File { reader, batches, .. } => match batches.next() {
                    Some(block) => (block, block_bytes(self.origin.as_ref(), reader, &block)?),
                    None => return Ok(None),
                },
                Messages::Stream(reader) => match next_message(self.origin.as_ref(), reader)? {
                    Some(message) => message,
                    None => return Ok(None),
                },
            };
            let kind = message(self.origin.as_ref(), &bytes)?.header_type();
            let bytes = checked(self.origin.as_ref(), &block, bytes)?;
            let decoded = match kind {
                MessageHeader::DictionaryBatch => self.decoder.read_dictionary(&block, &bytes).map(|()| None),
                _ => self.decoder.read_record_batch(&block, &bytes),
            };
            if let Some(batch) = decoded.map_err(|error| self.origin.arrow_error(error))? {
                return Ok(Some(batch));
            }
        }
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}

fn footer_bytes(
    describe: &dyn Describe,
    reader: &mut BufReader<File>,
    file_bytes: u64,
) -> Result<Vec<u8>, SourceError> {
    let failed = |error| describe.read_error(error);
    let mut trailer = [0; TRAILER_BYTES];
    reader.seek(SeekFrom::End(-(TRAILER_BYTES as i64))).map_err(failed)?;
    reader.read_exact(&mut trailer).map_err(failed)?;
    let length = read_footer_length(trailer).map_err(|error| describe.arrow_error(error))?;
    let behind = (length + TRAILER_BYTES) as u64;
    if behind > file_bytes || length > MAX_HEADER_BYTES {
        return Err(describe.damaged(format!("its footer claims to have {length} bytes")));
    }
    reader.seek(SeekFrom::Start(file_bytes - behind)).map_err(failed)?;
    let mut footer = vec![0; length];
    reader.read_exact(&mut footer).map_err(failed)?;
    Ok(footer)
}

/// Checks that a message is inside the file and takes no more than the limit.
fn check_block(describe: &dyn Describe, block: &Block, file_bytes: u64) -> Result<(), SourceError> {
    let outside = || describe.damaged("its footer lists a batch that is not in the file".to_owned());
    let [at, header, body] = [block.offset(), i64::from(block.metaDataLength()), block.bodyLength()].map(u64::try_from);
    let (Ok(at), Ok(header), Ok(body)) = (at, header, body) else {
        return Err(outside());
    };
    let end = at
        .checked_add(header)
        .and_then(|end| end.checked_add(body))
        .filter(|end| *end <= file_bytes);
    if end.is_none() || header < LENGTH_BYTES as u64 || header > MAX_HEADER_BYTES as u64 {
        return Err(outside());
    }
    check_size(describe, body, "takes")
}

fn check_size(describe: &dyn Describe, bytes: u64, takes: &str) -> Result<(), SourceError> {
    if bytes > MAX_BATCH_BYTES {
        return Err(describe.too_large(
            Cause::new(format!(
                "one of its record batches {takes} {} bytes, more than the {} that can be read at once",
                count(bytes),
                count(MAX_BATCH_BYTES)
            ))
            .with_hint("write it with smaller batches"),
        ));
    }
    Ok(())
}

fn block_bytes(describe: &dyn Describe, reader: &mut BufReader<File>, block: &Block) -> Result<Vec<u8>, SourceError> {
    // Both were checked when the footer was read.
    let length = i64::from(block.metaDataLength()).saturating_add(block.bodyLength());
    let at = block.offset().unsigned_abs();
    reader
        .seek(SeekFrom::Start(at))
        .map_err(|error| describe.read_error(error))?;
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    reader
        .read_exact(&mut bytes)
        .map_err(|error| describe.read_error(error))?;
    Ok(bytes)
}

/// Returns the next message of a stream as a block at its own beginning; `None` at the end.
fn next_message(
    describe: &dyn Describe,
    reader: &mut Box<dyn Read + Send>,
) -> Result<Option<(Block, Vec<u8>)>, SourceError> {
    let early = || describe.damaged("it ends in the middle of a message".to_owned());
    let mut bytes = Vec::new();
    let mut take = |bytes: &mut Vec<u8>, length: usize| {
        let read = reader
            .as_mut()
            .take(length as u64)
            // Grows with what arrives, so a length alone takes no memory.
            .read_to_end(bytes)
            .map_err(|error| describe.read_error(error))?;
        Ok::<bool, SourceError>(read == length)
    };
    if !take(&mut bytes, LENGTH_BYTES)? {
        return match (bytes.is_empty(), describe.needs_end()) {
            (true, false) => Ok(None),
            (true, true) => Err(describe.damaged("it stops without saying that it ends".to_owned())),
            (false, _) => Err(early()),
        };
    }
    let [c0, c1, c2, c3, l0, l1, l2, l3] = bytes[..] else {
        return Err(early());
    };
    if [c0, c1, c2, c3] != CONTINUATION {
        return Err(describe.damaged("one of its messages does not begin correctly".to_owned()));
    }
    let header = match usize::try_from(i32::from_le_bytes([l0, l1, l2, l3])) {
        Ok(0) => {
            // A second stream behind the first would be lost without a word.
            return match take(&mut bytes, 1)? {
                true => Err(describe.damaged("it contains data after the end of its stream".to_owned())),
                false => Ok(None),
            };
        }
        Ok(length) if length <= MAX_HEADER_BYTES => length,
        _ => return Err(describe.damaged("one of its messages has a header of impossible length".to_owned())),
    };
    if !take(&mut bytes, header)? {
        return Err(early());
    }
    let body = message(describe, &bytes)?.bodyLength();
    let Ok(length) = u64::try_from(body) else {
        return Err(describe.damaged("one of its messages has a body of negative length".to_owned()));
    };
    check_size(describe, length, "takes")?;
    let prefix = bytes.len();
    if !take(&mut bytes, length as usize)? {
        return Err(early());
    }
    let prefix = i32::try_from(prefix).map_err(|_| early())?;
    Ok(Some((Block::new(0, prefix, body), bytes)))
}

fn message<'a>(describe: &dyn Describe, bytes: &'a [u8]) -> Result<format::Message<'a>, SourceError> {
    let start = match bytes.starts_with(&CONTINUATION) {
        true => LENGTH_BYTES,
        false => LENGTH_BYTES / 2,
    };
    bytes
        .get(start..)
        .and_then(|bytes| format::root_as_message(bytes).ok())
        .ok_or_else(|| describe.damaged("one of its messages has a header that cannot be read".to_owned()))
}

/// Returns a message whose compressed buffers do not claim to become more than the limit.
fn checked(describe: &dyn Describe, block: &Block, bytes: Vec<u8>) -> Result<Buffer, SourceError> {
    let header = message(describe, &bytes)?;
    let batch = match header.header_type() {
        MessageHeader::RecordBatch => header.header_as_record_batch(),
        MessageHeader::DictionaryBatch => header
            .header_as_dictionary_batch()
            .and_then(|dictionary| dictionary.data()),
        _ => None,
    };
    let Some(batch) = batch.filter(|batch| batch.compression().is_some()) else {
        return Ok(Buffer::from_vec(bytes));
    };
    let body = usize::try_from(block.metaDataLength())
        .ok()
        .and_then(|start| bytes.get(start..))
        .unwrap_or_default();
    let mut declared = 0_u64;
    for buffer in batch.buffers().iter().flatten() {
        let length = usize::try_from(buffer.offset())
            .ok()
            .and_then(|start| body.get(start..)?.first_chunk::<LENGTH_BYTES>());
        let Some(length) = length.filter(|_| buffer.length() > 0) else {
            // An empty buffer, or one outside the message, which the decoder refuses.
            continue;
        };
        match i64::from_le_bytes(*length) {
            NOT_COMPRESSED => {}
            length => {
                let length = u64::try_from(length)
                    .map_err(|_| describe.damaged("one of its buffers has a negative length".to_owned()))?;
                declared = declared.saturating_add(length);
                check_size(describe, declared, "declares")?;
            }
        }
    }
    Ok(Buffer::from_vec(bytes))
}

fn read_schema(describe: &dyn Describe, schema: format::Schema<'_>) -> Result<SchemaRef, SourceError> {
    if schema.endianness() != format::Endianness::Little {
        return Err(describe.unsupported("it was written on a big-endian machine".into()));
    }
    match try_fb_to_schema(schema) {
        Ok(schema) => Ok(Arc::new(schema)),
        Err(error) => Err(foreign_column(schema)
            .map(|cause| describe.unsupported(cause))
            .unwrap_or_else(|| unreadable_schema(describe, error))),
    }
}

fn unreadable_schema(describe: &dyn Describe, error: ArrowError) -> SourceError {
    match error {
        ArrowError::ParseError(cause) => describe.unsupported(
            Cause::new(format!("one of its columns has an unknown type ({cause})")).with_hint("convert the column"),
        ),
        error => describe.arrow_error(error),
    }
}

/// Integers wider than 64 bits, as Polars writes them.
fn foreign_column(schema: format::Schema<'_>) -> Option<Cause> {
    schema.fields()?.iter().find_map(|field| {
        let integer = field.type_as_int()?;
        let bits = integer.bitWidth();
        (!matches!(bits, 8 | 16 | 32 | 64)).then(|| {
            let name = field.name().unwrap_or_default();
            Cause::new(format!(
                "its column `{name}` holds integers of {bits} bits, which Arrow does not support"
            ))
            .with_hint("convert the column to 64 bits, a decimal or text")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Opened;
    use batch_export_system::Token;

    #[test]
    fn blocks_outside_the_file_are_refused_by_their_numbers() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "a\n").expect("a file");
        let describe = Opened::open(path, None, Default::default(), &Token::new()).expect("a file");
        check_block(&describe, &Block::new(8, 64, 100), 200).expect("inside");
        for block in [
            Block::new(-8, 64, 100),
            Block::new(8, -1, 100),
            Block::new(8, 64, -100),
            Block::new(8, 64, 129),
            Block::new(i64::MAX, 64, i64::MAX),
            Block::new(8, 4, 100),
        ] {
            check_block(&describe, &block, 200).expect_err("outside");
        }
        let error = check_block(&describe, &Block::new(8, 64, 1 << 31), u64::MAX)
            .expect_err("too large")
            .to_string();
        assert_eq!(
            error.replace(&format!("{}/", folder.path().display()), ""),
            "a.csv needs too much memory: one of its record batches takes 2,147,483,648 bytes, more than the \
             1,073,741,824 that can be read at once"
        );
    }
}
