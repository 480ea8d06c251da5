//! Commands beside a running service: it does what they ask for within seconds, and they say that it does.

use std::time::{Duration, Instant};

use batch_export_service::ledger::RunState;
use batch_export_source::Moment;
use batch_export_tests::program::{Printed, Program, configuration};
use batch_export_tests::scene::Scene;
use batch_export_tests::service::{PERIOD, in_state, known_for, runs, serve, stop, until};
use devstore::{Fault, Operation, What};
use serde_json::Value;

fn five_minutes(scene: &Scene) -> Program {
    let schedule = "schedule = { every = \"5 minutes\", settle = \"0 seconds\" }";
    let destination = configuration(scene, "archive", 1_200, schedule);
    Program::new(&format!("[service]\nlisten = \"127.0.0.1:0\"\n\n{destination}"))
}

fn said(program: &Program, arguments: &[&str]) -> Printed {
    program.run(&[arguments, &["--config", "exports.toml"]].concat())
}

/// The arguments of a backfill of so many periods before `end`.
fn backfill(periods: i64, end: Moment) -> Vec<String> {
    let from = Moment(end.0 - periods * PERIOD).to_string();
    let words = [
        "backfill",
        "archive",
        "--config",
        "exports.toml",
        "--yes",
        "--from",
        &from,
        "--to",
        &end.to_string(),
    ];
    words.map(str::to_owned).into()
}

