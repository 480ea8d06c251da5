//! What is not there: a store, its bucket, a run, some of its files. Each cause is told once, with what to do about it.

use devstore::DevStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::runs::{FILES, faults, reading};
use super::stores::{BUCKET, MANIFEST, store};
use super::*;
use crate::failure::{FailureClass, FailureCode};

const AFRESH: &str = "run the interval";
const NOT_RUN: &str =
    "run the interval; if it was exported before, with these settings, find out what deleted its files";
const MISSING: &str = "run the interval again to write what is missing, and find out what deleted it";
const RESTORE: &str = "restore the settings with which the interval was exported, or run it with today's and delete \
                       what the earlier ones left";

/// A server that answers everything alike, HEAD without the body.
async fn answering(head: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut asked = [0; 4_096];
            let read = stream.read(&mut asked).await.unwrap_or(0);
            let shown = if asked[..read].starts_with(b"HEAD") { "" } else { body };
            let length = body.len();
            let answer = format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{shown}");
            stream.write_all(answer.as_bytes()).await.ok();
        }
    });
    endpoint
}

#[tokio::test]
async fn a_bucket_or_store_that_is_not_there_is_a_failure_and_no_fault_of_the_run() {
    const PAGE: &str = "<!DOCTYPE html><html><body>It works!</body></html>";
    const FOREIGN: &str = "check endpoint_url: the response seems to come from something other than an S3 store, such as a proxy or a website";
    let cases = [
        (
            "404 Not Found",
            "<Error><Code>NoSuchBucket</Code><Message>The bucket does not exist</Message></Error>",
            "bucket `test-bucket` does not exist at URL",
            "create the bucket, or check bucket_name, region and endpoint_url",
        ),
        (
            "404 Not Found",
            "",
            "the server at URL does not respond like S3: status 404, without S3's error document",
            FOREIGN,
        ),
        (
            "404 Not Found",
            PAGE,
            "the server at URL does not respond like S3: status 404, without S3's error document",
            FOREIGN,
        ),
        (
            "403 Forbidden",
            PAGE,
            "the server at URL does not respond like S3: status 403, without S3's error document",
            FOREIGN,
        ),
        (
            "200 OK",
            PAGE,
            "the server at URL does not respond like S3: status 200, its response contains no ETag",
            FOREIGN,
        ),
        (
            "200 OK\r\netag: \"page\"\r\ncontent-type: text/html; charset=utf-8",
            PAGE,
            "the server at URL does not respond like S3: status 200, its response is a web page",
            FOREIGN,
        ),
    ];
    for (head, body, message, hint) in cases {
        // The first request is GET where there is a manifest, and HEAD where there is none.
        for manifest in [Some(MANIFEST.to_owned()), None] {
            let endpoint = answering(head, body).await;
            let mut reading = reading(&endpoint, None);
            reading.report.manifest_key = manifest.clone();
            let failure = reading.read().await.expect_err(message);
            let case = format!("{head}, {body}, {manifest:?}");
            assert_eq!(failure.to_string(), message.replace("URL", &endpoint), "{case}");
            assert_eq!(failure.hint(), Some(hint), "{case}");
            assert_eq!(
                (failure.class(), failure.code()),
                (FailureClass::Failed, FailureCode::STORE_REFUSED)
            );
        }
    }
}

async fn put(store: &DevStore, key: &str, text: &str, run: Option<&str>) {
    let mark = run.map(|run| (super::super::store::RUN_HEADER, run));
    let bytes = text.as_bytes().to_vec();
    store
        .put_object(BUCKET, key, bytes, mark.as_slice())
        .await
        .expect("seeded");
}

/// Objects, what the source holds, and the faults and hints for that.
struct Case {
    name: &'static str,
    /// With this run's mark.
    objects: &'static [(&'static str, &'static str)],
    always_has_manifest: bool,
    faults: &'static [&'static str],
    hints: &'static [&'static str],
}

