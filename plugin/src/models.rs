//! The models that exports know: their columns, and whether a supplied schema has them. Looks at no rows.

use arrow_schema::{DataType, Field, Schema};

use crate::encode::{Meaning, is_text, is_uuid};
use crate::failure::{Explanation, Failure};

/// Where models without a table of their own keep the time of arrival.
const ARRIVAL_COLUMN: &str = "_inserted_at";
/// Names of UTC that sources write.
const UTC: &[&str] = &["UTC", "utc", "Etc/UTC", "Z", "+00:00", "+00", "+0000"];

/// What a model's column holds.
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
    /// What a column of this kind may be, in words.
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

/// A model: the columns that a source must supply. Others pass through after them.
#[derive(Debug)]
pub struct Model {
    pub name: &'static str,
    pub columns: &'static [(&'static str, ColumnKind)],
    /// Whose first and last value a detailed manifest tells.
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

/// What a run of this model requires; `None` for names that have no table, whose rows pass as they are.
pub fn required(model: &str) -> Option<&'static Model> {
    static MODELS: [Model; 3] = [EVENTS, PERSONS, SESSIONS];
    MODELS.iter().find(|known| known.name == model)
}

/// Check a supplied schema before the first row: every missing, mistyped or repeated column in one
/// [`Failure::Data`]. Columns beyond the model's pass.
pub fn check_schema(model: &str, schema: &Schema) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    for (name, kind) in required(model).map_or(&[][..], |model| model.columns) {
        match schema.column_with_name(name) {
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
    wrong.extend(repeated.iter().map(|name| format!("`{name}` is there more than once")));
    if names.is_empty() && wrong.is_empty() {
        wrong.push("there is no column at all".to_owned());
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => {
            let message = format!(
                "the source's columns do not fit the model `{model}`: {}",
                wrong.join("; ")
            );
            let hint = match required(model) {
                Some(_) => "name and convert the columns in the source as the model has them, or choose another model",
                None => "rename columns in the source, so that each name is there once",
            };
            Err(Failure::Data(Explanation::new(message).with_hint(hint.to_owned())))
        }
    }
}

/// What the model makes of each of the schema's columns.
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

/// Index of the column whose first and last value a detailed manifest tells; `None` where there is none.
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
