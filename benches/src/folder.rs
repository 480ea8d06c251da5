//! What a folder of many small Parquet files costs: to open it, which reads every header, and to read it. Exports
//! nothing.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use batch_export_source::{EventFilter, FilesSettings, Interval, Selection, SourceSettings};
use batch_export_system::{Budget, Token};
use parquet::arrow::ArrowWriter;
use serde_json::json;

use crate::job::START_MICROS;
use crate::measure::{Bench, peak_process_bytes};
use crate::table::{Printed, count, mib, table};

/// An hour of a busy writer, or a year of a quiet one.
const FILES: i64 = 10_000;
const ROWS: i64 = 10;
const TEXT_COLUMNS: usize = 10;

pub fn run(bench: &Bench) -> Result<Printed> {
    let folder = bench.folder.join(format!("small-files-{FILES}"));
    if !folder.is_dir() {
        eprintln!("bench: making {FILES} files");
        let unfinished = folder.with_extension("unfinished");
        fs::create_dir_all(&unfinished)?;
        for number in 0..FILES {
            write(&unfinished.join(format!("{number:06}.parquet")), number)?;
        }
        fs::rename(&unfinished, &folder)?;
    }
    let before_bytes = peak_process_bytes()?;
    let settings = FilesSettings::new(folder, "*.parquet", "orders", "t");
    // In this process, so that its memory is seen here.
    let factory = SourceSettings::Files(settings).factory(u64::MAX);
    let selection = Selection::new(Interval::always(), EventFilter::default());
    let begun = Instant::now();
    let mut source = factory.open(selection, &Token::new(), &Budget::unlimited())?;
    let open_seconds = begun.elapsed().as_secs_f64();
    let open_bytes = peak_process_bytes()? - before_bytes;
    let descriptors = fs::read_dir("/proc/self/fd")?.count();
    let mut rows = 0;
    while let Some(batch) = source.next_batch()? {
        rows += batch.num_rows() as i64;
    }
    ensure!(rows == FILES * ROWS, "{rows} rows were read");
    let read_seconds = begun.elapsed().as_secs_f64() - open_seconds;
    let read_bytes = peak_process_bytes()? - before_bytes;
    let cells = vec![
        count(FILES as f64),
        format!("{open_seconds:.2} s"),
        mib(open_bytes as f64),
        descriptors.to_string(),
        format!("{read_seconds:.2} s"),
        mib(read_bytes as f64),
    ];
    let heads = ["files", "opened in", "memory", "descriptors", "read in", "memory"];
    Ok(Printed {
        text: table("small Parquet files in one folder", &heads, &[cells]),
        measurements: vec![json!({
            "files": FILES,
            "open_seconds": open_seconds,
            "open_bytes": open_bytes,
            "descriptors": descriptors,
            "read_seconds": read_seconds,
            "read_bytes": read_bytes,
        })],
    })
}

fn write(path: &Path, number: i64) -> Result<()> {
    let rows = number * ROWS..(number + 1) * ROWS;
    let times = rows.clone().map(|row| START_MICROS + row * 100_000);
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("id".to_owned(), Arc::new(Int64Array::from_iter_values(rows.clone()))),
        (
            "t".to_owned(),
            Arc::new(TimestampMicrosecondArray::from_iter_values(times)),
        ),
    ];
    for column in 0..TEXT_COLUMNS {
        let texts = rows.clone().map(|row| format!("text {row} of column {column}"));
        columns.push((
            format!("column_{column}"),
            Arc::new(StringArray::from_iter_values(texts)),
        ));
    }
    let batch = RecordBatch::try_from_iter(columns)?;
    let mut writer = ArrowWriter::try_new(File::create(path)?, batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(())
}
