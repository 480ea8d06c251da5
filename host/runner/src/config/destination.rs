//! One `[destinations.NAME]` table: the host's own keys, and the plugin's fields as they stand. Checks no field of
//! the plugin; the plugin does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value as Json;

use super::credentials;
use super::model;
use super::problem::{Place, Problem};
use super::section::Section;
use super::tree::{Entry, Node, Table, Text, Value};
use crate::credentials::CredentialSettings;
use crate::failure::Failure;
use batch_export_sandbox::Limits;
use batch_export_sandbox::NetworkOptions;
use batch_export_sandbox::OperatorLists;
use batch_export_sandbox::Secret;
use batch_export_source::SourceSettings;
use batch_export_source::{
    ColumnType, Dialect, FilesSettings, TYPE_NAMES, TextFormat, check_pattern,
};
use batch_export_source::{Kind, Model};

/// A destination, decided but for the plugin's fields.
#[derive(Debug)]
pub struct Destination {
    pub name: String,
    /// `events`, `persons`, `sessions`, or a name whose columns only the source knows.
    pub model: String,
    pub source: SourceSettings,
    /// Where the source's table begins in the file.
    pub source_at: Place,
    pub check: CheckMode,
    /// What the operator allows beyond the destination's own bucket.
    pub egress: OperatorLists,
    pub network: NetworkOptions,
    pub limits: Limits,
    /// What signs; no plugin ever sees it.
    pub credentials: CredentialSettings,
    pub fields: Fields,
}

impl Destination {
    /// Returns a problem with a field of this destination, or with the whole of it.
    pub fn problem(&self, field: &str, message: impl Into<String>) -> Problem {
        let at = match field {
            "source" => self.source_at,
            field => self.fields.place(field),
        };
        let destination = format!("destinations.{}", self.name);
        Problem::new(at, super::tree::join(&destination, field), message)
    }

    /// Returns what a failure says is wrong with this destination, each in its place; never nothing.
    pub fn problems_of(&self, failure: &Failure) -> Vec<Problem> {
        if !failure.problems().is_empty() {
            return failure.problems().to_vec();
        }
        let field = failure.field().unwrap_or_default();
        let problem = self.problem(field, failure.message());
        vec![match failure.hint() {
            Some(hint) => problem.with_hint(hint),
            None => problem,
        }]
    }
}

/// Whether the host tries a destination unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CheckMode {
    /// Before the first run with these settings, and for every interval without rows.
    #[default]
    Automatic,
    /// Only by `batch-export check`.
    OnRequest,
}