#[tokio::test]
async fn each_cause_of_something_missing_is_told_once_with_its_own_way_out() {
    const DETAILED: &str = r#"{"files":["x/a-0.jsonl"],"file_details":[{"key":"x/a-0.jsonl","rows":3,"bytes":147,"etag":"\"e\"","checksum":{"algorithm":"SHA256","value":"x"}}]}"#;
    const OTHERS: &str = r#"{"files":["x/a-0.jsonl.gz","x/a-1.jsonl.gz"]}"#;
    const ONE_ROW: &str = "{\"at\":\"2024-03-01T05:00:00+00:00\",\"n\":1,\"s\":\"a\"}\n";
    let cases = [
        Case {
            name: "never run",
            objects: &[],
            always_has_manifest: false,
            faults: &[
                "no file of this run is in the bucket, not even the first (x/a-0.jsonl), and the source has 3 rows",
            ],
            hints: &[NOT_RUN],
        },
        Case {
            name: "never run, and every run writes a manifest",
            objects: &[],
            always_has_manifest: true,
            faults: &[
                "no file of this run is in the bucket, not even the manifest x/a_manifest.json, which every run writes",
            ],
            hints: &[NOT_RUN],
        },
        Case {
            name: "a file that a detailed manifest lists",
            objects: &[(MANIFEST, DETAILED)],
            always_has_manifest: false,
            faults: &["is missing"],
            hints: &[MISSING],
        },
        Case {
            name: "the manifest",
            objects: &[("x/a-0.jsonl", WRITTEN)],
            always_has_manifest: false,
            faults: &[
                "the manifest x/a_manifest.json is missing: the run did not finish, or somebody deleted what is missing",
            ],
            hints: &[AFRESH],
        },
        Case {
            name: "a killed run",
            objects: &[("x/a-0.jsonl", ONE_ROW), ("x/a-2.jsonl", ONE_ROW)],
            always_has_manifest: false,
            faults: &[
                "the manifest x/a_manifest.json is missing, and x/a-2.jsonl is there, but x/a-1.jsonl is not, and 2 of the source's 3 rows are missing from the files: the run did not finish, or somebody deleted what is missing",
            ],
            hints: &[AFRESH],
        },
        Case {
            name: "a killed run whose first file was not finished",
            objects: &[("x/a-1.jsonl", ONE_ROW), ("x/a-2.jsonl", ONE_ROW)],
            always_has_manifest: false,
            faults: &[
                "x/a-1.jsonl is there, but x/a-0.jsonl is not: the run did not finish, or somebody deleted what is missing",
            ],
            hints: &[AFRESH],
        },
        Case {
            name: "another compression, with a manifest",
            objects: &[(MANIFEST, OTHERS), ("x/a-0.jsonl.gz", "x"), ("x/a-1.jsonl.gz", "x")],
            always_has_manifest: false,
            faults: &[
                "the manifest x/a_manifest.json lists x/a-0.jsonl.gz, so the interval was exported with another format, compression or splitting than the configuration has now",
            ],
            hints: &[RESTORE],
        },
        Case {
            name: "another compression, without a manifest",
            objects: &[("x/a-0.jsonl.gz", "x")],
            always_has_manifest: true,
            faults: &[
                "x/a-0.jsonl is not there, but of the same run x/a-0.jsonl.gz: it was exported with another format, compression, splitting or manifest than the configuration has now",
            ],
            hints: &[RESTORE],
        },
    ];
    for case in cases {
        let store = store().await;
        for (key, text) in case.objects {
            put(&store, key, text, Some("r")).await;
        }
        let (_folder, rows) = rows_of(SOURCE);
        let mut reading = reading(&store.endpoint(), Some(rows));
        reading.always_has_manifest = case.always_has_manifest;
        reading.other_keys = reading.layout.other_keys(Some(MANIFEST));
        // The hidden manifest is not among the keys that this test's policy allows.
        reading.other_keys.retain(|key| key.starts_with("x/a"));
        reading.read().await.expect("the store can be read");
        assert_faults(&faults(&reading.report), case.faults, case.name);
        assert_eq!(reading.report.hints(), case.hints, "{}", case.name);
    }
}

/// Without the source, only the mark tells this run's files from somebody else's.
#[tokio::test]
async fn files_without_the_runs_mark_are_noted_where_their_rows_are_not_compared() {
    const TWO: &str = r#"{"files":["x/a-0.jsonl","x/a-1.jsonl"]}"#;
    let note = |files: &str| {
        format!(
            "without this run's mark: {files}; somebody else may have written this, which only a comparison with the \
             source can tell"
        )
    };
    for (marks, list, compared, expect) in [
        ([Some("r"), Some("r")], TWO, false, None),
        ([Some("r"), Some("another")], TWO, false, Some(note("x/a-1.jsonl"))),
        ([None, None], TWO, false, Some(note("x/a-0.jsonl and 1 more"))),
        ([None, Some("r")], FILES, true, None),
    ] {
        let store = store().await;
        put(&store, MANIFEST, list, Some("r")).await;
        put(&store, "x/a-0.jsonl", WRITTEN, marks[0]).await;
        if list == TWO {
            put(&store, "x/a-1.jsonl", WRITTEN, marks[1]).await;
        }
        let (_folder, rows) = rows_of(SOURCE);
        let mut reading = reading(&store.endpoint(), compared.then_some(rows));
        reading.read().await.expect("the store can be read");
        assert_faults(&faults(&reading.report), &[], &format!("{marks:?}"));
        assert_eq!(reading.report.notes, Vec::from_iter(expect), "{marks:?}");
    }
}
