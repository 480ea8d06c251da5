//! What earlier runs left: cleaned up where it is, by whoever may, and named where that is not possible.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use batch_export_runner::{Header, Origin, State};
use batch_export_tests::program::{Printed, Program, Running, configuration};
use batch_export_tests::scene::{BUCKET, Scene};
use devstore::{Fault, Operation, Options, What};

/// Enough for more than one part.
const ROWS: usize = 30_000;
const OTHER_BUCKET: &str = "other-bucket";

async fn scene() -> Scene {
    let buckets = vec![BUCKET.to_owned(), OTHER_BUCKET.to_owned()];
    Scene::with(Options {
        buckets,
        ..Options::default()
    })
    .await
}

fn archive(scene: &Scene) -> String {
    configuration(scene, "archive", ROWS, "")
}

/// Runs until its first part is on its way, and is killed there: one upload is open, and noted.
async fn killed(scene: &Scene, program: &Program) {
    let hang = Fault::on(Operation::UploadPart, What::Hang);
    scene.store.set_faults(vec![hang]);
    let running = program.start_export("00:00:00", "01:00:00", &[]);
    until(running, scene, Operation::UploadPart, 1).await.kill();
    assert_eq!(scene.store.open_uploads().len(), 1);
    scene.store.set_faults(Vec::new());
}

