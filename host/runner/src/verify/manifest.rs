//! The content of a manifest of either form, compared with what is known. Sends no requests, and trusts none of its
//! numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;

use arrow::datatypes::Schema;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::report::{FileOutcome, quoted};
use batch_export_source::{Interval, Moment};
use batch_export_system::explain::count;

/// Largest manifest: 10,000 files in the detailed form take up some 10 MiB.
pub(super) const MANIFEST_LIMIT_BYTES: usize = 64 << 20;
/// Maximum number of files in a manifest: ten times what a run can write. Each of them is requested.
const MANIFEST_FILES_LIMIT: usize = 100_000;
/// Digits of a digest that a note repeats.
const DIGEST_CHARS: usize = 12;
/// The version of the detailed form that docs/formats.md describes.
const DETAILED_VERSION: u64 = 1;

/// A manifest of either form.
#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    #[serde(deserialize_with = "bounded")]
    pub files: Vec<String>,
    version: Option<u64>,
    model: Option<String>,
    interval: Option<TimeRange>,
    run_id: Option<String>,
    plugin: Option<Plugin>,
    #[serde(default, deserialize_with = "some_bounded")]
    schema: Option<Vec<Column>>,
    #[serde(default, deserialize_with = "some_bounded")]
    file_details: Option<Vec<Details>>,
}

#[derive(Debug, Deserialize)]
struct TimeRange {
    start: Option<String>,
    end: String,
}

/// Which plugin wrote a run, or is at hand.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
pub(super) struct Plugin {
    pub name: String,
    pub version: String,
    /// Of the component's bytes.
    pub sha256: String,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    data_type: String,
    nullable: bool,
}

/// The right content of the detailed form.
pub(super) struct Expected<'a> {
    /// Whether the destination is configured to write this form. If not, only what exists is compared.
    pub detailed: bool,
    pub model: &'a str,
    pub run_id: &'a str,
    pub interval: Interval,
    pub plugin: &'a Plugin,
    /// The columns that the plugin was given, where the source was read.
    pub schema: Option<&'a Schema>,
}

/// The same for a list that may be absent, but not null.
fn some_bounded<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<Vec<T>>, D::Error> {
    bounded(from).map(Some)
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
    #[serde(default)]
    min_timestamp: Option<String>,
    #[serde(default)]
    max_timestamp: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    algorithm: String,
    value: String,
}

impl Manifest {
    /// Returns the size of a file, where the detailed form has it.
    pub(super) fn bytes_of(&self, index: u64, key: &str) -> Option<u64> {
        self.details(index, key).map(|details| details.bytes)
    }

    /// Returns the details of a file. They are in the order of the files; where they are not, they are found by their
    /// key.
    fn details(&self, index: u64, key: &str) -> Option<&Details> {
        let is_it = |details: &&Details| details.key == key;
        let at = usize::try_from(index).ok()?;
        let listed = self.file_details.as_deref()?;
        listed.get(at).filter(is_it).or_else(|| listed.iter().find(is_it))
    }

    /// Returns what is wrong in the detailed form concerning the whole run, or missing although it is required.
    pub(super) fn misstatements(&self, expected: &Expected<'_>) -> Vec<String> {
        let mut faults = Vec::new();
        let mut compare = |name: &str, found: Option<String>, right: String| match found {
            None if expected.detailed => faults.push(absent(name)),
            Some(found) if found != right => {
                faults.push(format!("the manifest says {name} {}, expected {right}", quoted(&found)))
            }
            _ => {}
        };
        compare(
            "version",
            self.version.map(|version| version.to_string()),
            DETAILED_VERSION.to_string(),
        );
        compare("model", self.model.clone(), expected.model.to_owned());
        compare(
            "interval",
            self.interval.as_ref().map(TimeRange::in_words),
            expected.interval.to_string(),
        );
        compare("run_id", self.run_id.clone(), expected.run_id.to_owned());
        let name = self.plugin.as_ref().map(|plugin| plugin.name.clone());
        compare("plugin", name, expected.plugin.name.clone());
        match &self.schema {
            None if expected.detailed => faults.push(absent("schema")),
            Some(columns) => faults.extend(
                expected
                    .schema
                    .map_or_else(Vec::new, |schema| other_columns(columns, schema)),
            ),
            None => {}
        }
        match &self.file_details {
            None if expected.detailed => faults.push(absent("file_details")),
            Some(details) => faults.extend(self.misnumbered(details)),
            None => {}
        }
        faults
    }

