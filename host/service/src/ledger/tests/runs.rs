//! What becomes of runs: made, started, ended, asked for again, cancelled, interrupted, and run by hand in between.

use super::*;

const STATES: [RunState; 7] = [
    RunState::Starting,
    RunState::Running,
    RunState::Completed,
    RunState::Failed,
    RunState::FailedRetryable,
    RunState::Cancelled,
    RunState::TimedOut,
];

#[test]
fn a_run_goes_through_its_states_and_keeps_what_it_came_to() {
    let (_folder, ledger) = ledger();
    cover(&ledger, [0]);
    let made = run(&ledger, 0);
    assert_eq!(
        (made.state, made.origin, made.attempts),
        (RunState::Starting, Origin::Schedule, 0)
    );
    assert_eq!(
        ledger.next_run("x", true, Moment(0)).expect("read"),
        None,
        "not before its time"
    );
    let waiting = ledger.next_run("x", true, at(1)).expect("read").expect("due");
    assert_eq!((waiting.id, waiting.end), (id(0), Moment(HOUR)));
    assert_eq!(ledger.next_start("x").expect("read"), Some(at(1)));

    let again = Outcome {
        not_before: at(2),
        ..failed(RunState::FailedRetryable)
    };
    attempt(&ledger, 0, &again, at(1));
    assert_eq!(ledger.next_run("x", true, at(1)).expect("read"), None, "it backs off");
    assert_eq!(ledger.waiting_destinations().expect("read"), ["x"]);
    let started = start(&ledger, 0, at(2));
    assert_eq!((started.attempt, started.run.tries, started.run.used_ms), (2, 2, 2_000));
    assert_eq!(
        ledger.start(&id(0), "digest", at(2)).expect("read"),
        None,
        "it runs already"
    );
    ledger.end(&id(0), 2, &completed(7), at(3)).expect("written");
    let over = run(&ledger, 0);
    assert_eq!(
        (over.state, over.rows, over.bytes, over.files),
        (RunState::Completed, 7, 70, 1)
    );
    assert_eq!((over.error, over.finished, over.used_ms), (None, Some(at(3)), 4_000));
    let attempts = ledger.attempts(&id(0)).expect("read");
    let outcomes: Vec<_> = attempts
        .iter()
        .map(|attempt| (attempt.number, attempt.outcome))
        .collect();
    assert_eq!(
        outcomes,
        [(1, Some(RunState::FailedRetryable)), (2, Some(RunState::Completed))]
    );
    assert_eq!(attempts[0].error, Some(json!({ "message": "refused" })));
    assert_eq!(ledger.last_run("x", None).expect("read").map(|run| run.id), Some(id(0)));
}

#[test]
fn an_attempt_that_its_host_interrupted_does_not_count() {
    let (_folder, ledger) = ledger();
    cover(&ledger, [0]);
    let outcome = Outcome {
        counts: false,
        ..failed(RunState::Starting)
    };
    attempt(&ledger, 0, &outcome, at(1));
    let left = run(&ledger, 0);
    assert_eq!((left.attempts, left.tries), (1, 0));
}

#[test]
fn the_schedule_leaves_what_waits_runs_or_is_complete_and_never_makes_a_run_twice() {
    for before in STATES {
        let (_folder, ledger) = ledger();
        cover(&ledger, [0]);
        bring(&ledger, 0, before, at(1));
        cover(&ledger, [0]);
        assert_eq!(state(&ledger, 0), before, "its own runs stay as they are");
    }
    // A run by hand stands for the interval only where it is complete.
    for (outcome, expect) in [
        (RunState::Completed, RunState::Completed),
        (RunState::Failed, RunState::Starting),
        (RunState::Cancelled, RunState::Starting),
        (RunState::TimedOut, RunState::Starting),
    ] {
        let (_folder, ledger) = ledger();
        let by_hand = ledger.start_by_hand(&header(0), "digest", at(1)).expect("written");
        let outcome = Outcome {
            state: outcome,
            ..completed(7)
        };
        ledger.end_by_hand(&by_hand, &outcome, at(1)).expect("written");
        cover(&ledger, [0]);
        assert_eq!(state(&ledger, 0), expect, "{outcome:?}");
    }
    // One that is complete only by a clock that was ahead, or by a reader in a hurry, is not.
    let (_folder, ledger) = ledger();
    let by_hand = ledger.start_by_hand(&header(5), "digest", at(5)).expect("written");
    ledger.end_by_hand(&by_hand, &completed(3), at(5)).expect("written");
    assert_eq!(state(&ledger, 5), RunState::Completed);
    cover(&ledger, [5]);
    assert_eq!(
        (state(&ledger, 5), run(&ledger, 5).origin),
        (RunState::Starting, Origin::Schedule)
    );
}

