//! One run being read back: its manifest, then file after file, what is left over, and the rest of the source. Decides
//! nothing about where to read.

use std::fs::File;
use std::io::{Seek, Write};
use std::sync::Arc;

use arrow::datatypes::Schema;

use super::allowed::{Allowed, allowed_bytes};
use super::expected::Rows;
use super::layout::Layout;
use super::manifest::{Expected, MANIFEST_LIMIT_BYTES, Manifest, Plugin};
use super::remains::and_further;
use super::report::{FaultKind, quoted};
use super::store::{Answer, Store};
use super::{
    Failure, FileOutcome, Listener, StoreError, VerifyProgress, VerifyReport, Watch, blocking, checksum, columns, lines,
};
use batch_export_source::{Selection, SourceSettings};
use batch_export_system::Token;
use batch_export_system::explain::count as thousands;

/// Files of one run that are looked for where no manifest says how many there are. A run without a manifest begins a
/// second file after 10,000 parts, so these hold many terabytes.
const FILES_LIMIT: u64 = 1_000;
/// Files with errors after which no further one is read: a store that is wrong this often is entirely wrong.
const FAULTY_FILES_LIMIT: u64 = 100;

/// Compares the checksum that the store shows with that of the bytes: one that is missing or of another kind proves
/// nothing.
fn compare_checksum(shown: &[(String, String)], computed: checksum::Computed, outcome: &mut FileOutcome) {
    let algorithm = computed.algorithm.clone();
    match shown.iter().find(|(name, _)| *name == algorithm) {
        Some((_, value)) => match computed.fault(value) {
            Some(fault) => outcome.fault(FaultKind::Changed, format!("{algorithm}: {fault}")),
            None => outcome.checksum = Some(algorithm),
        },
        None => outcome.fault(
            FaultKind::Unproven,
            format!(
                "the store does not return the {algorithm} that the destination is configured to use, so its bytes \
                 cannot be compared"
            ),
        ),
    }
    outcome.computed = Some(computed);
}

/// The columns of the first file, which every further one should have.
#[derive(Default)]
pub(super) struct First {
    keys: Option<Vec<String>>,
    schema: Option<Schema>,
}

/// One run being read back.
pub(super) struct Reading {
    pub store: Store,
    pub layout: Layout,
    /// Keys that the run would have had under other settings.
    pub other_keys: Vec<String>,
    pub part_size_bytes: u64,
    /// Whether a run without rows writes a manifest too.
    pub always_has_manifest: bool,
    /// Whether the manifest has the detailed form.
    pub detailed: bool,
    /// The rows of the source that the run exports.
    pub selection: Selection,
    /// The plugin at hand.
    pub plugin: Plugin,
    /// The algorithm that the destination asks for, in lower case.
    pub checksum: Option<String>,
    /// The source's settings.
    pub source: SourceSettings,
    /// The source, until a file could not be read to its end: what follows cannot be lined up.
    pub rows: Option<Rows>,
    pub compared: bool,
    /// Whether a file does not carry this run's mark because somebody else wrote it.
    pub replaced: bool,
    /// Files without this run's mark in which nothing is wrong, but no row was compared with the source.
    pub unmarked: Vec<String>,
    pub first: First,
    pub token: Token,
    pub watch: Watch,
    pub at: VerifyProgress,
    pub report: VerifyReport,
}

impl Reading {
    /// Reads everything. Faults are in the report.
    pub(super) async fn read(&mut self) -> Result<(), Failure> {
        let manifest = self.manifest().await?;
        if let Some(manifest) = &manifest
            && self.is_of_other_settings(manifest).await?
        {
            return Ok(());
        }
        let count = match &manifest {
            Some(manifest) => {
                self.compare_manifest(manifest);
                manifest.files.len() as u64
            }
            None => self.count().await?,
        };
        self.files(count, manifest.as_ref()).await?;
        self.note_unmarked();
        let has_manifest = manifest.is_some();
        let gap = self.leftovers(count, has_manifest).await?;
        let others = self.other_settings().await?;
        let rest = self.rest_of_source().await?;
        match count == 0 && !has_manifest {
            true => self.judge_absence(gap, &others, rest.as_ref()),
            false => self.judge_files(count, gap, others, rest.as_ref()),
        }
        Ok(())
    }

