//! Moments and half-open intervals as people write them and as the contract counts them. Never reads a clock and
//! never guesses a time zone: a time without one is UTC.

use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat};
use serde::Serialize;

/// A moment in microseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Moment(pub i64);

/// A half-open interval `[start, end)`: never empty, never inverted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    start: Option<Moment>,
    end: Moment,
}

/// A reason why a text is not a moment, or two moments are not an interval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IntervalError {
    /// A text is not a time.
    #[error("`{0}` is not a time")]
    NotATime(String),
    /// A text names a day that its month does not have.
    #[error("`{0}` is not a time: there is no such day")]
    NoSuchDay(String),
    /// A time is earlier or later than object keys can say.
    #[error("`{0}` is not in the years 1 to 9999")]
    OutOfRange(String),
    /// Start and end are the same moment.
    #[error("the interval is empty: it starts and ends at {0}")]
    Empty(Moment),
    /// The end is earlier than the start.
    #[error("the interval ends before it starts: it starts at {start} and ends at {end}")]
    Inverted {
        /// The later moment.
        start: Moment,
        /// The earlier one.
        end: Moment,
    },
    /// The end is left open.
    #[error("the end must be a time, not `{0}`: only the start can be left open")]
    OpenEnd(String),
}

/// 0001-01-01 and 10000-01-01: the years that object keys can write with four digits.
const FIRST_MICROS: i64 = -62_135_596_800_000_000;
const LAST_MICROS: i64 = 253_402_300_800_000_000;

/// Forms without a zone, most usual first.
const NAIVE_FORMS: [&str; 4] = [
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
];

/// Forms with a zone that RFC 3339 does not know.
const ZONED_FORMS: [&str; 3] = [
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M%#z",
];

impl Moment {
    /// Reads ISO 8601 as RFC 3339 profiles it, and the same without seconds, zone or time of day. Fractions finer
    /// than a microsecond are cut.
    pub fn parse(text: &str) -> Result<Self, IntervalError> {
        let text = text.trim();
        let micros = micros_of(text).ok_or_else(|| match is_no_day(text) {
            true => IntervalError::NoSuchDay(shortened(text)),
            false => IntervalError::NotATime(shortened(text)),
        })?;
        let moment = Moment(micros);
        if moment.is_in_range() {
            Ok(moment)
        } else {
            Err(IntervalError::OutOfRange(shortened(text)))
        }
    }

    /// Returns whether it is in the years 1 to 9999.
    pub fn is_in_range(self) -> bool {
        (FIRST_MICROS..LAST_MICROS).contains(&self.0)
    }
}

fn micros_of(text: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_micros());
    }
    for form in NAIVE_FORMS {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, form) {
            return Some(time.and_utc().timestamp_micros());
        }
    }
    for form in ZONED_FORMS {
        if let Ok(time) = DateTime::parse_from_str(text, form) {
            return Some(time.timestamp_micros());
        }
        // `%z` does not take the letter that RFC 3339 allows.
        let form = form.trim_end_matches("%#z");
        if let Some(Ok(time)) = text
            .strip_suffix(['Z', 'z'])
            // As BigQuery writes it.
            .or_else(|| text.strip_suffix(" UTC"))
            .map(|text| NaiveDateTime::parse_from_str(text, form))
        {
            return Some(time.and_utc().timestamp_micros());
        }
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(date.and_time(NaiveTime::MIN).and_utc().timestamp_micros())
}

/// Returns whether a text begins as a date that the calendar does not have.
fn is_no_day(text: &str) -> bool {
    let date = text.get(..10).unwrap_or_default();
    let is_date = date.char_indices().all(|(at, c)| match at {
        4 | 7 => c == '-',
        _ => c.is_ascii_digit(),
    });
    is_date && !date.is_empty() && NaiveDate::parse_from_str(date, "%Y-%m-%d").is_err()
}

/// Characters of a wrong value that a message repeats: enough to recognise it.
const QUOTED_CHARS: usize = 64;

fn shortened(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

impl fmt::Display for Moment {
    /// `2023-04-25T13:30:00+00:00`, with six digits of fraction only when there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = if self.0.rem_euclid(1_000_000) == 0 {
            SecondsFormat::Secs
        } else {
            SecondsFormat::Micros
        };
        match DateTime::from_timestamp_micros(self.0) {
            Some(time) => f.write_str(&time.to_rfc3339_opts(form, false)),
            None => write!(f, "{} µs", self.0),
        }
    }
}

impl Interval {
    /// Returns the interval from `start` (inclusive; `None` for everything before the end) to `end` (exclusive).
    pub fn new(start: Option<Moment>, end: Moment) -> Result<Self, IntervalError> {
        match start {
            Some(start) if start == end => Err(IntervalError::Empty(end)),
            Some(start) if start > end => Err(IntervalError::Inverted { start, end }),
            _ => Ok(Interval { start, end }),
        }
    }

    /// Returns the interval that contains every possible time.
    pub fn always() -> Self {
        Interval {
            start: None,
            end: Moment(i64::MAX),
        }
    }

