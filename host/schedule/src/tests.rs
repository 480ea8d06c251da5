//! Schedules, right and wrong: named cases of calendars that broke others, and properties over random histories.

use std::time::Duration;

use batch_export_source::{Interval, Moment};

use crate::{Every, Schedule, ScheduleParts, Weekday};

mod boundaries;
mod due;
mod parts;
mod seeds;

fn moment(text: &str) -> Moment {
    Moment::parse(text).expect("a moment")
}

fn parts(every: &str) -> ScheduleParts {
    ScheduleParts::new(every.parse::<Every>().expect("a length"))
}

fn schedule(every: &str) -> Schedule {
    made(parts(every))
}

fn made(parts: ScheduleParts) -> Schedule {
    Schedule::new(parts).expect("a schedule")
}

fn in_zone(every: &str, zone: &str, hour: u8) -> Schedule {
    let mut parts = parts(every);
    parts.timezone = Some(zone.to_owned());
    parts.offset_hour = Some(hour);
    made(parts)
}

/// A window without its zone, which is UTC: `2026-01-01T00:00 2026-01-02T00:00`.
fn shown(window: &Interval) -> String {
    let short = |moment: Moment| moment.to_string().replace(":00+00:00", "").replace("+00:00", "");
    format!(
        "{} {}",
        window.start().map(short).unwrap_or_default(),
        short(window.end())
    )
}

fn hours(window: &Interval) -> f64 {
    let start = window.start().expect("a start");
    (window.end().0 - start.0) as f64 / 3_600e6
}

const fn minutes(number: u64) -> Duration {
    Duration::from_secs(60 * number)
}
