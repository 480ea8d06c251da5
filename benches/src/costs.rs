//! What signing the body and its checksum take of the CPU: the same bytes with and without them.

use anyhow::Result;
use serde_json::json;

use crate::input::Kind;
use crate::job::{Format, Job, Way};
use crate::measure::{Bench, Measurement, median};
use crate::store::Store;
use crate::table::{Printed, table};

/// `payload_signing` and `checksum` as the configuration writes them; the first is what the others are compared with.
const VARIANTS: [(&str, &str); 5] = [
    ("unsigned", "none"),
    ("signed", "none"),
    ("unsigned", "crc64nvme"),
    ("unsigned", "sha256"),
    ("signed", "crc64nvme"),
];

/// One with many bytes for each row, and one with few.
const FORMATS: [Format; 2] = [Format::JSON_LINES, Format::PARQUET_ZSTD];

pub fn run(bench: &Bench) -> Result<Printed> {
    let store = Store::start(0.0)?;
    let mut rows = Vec::new();
    let mut measurements = Vec::new();
    for format in FORMATS {
        for way in Way::BOTH {
            let jobs = VARIANTS
                .iter()
                .map(|variant| with(bench.job(way, Kind::Arrow, 1, format)?, *variant))
                .collect::<Result<Vec<Job>>>()?;
            let measured = bench.alternate(&jobs, &store)?;
            for ((signing, checksum), with) in VARIANTS.iter().zip(&measured) {
                rows.push(vec![
                    format!("{format}, {way}: {signing}, checksum {checksum}"),
                    format!("{:.2} s", median(with.iter().map(|one| one.cpu_seconds))),
                    format!("{:.1} %", 100.0 * share(&measured[0], with)),
                ]);
                measurements.push(json!({
                    "way": way,
                    "format": format.to_string(),
                    "payload_signing": signing,
                    "checksum": checksum,
                    "share_of_cpu": share(&measured[0], with),
                    "rounds": with,
                }));
            }
        }
    }
    let caption = format!(
        "What body signatures and checksums take of the exporting process's CPU, medians of {} rounds in turn.",
        bench.rounds
    );
    let heads = ["body", "CPU", "share"];
    Ok(Printed {
        text: table(&caption, &heads, &rows),
        measurements,
    })
}

fn with(mut job: Job, (signing, checksum): (&str, &str)) -> Result<Job> {
    job.further.insert("payload_signing".into(), json!(signing));
    job.further.insert("checksum".into(), json!(checksum));
    Ok(job)
}

/// The part of the CPU time that is not spent without them. Noise can make it negative.
fn share(without: &[Measurement], with: &[Measurement]) -> f64 {
    median(
        without
            .iter()
            .zip(with)
            .map(|(without, with)| 1.0 - without.cpu_seconds / with.cpu_seconds),
    )
}
