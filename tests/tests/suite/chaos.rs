//! What happens to machines: processes that are killed at any moment, that stand still, clocks that jump. Afterwards
//! every interval is completed once, the bucket holds exactly the rows supplied, no upload is open and no note is left.
//!
//! `cargo xtask chaos` does more of it, and fills a disk as well. The seed is printed; `CHAOS_SEED` repeats one.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use batch_export_runner::Failure;
use batch_export_runner::config::Config;
use batch_export_service::ledger::{Ledger, RunState};
use batch_export_service::{Order, ServiceOptions};
use batch_export_source::Moment;
use batch_export_tests::components;
use batch_export_tests::program::{Program, configuration};
use batch_export_tests::scene::Scene;
use batch_export_tests::service::{PERIOD, ask_for_more, assert_whole, now, open_runs, runs, serve, stop, until};

/// Enough rows for an upload in two parts.
const ROWS_PER_HOUR: usize = 120_000;
const ROWS: u64 = ROWS_PER_HOUR as u64 / 12;
/// Kills unless `CHAOS_KILLS` says otherwise.
const KILLS: u64 = 20;
/// Intervals that each life of the service is given.
const INTERVALS: i64 = 2;
/// The longest life, after the time that a start takes on an idle machine.
const LIFE: Duration = Duration::from_millis(2_500);
const START: Duration = Duration::from_millis(300);

/// Numbers that look random and come again with the same seed.
struct Dice(u64);