    fn compare_manifest(&mut self, manifest: &Manifest) {
        for fault in self.layout.misplaced(&manifest.files) {
            self.report.fault(FaultKind::Changed, fault);
        }
        let expected = Expected {
            detailed: self.detailed,
            model: &self.report.model,
            run_id: &self.report.run_id,
            interval: self.selection.interval,
            plugin: &self.plugin,
            schema: self.rows.as_ref().map(Rows::supplied),
        };
        for fault in manifest.misstatements(&expected) {
            self.report.fault(FaultKind::Changed, fault);
        }
        if let Some(note) = manifest.other_plugin(&self.plugin) {
            self.report.note(note);
        }
    }

    /// Reads every file, until too many have errors.
    async fn files(&mut self, count: u64, manifest: Option<&Manifest>) -> Result<(), Failure> {
        let mut faulty = 0;
        for index in 0..count {
            let key = self.layout.key(index);
            if faulty == FAULTY_FILES_LIMIT {
                let unread = count - index;
                self.report.fault(
                    FaultKind::Changed,
                    format!(
                        "{faulty} files have errors, so the remaining {} were not read",
                        thousands(unread)
                    ),
                );
                self.stop_comparing(&key);
                break;
            }
            let listed = manifest.and_then(|manifest| manifest.bytes_of(index, &key));
            let mut outcome = self.file(&key, listed).await?;
            if let Some(manifest) = manifest.filter(|_| !outcome.unread) {
                for fault in manifest.differences(index, &outcome, self.checksum.as_deref()) {
                    outcome.fault(FaultKind::Changed, fault);
                }
            }
            faulty += u64::from(!outcome.passed());
            self.report.rows = self.report.rows.saturating_add(outcome.rows);
            self.report.bytes = self.report.bytes.saturating_add(outcome.bytes);
            self.at = VerifyProgress {
                files: index + 1,
                rows: self.report.rows,
                bytes: self.report.bytes,
            };
            (self.watch)(self.at);
            self.report.files.push(outcome);
        }
        Ok(())
    }

    /// Reads the manifest, where the run writes one and it can be read.
    async fn manifest(&mut self) -> Result<Option<Manifest>, Failure> {
        let Some(key) = self.report.manifest_key.clone() else {
            return Ok(None);
        };
        let Some(answer) = self.store.get(&key).await? else {
            return Ok(None);
        };
        let bytes = answer.whole(MANIFEST_LIMIT_BYTES).await?;
        self.report.manifest = Some(String::from_utf8_lossy(&bytes).into_owned());
        match serde_json::from_slice::<Manifest>(&bytes) {
            Ok(manifest) => Ok(Some(manifest)),
            Err(error) => {
                let error = quoted(&error.to_string());
                let fault = format!("the manifest {key} cannot be read: {error}");
                self.report.fault(FaultKind::Changed, fault);
                Ok(None)
            }
        }
    }

    /// Counts the files that are there, where no manifest lists them.
    async fn count(&mut self) -> Result<u64, Failure> {
        let mut count = 0;
        // Somebody else's object under a next number is not a file of this run.
        while count < FILES_LIMIT
            && let Some(head) = self.store.head(&self.layout.key(count)).await?
            && (count == 0 || head.run_id.as_ref() == Some(&self.report.run_id))
        {
            count += 1;
        }
        if count == FILES_LIMIT {
            let limit = thousands(FILES_LIMIT);
            self.report.fault(
                FaultKind::Unproven,
                format!("more than {limit} files exist that no manifest lists; only {limit} were examined"),
            );
        }
        Ok(count)
    }

