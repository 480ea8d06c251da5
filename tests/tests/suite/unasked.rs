//! The check that a run makes by itself: before the first run with some settings, and for an interval without rows.

use batch_export_tests::program::{Printed, Program, configuration};
use batch_export_tests::scene::{ACCESS_KEY, BUCKET, SECRET_KEY, Scene};
use devstore::{Fault, Identity, Operation, Permission, What};

/// One row an hour: the half hour after it has none.
const ROWS_PER_HOUR: usize = 1;

/// A destination that is tried unasked, as it is unless configured.
fn automatic(scene: &Scene) -> String {
    configuration(scene, "exports", ROWS_PER_HOUR, "").replace("check = \"on_request\"\n", "")
}

fn with_rows(program: &Program) -> Printed {
    program.export(&[])
}

fn without_rows(program: &Program) -> Printed {
    program.start_export("00:30:00", "00:45:00", &[]).wait()
}

/// What the store was asked, and is forgotten to have been asked.
fn asked(scene: &Scene) -> Vec<Operation> {
    let requests = scene.store.requests();
    scene.store.clear_requests();
    requests.iter().map(|request| request.operation).collect()
}

/// An abort is sent twice: a part that was in flight at the first may be stored after it.
const FULL: [Operation; 8] = [
    Operation::HeadObject,
    Operation::PutObject,
    Operation::GetObject,
    Operation::CreateMultipartUpload,
    Operation::UploadPart,
    Operation::AbortMultipartUpload,
    Operation::AbortMultipartUpload,
    Operation::DeleteObject,
];
/// An export without rows looks for what an earlier one left: under its first file's key, and under those of every
/// other format, codec and splitting.
const LOOK: [Operation; 21] = [Operation::HeadObject; 21];
const TRACELESS: [Operation; 5] = [
    Operation::HeadObject,
    Operation::CreateMultipartUpload,
    Operation::UploadPart,
    Operation::AbortMultipartUpload,
    Operation::AbortMultipartUpload,
];

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_is_tried_before_its_first_run_and_when_its_settings_change() {
    let scene = Scene::new().await;
    let program = Program::new(&automatic(&scene));
    for (settings, tried) in [
        (automatic(&scene), true),
        (automatic(&scene), false),
        (format!("{}compression = \"gzip\"\n", automatic(&scene)), true),
    ] {
        program.configure(&settings);
        let printed = with_rows(&program);
        assert_eq!(printed.code, Some(0), "{printed:?}");
        // With another codec the first file has another key, and the one before stays.
        let older = printed
            .stderr
            .contains("left by an earlier attempt of this run with another format");
        assert_eq!(older, settings.contains("gzip"), "{printed:?}");
        assert_eq!(printed.stderr.contains("warning"), older, "{printed:?}");
        let operations = asked(&scene);
        assert_eq!(operations.starts_with(&FULL), tried, "{operations:?}");
    }
    assert_eq!(program.runs_kept(), Vec::<String>::new());
    let probes = scene.store.keys(BUCKET);
    assert!(!probes.iter().any(|key| key.ends_with("_check")), "{probes:?}");
}

