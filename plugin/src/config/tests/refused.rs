//! Configurations that are refused: every message, with what it allows. Loosens no rule to make one pass.

use serde_json::{Value, json};

use super::super::*;
use super::{document, problems};

/// Every message of a single field, with what it allows.
#[test]
fn refused_values() {
    const BUCKET: &str = "3 to 63 characters from `a-z`, `0-9`, `.` and `-`, beginning and ending with a letter or \
                          digit, without `..`, and not an IP address";
    const REGION: &str = "a region such as `eu-central-1`, or with an `endpoint_url` the store's own name for it \
                          (`auto` for Cloudflare R2)";
    const FORMATS: &str = "`JSONLines`, `Parquet`";
    const SIZE: &str = "a whole number from 0 to 319488";
    const KEYS: &str = "a value such as `1234abcd-12ab-34cd-56ef-1234567890ab`, `alias/exports` or `arn:aws:kms:…`";
    const CLASS: &str = "capital letters, digits and `_`, such as `STANDARD_IA`";
    const HEADER: &str = "printable ASCII without leading, trailing or repeated spaces";
    let long = "x".repeat(100);
    let cases: Vec<(&str, Value, String, &str)> = vec![
        ("bucket_name", json!("a"), "`a` has 1 byte".into(), BUCKET),
        (
            "bucket_name",
            json!("x".repeat(64)),
            format!("`{}` has 64 bytes", "x".repeat(64)),
            BUCKET,
        ),
        (
            "bucket_name",
            json!("My-exports"),
            "`My-exports` has a `M`".into(),
            BUCKET,
        ),
        (
            "bucket_name",
            json!("my_exports"),
            "`my_exports` has a `_`".into(),
            BUCKET,
        ),
        ("bucket_name", json!("a/\nb"), "`a/\\nb` has a `/`".into(), BUCKET),
        (
            "bucket_name",
            json!("-abc"),
            "`-abc` does not begin and end with a letter or digit".into(),
            BUCKET,
        ),
        (
            "bucket_name",
            json!("abc."),
            "`abc.` does not begin and end with a letter or digit".into(),
            BUCKET,
        ),
        ("bucket_name", json!("a..b"), "`a..b` has `..`".into(), BUCKET),
        (
            "bucket_name",
            json!("192.168.5.4"),
            "`192.168.5.4` is an IP address".into(),
            BUCKET,
        ),
        (
            "bucket_name",
            json!("fast--euc1-az1--x-s3"),
            "`fast--euc1-az1--x-s3` is a directory bucket (S3 Express One Zone), which needs session-based signing \
             that this destination does not support"
                .into(),
            "a general purpose bucket",
        ),
        ("bucket_name", json!(7), "`7` is a number, not text".into(), "text"),
        ("region", json!(""), "`` is not a region".into(), REGION),
        ("region", json!("EU"), "`EU` is not a region".into(), REGION),
        ("region", json!("a/b"), "`a/b` is not a region".into(), REGION),
        ("region", json!(["x"]), "`[\"x\"]` is a list, not text".into(), "text"),
        (
            "region",
            json!("auto"),
            "`auto` is not an AWS region".into(),
            "the bucket's region, such as `eu-central-1`",
        ),
        (
            "file_format",
            json!("parquet"),
            "`parquet` is not a valid value".into(),
            FORMATS,
        ),
        (
            "file_format",
            json!("CSV"),
            "`CSV` is not a valid value".into(),
            FORMATS,
        ),
        (
            "file_format",
            json!(long),
            format!("`{}…` is not a valid value", "x".repeat(80)),
            FORMATS,
        ),
        ("file_format", json!({}), "`{}` is an object, not text".into(), FORMATS),
        ("max_file_size_mb", json!(-1), "`-1` is out of range".into(), SIZE),
        (
            "max_file_size_mb",
            json!(319_489),
            "`319489` is out of range".into(),
            SIZE,
        ),
        (
            "max_file_size_mb",
            json!(1.5),
            "`1.5` is not a whole number".into(),
            SIZE,
        ),
        (
            "max_file_size_mb",
            json!(u64::MAX),
            "`18446744073709551615` is not a whole number".into(),
            SIZE,
        ),
        (
            "max_file_size_mb",
            json!("100"),
            "`\"100\"` is text, not a whole number".into(),
            SIZE,
        ),
        (
            "max_row_mb",
            json!(0),
            "`0` is out of range".into(),
            "a whole number from 1 to 64",
        ),
        (
            "compression_level",
            json!(23),
            "`23` is out of range".into(),
            "a whole number from 0 to 22",
        ),
        (
            "use_fips",
            json!("yes"),
            "`\"yes\"` is text, not true or false".into(),
            "true or false",
        ),
        (
            "if_none_match",
            json!(1),
            "`1` is a number, not true or false".into(),
            "true or false",
        ),
        (
            "include_events",
            json!("a"),
            "`\"a\"` is text, not a list of strings".into(),
            "a list of strings",
        ),
        (
            "exclude_events",
            json!(["a", true]),
            "entry 2: `true` is true or false, not text".into(),
            "a list of strings",
        ),
        (
            "tags",
            json!(["a"]),
            "`[\"a\"]` is a list, not an object whose values are strings".into(),
            "an object whose values are strings",
        ),
        (
            "tags",
            json!({"a": null}),
            "entry `a`: `null` is nothing, not text".into(),
            "an object whose values are strings",
        ),
        (
            "tags",
            json!({"": "x"}),
            "key `` has 0 characters".into(),
            "keys of 1 to 128 characters",
        ),
        (
            "tags",
            json!({"k": "é".repeat(257)}),
            "the value of `k` has 257 characters".into(),
            "values of up to 256 characters",
        ),
        (
            "tags",
            json!({"k": "a&b"}),
            "`k` = `a&b` contains a character that is not allowed in tags".into(),
            "letters, digits, spaces and `+ - = . _ : / @`",
        ),
        (
            "tags",
            json!({"aws:k": ""}),
            "key `aws:k` begins with `aws:`, which is reserved for AWS".into(),
            "another key",
        ),
        (
            "metadata",
            json!({"A": "x"}),
            "`A` is not a valid header name".into(),
            "names of `a-z`, `0-9`, `-`, `_` and `.`",
        ),
        (
            "metadata",
            json!({"a": "x\r\ny: z"}),
            "`a` = `x\\r\\ny: z` is not a valid header value".into(),
            HEADER,
        ),
        (
            "metadata",
            json!({"a": "é"}),
            "`a` = `é` is not a valid header value".into(),
            HEADER,
        ),
        (
            "metadata",
            json!({"a": " x"}),
            "`a` = ` x` is not a valid header value".into(),
            HEADER,
        ),
        (
            "metadata",
            json!({"a": "x  y"}),
            "`a` = `x  y` is not a valid header value".into(),
            HEADER,
        ),
        (
            "metadata",
            json!({"batch-export-run": "x"}),
            "`batch-export-run` begins with `batch-export-`, which is reserved for this destination".into(),
            "another name",
        ),
        (
            "metadata",
            json!({"a": "x".repeat(2048)}),
            "has 2049 bytes in names and values".into(),
            "at most 2048 bytes in total",
        ),
        (
            "storage_class",
            json!("standard"),
            "`standard` is not a storage class".into(),
            CLASS,
        ),
        ("storage_class", json!(""), "`` is not a storage class".into(), CLASS),
        (
            "expected_bucket_owner",
            json!("123"),
            "`123` is not an AWS account id".into(),
            "12 digits, written as text",
        ),
        (
            "endpoint_url",
            json!(false),
            "`false` is true or false, not text".into(),
            "text",
        ),
        (
            "prefix",
            json!("{x}"),
            "contains the unknown variable `{x}`".into(),
            "`{year}`, `{month}`, `{day}`, `{hour}`, `{minute}`, `{second}`, `{start_year}`, `{start_month}`, \
             `{start_day}`, `{start_hour}`, `{start_minute}`, `{start_second}`, `{table}`, `{data_interval_start}`, \
             `{data_interval_end}`; `{{` and `}}` for literal braces",
        ),
        (
            "kms_key_id",
            json!("a b"),
            "`a b` is neither the id nor the ARN of a KMS key".into(),
            KEYS,
        ),
    ];
    for (field, value, message, allowed) in cases {
        let mut more = json!({ field: value });
        match field {
            "kms_key_id" => more["encryption"] = json!("aws:kms"),
            "compression_level" => more["compression"] = json!("zstd"),
            _ => {}
        }
        assert_eq!(
            problems(parse(&document(more))),
            [(field.to_owned(), message, allowed.to_owned())],
            "{field} {value}"
        );
    }
    let tags: serde_json::Map<String, Value> = (0..11).map(|n| (n.to_string(), json!(""))).collect();
    assert_eq!(
        problems(parse(&document(json!({ "tags": tags })))),
        [("tags".into(), "has 11 entries".into(), "at most 10 entries".into())]
    );
}

