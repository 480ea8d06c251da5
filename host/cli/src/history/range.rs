//! The two times of a backfill: boundaries of the schedule, in order, and in the past.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::error;
use batch_export_runner::{Failure, FailureClass};
use batch_export_schedule::Schedule;
use batch_export_source::{Interval, IntervalError, Moment};
use batch_export_system::explain::{Cause, Explain};

/// From one boundary of a schedule to a later one that has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub from: Moment,
    pub to: Moment,
}

/// Reads two times. Those without an offset are in the zone of the schedule.
pub fn range(schedule: &Schedule, from: &str, to: &str, now: Moment) -> Result<Range, Failure> {
    let start = read(schedule, "--from", from)?;
    let end = read(schedule, "--to", to)?;
    match Interval::new(Some(start), end) {
        Ok(_) => {}
        Err(IntervalError::Inverted { .. }) => {
            let inverted = Cause::new(format!("--to is before --from: {end} is earlier than {start}"));
            return Err(invalid(inverted.with_hint("swap them")));
        }
        Err(_) => {
            let empty = Cause::new(format!("--from and --to are the same moment, {start}"));
            return Err(invalid(
                empty.with_hint("set --to to a later moment: it is the end of the last interval"),
            ));
        }
    }
    for (option, moment) in [("--from", start), ("--to", end)] {
        if !schedule.is_boundary(moment) {
            let before = schedule.boundary_at_or_before(moment);
            let after = schedule.boundary_at_or_after(moment);
            let off = Cause::new(format!(
                "{option} {moment} is not where an interval of the schedule starts (every {}, {})",
                schedule.every(),
                schedule.timezone()
            ));
            return Err(invalid(off.with_hint(format!("the nearest are {before} and {after}"))));
        }
    }
    if end > now {
        let last = schedule.boundary_at_or_before(now);
        let future = Cause::new(format!(
            "--to {end} is in the future, and rows that arrive until then would be missing"
        ));
        return Err(invalid(
            future.with_hint(format!("the last interval that has ended does so at {last}")),
        ));
    }
    Ok(Range { from: start, to: end })
}

fn invalid(cause: Cause) -> Failure {
    let (message, hint) = cause.into_parts();
    let failure = Failure::new(FailureClass::Configuration, error::BACKFILL_INVALID, message);
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

fn read(schedule: &Schedule, option: &str, text: &str) -> Result<Moment, Failure> {
    let moment = Moment::parse(text).map_err(|error| {
        let cause = Cause::of(&error).map(|text| format!("{option}: {text}"));
        invalid(match error.hint() {
            Some(_) => Cause::new(cause.to_string()).with_hint(format!(
                "write it like 2023-07-28T01:00:00Z (without an offset it is in the schedule's time zone, {})",
                schedule.timezone()
            )),
            None => cause,
        })
    })?;
    Ok(match local(text) {
        Some(local) => in_zone(schedule, local).unwrap_or(moment),
        None => moment,
    })
}

/// Returns a time that has no offset.
fn local(text: &str) -> Option<DateTime> {
    let text = text.trim();
    let clock = text.get(10..).unwrap_or_default();
    let has_offset = clock.contains(['+', '-', 'Z', 'z', 'U']);
    if has_offset { None } else { text.parse().ok() }
}

fn in_zone(schedule: &Schedule, local: DateTime) -> Option<Moment> {
    let zone = TimeZone::get(schedule.timezone()).ok()?;
    let timestamp = zone.to_ambiguous_timestamp(local).compatible().ok()?;
    Some(Moment(timestamp.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch_export_schedule::ScheduleParts;

    fn schedule(every: &str, timezone: &str) -> Schedule {
        let mut parts = ScheduleParts::new(every.parse().expect("a length"));
        parts.timezone = (timezone != "UTC").then(|| timezone.to_owned());
        Schedule::new(parts).expect("a schedule")
    }

    fn moment(text: &str) -> Moment {
        Moment::parse(text).expect("a moment")
    }

    #[test]
    fn times_without_an_offset_are_in_the_zone_of_the_schedule() {
        let now = moment("2026-06-01");
        for (every, zone, from, to, expect) in [
            (
                "hour",
                "UTC",
                "2026-01-01",
                "2026-01-02T03:00",
                ("2026-01-01", "2026-01-02T03:00Z"),
            ),
            (
                "day",
                "Europe/Berlin",
                "2026-01-01",
                "2026-05-01",
                ("2025-12-31T23:00Z", "2026-04-30T22:00Z"),
            ),
            (
                "day",
                "Europe/Berlin",
                "2025-12-31T23:00:00Z",
                "2026-05-01T00:00:00+02:00",
                ("2025-12-31T23:00Z", "2026-04-30T22:00Z"),
            ),
        ] {
            let range = range(&schedule(every, zone), from, to, now).expect("a range");
            assert_eq!((range.from, range.to), (moment(expect.0), moment(expect.1)), "{from}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_times_is_said_with_the_nearest_right_ones() {
        let now = moment("2026-06-01T12:30Z");
        for (from, to, message, hint) in [
            (
                "2026-01-02",
                "2026-01-01",
                "--to is before --from: 2026-01-01T00:00:00+00:00 is earlier than 2026-01-02T00:00:00+00:00",
                "swap them",
            ),
            (
                "2026-01-01",
                "2026-01-01",
                "--from and --to are the same moment, 2026-01-01T00:00:00+00:00",
                "set --to to a later moment: it is the end of the last interval",
            ),
            (
                "2026-01-01T00:30",
                "2026-01-02",
                "--from 2026-01-01T00:30:00+00:00 is not where an interval of the schedule starts (every hour, UTC)",
                "the nearest are 2026-01-01T00:00:00+00:00 and 2026-01-01T01:00:00+00:00",
            ),
            (
                "2026-06-01",
                "2026-06-01T13:00",
                "--to 2026-06-01T13:00:00+00:00 is in the future, and rows that arrive until then would be missing",
                "the last interval that has ended does so at 2026-06-01T12:00:00+00:00",
            ),
            (
                "noon",
                "2026-06-01T13:00",
                "--from: `noon` is not a time",
                "write it like 2023-07-28T01:00:00Z (without an offset it is in the schedule's time zone, UTC)",
            ),
        ] {
            let failure = range(&schedule("hour", "UTC"), from, to, now).expect_err(message);
            assert_eq!((failure.message(), failure.hint()), (message, Some(hint)));
        }
    }
}
