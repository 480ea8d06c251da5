//! What the host believes of a plugin's plan and report: only what its own counts and the operator's configuration bear
//! out. Sends nothing and repairs nothing.

use std::collections::HashSet;

use super::error::Cause;
use crate::egress::policy::Policy;
use crate::sandbox::contract::{ExportedFile, Plan, Report};
use crate::source::Tally;

/// Bytes of a part of a multipart upload that S3 takes.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
const PART_BYTES: std::ops::RangeInclusive<u64> = 5 << 20..=5 << 30;
/// What stands for a file's number in a plan's second key.
const NUMBER: &str = "{n}";

/// The keys that a plan names must be the run's own: whatever reads or shows them later relies on it.
pub fn of_plan(plan: &Plan, policy: &Policy) -> Result<(), Cause> {
    let doubt = |what: String| {
        Err(Cause::Disbelieved(format!(
            "{what}; nothing was sent; report this to the plugin's author"
        )))
    };
    if plan.keys.is_empty() {
        return doubt("the plugin's plan names no file".to_owned());
    }
    if !PART_BYTES.contains(&plan.part_size_bytes) {
        return doubt(format!(
            "the plugin's plan has parts of {} bytes, and uploads have parts of {} to {}",
            plan.part_size_bytes,
            PART_BYTES.start(),
            PART_BYTES.end()
        ));
    }
    for key in plan.keys.iter().chain(&plan.manifest_key) {
        if let Err(rule) = policy.check_key(&key.replace(NUMBER, "0")) {
            return doubt(format!("the plugin's plan names the key `{key}`, {rule}"));
        }
    }
    Ok(())
}

/// The report of a run must add up to what the source read and the host supplied, and its files must be the run's own:
/// a plugin that loses rows must not go unnoticed. Answers the bytes of all files.
pub fn of_report(
    report: &Report,
    plan: &Plan,
    policy: &Policy,
    tally: &Tally,
    rows_supplied: u64,
) -> Result<u64, Cause> {
    counts(report, tally, rows_supplied)
        .and_then(|()| files(report, plan, policy))
        .map_err(|doubt| {
            Cause::Miscounted(format!(
                "{doubt}; do not use the files of this run, and report this to the plugin's author"
            ))
        })
}

fn counts(report: &Report, tally: &Tally, rows_supplied: u64) -> Result<(), String> {
    if tally.rows_kept() != Some(rows_supplied) {
        return Err(format!(
            "the source read {} rows and omitted {} of other times, {} without a time and {} of other events, but {rows_supplied} were supplied",
            tally.rows_read,
            tally.rows_outside_interval,
            tally.rows_without_time,
            tally.rows_of_other_events
        ));
    }
    if report.rows_received != rows_supplied {
        return Err(format!(
            "the plugin reported {} rows, {rows_supplied} were supplied",
            report.rows_received
        ));
    }
    let accounted = report.rows_exported.checked_add(report.rows_filtered);
    if accounted != Some(report.rows_received) {
        return Err(format!(
            "of {rows_supplied} rows, the plugin reported {} exported and {} filtered, which is {}",
            report.rows_exported,
            report.rows_filtered,
            accounted.map_or_else(|| "more than can be counted".to_owned(), |n| n.to_string())
        ));
    }
    if report.rows_filtered > 0 {
        return Err(format!(
            "the plugin omitted {} of {rows_supplied} rows as filtered, but include_events and exclude_events were applied before they were supplied",
            report.rows_filtered
        ));
    }
    let in_files = sum(report, |file| file.rows);
    if in_files != Some(report.rows_exported) {
        return Err(format!(
            "the plugin reported {} rows exported, but its files hold {}",
            report.rows_exported,
            in_files.map_or_else(|| "more than can be counted".to_owned(), |n| n.to_string())
        ));
    }
    Ok(())
}

