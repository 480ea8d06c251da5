//! Reads a finished run back: its manifest, every object, every row, and compares rows and values with the source.
//! Bucket, prefix and event lists are the operator's; the plugin that wrote the run says which of its own keys there
//! are, in which format and in parts of which size. Changes nothing, in the store or here.

mod advice;
mod allowed;
mod checksum;
mod civil;
mod columns;
mod decode;
mod expected;
mod footer;
mod json;
mod layout;
mod lines;
mod manifest;
mod reading;
mod recount;
mod remains;
mod report;
mod sign;
mod status;
mod store;
mod stored;
#[cfg(test)]
mod tests;
mod times;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use crate::exporter::{self, Exporter};
use crate::failure::Failure;
use crate::runner::Runner;
use batch_export_sandbox::contract::Plan;
use batch_export_source::Interval;
use batch_export_source::SourceError;
use batch_export_system::Token;
use expected::Rows;
use layout::Layout;
use manifest::Plugin;
use reading::{First, Reading};
pub use report::{FaultKind, FileOutcome, VerifyReport};
use store::Store;
pub use store::StoreError;

/// The progress of reading back.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct VerifyProgress {
    /// Files that were read to their end.
    pub files: u64,
    /// Rows that were read, those of the present file included.
    pub rows: u64,
    /// Bytes of the files that were read to their end.
    pub bytes: u64,
}

impl VerifyProgress {
    fn with_rows(self, rows: u64) -> Self {
        VerifyProgress {
            rows: self.rows + rows,
            ..self
        }
    }
}

/// Receives the progress, on whatever thread does the work.
pub type Watch = Arc<dyn Fn(VerifyProgress) + Send + Sync>;

/// An observer of the reading of a file, which is told about progress and says whether to continue.
struct Listener {
    token: Token,
    watch: Watch,
    /// The progress when the file was begun.
    before: VerifyProgress,
}

impl Listener {
    fn reached(&self, rows: u64) -> Result<(), SourceError> {
        self.token.check()?;
        (self.watch)(self.before.with_rows(rows));
        Ok(())
    }
}

/// Whether files are compared with the source, which is read again for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// The source is read again, and every value of every row is compared.
    WithSource,
    /// The files are compared with the manifest and the store's checksums alone.
    FilesOnly,
}

/// Returns a setting that the plan decided.
fn setting<'a>(plan: &'a Plan, name: &str) -> Option<&'a str> {
    let found = plan.settings.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

/// Reads a run back. What it does on other threads ends with the token.
pub(crate) async fn read_back(
    runner: &Runner,
    exporter: &Exporter,
    interval: Interval,
    compare: Compare,
    token: &Token,
    watch: Watch,
) -> Result<VerifyReport, Failure> {
    let begun = Instant::now();
    let run = exporter.header(interval).run(exporter::attempt_id()?);
    let plan = exporter.plan(&run).await?;
    exporter.grants(&run, &plan)?;
    let policy = exporter.policy(&run)?;
    let access = runner.runtime().access(exporter)?;
    let store = Store::new(
        exporter.bucket_name(),
        &plan,
        &policy,
        access,
        runner.events().of(&run).observer(),
    )?;
    let layout = Layout::new(&plan.keys);
    let mut other_keys = layout.other_keys(plan.manifest_key.as_deref());
    other_keys.retain(|key| policy.check_key(key).is_ok());
    let described = exporter.plugin.describe().await?;
    let selection = exporter.selection(interval)?;
    let rows = match compare {
        Compare::FilesOnly => None,
        Compare::WithSource => {
            let factory = exporter.rows();
            let model = exporter.model.clone();
            let budget = Arc::clone(exporter.plugin.sandbox().budget());
            let (selection, token) = (selection.clone(), token.clone());
            let open = move || Rows::open(factory.as_ref(), selection, &model, &token, &budget);
            Some(blocking(open).await??)
        }
    };
    let mut reading = Reading {
        store,
        layout,
        other_keys,
        part_size_bytes: plan.part_size_bytes,
        always_has_manifest: setting(&plan, "manifest_when") == Some("always"),
        detailed: setting(&plan, "manifest") == Some("detailed"),
        selection,
        plugin: Plugin {
            name: described.name,
            version: described.version,
            sha256: exporter.plugin.digest().to_owned(),
        },
        source: exporter.source.clone(),
        checksum: setting(&plan, "checksum")
            .filter(|name| *name != "none")
            .map(str::to_ascii_lowercase),
        rows,
        compared: true,
        replaced: false,
        unmarked: Vec::new(),
        first: First::default(),
        token: token.clone(),
        watch,
        at: VerifyProgress::default(),
        report: VerifyReport {
            destination: exporter.name.clone(),
            run_id: run.id.clone(),
            model: run.model.clone(),
            file_format: setting(&plan, "file_format").unwrap_or_default().to_owned(),
            compression: setting(&plan, "compression").unwrap_or_default().to_owned(),
            manifest_key: plan.manifest_key.clone(),
            manifest: None,
            files: Vec::new(),
            rows: 0,
            bytes: 0,
            source_rows: None,
            source: None,
            faults: Vec::new(),
            further_faults: 0,
            kinds: BTreeSet::new(),
            notes: Vec::new(),
            further_notes: 0,
            seconds: 0.0,
            passed: false,
        },
    };
    reading.read().await?;
    let mut report = reading.report;
    if compare == Compare::FilesOnly {
        report.note("the rows were not compared with the source".to_owned());
    }
    report.hide(&reading.store.redactor());
    report.seconds = begun.elapsed().as_secs_f64();
    report.passed = report.faults_found() == 0;
    Ok(report)
}

/// Runs blocking work on its own thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Failure::thread_lost("reads files back"))
}
