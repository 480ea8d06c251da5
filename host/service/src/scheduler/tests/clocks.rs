//! Clocks that move, processes that end, schedules that change: whatever happens, each interval is exported once it has
//! ended, and intervals tile time.

use super::*;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

#[test]
fn a_clock_that_was_ahead_makes_intervals_run_again_when_they_have_ended() {
    let mut world = World::new(4, "2026-07-15T00:00Z", vec![destination("a", every("hour"))]);
    world.settle();
    world.now = at("2026-07-15T04:01Z");
    assert_eq!(world.settle().len(), 4);
    world.now = at("2026-07-15T01:30Z");
    assert_eq!(world.settle(), Vec::<String>::new());
    assert_eq!(world.in_state("a", RunState::Completed), 1);
    world.now = at("2026-07-15T02:01Z");
    assert_eq!(world.settle(), ["a 01:00-02:00"]);
    world.now = at("2026-07-15T04:02Z");
    assert_eq!(world.settle().len(), 2);
    assert_eq!(
        (world.runs("a").len(), world.in_state("a", RunState::Completed)),
        (4, 4)
    );
}

#[test]
fn what_was_skipped_while_the_clock_was_ahead_runs_when_it_has_ended() {
    for paused in [false, true] {
        let mut parts = every("hour");
        parts.catch_up = Some(2);
        let mut world = World::new(4, "2026-07-15T00:00Z", vec![destination("a", parts)]);
        world.settle();
        let pause = Pause {
            at: world.now,
            by: crate::ledger::PausedBy::Operator,
            reason: None,
        };
        if paused {
            world.ledger.pause("a", &pause).expect("paused");
            world.scheduler.refresh(world.now).expect("refreshed");
        }
        world.now = at("2026-07-17T00:01Z");
        world.settle();
        assert_eq!(world.in_state("a", RunState::Skipped), if paused { 48 } else { 45 });
        world.now = at("2026-07-15T01:30Z");
        world.settle();
        world.ledger.unpause("a", false, world.now).expect("unpaused");
        world.scheduler.refresh(world.now).expect("refreshed");
        world.settle();
        for _ in 0..47 {
            world.forward(HOUR);
            assert_eq!(world.settle().len(), 1, "paused: {paused}, at {}", world.now);
        }
        // The first hour had ended by both clocks.
        assert_eq!(world.in_state("a", RunState::Skipped), 1);
    }
}

#[test]
fn what_waits_by_a_clock_that_was_ahead_does_not_wait_for_it() {
    let mut world = World::new(4, "2026-07-15T00:00Z", vec![destination("a", every("hour"))]);
    world.settle();
    world.now = at("2026-07-15T02:01Z");
    assert_eq!(world.tick().len(), 2);
    world.now = at("2026-09-01T00:00Z");
    let ids: Vec<String> = world.underway.keys().cloned().collect();
    // One failed by that clock, the other was asked for again.
    world.end(&ids[0], Err(FailureClass::Retryable));
    world.end(&ids[1], Ok(1));
    world.ledger.retry(&ids[1], world.now).expect("asked for");
    world.now = at("2026-07-15T02:02Z");
    assert_eq!(world.tick().len(), 2);
}

#[test]
fn a_wait_that_was_meant_is_kept_when_a_process_starts_again() {
    let mut parts = every("day");
    parts.jitter = Duration::from_secs(20 * 3_600);
    let configured = || vec![destination("a", parts.clone())];
    let mut world = World::new(4, "2026-07-15T00:00Z", configured());
    world.settle();
    world.now = at("2026-07-16T00:01Z");
    // Whoever looks when it is due finds that its start is moved.
    world.restart(4, configured());
    world.settle();
    let not_before = world.runs("a")[0].not_before;
    assert!(not_before > Moment(world.now.0 + HOUR), "{not_before}");
    world.restart(4, configured());
    world.settle();
    assert_eq!(world.runs("a")[0].not_before, not_before);
}

