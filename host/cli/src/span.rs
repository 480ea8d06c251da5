//! The interval of a command: two times, or the last one that has ended. The moment of asking is handed in;
//! nothing here reads a clock.

use std::str::FromStr;

use clap::Args;

use batch_export_runner::{Failure, FailureClass, FailureCode};
use batch_export_source::{Interval, IntervalError, Moment};
use batch_export_system::explain::Explain;

const MINUTE_MICROS: i64 = 60_000_000;
const HOUR_MICROS: i64 = 60 * MINUTE_MICROS;
const DAY_MICROS: i64 = 24 * HOUR_MICROS;
const WEEK_MICROS: i64 = 7 * DAY_MICROS;
/// 1970-01-05, the first Monday of the epoch: weeks begin on Mondays, as in ISO 8601.
const FIRST_MONDAY_MICROS: i64 = 4 * DAY_MICROS;

/// The interval, half-open.
#[derive(Debug, Args)]
pub struct Span {
    /// Start of the interval (inclusive), in ISO 8601; `START` or `beginning` leaves it open.
    #[arg(long, value_name = "TIME", required_unless_present = "last", requires = "end")]
    start: Option<String>,
    /// End of the interval (exclusive), in ISO 8601.
    #[arg(long, value_name = "TIME", required_unless_present = "last", requires = "start")]
    end: Option<String>,
    /// Use the last complete interval (UTC) of this length instead: hour, day, week, or for example "15 minutes".
    #[arg(long, value_name = "LENGTH", conflicts_with_all = ["start", "end"])]
    last: Option<Length>,
    /// Accept an interval that has not ended yet; rows that arrive later will be missing from it.
    #[arg(long)]
    allow_unfinished: bool,
}

/// A reason why the times of a command line do not name an interval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    #[error("{option}: {error}")]
    Time { option: &'static str, error: IntervalError },
    #[error(transparent)]
    Interval(IntervalError),
    #[error("--end is before --start: {end} is earlier than {start}")]
    Inverted { start: Moment, end: Moment },
    #[error("--start and --end are the same moment, {0}, so there can be no rows between them")]
    Empty(Moment),
    #[error(
        "the interval has not ended yet: it ends at {end}, and it is now {now}, so rows that arrive until then would \
         be missing"
    )]
    Unfinished { end: Moment, now: Moment },
}

impl Explain for SpanError {
    fn hint(&self) -> Option<String> {
        match self {
            SpanError::Time { error, .. } | SpanError::Interval(error) => error.hint(),
            SpanError::Inverted { .. } => Some("swap them".to_owned()),
            SpanError::Empty(_) => Some("set --end to a later moment: the end is exclusive".to_owned()),
            SpanError::Unfinished { .. } => Some("wait until it has ended, or add --allow-unfinished".to_owned()),
        }
    }
}

impl From<SpanError> for Failure {
    fn from(error: SpanError) -> Self {
        let code = FailureCode::INTERVAL_INVALID;
        Failure::of(FailureClass::Configuration, code, error)
    }
}

impl From<IntervalError> for SpanError {
    fn from(error: IntervalError) -> Self {
        match error {
            IntervalError::Inverted { start, end } => SpanError::Inverted { start, end },
            IntervalError::Empty(moment) => SpanError::Empty(moment),
            other => SpanError::Interval(other),
        }
    }
}

impl SpanError {
    /// Returns the error of two times with the option that it is about; `end` is the text of the second.
    fn of(error: IntervalError, end: &str) -> Self {
        match error {
            IntervalError::NotATime(_) | IntervalError::NoSuchDay(_) | IntervalError::OutOfRange(_) => {
                let is_of_end = Moment::parse(end).err().as_ref() == Some(&error);
                let option = if is_of_end { "--end" } else { "--start" };
                SpanError::Time { option, error }
            }
            IntervalError::OpenEnd(_) => SpanError::Time { option: "--end", error },
            other => other.into(),
        }
    }
}

impl Span {
    /// The interval, which has ended unless an unfinished one was asked for.
    pub fn ended(&self, now: Moment) -> Result<Interval, SpanError> {
        let interval = self.interval(now)?;
        match self.unfinished(interval, now) {
            Some(error) => Err(error),
            None => Ok(interval),
        }
    }

