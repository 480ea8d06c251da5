//! The single table of configuration fields, which both the parser and the JSON Schema are made from. Decides nothing.

pub use super::field::{Choice, Field, FieldGroup, FieldKind, Literal};
use super::field::{choice, optional};
use super::limits;
use super::regions::USUAL_REGIONS;

const CONNECTION: Field = optional(FieldGroup::Connection);
const FILES: Field = optional(FieldGroup::Files);
const FORMAT: Field = optional(FieldGroup::Format);
const INTEGRITY: Field = optional(FieldGroup::Integrity);
const BEHAVIOUR: Field = optional(FieldGroup::Behaviour);

pub const BUCKET_NAME: Field = Field {
    name: "bucket_name",
    required: true,
    title: "Bucket",
    description: "The bucket to write to: 3 to 63 characters from `a-z`, `0-9`, `.` and `-`; also `_` with an \
                  `endpoint_url`.",
    examples: &[Literal::Text("my-exports")],
    ..CONNECTION
};
pub const REGION: Field = Field {
    name: "region",
    required: true,
    title: "Region",
    description: "The bucket's region, which requests are signed for. Use `auto` with an `endpoint_url` for \
                  Cloudflare R2.",
    examples: USUAL_REGIONS,
    ..CONNECTION
};
pub const AWS_ACCESS_KEY_ID: Field = Field {
    name: "aws_access_key_id",
    kind: FieldKind::Secret,
    title: "Access key id",
    description: "Access key id. The host keeps it and the secret access key; the plugin only gets keys scoped to one \
                  day and region. Omit both to sign with the host's own credentials.",
    ..CONNECTION
};
pub const AWS_SECRET_ACCESS_KEY: Field = Field {
    name: "aws_secret_access_key",
    kind: FieldKind::Secret,
    title: "Secret access key",
    description: "Secret access key for the access key id. The host keeps it.",
    ..CONNECTION
};
pub const AWS_SESSION_TOKEN: Field = Field {
    name: "aws_session_token",
    kind: FieldKind::Secret,
    title: "Session token",
    description: "Session token of temporary credentials. The host keeps it.",
    ..CONNECTION
};
pub const ENDPOINT_URL: Field = Field {
    name: "endpoint_url",
    title: "Endpoint",
    description: "Scheme, host and port of an S3-compatible store. Omit it for AWS.",
    examples: &[
        Literal::Text("https://minio.internal:9000"),
        Literal::Text("https://storage.googleapis.com"),
    ],
    ..CONNECTION
};
pub const USE_VIRTUAL_STYLE_ADDRESSING: Field = Field {
    name: "use_virtual_style_addressing",
    kind: FieldKind::Flag,
    default: Some(Literal::Flag(false)),
    title: "Virtual-hosted addressing",
    description: "Put the bucket in front of the host of `endpoint_url` instead of in the path. \
                  AWS itself is addressed this way by default.",
    ..CONNECTION
};
pub const USE_DUAL_STACK: Field = Field {
    name: "use_dual_stack",
    kind: FieldKind::Flag,
    default: Some(Literal::Flag(false)),
    title: "Dual-stack endpoint",
    description: "Use AWS's endpoint that can be reached over both IPv6 and IPv4.",
    ..CONNECTION
};
pub const USE_FIPS: Field = Field {
    name: "use_fips",
    kind: FieldKind::Flag,
    default: Some(Literal::Flag(false)),
    title: "FIPS endpoint",
    description: "Use AWS's endpoint with FIPS 140 validated cryptography (available in the USA and Canada).",
    ..CONNECTION
};
pub const EXPECTED_BUCKET_OWNER: Field = Field {
    name: "expected_bucket_owner",
    title: "Expected bucket owner",
    description: "AWS account id, 12 digits: S3 refuses requests when the bucket belongs to another account.",
    examples: &[Literal::Text("111122223333")],
    ..CONNECTION
};
pub const PREFIX: Field = Field {
    name: "prefix",
    required: true,
    title: "Prefix",
    description: "The folder of the files, empty or `/` for the bucket's root. Variables: `{year}` `{month}` `{day}` \
                  `{hour}` `{minute}` `{second}` (UTC, of the interval's **end**: the last hour of a day has the next \
                  day's date), `{start_year}` to `{start_second}` (the same of its start), `{table}` (the model), \
                  `{data_interval_start}`, `{data_interval_end}`. `{{` and `}}` are literal braces.",
    examples: &[
        Literal::Text("{year}-{month}-{day}_{table}/"),
        Literal::Text("{table}/{start_year}-{start_month}-{start_day}/"),
        Literal::Text(""),
    ],
    ..FILES
};
pub const KEY_STYLE: Field = Field {
    name: "key_style",
    kind: FieldKind::Choice(&[
        choice("iso", "`2023-07-28T00:00:00+00:00-2023-07-28T01:00:00+00:00`"),
        choice(
            "compact",
            "`20230728T000000Z-20230728T010000Z`: no colons or `+`, as Hadoop and some stores require.",
        ),
    ]),
    default: Some(Literal::Text("iso")),
    title: "Key style",
    description: "How times are written in keys: in the file name, and for `{data_interval_start}` and \
                  `{data_interval_end}` in the prefix.",
    ..FILES
};
pub const MAX_FILE_SIZE_MB: Field = Field {
    name: "max_file_size_mb",
    kind: FieldKind::Whole {
        min: 0,
        max: limits::MAX_FILE_SIZE_MB,
    },
    default: Some(Literal::Whole(0)),
    title: "Maximum file size (MiB)",
    description: "Start a new file once the current one reaches this many MiB after compression. 0 writes a single \
                  file. At most 3,840 for Parquet.",
    examples: &[Literal::Whole(256)],
    ..FILES
};
pub const MANIFEST: Field = Field {
    name: "manifest",
    kind: FieldKind::Choice(&[
        choice("simple", "`{\"files\": […]}`"),
        choice("detailed", "Also rows, sizes, checksums, times and schema."),
    ]),
    default: Some(Literal::Text("simple")),
    title: "Manifest",
    description: "Contents of the manifest, which is written last. `manifest_when` decides whether there is one.",
    ..FILES
};
pub const MANIFEST_WHEN: Field = Field {
    name: "manifest_when",
    kind: FieldKind::Choice(&[
        choice(
            "auto",
            "A `simple` one when `max_file_size_mb` is set and there are rows, a `detailed` one when there are rows.",
        ),
        choice("rows", "Whenever there are rows."),
        choice(
            "always",
            "After every successful run; it lists no files if there were no rows.",
        ),
    ]),
    default: Some(Literal::Text("auto")),
    title: "When to write a manifest",
    description: "Which runs write a manifest. With `always`, a missing manifest means that the interval was not \
                  exported.",
    ..FILES
};
pub const MANIFEST_NAME: Field = Field {
    name: "manifest_name",
    kind: FieldKind::Choice(&[
        choice("visible", "`<start>-<end>_manifest.json`"),
        choice(
            "hidden",
            "`_<start>-<end>_manifest.json`, which Spark, pyarrow and others skip when they read the folder.",
        ),
    ]),
    default: Some(Literal::Text("visible")),
    title: "Manifest name",
    description: "How the manifest's name begins. Either way it is next to the data files.",
    ..FILES
};
pub const STORAGE_CLASS: Field = Field {
    name: "storage_class",
    title: "Storage class",
    description: "Storage class of the objects. Omit it for the bucket's default.",
    examples: &[
        Literal::Text("STANDARD_IA"),
        Literal::Text("INTELLIGENT_TIERING"),
        Literal::Text("ONEZONE_IA"),
        Literal::Text("GLACIER_IR"),
        Literal::Text("GLACIER"),
        Literal::Text("DEEP_ARCHIVE"),
    ],
    ..FILES
};
pub const ACL: Field = Field {
    name: "acl",
    kind: FieldKind::Choice(&[
        choice("private", "The bucket's owner only."),
        choice("public-read", "Everyone may read."),
        choice("public-read-write", "Everyone may read and write."),
        choice("aws-exec-read", "The owner, and EC2 to read AMI bundles."),
        choice("authenticated-read", "Every AWS account may read."),
        choice("bucket-owner-read", "The bucket's owner may read."),
        choice("bucket-owner-full-control", "The bucket's owner may do everything."),
    ]),
    title: "Canned ACL",
    description: "Access control list of the objects. Buckets with ACLs disabled, the default, refuse most of them.",
    ..FILES
};
pub const TAGS: Field = Field {
    name: "tags",
    kind: FieldKind::TextMap {
        max_entries: limits::MAX_TAGS,
    },
    default: Some(Literal::Map(&[])),
    title: "Tags",
    description: "Object tags, at most 10. Keys have up to 128 characters, values up to 256: letters, digits, spaces \
                  and `+ - = . _ : / @`.",
    examples: &[Literal::Map(&[("team", "data")])],
    ..FILES
};
pub const METADATA: Field = Field {
    name: "metadata",
    kind: FieldKind::TextMap {
        max_entries: limits::MAX_METADATA,
    },
    default: Some(Literal::Map(&[])),
    title: "Metadata",
    description: "User metadata (`x-amz-meta-…`), at most 2 KiB in total. Names consist of `a-z`, `0-9`, `-`, `_` and \
                  `.`, values of printable ASCII.",
    examples: &[Literal::Map(&[("source", "batch-export")])],
    ..FILES
};
pub const FILE_FORMAT: Field = Field {
    name: "file_format",
    kind: FieldKind::Choice(&[
        choice("JSONLines", "One JSON object per row."),
        choice("Parquet", "Columnar and typed; the smallest and fastest to read."),
    ]),
    default: Some(Literal::Text("JSONLines")),
    title: "File format",
    description: "Format of the files.",
    ..FORMAT
};
pub const COMPRESSION: Field = Field {
    name: "compression",
    kind: FieldKind::Choice(&[
        choice("none", "Not compressed."),
        choice("gzip", "Can be read by every tool."),
        choice("brotli", "Small and slow."),
        choice("zstd", "Small and fast; recommended."),
        choice("lz4", "Fast and larger; Parquet only (LZ4_RAW)."),
        choice("snappy", "Fast and larger; Parquet only."),
    ]),
    default: Some(Literal::Text("none")),
    title: "Compression",
    description: "How the files are compressed. JSONLines supports none, gzip, brotli and zstd; Parquet supports all \
                  of them.",
    ..FORMAT
};
pub const COMPRESSION_LEVEL: Field = Field {
    name: "compression_level",
    kind: FieldKind::Whole {
        min: limits::LOWEST_LEVEL,
        max: limits::HIGHEST_LEVEL,
    },
    title: "Compression level",
    description: "zstd 1 to 22 (default 1; at most 19 in Parquet), gzip 0 to 9 (default 6), brotli 0 to 11 (default \
                  5). \
                  Not used with lz4, snappy or none.",
    examples: &[Literal::Whole(3)],
    ..FORMAT
};
pub const PARQUET_EXTENSION: Field = Field {
    name: "parquet_extension",
    kind: FieldKind::Choice(&[
        choice("with_codec", "`.parquet.zst`, `.parquet.gz`, …"),
        choice("plain", "`.parquet`, which every reader accepts."),
    ]),
    default: Some(Literal::Text("with_codec")),
    title: "Parquet extension",
    description: "How the names of compressed Parquet files end. Some readers reject names that include the codec.",
    ..FORMAT
};
pub const MAX_ROW_MB: Field = Field {
    name: "max_row_mb",
    kind: FieldKind::Whole {
        min: 1,
        max: limits::MAX_ROW_MB,
    },
    default: Some(Literal::Whole(32)),
    title: "Maximum row size (MiB)",
    description: "A larger row makes the run fail with an error that names the row.",
    ..FORMAT
};
pub const ENCRYPTION: Field = Field {
    name: "encryption",
    kind: FieldKind::Choice(&[
        choice("none", "The bucket's default."),
        choice("AES256", "Server-side encryption with keys managed by S3."),
        choice("aws:kms", "Server-side encryption with the key in `kms_key_id`."),
    ]),
    default: Some(Literal::Text("none")),
    title: "Encryption",
    description: "Server-side encryption to request for every object.",
    ..INTEGRITY
};
pub const KMS_KEY_ID: Field = Field {
    name: "kms_key_id",
    title: "KMS key",
    description: "Id or ARN of the KMS key. Required with `aws:kms`, not allowed otherwise.",
    examples: &[
        Literal::Text("1234abcd-12ab-34cd-56ef-1234567890ab"),
        Literal::Text("arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"),
    ],
    ..INTEGRITY
};
pub const CHECKSUM: Field = Field {
    name: "checksum",
    kind: FieldKind::Choice(&[
        choice("auto", "`crc64nvme` on AWS, `none` with an `endpoint_url`."),
        choice("crc64nvme", "CRC-64/NVME."),
        choice("crc32c", "CRC-32C."),
        choice("crc32", "CRC-32."),
        choice("sha256", "SHA-256."),
        choice("none", "No checksum is sent."),
    ]),
    default: Some(Literal::Text("auto")),
    title: "Checksum",
    description: "The checksum that the store verifies on arrival.",
    ..INTEGRITY
};
pub const PAYLOAD_SIGNING: Field = Field {
    name: "payload_signing",
    kind: FieldKind::Choice(&[
        choice(
            "auto",
            "`unsigned` over https when a checksum is sent, otherwise `signed`.",
        ),
        choice("signed", "Every request is signed with the SHA-256 of its body."),
        choice("unsigned", "Bodies are not part of the signature."),
    ]),
    default: Some(Literal::Text("auto")),
    title: "Payload signing",
    description: "Whether signatures cover request bodies.",
    ..INTEGRITY
};
pub const INCLUDE_EVENTS: Field = Field {
    name: "include_events",
    kind: FieldKind::TextList,
    default: Some(Literal::List(&[])),
    title: "Events to include",
    description: "Export only events with these exact names; an empty list means all. Applies to the model `events` \
                  only. Combined with `exclude_events`, an event must satisfy both.",
    examples: &[Literal::List(&["$pageview", "signed up"])],
    ..BEHAVIOUR
};
pub const EXCLUDE_EVENTS: Field = Field {
    name: "exclude_events",
    kind: FieldKind::TextList,
    default: Some(Literal::List(&[])),
    title: "Events to exclude",
    description: "Do not export events with these exact names. Applies to the model `events` only.",
    examples: &[Literal::List(&["$feature_flag_called"])],
    ..BEHAVIOUR
};
pub const IF_NONE_MATCH: Field = Field {
    name: "if_none_match",
    kind: FieldKind::Flag,
    default: Some(Literal::Flag(false)),
    title: "Never overwrite",
    description: "Write an object only if none exists under its key (`If-None-Match: *`). The store must support this.",
    ..BEHAVIOUR
};

