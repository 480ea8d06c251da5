//! Requests repeated and bytes sent in vain, by the share of requests that the store lets fail. Faults are the same in
//! every run, so one run each says it all.

use anyhow::Result;
use serde_json::json;

use crate::input::Kind;
use crate::job::{Format, Way};
use crate::measure::{self, Bench};
use crate::store::Store;
use crate::table::{Printed, count, table};

/// Shares of requests that fail.
const SHARES: [f64; 4] = [0.0, 0.05, 0.1, 0.2];

/// Small parts: hundreds of requests, so that the shares come true.
const PART_SIZE_BYTES: usize = 256 << 10;

pub fn run(bench: &Bench) -> Result<Printed> {
    let mut rows = Vec::new();
    let mut measurements = Vec::new();
    for fault_share in SHARES {
        let store = Store::start(fault_share)?;
        let mut job = bench.job(Way::Native, Kind::Arrow, 1, Format::JSON_LINES)?;
        job.part_size_bytes = Some(PART_SIZE_BYTES);
        let measured = measure::run(&job, &store)?;
        let sent_bytes = measured.body_bytes_sent.unwrap_or(0);
        let wasted_bytes = sent_bytes.saturating_sub(measured.exported_bytes);
        rows.push(vec![
            format!("{:.0} %", 100.0 * fault_share),
            count(measured.requests as f64),
            count(measured.retries as f64),
            format!("{:.1} %", percent(measured.retries, measured.requests)),
            format!("{:.1} %", percent(wasted_bytes, sent_bytes)),
        ]);
        measurements.push(json!({
            "fault_share": fault_share,
            "wasted_bytes": wasted_bytes,
            "measured": measured,
        }));
    }
    let caption = format!(
        "Requests that fail (a third each: 503, cut before and cut after the effect), in an export of parts of {} KiB.",
        PART_SIZE_BYTES >> 10
    );
    let heads = ["fail", "requests", "repeated", "of all requests", "bytes sent in vain"];
    Ok(Printed {
        text: table(&caption, &heads, &rows),
        measurements,
    })
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}
