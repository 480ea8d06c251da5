//! Work that is cancelled while somebody does not answer or does not end: it returns within a second, measured from the
//! cancellation to the return.

use std::time::{Duration, Instant};

use batch_export_runner::exporter::Exporter;
use batch_export_runner::{Compare, Failure, FailureClass, RunTokens, Runner, Runtime, StateMemory};
use batch_export_source::Interval;
use batch_export_tests::program::configuration;
use batch_export_tests::scene::Scene;
use devstore::{Fault, Operation, What};

/// The promise is a second. Threads that have just been told so share two processors with the other tests, and each may
/// have to wait for its turn a few times.
const PROMISE: Duration = Duration::from_millis(1_000 + 500);

fn hour() -> Interval {
    Interval::parse("2023-07-28T00:00Z", "2023-07-28T01:00Z").expect("an hour")
}

async fn archive(scene: &Scene, rows: usize, fields: &str) -> Exporter {
    scene.exporter(&configuration(scene, "archive", rows, fields)).await
}

fn runner() -> Runner {
    Runner::new(Runtime::default(), StateMemory::default())
}

async fn until_asked(scene: &Scene, operation: Operation) {
    while !scene
        .store
        .requests()
        .iter()
        .any(|request| request.operation == operation)
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Cancels what goes on, and returns how it ended, within what was promised.
async fn cancelled<T: std::fmt::Debug + Send + 'static>(
    what: &str,
    tokens: &RunTokens,
    work: tokio::task::JoinHandle<Result<T, Failure>>,
) -> Failure {
    assert!(!work.is_finished(), "{what} ended by itself: {:?}", work.await);
    let told = Instant::now();
    tokens.work.cancel();
    let ended = work.await.expect("no panic");
    let took = told.elapsed();
    let failure = ended.expect_err("it was cancelled");
    assert_eq!(failure.class(), FailureClass::Cancelled, "{what}: {failure}");
    assert!(took < PROMISE, "{what} took {took:?}");
    failure
}

#[tokio::test(flavor = "multi_thread")]
async fn check_and_verify_end_within_a_second_when_the_store_never_answers() {
    let scene = Scene::new().await;
    scene
        .store
        .set_faults(vec![Fault::on(Operation::HeadObject, What::Hang)]);
    let exporter = archive(&scene, 10, "").await;
    for what in ["check", "verify"] {
        scene.store.clear_requests();
        let (tokens, exporter) = (RunTokens::new(), exporter.clone());
        let given = tokens.clone();
        let work = tokio::spawn(async move {
            match what {
                "check" => runner().check(&exporter, hour(), &given).await.map(|_| ()),
                _ => {
                    let compare = Compare::FilesOnly;
                    let watch = std::sync::Arc::new(|_| {});
                    let runner = runner();
                    let verified = runner.verify(&exporter, hour(), compare, &given.work, watch);
                    verified.await.map(|_| ())
                }
            }
        });
        until_asked(&scene, Operation::HeadObject).await;
        cancelled(what, &tokens, work).await;
    }
}

/// No file is there, so all rows of the source are counted, of which there is no end.
#[tokio::test(flavor = "multi_thread")]
async fn verify_ends_within_a_second_when_the_source_never_ends() {
    let scene = Scene::new().await;
    let exporter = archive(&scene, 3_600_000_000, "").await;
    let tokens = RunTokens::new();
    let given = tokens.clone();
    let work = tokio::spawn(async move {
        let watch = std::sync::Arc::new(|_| {});
        let runner = runner();
        let verified = runner.verify(&exporter, hour(), Compare::WithSource, &given.work, watch);
        verified.await.map(|_| ())
    });
    until_asked(&scene, Operation::HeadObject).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    cancelled("verify", &tokens, work).await;
}

/// Leaves an upload open, and the notes of it.
async fn leave_open(scene: &Scene, runner: &Runner, exporter: &Exporter) {
    scene
        .store
        .set_faults(vec![Fault::on(Operation::UploadPart, What::Hang)]);
    let tokens = RunTokens::new();
    let (given, runner, exporter) = (tokens.clone(), runner.clone(), exporter.clone());
    let work = tokio::spawn(async move { runner.run(&exporter, hour(), &given).await });
    until_asked(scene, Operation::UploadPart).await;
    tokens.clean_up.cancel();
    cancelled("run", &tokens, work).await;
    assert_eq!(scene.store.open_uploads().len(), 1);
    scene
        .store
        .set_faults(vec![Fault::on(Operation::AbortMultipartUpload, What::Hang)]);
    scene.store.clear_requests();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_within_a_second_while_it_cleans_up_after_an_earlier_one() {
    let scene = Scene::new().await;
    let exporter = archive(&scene, 60_000, "").await;
    let runner = runner();
    leave_open(&scene, &runner, &exporter).await;
    let tokens = RunTokens::new();
    let given = tokens.clone();
    let work = tokio::spawn(async move { runner.run(&exporter, hour(), &given).await });
    until_asked(&scene, Operation::AbortMultipartUpload).await;
    cancelled("run", &tokens, work).await;
    assert_eq!(scene.store.open_uploads().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn cleaning_up_that_gets_no_answer_keeps_no_run_from_beginning() {
    let scene = Scene::new().await;
    let exporter = archive(&scene, 60_000, "").await;
    let runner = runner();
    leave_open(&scene, &runner, &exporter).await;
    let begun = Instant::now();
    let report = runner
        .run(&exporter, hour(), &RunTokens::new())
        .await
        .expect("it completes");
    let left_open = &report.recovery.left_open;
    let said = "not cleaned up within 10 s, because the store does not respond; its notes are kept";
    assert!(
        left_open.len() == 1 && left_open[0].reason.contains(said),
        "{left_open:?}"
    );
    assert!(begun.elapsed() >= Duration::from_secs(10), "{:?}", begun.elapsed());
    scene.store.set_faults(Vec::new());
    let report = runner
        .run(&exporter, hour(), &RunTokens::new())
        .await
        .expect("it completes");
    assert_eq!((report.recovery.aborted.len(), report.recovery.left_open.len()), (1, 0));
    assert_eq!(scene.store.open_uploads(), []);
}
