//! Where intervals begin and end.

use super::*;

/// Every window from one moment to another.
fn windows(schedule: &Schedule, from: &str, to: &str) -> Vec<String> {
    schedule
        .windows(moment(from), moment(to))
        .map(|window| shown(&window))
        .collect()
}

#[test]
fn minutes_and_hours_are_counted_from_the_epoch() {
    for (every, at, before, after) in [
        (
            "5 minutes",
            "2026-07-15T10:07:30Z",
            "2026-07-15T10:05Z",
            "2026-07-15T10:10Z",
        ),
        (
            "15 minutes",
            "2026-07-15T10:15Z",
            "2026-07-15T10:15Z",
            "2026-07-15T10:30Z",
        ),
        (
            "7 minutes",
            "1970-01-01T00:00Z",
            "1970-01-01T00:00Z",
            "1970-01-01T00:07Z",
        ),
        (
            "7 minutes",
            "1970-01-02T00:00Z",
            "1970-01-01T23:55Z",
            "1970-01-02T00:02Z",
        ),
        (
            "hour",
            "2026-07-15T09:59:59.999999Z",
            "2026-07-15T09:00Z",
            "2026-07-15T10:00Z",
        ),
        ("6 hours", "2026-07-15T10:07Z", "2026-07-15T06:00Z", "2026-07-15T12:00Z"),
        ("hour", "1969-12-31T23:30Z", "1969-12-31T23:00Z", "1970-01-01T00:00Z"),
        ("day", "2026-02-28T12:00Z", "2026-02-28T00:00Z", "2026-03-01T00:00Z"),
        // A Wednesday; weeks begin on Mondays.
        ("week", "2026-07-15T10:07Z", "2026-07-13T00:00Z", "2026-07-20T00:00Z"),
        ("week", "2026-07-13T00:00Z", "2026-07-13T00:00Z", "2026-07-20T00:00Z"),
        ("week", "2026-07-12T23:59:59Z", "2026-07-06T00:00Z", "2026-07-13T00:00Z"),
    ] {
        let schedule = schedule(every);
        let at = moment(at);
        assert_eq!(schedule.boundary_at_or_before(at), moment(before), "{every} at {at}");
        assert_eq!(schedule.boundary_after(at), moment(after), "{every} at {at}");
        assert_eq!(schedule.is_boundary(at), at == moment(before), "{every} at {at}");
    }
}

