//! The plan: what a run will do and which requests it needs, derived from the configuration and the run alone. Sends
//! nothing: the host grants requests according to it, and people read it before the first run.

use crate::config;
use crate::config::fields::{COMPRESSION, Choice, FILE_FORMAT, FieldKind, JSON_LINES_COMPRESSIONS};
use crate::failure::Failure;
use crate::imports::Method;
use crate::key::KeyNames;
use crate::manifest;
use crate::models;
use crate::needs;
use crate::s3::checksum::{Checksum, ObjectChecksum};
use crate::s3::client::REQUESTS_IN_FLIGHT;
use crate::s3::request::{Operation, Target, Unsigned};
use crate::settings::{
    Encryption, KeyStyle, ManifestStyle, ManifestWhen, PLUGIN_NAME, PLUGIN_VERSION, PayloadSigning, Run, Settings,
};

/// The service that requests are signed for.
const SERVICE: &str = "s3";
/// The headers that signing adds to every request.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>
const SIGNING_HEADERS: [&str; 4] = [
    "authorization",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
];

/// A description of this plugin: the contract's `description`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    pub name: String,
    pub version: String,
    pub summary: String,
    /// JSON Schema, draft 2020-12.
    pub configuration_schema: String,
    pub formats: Vec<FormatDescription>,
    pub memory_limit_bytes: u64,
    pub requests_in_flight: u32,
    pub payload_limit_bytes: u64,
}

/// A file format and the compressions it supports, by their names in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatDescription {
    pub name: String,
    pub compressions: Vec<String>,
}

/// One kind of request that a run needs to make: the contract's `grant`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub operation: String,
    pub method: Method,
    pub origin: String,
    /// Percent-encoded.
    pub path_prefix: String,
    /// Exactly these keys.
    pub query: Vec<String>,
    /// In lower case.
    pub headers: Vec<String>,
}

/// A scope that the run signs for: the contract's `signing-scope`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningScope {
    pub service: String,
    pub region: String,
}

/// The plan of a run: the contract's `plan`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub keys: Vec<String>,
    pub manifest_key: Option<String>,
    /// Name and value, without secrets.
    pub settings: Vec<(String, String)>,
    pub part_size_bytes: u64,
    pub requests_in_flight: u32,
    /// Memory of the guest, for tables of usual width.
    pub memory_bytes: u64,
    pub payload_bytes: u64,
    pub grants: Vec<Grant>,
    pub signing: Vec<SigningScope>,
    /// Name and Arrow type in words.
    pub required_columns: Vec<(String, String)>,
}

/// Describes the plugin.
pub fn describe() -> Description {
    Description {
        name: PLUGIN_NAME.to_owned(),
        version: PLUGIN_VERSION.to_owned(),
        summary:
            "Writes batch exports to Amazon S3 and stores that speak its protocol, as JSON Lines or Parquet files."
                .to_owned(),
        configuration_schema: config::json_schema().to_string(),
        formats: choices(&FILE_FORMAT.kind)
            .map(|format| FormatDescription {
                name: format.to_owned(),
                compressions: match format {
                    "JSONLines" => JSON_LINES_COMPRESSIONS.iter().map(|name| (*name).to_owned()).collect(),
                    _ => choices(&COMPRESSION.kind).map(str::to_owned).collect(),
                },
            })
            .collect(),
        memory_limit_bytes: needs::MEMORY_LIMIT_BYTES,
        requests_in_flight: REQUESTS_IN_FLIGHT as u32,
        payload_limit_bytes: needs::PAYLOAD_LIMIT_BYTES,
    }
}

fn choices(kind: &FieldKind) -> impl Iterator<Item = &'static str> {
    let choices: &'static [Choice] = match kind {
        FieldKind::Choice(choices) => choices,
        _ => &[],
    };
    choices.iter().map(|choice| choice.value)
}

/// Plans a run from the configuration document.
pub fn plan_from_json(configuration_json: &str, run: &Run) -> Result<Plan, Failure> {
    plan(&config::parse_for_model(configuration_json, &run.model)?, run)
}

/// Plans a run. Fails as [`KeyNames::new`] does.
pub fn plan(settings: &Settings, run: &Run) -> Result<Plan, Failure> {
    let names = KeyNames::new(settings, run)?;
    let mut keys = vec![names.data(0)?];
    keys.extend(names.data_pattern());
    Ok(Plan {
        keys,
        manifest_key: names.manifest(),
        settings: decided(settings),
        part_size_bytes: settings.part_size_bytes as u64,
        requests_in_flight: REQUESTS_IN_FLIGHT as u32,
        memory_bytes: needs::memory_bytes(settings),
        payload_bytes: needs::payload_bytes(settings.part_size_bytes),
        grants: grants(settings, run, &names),
        signing: vec![SigningScope {
            service: SERVICE.to_owned(),
            region: settings.region.clone(),
        }],
        required_columns: models::required(&run.model)
            .map_or(&[][..], |model| model.columns)
            .iter()
            .map(|(name, kind)| ((*name).to_owned(), kind.in_words().to_owned()))
            .collect(),
    })
}

