//! Compares a plugin's plan and report with the host's own counts and the operator's configuration: whatever these do
//! not support is refused. Sends nothing and repairs nothing.

use std::collections::HashSet;

use super::failure::Failure;
use batch_export_sandbox::Policy;
use batch_export_sandbox::Session;
use batch_export_sandbox::contract::{ExportedFile, Plan, Report};
use batch_export_source::Tally;
use batch_export_system::explain::{count, counted};

/// Bytes of a part of a multipart upload that S3 takes.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
const PART_BYTES: std::ops::RangeInclusive<u64> = 5 << 20..=5 << 30;
/// Placeholder of a file's number in a plan's second key.
const NUMBER: &str = "{n}";

/// Checks that the keys that a plan names are the run's own: whatever reads or shows them later relies on it.
pub(crate) fn of_plan(plan: &Plan, policy: &Policy) -> Result<(), Failure> {
    let doubt = |what: String| Err(Failure::plan(what));
    if plan.keys.is_empty() {
        return doubt("the plugin's plan does not name any files".to_owned());
    }
    if !PART_BYTES.contains(&plan.part_size_bytes) {
        return doubt(format!(
            "the plugin's plan has parts of {} bytes, but upload parts must have {} to {}",
            count(plan.part_size_bytes),
            count(*PART_BYTES.start()),
            count(*PART_BYTES.end())
        ));
    }
    for key in plan.keys.iter().chain(&plan.manifest_key) {
        if let Err(rule) = policy.check_key(&key.replace(NUMBER, "0")) {
            return doubt(format!("the plugin's plan names the key `{key}`, {rule}"));
        }
    }
    Ok(())
}

/// The traffic that the host itself carried for an instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Carried {
    /// Requests, refused ones included.
    pub requests: u64,
    /// Bytes of bodies.
    pub bytes: u64,
}

impl Carried {
    /// Returns the traffic of a session so far.
    pub(crate) fn by(session: &Session) -> Self {
        let traffic = session.traffic();
        Carried {
            requests: traffic.requests(),
            bytes: traffic.body_bytes_sent(),
        }
    }
}

/// Checks that the report of a run adds up to what the source read and the host supplied, and that its files are the
/// run's own: a plugin that loses rows must not go unnoticed. Returns the bytes of all files.
pub(crate) fn of_report(
    report: &Report,
    plan: &Plan,
    policy: &Policy,
    tally: &Tally,
    rows_supplied: u64,
    carried: Carried,
) -> Result<u64, Failure> {
    counts(report, tally, rows_supplied)
        .and_then(|()| files(report, plan, policy))
        .and_then(|bytes| sent(report, bytes, policy, carried))
        .map_err(Failure::report)
}

fn counts(report: &Report, tally: &Tally, rows_supplied: u64) -> Result<(), String> {
    if tally.rows_kept() != Some(rows_supplied) {
        return Err(format!(
            "the source read {} and omitted {} with other times, {} without a time and {} with other events, but \
             supplied {}",
            counted(tally.rows_read, "row"),
            count(tally.rows_outside_interval),
            count(tally.rows_without_time),
            count(tally.rows_of_other_events),
            count(rows_supplied)
        ));
    }
    if report.rows_received != rows_supplied {
        return Err(format!(
            "the plugin reported that it received {}, but the host supplied {}",
            counted(report.rows_received, "row"),
            count(rows_supplied)
        ));
    }
    let accounted = report.rows_exported.checked_add(report.rows_filtered);
    if accounted != Some(report.rows_received) {
        return Err(format!(
            "of {}, the plugin reported {} as exported and {} as filtered, which adds up to {}",
            counted(rows_supplied, "row"),
            count(report.rows_exported),
            count(report.rows_filtered),
            accounted.map_or_else(|| "more than can be counted".to_owned(), count)
        ));
    }
    if report.rows_filtered > 0 {
        return Err(format!(
            "the plugin omitted {} of {} as filtered, but the host had already applied include_events and \
             exclude_events",
            count(report.rows_filtered),
            counted(rows_supplied, "row")
        ));
    }
    let in_files = sum(report, |file| file.rows);
    if in_files != Some(report.rows_exported) {
        return Err(format!(
            "the plugin reported that it exported {}, but its files hold {}",
            counted(report.rows_exported, "row"),
            in_files.map_or_else(|| "more than can be counted".to_owned(), count)
        ));
    }
    Ok(())
}

/// Whatever is in a file has left through the host at least once, unless an equal object may stay as it is.
fn sent(report: &Report, bytes: u64, policy: &Policy, carried: Carried) -> Result<u64, String> {
    if bytes > carried.bytes && !policy.never_overwrites() {
        return Err(format!(
            "the plugin reported files of {}, but sent {} in total",
            counted(bytes, "byte"),
            count(carried.bytes)
        ));
    }
    if report.requests > carried.requests || report.retries > report.requests {
        return Err(format!(
            "the plugin reported {}, {} of them retries, but made {}",
            counted(report.requests, "request"),
            count(report.retries),
            count(carried.requests)
        ));
    }
    Ok(bytes)
}

fn sum(report: &Report, of: impl Fn(&ExportedFile) -> u64) -> Option<u64> {
    let mut counts = report.files.iter().map(of);
    counts.try_fold(0_u64, u64::checked_add)
}

fn files(report: &Report, plan: &Plan, policy: &Policy) -> Result<u64, String> {
    let mut seen = HashSet::new();
    for file in &report.files {
        let key = &file.key;
        policy
            .check_key(key)
            .map_err(|rule| format!("the plugin reported the file `{key}`, {rule}"))?;
        if !seen.insert(key.as_str()) || Some(key) == report.manifest_key.as_ref() {
            return Err(format!("the plugin reported the key `{key}` twice"));
        }
        if file.rows == 0 || file.bytes == 0 {
            return Err(format!(
                "the plugin reported the file `{key}` with {} and {}, but no export writes an empty file",
                counted(file.rows, "row"),
                counted(file.bytes, "byte")
            ));
        }
    }
    if report.manifest_key.is_some() && report.manifest_key != plan.manifest_key {
        return Err(format!(
            "the plugin reported the manifest `{}`, but planned {}",
            report.manifest_key.as_deref().unwrap_or_default(),
            plan.manifest_key
                .as_ref()
                .map_or_else(|| "none".to_owned(), |key| format!("`{key}`"))
        ));
    }
    if report.manifest_key.is_none() && plan.manifest_key.is_some() && !report.files.is_empty() {
        return Err("the plugin planned a manifest, but reported none".to_owned());
    }
    sum(report, |file| file.bytes)
        .ok_or_else(|| "the plugin reported files of more bytes than can be counted".to_owned())
}

#[cfg(test)]
mod tests;
