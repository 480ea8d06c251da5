//! Which intervals are due. Decides nothing about runs: what becomes of an interval is in the ledger.

use batch_export_source::{Interval, Moment};

use crate::settings::Schedule;
use crate::windows::earlier;

/// The most intervals that one answer names, so that asking takes a bounded time, however long a service was away.
pub const MAX_DUE: usize = 10_000;

/// What is due, where every interval up to some moment already has its row in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Intervals to run, oldest first: the newest one, and those before it that are made up.
    pub run: Vec<Interval>,
    /// Intervals that are older than `catch_up` allows, oldest first. They end where the first of `run` starts, or
    /// where the next answer goes on.
    pub skip: Vec<Interval>,
    /// The moment up to which every interval is in the ledger, in `run` or in `skip`.
    pub covered: Moment,
    /// When to ask again: when the next run may start. `None` after `end_at`.
    pub next: Option<Moment>,
    /// Whether there were more than [`MAX_DUE`]: `run` is empty then, and what follows is asked for at once.
    pub more: bool,
}

impl Schedule {
    /// Returns what is due at a moment, where `covered` is the moment up to which the ledger has a row for every
    /// interval.
    ///
    /// An interval is due when it has ended and settled. The newest one is always run, and up to
    /// [`catch_up`](Schedule::catch_up) before it; those before them are skipped. Together they tile the time from
    /// `covered`, or from `start_at` if that is later, whatever the schedule was before: if `covered` is not a
    /// boundary, the first interval is a shorter one. If `covered` is later than `now`, because a clock was put back,
    /// nothing is due until time has caught up.
    pub fn due(&self, destination: &str, covered: Moment, now: Moment) -> Due {
        let from = self.begins.map_or(covered, |begins| begins.max(covered));
        let settled = self.boundary_at_or_before(earlier(now, self.settle()));
        let to = self.ends.map_or(settled, |ends| ends.min(settled));
        let made_up = self.made_up_from(from, to);
        let run: Vec<Interval> = self.windows(made_up, to).collect();
        let mut skip: Vec<Interval> = self.windows(from, made_up).take(MAX_DUE + 1).collect();
        let more = run.len() + skip.len() > MAX_DUE;
        skip.truncate(MAX_DUE);
        let run = if more { Vec::new() } else { run };
        let covered = run.last().or(skip.last()).map_or(covered, Interval::end);
        Due {
            next: self.next(destination, covered),
            run,
            skip,
            covered,
            more,
        }
    }

    /// Where the intervals begin that are run: the newest before `to`, and as many before it as are made up.
    fn made_up_from(&self, from: Moment, to: Moment) -> Moment {
        let mut start = to;
        for _ in 0..=self.catch_up() {
            if start <= from {
                break;
            }
            start = self.boundary_at_or_before(Moment(start.0.saturating_sub(1)));
        }
        start.max(from)
    }

    /// When the run of the first interval after `covered` may start.
    fn next(&self, destination: &str, covered: Moment) -> Option<Moment> {
        let from = self.begins.map_or(covered, |begins| begins.max(covered));
        let end = self.boundary_after(from);
        if self.ends.is_some_and(|ends| end > ends) {
            return None;
        }
        let window = Interval::new(Some(from), end).ok()?;
        Some(self.starts_at(destination, window))
    }
}