fn sum(report: &Report, count: impl Fn(&ExportedFile) -> u64) -> Option<u64> {
    let mut counts = report.files.iter().map(count);
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
                "the plugin reported the file `{key}` with {} rows and {} bytes, and no export writes an empty file",
                file.rows, file.bytes
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
mod tests {
    use serde_json::json;

    use super::*;
    use crate::egress::policy::OperatorLists;
    use crate::sandbox::contract::{Interval, Run};

    const STEM: &str = "x/2023-07-28T00:00:00+00:00-2023-07-28T01:00:00+00:00";

    fn policy() -> Policy {
        let configuration = json!({
            "bucket_name": "b", "region": "r", "prefix": "x", "endpoint_url": "https://store.example.com",
        });
        let run = Run {
            id: "r".to_owned(),
            attempt: "1".to_owned(),
            model: "events".to_owned(),
            interval: Interval {
                start_micros: Some(1_690_502_400_000_000),
                end_micros: 1_690_506_000_000_000,
            },
        };
        Policy::for_run(&configuration, &OperatorLists::default(), &run).expect("a policy")
    }

    fn plan(keys: &[&str], manifest: Option<&str>) -> Plan {
        Plan {
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            manifest_key: manifest.map(str::to_owned),
            settings: Vec::new(),
            part_size_bytes: 5 << 20,
            requests_in_flight: 1,
            grants: Vec::new(),
            signing: Vec::new(),
            required_columns: Vec::new(),
        }
    }

    fn report(received: u64, exported: u64, filtered: u64, in_files: &[u64]) -> Report {
        let file = |(number, rows): (usize, &u64)| ExportedFile {
            key: format!("{STEM}-{number}.jsonl"),
            rows: *rows,
            bytes: 1,
            etag: String::new(),
        };
        Report {
            rows_received: received,
            rows_exported: exported,
            rows_filtered: filtered,
            files: in_files.iter().enumerate().map(file).collect(),
            ..Report::default()
        }
    }

    fn read(rows_read: u64, rows_of_other_events: u64) -> Tally {
        Tally {
            rows_read,
            rows_of_other_events,
            ..Tally::default()
        }
    }

    fn proven(report: &Report, tally: &Tally, supplied: u64) -> Result<u64, String> {
        of_report(report, &plan(&[STEM], None), &policy(), tally, supplied)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_report_that_does_not_add_up_is_a_failure() {
        proven(&report(10, 10, 0, &[7, 3]), &read(12, 2), 10).expect("it adds up");
        proven(&report(0, 0, 0, &[]), &read(12, 12), 0).expect("it adds up");
        let max = u64::MAX;
        let cases: [(Report, Tally, u64, &str); 10] = [
            (
                report(9, 9, 0, &[9]),
                read(10, 0),
                10,
                "the plugin reported 9 rows, 10 were supplied",
            ),
            (
                report(10, 7, 2, &[7]),
                read(10, 0),
                10,
                "7 exported and 2 filtered, which is 9",
            ),
            (
                report(10, 7, 3, &[7]),
                read(10, 0),
                10,
                "omitted 3 of 10 rows as filtered",
            ),
            (
                report(10, 0, 10, &[]),
                read(10, 0),
                10,
                "omitted 10 of 10 rows as filtered",
            ),
            (
                report(10, 10, 0, &[9]),
                read(10, 0),
                10,
                "10 rows exported, but its files hold 9",
            ),
            (
                report(10, 10, 0, &[max, 11]),
                read(10, 0),
                10,
                "hold more than can be counted",
            ),
            (
                report(10, max, 11, &[10]),
                read(10, 0),
                10,
                "filtered, which is more than can be counted",
            ),
            (
                report(10, 10, 0, &[10, 0]),
                read(10, 0),
                10,
                "no export writes an empty file",
            ),
            (
                report(10, 10, 0, &[10]),
                read(13, 2),
                10,
                "read 13 rows and omitted 0 of other times",
            ),
            (
                report(10, 10, 0, &[10]),
                read(1, 2),
                10,
                "read 1 rows and omitted",
            ),
        ];
        for (report, tally, supplied, expect) in cases {
            let error = proven(&report, &tally, supplied).expect_err(expect);
            assert!(error.contains(expect), "{error}");
            assert!(
                error.contains("do not use the files of this run"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_report_about_other_files_than_the_runs_own_is_a_failure() {
        let (other, twice) = (
            "x/2023-07-28T01:00:00+00:00-2023-07-28T02:00:00+00:00-0.jsonl",
            format!("{STEM}-0.jsonl"),
        );
        let cases = [
            ("other/a.jsonl".to_owned(), "is outside"),
            (other.to_owned(), "is outside"),
            (format!("{STEM}/../../a"), "`..`"),
            (twice, "twice"),
        ];
        for (key, expect) in cases {
            let mut report = report(10, 10, 0, &[5, 5]);
            report.files[1].key = key;
            let error = proven(&report, &read(10, 0), 10).expect_err(expect);
            assert!(error.contains(expect), "{error}");
        }
        let mut bytes = report(10, 10, 0, &[5, 5]);
        bytes.files[0].bytes = u64::MAX;
        let error = proven(&bytes, &read(10, 0), 10).expect_err("too many bytes");
        assert!(error.contains("more bytes than can be counted"), "{error}");
    }

    #[test]
    fn a_manifest_is_the_one_that_was_planned() {
        let manifest = format!("{STEM}_manifest.json");
        for (planned, reported, expect) in [
            (Some(manifest.as_str()), Some(manifest.as_str()), None),
            (None, None, None),
            (
                Some(manifest.as_str()),
                None,
                Some("planned a manifest, but reported none"),
            ),
            (None, Some(manifest.as_str()), Some("but planned none")),
            (
                Some(manifest.as_str()),
                Some("y"),
                Some("reported the manifest `y`"),
            ),
        ] {
            let mut report = report(1, 1, 0, &[1]);
            report.manifest_key = reported.map(str::to_owned);
            let found = of_report(&report, &plan(&[STEM], planned), &policy(), &read(1, 0), 1);
            match (found, expect) {
                (Ok(1), None) => {}
                (Err(error), Some(expect)) if error.to_string().contains(expect) => {}
                (found, expect) => panic!("{found:?}, not {expect:?}"),
            }
        }
    }

    #[test]
    fn a_plan_names_keys_of_its_run_alone() {
        let split = format!("{STEM}-{{n}}.jsonl");
        let hidden = STEM.replacen("x/", "x/_", 1);
        of_plan(&plan(&[STEM, &split], Some(&hidden)), &policy()).expect("its own keys");
        for (keys, manifest) in [
            (&[][..], None),
            (&["other-bucket/secret.json"][..], None),
            (&["x/a.jsonl"][..], None),
            (&[STEM, "y/{n}"][..], None),
            (&[STEM][..], Some("other/secret.json")),
        ] {
            of_plan(&plan(keys, manifest), &policy()).expect_err("refused");
        }
        for part_size_bytes in [0, 1, u64::MAX] {
            let plan = Plan {
                part_size_bytes,
                ..plan(&[STEM], None)
            };
            of_plan(&plan, &policy()).expect_err("no such parts");
        }
    }
}
