//! What can be wrong with the parts of a destination, without asking its plugin: names, the model, and a source that
//! does not fit the model.

use super::DestinationParts;
use crate::pointer;
use crate::problem::Problem;
use batch_export_source::{ColumnKind, FilesSettings, Model, SourceSettings, TYPE_NAMES, TimeOf, check_pattern};
use batch_export_system::explain::Cause;

/// A destination's name is part of run ids and of names of state files.
const NAME_BYTES: usize = 64;
/// The contract's limit for a model's name.
const MODEL_BYTES: usize = 128;
/// Changes of a letter after which a name still looks like the known one: a plural forgotten, letters swapped.
const SLIPS: usize = 2;

/// Returns everything wrong with the parts.
pub(crate) fn problems(parts: &DestinationParts) -> Vec<Problem> {
    let mut found = Vec::new();
    if !is_name(&parts.name, NAME_BYTES) {
        found.push(Problem::new(
            "",
            format!("a destination's name consists of at most {NAME_BYTES} letters, digits, `-` and `_`"),
        ));
    }
    let model = model(parts);
    let is_known = model.is_none();
    found.extend(model);
    match &parts.source {
        None => found.push(
            Problem::new("/source", "missing").with_hint("specify where rows come from, such as files with a path"),
        ),
        Some(SourceSettings::Sample { model, .. }) if is_known && Some(*model) != Model::named(&parts.model) => {
            found.push(
                Problem::new("/source", format!("the sample source has no model `{}`", parts.model))
                    .with_hint("use events, persons or sessions"),
            );
        }
        Some(SourceSettings::Sample { .. }) => {}
        Some(SourceSettings::Files(settings)) => files(&parts.model, settings, &mut found),
        Some(SourceSettings::Command(settings)) => {
            supplied(
                &parts.model,
                &settings.model,
                |by| settings.time_column_of(by),
                &mut found,
            );
        }
        Some(SourceSettings::ClickHouse(settings)) => {
            let query = &settings.query;
            supplied(&parts.model, &query.model, |by| query.time_column_of(by), &mut found);
        }
        Some(SourceSettings::Postgres(settings)) => {
            let query = &settings.query;
            supplied(&parts.model, &query.model, |by| query.time_column_of(by), &mut found);
        }
    }
    if parts.credentials.is_none() {
        found
            .push(Problem::new("/credentials", "missing").with_hint("set keys, or use this machine's own credentials"));
    }
    found
}

fn is_name(text: &str, limit: usize) -> bool {
    (1..=limit).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn model(parts: &DestinationParts) -> Option<Problem> {
    let name = parts.model.as_str();
    if name.is_empty() {
        return Some(Problem::new("/model", "missing").with_hint(
            "name the model to export: events, persons or \
                                                                 sessions",
        ));
    }
    if !is_name(name, MODEL_BYTES) {
        return Some(
            Problem::new("/model", format!("`{name}` is not a valid model name")).with_hint(
                "use events, persons or sessions, or with a files source another name made of letters, digits, `-` \
                 and `_`",
            ),
        );
    }
    match (Model::named(name), parts.custom_model) {
        (Some(known), true) => Some(
            Problem::new("/custom_model", format!("`{}` is a known model", known.name()))
                .with_hint("remove this, or choose another name"),
        ),
        (None, false) => known_model_meant(name).map(|near| {
            Problem::new("/model", format!("`{name}` is not a known model")).with_hint(format!(
                "did you mean `{near}`? (if it is a model of your own, add custom_model = true)"
            ))
        }),
        _ => None,
    }
}

/// Returns the known model that a name is nearly, but not quite.
fn known_model_meant(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    Model::ALL
        .into_iter()
        .map(Model::name)
        .map(|known| (strsim::damerau_levenshtein(&lower, known), known))
        .filter(|(slips, _)| *slips <= SLIPS)
        .min()
        .map(|(_, known)| known)
}

/// The fields that name a column by which rows belong to an interval.
const TIME_COLUMNS: [(&str, TimeOf); 2] = [
    ("/source/time_column", TimeOf::Arrival),
    ("/source/backfill_time_column", TimeOf::Event),
];

/// Returns the problem of a source that was made for another model.
fn other_model(model: &str, of_source: &str) -> Option<Problem> {
    let message = || format!("the source has the model `{of_source}`, not `{model}`");
    (of_source != model).then(|| Problem::new("/source", message()))
}

/// Finds what no rows of a database or a program can make right.
fn supplied<'a>(model: &str, of_source: &str, column: impl Fn(TimeOf) -> Option<&'a str>, found: &mut Vec<Problem>) {
    found.extend(other_model(model, of_source));
    let mut said = None;
    for (pointer, by) in TIME_COLUMNS {
        let problem = |name| no_time(Model::named(model)?, name).map(|cause| Problem::new(pointer, cause));
        // What is said of the one column is not said again of the same.
        let name = column(by).filter(|name| said.replace(*name) != Some(*name));
        found.extend(name.and_then(problem));
    }
}

fn files(model: &str, settings: &FilesSettings, found: &mut Vec<Problem>) {
    if let Err(problem) = check_pattern(&settings.base, &settings.path) {
        found.push(Problem::new("/source/path", problem));
    }
    found.extend(other_model(model, &settings.model));
    let known = Model::named(model);
    let times = TIME_COLUMNS.map(|(pointer, by)| (pointer, settings.time_column_of(by)));
    // What is said of the one column is not said again of the same.
    let times = if times[0].1 == times[1].1 {
        &times[..1]
    } else {
        &times[..]
    };
    for (pointer, column) in times {
        if let Some(problem) = known.and_then(|known| no_time(known, column)) {
            found.push(Problem::new(*pointer, problem));
        }
    }
    let schema = known.map(Model::schema);
    for (name, column) in &settings.columns {
        let wanted = schema
            .as_ref()
            .and_then(|schema| ColumnKind::of(schema.field_with_name(name).ok()?));
        let pointer = pointer::join("/source/columns", name);
        if let (Some(model), Some(wanted)) = (known, wanted)
            && column.kind() != Some(wanted)
        {
            let message = format!(
                "the column `{name}` of the model {} is {}, so it cannot be `{column}`",
                model.name(),
                wanted.in_words()
            );
            found.push(Problem::new(pointer, message).allowing(TYPE_NAMES.to_owned()));
        } else if times.iter().any(|(_, time)| time == name) && column.kind() != Some(ColumnKind::Timestamp) {
            let message = format!("the time column cannot be {column}; it is a timestamp");
            found.push(Problem::new(pointer, message));
        }
    }
}

/// Returns what is wrong with a time column that the model has: whatever the files hold, it will not be a time.
fn no_time(model: Model, name: &str) -> Option<Cause> {
    let schema = model.schema();
    let kind = ColumnKind::of(schema.field_with_name(name).ok()?)?;
    if kind == ColumnKind::Timestamp {
        return None;
    }
    let times: Vec<String> = schema
        .fields()
        .iter()
        .filter(|field| ColumnKind::of(field) == Some(ColumnKind::Timestamp))
        .map(|field| format!("`{}`", field.name()))
        .collect();
    Some(
        Cause::new(format!(
            "the model's column `{name}` holds {}, not times",
            kind.in_words()
        ))
        .with_hint(format!("use one of its timestamps: {}", times.join(", "))),
    )
}
