//! Stores that fail, lie, or tell another time: whatever they do, rows arrive once or the run says why they did not.

use std::time::Duration;

use batch_export_sandbox::Limits;
use batch_export_sandbox::Secret;
use batch_export_tests::read;
use batch_export_tests::rows::{Event, events_batch, plain_events, rebatched};
use batch_export_tests::scene::{ACCESS_KEY, BUCKET, Messages, Outcome, SECRET_KEY, Scene};
use devstore::{Fault, Identity, Operation, Options, What};
use serde_json::{Value, json};

/// Enough for several parts of the usual 8 MiB.
const SEVERAL_PARTS: usize = 60_000;

/// The usual limits, but for back-off: what is tested is what is sent again, not the waiting in between.
fn impatient() -> Limits {
    let mut limits = Limits::default();
    limits.http.delay = Duration::from_millis(1);
    limits
}

async fn export(scene: &Scene, further: Value, events: &[Event]) -> Outcome {
    let configuration = scene.configuration("exports/", further);
    let messages = Messages::of(&rebatched(&events_batch(events), &[10_000]));
    scene
        .run(&scene.destination(), &configuration, &messages, impatient())
        .await
}

/// Each row once, in order, and no object or upload beside.
fn assert_whole(scene: &Scene, outcome: &Outcome, events: &[Event]) {
    let files = scene.files(outcome);
    let mut uuids = Vec::new();
    for (key, bytes) in &files {
        if key.ends_with(".jsonl") {
            let text = std::str::from_utf8(bytes).expect("UTF-8");
            let uuid = |line: &str| line.split('"').nth(3).expect("a uuid").to_owned();
            uuids.extend(text.lines().map(uuid));
        } else {
            let batch = read::parquet(bytes);
            let column = arrow::array::AsArray::as_string::<i32>(batch.column(0));
            uuids.extend(column.iter().map(|uuid| uuid.expect("a uuid").to_owned()));
        }
    }
    assert_eq!(uuids.len(), events.len());
    for (row, (found, event)) in uuids.iter().zip(events).enumerate() {
        assert_eq!(Some(found), event.uuid.as_ref(), "row {row}");
    }
    let mut keys: Vec<String> = files.into_iter().map(|(key, _)| key).collect();
    keys.extend(outcome.report().manifest_key.clone());
    keys.sort();
    assert_eq!(scene.store.keys(BUCKET), keys);
    assert_eq!(scene.store.open_uploads(), []);
}

