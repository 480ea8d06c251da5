//! Columns that folders' names hold, as Hive writes them: `dt=2026-01-01/country=DE/`. A column that is in the file as
//! well must say the same in every row. Never guesses a type: a folder's value is text, a time for the time column,
//! or of the type that the configuration gives.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema, SchemaRef};
use batch_export_system::explain::Cause;
use percent_encoding::percent_decode_str;

use super::super::SourceError;
use super::columns::{Column, Make, Noted, Origin};
use super::compare;
use super::types::ColumnType;

/// The text that Hive and Spark write for null.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// A column whose value is the same in all rows of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub name: String,
    pub value: Option<String>,
}

/// Returns the keys in the folders of a file's path, in their order.
pub(crate) fn of(path: &Path) -> Result<Vec<Key>, SourceError> {
    in_folders(path.parent().unwrap_or(Path::new("")))
}

/// Returns the keys in the names of a folder and of those that it is in.
pub(crate) fn in_folders(folder: &Path) -> Result<Vec<Key>, SourceError> {
    let mut keys = Vec::new();
    for component in folder.components() {
        let Component::Normal(name) = component else {
            continue;
        };
        match name.to_str() {
            Some(name) => keys.extend(key(name)),
            None if holds_key(name) => return Err(SourceError::FolderName(folder.to_path_buf())),
            None => {}
        }
    }
    Ok(keys)
}

/// Returns whether a name that is not UTF-8 would be a key if it were.
fn holds_key(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    bytes.iter().position(|byte| *byte == b'=').is_some_and(|at| at > 0)
}

/// Returns the same keys whatever the order of their folders.
pub(crate) fn sorted(keys: &[Key]) -> Vec<Key> {
    let mut keys = keys.to_vec();
    keys.sort();
    keys
}

/// Returns whether sorted keys are those of the same columns.
pub(crate) fn have_same_names(a: &[Key], b: &[Key]) -> bool {
    let names = |keys: &[Key]| keys.iter().map(|key| key.name.clone()).collect::<Vec<_>>();
    names(a) == names(b)
}

fn key(folder: &str) -> Option<Key> {
    let (name, value) = folder.split_once('=')?;
    if name.is_empty() {
        return None;
    }
    Some(Key {
        name: decoded(name),
        value: (value != NULL).then(|| decoded(value)),
    })
}

/// Returns the text percent-decoded; what is not UTF-8 then stays as it was written.
fn decoded(text: &str) -> String {
    percent_decode_str(text)
        .decode_utf8()
        .map_or_else(|_| text.to_owned(), |text| text.into_owned())
}

/// Returns a key that two folders of one path hold.
pub(crate) fn doubled(keys: &[Key]) -> Option<&str> {
    let names = || keys.iter().map(|key| key.name.as_str());
    names()
        .enumerate()
        .find(|(index, name)| names().take(*index).any(|before| before == *name))
        .map(|(_, name)| name)
}

/// Returns a file's columns and, after them, the keys that are not among them.
pub(crate) fn with(schema: &SchemaRef, keys: &[Key], types: &Types) -> SchemaRef {
    let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
    for key in keys {
        if schema.column_with_name(&key.name).is_none() {
            fields.push(Arc::new(types.of(key).field(&key.name)));
        }
    }
    Arc::new(Schema::new(fields))
}

/// The origin of the types of keys.
#[derive(Debug, Clone)]
pub(crate) struct Types {
    /// The columns that select rows, in whatever run.
    pub times: [String; 2],
    /// The types that the configuration gives.
    pub declared: BTreeMap<String, ColumnType>,
}

impl Types {
    fn of(&self, key: &Key) -> ColumnType {
        let usual = match self.times.contains(&key.name) {
            true => ColumnType::Time,
            false => ColumnType::Text,
        };
        self.declared.get(&key.name).copied().unwrap_or(usual)
    }
}

/// Gives a file's batches the columns of [`with`].
pub(crate) struct Keyed {
    keys: Vec<Key>,
    types: Types,
    path: PathBuf,
    noted: Arc<Noted>,
}

