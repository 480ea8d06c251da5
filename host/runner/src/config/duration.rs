//! Lengths of time in words, such as `"5 minutes"`. Knows no field.

use std::time::Duration;

use batch_export_system::explain::{Cause, counted};
use batch_export_system::near_miss;

/// The units, largest first.
const UNITS: [(&str, u64); 5] = [
    ("week", 604_800),
    ("day", 86_400),
    ("hour", 3_600),
    ("minute", 60),
    ("second", 1),
];

/// Reads a whole number of a unit.
pub(super) fn parse(text: &str) -> Result<Duration, Cause> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let singular = unit.strip_suffix('s').unwrap_or(unit);
    let seconds = UNITS
        .iter()
        .find(|(name, _)| *name == singular)
        .map(|(_, seconds)| *seconds);
    match (number.parse::<u64>(), seconds) {
        (Ok(number), Some(seconds)) => Ok(Duration::from_secs(number.saturating_mul(seconds))),
        (number, seconds) => {
            let meant =
                near_miss(singular, UNITS.map(|(name, _)| name)).filter(|_| number.is_ok() && seconds.is_none());
            Err(
                Cause::new(format!("`{text}` is not a length of time")).with_hint(match meant {
                    Some(unit) => format!("did you mean `{unit}s`?"),
                    None => "write a whole number of seconds, minutes, hours, days or weeks, such as \"90 seconds\""
                        .to_owned(),
                }),
            )
        }
    }
}

/// Returns a length of time as it is written, in the largest unit of which it is a whole number.
pub(super) fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let whole = UNITS
        .iter()
        .find(|(_, unit)| seconds >= *unit && seconds.is_multiple_of(*unit));
    let (name, unit) = whole.unwrap_or(&("second", 1));
    counted(seconds / unit, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_written_as_they_are_read() {
        for (text, seconds, shown) in [
            ("0 seconds", 0, "0 seconds"),
            ("1 second", 1, "1 second"),
            ("90 seconds", 90, "90 seconds"),
            ("120 seconds", 120, "2 minutes"),
            ("5minutes", 300, "5 minutes"),
            (" 1 hour ", 3_600, "1 hour"),
            ("36 hours", 129_600, "36 hours"),
            ("1 day", 86_400, "1 day"),
            ("2 weeks", 1_209_600, "2 weeks"),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
            assert_eq!(in_words(Duration::from_secs(seconds)), shown);
        }
    }

    #[test]
    fn what_is_no_length_of_time_says_how_to_write_one() {
        let form = "write a whole number of seconds, minutes, hours, days or weeks, such as \"90 seconds\"";
        for (text, hint) in [
            ("90", form),
            ("", form),
            ("hour", form),
            ("1.5 hours", form),
            ("-1 hour", form),
            ("5 m", form),
            ("5 minuts", "did you mean `minutes`?"),
            ("5 hors", "did you mean `hours`?"),
        ] {
            let expect = Cause::new(format!("`{text}` is not a length of time")).with_hint(hint);
            assert_eq!(parse(text), Err(expect));
        }
    }
}
