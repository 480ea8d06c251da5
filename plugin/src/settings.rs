//! The settings of a destination, in types that cannot hold invalid values. Only `config` creates them.

use std::num::NonZeroU64;

use crate::s3::endpoint::Endpoint;
use crate::template::Template;

/// The plugin's short name.
pub const PLUGIN_NAME: &str = "s3";
/// The plugin's own version.
pub const PLUGIN_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Bytes in a mebibyte, the unit of all sizes in a configuration.
pub const MIB: usize = 1024 * 1024;

/// A destination's configuration after all checks, on which all other modules work. Contains no secrets.
#[derive(Debug, Clone)]
pub struct Settings {
    pub bucket: String,
    /// The region that requests are signed for.
    pub region: String,
    /// Where requests go (origin, addressing style), decided from bucket, region and `endpoint_url`.
    pub endpoint: Endpoint,
    pub prefix: Template,
    pub key_style: KeyStyle,
    pub format: Format,
    /// Close a file once it holds this many bytes; `None` writes one file.
    pub max_file_size_bytes: Option<NonZeroU64>,
    /// Bytes of a multipart part: every part but the last has exactly this size.
    pub part_size_bytes: usize,
    pub parquet_extension: ParquetExtension,
    pub manifest: ManifestStyle,
    pub manifest_name: ManifestName,
    pub manifest_when: ManifestWhen,
    pub object: ObjectSettings,
    pub payload_signing: PayloadSigning,
    /// Export only these events; `None` is all.
    pub include_events: Option<Vec<String>>,
    pub exclude_events: Vec<String>,
    /// A larger row is an error that names the row.
    pub max_row_bytes: usize,
}

/// The file format with its codec; only valid combinations can be expressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    JsonLines(JsonLinesCodec),
    Parquet(ParquetCodec),
}

impl Format {
    /// Returns its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Format::JsonLines(_) => "JSONLines",
            Format::Parquet(_) => "Parquet",
        }
    }

    /// Returns the codec's name in the configuration.
    pub fn compression(self) -> &'static str {
        match self {
            Format::JsonLines(JsonLinesCodec::None) | Format::Parquet(ParquetCodec::None) => "none",
            Format::JsonLines(JsonLinesCodec::Gzip(_)) | Format::Parquet(ParquetCodec::Gzip(_)) => "gzip",
            Format::JsonLines(JsonLinesCodec::Brotli(_)) | Format::Parquet(ParquetCodec::Brotli(_)) => "brotli",
            Format::JsonLines(JsonLinesCodec::Zstd(_)) | Format::Parquet(ParquetCodec::Zstd(_)) => "zstd",
            Format::Parquet(ParquetCodec::Lz4) => "lz4",
            Format::Parquet(ParquetCodec::Snappy) => "snappy",
        }
    }

    /// Returns the codec's level, if it has levels.
    pub fn level(self) -> Option<i64> {
        match self {
            Format::JsonLines(JsonLinesCodec::Gzip(level) | JsonLinesCodec::Brotli(level))
            | Format::Parquet(ParquetCodec::Gzip(level) | ParquetCodec::Brotli(level)) => Some(i64::from(level)),
            Format::JsonLines(JsonLinesCodec::Zstd(level)) | Format::Parquet(ParquetCodec::Zstd(level)) => {
                Some(i64::from(level))
            }
            Format::JsonLines(JsonLinesCodec::None)
            | Format::Parquet(ParquetCodec::None | ParquetCodec::Lz4 | ParquetCodec::Snappy) => None,
        }
    }

    /// Returns the `Content-Type` of a file. A compressed JSON Lines file is named after its codec, as
    /// `Content-Encoding` is never set; brotli has no registered type.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Parquet(_) => "application/vnd.apache.parquet",
            Format::JsonLines(JsonLinesCodec::None) => "application/x-ndjson",
            Format::JsonLines(JsonLinesCodec::Gzip(_)) => "application/gzip",
            Format::JsonLines(JsonLinesCodec::Zstd(_)) => "application/zstd",
            Format::JsonLines(JsonLinesCodec::Brotli(_)) => "application/octet-stream",
        }
    }
}