impl Keyed {
    pub(crate) fn new(keys: Vec<Key>, path: &Path, types: &Types, noted: &Arc<Noted>) -> Self {
        Self {
            noted: Arc::clone(noted),
            types: types.clone(),
            keys,
            path: path.to_path_buf(),
        }
    }

    /// `row` maps a row of the batch to a row of the file.
    pub(crate) fn apply(&self, batch: RecordBatch, row: impl Fn(usize) -> u64) -> Result<RecordBatch, SourceError> {
        if self.keys.is_empty() {
            return Ok(batch);
        }
        let schema = batch.schema();
        let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
        let mut columns = batch.columns().to_vec();
        for key in &self.keys {
            if let Some((index, field)) = schema.column_with_name(&key.name) {
                self.compare(key, field, batch.column(index), &row)?;
                continue;
            }
            let is = self.types.of(key);
            fields.push(Arc::new(is.field(&key.name)));
            columns.push(self.constant(key, is, batch.num_rows())?);
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|cause| SourceError::Damaged {
            path: self.path.clone(),
            cause: cause.to_string(),
        })
    }

    fn constant(&self, key: &Key, is: ColumnType, rows: usize) -> Result<ArrayRef, SourceError> {
        let value = key.value.as_deref();
        if is == ColumnType::Text {
            return Ok(Arc::new(StringArray::from(vec![value; rows])));
        }
        let make = Make {
            is,
            origin: Origin::Declared,
        };
        let mut column = Column::new(make, Arc::clone(&self.noted));
        for _ in 0..rows {
            match value {
                Some(value) => column
                    .append_field(value)
                    .map_err(|cause| self.bad(key, cause.map(|text| format!("in its folder's name: {text}"))))?,
                None => column.append_null(),
            }
        }
        Ok(column.finish())
    }

    /// Checks that a file says the same as its folder: otherwise it is read as neither.
    fn compare(
        &self,
        key: &Key,
        field: &Field,
        column: &ArrayRef,
        row: impl Fn(usize) -> u64,
    ) -> Result<(), SourceError> {
        let differs = compare::differing(key.value.as_deref(), field, column).map_err(|cause| {
            self.bad(
                key,
                cause.map(|text| format!("cannot be compared with its folder's name: {text}")),
            )
        })?;
        let Some(at) = differs.values().set_indices().next() else {
            return Ok(());
        };
        Err(SourceError::BadValue {
            path: self.path.clone(),
            row: row(at) + 1,
            column: key.name.clone(),
            cause: Cause::new(format!(
                "the file contains a different value than its folder's name, {}",
                key.value
                    .as_deref()
                    .map_or("null".to_owned(), |value| format!("`{value}`")),
            ))
            .with_hint("move the file, or rename the column"),
        })
    }

    fn bad(&self, key: &Key, cause: Cause) -> SourceError {
        SourceError::BadColumn {
            path: self.path.clone(),
            column: key.name.clone(),
            cause,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(path: &str) -> Vec<(String, Option<String>)> {
        let keys = of(Path::new(path)).expect("UTF-8");
        keys.into_iter().map(|key| (key.name, key.value)).collect()
    }

    #[test]
    fn folders_names_are_split_and_decoded() {
        let some = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
        for (path, expect) in [
            ("in/a.parquet", vec![]),
            (
                "in/dt=2026-01-01/country=DE/part=0.parquet",
                vec![some("dt", "2026-01-01"), some("country", "DE")],
            ),
            ("t%C3%A4g=a%2Fb%20c/x.csv", vec![some("täg", "a/b c")]),
            ("a=b=c/=d/e/x", vec![some("a", "b=c")]),
            ("a=/x", vec![some("a", "")]),
            ("a=%FF%zz/x", vec![some("a", "%FF%zz")]),
            ("a=__HIVE_DEFAULT_PARTITION__/x", vec![("a".to_owned(), None)]),
        ] {
            assert_eq!(pairs(path), expect, "{path}");
        }
        let keys = |path| of(Path::new(path)).expect("UTF-8");
        assert_eq!(doubled(&keys("a=1/b=2/a=3/x")), Some("a"));
        assert_eq!(doubled(&keys("a=1/b=2/x")), None);
    }
}
