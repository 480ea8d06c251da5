//! The known models: their columns, and whether a supplied schema has them. Does not look at rows.

use arrow_schema::{DataType, Field, Schema};

use crate::encode::{Meaning, is_text, is_uuid};
use crate::failure::{Explanation, Failure};

/// The column with the time of arrival in models without their own table.
const ARRIVAL_COLUMN: &str = "_inserted_at";
/// The mark of a schema of which the operator chose the columns, as the contract says.
const CHOSEN: (&str, &str) = ("batch_export.columns", "chosen");
/// Names that sources use for UTC.
const UTC: &[&str] = &["UTC", "utc", "Etc/UTC", "Z", "+00:00", "+00", "+0000"];

/// The kind of values in a model's column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    Text,
    /// Text that is a JSON document.
    Json,
    TextList,
    Timestamp,
    Integer,
    Float,
    Boolean,
}

impl ColumnKind {
    /// Describes the columns that are accepted for this kind.
    pub fn in_words(self) -> &'static str {
        match self {
            ColumnKind::Text => "string (Utf8)",
            ColumnKind::Json => "JSON as string (Utf8)",
            ColumnKind::TextList => "list of strings (List of Utf8)",
            ColumnKind::Timestamp => "timestamp in UTC (Timestamp, µs)",
            ColumnKind::Integer => "integer (Int64)",
            ColumnKind::Float => "float (Float64)",
            ColumnKind::Boolean => "boolean (Boolean)",
        }
    }

    fn takes(self, field: &Field) -> bool {
        let data_type = field.data_type();
        match self {
            ColumnKind::Text => is_text(data_type) || is_uuid(field),
            ColumnKind::Json => is_text(data_type),
            ColumnKind::TextList => match data_type {
                DataType::List(item)
                | DataType::LargeList(item)
                | DataType::ListView(item)
                | DataType::LargeListView(item)
                | DataType::FixedSizeList(item, _) => is_text(item.data_type()),
                _ => false,
            },
            ColumnKind::Timestamp => is_utc_timestamp(data_type),
            ColumnKind::Integer => data_type.is_integer(),
            ColumnKind::Float => data_type.is_floating(),
            ColumnKind::Boolean => *data_type == DataType::Boolean,
        }
    }
}

/// A model: the columns that a source must supply. Additional columns follow them.
#[derive(Debug)]
pub struct Model {
    pub name: &'static str,
    pub columns: &'static [(&'static str, ColumnKind)],
    /// The column whose first and last value a detailed manifest lists.
    pub time_column: &'static str,
}

/// What happened.
pub const EVENTS: Model = Model {
    name: "events",
    columns: &[
        ("uuid", ColumnKind::Text),
        ("event", ColumnKind::Text),
        ("distinct_id", ColumnKind::Text),
        ("person_id", ColumnKind::Text),
        ("properties", ColumnKind::Json),
        ("person_properties", ColumnKind::Json),
        ("elements_chain", ColumnKind::Text),
        ("timestamp", ColumnKind::Timestamp),
        ("created_at", ColumnKind::Timestamp),
        ("_inserted_at", ColumnKind::Timestamp),
    ],
    time_column: "timestamp",
};

/// To whom it happened.
pub const PERSONS: Model = Model {
    name: "persons",
    columns: &[
        ("team_id", ColumnKind::Integer),
        ("distinct_id", ColumnKind::Text),
        ("person_id", ColumnKind::Text),
        ("properties", ColumnKind::Json),
        ("person_distinct_id_version", ColumnKind::Integer),
        ("person_version", ColumnKind::Integer),
        ("created_at", ColumnKind::Timestamp),
        ("_inserted_at", ColumnKind::Timestamp),
        ("is_deleted", ColumnKind::Boolean),
    ],
    time_column: "_inserted_at",
};

