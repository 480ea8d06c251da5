//! The contract's nouns as plain host types. Decides nothing; `convert` makes them from what a guest says, short and
//! harmless.

use batch_export_system::explain::{Cause, Explain};
use serde::{Serialize, Serializer};

/// The package that exporter components implement.
pub const PACKAGE: &str = "batch-export:destination";
/// The contract's version that this host speaks.
pub const VERSION: &str = "0.1.0";

/// One model, one interval: what one instance exports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Derived from destination and interval; the same for every attempt. ASCII letters, digits and `-`, at most
    /// 128 bytes.
    pub id: String,
    /// Names this attempt; never repeated. Same alphabet, at most 64 bytes.
    pub attempt: String,
    /// `events`, `persons`, `sessions`, or another name the host exports.
    pub model: String,
    /// The rows' interval.
    pub interval: Interval,
}

/// Half-open `[start, end)`, in microseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Interval {
    /// First moment inside; `None` when everything before `end` is exported.
    pub start_micros: Option<i64>,
    /// First moment outside.
    pub end_micros: i64,
}

/// What a plugin is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// Short name, such as `s3`.
    pub name: String,
    /// The plugin's own version.
    pub version: String,
    /// One sentence for people.
    pub summary: String,
    /// JSON Schema of the configuration object, as text; secrets carry `writeOnly: true`.
    pub configuration_schema: String,
    /// File formats with the compressions each takes.
    pub formats: Vec<Format>,
    /// Most bytes of linear memory that any accepted configuration needs.
    pub memory_limit_bytes: u64,
    /// Most requests in flight at once.
    pub requests_in_flight: u32,
    /// Most bytes held in payloads at once.
    pub payload_limit_bytes: u64,
}

/// A file format and the compressions it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Format {
    /// As written in the configuration.
    pub name: String,
    /// As written in the configuration.
    pub compressions: Vec<String>,
}

/// One kind of request that a run needs to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Grant {
    /// The operation's name for people, such as `UploadPart`.
    pub operation: String,
    /// In capitals.
    pub method: String,
    /// Scheme, host and port.
    pub origin: String,
    /// The percent-encoded path must start with this.
    pub path_prefix: String,
    /// The query's keys must be exactly these, in any order.
    pub query: Vec<String>,
    /// Headers it may carry, in lower case; a trailing `*` allows any ending.
    pub headers: Vec<String>,
}

/// A scope in which a run signs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct SigningScope {
    /// Such as `s3`.
    pub service: String,
    /// Such as `eu-central-1`.
    pub region: String,
}

/// What a run will do, decided by the plugin from configuration and run alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Key of the data file; where the output is split, the first file's, and then a pattern with `{n}` for the others.
    pub keys: Vec<String>,
    /// Key of the manifest, if one is written.
    pub manifest_key: Option<String>,
    /// Decided settings, without secrets.
    pub settings: Vec<(String, String)>,
    /// Bytes of a part of a multipart upload.
    pub part_size_bytes: u64,
    /// Most requests in flight at once.
    pub requests_in_flight: u32,
    /// Most bytes of linear memory that this run needs for a table of at most [`USUAL_COLUMNS`](crate::USUAL_COLUMNS).
    pub memory_bytes: u64,
    /// Most bytes that this run holds in payloads at once.
    pub payload_bytes: u64,
    /// Requests that the run needs to make.
    pub grants: Vec<Grant>,
    /// Scopes in which it signs.
    pub signing: Vec<SigningScope>,
    /// Model columns that must be present, with their Arrow type in words.
    pub required_columns: Vec<(String, String)>,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Rows taken in so far.
    pub rows: u64,
    /// Bytes of finished output so far, after compression.
    pub bytes: u64,
    /// Files begun so far.
    pub files: u32,
}

/// One file in the destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExportedFile {
    /// Its key.
    pub key: String,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// As it stands in the store's header.
    pub etag: String,
}

