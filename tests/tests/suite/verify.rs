//! Reading back: `verify` calls a good run good and names every kind of damage; `demo` proves itself.

use batch_export_tests::program::{Printed, Program};
use batch_export_tests::scene::{ACCESS_KEY, BUCKET, SECRET_KEY, Scene};
use serde_json::Value;

/// Further lines of a destination, and what its files end in.
const FORMATS: [(&str, &str); 7] = [
    ("file_format = \"JSONLines\"", ".jsonl"),
    ("compression = \"gzip\"", ".jsonl.gz"),
    ("compression = \"zstd\"\nmanifest = \"detailed\"", ".jsonl.zst"),
    ("compression = \"brotli\"", ".jsonl.br"),
    ("file_format = \"Parquet\"", ".parquet"),
    (
        "file_format = \"Parquet\"\ncompression = \"zstd\"\nchecksum = \"sha256\"",
        ".parquet.zst",
    ),
    (
        "compression = \"gzip\"\nchecksum = \"crc64nvme\"\nexclude_events = [\"$pageview\"]",
        ".jsonl.gz",
    ),
];
/// Split into several files.
const SPLIT: &str = "max_file_size_mb = 1\nmanifest = \"detailed\"";

fn configuration(scene: &Scene, prefix: &str, rows: u64, further: &str) -> String {
    format!(
        r#"[destinations.archive]
model = "events"
bucket_name = "{BUCKET}"
region = "us-east-1"
prefix = "{prefix}"
{further}
endpoint_url = "{}"
aws_access_key_id = "{ACCESS_KEY}"
aws_secret_access_key = "{SECRET_KEY}"
[destinations.archive.source]
type = "sample"
rows_per_hour = {rows}
[destinations.archive.egress]
allow_private = ["{}"]
"#,
        scene.store.endpoint(),
        scene.store.address()
    )
}

fn verify(program: &Program, further: &[&str]) -> Printed {
    let mut arguments = vec!["verify", "--config", "exports.toml", "--json"];
    let component = batch_export_tests::components::destination();
    let component = component.to_str().expect("UTF-8");
    arguments.extend(["--component", component]);
    arguments.extend(["--start", "2023-07-28T00:00:00Z"]);
    arguments.extend(["--end", "2023-07-28T01:00:00Z"]);
    arguments.extend(further);
    program.run(&arguments)
}

/// The findings, and all faults in one text.
#[track_caller]
fn findings(printed: &Printed) -> (Value, String) {
    let report: Value = serde_json::from_str(&printed.stdout).unwrap_or_else(|error| panic!("{error}: {printed:?}"));
    let files = report["files"].as_array().expect("files").clone();
    let faults = files
        .iter()
        .chain([&report])
        .flat_map(|part| part["faults"].as_array().expect("faults").clone())
        .map(|fault| fault.as_str().expect("text").to_owned())
        .collect::<Vec<_>>();
    (report, faults.join("\n"))
}

/// A store, and a folder in which the component is compiled once for all cases of a test.
async fn scene() -> (Scene, Program) {
    (Scene::new().await, Program::new(""))
}

