//! Which objects a run consists of: keys by number, and what its manifest says. Asks nobody.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::report::{FileOutcome, quoted};

/// Bytes of a manifest at most: 10,000 files in the detailed form take up some 10 MiB.
pub const MANIFEST_LIMIT_BYTES: usize = 64 << 20;
/// Files that a manifest may list: ten times what a run can write. Each is asked for.
const MANIFEST_FILES_LIMIT: usize = 100_000;
/// What stands for a file's number in a plan's second key.
const NUMBER: &str = "{n}";

/// The keys of a run's data files.
pub struct Layout {
    first: String,
    /// What stands before and behind the number of further files.
    head: String,
    tail: String,
}

impl Layout {
    /// From the keys of a plan: the first file's, and with splitting on that of all with their number left open.
    pub fn new(keys: &[String]) -> Self {
        let first = keys.first().cloned().unwrap_or_default();
        let (head, tail) = match keys.get(1).and_then(|key| {
            let at = key.rfind(NUMBER)?;
            Some((key[..at].to_owned(), key[at + NUMBER.len()..].to_owned()))
        }) {
            Some(parts) => parts,
            // Without splitting, files after the first carry a number as well: an unlimited export that outgrew one.
            None => {
                let at = [".jsonl", ".parquet"]
                    .iter()
                    .filter_map(|extension| first.rfind(extension))
                    .max()
                    .unwrap_or(first.len());
                let (stem, tail) = first.split_at(at);
                (format!("{stem}-"), tail.to_owned())
            }
        };
        Layout { first, head, tail }
    }

    /// The key of file `index`, from 0.
    pub fn key(&self, index: u64) -> String {
        match index {
            0 => self.first.clone(),
            index => format!("{}{index}{}", self.head, self.tail),
        }
    }

    /// What is wrong with a manifest's list, one fault after the other.
    pub fn misplaced<'a>(&'a self, files: &'a [String]) -> impl Iterator<Item = String> + 'a {
        files.iter().enumerate().filter_map(|(index, found)| {
            let expect = self.key(index as u64);
            (*found != expect).then(|| {
                format!(
                    "the manifest names {} where {expect} belongs",
                    quoted(found)
                )
            })
        })
    }
}

/// A manifest of either form.
#[derive(Debug, Deserialize)]
pub struct Manifest {
    #[serde(deserialize_with = "bounded")]
    pub files: Vec<String>,
    #[serde(default, deserialize_with = "bounded")]
    file_details: Vec<Details>,
}

/// A list of at most [`MANIFEST_FILES_LIMIT`] entries: empty texts would make millions out of a few megabytes.
fn bounded<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    struct Bounded<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MANIFEST_FILES_LIMIT} files")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = list.next_element()? {
                if entries.len() == MANIFEST_FILES_LIMIT {
                    return Err(serde::de::Error::invalid_length(entries.len() + 1, &self));
                }
                entries.push(entry);
            }
            Ok(entries)
        }
    }
    from.deserialize_seq(Bounded(PhantomData))
}

#[derive(Debug, Deserialize)]
struct Details {
    key: String,
    rows: u64,
    bytes: u64,
    etag: String,
    #[serde(default)]
    checksum: Option<Listed>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    algorithm: String,
    value: String,
}

impl Manifest {
    /// Bytes that a file has, where the detailed form says so.
    pub fn bytes_of(&self, index: u64, key: &str) -> Option<u64> {
        self.details(index, key).map(|details| details.bytes)
    }

    /// Details stand in the order of the files; where they do not, they are found by their key.
    fn details(&self, index: u64, key: &str) -> Option<&Details> {
        let is_it = |details: &&Details| details.key == key;
        let at = usize::try_from(index).ok()?;
        self.file_details
            .get(at)
            .filter(is_it)
            .or_else(|| self.file_details.iter().find(is_it))
    }

