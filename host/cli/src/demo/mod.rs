//! The demo: a store in this process, sample events of a few hours exported to it twice through the real component and
//! the ordinary run, and read back. Listens on loopback only and leaves nothing running.

mod config;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use devstore::{DevStore, Identity, Options, StartError, Storage};
use serde::Serialize;

use crate::error::{DEMO_FOLDER_UNUSABLE, DEMO_STORE_NOT_STARTED};
use crate::output;
use batch_export_runner::component;
use batch_export_runner::config::Config;
use batch_export_runner::exporter::Exporter;
use batch_export_runner::loading::{Loaded, LoadingNote};
use batch_export_runner::{
    Compare, Events, Failure, FailureClass, RunTokens, Runner, Runtime, StateMemory, VerifyReport, Watch,
};
use batch_export_service::ledger::Ledger;
use batch_export_service::{HandRun, Recorder};
use batch_export_source::{Ends, Interval, Moment};
use batch_export_system::explain::{Explain, plain};

/// 2023-07-28T00:00Z, where the demo's hours begin: the same rows, and so the same files, every time.
const FIRST_MICROS: i64 = 1_690_502_400_000_000;
const HOUR_MICROS: i64 = 3_600_000_000;
/// The folder inside the demo's where the store keeps its objects.
const STORE_FOLDER: &str = "store";

/// A reason why the demo fails.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("cannot use the folder {}: {}", folder.display(), plain(source))]
    Folder { folder: PathBuf, source: io::Error },
    #[error("{} is a file, not a folder", .0.display())]
    NotFolder(PathBuf),
    #[error("the folder {} is not empty", .0.display())]
    NotEmpty(PathBuf),
    #[error("the demo's store could not start: {0}")]
    Store(#[from] StartError),
}

impl Explain for DemoError {
    fn message(&self) -> String {
        self.to_string()
    }

    fn hint(&self) -> Option<String> {
        match self {
            DemoError::Folder { .. } => Some("choose another folder with --folder".to_owned()),
            DemoError::NotFolder(_) | DemoError::NotEmpty(_) => Some("choose a new folder with --folder".to_owned()),
            DemoError::Store(_) => None,
        }
    }
}

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Self {
        let (class, code) = match &error {
            DemoError::Folder { .. } => (FailureClass::Failed, DEMO_FOLDER_UNUSABLE),
            DemoError::NotFolder(_) | DemoError::NotEmpty(_) => (FailureClass::Configuration, DEMO_FOLDER_UNUSABLE),
            DemoError::Store(_) => (FailureClass::Failed, DEMO_STORE_NOT_STARTED),
        };
        Failure::of(class, code, error)
    }
}

/// What the demo is asked for.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// A folder that does not exist or is empty; `None` makes one among the system's temporary files, which is gone
    /// when the demo ends, unless the files are kept.
    pub folder: Option<PathBuf>,
    /// Another component than the bundled one.
    pub component: Option<PathBuf>,
    pub rows_per_hour: u64,
    pub hours: u64,
    /// Keep the store's objects, not only the configuration.
    pub keep: bool,
    /// Let the store go on when everything is exported.
    pub stay: bool,
}

/// A demo that is over, and what is still there of it.
pub struct Demo {
    pub report: DemoReport,
    /// The store, where it is to stay, and what is removed after it.
    pub staying: Option<Staying>,
}

/// A demo whose store goes on.
pub struct Staying {
    store: DevStore,
    place: Place,
    state_dir: PathBuf,
    keep: bool,
}

impl Staying {
    /// Returns the store's address.
    pub fn endpoint(&self) -> String {
        self.store.endpoint()
    }

    /// Ends the store, and removes what is not to be kept. Returns where the rest is.
    pub fn end(self) -> Result<Option<PathBuf>, Failure> {
        drop(self.store);
        if !self.keep {
            for folder in [self.place.path().join(STORE_FOLDER), self.state_dir] {
                remove(&folder)?;
            }
        }
        Ok(self.place.end(self.keep)?)
    }
}

/// One hour exported to one destination.
#[derive(Debug, Serialize)]
pub struct Exported {
    pub destination: String,
    pub interval: Ends,
    pub rows: u64,
    pub files: u64,
    pub bytes: u64,
    pub bytes_before_compression: u64,
    pub seconds: f64,
}

/// An object in the demo's bucket.
#[derive(Debug, Serialize)]
pub struct Listed {
    pub key: String,
    pub bytes: u64,
    /// Of data files.
    pub rows: Option<u64>,
    /// Parts it was uploaded in; 0 after a single request.
    pub parts: u64,
}

