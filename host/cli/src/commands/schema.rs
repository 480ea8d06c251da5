//! `schema`: lists the columns of the models, or those that a destination exports.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::{Chosen, Clock, told};
use crate::about::About;
use crate::columns;
use crate::output::{self, Answer, Form};
use crate::signals::until_first;
use crate::words;
use batch_export_runner::preview::{PreviewedColumn, exported_columns};
use batch_export_runner::{Failure, Runtime};
use batch_export_source::{ColumnKind, Model};
use batch_export_system::Token;

/// Show the columns of a model, or those that a destination exports, with their types in a file.
#[derive(Debug, Args)]
#[command(
    name = "schema",
    after_help = "Examples:\n  batch-export schema events --json\n  \
                  batch-export schema --destination archive"
)]
pub struct SchemaArgs {
    /// Model to show; defaults to all models.
    #[arg(value_parser = ["events", "persons", "sessions"], conflicts_with = "destination")]
    model: Option<String>,
    #[command(flatten)]
    chosen: Chosen,
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

/// What was asked for.
#[derive(Serialize)]
#[serde(untagged)]
enum Columns {
    Models { models: Vec<ModelJson> },
    Destination { columns: Vec<PreviewedColumn> },
}

impl SchemaArgs {
    pub async fn execute(self, clock: Clock) -> ExitCode {
        let mut about = About::default();
        let outcome = match self.chosen.destination {
            Some(_) => until_first(async |token| self.of_destination(&mut about, token).await).await,
            None => Ok(self.of_models()),
        };
        output::show(Form::new(self.json, false), clock(), &about, outcome)
    }

    async fn of_destination(&self, about: &mut About, token: &Token) -> Result<Answer<Columns>, Failure> {
        let runtime = Runtime::default();
        let (config, exporter) = self.chosen.exporter(&runtime, about, told(false)).await?;
        let columns = exported_columns(&runtime, &exporter, token).await;
        let columns = columns.map_err(|failure| config.located(&exporter.name, failure))?;
        let text = format!(
            "{}: the columns of {}\n{}",
            exporter.name,
            exporter.model,
            columns::in_words(&columns)
        );
        Ok(Answer::new(Columns::Destination { columns }, text))
    }

    fn of_models(&self) -> Answer<Columns> {
        let chosen = self.model.as_deref().and_then(Model::named);
        let models: Vec<ModelJson> = match chosen {
            Some(model) => vec![described(model)],
            None => Model::ALL.map(described).into(),
        };
        let text: Vec<String> = models.iter().map(in_words).collect();
        Answer::new(Columns::Models { models }, text.join("\n"))
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
                kind: ColumnKind::of(field).unwrap_or(ColumnKind::Text).in_words(),
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
    format!("{}: {}\n{}", model.model, model.summary, words::table(&rows))
}
