//! `status`: how every destination stands, in one line each, or one of them in full.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::Clock;
use super::pause::{PauseJson, in_words as pause_in_words};
use crate::about::About;
use crate::grid::{Side, grid};
use crate::history::standing::{Standing, Word};
use crate::history::{History, Place, RunJson, ServiceJson, Times, about, iso, length, short_id, span};
use crate::message::wrapped;
use crate::output::{self, Answer, Form};
use crate::words;
use batch_export_runner::Failure;
use batch_export_service::ledger::RunState;
use batch_export_source::{Ends, Moment};

/// Show how every destination stands: its state, its last and next run, and what is missing.
///
/// A destination is ok, running, late (more than one interval is not exported), failing (its last run failed), paused,
/// new (no run yet), without a schedule, or removed (not in the configuration any more).
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  batch-export status\n  batch-export status archive\n  watch batch-export status")]
pub struct StatusArgs {
    /// Only this destination, in full.
    name: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct StatusJson {
    service: ServiceJson,
    destinations: Vec<DestinationJson>,
}

#[derive(Serialize)]
struct DestinationJson {
    destination: String,
    state: Word,
    /// The length of its intervals, and their time zone.
    schedule: Option<ScheduleJson>,
    pause: Option<PauseJson>,
    last_run: Option<RunJson>,
    /// When the next run may start.
    next_run_at: Option<String>,
    exported_up_to: Option<String>,
    lag_seconds: Option<u64>,
    running: u64,
    waiting: u64,
    failed_in_a_row: u32,
    skipped: Option<SkippedJson>,
}

#[derive(Serialize)]
struct ScheduleJson {
    every: String,
    timezone: String,
}

#[derive(Serialize)]
struct SkippedJson {
    intervals: u64,
    between: Ends,
    reason: Option<String>,
}

impl StatusArgs {
    pub fn execute(self, clock: Clock) -> ExitCode {
        let outcome = self.place.open().and_then(|history| self.status(&history, clock()));
        output::show(Form::new(self.json, false), clock(), &About::default(), outcome)
    }

