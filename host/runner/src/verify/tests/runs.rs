//! Whole runs in a store: files, manifest and source that do not fit each other.

use std::collections::BTreeMap;

use devstore::{DevStore, Fault, Operation, What};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::stores::{BUCKET, MANIFEST, client, plan, store};
use super::*;
use batch_export_source::Model;

/// Objects by key, what the source holds, and what is compared.
struct Case {
    name: &'static str,
    objects: &'static [(&'static str, &'static str)],
    source: Option<&'static str>,
    /// Of the run, then of its files.
    faults: &'static [&'static str],
    notes: &'static [&'static str],
}

pub(super) fn reading(endpoint: &str, rows: Option<Rows>) -> Reading {
    let plan = plan(endpoint);
    Reading {
        store: client(&plan, endpoint).expect("a client"),
        layout: Layout::new(&plan.keys),
        other_keys: Vec::new(),
        part_size_bytes: plan.part_size_bytes,
        always_has_manifest: false,
        detailed: false,
        selection: Selection::new(
            Interval::parse("2024-03-01T05:00Z", "2024-03-01T06:00Z").expect("an interval"),
            EventFilter::default(),
        ),
        plugin: Plugin::default(),
        checksum: None,
        source: SourceSettings::Sample {
            model: Model::Events,
            rows_per_hour: 0,
        },
        rows,
        compared: true,
        replaced: false,
        unmarked: Vec::new(),
        first: First::default(),
        token: Token::new(),
        watch: nobody_watches(),
        at: VerifyProgress::default(),
        report: reading_report(),
    }
}

fn reading_report() -> VerifyReport {
    VerifyReport {
        destination: "archive".to_owned(),
        run_id: "r".to_owned(),
        model: "own".to_owned(),
        file_format: "JSONLines".to_owned(),
        compression: "none".to_owned(),
        manifest_key: Some(MANIFEST.to_owned()),
        ..VerifyReport::default()
    }
}

async fn read(store: &DevStore, source: Option<&str>) -> VerifyReport {
    let opened = source.map(rows_of);
    let (_folder, rows) = opened.map_or((None, None), |(folder, rows)| (Some(folder), Some(rows)));
    let mut reading = reading(&store.endpoint(), rows);
    reading.read().await.expect("the store can be read");
    reading.report
}

pub(super) fn faults(report: &VerifyReport) -> Vec<String> {
    let in_files = report.files.iter().flat_map(|file| file.faults.clone());
    report.faults.iter().cloned().chain(in_files).collect()
}

/// A manifest that names no file says that the interval had no rows; where one is always written, its absence says that
/// the interval was not exported.
#[tokio::test]
async fn an_empty_manifest_tells_no_rows_from_not_run() {
    const NO_ROWS: &str = r#"{"at":"2020-01-01T00:00:00Z","n":1,"s":"a"}"#;
    const NOT_RUN: &str =
        "no file of this run is in the bucket, not even the manifest x/a_manifest.json, which every run writes";
    for (manifest, source, expected) in [
        (true, Some(NO_ROWS), &[][..]),
        (true, None, &[][..]),
        (
            true,
            Some(SOURCE),
            &["3 of the source's 3 rows are missing from the files"][..],
        ),
        (false, Some(NO_ROWS), &[NOT_RUN][..]),
    ] {
        let store = store().await;
        if manifest {
            let bytes = br#"{"files": []}"#.to_vec();
            store.put_object(BUCKET, MANIFEST, bytes, &[]).await.expect("seeded");
        }
        let opened = source.map(rows_of);
        let (_folder, rows) = opened.map_or((None, None), |(folder, rows)| (Some(folder), Some(rows)));
        let mut reading = Reading {
            always_has_manifest: true,
            ..reading(&store.endpoint(), rows)
        };
        reading.read().await.expect("the store can be read");
        assert_faults(&faults(&reading.report), expected, "an empty manifest");
    }
}

pub(super) const FILES: &str = r#"{"files":["x/a-0.jsonl"]}"#;

