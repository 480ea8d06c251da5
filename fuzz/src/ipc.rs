//! Input: three bytes that choose a table of rows, a format and how the rest is meant, then either edits of that
//! table's own IPC messages or messages of the input's own. Whatever they are, they are refused as data, or their rows
//! become files that hold as many.

mod tables;

use std::num::NonZeroU64;

use arrow::array::RecordBatch;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use parquet::file::metadata::ParquetMetaDataReader;
use s3_destination::encode::{Block, BlockLimits, EncodeError, FileEncoder, Layout, Meaning, Rechunker};
use s3_destination::failure::Failure;
use s3_destination::ipc::Decoder;
use s3_destination::settings::{Format, JsonLinesCodec, ParquetCodec};
use serde_json::value::RawValue;

/// A message can claim millions of nulls in a few bytes; writing them all says no more than writing these.
const MAX_ROWS: usize = 4096;
/// Rows that are written may not be larger: more would only be slower.
const MAX_ROW_BYTES: usize = 64 << 10;
/// The limit of files that are split.
const FILE_LIMIT_BYTES: u64 = 256;

const FORMATS: [Format; 6] = [
    Format::JsonLines(JsonLinesCodec::None),
    Format::Parquet(ParquetCodec::None),
    Format::JsonLines(JsonLinesCodec::Gzip(1)),
    Format::Parquet(ParquetCodec::Snappy),
    Format::JsonLines(JsonLinesCodec::Zstd(1)),
    Format::Parquet(ParquetCodec::Zstd(1)),
];

pub fn check(input: &[u8]) {
    let [table, format, meaning, rest @ ..] = input else {
        return;
    };
    let tables = tables::all();
    let (schema, rows) = messages(&tables[usize::from(*table) % tables.len()]);
    let format_index = usize::from(*format);
    let export = Export {
        format: FORMATS[format_index % FORMATS.len()],
        limit_bytes: NonZeroU64::new(FILE_LIMIT_BYTES).filter(|_| format_index >= FORMATS.len()),
    };
    let (schema, rows) = match meaning % 3 {
        0 => (schema, edited(rows, rest)),
        1 => (edited(schema, rest), rows),
        _ => match rest {
            [low, high, rest @ ..] => {
                let length = usize::from(u16::from_le_bytes([*low, *high]));
                let (own, rows) = rest.split_at(length.min(rest.len()));
                let schema = if own.is_empty() { schema } else { own.to_vec() };
                (schema, rows.to_vec())
            }
            _ => (schema, rest.to_vec()),
        },
    };
    match export.run(schema, rows) {
        Ok(()) | Err(Failure::Data(_)) => {}
        Err(other) => panic!("rows failed as {other:?}"),
    }
}

/// The schema message and the messages of the rows, as a host sends them.
fn messages(batch: &RecordBatch) -> (Vec<u8>, Vec<u8>) {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).expect("a writer");
    let schema = std::mem::take(writer.get_mut());
    writer.write(batch).expect("a batch");
    (schema, std::mem::take(writer.get_mut()))
}

/// Each edit is three bytes: a position, low byte first and counted around, and what stands there instead. The
/// position behind the last byte cuts so many off.
fn edited(mut message: Vec<u8>, edits: &[u8]) -> Vec<u8> {
    for edit in edits.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % (message.len() + 1);
        match message.get_mut(at) {
            Some(byte) => *byte = edit[2],
            None => message.truncate(at.saturating_sub(usize::from(edit[2]))),
        }
    }
    message
}

struct Export {
    format: Format,
    limit_bytes: Option<NonZeroU64>,
}

impl Export {
    /// In the order in which a run does it.
    fn run(&self, schema: Vec<u8>, rows: Vec<u8>) -> Result<(), Failure> {
        let mut decoder = Decoder::new(schema)?;
        let columns = decoder.schema().fields().iter();
        let meanings: Vec<Meaning> = columns
            .map(|field| match field.name().as_str() {
                "json" => Meaning::Json,
                _ => Meaning::Own,
            })
            .collect();
        let layout = Layout::new(decoder.schema(), self.format, self.limit_bytes, &meanings)?;
        let batch = decoder.batch(rows)?;
        if batch.num_rows() > MAX_ROWS {
            return Ok(());
        }
        let mut rechunker = Rechunker::new(&layout, BlockLimits::of_export(MAX_ROW_BYTES));
        let mut blocks = rechunker.push(&batch)?;
        blocks.extend(rechunker.finish()?);
        let written = self.files(&layout, &blocks)?;
        assert_eq!(written, batch.num_rows(), "rows written, rows supplied");
        Ok(())
    }

    /// Writes all files and read them back as far as it takes to count their rows.
    fn files(&self, layout: &Layout, blocks: &[Block]) -> Result<usize, EncodeError> {
        let mut written = 0;
        let mut open = None;
        for block in blocks {
            let mut row = 0;
            while row < block.rows.num_rows() {
                let (mut encoder, mut bytes) = match open.take() {
                    Some(open) => open,
                    None => (FileEncoder::new(layout)?, Vec::new()),
                };
                let taken = encoder.write(block, row)?;
                assert!(taken > 0, "an open file takes a row");
                row += taken;
                bytes.extend(encoder.take_output());
                if encoder.is_full() {
                    written += self.closed(encoder, bytes)?;
                } else {
                    open = Some((encoder, bytes));
                }
            }
        }
        if let Some((encoder, bytes)) = open {
            written += self.closed(encoder, bytes)?;
        }
        Ok(written)
    }

    fn closed(&self, encoder: FileEncoder, mut bytes: Vec<u8>) -> Result<usize, EncodeError> {
        let rows = encoder.rows() as usize;
        let finished = encoder.finish()?;
        bytes.extend(finished.output);
        match self.format {
            Format::JsonLines(JsonLinesCodec::None) => assert_eq!(lines(&bytes), rows),
            Format::Parquet(_) => assert_eq!(footer_rows(bytes), rows),
            Format::JsonLines(_) => assert!(!bytes.is_empty()),
        }
        Ok(rows)
    }
}

fn lines(bytes: &[u8]) -> usize {
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    assert!(text.ends_with('\n'));
    let mut lines = 0;
    for line in text.trim_end_matches('\n').split('\n') {
        serde_json::from_str::<&RawValue>(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        lines += 1;
    }
    lines
}

fn footer_rows(bytes: Vec<u8>) -> usize {
    let footer = ParquetMetaDataReader::new()
        .parse_and_finish(&Bytes::from(bytes))
        .expect("a Parquet footer");
    footer.file_metadata().num_rows() as usize
}
