//! Reads exported files back with decoders that did not write them (Parquet's crate is the exception: the conformance
//! run reads those with other engines). A file that is not whole makes the test fail.

use std::io::Read;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

/// Longest text that a test file decodes to: a bound for decoders, far above any test's rows.
const DECODED_LIMIT_BYTES: usize = 1 << 30;

/// The rows of a JSON Lines file; the codec follows from the key's ending.
pub fn json_lines(key: &str, bytes: &[u8]) -> Vec<Value> {
    let text = decoded(key, bytes);
    let text = String::from_utf8(text).expect("JSON Lines are UTF-8");
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "{key}: the last row has no line end"
    );
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{key}: {error} in {line:.200}")))
        .collect()
}

/// The text of a JSON Lines file.
pub fn decoded(key: &str, bytes: &[u8]) -> Vec<u8> {
    match key.rsplit('.').next() {
        Some("jsonl") => bytes.to_vec(),
        Some("gz") => gunzip(key, bytes),
        Some("zst") => {
            let mut text = Vec::new();
            let mut decoder = ruzstd::decoding::StreamingDecoder::new(bytes).expect("a zstd frame");
            decoder.read_to_end(&mut text).expect("a whole zstd frame");
            text
        }
        Some("br") => {
            let mut text = Vec::new();
            brotli::Decompressor::new(bytes, 1 << 16)
                .read_to_end(&mut text)
                .expect("a whole brotli stream");
            text
        }
        _ => panic!("{key}: no JSON Lines file by its name"),
    }
}

/// Exactly one gzip member (RFC 1952), with its header, length and nothing after it.
fn gunzip(key: &str, bytes: &[u8]) -> Vec<u8> {
    let [0x1f, 0x8b, 8, flags, _, _, _, _, _, _, body @ ..] = bytes else {
        panic!("{key}: no gzip header");
    };
    assert_eq!(*flags, 0, "{key}: optional header fields");
    let (deflated, trailer) = body.split_at(body.len().checked_sub(8).expect("a gzip trailer"));
    let text = miniz_oxide::inflate::decompress_to_vec_with_limit(deflated, DECODED_LIMIT_BYTES)
        .unwrap_or_else(|error| panic!("{key}: {error}"));
    let length = u32::from_le_bytes([trailer[4], trailer[5], trailer[6], trailer[7]]);
    assert_eq!(length as usize, text.len(), "{key}: the gzip trailer's length");
    text
}

/// The rows of a Parquet file, in one batch.
pub fn parquet(bytes: &[u8]) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(bytes)).expect("a Parquet file");
    let schema = reader.schema().clone();
    let batches: Vec<_> = reader
        .build()
        .expect("a reader")
        .collect::<Result<_, _>>()
        .expect("whole row groups");
    concat_batches(&schema, &batches).expect("batches of one schema")
}