#[test]
fn days_are_those_of_the_calendar() {
    // Zone, hour, a moment in the first day, the boundaries from there on in UTC, and the hours between them.
    for (what, zone, hour, from, boundaries, lengths) in [
        (
            "a spring day of 23 h",
            "Europe/Berlin",
            0,
            "2026-03-28T12:00Z",
            &[
                "2026-03-27T23:00Z",
                "2026-03-28T23:00Z",
                "2026-03-29T22:00Z",
                "2026-03-30T22:00Z",
            ][..],
            &[24.0, 23.0, 24.0][..],
        ),
        (
            "an autumn day of 25 h",
            "Europe/Berlin",
            0,
            "2026-10-24T12:00Z",
            &[
                "2026-10-23T22:00Z",
                "2026-10-24T22:00Z",
                "2026-10-25T23:00Z",
                "2026-10-26T23:00Z",
            ],
            &[24.0, 25.0, 24.0],
        ),
        (
            "days of 24.5 and 23.5 h",
            "Australia/Lord_Howe",
            0,
            "2026-04-04T14:00Z",
            &["2026-04-04T13:00Z", "2026-04-05T13:30Z", "2026-04-06T13:30Z"],
            &[24.5, 24.0],
        ),
        (
            "half an hour that is skipped",
            "Australia/Lord_Howe",
            0,
            "2026-10-03T14:00Z",
            &["2026-10-03T13:30Z", "2026-10-04T13:00Z", "2026-10-05T13:00Z"],
            &[23.5, 24.0],
        ),
        (
            "a day that begins at 01:00",
            "America/Sao_Paulo",
            0,
            "2018-11-03T12:00Z",
            &[
                "2018-11-03T03:00Z",
                "2018-11-04T03:00Z",
                "2018-11-05T02:00Z",
                "2018-11-06T02:00Z",
            ],
            &[24.0, 23.0, 24.0],
        ),
        (
            "a date that does not exist",
            "Pacific/Apia",
            0,
            "2011-12-29T12:00Z",
            &["2011-12-29T10:00Z", "2011-12-30T10:00Z", "2011-12-31T10:00Z"],
            &[24.0, 24.0],
        ),
        (
            "a date that does not exist, in the morning",
            "Pacific/Apia",
            5,
            "2011-12-29T16:00Z",
            &["2011-12-29T15:00Z", "2011-12-30T15:00Z", "2011-12-31T15:00Z"],
            &[24.0, 24.0],
        ),
        (
            "an hour that is skipped",
            "Europe/Berlin",
            2,
            "2026-03-28T12:00Z",
            &[
                "2026-03-28T01:00Z",
                "2026-03-29T01:00Z",
                "2026-03-30T00:00Z",
                "2026-03-31T00:00Z",
            ],
            &[24.0, 23.0, 24.0],
        ),
        (
            "an hour that comes twice",
            "Europe/Berlin",
            2,
            "2026-10-24T12:00Z",
            &[
                "2026-10-24T00:00Z",
                "2026-10-25T00:00Z",
                "2026-10-26T01:00Z",
                "2026-10-27T01:00Z",
            ],
            &[24.0, 25.0, 24.0],
        ),
        (
            "a midnight that comes twice",
            "America/Havana",
            0,
            "2026-10-31T12:00Z",
            &["2026-10-31T04:00Z", "2026-11-01T04:00Z", "2026-11-02T05:00Z"],
            &[24.0, 25.0],
        ),
        (
            "a change from just after midnight to yesterday",
            "America/St_Johns",
            0,
            "2010-11-06T12:00Z",
            &["2010-11-06T02:30Z", "2010-11-07T02:30Z", "2010-11-08T03:30Z"],
            &[24.0, 25.0],
        ),
        (
            "midnight in the middle of what is skipped",
            "America/Toronto",
            0,
            "1919-03-30T12:00Z",
            &["1919-03-30T05:00Z", "1919-03-31T04:30Z", "1919-04-01T04:00Z"],
            &[23.5, 23.5],
        ),
    ] {
        let schedule = in_zone("day", zone, hour);
        let boundaries: Vec<Moment> = boundaries.iter().map(|text| moment(text)).collect();
        assert_eq!(schedule.boundary_at_or_before(moment(from)), boundaries[0], "{what}");
        let end = *boundaries.last().expect("several");
        let windows: Vec<Interval> = schedule.windows(boundaries[0], end).collect();
        let ends: Vec<Moment> = windows.iter().map(Interval::end).collect();
        assert_eq!(ends, boundaries[1..], "{what}");
        assert_eq!(windows.iter().map(hours).collect::<Vec<_>>(), lengths, "{what}");
        for pair in boundaries.windows(2) {
            let last = Moment(pair[1].0 - 1);
            assert_eq!(schedule.boundary_at_or_before(last), pair[0], "{what}");
            assert!(schedule.is_boundary(pair[0]), "{what}");
        }
    }
}

#[test]
fn weeks_begin_on_their_day_at_their_hour() {
    let mut parts = parts("week");
    parts.timezone = Some("Europe/Berlin".to_owned());
    parts.offset_hour = Some(6);
    parts.offset_day = Some(Weekday::Sunday);
    assert_eq!(
        windows(&made(parts), "2026-03-15T05:00Z", "2026-04-05T04:00Z"),
        [
            "2026-03-15T05:00 2026-03-22T05:00",
            "2026-03-22T05:00 2026-03-29T04:00",
            "2026-03-29T04:00 2026-04-05T04:00"
        ]
    );
}

