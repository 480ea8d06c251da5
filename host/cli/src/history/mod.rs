//! What the commands about runs that were and will be have in common: the ledger of a configuration, the runs in it
//! that a short id means, times as people read them, and what a run is in JSON.

mod json;
pub mod range;
pub mod standing;
mod times;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::about::About;
use crate::error;
use batch_export_runner::config::{Config, ConfigError};
use batch_export_runner::{Failure, FailureClass};
use batch_export_service::ledger::{Ledger, Run, UnknownRun};

pub use json::{BackfillJson, RunJson, ServiceJson, iso};
pub use times::{Times, about, length, span};

/// Digits of the hash at the end of a run's id, and how many of them stand for the run in tables.
const HASH_DIGITS: usize = 24;
const SHORT_DIGITS: usize = 8;

/// Which configuration file: the ledger next to it is the one that is meant.
#[derive(Debug, Args)]
pub struct Place {
    /// Configuration file; defaults to `batch-export.toml` in the current folder.
    #[arg(long, value_name = "FILE", env = crate::commands::CONFIG_VARIABLE)]
    config: Option<PathBuf>,
}

/// A configuration with its ledger.
pub struct History {
    pub config: Config,
    pub ledger: Ledger,
    /// The process of the service that works with it, 0 where that is not known; `None` where there is no service.
    pub service: Option<u32>,
}

impl Place {
    /// Opens the ledger. Variables of the environment need not be set: only a run needs what is in them.
    pub fn open(&self) -> Result<History, Failure> {
        let config = self.read()?;
        let ledger = Ledger::open(&config.state_dir)?;
        let service = ledger.service()?;
        Ok(History {
            config,
            ledger,
            service,
        })
    }

    fn read(&self) -> Result<Config, ConfigError> {
        let default = Path::new(crate::commands::DEFAULT_CONFIG);
        let file = self.config.as_deref().unwrap_or(default);
        if self.config.is_none() && !file.exists() {
            return Err(ConfigError::NoDefault(crate::commands::DEFAULT_CONFIG));
        }
        Config::load(file).or_else(|problems| {
            let unset = |name: &str| Some(std::env::var(name).unwrap_or_else(|_| format!("unset-{name}")));
            Config::load_with(file, &unset).map_err(|_| problems)
        })
    }
}

impl History {
    /// Returns the run that an id means: the whole one, or the beginning of it or of the digits at its end.
    pub fn run(&self, id: &str) -> Result<Run, Failure> {
        let unknown = match self.ledger.run(id)? {
            Ok(run) => return Ok(run),
            Err(unknown) => unknown,
        };
        Err(match unknown {
            UnknownRun::None => {
                let message = format!("there is no run `{id}` in {}", self.ledger.file().display());
                Failure::new(FailureClass::Configuration, error::RUN_UNKNOWN, message)
                    .with_hint("`batch-export runs` lists them; the first digits of RUN are enough")
            }
            UnknownRun::Several(ids) => {
                let ids: Vec<String> = ids.iter().map(|id| format!("`{id}`")).collect();
                let message = format!("`{id}` may mean several runs: {}", ids.join(", "));
                Failure::new(FailureClass::Configuration, error::RUN_AMBIGUOUS, message)
                    .with_hint("write more of the digits at the end of the one that you mean, from their beginning")
            }
        })
    }

    /// Checks that a destination is configured, or was.
    pub fn knows(&self, name: &str) -> Result<(), Failure> {
        if self.is_configured(name) || self.ledger.destination(name)?.is_some() {
            return Ok(());
        }
        self.config.destination(Some(name))?;
        Ok(())
    }

    /// Returns the destinations that are configured or were, by name.
    pub fn names(&self) -> Result<Vec<String>, Failure> {
        let configured = self
            .config
            .destinations
            .iter()
            .map(|destination| destination.name.clone());
        let seen = self.ledger.destinations()?.into_iter().map(|row| row.name);
        let names: BTreeSet<String> = configured.chain(seen).collect();
        Ok(names.into_iter().collect())
    }

    /// Returns whether a destination is in the configuration.
    pub fn is_configured(&self, name: &str) -> bool {
        self.config
            .destinations
            .iter()
            .any(|destination| destination.name == name)
    }

    /// Returns the service in JSON.
    pub fn service_json(&self) -> ServiceJson {
        ServiceJson::new(self.service)
    }

    /// Says when what was just asked for happens.
    pub fn when(&self) -> String {
        match self.service {
            Some(0) => "the running service starts it within a second".to_owned(),
            Some(pid) => format!("the running service (process {pid}) starts it within a second"),
            None => "queued: no service is running, so it starts with the next `batch-export serve`".to_owned(),
        }
    }

    /// Says whether a service is running.
    pub fn service_in_words(&self) -> String {
        match self.service {
            Some(0) => "a service is running".to_owned(),
            Some(pid) => format!("a service is running (process {pid})"),
            None => "no service is running".to_owned(),
        }
    }
}

/// Returns a run as the subject of a command.
pub fn subject(run: &Run) -> About {
    About {
        destination: Some(run.destination.clone()),
        model: Some(run.model.clone()),
        run_id: Some(run.id.clone()),
        interval: run.interval(),
        ..About::default()
    }
}

/// Returns what stands for a run in a table.
pub fn short_id(id: &str) -> &str {
    let hash = id.len().checked_sub(HASH_DIGITS).and_then(|at| id.get(at..));
    let hash = hash.filter(|hash| hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hash.and_then(|hash| hash.get(..SHORT_DIGITS)).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_of_its_hash_stand_for_a_run() {
        for (id, short) in [
            ("archive-0123456789abcdef01234567", "01234567"),
            ("a-b-c-0123456789abcdef01234567", "01234567"),
            ("short", "short"),
            ("no-hash-here-but-long-enough", "no-hash-here-but-long-enough"),
            ("", ""),
        ] {
            assert_eq!(short_id(id), short);
        }
    }
}
