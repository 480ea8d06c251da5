//! Compressed files to their very last byte: frames in any number and arrangement, and what is behind them.

use super::*;
use crate::files::frames::{Codec, Frames};
use crate::files::input::Input;
use std::io::Read;

/// Returns a skippable frame, as zstd and lz4 have them.
fn skippable(magic: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("short");
    [&[magic, 0x2a, 0x4d, 0x18], &length.to_le_bytes()[..], bytes].concat()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(bytes, 1).expect("zstd")
}

fn plain(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

/// Blocks that can end before their frame does.
fn lz4_blocks(bytes: &[u8]) -> Vec<u8> {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    let info = FrameInfo::new()
        .block_size(BlockSize::Max64KB)
        .block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).expect("bytes");
    encoder.finish().expect("lz4")
}

type Compress = fn(&[u8]) -> Vec<u8>;

const CODECS: [(&str, Compress); 5] = [
    ("gz", gzip),
    ("zst", zstd),
    ("lz4", lz4),
    ("lz4", lz4_blocks),
    ("br", brotli),
];

/// Settings of a model of one's own.
fn own(folder: &TempDir, path: &str) -> FilesSettings {
    FilesSettings {
        model: "orders".to_owned(),
        time_column: "t".to_owned(),
        ..settings(folder.path(), path)
    }
}

fn row(id: usize) -> String {
    format!("{{\"id\":{id},\"t\":\"2024-03-01T05:00:00Z\"}}\n")
}

fn ids(folder: &TempDir, name: &str) -> Vec<i64> {
    let (found, _) = read(&own(folder, name));
    let ids = found.column_by_name("id").expect("ids");
    ids.as_primitive::<arrow::datatypes::Int64Type>().values().to_vec()
}

#[test]
fn every_frame_of_a_file_is_read() {
    let rows: Vec<String> = (0..300).map(row).collect();
    for (ending, compress) in CODECS.into_iter().filter(|(ending, _)| *ending != "br") {
        let frames: Vec<Vec<u8>> = rows.iter().map(|row| compress(row.as_bytes())).collect();
        let empty = compress(b"");
        let skipped = |magic, bytes: &[u8]| match ending {
            "gz" => Vec::new(),
            _ => skippable(magic, bytes),
        };
        let arrangements = [
            frames.concat(),
            [empty.clone(), frames.concat(), empty.clone()].concat(),
            // As pzstd writes it, which tells the length of each frame before it.
            frames
                .iter()
                .flat_map(|frame| [skipped(0x50, &frame.len().to_le_bytes()[..4]), frame.clone()])
                .flatten()
                .collect(),
            // As seekable writers do: an index behind everything.
            [skipped(0x5f, b""), frames.concat(), skipped(0x5e, &[7; 100_000])].concat(),
        ];
        for (number, bytes) in arrangements.into_iter().enumerate() {
            let folder = folder();
            let name = format!("a.jsonl.{ending}");
            put(&folder, &name, bytes);
            let expect: Vec<i64> = (0..300).collect();
            assert_eq!(ids(&folder, &name), expect, "{name}, arrangement {number}");
        }
    }
}

#[test]
fn what_is_behind_the_last_frame_is_named_with_its_place() {
    let text = row(1);
    for (ending, compress) in CODECS {
        let whole = compress(text.as_bytes());
        let other = if ending == "gz" { zstd(b"x") } else { gzip(b"x") };
        for tail in [&b"garbage"[..], b"\n", b"\x00\x01", &other, text.as_bytes()] {
            let folder = folder();
            let name = format!("a.jsonl.{ending}");
            put(&folder, &name, [&whole, tail].concat());
            let codec = [("gz", "gzip"), ("zst", "zstd"), ("br", "brotli")]
                .iter()
                .find(|(known, _)| *known == ending)
                .map_or("lz4", |(_, codec)| codec);
            assert_eq!(
                error(&own(&folder, &name)),
                format!(
                    "{name} is corrupt or truncated: its {codec} data end at byte {}, and what follows there is not \
                     {codec}; recreate it, or exclude it from the source's `path`",
                    whole.len()
                ),
                "{tail:?}"
            );
        }
    }
    // A second brotli stream cannot be told from garbage: brotli has no magic number.
    let folder = folder();
    let twice = [brotli(text.as_bytes()), brotli(text.as_bytes())].concat();
    put(&folder, "a.jsonl.br", twice);
    assert!(error(&own(&folder, "a.jsonl.br")).contains("is not brotli"));
}