    /// Returns the microsecond that begins at a moment.
    pub(crate) const fn instant(at: Moment) -> Self {
        Interval {
            start: Some(at),
            end: Moment(at.0 + 1),
        }
    }

    /// Returns whether a moment belongs to it.
    pub fn contains(&self, moment: Moment) -> bool {
        self.start.is_none_or(|start| moment >= start) && moment < self.end
    }

    /// Reads both ends; `START` or `beginning` leaves the start open.
    pub fn parse(start: &str, end: &str) -> Result<Self, IntervalError> {
        if is_open(end) {
            return Err(IntervalError::OpenEnd(end.to_owned()));
        }
        let start = if is_open(start) {
            None
        } else {
            Some(Moment::parse(start)?)
        };
        Self::new(start, Moment::parse(end)?)
    }

    /// Returns the first moment that belongs to it; `None` when everything before the end does.
    pub fn start(&self) -> Option<Moment> {
        self.start
    }

    /// Returns the first moment that no longer belongs to it.
    pub fn end(&self) -> Moment {
        self.end
    }
}

/// An interval in JSON, as ISO 8601; an open start is null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ends {
    start: Option<String>,
    end: String,
}

impl Ends {
    /// Returns the ends from microseconds since the epoch.
    pub fn of(start_micros: Option<i64>, end_micros: i64) -> Self {
        Ends {
            start: start_micros.map(|start| Moment(start).to_string()),
            end: Moment(end_micros).to_string(),
        }
    }
}

impl From<Interval> for Ends {
    fn from(interval: Interval) -> Self {
        Ends::of(interval.start.map(|start| start.0), interval.end.0)
    }
}

fn is_open(text: &str) -> bool {
    text.eq_ignore_ascii_case("START") || text.eq_ignore_ascii_case("beginning")
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.start {
            Some(start) => write!(f, "{start} to {}", self.end),
            None => write!(f, "the beginning to {}", self.end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch_export_system::explain::Cause;

    #[test]
    fn moments_are_read_in_every_usual_form() {
        let cases = [
            ("2023-07-28T01:00:00Z", "2023-07-28T01:00:00+00:00"),
            ("2023-07-28T01:00:00+00:00", "2023-07-28T01:00:00+00:00"),
            ("2023-07-28T03:00:00+02:00", "2023-07-28T01:00:00+00:00"),
            ("2023-07-28T03:00:00+0200", "2023-07-28T01:00:00+00:00"),
            ("2023-07-28 03:00:00+02", "2023-07-28T01:00:00+00:00"),
            ("2023-07-28T01:00:00", "2023-07-28T01:00:00+00:00"),
            ("2023-07-28 01:00:00.5", "2023-07-28T01:00:00.500000+00:00"),
            ("2023-07-28T01:00", "2023-07-28T01:00:00+00:00"),
            ("2023-07-28T01:00Z", "2023-07-28T01:00:00+00:00"),
            ("2023-07-28", "2023-07-28T00:00:00+00:00"),
            ("2023-07-28 01:00:00 UTC", "2023-07-28T01:00:00+00:00"),
            ("2023-07-28 01:00:00.5 UTC", "2023-07-28T01:00:00.500000+00:00"),
            (" 1969-12-31T23:59:59.999999Z ", "1969-12-31T23:59:59.999999+00:00"),
            ("2023-07-28T01:00:00.123456789Z", "2023-07-28T01:00:00.123456+00:00"),
        ];
        for (text, expect) in cases {
            assert_eq!(
                Moment::parse(text).map(|moment| moment.to_string()),
                Ok(expect.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_interval_says_why() {
        let cases = [
            (
                "yesterday",
                "2023-07-28",
                "`yesterday` is not a time; write it like 2023-07-28T01:00:00Z (without a zone it is UTC)",
            ),
            (
                "2023-07-28",
                "2023-02-30",
                "`2023-02-30` is not a time: there is no such day; correct the month or the day",
            ),
            (
                "2023-07-28",
                "2023-07-28T00:00Z",
                "the interval is empty: it starts and ends at 2023-07-28T00:00:00+00:00; give an end that is later \
                 than the start; the end is exclusive",
            ),
            (
                "2023-07-28T02:00Z",
                "2023-07-28T01:00Z",
                "the interval ends before it starts: it starts at 2023-07-28T02:00:00+00:00 and ends at \
                 2023-07-28T01:00:00+00:00; swap them",
            ),
            (
                "2023-07-28",
                "START",
                "the end must be a time, not `START`: only the start can be left open; give the time at which the interval ends",
            ),
            (
                "0000-12-31",
                "2023-07-28",
                "`0000-12-31` is not in the years 1 to 9999; give a time in these years",
            ),
        ];
        for (start, end, expect) in cases {
            let error = Interval::parse(start, end).expect_err(expect);
            assert_eq!(Cause::of(&error).in_one_text(), expect);
        }
    }

    #[test]
    fn the_start_can_be_left_open() {
        for word in ["START", "start", "beginning"] {
            let interval = Interval::parse(word, "2023-07-28").expect("an interval");
            assert_eq!(interval.start(), None);
            assert_eq!(interval.to_string(), "the beginning to 2023-07-28T00:00:00+00:00");
        }
    }
}
