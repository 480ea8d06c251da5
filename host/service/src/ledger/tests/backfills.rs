//! Backfills: what they would do, what they do, and how they end.

use super::*;

fn order(hours: std::ops::Range<i64>, again: bool) -> BackfillOrder {
    BackfillOrder {
        destination: "x".to_owned(),
        start: Moment(hours.start * HOUR),
        end: Moment(hours.end * HOUR),
        runs_at_once: 2,
        runs: hours.map(due).collect(),
        again,
    }
}

/// Hours 0 completed, 1 failed, 2 running, 3 waiting, 4 and 5 unknown.
fn mixed() -> (TempDir, Ledger) {
    let (folder, ledger) = ledger();
    cover(&ledger, 0..4);
    bring(&ledger, 0, RunState::Completed, at(9));
    bring(&ledger, 1, RunState::Failed, at(9));
    bring(&ledger, 2, RunState::Running, at(9));
    (folder, ledger)
}

#[test]
fn a_plan_says_what_would_run_and_changes_nothing() {
    let (_folder, ledger) = mixed();
    let plan = |again| ledger.plan_backfill(&order(0..6, again)).expect("read");
    let expect = BackfillPlan {
        intervals: 6,
        completed: 1,
        under_way: 2,
        to_run: 3,
        average_ms: Some(0),
    };
    assert_eq!(plan(false), expect);
    assert_eq!(plan(true), BackfillPlan { to_run: 4, ..expect });
    assert_eq!(ledger.backfills(10).expect("read"), []);
}

#[test]
fn a_backfill_runs_what_is_not_done_or_all_of_it_again() {
    for again in [false, true] {
        let (_folder, ledger) = mixed();
        let orders = ledger.orders().expect("read");
        let backfill = ledger.backfill(&order(0..6, again), at(9)).expect("written");
        assert!(ledger.orders().expect("read") > orders, "a service notices");
        assert_eq!(backfill.state(), BackfillState::Running);
        let to_run = if again { 4 } else { 3 };
        assert_eq!(backfill.runs, [(RunState::Starting, to_run)]);
        assert_eq!(
            (state(&ledger, 2), state(&ledger, 3)),
            (RunState::Running, RunState::Starting)
        );
        assert_eq!((run(&ledger, 2).backfill, run(&ledger, 3).backfill), (None, None));
        assert_eq!(run(&ledger, 4).origin, Origin::Backfill);
        // The same order again finds everything in progress.
        let second = ledger.backfill(&order(0..6, again), at(9)).expect("written");
        assert_eq!(second.runs, []);
        assert_eq!(second.state(), BackfillState::Completed);
    }
}

#[test]
fn an_interval_of_the_schedule_stays_one_when_a_backfill_runs_it_again() {
    let (_folder, ledger) = ledger();
    cover(&ledger, [0]);
    attempt(&ledger, 0, &completed(1), at(3));
    let backfill = ledger.backfill(&order(0..2, true), at(9)).expect("written");
    for (hour, origin) in [(0, Origin::Schedule), (1, Origin::Backfill)] {
        let run = run(&ledger, hour);
        assert_eq!((run.origin, run.backfill), (origin, Some(backfill.id)), "hour {hour}");
    }
}

#[test]
fn an_interval_that_the_schedule_comes_to_is_the_schedule_s_unless_it_skips_it() {
    let (_folder, ledger) = ledger();
    cover(&ledger, [0]);
    bring(&ledger, 0, RunState::Completed, at(1));
    // Hour 1 has ended, but not settled.
    let early = Moment(2 * HOUR);
    let backfill = ledger.backfill(&order(1..3, false), early).expect("written");
    let next = || ledger.next_run("x", true, early).expect("read");
    assert_eq!(next(), None, "no earlier than by the schedule");
    let skipped = Due {
        skipped: Some("missed".to_owned()),
        ..due(2)
    };
    let end = Moment(3 * HOUR);
    ledger.cover(&[("x", end)], &[due(1), skipped], at(3)).expect("covered");
    for (hour, origin, of) in [(1, Origin::Schedule, None), (2, Origin::Backfill, Some(backfill.id))] {
        let run = run(&ledger, hour);
        assert_eq!(
            (run.state, run.origin, run.backfill),
            (RunState::Starting, origin, of),
            "hour {hour}"
        );
    }
}

#[test]
fn no_more_of_a_backfill_run_at_once_than_it_says() {
    let (_folder, ledger) = ledger();
    ledger.backfill(&order(0..6, false), at(9)).expect("written");
    assert_eq!(
        ledger.next_run("x", false, at(9)).expect("read"),
        None,
        "they are not wanted"
    );
    for hour in [0, 1] {
        let next = ledger.next_run("x", true, at(9)).expect("read").expect("one");
        assert_eq!(next.id, id(hour));
        start(&ledger, hour, at(9));
    }
    assert_eq!(ledger.next_run("x", true, at(9)).expect("read"), None);
    ledger.end(&id(0), 1, &completed(1), at(9)).expect("written");
    assert_eq!(
        ledger.next_run("x", true, at(9)).expect("read").map(|next| next.id),
        Some(id(2))
    );
}

#[test]
fn a_backfill_ends_as_its_runs_do() {
    for (last, expect) in [
        (RunState::Completed, BackfillState::Completed),
        (RunState::Cancelled, BackfillState::Completed),
        (RunState::Failed, BackfillState::Failed),
        (RunState::TimedOut, BackfillState::Failed),
        (RunState::FailedRetryable, BackfillState::Running),
    ] {
        let (_folder, ledger) = ledger();
        let backfill = ledger.backfill(&order(0..2, false), at(9)).expect("written");
        attempt(&ledger, 0, &completed(1), at(9));
        bring(&ledger, 1, last, at(9));
        let found = ledger.find_backfill(backfill.id).expect("read").expect("there");
        assert_eq!(found.state(), expect, "{last}");
    }
}

#[test]
fn cancelling_a_backfill_ends_what_waits_and_asks_what_runs() {
    let (_folder, ledger) = ledger();
    let backfill = ledger.backfill(&order(0..3, false), at(9)).expect("written");
    attempt(&ledger, 0, &completed(1), at(9));
    start(&ledger, 1, at(9));
    assert!(ledger.cancel_backfill(backfill.id, at(9)).expect("written"));
    assert!(!ledger.cancel_backfill(99, at(9)).expect("written"));
    assert_eq!(state(&ledger, 0), RunState::Completed);
    assert_eq!(state(&ledger, 2), RunState::Cancelled);
    assert_eq!(ledger.cancel_requests().expect("read"), [id(1)]);
    let found = ledger.backfills(1).expect("read").remove(0);
    assert_eq!(
        (found.state(), found.cancelled),
        (BackfillState::Cancelled, Some(at(9)))
    );
    // What it left out can be asked for again.
    let anew = ledger.backfill(&order(0..3, false), at(9)).expect("written");
    assert_eq!(anew.runs, [(RunState::Starting, 1)]);
}