/// Every message about fields that do not go together.
#[test]
fn refused_combinations() {
    const PAIR: &str =
        "both `aws_access_key_id` and `aws_secret_access_key`, or neither to use the host's credential chain";
    const LEVELS: &str = "remove the level, or use the compression zstd, gzip or brotli";
    let cases = [
        (
            json!({"compression": "lz4"}),
            "compression",
            "`lz4` cannot be used with JSONLines",
            "`none`, `gzip`, `brotli` or `zstd`; or `file_format` `Parquet`",
        ),
        (
            json!({"compression": "snappy"}),
            "compression",
            "`snappy` cannot be used with JSONLines",
            "`none`, `gzip`, `brotli` or `zstd`; or `file_format` `Parquet`",
        ),
        (
            json!({"compression_level": 1}),
            "compression_level",
            "compression `none` has no levels",
            LEVELS,
        ),
        (
            json!({"file_format": "Parquet", "compression": "lz4", "compression_level": 1}),
            "compression_level",
            "compression `lz4` has no levels",
            LEVELS,
        ),
        (
            json!({"compression": "zstd", "compression_level": 0}),
            "compression_level",
            "zstd has no level `0`",
            "1 to 22 for zstd",
        ),
        (
            json!({"file_format": "Parquet", "compression": "zstd", "compression_level": 20}),
            "compression_level",
            "zstd in Parquet has no level `20`",
            "1 to 19 for zstd in Parquet",
        ),
        (
            json!({"compression": "gzip", "compression_level": 10}),
            "compression_level",
            "gzip has no level `10`",
            "0 to 9 for gzip",
        ),
        (
            json!({"compression": "brotli", "compression_level": 12}),
            "compression_level",
            "brotli has no level `12`",
            "0 to 11 for brotli",
        ),
        (
            json!({"encryption": "aws:kms"}),
            "kms_key_id",
            "is required with encryption `aws:kms`",
            "the id or ARN of a KMS key",
        ),
        (
            json!({"kms_key_id": "k"}),
            "kms_key_id",
            "is set, but encryption is `none`",
            "encryption `aws:kms`, or no `kms_key_id`",
        ),
        (
            json!({"encryption": "AES256", "kms_key_id": "k"}),
            "kms_key_id",
            "is set, but encryption is `AES256`",
            "encryption `aws:kms`, or no `kms_key_id`",
        ),
        (
            json!({"aws_access_key_id": "CANARY"}),
            "aws_secret_access_key",
            "missing, although `aws_access_key_id` is set",
            PAIR,
        ),
        (
            json!({"aws_secret_access_key": "CANARY"}),
            "aws_access_key_id",
            "missing, although `aws_secret_access_key` is set",
            PAIR,
        ),
        (
            json!({"aws_session_token": "CANARY"}),
            "aws_session_token",
            "is set without the access key that it belongs to",
            PAIR,
        ),
    ];
    for (more, field, message, allowed) in cases {
        assert_eq!(
            problems(parse(&document(more.clone()))),
            [(field.to_owned(), message.to_owned(), allowed.to_owned())],
            "{more}"
        );
    }
}

