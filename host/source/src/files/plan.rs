//! The columns that all text files of a run have together: the model's, those that the configuration gives a type, and
//! what is found in the first rows of each file. Reads those rows and no more.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};

use super::super::SourceError;
use super::FilesSettings;
use super::columns::{Make, Origin};
use super::csv_rows::CsvRows;
use super::infer::Seen;
use super::json_rows::JsonRows;
use super::opened::{Content, Opened};
use super::types::ColumnType;
use crate::model::{ColumnKind, Model};

/// Columns at most: a file in which every row names others is not a table.
const MAX_COLUMNS: usize = 10_000;

/// The way in which text files are read: each column and its type.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub schema: SchemaRef,
    /// One for each field of the schema.
    pub makes: Arc<[Make]>,
}

/// Looks at all text files; `None` when none of them has a row or a header.
pub(crate) fn decide(settings: &FilesSettings, files: &[Opened]) -> Result<Option<Plan>, SourceError> {
    let mut found = Found::default();
    for file in files {
        match file.content {
            Content::JsonLines => found.look_at_json(file, settings.infer_rows)?,
            Content::Csv => found.look_at_csv(file, settings.infer_rows)?,
            _ => {}
        }
    }
    if !found.any {
        return Ok(None);
    }
    found.declare(settings)?;
    Ok(Some(found.plan(settings)))
}

/// Columns in the order in which they first appear.
#[derive(Default)]
struct Found {
    columns: Vec<(String, Seen)>,
    index: HashMap<String, usize>,
    /// Whether there was a row or a header.
    any: bool,
    /// Whether rows may name columns that no row so far has named.
    open: bool,
}

impl Found {
    fn add(&mut self, file: &Opened, name: &str, seen: Seen) -> Result<(), SourceError> {
        if let Some(index) = self.index.get(name) {
            let known = &mut self.columns[*index].1;
            *known = known.and(seen);
            return Ok(());
        }
        if self.columns.len() == MAX_COLUMNS {
            return Err(file.damaged(format!("it has more than {MAX_COLUMNS} columns")));
        }
        self.push(name, seen);
        Ok(())
    }

    fn push(&mut self, name: &str, seen: Seen) {
        self.index.insert(name.to_owned(), self.columns.len());
        self.columns.push((name.to_owned(), seen));
    }

    fn look_at_json(&mut self, file: &Opened, infer_rows: u64) -> Result<(), SourceError> {
        let mut rows = JsonRows::open(file)?;
        let mut seen = 0;
        while (infer_rows == 0 || seen < infer_rows)
            && rows.next(|name, value| self.add(file, name, Seen::in_json(value)))?
        {
            seen += 1;
        }
        self.any |= seen > 0;
        self.open |= seen > 0;
        Ok(())
    }

    fn look_at_csv(&mut self, file: &Opened, infer_rows: u64) -> Result<(), SourceError> {
        let mut rows = CsvRows::open(file)?;
        let names = rows.names().to_vec();
        self.any |= !names.is_empty();
        for name in &names {
            self.add(file, name, Seen::default())?;
        }
        let mut seen = 0;
        while (infer_rows == 0 || seen < infer_rows) && rows.next()? {
            for (name, field) in names.iter().zip(rows.fields()) {
                self.add(file, name, Seen::in_field(field))?;
            }
            seen += 1;
        }
        Ok(())
    }

    /// Columns of the configuration that no row has named so far. A later row may, unless all files have a header.
    fn declare(&mut self, settings: &FilesSettings) -> Result<(), SourceError> {
        let missing: Vec<&String> = settings
            .columns
            .keys()
            .filter(|name| !self.index.contains_key(*name))
            .collect();
        if !self.open && !missing.is_empty() {
            return Err(SourceError::NoSuchColumns {
                declared: missing.into_iter().cloned().collect(),
                found: self.columns.iter().map(|(name, _)| name.clone()).collect(),
            });
        }
        for name in missing {
            self.push(name, Seen::default());
        }
        Ok(())
    }

    /// Returns the plan. The configuration decides first, then the model, then the need for a time.
    fn plan(self, settings: &FilesSettings) -> Plan {
        let model = Model::named(&settings.model).map(Model::schema);
        let of_model = |name: &str| {
            let model = model.as_ref()?;
            ColumnKind::of(model.field_with_name(name).ok()?).map(ColumnType::from)
        };
        let times = settings.times();
        let make = |name: &String, seen: Seen| {
            let is_time = times.contains(name);
            if let Some(declared) = settings.columns.get(name) {
                return Make {
                    is: *declared,
                    origin: Origin::Declared,
                };
            }
            match of_model(name).or(is_time.then_some(ColumnType::Time)) {
                Some(is) => Make {
                    is,
                    origin: Origin::Model,
                },
                None => Make {
                    is: seen.column_type().unwrap_or(ColumnType::Text),
                    origin: Origin::Found,
                },
            }
        };
        let makes: Vec<Make> = self.columns.iter().map(|(name, seen)| make(name, *seen)).collect();
        let fields: Vec<_> = self
            .columns
            .iter()
            .zip(&makes)
            .map(|((name, _), make)| make.is.field(name))
            .collect();
        Plan {
            schema: Arc::new(Schema::new(fields)),
            makes: makes.into(),
        }
    }
}
