//! Files that want to hurt whoever reads them: memory that a few bytes ask for, numbers that lie, readers that panic.

use ::parquet::basic::Compression;
use arrow::array::{ArrayRef, TimestampMicrosecondArray};
use arrow::ipc::CompressionType;

use super::*;
use crate::message::batch_bytes;

/// 2024-03-01T05:00Z.
const FIVE: i64 = 1_709_269_200_000_000;

fn own(folder: &TempDir, path: &str) -> FilesSettings {
    FilesSettings {
        model: "own".to_owned(),
        time_column: "t".to_owned(),
        ..settings(folder.path(), path)
    }
}

fn rows_with(texts: Vec<String>) -> RecordBatch {
    let times = TimestampMicrosecondArray::from(vec![FIVE; texts.len()]);
    RecordBatch::try_from_iter([
        ("t", Arc::new(times) as ArrayRef),
        ("s", Arc::new(StringArray::from(texts)) as ArrayRef),
    ])
    .expect("rows")
}

/// Replaces the length that the first compressed buffer of so many bytes declares.
fn declaring(mut bytes: Vec<u8>, length: i64, declared: i64) -> Vec<u8> {
    let known = length.to_le_bytes();
    let at = bytes
        .windows(8)
        .rposition(|window| window == known)
        .expect("the length");
    bytes[at..at + 8].copy_from_slice(&declared.to_le_bytes());
    bytes
}

#[test]
fn an_arrow_buffer_that_declares_too_much_is_refused_before_memory_is_taken() {
    let rows = rows_with(vec!["x".repeat(100_000)]);
    let options = || {
        IpcWriteOptions::default()
            .try_with_compression(Some(CompressionType::LZ4_FRAME))
            .expect("options")
    };
    let file = {
        let mut writer = FileWriter::try_new_with_options(Vec::new(), &rows.schema(), options()).expect("a writer");
        writer.write(&rows).expect("rows");
        writer.into_inner().expect("a file")
    };
    let folder = folder();
    let stream = arrow_stream(&rows, Some(CompressionType::LZ4_FRAME));
    for (name, bytes) in [("a.arrow", file), ("a.arrows", stream.clone()), ("z.arrows.gz", stream)] {
        for (declared, expect) in [
            (
                1 << 46,
                "needs too much memory: one of its record batches declares 70,368,744,17",
            ),
            (
                i64::MAX,
                "needs too much memory: one of its record batches declares 9,223,372,036,854,7",
            ),
            (-2, "one of its buffers has a negative length"),
            (
                (1 << 30) + 1,
                "more than the 1,073,741,824 that can be read at once; write it with smaller batches",
            ),
            // Within the limit, and not what is in it.
            (100_001, "is corrupt or truncated"),
        ] {
            let bytes = declaring(bytes.clone(), 100_000, declared);
            put(
                &folder,
                name,
                match name.ends_with(".gz") {
                    true => gzip(&bytes),
                    false => bytes,
                },
            );
            let text = error(&own(&folder, name));
            assert!(text.starts_with(name) && text.contains(expect), "{declared}: {text}");
        }
    }
}

#[test]
fn lengths_in_an_arrow_file_that_lie_are_errors() {
    let rows = rows_with(vec!["x".to_owned(); 10]);
    let folder = folder();
    let (file, stream) = (arrow_file(&rows), arrow_stream(&rows, None));
    let mut footer = file.clone();
    let at = footer.len() - 10;
    footer[at..at + 4].copy_from_slice(&i32::MAX.to_le_bytes());
    put(&folder, "footer.arrow", footer);
    let mut header = stream.clone();
    header[4..8].copy_from_slice(&i32::MAX.to_le_bytes());
    put(&folder, "header.arrows", header);
    put(&folder, "two.arrows", [stream.clone(), stream.clone()].concat());
    put(&folder, "cut.arrows", &stream[..stream.len() - 20]);
    for (name, expect) in [
        ("footer.arrow", "its footer claims to have 2147483647 bytes"),
        ("header.arrows", "one of its messages has a header of impossible length"),
        ("two.arrows", "it contains data after the end of its stream"),
        ("cut.arrows", "it ends in the middle of a message"),
    ] {
        let text = error(&own(&folder, name));
        assert!(text.contains(expect), "{name}: {text}");
    }
}

#[test]
fn every_flipped_byte_of_an_arrow_file_is_rows_or_an_error() {
    let folder = folder();
    let rows = rows_with((0..20).map(|n| "y".repeat(n)).collect());
    let seed = 7;
    let mut random = fastrand::Rng::with_seed(seed);
    for (name, bytes) in [
        ("a.arrow", arrow_file(&rows)),
        ("a.arrows", arrow_stream(&rows, Some(CompressionType::ZSTD))),
        ("a.parquet", parquet(&rows, 7)),
    ] {
        for _ in 0..300 {
            let mut bytes = bytes.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(0..bytes.len());
                bytes[at] ^= random.u8(1..);
            }
            put(&folder, name, bytes);
            let outcome = open(&own(&folder, name), selection(START, END)).and_then(|mut files| {
                while files.next_batch()?.is_some() {}
                Ok(())
            });
            // It came back, and an error names the file.
            if let Err(error) = outcome {
                assert!(error.to_string().contains(name), "seed {seed}: {error}");
            }
        }
    }
}