    /// The interval, whether it has ended or not.
    pub fn interval(&self, now: Moment) -> Result<Interval, SpanError> {
        match (self.last, &self.start, &self.end) {
            (Some(length), ..) => Ok(length.last_before(now)?),
            (None, start, end) => {
                // clap requires both.
                let text = |time: &Option<String>| time.clone().unwrap_or_default();
                let (start, end) = (text(start), text(end));
                Interval::parse(&start, &end).map_err(|error| SpanError::of(error, &end))
            }
        }
    }

    /// What speaks against exporting the interval now. The moment of its end belongs to it no longer, so an interval
    /// that ends now has ended.
    pub fn unfinished(&self, interval: Interval, now: Moment) -> Option<SpanError> {
        let end = interval.end();
        (end > now && !self.allow_unfinished).then_some(SpanError::Unfinished { end, now })
    }
}

/// A length by which the time since the epoch is divided: every interval of it begins where the one before ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    micros: i64,
    /// Where one of the intervals begins.
    first_micros: i64,
}

/// A text that is not a length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is not a valid interval length")]
pub struct LengthError;

impl Explain for LengthError {
    fn hint(&self) -> Option<String> {
        let hint = "use hour, day, week, or a number of minutes or hours that divides a day evenly, such as \"15 \
                    minutes\" or \"6 hours\"";
        Some(hint.to_owned())
    }
}

impl FromStr for Length {
    type Err = LengthError;

    fn from_str(text: &str) -> Result<Self, LengthError> {
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: i64 = match number {
            "" => 1,
            number => number.parse().map_err(|_| LengthError)?,
        };
        let unit = unit.trim_start_matches([' ', '-']);
        let unit_micros = match unit.strip_suffix('s').unwrap_or(unit) {
            "minute" => MINUTE_MICROS,
            "hour" => HOUR_MICROS,
            "day" => DAY_MICROS,
            "week" => WEEK_MICROS,
            _ => return Err(LengthError),
        };
        let micros = number.checked_mul(unit_micros).ok_or(LengthError)?;
        if micros == WEEK_MICROS {
            return Ok(Length {
                micros,
                first_micros: FIRST_MONDAY_MICROS,
            });
        }
        // Others would begin at another time every day, and two schedules of them would not fit together.
        if micros > 0 && DAY_MICROS % micros == 0 {
            return Ok(Length {
                micros,
                first_micros: 0,
            });
        }
        Err(LengthError)
    }
}

