//! Schedules of exports: which intervals are due, as a pure function of the schedule, of what the ledger covers, and
//! of a moment that the caller hands in. Never reads a clock; the only thing it ever looks up is a time zone's rules,
//! once, when a schedule is made.
//!
//! A schedule divides all time into periods. Where one ends and the next begins is a *boundary*. Boundaries of minutes
//! and hours are counted from the Unix epoch; those of days and weeks are calendar days of a time zone, which have 23,
//! 24, 24.5 or 25 hours, and some of which do not exist.

#![warn(missing_docs, unreachable_pub)]

mod due;
mod every;
mod grid;
mod jitter;
mod problem;
mod settings;
mod weekday;
mod windows;

#[cfg(test)]
mod tests;

pub use due::{Due, MAX_DUE};
pub use every::{Every, EveryError};
pub use problem::ScheduleProblem;
pub use settings::{MAX_CATCH_UP, MAX_RUNS_AT_ONCE, MAX_SETTLE, RUNS_AT_ONCE, SETTLE, Schedule, ScheduleParts};
pub use weekday::{Weekday, WeekdayError};
