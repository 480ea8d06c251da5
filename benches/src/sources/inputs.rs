//! One day of events in each form that a source or its stand-in reads, made once and kept.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{ArrayRef, AsArray, BinaryArray, RecordBatch};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use arrow::ipc::writer::StreamWriter;

use crate::events::Day;
use crate::peers::input;

/// The day, as the program is told it.
pub const DAY: (&str, &str) = ("2023-07-28T00:00:00Z", "2023-07-29T00:00:00Z");
/// Batches that become one, as databases send them: what is sent row group by row group costs less for each row.
const BATCHES_A_BLOCK: usize = 4;

/// The files.
pub struct Inputs {
    /// With snappy.
    pub parquet: PathBuf,
    /// An Arrow stream.
    pub stream: PathBuf,
    /// An Arrow stream as ClickHouse sends it: texts as bytes, and columns with aliases for names.
    pub clickhouse: PathBuf,
    /// Lines for PostgreSQL's `COPY … FROM STDIN`.
    pub lines: PathBuf,
    pub rows: u64,
}

impl Inputs {
    pub fn make(folder: &Path, rows: u64) -> Result<Self> {
        let day = Day { number: 0, rows };
        Ok(Self {
            parquet: input::day(folder, day)?,
            stream: made(&folder.join(format!("events-{rows}.arrows")), |file| {
                stream(file, day, Ok)
            })?,
            clickhouse: made(&folder.join(format!("clickhouse-{rows}.arrows")), |file| {
                stream(file, day, |batch| as_clickhouse(&batch))
            })?,
            lines: made(&folder.join(format!("events-{rows}.tsv")), |file| lines(file, day))?,
            rows,
        })
    }
}

/// Returns a file that is there, or is written under another name until it is complete.
fn made(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<PathBuf> {
    if !path.is_file() {
        eprintln!("bench: making {}", path.display());
        let unfinished = path.with_extension("unfinished");
        let file = File::create(&unfinished).with_context(|| format!("cannot write {}", unfinished.display()))?;
        let mut file = BufWriter::new(file);
        write(&mut file)?;
        file.flush()?;
        fs::rename(&unfinished, path)?;
    }
    Ok(path.to_path_buf())
}

fn stream(file: &mut BufWriter<File>, day: Day, change: impl Fn(RecordBatch) -> Result<RecordBatch>) -> Result<()> {
    let mut writer = None;
    let mut batches = day.batches().peekable();
    while batches.peek().is_some() {
        let block: Vec<RecordBatch> = batches.by_ref().take(BATCHES_A_BLOCK).collect::<Result<_>>()?;
        let block = change(arrow::compute::concat_batches(&block[0].schema(), &block)?)?;
        if writer.is_none() {
            writer = Some(StreamWriter::try_new(&mut *file, &block.schema())?);
        }
        if let Some(writer) = &mut writer {
            writer.write(&block)?;
        }
    }
    writer.context("a day needs at least one row")?.finish()?;
    Ok(())
}

/// The alias of a column in the statement that asks a ClickHouse for events.
pub fn alias(column: usize) -> String {
    format!("c_{column}")
}

fn as_clickhouse(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch.columns().iter().enumerate().map(|(index, column)| {
        let column: ArrayRef = match column.data_type() {
            DataType::Utf8 => Arc::new(BinaryArray::from(column.as_string::<i32>().clone())),
            _ => Arc::clone(column),
        };
        (alias(index), column, true)
    });
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}

/// PostgreSQL's text format: tabs between fields, `\N` for null, and backslashes.
fn lines(file: &mut BufWriter<File>, day: Day) -> Result<()> {
    let mut line = String::new();
    for batch in day.batches() {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            line.clear();
            for (index, column) in batch.columns().iter().enumerate() {
                if index > 0 {
                    line.push('\t');
                }
                match column.data_type() {
                    _ if column.is_null(row) => line.push_str("\\N"),
                    DataType::Utf8 => escape(column.as_string::<i32>().value(row), &mut line),
                    _ => {
                        let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
                        let time = chrono::DateTime::from_timestamp_micros(micros).context("a time")?;
                        write!(line, "{}", time.format("%Y-%m-%d %H:%M:%S%.6f+00"))?;
                    }
                }
            }
            line.push('\n');
            file.write_all(line.as_bytes())?;
        }
    }
    Ok(())
}

fn escape(text: &str, line: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => line.push_str("\\\\"),
            '\t' => line.push_str("\\t"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            c => line.push(c),
        }
    }
}
