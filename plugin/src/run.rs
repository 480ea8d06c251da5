//! The run as the host drives it: configure, encode batches, finish. If it fails, everything it started is given up at
//! once. Produces no bytes or requests itself.

use crate::config;
use crate::encode::{Block, BlockLimits, EventFilter, Layout, Rechunker};
use crate::failure::{Explanation, Failure};
use crate::file::Files;
use crate::imports::{Imports, Level};
use crate::ipc::Decoder;
use crate::key::KeyNames;
use crate::manifest::{self, ManifestFile};
use crate::models;
use crate::s3::client::Client;
use crate::s3::request::Target;
use crate::settings::{ManifestStyle, ManifestWhen, Run, Settings};
use crate::upload::{LeftOpen, Limits, StoredFile, Uploads};

use std::rc::Rc;

/// The progress of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Received.
    pub rows: u64,
    /// Handed to uploads, after compression.
    pub bytes: u64,
    /// Started.
    pub files: u32,
}

/// One file in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedFile {
    pub key: String,
    pub rows: u64,
    pub bytes: u64,
    pub etag: String,
}

/// The result of a finished run: `rows_received = rows_exported + rows_filtered`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub rows_received: u64,
    pub rows_exported: u64,
    pub rows_filtered: u64,
    /// Before compression.
    pub bytes_encoded: u64,
    pub files: Vec<ExportedFile>,
    pub manifest_key: Option<String>,
    pub repairs: Vec<(String, u64)>,
    pub requests: u64,
    pub retries: u64,
    pub warnings: Vec<Explanation>,
}

/// One run between `configure` and `finish`.
pub struct Export<I: Imports> {
    settings: Settings,
    run: Run,
    keys: KeyNames,
    decoder: Decoder,
    filter: Option<EventFilter>,
    rechunker: Option<Rechunker>,
    files: Files,
    uploads: Uploads<I>,
    rows_received: u64,
}

impl<I: Imports> Export<I> {
    /// Begins a run. Sends nothing.
    ///
    /// # Errors
    /// `Failure::Config` with all problems; `Failure::Data` for a schema that cannot be exported.
    pub fn configure(imports: I, configuration: &str, run: Run, schema: Vec<u8>) -> Result<Self, Failure> {
        let settings = config::parse_for_model(configuration, &run.model)?;
        let limits = Limits::with_part_size(settings.part_size_bytes);
        Self::with_limits(imports, settings, run, schema, limits)
    }

    /// Does the same as [`Export::configure`] with the given settings and with sizes other than S3's, for tests.
    pub fn with_limits(
        imports: I,
        settings: Settings,
        run: Run,
        schema: Vec<u8>,
        limits: Limits,
    ) -> Result<Self, Failure> {
        let keys = KeyNames::new(&settings, &run)?;
        let decoder = Decoder::new(schema)?;
        let schema = decoder.schema();
        models::check_schema(&run.model, schema)?;
        let layout = Layout::new(
            schema,
            settings.format,
            settings.max_file_size_bytes,
            &models::meanings(&run.model, schema),
        )?;
        let filter = match models::is_chosen(schema) {
            // Another column may have the name of the event's by now, or none.
            true => None,
            false => EventFilter::new(schema, settings.include_events.as_deref(), &settings.exclude_events)?,
        };
        let time_column = match settings.manifest {
            ManifestStyle::Detailed => models::time_column(&run.model, schema),
            ManifestStyle::Simple => None,
        };
        let rechunker = Rechunker::new(&layout, BlockLimits::of_export(settings.max_row_bytes));
        let client = Client::new(Rc::new(imports), Target::new(&settings, &run));
        Ok(Export {
            files: Files::new(layout, keys.clone(), settings.format, time_column, limits.max_files),
            uploads: Uploads::new(client, limits),
            rechunker: Some(rechunker),
            rows_received: 0,
            settings,
            run,
            keys,
            decoder,
            filter,
        })
    }

