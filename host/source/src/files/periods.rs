//! A `path` with parts of a time in it, such as `events/{year}/{month}/*.parquet`: the periods that an interval
//! touches, and the path of each, so that a run opens no files of others. Looks at no disk.

use batch_export_system::explain::{Cause, count};
use batch_export_system::near_miss;
use chrono::{DateTime, Datelike, Months, NaiveDateTime, TimeDelta, Timelike};

use crate::interval::Interval;

/// Periods of one interval: eleven years of hours. Each is looked for on the disk, and more are an interval or a
/// variable that was not meant.
const MAX_PERIODS: usize = 100_000;
/// Letters from which on a name between braces can be a misspelt variable: shorter ones are near to everything.
const SHORTEST_SLIP_CHARS: usize = 3;

/// A part of a time in UTC, coarsest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

const UNITS: [(&str, Unit); 6] = [
    ("year", Unit::Year),
    ("month", Unit::Month),
    ("day", Unit::Day),
    ("hour", Unit::Hour),
    ("minute", Unit::Minute),
    ("second", Unit::Second),
];

/// Variables of a destination's prefix that stand for nothing here.
const OF_PREFIXES: [&str; 9] = [
    "start_year",
    "start_month",
    "start_day",
    "start_hour",
    "start_minute",
    "start_second",
    "table",
    "data_interval_start",
    "data_interval_end",
];

/// A `path` taken apart at its variables.
#[derive(Debug)]
pub(super) struct Periods<'a> {
    pieces: Vec<Piece<'a>>,
    /// The finest part decides how long a period is.
    step: Unit,
}

#[derive(Debug)]
enum Piece<'a> {
    Text(&'a str),
    Part(Unit),
}

/// One period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Period {
    /// As ISO 8601 writes it, as far as the path does.
    pub(super) name: String,
    pub(super) path: String,
}

/// Takes a `path` apart; `None` if it has no variable. Other braces are part of a name or alternatives.
pub(super) fn parse(path: &str) -> Result<Option<Periods<'_>>, Cause> {
    let (mut pieces, mut rest, mut from) = (Vec::new(), path, 0);
    let mut found: Vec<Unit> = Vec::new();
    while let Some(open) = rest[from..].find('{').map(|at| from + at) {
        let name = rest[open + 1..].split(['{', '}', ',', '/']).next().unwrap_or_default();
        let close = open + 1 + name.len();
        if !rest[close..].starts_with('}') {
            from = open + 1;
            continue;
        }
        let Some(unit) = unit(name)? else {
            from = close;
            continue;
        };
        pieces.push(Piece::Text(&rest[..open]));
        pieces.push(Piece::Part(unit));
        found.push(unit);
        rest = &rest[close + 1..];
        from = 0;
    }
    pieces.push(Piece::Text(rest));
    let Some(step) = found.iter().max().copied() else {
        return Ok(None);
    };
    if let Some((missing, _)) = UNITS.iter().find(|(_, unit)| *unit < step && !found.contains(unit)) {
        let cause = Cause::new(format!("it has `{{{}}}`, but not `{{{missing}}}`", step.name()));
        return Err(cause.with_hint("name every part of the time from the year on"));
    }
    Ok(Some(Periods { pieces, step }))
}

/// Returns the variable of a name, or why there is none of a name that looks as if there were.
fn unit(name: &str) -> Result<Option<Unit>, Cause> {
    if let Some((_, unit)) = UNITS.iter().find(|(known, _)| *known == name) {
        return Ok(Some(*unit));
    }
    let all = || UNITS.map(|(name, _)| format!("`{{{name}}}`")).join(", ");
    let cause = || Cause::new(format!("`{{{name}}}` stands for nothing in it"));
    if OF_PREFIXES.contains(&name) {
        return Err(cause().with_hint(format!("use {}", all())));
    }
    let lower = name.to_ascii_lowercase();
    let meant = near_miss(&lower, UNITS.map(|(name, _)| name));
    match meant.filter(|_| name.chars().count() >= SHORTEST_SLIP_CHARS) {
        Some(meant) => Err(cause().with_hint(format!(
            "did you mean `{{{meant}}}`? (write `?` for a brace that is part of a name)"
        ))),
        None => Ok(None),
    }
}

