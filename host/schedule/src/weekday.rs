//! The day on which weeks begin.

use std::fmt;
use std::str::FromStr;

use batch_export_system::explain::Explain;
use batch_export_system::near_miss;

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Weekday {
    Sunday,
    #[default]
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
}

/// In the order of their numbers.
const DAYS: [(&str, Weekday); 7] = [
    ("sunday", Weekday::Sunday),
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
];

/// A text or number that is not a day of the week.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{written}` is not a day of the week")]
pub struct WeekdayError {
    written: String,
    meant: Option<&'static str>,
}

impl Explain for WeekdayError {
    fn hint(&self) -> Option<String> {
        Some(match self.meant {
            Some(day) => format!("did you mean `{day}`?"),
            None => "write a name such as \"monday\", or a number from 0 for Sunday to 6 for Saturday".to_owned(),
        })
    }
}

impl Weekday {
    /// Returns the day of a number from 0 for Sunday to 6 for Saturday, as cron and PostHog count.
    pub fn from_number(number: u64) -> Result<Self, WeekdayError> {
        let day = usize::try_from(number).ok().and_then(|number| DAYS.get(number));
        day.map(|(_, day)| *day).ok_or_else(|| WeekdayError {
            written: number.to_string(),
            meant: None,
        })
    }

    /// Returns its number, from 0 for Sunday to 6 for Saturday.
    pub fn number(self) -> i8 {
        self as i8
    }
}

impl FromStr for Weekday {
    type Err = WeekdayError;

    fn from_str(text: &str) -> Result<Self, WeekdayError> {
        let text = text.trim();
        let lower = text.to_ascii_lowercase();
        let is_named = |name: &str| name == lower || name[..3] == lower;
        match DAYS.iter().find(|(name, _)| is_named(name)) {
            Some((_, day)) => Ok(*day),
            None => Err(WeekdayError {
                written: text.to_owned(),
                meant: near_miss(&lower, DAYS.iter().map(|(name, _)| *name)),
            }),
        }
    }
}

impl fmt::Display for Weekday {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = DAYS.iter().find(|(_, day)| day == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}
