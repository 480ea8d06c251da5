//! What the ledger promises: what becomes of runs, who may have a run, and what stays after a crash, on a full disk and
//! in a file that somebody damaged.

mod backfills;
mod keeping;
mod opening;
mod runs;
mod state;

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use batch_export_runner::{Failure, Header};
use batch_export_source::Moment;

/// Microseconds of an hour.
const HOUR: i64 = 3_600_000_000;
const MINUTE: i64 = 60_000_000;

fn ledger() -> (TempDir, Ledger) {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Ledger::open(folder.path()).expect("a ledger");
    (folder, ledger)
}

/// The run of an hour of the destination `x`.
fn header(hour: i64) -> Header {
    Header {
        destination: "x".to_owned(),
        id: format!("x-{hour:024x}"),
        model: "events".to_owned(),
        start_micros: Some(hour * HOUR),
        end_micros: (hour + 1) * HOUR,
    }
}

fn id(hour: i64) -> String {
    header(hour).id
}

/// A moment so many hours, and a minute, behind the beginning of time: when the hour before it can run.
fn at(hour: i64) -> Moment {
    Moment(hour * HOUR + MINUTE)
}

fn due(hour: i64) -> Due {
    Due {
        header: header(hour),
        not_before: at(hour + 1),
        skipped: None,
    }
}

/// Gives these hours their runs by schedule.
fn cover(ledger: &Ledger, hours: impl IntoIterator<Item = i64>) {
    for hour in hours {
        ledger
            .see(&[("x", Some(Moment(hour * HOUR)))], at(hour + 1))
            .expect("seen");
        let end = Moment((hour + 1) * HOUR);
        ledger
            .cover(&[("x", end)], &[due(hour)], at(hour + 1))
            .expect("covered");
    }
}

fn run(ledger: &Ledger, hour: i64) -> Run {
    ledger.run(&id(hour)).expect("read").expect("there is one")
}

fn state(ledger: &Ledger, hour: i64) -> RunState {
    run(ledger, hour).state
}

fn start(ledger: &Ledger, hour: i64, now: Moment) -> Started {
    ledger
        .start(&id(hour), "digest", now)
        .expect("written")
        .expect("it waits")
}

fn completed(rows: u64) -> Outcome {
    Outcome {
        state: RunState::Completed,
        rows,
        bytes: 10 * rows,
        files: 1,
        ..failed(RunState::Completed)
    }
}

fn failed(state: RunState) -> Outcome {
    Outcome {
        rows: 0,
        error: (state != RunState::Completed).then(|| json!({ "message": "refused" })),
        ..Outcome::failed(&Failure::cancelled(), state, Duration::from_secs(2), at(0))
    }
}

/// Starts a run and ends it like this.
fn attempt(ledger: &Ledger, hour: i64, outcome: &Outcome, now: Moment) -> Ended {
    let started = start(ledger, hour, now);
    ledger.end(&id(hour), started.attempt, outcome, now).expect("written")
}

/// Puts a run that waits into a state.
fn bring(ledger: &Ledger, hour: i64, state: RunState, now: Moment) {
    match state {
        RunState::Starting => {}
        RunState::Running => drop(start(ledger, hour, now)),
        RunState::Skipped => panic!("skipped runs are made so"),
        RunState::Cancelled => assert_eq!(ledger.cancel(&id(hour), now).expect("written"), RunState::Starting),
        RunState::Completed => drop(attempt(ledger, hour, &completed(7), now)),
        failing => {
            attempt(ledger, hour, &failed(failing), now);
        }
    }
    assert_eq!(super::tests::state(ledger, hour), state);
}
