//! Manifests that are wrong in one place each, and the sentence for it.

use arrow::datatypes::{DataType, Field};
use serde_json::{Value, json};

use super::*;

/// The SHA-256 of one PUT is that of its bytes: what is made of parts, and what cannot be compared, is a fault.
#[test]
fn a_manifest_with_another_checksum_is_a_fault() {
    let mut running = crate::verify::checksum::Running::new("sha256", 9).expect("known");
    running.update(b"123456789");
    let mut file = FileOutcome {
        computed: Some(running.finish()),
        ..FileOutcome::new("a.jsonl")
    };
    let right = "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=";
    let says = |algorithm: &str, value: &str| -> Manifest {
        let text = format!(
            r#"{{"files": ["a.jsonl"], "file_details": [{{"key": "a.jsonl", "rows": 0, "bytes": 0, "etag": "",
               "checksum": {{"algorithm": "{algorithm}", "value": "{value}"}}}}]}}"#
        );
        serde_json::from_str(&text).expect("a manifest")
    };
    assert_eq!(says("SHA256", right).differences(0, &file, None), Vec::<String>::new());
    let composite = "wLVe5LKs7xQXfGhz3Fz5PZLmVdQ=-1";
    assert_eq!(
        says("SHA256", composite).differences(0, &file, None),
        [format!("the manifest says checksum {composite}, but it has {right}")]
    );
    let unknown = ["the manifest's checksum of kind CRC32 cannot be compared"];
    assert_eq!(says("CRC32", "AAAAAA==").differences(0, &file, None), unknown);
    file.computed = None;
    let unknown = ["the manifest's checksum of kind SHA256 cannot be compared"];
    assert_eq!(says("SHA256", right).differences(0, &file, None), unknown);
}

#[test]
fn a_manifest_lists_a_bounded_number_of_files() {
    let listing = |files: usize| format!("{{\"files\":[{}]}}", vec!["\"\""; files].join(","));
    let parsed = |files| serde_json::from_str::<Manifest>(&listing(files));
    assert!(parsed(MANIFEST_FILES_LIMIT).is_ok());
    let error = parsed(MANIFEST_FILES_LIMIT + 1).expect_err("too many");
    assert!(error.to_string().contains("at most 100000 files"), "{error}");
}

/// The manifest of a run of two files with `manifest = "detailed"` and a checksum.
fn good() -> Value {
    let details = |key: &str| json!({"key": key, "rows": 0, "bytes": 0, "etag": "", "checksum": null});
    json!({
        "files": ["a-0.jsonl", "a-1.jsonl"],
        "version": 1,
        "model": "events",
        "interval": {"start": "2024-03-01T05:00:00+00:00", "end": "2024-03-01T06:00:00Z"},
        "run_id": "r",
        "plugin": {"name": "s3", "version": "0", "sha256": "0"},
        "schema": [
            {"name": "uuid", "type": "Utf8", "nullable": false},
            {"name": "n", "type": "Int64", "nullable": true},
        ],
        "file_details": [details("a-0.jsonl"), details("a-1.jsonl")],
    })
}

fn plugin() -> Plugin {
    Plugin {
        name: "s3".to_owned(),
        version: "0".to_owned(),
        sha256: "0".to_owned(),
    }
}

fn misstatements(manifest: &Value, detailed: bool, with_source: bool) -> Vec<String> {
    let schema = Schema::new(vec![
        Field::new("uuid", DataType::Utf8, false),
        Field::new("n", DataType::Int64, true),
    ]);
    let manifest: Manifest = serde_json::from_value(manifest.clone()).expect("a manifest");
    manifest.misstatements(&Expected {
        detailed,
        model: "events",
        run_id: "r",
        interval: Interval::parse("2024-03-01T05:00Z", "2024-03-01T06:00Z").expect("an interval"),
        plugin: &plugin(),
        schema: with_source.then_some(&schema),
    })
}

