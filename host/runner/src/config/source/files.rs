//! A source of type `files`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::section::Section;
use batch_export_source::{ColumnType, Dialect, FilesSettings, SourceSettings, TYPE_NAMES, TextFormat};
use batch_export_system::explain::Cause;

/// Rows of each JSON Lines or CSV file that are looked at for columns beyond the model's, unless configured.
const DEFAULT_INFER_ROWS: u64 = 10_000;

/// Reads the table's keys.
pub(super) fn read(folder: &Path, model: Option<&str>, section: &mut Section<'_>) -> Option<SourceSettings> {
    let path = section.text("path").map(|(_, path)| path);
    if path.is_none() {
        section.missing("path", "name a file, a folder or a glob such as `events/**/*.parquet`");
    }
    let format = section.choice("format", &[("jsonl", TextFormat::JsonLines), ("csv", TextFormat::Csv)]);
    let time_column = section.text("time_column").map(|(_, name)| name);
    let time_column = time_column.unwrap_or_else(|| "_inserted_at".to_owned());
    let backfill_time_column = section.text("backfill_time_column").map(|(_, name)| name);
    let infer_rows = section
        .integer("infer_rows", 0..=u64::MAX)
        .unwrap_or(DEFAULT_INFER_ROWS);
    let dialect = Dialect {
        delimiter: section.parsed_blank("delimiter", delimiter),
        quotes: section
            .choice("quotes", &[("double", true), ("none", false)])
            .unwrap_or(true),
    };
    let columns = read_columns(section);
    let mut settings = FilesSettings::new(folder, path?, model?, time_column);
    settings.backfill_time_column = backfill_time_column;
    settings.format = format;
    settings.dialect = dialect;
    settings.infer_rows = infer_rows;
    settings.columns = columns;
    Some(SourceSettings::Files(settings))
}

/// Reads the separator of CSV fields: one byte that is neither a quote nor a line break.
fn delimiter(text: &str) -> Result<u8, Cause> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n') => Ok(*byte),
        _ => {
            Err(Cause::new("not a delimiter")
                .with_hint("write one character, such as `;`, `|` or `\\t`, and not a quote"))
        }
    }
}

/// Reads the types of columns.
fn read_columns(section: &mut Section<'_>) -> BTreeMap<String, ColumnType> {
    let mut columns = BTreeMap::new();
    if let Some(section) = section.section("columns") {
        section.each_text(TYPE_NAMES, |name, written| {
            columns.insert(name.to_owned(), written.parse()?);
            Ok(())
        });
    }
    columns
}
