//! `inspect`: describes a plugin and its requirements, before it is trusted with anything.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::{Clock, told};
use crate::about::About;
use crate::message::wrapped;
use crate::output::{self, Answer, Form};
use crate::signals::until_first;
use crate::words;
use batch_export_runner::Failure;
use batch_export_runner::Runtime;
use batch_export_runner::component;
use batch_export_sandbox::contract::{Description, Format, PACKAGE, VERSION};
use batch_export_system::terminal::one_line;

/// Describe a plugin: version, imports, formats, configuration fields and digest.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  batch-export inspect dist/s3_destination.wasm --json")]
pub struct InspectArgs {
    /// Plugin (WebAssembly component) to describe; defaults to the built-in one.
    component: Option<PathBuf>,
    /// Print everything as JSON, including the configuration's JSON Schema.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Inspected {
    component: String,
    bytes: usize,
    sha256: String,
    contract: String,
    imports: Vec<String>,
    exports: [String; 1],
    description: Described,
    configuration_schema: Value,
}

/// The description without the schema's text, which is next to it as JSON.
#[derive(Serialize)]
struct Described {
    name: String,
    version: String,
    summary: String,
    formats: Vec<Format>,
    memory_limit_bytes: u64,
    requests_in_flight: u32,
    payload_limit_bytes: u64,
}

impl InspectArgs {
    pub async fn execute(self, clock: Clock) -> ExitCode {
        let outcome = until_first(async |_| self.inspect().await).await;
        output::show(Form::new(self.json, false), clock(), &About::default(), outcome)
    }

    async fn inspect(&self) -> Result<Answer<Inspected>, Failure> {
        let component = component::open(self.component.as_deref())?;
        let loaded = Runtime::default().load(&component, &told(false)).await?;
        let inspected = Inspected {
            component: component.name.clone(),
            bytes: component.bytes.len(),
            sha256: loaded.plugin.digest().to_owned(),
            contract: format!("{PACKAGE}@{VERSION}"),
            imports: loaded.plugin.imports().to_vec(),
            exports: [format!("{PACKAGE}/exporter@{VERSION}")],
            description: described(loaded.description),
            configuration_schema: loaded.schema,
        };
        let text = in_words(&inspected);
        Ok(Answer::new(inspected, text))
    }
}

fn described(description: Description) -> Described {
    Described {
        name: description.name,
        version: description.version,
        summary: description.summary,
        formats: description.formats,
        memory_limit_bytes: description.memory_limit_bytes,
        requests_in_flight: description.requests_in_flight,
        payload_limit_bytes: description.payload_limit_bytes,
    }
}

fn in_words(inspected: &Inspected) -> String {
    let Inspected { description, .. } = inspected;
    let Described {
        name, version, summary, ..
    } = description;
    let mut text = wrapped(&format!("{name} {version}: {}", one_line(summary)), 2) + "\n";
    let mut rows = vec![
        ("plugin".to_owned(), inspected.component.clone()),
        ("size".to_owned(), words::bytes(inspected.bytes as u64)),
        ("sha256".to_owned(), inspected.sha256.clone()),
        ("contract".to_owned(), inspected.contract.clone()),
        (
            "memory".to_owned(),
            format!("at most {}", words::bytes(description.memory_limit_bytes)),
        ),
        (
            "requests in flight".to_owned(),
            format!("at most {}", description.requests_in_flight),
        ),
    ];
    rows.extend(
        description
            .formats
            .iter()
            .map(|format| (format!("format {}", format.name), format.compressions.join(", "))),
    );
    text.push_str(&words::table(&rows));
    text.push_str("imports\n");
    for import in &inspected.imports {
        text.push_str(&format!("  {}\n", one_line(import)));
    }
    text.push_str("exports\n");
    for export in &inspected.exports {
        text.push_str(&format!("  {export}\n"));
    }
    text.push_str("configuration\n");
    text + &words::table(&fields(&inspected.configuration_schema))
}

/// A line for each field: type or choices, default, whether it is required or secret, and its title.
fn fields(schema: &Value) -> Vec<(String, String)> {
    let required = |name: &str| {
        schema["required"]
            .as_array()
            .is_some_and(|names| names.iter().any(|known| known == name))
    };
    let properties = schema["properties"].as_object().into_iter().flatten();
    let mut properties: Vec<_> = properties.collect();
    // The order of the contract's forms; fields without one come last, by name.
    properties.sort_by_key(|(_, property)| property["x-order"].as_u64().unwrap_or(u64::MAX));
    properties
        .into_iter()
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
        // A field that may be omitted may be null as well: that it is not required says so.
        let choices = choices.iter().filter(|choice| !choice.is_null());
        let choices: Vec<_> = choices.map(Value::to_string).collect();
        return choices.join(" | ");
    }
    match &property["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            let kinds = kinds.iter().filter_map(Value::as_str);
            let kinds: Vec<_> = kinds.filter(|kind| *kind != "null").collect();
            kinds.join(" | ")
        }
        _ => "any".to_owned(),
    }
}