    fn status(&self, history: &History, now: Moment) -> Result<Answer<StatusJson>, Failure> {
        let mut names = history.names()?;
        if let Some(name) = &self.name {
            history.knows(name)?;
            names.retain(|known| known == name);
        }
        let standings = names.iter().map(|name| Standing::of(history, name, now));
        let standings = standings.collect::<Result<Vec<_>, _>>()?;
        let times = Times::for_output();
        let mut text = match (&self.name, standings.first()) {
            (Some(_), Some(standing)) => in_full(standing, &times, now),
            _ => format!("{}\n", table(&standings, now)),
        };
        for standing in &standings {
            for note in notes(standing, &times) {
                text.push_str(&format!("{}\n", wrapped(&format!("{}: {note}", standing.name), 2)));
            }
        }
        text.push_str(&format!("{}\n", history.service_in_words()));
        let json = StatusJson {
            service: history.service_json(),
            destinations: standings
                .iter()
                .map(|standing| DestinationJson::new(standing, now))
                .collect(),
        };
        Ok(Answer::new(json, text))
    }
}

impl DestinationJson {
    fn new(standing: &Standing<'_>, now: Moment) -> Self {
        DestinationJson {
            destination: standing.name.clone(),
            state: standing.word,
            schedule: standing.schedule.map(|schedule| ScheduleJson {
                every: schedule.every().to_string(),
                timezone: schedule.timezone().to_owned(),
            }),
            pause: standing.pause.as_ref().map(PauseJson::from),
            last_run: standing.last.as_ref().map(RunJson::from),
            next_run_at: standing.next.map(iso),
            exported_up_to: standing.exported.map(iso),
            lag_seconds: standing.exported.map(|exported| span(exported, now).as_secs()),
            running: standing.running,
            waiting: standing.waiting,
            failed_in_a_row: standing.failed_in_a_row,
            skipped: standing.skipped.as_ref().map(|skipped| SkippedJson {
                intervals: skipped.count,
                between: Ends::of(Some(skipped.start.0), skipped.end.0),
                reason: skipped.reason.clone(),
            }),
        }
    }
}

fn table(standings: &[Standing<'_>], now: Moment) -> String {
    let header = [
        ("destination", Side::Left),
        ("state", Side::Left),
        ("last run", Side::Right),
        ("rows", Side::Right),
        ("bytes", Side::Right),
        ("behind", Side::Right),
        ("next run", Side::Right),
    ];
    let row = |standing: &Standing<'_>| {
        let last = standing.last.as_ref();
        let completed = last.filter(|run| run.state == RunState::Completed);
        vec![
            standing.name.clone(),
            standing.word.in_words().to_owned(),
            last.and_then(|run| run.finished)
                .map_or_else(String::new, |at| format!("{} ago", about(span(at, now)))),
            completed.map_or_else(String::new, |run| words::count(run.rows)),
            completed.map_or_else(String::new, |run| words::bytes(run.bytes)),
            standing
                .exported
                .map_or_else(String::new, |exported| about(span(exported, now))),
            standing.next.map_or_else(String::new, |next| next_in_words(next, now)),
        ]
    };
    grid(&header, &standings.iter().map(row).collect::<Vec<_>>())
}

fn next_in_words(next: Moment, now: Moment) -> String {
    match next <= now {
        true => "now".to_owned(),
        false => format!("in {}", about(span(now, next))),
    }
}

fn in_full(standing: &Standing<'_>, times: &Times, now: Moment) -> String {
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value));
    fact("state", standing.word.in_words().to_owned());
    if let Some(schedule) = standing.schedule {
        fact(
            "schedule",
            format!("every {} ({})", schedule.every(), schedule.timezone()),
        );
    }
    if let Some(run) = &standing.last {
        let interval = times.interval(run.start, run.end);
        fact("last run", format!("{interval}: {} ({})", run.state, short_id(&run.id)));
        if let (Some(started), Some(finished)) = (run.started, run.finished) {
            fact(
                "finished",
                format!("{}, after {}", times.second(finished), length(span(started, finished))),
            );
        }
        if run.state == RunState::Completed {
            fact(
                "exported",
                format!("{}, {}", words::counted(run.rows, "row"), words::bytes(run.bytes)),
            );
        }
    }
    if let Some(next) = standing.next {
        fact(
            "next run",
            format!("{} ({})", times.second(next), next_in_words(next, now)),
        );
    }
    if let Some(exported) = standing.exported {
        fact(
            "exported up to",
            format!("{}, {} behind", times.minute(exported), about(span(exported, now))),
        );
    }
    fact("running", words::count(standing.running));
    fact("waiting", words::count(standing.waiting));
    fact("times in", times.zone(now));
    format!("{}\n{}", standing.name, words::table(&facts))
}

/// What somebody should know or do about a destination.
fn notes(standing: &Standing<'_>, times: &Times) -> Vec<String> {
    let name = &standing.name;
    let mut notes = Vec::new();
    if let Some(pause) = &standing.pause {
        let pause = pause_in_words(pause, times);
        notes.push(format!("paused {pause}; resume it with `batch-export unpause {name}`"));
    }
    if let Some(run) = standing.failed() {
        let text = |field: &str| {
            run.error
                .as_ref()
                .and_then(|error| error[field].as_str())
                .map(str::to_owned)
        };
        let message = text("message").unwrap_or_else(|| "the reason is not known".to_owned());
        let hint = text("hint").map(|hint| format!("; {hint}")).unwrap_or_default();
        let id = short_id(&run.id);
        notes.push(format!("{}: {message}{hint} (`batch-export show {id}`)", run.state));
    }
    if let Some(skipped) = &standing.skipped {
        let missed = words::counted(skipped.count + standing.made_up, "interval");
        let reason = skipped
            .reason
            .iter()
            .map(|reason| format!(" ({reason})"))
            .collect::<String>();
        notes.push(format!(
            "{missed} missed, {} will run, {} skipped{reason}: export them with `batch-export backfill {name} --from {} \
             --to {}`",
            words::count(standing.made_up),
            words::count(skipped.count),
            skipped.start,
            skipped.end
        ));
    }
    if standing.unseen > 0 {
        let intervals = words::counted(standing.unseen, "interval");
        notes.push(format!(
            "{intervals} ended while no service was running: start `batch-export serve`"
        ));
    }
    if standing.word == Word::Removed && standing.waiting > 0 {
        let runs = words::counted(standing.waiting, "run");
        notes.push(format!("{runs} will not start while it is not in the configuration"));
    }
    notes
}
