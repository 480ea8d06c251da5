//! What a plan says and grants. Sends nothing.

use serde_json::{Value, json};

use super::*;
use crate::settings::Interval;

fn run() -> Run {
    Run {
        id: "run-1".to_owned(),
        attempt: "1".to_owned(),
        model: "events".to_owned(),
        interval: Interval {
            start_micros: Some(0),
            end_micros: 3_600_000_000,
        },
        plugin_digest: String::new(),
        time_limit_seconds: None,
    }
}

fn planned(more: Value) -> Plan {
    let mut document = json!({"bucket_name": "my-exports", "region": "eu-central-1", "prefix": "a b/{table}"});
    for (name, value) in more.as_object().unwrap() {
        document[name] = value.clone();
    }
    plan_from_json(&document.to_string(), &run()).unwrap()
}

const STEM: &str = "1970-01-01T00:00:00+00:00-1970-01-01T01:00:00+00:00";
const STEM_PATH: &str = "/a%20b/events/1970-01-01T00%3A00%3A00%2B00%3A00-1970-01-01T01%3A00%3A00%2B00%3A00";

/// Operation, method, query keys, headers besides those of signing.
type GrantRow<'a> = (&'a str, &'a str, Vec<&'a str>, Vec<&'a str>);

fn rows(plan: &Plan) -> Vec<GrantRow<'_>> {
    plan.grants
        .iter()
        .map(|grant| {
            let headers: Vec<&str> = grant.headers.iter().map(String::as_str).collect();
            assert!(SIGNING_HEADERS.iter().all(|name| headers.contains(name)));
            let own = headers
                .into_iter()
                .filter(|name| !SIGNING_HEADERS.contains(name))
                .collect();
            let query = grant.query.iter().map(String::as_str).collect();
            (grant.operation.as_str(), grant.method.as_str(), query, own)
        })
        .collect()
}

#[test]
fn a_plan_without_options() {
    let plan = planned(json!({"checksum": "none"}));
    assert_eq!(plan.keys, [format!("a b/events/{STEM}.jsonl")]);
    assert_eq!(plan.manifest_key, None);
    assert_eq!(plan.part_size_bytes, 8 * 1024 * 1024);
    assert_eq!(
        plan.signing,
        [SigningScope {
            service: "s3".to_owned(),
            region: "eu-central-1".to_owned(),
        }]
    );
    let token = ["x-amz-meta-batch-export-attempt", "x-amz-meta-batch-export-run"];
    let described: Vec<&str> = ["content-type"].into_iter().chain(token).collect();
    assert_eq!(
        rows(&plan),
        [
            ("PutObject", "PUT", vec![], described.clone()),
            ("CreateMultipartUpload", "POST", vec!["uploads"], described),
            ("UploadPart", "PUT", vec!["partNumber", "uploadId"], vec![]),
            (
                "CompleteMultipartUpload",
                "POST",
                vec!["uploadId"],
                vec!["content-type"]
            ),
            ("AbortMultipartUpload", "DELETE", vec!["uploadId"], vec![]),
            ("ListMultipartUploads", "GET", vec!["prefix", "uploads"], vec![]),
            ("HeadObject", "HEAD", vec![], vec![]),
            ("DeleteObject", "DELETE", vec![], vec![]),
            ("GetObject", "GET", vec![], vec![]),
        ]
    );
    for grant in &plan.grants {
        assert_eq!(grant.origin, "https://my-exports.s3.eu-central-1.amazonaws.com");
        let path = match grant.operation.as_str() {
            "ListMultipartUploads" => "/".to_owned(),
            "GetObject" => format!("{STEM_PATH}_check"),
            _ => STEM_PATH.to_owned(),
        };
        assert_eq!(grant.path_prefix, path, "{}", grant.operation);
    }
    assert_eq!(plan.required_columns.len(), 10);
    assert_eq!(
        plan.required_columns[4],
        ("properties".to_owned(), "JSON as string (Utf8)".to_owned())
    );
}

/// Headers are granted exactly where the settings put them.
#[test]
fn a_plan_with_every_option() {
    let plan = planned(json!({
        "endpoint_url": "http://127.0.0.1:9000", "file_format": "Parquet", "compression": "zstd",
        "max_file_size_mb": 100, "encryption": "aws:kms", "kms_key_id": "k", "checksum": "crc32c",
        "storage_class": "STANDARD_IA", "acl": "private", "tags": {"a": "b"}, "metadata": {"c": "d"},
        "expected_bucket_owner": "111122223333", "if_none_match": true,
        "include_events": ["x"], "exclude_events": ["y"],
    }));
    let stem = format!("a b/events/{STEM}");
    assert_eq!(
        plan.keys,
        [format!("{stem}-0.parquet.zst"), format!("{stem}-{{n}}.parquet.zst")]
    );
    assert_eq!(plan.manifest_key, Some(format!("{stem}_manifest.json")));
    let described = [
        "x-amz-acl",
        "x-amz-expected-bucket-owner",
        "x-amz-meta-batch-export-attempt",
        "x-amz-meta-batch-export-run",
        "x-amz-meta-c",
        "x-amz-server-side-encryption",
        "x-amz-server-side-encryption-aws-kms-key-id",
        "x-amz-storage-class",
        "x-amz-tagging",
    ];
    for (operation, _, _, headers) in rows(&plan) {
        let has = |name: &str| headers.contains(&name);
        assert!(has("x-amz-expected-bucket-owner"), "{operation}");
        let writes = matches!(operation, "PutObject" | "CreateMultipartUpload");
        assert_eq!(described.iter().all(|name| has(name)), writes, "{operation}");
        let lands = matches!(operation, "PutObject" | "CompleteMultipartUpload");
        assert_eq!(has("if-none-match"), lands, "{operation}");
        let data = matches!(operation, "PutObject" | "UploadPart" | "CompleteMultipartUpload");
        assert_eq!(has("x-amz-checksum-crc32c"), data, "{operation}");
        assert!(!has("x-amz-copy-source"), "{operation}");
    }
    for grant in &plan.grants {
        assert_eq!(grant.origin, "http://127.0.0.1:9000");
        assert!(grant.path_prefix.starts_with("/my-exports"));
    }
}

