//! What a schedule can be made of.

use super::*;
use crate::{MAX_CATCH_UP, MAX_DUE, MAX_SETTLE};
use batch_export_system::explain::Cause;

#[test]
fn lengths_are_written_as_they_are_read() {
    for (text, shown, seconds) in [
        ("5 minutes", "5 minutes", 300),
        ("15minutes", "15 minutes", 900),
        ("60-minutes", "60 minutes", 3_600),
        ("hour", "hour", 3_600),
        ("1 hour", "hour", 3_600),
        ("6 hours", "6 hours", 21_600),
        ("1 day", "day", 86_400),
        (" day ", "day", 86_400),
        ("week", "week", 604_800),
        ("1 weeks", "week", 604_800),
    ] {
        let every: Every = text.parse().expect(text);
        assert_eq!(
            (every.to_string().as_str(), every.period().as_secs()),
            (shown, seconds),
            "{text}"
        );
        assert_eq!(shown.parse(), Ok(every));
    }
}

#[test]
fn what_is_no_length_says_what_is() {
    for (text, expect) in [
        (
            "",
            "`` is not an interval length; write hour, day, week, or a number of minutes or hours, such as \"15 minutes\"",
        ),
        ("1 hoor", "`1 hoor` is not an interval length; did you mean `hour`?"),
        (
            "month",
            "`month` is not an interval length; write hour, day, week, or a number of minutes or hours, such as \"15 minutes\"",
        ),
        (
            "4 minutes",
            "`4 minutes` is too short: the shortest interval is 5 minutes; write \"5 minutes\" or more",
        ),
        (
            "minute",
            "`minute` is too short: the shortest interval is 5 minutes; write \"5 minutes\" or more",
        ),
        (
            "0 hours",
            "`0 hours` is too short: the shortest interval is 5 minutes; write \"5 minutes\" or more",
        ),
        (
            "169 hours",
            "`169 hours` is too long: the longest interval is a week; write \"week\" or less",
        ),
        (
            "99999999999999 minutes",
            "`99999999999999 minutes` is too long: the longest interval is a week; write \"week\" or less",
        ),
        (
            "2 weeks",
            "`2 weeks` is too long: the longest interval is a week; write \"week\" or less",
        ),
        (
            "2 days",
            "`2 days` is not supported: only a single day or week begins at a time that a calendar says; write \"day\" or \
             \"week\", or a number of hours such as \"48 hours\"",
        ),
    ] {
        let error = text.parse::<Every>().expect_err(text);
        assert_eq!(Cause::of(&error).in_one_text(), expect);
    }
}

#[test]
fn days_of_the_week_have_names_and_numbers() {
    for (text, number) in [("sunday", 0), ("Monday", 1), ("wed", 3), (" SATURDAY ", 6)] {
        let day: Weekday = text.parse().expect(text);
        assert_eq!(Weekday::from_number(number), Ok(day));
        assert_eq!(u64::try_from(day.number()), Ok(number));
        assert_eq!(day.to_string().parse(), Ok(day));
    }
    let said = |error| Cause::of(&error).in_one_text();
    let error = "mnday".parse::<Weekday>().expect_err("no day");
    assert_eq!(said(error), "`mnday` is not a day of the week; did you mean `monday`?");
    assert_eq!(
        said(Weekday::from_number(7).expect_err("no day")),
        "`7` is not a day of the week; write a name such as \"monday\", or a number from 0 for Sunday to 6 for Saturday"
    );
}

#[test]
fn every_problem_is_named_at_once() {
    let mut wrong = parts("week");
    wrong.timezone = Some("Europe/Berlni".to_owned());
    wrong.offset_hour = Some(24);
    wrong.jitter = Duration::from_secs(7 * 86_400);
    wrong.settle = MAX_SETTLE + Duration::from_secs(1);
    wrong.catch_up = Some(MAX_CATCH_UP + 1);
    wrong.runs_at_once = Some(0);
    wrong.start_at = Some(moment("2026-01-02"));
    wrong.end_at = Some(moment("2026-01-01"));
    assert_eq!(
        problems(wrong),
        [
            "timezone: there is no time zone `Europe/Berlni`; did you mean `Europe/Berlin`?",
            "offset_hour: 24 is not an hour of the day; give a number from 0 to 23",
            "jitter: it is not shorter than the interval, so a run could start after the next one; give less than the \
             length of an interval",
            "settle: it is longer than a day; give at most \"24 hours\"; rows that arrive even later are what a backfill \
             is for",
            "catch_up: 10,000 is out of range; give a number from 0 to 9,999",
            "runs_at_once: 0 is out of range; give a number from 1 to 256",
            "end_at: it is not after start_at: 2026-01-01T00:00:00+00:00 is not later than 2026-01-02T00:00:00+00:00; \
             give a later time, or remove one of the two",
        ]
    );
}

