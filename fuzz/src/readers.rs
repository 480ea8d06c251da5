//! What the readers of text files promise for any input: each check panics when a promise is broken. The fuzz targets
//! run them on inputs that libFuzzer makes up, and the host's tests on the corpus. Nothing here knows the engine.

use std::fs;
use std::io::Write;
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use batch_export_source::{ColumnType, FilesFactory, FilesSettings, Interval};
use batch_export_source::{EventFilter, Selection, SourceError, SourceFactory, Tally};
use batch_export_system::{Budget, Token};
use tempfile::TempDir;

/// A target: its name, which is its corpus folder's too, and the check.
pub type Target = (&'static str, fn(&[u8]));

/// Every target there is.
pub const TARGETS: [Target; 3] = [("csv", csv), ("frames", frames), ("json_lines", json_lines)];

/// Runs one target's check.
pub fn check(target: &str, input: &[u8]) {
    let (_, check) = TARGETS
        .iter()
        .find(|(name, _)| *name == target)
        .expect("a target's name");
    check(input);
}

/// Longer than any message about one file has a reason to be.
const MAX_MESSAGE_BYTES: usize = 4096;

fn settings(folder: &Path, name: &str) -> FilesSettings {
    FilesSettings::new(folder, name, "own", "t")
}

fn read(settings: &FilesSettings) -> Result<(RecordBatch, Tally), SourceError> {
    let selection = Selection::new(
        Interval::parse("START", "2100-01-01").expect("an interval"),
        EventFilter::default(),
    );
    let factory = FilesFactory::new(settings.clone());
    let mut files = factory.open(selection, &Token::new(), &Budget::unlimited())?;
    let mut batches = Vec::new();
    while let Some(batch) = files.next_batch()? {
        batches.push(batch);
    }
    let rows = concat_batches(&files.schema(), &batches).expect("one schema");
    Ok((rows, files.tally()))
}

/// Whatever a file holds, reading it ends with rows or with a message that a person can read.
fn judged(settings: &FilesSettings) -> Option<(RecordBatch, Tally)> {
    match read(settings) {
        Ok(read) => Some(read),
        Err(error) => {
            let message = error.to_string();
            assert!(message.len() <= MAX_MESSAGE_BYTES, "{} bytes", message.len());
            None
        }
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn texts(rows: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let column = rows.column_by_name(column).expect("the column");
    let texts = column.as_string::<i32>().iter();
    texts.map(|text| text.map(str::to_owned)).collect()
}

/// Input: a CSV file, and texts for one.
fn csv(input: &[u8]) {
    let folder = folder();
    let mut raw = b"t,v\n".to_vec();
    raw.extend(input);
    fs::write(folder.path().join("a.csv"), raw).expect("a file");
    judged(&settings(folder.path(), "a.csv"));

    // Every text comes back from a file whose writer quotes it.
    let text = String::from_utf8_lossy(input);
    let fields: Vec<&str> = text.split('\u{1}').collect();
    let rows: String = fields
        .iter()
        .map(|field| format!("2024-03-01,\"{}\"\r\n", field.replace('"', "\"\"")))
        .collect();
    fs::write(folder.path().join("a.csv"), format!("t,v\r\n{rows}")).expect("a file");
    let mut settings = settings(folder.path(), "a.csv");
    settings.columns.insert("v".to_owned(), ColumnType::Text);
    let (rows, _) = read(&settings).expect("a right file");
    let expect: Vec<Option<String>> = fields
        .iter()
        .map(|field| (!field.is_empty()).then(|| (*field).to_owned()))
        .collect();
    assert_eq!(texts(&rows, "v"), expect);
}

/// Input: lines of JSON, and a text, and a number for one.
fn json_lines(input: &[u8]) {
    let folder = folder();
    let path = folder.path().join("a.jsonl");
    fs::write(&path, input).expect("a file");
    let (mut own, time) = (settings(folder.path(), "a.jsonl"), "\"t\":\"2024-03-01\"");
    if let Some((_, tally)) = judged(&own) {
        let rows = input
            .split(|byte| *byte == b'\n')
            .map(|line| line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line))
            .filter(|line| !line.trim_ascii().is_empty());
        assert_eq!(tally.rows_read, rows.count() as u64);
    }

    // A text and a number come back, and neither changes the other.
    let text = String::from_utf8_lossy(input);
    let quoted = serde_json::to_string(&text).expect("a text");
    let number = text.trim();
    let is_number = number.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && serde_json::from_str::<&serde_json::value::RawValue>(number).is_ok();
    let number = if is_number { number } else { "1" };
    let rows = format!("{{{time},\"v\":{quoted},\"w\":{number}}}\n{{{time},\"w\":{quoted}}}\n");
    fs::write(&path, rows).expect("a file");
    own.infer_rows = 0;
    let (rows, _) = read(&own).expect("a right file");
    assert_eq!(texts(&rows, "v"), [Some(text.to_string()), None]);
    // Numbers and texts in one column stay as they are written.
    assert_eq!(texts(&rows, "w"), [Some(number.to_owned()), Some(quoted.clone())]);
}

/// Input: one byte that chooses a codec and where to cut, then a compressed file or what is to be compressed.
fn frames(input: &[u8]) {
    let [chosen, rest @ ..] = input else {
        return;
    };
    let folder = folder();
    let ending = ["gz", "zst", "lz4", "br"][usize::from(*chosen) % 4];
    let name = format!("a.csv.{ending}");
    let path = folder.path().join(&name);
    let mut own = settings(folder.path(), &name);
    own.columns.insert("v".to_owned(), ColumnType::Text);
    fs::write(&path, rest).expect("a file");
    judged(&own);

    // Two frames, or for brotli one, give what was put into them; a byte less or more is an error.
    let text: String = rest.iter().map(|byte| format!("2024-03-01,{byte}\n")).collect();
    let whole = match ending {
        "br" => compressed(ending, format!("t,v\n{text}").as_bytes()),
        _ => [compressed(ending, b"t,v\n"), compressed(ending, text.as_bytes())].concat(),
    };
    fs::write(&path, &whole).expect("a file");
    let (rows, _) = read(&own).expect("a right file");
    assert_eq!(rows.num_rows(), rest.len());
    fs::write(&path, &whole[..whole.len() - 1]).expect("a file");
    assert!(read(&own).is_err(), "a file cut by a byte passes");
    fs::write(&path, [&whole[..], &[*chosen | 1]].concat()).expect("a file");
    assert!(read(&own).is_err(), "a byte behind the end passes");
}

fn compressed(ending: &str, bytes: &[u8]) -> Vec<u8> {
    match ending {
        "gz" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).expect("bytes");
            encoder.finish().expect("gzip")
        }
        "zst" => zstd::encode_all(bytes, 1).expect("zstd"),
        "lz4" => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(bytes).expect("bytes");
            encoder.finish().expect("lz4")
        }
        _ => {
            let fast = brotli::enc::BrotliEncoderParams {
                quality: 1,
                ..Default::default()
            };
            let mut packed = Vec::new();
            brotli::BrotliCompress(&mut &bytes[..], &mut packed, &fast).expect("brotli");
            packed
        }
    }
}
