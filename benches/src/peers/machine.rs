//! The small print: where, when and with what was measured.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use super::tool::Places;
use crate::measure::Bench;
use crate::table::count;

/// Packages whose versions matter.
const PACKAGES: [&str; 5] = ["polars", "pyarrow", "duckdb", "chdb-core", "boto3"];

/// The machine before the first round, and the versions in use.
pub struct Machine {
    hardware: String,
    date: String,
    load: String,
    versions: String,
}

impl Machine {
    pub fn look(places: &Places) -> Result<Self> {
        let cpus = fs::read_to_string("/proc/cpuinfo")?;
        let memory = fs::read_to_string("/proc/meminfo")?;
        let memory_kib: f64 = field(&memory, "MemTotal")
            .and_then(|size| size.trim_end_matches(" kB").parse().ok())
            .unwrap_or(0.0);
        let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
        let hardware = format!(
            "{} cores ({}), {:.0} GB of memory, Linux {}",
            std::thread::available_parallelism()?,
            field(&cpus, "model name").unwrap_or("of an unnamed kind"),
            memory_kib * 1_024.0 / 1e9,
            release.trim(),
        );
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() as i64;
        let date = chrono::DateTime::from_timestamp(now, 0).context("the clock is wrong")?;
        let load = fs::read_to_string("/proc/loadavg")?;
        let requirements = fs::read_to_string(places.scripts.join("requirements.txt"))?;
        let mut versions = vec![printed(&places.program)?, printed(&places.python)?];
        versions.extend(pinned(&requirements));
        Ok(Self {
            hardware,
            date: date.format("%Y-%m-%d").to_string(),
            load: load.split(' ').next().unwrap_or_default().to_owned(),
            versions: versions.join(", "),
        })
    }

    /// Sentences below the tables.
    pub fn small_print(&self, bench: &Bench, inputs: &[PathBuf]) -> Result<Vec<String>> {
        let input_bytes = fs::metadata(&inputs[0])?.len();
        Ok(vec![
            format!(
                "{}, {}; load {} before the first round.",
                self.date, self.hardware, self.load
            ),
            format!(
                "{} events a day, {:.0} MB as snappy Parquet; medians of {} rounds in turn.",
                count(bench.rows as f64),
                input_bytes as f64 / 1e6,
                bench.rounds
            ),
            format!("{}.", self.versions),
        ])
    }
}

/// The first value of that name in a file like those in `/proc`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    fields
        .find(|(found, _)| found.trim() == name)
        .map(|(_, value)| value.trim())
}

/// What a program says of its version.
fn printed(program: &PathBuf) -> Result<String> {
    let output = Command::new(program).arg("--version").output();
    let output = output.with_context(|| format!("cannot start {}", program.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Names and versions of the packages that matter.
fn pinned(requirements: &str) -> Vec<String> {
    let pins = requirements.lines().filter_map(|line| line.split_once("=="));
    pins.filter(|(name, _)| PACKAGES.contains(name))
        .map(|(name, version)| format!("{name} {version}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_packages_that_matter() {
        let requirements = "# polars==0\nboto3==1.44.5\nsix==1.17.0\npolars==2.1.0\npolars-runtime-32==2.1.0\n";
        assert_eq!(pinned(requirements), ["boto3 1.44.5", "polars 2.1.0"]);
    }

    #[test]
    fn fields_have_blanks_around_their_names() {
        assert_eq!(field("a: 1\nmodel name\t: Fast CPU\n", "model name"), Some("Fast CPU"));
    }
}
