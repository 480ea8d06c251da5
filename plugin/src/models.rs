//! The models that exports know: their columns, and whether a supplied schema has them. Looks at no rows.

use arrow::datatypes::{DataType, Field, Schema};

use crate::encode::{Meaning, is_text, is_uuid};
use crate::failure::Failure;

/// Where models without a table of their own keep the time of arrival.
const ARRIVAL_COLUMN: &str = "_inserted_at";
/// Names of UTC that sources write.
const UTC: &[&str] = &["UTC", "utc", "Etc/UTC", "Z", "+00:00", "+00", "+0000"];

/// What a model's column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// Text that is a JSON document.
    Json,
    TextList,
    Timestamp,
    Integer,
    Float,
    Boolean,
}

impl Kind {
    /// What a column of this kind may be, in words.
    pub fn in_words(self) -> &'static str {
        match self {
            Kind::Text => "string (Utf8)",
            Kind::Json => "JSON as string (Utf8)",
            Kind::TextList => "list of strings (List of Utf8)",
            Kind::Timestamp => "timestamp in UTC (Timestamp, µs)",
            Kind::Integer => "integer (Int64)",
            Kind::Float => "float (Float64)",
            Kind::Boolean => "boolean (Boolean)",
        }
    }

    fn takes(self, field: &Field) -> bool {
        let data_type = field.data_type();
        match self {
            Kind::Text => is_text(data_type) || is_uuid(field),
            Kind::Json => is_text(data_type),
            Kind::TextList => match data_type {
                DataType::List(item)
                | DataType::LargeList(item)
                | DataType::ListView(item)
                | DataType::LargeListView(item)
                | DataType::FixedSizeList(item, _) => is_text(item.data_type()),
                _ => false,
            },
            Kind::Timestamp => is_utc_timestamp(data_type),
            Kind::Integer => data_type.is_integer(),
            Kind::Float => data_type.is_floating(),
            Kind::Boolean => *data_type == DataType::Boolean,
        }
    }
}

/// A model: the columns that a source must supply. Others pass through after them.
#[derive(Debug)]
pub struct Model {
    pub name: &'static str,
    pub columns: &'static [(&'static str, Kind)],
    /// Whose first and last value a detailed manifest tells.
    pub time_column: &'static str,
}

/// What happened.
pub const EVENTS: Model = Model {
    name: "events",
    columns: &[
        ("uuid", Kind::Text),
        ("event", Kind::Text),
        ("distinct_id", Kind::Text),
        ("person_id", Kind::Text),
        ("properties", Kind::Json),
        ("person_properties", Kind::Json),
        ("elements_chain", Kind::Text),
        ("timestamp", Kind::Timestamp),
        ("created_at", Kind::Timestamp),
        ("_inserted_at", Kind::Timestamp),
    ],
    time_column: "timestamp",
};

/// To whom it happened.
pub const PERSONS: Model = Model {
    name: "persons",
    columns: &[
        ("team_id", Kind::Integer),
        ("distinct_id", Kind::Text),
        ("person_id", Kind::Text),
        ("properties", Kind::Json),
        ("person_distinct_id_version", Kind::Integer),
        ("person_version", Kind::Integer),
        ("created_at", Kind::Timestamp),
        ("_inserted_at", Kind::Timestamp),
        ("is_deleted", Kind::Boolean),
    ],
    time_column: "_inserted_at",
};

/// In which visits it happened.
pub const SESSIONS: Model = Model {
    name: "sessions",
    columns: &[
        ("session_id", Kind::Text),
        ("session_id_v7", Kind::Text),
        ("team_id", Kind::Integer),
        ("distinct_id", Kind::Text),
        ("start_timestamp", Kind::Timestamp),
        ("end_timestamp", Kind::Timestamp),
        ("urls", Kind::TextList),
        ("num_uniq_urls", Kind::Integer),
        ("entry_current_url", Kind::Text),
        ("end_current_url", Kind::Text),
        ("entry_pathname", Kind::Text),
        ("end_pathname", Kind::Text),
        ("entry_hostname", Kind::Text),
        ("end_hostname", Kind::Text),
        ("entry_utm_source", Kind::Text),
        ("entry_utm_campaign", Kind::Text),
        ("entry_utm_medium", Kind::Text),
        ("entry_utm_term", Kind::Text),
        ("entry_utm_content", Kind::Text),
        ("entry_referring_domain", Kind::Text),
        ("entry_gclid", Kind::Text),
        ("entry_fbclid", Kind::Text),
        ("entry_gad_source", Kind::Text),
        ("pageview_count", Kind::Integer),
        ("autocapture_count", Kind::Integer),
        ("screen_count", Kind::Integer),
        ("channel_type", Kind::Text),
        ("session_duration", Kind::Integer),
        ("duration", Kind::Integer),
        ("is_bounce", Kind::Boolean),
        ("last_external_click_url", Kind::Text),
        ("page_screen_autocapture_count_up_to", Kind::Integer),
        ("exit_current_url", Kind::Text),
        ("exit_pathname", Kind::Text),
        ("vitals_lcp", Kind::Float),
        ("_inserted_at", Kind::Timestamp),
        ("entry_gclsrc", Kind::Text),
        ("entry_dclid", Kind::Text),
        ("entry_gbraid", Kind::Text),
        ("entry_wbraid", Kind::Text),
        ("entry_msclkid", Kind::Text),
        ("entry_twclid", Kind::Text),
        ("entry_li_fat_id", Kind::Text),
        ("entry_mc_cid", Kind::Text),
        ("entry_igshid", Kind::Text),
        ("entry_ttclid", Kind::Text),
        ("entry__kx", Kind::Text),
        ("entry_irclid", Kind::Text),
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
            Some((_, field)) if !kind.takes(field) => wrong.push(format!(
                "`{name}` is {}, not {}",
                field.data_type(),
                kind.in_words()
            )),
            Some(_) => {}
        }
    }
    let names: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    let mut repeated: Vec<&str> = sorted
        .windows(2)
        .filter(|pair| pair[0] == pair[1])
        .map(|pair| pair[0])
        .collect();
    repeated.dedup();
    wrong.extend(
        repeated
            .iter()
            .map(|name| format!("`{name}` is there more than once")),
    );
    if names.is_empty() && wrong.is_empty() {
        wrong.push("there is no column at all".to_owned());
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Failure::Data(format!(
            "the source's columns do not fit the model `{model}`: {}",
            wrong.join("; ")
        ))),
    }
}

/// What the model makes of each of the schema's columns.
pub fn meanings(model: &str, schema: &Schema) -> Vec<Meaning> {
    let columns = required(model).map_or(&[][..], |model| model.columns);
    let meaning = |field: &Field| {
        let column = columns.iter().find(|(name, _)| name == field.name());
        match column {
            Some((_, Kind::Json)) => Meaning::Json,
            Some((_, Kind::Text)) => Meaning::Text,
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
