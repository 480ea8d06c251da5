//! `inspect`: says what a component is and wants, before anybody trusts it with anything.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::error::CommandError;
use super::output;
use crate::capability::network::{Network, NetworkOptions};
use crate::component;
use crate::run::loading::{self, Loaded};
use crate::sandbox::contract::{Description, PACKAGE, VERSION};
use crate::terminal::one_line;

/// Show what a component is: version, imports, formats, configuration fields, digest.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  batch-export inspect dist/s3_destination.wasm --json")]
pub struct Inspect {
    /// The component; left out, the bundled one.
    component: Option<PathBuf>,
    /// Print everything as JSON, the configuration's JSON Schema included.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Inspected<'a> {
    component: &'a str,
    bytes: usize,
    sha256: &'a str,
    contract: String,
    imports: &'a [String],
    exports: [String; 1],
    description: Described<'a>,
    configuration_schema: &'a Value,
}

/// The description without the schema's text, which stands beside it as JSON.
#[derive(Serialize)]
struct Described<'a> {
    name: &'a str,
    version: &'a str,
    summary: &'a str,
    formats: &'a [crate::sandbox::contract::Format],
    memory_limit_bytes: u64,
    requests_in_flight: u32,
    payload_limit_bytes: u64,
}

impl Inspect {
    pub async fn execute(self) -> Result<(), CommandError> {
        let component = component::open(self.component.as_deref())?;
        let network = Network::new(&NetworkOptions::default())?;
        let loaded = loading::load(&component, network, &output::note).await?;
        let description = &loaded.description;
        let inspected = Inspected {
            component: &component.name,
            bytes: component.bytes.len(),
            sha256: loaded.plugin.digest(),
            contract: format!("{PACKAGE}@{VERSION}"),
            imports: loaded.plugin.imports(),
            exports: [format!("{PACKAGE}/exporter@{VERSION}")],
            description: described(description),
            configuration_schema: &loaded.schema,
        };
        if self.json {
            output::json(&inspected)
        } else {
            output::lines(&in_words(&inspected, &loaded))
        }
    }
}

fn described(description: &Description) -> Described<'_> {
    Described {
        name: &description.name,
        version: &description.version,
        summary: &description.summary,
        formats: &description.formats,
        memory_limit_bytes: description.memory_limit_bytes,
        requests_in_flight: description.requests_in_flight,
        payload_limit_bytes: description.payload_limit_bytes,
    }
}

fn in_words(inspected: &Inspected<'_>, loaded: &Loaded) -> String {
    let Inspected { description, .. } = inspected;
    let mut text = format!(
        "{} {}: {}\n",
        description.name, description.version, description.summary
    );
    let mut rows = vec![
        ("component".to_owned(), inspected.component.to_owned()),
        ("size".to_owned(), output::bytes(inspected.bytes as u64)),
        ("sha256".to_owned(), inspected.sha256.to_owned()),
        ("contract".to_owned(), inspected.contract.clone()),
        (
            "memory".to_owned(),
            format!("at most {}", output::bytes(description.memory_limit_bytes)),
        ),
        (
            "requests in flight".to_owned(),
            format!("at most {}", description.requests_in_flight),
        ),
    ];
    rows.extend(description.formats.iter().map(|format| {
        (
            format!("format {}", format.name),
            format.compressions.join(", "),
        )
    }));
    text.push_str(&output::table(&rows));
    text.push_str("imports\n");
    for import in inspected.imports {
        text.push_str(&format!("  {}\n", one_line(import)));
    }
    text.push_str("exports\n");
    for export in &inspected.exports {
        text.push_str(&format!("  {export}\n"));
    }
    text.push_str("configuration\n");
    text + &output::table(&fields(&loaded.schema))
}

/// A line for each field: type or choices, default, whether it is required or secret, and its title.
fn fields(schema: &Value) -> Vec<(String, String)> {
    let required = |name: &str| {
        schema["required"]
            .as_array()
            .is_some_and(|names| names.iter().any(|known| known == name))
    };
    let properties = schema["properties"].as_object();
    properties
        .into_iter()
        .flatten()
        .map(|(name, property)| {
            let mut marks = vec![kind(property)];
            if required(name) {
                marks.push("required".to_owned());
            }
            if property["writeOnly"] == Value::Bool(true) {
                marks.push("secret".to_owned());
            }
            if let Some(default) = property.get("default") {
                marks.push(format!("default {default}"));
            }
            (name.clone(), marks.join(", "))
        })
        .collect()
}

fn kind(property: &Value) -> String {
    if let Some(choices) = property["enum"].as_array() {
        let choices: Vec<_> = choices.iter().map(Value::to_string).collect();
        return choices.join(" | ");
    }
    match &property["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            let kinds: Vec<_> = kinds.iter().filter_map(Value::as_str).collect();
            kinds.join(" | ")
        }
        _ => "any".to_owned(),
    }
}
