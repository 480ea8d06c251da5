//! Dates and times as ISO 8601 text, by arithmetic alone: no clock, no zone but UTC, and no value that it refuses.

const SECONDS_PER_DAY: i64 = 86_400;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// Days from 0000-03-01 to 1970-01-01 in the proleptic Gregorian calendar.
const EPOCH_FROM_MARCH_OF_YEAR_0: i64 = 719_468;
/// Days of 400, 100 and 4 years, and of one; a cycle of 400 years always has the same number of days.
const DAYS_PER_400_YEARS: i64 = 146_097;
const DAYS_PER_100_YEARS: i64 = 36_524;
const DAYS_PER_4_YEARS: i64 = 1_461;
const DAYS_PER_YEAR: i64 = 365;

/// Appends `"2023-01-01T00:00:00.123456+00:00"`, the fraction only when it is not zero. `micros` is below a million.
pub fn write_timestamp(seconds: i64, micros: i64, out: &mut Vec<u8>) {
    out.push(b'"');
    push_date(seconds.div_euclid(SECONDS_PER_DAY), out);
    out.push(b'T');
    push_time(seconds.rem_euclid(SECONDS_PER_DAY), micros, out);
    out.extend_from_slice(b"+00:00\"");
}

/// Appends `"2023-01-01"`.
pub fn write_date(days_since_1970: i64, out: &mut Vec<u8>) {
    out.push(b'"');
    push_date(days_since_1970, out);
    out.push(b'"');
}

/// Appends `"13:30:00.123456"`, the fraction only when it is not zero. A negative time, which no clock shows, has a
/// minus before it; one past midnight has more hours.
pub fn write_time(micros: i64, out: &mut Vec<u8>) {
    out.push(b'"');
    if micros < 0 {
        out.push(b'-');
    }
    let micros = micros.saturating_abs();
    push_time(micros / MICROS_PER_SECOND, micros % MICROS_PER_SECOND, out);
    out.push(b'"');
}

/// Years 0 to 9999 have four digits; others have a sign and at least four (ISO 8601 "expanded"): `+10000-01-01`,
/// `-0001-12-31`.
fn push_date(days_since_1970: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(days_since_1970);
    match year {
        0..=9999 => push_digits(year, 4, out),
        _ => {
            out.push(if year < 0 { b'-' } else { b'+' });
            push_digits(year.abs(), 4, out);
        }
    }
    out.push(b'-');
    push_digits(month, 2, out);
    out.push(b'-');
    push_digits(day, 2, out);
}

fn push_time(seconds: i64, micros: i64, out: &mut Vec<u8>) {
    push_digits(seconds / 3600, 2, out);
    out.push(b':');
    push_digits(seconds / 60 % 60, 2, out);
    out.push(b':');
    push_digits(seconds % 60, 2, out);
    if micros != 0 {
        out.push(b'.');
        push_digits(micros, 6, out);
    }
}

/// Appends a number that is not negative with at least `width` digits.
fn push_digits(value: i64, width: usize, out: &mut Vec<u8>) {
    // 19 digits are the most that an i64 has.
    let mut digits = [b'0'; 19];
    let mut rest = value.unsigned_abs();
    let mut start = digits.len();
    while rest > 0 || digits.len() - start < width {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits[start..]);
}

/// Year, month and day in the proleptic Gregorian calendar (year 0 is 1 BC). Years are counted from March, so that
/// the leap day is a year's last and months have the same lengths in all of them.
fn civil(days_since_1970: i64) -> (i64, i64, i64) {
    let days = days_since_1970 + EPOCH_FROM_MARCH_OF_YEAR_0;
    let cycle = days.div_euclid(DAYS_PER_400_YEARS);
    let mut day = days.rem_euclid(DAYS_PER_400_YEARS);
    // The last day of a 400-year cycle and of a leap year belongs to the century or year that it ends.
    let century = (day / DAYS_PER_100_YEARS).min(3);
    day -= century * DAYS_PER_100_YEARS;
    let olympiad = day / DAYS_PER_4_YEARS;
    day -= olympiad * DAYS_PER_4_YEARS;
    let year_of_four = (day / DAYS_PER_YEAR).min(3);
    day -= year_of_four * DAYS_PER_YEAR;
    let year = cycle * 400 + century * 100 + olympiad * 4 + year_of_four;
    // From March on, months have 31 30 31 30 31 days, again and again: 153 in five months.
    let month_from_march = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month_from_march + 2) / 5 + 1;
    if month_from_march < 10 {
        (year, month_from_march + 3, day_of_month)
    } else {
        (year + 1, month_from_march - 9, day_of_month)
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Datelike, NaiveDate, TimeDelta};

    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn timestamps_have_six_digits_of_fraction_or_none() {
        let cases = [
            (0, 0, "1970-01-01T00:00:00+00:00"),
            (1_672_531_200, 123_456, "2023-01-01T00:00:00.123456+00:00"),
            (1_672_531_200, 1, "2023-01-01T00:00:00.000001+00:00"),
            (-1, 999_999, "1969-12-31T23:59:59.999999+00:00"),
            (253_402_300_799, 0, "9999-12-31T23:59:59+00:00"),
            (253_402_300_800, 0, "+10000-01-01T00:00:00+00:00"),
            (-62_167_219_200, 0, "0000-01-01T00:00:00+00:00"),
            (-62_167_219_201, 0, "-0001-12-31T23:59:59+00:00"),
            (i64::MAX, 0, "+292277026596-12-04T15:30:07+00:00"),
            (i64::MIN, 0, "-292277022657-01-27T08:29:52+00:00"),
        ];
        for (seconds, micros, expected) in cases {
            let written = text(|out| write_timestamp(seconds, micros, out));
            assert_eq!(written, format!("\"{expected}\""));
        }
    }

    #[test]
    fn every_day_of_a_cycle_around_the_epoch_agrees_with_chrono() {
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        for days in -150_000..150_000 {
            let date = epoch + TimeDelta::days(days);
            let expected = (date.year().into(), date.month().into(), date.day().into());
            assert_eq!(civil(days), expected, "{days}");
        }
    }

    #[test]
    fn timestamps_agree_with_chrono() {
        for step in 0..10_000 {
            let seconds = -62_000_000_000 + step * 31_410_271;
            let expected = DateTime::from_timestamp(seconds, 0).unwrap().to_rfc3339();
            assert_eq!(text(|out| write_timestamp(seconds, 0, out)), format!("\"{expected}\""));
        }
    }

    #[test]
    fn times_of_day() {
        let cases = [
            (0, "00:00:00"),
            (48_600_000_000, "13:30:00"),
            (86_399_999_999, "23:59:59.999999"),
            (-1, "-00:00:00.000001"),
            (360_000_000_000, "100:00:00"),
        ];
        for (micros, expected) in cases {
            assert_eq!(text(|out| write_time(micros, out)), format!("\"{expected}\""));
        }
    }
}
