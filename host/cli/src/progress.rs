//! How a run shows that it moves, and what it waits for: a bar that rewrites its line on terminals; elsewhere a line
//! now and then, and only while something goes wrong.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::requests::Requests;
use super::{output, words};
use batch_export_runner::{EventReceiver, RunEvent, RunEventKind, RunProgress, RunStage};
use batch_export_sandbox::Level;
use batch_export_system::terminal::one_line;

/// Often enough to look alive.
const REDRAW: Duration = Duration::from_millis(200);

/// How often problems are checked.
const LOOK: Duration = Duration::from_secs(1);

pub struct Progress {
    bar: ProgressBar,
    begun: Instant,
    quiet: bool,
    requests: Requests,
    /// The current status, apart from problems.
    standing: Mutex<String>,
}

impl Progress {
    pub fn new(quiet: bool) -> Self {
        let shown = !quiet && std::io::stderr().is_terminal();
        let bar = if shown {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = if output::colours_wanted() {
                "{spinner:.green} {elapsed_precise} {msg}"
            } else {
                "{spinner} {elapsed_precise} {msg}"
            };
            // A template that does not parse would leave the default style, which shows the same.
            bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(REDRAW);
            bar.set_message("starting");
            bar
        } else {
            ProgressBar::hidden()
        };
        Self {
            bar,
            begun: Instant::now(),
            quiet,
            requests: Requests::default(),
            standing: Mutex::new("starting".to_owned()),
        }
    }

    /// Does the work and shows its events meanwhile, which `record` gets as well; problems are part of the bar, or an
    /// occasional line. Shows nothing more when the work is done.
    pub async fn during<T>(
        &self,
        work: impl Future<Output = T>,
        events: &mut EventReceiver,
        record: impl Fn(&RunEvent),
    ) -> T {
        let mut work = std::pin::pin!(work);
        let mut looks = tokio::time::interval(LOOK);
        let done = loop {
            tokio::select! {
                done = &mut work => break done,
                event = events.next() => self.take(event, &record),
                _ = looks.tick() => self.look(Instant::now()),
            }
        };
        while let Some(event) = events.try_next() {
            self.take(event, &record);
        }
        self.end();
        done
    }

    fn take(&self, event: RunEvent, record: impl Fn(&RunEvent)) {
        record(&event);
        match event.what {
            RunEventKind::Stage(stage) => self.message(in_words(stage).to_owned()),
            RunEventKind::Progress(at) => self.show(at),
            RunEventKind::Request(event) => self.requests.event(&event, Instant::now()),
            RunEventKind::Log { level, line } if level >= Level::Warn && !self.quiet => {
                self.line(&format!("plugin: {line}"));
            }
            RunEventKind::SourceLog(line) if !self.quiet => self.line(&format!("source: {line}")),
            // Warnings are in the report, which is printed at the end.
            _ => {}
        }
    }

    fn look(&self, now: Instant) {
        if !self.bar.is_hidden() {
            self.redraw();
        } else if !self.quiet
            && let Some(line) = self.requests.line(now)
        {
            output::note(&line);
        }
    }

    fn show(&self, at: RunProgress) {
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        let rate = (at.rows_supplied as f64 / seconds) as u64;
        self.message(format!(
            "{}, {} written, {} begun, {} rows/s",
            words::counted(at.rows_supplied, "row"),
            words::bytes(at.destination.bytes),
            words::counted(at.destination.files.into(), "file"),
            words::count(rate),
        ));
    }

    /// Updates the status.
    pub fn message(&self, text: String) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = text;
        self.redraw();
    }

    fn redraw(&self) {
        let standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let text = match self.requests.status(Instant::now()) {
            Some(trouble) => format!("{standing}; {trouble}"),
            None => standing.clone(),
        };
        self.bar.set_message(one_line(&text).into_owned());
    }

    /// A line above the bar.
    pub fn line(&self, text: &str) {
        self.bar.suspend(|| output::note(text));
    }

    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn in_words(stage: RunStage) -> &'static str {
    match stage {
        RunStage::Waiting => "waiting for other runs",
        // What is recovered may be a check's own upload: only the report says whose it was.
        RunStage::Recovering | RunStage::CleaningUp => "cleaning up",
        RunStage::Checking => "checking the destination",
        RunStage::Exporting => "exporting",
        RunStage::Succeeded | RunStage::Failed => "done",
        _ => "starting",
    }
}