    /// Returns a note if another version of the plugin wrote the run: it may write other bytes, which is not a fault.
    pub(super) fn other_plugin(&self, now: &Plugin) -> Option<String> {
        let wrote = self.plugin.as_ref().filter(|wrote| *wrote != now)?;
        let in_words = |plugin: &Plugin| {
            let digest: String = plugin.sha256.chars().take(DIGEST_CHARS).collect();
            quoted(&format!("{} (SHA-256 {digest}…)", plugin.version))
        };
        Some(format!(
            "the manifest says that the run was written by version {} of the plugin, and the one at hand is {}",
            in_words(wrote),
            in_words(now)
        ))
    }

    /// Returns faults for details that occur more than once, or that belong to no file. Missing ones are reported with
    /// their file.
    fn misnumbered(&self, details: &[Details]) -> Vec<String> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in details {
            *counts.entry(&entry.key).or_default() += 1;
        }
        let files: BTreeSet<&str> = self.files.iter().map(String::as_str).collect();
        let mut faults = Vec::new();
        if details.len() != self.files.len() {
            faults.push(format!(
                "the manifest has {} in file_details, but lists {}",
                many(details.len(), "entry", "entries"),
                many(self.files.len(), "file", "files")
            ));
        }
        for (key, count) in counts {
            let key_shown = quoted(key);
            if !files.contains(key) {
                faults.push(format!(
                    "the manifest has file_details of {key_shown}, which is not one of its files"
                ));
            } else if count > 1 {
                faults.push(format!(
                    "the manifest has {count} entries of {key_shown} in file_details"
                ));
            }
        }
        faults
    }

    /// Returns how a file differs from what the detailed form says.
    /// `asked` is the checksum that the destination asks for.
    pub(super) fn differences(&self, index: u64, file: &FileOutcome, asked: Option<&str>) -> Vec<String> {
        let Some(details) = self.details(index, &file.key) else {
            return match self.file_details {
                None => Vec::new(),
                Some(_) => vec!["the manifest lists it without its details".to_owned()],
            };
        };
        let mut faults = Vec::new();
        let mut compare = |what: &str, listed: String, found: String| {
            if listed != found {
                faults.push(format!("the manifest says {what} {listed}, but it has {found}"));
            }
        };
        compare("rows", count(details.rows), count(file.rows));
        compare("bytes", count(details.bytes), count(file.bytes));
        compare("ETag", quoted(&details.etag), quoted(&file.etag));
        match (&details.checksum, &file.computed) {
            (None, _) => faults.extend(asked.map(|algorithm| {
                format!("the manifest has no checksum of it, but the destination asks for {algorithm}")
            })),
            (Some(listed), Some(computed)) if computed.algorithm.eq_ignore_ascii_case(&listed.algorithm) => {
                compare("checksum", quoted(&listed.value), computed.right().to_owned());
            }
            (Some(listed), _) => faults.push(format!(
                "the manifest's checksum of kind {} cannot be compared",
                quoted(&listed.algorithm)
            )),
        }
        // The source's rows are those of the file only where all of them were compared.
        if let Some(times) = &file.times
            && file.rows_compared == file.rows
        {
            let [first, last] = [&details.min_timestamp, &details.max_timestamp];
            faults.extend(times.faults(first.as_deref(), last.as_deref()));
        }
        faults
    }
}

impl TimeRange {
    /// As an interval is written, whatever form its times have.
    fn in_words(&self) -> String {
        let start = self.start.as_deref();
        let parsed = start
            .map(Moment::parse)
            .transpose()
            .and_then(|start| Moment::parse(&self.end).and_then(|end| Interval::new(start, end)));
        match parsed {
            Ok(interval) => interval.to_string(),
            Err(_) => format!("{} to {}", start.unwrap_or("null"), self.end),
        }
    }
}

/// Returns how many there are.
fn many(number: usize, one: &str, several: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{} {several}", count(number as u64)),
    }
}

fn absent(name: &str) -> String {
    format!("the manifest has no {name}, which manifest = \"detailed\" writes")
}

/// Returns how the columns differ from those that the plugin was given.
fn other_columns(columns: &[Column], schema: &Schema) -> Vec<String> {
    if columns.len() != schema.fields().len() {
        return vec![format!(
            "the manifest's schema has {}, but the source has {}",
            many(columns.len(), "column", "columns"),
            schema.fields().len()
        )];
    }
    let in_words = |column: &Column| {
        let nulls = if column.nullable { "" } else { ", without nulls" };
        quoted(&format!("`{}` ({}{nulls})", column.name, column.data_type))
    };
    columns
        .iter()
        .zip(schema.fields())
        .filter_map(|(found, field)| {
            let right = Column {
                name: field.name().clone(),
                data_type: field.data_type().to_string(),
                nullable: field.is_nullable(),
            };
            (*found != right).then(|| {
                format!(
                    "the manifest's schema says {}, but the source has {}",
                    in_words(found),
                    in_words(&right)
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
