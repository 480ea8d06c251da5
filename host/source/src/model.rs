//! The models' schemas: the columns every source must supply, in order. Knows nothing of destinations.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// Where Arrow keeps the name and the settings of an extension type, and the two that mean something here.
pub const EXTENSION_NAME: &str = "ARROW:extension:name";
pub const EXTENSION_METADATA: &str = "ARROW:extension:metadata";
pub const JSON_EXTENSION: &str = "arrow.json";
pub const UUID_EXTENSION: &str = "arrow.uuid";

/// The models whose columns are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    Events,
    Persons,
    Sessions,
}

impl Model {
    pub const ALL: [Model; 3] = [Model::Events, Model::Persons, Model::Sessions];

    /// The model of that name; `None` for a name whose columns only the source knows.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Model::Events => "events",
            Model::Persons => "persons",
            Model::Sessions => "sessions",
        }
    }

    /// What one row is, for a person.
    pub fn summary(self) -> &'static str {
        match self {
            Model::Events => "One row per event, with its properties and those of its person.",
            Model::Persons => "One row per distinct id and the person that it belongs to.",
            Model::Sessions => "One row per session.",
        }
    }

    pub fn schema(self) -> SchemaRef {
        let columns = match self {
            Model::Events => EVENTS,
            Model::Persons => PERSONS,
            Model::Sessions => SESSIONS,
        };
        Arc::new(Schema::new(
            columns
                .iter()
                .map(|(name, kind)| kind.field(name))
                .collect::<Vec<_>>(),
        ))
    }
}

/// What a model's column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// A JSON document as text: Arrow's `arrow.json` extension over a string.
    Json,
    Integer,
    Float,
    Boolean,
    /// Microseconds, UTC.
    Timestamp,
    TextList,
}

impl Kind {
    pub fn field(self, name: &str) -> Field {
        let field = Field::new(name, self.data_type(), true);
        match self {
            Kind::Json => field.with_metadata(HashMap::from([
                (EXTENSION_NAME.to_owned(), JSON_EXTENSION.to_owned()),
                (EXTENSION_METADATA.to_owned(), String::new()),
            ])),
            _ => field,
        }
    }

    pub fn data_type(self) -> DataType {
        match self {
            Kind::Text | Kind::Json => DataType::Utf8,
            Kind::Integer => DataType::Int64,
            Kind::Float => DataType::Float64,
            Kind::Boolean => DataType::Boolean,
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::TextList => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
        }
    }

    /// The kind of a field as [`Kind::field`] makes them; `None` for a column of another make.
    pub fn of(field: &Field) -> Option<Self> {
        let json = field
            .metadata()
            .get(EXTENSION_NAME)
            .is_some_and(|name| name == JSON_EXTENSION);
        [
            if json { Kind::Json } else { Kind::Text },
            Kind::Integer,
            Kind::Float,
            Kind::Boolean,
            Kind::Timestamp,
            Kind::TextList,
        ]
        .into_iter()
        .find(|kind| kind.data_type() == *field.data_type())
    }

    /// In words, for messages and the `schema` command.
    pub fn in_words(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Json => "JSON text",
            Kind::Integer => "64-bit integer",
            Kind::Float => "64-bit float",
            Kind::Boolean => "boolean",
            Kind::Timestamp => "timestamp (µs, UTC)",
            Kind::TextList => "list of text",
        }
    }
}

use Kind::{Boolean, Float, Integer, Json, Text, TextList, Timestamp};

const EVENTS: &[(&str, Kind)] = &[
    ("uuid", Text),
    ("event", Text),
    ("distinct_id", Text),
    ("person_id", Text),
    ("properties", Json),
    ("person_properties", Json),
    ("elements_chain", Text),
    ("timestamp", Timestamp),
    ("created_at", Timestamp),
    ("_inserted_at", Timestamp),
];

const PERSONS: &[(&str, Kind)] = &[
    ("team_id", Integer),
    ("distinct_id", Text),
    ("person_id", Text),
    ("properties", Json),
    ("person_distinct_id_version", Integer),
    ("person_version", Integer),
    ("created_at", Timestamp),
    ("_inserted_at", Timestamp),
    ("is_deleted", Boolean),
];

const SESSIONS: &[(&str, Kind)] = &[
    ("session_id", Text),
    ("session_id_v7", Text),
    ("team_id", Integer),
    ("distinct_id", Text),
    ("start_timestamp", Timestamp),
    ("end_timestamp", Timestamp),
    ("urls", TextList),
    ("num_uniq_urls", Integer),
    ("entry_current_url", Text),
    ("end_current_url", Text),
    ("entry_pathname", Text),
    ("end_pathname", Text),
    ("entry_hostname", Text),
    ("end_hostname", Text),
    ("entry_utm_source", Text),
    ("entry_utm_campaign", Text),
    ("entry_utm_medium", Text),
    ("entry_utm_term", Text),
    ("entry_utm_content", Text),
    ("entry_referring_domain", Text),
    ("entry_gclid", Text),
    ("entry_fbclid", Text),
    ("entry_gad_source", Text),
    ("pageview_count", Integer),
    ("autocapture_count", Integer),
    ("screen_count", Integer),
    ("channel_type", Text),
    ("session_duration", Integer),
    ("duration", Integer),
    ("is_bounce", Boolean),
    ("last_external_click_url", Text),
    ("page_screen_autocapture_count_up_to", Integer),
    ("exit_current_url", Text),
    ("exit_pathname", Text),
    ("vitals_lcp", Float),
    ("_inserted_at", Timestamp),
    ("entry_gclsrc", Text),
    ("entry_dclid", Text),
    ("entry_gbraid", Text),
    ("entry_wbraid", Text),
    ("entry_msclkid", Text),
    ("entry_twclid", Text),
    ("entry_li_fat_id", Text),
    ("entry_mc_cid", Text),
    ("entry_igshid", Text),
    ("entry_ttclid", Text),
    ("entry__kx", Text),
    ("entry_irclid", Text),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_named_once_and_keeps_its_kind() {
        for model in Model::ALL {
            let schema = model.schema();
            let mut names: Vec<_> = schema.fields().iter().map(|field| field.name()).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), schema.fields().len(), "{}", model.name());
            assert!(
                schema
                    .fields()
                    .iter()
                    .all(|field| Kind::of(field).is_some())
            );
            assert!(schema.column_with_name("_inserted_at").is_some());
            assert_eq!(Model::named(model.name()), Some(model));
        }
        let json: Vec<_> = Model::Events
            .schema()
            .fields()
            .iter()
            .filter(|field| Kind::of(field) == Some(Json))
            .map(|field| field.name().clone())
            .collect();
        assert_eq!(json, ["properties", "person_properties"]);
    }
}