#[test]
fn what_the_schedule_leaves_out_is_a_run_with_the_reason() {
    let (_folder, ledger) = ledger();
    let skipped = Due {
        skipped: Some("more than 24 intervals were missed".to_owned()),
        ..due(0)
    };
    ledger.cover(&[], &[skipped], at(9)).expect("covered");
    let run = run(&ledger, 0);
    assert_eq!((run.state, run.finished), (RunState::Skipped, Some(at(9))));
    assert_eq!(run.reason.as_deref(), Some("more than 24 intervals were missed"));
    assert_eq!(ledger.next_run("x", true, at(9)).expect("read"), None);
    assert_eq!(ledger.last_run("x", None).expect("read"), None, "it did not run");
}

#[test]
fn a_run_before_its_interval_has_ended_runs_again_then() {
    let (_folder, ledger) = ledger();
    cover(&ledger, [0, 9]);
    let ended = attempt(&ledger, 9, &completed(7), Moment(9 * HOUR + 1));
    assert_eq!(ended.state, RunState::Starting);
    let again = run(&ledger, 9);
    assert_eq!((again.state, again.not_before), (RunState::Starting, Moment(10 * HOUR)));
    assert_eq!(
        again.reason.as_deref(),
        Some("it was exported before its interval had ended")
    );
    assert_eq!(attempt(&ledger, 9, &completed(8), at(10)).state, RunState::Completed);
}

#[test]
fn a_clock_that_is_put_back_makes_runs_of_the_future_wait_for_it() {
    for (before, expect) in [
        (RunState::Completed, RunState::Starting),
        (RunState::Failed, RunState::Starting),
        (RunState::TimedOut, RunState::Starting),
        (RunState::Cancelled, RunState::Cancelled),
        (RunState::Running, RunState::Running),
    ] {
        let (_folder, ledger) = ledger();
        cover(&ledger, [0, 9]);
        bring(&ledger, 9, before, at(10));
        let changed = ledger.uncover("x", MINUTE, at(5)).expect("written");
        assert_eq!(changed, u64::from(before != expect));
        let run = run(&ledger, 9);
        assert_eq!(run.state, expect, "{before}");
        if before != expect {
            assert_eq!(run.not_before, Moment(10 * HOUR + MINUTE));
        }
        assert_eq!(state(&ledger, 0), RunState::Starting);
        assert_eq!(run_not_before(&ledger, 0), at(1), "what has ended stays");
    }
}

fn run_not_before(ledger: &Ledger, hour: i64) -> Moment {
    run(ledger, hour).not_before
}

#[test]
fn three_failures_in_a_row_pause_a_destination_and_one_success_begins_anew() {
    let (_folder, ledger) = ledger();
    cover(&ledger, 0..9);
    let fail = |hour, state| attempt(&ledger, hour, &failed(state), at(9));
    assert_eq!(fail(0, RunState::Failed).failed_in_a_row, 1);
    assert_eq!(fail(1, RunState::TimedOut).failed_in_a_row, 2);
    assert_eq!(attempt(&ledger, 2, &completed(1), at(9)).failed_in_a_row, 0);
    for (hour, harmless) in [(3, RunState::FailedRetryable), (4, RunState::Cancelled)] {
        assert_eq!(fail(hour, harmless).failed_in_a_row, 0);
    }
    assert!(!fail(5, RunState::Failed).paused && !fail(6, RunState::Failed).paused);
    assert!(fail(7, RunState::Failed).paused);
    let pause = ledger
        .destination("x")
        .expect("read")
        .and_then(|row| row.pause)
        .expect("paused");
    assert_eq!((pause.by, pause.at), (PausedBy::Failures, at(9)));
    let reason = "3 runs in a row failed, the last one with: refused";
    assert_eq!(pause.reason.as_deref(), Some(reason));
    assert!(!fail(8, RunState::Failed).paused, "it is paused already");
}

