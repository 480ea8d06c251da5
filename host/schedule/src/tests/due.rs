//! Which intervals are due when.

use super::*;
use crate::{Due, MAX_DUE};

fn due(schedule: &Schedule, covered: &str, now: &str) -> Due {
    schedule.due("archive", moment(covered), moment(now))
}

fn all(windows: &[Interval]) -> Vec<String> {
    windows.iter().map(shown).collect()
}

#[test]
fn an_interval_is_due_when_it_has_ended_and_settled() {
    let hours = schedule("hour");
    let early = due(&hours, "2026-01-01T00:00Z", "2026-01-01T01:00:59.999999Z");
    assert_eq!((early.run.len(), early.skip.len(), early.more), (0, 0, false));
    assert_eq!(early.covered, moment("2026-01-01T00:00Z"));
    assert_eq!(early.next, Some(moment("2026-01-01T01:01Z")));
    let there = due(&hours, "2026-01-01T00:00Z", "2026-01-01T01:01Z");
    assert_eq!(all(&there.run), ["2026-01-01T00:00 2026-01-01T01:00"]);
    assert_eq!(there.covered, moment("2026-01-01T01:00Z"));
    assert_eq!(there.next, Some(moment("2026-01-01T02:01Z")));
}

#[test]
fn the_newest_is_run_and_as_many_before_it_as_are_made_up() {
    let mut parts = parts("hour");
    for (catch_up, run, skip) in [(0, 1, 5), (2, 3, 3), (5, 6, 0), (24, 6, 0)] {
        parts.catch_up = Some(catch_up);
        let due = due(&made(parts.clone()), "2026-01-01T00:00Z", "2026-01-01T06:30Z");
        assert_eq!((due.run.len(), due.skip.len()), (run, skip), "{catch_up}");
        let tiles: Vec<Interval> = due.skip.iter().chain(&due.run).copied().collect();
        let expect: Vec<Interval> = schedule("hour")
            .windows(moment("2026-01-01T00:00Z"), moment("2026-01-01T06:00Z"))
            .collect();
        assert_eq!(tiles, expect);
    }
}

#[test]
fn many_intervals_are_told_in_pieces_and_the_total_decides() {
    let schedule = schedule("5 minutes");
    let (mut covered, now) = (moment("2025-01-01T00:00Z"), moment("2026-01-01T00:00Z"));
    let (mut run, mut skipped, mut pieces) = (Vec::new(), 0, 0);
    let more = loop {
        let due = schedule.due("archive", covered, now);
        assert!(due.run.len() + due.skip.len() <= MAX_DUE);
        assert!(run.is_empty());
        (run, skipped, pieces, covered) = (due.run, skipped + due.skip.len(), pieces + 1, due.covered);
        if !due.more {
            break due.more;
        }
    };
    // The last interval ends at midnight, and a minute is not over.
    assert_eq!((run.len(), skipped, pieces, more), (25, 365 * 288 - 1 - 25, 11, false));
}

#[test]
fn a_clock_that_went_back_makes_nothing_due() {
    let due = due(&schedule("hour"), "2026-01-01T05:00Z", "2026-01-01T01:30Z");
    assert_eq!((due.run.len(), due.skip.len()), (0, 0));
    assert_eq!(due.covered, moment("2026-01-01T05:00Z"));
    assert_eq!(due.next, Some(moment("2026-01-01T06:01Z")));
}

#[test]
fn after_a_change_of_schedule_the_first_interval_ends_at_its_next_boundary() {
    for (to, expect) in [
        (
            schedule("day"),
            &["2026-01-01T03:00 2026-01-02T00:00", "2026-01-02T00:00 2026-01-03T00:00"][..],
        ),
        (
            in_zone("day", "America/New_York", 0),
            &["2026-01-01T03:00 2026-01-01T05:00", "2026-01-01T05:00 2026-01-02T05:00"],
        ),
        (
            schedule("24 hours"),
            &["2026-01-01T03:00 2026-01-02T00:00", "2026-01-02T00:00 2026-01-03T00:00"],
        ),
    ] {
        let due = due(&to, "2026-01-01T03:00Z", "2026-01-03T01:00Z");
        assert_eq!(all(&due.run), expect, "{}", to.timezone());
    }
    let due = due(&schedule("hour"), "2026-01-01T00:30Z", "2026-01-01T01:30Z");
    assert_eq!(all(&due.run), ["2026-01-01T00:30 2026-01-01T01:00"]);
}

#[test]
fn nothing_is_before_the_start_or_after_the_end() {
    let mut parts = parts("hour");
    parts.start_at = Some(moment("2026-01-01T10:30Z"));
    parts.end_at = Some(moment("2026-01-01T13:30Z"));
    let schedule = made(parts);
    let early = due(&schedule, "2026-01-01T08:00Z", "2026-01-01T10:50Z");
    assert_eq!((early.run.len(), early.covered), (0, moment("2026-01-01T08:00Z")));
    assert_eq!(early.next, Some(moment("2026-01-01T12:01Z")));
    let late = due(&schedule, "2026-01-01T08:00Z", "2026-01-05T00:00Z");
    assert_eq!(
        all(&late.run),
        ["2026-01-01T11:00 2026-01-01T12:00", "2026-01-01T12:00 2026-01-01T13:00"]
    );
    assert_eq!((late.covered, late.next), (moment("2026-01-01T13:00Z"), None));
    let over = due(&schedule, "2026-01-01T13:00Z", "2026-01-05T00:00Z");
    assert_eq!((over.run.len(), over.next), (0, None));
    for (now, first) in [
        ("2026-01-01T08:20Z", "2026-01-01T11:00Z"),
        ("2026-01-01T11:20Z", "2026-01-01T11:00Z"),
        ("2026-01-01T12:20Z", "2026-01-01T12:00Z"),
    ] {
        assert_eq!(schedule.first(moment(now)), moment(first), "{now}");
    }
}

#[test]
fn the_first_run_is_at_the_end_of_the_current_period() {
    let hours = schedule("hour");
    let now = moment("2026-01-01T08:20Z");
    let first = hours.first(now);
    assert_eq!(first, moment("2026-01-01T08:00Z"));
    let due = hours.due("archive", first, now);
    assert_eq!((due.run.len(), due.next), (0, Some(moment("2026-01-01T09:01Z"))));
}

#[test]
fn the_next_time_to_ask_is_when_the_run_may_start() {
    let mut parts = parts("hour");
    parts.jitter = minutes(30);
    let schedule = made(parts);
    let answer = due(&schedule, "2026-01-01T00:00Z", "2026-01-01T00:30Z");
    let next = answer.next.expect("a time");
    let run = schedule.due("archive", answer.covered, next).run;
    assert_eq!(all(&run), ["2026-01-01T00:00 2026-01-01T01:00"]);
    assert_eq!(schedule.starts_at("archive", run[0]), next);
}
