//! The configuration file: one TOML document turned into destinations that cannot be half right, every problem
//! reported at once with its line. Never prints a secret, and knows of the plugin's own fields only that they exist.
//!
//! ```toml
//! state_dir = ".batch-export"        # the ledger, in which everything is kept; this is the default
//!
//! [component]                        # default: the plugin built into this program
//! path = "dist/s3_destination.wasm"
//!
//! [destinations.archive]             # the plugin's own fields, as its schema says, and `model`
//! model = "events"
//! bucket_name = "exports"
//! region = "eu-central-1"
//! prefix = "{table}/{year}/{month}/{day}/"
//! aws_access_key_id = "${env:EXPORT_KEY_ID}"       # or: credentials = { source = "host" }
//! aws_secret_access_key = "${env:EXPORT_KEY}"
//!
//! [destinations.archive.source]      # where rows come from
//! type = "files"
//! path = "events/"
//!
//! [destinations.archive.schedule]    # when the service exports it
//! every = "hour"
//!
//! [service]                          # how the service works
//! runs_at_once = 16
//!
//! [alerts]                           # who is told what goes wrong
//! late_after = "1 hour"
//! ```

mod alerts;
mod credentials;
mod destination;
mod duration;
mod problem;
mod schedule;
mod section;
mod service;
mod source;
mod tree;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use alerts::{AlertCommand, AlertSettings, Webhook};
pub use problem::{ConfigError, Problems};
pub use service::{DEFAULT_LISTEN, LogFormat, Reload, ServiceSettings};

use batch_export_schedule::Schedule;
use batch_export_system::explain::Cause;
use batch_export_system::open_regular;
use zeroize::Zeroizing;

use crate::destination::{Destination, Draft};
use crate::failure::Failure;
use crate::pointer;
use crate::problem::{Place, Problem};
use section::Section;
use tree::{PlaceIndex, Table};

/// A configuration is written by hand; a larger file is something else.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Where the ledger is, next to the configuration, unless `state_dir` says otherwise.
const DEFAULT_STATE_DIR: &str = ".batch-export";

/// A whole configuration file. Paths in it are relative to its folder.
#[derive(Debug)]
pub struct Config {
    /// The file that it was read from.
    pub file: PathBuf,
    /// The folder of the ledger.
    pub state_dir: PathBuf,
    /// The component to load; `None` is the bundled one.
    pub component: Option<PathBuf>,
    /// Sorted by name; at least one.
    pub destinations: Vec<Arc<Destination>>,
    /// The schedules of those destinations that have one, by name.
    pub schedules: BTreeMap<String, Schedule>,
    /// How the service works.
    pub service: ServiceSettings,
    /// Who is told what goes wrong in the service.
    pub alerts: AlertSettings,
    places: PlaceIndex,
}