#[test]
fn event_lists_are_for_events() {
    let both = document(json!({"include_events": ["a"], "exclude_events": ["b"]}));
    assert!(parse(&both).is_ok());
    assert!(parse_for_model(&both, "events").is_ok());
    let message = "selects events, but the model is `persons`".to_owned();
    let allowed = "use an empty list, or the model `events`".to_owned();
    assert_eq!(
        problems(parse_for_model(&both, "persons")),
        [
            ("include_events".to_owned(), message.clone(), allowed.clone()),
            ("exclude_events".to_owned(), message, allowed),
        ]
    );
    let empty = document(json!({"include_events": [], "exclude_events": []}));
    assert!(parse_for_model(&empty, "persons").is_ok());
}

/// One of every kind of mistake: all are reported, in the order of the table, unknown fields first.
#[test]
fn all_problems_at_once() {
    let document = json!({
        "buckt_name": "x", "something_else": {"aws_secret_access_key": "CANARY"},
        "bucket_name": "A", "prefix": "{yaer}", "file_format": "JSONLines", "compression": "snappy",
        "compression_level": 3, "max_file_size_mb": "big", "encryption": "aws:kms",
        "aws_secret_access_key": "CANARY", "endpoint_url": "https://u:CANARY@h", "use_fips": true, "use_dual_stack": 3,
        "include_events": ["x"], "metadata": {"A": "b"}, "tags": {"aws:x": "y"},
    });
    let found = problems(parse_for_model(&document.to_string(), "sessions"));
    let fields: Vec<&str> = found.iter().map(|(field, ..)| field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "buckt_name",
            "something_else",
            "bucket_name",
            "region",
            "aws_access_key_id",
            "endpoint_url",
            "use_dual_stack",
            "use_fips",
            "prefix",
            "max_file_size_mb",
            "tags",
            "metadata",
            "compression",
            "compression_level",
            "kms_key_id",
            "include_events",
        ]
    );
    assert_eq!(found[0].1, "`buckt_name` is not a field of this destination");
    assert_eq!(found[0].2, "`bucket_name`");
    assert_eq!(found[1].1, "`something_else` is not a field of this destination");
    assert!(found[1].2.starts_with("bucket_name, region, aws_access_key_id, "));
    assert_eq!(found[3].1, "missing");
    let bare = found.iter().filter(|(_, _, allowed)| allowed.is_empty());
    assert_eq!(bare.map(|(field, ..)| field.as_str()).collect::<Vec<_>>(), ["region"]);
    assert!(!format!("{found:?}").contains("CANARY"));
}

