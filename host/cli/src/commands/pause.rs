//! `pause` and `unpause`: stop and resume the schedule of a destination.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::Clock;
use crate::about::About;
use crate::history::{History, Place, ServiceJson, Times, iso};
use crate::message::wrapped;
use crate::output::{self, Answer, Form};
use crate::words;
use batch_export_runner::Failure;
use batch_export_service::ledger::{Pause, PausedBy};
use batch_export_source::Moment;

/// Pause the schedule of a destination; intervals that end meanwhile are skipped.
///
/// Runs that are in progress or already wait go on.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  batch-export pause archive --reason \"the bucket moves\"")]
pub struct PauseArgs {
    /// The destination.
    name: String,
    #[command(flatten)]
    place: Place,
    /// Why, for whoever looks at its status.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Resume the schedule of a destination.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  batch-export unpause archive --backfill")]
pub struct UnpauseArgs {
    /// The destination.
    name: String,
    #[command(flatten)]
    place: Place,
    /// Export the intervals that were skipped during the pause.
    #[arg(long)]
    backfill: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct PausedJson {
    destination: String,
    changed: bool,
    pause: Option<PauseJson>,
    service: ServiceJson,
}

/// A pause in JSON.
#[derive(Serialize)]
pub struct PauseJson {
    at: String,
    by: PausedBy,
    reason: Option<String>,
}

impl From<&Pause> for PauseJson {
    fn from(pause: &Pause) -> Self {
        PauseJson {
            at: iso(pause.at),
            by: pause.by,
            reason: pause.reason.clone(),
        }
    }
}

#[derive(Serialize)]
struct ResumedJson {
    destination: String,
    changed: bool,
    /// Intervals that were skipped during the pause.
    skipped: u64,
    /// Whether they run now.
    backfilled: bool,
    service: ServiceJson,
}

impl PauseArgs {
    pub fn execute(self, clock: Clock) -> ExitCode {
        let outcome = self.place.open().and_then(|history| self.pause(&history, clock()));
        output::show(Form::new(self.json, false), clock(), &About::default(), outcome)
    }

    fn pause(&self, history: &History, now: Moment) -> Result<Answer<PausedJson>, Failure> {
        let name = &self.name;
        history.config.destination(Some(name))?;
        let pause = Pause {
            at: now,
            by: PausedBy::Operator,
            reason: self.reason.as_deref().and_then(in_one_line),
        };
        let is_new = history.ledger.pause(name, &pause)?;
        let pause = history.ledger.destination(name)?.and_then(|row| row.pause);
        let text = match (&pause, is_new) {
            (Some(pause), false) => format!("{name} is paused already, {}", in_words(pause, &Times::for_output())),
            _ => format!(
                "paused {name}: intervals that end from now on are skipped until `batch-export unpause {name}`; runs \
                 in progress go on"
            ),
        };
        let json = PausedJson {
            destination: name.clone(),
            changed: is_new,
            pause: pause.as_ref().map(PauseJson::from),
            service: history.service_json(),
        };
        Ok(Answer::new(json, wrapped(&text, 2)))
    }
}

impl UnpauseArgs {
    pub fn execute(self, clock: Clock) -> ExitCode {
        let outcome = self.place.open().and_then(|history| self.unpause(&history, clock()));
        output::show(Form::new(self.json, false), clock(), &About::default(), outcome)
    }

    fn unpause(&self, history: &History, now: Moment) -> Result<Answer<ResumedJson>, Failure> {
        let name = &self.name;
        history.knows(name)?;
        let ended = history.ledger.unpause(name, self.backfill, now)?;
        let intervals = |count| words::counted(count, "interval");
        let text = match &ended {
            None => format!("{name} is not paused"),
            Some((_, 0)) => format!("resumed {name}: no interval was skipped"),
            Some((_, skipped)) if self.backfill => {
                format!(
                    "resumed {name}: {} that were skipped run now; {}",
                    intervals(*skipped),
                    history.when()
                )
            }
            Some((_, skipped)) => {
                let (from, to) = match history.ledger.skipped(name)? {
                    Some(skipped) => (skipped.start.to_string(), skipped.end.to_string()),
                    None => ("TIME".to_owned(), "TIME".to_owned()),
                };
                let skipped = intervals(*skipped);
                format!(
                    "resumed {name}: {skipped} that ended during the pause stay skipped; export them with `batch-export \
                     backfill {name} --from {from} --to {to}`"
                )
            }
        };
        let json = ResumedJson {
            destination: name.clone(),
            changed: ended.is_some(),
            skipped: ended.as_ref().map_or(0, |(_, skipped)| *skipped),
            backfilled: self.backfill && ended.is_some(),
            service: history.service_json(),
        };
        Ok(Answer::new(json, wrapped(&text, 2)))
    }
}

/// Returns a reason without line breaks, which tables and logs have no room for; `None` where it says nothing.
fn in_one_line(reason: &str) -> Option<String> {
    let words: Vec<&str> = reason.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// Returns since when, by whom and why a destination is paused.
pub fn in_words(pause: &Pause, times: &Times) -> String {
    let since = times.minute(pause.at);
    let reason = pause
        .reason
        .iter()
        .map(|reason| format!(": {reason}"))
        .collect::<String>();
    match pause.by {
        PausedBy::Operator => format!("since {since}{reason}"),
        PausedBy::Failures => format!("since {since}, by itself{reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_that_says_something() {
        for (reason, line) in [
            ("the bucket moves", Some("the bucket moves")),
            (
                " the\tbucket\r\nmoves\u{2028}\u{a0}soon\n",
                Some("the bucket moves soon"),
            ),
            (" \n", None),
            ("", None),
        ] {
            assert_eq!(in_one_line(reason).as_deref(), line, "{reason:?}");
        }
    }
}
