//! What the first bytes of a file reveal: unsupported formats, by name, and JSON. Reads no file.

use super::discover::unpacked_name;

/// A format that cannot be read, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unsupported {
    pub what: &'static str,
    pub remedy: &'static str,
}

const RECOMPRESS: &str = "decompress it, or compress it with gzip, zstd, lz4 or brotli";

/// Bytes that identify a format with certainty, and their position.
const SIGNATURES: [(usize, &[u8], &str, &str); 13] = [
    (
        0,
        b"\xff\x06\x00\x00sNaPpY",
        "compressed with framed snappy",
        RECOMPRESS,
    ),
    (4, b"1AY&SY", "compressed with bzip2", RECOMPRESS),
    (0, b"\xfd7zXZ\x00", "compressed with xz", RECOMPRESS),
    (
        0,
        b"\x02\x21\x4c\x18",
        "compressed with lz4 in its legacy form",
        RECOMPRESS,
    ),
    (0, b"PK\x03\x04", "a ZIP archive", "extract its files"),
    (0, b"\xff\xfe", "text in UTF-16", "convert it to UTF-8"),
    (0, b"\xfe\xff", "text in UTF-16", "convert it to UTF-8"),
    (0, b"Obj\x01", "an Avro file", "convert it to Parquet"),
    (
        0,
        b"FEA1",
        "a Feather file of version 1",
        "write it as Feather version 2, Arrow or Parquet",
    ),
    (0, b"PARE", "an encrypted Parquet file", "decrypt it"),
    (0, b"ORC", "an ORC file", "convert it to Parquet"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "extract its files"),
    (0, b"SQLite format 3\x00", "an SQLite database", "export its table"),
];

/// Names of a form of snappy that has no signature.
const SNAPPY_ENDINGS: [&str; 2] = [".sz", ".snappy"];

/// Returns whether a file is one that cannot be read. `head` is what it begins with once it is decompressed, `name` is
/// in lower case.
pub(crate) fn unsupported(head: &[u8], name: &str, is_compressed: bool) -> Option<Unsupported> {
    // What Arrow streams begin with.
    let is_arrow = head.starts_with(&[0xff; 4]);
    // A header can begin with the letters of a signature: `ORCID`, `PARENT`.
    let is_text = !head
        .iter()
        .any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace());
    let signature = SIGNATURES.iter().find(|(at, signature, ..)| {
        let found = head.get(*at..).unwrap_or_default();
        let could_be_text = is_text && signature.iter().all(u8::is_ascii_alphanumeric);
        found.starts_with(signature) && !is_arrow && !could_be_text
    });
    if let Some((.., what, remedy)) = signature {
        return Some(Unsupported { what, remedy });
    }
    if !is_compressed && SNAPPY_ENDINGS.iter().any(|ending| name.ends_with(ending)) {
        return Some(Unsupported {
            what: "compressed with snappy, by its name",
            remedy: RECOMPRESS,
        });
    }
    if unpacked_name(name).ends_with(".json") && text(head).starts_with(b"[") {
        return Some(Unsupported {
            what: "a JSON array",
            remedy: "write one object on each line and no array around them (`jq -c '.[]'` does)",
        });
    }
    None
}

/// Returns whether JSON Lines can begin like this.
pub(crate) fn is_json_object(head: &[u8]) -> bool {
    text(head).starts_with(b"{")
}

/// Without a byte order mark and blanks.
fn text(head: &[u8]) -> &[u8] {
    head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        let what = |head: &[u8], name: &str| unsupported(head, name, false).map_or("", |unsupported| unsupported.what);
        assert_eq!(
            what(b"\xff\x06\x00\x00sNaPpY\x01", "a.jsonl.sz"),
            "compressed with framed snappy"
        );
        assert_eq!(what(b"anything", "a.csv.snappy"), "compressed with snappy, by its name");
        assert_eq!(what(b"\xff\xfei\x00d\x00", "a.csv"), "text in UTF-16");
        assert_eq!(what(&[0xff; 8], "a.arrows"), "");
        assert_eq!(what(b"ORC\x08\x03\x10", "a.orc"), "an ORC file");
        for header in [&b"ORCID,t\n1,2\n"[..], b"PARENT\tt\r\n", b"FEA1,t\n"] {
            assert_eq!(what(header, "a.csv"), "");
        }
        assert_eq!(what(b"\xef\xbb\xbf\n [{", "a.json"), "a JSON array");
        assert_eq!(what(b"[{", "a.jsonl"), "");
        assert!(is_json_object(b"\xef\xbb\xbf {\"a\":1}") && !is_json_object(b"a,b"));
    }
}