/// Waits until the store saw so many requests of a kind.
async fn until(mut running: Running, scene: &Scene, operation: Operation, count: usize) -> Running {
    loop {
        let requests = scene.store.requests();
        let seen = requests.iter().filter(|seen| seen.operation == operation);
        if seen.count() >= count {
            return running;
        }
        if !running.is_running() {
            panic!("it ended too early: {:?}", running.wait());
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Another interval of the same destinations.
fn later(program: &Program) -> Printed {
    program.start_export("02:00:00", "02:01:00", &[]).wait()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_aborted_in_the_bucket_where_it_was_begun() {
    let scene = scene().await;
    let program = Program::new(&archive(&scene));
    killed(&scene, &program).await;
    let open = scene.store.open_uploads();

    program.configure(&archive(&scene).replace(BUCKET, OTHER_BUCKET));
    let printed = later(&program);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let said = format!("(with its earlier configuration: bucket_name = \"{BUCKET}\")");
    assert!(printed.stdout.contains(&open[0].upload_id), "{printed:?}");
    assert!(printed.stdout.contains(&said), "{printed:?}");
    assert_eq!(scene.store.open_uploads(), []);
    assert_eq!(program.runs_kept(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_stay_where_the_rules_of_today_do_not_reach() {
    let scene = scene().await;
    let program = Program::new(&archive(&scene));
    killed(&scene, &program).await;

    // The store moved to another name of this machine, and only that one is allowed now.
    let moved = archive(&scene).replace("127.0.0.1", "store.localhost");
    program.configure(&moved);
    let printed = later(&program);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(printed.stderr.contains("is still open"), "{printed:?}");
    assert!(!printed.stdout.contains("cleaned up"), "{printed:?}");
    assert!(printed.stderr.contains("its notes are kept in"), "{printed:?}");
    assert_eq!(scene.store.open_uploads().len(), 1);
    assert_eq!(program.runs_kept().len(), 1);

    // Back in the file, it is cleaned up.
    program.configure(&archive(&scene));
    let printed = later(&program);
    assert!(printed.stdout.contains("cleaned up 1 unfinished upload"), "{printed:?}");
    assert_eq!(scene.store.open_uploads(), []);
    assert_eq!(program.runs_kept(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_of_a_destination_that_was_renamed_are_named_with_every_run() {
    let scene = scene().await;
    let program = Program::new(&archive(&scene));
    killed(&scene, &program).await;
    program.configure(&configuration(&scene, "renamed", ROWS, ""));
    for _ in 0..2 {
        let printed = later(&program);
        assert_eq!(printed.code, Some(0), "{printed:?}");
        let said = "an earlier run of the destination `archive` may have left uploads open, and exports.toml has no such destination";
        assert!(printed.stderr.contains(said), "{printed:?}");
        assert!(printed.stderr.contains("ledger.sqlite (run archive-"), "{printed:?}");
        assert_eq!(scene.store.open_uploads().len(), 1);
    }
}

/// However many runs were left, and of whom, a run says it in a few lines and does not wait for each.
#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_runs_left_behind_is_told_in_a_few_lines() {
    const LEFT: usize = 1_200;
    let scene = scene().await;
    let program = Program::new(&archive(&scene));
    let state = program.ledger().state();
    for number in 0..LEFT {
        let header = Header {
            destination: "removed".to_owned(),
            id: format!("removed-{number}"),
            model: "events".to_owned(),
            start_micros: None,
            end_micros: 1,
        };
        let lease = state.lease(&header.id).expect("free");
        let configuration = serde_json::json!({ "bucket_name": BUCKET });
        let origin = Origin::new(header, format!("attempt-{number}"), configuration);
        let journal = lease.begin(&origin).expect("a journal");
        journal.note(b"begun\n\nx", true).expect("kept");
    }
    let begun = std::time::Instant::now();
    let printed = later(&program);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert_eq!(printed.stderr.matches("warning: ").count(), 1, "{printed:?}");
    let said = "1,200 earlier runs of the destination `removed` may have left uploads open";
    assert!(printed.stderr.contains(said), "{printed:?}");
    assert_eq!(program.runs_kept().len(), LEFT);
    assert!(begun.elapsed() < std::time::Duration::from_secs(30));
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_that_cannot_be_read_are_named_and_kept() {
    let scene = scene().await;
    let program = Program::new(&archive(&scene));
    killed(&scene, &program).await;
    let file = program.folder.path().join(".batch-export/ledger.sqlite");
    let damage = |sql| rusqlite::Connection::open(&file).and_then(|ledger| ledger.execute(sql, []));
    damage("UPDATE journals SET origin = 'x'").expect("damaged");
    let printed = later(&program);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(printed.stderr.contains(", which cannot be read: "), "{printed:?}");
    assert_eq!(program.runs_kept().len(), 1);

    // Nobody but a person can mend them: they do not stand in the way of a run, nor of the check before it.
    program.configure(&archive(&scene).replace("check = \"on_request\"", "check = \"automatic\""));
    let printed = program.start_export("00:00:00", "01:00:00", &[]).wait();
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(printed.stderr.contains(", which cannot be read: "), "{printed:?}");
    let kept = program.runs_kept();
    assert_eq!(kept.len(), 1);
    let printed = program.run(&["ledger", "forget", &kept[0], "--config", "exports.toml"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert_eq!(program.runs_kept(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_that_cannot_be_used_is_named_with_its_setting() {
    let scene = scene().await;
    let program = Program::new(&archive(&scene));
    let state = |value: &str| format!("state_dir = \"{value}\"\n{}", archive(&scene));
    fs::create_dir(program.folder.path().join("open")).expect("a folder");
    let open = program.folder.path().join("open");
    fs::set_permissions(open, fs::Permissions::from_mode(0o777)).expect("a mode");
    for (folder, problem, remedy) in [
        (
            "exports.toml/x",
            "not a directory",
            "let `state_dir` name a folder that this program can write to",
        ),
        (
            "/proc/x",
            "no such file or directory",
            "let `state_dir` name a folder that this program can write to",
        ),
        (
            "open",
            "other users can write to it (its mode is 777)",
            "run `chmod go-w open`",
        ),
    ] {
        program.configure(&state(folder));
        let printed = later(&program);
        assert_eq!(printed.code, Some(1), "{printed:?}");
        let begin = format!("error: cannot keep the ledger in {folder}: {problem}");
        assert!(printed.stderr.contains(&begin), "{printed:?}");
        assert!(printed.stderr.contains(remedy), "{printed:?}");
        assert_eq!(scene.store.keys(BUCKET), Vec::<String>::new());
    }
}

#[test]
fn a_demo_leaves_nothing_behind_unless_it_is_asked_to() {
    let mut program = Program::new("");
    let temporary = program.folder.path().join("temporary");
    fs::create_dir(&temporary).expect("a folder");
    let path = temporary.display().to_string();
    program.environment = vec![("TMPDIR".to_owned(), path)];
    let component = batch_export_tests::components::destination();
    let component = component.to_str().expect("UTF-8");
    let demo = |further: &[&str]| {
        let arguments = ["demo", "--rows", "100", "--hours", "1", "--component", component];
        let printed = program.run(&[&arguments, further].concat());
        assert_eq!(printed.code, Some(0), "{printed:?}");
        let left = fs::read_dir(&temporary).expect("a list").count();
        (printed.stdout, left)
    };
    let (said, left) = demo(&[]);
    assert_eq!(left, 0, "{said}");
    assert!(said.contains(" demo --folder demo\n"), "{said}");
    let (json, left) = demo(&["--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((left, &json["folder"]), (0, &serde_json::Value::Null));
    let (said, left) = demo(&["--keep"]);
    assert_eq!(left, 1, "{said}");
    assert!(said.contains("the files are in\n  "), "{said}");
    // A demo that fails cleans up as well.
    let printed = program.run(&["demo", "--component", "exports.toml"]);
    assert_eq!(printed.code, Some(2), "{printed:?}");
    assert_eq!(fs::read_dir(&temporary).expect("a list").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_open_is_said_once() {
    let scene = scene().await;
    let program = Program::new(&archive(&scene));
    let refused = |operation| Fault::on(operation, What::Status(403, "AccessDenied".to_owned()));
    scene.store.set_faults(vec![
        refused(Operation::UploadPart),
        refused(Operation::AbortMultipartUpload),
    ]);
    let printed = program.export(&[]);
    assert_eq!(printed.code, Some(1), "{printed:?}");
    let open = &scene.store.open_uploads()[0].upload_id;
    assert_eq!(printed.stderr.matches(open.as_str()).count(), 1, "{printed:?}");
    let told = format!("\nleft open until the next run: upload `{open}` of `");
    assert!(printed.stderr.contains(&told), "{printed:?}");
    assert!(
        printed
            .stderr
            .contains("\n    hint: grant s3:AbortMultipartUpload on `"),
        "{printed:?}"
    );
}
