//! Both manifests to the byte. Writes nothing.

use arrow::datatypes::{DataType, Field, TimeUnit};

use super::*;
use crate::s3::checksum::Checksum;
use crate::settings::{ChecksumAlgorithm, Interval};

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// The seed's form to the byte: a space after the colon and after each comma.
#[test]
fn simple_is_exactly_the_files() {
    let cases: [(&[&str], &str); 3] = [
        (&["a/b.jsonl"], r#"{"files": ["a/b.jsonl"]}"#),
        (
            &["x-0.parquet", "x-1.parquet"],
            r#"{"files": ["x-0.parquet", "x-1.parquet"]}"#,
        ),
        (&["a \"q\" \\ é🦔/x"], r#"{"files": ["a \"q\" \\ é🦔/x"]}"#),
    ];
    for (keys, expected) in cases {
        let manifest = text(simple(keys.iter().copied()));
        assert_eq!(manifest, expected);
        let read: Value = serde_json::from_str(&manifest).unwrap();
        assert_eq!(read["files"], Value::from(keys.to_vec()));
    }
}

#[test]
fn detailed_tells_everything() {
    let run = Run {
        id: "run-1".to_owned(),
        attempt: "attempt-7".to_owned(),
        model: "events".to_owned(),
        interval: Interval {
            start_micros: None,
            end_micros: 3_600_000_000,
        },
        plugin_digest: "0123abcd".to_owned(),
        time_limit_seconds: None,
    };
    let schema = Schema::new(vec![
        Field::new("uuid", DataType::Utf8, false),
        Field::new(
            "timestamp",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            true,
        ),
    ]);
    let files = [
        ManifestFile {
            key: "a-0.jsonl".to_owned(),
            rows: 2,
            bytes: 100,
            etag: "\"e\"".to_owned(),
            checksum: Some(ObjectChecksum::of_body(&Checksum::of(
                ChecksumAlgorithm::Crc64Nvme,
                b"123456789",
            ))),
            times_micros: Some((-1, i128::from(i64::MAX))),
        },
        ManifestFile {
            key: "a-1.jsonl".to_owned(),
            rows: 1,
            bytes: 50,
            etag: "\"f\"".to_owned(),
            checksum: None,
            times_micros: None,
        },
    ];
    let expected = format!(
        r#"{{
  "files": [
    "a-0.jsonl",
    "a-1.jsonl"
  ],
  "version": 1,
  "model": "events",
  "interval": {{
    "start": null,
    "end": "1970-01-01T01:00:00+00:00"
  }},
  "run_id": "run-1",
  "plugin": {{
    "name": "s3",
    "version": "{}",
    "sha256": "0123abcd"
  }},
  "schema": [
    {{
      "name": "uuid",
      "type": "Utf8",
      "nullable": false
    }},
    {{
      "name": "timestamp",
      "type": "Timestamp(µs, \"UTC\")",
      "nullable": true
    }}
  ],
  "file_details": [
    {{
      "key": "a-0.jsonl",
      "rows": 2,
      "bytes": 100,
      "etag": "\"e\"",
      "checksum": {{
        "algorithm": "CRC64NVME",
        "value": "rosUhgp5mIg="
      }},
      "min_timestamp": "1969-12-31T23:59:59.999999+00:00",
      "max_timestamp": "9223372036854775807 µs since 1970-01-01T00:00:00+00:00"
    }},
    {{
      "key": "a-1.jsonl",
      "rows": 1,
      "bytes": 50,
      "etag": "\"f\"",
      "checksum": null,
      "min_timestamp": null,
      "max_timestamp": null
    }}
  ]
}}"#,
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(text(detailed(&run, &schema, &files).unwrap()), expected);
}