impl Unit {
    fn name(self) -> &'static str {
        UNITS
            .iter()
            .find(|(_, unit)| *unit == self)
            .map_or("", |(name, _)| name)
    }

    fn of(self, time: NaiveDateTime) -> String {
        match self {
            Unit::Year => format!("{:04}", time.year()),
            Unit::Month => format!("{:02}", time.month()),
            Unit::Day => format!("{:02}", time.day()),
            Unit::Hour => format!("{:02}", time.hour()),
            Unit::Minute => format!("{:02}", time.minute()),
            Unit::Second => format!("{:02}", time.second()),
        }
    }

    /// Returns the beginning of the period that a time is in.
    fn floor(self, time: NaiveDateTime) -> Option<NaiveDateTime> {
        let date = match self {
            Unit::Year => time.date().with_month(1)?.with_day(1)?,
            Unit::Month => time.date().with_day(1)?,
            _ => time.date(),
        };
        let (hour, minute, second) = (time.hour(), time.minute(), time.second());
        match self {
            Unit::Year | Unit::Month | Unit::Day => date.and_hms_opt(0, 0, 0),
            Unit::Hour => date.and_hms_opt(hour, 0, 0),
            Unit::Minute => date.and_hms_opt(hour, minute, 0),
            Unit::Second => date.and_hms_opt(hour, minute, second),
        }
    }

    /// Returns the beginning of the next period.
    fn next(self, time: NaiveDateTime) -> Option<NaiveDateTime> {
        match self {
            Unit::Year => time.checked_add_months(Months::new(12)),
            Unit::Month => time.checked_add_months(Months::new(1)),
            Unit::Day => time.checked_add_signed(TimeDelta::days(1)),
            Unit::Hour => time.checked_add_signed(TimeDelta::hours(1)),
            Unit::Minute => time.checked_add_signed(TimeDelta::minutes(1)),
            Unit::Second => time.checked_add_signed(TimeDelta::seconds(1)),
        }
    }

    /// Returns the name of a period of this length.
    fn named(self, time: NaiveDateTime) -> String {
        let form = match self {
            Unit::Year => "%Y",
            Unit::Month => "%Y-%m",
            Unit::Day => "%Y-%m-%d",
            Unit::Hour => "%Y-%m-%dT%H",
            Unit::Minute => "%Y-%m-%dT%H:%M",
            Unit::Second => "%Y-%m-%dT%H:%M:%S",
        };
        time.format(form).to_string()
    }
}

