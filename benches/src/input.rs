//! Inputs: the host's sample events as Parquet and Arrow files, one for each hour, made once and kept. The rows depend
//! on nothing but their number.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use arrow::ipc::writer::FileWriter;
use batch_export_source::Model;
use batch_export_source::{EventFilter, Selection, SourceSettings};
use batch_export_system::{Budget, Token};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::job;

/// Hours of the large input.
pub const HOURS: u32 = 4;

/// What input files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Not compressed: next to no work for the source.
    Arrow,
    /// With zstd, as such files usually are.
    Parquet,
}

impl Kind {
    fn ending(self) -> &'static str {
        match self {
            Kind::Arrow => "arrow",
            Kind::Parquet => "parquet",
        }
    }
}

/// The folder of one kind of files, made if it is not there: one file for each of [`HOURS`], of `rows` rows each.
pub fn folder(inputs: &Path, kind: Kind, rows: u64) -> Result<PathBuf> {
    let folder = inputs.join(format!("{}-{rows}", kind.ending()));
    if folder.is_dir() {
        return Ok(folder);
    }
    // Under another name until it is complete: an interrupted run leaves nothing that looks like an input.
    let unfinished = folder.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    fs::create_dir_all(&unfinished).with_context(|| format!("cannot make the folder {}", unfinished.display()))?;
    for hour in 0..HOURS {
        eprintln!("bench: making {rows} rows, {} of {HOURS}", hour + 1);
        write_hour(&hour_in(&unfinished, kind, hour), kind, rows, hour)?;
    }
    fs::rename(&unfinished, &folder)?;
    Ok(folder)
}

/// The file of one hour.
pub fn hour_in(folder: &Path, kind: Kind, hour: u32) -> PathBuf {
    folder.join(format!("hour-{hour}.{}", kind.ending()))
}

fn write_hour(path: &Path, kind: Kind, rows: u64, hour: u32) -> Result<()> {
    let selection = Selection::new(job::hours(hour, 1)?, EventFilter::default());
    let settings = SourceSettings::Sample {
        model: Model::Events,
        rows_per_hour: rows,
    };
    let factory = settings.factory(u64::MAX);
    let mut source = factory.open(selection, &Token::new(), &Budget::unlimited())?;
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    match kind {
        Kind::Arrow => {
            let mut writer = FileWriter::try_new_buffered(file, &source.schema())?;
            while let Some(batch) = source.next_batch()? {
                writer.write(&batch)?;
            }
            writer.finish()?;
        }
        Kind::Parquet => {
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
                .set_max_row_group_row_count(Some(PARQUET_ROW_GROUP_ROWS))
                .build();
            let mut writer = ArrowWriter::try_new(file, source.schema(), Some(properties))?;
            while let Some(batch) = source.next_batch()? {
                writer.write(&batch)?;
            }
            writer.close()?;
        }
    }
    Ok(())
}

/// The settings that a careful writer chooses for wide rows.
const PARQUET_ROW_GROUP_ROWS: usize = 100_000;
