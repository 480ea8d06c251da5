//! The service as a user runs it: `batch-export serve` as a process of its own, a ledger that says what is due, and the
//! store's view of what arrived.

use std::time::{Duration, Instant};

use batch_export_runner::exporter::run_id;
use batch_export_service::ledger::{Ledger, RunState};
use batch_export_source::{Interval, Moment};
use batch_export_tests::program::{Program, configuration};
use batch_export_tests::scene::{BUCKET, Scene};
use batch_export_tests::service::{PERIOD, in_state, known_for, now, runs, serve, stop, until};
use devstore::{Fault, Operation, What};

const ROWS_PER_HOUR: usize = 1_200;
const ROWS: u64 = 100;

/// A destination that exports every five minutes.
fn scheduled(scene: &Scene, name: &str, schedule: &str) -> String {
    let fields = format!("schedule = {{ every = \"5 minutes\", settle = \"0 seconds\"{schedule} }}");
    configuration(scene, name, ROWS_PER_HOUR, &fields)
}

/// What stands before the destinations; port 0 is a free one.
fn service(settings: &str) -> String {
    format!("[service]\nlisten = \"127.0.0.1:0\"\n{settings}\n\n")
}

fn ledger(program: &Program) -> Ledger {
    Ledger::open(&program.folder.path().join(".batch-export")).expect("a ledger")
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_intervals_are_made_up_and_each_is_in_the_bucket_once() {
    let scene = Scene::new().await;
    let program = Program::new(&format!(
        "{}{}",
        service(""),
        scheduled(&scene, "archive", ", catch_up = 3")
    ));
    let ledger = ledger(&program);
    let first = known_for(&ledger, "archive", 8);
    let mut running = serve(&program);
    until(&mut running, "everything is exported", || {
        in_state(&ledger, "archive", RunState::Completed) >= 4
    });
    let log = stop(running);
    assert!(log.contains("archive: intervals are skipped"), "{log}");
    assert!(log.contains("the service has stopped"), "{log}");
    let mut runs = runs(&ledger, Some("archive"));
    runs.reverse();
    // Another period may have ended while the test ran.
    assert!(runs.len() >= 8, "{runs:?}");
    for (number, run) in runs.iter().enumerate() {
        let start = Moment(first.0 + number as i64 * PERIOD);
        assert_eq!((run.start, run.end), (Some(start), Moment(start.0 + PERIOD)));
    }
    let done = runs.iter().filter(|run| run.state == RunState::Completed);
    for run in done.clone() {
        assert_eq!((run.rows, run.files, run.attempts), (ROWS, 1, 1), "{run:?}");
    }
    let files = scene
        .store
        .keys(BUCKET)
        .iter()
        .filter(|key| key.ends_with(".jsonl"))
        .count();
    assert_eq!(files, done.count());
    let skipped: Vec<_> = runs.iter().filter(|run| run.state == RunState::Skipped).collect();
    assert!(skipped.len() >= 4 && skipped[0].reason.is_some(), "{skipped:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_killed_goes_on_where_it_was_and_leaves_no_upload_open() {
    let scene = Scene::new().await;
    let program = Program::new(&format!(
        "{}{}",
        service(""),
        configuration(
            &scene,
            "archive",
            600_000,
            "schedule = { every = \"5 minutes\", settle = \"0 seconds\" }",
        )
    ));
    let ledger = ledger(&program);
    known_for(&ledger, "archive", 2);
    scene
        .store
        .set_faults(vec![Fault::on(Operation::UploadPart, What::Hang)]);
    let mut running = serve(&program);
    until(&mut running, "an upload is open", || {
        !scene.store.open_uploads().is_empty()
    });
    running.kill();
    assert!(
        in_state(&ledger, "archive", RunState::Running) > 0,
        "the ledger has it as running"
    );
    scene.store.set_faults(Vec::new());
    let mut running = serve(&program);
    until(&mut running, "everything is exported", || {
        in_state(&ledger, "archive", RunState::Completed) >= 2
    });
    let log = stop(running);
    assert!(log.contains("the process of a run ended before the run did"), "{log}");
    assert_eq!(scene.store.open_uploads(), []);
    assert!(runs(&ledger, Some("archive")).iter().any(|run| run.attempts == 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_runs_finish_and_a_second_one_ends_them() {
    let scene = Scene::new().await;
    let text = |stop_time: &str| {
        format!(
            "{}{}",
            service(&format!("stop_time = \"{stop_time}\"")),
            scheduled(&scene, "archive", "")
        )
    };
    // Long enough to finish.
    let program = Program::new(&text("2 minutes"));
    let ledger_of = ledger(&program);
    known_for(&ledger_of, "archive", 1);
    scene
        .store
        .set_faults(vec![Fault::on(Operation::PutObject, What::Hang).first(1)]);
    let mut running = serve(&program);
    until(&mut running, "a run starts", || {
        in_state(&ledger_of, "archive", RunState::Running) > 0
    });
    until(&mut running, "its request hangs", || {
        scene
            .store
            .requests()
            .iter()
            .any(|request| request.operation == Operation::PutObject)
    });
    running.signal("TERM");
    std::thread::sleep(Duration::from_millis(500));
    assert!(running.is_running(), "it waits for the run");
    running.signal("TERM");
    let begun = Instant::now();
    let printed = running.wait();
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{printed:?}");
    assert_eq!(
        in_state(&ledger_of, "archive", RunState::Starting),
        1,
        "it runs again with the next service"
    );
    let status = program.run(&["status", "--config", "exports.toml"]);
    assert!(!status.stdout.contains("failing"), "nothing failed: {status:?}");
    assert_eq!(scene.store.open_uploads(), []);
    // The same at once when the time is up.
    program.configure(&text("0 seconds"));
    scene
        .store
        .set_faults(vec![Fault::on(Operation::PutObject, What::Hang).first(1)]);
    let mut running = serve(&program);
    until(&mut running, "a run starts", || {
        in_state(&ledger_of, "archive", RunState::Running) > 0
    });
    let log = stop(running);
    assert!(log.contains("their time is up"), "{log}");
    // What has not struck yet would strike now.
    scene.store.set_faults(Vec::new());
    let mut running = serve(&program);
    until(&mut running, "it is exported", || {
        in_state(&ledger_of, "archive", RunState::Completed) > 0
    });
    stop(running);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_is_read_again_and_a_broken_one_changes_nothing() {
    let scene = Scene::new().await;
    let both = format!(
        "{}{}{}",
        service(""),
        scheduled(&scene, "one", ""),
        scheduled(&scene, "two", "")
    );
    let program = Program::new(&format!("{}{}", service(""), scheduled(&scene, "one", "")));
    let ledger = ledger(&program);
    known_for(&ledger, "one", 1);
    known_for(&ledger, "two", 1);
    let mut running = serve(&program);
    until(&mut running, "the first one is exported", || {
        in_state(&ledger, "one", RunState::Completed) > 0
    });
    program.configure("[destinations.one]\nmodel = 3\n");
    running.signal("HUP");
    std::thread::sleep(Duration::from_secs(2));
    assert!(running.is_running());
    program.configure(&both);
    running.signal("HUP");
    until(&mut running, "the second one is exported", || {
        in_state(&ledger, "two", RunState::Completed) > 0
    });
    // A destination that is dropped while one of its runs is in progress loses nothing.
    scene
        .store
        .set_faults(vec![Fault::on(Operation::PutObject, What::Delay(3_000)).first(1)]);
    let again = runs(&ledger, Some("two"))[0].id.clone();
    ledger.retry(&again, now()).expect("asked for");
    until(&mut running, "it runs", || {
        in_state(&ledger, "two", RunState::Running) > 0
    });
    program.configure(&format!("{}{}", service(""), scheduled(&scene, "one", "")));
    running.signal("HUP");
    until(&mut running, "it is completed", || {
        in_state(&ledger, "two", RunState::Running) == 0
    });
    let log = stop(running);
    assert_eq!(in_state(&ledger, "two", RunState::Starting), 0, "{log}");
    for said in [
        "cannot be used, so the earlier one stays in force",
        "line 2: destinations.one.model",
        "the configuration was read again and is in force",
        "is not configured any more; its runs in progress finish",
    ] {
        assert!(log.contains(said), "{said}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_automatic_reload_a_changed_file_is_enough() {
    let scene = Scene::new().await;
    let head = service("reload = \"automatic\"");
    let program = Program::new(&format!("{head}{}", scheduled(&scene, "one", "")));
    let ledger = ledger(&program);
    known_for(&ledger, "two", 1);
    let mut running = serve(&program);
    std::thread::sleep(Duration::from_millis(1_500));
    program.configure(&format!(
        "{head}{}{}",
        scheduled(&scene, "one", ""),
        scheduled(&scene, "two", "")
    ));
    until(&mut running, "it is exported", || {
        in_state(&ledger, "two", RunState::Completed) > 0
    });
    stop(running);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_service_from_starting_is_said_with_a_way_out() {
    let scene = Scene::new().await;
    let text = format!("{}{}", service(""), scheduled(&scene, "archive", ""));
    let program = Program::new(&text);
    let state = program.folder.path().join(".batch-export");
    let mut first = serve(&program);
    let ledger = ledger(&program);
    until(&mut first, "it runs", || ledger.service().expect("a look").is_some());
    let second = serve(&program).wait();
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.stderr.contains("another service (process "), "{second:?}");
    stop(first);
    drop(ledger);

    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    program.configure(&text.replace("127.0.0.1:0", &format!("127.0.0.1:{port}")));
    let refused = serve(&program).wait();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("another program listens there"), "{refused:?}");

    program.configure(&text);
    for (bytes, said) in [
        (&b"this is not a database, but long enough to look at"[..], "is damaged"),
        (&[][..], ""),
    ] {
        for name in ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"] {
            std::fs::remove_file(state.join(name)).ok();
        }
        std::fs::write(state.join("ledger.sqlite"), bytes.repeat(20)).expect("written");
        if said.is_empty() {
            // Nothing was ever written to it, so it is a new one.
            let mut running = serve(&program);
            let ledger = Ledger::open(&state).expect("a ledger");
            until(&mut running, "it runs", || ledger.service().expect("a look").is_some());
            std::thread::sleep(Duration::from_millis(500));
            stop(running);
            continue;
        }
        let refused = serve(&program).wait();
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(
            refused.stderr.contains(said) && refused.stderr.contains("ledger backup"),
            "{refused:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_runs_at_once_stay_within_the_memory_of_the_service() {
    const MEMORY_MB: usize = 512;
    let scene = Scene::new().await;
    let settings = service(&format!("memory_mb = {MEMORY_MB}\nruns_at_once = 64"));
    let program = Program::new(&format!(
        "{settings}{}",
        scheduled(&scene, "archive", ", runs_at_once = 200, catch_up = 200")
    ));
    let ledger = ledger(&program);
    known_for(&ledger, "archive", 200);
    let mut running = serve(&program);
    until(&mut running, "all 200 are exported", || {
        in_state(&ledger, "archive", RunState::Completed) >= 200
    });
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak_kb: Option<usize> = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok());
    stop(running);
    if let Some(peak_kb) = peak_kb {
        // The budget, and what the process itself takes with the component's code in it.
        assert!(peak_kb / 1_024 < MEMORY_MB + 512, "{} MiB", peak_kb / 1_024);
    }
    let all = runs(&ledger, Some("archive"));
    assert!(
        all.iter().all(|run| run.attempts == 1 && run.error.is_none()),
        "{all:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_failed_for_good_is_exported_when_it_is_asked_for_again() {
    let scene = Scene::new().await;
    let program = Program::new(&format!("{}{}", service(""), scheduled(&scene, "archive", "")));
    let ledger = ledger(&program);
    known_for(&ledger, "archive", 2);
    scene.store.set_faults(vec![
        Fault::on(Operation::PutObject, What::Status(403, "AccessDenied".to_owned())).first(2),
    ]);
    let mut running = serve(&program);
    until(&mut running, "both have failed", || {
        in_state(&ledger, "archive", RunState::Failed) >= 2
    });
    let failed = runs(&ledger, Some("archive"))
        .into_iter()
        .find(|run| run.state == RunState::Failed)
        .expect("one");
    let error = failed.error.expect("an error");
    assert_eq!(error["class"], "failed", "{error}");
    for run in runs(&ledger, Some("archive")) {
        ledger.retry(&run.id, now()).expect("asked for");
    }
    until(&mut running, "both are exported", || {
        in_state(&ledger, "archive", RunState::Completed) >= 2
    });
    stop(running);
    let interval = Interval::new(failed.start, failed.end).expect("an interval");
    let id = run_id("archive", "events", interval);
    assert_eq!(id, failed.id, "the same run, and so the same keys");
}
