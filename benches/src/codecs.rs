//! Size and speed of every codec and level that people choose from, natively, on events like real ones. Default levels
//! are chosen by these numbers.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use arrow::array::RecordBatch;
use s3_destination::encode::{BlockLimits, FileEncoder, Layout, Rechunker};
use s3_destination::models;
use s3_destination::settings::{Format, JsonLinesCodec, ParquetCodec};
use serde_json::json;

use crate::events::Day;
use crate::measure::Bench;
use crate::table::{Printed, table};

/// The largest row that is taken, far above any made here.
const MAX_ROW_BYTES: usize = 1 << 20;
/// The formats, codecs and levels that are compared.
fn formats() -> Vec<(Format, &'static str)> {
    let mut formats = vec![
        (Format::JsonLines(JsonLinesCodec::None), "JSON Lines"),
        (Format::Parquet(ParquetCodec::None), "Parquet"),
        (Format::Parquet(ParquetCodec::Lz4), "Parquet"),
        (Format::Parquet(ParquetCodec::Snappy), "Parquet"),
    ];
    for level in [1, 2, 3, 4, 6, 9] {
        let (lines, parquet) = (JsonLinesCodec::Zstd(level), ParquetCodec::Zstd(level));
        formats.push((Format::JsonLines(lines), "JSON Lines"));
        formats.push((Format::Parquet(parquet), "Parquet"));
    }
    for level in [1, 3, 4, 6, 9] {
        let (lines, parquet) = (JsonLinesCodec::Gzip(level), ParquetCodec::Gzip(level));
        formats.push((Format::JsonLines(lines), "JSON Lines"));
        formats.push((Format::Parquet(parquet), "Parquet"));
    }
    for level in [1, 3, 4, 5, 6, 9] {
        let (lines, parquet) = (JsonLinesCodec::Brotli(level), ParquetCodec::Brotli(level));
        formats.push((Format::JsonLines(lines), "JSON Lines"));
        formats.push((Format::Parquet(parquet), "Parquet"));
    }
    formats.sort_by_key(|(format, name)| (*name, format.compression(), format.level()));
    formats
}

/// Measures and prints.
pub fn run(bench: &Bench) -> Result<Printed> {
    let day = Day {
        number: 0,
        rows: bench.rows,
    };
    let batches: Vec<RecordBatch> = day.batches().collect::<Result<_>>()?;
    let plain = exported(&batches, Format::JsonLines(JsonLinesCodec::None))?.0 as f64;
    let mut rows = Vec::new();
    let mut measurements = Vec::new();
    for (format, name) in formats() {
        let (bytes, seconds) = exported(&batches, format)?;
        let level = format.level().map(|level| level.to_string());
        rows.push(vec![
            format!("{name}, {} {}", format.compression(), level.unwrap_or_default()),
            format!("{:.1} MB", bytes as f64 / 1e6),
            format!("{:.1} %", 100.0 * bytes as f64 / plain),
            format!("{:.0}", plain / 1e6 / seconds),
        ]);
        measurements.push(json!({
            "format": format.name(), "compression": format.compression(), "level": format.level(),
            "bytes": bytes, "text_bytes": plain, "seconds": seconds,
        }));
    }
    let caption = format!(
        "Codecs and levels, native, one thread: {} events like real ones; shares and MB/s are of plain JSON Lines",
        bench.rows
    );
    Ok(Printed {
        text: table(&caption, &["file", "size", "of text", "MB/s"], &rows),
        measurements,
    })
}

/// Bytes of the one file, and how long it took.
fn exported(batches: &[RecordBatch], format: Format) -> Result<(usize, f64)> {
    let begun = Instant::now();
    let schema = batches
        .first()
        .map(RecordBatch::schema)
        .unwrap_or_else(|| Arc::new(arrow::datatypes::Schema::empty()));
    let layout = Layout::new(&schema, format, None, &models::meanings("events", &schema))?;
    let mut rechunker = Rechunker::new(&layout, BlockLimits::of_export(MAX_ROW_BYTES));
    let mut encoder = FileEncoder::new(&layout)?;
    let mut blocks = Vec::new();
    for batch in batches {
        blocks.extend(rechunker.push(batch)?);
    }
    blocks.extend(rechunker.finish()?);
    let mut bytes = 0;
    for block in blocks {
        let mut row = 0;
        while row < block.rows.num_rows() {
            row += encoder.write(&block, row)?;
            bytes += encoder.take_output().len();
        }
    }
    bytes += encoder.finish()?.output.len();
    Ok((bytes, begun.elapsed().as_secs_f64()))
}