/// What the demo did.
#[derive(Debug, Serialize)]
pub struct DemoReport {
    /// Where it took place; absent when that is gone.
    pub folder: Option<PathBuf>,
    /// The file to go on with; absent when it is gone.
    pub configuration: Option<PathBuf>,
    /// Whether the exported files are still there.
    pub kept: bool,
    pub exported: Vec<Exported>,
    pub verified: Vec<VerifyReport>,
    pub objects: Vec<Listed>,
    pub seconds: f64,
    pub passed: bool,
}

/// The audience of the demo's progress.
pub struct Audience<'a> {
    pub runtime: Runtime,
    pub events: Events,
    pub tokens: RunTokens,
    pub watch: Watch,
    /// Returns the current time.
    pub clock: fn() -> Moment,
    /// What begins now.
    pub step: &'a (dyn Fn(String) + Sync),
}

/// The demo's folder.
enum Place {
    /// The user's own choice: it stays.
    Chosen(PathBuf),
    /// Deleted when this is dropped, however the demo ends.
    Temporary(tempfile::TempDir),
}

impl Place {
    fn path(&self) -> &Path {
        match self {
            Place::Chosen(path) => path,
            Place::Temporary(folder) => folder.path(),
        }
    }

    /// Where it is, if it stays: a temporary one does only for the sake of what is in it.
    fn end(self, keep: bool) -> Result<Option<PathBuf>, DemoError> {
        match self {
            Place::Chosen(path) => Ok(Some(path)),
            Place::Temporary(folder) if keep => Ok(Some(folder.keep())),
            Place::Temporary(folder) => {
                let path = folder.path().to_path_buf();
                let closed = folder.close();
                closed.map_err(|source| DemoError::Folder { folder: path, source })?;
                Ok(None)
            }
        }
    }
}

/// Exports and reads back. Differences are in the report; an error means that a step itself failed.
pub async fn demo(options: &DemoOptions, audience: &Audience<'_>) -> Result<Demo, Failure> {
    let begun = Instant::now();
    let place = place(options.folder.as_deref())?;
    let folder = place.path();
    (audience.step)(format!("starting a store in {}", folder.display()));
    let store = Options {
        buckets: vec![config::BUCKET.to_owned()],
        identities: vec![Identity::new(config::ACCESS_KEY, config::SECRET_KEY)],
        region: config::REGION.to_owned(),
        storage: Storage::Folder(folder.join(STORE_FOLDER)),
        ..Options::default()
    }
    .start()
    .await
    .map_err(DemoError::from)?;
    let configuration = config::write(folder, &store, options)?;
    let config = Config::load(&configuration)?;
    let component = component::open(config.component.as_deref())?;
    let tell = |note| match note {
        LoadingNote::Progress(text) => (audience.step)(text),
        LoadingNote::Warning(warning) => output::warning(&warning),
        _ => {}
    };
    let loaded = audience.runtime.load(&component, &tell).await?;

    let mut report = DemoReport {
        folder: None,
        configuration: None,
        kept: options.keep,
        exported: Vec::new(),
        verified: Vec::new(),
        objects: Vec::new(),
        seconds: 0.0,
        passed: false,
    };
    for name in config::DESTINATIONS {
        export(name, &config, &loaded, options, audience, &mut report).await?;
    }
    report.objects = listed(&store, &report.verified);
    report.passed = report.verified.iter().all(|verified| verified.passed);
    let staying = Staying {
        store,
        place,
        state_dir: config.state_dir.clone(),
        keep: options.keep,
    };
    let staying = match options.stay {
        true => {
            report.folder = Some(staying.place.path().to_path_buf());
            Some(staying)
        }
        false => {
            report.folder = staying.end()?;
            None
        }
    };
    report.configuration = report.folder.is_some().then_some(configuration);
    report.seconds = begun.elapsed().as_secs_f64();
    Ok(Demo { report, staying })
}

