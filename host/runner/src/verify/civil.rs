//! Dates and times as text, by independent arithmetic: the writer of the files used a library. Proleptic Gregorian
//! calendar, UTC, no leap seconds.

const DAY_MICROS: i128 = 86_400_000_000;

/// `2023-01-01T00:00:00+00:00`, with six digits of fraction where it is not zero.
pub(super) fn timestamp(micros: i128) -> String {
    let day = micros.div_euclid(DAY_MICROS);
    format!("{}T{}+00:00", date(day), time(micros.rem_euclid(DAY_MICROS)))
}

/// `13:30:00`, with six digits of fraction where it is not zero.
pub(super) fn time(micros: i128) -> String {
    let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match fraction {
        0 => clock,
        fraction => format!("{clock}.{fraction:06}"),
    }
}

/// Days since 1970 as `2023-01-01`; years beyond 0 to 9999 have a sign.
/// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>
pub(super) fn date(days: i128) -> String {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i128::from(month <= 2);
    match year {
        0..=9999 => format!("{year:04}-{month:02}-{day:02}"),
        year => format!("{year:+05}-{month:02}-{day:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_the_calendars() {
        for (micros, expect) in [
            (0, "1970-01-01T00:00:00+00:00"),
            (-1, "1969-12-31T23:59:59.999999+00:00"),
            (1_709_210_096_000_000, "2024-02-29T12:34:56+00:00"),
            (253_402_300_800_000_000, "+10000-01-01T00:00:00+00:00"),
            (-62_198_755_200_000_000, "-0001-01-01T00:00:00+00:00"),
        ] {
            assert_eq!(timestamp(micros), expect);
        }
        for day in (-1_000_000..1_000_000).step_by(997) {
            let known = chrono::DateTime::from_timestamp(day * 86_400, 0).expect("a day");
            assert_eq!(date(day.into()), known.format("%Y-%m-%d").to_string());
        }
    }
}