#[tokio::test]
async fn runs_whose_pieces_do_not_fit_are_named() {
    let cases = [
        Case {
            name: "a good run",
            objects: &[("x/a-0.jsonl", WRITTEN), (MANIFEST, FILES)],
            source: Some(SOURCE),
            faults: &[],
            notes: &[],
        },
        Case {
            name: "no manifest",
            objects: &[("x/a-0.jsonl", WRITTEN)],
            source: Some(SOURCE),
            faults: &[
                "the manifest x/a_manifest.json is missing: the run did not finish, or somebody deleted what is missing",
            ],
            notes: &[],
        },
        Case {
            name: "a manifest that is none",
            objects: &[("x/a-0.jsonl", WRITTEN), (MANIFEST, "{")],
            source: Some(SOURCE),
            faults: &["the manifest x/a_manifest.json cannot be read: …"],
            notes: &[],
        },
        Case {
            name: "a manifest that lists other numbers",
            objects: &[
                ("x/a-0.jsonl", WRITTEN),
                (
                    MANIFEST,
                    r#"{"files":["x/a-0.jsonl"],"file_details":[{"key":"x/a-0.jsonl","rows":4,"bytes":1,"etag":"e"}]}"#,
                ),
            ],
            source: Some(SOURCE),
            faults: &["was not read: according to the manifest it has 1 bytes, but the store has 147"],
            notes: &["rows after x/a-0.jsonl were not compared with the source: they cannot be aligned"],
        },
        Case {
            name: "a manifest that lists other rows",
            objects: &[
                ("x/a-0.jsonl", WRITTEN),
                (
                    MANIFEST,
                    r#"{"files":["x/a-0.jsonl"],"file_details":[{"key":"x/a-0.jsonl","rows":4,"bytes":147,"etag":"e"}]}"#,
                ),
            ],
            source: Some(SOURCE),
            faults: &[
                "the manifest says rows 4, but it has 3",
                "the manifest says ETag e, but it has \"…",
            ],
            notes: &[],
        },
        Case {
            name: "a manifest with details of another file",
            objects: &[
                ("x/a-0.jsonl", WRITTEN),
                (
                    MANIFEST,
                    r#"{"files":["x/a-0.jsonl"],"file_details":[{"key":"x/b","rows":3,"bytes":147,"etag":"e"}]}"#,
                ),
            ],
            source: Some(SOURCE),
            faults: &[
                "the manifest has file_details of x/b, which is not one of its files",
                "the manifest lists it without its details",
            ],
            notes: &[],
        },
        Case {
            name: "a file is missing",
            objects: &[(MANIFEST, FILES)],
            source: Some(SOURCE),
            faults: &["is missing"],
            notes: &["rows after x/a-0.jsonl were not compared with the source: they cannot be aligned"],
        },
        Case {
            name: "an empty file",
            objects: &[("x/a-0.jsonl", ""), (MANIFEST, FILES)],
            source: None,
            faults: &["contains no rows, although exports never write such files"],
            notes: &[],
        },
        Case {
            name: "somebody else's object under a next number",
            objects: &[("x/a-0.jsonl", WRITTEN), ("x/a-3.jsonl", WRITTEN), (MANIFEST, FILES)],
            source: Some(SOURCE),
            faults: &[],
            notes: &[
                "x/a-3.jsonl is somebody else's object: it does not carry this run's mark; anyone who reads the whole \
                 folder reads it as well",
            ],
        },
        Case {
            name: "rows that are missing from the files",
            objects: &[("x/a-0.jsonl", WRITTEN), (MANIFEST, FILES)],
            source: Some(concat!(
                r#"{"at":"2024-03-01T05:00:00Z","n":1,"s":"a"}"#,
                "\n",
                r#"{"at":"2024-03-01T05:00:01Z","n":2,"s":"b"}"#,
                "\n"
            )),
            faults: &["the files contain 3 rows, but the source has only 2"],
            notes: &[],
        },
        Case {
            name: "nothing at all, and nobody asked the source",
            objects: &[],
            source: None,
            faults: &[
                "no file of this run is in the bucket, not even the first (x/a-0.jsonl), which is right only if the interval \
                 has no rows (verify without --no-source to find out)",
            ],
            notes: &[],
        },
        Case {
            name: "nothing, and nothing to export",
            objects: &[],
            source: Some(r#"{"at":"2020-01-01T00:00:00Z","n":1,"s":"a"}"#),
            faults: &[],
            notes: &["no files exist, as expected: the source read 1 row: 1 outside the interval"],
        },
    ];
    for case in cases {
        let store = store().await;
        for (key, text) in BTreeMap::from_iter(case.objects.iter().copied()) {
            let bytes = text.as_bytes().to_vec();
            store.put_object(BUCKET, key, bytes, &[]).await.expect("seeded");
        }
        let report = read(&store, case.source).await;
        assert_faults(&faults(&report), case.faults, case.name);
        assert_faults(&report.notes, case.notes, case.name);
    }
}

/// An object under a next number is a fault only with this run's mark; without a manifest, it is a file of the run
/// then.
#[tokio::test]
async fn the_mark_tells_an_earlier_attempts_file_from_somebody_elses() {
    const LEFT: &str = "x/a-1.jsonl is left over from an earlier attempt of this run";
    const UNFINISHED: &str =
        "the manifest x/a_manifest.json is missing: the run did not finish, or somebody deleted what is missing";
    const MORE: &str = "the files contain 6 rows, but the source has only 3";
    for (mark, manifest, expected, notes) in [
        (Some("r"), true, &[LEFT][..], 0),
        (Some("another"), true, &[][..], 1),
        (None, true, &[][..], 1),
        (Some("r"), false, &[UNFINISHED, MORE][..], 0),
        (Some("another"), false, &[UNFINISHED][..], 1),
        (None, false, &[UNFINISHED][..], 1),
    ] {
        let store = store().await;
        let marked = mark.map(|mark| (super::store::RUN_HEADER, mark));
        let mut objects = vec![("x/a-0.jsonl", WRITTEN, None), ("x/a-1.jsonl", WRITTEN, marked)];
        objects.extend(manifest.then_some((MANIFEST, FILES, None)));
        for (key, text, mark) in objects {
            let bytes = text.as_bytes().to_vec();
            store
                .put_object(BUCKET, key, bytes, mark.as_slice())
                .await
                .expect("seeded");
        }
        let report = read(&store, Some(SOURCE)).await;
        let case = format!("{mark:?}, {manifest}");
        let mut found = faults(&report);
        found.retain(|fault| !fault.contains("the source has no"));
        assert_faults(&found, expected, &case);
        assert_eq!(report.notes.len(), notes, "{case}: {:?}", report.notes);
    }
}

#[tokio::test]
async fn a_store_that_hides_and_a_checksum_nobody_knows_are_noted() {
    let store = store().await;
    for (key, text) in [("x/a-0.jsonl", WRITTEN), (MANIFEST, FILES)] {
        let bytes = text.as_bytes().to_vec();
        store.put_object(BUCKET, key, bytes, &[]).await.expect("seeded");
    }
    let denied = What::Status(403, "AccessDenied".to_owned());
    store.set_faults(vec![Fault::on(Operation::HeadObject, denied)]);
    let report = read(&store, Some(SOURCE)).await;
    assert_faults(&faults(&report), &[], "hidden");
    assert_eq!(
        report.notes,
        ["without s3:ListBucket, it is not known whether x/a-1.jsonl and further files are left over"]
    );
}

/// Something before the store that states another length than it sends, and a checksum of its own.
#[tokio::test]
async fn an_answer_that_is_not_what_its_head_says_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let answering = async {
        let (mut stream, _) = listener.accept().await.expect("a request");
        let mut head = [0; 4_096];
        assert_ne!(stream.read(&mut head).await.expect("its head"), 0);
        let answer = "HTTP/1.1 200 OK\r\netag: \"e\"\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\nx-amz-checksum-crc7: x\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.expect("answered");
        stream
    };
    let mut reading = reading(&endpoint, None);
    let (answer, _stream) = tokio::join!(reading.store.get("x/a-0.jsonl"), answering);
    let answer = answer.expect("an answer").expect("an object");
    let mut outcome = FileOutcome::new("x/a-0.jsonl");
    let allowed = allowed_bytes(&answer, None).expect("a length");
    let read = reading.download(answer, allowed, &mut outcome).await;
    read.expect("read to its end");
    assert_eq!(outcome.faults, ["the store reports 9 bytes, but 3 were received"]);
    assert_eq!(
        reading.report.notes,
        ["x/a-0.jsonl: checksums of kind crc7 are not supported and were not checked"]
    );
}