fn problems(parts: ScheduleParts) -> Vec<String> {
    let problems = Schedule::new(parts).expect_err("it is wrong");
    let said = problems
        .iter()
        .map(|problem| format!("{}: {}", problem.field, problem.cause.in_one_text()));
    said.collect()
}

#[test]
fn what_has_no_effect_is_refused() {
    for every in ["5 minutes", "hour"] {
        let mut wrong = parts(every);
        wrong.timezone = Some("UTC".to_owned());
        wrong.offset_hour = Some(0);
        wrong.offset_day = Some(Weekday::Monday);
        let expect = "it has no effect on intervals of minutes or hours, which are counted from the Unix epoch in UTC; \
                      remove it, or set every to \"day\" or \"week\"";
        let expect = ["timezone", "offset_hour", "offset_day"].map(|field| format!("{field}: {expect}"));
        assert_eq!(problems(wrong), expect);
    }
    let mut wrong = parts("day");
    wrong.offset_day = Some(Weekday::Friday);
    assert_eq!(
        problems(wrong),
        ["offset_day: it has no effect on intervals of a day; remove it, or set every to \"week\""]
    );
}

#[test]
fn a_zone_that_is_not_there_is_told_with_the_one_that_was_meant() {
    for (written, expect) in [
        ("Berlin", "did you mean `Europe/Berlin`?"),
        ("America/Sao Paulo", "did you mean `America/Sao_Paulo`?"),
        ("America/Berlin", "did you mean `America/Belem`?"),
        ("new york", "did you mean `America/New_York`?"),
        (
            "+02:00",
            "give a name of the IANA time zone database, such as Europe/Berlin",
        ),
        ("", "give a name of the IANA time zone database, such as Europe/Berlin"),
        (
            "Etc/Unknown",
            "give a name of the IANA time zone database, such as Europe/Berlin",
        ),
    ] {
        let mut wrong = parts("day");
        wrong.timezone = Some(written.to_owned());
        let said = problems(wrong).concat();
        let start = format!("timezone: there is no time zone `{written}`; ");
        assert!(
            said.starts_with(&start) && said[start.len()..].starts_with(expect),
            "{said}"
        );
    }
    assert_eq!(in_zone("day", "europe/berlin", 0).timezone(), "Europe/Berlin");
    assert_eq!(
        (schedule("day").timezone(), schedule("hour").timezone()),
        ("UTC", "UTC")
    );
}

#[test]
fn an_interval_must_fit_between_start_and_end() {
    let mut wrong = parts("hour");
    wrong.start_at = Some(moment("2026-01-01T00:10Z"));
    wrong.end_at = Some(moment("2026-01-01T01:50Z"));
    assert_eq!(
        problems(wrong),
        [
            "end_at: no whole interval lies between start_at and end_at: the first one starts at \
          2026-01-01T01:00:00+00:00; give 2026-01-01T02:00:00+00:00 or a later time"
        ]
    );
}

#[test]
fn limits_and_numbers_follow_from_the_interval() {
    for (every, limit_minutes, catch_up) in [
        ("5 minutes", 20, 24),
        ("30 minutes", 30, 24),
        ("hour", 360, 24),
        ("6 hours", 360, 24),
        ("12 hours", 720, 24),
        ("24 hours", 1_440, 7),
        ("day", 1_440, 7),
        ("week", 4_320, 4),
    ] {
        let schedule = schedule(every);
        assert_eq!(schedule.time_limit(), minutes(limit_minutes), "{every}");
        assert_eq!((schedule.catch_up(), schedule.runs_at_once()), (catch_up, 4), "{every}");
    }
    assert_eq!(MAX_CATCH_UP as usize + 1, MAX_DUE);
}