fn packed(rows: &RecordBatch) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(Default::default()))
        .set_dictionary_page_size_limit(64 << 20)
        .build();
    let schema = rows.schema();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).expect("a writer");
    writer.write(rows).expect("rows");
    writer.into_inner().expect("a file")
}

/// Returns bytes of the largest batch, and all rows.
fn largest(settings: &FilesSettings) -> (usize, usize, usize) {
    let mut files = open(settings, selection(START, END)).expect("files");
    let (mut most, mut rows, mut batches) = (0, 0, 0);
    while let Some(batch) = files.next_batch().expect("rows") {
        most = most.max(batch_bytes(&batch).expect("bytes"));
        rows += batch.num_rows();
        batches += 1;
    }
    (most, rows, batches)
}

#[test]
fn a_value_that_repeats_thousands_of_times_does_not_take_gigabytes() {
    let folder = folder();
    let large = "z".repeat(200_000);
    let short = |n: usize| vec!["s".to_owned(); n];
    // From the first row on, and after many small rows that promise small ones.
    let first = rows_with(vec![large.clone(); 1_000]);
    let late = rows_with([short(12_000), vec![large; 1_000]].concat());
    for (name, rows) in [("first.parquet", first), ("late.parquet", late)] {
        let bytes = packed(&rows);
        assert!(bytes.len() < 100_000, "{}", bytes.len());
        put(&folder, name, bytes);
        let (most, read, _) = largest(&own(&folder, name));
        assert_eq!(read, rows.num_rows(), "{name}");
        assert!(most <= 65 << 20, "{name}: {most}");
    }
}

#[test]
fn ordinary_rows_come_in_large_batches() {
    let folder = folder();
    let texts = (0..100_000).map(|n| format!("value {}", n % 1_000)).collect();
    put(&folder, "a.parquet", parquet(&rows_with(texts), 50_000));
    let (_, rows, batches) = largest(&own(&folder, "a.parquet"));
    assert_eq!(rows, 100_000);
    assert!(batches < 25, "{batches}");
}

#[test]
fn files_of_other_kinds_are_not_called_damaged() {
    let folder = folder();
    for (name, bytes, what) in [
        (
            "v1.feather",
            &b"FEA1\0\0\0\0 and so on"[..],
            "a Feather file of version 1",
        ),
        (
            "a.jsonl.sz",
            b"\xff\x06\x00\x00sNaPpY and so on",
            "compressed with framed snappy",
        ),
        ("a.csv", b"PK\x03\x04 and so on", "a ZIP archive"),
        ("a.parquet", b"PARE\x15\x04 and so on PARE", "an encrypted Parquet file"),
    ] {
        put(&folder, name, bytes);
        let text = error(&own(&folder, name));
        let expect = format!("{name} is {what}, which cannot be read; ");
        assert!(text.starts_with(&expect), "{text}");
    }
}

#[test]
fn integers_of_128_bits_name_their_column() {
    let folder = folder();
    let wide = RecordBatch::try_from_iter([
        ("t", Arc::new(TimestampMicrosecondArray::from(vec![FIVE])) as ArrayRef),
        ("wide", Arc::new(Int64Array::from(vec![1])) as ArrayRef),
    ])
    .expect("rows");
    for (name, bytes) in [("a.arrow", arrow_file(&wide)), ("a.arrows", arrow_stream(&wide, None))] {
        // Polars writes the width of 128 where Arrow knows 64: four bytes, wherever the schema is.
        let width = 64_i32.to_le_bytes();
        let mut bytes = bytes;
        let mut refused = false;
        for at in 0..bytes.len() - 4 {
            if bytes[at..at + 4] == width {
                bytes[at..at + 4].copy_from_slice(&128_i32.to_le_bytes());
                put(&folder, name, &bytes);
                refused |= error_of(&own(&folder, name)).is_some_and(|text| {
                    text == format!(
                        "{name} is valid, but cannot be read here: its column `wide` holds integers of \
                                     128 bits, which Arrow does not support; convert the column to 64 bits, a decimal \
                                     or text"
                    )
                });
                bytes[at..at + 4].copy_from_slice(&width);
            }
        }
        assert!(refused, "{name}");
    }
}

fn error_of(settings: &FilesSettings) -> Option<String> {
    let outcome = open(settings, selection(START, END));
    let text = batch_export_system::explain::Cause::of(&outcome.err()?).in_one_text();
    Some(text.replace(&format!("{}/", settings.base.display()), ""))
}

#[test]
fn a_reader_that_panics_is_a_file_that_cannot_be_read() {
    let path = Path::new("in/a.parquet");
    let error = guarded::<()>(path, &Token::new(), || panic!("index {} out of bounds", 7)).expect_err("a panic");
    assert_eq!(
        error.to_string(),
        "in/a.parquet cannot be read: the reader failed unexpectedly (index 7 out of bounds), most likely because the \
         file is corrupt"
    );
}
