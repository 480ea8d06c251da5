//! The scheduler with a ledger in a folder, a clock that the test moves, and runs that end as the test says.

mod clocks;
mod fairness;

use std::collections::BTreeMap;
use std::time::Duration;

use tempfile::TempDir;

use super::policy::Attempt;
use super::*;
use crate::ledger::{Outcome, Run, RunFilter, RunState};
use batch_export_runner::{Failure, FailureClass, FailureCode};
use batch_export_schedule::ScheduleParts;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

fn at(text: &str) -> Moment {
    Moment::parse(text).expect("a moment")
}

fn every(text: &str) -> ScheduleParts {
    ScheduleParts::new(text.parse().expect("a length"))
}

fn destination(name: &str, parts: ScheduleParts) -> Configured {
    Configured {
        name: name.to_owned(),
        model: "events".to_owned(),
        schedule: Some(Schedule::new(parts).expect("a schedule")),
        component: "digest".to_owned(),
    }
}

/// A scheduler in a world of its own.
struct World {
    _folder: TempDir,
    ledger: Ledger,
    scheduler: Scheduler,
    now: Moment,
    underway: BTreeMap<String, Started>,
    skipped: Vec<Skipped>,
}

impl World {
    fn new(runs_at_once: usize, now: &str, configured: Vec<Configured>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = Ledger::open(&folder.path().join("state")).expect("a ledger");
        let now = at(now);
        let mut scheduler = Scheduler::new(ledger.clone(), runs_at_once);
        scheduler.configure(configured, now).expect("configured");
        World {
            _folder: folder,
            ledger,
            scheduler,
            now,
            underway: BTreeMap::new(),
            skipped: Vec::new(),
        }
    }

    /// Starts a new process: what was in progress is lost.
    fn restart(&mut self, runs_at_once: usize, configured: Vec<Configured>) {
        for run in self.ledger.running().expect("runs") {
            self.ledger.interrupted(&run, self.now).expect("noted");
        }
        self.underway.clear();
        self.scheduler = Scheduler::new(self.ledger.clone(), runs_at_once);
        self.scheduler.configure(configured, self.now).expect("configured");
    }

    fn tick(&mut self) -> Vec<String> {
        let tick = self.scheduler.tick(self.now).expect("a tick");
        self.skipped.extend(tick.skipped);
        let mut started = Vec::new();
        for start in tick.start {
            started.push(shown(&start.run));
            self.underway.insert(start.run.id.clone(), start);
        }
        started
    }

    fn end(&mut self, run_id: &str, result: Result<u64, FailureClass>) -> Ended {
        let started = self.underway.remove(run_id).expect("in progress");
        let attempt = Attempt {
            run_id,
            tries: started.run.tries,
            used: Duration::from_millis(started.run.used_ms),
            took: Duration::from_secs(1),
            stood_still: false,
            limit: Duration::from_secs(6 * 3_600),
            now: self.now,
        };
        let outcome = match result {
            Ok(rows) => completed(rows, self.now),
            Err(class) => attempt.failed(&Failure::new(class, FailureCode::STORE_REFUSED, "403")),
        };
        let end = End {
            run_id: run_id.to_owned(),
            attempt: started.attempt,
            outcome,
        };
        self.scheduler.ended(&[end], self.now).expect("stored").remove(0)
    }

    /// Ends everything that is in progress as completed.
    fn complete_all(&mut self) -> usize {
        let ids: Vec<String> = self.underway.keys().cloned().collect();
        for id in &ids {
            self.end(id, Ok(1));
        }
        ids.len()
    }

    /// Runs until nothing more can be done at this moment.
    fn settle(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            all.extend(self.tick());
            if self.complete_all() == 0 {
                return all;
            }
        }
    }

    fn runs(&self, destination: &str) -> Vec<Run> {
        let filter = RunFilter {
            destination: Some(destination.to_owned()),
            limit: 100_000,
            ..RunFilter::default()
        };
        let mut runs = self.ledger.runs(&filter).expect("runs");
        runs.reverse();
        runs
    }

    fn in_state(&self, destination: &str, state: RunState) -> usize {
        self.runs(destination).iter().filter(|run| run.state == state).count()
    }

    fn forward(&mut self, micros: i64) {
        self.now = Moment(self.now.0 + micros);
    }
}

