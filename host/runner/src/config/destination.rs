//! One `[destinations.NAME]` table: the host's own keys, and the plugin's fields as they are written. Turns it into a
//! destination's parts; the destination itself reports what is wrong with those.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::credentials;
use super::schedule;
use super::section::Section;
use super::source;
use super::tree::{Entry, Node, PlaceIndex, Table, Value};
use crate::destination::{self, CheckMode, Configuration, Destination, DestinationParts, Draft, SecretText};
use crate::pointer;
use crate::problem::Problem;
use batch_export_sandbox::{Limits, NetworkOptions, OperatorLists, Secret};
use batch_export_schedule::Schedule;
use batch_export_source::ColumnChoice;
use batch_export_system::explain::{Cause, Explain};

/// What one table holds.
pub(super) struct Read {
    /// `None` leaves at least one problem behind.
    pub destination: Option<Destination>,
    pub schedule: Option<Schedule>,
    /// For the destination's plugin to look at.
    pub draft: Draft,
}

/// Reads one table.
pub(super) fn read(
    folder: &Path,
    component: Option<&Path>,
    places: &PlaceIndex,
    name: String,
    mut section: Section<'_>,
) -> Read {
    let model_text = section.secret("model").map(|(_, model)| model);
    let model = model_text.as_ref().map(|text| text.value().to_owned());
    let custom_model = section.flag("custom_model").is_some_and(|(_, is_custom)| is_custom);
    if model.is_none() {
        section.missing("model", "name the model to export: events, persons or sessions");
    }
    let source = source::read(folder, model.as_deref(), &mut section);
    let choice = read_choice(&mut section);
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
    let schedule = schedule::read(places, &mut section);
    let parts = DestinationParts {
        name,
        model: model.unwrap_or_default(),
        custom_model,
        configuration: configuration(&section.rest()),
        source,
        choice,
        credentials,
        check: check.unwrap_or_default(),
        egress,
        network,
        limits,
        component: component.map(Path::to_path_buf),
    };
    // What is missing was said already, in the words of the file.
    let is_said = ["/model", "/source", "/credentials"];
    let is_missing = [
        parts.model.is_empty(),
        parts.source.is_none(),
        parts.credentials.is_none(),
    ];
    for problem in destination::problems(&parts) {
        let said = is_said.iter().zip(is_missing);
        if !said
            .into_iter()
            .any(|(said, is_missing)| is_missing && problem.pointer == *said)
        {
            // A variable may have put a secret even into the model's name.
            let shown = |said: &str| match &model_text {
                Some(text) => text.redacted(said),
                None => said.to_owned(),
            };
            let problem = Problem {
                message: shown(&problem.message),
                hint: problem.hint.as_deref().map(shown),
                ..problem
            };
            section.add(problem, places);
        }
    }
    let draft = Draft {
        name: parts.name.clone(),
        model: parts.model.clone(),
        configuration: parts.configuration.clone(),
    };
    Read {
        destination: Destination::new(parts).ok(),
        schedule,
        draft,
    }
}

/// Takes the plugin's fields apart into values and texts that a variable was put into.
fn configuration(table: &Table) -> Configuration {
    let mut secrets = Vec::new();
    let values: Map<String, Json> = table
        .entries
        .iter()
        .filter_map(|Entry { key, node, .. }| {
            let value = json(node, &pointer::join("", key), &mut secrets);
            (!value.is_null()).then(|| (key.clone(), value))
        })
        .collect();
    let configuration = Configuration::from(values);
    secrets
        .into_iter()
        .fold(configuration, |configuration, (pointer, text)| {
            configuration.with_secret(pointer, text)
        })
}

/// Returns a value as JSON, with null for texts that are kept apart.
fn json(node: &Node, path: &str, secrets: &mut Vec<(String, SecretText)>) -> Json {
    match &node.value {
        Value::Text(text) if text.is_secret() => {
            secrets.push((path.to_owned(), text.clone()));
            Json::Null
        }
        Value::Text(text) => Json::from(text.value()),
        Value::Integer(integer) => Json::from(*integer),
        Value::Float(float) => Json::from(*float),
        Value::Boolean(boolean) => Json::from(*boolean),
        Value::Datetime(written) => Json::from(written.as_str()),
        Value::List(nodes) => {
            let nodes = nodes.iter().enumerate();
            nodes
                .map(|(index, node)| json(node, &pointer::join(path, &index.to_string()), secrets))
                .collect()
        }
        Value::Table(table) => {
            let entries = table.entries.iter();
            entries
                .map(|Entry { key, node, .. }| (key.clone(), json(node, &pointer::join(path, key), secrets)))
                .collect()
        }
        Value::Broken => Json::Null,
    }
}

/// Reads which columns are exported, and under what names.
fn read_choice(destination: &mut Section<'_>) -> ColumnChoice {
    let at = destination.place("columns").or_else(|| destination.place("rename"));
    let is_empty = |name: &str| match name.trim().is_empty() {
        true => Err(Cause::new("empty").with_hint("name a column")),
        false => Ok(name.to_owned()),
    };
    let has_columns = destination.has("columns");
    let columns = destination.list("columns", is_empty);
    let mut rename = BTreeMap::new();
    if let Some(section) = destination.section("rename") {
        section.each_text("a new name for a column of the source", |name, new| {
            rename.insert(name.to_owned(), is_empty(new)?);
            Ok(())
        });
    }
    let at = at.unwrap_or(destination.at);
    if has_columns && columns.is_empty() {
        let none = Cause::new("no column is named").with_hint("name the columns to export, or remove the line");
        destination.problem_unless_known(at, "columns", none);
    }
    match ColumnChoice::new(columns, rename) {
        Ok(choice) => choice,
        Err(cause) => {
            destination.problem(at, "columns", cause);
            ColumnChoice::default()
        }
    }
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
    network.no_proxy = section.parsed("no_proxy", no_proxy);
    section.finish();
    (lists, network)
}

/// Reads a text of which the type says what is wrong with it.
pub(super) fn parsed<T: FromStr<Err: Explain>>(text: &str) -> Result<T, Cause> {
    text.parse().map_err(|error: T::Err| Cause::of(&error))
}

/// A proxy's URL may hold a password, so no message repeats it.
fn proxy(text: &str) -> Result<Secret, Cause> {
    match url::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(Secret::new(text)),
        _ => Err(Cause::new("not a valid proxy URL").with_hint("write it like http://proxy.example.com:3128")),
    }
}

/// The HTTP client passes over what it does not understand.
fn no_proxy(text: &str) -> Result<String, Cause> {
    let is_part = |c: char| c.is_alphanumeric() || ".-_:[]/*".contains(c);
    let is_entry = |entry: &str| match entry.split_once('/') {
        Some((address, bits)) => {
            let most = match address.parse() {
                Ok(IpAddr::V4(_)) => 32,
                Ok(IpAddr::V6(_)) => 128,
                Err(_) => return false,
            };
            bits.parse::<u8>().is_ok_and(|bits| bits <= most)
        }
        None => !entry.is_empty() && entry.chars().all(is_part),
    };
    match text.split(',').map(str::trim).find(|entry| !is_entry(entry)) {
        None => Ok(text.to_owned()),
        Some(entry) => Err(
            Cause::new(format!("`{entry}` is not a name, an address or a block of addresses"))
                .with_hint("separate them by commas, as in \"localhost,.internal,10.0.0.0/8\""),
        ),
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
