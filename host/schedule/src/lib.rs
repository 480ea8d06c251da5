//! Schedules of exports: which intervals are due, as a pure function of the schedule, of what the ledger covers, and
//! of a moment that the caller hands in. Never reads a clock; the only thing it ever looks up is a time zone's rules,
//! once, when a schedule is made.
//!
//! A schedule divides all time into periods. Where one ends and the next begins is a *boundary*. Boundaries of minutes
//! and hours are counted from the Unix epoch; those of days and weeks are calendar days of a time zone, which have 23,
//! 24, 24.5 or 25 hours, and some of which do not exist.
//!
//! ```
//! use batch_export_schedule::{Every, Schedule, ScheduleParts};
//! use batch_export_source::Moment;
//!
//! let mut parts = ScheduleParts::new(Every::DAY);
//! parts.timezone = Some("Europe/Berlin".to_owned());
//! parts.catch_up = Some(1);
//! let schedule = Schedule::new(parts).expect("nothing is wrong with it");
//!
//! // The clocks of Berlin are put forward on 2026-03-29, which has 23 hours.
//! let covered = Moment::parse("2026-03-27T23:00Z").expect("a moment");
//! let now = Moment::parse("2026-03-31T08:00Z").expect("a moment");
//! let due = schedule.due("archive", covered, now);
//! let ends = |windows: &[batch_export_source::Interval]| -> Vec<String> {
//!     windows.iter().map(|window| window.end().to_string()).collect()
//! };
//! assert_eq!(ends(&due.skip), ["2026-03-28T23:00:00+00:00"]);
//! assert_eq!(ends(&due.run), ["2026-03-29T22:00:00+00:00", "2026-03-30T22:00:00+00:00"]);
//! ```

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