#[test]
fn a_week_that_begins_on_a_date_that_is_skipped_begins_with_the_next_one() {
    let mut parts = parts("week");
    parts.timezone = Some("Pacific/Apia".to_owned());
    parts.offset_day = Some(Weekday::Friday);
    assert_eq!(
        windows(&made(parts), "2011-12-23T10:00Z", "2012-01-05T10:00Z"),
        ["2011-12-23T10:00 2011-12-30T10:00", "2011-12-30T10:00 2012-01-05T10:00"]
    );
}

#[test]
fn a_schedule_does_not_drift_off_midnight_in_ten_years() {
    for zone in [
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
    ] {
        let schedule = in_zone("day", zone, 0);
        let zone = jiff::tz::TimeZone::get(zone).expect("a zone");
        let from = schedule.boundary_at_or_before(moment("2020-01-01"));
        for window in schedule.windows(from, schedule.boundary_at_or_before(moment("2030-01-01"))) {
            let end = jiff::Timestamp::from_microsecond(window.end().0).expect("a time");
            assert_eq!(zone.to_datetime(end).time(), jiff::civil::Time::midnight(), "{end}");
        }
    }
}

#[test]
fn ends_that_are_no_boundaries_make_shorter_windows() {
    let hours = schedule("hour");
    assert_eq!(
        windows(&hours, "2026-01-01T00:30Z", "2026-01-01T02:10Z"),
        [
            "2026-01-01T00:30 2026-01-01T01:00",
            "2026-01-01T01:00 2026-01-01T02:00",
            "2026-01-01T02:00 2026-01-01T02:10"
        ]
    );
    assert_eq!(
        windows(&hours, "2026-01-01T00:10Z", "2026-01-01T00:20Z"),
        ["2026-01-01T00:10 2026-01-01T00:20"]
    );
    for (from, to) in [
        ("2026-01-01T01:00Z", "2026-01-01T01:00Z"),
        ("2026-01-02T00:00Z", "2026-01-01T00:00Z"),
    ] {
        assert_eq!(windows(&hours, from, to), [""; 0], "{from} {to}");
    }
}

#[test]
fn moments_beyond_the_calendar_end_nothing_and_panic_nowhere() {
    for every in ["5 minutes", "hour", "day", "week"] {
        let schedule = schedule(every);
        for micros in [i64::MIN, i64::MIN + 1, -1 << 60, 1 << 60, i64::MAX - 1, i64::MAX] {
            let at = Moment(micros);
            assert!(schedule.boundary_at_or_before(at) <= at, "{every} {micros}");
            assert!(
                schedule.boundary_after(at) > at || micros == i64::MAX,
                "{every} {micros}"
            );
            assert!(schedule.windows(at, Moment(i64::MAX)).take(3).count() <= 3);
            schedule.due("archive", at, Moment(i64::MAX));
            schedule.due("archive", Moment(i64::MIN), at);
            schedule.first(at);
        }
    }
}

#[test]
fn a_start_is_moved_by_the_same_time_and_at_most_by_jitter() {
    let mut parts = parts("hour");
    parts.jitter = minutes(10);
    let jittered = made(parts);
    let mut delays = std::collections::BTreeSet::new();
    for window in jittered.windows(moment("2026-01-01"), moment("2026-01-05")) {
        for destination in ["archive", "archive2", "b"] {
            let start = jittered.starts_at(destination, window);
            assert_eq!(start, jittered.starts_at(destination, window));
            let delay = start.0 - window.end().0 - 60_000_000;
            assert!((0..=600_000_000).contains(&delay), "{delay}");
            delays.insert(delay / 60_000_000);
        }
    }
    assert!((0..10).all(|minute| delays.contains(&minute)), "{delays:?}");
    let window = Interval::parse("2026-01-01T00:00Z", "2026-01-01T01:00Z").expect("an interval");
    // What it is in every version: a change would move all starts.
    let start = moment("2026-01-01T01:06:25.856553Z");
    assert_eq!(jittered.starts_at("archive", window), start);
    assert_eq!(
        schedule("hour").starts_at("archive", window),
        moment("2026-01-01T01:01Z")
    );
}
