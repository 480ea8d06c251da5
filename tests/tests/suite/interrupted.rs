//! Runs that end in the middle: killed without warning, and interrupted from the keyboard. Whatever happened, nothing
//! stays open and the next run is whole.

use std::time::Duration;

use batch_export_tests::program::{Program, Running, configuration};
use batch_export_tests::scene::{BUCKET, Scene};
use devstore::{Fault, Operation, What};

/// Enough for several parts of the usual 8 MiB.
const ROWS: usize = 60_000;

/// JSON Lines in one large file.
fn one_file(scene: &Scene, name: &str) -> String {
    configuration(scene, name, ROWS, "manifest = \"detailed\"")
}

/// Start a run whose parts are never answered, and return once one of them is on its way.
async fn hanging(scene: &Scene, program: &Program) -> Running {
    let hang = Fault::on(Operation::UploadPart, What::Hang);
    scene.store.set_faults(vec![hang]);
    let mut running = program.start_export("00:00:00", "01:00:00", &["--quiet"]);
    loop {
        let requests = scene.store.requests();
        if requests
            .iter()
            .any(|request| request.operation == Operation::UploadPart)
        {
            break;
        }
        if !running.is_running() {
            panic!("it ended before its first part: {:?}", running.wait());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(scene.store.open_uploads().len(), 1);
    running
}

/// Rows of all files under the prefix, which must be whole: each row once.
fn assert_whole(scene: &Scene, folder: &str) {
    let mut uuids = Vec::new();
    for key in scene.store.keys(BUCKET) {
        if key.starts_with(folder) && key.ends_with(".jsonl") {
            let object = scene.store.object(BUCKET, &key).expect("an object");
            for row in batch_export_tests::read::json_lines(&key, &object.bytes) {
                uuids.push(row["uuid"].as_str().expect("a uuid").to_owned());
            }
        }
    }
    assert_eq!(uuids.len(), ROWS);
    uuids.sort();
    uuids.dedup();
    assert_eq!(uuids.len(), ROWS, "some rows are there twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_is_cleaned_up_by_the_next_one_and_ends_whole() {
    let scene = Scene::new().await;
    let program = Program::new(&one_file(&scene, "archive"));
    let killed = hanging(&scene, &program).await.kill();
    assert_eq!(killed.code, None, "{killed:?}");
    let open = scene.store.open_uploads();
    assert_eq!(open.len(), 1, "the kill should have left its upload");
    assert_eq!(program.runs_kept().len(), 1, "the run's notes are kept");

    scene.store.set_faults(Vec::new());
    let printed = program.export(&["--json"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let report: serde_json::Value = serde_json::from_str(&printed.stdout).expect("JSON");
    assert_eq!(report["rows_supplied"], ROWS);
    let aborted = report["recovery"]["aborted"].to_string();
    assert!(aborted.contains(&open[0].upload_id), "{aborted}");
    assert_eq!(scene.store.open_uploads(), []);
    assert_eq!(program.runs_kept(), Vec::<String>::new());
    assert_whole(&scene, "archive/");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_interval_sweeps_what_a_killed_run_left_and_another_destination_does_not() {
    let scene = Scene::new().await;
    let program = Program::new(&one_file(&scene, "archive"));
    hanging(&scene, &program).await.kill();
    let open = scene.store.open_uploads();
    scene.store.set_faults(Vec::new());

    // It may have other credentials and another bucket: it must keep its hands off.
    program.configure(&one_file(&scene, "other"));
    let printed = program.start_export("02:00:00", "02:01:00", &[]).wait();
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert_eq!(scene.store.open_uploads(), open);

    program.configure(&one_file(&scene, "archive"));
    let printed = program.start_export("02:00:00", "02:01:00", &[]).wait();
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(printed.stdout.contains(&open[0].upload_id), "{printed:?}");
    assert_eq!(scene.store.open_uploads(), []);
    assert_eq!(program.runs_kept(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_leaves_nothing_open_and_says_so_by_its_exit_code() {
    for (signal, code, words) in [
        ("INT", 130, "error: interrupted\n"),
        ("TERM", 143, "error: terminated by SIGTERM\nhint: run it again\n"),
        ("HUP", 129, "error: terminated by SIGHUP\nhint: run it again\n"),
    ] {
        let scene = Scene::new().await;
        let program = Program::new(&one_file(&scene, "archive"));
        let running = hanging(&scene, &program).await;
        running.signal(signal);
        let printed = running.wait();
        assert_eq!(printed.code, Some(code), "{signal}: {printed:?}");
        assert!(printed.stderr.contains(words), "{signal}: {printed:?}");
        assert_eq!(scene.store.open_uploads(), []);
        assert_eq!(scene.store.keys(BUCKET), Vec::<String>::new());
        assert_eq!(program.runs_kept(), Vec::<String>::new());
    }
}

/// The first start with a component compiles it for seconds. A signal by then ends the command in order as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_still_compiles_ends_in_order() {
    let scene = Scene::new().await;
    let component = batch_export_tests::components::destination();
    let component = component.to_str().expect("UTF-8");
    let chosen = ["--config", "exports.toml", "--component", component, "--json"];
    let interval = ["--start", "2023-07-28T00:00:00Z", "--end", "2023-07-28T01:00:00Z"];
    for (command, interval) in [("run", &interval[..]), ("check", &[]), ("verify", &interval[..])] {
        let mut program = Program::new(&one_file(&scene, "archive"));
        let cache = tempfile::tempdir().expect("a folder");
        let path = cache.path().to_str().expect("UTF-8").to_owned();
        program.environment.push(("XDG_CACHE_HOME".to_owned(), path));
        let arguments: Vec<&str> = [command]
            .into_iter()
            .chain(chosen)
            .chain(interval.iter().copied())
            .collect();
        let running = program.start(&arguments);
        tokio::time::sleep(Duration::from_secs(1)).await;
        running.signal("TERM");
        let printed = running.wait();
        assert_eq!(printed.code, Some(143), "{command}: {printed:?}");
        let answer: serde_json::Value = serde_json::from_str(&printed.stdout).expect("one object");
        assert_eq!(answer["error"]["code"], "shut_down", "{command}: {answer}");
        assert!(scene.store.requests().is_empty(), "{command}");
    }
}

/// It has nothing open, so nothing is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_only_reads_ends_with_the_first_signal() {
    let scene = Scene::new().await;
    let program = Program::new(&one_file(&scene, "archive"));
    scene
        .store
        .set_faults(vec![Fault::on(Operation::GetObject, What::Hang)]);
    let component = batch_export_tests::components::destination();
    for (signal, json, code, class) in [
        ("INT", false, 130, "cancelled"),
        ("INT", true, 130, "cancelled"),
        ("TERM", false, 143, "shut_down"),
        ("TERM", true, 143, "shut_down"),
    ] {
        scene.store.clear_requests();
        let command = [
            "verify",
            "--config",
            "exports.toml",
            "--component",
            component.to_str().expect("UTF-8"),
            "--start",
            "2023-07-28T00:00:00Z",
            "--end",
            "2023-07-28T01:00:00Z",
        ];
        let form = json.then_some("--json");
        let arguments: Vec<&str> = command.into_iter().chain(form).collect();
        let mut running = program.start(&arguments);
        while scene.store.requests().is_empty() {
            assert!(running.is_running(), "{:?}", running.wait());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        running.signal(signal);
        let printed = running.wait();
        assert_eq!(printed.code, Some(code), "{signal}: {printed:?}");
        assert!(printed.stderr.contains("failed: archive, 2023-07-28T00"), "{printed:?}");
        let answer = serde_json::from_str::<serde_json::Value>(&printed.stdout);
        assert_eq!(answer.is_ok(), json, "{printed:?}");
        let Ok(answer) = answer else { continue };
        assert_eq!(answer["error"]["class"], class, "{answer}");
        assert_eq!(answer["error"]["code"], class, "{answer}");
        assert_eq!(answer["error"]["exit_code"], code, "{answer}");
        assert_eq!(answer["destination"], "archive", "{answer}");
        assert_eq!(answer["bucket"], BUCKET, "{answer}");
        assert_eq!(answer["interval"]["end"], "2023-07-28T01:00:00+00:00", "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_cleaned_up_now_is_named_and_cleaned_up_later() {
    let scene = Scene::new().await;
    let program = Program::new(&one_file(&scene, "archive"));
    let running = hanging(&scene, &program).await;
    let upload_id = scene.store.open_uploads()[0].upload_id.clone();
    let refuse = What::Status(403, "AccessDenied".to_owned());
    scene.store.set_faults(vec![
        Fault::on(Operation::UploadPart, What::Hang),
        Fault::on(Operation::AbortMultipartUpload, refuse),
    ]);
    running.interrupt();
    let printed = running.wait();
    assert_eq!(printed.code, Some(130), "{printed:?}");
    assert!(printed.stderr.contains(&upload_id), "{printed:?}");
    assert_eq!(scene.store.open_uploads().len(), 1);

    scene.store.set_faults(Vec::new());
    let printed = program.export(&[]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert_eq!(scene.store.open_uploads(), []);
    assert_whole(&scene, "archive/");
}

#[tokio::test(flavor = "multi_thread")]
async fn cleaning_up_ends_soon_after_the_first_signal_and_at_once_after_the_second() {
    for signals in [["INT", ""], ["TERM", ""], ["INT", "INT"], ["INT", "TERM"]] {
        let scene = Scene::new().await;
        let program = Program::new(&one_file(&scene, "archive"));
        let running = hanging(&scene, &program).await;
        scene.store.set_faults(vec![
            Fault::on(Operation::UploadPart, What::Hang),
            Fault::on(Operation::AbortMultipartUpload, What::Hang),
        ]);
        let upload_id = scene.store.open_uploads()[0].upload_id.clone();
        running.signal(signals[0]);
        while !scene
            .store
            .requests()
            .iter()
            .any(|request| request.operation == Operation::AbortMultipartUpload)
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let said = match signals[1] {
            "" => "not cleaned up within 5 s of the interruption",
            second => {
                running.signal(second);
                "cleaning up was interrupted as well"
            }
        };
        // The store never answers, so an end within the test's time shows that nobody waits for it.
        let printed = running.wait();
        let code = if signals[0] == "TERM" { 143 } else { 130 };
        assert_eq!(printed.code, Some(code), "{signals:?}: {printed:?}");
        assert!(printed.stderr.contains(said), "{signals:?}: {printed:?}");
        assert!(printed.stderr.contains("its notes are kept in"), "{printed:?}");
        // By hand, it can be aborted with what is said.
        assert!(printed.stderr.contains(&upload_id), "{printed:?}");
        assert!(printed.stderr.contains("archive/2023-07-28"), "{printed:?}");
        assert_eq!(program.runs_kept().len(), 1, "{signals:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_says_now_and_then_that_the_store_is_down() {
    let scene = Scene::new().await;
    let program = Program::new(&configuration(&scene, "archive", 100, ""));
    let down = What::Status(503, "SlowDown".to_owned());
    scene.store.set_faults(vec![Fault::on(Operation::PutObject, down)]);
    let mut running = program.start_export("00:00:00", "01:00:00", &[]);
    // The seventh attempt comes more than five seconds after the first.
    while scene.store.requests().len() < 8 {
        assert!(running.is_running(), "it ended too early");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    scene.store.set_faults(Vec::new());
    let printed = running.wait();
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let lines = printed.stderr.lines();
    let told: Vec<&str> = lines.filter(|line| line.starts_with("retrying: PUT ")).collect();
    assert!((1..=2).contains(&told.len()), "{printed:?}");
    assert!(told[0].contains("status 503"), "{printed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_with_its_time_and_cleans_up() {
    let scene = Scene::new().await;
    let limited = format!("{}limits.run_time_s = 1\n", one_file(&scene, "archive"));
    let program = Program::new(&limited);
    let hang = Fault::on(Operation::UploadPart, What::Hang);
    scene.store.set_faults(vec![hang]);
    let printed = program.export(&[]);
    assert_eq!(printed.code, Some(1), "{printed:?}");
    let said = "error: the run took longer than 1 s\nhint: raise `run_time_s`";
    assert!(printed.stderr.contains(said), "{printed:?}");
    assert_eq!(scene.store.open_uploads(), []);
    assert_eq!(program.runs_kept(), Vec::<String>::new());
}