fn completed(rows: u64, now: Moment) -> Outcome {
    Outcome {
        state: RunState::Completed,
        not_before: now,
        used_ms: 1_000,
        counts: true,
        rows,
        bytes: rows * 100,
        files: 1,
        warnings: 0,
        report: None,
        error: None,
        reason: None,
    }
}

/// A run as `name 09:00-10:00`.
fn shown(run: &Run) -> String {
    let time = |moment: Moment| moment.to_string()[11..16].to_owned();
    format!(
        "{} {}-{}",
        run.destination,
        run.start.map(time).unwrap_or_default(),
        time(run.end)
    )
}

#[test]
fn the_first_run_is_that_of_the_period_in_which_the_destination_was_first_seen() {
    let mut world = World::new(4, "2026-07-15T10:20Z", vec![destination("a", every("hour"))]);
    assert_eq!(world.settle(), Vec::<String>::new());
    world.now = at("2026-07-15T11:00:59Z");
    assert_eq!(world.settle(), Vec::<String>::new(), "rows may still arrive");
    world.now = at("2026-07-15T11:01:00Z");
    assert_eq!(world.settle(), ["a 10:00-11:00"]);
    world.now = at("2026-07-15T13:30:00Z");
    assert_eq!(world.settle(), ["a 12:00-13:00", "a 11:00-12:00"]);
}

#[test]
fn an_interval_that_catch_up_leaves_has_a_row_that_says_why() {
    let mut parts = every("hour");
    parts.catch_up = Some(3);
    let mut world = World::new(4, "2026-07-15T00:00Z", vec![destination("a", parts.clone())]);
    world.settle();
    world.now = at("2026-07-15T10:30Z");
    world.restart(4, vec![destination("a", parts)]);
    let started = world.settle();
    assert_eq!(
        started,
        ["a 09:00-10:00", "a 06:00-07:00", "a 07:00-08:00", "a 08:00-09:00"]
    );
    let runs = world.runs("a");
    assert_eq!(runs.len(), 10, "every hour has a row");
    for run in &runs[..6] {
        assert_eq!(run.state, RunState::Skipped);
        assert!(
            run.reason
                .as_deref()
                .is_some_and(|reason| reason.starts_with("missed: ")),
            "{run:?}"
        );
    }
    assert_eq!(world.skipped.len(), 1);
    assert_eq!((world.skipped[0].intervals, world.skipped[0].is_pause), (6, false));
}

#[test]
fn a_pause_skips_with_its_reason_and_can_be_made_up() {
    let configured = || vec![destination("a", every("hour"))];
    let mut world = World::new(4, "2026-07-15T00:00Z", configured());
    world.settle();
    let pause = Pause {
        at: world.now,
        by: crate::ledger::PausedBy::Operator,
        reason: Some("the bucket moves".to_owned()),
    };
    assert!(world.ledger.pause("a", &pause).expect("paused"));
    assert!(!world.ledger.pause("a", &pause).expect("it was already"));
    world.scheduler.refresh(world.now).expect("refreshed");
    world.now = at("2026-07-15T03:30Z");
    assert_eq!(world.settle(), Vec::<String>::new());
    let reasons: Vec<_> = world.runs("a").into_iter().map(|run| run.reason).collect();
    assert_eq!(reasons, vec![Some("paused: the bucket moves".to_owned()); 3]);
    let (_, skipped) = world
        .ledger
        .unpause("a", true, world.now)
        .expect("unpaused")
        .expect("it was paused");
    assert_eq!(skipped, 3);
    world.scheduler.refresh(world.now).expect("refreshed");
    assert_eq!(world.settle().len(), 3);
    assert_eq!(world.in_state("a", RunState::Completed), 3);
}

