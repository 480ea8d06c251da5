//! Exports from each type of source to Parquet with zstd, each next to the source alone, which reads the rows and
//! throws them away, and for databases next to a client that does not even decode them. ClickHouse is a stand-in that
//! sends a prepared answer, so that its own work does not count; PostgreSQL is a real server, whose work does.

mod clickhouse;
mod inputs;
mod postgres;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use devstore::{DevStore, Identity, Options, Storage};
use serde::Serialize;
use serde_json::json;

use crate::job::{ACCESS_KEY, BUCKET, REGION, SECRET_KEY};
use crate::measure::{Bench, median};
use crate::table::{Printed, count, table};
use crate::tree::{self, Usage};
pub use clickhouse::drain;
use inputs::Inputs;

#[derive(clap::Args)]
pub struct Settings {
    /// The program as it is shipped.
    #[arg(long, default_value = "target/release/batch-export")]
    program: PathBuf,
    /// A PostgreSQL to make a table in, as a URL without a password; without it, PostgreSQL is not measured.
    #[arg(long)]
    postgres: Option<String>,
}

/// A source, and what only reads it.
struct Subject {
    name: &'static str,
    /// The source's table in the configuration.
    source: String,
    /// A client that receives the rows and throws them away, for databases.
    client: Option<Vec<String>>,
}

/// What a subject took, in each round.
#[derive(Default, Serialize)]
struct Measured {
    client_seconds: Vec<f64>,
    read_seconds: Vec<f64>,
    seconds: Vec<f64>,
    cpu_seconds: Vec<f64>,
    peak_bytes: Vec<f64>,
}

/// The commands that are measured: an export, and the source alone.
const EXPORT: [&str; 1] = ["run"];
const READ: [&str; 3] = ["preview", "--rows", "0"];

/// Exports from each source in turn, and prints.
pub fn run(bench: &Bench, settings: &Settings) -> Result<Printed> {
    let program = std::path::absolute(&settings.program)?;
    let folder = bench.folder.join("sources");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let inputs = Inputs::make(&folder, bench.rows)?;
    let server = clickhouse::Server::start(&inputs)?;
    let mut subjects = vec![files(&inputs), command(&inputs), server.subject()?];
    if let Some(url) = &settings.postgres {
        subjects.extend(postgres::subjects(url, &inputs)?);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let perform = |command: &[&str], subject: &Subject| -> Result<Usage> {
        let store = runtime.block_on(store())?;
        perform(&program, command, &folder, &store, subject)
            .with_context(|| format!("{} failed of {}", command[0], subject.name))
    };
    // Compiles the component, if nobody has, and warms what is cached.
    for subject in &subjects {
        perform(&EXPORT, subject)?;
    }
    let mut measured: Vec<Measured> = subjects.iter().map(|_| Measured::default()).collect();
    for round in 1..=bench.rounds {
        for (subject, measured) in subjects.iter().zip(&mut measured) {
            eprintln!("bench: round {round} of {}, {}", bench.rounds, subject.name);
            if let Some(client) = &subject.client {
                let mut command = Command::new(&client[0]);
                command.args(&client[1..]);
                let seconds = tree::measured(vec![command], &folder)?.seconds;
                measured.client_seconds.push(seconds);
            }
            measured.read_seconds.push(perform(&READ, subject)?.seconds);
            let usage = perform(&EXPORT, subject)?;
            measured.seconds.push(usage.seconds);
            measured.cpu_seconds.push(usage.cpu_seconds);
            measured.peak_bytes.push(usage.peak_bytes as f64);
        }
    }
    Ok(printed(bench.rows, &subjects, &measured))
}

fn printed(rows: u64, subjects: &[Subject], measured: &[Measured]) -> Printed {
    let lines: Vec<Vec<String>> = subjects
        .iter()
        .zip(measured)
        .map(|(subject, measured)| {
            let seconds = median(measured.seconds.iter().copied());
            let (client, ratio) = match measured.client_seconds.is_empty() {
                true => ("–".to_owned(), "–".to_owned()),
                false => {
                    let client = median(measured.client_seconds.iter().copied());
                    (format!("{client:.2} s"), format!("{:.2}", seconds / client))
                }
            };
            vec![
                subject.name.to_owned(),
                client,
                format!("{:.2} s", median(measured.read_seconds.iter().copied())),
                format!("{seconds:.2} s"),
                ratio,
                count(rows as f64 / seconds),
                format!("{:.2} s", median(measured.cpu_seconds.iter().copied())),
                format!("{:.0} MB", median(measured.peak_bytes.iter().copied()) / 1e6),
            ]
        })
        .collect();
    let heads = [
        "source",
        "client",
        "source alone",
        "export",
        "export / client",
        "rows a second",
        "CPU of the host",
        "peak memory",
    ];
    let caption = format!("{} events to Parquet with zstd, from each source", count(rows as f64));
    let measurements = subjects.iter().zip(measured);
    Printed {
        text: table(&caption, &heads, &lines),
        measurements: measurements
            .map(|(subject, measured)| json!({ "source": subject.name, "rows": rows, "measured": measured }))
            .collect(),
    }
}

fn files(inputs: &Inputs) -> Subject {
    Subject {
        name: "files (Parquet, snappy)",
        source: format!(
            "type = \"files\"\npath = {}\ntime_column = \"_inserted_at\"\n",
            json!(inputs.parquet.display().to_string())
        ),
        client: None,
    }
}

fn command(inputs: &Inputs) -> Subject {
    let program = ["cat".to_owned(), inputs.stream.display().to_string()];
    Subject {
        name: "command (cat of a stream)",
        source: format!(
            "type = \"command\"\ncommand = {}\nenvironment = [\"PATH\"]\ntime_column = \"_inserted_at\"\n",
            json!(program)
        ),
        client: None,
    }
}

/// A store in this process that keeps sizes only, whose memory and CPU no export is charged for.
async fn store() -> Result<DevStore> {
    let options = Options {
        buckets: vec![BUCKET.to_owned()],
        identities: vec![Identity::new(ACCESS_KEY, SECRET_KEY)],
        region: REGION.to_owned(),
        storage: Storage::Discard {
            verify_payload_hash: false,
        },
        ..Options::default()
    };
    Ok(options.start().await?)
}

fn perform(program: &Path, what: &[&str], folder: &Path, store: &DevStore, subject: &Subject) -> Result<Usage> {
    let state = json!(folder.join("state").display().to_string());
    let (endpoint, address) = (store.endpoint(), store.address());
    let config = folder.join("batch-export.toml");
    let text = format!(
        r#"state_dir = {state}
[destinations.bench]
model = "events"
bucket_name = "{BUCKET}"
region = "{REGION}"
prefix = "bench/"
file_format = "Parquet"
compression = "zstd"
endpoint_url = "{endpoint}"
aws_access_key_id = "{ACCESS_KEY}"
aws_secret_access_key = "{SECRET_KEY}"
check = "on_request"
egress.allow_private = ["{address}"]
[destinations.bench.source]
{}"#,
        subject.source
    );
    fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
    let mut command = Command::new(program);
    let (start, end) = inputs::DAY;
    command.args(what).arg("--config").arg(&config);
    command.args(["--start", start, "--end", end]);
    tree::measured(vec![command], folder)
}
