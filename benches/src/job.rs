//! What one export of a bench is: the way it takes, its input and its format. Runs nothing.

use std::fmt;
use std::path::PathBuf;

use batch_export_source::{Interval, IntervalError, Moment};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The store's bucket, region and keys.
pub const BUCKET: &str = "bench";
pub const REGION: &str = "us-east-1";
pub const ACCESS_KEY: &str = "bench-access-key";
pub const SECRET_KEY: &str = "bench-secret-key";

/// 2023-07-28T00:00Z, where inputs begin.
pub const START_MICROS: i64 = 1_690_502_400_000_000;
const HOUR_MICROS: i64 = 3_600_000_000;

/// How rows reach the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Through the component, as the host runs it.
    Component,
    /// The same plugin code as a part of this program.
    Native,
}

impl Way {
    pub const BOTH: [Way; 2] = [Way::Component, Way::Native];
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::Component => "component",
            Way::Native => "native",
        })
    }
}

/// A file format with its codec at its default level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    pub file_format: FileFormat,
    pub compression: Option<Compression>,
}

/// As the configuration writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileFormat {
    JSONLines,
    Parquet,
}

/// As the configuration writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    Gzip,
    Zstd,
}

impl Format {
    pub const PARQUET_ZSTD: Format = Format {
        file_format: FileFormat::Parquet,
        compression: Some(Compression::Zstd),
    };
    pub const JSON_LINES: Format = Format {
        file_format: FileFormat::JSONLines,
        compression: None,
    };
    pub const JSON_LINES_GZIP: Format = Format {
        file_format: FileFormat::JSONLines,
        compression: Some(Compression::Gzip),
    };
    pub const JSON_LINES_ZSTD: Format = Format {
        file_format: FileFormat::JSONLines,
        compression: Some(Compression::Zstd),
    };
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.file_format {
            FileFormat::JSONLines => "JSON Lines",
            FileFormat::Parquet => "Parquet",
        })?;
        match self.compression {
            None => Ok(()),
            Some(Compression::Gzip) => f.write_str(" + gzip"),
            Some(Compression::Zstd) => f.write_str(" + zstd"),
        }
    }
}

/// One export.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    pub way: Way,
    /// A file or a folder of them.
    pub input: PathBuf,
    /// The hour that the interval begins with.
    pub first_hour: u32,
    /// Hours that the interval has.
    pub hours: u32,
    pub format: Format,
    /// Further fields of the destination's configuration.
    pub further: Map<String, Value>,
    /// Parts smaller than S3 allows, for many requests from few rows. The native way only.
    pub part_size_bytes: Option<usize>,
    pub component: PathBuf,
    /// For the host's notes and its compiled components.
    pub state: PathBuf,
}

impl Job {
    /// The destination's configuration without secrets.
    pub fn configuration(&self, endpoint: &str) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("bucket_name".into(), json!(BUCKET));
        fields.insert("region".into(), json!(REGION));
        fields.insert("prefix".into(), json!("{table}/"));
        fields.insert("endpoint_url".into(), json!(endpoint));
        fields.insert("file_format".into(), json!(self.format.file_format));
        if let Some(compression) = self.format.compression {
            fields.insert("compression".into(), json!(compression));
        }
        fields.extend(self.further.clone());
        fields
    }

    /// The hours that are exported.
    pub fn interval(&self) -> Result<Interval, IntervalError> {
        hours(self.first_hour, self.hours)
    }
}

/// That many hours from the hour of that number on.
pub fn hours(first: u32, count: u32) -> Result<Interval, IntervalError> {
    let start = START_MICROS + i64::from(first) * HOUR_MICROS;
    let end = start + i64::from(count) * HOUR_MICROS;
    Interval::new(Some(Moment(start)), Moment(end))
}
