//! `logs`: what was said of a run, as it happens if wanted.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::Clock;
use crate::about::About;
use crate::history::{History, Place, Times, iso, subject};
use crate::output::{self, Answer, Form};
use batch_export_runner::Failure;
use batch_export_service::ledger::{LINES_LIMIT, LogLine, Run};
use batch_export_system::terminal::one_line;

/// How often new lines are looked for.
const LOOK: Duration = Duration::from_millis(500);

/// Show the log of a run: its stages, its warnings, and the lines of its plugin.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  batch-export logs 3f9c2a17 --follow")]
pub struct LogsArgs {
    /// The run: its id, or the first digits that `batch-export runs` shows.
    run: String,
    #[command(flatten)]
    place: Place,
    /// Go on with what comes, until the run is over.
    #[arg(long, short)]
    follow: bool,
    /// Print the lines as JSON.
    #[arg(long, conflicts_with = "follow")]
    json: bool,
}

#[derive(Serialize)]
struct LogJson {
    lines: Vec<LineJson>,
}

/// A line in JSON.
#[derive(Serialize)]
pub struct LineJson {
    at: String,
    attempt: u32,
    level: String,
    line: String,
}

impl From<&LogLine> for LineJson {
    fn from(line: &LogLine) -> Self {
        LineJson {
            at: iso(line.at),
            attempt: line.attempt,
            level: line.level.clone(),
            line: line.line.clone(),
        }
    }
}

/// Returns a line with its time and level.
pub fn in_words(line: &LogLine, times: &Times) -> String {
    format!("{} {:<5} {}", times.second(line.at), line.level, one_line(&line.line))
}

impl LogsArgs {
    pub fn execute(self, clock: Clock) -> ExitCode {
        let mut about = About::default();
        let outcome = self.log(&mut about);
        output::show(Form::new(self.json, false), clock(), &about, outcome)
    }

    fn log(&self, about: &mut About) -> Result<Answer<LogJson>, Failure> {
        let history = self.place.open()?;
        let run = history.run(&self.run)?;
        *about = subject(&run);
        if self.follow {
            follow(&history, run)?;
            return Ok(Answer::new(LogJson { lines: Vec::new() }, String::new()));
        }
        let lines = history.ledger.lines(&run.id, 0, LINES_LIMIT as u32)?;
        let text = match lines.is_empty() {
            true => format!("the log of this run is empty: it is {}\n", run.state),
            false => in_text(&lines, &mut None),
        };
        let lines = lines.iter().map(|(_, line)| LineJson::from(line)).collect();
        Ok(Answer::new(LogJson { lines }, text))
    }
}

/// Returns lines as text; `attempt` is that of the line before.
fn in_text(lines: &[(i64, LogLine)], attempt: &mut Option<u32>) -> String {
    let times = Times::for_output();
    let mut text = String::new();
    for (_, line) in lines {
        if attempt.is_some_and(|before| before != line.attempt) {
            text.push_str(&format!("attempt {}\n", line.attempt));
        }
        *attempt = Some(line.attempt);
        text.push_str(&in_words(line, &times));
        text.push('\n');
    }
    text
}

/// Prints lines as they come until the run is over.
fn follow(history: &History, mut run: Run) -> Result<(), Failure> {
    let (mut after, mut attempt) = (0, None);
    loop {
        // Looked at first: what is said last comes before the end.
        let is_over = run.state.is_over();
        let lines = history.ledger.lines(&run.id, after, LINES_LIMIT as u32)?;
        if let Some((last, _)) = lines.last() {
            after = *last;
            output::print(&in_text(&lines, &mut attempt))?;
        }
        if is_over {
            return Ok(());
        }
        std::thread::sleep(LOOK);
        run = history.run(&run.id)?;
    }
}
