//! A plugin's fields as its schema and its plan see them: which are secret, which the host goes by, and what is wrong
//! with them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::ids::{attempt_id, run_id};
use crate::destination::{self, Configuration, Draft};
use crate::failure::Failure;
use crate::loading::Loaded;
use crate::pointer;
use crate::problem::Problem;
use batch_export_sandbox::contract::{self, Failure as PluginFailure, Plan, Run};
use batch_export_sandbox::{CallError, Protocol};
use batch_export_source::{EVENT_LISTS, Interval, Model, Moment};
use batch_export_system::explain::Cause;
use batch_export_system::near_miss;

/// The protocol that every destination is checked by: the host's choice, whatever its plugin calls itself.
pub(super) const PROTOCOL: Protocol = Protocol::S3;

/// The host's own keys of a destination, for hints.
const HOST_KEYS: [&str; 10] = [
    "model",
    "custom_model",
    "source",
    "columns",
    "rename",
    "check",
    "egress",
    "limits",
    "credentials",
    "schedule",
];

/// Has a plugin look at a destination of which other parts may be wrong: an error says what is wrong with its fields.
pub(crate) async fn plan_of(draft: &Draft, loaded: &Loaded) -> Result<Plan, Failure> {
    let properties = properties(&loaded.schema);
    let (public, mistyped) = draft.configuration.open(&secret_fields(&loaded.schema));
    if !mistyped.is_empty() {
        return Err(destination::invalid(not_texts(&mistyped)));
    }
    // A model that is wrong was said to be so: any other will do to look at the rest.
    let model = match draft.model.is_empty() {
        true => Model::Events.name(),
        false => draft.model.as_str(),
    };
    let hour = Interval::new(Some(SAMPLE_HOUR.0), SAMPLE_HOUR.1)?;
    let run = Run {
        id: run_id(&draft.name, model, hour),
        attempt: attempt_id()?,
        model: model.to_owned(),
        interval: contract::Interval {
            start_micros: hour.start().map(|start| start.0),
            end_micros: hour.end().0,
        },
    };
    match loaded.plugin.plan(&public.to_string(), &run).await {
        Err(CallError::Failed(PluginFailure::Config(problems))) => {
            Err(placed(problems, &draft.configuration, &properties))
        }
        other => Ok(other?),
    }
}

/// An interval for plans of which the interval does not matter: an hour whose key is long.
pub const SAMPLE_HOUR: (Moment, Moment) = (Moment(1_690_502_400_000_000), Moment(1_690_506_000_000_000));

/// Returns what is wrong with secrets that are no texts.
pub(super) fn not_texts(fields: &[String]) -> Vec<Problem> {
    let fields = fields.iter();
    fields
        .map(|field| Problem::new(pointer::join("", field), "expected a string"))
        .collect()
}

/// Returns the fields that a plugin's schema knows.
pub(super) fn properties(schema: &Value) -> BTreeSet<String> {
    schema["properties"]
        .as_object()
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
}

/// Turns a plugin's complaint into a failure, without any secrets that it quotes.
pub(super) fn placed(
    problems: Vec<contract::Problem>,
    configuration: &Configuration,
    properties: &BTreeSet<String>,
) -> Failure {
    if problems.is_empty() {
        return Failure::unexplained(CallError::Failed(PluginFailure::Config(problems)));
    }
    let placed = problems
        .iter()
        .map(|problem| {
            let field = problem.field.as_str();
            let message = configuration.redacted(field, &problem.message);
            let redacted = |text: &Option<String>| text.as_deref().map(|text| configuration.redacted(field, text));
            let cause = match redacted(&problem.hint) {
                Some(hint) => Cause::new(message).with_hint(hint),
                None => Cause::new(message),
            };
            let placed = Problem::new(pointer::of_field(field), cause).allowing(redacted(&problem.allowed));
            match near_miss(field, HOST_KEYS).filter(|_| !properties.contains(field)) {
                Some(near) => placed.with_hint(format!("did you mean the host's `{near}`?")),
                None => placed,
            }
        })
        .collect();
    destination::invalid(placed)
}

/// The fields that the host goes by. A plugin whose schema calls one of them a secret must not make it vanish, so they
/// are taken from the file itself.
pub(super) fn operator_fields(all: &Value) -> Value {
    all.as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| PROTOCOL.fields().contains(&name.as_str()) || EVENT_LISTS.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Names of the fields that the schema marks `writeOnly`. The keys are none of them any more: the host took them out.
pub(super) fn secret_fields(schema: &Value) -> BTreeSet<String> {
    schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, property)| property["writeOnly"] == Value::Bool(true))
        .map(|(name, _)| name.clone())
        .collect()
}