    /// Takes in the next batch.
    ///
    /// # Errors
    /// Any failure; open uploads are aborted, and those that cannot be aborted are logged.
    pub fn encode_batch(&mut self, messages: Vec<u8>) -> Result<Progress, Failure> {
        let encoded = self.try_encode(messages);
        // The host may take a while to get the next batch.
        self.uploads.send_prepared();
        self.give_up_unless(encoded)?;
        Ok(Progress {
            rows: self.rows_received,
            bytes: self.files.totals().bytes_written,
            files: self.files.begun(),
        })
    }

    /// Ends the run after the given number of rows: finishes the last file, removes what an earlier attempt left, and
    /// writes the manifest.
    ///
    /// # Errors
    /// As for [`Export::encode_batch`]; no manifest is written then.
    pub fn finish(mut self, rows_supplied: u64) -> Result<Report, Failure> {
        let finished = self.try_finish(rows_supplied);
        self.give_up_unless(finished)
    }

    fn try_encode(&mut self, messages: Vec<u8>) -> Result<(), Failure> {
        let batch = self.decoder.batch(messages)?;
        self.rows_received += batch.num_rows() as u64;
        let batch = match &mut self.filter {
            Some(filter) => filter.apply(batch)?,
            None => batch,
        };
        let blocks = match &mut self.rechunker {
            Some(rechunker) => rechunker.push(&batch)?,
            None => return Err(after_the_end()),
        };
        self.write(&blocks)
    }

    fn write(&mut self, blocks: &[Block]) -> Result<(), Failure> {
        for block in blocks {
            self.files.write(block, &mut self.uploads)?;
        }
        Ok(())
    }

    fn try_finish(&mut self, rows_supplied: u64) -> Result<Report, Failure> {
        let rechunker = self.rechunker.take().ok_or_else(after_the_end)?;
        if rows_supplied != self.rows_received {
            return Err(Failure::Defect(format!(
                "the host supplied {rows_supplied} rows, but {} were received",
                self.rows_received
            )));
        }
        let last = rechunker.finish()?;
        self.write(last.as_slice())?;
        self.files.finish(&mut self.uploads)?;
        self.prove_rows()?;
        let stored = self.uploads.settle()?;
        self.prove_files(&stored)?;
        let mut warnings = Vec::new();
        let manifest_key = if stored.is_empty() {
            self.report_objects_without_rows(&mut warnings);
            match self.settings.manifest_when {
                ManifestWhen::Always => self.write_manifest(&stored)?,
                ManifestWhen::Split | ManifestWhen::Rows => None,
            }
        } else {
            self.clear_leftovers(&mut warnings);
            self.write_manifest(&stored)?
        };
        Ok(self.report(stored, manifest_key, warnings))
    }

    /// Cleans up after earlier attempts. Files with higher numbers than this run's can only come from an attempt with
    /// more files; what it wrote under other names is kept.
    fn clear_leftovers(&mut self, warnings: &mut Vec<Explanation>) {
        let next_keys = (self.files.begun()..).map_while(|index| self.keys.data(index).ok());
        let leftovers = self
            .uploads
            .store()
            .remove_leftovers(next_keys, self.keys.other_exports());
        for key in leftovers.deleted {
            self.uploads.imports().log(
                Level::Info,
                &format!("deleted `{key}`, left by an earlier attempt with more files"),
            );
        }
        warnings.extend(leftovers.warnings);
        if !leftovers.is_blind {
            warnings.extend(self.uploads.store().older_objects(self.keys.siblings()));
        }
    }

    /// Handles a run without rows, which writes nothing; what an earlier attempt with rows wrote is kept and reported
    /// as a warning.
    fn report_objects_without_rows(&mut self, warnings: &mut Vec<Explanation>) {
        let Ok(key) = self.keys.data(0) else { return };
        let leftovers = self.uploads.store().objects_without_rows(&key);
        warnings.extend(leftovers.warnings);
        if !leftovers.is_blind {
            warnings.extend(self.uploads.store().older_objects(self.keys.siblings()));
        }
    }

