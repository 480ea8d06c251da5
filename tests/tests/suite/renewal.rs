//! Credentials that end while a run goes on: the host asks for new ones in time, or when the store says so; rows arrive
//! once either way.

use std::collections::BTreeSet;
use std::time::Duration;

use batch_export_tests::keys::{CANARY, CONTAINER_AUTHORIZATION, Issue, Mood, StandIn, keys};
use batch_export_tests::program::{Printed, Program, keyless};
use batch_export_tests::scene::{BUCKET, Scene};
use devstore::{Fault, Operation, What};
use serde_json::Value;

/// Some ten parts of the usual 8 MiB.
const ROWS: usize = 100_000;
const HOUR: Duration = Duration::from_secs(3600);
/// Waiting for each part, so that the run outlasts keys that end after [`SHORT`].
const PART_DELAY_MS: u64 = 1000;
const SHORT: Duration = Duration::from_millis(1200);

/// Export with keys from a container's endpoint.
fn export(scene: &Scene, stand_in: &StandIn) -> (Program, Printed) {
    let mut program = Program::new(&keyless(scene, "exports", ROWS, ""));
    let variables = [
        ("FULL_URI", stand_in.url("/container")),
        ("TOKEN", CONTAINER_AUTHORIZATION.to_owned()),
    ];
    for (name, value) in variables {
        let name = match name {
            "TOKEN" => "AWS_CONTAINER_AUTHORIZATION_TOKEN".to_owned(),
            name => format!("AWS_CONTAINER_CREDENTIALS_{name}"),
        };
        program.environment.push((name, value));
    }
    let printed = program.export(&["--json"]);
    assert!(!format!("{printed:?}").contains(CANARY), "{printed:?}");
    (program, printed)
}

/// Every row once, in one object of several parts, and nothing beside it.
#[track_caller]
fn assert_whole(scene: &Scene, printed: &Printed) {
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let report: Value = serde_json::from_str(&printed.stdout).expect("JSON");
    assert_eq!(report["rows_supplied"], ROWS);
    let [object] = &scene.store.objects(BUCKET)[..] else {
        panic!("{:?}", scene.store.keys(BUCKET))
    };
    assert!(object.part_sizes_bytes.len() > 5, "{object:?}");
    let bytes = scene.bytes(&object.key);
    let text = std::str::from_utf8(&bytes).expect("UTF-8");
    let rows: BTreeSet<&str> = text.lines().collect();
    assert_eq!((rows.len(), text.lines().count()), (ROWS, ROWS));
    assert_eq!(scene.store.open_uploads(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_end_are_replaced_in_time_and_the_store_sees_no_expired_one() {
    let scene = Scene::new().await;
    let stand_in = StandIn::start(Mood::Issues(|count| Issue {
        generation: count,
        valid_for: if count == 1 { SHORT } else { HOUR },
    }))
    .await;
    let generations = [1, 2].map(|generation| keys("container", generation).identity());
    scene.store.set_identities(generations.into());
    let slow = Fault::on(Operation::UploadPart, What::Delay(PART_DELAY_MS));
    scene.store.set_faults(vec![slow]);
    let (_program, printed) = export(&scene, &stand_in);
    assert_whole(&scene, &printed);
    assert_eq!(stand_in.issued("container"), 2);
    let requests = scene.store.requests();
    assert!(
        // 404: keys at which an earlier run may have left a file, and did not.
        requests.iter().all(|r| matches!(r.status, Some(200 | 404))),
        "{requests:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_the_store_calls_expired_are_replaced_once_for_all_parts_under_way() {
    let scene = Scene::new().await;
    let stand_in = StandIn::start(Mood::Issues(|count| Issue {
        generation: count,
        valid_for: HOUR,
    }))
    .await;
    let [first, second] = [1, 2].map(|generation| keys("container", generation).identity());
    scene.store.set_identities(vec![first.expiring_after(4), second]);
    let (_program, printed) = export(&scene, &stand_in);
    assert_whole(&scene, &printed);
    assert_eq!(stand_in.issued("container"), 2, "several parts learn of one expiry");
    let statuses: Vec<_> = scene.store.requests().iter().map(|r| r.status).collect();
    let refused = statuses.iter().filter(|status| **status == Some(400)).count();
    // Each of the four in flight, and once more when it learnt nothing but a cut connection.
    assert!((1..=8).contains(&refused), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_that_are_the_old_ones_end_the_run_and_nothing_is_left() {
    let scene = Scene::new().await;
    let stand_in = StandIn::start(batch_export_tests::keys::LASTING).await;
    let only = keys("container", 1).identity();
    scene.store.set_identities(vec![only.expiring_after(4)]);
    let (_program, printed) = export(&scene, &stand_in);
    assert_eq!(printed.code, Some(1), "{printed:?}");
    assert!(printed.stderr.contains("ExpiredToken"), "{printed:?}");
    assert_eq!(scene.store.keys(BUCKET), Vec::<String>::new());
    // Each request in flight may ask once, none asks without end.
    assert!(
        (2..=12).contains(&stand_in.issued("container")),
        "{}",
        stand_in.issued("container")
    );
}
