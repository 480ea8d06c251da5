//! `if_none_match`: never overwrites, takes an identical rerun for done, and knows its own object again.

use s3_destination::failure::{Explanation, Failure};

use s3_destination::upload::UploadError;

use crate::disasters::{faults, four_parts, scene};
use crate::simulated::{Fault, no_faults, run, uploads};
use crate::store::{Checksums, Ignored};

const CHECKSUMS: [&str; 5] = ["crc64nvme", "crc32c", "crc32", "sha256", "none"];

fn conditional(checksum: &str) -> String {
    format!(r#""if_none_match": true, "checksum": "{checksum}""#)
}

/// Whatever checksum proves it, and whatever of the condition the store honours.
#[test]
fn if_none_match_takes_an_identical_rerun_and_refuses_another() {
    for checksum in CHECKSUMS {
        for (ignored, checksums) in [
            (Ignored::Never, Checksums::AsAsked),
            (Ignored::Complete, Checksums::Composite),
            (Ignored::Always, Checksums::Several),
        ] {
            let mut scene = scene(&conditional(checksum), no_faults());
            scene.world.store.borrow_mut().ignores_condition = ignored;
            scene.world.store.borrow_mut().checksums = checksums;
            let files: [&[u8]; 2] = [&four_parts(), b"small"];
            let first = scene.export(&files).unwrap();
            scene.uploads = uploads(&scene.world, &scene.settings, &run("attempt-2"));
            let second = scene.export(&files).unwrap();
            assert_eq!(first, second, "a proven no-op: {checksum}, {checksums:?}");
            let written = scene.world.store.borrow().written.len();
            assert_eq!(written, 2, "nothing was written again");
            assert_eq!(scene.world.open_uploads(), []);

            let mut other = four_parts();
            other[40] ^= 1;
            for other in [
                [&four_parts()[1..], b"small"],
                [&four_parts(), b"smaller"],
                // Of equal size.
                [&four_parts(), b"SMALL"],
                [&other, b"small"],
            ] {
                scene.uploads = uploads(&scene.world, &scene.settings, &run("attempt-3"));
                let failure = Failure::from(scene.export(&other).unwrap_err());
                let Failure::Refused(Explanation { message, hint }) = failure else {
                    panic!("{failure:?}")
                };
                assert!(
                    message.contains("already exists and if_none_match forbids overwriting it"),
                    "{message}"
                );
                assert_eq!(
                    hint.as_deref(),
                    Some("delete the object, change prefix, or unset if_none_match")
                );
                assert_eq!(scene.abort_all(), Vec::<String>::new());
            }
            let stored = (scene.stored(0).unwrap(), scene.stored(1).unwrap());
            assert_eq!(stored, (four_parts(), b"small".to_vec()));
            assert_eq!(scene.world.open_uploads(), []);
        }
    }
}

/// A proof that cannot compare is none: the store shows no checksum, or one of another kind.
#[test]
fn what_cannot_be_compared_is_not_taken_for_the_same() {
    for checksum in &CHECKSUMS[..4] {
        for bytes in [&b"small"[..], &four_parts()] {
            let mut scene = scene(&conditional(checksum), no_faults());
            scene.world.store.borrow_mut().checksums = Checksums::Silent;
            scene.export(&[bytes]).unwrap();
            scene.uploads = uploads(&scene.world, &scene.settings, &run("attempt-2"));
            let error = scene.export(&[bytes]).unwrap_err().to_string();
            assert!(error.contains("its bytes cannot be compared"), "{error}");
            scene.abort_all();
            assert_eq!(scene.stored(0), Some(bytes.to_vec()));
        }
    }
}

/// Whether the key is free must be known, or be nobody's to know: any other answer ends the run, and nothing is
/// written.
#[test]
fn a_look_that_fails_is_not_taken_for_a_free_key() {
    let busy = |status| faults("HeadObject", 1, usize::MAX, Fault::Error(status, ""));
    for (fault, retried) in [
        (Fault::Error(503, "SlowDown"), true),
        (Fault::Error(500, "InternalError"), true),
        (Fault::Page(502), true),
        (Fault::AnswerLost, true),
        (Fault::Unconnected, true),
        (Fault::Error(400, ""), false),
        (Fault::Error(401, ""), false),
        (Fault::Error(301, ""), false),
    ] {
        for bytes in [&b"small"[..], &four_parts()] {
            let mut scene = scene(&conditional("none"), no_faults());
            let key = scene.key(0);
            scene.world.store.borrow_mut().place(&key, b"somebody else's");
            scene.world.store.borrow_mut().ignores_condition = Ignored::Always;
            scene.world.set_faults(faults("HeadObject", 1, usize::MAX, fault));
            let failure = Failure::from(scene.export(&[bytes]).unwrap_err());
            let is_retried = matches!(failure, Failure::Unavailable { .. });
            assert_eq!(is_retried, retried, "{fault:?}: {failure:?}");
            scene.abort_all();
            assert_eq!(scene.stored(0), Some(b"somebody else's".to_vec()));
        }
    }
    // A manifest, too.
    let mut scene = scene(&conditional("none"), busy(503));
    let key = scene.key(0);
    scene.world.store.borrow_mut().place(&key, b"somebody else's");
    scene.world.store.borrow_mut().ignores_condition = Ignored::Always;
    let written = scene.uploads.store().put(&key, "application/json", b"{}".to_vec());
    assert!(matches!(written, Err(UploadError::Store(_))), "{written:?}");
    assert_eq!(scene.stored(0), Some(b"somebody else's".to_vec()));
}

#[test]
fn a_lost_answer_to_a_conditional_put_is_success() {
    let mut scene = scene(r#""if_none_match": true"#, faults("PutObject", 1, 1, Fault::AnswerLost));
    scene.export(&[b"small"]).unwrap();
    assert_eq!(scene.stored(0), Some(b"small".to_vec()));
}

#[test]
fn without_the_right_to_look_the_condition_of_complete_has_to_do() {
    let mut scene = scene(
        r#""if_none_match": true"#,
        faults("HeadObject", 1, usize::MAX, Fault::Error(403, "AccessDenied")),
    );
    scene.export(&[&four_parts()]).unwrap();
    scene.uploads = uploads(&scene.world, &scene.settings, &run("attempt-2"));
    let error = scene.export(&[&four_parts()[1..]]).unwrap_err();
    let hint = error.explanation().hint.expect("says what to grant");
    assert!(hint.starts_with("grant s3:GetObject on `"), "{hint}");
    assert_eq!(scene.stored(0), Some(four_parts()));
    assert_eq!(scene.abort_all(), Vec::<String>::new());
}
