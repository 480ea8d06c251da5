//! One export in this process, on either way, measured. The way through the component is the host's own.

use std::cell::Cell;
use std::fmt::Write;
use std::fs;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use batch_export_runner::component;
use batch_export_runner::config::Config;
use batch_export_runner::exporter::Exporter;
use batch_export_runner::{RunTokens, Runner};
use batch_export_service::ledger::Ledger;
use batch_export_source::FilesSettings;
use batch_export_source::{EventFilter, Feed, Selection, SourceSettings};
use batch_export_system::{Budget, Token};
use s3_destination::failure::Failure;
use s3_destination::run::Export;
use s3_destination::settings::{self, Run};
use s3_destination::upload::Limits;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::job::{ACCESS_KEY, Job, SECRET_KEY, Way};
use crate::measure::{Measurement, cpu_seconds, peak_process_bytes};
use crate::native::Native;

/// The model that inputs are of, and the column that says when a row arrived.
const MODEL: &str = "events";
const TIME_COLUMN: &str = "_inserted_at";

/// Carries out the job (JSON: a job and the store's endpoint) and prints its measurement.
pub fn child(job: &str) -> Result<()> {
    let (job, endpoint): (Job, String) = serde_json::from_str(job).context("no job")?;
    // As the host's program does.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measurement = match job.way {
        Way::Component => runtime.block_on(through_component(&job, &endpoint)),
        Way::Native => natively(&job, &endpoint, &runtime),
    }?;
    println!("{}", serde_json::to_string(&measurement)?);
    Ok(())
}

async fn through_component(job: &Job, endpoint: &str) -> Result<Measurement> {
    fs::create_dir_all(&job.state)?;
    let text = config_file(job, endpoint)?;
    let config = Config::parse(&job.state.join("bench.toml"), &text, &|_| None)?;
    let destination = config.destination(None)?;
    let component = component::open(Some(&job.component))?;
    let runtime = batch_export_runner::Runtime::default();
    let loaded = runtime.load(&component, &|note| eprintln!("{note:?}")).await?;
    let exporter = Exporter::new(destination, &loaded)?.among(&config);
    let cpu_before = cpu_seconds()?;
    let runner = Runner::new(runtime, Ledger::open(&config.state_dir)?.state());
    let report = runner
        .run(&exporter, job.interval()?, &RunTokens::new())
        .await
        .map_err(|error| anyhow!("{error}"))?;
    Ok(Measurement {
        rows: report.report.rows_exported,
        supplied_bytes: report.bytes_supplied,
        exported_bytes: report.bytes_exported,
        seconds: report.seconds,
        cpu_seconds: cpu_seconds()? - cpu_before,
        peak_process_bytes: peak_process_bytes()?,
        peak_guest_bytes: Some(report.peak_guest_memory_bytes as u64),
        requests: report.report.requests,
        retries: report.report.retries,
        body_bytes_sent: None,
    })
}

/// The host's configuration file for the job, with which no other destination is tried first.
pub fn config_file(job: &Job, endpoint: &str) -> Result<String> {
    let mut text = format!(
        "state_dir = {}\n[destinations.bench]\nmodel = \"{MODEL}\"\ncheck = \"on_request\"\n",
        toml_text(&job.state.display().to_string())
    );
    let mut fields = job.configuration(endpoint);
    fields.insert("aws_access_key_id".into(), ACCESS_KEY.into());
    fields.insert("aws_secret_access_key".into(), SECRET_KEY.into());
    for (name, value) in fields {
        // A JSON text, number or truth value is the same in TOML.
        writeln!(text, "{name} = {value}")?;
    }
    let address = endpoint.trim_start_matches("http://");
    writeln!(
        text,
        "[destinations.bench.egress]\nallow_private = [{}]",
        toml_text(address)
    )?;
    writeln!(
        text,
        "[destinations.bench.source]\ntype = \"files\"\npath = {}",
        toml_text(&job.input.display().to_string())
    )?;
    Ok(text)
}

fn toml_text(text: &str) -> String {
    Value::from(text).to_string()
}

fn natively(job: &Job, endpoint: &str, runtime: &Runtime) -> Result<Measurement> {
    let interval = job.interval()?;
    let run = Run {
        id: "bench".into(),
        attempt: "1".into(),
        model: MODEL.into(),
        plugin_digest: String::new(),
        time_limit_seconds: None,
        interval: settings::Interval {
            start_micros: interval.start().map(|start| start.0),
            end_micros: interval.end().0,
        },
    };
    let configuration = Value::Object(job.configuration(endpoint)).to_string();
    let settings = s3_destination::config::parse_for_model(&configuration, MODEL).map_err(failed)?;
    let limits = Limits::with_part_size(job.part_size_bytes.unwrap_or(settings.part_size_bytes));
    let sent = Rc::new(Cell::new(0));
    let imports = Native::new(runtime.handle().clone(), Rc::clone(&sent))?;

    let (begun, cpu_before) = (Instant::now(), cpu_seconds()?);
    let path = job.input.display().to_string();
    let source = FilesSettings::new(&job.state, path, MODEL, TIME_COLUMN);
    let selection = Selection::new(interval, EventFilter::default());
    let memory_bytes = batch_export_sandbox::Limits::default().source_memory_bytes;
    let factory = SourceSettings::Files(source).factory(memory_bytes);
    let (token, budget) = (Token::new(), Budget::unlimited());
    let mut feed = runtime.block_on(Feed::start(factory, selection, &token, &budget))?;
    let mut export = Export::with_limits(imports, settings, run, feed.schema().to_vec(), limits).map_err(failed)?;
    let (mut supplied_bytes, mut supplied_rows) = (0, 0);
    while let Some(message) = runtime.block_on(feed.next())? {
        supplied_bytes += message.bytes.len() as u64;
        supplied_rows += message.rows;
        export.encode_batch(message.bytes).map_err(failed)?;
    }
    let report = export.finish(supplied_rows).map_err(failed)?;
    Ok(Measurement {
        rows: report.rows_exported,
        supplied_bytes,
        exported_bytes: report.files.iter().map(|file| file.bytes).sum(),
        seconds: begun.elapsed().as_secs_f64(),
        cpu_seconds: cpu_seconds()? - cpu_before,
        peak_process_bytes: peak_process_bytes()?,
        peak_guest_bytes: None,
        requests: report.requests,
        retries: report.retries,
        body_bytes_sent: Some(sent.get()),
    })
}

fn failed(failure: Failure) -> anyhow::Error {
    anyhow!("{failure:?}")
}