/// In which visits it happened.
pub const SESSIONS: Model = Model {
    name: "sessions",
    columns: &[
        ("session_id", ColumnKind::Text),
        ("session_id_v7", ColumnKind::Text),
        ("team_id", ColumnKind::Integer),
        ("distinct_id", ColumnKind::Text),
        ("start_timestamp", ColumnKind::Timestamp),
        ("end_timestamp", ColumnKind::Timestamp),
        ("urls", ColumnKind::TextList),
        ("num_uniq_urls", ColumnKind::Integer),
        ("entry_current_url", ColumnKind::Text),
        ("end_current_url", ColumnKind::Text),
        ("entry_pathname", ColumnKind::Text),
        ("end_pathname", ColumnKind::Text),
        ("entry_hostname", ColumnKind::Text),
        ("end_hostname", ColumnKind::Text),
        ("entry_utm_source", ColumnKind::Text),
        ("entry_utm_campaign", ColumnKind::Text),
        ("entry_utm_medium", ColumnKind::Text),
        ("entry_utm_term", ColumnKind::Text),
        ("entry_utm_content", ColumnKind::Text),
        ("entry_referring_domain", ColumnKind::Text),
        ("entry_gclid", ColumnKind::Text),
        ("entry_fbclid", ColumnKind::Text),
        ("entry_gad_source", ColumnKind::Text),
        ("pageview_count", ColumnKind::Integer),
        ("autocapture_count", ColumnKind::Integer),
        ("screen_count", ColumnKind::Integer),
        ("channel_type", ColumnKind::Text),
        ("session_duration", ColumnKind::Integer),
        ("duration", ColumnKind::Integer),
        ("is_bounce", ColumnKind::Boolean),
        ("last_external_click_url", ColumnKind::Text),
        ("page_screen_autocapture_count_up_to", ColumnKind::Integer),
        ("exit_current_url", ColumnKind::Text),
        ("exit_pathname", ColumnKind::Text),
        ("vitals_lcp", ColumnKind::Float),
        ("_inserted_at", ColumnKind::Timestamp),
        ("entry_gclsrc", ColumnKind::Text),
        ("entry_dclid", ColumnKind::Text),
        ("entry_gbraid", ColumnKind::Text),
        ("entry_wbraid", ColumnKind::Text),
        ("entry_msclkid", ColumnKind::Text),
        ("entry_twclid", ColumnKind::Text),
        ("entry_li_fat_id", ColumnKind::Text),
        ("entry_mc_cid", ColumnKind::Text),
        ("entry_igshid", ColumnKind::Text),
        ("entry_ttclid", ColumnKind::Text),
        ("entry__kx", ColumnKind::Text),
        ("entry_irclid", ColumnKind::Text),
    ],
    time_column: "_inserted_at",
};

/// Returns what a run of this model requires; `None` for names without a table, whose rows pass unchanged.
pub fn required(model: &str) -> Option<&'static Model> {
    static MODELS: [Model; 3] = [EVENTS, PERSONS, SESSIONS];
    MODELS.iter().find(|known| known.name == model)
}

/// Returns whether the operator chose the columns of a schema, after the host applied the event lists.
pub fn is_chosen(schema: &Schema) -> bool {
    schema.metadata().get(CHOSEN.0).is_some_and(|value| value == CHOSEN.1)
}

/// Checks a supplied schema before the first row: all missing, mistyped or repeated columns are reported in one
/// [`Failure::Data`]. Additional columns are accepted, and missing ones where the operator chose the columns.
pub fn check_schema(model: &str, schema: &Schema) -> Result<(), Failure> {
    let is_chosen = is_chosen(schema);
    let mut wrong = Vec::new();
    for (name, kind) in required(model).map_or(&[][..], |model| model.columns) {
        match schema.column_with_name(name) {
            None if is_chosen => {}
            None => wrong.push(format!("`{name}` is missing ({})", kind.in_words())),
            Some((_, field)) if !kind.takes(field) => {
                wrong.push(format!("`{name}` is {}, not {}", field.data_type(), kind.in_words()))
            }
            Some(_) => {}
        }
    }
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    let mut repeated: Vec<&str> = sorted
        .windows(2)
        .filter(|pair| pair[0] == pair[1])
        .map(|pair| pair[0])
        .collect();
    repeated.dedup();
    wrong.extend(repeated.iter().map(|name| format!("`{name}` occurs more than once")));
    if names.is_empty() && wrong.is_empty() {
        wrong.push("there are no columns".to_owned());
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => {
            let message = format!(
                "the source's columns do not fit the model `{model}`: {}",
                wrong.join("; ")
            );
            let hint = match required(model) {
                Some(_) => "rename and convert the columns in the source to match the model, or choose another model",
                None => "rename columns in the source so that every name is unique",
            };
            Err(Failure::Data(Explanation::new(message).with_hint(hint.to_owned())))
        }
    }
}

/// Returns the meaning that the model gives to each of the schema's columns.
pub fn meanings(model: &str, schema: &Schema) -> Vec<Meaning> {
    let columns = required(model).map_or(&[][..], |model| model.columns);
    let meaning = |field: &Field| {
        let column = columns.iter().find(|(name, _)| name == field.name());
        match column {
            Some((_, ColumnKind::Json)) => Meaning::Json,
            Some((_, ColumnKind::Text)) => Meaning::Text,
            _ => Meaning::Own,
        }
    };
    schema.fields().iter().map(|field| meaning(field)).collect()
}

/// Returns the index of the column whose first and last value a detailed manifest lists, if there is one.
pub fn time_column(model: &str, schema: &Schema) -> Option<usize> {
    let name = required(model).map_or(ARRIVAL_COLUMN, |model| model.time_column);
    schema
        .column_with_name(name)
        .filter(|(_, field)| is_utc_timestamp(field.data_type()))
        .map(|(index, _)| index)
}

fn is_utc_timestamp(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(_, None) => true,
        DataType::Timestamp(_, Some(zone)) => UTC.contains(&zone.as_ref()),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