#[test]
fn three_failed_runs_in_a_row_pause_a_destination_and_one_that_succeeds_starts_the_count_anew() {
    let mut world = World::new(4, "2026-07-15T00:00Z", vec![destination("a", every("hour"))]);
    world.settle();
    let mut paused = Vec::new();
    for result in [
        Err(FailureClass::Failed),
        Err(FailureClass::Defect),
        Ok(1),
        Err(FailureClass::Failed),
        Err(FailureClass::TimedOut),
        Err(FailureClass::Configuration),
    ] {
        world.forward(HOUR + 2 * MINUTE);
        world.tick();
        let id = world.underway.keys().next().expect("a run").clone();
        paused.push(world.end(&id, result).paused);
    }
    assert_eq!(paused, [false, false, false, false, false, true]);
    world.forward(HOUR);
    assert_eq!(world.settle(), Vec::<String>::new());
    let row = world.ledger.destination("a").expect("read").expect("there");
    let reason = row.pause.and_then(|pause| pause.reason).expect("a reason");
    assert_eq!(reason, "3 runs in a row failed, the last one with: 403");
}

#[test]
fn a_transient_failure_is_tried_again_later_and_the_next_interval_does_not_wait_for_it() {
    let mut world = World::new(4, "2026-07-15T00:00Z", vec![destination("a", every("hour"))]);
    world.settle();
    world.now = at("2026-07-15T01:01Z");
    assert_eq!(world.tick(), ["a 00:00-01:00"]);
    let id = world.underway.keys().next().expect("a run").clone();
    assert_eq!(
        world.end(&id, Err(FailureClass::Retryable)).state,
        RunState::FailedRetryable
    );
    assert_eq!(world.tick(), Vec::<String>::new(), "it waits first");
    world.forward(2 * SECOND);
    assert_eq!(world.tick(), ["a 00:00-01:00"]);
    world.now = at("2026-07-15T02:01Z");
    assert_eq!(world.tick(), ["a 01:00-02:00"], "while the first one still runs");
    world.complete_all();
    assert_eq!(world.in_state("a", RunState::Completed), 2);
    let attempts = world.ledger.attempts(&id).expect("attempts");
    let outcomes: Vec<_> = attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [Some(RunState::FailedRetryable), Some(RunState::Completed)]);
}

#[test]
fn what_a_process_had_under_way_runs_again_with_the_next() {
    let configured = || vec![destination("a", every("hour"))];
    let mut world = World::new(4, "2026-07-15T00:00Z", configured());
    world.settle();
    world.now = at("2026-07-15T01:01Z");
    assert_eq!(world.tick(), ["a 00:00-01:00"]);
    world.restart(4, configured());
    assert_eq!(world.tick(), ["a 00:00-01:00"]);
    world.complete_all();
    let runs = world.runs("a");
    assert_eq!(
        (runs.len(), runs[0].state, runs[0].attempts),
        (1, RunState::Completed, 2)
    );
}

#[test]
fn a_destination_that_leaves_the_configuration_loses_nothing_and_goes_on_when_it_is_back() {
    let both = || vec![destination("a", every("hour")), destination("b", every("hour"))];
    let mut world = World::new(4, "2026-07-15T00:00Z", both());
    world.settle();
    world.now = at("2026-07-15T01:01Z");
    assert_eq!(world.tick().len(), 2);
    world
        .scheduler
        .configure(vec![destination("b", every("hour"))], world.now)
        .expect("configured");
    world.complete_all();
    assert_eq!(
        world.in_state("a", RunState::Completed),
        1,
        "what was in progress is over"
    );
    world.now = at("2026-07-15T03:01Z");
    assert_eq!(world.settle(), ["b 02:00-03:00", "b 01:00-02:00"]);
    world.scheduler.configure(both(), world.now).expect("configured");
    assert_eq!(world.settle(), ["a 02:00-03:00", "a 01:00-02:00"]);
}
