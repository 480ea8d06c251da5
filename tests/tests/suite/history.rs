//! The history as a user meets it: what runs by hand leave in it, and the commands that read it and ask for more, with
//! and without a mistake in what they are given.

use std::time::Duration;

use batch_export_service::ledger::{Ledger, Run, RunFilter, RunState};
use batch_export_tests::program::{Printed, Program, configuration};
use batch_export_tests::scene::{BUCKET, Scene};
use devstore::{Fault, Operation, What};
use serde_json::Value;

const HOURLY: &str = "schedule.every = \"hour\"";

/// A program with an hourly destination at the scene's store.
fn hourly(scene: &Scene) -> Program {
    Program::new(&configuration(scene, "archive", 1_000, HOURLY))
}

fn said(program: &Program, arguments: &[&str]) -> Printed {
    program.run(&[arguments, &["--config", "exports.toml"]].concat())
}

#[track_caller]
fn told(program: &Program, arguments: &[&str]) -> String {
    let printed = said(program, arguments);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert_eq!(printed.stderr, "", "{printed:?}");
    for line in printed.stdout.lines() {
        let is_one_word = !line.trim().contains(' ');
        assert!(line.chars().count() <= 80 || is_one_word, "{line}");
    }
    printed.stdout
}

#[track_caller]
fn json(program: &Program, arguments: &[&str]) -> Value {
    let printed = said(program, &[arguments, &["--json"]].concat());
    serde_json::from_str(&printed.stdout).unwrap_or_else(|_| panic!("{printed:?}"))
}

fn runs(ledger: &Ledger) -> Vec<Run> {
    let filter = RunFilter {
        limit: 100,
        ..RunFilter::default()
    };
    ledger.runs(&filter).expect("read")
}

