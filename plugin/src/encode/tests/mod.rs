//! What the encoders promise, checked from outside: batches in, files out, read back by other decoders.

mod columns;
mod extensions;
mod json_text;
mod lines;
mod parquet_files;
mod same_bytes;
mod split;
mod wide;

use std::io::Read;
use std::num::NonZeroU64;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32RunArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field};
use arrow::record_batch::RecordBatch;

use super::*;
use crate::settings::{JsonLinesCodec, ParquetCodec};

pub const LINES: Format = Format::JsonLines(JsonLinesCodec::None);

pub const LINES_CODECS: [JsonLinesCodec; 4] = [
    JsonLinesCodec::None,
    JsonLinesCodec::Gzip(6),
    JsonLinesCodec::Brotli(5),
    JsonLinesCodec::Zstd(1),
];

pub const PARQUET_CODECS: [ParquetCodec; 6] = [
    ParquetCodec::None,
    ParquetCodec::Gzip(6),
    ParquetCodec::Brotli(5),
    ParquetCodec::Zstd(1),
    ParquetCodec::Lz4,
    ParquetCodec::Snappy,
];

pub fn every_format() -> Vec<Format> {
    let lines = LINES_CODECS.map(Format::JsonLines);
    let parquet = PARQUET_CODECS.map(Format::Parquet);
    lines.into_iter().chain(parquet).collect()
}

/// A complete file.
pub struct File {
    pub bytes: Vec<u8>,
    pub rows: u64,
    pub bytes_encoded: u64,
    pub repairs: Repairs,
}

/// What `run` does with batches: all files, in order.
pub fn export(
    batches: &[RecordBatch],
    format: Format,
    limit_bytes: Option<u64>,
    json_columns: &[bool],
    limits: BlockLimits,
) -> Result<Vec<File>, EncodeError> {
    let limit_bytes = limit_bytes.and_then(NonZeroU64::new);
    let meanings: Vec<Meaning> = json_columns
        .iter()
        .map(|json| match json {
            true => Meaning::Json,
            false => Meaning::Own,
        })
        .collect();
    let layout = Layout::new(&batches[0].schema(), format, limit_bytes, &meanings)?;
    let mut rechunker = Rechunker::new(&layout, limits);
    let mut blocks = Vec::new();
    for batch in batches {
        blocks.extend(rechunker.push(batch)?);
    }
    blocks.extend(rechunker.finish()?);
    let mut files = Vec::new();
    let mut open: Option<(FileEncoder, Vec<u8>)> = None;
    for block in blocks {
        let mut row = 0;
        while row < block.rows.num_rows() {
            let (mut encoder, mut bytes) = match open.take() {
                Some(open) => open,
                None => (FileEncoder::new(&layout)?, Vec::new()),
            };
            row += encoder.write(&block, row)?;
            assert_eq!(encoder.output_len(), {
                let output = encoder.take_output();
                bytes.extend_from_slice(&output);
                output.len()
            });
            if encoder.is_full() {
                files.push(closed(encoder, bytes)?);
            } else {
                open = Some((encoder, bytes));
            }
        }
    }
    if let Some((encoder, bytes)) = open {
        files.push(closed(encoder, bytes)?);
    }
    Ok(files)
}

fn closed(encoder: FileEncoder, mut bytes: Vec<u8>) -> Result<File, EncodeError> {
    let rows = encoder.rows();
    let finished = encoder.finish()?;
    assert_eq!(finished.rows, rows);
    bytes.extend_from_slice(&finished.output);
    Ok(File {
        bytes,
        rows: finished.rows,
        bytes_encoded: finished.bytes_encoded,
        repairs: finished.repairs,
    })
}

pub fn limits() -> BlockLimits {
    BlockLimits::of_export(32 << 20)
}

/// Returns the one file of an export without splitting.
pub fn one_file(batches: &[RecordBatch], format: Format, json_columns: &[bool]) -> File {
    let mut files = export(batches, format, None, json_columns, limits()).unwrap();
    assert_eq!(files.len(), 1);
    files.remove(0)
}

