//! The input: each day of events as one snappy Parquet file, made once and kept.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use crate::events::Day;

/// Days that are exported at once.
pub const DAYS: u32 = 2;
/// The settings that a careful writer chooses for wide rows.
const ROW_GROUP_ROWS: usize = 100_000;

/// The files of both days, of `rows` rows each.
pub fn days(folder: &Path, rows: u64) -> Result<Vec<PathBuf>> {
    (0..DAYS)
        .map(|number| {
            day(
                folder,
                Day {
                    number: number.into(),
                    rows,
                },
            )
        })
        .collect()
}

/// The file of a day.
pub fn day(folder: &Path, day: Day) -> Result<PathBuf> {
    let path = folder.join(format!("events-{}-{}.parquet", day.rows, day.number));
    if path.is_file() {
        return Ok(path);
    }
    eprintln!("bench: making {} events of day {}", day.rows, day.number);
    // Under another name until it is complete: an interrupted run leaves nothing that looks like an input.
    let unfinished = path.with_extension("unfinished");
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let file = File::create(&unfinished).with_context(|| format!("cannot write {}", unfinished.display()))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .build();
    let mut batches = day.batches().peekable();
    let schema = match batches.peek() {
        Some(Ok(batch)) => batch.schema(),
        _ => anyhow::bail!("a day needs at least one row"),
    };
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties))?;
    for batch in batches {
        writer.write(&batch?)?;
    }
    writer.close()?;
    fs::rename(&unfinished, &path)?;
    Ok(path)
}