/// A store that goes on and on must not fill the disk: what comes is bounded by what it or the manifest said.
#[tokio::test]
async fn a_download_ends_where_store_or_manifest_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let head = "HTTP/1.1 200 OK\r\netag: \"e\"\r\ntransfer-encoding: chunked\r\n\r\n";
    let answering = async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a request");
            tokio::spawn(async move {
                let mut first = [0; 1];
                stream.read_exact(&mut first).await.ok();
                stream.write_all(head.as_bytes()).await.ok();
                while stream.write_all(b"3\r\nabc\r\n").await.is_ok() {}
            });
        }
    };
    let server = tokio::spawn(answering);
    let mut reading = reading(&endpoint, None);
    let answer = async || {
        let answer = reading.store.get("x/a-0.jsonl").await;
        answer.expect("an answer").expect("an object")
    };
    let (unsaid, listed) = (answer().await, answer().await);
    let fault = allowed_bytes(&unsaid, None).err().expect("nobody said");
    assert_eq!(fault, "was not read: the store does not report its size");

    let allowed = allowed_bytes(&listed, Some(1_000)).expect("the manifest said");
    let mut outcome = FileOutcome::new("x/a-0.jsonl");
    let ended = reading.download(listed, allowed, &mut outcome).await;
    assert_eq!(
        ended.expect_err("it went on").to_string(),
        "x/a-0.jsonl continued after the 1,000 bytes that the manifest lists; the store contradicts itself"
    );
    assert!(outcome.bytes <= 1_000);
    server.abort();
}

