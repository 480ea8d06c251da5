//! A disk that is full, under the ledger and under everything else that the service keeps: nothing new starts, nothing
//! is lost, and it goes on by itself when there is room again.
//!
//! Needs a disk of a few MiB, whose folder is in `CHAOS_DISK`: `cargo xtask chaos` makes one and runs this.

use std::path::{Path, PathBuf};
use std::time::Duration;

use batch_export_service::ledger::Ledger;
use batch_export_source::Moment;
use batch_export_tests::program::{Program, configuration};
use batch_export_tests::scene::Scene;
use batch_export_tests::service::{PERIOD, ask_for_more, assert_whole, now, open_runs, serve, stop, until};

/// Small enough for one object each.
const ROWS_PER_HOUR: usize = 12_000;
const ROWS: u64 = ROWS_PER_HOUR as u64 / 12;
/// Times that the disk fills up.
const TIMES: i64 = 10;

/// Fills a disk to its last byte.
fn fill(disk: &Path) -> PathBuf {
    let path = disk.join("filler");
    let mut size = 1 << 20;
    let mut file = std::fs::File::create(&path).expect("made");
    while size > 0 {
        if std::io::Write::write_all(&mut file, &vec![1; size]).is_err() {
            size /= 2;
        }
    }
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing() {
    let disk = PathBuf::from(std::env::var_os("CHAOS_DISK").expect("CHAOS_DISK: run `cargo xtask chaos`"));
    let state = disk.join("state");
    let scene = Scene::new().await;
    let schedule = "schedule = { every = \"5 minutes\", settle = \"0 seconds\" }";
    let destination = configuration(&scene, "archive", ROWS_PER_HOUR, schedule);
    let program = Program::new(&format!(
        "state_dir = \"{}\"\n[service]\nlisten = \"off\"\nstop_time = \"0 seconds\"\n\n{destination}",
        state.display()
    ));
    let ledger = Ledger::open(&state).expect("a ledger");
    let mut at = Moment((now().0 / PERIOD - 20_000) * PERIOD);
    ask_for_more(&ledger, "archive", 1, &mut at);
    let mut running = serve(&program);
    until(&mut running, "it works", || open_runs(&ledger) == 0);
    for time in 0..TIMES {
        ask_for_more(&ledger, "archive", 8, &mut at);
        std::thread::sleep(Duration::from_millis(200 + 100 * u64::try_from(time).expect("small")));
        let filler = fill(&disk);
        std::thread::sleep(Duration::from_secs(2));
        assert!(running.is_running(), "{:?}", running.wait());
        if time % 3 == 2 {
            // Nor does a start on a full disk break anything: it works, or says why not.
            running.kill();
            running = serve(&program);
            std::thread::sleep(Duration::from_secs(1));
        }
        std::fs::remove_file(filler).expect("room again");
        if !running.is_running() {
            let printed = running.wait();
            assert!(printed.stderr.contains("disk"), "{printed:?}");
            running = serve(&program);
        }
    }
    // What failed for good meanwhile, because its notes could not be kept, is asked for again.
    until(&mut running, "everything is exported", || {
        for run in batch_export_tests::service::runs(&ledger, None) {
            if run.state.is_over() && run.state != batch_export_service::ledger::RunState::Completed {
                println!("{}: {}", run.id, run.error.unwrap_or_default());
                ledger.retry(&run.id, now()).expect("asked for");
            }
        }
        ledger.unpause("archive", true, now()).expect("unpaused");
        open_runs(&ledger) == 0
    });
    stop(running);
    ledger.examine().expect("whole");
    assert_whole(&scene, &ledger, ROWS);
}