/// Where a key comes from a variable or another secret is written, the settings look the same and are not.
#[tokio::test(flavor = "multi_thread")]
async fn a_destination_is_checked_again_when_only_its_secret_changes() {
    let scene = Scene::new().await;
    let other = "another-secret";
    let program = Program::new(&automatic(&scene));
    for (secret, is_checked) in [(SECRET_KEY, true), (SECRET_KEY, false), (other, true), (other, false)] {
        scene.store.set_identities(vec![Identity::new(ACCESS_KEY, secret)]);
        program.configure(&automatic(&scene).replace(SECRET_KEY, secret));
        let printed = with_rows(&program);
        assert_eq!(printed.code, Some(0), "{printed:?}");
        let operations = asked(&scene);
        assert_eq!(operations.starts_with(&FULL), is_checked, "{operations:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interval_without_rows_is_no_hiding_place() {
    let scene = Scene::new().await;
    let program = Program::new(&automatic(&scene));
    assert_eq!(without_rows(&program).code, Some(0));
    let first_use = asked(&scene);
    assert!(first_use.starts_with(&FULL), "{first_use:?}");
    assert_eq!(first_use[FULL.len()..], LOOK);
    let printed = without_rows(&program);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(
        printed
            .stderr
            .contains("warning: nothing was written: the interval has no rows"),
        "{printed:?}"
    );
    assert_eq!(asked(&scene), [&LOOK[..], &TRACELESS].concat());

    let denied = What::Status(403, "AccessDenied".to_owned());
    scene.store.set_faults(vec![Fault::on(Operation::UploadPart, denied)]);
    let printed = without_rows(&program);
    assert_eq!(printed.code, Some(1), "{printed:?}");
    for words in [
        "there are no rows to export, so the destination itself was checked, and the check failed: write part: UploadPart",
        "403 AccessDenied",
        "grant s3:PutObject on `",
        "run `batch-export check` to repeat the check\n",
    ] {
        assert!(printed.stderr.contains(words), "{words}: {}", printed.stderr);
    }
    scene.store.set_faults(Vec::new());
    assert_eq!(scene.store.keys(BUCKET), Vec::<String>::new());
    assert_eq!(scene.store.open_uploads(), []);
    assert_eq!(program.runs_kept(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_work_at_first_use_ends_the_run_before_it_exports() {
    let status = |status, code: &str| What::Status(status, code.to_owned());
    for (fault, code, words) in [
        (
            Fault::on(Operation::PutObject, status(403, "AccessDenied")),
            1,
            "the destination was checked before its first run with these settings and keys, and the check failed: write: PutObject",
        ),
        (
            Fault::on(Operation::HeadObject, status(503, "SlowDown")),
            3,
            "the destination was checked before its first run with these settings and keys, and the check failed: reach: HeadObject",
        ),
    ] {
        let scene = Scene::new().await;
        scene.store.set_faults(vec![fault]);
        let program = Program::new(&automatic(&scene));
        let printed = with_rows(&program);
        assert_eq!(printed.code, Some(code), "{printed:?}");
        assert!(printed.stderr.contains(words), "{words}: {}", printed.stderr);
        assert_eq!(scene.store.keys(BUCKET), Vec::<String>::new());
        assert_eq!(scene.store.open_uploads(), []);
        // Nothing is remembered of a try that failed.
        scene.store.set_faults(Vec::new());
        scene.store.clear_requests();
        assert_eq!(with_rows(&program).code, Some(0));
        assert!(asked(&scene).starts_with(&FULL));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_may_only_write_get_a_warning_once_and_leave_nothing_in_quiet_hours() {
    let scene = Scene::new().await;
    let only_write = Identity::new(ACCESS_KEY, SECRET_KEY).with_permission(Permission::WriteOnly);
    scene.store.set_identities(vec![only_write]);
    let program = Program::new(&automatic(&scene));
    let printed = with_rows(&program);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let words = "warning: the destination was checked before its first run with these settings and keys: \
                 delete: the credentials do not allow deleting";
    assert!(printed.stderr.contains(words), "{printed:?}");
    let keys = scene.store.keys(BUCKET);
    assert_eq!(keys.len(), 2, "a file and the probe: {keys:?}");
    let printed = without_rows(&program);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(!printed.stderr.contains("was checked"), "{printed:?}");
    assert_eq!(scene.store.keys(BUCKET), keys);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_on_request_is_remembered_and_a_run_can_be_told_to_make_none() {
    let scene = Scene::new().await;
    let program = Program::new(&automatic(&scene));
    let component = batch_export_tests::components::destination();
    let component = component.to_str().expect("UTF-8");
    let arguments = ["check", "--config", "exports.toml", "--component", component];
    let printed = program.run(&arguments);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert_eq!(asked(&scene), FULL);
    assert_eq!(with_rows(&program).code, Some(0));
    assert!(!asked(&scene).starts_with(&FULL));

    program.configure(&configuration(&scene, "elsewhere", ROWS_PER_HOUR, ""));
    assert_eq!(without_rows(&program).code, Some(0));
    assert_eq!(asked(&scene), LOOK);
}
