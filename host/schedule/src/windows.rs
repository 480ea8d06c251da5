//! The windows of a schedule, each from one boundary to the next: they tile time.

use std::time::Duration;

use batch_export_source::{Interval, Moment};

use crate::jitter;
use crate::settings::Schedule;

/// A moment so much later, at most the last one that can be written.
pub(crate) fn later(moment: Moment, by: Duration) -> Moment {
    Moment(
        moment
            .0
            .saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)),
    )
}

/// A moment so much earlier, at least the first one that can be written.
pub(crate) fn earlier(moment: Moment, by: Duration) -> Moment {
    Moment(
        moment
            .0
            .saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)),
    )
}

impl Schedule {
    /// Returns the first boundary after a moment.
    pub fn boundary_after(&self, moment: Moment) -> Moment {
        self.grid.after(moment)
    }

    /// Returns the last boundary that is not after a moment.
    pub fn boundary_at_or_before(&self, moment: Moment) -> Moment {
        self.grid.at_or_before(moment)
    }

    /// Returns the first boundary that is not before a moment.
    pub fn boundary_at_or_after(&self, moment: Moment) -> Moment {
        match self.is_boundary(moment) {
            true => moment,
            false => self.boundary_after(moment),
        }
    }

    /// Returns whether one interval ends and the next one starts at a moment.
    pub fn is_boundary(&self, moment: Moment) -> bool {
        self.boundary_at_or_before(moment) == moment
    }

    /// Returns the windows from one moment to another, oldest first and without gap or overlap. If an end is not a
    /// boundary, the window there is a shorter one.
    pub fn windows(&self, from: Moment, to: Moment) -> impl Iterator<Item = Interval> + use<'_> {
        let mut start = from;
        std::iter::from_fn(move || {
            let end = self.boundary_after(start).min(to);
            let window = Interval::new(Some(start), end).ok()?;
            start = end;
            Some(window)
        })
    }

    /// Returns when the run of a window starts: when the window has ended and settled, and after a delay of at most
    /// [`jitter`](Schedule::jitter) that destination and window decide. The window itself never moves.
    pub fn starts_at(&self, destination: &str, window: Interval) -> Moment {
        let delay = jitter::delay(destination, window, self.jitter());
        later(later(window.end(), self.settle()), delay)
    }

    /// Returns where the coverage of a destination begins that is seen for the first time now: with the current period,
    /// so that the first run is at its end, or with the first boundary from `start_at` on, if that is later.
    pub fn first(&self, now: Moment) -> Moment {
        let current = self.boundary_at_or_before(now);
        self.begins.map_or(current, |begins| begins.max(current))
    }
}