#[test]
fn what_ends_by_a_clock_that_was_set_back_meanwhile_is_not_complete() {
    let mut world = World::new(4, "2026-07-15T00:00Z", vec![destination("a", every("hour"))]);
    world.settle();
    world.now = at("2026-07-15T01:01Z");
    assert_eq!(world.tick().len(), 1);
    world.now = at("2026-07-15T00:10Z");
    world.complete_all();
    assert_eq!(world.in_state("a", RunState::Starting), 1);
    assert_eq!(world.settle(), Vec::<String>::new());
    world.now = at("2026-07-15T01:02Z");
    assert_eq!(world.settle(), ["a 00:00-01:00"]);
}

#[derive(Debug, Clone)]
enum Step {
    Forward(i64),
    Back(i64),
    Restart,
    Pause,
    Unpause(bool),
    Change(usize),
    Fail,
    Complete,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1_i64..3 * 24 * 60).prop_map(|minutes| Step::Forward(minutes * MINUTE)),
        2 => (1_i64..24 * 60).prop_map(|minutes| Step::Back(minutes * MINUTE)),
        2 => Just(Step::Restart),
        1 => Just(Step::Pause),
        1 => any::<bool>().prop_map(Step::Unpause),
        2 => (0_usize..SCHEDULES.len()).prop_map(Step::Change),
        1 => Just(Step::Fail),
        4 => Just(Step::Complete),
    ]
}

/// Lengths and zones.
const SCHEDULES: [(&str, Option<&str>); 6] = [
    ("hour", None),
    ("day", Some("America/Sao_Paulo")),
    ("day", Some("Australia/Lord_Howe")),
    ("week", Some("Europe/Berlin")),
    ("35 minutes", None),
    ("6 hours", None),
];

fn schedule(number: usize) -> Vec<Configured> {
    let (length, zone) = SCHEDULES[number];
    let mut parts = every(length);
    parts.timezone = zone.map(str::to_owned);
    vec![destination("a", parts)]
}

/// Restarts, pauses and failures cost a ledger on disk each; the pure properties of the schedule are tested with many
/// more seeds in its own crate.
const CASES: u32 = 16;

#[test]
fn whatever_happens_intervals_tile_time_and_each_is_exported_after_its_end() {
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    });
    let steps = prop::collection::vec(step(), 1..30);
    let outcome = runner.run(&(0_usize..SCHEDULES.len(), steps), |(first, steps)| {
        let mut current = first;
        let mut world = World::new(3, "2026-03-01T00:20Z", schedule(first));
        for step in steps {
            match step {
                Step::Forward(micros) => world.forward(micros),
                Step::Back(micros) => world.forward(-micros),
                Step::Restart => world.restart(3, schedule(current)),
                Step::Pause => {
                    let pause = Pause {
                        at: world.now,
                        by: crate::ledger::PausedBy::Operator,
                        reason: None,
                    };
                    world.ledger.pause("a", &pause).expect("paused");
                    world.scheduler.refresh(world.now).expect("refreshed");
                }
                Step::Unpause(backfill) => {
                    world.ledger.unpause("a", backfill, world.now).expect("unpaused");
                    world.scheduler.refresh(world.now).expect("refreshed");
                }
                Step::Change(number) => {
                    current = number;
                    world
                        .scheduler
                        .configure(schedule(number), world.now)
                        .expect("configured");
                }
                Step::Fail => {
                    if let Some(id) = world.underway.keys().next().cloned() {
                        world.end(&id, Err(FailureClass::Retryable));
                    }
                }
                Step::Complete => {
                    world.complete_all();
                }
            }
            world.tick();
        }
        // In the end the clock goes on for long enough, nobody pauses, and everything is exported.
        world.ledger.unpause("a", false, world.now).expect("unpaused");
        world.forward(20 * 24 * HOUR);
        world.restart(3, schedule(current));
        world.settle();
        world.forward(2 * HOUR);
        world.settle();
        let mut runs = world.runs("a");
        runs.sort_by_key(|run| run.start);
        for pair in runs.windows(2) {
            prop_assert_eq!(Some(pair[0].end), pair[1].start, "a gap or an overlap");
        }
        for run in &runs {
            let is_done = matches!(run.state, RunState::Completed | RunState::Skipped);
            prop_assert!(is_done, "{:?} is {}", run.ends(), run.state);
            if run.state == RunState::Completed {
                prop_assert!(run.started >= Some(run.end), "exported before it had ended: {:?}", run);
            }
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