impl Config {
    /// Reads a file, with variables from the environment.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        Self::load_with(file, &|name| std::env::var(name).ok())
    }

    /// Reads a file, with variables that the caller knows.
    pub fn load_with(file: &Path, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable {
            path: file.to_path_buf(),
            source,
        };
        let mut bytes = Zeroizing::new(Vec::new());
        open_regular(file)
            .map_err(std::io::Error::from)
            .and_then(|open| open.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
            .map_err(unreadable)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(ConfigError::TooLarge {
                path: file.to_path_buf(),
                limit_bytes: MAX_FILE_BYTES,
            });
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| ConfigError::NotText {
            path: file.to_path_buf(),
        })?;
        Self::parse(file, text, variable)
    }

    /// Reads a text as if it were in `file`.
    pub fn parse(file: &Path, text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let config = tree::parse(text, variable, &mut problems).map(|table| read(file, table, &mut problems));
        match config {
            Some((config, _)) if problems.is_empty() => Ok(config),
            read => Err(ConfigError::Invalid(Problems::new(file, problems, read))),
        }
    }

    /// Puts the problems of a failure with a destination into this file, each with its line.
    pub fn located(&self, destination: &str, failure: Failure) -> Failure {
        failure.in_file(&self.file, |problem| self.placed(destination, problem))
    }

    /// Returns the problems in a failure with a destination, each with its line; never empty.
    pub fn located_problems(&self, destination: &str, failure: &Failure) -> Vec<Problem> {
        let problems = failure.as_problems().into_iter();
        problems.map(|problem| self.placed(destination, problem)).collect()
    }

    fn placed(&self, destination: &str, problem: Problem) -> Problem {
        let table = pointer::join("/destinations", destination);
        let pointer = format!("{table}{}", problem.pointer);
        let at = self.places.find(&pointer);
        Problem { pointer, ..problem }.placed(at)
    }

    /// Returns the schedule of a destination, if it has one.
    pub fn schedule(&self, destination: &str) -> Option<&Schedule> {
        self.schedules.get(destination)
    }

    /// Returns the destination of that name, or the only one.
    pub fn destination(&self, name: Option<&str>) -> Result<&Arc<Destination>, ConfigError> {
        let known = || self.destinations.iter().map(|d| d.name.clone()).collect();
        match (name, self.destinations.as_slice()) {
            (Some(name), all) => all
                .iter()
                .find(|d| d.name == name)
                .ok_or_else(|| ConfigError::NoSuchDestination {
                    path: self.file.clone(),
                    name: name.to_owned(),
                    known: known(),
                }),
            (None, [only]) => Ok(only),
            (None, _) => Err(ConfigError::ManyDestinations {
                path: self.file.clone(),
                known: known(),
            }),
        }
    }
}

/// Reads the whole file; every destination is a draft, and those that are right are in the configuration.
fn read(file: &Path, table: Table, problems: &mut Vec<Problem>) -> (Config, Vec<Draft>) {
    let folder = file.parent().unwrap_or(Path::new(""));
    let start = Place { line: 1, column: 1 };
    let places = PlaceIndex::of(&table);
    let mut root = Section::new("", start, table, problems);

    let state_dir = root.text("state_dir").map(|(at, path)| (at, folder.join(path)));
    if let Some((at, path)) = &state_dir
        && path.exists()
        && !path.is_dir()
    {
        let cause = Cause::new(format!("{} is not a folder", path.display()));
        root.problem(*at, "state_dir", cause.with_hint("let it name another folder"));
    }
    let state_dir = state_dir.map_or_else(|| folder.join(DEFAULT_STATE_DIR), |(_, path)| path);
    let component = root.section("component").and_then(|mut section| {
        let path = section.text("path").map(|(_, path)| folder.join(path));
        if path.is_none() {
            section.missing("path", "name the plugin's file, or omit [component]");
        }
        section.finish();
        path
    });
    let (mut destinations, mut schedules, mut drafts) = (Vec::new(), BTreeMap::new(), Vec::new());
    let is_there = root.has("destinations");
    let described = match root.section("destinations") {
        Some(section) if !section.is_empty() => {
            section.each_section(|name, section| {
                let component = component.as_deref();
                let read = destination::read(folder, component, &places, name, section);
                schedules.extend(read.schedule.map(|schedule| (read.draft.name.clone(), schedule)));
                destinations.extend(read.destination.map(Arc::new));
                drafts.push(read.draft);
            });
            true
        }
        // That it is not a table was reported already.
        None => is_there,
        Some(_) => false,
    };
    if !described {
        let at = root.at;
        root.problem(
            at,
            "destinations",
            Cause::new("missing").with_hint("add at least one in a table such as [destinations.archive]"),
        );
    }
    let service = service::read(&mut root);
    let alerts = alerts::read(folder, &places, &mut root);
    root.finish();
    let config = Config {
        file: file.to_path_buf(),
        state_dir,
        component,
        destinations,
        schedules,
        service,
        alerts,
        places,
    };
    (config, drafts)
}