fn words(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_does_what_commands_ask_for() {
    let scene = Scene::new().await;
    let program = five_minutes(&scene);
    let ledger = program.ledger();
    let first = known_for(&ledger, "archive", 1);
    let mut running = serve(&program);
    until(&mut running, "the schedule is exported", || {
        in_state(&ledger, "archive", RunState::Completed) >= 1
    });
    let process = format!("a service is running (process {})", running.id());
    let status = said(&program, &["status"]);
    assert!(status.stdout.contains(&process), "{status:?}");

    let ordered = backfill(3, first);
    let printed = program.run(&words(&ordered));
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(
        printed.stdout.ends_with("backfill 1: 3 of 3 runs completed\n"),
        "{printed:?}"
    );
    let printed = program.run(&words(&ordered));
    assert!(printed.stdout.ends_with("nothing to do\n"), "{printed:?}");

    let id = runs(&ledger, Some("archive")).last().expect("a run").id.clone();
    let attempts = |ledger: &batch_export_service::ledger::Ledger| {
        let run = ledger.run(&id).expect("read").expect("there");
        (run.state, run.attempts)
    };
    let printed = said(&program, &["retry", &id]);
    assert!(printed.stdout.contains("starts it within a"), "{printed:?}");
    until(&mut running, "it ran again", || {
        attempts(&ledger) == (RunState::Completed, 2)
    });

    let skipped_before = in_state(&ledger, "archive", RunState::Skipped);
    assert_eq!(said(&program, &["pause", "archive"]).code, Some(0));
    let status = said(&program, &["status"]);
    assert!(status.stdout.contains("paused since"), "{status:?}");
    assert_eq!(said(&program, &["unpause", "archive"]).code, Some(0));
    assert_eq!(in_state(&ledger, "archive", RunState::Skipped), skipped_before);

    // One that hangs is ended, and cleans up.
    scene
        .store
        .set_faults(vec![Fault::on(Operation::PutObject, What::Hang)]);
    assert_eq!(said(&program, &["retry", &id]).code, Some(0));
    until(&mut running, "it runs", || attempts(&ledger).0 == RunState::Running);
    let begun = Instant::now();
    let printed = said(&program, &["cancel", &id]);
    assert!(printed.stdout.contains("ends within a few seconds"), "{printed:?}");
    until(&mut running, "it is cancelled", || {
        attempts(&ledger).0 == RunState::Cancelled
    });
    assert!(begun.elapsed() < Duration::from_secs(10));
    scene.store.set_faults(Vec::new());
    stop(running);
    let status = said(&program, &["status"]);
    assert!(status.stdout.contains("no service is running"), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_goes_on_without_whoever_asked_for_it() {
    let scene = Scene::new().await;
    let program = five_minutes(&scene);
    let ledger = program.ledger();
    let first = known_for(&ledger, "archive", 0);
    scene
        .store
        .set_faults(vec![Fault::on(Operation::PutObject, What::Hang)]);
    let mut running = serve(&program);
    until(&mut running, "it is there", || {
        ledger.service().expect("a look").is_some()
    });
    let watching = program.start(&words(&backfill(2, first)));
    until(&mut running, "it runs", || {
        in_state(&ledger, "archive", RunState::Running) > 0
    });
    watching.interrupt();
    let printed = watching.wait();
    assert_eq!(printed.code, Some(130), "{printed:?}");
    assert!(printed.stdout.contains("backfill 1 goes on: "), "{printed:?}");
    assert!(printed.stdout.contains("batch-export cancel"), "{printed:?}");
    let printed = said(&program, &["cancel", "--backfill", "1"]);
    assert!(
        printed
            .stdout
            .contains("cancelled 1 run that waited; 1 run in progress"),
        "{printed:?}"
    );
    until(&mut running, "all is over", || {
        in_state(&ledger, "archive", RunState::Cancelled) == 2
    });

    // The store refuses for good: who waits is told.
    let refused = What::Status(403, "AccessDenied".to_owned());
    scene.store.set_faults(vec![Fault::on(Operation::PutObject, refused)]);
    let ordered = [backfill(2, first), vec!["--json".to_owned()]].concat();
    let printed = program.run(&words(&ordered));
    assert_eq!(printed.code, Some(1), "{printed:?}");
    let answer: Value = serde_json::from_str(&printed.stdout).expect("JSON");
    assert_eq!(answer["error"]["code"], "backfill_failed", "{answer}");
    assert_eq!(answer["backfill"]["failed"], 2, "{answer}");
    let failed = said(&program, &["runs", "--backfill", "2", "--state", "failed"]);
    assert_eq!(failed.stdout.matches(" failed").count(), 2, "{failed:?}");

    // With the service gone, it waits for the next one.
    scene
        .store
        .set_faults(vec![Fault::on(Operation::PutObject, What::Hang)]);
    let watching = program.start(&words(&backfill(2, first)));
    until(&mut running, "it runs", || {
        in_state(&ledger, "archive", RunState::Running) > 0
    });
    running.signal("TERM");
    std::thread::sleep(Duration::from_millis(300));
    running.signal("TERM");
    running.wait();
    let printed = watching.wait();
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(printed.stdout.contains("the service has ended;"), "{printed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_pause_left_out_is_exported_by_the_command_that_is_named() {
    let scene = Scene::new().await;
    let program = five_minutes(&scene);
    let ledger = program.ledger();
    known_for(&ledger, "archive", 3);
    assert_eq!(
        said(&program, &["pause", "archive", "--reason", "it moves"]).code,
        Some(0)
    );
    let mut running = serve(&program);
    until(&mut running, "they are skipped", || {
        in_state(&ledger, "archive", RunState::Skipped) >= 3
    });
    let printed = said(&program, &["status"]);
    let text = printed.stdout.replace("\n  ", " ");
    assert!(text.contains(" intervals missed, 0 will run, "), "{printed:?}");
    assert!(
        text.contains("skipped (paused: it moves): export them with `batch-export backfill archive"),
        "{text}"
    );
    let printed = said(&program, &["unpause", "archive"]);
    let text = printed.stdout.replace("\n  ", " ");
    let named = text.split('`').nth(1).expect("a command");
    let words: Vec<&str> = named
        .split(' ')
        .skip(1)
        .chain(["--yes", "--config", "exports.toml"])
        .collect();
    let printed = program.run(&words);
    assert_eq!(printed.code, Some(0), "{words:?}: {printed:?}");
    assert!(in_state(&ledger, "archive", RunState::Completed) >= 3);
    assert_eq!(in_state(&ledger, "archive", RunState::Skipped), 0);
    let printed = said(&program, &["status"]);
    assert!(!printed.stdout.contains("missed"), "{printed:?}");
    stop(running);
}