/// A store that has whatever it is asked for must not be asked for ever, and what was not looked at is a fault.
#[tokio::test]
async fn a_store_that_has_every_file_is_asked_a_bounded_number_of_times() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let asked = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = Arc::clone(&asked);
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a request");
            let asked = Arc::clone(&counted);
            tokio::spawn(async move {
                let mut read = [0; 4_096];
                while stream.read(&mut read).await.is_ok_and(|read| read > 0) {
                    asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let answer = b"HTTP/1.1 200 OK\r\netag: \"e\"\r\nx-amz-meta-batch-export-run: r\r\ncontent-length: 0\r\n\r\n";
                    if stream.write_all(answer).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    let mut reading = reading(&endpoint, None);
    reading.read().await.expect("it can be read");
    server.abort();
    let report = reading.report;
    let expect = "more than 1,000 files exist that no manifest lists; only 1,000 were examined";
    assert!(report.faults.iter().any(|fault| fault == expect), "{:?}", report.faults);
    assert_eq!(report.files.len(), 100);
    let asked = asked.load(std::sync::atomic::Ordering::Relaxed);
    assert!(asked < 1_200, "{asked} requests");
}

#[test]
fn faults_and_notes_of_a_run_are_bounded() {
    let mut report = reading_report();
    for number in 0..1_000 {
        report.fault(FaultKind::Changed, format!("fault {number}"));
        report.note(format!("note {number}"));
    }
    assert_eq!((report.faults.len(), report.further_faults), (100, 900));
    assert_eq!((report.notes.len(), report.further_notes), (100, 900));
    assert_eq!(report.faults_found(), 1_000);
}

/// Each file of a manifest is asked for, and a store that is wrong about all of them is not asked for ever.
#[tokio::test]
async fn reading_ends_after_so_many_files_with_errors() {
    let store = store().await;
    let keys: Vec<String> = (0..1_000).map(|n| format!("x/a-{n}.jsonl")).collect();
    let manifest = serde_json::json!({ "files": keys }).to_string();
    store
        .put_object(BUCKET, MANIFEST, manifest.into_bytes(), &[])
        .await
        .expect("seeded");
    let report = read(&store, Some(SOURCE)).await;
    assert_eq!(report.files.len(), 100);
    assert_eq!(
        report.faults,
        ["100 files have errors, so the remaining 900 were not read",]
    );
    assert_eq!(report.faults_found(), 101);
    assert!(store.requests().len() < 200);
}

#[tokio::test]
async fn what_other_settings_left_is_a_fault_with_the_runs_mark_only() {
    let store = store().await;
    let mark = |run| [(super::super::store::RUN_HEADER, run)];
    for (key, text, mark) in [
        ("x/a-0.jsonl", WRITTEN, mark("r")),
        (MANIFEST, FILES, mark("r")),
        ("x/a.parquet", "x", mark("r")),
        ("x/a.jsonl.gz", "x", mark("another")),
    ] {
        let bytes = text.as_bytes().to_vec();
        store.put_object(BUCKET, key, bytes, &mark).await.expect("seeded");
    }
    let (_folder, rows) = rows_of(SOURCE);
    let mut reading = reading(&store.endpoint(), Some(rows));
    reading.other_keys = reading.layout.other_keys(Some(MANIFEST));
    // The hidden manifest is not among the keys that this test's policy allows.
    reading.other_keys.retain(|key| key.starts_with("x/a"));
    reading.read().await.expect("the store can be read");
    assert_eq!(
        faults(&reading.report),
        ["x/a.parquet is from an attempt of this run with other settings (format, compression, splitting or manifest)"]
    );
}
