//! What remains to be judged once a run's files have been read: objects that do not belong to it, rows of the source
//! that are missing, and what their absence means. Tells each cause once.

use super::manifest::Manifest;
use super::reading::Reading;
use super::recount::recount;
use super::report::{FaultKind, quoted};
use super::{Failure, StoreError, blocking};
use batch_export_source::{SourceSettings, Tally};
use batch_export_system::explain::{count as thousands, counted};

/// Numbers beyond the last file that are looked at for what an earlier, longer run left: gaps are possible where
/// somebody deleted some of it.
const NUMBERS_AHEAD: u64 = 4;

/// What the source still had when every file had been read.
pub(super) struct Rest {
    /// Rows that are in no file.
    rows: u64,
    /// All rows of the interval.
    all: u64,
    tally: Tally,
}

impl Reading {
    /// Whether a manifest is that of the same run with other settings, whose files are not those of today's.
    pub(super) async fn is_of_other_settings(&mut self, manifest: &Manifest) -> Result<bool, Failure> {
        let Some(first) = manifest.files.first().filter(|first| self.other_keys.contains(first)) else {
            return Ok(false);
        };
        match self.store.head(&self.layout.key(0)).await {
            // Without the right to list, a missing object looks like a hidden one.
            Ok(None) | Err(StoreError::Refused { status: 403, .. }) => {}
            Ok(Some(_)) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let key = self.report.manifest_key.as_deref().unwrap_or_default();
        let fault = format!(
            "the manifest {key} lists {first}, so the interval was exported with another format, compression or \
             splitting than the configuration has now"
        );
        self.report.fault(FaultKind::OtherSettings, fault);
        self.report
            .note("the files that the manifest lists were not read".to_owned());
        Ok(true)
    }

    /// Looks for files with higher numbers, which do not belong to a run that finished. Returns what to say of one
    /// behind a gap, where no manifest tells whether it belongs there.
    pub(super) async fn leftovers(&mut self, count: u64, is_listed: bool) -> Result<Option<String>, Failure> {
        for index in count..count.saturating_add(NUMBERS_AHEAD) {
            let key = self.layout.key(index);
            match self.store.head(&key).await {
                Ok(None) => {}
                Ok(Some(head)) if head.run_id.as_ref() == Some(&self.report.run_id) => {
                    if !is_listed && index > count {
                        return Ok(Some(format!("{key} is there, but {} is not", self.layout.key(count))));
                    }
                    let fault = format!("{key} is left over from an earlier attempt of this run");
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
        Ok(None)
    }

    /// Looks for what an attempt of this run wrote under other settings: who reads the whole folder reads its rows
    /// twice.
    pub(super) async fn other_settings(&mut self) -> Result<Vec<String>, Failure> {
        let mut found = Vec::new();
        for key in std::mem::take(&mut self.other_keys) {
            match self.store.head(&key).await {
                Ok(Some(head)) if head.run_id.as_ref() == Some(&self.report.run_id) => found.push(key),
                Ok(_) => {}
                // As above: without the right to list, nothing can be told.
                Err(StoreError::Refused { status: 403, .. }) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    /// Counts the rows of the source's files a second time.
    async fn recount(&mut self, read: u64) -> Result<(), Failure> {
        let SourceSettings::Files(settings) = self.source.clone() else {
            return Ok(());
        };
        let (selection, token) = (self.selection.clone(), self.token.clone());
        let found = blocking(move || recount(&settings, &selection, &token)).await??;
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

    /// Reads the source to its end; `None` where it is not compared, or no longer.
    pub(super) async fn rest_of_source(&mut self) -> Result<Option<Rest>, Failure> {
        let Some(mut rows) = self.rows.take() else {
            return Ok(None);
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
        Ok(Some(Rest { rows: rest, all, tally }))
    }

    /// Says what it means that neither the manifest nor the first file is there.
    pub(super) fn judge_absence(&mut self, gap: Option<String>, others: &[String], rest: Option<&Rest>) {
        let first = self.layout.key(0);
        let (kind, fault) = if let Some((other, further)) = others.split_first() {
            let fault = format!(
                "{first} is not there, but of the same run {}: it was exported with another format, compression, \
                 splitting or manifest than the configuration has now",
                and_further(other, further.len())
            );
            (FaultKind::OtherSettings, fault)
        } else if let Some(gap) = gap {
            (
                FaultKind::Unfinished,
                format!("{gap}: the run did not finish, or somebody deleted what is missing"),
            )
        } else {
            let none = "no file of this run is in the bucket";
            let fault = match (&self.report.manifest_key, rest) {
                // What is there could not be read, which is a fault already.
                (_, None) if !self.compared => return,
                (Some(manifest), _) if self.always_has_manifest => {
                    format!("{none}, not even the manifest {manifest}, which every run writes")
                }
                (_, None) => format!(
                    "{none}, not even the first ({first}), which is right only if the interval has no rows (verify \
                     without --no-source to find out)"
                ),
                (_, Some(rest)) if rest.rows > 0 => {
                    let all = counted(rest.all, "row");
                    format!("{none}, not even the first ({first}), and the source has {all}")
                }
                (_, Some(rest)) => {
                    let why = rest.tally.why_empty();
                    let note = format!("no files exist, as expected: {why}");
                    return self.report.note(note);
                }
            };
            (FaultKind::NotRun, fault)
        };
        self.report.fault(kind, fault);
    }

    /// Says what it means that a manifest, a file or rows are missing, or that there are more than there should be.
    pub(super) fn judge_files(&mut self, count: u64, gap: Option<String>, others: Vec<String>, rest: Option<&Rest>) {
        for key in others {
            let fault = format!(
                "{key} is from an attempt of this run with other settings (format, compression, splitting or manifest)"
            );
            self.report.fault(FaultKind::LeftOver, fault);
        }
        let more = rest.filter(|rest| rest.rows > 0).map(|rest| {
            let (rows, all) = (thousands(rest.rows), counted(rest.all, "row"));
            format!("{rows} of the source's {all} are missing from the files")
        });
        let manifest = self
            .report
            .manifest_key
            .as_ref()
            .filter(|_| self.report.manifest.is_none());
        if let Some(manifest) = manifest {
            let manifest = format!("the manifest {manifest} is missing");
            let missing: Vec<String> = [Some(manifest), gap, more].into_iter().flatten().collect();
            let fault = format!(
                "{}: the run did not finish, or somebody deleted what is missing",
                missing.join(", and ")
            );
            self.report.fault(FaultKind::Unfinished, fault);
        } else {
            if let Some(gap) = gap {
                let before = self.layout.key(count);
                let fault = format!(
                    "{gap}: either {before} was deleted, or this is left over from an earlier attempt of the run"
                );
                self.report.fault(FaultKind::LeftOver, fault);
            }
            if let Some(more) = more {
                let kind = self.blame(FaultKind::MoreRows);
                self.report.fault(kind, more);
            }
        }
        if let Some(rest) = rest
            && self.report.rows > rest.all
        {
            let (held, has) = (counted(self.report.rows, "row"), thousands(rest.all));
            let fault = format!("the files contain {held}, but the source has only {has}");
            let kind = self.blame(FaultKind::FewerRows);
            self.report.fault(kind, fault);
        }
    }

    /// Returns the kind of fault that differing rows are: in an object that somebody else wrote, they do not show that
    /// the source changed.
    fn blame(&self, kind: FaultKind) -> FaultKind {
        match self.replaced {
            true => FaultKind::Changed,
            false => kind,
        }
    }
}

/// Names the first of several objects.
pub(super) fn and_further(first: &str, further: usize) -> String {
    match further {
        0 => first.to_owned(),
        further => format!("{first} and {} more", thousands(further as u64)),
    }
}
