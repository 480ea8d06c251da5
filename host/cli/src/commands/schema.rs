//! `schema`: lists the columns of the models.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::Clock;
use crate::about::About;
use crate::output::{self, Answer, Form};
use crate::words;
use batch_export_source::{ColumnKind, Model};

/// Show the columns of a model.
#[derive(Debug, Args)]
#[command(name = "schema", after_help = "Example:\n  batch-export schema events --json")]
pub struct SchemaArgs {
    /// Model to show; defaults to all models.
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

#[derive(Serialize)]
struct Models {
    models: Vec<ModelJson>,
}

impl SchemaArgs {
    pub fn execute(self, clock: Clock) -> ExitCode {
        let chosen = self.model.as_deref().and_then(Model::named);
        let models: Vec<ModelJson> = match chosen {
            Some(model) => vec![described(model)],
            None => Model::ALL.map(described).into(),
        };
        let text: Vec<String> = models.iter().map(in_words).collect();
        let outcome = Ok(Answer::new(Models { models }, text.join("\n")));
        output::show(Form::new(self.json, false), clock(), &About::default(), outcome)
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