/// Every hour to one destination, then every hour read back.
async fn export(
    name: &str,
    config: &Config,
    loaded: &Loaded,
    options: &DemoOptions,
    audience: &Audience<'_>,
    report: &mut DemoReport,
) -> Result<(), Failure> {
    let destination = config.destination(Some(name))?;
    let exporter = Exporter::new(destination, loaded)?.among(config);
    let recorder = Recorder::new(Ledger::open(&config.state_dir)?);
    for interval in hours(options.hours)? {
        (audience.step)(format!("exporting {interval} to {name}"));
        let digest = exporter.plugin.digest();
        let by_hand = HandRun::new(&recorder, exporter.header(interval), digest, audience.clock);
        let runner = Runner::new(audience.runtime.clone(), by_hand.clone()).with_events(audience.events.clone());
        let done = runner.run(&exporter, interval, &audience.tokens).await;
        by_hand.end(done.as_ref())?;
        let done = done?;
        report.exported.push(Exported {
            destination: name.to_owned(),
            interval: interval.into(),
            rows: done.report.rows_exported,
            files: done.report.files.len() as u64,
            bytes: done.bytes_exported,
            bytes_before_compression: done.report.bytes_encoded,
            seconds: done.seconds,
        });
    }
    let runner = Runner::new(audience.runtime.clone(), StateMemory::default()).with_events(audience.events.clone());
    for interval in hours(options.hours)? {
        (audience.step)(format!("reading {interval} back from {name}"));
        let watch = Watch::clone(&audience.watch);
        let token = &audience.tokens.work;
        let verified = runner.verify(&exporter, interval, Compare::WithSource, token, watch);
        report.verified.push(verified.await?);
    }
    Ok(())
}

fn hours(count: u64) -> Result<Vec<Interval>, Failure> {
    (0..count)
        .map(|hour| {
            let start = FIRST_MICROS + hour as i64 * HOUR_MICROS;
            let interval = Interval::new(Some(Moment(start)), Moment(start + HOUR_MICROS))?;
            Ok(interval)
        })
        .collect()
}

fn listed(store: &DevStore, verified: &[VerifyReport]) -> Vec<Listed> {
    let rows = |key: &str| {
        let mut files = verified.iter().flat_map(|report| &report.files);
        files.find(|file| file.key == key).map(|file| file.rows)
    };
    store
        .objects(config::BUCKET)
        .into_iter()
        .map(|object| Listed {
            rows: rows(&object.key),
            key: object.key,
            bytes: object.size_bytes,
            parts: object.part_sizes_bytes.len() as u64,
        })
        .collect()
}

/// A folder of the demo's own.
fn place(named: Option<&Path>) -> Result<Place, DemoError> {
    let Some(named) = named else {
        let made = tempfile::Builder::new().prefix("batch-export-demo-").tempdir();
        return match made {
            Ok(made) => Ok(Place::Temporary(made)),
            Err(source) => Err(DemoError::Folder {
                folder: std::env::temp_dir(),
                source,
            }),
        };
    };
    let wrong = |source| DemoError::Folder {
        folder: named.to_path_buf(),
        source,
    };
    if named.exists() && !named.is_dir() {
        return Err(DemoError::NotFolder(named.to_path_buf()));
    }
    std::fs::create_dir_all(named).map_err(wrong)?;
    // The demo deletes what it made: it must be alone.
    match std::fs::read_dir(named).map_err(wrong)?.next() {
        None => Ok(Place::Chosen(std::path::absolute(named).map_err(wrong)?)),
        Some(_) => Err(DemoError::NotEmpty(named.to_path_buf())),
    }
}

fn remove(folder: &Path) -> Result<(), DemoError> {
    match std::fs::remove_dir_all(folder) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(DemoError::Folder {
            folder: folder.to_path_buf(),
            source,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_used_is_named_with_the_way_out() {
        let cases = [
            (
                DemoError::Folder {
                    folder: PathBuf::from("demo"),
                    source: io::Error::other("it is a file"),
                },
                "cannot use the folder demo: it is a file",
                Some("choose another folder with --folder"),
                FailureClass::Failed,
            ),
            (
                DemoError::NotEmpty(PathBuf::from("demo")),
                "the folder demo is not empty",
                Some("choose a new folder with --folder"),
                FailureClass::Configuration,
            ),
            (
                place(Some(Path::new("Cargo.toml"))).err().expect("a file"),
                "Cargo.toml is a file, not a folder",
                Some("choose a new folder with --folder"),
                FailureClass::Configuration,
            ),
            (
                DemoError::Store(StartError::BucketName("A".to_owned())),
                "the demo's store could not start: 'A' cannot be a bucket's name",
                None,
                FailureClass::Failed,
            ),
        ];
        for (error, message, hint, class) in cases {
            let failure = Failure::from(error);
            assert!(failure.message().starts_with(message), "{failure}");
            assert_eq!((failure.hint(), failure.class()), (hint, class), "{failure}");
        }
    }
}
