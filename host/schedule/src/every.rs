//! How often a destination is exported. Knows no time zone.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use batch_export_system::explain::Explain;
use batch_export_system::near_miss;

const MINUTE_SECONDS: u64 = 60;
const HOUR_SECONDS: u64 = 60 * MINUTE_SECONDS;
const DAY_SECONDS: u64 = 24 * HOUR_SECONDS;
const WEEK_SECONDS: u64 = 7 * DAY_SECONDS;

/// Below this, what a run costs beside its rows would be most of its work.
const MIN_MINUTES: u32 = 5;
/// A week; what is longer is written as days or weeks of a calendar, or not at all.
const MAX_MINUTES: u32 = 7 * 24 * 60;
const MAX_HOURS: u32 = 7 * 24;

/// The length of a schedule's intervals: 5 minutes to a week.
///
/// Written as `"N minutes"`, `"N hours"`, `"hour"`, `"day"` or `"week"`; [`Display`](fmt::Display) gives the same text.
/// Minutes and hours are counted from the Unix epoch, whatever the time zone. A day and a week are those of a calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Every(Unit);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Unit {
    Minutes(u32),
    Hours(u32),
    Day,
    Week,
}

/// A reason why a text is not the length of a schedule's intervals.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EveryError {
    /// It is not written like one.
    #[error("`{text}` is not an interval length")]
    NotALength {
        /// The text.
        text: String,
        /// The unit that was probably meant.
        meant: Option<&'static str>,
    },
    /// It is shorter than 5 minutes.
    #[error("`{0}` is too short: the shortest interval is 5 minutes")]
    TooShort(String),
    /// It is longer than a week.
    #[error("`{0}` is too long: the longest interval is a week")]
    TooLong(String),
    /// It is several calendar days or weeks, which begin nowhere in particular.
    #[error("`{0}` is not supported: only a single day or week begins at a time that a calendar says")]
    Several(String),
}

impl Explain for EveryError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            EveryError::NotALength { meant: Some(unit), .. } => format!("did you mean `{unit}`?"),
            EveryError::NotALength { meant: None, .. } => {
                "write hour, day, week, or a number of minutes or hours, such as \"15 minutes\"".to_owned()
            }
            EveryError::TooShort(_) => "write \"5 minutes\" or more".to_owned(),
            EveryError::TooLong(_) => "write \"week\" or less".to_owned(),
            EveryError::Several(_) => "write \"day\" or \"week\", or a number of hours such as \"48 hours\"".to_owned(),
        };
        Some(hint)
    }
}

const UNITS: [&str; 4] = ["minute", "hour", "day", "week"];

impl FromStr for Every {
    type Err = EveryError;

    fn from_str(text: &str) -> Result<Self, EveryError> {
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim_start_matches([' ', '-']);
        let unit = unit.strip_suffix('s').unwrap_or(unit);
        if !UNITS.contains(&unit) {
            return Err(EveryError::NotALength {
                text: text.to_owned(),
                meant: near_miss(unit, UNITS),
            });
        }
        // A number with more digits is only longer.
        let number: u32 = match number {
            "" => 1,
            number => number.parse().unwrap_or(u32::MAX),
        };
        let unit = match (unit, number) {
            ("minute", ..MIN_MINUTES) | (_, 0) => return Err(EveryError::TooShort(text.to_owned())),
            ("minute", ..=MAX_MINUTES) => Unit::Minutes(number),
            ("hour", ..=MAX_HOURS) => Unit::Hours(number),
            ("day", 1) => Unit::Day,
            ("week", 1) => Unit::Week,
            ("day", ..=7) => return Err(EveryError::Several(text.to_owned())),
            _ => return Err(EveryError::TooLong(text.to_owned())),
        };
        Ok(Every(unit))
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unit::Minutes(number) => write!(f, "{number} minutes"),
            Unit::Hours(1) => f.write_str("hour"),
            Unit::Hours(number) => write!(f, "{number} hours"),
            Unit::Day => f.write_str("day"),
            Unit::Week => f.write_str("week"),
        }
    }
}

impl Every {
    /// An hour, since the epoch.
    pub const HOUR: Every = Every(Unit::Hours(1));
    /// A day of a calendar.
    pub const DAY: Every = Every(Unit::Day);
    /// A week of a calendar.
    pub const WEEK: Every = Every(Unit::Week);

    /// Returns the usual length of an interval: days are counted as 24 hours here.
    pub fn period(self) -> Duration {
        Duration::from_secs(match self.0 {
            Unit::Minutes(number) => u64::from(number) * MINUTE_SECONDS,
            Unit::Hours(number) => u64::from(number) * HOUR_SECONDS,
            Unit::Day => DAY_SECONDS,
            Unit::Week => WEEK_SECONDS,
        })
    }

    pub(crate) fn unit(self) -> Unit {
        self.0
    }

    /// Returns whether its intervals are counted from the epoch and know no calendar.
    pub(crate) fn is_counted(self) -> bool {
        matches!(self.0, Unit::Minutes(_) | Unit::Hours(_))
    }

    /// Returns how long a run may take: 6 hours for an hour, a day for a day, 3 days for a week; for minutes the
    /// interval or 20 minutes, whichever is longer, and for several hours the interval or 6 hours.
    pub(crate) fn time_limit(self) -> Duration {
        match self.0 {
            Unit::Minutes(_) => self.period().max(Duration::from_secs(20 * MINUTE_SECONDS)),
            Unit::Hours(_) => self.period().max(Duration::from_secs(6 * HOUR_SECONDS)),
            Unit::Day => Duration::from_secs(DAY_SECONDS),
            Unit::Week => Duration::from_secs(3 * DAY_SECONDS),
        }
    }

    /// Returns how many missed intervals are made up unless configured: a day of hours, a week of days, a month of
    /// weeks.
    pub(crate) fn catch_up(self) -> u32 {
        match self.period().as_secs() {
            0..DAY_SECONDS => 24,
            DAY_SECONDS..WEEK_SECONDS => 7,
            WEEK_SECONDS.. => 4,
        }
    }
}