/// A fifth of all requests is told to slow down, a tenth is cut: half of them after they had their effect.
fn lossy(seed: u64) -> Vec<Fault> {
    let slow_down = What::Status(503, "SlowDown".to_owned());
    vec![
        Fault::always(slow_down).share(0.2, seed),
        Fault::always(What::CutBeforeEffect).share(0.05, seed + 1),
        Fault::always(What::CutAfterEffect).share(0.05, seed + 2),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_a_third_of_the_time_loses_nothing_and_doubles_nothing() {
    let events = plain_events(200_000);
    for (seed, further) in [
        (11, json!({"max_file_size_mb": 20})),
        (
            23,
            json!({"file_format": "Parquet", "compression": "none", "max_file_size_mb": 1}),
        ),
    ] {
        let scene = Scene::with(Options {
            faults: lossy(seed),
            ..Options::default()
        })
        .await;
        let outcome = export(&scene, further, &events).await;
        let report = outcome.report();
        assert_eq!(report.rows_exported, 200_000, "seed {seed}");
        assert!(report.retries > 0, "seed {seed}: nothing went wrong");
        assert_whole(&scene, &outcome, &events);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_lie_once_are_asked_again() {
    let events = plain_events(SEVERAL_PARTS);
    let internal = What::OkWithErrorBody("InternalError".to_owned());
    for (operation, what) in [
        (Operation::CompleteMultipartUpload, internal),
        (Operation::CompleteMultipartUpload, What::GarbageBody),
        (Operation::CompleteMultipartUpload, What::TruncatedBody),
        (Operation::CompleteMultipartUpload, What::CutAfterEffect),
        (Operation::CreateMultipartUpload, What::GarbageBody),
        (Operation::CreateMultipartUpload, What::TruncatedBody),
        (Operation::CreateMultipartUpload, What::CutAfterEffect),
        (Operation::UploadPart, What::CutAfterEffect),
    ] {
        let scene = Scene::new().await;
        let fault = Fault::on(operation, what.clone()).first(1);
        scene.store.set_faults(vec![fault]);
        let outcome = export(&scene, json!({}), &events).await;
        outcome.report();
        assert_whole(&scene, &outcome, &events);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_always_lie_end_in_an_error_that_names_them() {
    let events = plain_events(SEVERAL_PARTS);
    let denied = What::OkWithErrorBody("AccessDenied".to_owned());
    let cases: [(Operation, What, &[&str]); 4] = [
        (
            Operation::UploadPart,
            What::WrongETag,
            &["CompleteMultipartUpload", "InvalidPart"],
        ),
        (
            Operation::CreateMultipartUpload,
            What::GarbageBody,
            &["CreateMultipartUpload", "attempts"],
        ),
        (
            Operation::CompleteMultipartUpload,
            denied,
            &["CompleteMultipartUpload", "AccessDenied"],
        ),
        (
            Operation::UploadPart,
            What::Status(507, "XMinioStorageFull".to_owned()),
            &["UploadPart", "XMinioStorageFull", "507"],
        ),
    ];
    for (operation, what, words) in cases {
        let scene = Scene::new().await;
        scene.store.set_faults(vec![Fault::on(operation, what.clone())]);
        let outcome = export(&scene, json!({}), &events).await;
        let error = outcome.error();
        for word in words {
            assert!(error.contains(word), "{what:?}: {error}");
        }
        assert_eq!(scene.store.keys(BUCKET), Vec::<String>::new(), "{what:?}");
        if what != What::GarbageBody {
            assert_eq!(scene.store.open_uploads(), [], "{what:?}");
            continue;
        }
        // Nobody was told their ids: the notes name the key, and a fresh instance finds them by it.
        scene.store.set_faults(Vec::new());
        let configuration = scene.configuration("exports/", json!({}));
        let plugin = scene.destination();
        let recovery = scene.recover(&plugin, &configuration, outcome.notes);
        recovery.await.expect("it recovers");
        assert_eq!(scene.store.open_uploads(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_corrected_once() {
    let events = plain_events(SEVERAL_PARTS);
    for clock_offset_seconds in [3 * 3600, -20 * 3600] {
        let scene = Scene::with(Options {
            clock_offset_seconds,
            ..Options::default()
        })
        .await;
        let outcome = export(&scene, json!({}), &events).await;
        outcome.report();
        assert_whole(&scene, &outcome, &events);
        let statuses: Vec<_> = scene.store.requests().iter().map(|r| r.status).collect();
        assert_eq!(statuses[0], Some(403), "the store did not mind");
        let refused = statuses.iter().filter(|status| **status == Some(403));
        assert_eq!(refused.count(), 1, "{statuses:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_by_more_than_a_day_is_for_a_person_to_set() {
    let scene = Scene::with(Options {
        clock_offset_seconds: 26 * 3600,
        ..Options::default()
    })
    .await;
    let outcome = export(&scene, json!({}), &plain_events(10)).await;
    let error = outcome.error();
    assert!(error.contains("correct this machine's clock"), "{error}");
    assert_eq!(scene.store.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_token_goes_with_every_request_and_appears_nowhere_else() {
    let identity = |token: &str| vec![Identity::new(ACCESS_KEY, SECRET_KEY).with_session_token(token)];
    let token = "CANARY-session-token/1+2==";
    let mut scene = Scene::with(Options {
        identities: identity(token),
        ..Options::default()
    })
    .await;
    let events = plain_events(SEVERAL_PARTS);
    let split = json!({"max_file_size_mb": 20});
    let without = export(&scene, split.clone(), &events).await;
    assert!(without.error().contains("403"), "{}", without.error());

    scene.credentials.session_token = Some(Secret::new(token));
    scene.store.clear_requests();
    let outcome = export(&scene, split.clone(), &events).await;
    outcome.report();
    assert_whole(&scene, &outcome, &events);
    for request in scene.store.requests() {
        let sent = request.header("x-amz-security-token");
        assert!(sent.is_some(), "{} {}", request.method, request.path);
    }
    assert!(!format!("{outcome:?}").contains("CANARY"));

    scene.store.set_identities(identity("another"));
    let refused = export(&scene, split.clone(), &events).await;
    assert!(!format!("{refused:?}").contains("CANARY"));

    scene.store.set_identities(identity(token));
    scene.store.expire(ACCESS_KEY);
    let expired = export(&scene, split, &events).await;
    let error = expired.error();
    assert!(error.contains("ExpiredToken"), "{error}");
    assert!(!format!("{expired:?}").contains("CANARY"));
}