impl Length {
    fn last_before(self, now: Moment) -> Result<Interval, IntervalError> {
        let end = now.0 - (now.0 - self.first_micros).rem_euclid(self.micros);
        Interval::new(Some(Moment(end - self.micros)), Moment(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        span: Span,
    }

    fn span(arguments: &[&str]) -> Span {
        let line = ["x"].iter().chain(arguments);
        Line::try_parse_from(line).expect("arguments").span
    }

    fn moment(text: &str) -> Moment {
        Moment::parse(text).expect("a moment")
    }

    #[test]
    fn the_last_interval_is_the_last_that_has_ended() {
        // A Wednesday.
        let cases = [
            ("hour", "2026-07-15T10:07:30Z", "2026-07-15T09:00Z", "2026-07-15T10:00Z"),
            ("hour", "2026-07-15T10:00:00Z", "2026-07-15T09:00Z", "2026-07-15T10:00Z"),
            (
                "hour",
                "2026-07-15T09:59:59.999999Z",
                "2026-07-15T08:00Z",
                "2026-07-15T09:00Z",
            ),
            (
                "1 hour",
                "2026-07-15T10:07:30Z",
                "2026-07-15T09:00Z",
                "2026-07-15T10:00Z",
            ),
            (
                "6 hours",
                "2026-07-15T10:07:30Z",
                "2026-07-15T00:00Z",
                "2026-07-15T06:00Z",
            ),
            ("day", "2026-07-15T00:00:00Z", "2026-07-14", "2026-07-15"),
            ("day", "2026-03-01T08:00:00Z", "2026-02-28", "2026-03-01"),
            ("24-hours", "2026-07-15T10:07:30Z", "2026-07-14", "2026-07-15"),
            ("week", "2026-07-15T10:07:30Z", "2026-07-06", "2026-07-13"),
            ("week", "2026-07-13T00:00:00Z", "2026-07-06", "2026-07-13"),
            ("week", "2026-07-12T23:59:59Z", "2026-06-29", "2026-07-06"),
            ("7 days", "2026-07-15T10:07:30Z", "2026-07-06", "2026-07-13"),
            (
                "minute",
                "2026-07-15T10:07:30Z",
                "2026-07-15T10:06Z",
                "2026-07-15T10:07Z",
            ),
            (
                "15 minutes",
                "2026-07-15T10:07:30Z",
                "2026-07-15T09:45Z",
                "2026-07-15T10:00Z",
            ),
            (
                "15minutes",
                "2026-07-15T10:15:00Z",
                "2026-07-15T10:00Z",
                "2026-07-15T10:15Z",
            ),
            ("hour", "1969-12-31T23:30:00Z", "1969-12-31T22:00Z", "1969-12-31T23:00Z"),
        ];
        for (length, now, start, end) in cases {
            let now = moment(now);
            let found = span(&["--last", length]).ended(now).expect("an interval");
            assert_eq!(
                (found.start(), found.end()),
                (Some(moment(start)), moment(end)),
                "{length} at {now}"
            );
        }
    }

    #[test]
    fn lengths_that_do_not_divide_a_day_are_refused() {
        for text in [
            "",
            "0 minutes",
            "7 minutes",
            "5 hours",
            "2 days",
            "2 weeks",
            "month",
            "-1 hour",
            "1.5 hours",
            "99999999999999999999 hours",
            "9223372036854775807 hours",
            "hours ago",
        ] {
            assert_eq!(text.parse::<Length>(), Err(LengthError), "{text}");
        }
    }

    #[test]
    fn an_interval_that_has_not_ended_is_refused_unless_it_is_asked_for() {
        let now = moment("2026-07-15T10:07:30Z");
        for (end, has_ended) in [
            ("2026-07-15T10:00Z", true),
            ("2026-07-15T10:07:30Z", true),
            ("2026-07-15T10:07:30.000001Z", false),
            ("2026-07-15T11:00Z", false),
            ("2030-01-01", false),
        ] {
            for start in ["2026-07-15T09:00Z", "beginning"] {
                let times = ["--start", start, "--end", end];
                let asked = [&times[..], &["--allow-unfinished"]].concat();
                assert_eq!(span(&times).ended(now).is_ok(), has_ended, "{end}");
                assert!(span(&asked).ended(now).is_ok(), "{end}");
                assert!(span(&times).interval(now).is_ok(), "{end}");
            }
        }
    }

    #[test]
    fn what_is_wrong_with_an_interval_names_the_options() {
        let now = moment("2026-07-15T10:07:30Z");
        for (start, end, expect) in [
            (
                "2026-01-02",
                "2026-01-01",
                "--end is before --start: 2026-01-01T00:00:00+00:00 is earlier than 2026-01-02T00:00:00+00:00; swap \
                 them",
            ),
            (
                "2026-01-01",
                "2026-01-01T01:00+01:00",
                "--start and --end are the same moment, 2026-01-01T00:00:00+00:00, so there can be no rows between \
                 them; set --end to a later moment: the end is exclusive",
            ),
            (
                "2026-07-15T10:00Z",
                "2026-07-15T11:00Z",
                "the interval has not ended yet: it ends at 2026-07-15T11:00:00+00:00, and it is now \
                 2026-07-15T10:07:30+00:00, so rows that arrive until then would be missing; wait until it has ended, \
                 or add --allow-unfinished",
            ),
            (
                "noon",
                "2026-01-01",
                "--start: `noon` is not a time; write it like 2023-07-28T01:00:00Z (without a zone it is UTC)",
            ),
            (
                "2023-02-30T00:00:00Z",
                "2026-01-01",
                "--start: `2023-02-30T00:00:00Z` is not a time: there is no such day; correct the month or the day",
            ),
            (
                "2026-01-01",
                "year 10000",
                "--end: `year 10000` is not a time; write it like 2023-07-28T01:00:00Z (without a zone it is UTC)",
            ),
            (
                "beginning",
                "START",
                "--end: the end must be a time, not `START`: only the start can be left open; give the time at which \
                 the interval ends",
            ),
        ] {
            let error = span(&["--start", start, "--end", end]).ended(now);
            let failure = Failure::from(error.expect_err(expect));
            assert_eq!(failure.in_one_text(), expect);
        }
    }

    #[test]
    fn two_times_or_a_length_are_required_and_not_both() {
        for arguments in [
            &[][..],
            &["--start", "2026-01-01"],
            &["--end", "2026-01-01"],
            &["--last", "hour", "--start", "2026-01-01"],
            &["--last", "hour", "--end", "2026-01-01"],
            &["--last", "fortnight"],
        ] {
            let line = ["x"].iter().chain(arguments);
            assert!(Line::try_parse_from(line).is_err(), "{arguments:?}");
        }
    }
}