#[test]
fn each_wrong_field_of_a_detailed_manifest_is_a_fault_by_name() {
    assert_eq!(misstatements(&good(), true, true), Vec::<String>::new());
    let cases = [
        ("/version", json!(2), "the manifest says version 2, expected 1"),
        (
            "/model",
            json!("persons"),
            "the manifest says model persons, expected events",
        ),
        ("/run_id", json!("q"), "the manifest says run_id q, expected r"),
        (
            "/plugin/name",
            json!("other"),
            "the manifest says plugin other, expected s3",
        ),
        ("/interval/start", Value::Null, "the manifest says interval "),
        (
            "/interval/end",
            json!("2024-03-01T07:00:00+00:00"),
            "the manifest says interval 2024-03-01T05:00:00+00:00 to 2024-03-01T07:00:00+00:00, expected 2024-03-01T05:00:00+00:00 to 2024-03-01T06:00:00+00:00",
        ),
        (
            "/schema/0/name",
            json!("id"),
            "the manifest's schema says `id` (Utf8, without nulls), but the source has `uuid` (Utf8, without nulls)",
        ),
        (
            "/schema/1/type",
            json!("Int32"),
            "the manifest's schema says `n` (Int32), but the source has `n` (Int64)",
        ),
        (
            "/schema",
            json!([]),
            "the manifest's schema has 0 columns, but the source has 2",
        ),
        (
            "/file_details/1/key",
            json!("b"),
            "the manifest has file_details of b, which is not one of its files",
        ),
        (
            "/file_details/1/key",
            json!("a-0.jsonl"),
            "the manifest has 2 entries of a-0.jsonl in file_details",
        ),
        (
            "/file_details",
            json!([]),
            "the manifest has 0 entries in file_details, but lists 2 files",
        ),
    ];
    for (at, value, expect) in cases {
        let mut manifest = good();
        *manifest.pointer_mut(at).expect(at) = value;
        for detailed in [true, false] {
            let faults = misstatements(&manifest, detailed, true);
            assert_eq!(faults.len(), 1, "{at}: {faults:?}");
            assert!(faults[0].starts_with(expect), "{at}: {faults:?}");
        }
    }
    let mut more = good();
    let entries = more["file_details"].as_array_mut().expect("a list");
    entries.push(entries[0].clone());
    assert_eq!(
        misstatements(&more, true, true),
        [
            "the manifest has 3 entries in file_details, but lists 2 files",
            "the manifest has 2 entries of a-0.jsonl in file_details",
        ]
    );
}

#[test]
fn a_field_that_is_missing_is_a_fault_where_the_detailed_form_is_asked_for() {
    for name in [
        "version",
        "model",
        "interval",
        "run_id",
        "plugin",
        "schema",
        "file_details",
    ] {
        let mut manifest = good();
        manifest.as_object_mut().expect("an object").remove(name);
        let expect = [format!(
            "the manifest has no {name}, which manifest = \"detailed\" writes"
        )];
        assert_eq!(misstatements(&manifest, true, false), expect);
        assert_eq!(misstatements(&manifest, false, true), Vec::<String>::new());
    }
    for name in ["schema", "file_details"] {
        let mut manifest = good();
        manifest[name] = Value::Null;
        let error = serde_json::from_value::<Manifest>(manifest).expect_err("null is not a list");
        assert!(error.to_string().contains("null"), "{error}");
    }
}

#[test]
fn a_checksum_that_is_missing_is_a_fault_where_one_is_asked_for() {
    let manifest: Manifest = serde_json::from_value(good()).expect("a manifest");
    let file = FileOutcome::new("a-1.jsonl");
    assert_eq!(manifest.differences(1, &file, None), Vec::<String>::new());
    assert_eq!(
        manifest.differences(1, &file, Some("crc32")),
        ["the manifest has no checksum of it, but the destination asks for crc32"]
    );
}

/// A run that another version of the plugin wrote is as good as before.
#[test]
fn another_version_of_the_plugin_is_a_note_and_no_fault() {
    let mut manifest = good();
    manifest["plugin"] = json!({"name": "s3", "version": "9", "sha256": "0123456789abcdef"});
    assert_eq!(misstatements(&manifest, true, true), Vec::<String>::new());
    let manifest: Manifest = serde_json::from_value(manifest).expect("a manifest");
    assert_eq!(
        manifest.other_plugin(&plugin()).as_deref(),
        Some(
            "the manifest says that the run was written by version 9 (SHA-256 0123456789ab…) of the plugin, and the one at hand is 0 (SHA-256 0…)"
        )
    );
    let manifest: Manifest = serde_json::from_value(good()).expect("a manifest");
    assert_eq!(manifest.other_plugin(&plugin()), None);
}

#[test]
fn times_are_compared_where_every_row_was() {
    let mut manifest = good();
    let first = "2024-03-01T05:00:00+00:00";
    manifest["file_details"][0]["min_timestamp"] = json!(first);
    let manifest: Manifest = serde_json::from_value(manifest).expect("a manifest");
    let mut file = FileOutcome::new("a-0.jsonl");
    assert_eq!(manifest.differences(0, &file, None), Vec::<String>::new());
    file.times = Some(Default::default());
    assert_eq!(
        manifest.differences(0, &file, None),
        [format!(
            "the manifest says min_timestamp {first}, but the source has null"
        )]
    );
    file.rows_compared = 1;
    assert_eq!(manifest.differences(0, &file, None), Vec::<String>::new());
}
