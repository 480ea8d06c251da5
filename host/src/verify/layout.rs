//! Which objects a run consists of: keys by number, and what its manifest says. Asks nobody.

use serde::Deserialize;

use super::report::{FileOutcome, quoted};

/// Bytes of a manifest at the most: 10,000 files in the detailed form take up some 10 MiB.
pub const MANIFEST_LIMIT_BYTES: usize = 64 << 20;
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

    /// What is wrong with a manifest's list.
    pub fn misplaced(&self, files: &[String]) -> Vec<String> {
        let mut faults = Vec::new();
        for (index, found) in files.iter().enumerate() {
            let expect = self.key(index as u64);
            if *found != expect {
                faults.push(format!(
                    "the manifest names {} where {expect} belongs",
                    quoted(found)
                ));
            }
        }
        faults
    }
}

/// A manifest of either form.
#[derive(Debug, Deserialize)]
pub struct Manifest {
    pub files: Vec<String>,
    #[serde(default)]
    file_details: Vec<Details>,
}

#[derive(Debug, Deserialize)]
struct Details {
    key: String,
    rows: u64,
    bytes: u64,
    etag: String,
}

impl Manifest {
    /// Where a file is not what the detailed form says.
    pub fn differences(&self, file: &FileOutcome) -> Vec<String> {
        let Some(details) = self
            .file_details
            .iter()
            .find(|details| details.key == file.key)
        else {
            return Vec::new();
        };
        let mut faults = Vec::new();
        let mut compare = |what: &str, listed: String, found: String| {
            if listed != found {
                faults.push(format!("the manifest says {what} {listed}, found {found}"));
            }
        };
        compare("rows", details.rows.to_string(), file.rows.to_string());
        compare("bytes", details.bytes.to_string(), file.bytes.to_string());
        compare("ETag", details.etag.clone(), file.etag.clone());
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
    fn a_manifest_that_names_another_file_is_a_fault() {
        let layout = layout(&["a-0.jsonl", "a-{n}.jsonl"]);
        let good = ["a-0.jsonl".to_owned(), "a-1.jsonl".to_owned()];
        assert_eq!(layout.misplaced(&good), Vec::<String>::new());
        let bad = ["a-0.jsonl".to_owned(), "b-1.jsonl".to_owned()];
        assert_eq!(
            layout.misplaced(&bad),
            ["the manifest names b-1.jsonl where a-1.jsonl belongs"]
        );
    }
}
