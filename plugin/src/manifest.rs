//! The manifest: the files that a run wrote, in order. The same run gives the same bytes (except for ETags); writes
//! nothing.

use arrow_schema::Schema;
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;
use crate::key;
use crate::s3::checksum::ObjectChecksum;
use crate::settings::Run;
use crate::settings::{PLUGIN_NAME, PLUGIN_VERSION};

/// Version of the detailed form: readers may rely on its fields as long as it does not change.
const DETAILED_VERSION: u32 = 1;
/// `Content-Type` of either form.
pub const CONTENT_TYPE: &str = "application/json";

/// A finished file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFile {
    pub key: String,
    pub rows: u64,
    pub bytes: u64,
    /// Exactly as in the header.
    pub etag: String,
    /// Of the whole object.
    pub checksum: Option<ObjectChecksum>,
    /// First and last time in the model's time column, in microseconds since 1970; absent without such a column or if
    /// it has only nulls.
    pub times_micros: Option<(i128, i128)>,
}

/// Returns `{"files": ["<full key>", …]}` and nothing else.
pub fn simple<'a>(keys: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let keys: Vec<String> = keys.into_iter().map(|key| Value::from(key).to_string()).collect();
    format!("{{\"files\": [{}]}}", keys.join(", ")).into_bytes()
}

/// Returns `files` as in [`simple`], along with all that is known about the run and each file.
pub fn detailed(run: &Run, schema: &Schema, files: &[ManifestFile]) -> Result<Vec<u8>, Failure> {
    let manifest = Detailed {
        files: files.iter().map(|file| file.key.as_str()).collect(),
        version: DETAILED_VERSION,
        model: &run.model,
        interval: TimeRange {
            start: run.interval.start_micros.and_then(key::iso),
            end: key::iso(run.interval.end_micros),
        },
        run_id: &run.id,
        plugin: Plugin {
            name: PLUGIN_NAME,
            version: PLUGIN_VERSION,
            sha256: &run.plugin_digest,
        },
        schema: schema
            .fields()
            .iter()
            .map(|field| Column {
                name: field.name(),
                data_type: field.data_type().to_string(),
                nullable: field.is_nullable(),
            })
            .collect(),
        file_details: files.iter().map(details).collect(),
    };
    serde_json::to_vec_pretty(&manifest)
        .map_err(|error| Failure::Data(format!("the manifest cannot be written as JSON: {error}").into()))
}

fn details(file: &ManifestFile) -> Details<'_> {
    Details {
        key: &file.key,
        rows: file.rows,
        bytes: file.bytes,
        etag: &file.etag,
        checksum: file.checksum.as_ref().map(|checksum| Checksum {
            algorithm: checksum.algorithm().name(),
            value: checksum.text(),
        }),
        min_timestamp: file.times_micros.map(|(min, _)| moment(min)),
        max_timestamp: file.times_micros.map(|(_, max)| moment(max)),
    }
}

/// Formats a time; those outside the years that ISO texts can represent are written as microseconds since 1970.
fn moment(micros: i128) -> String {
    let iso = i64::try_from(micros).ok().and_then(key::iso);
    iso.unwrap_or_else(|| format!("{micros} µs since 1970-01-01T00:00:00+00:00"))
}

/// Fields are written in this order.
#[derive(Serialize)]
struct Detailed<'a> {
    files: Vec<&'a str>,
    version: u32,
    model: &'a str,
    interval: TimeRange,
    run_id: &'a str,
    plugin: Plugin<'a>,
    schema: Vec<Column<'a>>,
    file_details: Vec<Details<'a>>,
}

#[derive(Serialize)]
struct TimeRange {
    start: Option<String>,
    end: Option<String>,
}

#[derive(Serialize)]
struct Plugin<'a> {
    name: &'static str,
    version: &'static str,
    sha256: &'a str,
}

#[derive(Serialize)]
struct Column<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    data_type: String,
    nullable: bool,
}

#[derive(Serialize)]
struct Details<'a> {
    key: &'a str,
    rows: u64,
    bytes: u64,
    etag: &'a str,
    checksum: Option<Checksum<'a>>,
    min_timestamp: Option<String>,
    max_timestamp: Option<String>,
}

#[derive(Serialize)]
struct Checksum<'a> {
    algorithm: &'static str,
    /// As S3 shows it: base64, followed by `-` and the number of parts if it is composite.
    value: &'a str,
}

#[cfg(test)]
mod tests;
