//! How a run shows that it moves, and what it waits for: a bar that rewrites its line on terminals; elsewhere a line
//! now and then, and only while something goes wrong.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::requests::Requests;
use super::{output, words};
use batch_export_runner::Snapshot;
use batch_export_sandbox::Observer;
use batch_export_system::terminal::one_line;

/// Often enough to look alive.
const REDRAW: Duration = Duration::from_millis(200);

/// How often what goes wrong is looked at.
const LOOK: Duration = Duration::from_secs(1);

pub struct Progress {
    bar: ProgressBar,
    begun: Instant,
    quiet: bool,
    requests: Arc<Requests>,
    /// Where things stand, apart from what goes wrong.
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
            bar.set_style(
                ProgressStyle::with_template(style)
                    .unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
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
            requests: Arc::default(),
            standing: Mutex::new("starting".to_owned()),
        }
    }

    /// Is told of the requests of a run.
    pub fn observer(&self) -> Observer {
        let requests = Arc::clone(&self.requests);
        Arc::new(move |event| requests.event(event, Instant::now()))
    }

    /// Does the work, and shows meanwhile what goes wrong: as a part of the bar, or as a line now and then.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let mut looks = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = looks.tick() => self.look(Instant::now()),
            }
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

    pub fn show(&self, snapshot: Snapshot) {
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        let rate = (snapshot.rows_supplied as f64 / seconds) as u64;
        self.message(format!(
            "{}, {} written, {} begun, {} rows/s",
            words::counted(snapshot.rows_supplied, "row"),
            words::bytes(snapshot.destination.bytes),
            words::counted(snapshot.destination.files.into(), "file"),
            words::count(rate),
        ));
    }

    /// Says in other words where things stand.
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
