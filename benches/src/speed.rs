//! Rows and bytes a second on both ways, and peak memory for an input and for four times as much of it.

use anyhow::Result;
use serde_json::json;

use crate::input::{HOURS, Kind};
use crate::job::{Format, Job, Way};
use crate::measure::{self, Bench, Measurement, median};
use crate::store::Store;
use crate::table::{Printed, count, mib, table};

/// What is exported to what: the files source over Arrow files costs little, over Parquet files it decompresses on a
/// thread of its own.
const CASES: [(Kind, Format); 5] = [
    (Kind::Arrow, Format::PARQUET_ZSTD),
    (Kind::Parquet, Format::PARQUET_ZSTD),
    (Kind::Arrow, Format::JSON_LINES_GZIP),
    (Kind::Arrow, Format::JSON_LINES_ZSTD),
    (Kind::Arrow, Format::JSON_LINES),
];

pub fn run(bench: &Bench) -> Result<Printed> {
    let store = Store::start(0.0)?;
    let mut jobs = Vec::new();
    for (kind, format) in CASES {
        for way in Way::BOTH {
            jobs.push(bench.job(way, kind, 1, format)?);
        }
    }
    let measured = bench.alternate(&jobs, &store)?;
    let mut large = Vec::new();
    eprintln!("bench: {HOURS} times the input, for memory");
    for (kind, format) in CASES {
        let job = bench.job(Way::Component, kind, HOURS, format)?;
        large.push((job.clone(), measure::run(&job, &store)?));
    }

    let speed: Vec<Vec<String>> = CASES
        .iter()
        .zip(measured.chunks(Way::BOTH.len()))
        .map(|((kind, format), ways)| speed_row(*kind, *format, &ways[0], &ways[1]))
        .collect();
    let memory: Vec<Vec<String>> = CASES
        .iter()
        .zip(measured.chunks(Way::BOTH.len()))
        .zip(&large)
        .map(|(((kind, format), ways), (_, large))| memory_row(*kind, *format, &ways[0], &ways[1], large))
        .collect();
    let mut text = table(
        &format!(
            "{} rows of {:.0} bytes of Arrow, medians of {} rounds in turn. MB are of Arrow.",
            count(bench.rows as f64),
            median(measured.iter().flatten().map(row_bytes)),
            bench.rounds
        ),
        &[
            "from -> to",
            "component rows/s",
            "MB/s",
            "native rows/s",
            "MB/s",
            "component / native",
        ],
        &speed,
    );
    text.push('\n');
    text.push_str(&table(
        &format!("Most memory, and with {HOURS} times the rows."),
        &[
            "from -> to",
            "guest",
            &format!("guest, x{HOURS}"),
            "host with guest",
            &format!("host, x{HOURS}"),
            "native",
        ],
        &memory,
    ));
    let mut measurements = Vec::new();
    for (job, measured) in jobs.iter().zip(&measured) {
        measurements.push(described(job, measured));
    }
    for (job, measurement) in &large {
        measurements.push(described(job, std::slice::from_ref(measurement)));
    }
    Ok(Printed { text, measurements })
}

fn described(job: &Job, measured: &[Measurement]) -> serde_json::Value {
    json!({
        "way": job.way,
        "format": job.format.to_string(),
        "input": job.input.extension().or(job.input.file_name()).map(|name| name.to_string_lossy()),
        "hours": job.hours,
        "rounds": measured,
    })
}

fn row_bytes(measurement: &Measurement) -> f64 {
    measurement.supplied_bytes as f64 / measurement.rows.max(1) as f64
}

fn label(kind: Kind, format: Format) -> String {
    match kind {
        Kind::Arrow => format!("Arrow -> {format}"),
        Kind::Parquet => format!("Parquet -> {format}"),
    }
}

fn speed_row(kind: Kind, format: Format, component: &[Measurement], native: &[Measurement]) -> Vec<String> {
    let rows = |measured: &[Measurement]| median(measured.iter().map(|one| one.rows as f64 / one.seconds));
    let megabytes =
        |measured: &[Measurement]| median(measured.iter().map(|one| one.supplied_bytes as f64 / one.seconds / 1e6));
    // Each round's pair ran side by side, so that its ratio says more than the ratio of the medians.
    let ratio = median(
        component
            .iter()
            .zip(native)
            .map(|(component, native)| native.seconds / component.seconds),
    );
    vec![
        label(kind, format),
        count(rows(component)),
        count(megabytes(component)),
        count(rows(native)),
        count(megabytes(native)),
        format!("{ratio:.2}"),
    ]
}

fn memory_row(
    kind: Kind,
    format: Format,
    component: &[Measurement],
    native: &[Measurement],
    large: &Measurement,
) -> Vec<String> {
    let most =
        |measured: &[Measurement], of: fn(&Measurement) -> u64| mib(measured.iter().map(of).max().unwrap_or(0) as f64);
    let guest = |one: &Measurement| one.peak_guest_bytes.unwrap_or(0);
    let process = |one: &Measurement| one.peak_process_bytes;
    let large = std::slice::from_ref(large);
    vec![
        label(kind, format),
        most(component, guest),
        most(large, guest),
        most(component, process),
        most(large, process),
        most(native, process),
    ]
}