/// Every field, in the order in which a form shows them: group by group.
pub const FIELDS: &[&Field] = &[
    &BUCKET_NAME,
    &REGION,
    &AWS_ACCESS_KEY_ID,
    &AWS_SECRET_ACCESS_KEY,
    &AWS_SESSION_TOKEN,
    &ENDPOINT_URL,
    &USE_VIRTUAL_STYLE_ADDRESSING,
    &USE_DUAL_STACK,
    &USE_FIPS,
    &EXPECTED_BUCKET_OWNER,
    &PREFIX,
    &KEY_STYLE,
    &MAX_FILE_SIZE_MB,
    &MANIFEST,
    &MANIFEST_WHEN,
    &MANIFEST_NAME,
    &STORAGE_CLASS,
    &ACL,
    &TAGS,
    &METADATA,
    &FILE_FORMAT,
    &COMPRESSION,
    &COMPRESSION_LEVEL,
    &PARQUET_EXTENSION,
    &MAX_ROW_MB,
    &ENCRYPTION,
    &KMS_KEY_ID,
    &CHECKSUM,
    &PAYLOAD_SIGNING,
    &INCLUDE_EVENTS,
    &EXCLUDE_EVENTS,
    &IF_NONE_MATCH,
];

/// Compressions of JSON Lines; Parquet takes every choice of [`COMPRESSION`].
pub const JSON_LINES_COMPRESSIONS: &[&str] = &["none", "gzip", "brotli", "zstd"];