/// The plugin's fields as they stand in the file. `Debug` shows names only.
#[derive(Clone, Default)]
pub struct Fields {
    at: Option<Place>,
    table: Table,
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Fields {
    /// A field's text; the plugin's keys are among them, so it is for naming a place only.
    pub fn text(&self, field: &str) -> Option<&str> {
        match &self.table.get(field)?.node.value {
            Value::Text(text) => Some(text.value()),
            _ => None,
        }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.table.entries.iter().map(|entry| entry.key.as_str())
    }

    /// The configuration for the plugin, without the fields named in `secret`. A secret that is no string stays away
    /// from the plugin too; the list names it.
    pub fn open(&self, secret: &BTreeSet<String>) -> (Json, Vec<&str>) {
        let mut open = serde_json::Map::new();
        let mut mistyped = Vec::new();
        for Entry { key, node, .. } in &self.table.entries {
            if !secret.contains(key) {
                open.insert(key.clone(), json(node));
            } else if !matches!(node.value, Value::Text(_)) {
                mistyped.push(key.as_str());
            }
        }
        (Json::Object(open), mistyped)
    }

    /// What the plugin says about a field, without anything that a variable of the environment held.
    pub fn redacted(&self, field: &str, message: &str) -> String {
        let own = self.table.get(top(field));
        let mut texts = Vec::new();
        own.iter()
            .for_each(|entry| collect_texts(&entry.node, &mut texts));
        let mut message = texts
            .iter()
            .fold(message.to_owned(), |said, text| text.redacted(&said));
        // A message about one field may quote another.
        texts.clear();
        for Entry { node, .. } in &self.table.entries {
            collect_texts(node, &mut texts);
        }
        for text in texts {
            if text.is_told_by(&message) {
                message = text.redacted(&message);
            }
        }
        message
    }

    /// Where a field's value stands; a field that is not there stands at its table.
    pub fn place(&self, field: &str) -> Place {
        match (self.table.get(top(field)), self.at) {
            (Some(entry), _) => entry.key_at,
            (None, Some(at)) => at,
            (None, None) => Place { line: 1, column: 1 },
        }
    }
}

/// A path into a field, such as `tags.team` or `include_events[1]`, stands at the field.
fn top(field: &str) -> &str {
    field.split(['.', '[']).next().unwrap_or(field)
}

fn collect_texts<'a>(node: &'a Node, texts: &mut Vec<&'a Text>) {
    match &node.value {
        Value::Text(text) => texts.push(text),
        Value::List(nodes) => nodes.iter().for_each(|node| collect_texts(node, texts)),
        Value::Table(table) => {
            let nodes = table.entries.iter().map(|entry| &entry.node);
            nodes.for_each(|node| collect_texts(node, texts));
        }
        _ => {}
    }
}

fn json(node: &Node) -> Json {
    match &node.value {
        Value::Text(text) => Json::from(text.value()),
        Value::Integer(integer) => Json::from(*integer),
        Value::Float(float) => Json::from(*float),
        Value::Boolean(boolean) => Json::from(*boolean),
        Value::Datetime(written) => Json::from(written.as_str()),
        Value::List(nodes) => nodes.iter().map(json).collect(),
        Value::Table(table) => table
            .entries
            .iter()
            .map(|entry| (entry.key.clone(), json(&entry.node)))
            .collect(),
        Value::Broken => Json::Null,
    }
}

/// A destination's name stands in run ids and names of state files.
const NAME_BYTES: usize = 64;

/// Reads one table. `None` leaves at least one problem behind.
pub fn read(folder: &Path, name: String, mut section: Section<'_>) -> Option<Destination> {
    let at = section.at;
    if !is_name(&name, NAME_BYTES) {
        section.problem(
            at,
            "",
            format!(
                "a destination's name has letters, digits, `-` and `_` only, at most {NAME_BYTES}"
            ),
        );
    }
    let model = model::read(&mut section);
    let source_at = section.place("source").unwrap_or(at);
    let source = read_source(folder, model.as_deref(), &mut section);
    let check = section.choice(
        "check",
        &[
            ("automatic", CheckMode::Automatic),
            ("on_request", CheckMode::OnRequest),
        ],
    );
    let (egress, network) = read_egress(folder, &mut section);
    let limits = read_limits(&mut section);
    let credentials = credentials::read(folder, &mut section);
    let fields = Fields {
        at: Some(at),
        table: section.rest(),
    };
    Some(Destination {
        name,
        model: model?,
        source: source?,
        source_at,
        check: check.unwrap_or_default(),
        egress,
        network,
        limits,
        credentials: credentials?,
        fields,
    })
}

