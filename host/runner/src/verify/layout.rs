//! The objects that a run consists of: keys by number. Sends no requests.

use super::report::quoted;

/// Placeholder of a file's number in a plan's second key.
const NUMBER: &str = "{n}";
/// Endings of data files under any settings (docs/formats.md).
const ENDINGS: [&str; 10] = [
    ".jsonl",
    ".jsonl.gz",
    ".jsonl.br",
    ".jsonl.zst",
    ".parquet",
    ".parquet.gz",
    ".parquet.br",
    ".parquet.zst",
    ".parquet.lz4",
    ".parquet.sz",
];
const MANIFEST: &str = "_manifest.json";
/// In front of a file's name, it hides the file from programs that read whole folders.
const HIDDEN: &str = "_";

/// The keys of a run's data files.
pub(super) struct Layout {
    first: String,
    /// The text before and after the number of further files.
    head: String,
    tail: String,
}

impl Layout {
    /// Takes them from the keys of a plan: the first file's, and with splitting on that of all with their number left
    /// open.
    pub(super) fn new(keys: &[String]) -> Self {
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

    /// Returns the key of file `index`, from 0.
    pub(super) fn key(&self, index: u64) -> String {
        match index {
            0 => self.first.clone(),
            index => format!("{}{index}{}", self.head, self.tail),
        }
    }

    /// Keys that the run would have had under other settings: the first file in every other format, split or not, and
    /// the manifest where this run has none or another. None where the plan's own keys do not follow the naming.
    pub(super) fn other_keys(&self, manifest: Option<&str>) -> Vec<String> {
        let ending = ENDINGS
            .iter()
            .filter(|ending| self.first.ends_with(**ending))
            .max_by_key(|ending| ending.len());
        let Some(name) = ending.and_then(|ending| self.first.strip_suffix(ending)) else {
            return Vec::new();
        };
        let stem = match self.head.strip_suffix('-') {
            Some(stem) if name.strip_suffix("-0") == Some(stem) => stem,
            _ => name,
        };
        let (folder, name) = match stem.rfind('/') {
            Some(slash) => stem.split_at(slash + 1),
            None => ("", stem),
        };
        let manifests = ["", HIDDEN].map(|hidden| format!("{folder}{hidden}{name}{MANIFEST}"));
        ENDINGS
            .iter()
            .flat_map(|end| [format!("{stem}{end}"), format!("{stem}-0{end}")])
            .filter(|key| *key != self.first)
            .chain(manifests.into_iter().filter(|key| Some(key.as_str()) != manifest))
            .collect()
    }

    /// Returns what is wrong with a manifest's list, one fault after the other.
    pub(super) fn misplaced<'a>(&'a self, files: &'a [String]) -> impl Iterator<Item = String> + 'a {
        files.iter().enumerate().filter_map(|(index, found)| {
            let expect = self.key(index as u64);
            (*found != expect).then(|| format!("the manifest lists {} instead of {expect}", quoted(found)))
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
    fn keys_of_other_settings_follow_from_the_plans_own() {
        let split = layout(&["x/a-0.jsonl.gz", "x/a-{n}.jsonl.gz"]);
        let others = split.other_keys(Some("x/a_manifest.json"));
        assert_eq!(others.len(), 2 * ENDINGS.len() - 1 + 1, "{others:?}");
        for key in [
            "x/a.jsonl",
            "x/a-0.jsonl",
            "x/a.jsonl.gz",
            "x/a-0.parquet.zst",
            "x/_a_manifest.json",
        ] {
            assert!(others.iter().any(|other| other == key), "{key}: {others:?}");
        }
        // A name that ends like a number of its own.
        let whole = layout(&["b-0.parquet"]);
        let others = whole.other_keys(None);
        assert_eq!(others.len(), 2 * ENDINGS.len() - 1 + 2, "{others:?}");
        for key in ["b-0.jsonl", "b-0-0.parquet", "b-0_manifest.json", "_b-0_manifest.json"] {
            assert!(others.iter().any(|other| other == key), "{key}: {others:?}");
        }
        assert_eq!(layout(&["a.csv"]).other_keys(None), Vec::<String>::new());
    }

    #[test]
    fn a_manifest_that_names_another_file_is_a_fault() {
        let layout = layout(&["a-0.jsonl", "a-{n}.jsonl"]);
        let good = ["a-0.jsonl".to_owned(), "a-1.jsonl".to_owned()];
        assert_eq!(layout.misplaced(&good).count(), 0);
        let bad = ["a-0.jsonl".to_owned(), "b-1.jsonl".to_owned()];
        assert_eq!(
            layout.misplaced(&bad).collect::<Vec<_>>(),
            ["the manifest lists b-1.jsonl instead of a-1.jsonl"]
        );
    }
}
