//! `check`: each step's outcome and words, and that nothing stays behind.

use std::rc::Rc;

use s3_destination::check::{Depth, Outcome, Step, check};
use s3_destination::settings::Settings;

use crate::simulated::{Fault, Faults, Host, World, no_faults, run, settings};

use Outcome::{Failed, Passed, Skipped, Unavailable};

fn probe(denied: &[&'static str], faults: Faults) -> (Rc<World>, Vec<Step>) {
    probe_to(Depth::Full, denied, faults)
}

fn probe_to(depth: Depth, denied: &[&'static str], faults: Faults) -> (Rc<World>, Vec<Step>) {
    let settings = settings("");
    let world = World::new(1, &settings, &run("attempt-1"), faults);
    world.denied.borrow_mut().extend(denied);
    let steps = probe_in(&world, &settings, depth);
    (world, steps)
}

fn probe_in(world: &Rc<World>, settings: &Settings, depth: Depth) -> Vec<Step> {
    let host = Rc::new(Host(world.clone()));
    check(host, settings, &run("attempt-1"), depth).unwrap()
}

#[test]
fn outcomes_by_permission() {
    let table: [(&[&'static str], [Outcome; 7]); 7] = [
        (&[], [Passed, Passed, Passed, Passed, Passed, Passed, Passed]),
        (
            &["HeadObject", "GetObject"],
            [Passed, Passed, Skipped, Passed, Passed, Passed, Passed],
        ),
        (
            &["HeadObject", "GetObject", "DeleteObject"],
            [Passed, Passed, Skipped, Passed, Passed, Passed, Skipped],
        ),
        (
            &["PutObject"],
            [Passed, Failed, Skipped, Passed, Passed, Passed, Skipped],
        ),
        (
            &["CreateMultipartUpload"],
            [Passed, Passed, Passed, Failed, Skipped, Skipped, Passed],
        ),
        (
            &["UploadPart"],
            [Passed, Passed, Passed, Passed, Failed, Passed, Passed],
        ),
        (
            &["AbortMultipartUpload"],
            [Passed, Passed, Passed, Passed, Passed, Failed, Passed],
        ),
    ];
    for (denied, expected) in table {
        let (world, steps) = probe(denied, no_faults());
        let outcomes: Vec<Outcome> = steps.iter().map(|step| step.outcome).collect();
        assert_eq!(outcomes, expected, "without {denied:?}: {steps:#?}");
        assert_eq!(
            world.store.borrow().objects.is_empty(),
            !denied.contains(&"DeleteObject")
        );
        assert_eq!(
            world.open_uploads().is_empty(),
            !denied.contains(&"AbortMultipartUpload")
        );
        assert!(steps.iter().all(|step| !step.detail.is_empty()));
    }
}

#[test]
fn failures_say_what_to_change() {
    let (_, steps) = probe(&["PutObject"], no_faults());
    let expected = "403 AccessDenied: said by the simulator (request id REQ1, 1 attempt)";
    assert!(steps[1].detail.ends_with(expected), "{}", steps[1].detail);
    let hint = steps[1].hint.as_deref().unwrap_or_default();
    assert!(hint.starts_with("grant s3:PutObject on `"), "{hint}");
    let (_, steps) = probe(&["AbortMultipartUpload"], no_faults());
    assert!(steps[5].detail.contains("upload `upload&1` of"), "{}", steps[5].detail);
    let hint = steps[5].hint.as_deref().unwrap_or_default();
    assert!(hint.starts_with("grant s3:AbortMultipartUpload on `"), "{hint}");
    assert!(
        hint.ends_with("; or add a lifecycle rule to the bucket that aborts incomplete uploads"),
        "{hint}"
    );
}

/// What a step without a permission misses is named, whether a run needs it or not.
#[test]
fn every_permission_that_is_missing_is_named() {
    for (denied, step, action) in [
        ("PutObject", 1, "s3:PutObject"),
        ("GetObject", 2, "s3:GetObject"),
        ("CreateMultipartUpload", 3, "s3:PutObject"),
        ("UploadPart", 4, "s3:PutObject"),
        ("AbortMultipartUpload", 5, "s3:AbortMultipartUpload"),
        ("DeleteObject", 6, "s3:DeleteObject"),
    ] {
        let (_, steps) = probe(&[denied], no_faults());
        let hint = steps[step].hint.as_deref().unwrap_or_default();
        assert!(hint.contains(&format!("grant {action} on `")), "{denied}: {steps:#?}");
        assert!(!steps[step].detail.contains("grant "), "{denied}: {steps:#?}");
    }
}

/// A run writes to an archive as to any other storage class, and never reads from it.
#[test]
fn an_archived_probe_is_not_read_and_is_deleted() {
    const SAID: &str =
        "objects in this storage class must be restored before they can be read; a run does not read them";
    for (class, read) in [("GLACIER", Skipped), ("DEEP_ARCHIVE", Skipped), ("GLACIER_IR", Passed)] {
        let settings = settings(&format!(r#""storage_class": "{class}""#));
        let world = World::new(1, &settings, &run("attempt-1"), no_faults());
        let steps = probe_in(&world, &settings, Depth::Full);
        let outcomes: Vec<Outcome> = steps.iter().map(|step| step.outcome).collect();
        assert_eq!(
            outcomes,
            [Passed, Passed, read, Passed, Passed, Passed, Passed],
            "{class}: {steps:#?}"
        );
        assert_eq!(steps[2].detail == SAID, read == Skipped, "{class}: {steps:#?}");
        assert_eq!(world.count("GetObject"), 1, "{class}");
        assert!(world.store.borrow().objects.is_empty(), "{class}");
    }
}

#[test]
fn what_a_host_tries_unasked_leaves_nothing_even_without_permission_to_delete() {
    let write_only = ["HeadObject", "GetObject", "DeleteObject"];
    let (world, steps) = probe_to(Depth::Traceless, &write_only, no_faults());
    let outcomes: Vec<Outcome> = steps.iter().map(|step| step.outcome).collect();
    assert_eq!(outcomes, [Passed, Skipped, Skipped, Passed, Passed, Passed, Skipped]);
    assert!(world.store.borrow().objects.is_empty());
    assert_eq!(world.open_uploads(), []);
    let (_, steps) = probe_to(Depth::Traceless, &["UploadPart"], no_faults());
    assert_eq!(steps[4].outcome, Failed);
}

#[test]
fn an_unreachable_store_is_said_once() {
    let (world, steps) = probe(&[], Box::new(|_, _| Some(Fault::Unconnected)));
    assert_eq!(steps[0].outcome, Unavailable);
    let (detail, hint) = (&steps[0].detail, steps[0].hint.as_deref().unwrap_or_default());
    assert!(detail.ends_with("no connection: refused (3 attempts)"), "{detail}");
    assert!(hint.starts_with("start the store"), "{hint}");
    let all_skipped = steps[1..]
        .iter()
        .all(|step| step.outcome == Skipped && step.detail == "the first step failed");
    assert!(all_skipped, "{steps:#?}");
    assert_eq!(world.arrived.borrow().len(), 0);
}

/// A store that accepts connections and is silent fails the first step before the host gives up the whole check.
#[test]
fn all_attempts_of_a_step_end_within_the_hosts_two_minutes() {
    let (world, _) = probe(&[], no_faults());
    assert!((1..40_000).contains(&world.most_timeout_ms.get()));
}

#[test]
fn lost_answers_leave_nothing_behind() {
    for operation in ["PutObject", "CreateMultipartUpload", "UploadPart"] {
        let (world, steps) = probe(
            &[],
            Box::new(move |other, _| (other == operation).then_some(Fault::AnswerLost)),
        );
        assert!(steps.iter().any(|step| step.outcome == Unavailable), "{steps:#?}");
        assert!(world.store.borrow().objects.is_empty());
        assert_eq!(world.open_uploads(), []);
    }
}
