//! Files of every form that is counted, whole and damaged.

use std::io::Write;

use super::*;
use batch_export_source::{EventFilter, Interval};

fn settings(folder: &Path, path: &str) -> FilesSettings {
    FilesSettings::new(folder, path, "own", "at")
}

fn all() -> Selection {
    Selection::new(Interval::always(), EventFilter::default())
}

fn gzip(bytes: &[u8], with_fields: bool) -> Vec<u8> {
    let mut builder = flate2::GzBuilder::new();
    if with_fields {
        builder = builder.filename("rows.csv").comment("a comment").extra(vec![7; 9]);
    }
    let mut encoder = builder.write(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

fn zstd_without_checksum(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("compressed")
}

const JSON: &[u8] = b"\xef\xbb\xbf{\"n\":1}\n\n  \r\n{\"n\":2}\r\n{\"s\":\"\\n\"}";
const CSV: &[u8] = b"\xef\xbb\xbfn,s\r\n1,\"a\r\nb\"\r\n\r\n2,\"say \"\"\n\"\"\"\n3,\n";

#[test]
fn every_form_of_file_is_counted_apart_from_the_reader() {
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let halves = JSON.split_at(20);
    let cases: Vec<(&str, Vec<u8>, u64)> = vec![
        ("a.jsonl", JSON.to_vec(), 3),
        ("a.csv", CSV.to_vec(), 3),
        ("b.csv", b"n\n".to_vec(), 0),
        ("c.csv", Vec::new(), 0),
        ("d.csv.gz", gzip(CSV, true), 3),
        (
            "e.jsonl.gz",
            [gzip(halves.0, false), gzip(halves.1, true), vec![0; 9]].concat(),
            3,
        ),
        (
            "f.jsonl.zst",
            [
                skippable.clone(),
                zstd_without_checksum(halves.0),
                skippable,
                zstd_without_checksum(halves.1),
            ]
            .concat(),
            3,
        ),
    ];
    for (name, bytes, expect) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(name), bytes).expect("a file");
        let found = recount(&settings(folder.path(), name), &all(), &Token::new()).expect("found");
        assert_eq!((found.rows, found.reason), (expect, None), "{name}");
    }
}

#[test]
fn what_cannot_be_counted_is_said_and_compared_as_far_as_it_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("a.jsonl"), JSON).expect("a file");
    std::fs::write(at("b.jsonl.lz4"), [0x04, 0x22, 0x4d, 0x18]).expect("a file");
    let mut damaged = gzip(CSV, false);
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    std::fs::write(at("c.csv.gz"), damaged).expect("a file");
    let found = recount(&settings(folder.path(), "."), &all(), &Token::new()).expect("found");
    assert_eq!((found.rows, found.uncounted), (3, 2));
    let reason = found.reason.clone().expect("a reason");
    assert!(
        reason.ends_with("b.jsonl.lz4: there is no second decoder for lz4"),
        "{reason}"
    );
    assert_eq!(found.fault(3), None);
    assert_eq!(found.fault(4), None);
    let least = "the source's reader found 2 rows, but a second count of its files finds at least 3";
    assert_eq!(found.fault(2).as_deref(), Some(least));
    let whole = Recount {
        rows: 3,
        ..Recount::default()
    };
    assert_eq!(whole.fault(3), None);
    for read in [2, 4] {
        let fault = whole.fault(read).expect("they differ");
        assert!(fault.contains("a second count of its files finds 3"), "{fault}");
    }
}
