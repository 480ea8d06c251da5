//! `if_none_match`: never overwrites, takes an identical rerun for done, and knows its own object again.

use s3_destination::failure::Failure;

use crate::disasters::{faults, four_parts, scene};
use crate::simulated::{Fault, no_faults, run, uploads};

#[test]
fn if_none_match_takes_an_identical_rerun_and_refuses_another() {
    for (fields, ignored) in [
        (r#""if_none_match": true"#, false),
        (r#""if_none_match": true"#, true),
        (r#""if_none_match": true, "checksum": "crc64nvme""#, false),
    ] {
        let mut scene = scene(fields, no_faults());
        scene.world.store.borrow_mut().ignores_condition_of_complete = ignored;
        let files: [&[u8]; 2] = [&four_parts(), b"small"];
        let first = scene.export(&files).unwrap();
        scene.uploads = uploads(&scene.world, &scene.settings, &run("attempt-2"));
        let second = scene.export(&files).unwrap();
        assert_eq!(first, second, "a proven no-op");
        assert_eq!(
            scene.world.store.borrow().written.len(),
            2,
            "nothing was written again"
        );
        assert_eq!(scene.world.open_uploads(), []);

        for other in [[&four_parts()[1..], b"small"], [&four_parts(), b"smaller"]] {
            scene.uploads = uploads(&scene.world, &scene.settings, &run("attempt-3"));
            let failure = Failure::from(scene.export(&other).unwrap_err());
            let Failure::Refused(message) = failure else {
                panic!("{failure:?}")
            };
            assert!(
                message.contains("exists already and if_none_match forbids overwriting it"),
                "{message}"
            );
            assert_eq!(scene.abort_all(), Vec::<String>::new());
        }
        assert_eq!(scene.world.open_uploads(), []);
    }
}

#[test]
fn with_a_checksum_equal_size_is_no_proof() {
    let mut scene = scene(
        r#""if_none_match": true, "checksum": "crc64nvme""#,
        no_faults(),
    );
    scene.export(&[b"small"]).unwrap();
    scene.uploads = uploads(&scene.world, &scene.settings, &run("attempt-2"));
    let error = scene.export(&[b"SMALL"]).unwrap_err();
    assert!(
        error.to_string().contains("its checksum is another"),
        "{error}"
    );
}

#[test]
fn a_lost_answer_to_a_conditional_put_is_success() {
    let mut scene = scene(
        r#""if_none_match": true"#,
        faults("PutObject", 1, 1, Fault::AnswerLost),
    );
    scene.export(&[b"small"]).unwrap();
    assert_eq!(scene.stored(0), Some(b"small".to_vec()));
}

#[test]
fn without_the_right_to_look_the_condition_of_complete_has_to_do() {
    let mut scene = scene(
        r#""if_none_match": true"#,
        faults(
            "HeadObject",
            1,
            usize::MAX,
            Fault::Error(403, "AccessDenied"),
        ),
    );
    scene.export(&[&four_parts()]).unwrap();
    scene.uploads = uploads(&scene.world, &scene.settings, &run("attempt-2"));
    let error = scene.export(&[&four_parts()[1..]]).unwrap_err();
    assert!(error.to_string().contains("s3:GetObject"), "{error}");
    assert_eq!(scene.stored(0), Some(four_parts()));
    assert_eq!(scene.abort_all(), Vec::<String>::new());
}