    /// Downloads and checks one file. `listed_bytes` are those that the manifest says it has.
    async fn file(&mut self, key: &str, listed_bytes: Option<u64>) -> Result<FileOutcome, Failure> {
        let mut outcome = FileOutcome::new(key);
        let Some(answer) = self.store.get(key).await? else {
            outcome.fault(FaultKind::Missing, "is missing".to_owned());
            outcome.unread = true;
            self.stop_comparing(key);
            return Ok(outcome);
        };
        let is_own = answer.head.run_id.as_ref() == Some(&self.report.run_id);
        self.replaced |= !is_own;
        let limit = match allowed_bytes(&answer, listed_bytes) {
            Ok(limit) => limit,
            Err(fault) => {
                outcome.fault(FaultKind::Changed, fault);
                outcome.unread = true;
                self.stop_comparing(key);
                return Ok(outcome);
            }
        };
        let file = self.download(answer, limit, &mut outcome).await?;
        let mut rows = self.rows.take();
        let mut first = std::mem::take(&mut self.first);
        let listener = Listener {
            token: self.token.clone(),
            watch: Arc::clone(&self.watch),
            before: VerifyProgress {
                bytes: self.at.bytes + outcome.bytes,
                ..self.at
            },
        };
        let parquet = self.report.file_format == "Parquet";
        let codec = self.report.compression.clone();
        let (mut outcome, rows, first, whole) = blocking(move || {
            let source = rows.as_mut();
            let whole = if parquet {
                columns::check(file, &mut first.schema, source, &mut outcome, &listener)
            } else {
                let keys = &mut first.keys;
                lines::check(file, &codec, keys, source, &mut outcome, &listener)
            };
            if outcome.rows == 0 && outcome.passed() {
                let fault = "contains no rows, although exports never write such files".to_owned();
                outcome.fault(FaultKind::Changed, fault);
            }
            (outcome, rows, first, whole)
        })
        .await?;
        (self.rows, self.first) = (rows, first);
        if !is_own && outcome.kinds.remove(&FaultKind::OtherRows) {
            outcome.kinds.insert(FaultKind::Changed);
        }
        if !whole? {
            self.stop_comparing(key);
        }
        if !is_own && outcome.passed() && outcome.rows_compared == 0 {
            self.unmarked.push(key.to_owned());
        }
        Ok(outcome)
    }

    /// Notes the files that nothing shows to be this run's own.
    fn note_unmarked(&mut self) {
        let Some((first, further)) = self.unmarked.split_first() else {
            return;
        };
        let files = and_further(first, further.len());
        self.report.note(format!(
            "without this run's mark: {files}; somebody else may have written this, which only a comparison with the \
             source can tell"
        ));
    }

    fn stop_comparing(&mut self, key: &str) {
        if self.rows.take().is_some() {
            self.compared = false;
            self.report.note(format!(
                "rows after {key} were not compared with the source: they cannot be aligned"
            ));
        }
    }

    /// Downloads into a temporary file that vanishes by itself, at most as many bytes as the store or the manifest
    /// said.
    pub(super) async fn download(
        &mut self,
        mut answer: Answer,
        limit: Allowed,
        outcome: &mut FileOutcome,
    ) -> Result<File, Failure> {
        let key = outcome.key.clone();
        let temporary = move |source| StoreError::Temporary {
            key: key.clone(),
            source,
        };
        let mut file = tempfile::tempfile().map_err(&temporary)?;
        let shown = answer.head.checksums.clone();
        let part_size_bytes = self.part_size_bytes;
        let running = |algorithm: &String| checksum::Running::new(algorithm, part_size_bytes);
        let mut running = match &self.checksum {
            Some(asked) => running(asked),
            None => shown.iter().find_map(|(algorithm, _)| running(algorithm)),
        };
        outcome.etag = answer.head.etag.clone();
        while let Some(piece) = answer.next().await? {
            if outcome.bytes.saturating_add(piece.len() as u64) > limit.bytes {
                return Err(StoreError::TooLong {
                    key: outcome.key.clone(),
                    limit_bytes: limit.bytes,
                    said: limit.said,
                }
                .into());
            }
            // Into the system's cache: short enough not to hold up other tasks.
            file.write_all(&piece).map_err(&temporary)?;
            if let Some(running) = &mut running {
                running.update(&piece);
            }
            outcome.bytes += piece.len() as u64;
            (self.watch)(VerifyProgress {
                bytes: self.at.bytes + outcome.bytes,
                ..self.at
            });
        }
        file.rewind().map_err(&temporary)?;
        if let Some(bytes) = answer.head.bytes
            && bytes != outcome.bytes
        {
            let (said, came) = (thousands(bytes), thousands(outcome.bytes));
            let fault = format!("the store reports {said} bytes, but {came} were received");
            outcome.fault(FaultKind::Changed, fault);
        }
        match running.map(checksum::Running::finish) {
            Some(computed) => compare_checksum(&shown, computed, outcome),
            None => {
                for (algorithm, _) in &shown {
                    self.report.note(format!(
                        "{}: checksums of kind {algorithm} are not supported and were not checked",
                        outcome.key
                    ));
                }
            }
        }
        Ok(file)
    }
}
