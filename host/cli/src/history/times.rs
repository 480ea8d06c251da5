//! Times as people read them: in their own zone on a terminal, and in UTC elsewhere, where the output may be kept.

use std::io::IsTerminal;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use batch_export_source::Moment;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// How times are shown.
#[derive(Debug, Clone)]
pub struct Times {
    zone: TimeZone,
}

impl Times {
    /// Returns times for standard output.
    pub fn for_output() -> Self {
        let zone = match std::io::stdout().is_terminal() {
            true => TimeZone::system(),
            false => TimeZone::UTC,
        };
        Times { zone }
    }

    fn local(&self, moment: Moment) -> Option<DateTime> {
        let timestamp = Timestamp::from_microsecond(moment.0).ok()?;
        Some(self.zone.to_datetime(timestamp))
    }

    /// Returns a date and a time to the minute, with seconds only where `exact` asks for them.
    fn text(&self, moment: Moment, exact: bool) -> String {
        match self.local(moment) {
            Some(time) if exact => format!("{} {}", time.date(), clock(time, true)),
            Some(time) => format!("{} {}", time.date(), clock(time, false)),
            None => moment.to_string(),
        }
    }

    /// Returns a date and a time to the minute.
    pub fn minute(&self, moment: Moment) -> String {
        self.text(moment, false)
    }

    /// Returns a date and a time to the second.
    pub fn second(&self, moment: Moment) -> String {
        self.text(moment, true)
    }

    /// Returns an interval without what both ends have in common.
    pub fn interval(&self, start: Option<Moment>, end: Moment) -> String {
        let Some(start) = start else {
            return format!("all before {}", self.exact(end));
        };
        match (self.local(start), self.local(end)) {
            (Some(from), Some(to)) if from.date() == to.date() => {
                let exact = from.second() != 0 || to.second() != 0;
                format!("{} {} to {}", from.date(), clock(from, exact), clock(to, exact))
            }
            (Some(from), Some(to)) if is_midnight(from) && is_midnight(to) => {
                format!("{} to {}", from.date(), to.date())
            }
            _ => format!("{} to {}", self.exact(start), self.exact(end)),
        }
    }

    /// Returns a moment with seconds where it has some.
    fn exact(&self, moment: Moment) -> String {
        self.text(moment, moment.0.rem_euclid(MINUTE as i64 * 1_000_000) != 0)
    }

    /// Returns the zone of the times: its name, which is right in summer and in winter, or the offset that it has now.
    pub fn zone(&self, now: Moment) -> String {
        match self.zone.iana_name() {
            Some("UTC" | "Etc/UTC" | "Etc/Unknown") => return "UTC".to_owned(),
            Some(name) => return name.to_owned(),
            None => {}
        }
        let offset = Timestamp::from_microsecond(now.0).map(|now| self.zone.to_offset(now));
        match offset.map_or(0, |offset| offset.seconds()) {
            0 => "UTC".to_owned(),
            seconds => {
                let sign = if seconds < 0 { '-' } else { '+' };
                let minutes = seconds.unsigned_abs() / 60;
                format!("UTC{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        }
    }
}

fn clock(time: DateTime, exact: bool) -> String {
    match exact {
        true => format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second()),
        false => format!("{:02}:{:02}", time.hour(), time.minute()),
    }
}

fn is_midnight(time: DateTime) -> bool {
    time.hour() == 0 && time.minute() == 0 && time.second() == 0
}

/// Returns the time from one moment to a later one.
pub fn span(from: Moment, to: Moment) -> Duration {
    Duration::from_micros(u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0))
}

/// Returns a length of time in its two largest units.
pub fn length(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        _ if seconds >= 2 * DAY => two(seconds / DAY, "d", seconds % DAY / HOUR, "h"),
        _ if seconds >= HOUR => two(seconds / HOUR, "h", seconds % HOUR / MINUTE, "min"),
        _ if seconds >= 10 * MINUTE => format!("{} min", seconds / MINUTE),
        _ if seconds >= MINUTE => two(seconds / MINUTE, "min", seconds % MINUTE, "s"),
        _ if seconds >= 10 => format!("{seconds} s"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// Returns a length of time in one unit.
pub fn about(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        _ if seconds >= 2 * DAY => format!("{} d", seconds / DAY),
        _ if seconds >= 2 * HOUR => format!("{} h", seconds / HOUR),
        _ if seconds >= 2 * MINUTE => format!("{} min", seconds / MINUTE),
        _ => format!("{seconds} s"),
    }
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    match small {
        0 => format!("{large} {large_unit}"),
        _ => format!("{large} {large_unit} {small} {small_unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(zone: &str) -> Times {
        Times {
            zone: TimeZone::get(zone).expect("a zone"),
        }
    }

    fn moment(text: &str) -> Moment {
        Moment::parse(text).expect("a moment")
    }

    #[test]
    fn intervals_do_not_repeat_what_their_ends_have_in_common() {
        for (zone, start, end, expect) in [
            (
                "UTC",
                "2026-11-26T13:00Z",
                "2026-11-26T14:00Z",
                "2026-11-26 13:00 to 14:00",
            ),
            (
                "Europe/Berlin",
                "2026-11-26T13:00Z",
                "2026-11-26T14:00Z",
                "2026-11-26 14:00 to 15:00",
            ),
            (
                "UTC",
                "2026-11-26T13:00:05Z",
                "2026-11-26T14:00Z",
                "2026-11-26 13:00:05 to 14:00:00",
            ),
            ("UTC", "2026-11-25", "2026-11-26", "2026-11-25 to 2026-11-26"),
            (
                "UTC",
                "2026-11-26T23:00Z",
                "2026-11-27",
                "2026-11-26 23:00 to 2026-11-27 00:00",
            ),
            (
                "Europe/Berlin",
                "2026-11-24T23:00Z",
                "2026-11-25T23:00Z",
                "2026-11-25 to 2026-11-26",
            ),
        ] {
            let text = times(zone).interval(Some(moment(start)), moment(end));
            assert_eq!(text, expect);
        }
        assert_eq!(
            times("UTC").interval(None, moment("2026-01-01")),
            "all before 2026-01-01 00:00"
        );
    }

    #[test]
    fn a_zone_is_named_or_told_by_its_offset() {
        let posix = |text| Times {
            zone: TimeZone::posix(text).expect("a zone"),
        };
        for (times, expect) in [
            (times("UTC"), "UTC"),
            (times("Europe/Berlin"), "Europe/Berlin"),
            (posix("NST3:30"), "UTC-03:30"),
            (posix("XXX-2"), "UTC+02:00"),
            (posix("XXX0"), "UTC"),
        ] {
            assert_eq!(times.zone(moment("2026-01-01")), expect);
        }
    }

    #[test]
    fn lengths_have_two_units_at_most() {
        for (seconds, expect) in [
            (0.25, "0.2 s"),
            (59.0, "59 s"),
            (60.0, "1 min"),
            (61.0, "1 min 1 s"),
            (3_599.0, "59 min"),
            (3_600.0, "1 h"),
            (5_400.0, "1 h 30 min"),
            (90_000.0, "25 h"),
            (180_000.0, "2 d 2 h"),
        ] {
            assert_eq!(length(Duration::from_secs_f64(seconds)), expect);
        }
    }
}
