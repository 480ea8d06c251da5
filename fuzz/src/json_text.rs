//! Input: what a source has in a JSON column. Whatever it is, its line is valid JSON, and valid text without line
//! breaks passes byte for byte.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use s3_destination::encode::{BlockLimits, FileEncoder, Layout, Meaning, Rechunker, Repairs};
use s3_destination::settings::{Format, JsonLinesCodec};
use serde_json::Value;
use serde_json::value::RawValue;

/// Above any input.
const MAX_ROW_BYTES: usize = 32 << 20;

pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let (line, repairs) = written(text);
    let json = line
        .strip_prefix("{\"c\":")
        .and_then(|rest| rest.strip_suffix("}\n"))
        .unwrap_or_else(|| panic!("{line:?}"));
    assert!(!json.contains(['\n', '\r']), "{json:?}");
    valid(json);

    let judged = serde_json::from_str::<&RawValue>(text);
    let breaks_lines = text.contains(['\n', '\r']);
    // Beyond the parser's depth, only escapes can need repair that it does not see.
    let is_sound = match serde_json::from_str::<Value>(text) {
        Ok(_) => true,
        Err(_) => understood(text) && !text.contains("\\u"),
    };
    match (judged, is_sound) {
        (Ok(_), true) if !breaks_lines => {
            assert_eq!(json, text, "valid text passes as it is");
            assert!(repairs.counts().is_empty(), "{repairs:?}");
        }
        (Ok(_), true) => assert_eq!(json, text.replace(['\n', '\r'], "")),
        (Ok(_), false) => {}
        // Control characters inside strings are repaired, so the text may come out as JSON all the same.
        (Err(_), _) if text.contains(|c| c < ' ') => {}
        (Err(_), _) => {
            let string: String = serde_json::from_str(json).expect("a JSON string");
            assert_eq!(string, text);
            assert_eq!(repairs.invalid_json_as_string, 1);
        }
    }
}

/// The line of a row with this text, and what was repaired.
fn written(text: &str) -> (String, Repairs) {
    let column: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let batch = RecordBatch::try_from_iter([("c", column)]).expect("a batch");
    let format = Format::JsonLines(JsonLinesCodec::None);
    let layout = Layout::new(&batch.schema(), format, None, &[Meaning::Json]).expect("a layout");
    let mut rechunker = Rechunker::new(&layout, BlockLimits::of_export(MAX_ROW_BYTES));
    assert!(rechunker.push(&batch).expect("a row").is_empty());
    let block = rechunker.finish().expect("a block").expect("one row");
    let mut encoder = FileEncoder::new(&layout).expect("an encoder");
    encoder.write(&block, 0).expect("a line");
    let mut bytes = encoder.take_output();
    let finished = encoder.finish().expect("an end");
    bytes.extend_from_slice(&finished.output);
    let line = String::from_utf8(bytes).expect("UTF-8");
    (line, finished.repairs)
}

/// By the library's scanner, which goes to any depth, and by its parser, which also judges escapes.
fn valid(json: &str) {
    serde_json::from_str::<&RawValue>(json).unwrap_or_else(|error| panic!("{error}: {json:?}"));
    assert!(understood(json), "{json:?}");
}

/// Whether the library's parser finds nothing wrong that RFC 8259 calls wrong: depth and size of numbers are limits of
/// its own.
fn understood(json: &str) -> bool {
    match serde_json::from_str::<Value>(json) {
        Ok(_) => true,
        Err(error) => {
            let message = error.to_string();
            message.starts_with("recursion limit") || message.starts_with("number out of range")
        }
    }
}