#[test]
fn names_are_repeated_without_control_characters() {
    let found = problems(parse(&document(json!({"pre\u{1b}[2Jfix": 1}))));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "pre\\u{1b}[2Jfix");
    assert_eq!(found[0].1, "`pre\\u{1b}[2Jfix` is not a field of this destination");
}

#[test]
fn documents_that_are_no_configuration() {
    const ALLOWED: &str = "a single JSON object with the destination's fields";
    let cases = [
        (
            "",
            "the configuration is not valid JSON: EOF while parsing a value at line 1 column 0",
        ),
        (
            "{\"a\":",
            "the configuration is not valid JSON: EOF while parsing a value at line 1 column 5",
        ),
        (
            "{'CANARY'}",
            "the configuration is not valid JSON: key must be a string at line 1 column 2",
        ),
        ("\"CANARY\"", "the configuration is not a JSON object"),
        ("[\"CANARY\"]", "the configuration is not a JSON object"),
        ("null", "the configuration is not a JSON object"),
    ];
    for (text, message) in cases {
        assert_eq!(
            problems(parse(text)),
            [(String::new(), message.to_owned(), ALLOWED.to_owned())],
            "{text}"
        );
    }
    let long = format!("{{\"prefix\": \"{}\"}}", "x".repeat(1024 * 1024));
    assert_eq!(
        problems(parse(&long))[0].1,
        "the configuration is 1048590 bytes long, more than the limit of 1048576"
    );
    let twice = r#"{"bucket_name":"abc","region":"x","prefix":"","prefix":"a"}"#;
    assert_eq!(
        problems(parse(twice)),
        [("prefix".into(), "is set more than once".into(), "one value".into())]
    );
}
