//! Which objects a run consists of: keys by number. Asks nobody.

use super::report::quoted;

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
        assert_eq!(layout.misplaced(&good).count(), 0);
        let bad = ["a-0.jsonl".to_owned(), "b-1.jsonl".to_owned()];
        assert_eq!(
            layout.misplaced(&bad).collect::<Vec<_>>(),
            ["the manifest names b-1.jsonl where a-1.jsonl belongs"]
        );
    }
}