/// Returns one grant for each operation, derived from the requests that the run actually sends: method, query and
/// headers are those of the operation with these settings, the path is that of the run's keys.
fn grants(settings: &Settings, run: &Run, names: &KeyNames) -> Vec<Grant> {
    let target = Target::new(settings, run);
    let checksum = settings.object.checksum.map(|algorithm| Checksum::of(algorithm, &[]));
    operations(settings, names)
        .iter()
        .map(|operation| {
            let request = Unsigned::new(&target, operation, checksum.as_ref());
            let mut headers: Vec<String> = request.headers.into_iter().map(|(name, _)| name).collect();
            headers.extend(SIGNING_HEADERS.map(str::to_owned));
            headers.sort();
            headers.dedup();
            let query = request.query.split('&').filter(|pair| !pair.is_empty());
            Grant {
                operation: operation.kind().to_string(),
                method: request.method,
                origin: settings.endpoint.origin(),
                path_prefix: request.path,
                query: query
                    .map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name).to_owned())
                    .collect(),
                headers,
            }
        })
        .collect()
}

/// Returns every operation of a run, its check and its recovery, each with the beginning of the keys it may touch.
fn operations(settings: &Settings, names: &KeyNames) -> Vec<Operation> {
    let key = || names.stem().to_owned();
    // Placeholders for values that only a run knows; grants contain only names.
    let upload_id = String::new;
    let content_type = settings.format.content_type();
    let mut operations = vec![
        Operation::PutObject {
            key: key(),
            content_type,
        },
        Operation::CreateMultipartUpload {
            key: key(),
            content_type,
        },
        Operation::UploadPart {
            key: key(),
            upload_id: upload_id(),
            part_number: 1,
        },
        Operation::CompleteMultipartUpload {
            key: key(),
            upload_id: upload_id(),
            bytes: 0,
            checksum: settings
                .object
                .checksum
                .and_then(|algorithm| ObjectChecksum::of_parts(&[&Checksum::of(algorithm, &[])])),
        },
        Operation::AbortMultipartUpload {
            key: key(),
            upload_id: upload_id(),
        },
        Operation::ListMultipartUploads { prefix: key() },
        Operation::HeadObject { key: key() },
        Operation::DeleteObject { key: key() },
        // Only `check` may read: a plugin cannot read exported rows back.
        Operation::GetObject { key: names.probe() },
    ];
    // A hidden manifest is the only object whose key begins differently.
    let is_apart = |key: &String| !key.starts_with(names.stem());
    if let Some(key) = names.manifest().filter(is_apart) {
        operations.extend([
            Operation::PutObject {
                key: key.clone(),
                content_type: manifest::CONTENT_TYPE,
            },
            Operation::HeadObject { key: key.clone() },
            Operation::DeleteObject { key },
        ]);
    }
    operations
}

/// Returns the settings in effect, for people to read.
fn decided(settings: &Settings) -> Vec<(String, String)> {
    let object = &settings.object;
    let count = |entries: &[(String, String)]| match entries {
        [] => None,
        entries => {
            let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
            Some(names.join(", "))
        }
    };
    let always = [
        ("bucket", settings.bucket.clone()),
        ("region", settings.region.clone()),
        ("origin", settings.endpoint.origin()),
        ("addressing", addressing(settings).to_owned()),
        ("file_format", settings.format.name().to_owned()),
        ("compression", settings.format.compression().to_owned()),
    ];
    let sometimes = [
        (
            "compression_level",
            settings.format.level().map(|level| level.to_string()),
        ),
        (
            "max_file_size_bytes",
            settings.max_file_size_bytes.map(|bytes| bytes.to_string()),
        ),
        ("manifest", Some(manifest_in_words(settings).to_owned())),
        (
            "manifest_when",
            (settings.manifest_when == ManifestWhen::Always).then(|| "always".to_owned()),
        ),
        ("key_style", Some(key_style(settings.key_style).to_owned())),
        ("encryption", Some(encryption(&object.encryption))),
        (
            "checksum",
            Some(object.checksum.map_or("none", |algorithm| algorithm.name()).to_owned()),
        ),
        (
            "payload_signing",
            Some(payload_signing(settings.payload_signing).to_owned()),
        ),
        ("storage_class", object.storage_class.clone()),
        ("acl", object.acl.clone()),
        ("tags", count(&object.tags)),
        ("metadata", count(&object.metadata)),
        ("expected_bucket_owner", object.expected_bucket_owner.clone()),
        (
            "if_none_match",
            object.if_none_match.then(|| "never overwrite".to_owned()),
        ),
        ("max_row_mb", Some((settings.max_row_bytes >> 20).to_string())),
    ];
    always
        .into_iter()
        .chain(sometimes.into_iter().filter_map(|(name, value)| Some((name, value?))))
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn addressing(settings: &Settings) -> &'static str {
    match settings.endpoint.is_path_style() {
        true => "path style",
        false => "virtual-hosted",
    }
}

fn manifest_in_words(settings: &Settings) -> &'static str {
    let splitting = settings.max_file_size_bytes.is_some();
    match (settings.manifest_when, settings.manifest) {
        (ManifestWhen::Split, _) if !splitting => "none (one file)",
        (_, ManifestStyle::Simple) => "simple",
        (_, ManifestStyle::Detailed) => "detailed",
    }
}

fn key_style(style: KeyStyle) -> &'static str {
    match style {
        KeyStyle::Iso => "iso",
        KeyStyle::Compact => "compact",
    }
}

fn encryption(encryption: &Encryption) -> String {
    match encryption {
        Encryption::BucketDefault => "the bucket's default".to_owned(),
        Encryption::Aes256 => "AES256".to_owned(),
        Encryption::Kms { key_id } => format!("aws:kms with {key_id}"),
    }
}

fn payload_signing(signing: PayloadSigning) -> &'static str {
    match signing {
        PayloadSigning::Signed => "signed",
        PayloadSigning::Unsigned => "unsigned",
    }
}

#[cfg(test)]
mod tests;
