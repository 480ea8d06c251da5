//! `show`: everything about one run.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::Clock;
use super::logs::{LineJson, in_words as line_in_words};
use crate::about::About;
use crate::grid::{Side, grid};
use crate::history::{History, Place, RunJson, Times, iso, length, span, subject};
use crate::message::wrapped;
use crate::output::{self, Answer, Form};
use crate::words::{self, Object};
use batch_export_runner::Failure;
use batch_export_service::ledger::{Attempt, LINES_LIMIT, Origin, Run, RunState};
use batch_export_source::Moment;

/// Lines of the log that are shown; `logs` has them all.
const LINES_SHOWN: usize = 20;

/// Show everything about a run: its attempts, its files, why it failed, and the end of its log.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  batch-export show 3f9c2a17")]
pub struct ShowArgs {
    /// The run: its id, or the first digits that `batch-export runs` shows.
    run: String,
    #[command(flatten)]
    place: Place,
    /// Print everything as JSON, with the whole log.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct ShownJson {
    #[serde(flatten)]
    run: RunJson,
    attempts_made: Vec<AttemptJson>,
    log: Vec<LineJson>,
}

#[derive(Serialize)]
struct AttemptJson {
    number: u32,
    attempt_id: Option<String>,
    started_at: String,
    finished_at: Option<String>,
    /// Null while it is in progress, and if its process ended first.
    outcome: Option<RunState>,
    /// SHA-256 of the plugin.
    component: String,
    rows: u64,
    report: Option<Value>,
    error: Option<Value>,
}

impl ShowArgs {
    pub fn execute(self, clock: Clock) -> ExitCode {
        let mut subject = About::default();
        let outcome = self.show(&mut subject, clock());
        output::show(Form::new(self.json, false), clock(), &subject, outcome)
    }

    fn show(&self, about: &mut About, now: Moment) -> Result<Answer<ShownJson>, Failure> {
        let history = self.place.open()?;
        let run = history.run(&self.run)?;
        *about = subject(&run);
        let attempts = history.ledger.attempts(&run.id)?;
        let log = history.ledger.lines(&run.id, 0, LINES_LIMIT as u32)?;
        let times = Times::for_output();
        let mut text = format!("{}\n{}", run.id, words::table(&facts(&history, &run, &times, now)?));
        text.push_str(&files(&attempts));
        text.push_str(&failure(&run));
        if attempts.len() > 1 {
            text.push_str(&format!("attempts\n{}", table(&attempts, &times)));
        }
        let hidden = log.len().saturating_sub(LINES_SHOWN);
        if !log.is_empty() {
            text.push_str("log\n");
        }
        if hidden > 0 {
            let earlier = words::counted(hidden as u64, "earlier line");
            text.push_str(&format!("  {earlier}: see `batch-export logs {}`\n", self.run));
        }
        for (_, line) in log.iter().skip(hidden) {
            text.push_str(&wrapped(&format!("  {}", line_in_words(line, &times)), 4));
            text.push('\n');
        }
        let json = ShownJson {
            run: RunJson::from(&run),
            attempts_made: attempts.into_iter().map(AttemptJson::from).collect(),
            log: log.iter().map(|(_, line)| LineJson::from(line)).collect(),
        };
        Ok(Answer::new(json, text))
    }
}

impl From<Attempt> for AttemptJson {
    fn from(attempt: Attempt) -> Self {
        AttemptJson {
            number: attempt.number,
            attempt_id: attempt.id,
            started_at: iso(attempt.started),
            finished_at: attempt.finished.map(iso),
            outcome: attempt.outcome,
            component: attempt.component,
            rows: attempt.rows,
            report: attempt.report,
            error: attempt.error,
        }
    }
}