    fn write_manifest(&mut self, stored: &[StoredFile]) -> Result<Option<String>, Failure> {
        let Some(key) = self.keys.manifest() else {
            return Ok(None);
        };
        let body = match self.settings.manifest {
            ManifestStyle::Simple => manifest::simple(stored.iter().map(|file| file.key.as_str())),
            ManifestStyle::Detailed => {
                let files: Vec<ManifestFile> = self
                    .files
                    .written()
                    .iter()
                    .zip(stored)
                    .map(|(written, stored)| ManifestFile {
                        key: stored.key.clone(),
                        rows: written.rows,
                        bytes: stored.bytes,
                        etag: stored.etag.clone(),
                        checksum: stored.checksum.clone(),
                        times_micros: written.times_micros,
                    })
                    .collect();
                manifest::detailed(&self.run, self.decoder.schema(), &files)?
            }
        };
        self.uploads.store().put(&key, manifest::CONTENT_TYPE, body)?;
        Ok(Some(key))
    }

    /// Compares the counts of rows, before anything is deleted and before a manifest declares the files complete.
    fn prove_rows(&self) -> Result<(), Failure> {
        let rows_written = self.files.totals().rows;
        let rows_filtered = self.rows_filtered();
        if rows_written.checked_add(rows_filtered) == Some(self.rows_received) {
            return Ok(());
        }
        Err(Failure::Defect(format!(
            "{} rows were received, but {rows_written} were written to files and {rows_filtered} filtered out",
            self.rows_received
        )))
    }

    /// Checks that every file written is stored under its key and in order.
    fn prove_files(&self, stored: &[StoredFile]) -> Result<(), Failure> {
        let written = self.files.written();
        if written.len() == stored.len()
            && written
                .iter()
                .zip(stored)
                .all(|(written, stored)| written.key == stored.key)
        {
            return Ok(());
        }
        Err(Failure::Defect(format!(
            "{} files were written, but {} are stored, or their order differs",
            written.len(),
            stored.len()
        )))
    }

    fn rows_filtered(&self) -> u64 {
        self.filter.as_ref().map_or(0, EventFilter::filtered_rows)
    }

    fn report(
        &mut self,
        stored: Vec<StoredFile>,
        manifest_key: Option<String>,
        mut warnings: Vec<Explanation>,
    ) -> Report {
        let totals = self.files.totals();
        let files: Vec<ExportedFile> = self
            .files
            .written()
            .iter()
            .zip(stored)
            .map(|(written, stored)| ExportedFile {
                key: stored.key,
                rows: written.rows,
                bytes: stored.bytes,
                etag: stored.etag,
            })
            .collect();
        if self.settings.max_file_size_bytes.is_none() && files.len() > 1 {
            let message = format!(
                "the export was split into {} files, because it exceeds the largest file that the format and the \
                 store allow",
                files.len()
            );
            let hint = "set max_file_size_mb to choose their size".to_owned();
            warnings.push(Explanation::new(message).with_hint(hint));
        }
        warnings.extend(self.uploads.take_left_open().iter().map(LeftOpen::explanation));
        let counts = self.uploads.counts();
        Report {
            rows_received: self.rows_received,
            rows_exported: totals.rows,
            rows_filtered: self.rows_filtered(),
            bytes_encoded: totals.bytes_encoded,
            files,
            manifest_key,
            repairs: totals
                .repairs
                .counts()
                .into_iter()
                .map(|(kind, count)| (kind.to_owned(), count))
                .collect(),
            requests: counts.requests,
            retries: counts.retries,
            warnings,
        }
    }

    /// Aborts what is open after a failure. What could not be aborted is logged and reported by `recover`; what became
    /// of damaged objects is part of the failure.
    fn give_up_unless<T>(&mut self, result: Result<T, Failure>) -> Result<T, Failure> {
        result.map_err(|failure| {
            self.rechunker = None;
            let remains = self.uploads.abort_all();
            for left_open in &remains.left_open {
                let message = left_open.explanation().message;
                self.uploads.imports().log(Level::Debug, &message);
            }
            remains.condemned.iter().fold(failure, Failure::with_remark)
        })
    }
}

fn after_the_end() -> Failure {
    Failure::Defect("an instance was called again after its run had failed or ended".to_owned())
}
