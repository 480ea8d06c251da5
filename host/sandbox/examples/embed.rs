//! The smallest host: loads the destination component, supplies one batch, and lands a file in a test store that
//! verifies signatures. Every import gets its capability from `Capabilities`; nothing else reaches the plugin.
//!
//! `cargo xtask build && cargo run -p batch-export-sandbox --example embed`

#![allow(clippy::print_stderr, clippy::print_stdout, reason = "an example prints what landed")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, Int64Array, RecordBatch, StringArray};
use arrow::ipc::writer::StreamWriter;
use serde_json::json;
use tokio::runtime::Handle;

use batch_export_sandbox::Capabilities;
use batch_export_sandbox::Grants;
use batch_export_sandbox::MemoryJournal;
use batch_export_sandbox::contract::{Interval, Run};
use batch_export_sandbox::{CredentialSource, Credentials, Secret};
use batch_export_sandbox::{Limits, Sandbox, SandboxOptions};
use batch_export_sandbox::{Network, NetworkOptions};
use batch_export_sandbox::{OperatorLists, Policy, Protocol};
use devstore::{DevStore, Options};

const BUCKET: &str = "test-bucket";

/// What landed: the object's key and its bytes.
pub type Landed = (String, Vec<u8>);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let component = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/s3_destination.wasm");
    let (key, bytes) = export(&component).await?;
    println!("{key}\n{}", String::from_utf8_lossy(&bytes));
    Ok(())
}

/// Export one batch through the component at this path.
pub async fn export(component: &Path) -> Result<Landed, Box<dyn Error>> {
    let store = Options::default().start().await?;

    // Load once; a component of another contract version or with other imports is refused here.
    let network = Network::new(&NetworkOptions::default())?;
    let sandbox = Sandbox::new(&SandboxOptions::default(), Handle::current(), network.clone())?;
    let plugin = sandbox.load(&std::fs::read(component)?)?;

    // What the plugin may know: no secrets. `describe` marks those that a host has to take out.
    let configuration = json!({
        "bucket_name": BUCKET,
        "region": "us-east-1",
        "prefix": "{table}/{year}/",
        "file_format": "JSONLines",
        "endpoint_url": store.endpoint(),
    });
    let run = Run {
        id: "embed-scores-0".into(),
        attempt: "1".into(),
        model: "scores".into(),
        interval: Interval {
            start_micros: Some(1_690_502_400_000_000),
            end_micros: 1_690_506_000_000_000,
        },
    };

    // Plan, then grant: what the plan asks for, as far as the operator's policy allows it to this very run.
    let limits = Limits::default();
    let plan = plugin.plan(&configuration.to_string(), &run).await?;
    limits.admit(&plan)?;
    let mut operator = OperatorLists::default();
    operator.allow_private = vec![store.address().to_string().parse()?];
    let policy = Policy::for_run(Protocol::S3, &configuration, &operator, &run)?;
    let grants = Grants::decide(&plan.grants, &plan.signing, &policy)?;
    let journal = Box::new(MemoryJournal::default());
    let capabilities = Capabilities::new(grants, &network, credentials()?, journal)
        .with_log(Arc::new(|level, line| eprintln!("{level:?}: {line}")));

    // One instance, on a thread of its own, for this run.
    let session = plugin.start(run, &configuration.to_string(), capabilities, limits)?;
    let batch = batch()?;
    let mut stream = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    session.configure(std::mem::take(stream.get_mut())).await?;
    stream.write(&batch)?;
    session.encode_batch(std::mem::take(stream.get_mut())).await?;
    let report = session.finish(batch.num_rows() as u64).await?;

    // A report is the plugin's word; the host's own count is the proof.
    if report.rows_received != batch.num_rows() as u64 {
        return Err(format!("{} rows arrived", report.rows_received).into());
    }
    landed(&store)
}

/// The host's secrets stay here: the plugin gets keys derived for one date, region and service.
fn credentials() -> Result<CredentialSource, Box<dyn Error>> {
    let id = Secret::new("test-access-key");
    let key = Secret::new("test-secret-key");
    Ok(CredentialSource::Static(Credentials::new(&id, key, None, None)?))
}

fn batch() -> Result<RecordBatch, Box<dyn Error>> {
    let names = StringArray::from(vec![Some("Ada"), None, Some("Grace")]);
    let scores = Int64Array::from(vec![3, 1, 2]);
    let columns: [(&str, Arc<dyn Array>); 2] = [("name", Arc::new(names)), ("score", Arc::new(scores))];
    Ok(RecordBatch::try_from_iter_with_nullable(
        columns.map(|(name, column)| (name, column, true)),
    )?)
}

fn landed(store: &DevStore) -> Result<Landed, Box<dyn Error>> {
    let key = store.keys(BUCKET).pop().ok_or("nothing landed")?;
    let object = store.object(BUCKET, &key)?;
    Ok((key, object.bytes.to_vec()))
}