impl Dice {
    #[allow(clippy::print_stdout, reason = "whoever repeats a run that failed needs its seed")]
    fn new() -> Self {
        let given = std::env::var("CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| now().0.unsigned_abs());
        println!("CHAOS_SEED={seed}");
        Dice(seed)
    }

    fn below(&mut self, limit: u64) -> u64 {
        // SplitMix64, <https://prng.di.unimi.it/splitmix64.c>.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn time(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(most.as_micros()).expect("short")))
    }
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(usual)
}

fn text(scene: &Scene, fields: &str) -> String {
    let destination = configuration(scene, "archive", ROWS_PER_HOUR, fields);
    format!("state_dir = \"state\"\n[service]\nlisten = \"off\"\nstop_time = \"0 seconds\"\n\n{destination}")
}

const SCHEDULE: &str = "schedule = { every = \"5 minutes\", settle = \"0 seconds\", catch_up = 1000 }";

#[tokio::test(flavor = "multi_thread")]
async fn whatever_moment_a_service_is_killed_at_every_interval_is_exported_once() {
    let mut dice = Dice::new();
    let scene = Scene::new().await;
    let program = Program::new(&text(&scene, SCHEDULE));
    let ledger = Ledger::open(&program.folder.path().join("state")).expect("a ledger");
    let mut at = Moment(now().0 / PERIOD * PERIOD - 20_000 * PERIOD);
    for _ in 0..number("CHAOS_KILLS", KILLS) {
        ask_for_more(&ledger, "archive", INTERVALS, &mut at);
        let mut running = serve(&program);
        std::thread::sleep(START + dice.time(LIFE));
        assert!(running.is_running(), "{:?}", running.wait());
        let killed = running.kill();
        assert_eq!(killed.code, None, "{killed:?}");
    }
    let mut running = serve(&program);
    until(&mut running, "it works", || ledger.service().expect("a look").is_some());
    until(&mut running, "everything is exported", || open_runs(&ledger) == 0);
    // What processes that are gone left open is cleaned up beside the runs.
    until(&mut running, "nothing is open", || {
        scene.store.open_uploads().is_empty()
    });
    stop(running);
    assert_whole(&scene, &ledger, ROWS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stands_still_for_longer_than_a_run_may_take_fails_no_run() {
    // Longer than the service takes for a pause of the machine, and than the run's time.
    const STILL: Duration = Duration::from_secs(12);
    let scene = Scene::new().await;
    let program = Program::new(&text(&scene, &format!("{SCHEDULE}\nlimits = {{ run_time_s = 10 }}")));
    let ledger = Ledger::open(&program.folder.path().join("state")).expect("a ledger");
    let mut at = Moment(now().0 / PERIOD * PERIOD - 20_000 * PERIOD);
    ask_for_more(&ledger, "archive", INTERVALS, &mut at);
    let hang = devstore::Fault::on(devstore::Operation::UploadPart, devstore::What::Hang).first(1);
    scene.store.set_faults(vec![hang]);
    let mut running = serve(&program);
    until(&mut running, "a part is in progress", || {
        let requests = scene.store.requests();
        requests
            .iter()
            .any(|request| request.operation == devstore::Operation::UploadPart)
    });
    running.signal("STOP");
    std::thread::sleep(STILL);
    running.signal("CONT");
    until(&mut running, "everything is exported", || open_runs(&ledger) == 0);
    let log = stop(running);
    assert!(log.contains("this process stood still"), "{log}");
    assert_whole(&scene, &ledger, ROWS);
    assert!(
        runs(&ledger, None).iter().all(|run| run.tries == 1),
        "the attempt in vain does not count"
    );
}

/// The clock of the service that runs in this process: ahead of the machine's by so many microseconds.
static AHEAD: AtomicI64 = AtomicI64::new(0);

fn jumping() -> Moment {
    Moment(now().0 + AHEAD.load(Ordering::SeqCst))
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_jump_lose_nothing_and_export_nothing_before_its_time() {
    let mut dice = Dice::new();
    let scene = Scene::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("exports.toml");
    std::fs::write(&file, text(&scene, SCHEDULE)).expect("written");
    let ledger = Ledger::open(&folder.path().join("state")).expect("a ledger");
    let first = Moment(now().0 / PERIOD * PERIOD - PERIOD);
    ledger.see(&[("archive", Some(first))], first).expect("seen");
    let (orders, received) = tokio::sync::mpsc::channel(4);
    let options = ServiceOptions {
        read: Box::new(move || read(&file)),
        clock: jumping,
    };
    let service = tokio::spawn(batch_export_service::serve(options, received));
    let mut furthest = 0;
    for _ in 0..number("CHAOS_JUMPS", 12) {
        let jump = i64::try_from(dice.below(8)).expect("small") * PERIOD / 2;
        AHEAD.store(jump, Ordering::SeqCst);
        furthest = furthest.max(jump);
        tokio::time::sleep(Duration::from_millis(300) + dice.time(Duration::from_secs(1))).await;
        assert!(!service.is_finished(), "the service ended");
    }
    // Back to the true time, and then as far as it ever was: by now everything has really ended.
    AHEAD.store(0, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(2)).await;
    for run in runs(&ledger, None).iter().filter(|run| run.end > jumping()) {
        assert_ne!(run.state, RunState::Completed, "it has not ended yet: {run:?}");
    }
    AHEAD.store(furthest + PERIOD, Ordering::SeqCst);
    let begun = Instant::now();
    let is_done = || {
        let all = runs(&ledger, None);
        let reached = all.iter().map(|run| run.end.0).max().unwrap_or(0);
        reached + PERIOD > jumping().0 && all.iter().all(|run| run.state == RunState::Completed)
    };
    while !is_done() {
        assert!(begun.elapsed() < Duration::from_secs(300), "{:?}", runs(&ledger, None));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    orders.send(Order::Stop("the test")).await.expect("it listens");
    service.await.expect("it ends").expect("in order");
    assert_whole(&scene, &ledger, ROWS);
    let mut all = runs(&ledger, None);
    all.sort_by_key(|run| run.end);
    assert_eq!(all[0].start, Some(first));
    for pair in all.windows(2) {
        assert_eq!(Some(pair[0].end), pair[1].start, "a gap or an overlap");
    }
    for run in &all {
        assert!(run.started >= Some(run.end), "{run:?}");
    }
}

fn read(file: &Path) -> Result<Config, Failure> {
    let mut config = Config::load(file)?;
    config.component = Some(components::destination());
    Ok(config)
}