pub(super) fn is_name(text: &str, limit: usize) -> bool {
    (1..=limit).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[derive(Clone, Copy, PartialEq)]
enum SourceType {
    Sample,
    Files,
}

/// Sample rows an hour unless configured: a demo's worth.
const DEFAULT_ROWS_PER_HOUR: u64 = 10_000;
/// One row a microsecond is what the time stamps can tell apart.
const MAX_ROWS_PER_HOUR: u64 = 3_600_000_000;
/// Rows of each JSON Lines or CSV file that are looked at for columns beyond the model's, unless configured.
const DEFAULT_INFER_ROWS: u64 = 10_000;

fn read_source(
    folder: &Path,
    model: Option<&str>,
    destination: &mut Section<'_>,
) -> Option<SourceSettings> {
    let Some(mut section) = destination.section("source") else {
        destination.missing(
            "source",
            "say where rows come from: source = { type = \"sample\" }, or type = \"files\" with a path",
        );
        return None;
    };
    let choices = [("sample", SourceType::Sample), ("files", SourceType::Files)];
    let Some(kind) = section.choice("type", &choices) else {
        section.missing("type", "it is `sample` or `files`");
        // Its other fields belong to the type, so nothing can be said about them.
        section.rest();
        return None;
    };
    let source = match kind {
        SourceType::Sample => read_sample(model, &mut section),
        SourceType::Files => read_files(folder, model, &mut section),
    };
    section.finish();
    source
}

fn read_sample(model: Option<&str>, section: &mut Section<'_>) -> Option<SourceSettings> {
    let rows_per_hour = section
        .integer("rows_per_hour", 1..=MAX_ROWS_PER_HOUR)
        .unwrap_or(DEFAULT_ROWS_PER_HOUR);
    let model = model?;
    let Some(model) = Model::named(model) else {
        let at = section.at;
        section.problem(
            at,
            "",
            format!("the sample source has no model `{model}`; use events, persons or sessions"),
        );
        return None;
    };
    Some(SourceSettings::Sample {
        model,
        rows_per_hour,
    })
}

fn read_files(
    folder: &Path,
    model: Option<&str>,
    section: &mut Section<'_>,
) -> Option<SourceSettings> {
    let path = section.text("path").map(|(at, path)| {
        if let Err(problem) = check_pattern(&path) {
            section.problem(at, "path", problem);
        }
        path
    });
    if path.is_none() {
        section.missing(
            "path",
            "name a file, a folder or a glob such as `events/**/*.parquet`",
        );
    }
    let format = section.choice(
        "format",
        &[("jsonl", TextFormat::JsonLines), ("csv", TextFormat::Csv)],
    );
    let time_column = section.text("time_column").map(|(at, name)| {
        if let Some(problem) = no_time(model, &name) {
            section.problem(at, "time_column", problem);
        }
        name
    });
    let time_column = time_column.unwrap_or_else(|| "_inserted_at".to_owned());
    let infer_rows = section
        .integer("infer_rows", 0..=u64::MAX)
        .unwrap_or(DEFAULT_INFER_ROWS);
    let dialect = Dialect {
        delimiter: section.parsed_blank("delimiter", delimiter),
        quotes: section
            .choice("quotes", &[("double", true), ("none", false)])
            .unwrap_or(true),
    };
    let columns = read_columns(model, section);
    if let Some(found) = columns.get(&time_column)
        && found.kind() != Some(Kind::Timestamp)
    {
        let (at, key) = (section.at, format!("columns.{time_column}"));
        section.problem(
            at,
            &key,
            format!("the time column cannot be {found}; it is a timestamp"),
        );
    }
    Some(SourceSettings::Files(FilesSettings {
        base: folder.to_path_buf(),
        path: path?,
        model: model?.to_owned(),
        format,
        dialect,
        time_column,
        infer_rows,
        columns,
    }))
}

/// What stands between fields of CSV: one byte that is neither a quote nor a line end.
fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n') => Ok(*byte),
        _ => Err(
            "is not a delimiter; it is one character, such as `;`, `|` or `\\t`, and not a quote"
                .to_owned(),
        ),
    }
}

