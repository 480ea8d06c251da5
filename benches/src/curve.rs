//! What an export of the program takes by its number of rows, from thousands to tens of millions: time by the row and
//! memory should stay the same. The rows come from the `sample` source, so nothing else is read meanwhile.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use devstore::{DevStore, Identity, Options, Storage};
use serde::Serialize;
use serde_json::json;

use crate::job::{ACCESS_KEY, BUCKET, FileFormat, Format, REGION, SECRET_KEY};
use crate::measure::Bench;
use crate::table::{Printed, count, table};
use crate::tree;

/// Rows of the largest export, unless told otherwise.
pub const ROWS: u64 = 20_000_000;
/// Rows of the others.
const STEPS: [u64; 7] = [10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000];
/// Parquet as it is used most, and lines as they are: one object of more than 5 GiB from six million rows on, which no
/// single PUT can carry.
const FORMATS: [Format; 2] = [Format::PARQUET_ZSTD, Format::JSON_LINES];

#[derive(clap::Args)]
pub struct Settings {
    /// Also write the tables and the charts, which are Markdown, to this file.
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// The program as it is shipped.
    #[arg(long, default_value = "target/release/batch-export")]
    program: PathBuf,
}

/// One export.
#[derive(Debug, Clone, Copy, Serialize)]
struct Point {
    rows: u64,
    seconds: f64,
    cpu_seconds: f64,
    peak_bytes: u64,
    written_bytes: u64,
    objects: usize,
    requests: usize,
}