#[test]
fn runs_without_rows_are_counted_until_one_has_some() {
    let (_folder, ledger) = ledger();
    cover(&ledger, 0..4);
    assert_eq!(attempt(&ledger, 0, &completed(0), at(4)).empty_in_a_row, 1);
    assert_eq!(attempt(&ledger, 1, &completed(0), at(4)).empty_in_a_row, 2);
    assert_eq!(attempt(&ledger, 2, &failed(RunState::Failed), at(4)).empty_in_a_row, 2);
    assert_eq!(attempt(&ledger, 3, &completed(1), at(4)).empty_in_a_row, 0);
}

#[test]
fn the_end_of_a_pause_makes_up_for_it_where_that_is_asked_for() {
    for backfill in [false, true] {
        let (_folder, ledger) = ledger();
        cover(&ledger, [0]);
        let pause = |by| Pause {
            at: at(2),
            by,
            reason: Some("the bucket moves".to_owned()),
        };
        assert!(ledger.pause("x", &pause(PausedBy::Failures)).expect("written"));
        assert!(
            !ledger.pause("x", &pause(PausedBy::Operator)).expect("written"),
            "it was"
        );
        let row = ledger.destination("x").expect("read").expect("known");
        assert_eq!(
            row.pause.map(|pause| pause.by),
            Some(PausedBy::Operator),
            "who looked at it"
        );
        let during = Due {
            skipped: Some("paused: the bucket moves".to_owned()),
            ..due(2)
        };
        ledger.cover(&[], &[during], at(3)).expect("covered");
        let (ended, skipped) = ledger.unpause("x", backfill, at(4)).expect("written").expect("paused");
        assert_eq!((ended.at, skipped), (at(2), 1));
        let expect = if backfill {
            RunState::Starting
        } else {
            RunState::Skipped
        };
        assert_eq!(state(&ledger, 2), expect);
        assert_eq!(state(&ledger, 0), RunState::Starting);
        assert_eq!(ledger.unpause("x", backfill, at(5)).expect("written"), None);
        assert_eq!(ledger.unpause("unknown", backfill, at(5)).expect("written"), None);
    }
}

#[test]
fn whatever_is_not_under_way_can_be_asked_for_again() {
    for before in STATES {
        let (_folder, ledger) = ledger();
        cover(&ledger, [0]);
        bring(&ledger, 0, before, at(1));
        assert_eq!(ledger.retry(&id(0), at(5)).expect("written"), before);
        let after = run(&ledger, 0);
        if before == RunState::Running {
            assert_eq!(after.state, RunState::Running);
            continue;
        }
        assert_eq!(
            (after.state, after.not_before, after.tries, after.used_ms),
            (RunState::Starting, at(5), 0, 0)
        );
        assert_eq!(after.reason, Some(format!("asked for again; it was {before}")));
    }
}

#[test]
fn what_waits_is_cancelled_at_once_and_what_runs_when_it_hears_of_it() {
    for before in STATES {
        let (_folder, ledger) = ledger();
        cover(&ledger, [0]);
        bring(&ledger, 0, before, at(1));
        let orders = ledger.orders().expect("read");
        assert_eq!(ledger.cancel(&id(0), at(2)).expect("written"), before);
        assert!(ledger.orders().expect("read") > orders, "a service notices");
        let expect = if before.is_waiting() {
            RunState::Cancelled
        } else {
            before
        };
        assert_eq!(state(&ledger, 0), expect);
        let is_asked = before == RunState::Running;
        assert_eq!(
            ledger.cancel_requests().expect("read").is_empty(),
            !is_asked,
            "{before}"
        );
        if is_asked {
            // Its process is gone before it hears of it: it must not begin again.
            let state = ledger.interrupted(&run(&ledger, 0), at(3)).expect("written");
            assert_eq!(state, RunState::Cancelled);
            ledger.retry(&id(0), at(4)).expect("written");
            start(&ledger, 0, at(4));
            assert_eq!(ledger.cancel_requests().expect("read"), Vec::<String>::new());
        }
    }
}