impl Periods<'_> {
    /// Returns the periods that an interval touches, in order; `None` where its start is open, so that they are all.
    pub(super) fn of(&self, interval: &Interval) -> Result<Option<Vec<Period>>, Cause> {
        let Some(start) = interval.start() else {
            return Ok(None);
        };
        let time = |micros: i64| DateTime::from_timestamp_micros(micros).map(|time| time.naive_utc());
        // What no calendar has is in no path either.
        let (first, end) = (time(start.0), time(interval.end().0).unwrap_or(NaiveDateTime::MAX));
        let mut at = first.and_then(|first| self.step.floor(first));
        let mut periods = Vec::new();
        while let Some(time) = at.filter(|time| *time < end) {
            if periods.len() == MAX_PERIODS {
                return Err(self.too_many());
            }
            periods.push(Period {
                name: self.step.named(time),
                path: self.with(|unit| unit.of(time)),
            });
            at = self.step.next(time);
        }
        Ok(Some(periods))
    }

    /// Returns the error for an interval of too many periods.
    pub(super) fn too_many(&self) -> Cause {
        let message = format!(
            "the interval touches more than {} periods of it, each of one {}",
            count(MAX_PERIODS as u64),
            self.step.name()
        );
        Cause::new(message).with_hint("export shorter intervals, or leave the start open to read all files")
    }

    /// Returns how many `alternatives` of each of `periods` are too many.
    pub(super) fn are_too_many(periods: usize, alternatives: usize) -> bool {
        periods.saturating_mul(alternatives) > MAX_PERIODS
    }

    /// Returns the path of all periods, as a glob.
    pub(super) fn glob(&self) -> String {
        self.with(|unit| match unit {
            Unit::Year => "[0-9]".repeat(4),
            _ => "[0-9]".repeat(2),
        })
    }

    /// Returns what periods are called.
    pub(super) fn in_words(&self) -> String {
        format!("{}s", self.step.name())
    }

    fn with(&self, value: impl Fn(Unit) -> String) -> String {
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => (*text).to_owned(),
            Piece::Part(unit) => value(*unit),
        });
        pieces.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(path: &str, start: &str, end: &str) -> Vec<String> {
        let interval = Interval::parse(start, end).expect("an interval");
        let periods = parse(path).expect("valid").expect("variables");
        let periods = periods.of(&interval).expect("few").expect("a start");
        periods.into_iter().map(|period| period.path).collect()
    }

    #[test]
    fn an_interval_touches_each_period_that_it_has_a_moment_of() {
        let hours = "in/{year}/{month}/{day}/{hour}/*.parquet";
        for (path, start, end, expect) in [
            (
                "in/dt={year}-{month}-{day}/*",
                "2026-01-31T23:00Z",
                "2026-02-01",
                vec!["in/dt=2026-01-31/*"],
            ),
            (
                "in/dt={year}-{month}-{day}/*",
                "2026-01-31T23:00Z",
                "2026-02-01T00:00:00.000001Z",
                vec!["in/dt=2026-01-31/*", "in/dt=2026-02-01/*"],
            ),
            (
                hours,
                "2025-12-31T22:30Z",
                "2026-01-01T01:00Z",
                vec![
                    "in/2025/12/31/22/*.parquet",
                    "in/2025/12/31/23/*.parquet",
                    "in/2026/01/01/00/*.parquet",
                ],
            ),
            // The zone of the interval's text is not the path's.
            (
                hours,
                "2026-01-01T01:00+02:00",
                "2026-01-01T02:00+02:00",
                vec!["in/2025/12/31/23/*.parquet"],
            ),
            ("{year}-{month}", "2024-01-31", "2024-03-01", vec!["2024-01", "2024-02"]),
            (
                "{year}/{year}",
                "0999-06-01",
                "1001-01-01",
                vec!["0999/0999", "1000/1000"],
            ),
            (
                "{{year},x}/{a,b}/{c}",
                "2026-01-01",
                "2026-01-02",
                vec!["{2026,x}/{a,b}/{c}"],
            ),
            (
                "{year}{month}{day}T{hour}{minute}{second}",
                "2024-02-29T23:59:59.5Z",
                "2024-03-01T00:00:01Z",
                vec!["20240229T235959", "20240301T000000"],
            ),
        ] {
            assert_eq!(paths(path, start, end), expect, "{path} from {start} to {end}");
        }
        assert_eq!(paths(hours, "2026-01-01", "2027-01-01").len(), 8_760);
    }

    #[test]
    fn an_open_start_means_every_period() {
        let periods = parse("{year}/{month}-x").expect("valid").expect("variables");
        assert_eq!(periods.of(&Interval::always()), Ok(None));
        assert_eq!(periods.glob(), "[0-9][0-9][0-9][0-9]/[0-9][0-9]-x");
    }

    #[test]
    fn periods_of_one_interval_are_limited() {
        let interval = Interval::parse("0001-01-01", "9999-01-01").expect("an interval");
        let periods = parse("{year}/{month}/{day}").expect("valid").expect("variables");
        let error = periods.of(&interval).expect_err("too many").in_one_text();
        assert_eq!(
            error,
            "the interval touches more than 100,000 periods of it, each of one day; export shorter intervals, or leave \
             the start open to read all files"
        );
        let years = parse("{year}").expect("valid").expect("variables");
        assert_eq!(years.of(&interval).expect("few").expect("a start").len(), 9_998);
    }

    #[test]
    fn variables_that_are_misspelt_or_have_no_coarser_one_are_refused() {
        for (path, expect) in [
            (
                "in/{yaer}/*",
                "`{yaer}` stands for nothing in it; did you mean `{year}`? (write `?` for a brace that is part of a name)",
            ),
            (
                "in/{Hour}/*",
                "`{Hour}` stands for nothing in it; did you mean `{hour}`? (write `?` for a brace that is part of a name)",
            ),
            (
                "in/{data_interval_start}/*",
                "`{data_interval_start}` stands for nothing in it; use `{year}`, `{month}`, `{day}`, `{hour}`, \
                 `{minute}`, `{second}`",
            ),
            (
                "in/{year}/{hour}/*",
                "it has `{hour}`, but not `{month}`; name every part of the time from the year on",
            ),
            (
                "in/{month}/*",
                "it has `{month}`, but not `{year}`; name every part of the time from the year on",
            ),
        ] {
            let error = parse(path).map(|_| ()).expect_err(path);
            assert_eq!(error.in_one_text(), expect);
        }
        for path in ["in/*", "{a,b}/{x}", "{orders}", "in/{hour", "{}", "{day,hour}/x"] {
            assert!(parse(path).expect(path).is_none(), "{path}");
        }
    }
}