/// Types of columns. A model's own columns keep their kind: only how they are written can be said.
fn read_columns(model: Option<&str>, section: &mut Section<'_>) -> BTreeMap<String, ColumnType> {
    let mut columns = BTreeMap::new();
    let Some(section) = section.section("columns") else {
        return columns;
    };
    let model = model.and_then(Model::named);
    let schema = model.map(Model::schema);
    section.each_text(TYPE_NAMES, |name, written| {
        let found: ColumnType = written.parse()?;
        let wanted = schema
            .as_ref()
            .and_then(|schema| Kind::of(schema.field_with_name(name).ok()?));
        if let (Some(model), Some(wanted)) = (model, wanted)
            && found.kind() != Some(wanted)
        {
            return Err(format!(
                "the column `{name}` of the model {} is {}, so `{found}` does not go with it",
                model.name(),
                wanted.in_words()
            ));
        }
        columns.insert(name.to_owned(), found);
        Ok(())
    });
    columns
}

/// What is wrong with a time column that the model has: whatever the files hold, it will not be a time.
fn no_time(model: Option<&str>, name: &str) -> Option<String> {
    let schema = Model::named(model?)?.schema();
    let kind = Kind::of(schema.field_with_name(name).ok()?)?;
    if kind == Kind::Timestamp {
        return None;
    }
    let times: Vec<String> = schema
        .fields()
        .iter()
        .filter(|field| Kind::of(field) == Some(Kind::Timestamp))
        .map(|field| format!("`{}`", field.name()))
        .collect();
    Some(format!(
        "the model's column `{name}` holds {}, not times; its timestamps are {}",
        kind.in_words(),
        times.join(", ")
    ))
}

fn read_egress(folder: &Path, destination: &mut Section<'_>) -> (OperatorLists, NetworkOptions) {
    let Some(mut section) = destination.section("egress") else {
        return (OperatorLists::default(), NetworkOptions::default());
    };
    let mut lists = OperatorLists::default();
    lists.allow = section.list("allow", parsed);
    lists.allow_private = section.list("allow_private", parsed);
    let mut network = NetworkOptions::default();
    network.ca_file = section.text("ca_file").map(|(_, path)| folder.join(path));
    network.proxy = section.parsed("proxy", proxy);
    network.no_proxy = section.text("no_proxy").map(|(_, hosts)| hosts);
    section.finish();
    (lists, network)
}

fn parsed<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// A proxy's URL may hold a password, so no message repeats it.
fn proxy(text: &str) -> Result<Secret, String> {
    match url::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            Ok(Secret::new(text))
        }
        _ => Err("not a valid proxy URL; write it like http://proxy.example.com:3128".to_owned()),
    }
}

const MIB: u64 = 1 << 20;

fn read_limits(destination: &mut Section<'_>) -> Limits {
    let mut limits = Limits::default();
    let Some(mut section) = destination.section("limits") else {
        return limits;
    };
    // The upper bounds are wasm's 4 GiB, an hour, a day and a month: beyond them a wrong unit is likelier than a wish.
    if let Some(mib) = section.integer("guest_memory_mb", 16..=4096) {
        limits.guest_memory_bytes = usize::try_from(mib * MIB).unwrap_or(usize::MAX);
    }
    if let Some(mib) = section.integer("source_memory_mb", 256..=1_048_576) {
        limits.source_memory_bytes = mib * MIB;
    }
    if let Some(seconds) = section.integer("compute_time_s", 1..=3600) {
        limits.compute_time_per_call = Duration::from_secs(seconds);
    }
    if let Some(seconds) = section.integer("waiting_time_s", 1..=86_400) {
        limits.waiting_time_per_call = Duration::from_secs(seconds);
    }
    if let Some(seconds) = section.integer("run_time_s", 1..=30 * 86_400) {
        limits.run_time = Duration::from_secs(seconds);
    }
    if let Some(seconds) = section.integer("request_time_s", 1..=3600) {
        limits.http.timeout = Duration::from_secs(seconds);
    }
    if let Some(requests) = section.integer("requests_in_flight", 1..=256) {
        limits.http.in_flight = usize::try_from(requests).unwrap_or(usize::MAX);
    }
    section.finish();
    limits
}
