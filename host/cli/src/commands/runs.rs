//! `runs`: lists runs, the newest intervals first.

use std::process::ExitCode;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::Serialize;

use super::Clock;
use crate::about::About;
use crate::grid::{Side, grid};
use crate::history::{History, Place, RunJson, Times, about, short_id, span};
use crate::output::{self, Answer, Form};
use crate::words;
use batch_export_runner::Failure;
use batch_export_service::ledger::{Run, RunFilter, RunState};
use batch_export_source::Moment;

/// List runs, the newest intervals first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  batch-export runs\n  batch-export runs archive --state failed")]
pub struct RunsArgs {
    /// Only those of this destination.
    name: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Only those in this state; may be repeated.
    #[arg(long, value_name = "STATE", value_parser = PossibleValuesParser::new(RunState::ALL.iter().map(|state| state.as_str())))]
    state: Vec<String>,
    /// Only those of this backfill.
    #[arg(long, value_name = "N")]
    backfill: Option<i64>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Print the runs as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct RunsJson {
    runs: Vec<RunJson>,
    /// Whether there are more than the limit.
    more: bool,
}

impl RunsArgs {
    pub fn execute(self, clock: Clock) -> ExitCode {
        let outcome = self.place.open().and_then(|history| self.list(&history, clock()));
        output::show(Form::new(self.json, false), clock(), &About::default(), outcome)
    }

    fn list(&self, history: &History, now: Moment) -> Result<Answer<RunsJson>, Failure> {
        if let Some(name) = &self.name {
            history.knows(name)?;
        }
        let is_meant = |state: &&RunState| self.state.iter().any(|word| word == state.as_str());
        let filter = RunFilter {
            destination: self.name.clone(),
            states: RunState::ALL.iter().filter(is_meant).copied().collect(),
            backfill: self.backfill,
            limit: self.limit + 1,
        };
        let mut runs = history.ledger.runs(&filter)?;
        let more = runs.len() > self.limit as usize;
        runs.truncate(self.limit as usize);
        let mut text = match runs.is_empty() {
            true => "no runs\n".to_owned(),
            false => table(&runs, self.name.is_none(), &Times::for_output(), now),
        };
        if more {
            text.push_str(&format!("there are more than these {}: see --limit\n", self.limit));
        }
        let runs = runs.iter().map(RunJson::from).collect();
        Ok(Answer::new(RunsJson { runs, more }, text))
    }
}

/// Returns runs as a table.
fn table(runs: &[Run], of_several: bool, times: &Times, now: Moment) -> String {
    let zone = format!("interval ({})", times.zone(now));
    let mut header = vec![("run", Side::Left)];
    header.extend(of_several.then_some(("destination", Side::Left)));
    header.extend([
        (zone.as_str(), Side::Left),
        ("state", Side::Left),
        ("rows", Side::Right),
        ("took", Side::Right),
    ]);
    let row = |run: &Run| {
        let mut row = vec![short_id(&run.id).to_owned()];
        row.extend(of_several.then(|| run.destination.clone()));
        let is_told = run.state == RunState::Completed || run.rows > 0;
        row.extend([
            times.interval(run.start, run.end),
            run.state.to_string(),
            if is_told { words::count(run.rows) } else { String::new() },
            took(run, now),
        ]);
        row
    };
    grid(&header, &runs.iter().map(row).collect::<Vec<_>>())
}

/// How long the last attempt took, or takes so far.
fn took(run: &Run, now: Moment) -> String {
    match (run.started, run.finished, run.state) {
        (Some(started), _, RunState::Running) => about(span(started, now)),
        // What was cancelled while it waited took no time, whenever it ran before.
        (_, _, RunState::Cancelled | RunState::Starting) => String::new(),
        (Some(started), Some(finished), _) if finished >= started => about(span(started, finished)),
        _ => String::new(),
    }
}
