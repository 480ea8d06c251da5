//! How a run shows that it moves: a bar that rewrites its line on terminals, nothing elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output;
use crate::run::Snapshot;
use crate::terminal::one_line;

/// Often enough to look alive.
const REDRAW: Duration = Duration::from_millis(200);

pub struct Progress {
    bar: ProgressBar,
    begun: Instant,
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
        }
    }

    pub fn show(&self, snapshot: Snapshot) {
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        let rate = (snapshot.rows_supplied as f64 / seconds) as u64;
        self.bar.set_message(format!(
            "{} rows, {} written, {}, {} rows/s",
            output::count(snapshot.rows_supplied),
            output::bytes(snapshot.destination.bytes),
            output::files(snapshot.destination.files.into()),
            output::count(rate),
        ));
    }

    /// Says in other words where things stand.
    pub fn message(&self, text: String) {
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
