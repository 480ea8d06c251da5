//! The models' schemas: the columns every source must supply, in order. Knows nothing of destinations.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// The metadata in which Arrow keeps the name and the settings of an extension type, and the two names that mean
/// something here.
pub(crate) const EXTENSION_NAME: &str = "ARROW:extension:name";
pub(crate) const EXTENSION_METADATA: &str = "ARROW:extension:metadata";
pub(crate) const JSON_EXTENSION: &str = "arrow.json";
pub(crate) const UUID_EXTENSION: &str = "arrow.uuid";

/// The models whose columns are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// What people did.
    Events,
    /// The people who did it.
    Persons,
    /// Visits, each with its events together.
    Sessions,
}

impl Model {
    /// Every model whose columns are known.
    pub const ALL: [Model; 3] = [Model::Events, Model::Persons, Model::Sessions];

    /// Returns the model of that name; `None` for a name whose columns only the source knows.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.name() == name)
    }

    /// Returns the name by which a configuration knows it.
    pub fn name(self) -> &'static str {
        match self {
            Model::Events => "events",
            Model::Persons => "persons",
            Model::Sessions => "sessions",
        }
    }

    /// Describes a row in one sentence.
    pub fn summary(self) -> &'static str {
        match self {
            Model::Events => "One row per event, with its properties and those of its person.",
            Model::Persons => "One row per distinct id and the person that it belongs to.",
            Model::Sessions => "One row per session.",
        }
    }

    /// Returns its columns, in order.
    pub fn schema(self) -> SchemaRef {
        let columns = match self {
            Model::Events => EVENTS,
            Model::Persons => PERSONS,
            Model::Sessions => SESSIONS,
        };
        Arc::new(Schema::new(
            columns.iter().map(|(name, kind)| kind.field(name)).collect::<Vec<_>>(),
        ))
    }
}

/// The kind of a model's column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Text.
    Text,
    /// A JSON document as text: Arrow's `arrow.json` extension over a string.
    Json,
    /// An integer of 64 bits.
    Integer,
    /// A floating-point number of 64 bits.
    Float,
    /// `true` or `false`.
    Boolean,
    /// Microseconds since 1970, UTC.
    Timestamp,
    /// A list of texts.
    TextList,
}

impl ColumnKind {
    /// Returns the field of a column of that name.
    pub fn field(self, name: &str) -> Field {
        let field = Field::new(name, self.data_type(), true);
        match self {
            ColumnKind::Json => field.with_metadata(HashMap::from([
                (EXTENSION_NAME.to_owned(), JSON_EXTENSION.to_owned()),
                (EXTENSION_METADATA.to_owned(), String::new()),
            ])),
            _ => field,
        }
    }

    /// Returns the Arrow type of its values.
    pub fn data_type(self) -> DataType {
        match self {
            ColumnKind::Text | ColumnKind::Json => DataType::Utf8,
            ColumnKind::Integer => DataType::Int64,
            ColumnKind::Float => DataType::Float64,
            ColumnKind::Boolean => DataType::Boolean,
            ColumnKind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            ColumnKind::TextList => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
        }
    }

    /// Returns the kind of a field as [`ColumnKind::field`] makes them; `None` for a column of another type.
    pub fn of(field: &Field) -> Option<Self> {
        let json = field
            .metadata()
            .get(EXTENSION_NAME)
            .is_some_and(|name| name == JSON_EXTENSION);
        [
            if json { ColumnKind::Json } else { ColumnKind::Text },
            ColumnKind::Integer,
            ColumnKind::Float,
            ColumnKind::Boolean,
            ColumnKind::Timestamp,
            ColumnKind::TextList,
        ]
        .into_iter()
        .find(|kind| kind.data_type() == *field.data_type())
    }

    /// Returns it in words, for messages and the `schema` command.
    pub fn in_words(self) -> &'static str {
        match self {
            ColumnKind::Text => "text",
            ColumnKind::Json => "JSON text",
            ColumnKind::Integer => "64-bit integer",
            ColumnKind::Float => "64-bit float",
            ColumnKind::Boolean => "boolean",
            ColumnKind::Timestamp => "timestamp (µs, UTC)",
            ColumnKind::TextList => "list of text",
        }
    }
}

use ColumnKind::{Boolean, Float, Integer, Json, Text, TextList, Timestamp};

const EVENTS: &[(&str, ColumnKind)] = &[
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

const PERSONS: &[(&str, ColumnKind)] = &[
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

const SESSIONS: &[(&str, ColumnKind)] = &[
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
            assert!(schema.fields().iter().all(|field| ColumnKind::of(field).is_some()));
            assert!(schema.column_with_name("_inserted_at").is_some());
            assert_eq!(Model::named(model.name()), Some(model));
        }
        let json: Vec<_> = Model::Events
            .schema()
            .fields()
            .iter()
            .filter(|field| ColumnKind::of(field) == Some(Json))
            .map(|field| field.name().clone())
            .collect();
        assert_eq!(json, ["properties", "person_properties"]);
    }
}
