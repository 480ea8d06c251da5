//! What a configuration decides, and that table, schema and parser agree. Reads no file.

mod hints;
mod refused;

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use serde_json::{Value, json};

use super::fields::{FIELDS, FieldKind, Literal};
use super::*;
use crate::failure::Problem;
use crate::settings::{
    ChecksumAlgorithm, Encryption, Format, JsonLinesCodec, KeyStyle, MIB, ManifestStyle, ParquetCodec,
    ParquetExtension, PayloadSigning,
};

/// Returns the required fields and these.
fn document(more: Value) -> String {
    let mut document = json!({"bucket_name": "my-exports", "region": "eu-central-1", "prefix": ""});
    for (name, value) in more.as_object().unwrap() {
        document[name] = value.clone();
    }
    document.to_string()
}

fn parsed(more: Value) -> Settings {
    parse(&document(more)).unwrap()
}

fn problems(result: Result<Settings, Failure>) -> Vec<(String, String, String)> {
    match result {
        Err(Failure::Config(problems)) => problems
            .into_iter()
            .map(|problem| (problem.field, problem.message, problem.allowed.unwrap_or_default()))
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn defaults() {
    let settings = parsed(json!({}));
    assert_eq!(settings.bucket, "my-exports");
    assert_eq!(settings.region, "eu-central-1");
    assert_eq!(settings.format, Format::JsonLines(JsonLinesCodec::None));
    assert_eq!(settings.max_file_size_bytes, None);
    assert_eq!(settings.part_size_bytes, 8 * MIB);
    assert_eq!(settings.key_style, KeyStyle::Iso);
    assert_eq!(settings.parquet_extension, ParquetExtension::WithCodec);
    assert_eq!(settings.manifest, ManifestStyle::Simple);
    assert_eq!(settings.payload_signing, PayloadSigning::Unsigned);
    assert_eq!(settings.object.checksum, Some(ChecksumAlgorithm::Crc64Nvme));
    assert_eq!(settings.object.encryption, Encryption::BucketDefault);
    assert_eq!(settings.include_events, None);
    assert!(settings.exclude_events.is_empty());
    assert_eq!(settings.max_row_bytes, 32 * MIB);
    // Every optional field may be `null`.
    let nulls: serde_json::Map<String, Value> = FIELDS
        .iter()
        .filter(|field| !field.required)
        .map(|field| (field.name.to_owned(), Value::Null))
        .collect();
    let same = parsed(Value::Object(nulls));
    assert_eq!(format!("{same:?}"), format!("{settings:?}"));
}

#[test]
fn codecs_and_levels() {
    use JsonLinesCodec as J;
    use ParquetCodec as P;
    let cases = [
        ("JSONLines", "none", None, Format::JsonLines(J::None)),
        ("JSONLines", "gzip", None, Format::JsonLines(J::Gzip(6))),
        ("JSONLines", "gzip", Some(0), Format::JsonLines(J::Gzip(0))),
        ("JSONLines", "brotli", None, Format::JsonLines(J::Brotli(5))),
        ("JSONLines", "brotli", Some(11), Format::JsonLines(J::Brotli(11))),
        ("JSONLines", "zstd", None, Format::JsonLines(J::Zstd(1))),
        ("JSONLines", "zstd", Some(22), Format::JsonLines(J::Zstd(22))),
        ("Parquet", "none", None, Format::Parquet(P::None)),
        ("Parquet", "gzip", Some(9), Format::Parquet(P::Gzip(9))),
        ("Parquet", "brotli", Some(0), Format::Parquet(P::Brotli(0))),
        ("Parquet", "zstd", None, Format::Parquet(P::Zstd(1))),
        ("Parquet", "lz4", None, Format::Parquet(P::Lz4)),
        ("Parquet", "snappy", None, Format::Parquet(P::Snappy)),
    ];
    for (format, compression, level, expected) in cases {
        let settings = parsed(json!({"file_format": format, "compression": compression, "compression_level": level}));
        assert_eq!(settings.format, expected);
        assert_eq!(settings.format.name(), format);
        assert_eq!(settings.format.compression(), compression);
    }
}

#[test]
fn part_sizes() {
    let cases = [
        (json!(null), None, 8),
        (json!(0), None, 8),
        (json!(1), Some(1), 8),
        (json!(100.0), Some(100), 8),
        (json!(79_488), Some(79_488), 8),
        (json!(79_489), Some(79_489), 9),
        (json!(200_000), Some(200_000), 21),
        (json!(312 * 1024), Some(312 * 1024), 32),
    ];
    for (size, limit_mb, part_mb) in cases {
        let settings = parsed(json!({"max_file_size_mb": size}));
        let limit = limit_mb.and_then(|mb: u64| NonZeroU64::new(mb * MIB as u64));
        assert_eq!(settings.max_file_size_bytes, limit, "{size}");
        assert_eq!(settings.part_size_bytes, part_mb * MIB, "{size}");
        let room = (settings.part_size_bytes as u64) * limits::MAX_PARTS;
        assert!(room >= limit_mb.unwrap_or(0) * MIB as u64 + 512 * MIB as u64);
    }
    assert_eq!(limits::MAX_FILE_SIZE_MB, 312 * 1024);
    const { assert!(limits::USUAL_PART_SIZE_BYTES >= limits::MIN_PART_SIZE_BYTES) };
}

#[test]
fn checksum_and_payload_signing_follow_the_endpoint() {
    use ChecksumAlgorithm as C;
    use PayloadSigning::{Signed, Unsigned};
    let cases = [
        (json!({}), Some(C::Crc64Nvme), Unsigned),
        (json!({"checksum": "none"}), None, Signed),
        (json!({"payload_signing": "signed"}), Some(C::Crc64Nvme), Signed),
        (json!({"endpoint_url": "https://h"}), None, Signed),
        (
            json!({"endpoint_url": "https://h", "checksum": "crc32c"}),
            Some(C::Crc32c),
            Unsigned,
        ),
        (
            json!({"endpoint_url": "http://h", "checksum": "crc32"}),
            Some(C::Crc32),
            Signed,
        ),
        (
            json!({"endpoint_url": "http://h", "payload_signing": "unsigned"}),
            None,
            Unsigned,
        ),
        (
            json!({"endpoint_url": "http://h", "checksum": "crc64nvme"}),
            Some(C::Crc64Nvme),
            Signed,
        ),
        (json!({"checksum": "sha256"}), Some(C::Sha256), Unsigned),
    ];
    for (more, checksum, signing) in cases {
        let settings = parsed(more.clone());
        assert_eq!(settings.object.checksum, checksum, "{more}");
        assert_eq!(settings.payload_signing, signing, "{more}");
    }
}

#[test]
fn everything_else_that_can_be_set() {
    let settings = parsed(json!({
        "encryption": "aws:kms", "kms_key_id": "arn:aws:kms:eu-central-1:111122223333:key/mrk-1",
        "key_style": "compact", "manifest": "detailed", "parquet_extension": "plain",
        "include_events": ["b", "a", ""], "exclude_events": ["c"], "max_row_mb": 1,
        "storage_class": "STANDARD_IA", "acl": "bucket-owner-full-control",
        "tags": {"b": "2 + 2 = é", "a": ""}, "metadata": {"z": "", "a": "x y"},
        "expected_bucket_owner": "111122223333", "if_none_match": true,
        "aws_access_key_id": "CANARY", "aws_secret_access_key": "CANARY", "aws_session_token": "CANARY",
    }));
    let object = &settings.object;
    assert_eq!(
        object.encryption,
        Encryption::Kms {
            key_id: "arn:aws:kms:eu-central-1:111122223333:key/mrk-1".to_owned()
        }
    );
    assert_eq!(settings.key_style, KeyStyle::Compact);
    assert_eq!(settings.manifest, ManifestStyle::Detailed);
    assert_eq!(settings.parquet_extension, ParquetExtension::Plain);
    assert_eq!(
        settings.include_events,
        Some(vec!["b".to_owned(), "a".to_owned(), String::new()])
    );
    assert_eq!(settings.exclude_events, ["c"]);
    assert_eq!(settings.max_row_bytes, MIB);
    assert_eq!(object.storage_class.as_deref(), Some("STANDARD_IA"));
    assert_eq!(object.acl.as_deref(), Some("bucket-owner-full-control"));
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(object.tags, [pair("a", ""), pair("b", "2 + 2 = é")]);
    assert_eq!(object.metadata, [pair("a", "x y"), pair("z", "")]);
    assert_eq!(object.expected_bucket_owner.as_deref(), Some("111122223333"));
    assert!(object.if_none_match);
    assert!(!format!("{settings:?}").contains("CANARY"));
    assert_eq!(
        parsed(json!({"encryption": "AES256"})).object.encryption,
        Encryption::Aes256
    );
}

/// The schema has each field of the table, with its default and examples, and the parser takes all of those.
/// Forms are made from it: every field has a group and a position, and those of a group are next to each other.
#[test]
fn every_field_has_its_place_in_a_form() {
    let schema = json_schema();
    let properties = schema["properties"].as_object().unwrap();
    let mut places: Vec<(u64, &str)> = properties
        .iter()
        .map(|(name, property)| {
            let order = property["x-order"].as_u64().unwrap_or_else(|| panic!("{name}"));
            (order, property["x-group"].as_str().unwrap_or_else(|| panic!("{name}")))
        })
        .collect();
    places.sort_unstable();
    let orders: Vec<u64> = places.iter().map(|(order, _)| *order).collect();
    assert_eq!(orders, (1..=FIELDS.len() as u64).collect::<Vec<_>>());
    let mut groups: Vec<&str> = places.into_iter().map(|(_, group)| group).collect();
    groups.dedup();
    assert_eq!(groups, ["connection", "files", "format", "integrity", "behaviour"]);
}

#[test]
fn schema_and_parser_agree() {
    let schema = json_schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], json!(["bucket_name", "region", "prefix"]));
    let properties = schema["properties"].as_object().unwrap();
    let names: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
    assert_eq!(names, FIELDS.iter().map(|field| field.name).collect());
    for field in FIELDS {
        let property = &properties[field.name];
        for text in ["title", "description"] {
            assert!(
                property[text].as_str().is_some_and(|text| !text.is_empty()),
                "{}",
                field.name
            );
        }
        assert_eq!(property["writeOnly"] == true, matches!(field.kind, FieldKind::Secret));
        let mut values: Vec<Value> = property["examples"].as_array().cloned().unwrap_or_default();
        values.extend(property.get("default").cloned());
        values.extend(property["enum"].as_array().cloned().unwrap_or_default());
        for value in values {
            let mut more = json!({ field.name: value });
            match (field.name, value.as_str()) {
                ("compression", _) => more["file_format"] = json!("Parquet"),
                ("compression_level", _) => more["compression"] = json!("zstd"),
                ("encryption", Some("aws:kms")) => more["kms_key_id"] = json!("k"),
                ("kms_key_id", _) => more["encryption"] = json!("aws:kms"),
                ("region", Some("auto")) => more["endpoint_url"] = json!("https://h"),
                _ => {}
            }
            assert!(parse(&document(more)).is_ok(), "{} {value}", field.name);
        }
        // A default is what leaving the field out means.
        if let Some(default) = property.get("default") {
            let set = parsed(json!({ field.name: default }));
            assert_eq!(format!("{set:?}"), format!("{:?}", parsed(json!({}))), "{}", field.name);
        }
    }
    assert_eq!(
        properties["max_file_size_mb"],
        json!({
            "title": "Maximum file size (MiB)", "x-group": "files", "x-order": 13,
            "description": "Start a new file once the current one reaches this many MiB after compression. 0 writes a \
             single file. At most 3,840 for Parquet.",
            "type": ["integer", "null"], "minimum": 0, "maximum": 319_488, "default": 0, "examples": [256],
        })
    );
    assert_eq!(
        properties["aws_secret_access_key"],
        json!({
            "title": "Secret access key",
            "description": "Secret access key for the access key id. The host keeps it.",
            "x-group": "connection", "x-order": 4, "type": ["string", "null"], "writeOnly": true,
        })
    );
}

