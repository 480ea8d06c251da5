//! What outlives a process: for each run in progress the notes of its attempts, held by one host at a time. A run needs
//! the traits here and nothing else; the service's ledger is the usual implementation, memory the one of tests and of
//! programs that keep nothing.

mod memory;

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::Failure;
use batch_export_sandbox::Journal;
use batch_export_sandbox::contract::{Interval, Run};

pub use memory::StateMemory;

/// The form of notes written here; notes of another form are kept and reported.
const FORM: u32 = 1;

/// Keeps what outlives a process. Its calls block for as long as small files take to be written, never for a network.
pub trait State: fmt::Debug + Send + Sync {
    /// Takes hold of a run, so that no other host works on it at the same time. Fails with the code `RUN_IN_PROGRESS`
    /// while somebody else holds it.
    fn lease(&self, run_id: &str) -> Result<Box<dyn Lease>, Failure>;

    /// Lists the runs that are in progress or were left behind, without holding any.
    fn leftovers(&self) -> Result<Leftovers, Failure>;

    /// Returns the seal of the settings with which the destination was last checked and worked.
    fn last_check(&self, destination: &str) -> Result<Option<String>, Failure>;

    /// Keeps the seal of settings that work. It must not be readable by other users.
    fn remember_check(&self, destination: &str, seal: &str) -> Result<(), Failure>;
}

/// A run that this host holds. Dropping it lets go of the run and keeps its notes.
pub trait Lease: fmt::Debug + Send + Sync {
    /// Begins an attempt: returns the journal that takes its notes, the first of which says what they belong to.
    fn begin(&self, origin: &Origin) -> Result<Box<dyn Journal>, Failure>;

    /// Lists the attempts that have notes, oldest first.
    fn attempts(&self) -> Result<Vec<String>, Failure>;

    /// Reads the notes of an attempt.
    fn read(&self, attempt: &str) -> FoundNotes;

    /// Forgets the notes of an attempt that left nothing open.
    fn forget(&self, attempt: &str) -> Result<(), Failure>;

    /// Returns where the notes of an attempt are, or those of the whole run, for a message.
    fn place(&self, attempt: Option<&str>) -> String;

    /// Lets go of the run and forgets it, unless some attempt still has notes.
    fn finish(self: Box<Self>) -> Result<(), Failure>;
}

/// The identity of a run: the same for all its attempts.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Header {
    /// The name of its destination.
    pub destination: String,
    /// The run's id.
    pub id: String,
    /// What is exported.
    pub model: String,
    /// The interval's first moment, in microseconds since 1970; `None` without a beginning.
    pub start_micros: Option<i64>,
    /// The first moment behind the interval.
    pub end_micros: i64,
}

/// What the notes of an attempt belong to: the first of them.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub struct Origin {
    form: u32,
    /// The run.
    #[serde(flatten)]
    pub header: Header,
    /// The attempt's id.
    pub attempt: String,
    /// The time at which it began, in seconds since 1970.
    begun: u64,
    /// What the plugin was configured with, without secrets: recovery needs the same.
    pub configuration: Value,
}

/// The notes of one attempt.
#[derive(Debug)]
pub struct Leftover {
    /// What they belong to.
    pub origin: Origin,
    /// The plugin's notes, in order.
    pub notes: Vec<Vec<u8>>,
}

/// The outcome of reading an attempt's notes.
#[derive(Debug)]
pub enum FoundNotes {
    /// Nothing was ever noted; the attempt is forgotten.
    Nothing,
    /// Notes that recovery can use.
    Notes(Leftover),
    /// Notes that cannot be used, and the reason.
    Unreadable(String),
}

/// The runs that a state knows of.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// Runs, held by somebody or not, in order of their ids.
    pub runs: Vec<LeftRun>,
    /// Whether there are more than were listed.
    pub more: bool,
}

/// A run that a state knows of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftRun {
    /// The run's id.
    pub id: String,
    /// Whose it is.
    pub owner: RunOwner,
}

/// The owner of a run that was left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunOwner {
    /// The destination that its first readable notes name.
    Destination(String),
    /// It has no notes yet.
    Unknown,
    /// It has notes, none of which says whose they are.
    Unreadable,
}

impl Leftovers {
    /// Returns whether there is nothing to look after.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

impl Header {
    /// Returns an attempt at this run.
    pub fn run(&self, attempt: String) -> Run {
        Run {
            id: self.id.clone(),
            attempt,
            model: self.model.clone(),
            interval: Interval {
                start_micros: self.start_micros,
                end_micros: self.end_micros,
            },
        }
    }
}

impl Origin {
    /// Returns the origin of an attempt that begins now.
    pub fn new(header: Header, attempt: String, configuration: Value) -> Self {
        let begun = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            form: FORM,
            header,
            attempt,
            begun: begun.unwrap_or_default().as_secs(),
            configuration,
        }
    }

    /// Reads an attempt's first note. What it says of its run and attempt is compared with where it was found.
    pub fn read(first: &[u8], run_id: &str, attempt: &str) -> Result<Self, String> {
        let origin: Origin = serde_json::from_slice(first)
            .map_err(|_| "it does not begin with the run that its notes belong to".to_owned())?;
        if origin.form != FORM {
            return Err(format!(
                "it has format {}, but this program supports {FORM}",
                origin.form
            ));
        }
        if origin.header.id != run_id || origin.attempt != attempt {
            return Err("it belongs to a different run or attempt than its name says".to_owned());
        }
        Ok(origin)
    }
}