/// Exports ever more rows, once each, and prints.
pub fn run(bench: &Bench, settings: &Settings) -> Result<Printed> {
    let program = std::path::absolute(&settings.program)?;
    let folder = bench.folder.join("curve");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut text, mut measurements) = (String::new(), Vec::new());
    for format in FORMATS {
        // Compiles the component, if nobody has.
        export(&runtime, &program, &folder, format, STEPS[0])?;
        let steps = STEPS.into_iter().filter(|rows| *rows < bench.rows).chain([bench.rows]);
        let mut points = Vec::new();
        for rows in steps {
            eprintln!("bench: {} rows as {format}", count(rows as f64));
            points.push(export(&runtime, &program, &folder, format, rows)?);
        }
        text.push_str(&in_words(format, &points)?);
        measurements.push(json!({ "curve": format.to_string(), "points": points }));
    }
    fs::remove_dir_all(&folder)?;
    if let Some(file) = &settings.markdown {
        fs::write(file, &text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(Printed { text, measurements })
}

fn export(
    runtime: &tokio::runtime::Runtime,
    program: &Path,
    folder: &Path,
    format: Format,
    rows: u64,
) -> Result<Point> {
    let store = runtime.block_on(store())?;
    let config = folder.join("batch-export.toml");
    fs::write(&config, config_file(folder, &store, format, rows))
        .with_context(|| format!("cannot write {}", config.display()))?;
    let mut command = Command::new(program);
    command.arg("run").arg("--config").arg(&config).args([
        "--start",
        "2023-07-28T00:00:00Z",
        "--end",
        "2023-07-28T01:00:00Z",
    ]);
    let usage = tree::measured(vec![command], folder)
        .with_context(|| format!("the export of {rows} rows as {format} failed"))?;
    let objects = store.objects(BUCKET);
    Ok(Point {
        rows,
        seconds: usage.seconds,
        cpu_seconds: usage.cpu_seconds,
        peak_bytes: usage.peak_bytes,
        written_bytes: objects.iter().map(|object| object.size_bytes).sum(),
        objects: objects.len(),
        requests: store.requests().len(),
    })
}

/// A store in this process that keeps sizes only, whose memory and CPU no export is charged for.
async fn store() -> Result<DevStore> {
    let options = Options {
        buckets: vec![BUCKET.to_owned()],
        identities: vec![Identity::new(ACCESS_KEY, SECRET_KEY)],
        region: REGION.to_owned(),
        storage: Storage::Discard {
            verify_payload_hash: false,
        },
        ..Options::default()
    };
    Ok(options.start().await?)
}

fn config_file(folder: &Path, store: &DevStore, format: Format, rows: u64) -> String {
    let state = json!(folder.join("state").display().to_string());
    let (file_format, compression) = match format.file_format {
        FileFormat::Parquet => ("Parquet", "zstd"),
        FileFormat::JSONLines => ("JSONLines", "none"),
    };
    let (endpoint, address) = (store.endpoint(), store.address());
    format!(
        r#"state_dir = {state}
[destinations.curve]
model = "events"
bucket_name = "{BUCKET}"
region = "{REGION}"
prefix = "curve/"
file_format = "{file_format}"
compression = "{compression}"
endpoint_url = "{endpoint}"
aws_access_key_id = "{ACCESS_KEY}"
aws_secret_access_key = "{SECRET_KEY}"
check = "on_request"
egress.allow_private = ["{address}"]
source = {{ type = "sample", rows_per_hour = {rows} }}
"#
    )
}

/// A table, and a chart of time by the row and one of memory.
fn in_words(format: Format, points: &[Point]) -> Result<String> {
    let heads = [
        "rows",
        "wall",
        "CPU",
        "CPU a row",
        "peak memory",
        "written",
        "objects",
        "requests",
    ];
    let mega = |bytes: u64| bytes as f64 / 1e6;
    let a_row = |point: &Point| point.cpu_seconds * 1e6 / point.rows as f64;
    let rows: Vec<Vec<String>> = points
        .iter()
        .map(|point| {
            vec![
                count(point.rows as f64),
                format!("{:.1} s", point.seconds),
                format!("{:.1} s", point.cpu_seconds),
                format!("{:.2} µs", a_row(point)),
                format!("{:.0} MB", mega(point.peak_bytes)),
                format!("{} MB", count(mega(point.written_bytes))),
                count(point.objects as f64),
                count(point.requests as f64),
            ]
        })
        .collect();
    let mut text = table(&format!("### {format}"), &heads, &rows);
    let axis: Vec<String> = points
        .iter()
        .map(|point| format!("\"{}\"", short(point.rows)))
        .collect();
    for (title, unit, values) in [
        ("CPU by the row", "µs", points.iter().map(a_row).collect::<Vec<f64>>()),
        (
            "Peak memory of all processes",
            "MB",
            points.iter().map(|point| mega(point.peak_bytes)).collect(),
        ),
    ] {
        let top = values.iter().copied().fold(0.0, f64::max) * 1.2;
        let values: Vec<String> = values.iter().map(|value| format!("{value:.2}")).collect();
        writeln!(
            text,
            "\n```mermaid\nxychart-beta\n  title \"{title}, {format}\"\n  x-axis \"rows\" [{}]\n  y-axis \"{unit}\" 0 --> \
             {top:.0}\n  line [{}]\n```",
            axis.join(", "),
            values.join(", ")
        )?;
    }
    text.push('\n');
    Ok(text)
}

/// Rows as an axis has room for them: `30k`, `20M`.
fn short(rows: u64) -> String {
    match rows {
        1_000_000.. => format!("{}M", rows as f64 / 1e6),
        1_000.. => format!("{}k", rows as f64 / 1e3),
        few => few.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_a_table_and_two_charts() {
        let point = |rows: u64, cpu_seconds| Point {
            rows,
            seconds: cpu_seconds,
            cpu_seconds,
            peak_bytes: 200_000_000,
            written_bytes: rows * 100,
            objects: 1,
            requests: 25,
        };
        let text = in_words(Format::PARQUET_ZSTD, &[point(10_000, 0.1), point(20_000_000, 90.0)]).unwrap();
        for words in [
            "### Parquet + zstd\n",
            "| 20,000,000 | 90.0 s | 90.0 s |   4.50 µs |      200 MB | 2,000 MB |       1 |       25 |",
            "x-axis \"rows\" [\"10k\", \"20M\"]\n  y-axis \"µs\" 0 --> 12\n  line [10.00, 4.50]\n",
            "y-axis \"MB\" 0 --> 240\n  line [200.00, 200.00]\n",
        ] {
            assert!(text.contains(words), "{words} in\n{text}");
        }
    }
}
