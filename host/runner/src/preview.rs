//! A look at what a run would export, without writing or sending anything: the source's columns with the types that
//! they get in a file, its first rows, and whether the plugin takes such columns.

mod types;

use std::sync::Arc;
use std::time::Instant;

use arrow::datatypes::SchemaRef;
use serde::Serialize;

use crate::events::Events;
use crate::exporter::{self, Exporter, SessionParts};
use crate::failure::Failure;
use crate::runtime::Runtime;
use batch_export_sandbox::MemoryJournal;
use batch_export_source::{ColumnKind, Interval, Model, Preview, SourceError, columns, preview, schema_message};
use batch_export_system::{Budget, Token};

/// A column, and its type in each format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PreviewedColumn {
    /// Its name.
    pub name: String,
    /// Its type as Arrow writes it.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its type in a Parquet file.
    pub parquet: String,
    /// What its values are in JSON Lines.
    pub json_lines: String,
}

/// Which rows to look at.
#[derive(Debug, Clone, Copy)]
pub struct PreviewOptions {
    /// The interval.
    pub interval: Interval,
    /// First rows to keep.
    pub rows: usize,
    /// Whether to read all others too, so that they are counted.
    pub counts_all: bool,
}

/// Returns the columns that a destination exports. An error names one that its plugin does not take, and why.
pub async fn exported_columns(
    runtime: &Runtime,
    exporter: &Exporter,
    token: &Token,
) -> Result<Vec<PreviewedColumn>, Failure> {
    let found = reading(exporter, token, |exporter, token, budget| {
        columns(exporter.rows().as_ref(), token, budget)
    });
    let found = found.await?;
    try_out(runtime, exporter, &found, token).await?;
    Ok(previewed(exporter, &found))
}

/// Returns what a run of an interval would export, and tells `watch` how many rows were read so far. An error names a
/// column that the plugin does not take, and why.
pub async fn exported_rows(
    runtime: &Runtime,
    exporter: &Exporter,
    options: PreviewOptions,
    token: &Token,
    watch: impl Fn(u64) + Send + 'static,
) -> Result<(Vec<PreviewedColumn>, Preview), Failure> {
    let selection = exporter.selection(options.interval)?;
    let found = reading(exporter, token, move |exporter, token, budget| {
        let (rows, counts_all) = (options.rows, options.counts_all);
        preview(
            exporter.rows().as_ref(),
            selection,
            rows,
            counts_all,
            token,
            budget,
            watch,
        )
    });
    let found = found.await?;
    try_out(runtime, exporter, &found.schema, token).await?;
    Ok((previewed(exporter, &found.schema), found))
}

/// Reads a source as a run does, with its memory and its time, on a thread for blocking work, which ends when nobody
/// waits for it any more.
async fn reading<T: Send + 'static>(
    exporter: &Exporter,
    token: &Token,
    work: impl FnOnce(&Exporter, &Token, &Arc<Budget>) -> Result<T, SourceError> + Send + 'static,
) -> Result<T, Failure> {
    let budget = Arc::clone(exporter.plugin.sandbox().budget());
    let token = token.child().with_deadline(Instant::now() + exporter.limits.run_time);
    let _left = token.cancel_on_drop();
    let (exporter, reading) = (exporter.clone(), token.clone());
    let found = tokio::task::spawn_blocking(move || work(&exporter, &reading, &budget)).await;
    Ok(found.map_err(|_| Failure::thread_lost("reads the source"))??)
}

/// Configures an instance of the plugin for these columns, which sends nothing, and drops it.
async fn try_out(runtime: &Runtime, exporter: &Exporter, schema: &SchemaRef, token: &Token) -> Result<(), Failure> {
    let hour = Interval::new(Some(exporter::SAMPLE_HOUR.0), exporter::SAMPLE_HOUR.1)?;
    let run = exporter.header(hour).run(exporter::attempt_id()?);
    let plan = exporter.plan(&run).await?;
    let memory = runtime.set_aside(exporter, &plan, token).await?;
    let width = schema.flattened_fields().len();
    let session = exporter.session(SessionParts {
        run: &run,
        plan: &plan,
        access: &runtime.access(exporter)?,
        memory: &memory.session,
        limits: exporter.limits_of(&plan, width),
        journal: Box::new(MemoryJournal::default()),
        events: &Events::none().of(&run),
    })?;
    let configured = session.configure(schema_message(schema)?).await;
    session.close().await;
    Ok(configured?)
}

fn previewed(exporter: &Exporter, schema: &SchemaRef) -> Vec<PreviewedColumn> {
    let model = Model::named(&exporter.model).map(Model::schema);
    let of_model = |name: &str| model.as_ref()?.field_with_name(name).ok().and_then(ColumnKind::of);
    let fields = schema.fields().iter();
    fields
        .map(|field| PreviewedColumn {
            name: field.name().clone(),
            type_name: field.data_type().to_string(),
            parquet: types::in_parquet(field, of_model(field.name())),
            json_lines: types::in_json_lines(field, of_model(field.name())),
        })
        .collect()
}