/// Returns the text of a JSON Lines file, by decoders that share nothing with the encoders.
pub fn text_of(file: &[u8], codec: JsonLinesCodec) -> String {
    let text = match codec {
        JsonLinesCodec::None => file.to_vec(),
        JsonLinesCodec::Gzip(_) => {
            // One member: ten bytes of header without optional fields, deflate, eight of trailer.
            assert_eq!(&file[..4], [0x1F, 0x8B, 8, 0], "gzip header");
            assert_eq!(&file[4..8], [0; 4], "modification time");
            let body = &file[10..file.len() - 8];
            let text = miniz_oxide::inflate::decompress_to_vec(body).unwrap();
            let trailer = &file[file.len() - 4..];
            assert_eq!(trailer, (text.len() as u32).to_le_bytes(), "length, so one member");
            text
        }
        JsonLinesCodec::Brotli(_) => {
            let mut text = Vec::new();
            let mut decoder = brotli_decompressor::Decompressor::new(file, 4096);
            decoder.read_to_end(&mut text).unwrap();
            text
        }
        JsonLinesCodec::Zstd(_) => {
            let mut text = Vec::new();
            let mut rest = file;
            let mut decoder = ruzstd::decoding::StreamingDecoder::new(&mut rest).unwrap();
            decoder.read_to_end(&mut text).unwrap();
            drop(decoder);
            assert!(rest.is_empty(), "one frame");
            text
        }
    };
    String::from_utf8(text).unwrap()
}

/// Returns the uncompressed JSON Lines of a column named `c`.
pub fn lines_of(column: ArrayRef, is_json: bool) -> String {
    let batch = RecordBatch::try_from_iter_with_nullable([("c", column, true)]).unwrap();
    let file = one_file(&[batch], LINES, &[is_json]);
    text_of(&file.bytes, JsonLinesCodec::None)
}

#[test]
fn what_a_library_refuses_is_said_to_be_whose() {
    let arrow = ArrowError::SchemaError("no such type".to_owned());
    let parquet = ParquetError::General("no such page".to_owned());
    let cases = [
        (
            EncodeError::Arrow(arrow),
            "the rows cannot be read: Schema error: no such type",
        ),
        (
            EncodeError::Parquet(parquet),
            "the Parquet writer failed: Parquet error: no such page",
        ),
        (
            EncodeError::Codec(std::io::Error::other("no memory")),
            "the codec failed: no memory",
        ),
    ];
    for (error, expected) in cases {
        assert_eq!(Failure::from(error), Failure::Data(expected.into()));
    }
}

#[test]
fn rows_that_no_schema_announced_are_refused() {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let runs: Int32RunArray = ["a"].into_iter().collect();
    let rows = |column| RecordBatch::try_from_iter([("c", column)]).unwrap();
    let layout = Layout::new(&rows(numbers).schema(), LINES, None, &[]).unwrap();
    let mut encoder = FileEncoder::new(&layout).unwrap();
    let runs = Block {
        first_row: 0,
        bytes: 1,
        rows: rows(Arc::new(runs)),
    };
    assert_eq!(
        encoder.write(&runs, 0).unwrap_err().to_string(),
        "the rows cannot be read: Schema error: a block contains values of type RunEndEncoded(non-null Int32, Utf8), \
         which its schema does not"
    );
    assert_eq!(
        row_size::row_bytes(&runs.rows).unwrap_err().to_string(),
        "Not yet implemented: rows with values of type RunEndEncoded(non-null Int32, Utf8)"
    );
    let entries = Field::new("entries", DataType::Utf8, false);
    let map = DataType::Map(Arc::new(entries), false);
    let schema = Schema::new(vec![Field::new("c", map, true)]);
    assert_eq!(
        Layout::new(&schema, LINES, None, &[]).unwrap_err().to_string(),
        "column `c` is of type Map(\"entries\": non-null Utf8, unsorted): JSON Lines cannot represent it"
    );
}

/// Events with text that compresses like real ones, numbered from `first`.
pub fn events(first: usize, rows: usize) -> RecordBatch {
    let mut properties = Vec::with_capacity(rows);
    let mut names = Vec::with_capacity(rows);
    for row in first..first + rows {
        // A multiplicative hash: the same rows in every run of the test, and not all alike.
        let noise = (row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        names.push(["$pageview", "$autocapture", "signed up"][row % 3]);
        properties.push(format!(
            "{{\"$browser\":\"Firefox\",\"path\":\"/docs/{noise:x}\",\"n\":{row},\"pad\":\"{}\"}}",
            "abc".repeat(noise as usize % 60)
        ));
    }
    let ids = Int64Array::from_iter_values(first as i64..(first + rows) as i64);
    RecordBatch::try_from_iter([
        ("id", Arc::new(ids) as ArrayRef),
        ("event", Arc::new(StringArray::from(names)) as ArrayRef),
        ("properties", Arc::new(StringArray::from(properties)) as ArrayRef),
    ])
    .unwrap()
}