#[test]
fn a_run_whose_process_is_gone_runs_again_unless_it_was_by_hand() {
    let (_folder, ledger) = ledger();
    cover(&ledger, [0]);
    start(&ledger, 0, at(1));
    let found = ledger.running().expect("read").remove(0);
    assert_eq!(ledger.interrupted(&found, at(2)).expect("written"), RunState::Starting);
    assert_eq!((run(&ledger, 0).tries, run(&ledger, 0).attempts), (0, 1));
    // Somebody else has started it since: what was seen is not so any more.
    start(&ledger, 0, at(3));
    assert_eq!(ledger.interrupted(&found, at(3)).expect("written"), RunState::Running);

    ledger.start_by_hand(&header(1), "digest", at(2)).expect("written");
    let by_hand = run(&ledger, 1);
    assert_eq!(ledger.interrupted(&by_hand, at(3)).expect("written"), RunState::Failed);
}

#[test]
fn an_attempt_that_ends_late_does_not_touch_what_has_become_of_its_run() {
    let (_folder, ledger) = ledger();
    cover(&ledger, [0]);
    let first = start(&ledger, 0, at(1));
    ledger.interrupted(&first.run, at(2)).expect("written");
    start(&ledger, 0, at(3));
    let ended = ledger
        .end(&id(0), first.attempt, &completed(7), at(4))
        .expect("written");
    assert_eq!((ended.state, state(&ledger, 0)), (RunState::Running, RunState::Running));
    let attempts = ledger.attempts(&id(0)).expect("read");
    assert_eq!(
        attempts[0].outcome,
        Some(RunState::Completed),
        "its own outcome is noted"
    );
    assert_eq!((attempts[1].outcome, run(&ledger, 0).rows), (None, 0));
}

#[test]
fn a_run_by_hand_goes_over_every_earlier_state() {
    for before in STATES {
        for outcome in [RunState::Completed, RunState::Failed, RunState::Cancelled] {
            let (_folder, ledger) = ledger();
            cover(&ledger, [0]);
            bring(&ledger, 0, before, at(1));
            let was = run(&ledger, 0);
            let by_hand = ledger.start_by_hand(&header(0), "digest", at(2)).expect("written");
            assert_eq!(by_hand.started.attempt, was.attempts + 1);
            let during = run(&ledger, 0);
            assert_eq!((during.state, during.origin), (RunState::Running, Origin::Schedule));
            let ended = match outcome {
                RunState::Completed => completed(7),
                failing => failed(failing),
            };
            ledger.end_by_hand(&by_hand, &ended, at(3)).expect("written");
            let after = run(&ledger, 0);
            let waits_again = before.is_waiting() && outcome != RunState::Completed;
            let expect = if waits_again { before } else { outcome };
            assert_eq!(after.state, expect, "{before} by hand {outcome}");
            if waits_again {
                let waiting = |run: &Run| (run.not_before, run.tries, run.used_ms, run.reason.clone());
                assert_eq!(waiting(&after), waiting(&was));
            }
        }
    }
}

#[test]
fn failures_by_hand_never_pause_a_destination_and_a_success_counts() {
    let (_folder, ledger) = ledger();
    cover(&ledger, [0, 1, 2]);
    attempt(&ledger, 0, &failed(RunState::Failed), at(3));
    for hour in [0, 1, 2, 7, 8] {
        let by_hand = ledger.start_by_hand(&header(hour), "digest", at(9)).expect("written");
        let ended = ledger
            .end_by_hand(&by_hand, &failed(RunState::Failed), at(9))
            .expect("written");
        assert_eq!((ended.failed_in_a_row, ended.paused), (1, false));
    }
    let by_hand = ledger.start_by_hand(&header(0), "digest", at(9)).expect("written");
    let ended = ledger.end_by_hand(&by_hand, &completed(1), at(9)).expect("written");
    assert_eq!(ended.failed_in_a_row, 0);
}

#[test]
fn a_run_by_hand_that_was_to_be_cancelled_does_not_wait_again() {
    let (_folder, ledger) = ledger();
    cover(&ledger, [0]);
    let by_hand = ledger.start_by_hand(&header(0), "digest", at(2)).expect("written");
    ledger.cancel(&id(0), at(2)).expect("written");
    ledger
        .end_by_hand(&by_hand, &failed(RunState::Cancelled), at(3))
        .expect("written");
    assert_eq!(state(&ledger, 0), RunState::Cancelled);
}

