//! The run as the host drives it: configure, encode batches, finish. Where it fails, what it began is given up at
//! once. Decides no bytes and no requests itself.

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

/// Where the run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Taken in.
    pub rows: u64,
    /// Handed to uploads, after compression.
    pub bytes: u64,
    /// Begun.
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

/// What a finished run did: `rows_received = rows_exported + rows_filtered`.
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
    /// Begin a run. Sends nothing.
    ///
    /// # Errors
    /// `Failure::Config` with every problem; `Failure::Data` for a schema that cannot be exported.
    pub fn configure(imports: I, configuration: &str, run: Run, schema: Vec<u8>) -> Result<Self, Failure> {
        let settings = config::parse_for_model(configuration, &run.model)?;
        let limits = Limits::with_part_size(settings.part_size_bytes);
        Self::with_limits(imports, settings, run, schema, limits)
    }

    /// [`Export::configure`] with decided settings and other sizes than S3's, for tests.
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
        let filter = EventFilter::new(schema, settings.include_events.as_deref(), &settings.exclude_events)?;
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

    /// Take in the next batch.
    ///
    /// # Errors
    /// Any failure; uploads that were open are aborted, and those that could not be are logged.
    pub fn encode_batch(&mut self, messages: Vec<u8>) -> Result<Progress, Failure> {
        let encoded = self.try_encode(messages);
        // The host may be a while getting the next batch.
        self.uploads.send_prepared();
        self.give_up_unless(encoded)?;
        Ok(Progress {
            rows: self.rows_received,
            bytes: self.files.totals().bytes_written,
            files: self.files.begun(),
        })
    }

    /// No more rows, of which the host supplied so many: finish the last file, remove what an earlier attempt left,
    /// write the manifest.
    ///
    /// # Errors
    /// As for [`Export::encode_batch`]; there is no manifest then.
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
                "the host supplied {rows_supplied} rows, but {} came in",
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

    /// Files with higher numbers than this run's can only be a longer attempt's; what it wrote under other names stays.
    fn clear_leftovers(&mut self, warnings: &mut Vec<Explanation>) {
        let next_keys = (self.files.begun()..).map_while(|index| self.keys.data(index).ok());
        let leftovers = self
            .uploads
            .store()
            .remove_leftovers(next_keys, self.keys.other_exports());
        for key in leftovers.deleted {
            self.uploads.imports().log(
                Level::Info,
                &format!("deleted `{key}`, which an earlier attempt with more files had left"),
            );
        }
        warnings.extend(leftovers.warnings);
        if !leftovers.is_blind {
            warnings.extend(self.uploads.store().older_objects(self.keys.siblings()));
        }
    }

    /// A run without rows writes nothing; what an earlier attempt with rows wrote stays, and is worth a word.
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

    /// Compared before anything is deleted and before a manifest says that the files are complete.
    fn prove_rows(&self) -> Result<(), Failure> {
        let rows_written = self.files.totals().rows;
        let rows_filtered = self.rows_filtered();
        if rows_written.checked_add(rows_filtered) == Some(self.rows_received) {
            return Ok(());
        }
        Err(Failure::Defect(format!(
            "{} rows came in, but {rows_written} were written to files and {rows_filtered} filtered",
            self.rows_received
        )))
    }

    /// Every file that was written is stored, under its key and in order.
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
            "{} files were written, but {} are stored, or in another order",
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
                "the export outgrew the largest file that this format and the store allow, and went on in {} files",
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

    /// On a failure, abort what is open. What could not be aborted is logged, and `recover` tells of it; what became of
    /// damaged objects is a part of the failure.
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
    Failure::Defect("the run has failed or ended already, and its instance was called again".to_owned())
}