/// What a finished run did, in the plugin's words: the host compares it with what it supplied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Rows taken in.
    pub rows_received: u64,
    /// Rows written to files.
    pub rows_exported: u64,
    /// Rows omitted by the configuration's filters.
    pub rows_filtered: u64,
    /// Bytes before compression.
    pub bytes_encoded: u64,
    /// Files in order.
    pub files: Vec<ExportedFile>,
    /// Key of the manifest, if one was written.
    pub manifest_key: Option<String>,
    /// Repairs made to JSON columns, by kind.
    #[serde(serialize_with = "by_name")]
    pub repairs: Vec<(String, u64)>,
    /// Requests made, the repeated ones included.
    pub requests: u64,
    /// How many of them were repetitions.
    pub retries: u64,
    /// Warnings for the operator; the host prints them with its own.
    #[serde(skip)]
    pub warnings: Vec<Cause>,
}

/// Pairs as one JSON object.
fn by_name<S: Serializer>(pairs: &[(String, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

/// How far `check` goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckDepth {
    /// Everything a run may need.
    Full,
    /// Only what leaves nothing behind even where the credentials may not delete.
    Traceless,
}

/// How one step of `check` went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// It works.
    Passed,
    /// It does not; the detail says the likely cause, and the hint what to do.
    Failed,
    /// It does not for now: the same step may pass later.
    Unavailable,
    /// Not tried, or not needed with these permissions.
    Skipped,
}

/// One step of `check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckStep {
    /// What was tried, such as `write`.
    pub name: String,
    /// How it went.
    pub outcome: StepOutcome,
    /// What was observed and the likely cause.
    pub detail: String,
    /// What to do about it, where there is anything to do.
    pub hint: Option<String>,
    /// How long the destination asked to wait before the next request, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

/// An upload that `recover` ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbortedUpload {
    /// The key of the object that it would have become.
    pub key: String,
    /// Its id at the destination.
    pub upload_id: String,
}

/// Something that is or may be left open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOpen {
    /// The key of the object that it would have become; `None` where a note could not be read.
    pub key: Option<String>,
    /// Its id at the destination, where that is known.
    pub upload_id: Option<String>,
    /// Why it is not proven to be gone.
    pub reason: Cause,
}

/// What `recover` did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Uploads found open in the notes and now gone.
    pub aborted: Vec<AbortedUpload>,
    /// What could not be cleaned up.
    pub left_open: Vec<LeftOpen>,
}

/// One thing wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The field's name, or empty for the configuration as a whole.
    pub field: String,
    /// What is wrong; never a secret's value.
    pub message: String,
    /// What to do about it, where `allowed` does not say it.
    pub hint: Option<String>,
    /// Which values the field takes.
    pub allowed: Option<String>,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.field.is_empty() {
            write!(f, "`{}`: ", self.field)?;
        }
        f.write_str(&self.message)?;
        match &self.allowed {
            Some(allowed) => write!(f, " (allowed: {allowed})"),
            None => Ok(()),
        }
    }
}

/// Why the plugin returned no result. A scheduler branches on the case and on nothing else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The configuration is wrong, every problem at once; nothing was sent. Never retried.
    #[error("the destination's configuration is wrong: {}", join(.0))]
    Config(Vec<Problem>),
    /// The destination refused for good: action required.
    #[error("{0}")]
    Refused(Cause),
    /// Worth retrying later with a fresh instance.
    #[error("{reason}")]
    Unavailable {
        /// Operation, object, status, code, attempts.
        reason: Cause,
        /// How long the destination asked to be left alone, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The supplied data cannot be exported: retrying changes nothing.
    #[error("{0}")]
    Data(Cause),
    /// The plugin or the host broke the contract: never retried, to be reported.
    #[error("{0}")]
    Defect(String),
}

impl Explain for Failure {
    fn message(&self) -> String {
        self.to_string()
    }

    fn hint(&self) -> Option<String> {
        match self {
            // Each problem has its own, and so does what it allows.
            Failure::Config(_) => None,
            Failure::Refused(reason) | Failure::Unavailable { reason, .. } | Failure::Data(reason) => reason.hint(),
            Failure::Defect(_) => Some(REPORT.to_owned()),
        }
    }
}

/// What to do about a defect.
pub(crate) const REPORT: &str = "report it: this is a defect of the plugin or of this host";

fn join(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("; ")
}