#[test]
fn zeros_behind_gzip_are_padding_and_behind_others_an_error() {
    for (ending, compress) in CODECS {
        let folder = folder();
        let name = format!("a.jsonl.{ending}");
        put(&folder, &name, [compress(row(1).as_bytes()), vec![0; 70_000]].concat());
        if ending == "gz" {
            assert_eq!(ids(&folder, &name), [1]);
        } else {
            assert!(error(&own(&folder, &name)).contains("what follows there"));
        }
        put(&folder, &name, vec![0; 512]);
        assert!(!error(&own(&folder, &name)).is_empty(), "{name}");
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    // Long enough for several blocks, and hard to compress.
    let mut random = fastrand::Rng::with_seed(7);
    let text: String = (0..2_000)
        .map(|id| row(id).replace("}\n", &format!(",\"x\":{}}}\n", random.u64(..))))
        .collect();
    for (ending, compress) in CODECS {
        let frame = compress(text.as_bytes());
        let two = [frame.clone(), compress(row(1).as_bytes())].concat();
        let borders: Vec<usize> = match ending {
            // The header and every block, whose end a reader may take for the frame's.
            "lz4" => {
                let mut at = 7;
                let mut borders = vec![4, at];
                while at + 4 < frame.len() {
                    let length = u32::from_le_bytes(frame[at..at + 4].try_into().expect("four"));
                    at += 4 + (length & 0x7fff_ffff) as usize;
                    borders.push(at.min(frame.len() - 1));
                }
                borders
            }
            _ => Vec::new(),
        };
        let everywhere = (1..12)
            .chain(borders)
            .chain((1..10).map(|part| part * frame.len() / 10))
            .chain(frame.len() - 9..frame.len())
            .chain((frame.len() + 1..two.len()).step_by(6));
        for cut in everywhere {
            let folder = folder();
            let name = format!("a.jsonl.{ending}");
            put(&folder, &name, &two[..cut]);
            // Brotli has no second stream, so anything behind the first is an error too.
            let mut settings = own(&folder, &name);
            settings.infer_rows = 1;
            let outcome = open(&settings, selection(START, END)).and_then(|mut files| {
                while files.next_batch()?.is_some() {}
                Ok(())
            });
            assert!(outcome.is_err(), "{name} cut at {cut} of {}", two.len());
        }
    }
}

#[test]
fn an_error_does_not_become_an_end() {
    let text = row(1);
    for (codec, compress) in [
        (Codec::Gzip, gzip as Compress),
        (Codec::Zstd, zstd),
        (Codec::Lz4, lz4),
        (Codec::Brotli, brotli),
    ] {
        let whole = compress(text.as_bytes());
        let cut = &whole[..whole.len() - 1];
        let length = cut.len() as u64;
        let mut frames = Frames::new(codec, Input::new(cut, length, Token::new()));
        let mut found = Vec::new();
        frames.read_to_end(&mut found).expect_err("cut");
        frames.read_to_end(&mut found).expect_err("still cut");
        // Shorter than it was when it was opened.
        let mut frames = Frames::new(codec, Input::new(&whole[..], length + 9, Token::new()));
        let error = frames.read_to_end(&mut Vec::new()).expect_err("short");
        assert!(error.to_string().contains("when it was opened"), "{error}");
    }
    let mut plain = Input::new(text.as_bytes(), 9_999, Token::new());
    let error = plain.read_to_end(&mut Vec::new()).expect_err("short");
    assert_eq!(
        error.to_string(),
        format!("it had 9999 bytes when it was opened, and ends after {}", text.len())
    );
}

#[test]
fn empty_files_have_no_rows() {
    for (ending, compress) in CODECS.into_iter().chain([("", plain as Compress)]) {
        for format in ["jsonl", "csv", "tsv"] {
            let name = format!("a.{format}.{ending}");
            let name = name.trim_end_matches('.');
            for model in ["orders", "events"] {
                for bytes in [Vec::new(), compress(b""), compress(b"\n\n"), compress(b"\xef\xbb\xbf")] {
                    let folder = folder();
                    put(&folder, name, bytes);
                    let mut settings = own(&folder, name);
                    settings.model = model.to_owned();
                    let (found, tally) = read(&settings);
                    assert_eq!((found.num_rows(), tally.files_read), (0, 1), "{name}");
                }
            }
        }
    }
    // Next to a file with rows, they change nothing.
    let folder = folder();
    put(&folder, "a.jsonl", "");
    put(&folder, "b.csv.gz", gzip(b""));
    put(&folder, "c.jsonl", row(7));
    assert_eq!(ids(&folder, "."), [7]);
    let times = arrow::array::TimestampMicrosecondArray::from(vec![0]);
    let batch = RecordBatch::try_from_iter([("t", Arc::new(times) as _)]).expect("a batch");
    put(&folder, "c.jsonl", "");
    put(&folder, "d.parquet", parquet(&batch, 1));
    let (found, tally) = read(&own(&folder, "."));
    assert_eq!((found.num_rows(), tally.files_read), (0, 4));
}

#[test]
fn formats_that_cannot_be_read_are_named() {
    for (name, bytes, expect) in [
        (
            "a.jsonl.sz",
            &b"\xff\x06\x00\x00sNaPpY\x01\x0a\x00\x00"[..],
            "compressed with framed snappy, which cannot be read; decompress it, or compress it with gzip, zstd, lz4 or brotli",
        ),
        (
            "a.csv.snappy",
            b"\x0cid,t\n1,2\n",
            "compressed with snappy, by its name, which cannot be read; decompress it, or compress it with gzip, zstd, lz4 or brotli",
        ),
        (
            "a.csv",
            b"\xff\xfei\x00d\x00",
            "text in UTF-16, which cannot be read; convert it to UTF-8",
        ),
        (
            "a.json",
            b" [\n{\"id\":1}]",
            "a JSON array, which cannot be read; write one object on each line and no array around them (`jq -c '.[]'` does)",
        ),
    ] {
        let folder = folder();
        put(&folder, name, bytes);
        assert_eq!(error(&own(&folder, name)), format!("{name} is {expect}"));
    }
}