#[test]
fn the_newest_interval_goes_first_then_the_oldest_then_backfills() {
    let (_folder, ledger) = ledger();
    let order = BackfillOrder {
        destination: "x".to_owned(),
        start: Moment(0),
        end: Moment(2 * HOUR),
        runs_at_once: 1,
        runs: vec![due(0), due(1)],
        again: false,
    };
    ledger.backfill(&order, at(6)).expect("written");
    cover(&ledger, [3, 4, 5]);
    let mut order = Vec::new();
    while let Some(next) = ledger.next_run("x", true, at(7)).expect("read") {
        order.push(next.end.0 / HOUR - 1);
        ledger.start(&next.id, "digest", at(7)).expect("written");
        ledger.end(&next.id, 1, &completed(1), at(7)).expect("written");
    }
    assert_eq!(order, [5, 3, 4, 0, 1]);
}

#[test]
fn a_run_is_found_by_the_beginning_of_its_id_or_of_its_digits() {
    let (_folder, ledger) = ledger();
    let with = |id: &str| Due {
        header: Header {
            id: id.to_owned(),
            ..header(0)
        },
        ..due(0)
    };
    let ids = [
        "archive-aaaa00000000000000000001",
        "archive-aaab00000000000000000002",
        "bbb-ccc000000000000000000000003",
    ];
    ledger.cover(&[], &ids.map(with), at(1)).expect("covered");
    let found = |text: &str| ledger.run(text).expect("read").map(|run| run.id);
    for text in [ids[0], "archive-aaaa", "aaaa", "aaaa00000000000000000001"] {
        assert_eq!(found(text), Ok(ids[0].to_owned()), "{text}");
    }
    for text in ["archive", "aaa", "archive-aaa"] {
        let several = ids[..2].iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(found(text), Err(UnknownRun::Several(several)), "{text}");
    }
    for text in ["x", "archive-aaaa00000000000000000001x", "%", "_", "'"] {
        assert_eq!(found(text), Err(UnknownRun::None), "{text}");
    }
}

#[test]
fn lists_hold_what_was_asked_for_newest_first() {
    let (_folder, ledger) = ledger();
    cover(&ledger, 0..5);
    attempt(&ledger, 1, &completed(1), at(5));
    attempt(&ledger, 3, &failed(RunState::Failed), at(5));
    let hours = |filter: &RunFilter| -> Vec<i64> {
        let runs = ledger.runs(filter).expect("read");
        runs.iter().map(|run| run.end.0 / HOUR - 1).collect()
    };
    let all = RunFilter {
        limit: 3,
        ..RunFilter::default()
    };
    assert_eq!(hours(&all), [4, 3, 2]);
    let over = RunFilter {
        destination: Some("x".to_owned()),
        states: vec![RunState::Completed, RunState::Failed],
        limit: 10,
        ..RunFilter::default()
    };
    assert_eq!(hours(&over), [3, 1]);
    let others = RunFilter {
        destination: Some("y' OR 1".to_owned()),
        limit: 10,
        ..RunFilter::default()
    };
    assert_eq!(hours(&others), Vec::<i64>::new());
    let mut counts = ledger.counts("x").expect("read");
    counts.sort_by_key(|(state, _)| state.as_str());
    assert_eq!(
        counts,
        [(RunState::Completed, 1), (RunState::Failed, 1), (RunState::Starting, 3)]
    );
}

#[test]
fn exported_is_what_comes_before_the_first_open_interval() {
    let (_folder, ledger) = ledger();
    assert_eq!(ledger.exported_up_to("x").expect("read"), None);
    cover(&ledger, 0..3);
    let up_to = || ledger.exported_up_to("x").expect("read").map(|moment| moment.0 / HOUR);
    assert_eq!(up_to(), Some(0));
    attempt(&ledger, 1, &completed(1), at(3));
    assert_eq!(up_to(), Some(0));
    attempt(&ledger, 0, &completed(1), at(3));
    assert_eq!(up_to(), Some(2));
    attempt(&ledger, 2, &failed(RunState::Failed), at(3));
    assert_eq!(up_to(), Some(2), "failed is not exported");
    ledger.retry(&id(2), at(4)).expect("written");
    attempt(&ledger, 2, &completed(1), at(4));
    assert_eq!(up_to(), Some(3));
}