    /// Where a file is not what the detailed form says.
    pub fn differences(&self, index: u64, file: &FileOutcome) -> Vec<String> {
        let Some(details) = self.details(index, &file.key) else {
            return match self.file_details.is_empty() {
                true => Vec::new(),
                false => vec!["the manifest lists it without its details".to_owned()],
            };
        };
        let mut faults = Vec::new();
        let mut compare = |what: &str, listed: String, found: String| {
            if listed != found {
                faults.push(format!("the manifest says {what} {listed}, found {found}"));
            }
        };
        compare("rows", details.rows.to_string(), file.rows.to_string());
        compare("bytes", details.bytes.to_string(), file.bytes.to_string());
        compare("ETag", quoted(&details.etag), quoted(&file.etag));
        match (&details.checksum, &file.computed) {
            (None, _) => {}
            (Some(listed), Some(computed))
                if computed.algorithm.eq_ignore_ascii_case(&listed.algorithm) =>
            {
                compare(
                    "checksum",
                    quoted(&listed.value),
                    computed.right().to_owned(),
                );
            }
            (Some(listed), _) => faults.push(format!(
                "the manifest's checksum of kind {} cannot be compared",
                quoted(&listed.algorithm)
            )),
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(keys: &[&str]) -> Layout {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        Layout::new(&keys)
    }

    /// The SHA-256 of one PUT is that of its bytes: what is made of parts, and what cannot be compared, is a fault.
    #[test]
    fn a_manifest_with_another_checksum_is_a_fault() {
        let mut running = crate::verify::checksum::Running::new("sha256", 9).expect("known");
        running.update(b"123456789");
        let mut file = FileOutcome {
            computed: Some(running.finish()),
            ..FileOutcome::new("a.jsonl")
        };
        let right = "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=";
        let says = |algorithm: &str, value: &str| -> Manifest {
            let text = format!(
                r#"{{"files": ["a.jsonl"], "file_details": [{{"key": "a.jsonl", "rows": 0, "bytes": 0, "etag": "",
                   "checksum": {{"algorithm": "{algorithm}", "value": "{value}"}}}}]}}"#
            );
            serde_json::from_str(&text).expect("a manifest")
        };
        assert_eq!(
            says("SHA256", right).differences(0, &file),
            Vec::<String>::new()
        );
        let composite = "wLVe5LKs7xQXfGhz3Fz5PZLmVdQ=-1";
        assert_eq!(
            says("SHA256", composite).differences(0, &file),
            [format!(
                "the manifest says checksum {composite}, found {right}"
            )]
        );
        let unknown = ["the manifest's checksum of kind CRC32 cannot be compared"];
        assert_eq!(says("CRC32", "AAAAAA==").differences(0, &file), unknown);
        file.computed = None;
        let unknown = ["the manifest's checksum of kind SHA256 cannot be compared"];
        assert_eq!(says("SHA256", right).differences(0, &file), unknown);
    }

    #[test]
    fn keys_follow_from_the_plan() {
        let split = layout(&["{n}/a-0.jsonl.gz", "{n}/a-{n}.jsonl.gz"]);
        assert_eq!(split.key(0), "{n}/a-0.jsonl.gz");
        assert_eq!(split.key(12), "{n}/a-12.jsonl.gz");
        let whole = layout(&["x.parquet/a.parquet.zst"]);
        assert_eq!(whole.key(0), "x.parquet/a.parquet.zst");
        assert_eq!(whole.key(1), "x.parquet/a-1.parquet.zst");
    }

    #[test]
    fn a_manifest_lists_a_bounded_number_of_files() {
        let listing = |files: usize| format!("{{\"files\":[{}]}}", vec!["\"\""; files].join(","));
        let parsed = |files| serde_json::from_str::<Manifest>(&listing(files));
        assert!(parsed(MANIFEST_FILES_LIMIT).is_ok());
        let error = parsed(MANIFEST_FILES_LIMIT + 1).expect_err("too many");
        assert!(
            error.to_string().contains("at most 100000 files"),
            "{error}"
        );
    }

    #[test]
    fn a_manifest_that_names_another_file_is_a_fault() {
        let layout = layout(&["a-0.jsonl", "a-{n}.jsonl"]);
        let good = ["a-0.jsonl".to_owned(), "a-1.jsonl".to_owned()];
        assert_eq!(layout.misplaced(&good).count(), 0);
        let bad = ["a-0.jsonl".to_owned(), "b-1.jsonl".to_owned()];
        assert_eq!(
            layout.misplaced(&bad).collect::<Vec<_>>(),
            ["the manifest names b-1.jsonl where a-1.jsonl belongs"]
        );
    }
}
