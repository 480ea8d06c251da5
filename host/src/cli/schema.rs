//! `schema`: lists the columns of the models.

use clap::Args;
use serde::Serialize;

use super::error::CommandError;
use super::output;
use crate::model::{Kind, Model};

/// Show the columns of a model.
#[derive(Debug, Args)]
#[command(
    name = "schema",
    after_help = "Example:\n  batch-export schema events --json"
)]
pub struct SchemaCommand {
    /// The model; left out, all of them.
    #[arg(value_parser = ["events", "persons", "sessions"])]
    model: Option<String>,
    /// Print the columns as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct ModelJson {
    model: &'static str,
    summary: &'static str,
    columns: Vec<ColumnJson>,
}

#[derive(Serialize)]
struct ColumnJson {
    name: String,
    /// In words.
    kind: &'static str,
    /// As Arrow writes it.
    arrow: String,
}

impl SchemaCommand {
    pub fn execute(self) -> Result<(), CommandError> {
        let chosen = self.model.as_deref().and_then(Model::named);
        let models: Vec<ModelJson> = match chosen {
            Some(model) => vec![described(model)],
            None => Model::ALL.map(described).into(),
        };
        if self.json {
            return match models.as_slice() {
                [only] => output::json(only),
                all => output::json(&all),
            };
        }
        let text: Vec<String> = models.iter().map(in_words).collect();
        output::lines(&text.join("\n"))
    }
}

fn described(model: Model) -> ModelJson {
    ModelJson {
        model: model.name(),
        summary: model.summary(),
        columns: model
            .schema()
            .fields()
            .iter()
            .map(|field| ColumnJson {
                name: field.name().clone(),
                kind: Kind::of(field).unwrap_or(Kind::Text).in_words(),
                arrow: field.data_type().to_string(),
            })
            .collect(),
    }
}

fn in_words(model: &ModelJson) -> String {
    let rows: Vec<_> = model
        .columns
        .iter()
        .map(|column| (column.name.clone(), column.kind.to_owned()))
        .collect();
    format!(
        "{}: {}\n{}",
        model.model,
        model.summary,
        output::table(&rows)
    )
}
