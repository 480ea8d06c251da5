//! Reading the configuration again while runs go on.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use tracing::{error, info, warn};

use super::Service;
use super::fleet::Fleet;
use batch_export_runner::config::{Config, Reload, ServiceSettings};
use batch_export_runner::{Failure, Problem};

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// The configuration file, where changes to it are taken over by themselves.
#[derive(Debug)]
pub(super) struct Watched {
    file: Option<PathBuf>,
    seen: Option<(SystemTime, u64)>,
    looked: Instant,
}

impl Watched {
    pub(super) fn new(config: &Config) -> Self {
        let file = (config.service.reload == Reload::Automatic).then(|| config.file.clone());
        Watched {
            seen: file.as_ref().and_then(look),
            file,
            looked: Instant::now(),
        }
    }

    /// Returns whether the file is another one than at the last look.
    pub(super) fn has_changed(&mut self) -> bool {
        let Some(file) = &self.file else {
            return false;
        };
        if self.looked.elapsed() < INTERVAL {
            return false;
        }
        self.looked = Instant::now();
        let seen = look(file);
        // A file that is being replaced is not there for a moment.
        let has_changed = seen.is_some() && seen != self.seen;
        if has_changed {
            self.seen = seen;
        }
        has_changed
    }
}

fn look(file: &PathBuf) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

impl Service {
    /// Reads the configuration again. One that is wrong changes nothing.
    pub(super) async fn reload(&mut self) {
        match self.take_over().await {
            Ok(()) => info!(
                destinations = self.fleet.exporters.len(),
                "the configuration was read again and is in force"
            ),
            Err(failure) => {
                error!(
                    "the configuration was read again and cannot be used, so the earlier one stays in force: {}",
                    whole(&failure)
                );
            }
        }
    }

    async fn take_over(&mut self) -> Result<(), Failure> {
        let config = (self.options.read)()?;
        for setting in fixed(&self.fleet.config, &config) {
            warn!("{setting} has changed, which takes effect when the service is restarted");
        }
        let fleet = Fleet::load(config, &self.runtime).await?;
        let dropped = self
            .fleet
            .exporters
            .keys()
            .filter(|name| fleet.exporter(name).is_none());
        for name in dropped {
            let runs = self
                .underway
                .values()
                .filter(|underway| underway.run.destination == *name);
            warn!(
                destination = name,
                runs_in_progress = runs.count(),
                "the destination is not configured any more; its runs in progress finish, and nothing new is started"
            );
        }
        let now = self.now();
        self.scheduler.set_runs_at_once(fleet.config.service.runs_at_once);
        self.scheduler.configure(fleet.configured(), now)?;
        let file = std::mem::replace(&mut self.watched, Watched::new(&fleet.config)).seen;
        // What changed while it was read is read again.
        if file.is_some() {
            self.watched.seen = file;
        }
        self.fleet = fleet;
        self.housekeeping.reconfigured(&self.fleet, self.now());
        Ok(())
    }
}

/// Returns the settings that cannot change while the service runs and did.
fn fixed(before: &Config, after: &Config) -> Vec<&'static str> {
    let (old, new): (&ServiceSettings, &ServiceSettings) = (&before.service, &after.service);
    let mut changed = Vec::new();
    let mut note = |differs: bool, name| {
        if differs {
            changed.push(name);
        }
    };
    note(before.state_dir != after.state_dir, "state_dir");
    note(old.memory_bytes != new.memory_bytes, "[service] memory_mb");
    note(old.listen != new.listen, "[service] listen");
    note(old.log_format != new.log_format, "[service] log_format");
    changed
}

/// A failure with all its problems on one line.
fn whole(failure: &Failure) -> String {
    let in_words = |problem: &Problem| {
        let line = problem.at.map_or(String::new(), |at| format!("line {}: ", at.line));
        let hint = problem.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
        let field = match problem.pointer.as_str() {
            "" => String::new(),
            _ => format!("{}: ", problem.field()),
        };
        format!("{line}{field}{}{hint}", problem.message)
    };
    let problems = failure.problems().iter().map(in_words);
    let problems: Vec<String> = problems.collect();
    match problems.is_empty() {
        true => failure.in_one_text(),
        false => format!("{failure}: {}", problems.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_problem_is_on_the_line_with_what_it_is_about() {
        let problems = vec![
            Problem::new("", "it is not TOML"),
            Problem::new("/service/listen", "it is not an address"),
        ];
        let class = batch_export_runner::FailureClass::Configuration;
        let invalid = Failure::new(
            class,
            batch_export_runner::FailureCode::CONFIGURATION_INVALID,
            "it is wrong",
        );
        let failure = Failure::of_several(Path::new("exports.toml"), vec![invalid], problems).expect("one");
        let text = whole(&failure);
        assert!(
            text.ends_with(": it is not TOML; service.listen: it is not an address"),
            "{text}"
        );
        assert!(!text.contains(": :"), "{text}");
    }
}