/// What Parquet cannot do is refused, by the parser and by the schema.
#[test]
fn parquet_files_end_before_4_gib() {
    for (format, mb, taken) in [
        ("Parquet", 3_840, true),
        ("Parquet", 3_841, false),
        ("JSONLines", 3_841, true),
        ("JSONLines", 319_488, true),
    ] {
        let more = json!({"file_format": format, "max_file_size_mb": mb});
        assert_eq!(parse(&document(more)).is_ok(), taken, "{format} {mb}");
    }
    let error = parse(&document(json!({"file_format": "Parquet", "max_file_size_mb": 4_000})));
    assert_eq!(
        error.unwrap_err(),
        Problem::new("max_file_size_mb", "`4000` is more than a Parquet file can hold")
            .allowing("0 to 3840 for Parquet (0 writes files of the largest possible size)")
            .into()
    );
    assert_eq!(
        json_schema()["allOf"][1]["then"]["properties"]["max_file_size_mb"]["maximum"],
        3_840
    );
}

/// Every choice of the table decides something of its own, the automatic ones aside.
#[test]
fn no_choice_is_forgotten() {
    for field in FIELDS {
        let FieldKind::Choice(choices) = field.kind else {
            continue;
        };
        let decided: BTreeSet<String> = choices
            .iter()
            .filter(|choice| choice.value != "auto")
            .map(|choice| {
                let mut more = json!({ field.name: choice.value });
                match (field.name, choice.value) {
                    ("compression", _) => more["file_format"] = json!("Parquet"),
                    (_, "aws:kms") => more["kms_key_id"] = json!("k"),
                    _ => {}
                }
                format!("{:?}", parsed(more))
            })
            .collect();
        let automatic = choices.iter().any(|choice| choice.value == "auto");
        assert_eq!(decided.len(), choices.len() - usize::from(automatic), "{}", field.name);
        if let Some(Literal::Text(default)) = field.default {
            assert!(choices.iter().any(|choice| choice.value == default));
        }
    }
}

proptest::proptest! {
    /// Whatever the document, an answer comes, and no value of a secret in it.
    #[test]
    fn any_document_is_answered(
        fields in proptest::collection::vec((proptest::sample::select(FIELDS), 0..9_usize), 0..12),
        junk in ".{0,20}",
    ) {
        let mut document = serde_json::Map::new();
        for (field, kind) in fields {
            let secret = matches!(field.kind, FieldKind::Secret);
            let value = match kind {
                _ if secret => json!("CANARY"),
                0 => json!(junk),
                1 => json!(-5),
                2 => json!(2.5),
                3 => json!([junk, 1]),
                4 => json!({ &junk: junk }),
                5 => json!(true),
                6 => json!(null),
                7 => json!("none"),
                _ => json!({ &junk: [null] }),
            };
            document.insert(field.name.to_owned(), value);
        }
        let answer = format!("{:?}", parse_for_model(&Value::Object(document).to_string(), "persons"));
        proptest::prop_assert!(!answer.contains("CANARY"));
        proptest::prop_assert!(parse(&junk).is_err());
    }
}
