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
use super::recount::recount;
use super::report::{FaultKind, quoted};
use super::store::{Answer, Store};
use super::{
    Failure, FileOutcome, Listener, StoreError, VerifyProgress, VerifyReport, Watch, blocking, checksum, columns, lines,
};
use batch_export_source::{Interval, SourceSettings};
use batch_export_system::Token;
use batch_export_system::explain::{count as thousands, counted};

/// Numbers beyond the last file that are looked at for what an earlier, longer run left: gaps are possible where
/// somebody deleted some of it.
const NUMBERS_AHEAD: u64 = 4;
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
    pub interval: Interval,
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
        let count = match &manifest {
            Some(manifest) => {
                self.compare_manifest(manifest);
                manifest.files.len() as u64
            }
            None => self.count().await?,
        };
        self.files(count, manifest.as_ref()).await?;
        self.leftovers(count, manifest.is_some()).await?;
        self.other_settings().await?;
        self.rest_of_source(count, manifest.is_some()).await
    }

    fn compare_manifest(&mut self, manifest: &Manifest) {
        for fault in self.layout.misplaced(&manifest.files) {
            self.report.fault(FaultKind::Changed, fault);
        }
        let expected = Expected {
            detailed: self.detailed,
            model: &self.report.model,
            run_id: &self.report.run_id,
            interval: self.interval,
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
        if let Some(key) = &self.report.manifest_key
            && self.report.manifest.is_none()
        {
            let meaning = match count {
                0 if self.always_has_manifest => Some("the interval was not exported"),
                0 => None,
                _ => Some("the run was not finished"),
            };
            if let Some(meaning) = meaning {
                let fault = format!("the manifest {key} is missing, so {meaning}");
                self.report.fault(FaultKind::Unfinished, fault);
            }
        }
        Ok(count)
    }

    /// Downloads and checks one file. `listed_bytes` are those that the manifest says it has.
    async fn file(&mut self, key: &str, listed_bytes: Option<u64>) -> Result<FileOutcome, Failure> {
        let mut outcome = FileOutcome::new(key);
        let Some(answer) = self.store.get(key).await? else {
            outcome.fault(FaultKind::Missing, "is missing".to_owned());
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
        Ok(outcome)
    }

    fn stop_comparing(&mut self, key: &str) {
        if self.rows.take().is_some() {
            self.compared = false;
            self.report.note(format!(
                "rows after {key} were not compared with the source: they cannot be aligned"
            ));
        }
    }

    /// Returns what differing rows mean: in an object that somebody else wrote, they are not a change of the source.
    fn blame(&self, kind: FaultKind) -> FaultKind {
        match self.replaced {
            true => FaultKind::Changed,
            false => kind,
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

    /// Looks for files with higher numbers, which do not belong to a run that finished.
    async fn leftovers(&mut self, count: u64, is_listed: bool) -> Result<(), Failure> {
        for index in count..count.saturating_add(NUMBERS_AHEAD) {
            let key = self.layout.key(index);
            match self.store.head(&key).await {
                Ok(None) => {}
                Ok(Some(head)) if head.run_id.as_ref() == Some(&self.report.run_id) => {
                    let before = self.layout.key(count);
                    let fault = match is_listed || index == count {
                        true => format!("{key} is left over from an earlier attempt of this run"),
                        false => format!(
                            "{key} is there, and {before} is not: either that was deleted, or this is left over from an \
                             earlier attempt of the run"
                        ),
                    };
                    self.report.fault(FaultKind::LeftOver, fault);
                }
                Ok(Some(_)) => self.report.note(format!(
                    "{key} is somebody else's object: it does not carry this run's mark; anyone who reads the whole \
                     folder reads it as well"
                )),
                // S3 responds like this to credentials that may not list: a missing object cannot be told from a hidden
                // one.
                Err(StoreError::Refused { status: 403, .. }) => {
                    self.report.note(format!(
                        "without s3:ListBucket, it is not known whether {key} and further files are left over"
                    ));
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Looks for what an attempt of this run wrote under other settings: who reads the whole folder reads its rows
    /// twice.
    async fn other_settings(&mut self) -> Result<(), Failure> {
        for key in std::mem::take(&mut self.other_keys) {
            match self.store.head(&key).await {
                Ok(Some(head)) if head.run_id.as_ref() == Some(&self.report.run_id) => {
                    let fault = format!(
                        "{key} is from an attempt of this run with other settings (format, compression, splitting or \
                         manifest)"
                    );
                    self.report.fault(FaultKind::LeftOver, fault);
                }
                Ok(_) => {}
                // As above: without the right to list, nothing can be told.
                Err(StoreError::Refused { status: 403, .. }) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Counts the rows of the source's files a second time.
    async fn recount(&mut self, read: u64) -> Result<(), Failure> {
        let SourceSettings::Files(settings) = self.source.clone() else {
            return Ok(());
        };
        let token = self.token.clone();
        let found = blocking(move || recount(&settings, &token)).await??;
        if let Some(reason) = &found.reason {
            self.report.note(format!(
                "the rows of {} of the source's files were not counted a second time: {}",
                found.uncounted,
                quoted(reason)
            ));
        }
        if let Some(fault) = found.fault(read) {
            self.report.fault(FaultKind::Miscounted, fault);
        }
        Ok(())
    }

    async fn rest_of_source(&mut self, count: u64, has_manifest: bool) -> Result<(), Failure> {
        let Some(mut rows) = self.rows.take() else {
            if count == 0 && self.compared && !has_manifest {
                let fault = format!(
                    "no file of this run exists, not even the first ({}), which is right only if the interval has \
                     no rows (verify without --no-source to find out)",
                    self.layout.key(0)
                );
                self.report.fault(FaultKind::Missing, fault);
            }
            return Ok(());
        };
        let (rest, all, tally) = blocking(move || rows.rest().map(|rest| (rest, rows.taken(), rows.tally()))).await??;
        self.report.source_rows = Some(all);
        self.report.source = Some(tally);
        self.recount(tally.rows_read.saturating_add(tally.rows_pruned)).await?;
        if tally.rows_kept() != Some(all) {
            let fault = format!(
                "the source's counts do not add up: of {} read, {} were delivered",
                counted(tally.rows_read, "row"),
                thousands(all)
            );
            self.report.fault(FaultKind::Miscounted, fault);
        }
        if rest > 0 {
            let (rest, all) = (thousands(rest), counted(all, "row"));
            if count == 0 && !has_manifest {
                let key = self.layout.key(0);
                let fault =
                    format!("no file of this run exists, not even the first ({key}), although the source has {all}");
                self.report.fault(FaultKind::Missing, fault);
            } else {
                let fault = format!("{rest} of the source's {all} are missing from the files");
                let kind = self.blame(FaultKind::MoreRows);
                self.report.fault(kind, fault);
            }
        } else if self.report.rows > all {
            let (held, has) = (counted(self.report.rows, "row"), thousands(all));
            let fault = format!("the files contain {held}, but the source has only {has}");
            let kind = self.blame(FaultKind::FewerRows);
            self.report.fault(kind, fault);
        } else if count == 0 && !has_manifest {
            let why = tally.why_empty();
            self.report.note(format!("no files exist, as expected: {why}"));
        }
        Ok(())
    }
}
