//! Objects that are stored and should not be read: deleted again where they are this attempt's, and named where not.

use s3_destination::failure::Failure;

use crate::disasters::{faults, four_parts, scene};
use crate::simulated::{Fault, no_faults};

const DAMAGED: [&str; 4] = ["crc64nvme", "crc32c", "crc32", "sha256"];

#[test]
fn what_a_store_damages_is_deleted_again() {
    for checksum in DAMAGED {
        for condition in ["", r#", "if_none_match": true"#] {
            for bytes in [&b"small"[..], &four_parts()] {
                let fields = format!(r#""checksum": "{checksum}"{condition}"#);
                let mut scene = scene(&fields, no_faults());
                scene.world.store.borrow_mut().damages = true;
                let failure = Failure::from(scene.export(&[bytes]).unwrap_err());
                assert!(matches!(failure, Failure::Unavailable { .. }), "{failure:?}");
                scene.abort_all();
                assert_eq!(scene.stored(0), None, "{fields}");
                assert_eq!(scene.world.open_uploads(), []);
            }
        }
    }
}

#[test]
fn what_cannot_be_deleted_is_named() {
    for denied in ["HeadObject", "DeleteObject"] {
        let mut scene = scene(r#""encryption": "AES256""#, no_faults());
        scene.world.store.borrow_mut().ignores_encryption = true;
        scene.world.denied.borrow_mut().insert(denied);
        scene.export(&[b"in the clear"]).unwrap_err();
        let remarks = scene.uploads.abort_all().condemned;
        assert_eq!(remarks.len(), 1, "{remarks:?}");
        let told = format!("`{}` may still be in the store: ", scene.key(0));
        assert!(remarks[0].message.starts_with(&told), "{remarks:?}");
        let hint = format!("do not use `{}`; ", scene.key(0));
        assert!(
            remarks[0].hint.as_ref().is_some_and(|told| told.starts_with(&hint)),
            "{remarks:?}"
        );
    }
}

/// What stands there when nothing was written is not this attempt's, and stays.
#[test]
fn an_earlier_attempts_object_is_not_deleted_for_an_upload_that_was_not_encrypted() {
    let mut scene = scene(r#""encryption": "aws:kms", "kms_key_id": "key-1""#, no_faults());
    let key = scene.key(0);
    scene.world.store.borrow_mut().place(&key, b"theirs");
    scene.world.store.borrow_mut().other_key = Some("key-2".into());
    let error = scene.export(&[&four_parts()]).unwrap_err().to_string();
    assert!(error.contains("is encrypted with the key"), "{error}");
    scene.abort_all();
    assert_eq!(scene.stored(0), Some(b"theirs".to_vec()));
    assert_eq!(scene.world.open_uploads(), []);
}

#[test]
fn another_key_than_the_one_asked_for_is_refused() {
    for (bytes, other, expected) in [
        (&b"small"[..], None, true),
        (b"small", Some("key-2"), false),
        (&four_parts(), None, true),
        (&four_parts(), Some("key-2"), false),
    ] {
        let mut scene = scene(r#""encryption": "aws:kms", "kms_key_id": "key-1""#, no_faults());
        scene.world.store.borrow_mut().other_key = other.map(str::to_owned);
        let outcome = scene.export(&[bytes]);
        assert_eq!(outcome.is_ok(), expected, "{outcome:?}");
        if outcome.is_err() {
            scene.abort_all();
            assert_eq!(scene.stored(0), None);
        }
    }
}

/// An encrypted object whose answer was lost must say on HEAD that it is encrypted.
#[test]
fn a_lost_answer_does_not_hide_that_nothing_is_encrypted() {
    let mut scene = scene(
        r#""encryption": "AES256""#,
        faults("CompleteMultipartUpload", 1, 1, Fault::AnswerLost),
    );
    scene.world.store.borrow_mut().ignores_encryption = true;
    let error = scene.export(&[&four_parts()]).unwrap_err().to_string();
    assert!(error.contains("is not encrypted"), "{error}");
    scene.abort_all();
    assert_eq!(scene.stored(0), None);
}

/// The class of the lost write decides, not that of HEAD, which has no room for a reason.
#[test]
fn a_head_that_fails_after_a_lost_answer_leaves_the_run_to_be_retried() {
    for status in [400, 401, 403, 500, 503] {
        let mut scene = scene(
            "",
            Box::new(move |operation, count| match (operation, count) {
                ("CompleteMultipartUpload", 1) => Some(Fault::AnswerLost),
                ("HeadObject", _) => Some(Fault::Error(status, "")),
                _ => None,
            }),
        );
        let failure = Failure::from(scene.export(&[&four_parts()]).unwrap_err());
        assert!(matches!(failure, Failure::Unavailable { .. }), "{status}: {failure:?}");
    }
}

#[test]
fn credentials_that_expire_before_head_are_renewed_once() {
    let mut scene = scene("", faults("CompleteMultipartUpload", 1, 1, Fault::AnswerLost));
    let world = scene.world.clone();
    scene.world.set_faults(Box::new(move |operation, count| {
        if operation == "HeadObject" && count == 1 {
            world.credentials_valid_from.set(1);
        }
        let lost = operation == "CompleteMultipartUpload" && count == 1;
        lost.then_some(Fault::AnswerLost)
    }));
    scene.export(&[&four_parts()]).unwrap();
    assert_eq!(scene.world.refreshes.get(), 1);
}

/// A part on its way when the upload was aborted brings it back, so it is aborted twice.
#[test]
fn a_part_that_arrives_after_the_abort_does_not_keep_the_upload_open() {
    let mut scene = scene("", faults("UploadPart", 3, 3, Fault::Error(403, "AccessDenied")));
    scene.export(&[&four_parts()]).unwrap_err();
    let (id, _) = scene.world.open_uploads().remove(0);
    scene.world.store.borrow_mut().late_parts.insert(id);
    assert_eq!(scene.abort_all(), Vec::<String>::new());
    assert_eq!(scene.world.open_uploads(), []);
}

/// Two notes for each upload: that it is closed goes along with the next one's.
#[test]
fn an_upload_takes_two_notes() {
    let mut scene = scene("", no_faults());
    let file = four_parts();
    scene.export(&[&file, &file, &file, &file]).unwrap();
    assert!(scene.world.notes.borrow().len() <= 4 * 2 + 1);
}

/// The run ends for another reason while the response to a PUT is still to come: it is waited for.
#[test]
fn what_is_damaged_while_the_run_ends_for_another_reason_is_deleted_again() {
    let mut scene = scene(r#""checksum": "crc32c", "if_none_match": true"#, no_faults());
    scene.world.store.borrow_mut().damages = true;
    let (first, second) = (scene.key(0), scene.key(1));
    let mut file = scene.uploads.open(first, "application/x-ndjson").unwrap();
    scene.uploads.write(&mut file, b"small").unwrap();
    scene.uploads.close(file).unwrap();
    // Something else stands under the key of the second file. The look at the first one is over by then.
    scene.world.store.borrow_mut().place(&second, b"theirs");
    let mut file = scene.uploads.open(second, "application/x-ndjson").unwrap();
    scene.uploads.write(&mut file, b"small").unwrap();
    scene.uploads.close(file).unwrap();
    scene.uploads.settle().unwrap_err();
    scene.abort_all();
    assert_eq!(scene.world.count("PutObject"), 1);
    assert_eq!(scene.stored(0), None);
}