fn facts(history: &History, run: &Run, times: &Times, now: Moment) -> Result<Vec<(String, String)>, Failure> {
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value));
    fact("destination", format!("{} ({})", run.destination, run.model));
    fact(
        "interval",
        format!("{} ({})", times.interval(run.start, run.end), times.zone(now)),
    );
    let because = run.reason.iter().map(|reason| format!(": {reason}"));
    fact("state", format!("{}{}", run.state, because.collect::<String>()));
    let origin = match (run.origin, run.backfill) {
        (Origin::Backfill, Some(number)) => format!("backfill {number}"),
        (Origin::Backfill, None) => "a backfill".to_owned(),
        (Origin::Schedule, Some(number)) => format!("the schedule, and again by backfill {number}"),
        (Origin::Schedule, None) => "the schedule".to_owned(),
        (Origin::Hand, _) => "`batch-export run`".to_owned(),
    };
    fact("asked for by", format!("{origin}, {}", times.second(run.created)));
    if run.state.is_waiting() {
        fact("starts from", times.second(run.not_before));
    }
    if let Some(started) = run.started {
        fact("started", times.second(started));
    }
    match (run.started, run.finished, run.state) {
        (Some(started), _, RunState::Running) => {
            let gone = match history.ledger.is_attended(&run.id)? {
                true => "",
                false => ", but its process is gone: the next `batch-export serve` or `run` takes it over",
            };
            fact("running for", format!("{}{gone}", length(span(started, now))));
        }
        (Some(started), Some(finished), _) if finished >= started => {
            fact(
                "finished",
                format!("{}, after {}", times.second(finished), length(span(started, finished))),
            );
        }
        _ => {}
    }
    if run.state == RunState::Completed {
        fact("rows", words::count(run.rows));
        fact("bytes", words::bytes(run.bytes));
    }
    if run.warnings > 0 {
        fact("warnings", format!("{}: see the log", run.warnings));
    }
    Ok(facts)
}

/// The files of the last attempt that succeeded, as its report has them.
fn files(attempts: &[Attempt]) -> String {
    let Some(report) = attempts.iter().rev().find_map(|attempt| attempt.report.as_ref()) else {
        return String::new();
    };
    let exported = &report["report"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let files = exported["files"].as_array().into_iter().flatten().map(|file| Object {
        cells: vec![
            words::counted(number(&file["rows"]), "row"),
            words::bytes(number(&file["bytes"])),
        ],
        key: text(&file["key"]),
    });
    let manifest = exported["manifest_key"].as_str().map(|key| Object {
        cells: vec![String::new(), "manifest".to_owned()],
        key: key.to_owned(),
    });
    let objects: Vec<Object> = files.chain(manifest).collect();
    match objects.is_empty() {
        true => "no files were written\n".to_owned(),
        false => format!("files\n{}", words::objects("", &objects)),
    }
}

/// Why the last attempt failed, and what to do about it.
fn failure(run: &Run) -> String {
    let Some(error) = run.error.as_ref().filter(|_| run.state != RunState::Completed) else {
        return String::new();
    };
    let line = |name: &str, field: &str| {
        let text = error[field]
            .as_str()
            .map(|text| wrapped(&format!("{name}: {text}"), 2) + "\n");
        text.unwrap_or_default()
    };
    line("error", "message") + &line("hint", "hint")
}

fn table(attempts: &[Attempt], times: &Times) -> String {
    let header = [
        ("  #", Side::Right),
        ("started", Side::Left),
        ("took", Side::Right),
        ("outcome", Side::Left),
        ("rows", Side::Right),
    ];
    let row = |attempt: &Attempt| {
        vec![
            attempt.number.to_string(),
            times.second(attempt.started),
            attempt
                .finished
                .map_or_else(String::new, |finished| length(span(attempt.started, finished))),
            attempt
                .outcome
                .map_or_else(|| "no end".to_owned(), |outcome| outcome.to_string()),
            words::count(attempt.rows),
        ]
    };
    grid(&header, &attempts.iter().map(row).collect::<Vec<_>>())
}