/// Codec of a JSON Lines file, with its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonLinesCodec {
    None,
    /// 0 to 9.
    Gzip(u32),
    /// 0 to 11.
    Brotli(u32),
    /// 1 to 22.
    Zstd(i32),
}

/// Codec of Parquet pages, with its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParquetCodec {
    None,
    /// 0 to 9.
    Gzip(u32),
    /// 0 to 11.
    Brotli(u32),
    /// 1 to 22.
    Zstd(i32),
    /// `LZ4_RAW`.
    Lz4,
    Snappy,
}

/// The extension of a Parquet file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParquetExtension {
    /// `.parquet.zst`
    WithCodec,
    /// `.parquet`
    Plain,
}

/// The style in which file names show the interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStyle {
    /// `2023-07-28T00:00:00+00:00-2023-07-28T01:00:00+00:00`
    Iso,
    /// `20230728T000000Z-20230728T010000Z`
    Compact,
}

/// The contents of the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestStyle {
    /// `{"files": […]}`
    Simple,
    /// Everything that is known.
    Detailed,
}

/// The beginning of the manifest's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestName {
    /// Like the names of the data files.
    Visible,
    /// With `_`, so that programs that read a folder as one table skip it.
    Hidden,
}

/// The runs that write a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestWhen {
    /// Those with rows, if splitting is on.
    Split,
    /// Those with rows.
    Rows,
    /// All runs, so that "no rows" can be distinguished from "not run".
    Always,
}

/// The choice whether requests carry the hash of their body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadSigning {
    /// `x-amz-content-sha256` is the body's SHA-256.
    Signed,
    /// `UNSIGNED-PAYLOAD`: TLS and a checksum protect the body.
    Unsigned,
}

/// What is sent with every object, including the manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectSettings {
    pub encryption: Encryption,
    pub checksum: Option<ChecksumAlgorithm>,
    /// `x-amz-storage-class`
    pub storage_class: Option<String>,
    /// `x-amz-acl`
    pub acl: Option<String>,
    /// `x-amz-tagging`, sorted by key.
    pub tags: Vec<(String, String)>,
    /// `x-amz-meta-*` by the rest of the name, sorted.
    pub metadata: Vec<(String, String)>,
    /// `x-amz-expected-bucket-owner`: sent with every request, not only with writes.
    pub expected_bucket_owner: Option<String>,
    /// Never overwrite an object (`If-None-Match: *`).
    pub if_none_match: bool,
}

/// Server-side encryption.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Encryption {
    /// The bucket's default.
    #[default]
    BucketDefault,
    Aes256,
    Kms {
        /// Id or ARN.
        key_id: String,
    },
}

impl Encryption {
    /// Returns the value of `x-amz-server-side-encryption`, in requests and responses alike.
    pub fn header_value(&self) -> Option<&'static str> {
        match self {
            Encryption::BucketDefault => None,
            Encryption::Aes256 => Some("AES256"),
            Encryption::Kms { .. } => Some("aws:kms"),
        }
    }
}

/// Checksums that S3 verifies on arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumAlgorithm {
    Crc64Nvme,
    Crc32c,
    Crc32,
    Sha256,
}

/// One model, one interval: the contract's `run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub id: String,
    pub attempt: String,
    pub model: String,
    pub interval: Interval,
    /// SHA-256 of the component in hexadecimal, as stated by the host.
    pub plugin_digest: String,
    /// The time after which the host ends the run, if it does.
    pub time_limit_seconds: Option<u32>,
}

/// Half-open `[start, end)`, microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    pub start_micros: Option<i64>,
    pub end_micros: i64,
}
