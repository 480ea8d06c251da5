//! A service with the ledger that it works by: what is due, what came of it, and whether everything is in the bucket.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use batch_export_runner::exporter::run_id;
use batch_export_runner::{Header, State};
use batch_export_service::ledger::{BackfillOrder, Due, Ledger, Run, RunFilter, RunState};
use batch_export_source::{Interval, Moment};

use crate::components;
use crate::program::{Program, Running};
use crate::read::json_lines;
use crate::scene::{BUCKET, Scene};

/// Microseconds of five minutes, the shortest intervals.
pub const PERIOD: i64 = 5 * 60_000_000;
/// Time for something to happen that takes seconds at most on an idle machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// The machine's time.
pub fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Moment(i64::try_from(since.as_micros()).expect("a time"))
}

/// Starts the service with the shipped component.
pub fn serve(program: &Program) -> Running {
    let component = components::destination();
    let component = component.to_str().expect("UTF-8");
    program.start(&["serve", "--config", "exports.toml", "--component", component])
}

/// Waits until something is so; the service must not end before.
pub fn until(running: &mut Running, what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(running.is_running(), "the service ended before {what}");
        assert!(begun.elapsed() < PATIENCE, "{what} takes too long");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Stops a service in order and returns its log.
pub fn stop(running: Running) -> String {
    running.signal("TERM");
    let printed = running.wait();
    assert_eq!((printed.code, printed.stdout.as_str()), (Some(0), ""), "{printed:?}");
    printed.stderr
}

/// All runs of a destination, or of all, the newest first.
pub fn runs(ledger: &Ledger, name: Option<&str>) -> Vec<Run> {
    let filter = RunFilter {
        destination: name.map(str::to_owned),
        limit: 1_000_000,
        ..RunFilter::default()
    };
    ledger.runs(&filter).expect("runs")
}

/// How many runs are in a state.
pub fn in_state(ledger: &Ledger, name: &str, state: RunState) -> usize {
    let runs = runs(ledger, Some(name));
    runs.iter().filter(|run| run.state == state).count()
}

/// How many runs are not completed.
pub fn open_runs(ledger: &Ledger) -> usize {
    let runs = runs(ledger, None);
    runs.iter().filter(|run| run.state != RunState::Completed).count()
}

/// Lets a destination have been known for so many periods. Returns where the first of them starts.
pub fn known_for(ledger: &Ledger, name: &str, periods: i64) -> Moment {
    let first = Moment((now().0 / PERIOD - periods) * PERIOD);
    ledger.see(&[(name, Some(first))], first).expect("seen");
    first
}

/// Asks for so many further periods of a destination, from `at` on, and moves that behind them.
pub fn ask_for_more(ledger: &Ledger, name: &str, periods: i64, at: &mut Moment) {
    let due = (0..periods).map(|number| {
        let start = Moment(at.0 + number * PERIOD);
        let interval = Interval::new(Some(start), Moment(start.0 + PERIOD)).expect("an interval");
        Due {
            header: Header {
                destination: name.to_owned(),
                id: run_id(name, "events", interval),
                model: "events".to_owned(),
                start_micros: Some(start.0),
                end_micros: interval.end().0,
            },
            not_before: interval.end(),
            skipped: None,
        }
    });
    let order = BackfillOrder {
        destination: name.to_owned(),
        start: *at,
        end: Moment(at.0 + periods * PERIOD),
        runs_at_once: 2,
        runs: due.collect(),
        again: false,
    };
    ledger.backfill(&order, now()).expect("asked for");
    *at = order.end;
}

/// Checks that every run is completed with so many rows, that the bucket holds exactly these, and that nothing is open
/// or noted as open.
pub fn assert_whole(scene: &Scene, ledger: &Ledger, rows: u64) {
    let all = runs(ledger, None);
    for run in &all {
        assert_eq!((run.state, run.rows), (RunState::Completed, rows), "{run:?}");
    }
    assert_eq!(scene.store.open_uploads(), []);
    let left = ledger.state().leftovers().expect("a look");
    assert!(left.is_empty(), "{left:?}");
    let mut times_of: BTreeMap<String, u64> = BTreeMap::new();
    for key in scene.store.keys(BUCKET).iter().filter(|key| key.ends_with(".jsonl")) {
        let object = scene.store.object(BUCKET, key).expect("an object");
        for row in json_lines(key, &object.bytes) {
            *times_of
                .entry(row["uuid"].as_str().expect("a uuid").to_owned())
                .or_default() += 1;
        }
    }
    assert_eq!(times_of.len() as u64, all.len() as u64 * rows, "rows in the bucket");
    assert!(times_of.values().all(|times| *times == 1), "some rows are there twice");
}
