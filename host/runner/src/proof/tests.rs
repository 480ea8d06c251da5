//! Plans and reports, honest and not, against what the host counted.

use serde_json::json;

use super::*;
use batch_export_sandbox::contract::{Interval, Run};
use batch_export_sandbox::{OperatorLists, Protocol};

const STEM: &str = "x/2023-07-28T00:00:00+00:00-2023-07-28T01:00:00+00:00";

fn policy() -> Policy {
    policy_that(false)
}

fn policy_that(never_overwrites: bool) -> Policy {
    let configuration = json!({
        "bucket_name": "b", "region": "r", "prefix": "x", "endpoint_url": "https://store.example.com",
        "if_none_match": never_overwrites,
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
    Policy::for_run(Protocol::S3, &configuration, &OperatorLists::default(), &run).expect("a policy")
}

fn plan(keys: &[&str], manifest: Option<&str>) -> Plan {
    Plan {
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        manifest_key: manifest.map(str::to_owned),
        settings: Vec::new(),
        part_size_bytes: 5 << 20,
        requests_in_flight: 1,
        memory_bytes: 0,
        payload_bytes: 0,
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
    let mut tally = Tally::default();
    tally.rows_read = rows_read;
    tally.rows_of_other_events = rows_of_other_events;
    tally
}

const CARRIED: Carried = Carried { requests: 3, bytes: 2 };

fn proven(report: &Report, tally: &Tally, supplied: u64) -> Result<u64, String> {
    of_report(report, &plan(&[STEM], None), &policy(), tally, supplied, CARRIED)
        .map_err(|failure| failure.in_one_text())
}

#[test]
fn more_than_was_sent_is_a_failure() {
    let good = report(2, 2, 0, &[1, 1]);
    assert_eq!(proven(&good, &read(2, 0), 2), Ok(2));
    let with = |bytes: u64, requests: u64, retries: u64| {
        let mut report = good.clone();
        report.files[0].bytes = bytes;
        (report.requests, report.retries) = (requests, retries);
        proven(&report, &read(2, 0), 2)
    };
    assert_eq!(with(1, 3, 3), Ok(2));
    for (bytes, requests, retries, expect) in [
        (2, 3, 0, "files of 3 bytes, but sent 2 in total"),
        (1, 4, 0, "reported 4 requests, 0 of them retries, but made 3"),
        (1, 3, 4, "reported 3 requests, 4 of them retries, but made 3"),
        (1, u64::MAX, u64::MAX, "but made 3"),
    ] {
        let error = with(bytes, requests, retries).expect_err(expect);
        assert!(error.contains(expect), "{error}");
    }
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
            "the plugin reported that it received 9 rows, but the host supplied 10",
        ),
        (
            report(10, 7, 2, &[7]),
            read(10, 0),
            10,
            "7 as exported and 2 as filtered, which adds up to 9",
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
            "exported 10 rows, but its files hold 9",
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
            "as filtered, which adds up to more than can be counted",
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
            "read 13 rows and omitted 0 with other times",
        ),
        (report(10, 10, 0, &[10]), read(1, 2), 10, "read 1 row and omitted"),
    ];
    for (report, tally, supplied, expect) in cases {
        let error = proven(&report, &tally, supplied).expect_err(expect);
        assert!(error.contains(expect), "{error}");
        assert!(error.contains("do not use the files of this run"), "{error}");
    }
}

#[test]
fn a_report_about_other_files_than_the_runs_own_is_a_failure() {
    let (other, twice) = (
        "x/2023-07-28T01:00:00+00:00-2023-07-28T02:00:00+00:00-0.jsonl",
        format!("{STEM}-0.jsonl"),
    );
    let cases = [
        ("other/a.jsonl".to_owned(), "is not one of this run's keys"),
        (other.to_owned(), "is not one of this run's keys"),
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
        (Some(manifest.as_str()), Some("y"), Some("reported the manifest `y`")),
    ] {
        let mut report = report(1, 1, 0, &[1]);
        report.manifest_key = reported.map(str::to_owned);
        let found = of_report(&report, &plan(&[STEM], planned), &policy(), &read(1, 0), 1, CARRIED);
        match (found, expect) {
            (Ok(1), None) => {}
            (Err(error), Some(expect)) if error.to_string().contains(expect) => {}
            (found, expect) => panic!("{found:?}, not {expect:?}"),
        }
    }
}

#[test]
fn an_equal_object_that_may_not_be_overwritten_needs_no_bytes() {
    let files = report(2, 2, 0, &[1, 1]);
    let nothing = Carried { requests: 3, bytes: 0 };
    for (never, expect) in [(false, false), (true, true)] {
        let found = of_report(
            &files,
            &plan(&[STEM], None),
            &policy_that(never),
            &read(2, 0),
            2,
            nothing,
        );
        assert_eq!(found.is_ok(), expect, "{found:?}");
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