/// Exports one hour under a prefix of its own; answers the keys of its data files.
fn export(scene: &Scene, program: &Program, prefix: &str, rows: u64, further: &str) -> Vec<String> {
    let text = configuration(scene, prefix, rows, further);
    std::fs::write(program.folder.path().join("exports.toml"), text).expect("written");
    let printed = program.export(&[]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let mut keys = scene.store.keys(BUCKET);
    keys.retain(|key| key.starts_with(prefix) && !key.ends_with("_manifest.json"));
    keys
}

async fn put(scene: &Scene, key: &str, bytes: Vec<u8>) {
    scene.store.put_object(BUCKET, key, bytes, &[]).await.expect("seeded");
}

fn object(scene: &Scene, key: &str) -> Vec<u8> {
    scene.store.object(BUCKET, key).expect("an object").bytes.to_vec()
}

/// A hidden manifest after every run: found by `verify`, with rows and without, and missed where nothing was run.
#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_without_rows_tells_no_rows_from_not_run() {
    const ALWAYS: &str = "manifest_when = \"always\"\nmanifest_name = \"hidden\"";
    const NO_ROWS: &str = "include_events = [\"no event has this name\"]";
    let (scene, program) = scene().await;
    for (prefix, further, files) in [("some/", "", 1), ("none/", NO_ROWS, 0)] {
        let text = configuration(&scene, prefix, 300, &format!("{ALWAYS}\n{further}"));
        std::fs::write(program.folder.path().join("exports.toml"), text).expect("written");
        let (report, faults) = findings(&verify(&program, &[]));
        assert_eq!(report["passed"], false, "{prefix}: {faults}");
        assert!(
            faults.contains("no file of this run is in the bucket"),
            "{prefix}: {faults}"
        );
        let printed = program.export(&[]);
        assert_eq!(printed.code, Some(0), "{printed:?}");
        let mut keys = scene.store.keys(BUCKET);
        keys.retain(|key| key.starts_with(prefix));
        let manifest = format!("{prefix}_2023-07-28T00:00:00+00:00-2023-07-28T01:00:00+00:00_manifest.json");
        assert!(keys.contains(&manifest), "{keys:?}");
        assert_eq!(keys.len(), files + 1, "{keys:?}");
        let printed = verify(&program, &[]);
        let (report, faults) = findings(&printed);
        assert_eq!((printed.code, faults.as_str()), (Some(0), ""), "{prefix}: {printed:?}");
        assert_eq!(report["manifest_key"], manifest.as_str());
        assert_eq!(verify(&program, &["--no-source"]).code, Some(0), "{prefix}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_run_is_good_in_every_format() {
    let (scene, program) = scene().await;
    for (case, (further, ending)) in FORMATS.into_iter().enumerate() {
        let keys = export(&scene, &program, &format!("{case}/"), 1_500, further);
        assert!(keys[0].ends_with(ending), "{further}");
        let printed = verify(&program, &[]);
        let (report, faults) = findings(&printed);
        assert_eq!((printed.code, faults.as_str()), (Some(0), ""), "{further}: {printed:?}");
        assert_eq!(report["rows"], report["source_rows"], "{further}");
        assert_eq!(report["files"][0]["rows_compared"], report["rows"], "{further}");
        let all = !further.contains("exclude");
        assert_eq!(report["rows"] == 1_500, all, "{further}");
        let checked = !report["files"][0]["checksum"].is_null();
        assert_eq!(checked, further.contains("checksum"), "{further}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interval_without_rows_is_good_without_files() {
    let (scene, program) = scene().await;
    let further = "exclude_events = [\"$pageview\", \"$autocapture\", \"$pageleave\", \"$identify\", \"$feature_flag_called\", \"product viewed\", \"product added\", \"order completed\", \"$exception\"]";
    assert_eq!(export(&scene, &program, "none/", 1, further), Vec::<String>::new());
    let printed = verify(&program, &[]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let printed = verify(&program, &["--no-source"]);
    assert_eq!(printed.code, Some(1), "{printed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_damage_is_named() {
    type Damage = fn(&str, Vec<u8>) -> Vec<u8>;
    let cases: [(&str, &str, Damage, &str); 7] = [
        (
            "a byte of gzip changed",
            "compression = \"gzip\"",
            |_, mut bytes| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x10;
                bytes
            },
            "gzip",
        ),
        (
            "a gzip file cut short",
            "compression = \"gzip\"",
            |_, mut bytes| {
                bytes.truncate(bytes.len() - 9);
                bytes
            },
            "",
        ),
        (
            "a byte of Parquet changed",
            "file_format = \"Parquet\"",
            |_, mut bytes| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x01;
                bytes
            },
            "",
        ),
        (
            "the end of Parquet missing",
            "file_format = \"Parquet\"",
            |_, mut bytes| {
                bytes.truncate(bytes.len() - 4);
                bytes
            },
            "footer",
        ),
        (
            "rows missing",
            "file_format = \"JSONLines\"",
            |_, bytes| {
                let text = String::from_utf8(bytes).expect("UTF-8");
                text.lines()
                    .take(900)
                    .map(|line| format!("{line}\n"))
                    .collect::<String>()
                    .into_bytes()
            },
            "100 of the source's 1,000 rows are missing from the files",
        ),
        (
            "a value changed",
            "file_format = \"JSONLines\"",
            |_, bytes| {
                let text = String::from_utf8(bytes).expect("UTF-8");
                text.replacen("\"$pageview\"", "\"$pageviev\"", 1).into_bytes()
            },
            "`event`: the file has \"$pageviev\", but the source has \"$pageview\"",
        ),
        (
            "a key changed",
            "file_format = \"JSONLines\"",
            |_, bytes| {
                let text = String::from_utf8(bytes).expect("UTF-8");
                text.replacen("\"event\":", "\"evemt\":", 2).into_bytes()
            },
            "`evemt` where the source has the column `event`",
        ),
    ];
    let (scene, program) = scene().await;
    for (case, (name, further, damage, expect)) in cases.into_iter().enumerate() {
        let key = export(&scene, &program, &format!("{case}/"), 1_000, further).remove(0);
        let bytes = object(&scene, &key);
        let damaged = damage(&key, bytes.clone());
        assert_ne!(damaged, bytes, "{name}: the case damages nothing");
        put(&scene, &key, damaged).await;
        let printed = verify(&program, &[]);
        let (_, faults) = findings(&printed);
        assert_eq!(printed.code, Some(1), "{name}: {printed:?}");
        assert!(!faults.is_empty() && faults.contains(expect), "{name}: {faults}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_further_and_wrongly_listed_files_are_named() {
    let (scene, program) = scene().await;
    let keys = export(&scene, &program, "split/", 6_000, SPLIT);
    assert!(keys.len() > 2, "{keys:?}");
    assert_eq!(verify(&program, &[]).code, Some(0));

    let further = keys[0].replace("-0.jsonl", &format!("-{}.jsonl", keys.len() + 1));
    put(&scene, &further, b"{}\n".to_vec()).await;
    let printed = verify(&program, &["--no-source"]);
    let (report, faults) = findings(&printed);
    assert_eq!((printed.code, faults.as_str()), (Some(0), ""), "{printed:?}");
    let note = report["notes"][0].as_str().expect("a note");
    assert!(
        note.starts_with(&format!("{further} is somebody else's object")),
        "{note}"
    );
    let run_id = report["run_id"].as_str().expect("an id");
    let mark = ("x-amz-meta-batch-export-run", run_id);
    scene
        .store
        .put_object(BUCKET, &further, b"{}\n".to_vec(), &[mark])
        .await
        .expect("seeded");
    let printed = verify(&program, &["--no-source"]);
    let (_, faults) = findings(&printed);
    assert_eq!(printed.code, Some(1), "{printed:?}");
    assert!(faults.contains("left over") && faults.contains(&further), "{faults}");

    let manifest = scene
        .store
        .keys(BUCKET)
        .into_iter()
        .find(|key| key.ends_with("_manifest.json"))
        .expect("a manifest");
    let text = String::from_utf8(object(&scene, &manifest)).expect("UTF-8");
    put(&scene, &manifest, text.replace("-1.jsonl", "-9.jsonl").into_bytes()).await;
    let (_, faults) = findings(&verify(&program, &[]));
    assert!(
        faults.contains("the manifest lists") && faults.contains("-9.jsonl"),
        "{faults}"
    );

    let run_id = "\"run_id\": \"";
    put(
        &scene,
        &manifest,
        text.replacen(run_id, &format!("{run_id}x"), 1)
            .replacen("\"type\": \"Utf8\"", "\"type\": \"Int8\"", 1)
            .into_bytes(),
    )
    .await;
    let (_, faults) = findings(&verify(&program, &[]));
    for expect in ["the manifest says run_id x", "the manifest's schema says "] {
        assert!(faults.contains(expect), "{expect}: {faults}");
    }

    let one_more = format!("-{}.jsonl", keys.len());
    let listed = text.replacen(
        "\"files\": [",
        &format!("\"files\": [\"{}\",", keys[0].replace("-0.jsonl", &one_more)),
        1,
    );
    put(&scene, &manifest, listed.into_bytes()).await;
    let (_, faults) = findings(&verify(&program, &[]));
    assert!(faults.contains("is missing"), "{faults}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_proves_itself_and_leaves_only_its_configuration() {
    let program = Program::new("");
    let component = batch_export_tests::components::destination();
    let component = component.to_str().expect("UTF-8");
    let arguments = [
        "demo",
        "--folder",
        "demo",
        "--rows",
        "600",
        "--hours",
        "2",
        "--component",
        component,
    ];
    let printed = program.run(&[&arguments[..], &["--json"]].concat());
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let report: Value = serde_json::from_str(&printed.stdout).expect("JSON");
    assert_eq!(report["passed"], true);
    assert_eq!(report["verified"].as_array().expect("runs").len(), 4);
    for run in report["verified"].as_array().expect("runs") {
        assert_eq!((&run["rows"], &run["source_rows"]), (&600.into(), &600.into()));
    }
    let folder = program.folder.path().join("demo");
    let left: Vec<_> = std::fs::read_dir(&folder).expect("the folder").collect();
    assert_eq!(left.len(), 1, "{left:?}");

    let printed = program.run(&arguments);
    assert_eq!(printed.code, Some(2), "a folder in use: {printed:?}");
    std::fs::remove_dir_all(&folder).expect("removed");
    let printed = program.run(&[&arguments[..], &["--keep"]].concat());
    assert_eq!(printed.code, Some(0), "{printed:?}");
    for words in [
        "in the bucket",
        "every row and value matches",
        "endpoint_url",
        "--config",
    ] {
        assert!(printed.stdout.contains(words), "{words}: {printed:?}");
    }
    assert!(folder.join("store").is_dir());
}