/// Waits until something is so.
async fn until(what: impl Fn() -> bool) {
    for _ in 0..500 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it never was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_by_hand_is_in_the_history() {
    let scene = Scene::new().await;
    let program = hourly(&scene);
    assert_eq!(program.export(&[]).code, Some(0));
    let listed = json(&program, &["runs"]);
    let run = &listed["runs"][0];
    assert_eq!(
        (&run["state"], &run["rows"], &run["origin"]),
        (&"completed".into(), &1_000.into(), &"hand".into())
    );
    assert_eq!(run["interval"]["start"], "2023-07-28T00:00:00+00:00");
    let id = run["run_id"].as_str().expect("an id").to_owned();
    let digits = &id["archive-".len()..][..8];

    assert!(told(&program, &["runs"]).contains(digits));
    for name in [digits, &id, &id[..12]] {
        let shown = told(&program, &["show", name]);
        assert!(shown.starts_with(&format!("{id}\n")), "{shown}");
        for words in [
            "completed",
            "`batch-export run`",
            "2023-07-28 00:00 to 01:00 (UTC)",
            "1,000 rows",
            "archive/",
        ] {
            assert!(shown.contains(words), "{words}: {shown}");
        }
    }
    let shown = json(&program, &["show", digits]);
    let attempt = &shown["attempts_made"][0];
    assert_eq!(attempt["report"]["rows_supplied"], 1_000);
    assert_eq!(attempt["attempt_id"], attempt["report"]["attempt_id"]);
    let log = told(&program, &["logs", digits]);
    assert!(log.contains("info  exporting\n"), "{log}");
    assert!(log.contains("info  completed: 1,000 rows in 1 file"), "{log}");
    assert_eq!(told(&program, &["logs", digits, "--follow"]), log);

    // Again, and in vain: the history tells of both, and no third failure by hand pauses anything.
    scene.store.set_faults(vec![Fault::on(
        Operation::PutObject,
        What::Status(403, "AccessDenied".to_owned()),
    )]);
    for _ in 0..3 {
        assert_eq!(program.export(&[]).code, Some(1));
    }
    let shown = told(&program, &["show", digits]);
    for words in [
        "state         failed",
        "error: ",
        "hint: ",
        "attempts\n",
        "AccessDenied",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let status = json(&program, &["status", "archive"]);
    let archive = &status["destinations"][0];
    assert_eq!(
        (&archive["state"], &archive["pause"]),
        (&"failing".into(), &Value::Null)
    );
    assert!(told(&program, &["status"]).contains("archive: failed: "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_under_way_is_seen_followed_and_cancelled() {
    let scene = Scene::new().await;
    let program = hourly(&scene);
    scene
        .store
        .set_faults(vec![Fault::on(Operation::PutObject, What::Hang)]);
    let running = program.start_export("00:00:00", "01:00:00", &[]);
    let ledger = program.ledger();
    until(|| runs(&ledger).iter().any(|run| run.state == RunState::Running)).await;
    let id = runs(&ledger)[0].id.clone();
    assert!(told(&program, &["status"]).contains("running"));
    assert!(told(&program, &["show", &id]).contains("running for"));
    let following = program.start(&["logs", &id, "--follow", "--config", "exports.toml"]);
    // A second one by hand, and the same asked for again, change nothing.
    let second = program.export(&[]);
    assert_eq!(second.code, Some(3), "{second:?}");
    assert!(told(&program, &["retry", &id]).contains("nothing was changed, because it is"));
    assert_eq!(runs(&ledger)[0].attempts, 1);

    let begun = std::time::Instant::now();
    assert!(told(&program, &["cancel", &id]).contains("ends within a few seconds and cleans up"));
    let printed = running.wait();
    assert!(begun.elapsed() < Duration::from_secs(8), "{printed:?}");
    assert_eq!(printed.code, Some(130), "{printed:?}");
    assert!(printed.stderr.contains("as `batch-export cancel` asks"), "{printed:?}");
    assert_eq!(runs(&ledger)[0].state, RunState::Cancelled);
    let followed = following.wait();
    assert_eq!(followed.code, Some(0), "{followed:?}");
    assert!(followed.stdout.contains("error interrupted"), "{followed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_killed_is_told_apart_and_can_be_run_again() {
    let scene = Scene::new().await;
    let program = hourly(&scene);
    scene
        .store
        .set_faults(vec![Fault::on(Operation::PutObject, What::Hang)]);
    let running = program.start_export("00:00:00", "01:00:00", &[]);
    let ledger = program.ledger();
    until(|| runs(&ledger).iter().any(|run| run.state == RunState::Running)).await;
    running.kill();
    let id = runs(&ledger)[0].id.clone();
    assert!(told(&program, &["show", &id]).contains("but its process is gone"));
    assert!(told(&program, &["cancel", &id]).contains("cancelled; its process was gone"));
    scene.store.set_faults(Vec::new());
    assert_eq!(program.export(&[]).code, Some(0));
    let run = &runs(&ledger)[0];
    assert_eq!((run.state, run.attempts), (RunState::Completed, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_waits_for_a_service_and_says_so() {
    let scene = Scene::new().await;
    let program = hourly(&scene);
    let queued = "queued: no service is running, so it starts with the next";
    let ordered = [
        "backfill",
        "archive",
        "--from",
        "2023-07-28",
        "--to",
        "2023-07-28T04:00",
    ];
    // Nobody can be asked here.
    let printed = said(&program, &ordered);
    assert_eq!(printed.code, Some(2), "{printed:?}");
    assert!(
        printed.stdout.contains("4 intervals from 2023-07-28T00:00:00+00:00"),
        "{printed:?}"
    );
    assert!(printed.stderr.ends_with("hint: add --yes\n"), "{printed:?}");
    assert_eq!(runs(&program.ledger()), []);

    assert_eq!(program.export(&[]).code, Some(0));
    let ordered = [&ordered[..], &["--yes"]].concat();
    let text = told(&program, &ordered);
    assert!(
        text.contains("to run     3\n") && text.contains("completed  1 (") && text.contains(queued),
        "{text}"
    );
    let again = json(&program, &ordered);
    assert_eq!(
        (&again["plan"]["under_way"], &again["plan"]["to_run"]),
        (&3.into(), &0.into())
    );
    assert_eq!(again["backfill"], Value::Null);
    let listed = json(&program, &["backfills"]);
    assert_eq!(
        (&listed["backfills"][0]["waiting"], &listed["service"]["running"]),
        (&3.into(), &false.into())
    );
    assert!(told(&program, &["backfills"]).contains("0 of 3"));

    // One of them by hand, which makes its turn unnecessary.
    let printed = program.start_export("01:00:00", "02:00:00", &[]).wait();
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(told(&program, &["backfills"]).contains("1 of 3"));
    let text = told(&program, &["cancel", "--backfill", "1"]);
    assert_eq!(text, "backfill 1 of archive: cancelled 2 runs\n");
    assert!(told(&program, &["cancel", "--backfill", "1"]).contains("nothing was left to cancel"));
    let states = told(
        &program,
        &["runs", "archive", "--backfill", "1", "--state", "cancelled"],
    );
    assert_eq!(states.matches("cancelled").count(), 2, "{states}");

    let completed = runs(&program.ledger()).last().expect("a run").id.clone();
    let text = told(&program, &["retry", &completed]);
    assert!(
        text.contains("runs again, it was completed;") && text.contains("queued:"),
        "{text}"
    );
    assert!(told(&program, &["pause", "archive", "--reason", "it moves"]).contains("paused archive"));
    assert!(told(&program, &["pause", "archive"]).contains("is paused already"));
    let status = told(&program, &["status"]);
    assert!(
        status.contains("paused since") && status.contains(": it moves;"),
        "{status}"
    );
    assert!(told(&program, &["unpause", "archive", "--backfill"]).contains("resumed archive"));
    assert!(told(&program, &["unpause", "archive"]).contains("is not paused"));
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_one_clear_message_and_change_nothing() {
    let scene = Scene::new().await;
    let program = hourly(&scene);
    assert_eq!(program.export(&[]).code, Some(0));
    let before = runs(&program.ledger());
    let backfill = |from, to| ["backfill", "archive", "--yes", "--from", from, "--to", to];
    let cases: [(&[&str], &str, &str); 15] = [
        (&["show", "no-such-run"], "run_unknown", "there is no run `no-such-run`"),
        (&["logs", "zzz"], "run_unknown", "there is no run `zzz`"),
        (&["retry", "zzz"], "run_unknown", "there is no run `zzz`"),
        (&["cancel", "zzz"], "run_unknown", "there is no run `zzz`"),
        (
            &["cancel", "--backfill", "9"],
            "backfill_unknown",
            "there is no backfill 9",
        ),
        (&["cancel"], "usage_invalid", "missing: RUN"),
        (&["status", "nowhere"], "destination_unknown", "`nowhere`"),
        (&["runs", "nowhere"], "destination_unknown", "`nowhere`"),
        (
            &["runs", "--state", "fine"],
            "usage_invalid",
            "`fine` is not a valid value",
        ),
        (&["pause", "nowhere"], "destination_unknown", "`nowhere`"),
        (&["unpause", "nowhere"], "destination_unknown", "`nowhere`"),
        (
            &backfill("2023-07-29", "2023-07-28"),
            "backfill_invalid",
            "--to is before --from",
        ),
        (
            &backfill("2023-07-28T00:20", "2023-07-28T01:00"),
            "backfill_invalid",
            "the nearest are 2023-07-28T00:00:00",
        ),
        (
            &backfill("2023-07-28", "2999-01-01"),
            "backfill_invalid",
            "is in the future",
        ),
        (
            &["ledger", "forget", "zzz"],
            "run_unknown",
            "there are no notes of the run `zzz`",
        ),
    ];
    for (arguments, code, words) in cases {
        let printed = said(&program, arguments);
        assert_eq!(printed.code, Some(2), "{arguments:?}: {printed:?}");
        assert!(printed.stderr.contains(words), "{arguments:?}: {printed:?}");
        assert!(
            printed.stderr.contains("hint: ") || arguments[0] == "ledger",
            "{arguments:?}: {printed:?}"
        );
        let answer = json(&program, arguments);
        assert_eq!(answer["error"]["code"], code, "{arguments:?}");
    }
    assert_eq!(runs(&program.ledger()), before);
    // The history does not need what only runs need.
    let text = configuration(&scene, "archive", 1_000, HOURLY).replace("test-secret-key", "${env:NOT_SET_HERE}");
    program.configure(&text);
    assert!(told(&program, &["status"]).contains("archive"));
    // A destination that is gone keeps its history, and nothing of it is started.
    program.configure(&configuration(&scene, "other", 1_000, ""));
    assert!(told(&program, &["status"]).contains("removed"));
    assert!(told(&program, &["runs", "archive"]).contains("completed"));
    let printed = said(&program, &["retry", &before[0].id]);
    assert_eq!(printed.code, Some(2), "{printed:?}");
    let printed = said(
        &program,
        &["backfill", "other", "--from", "2023-07-28", "--to", "2023-07-29"],
    );
    assert!(printed.stderr.contains("other has no schedule"), "{printed:?}");
    assert_eq!(scene.store.keys(BUCKET).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_cannot_be_used_stops_a_run_before_it_sends_anything() {
    let scene = Scene::new().await;
    let program = hourly(&scene);
    assert_eq!(program.export(&[]).code, Some(0));
    let copy = program.folder.path().join("copy.sqlite");
    let copied = told(&program, &["ledger", "backup", "copy.sqlite"]);
    assert!(
        copied.starts_with("copied .batch-export/ledger.sqlite to copy.sqlite ("),
        "{copied}"
    );
    let printed = said(&program, &["ledger", "backup", "copy.sqlite"]);
    assert_eq!(
        (printed.code, printed.stderr.contains("already exists")),
        (Some(2), true),
        "{printed:?}"
    );

    let file = program.folder.path().join(".batch-export/ledger.sqlite");
    let raw = rusqlite::Connection::open(&file).expect("a database");
    raw.execute_batch("PRAGMA user_version = 99").expect("changed");
    drop(raw);
    scene.store.clear_requests();
    for (spoil, code, hint) in [
        (None, "ledger_newer", "use the newer version of batch-export"),
        (Some("no database"), "ledger_damaged", "`batch-export ledger backup`"),
    ] {
        if let Some(text) = spoil {
            std::fs::write(&file, text.repeat(500)).expect("written");
        }
        let answer = json(&program, &["status"]);
        assert_eq!(answer["error"]["code"], code, "{answer}");
        let printed = program.export(&[]);
        assert_eq!(printed.code, Some(1), "{printed:?}");
        assert!(printed.stderr.contains(hint), "{printed:?}");
        assert_eq!(scene.store.requests().len(), 0);
    }
    // As the hint says.
    for name in ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"] {
        std::fs::remove_file(file.with_file_name(name)).ok();
    }
    std::fs::copy(copy, &file).expect("restored");
    assert!(told(&program, &["runs"]).contains("completed"));
    assert_eq!(program.export(&[]).code, Some(0));
}
