//! `check`: each step's outcome and words, and that nothing stays behind.

use std::rc::Rc;

use s3_destination::check::{Outcome, Step, check};

use crate::simulated::{Fault, Faults, Host, World, no_faults, run, settings};

use Outcome::{Failed, Passed, Skipped};

fn probe(denied: &[&'static str], faults: Faults) -> (Rc<World>, Vec<Step>) {
    let settings = settings("");
    let run = run("attempt-1");
    let world = World::new(1, &settings, &run, faults);
    world.denied.borrow_mut().extend(denied);
    let steps = check(Rc::new(Host(world.clone())), &settings, &run).unwrap();
    (world, steps)
}

#[test]
fn outcomes_by_permission() {
    let table: [(&[&'static str], [Outcome; 6]); 6] = [
        (&[], [Passed, Passed, Passed, Passed, Passed, Passed]),
        (
            &["HeadObject", "GetObject"],
            [Passed, Passed, Skipped, Passed, Passed, Passed],
        ),
        (
            &["HeadObject", "GetObject", "DeleteObject"],
            [Passed, Passed, Skipped, Passed, Passed, Skipped],
        ),
        (
            &["PutObject"],
            [Passed, Failed, Skipped, Passed, Passed, Skipped],
        ),
        (
            &["CreateMultipartUpload"],
            [Passed, Passed, Passed, Failed, Skipped, Passed],
        ),
        (
            &["AbortMultipartUpload"],
            [Passed, Passed, Passed, Passed, Failed, Passed],
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
        steps[4].detail.contains("upload `upload&1` of"),
        "{}",
        steps[4].detail
    );
}

#[test]
fn an_unreachable_store_is_said_once() {
    let (world, steps) = probe(&[], Box::new(|_, _| Some(Fault::Unconnected)));
    assert_eq!(steps[0].outcome, Failed);
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
    for operation in ["PutObject", "CreateMultipartUpload"] {
        let (world, steps) = probe(
            &[],
            Box::new(move |other, _| (other == operation).then_some(Fault::AnswerLost)),
        );
        assert!(
            steps.iter().any(|step| step.outcome == Failed),
            "{steps:#?}"
        );
        assert!(world.store.borrow().objects.is_empty());
        assert_eq!(world.open_uploads(), []);
    }
}