/// A hidden manifest is asked for by its own key, as its name does not begin as the files' do.
#[test]
fn a_hidden_manifest_has_grants_of_its_own() {
    let plan = planned(json!({"manifest_when": "always", "manifest_name": "hidden"}));
    let key = format!("a b/events/_{STEM}_manifest.json");
    assert_eq!(plan.manifest_key, Some(key));
    let path = STEM_PATH.replace("/events/", "/events/_") + "_manifest.json";
    let own: Vec<&str> = plan
        .grants
        .iter()
        .filter(|grant| grant.path_prefix == path)
        .map(|grant| grant.operation.as_str())
        .collect();
    assert_eq!(own, ["PutObject", "HeadObject", "DeleteObject"]);
    let visible = planned(json!({"manifest_when": "always"}));
    assert_eq!(visible.grants.len() + own.len(), plan.grants.len());
}

#[test]
fn decided_settings_for_a_person() {
    let text = |plan: &Plan| -> Vec<String> {
        plan.settings
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    };
    assert_eq!(
        text(&planned(json!({}))),
        [
            "bucket=my-exports",
            "region=eu-central-1",
            "origin=https://my-exports.s3.eu-central-1.amazonaws.com",
            "addressing=virtual-hosted",
            "file_format=JSONLines",
            "compression=none",
            "manifest=none (one file)",
            "key_style=iso",
            "encryption=the bucket's default",
            "checksum=CRC64NVME",
            "payload_signing=unsigned",
            "max_row_mb=32",
        ]
    );
    let all = text(&planned(json!({
        "compression": "zstd", "max_file_size_mb": 1, "manifest": "detailed", "key_style": "compact",
        "encryption": "aws:kms", "kms_key_id": "k", "checksum": "none", "tags": {"a": "b", "c": "d"},
        "if_none_match": true,
    })));
    for (more, expected) in [
        (json!({"manifest_when": "rows"}), "manifest=simple"),
        (json!({"manifest_when": "always"}), "manifest=simple"),
        (json!({"manifest_when": "always"}), "manifest_when=always"),
    ] {
        let lines = text(&planned(more));
        assert!(lines.iter().any(|line| line == expected), "{lines:?}");
    }
    for line in [
        "compression_level=1",
        "max_file_size_bytes=1048576",
        "manifest=detailed",
        "key_style=compact",
        "encryption=aws:kms with k",
        "checksum=none",
        "payload_signing=signed",
        "tags=a, c",
        "if_none_match=never overwrite",
    ] {
        assert!(all.iter().any(|found| found == line), "{line} in {all:?}");
    }
}

#[test]
fn what_cannot_be_planned() {
    let wrong = plan_from_json("{}", &run());
    assert!(matches!(wrong, Err(Failure::Config(problems)) if problems.len() == 3));
    let persons = Run {
        model: "persons".to_owned(),
        ..run()
    };
    let document = r#"{"bucket_name":"abc","region":"r","prefix":"","include_events":["x"]}"#;
    assert!(matches!(plan_from_json(document, &persons), Err(Failure::Config(_))));
}

#[test]
fn description() {
    let description = describe();
    assert_eq!(description.name, "s3");
    assert_eq!(description.version, env!("CARGO_PKG_VERSION"));
    let schema: Value = serde_json::from_str(&description.configuration_schema).unwrap();
    assert_eq!(schema, config::json_schema());
    let formats: Vec<(&str, String)> = description
        .formats
        .iter()
        .map(|format| (format.name.as_str(), format.compressions.join(" ")))
        .collect();
    assert_eq!(
        formats,
        [
            ("JSONLines", "none gzip brotli zstd".to_owned()),
            ("Parquet", "none gzip brotli zstd lz4 snappy".to_owned()),
        ]
    );
    // The largest parts in flight fit.
    let parts = crate::upload::PARTS_IN_FLIGHT as u64 * crate::config::limits::MAX_PART_SIZE_BYTES as u64;
    assert!(description.payload_limit_bytes > parts);
}

/// What a plan says is never more than what the description says of all plans, and what any limit adds is in it.
#[test]
fn a_plan_needs_at_most_what_the_description_says() {
    let all = describe();
    let mib = |plan: &Plan| (plan.memory_bytes >> 20, plan.payload_bytes >> 20);
    for (more, memory_mb, payload_mb) in [
        (json!({}), 344, 44),
        (json!({"max_row_mb": 1}), 69, 44),
        (
            json!({"max_row_mb": 64, "max_file_size_mb": 319_488, "compression": "brotli"}),
            464,
            164,
        ),
        (json!({"file_format": "Parquet"}), 292, 44),
        (json!({"file_format": "Parquet", "compression": "zstd"}), 324, 44),
        (
            json!({"file_format": "Parquet", "compression": "zstd", "compression_level": 19, "max_row_mb": 64}),
            512,
            44,
        ),
    ] {
        let plan = planned(more.clone());
        assert_eq!(mib(&plan), (memory_mb, payload_mb), "{more}");
        assert!(plan.memory_bytes <= all.memory_limit_bytes, "{more}");
        assert!(plan.payload_bytes <= all.payload_limit_bytes, "{more}");
        assert!(plan.requests_in_flight <= all.requests_in_flight, "{more}");
    }
}
