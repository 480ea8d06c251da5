//! `check`: each step's outcome and words, and that nothing stays behind.

use std::rc::Rc;

use s3_destination::check::{Depth, Outcome, Step, check};

use crate::simulated::{Fault, Faults, Host, World, no_faults, run, settings};

use Outcome::{Failed, Passed, Skipped, Unavailable};

fn probe(denied: &[&'static str], faults: Faults) -> (Rc<World>, Vec<Step>) {
    probe_to(Depth::Full, denied, faults)
}

fn probe_to(depth: Depth, denied: &[&'static str], faults: Faults) -> (Rc<World>, Vec<Step>) {
    let settings = settings("");
    let run = run("attempt-1");
    let world = World::new(1, &settings, &run, faults);
    world.denied.borrow_mut().extend(denied);
    let steps = check(Rc::new(Host(world.clone())), &settings, &run, depth).unwrap();
    (world, steps)
}

#[test]
fn outcomes_by_permission() {
    let table: [(&[&'static str], [Outcome; 7]); 7] = [
        (
            &[],
            [Passed, Passed, Passed, Passed, Passed, Passed, Passed],
        ),
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
    let expected = "403 AccessDenied: said by the simulator (request id REQ1, 1 attempt); the credentials need \
                    s3:PutObject on this key (and the bucket policy must not deny it)";
    assert!(steps[1].detail.ends_with(expected), "{}", steps[1].detail);
    let (_, steps) = probe(&["AbortMultipartUpload"], no_faults());
    assert!(
        steps[5].detail.contains("upload `upload&1` of"),
        "{}",
        steps[5].detail
    );
}

#[test]
fn what_a_host_tries_unasked_leaves_nothing_even_without_permission_to_delete() {
    let write_only = ["HeadObject", "GetObject", "DeleteObject"];
    let (world, steps) = probe_to(Depth::Traceless, &write_only, no_faults());
    let outcomes: Vec<Outcome> = steps.iter().map(|step| step.outcome).collect();
    assert_eq!(
        outcomes,
        [Passed, Skipped, Skipped, Passed, Passed, Passed, Skipped]
    );
    assert!(world.store.borrow().objects.is_empty());
    assert_eq!(world.open_uploads(), []);
    let (_, steps) = probe_to(Depth::Traceless, &["UploadPart"], no_faults());
    assert_eq!(steps[4].outcome, Failed);
}

#[test]
fn an_unreachable_store_is_said_once() {
    let (world, steps) = probe(&[], Box::new(|_, _| Some(Fault::Unconnected)));
    assert_eq!(steps[0].outcome, Unavailable);
    assert!(
        steps[0]
            .detail
            .contains("no connection: refused (3 attempts); check endpoint_url"),
        "{}",
        steps[0].detail
    );
    assert!(steps[1..].iter().all(|step| step.outcome == Skipped));
    assert_eq!(world.arrived.borrow().len(), 0);
}

#[test]
fn lost_answers_leave_nothing_behind() {
    for operation in ["PutObject", "CreateMultipartUpload", "UploadPart"] {
        let (world, steps) = probe(
            &[],
            Box::new(move |other, _| (other == operation).then_some(Fault::AnswerLost)),
        );
        assert!(
            steps.iter().any(|step| step.outcome == Unavailable),
            "{steps:#?}"
        );
        assert!(world.store.borrow().objects.is_empty());
        assert_eq!(world.open_uploads(), []);
    }
}
