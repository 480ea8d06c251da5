//! Runs exports in processes of their own and takes their measure. Compares nothing.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Map;

use crate::input::{self, Kind};
use crate::job::{Format, Job, Way};
use crate::store::Store;

/// What all benches are run with.
pub struct Bench {
    pub rows: u64,
    pub rounds: usize,
    pub component: PathBuf,
    pub folder: PathBuf,
}

/// What one export took.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measurement {
    pub rows: u64,
    /// Arrow IPC handed to the plugin.
    pub supplied_bytes: u64,
    /// Files in the store.
    pub exported_bytes: u64,
    /// From opening the source to the end; compiling and loading are not in it.
    pub seconds: f64,
    /// Of the exporting process in that time, all threads.
    pub cpu_seconds: f64,
    /// Most memory of the exporting process, the guest's included.
    pub peak_process_bytes: u64,
    /// Most linear memory; none on the native way.
    pub peak_guest_bytes: Option<u64>,
    pub requests: u64,
    pub retries: u64,
    /// Bodies of requests, repeated ones too; the native way counts them.
    pub body_bytes_sent: Option<u64>,
}

impl Bench {
    /// An export of the first `hours` hours.
    pub fn job(&self, way: Way, kind: Kind, hours: u32, format: Format) -> Result<Job> {
        let folder = input::folder(&self.folder, kind, self.rows)?;
        let input = match hours {
            1 => input::hour_in(&folder, kind, 0),
            _ => folder,
        };
        Ok(Job {
            way,
            input,
            first_hour: 0,
            hours,
            format,
            further: Map::new(),
            part_size_bytes: None,
            component: self.component.clone(),
            state: self.folder.join("state"),
        })
    }

    /// Each job `rounds` times, in turn (A B A B), so that what else the machine does strikes all alike. The first
    /// round comes after one that does not count: it compiles the component and fills the page cache.
    pub fn alternate(&self, jobs: &[Job], store: &Store) -> Result<Vec<Vec<Measurement>>> {
        for job in jobs {
            run(job, store)?;
        }
        let mut measured = vec![Vec::with_capacity(self.rounds); jobs.len()];
        for round in 0..self.rounds {
            eprintln!("bench: round {} of {}", round + 1, self.rounds);
            for (job, measured) in jobs.iter().zip(&mut measured) {
                measured.push(run(job, store)?);
            }
        }
        Ok(measured)
    }
}

/// One export in a process of its own.
pub fn run(job: &Job, store: &Store) -> Result<Measurement> {
    let output = Command::new(std::env::current_exe()?)
        .arg("child")
        .arg(serde_json::to_string(&(job, store.endpoint()))?)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start the exporting process")?;
    if !output.status.success() {
        bail!(
            "the {} export to {} failed ({}); its message is above",
            job.way,
            job.format,
            output.status
        );
    }
    serde_json::from_slice(&output.stdout).context("the exporting process printed no measurement")
}

/// The middle one of some numbers, or the mean of the two in the middle; 0 of none.
pub fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = numbers.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// The most memory that this process has held.
pub fn peak_process_bytes() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("/proc/self/status has no VmHWM")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib << 10)
}

/// Seconds that the threads of this process have computed.
pub fn cpu_seconds() -> Result<f64> {
    Ok(process_times("self")?.own_seconds)
}

/// What a process has computed, in the kernel too.
#[derive(Debug, Clone, Copy)]
pub struct ProcessTimes {
    pub own_seconds: f64,
    /// Of the children that it has waited for, and theirs.
    pub children_seconds: f64,
    /// Whether it has ended and is only still to be waited for.
    pub ended: bool,
}

/// The times of the process of that id, or of `self` (proc_pid_schedstat counts one thread only, so the coarser `stat`:
/// ticks of a hundredth of a second on Linux).
pub fn process_times(id: &str) -> Result<ProcessTimes> {
    /// `USER_HZ`, the same on all architectures but Alpha.
    const TICKS_A_SECOND: f64 = 100.0;
    let path = format!("/proc/{id}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The name in parentheses may hold anything; fields are counted behind it, the state being the third.
    let (_, fields) = stat.rsplit_once(')').with_context(|| format!("{path} is cut"))?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let seconds = |index: usize| -> Result<f64> {
        let field = fields.get(index).with_context(|| format!("{path} is cut"))?;
        Ok(field.parse::<f64>()? / TICKS_A_SECOND)
    };
    Ok(ProcessTimes {
        own_seconds: seconds(11)? + seconds(12)?,
        children_seconds: seconds(13)? + seconds(14)?,
        ended: fields.first() == Some(&"Z"),
    })
}
