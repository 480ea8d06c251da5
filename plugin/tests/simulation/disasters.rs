//! Each named disaster by itself: what happens, and what must come of it.

use std::rc::Rc;

use s3_destination::failure::{Explanation, Failure};
use s3_destination::imports::NoteError;
use s3_destination::key::KeyNames;
use s3_destination::recover::{Aborted, recover};
use s3_destination::s3::client::WINDOW_REQUESTS;
use s3_destination::settings::Settings;
use s3_destination::upload::{PARTS_IN_FLIGHT, UploadError, Uploads};

use crate::simulated::{Fault, Faults, Host, LIMITS, World, no_faults, run, settings, uploads};
use crate::told::remarks_of;

const TYPE: &str = "application/x-ndjson";

/// Always the same fault for one operation from its `from`th to its `to`th request.
pub fn faults(operation: &'static str, from: usize, to: usize, fault: Fault) -> Faults {
    Box::new(move |other, count| (other == operation && (from..=to).contains(&count)).then_some(fault))
}

pub struct Scene {
    pub world: Rc<World>,
    pub settings: Settings,
    pub uploads: Uploads<Host>,
    pub keys: KeyNames,
}

pub fn scene(fields: &str, faults: Faults) -> Scene {
    let settings = settings(fields);
    let world = World::new(1, &settings, &run("attempt-1"), faults);
    let uploads = uploads(&world, &settings, &run("attempt-1"));
    let keys = KeyNames::new(&settings, &run("attempt-1")).unwrap();
    Scene {
        world,
        settings,
        uploads,
        keys,
    }
}

pub fn four_parts() -> Vec<u8> {
    (0..4 * LIMITS.part_size_bytes as u8 - 3).collect()
}

impl Scene {
    pub fn key(&self, index: u32) -> String {
        self.keys.data(index).unwrap()
    }

    pub fn export(&mut self, files: &[&[u8]]) -> Result<Vec<s3_destination::upload::StoredFile>, UploadError> {
        for (index, bytes) in (0..).zip(files) {
            let mut file = self.uploads.open(self.keys.data(index).unwrap(), TYPE)?;
            self.uploads.write(&mut file, bytes)?;
            self.uploads.close(file)?;
        }
        self.uploads.settle()
    }

    pub fn stored(&self, index: u32) -> Option<Vec<u8>> {
        self.world
            .store
            .borrow()
            .objects
            .get(&self.key(index))
            .map(|object| object.bytes.clone())
    }

    pub fn abort_all(&mut self) -> Vec<String> {
        remarks_of(self.uploads.abort_all())
    }
}

/// Files of one PUT each do not wait for each other: as many as the window takes are in flight, and no more bytes than
/// those of a few parts.
#[test]
fn small_files_are_sent_side_by_side() {
    for (bytes, most) in [
        (1, WINDOW_REQUESTS),
        (LIMITS.part_size_bytes / 2, 2 * PARTS_IN_FLIGHT),
        (LIMITS.part_size_bytes, PARTS_IN_FLIGHT),
    ] {
        let mut scene = scene("", no_faults());
        let file = vec![7_u8; bytes];
        let stored = scene.export(&vec![file.as_slice(); 3 * WINDOW_REQUESTS]).unwrap();
        assert_eq!(scene.world.most_in_flight.get(), most, "{bytes}");
        let keys: Vec<String> = stored.into_iter().map(|file| file.key).collect();
        let expect: Vec<String> = (0..3 * WINDOW_REQUESTS as u32).map(|index| scene.key(index)).collect();
        assert_eq!(keys, expect, "{bytes}");
    }
}

#[test]
fn a_file_of_one_part_is_one_put_and_one_byte_more_is_an_upload() {
    for (len, expected) in [
        (LIMITS.part_size_bytes, vec!["PutObject"]),
        (
            LIMITS.part_size_bytes + 1,
            vec![
                "CreateMultipartUpload",
                "UploadPart",
                "UploadPart",
                "CompleteMultipartUpload",
            ],
        ),
    ] {
        let mut scene = scene("", no_faults());
        scene.export(&[&vec![7; len]]).unwrap();
        assert_eq!(*scene.world.arrived.borrow(), expected);
    }
}

#[test]
fn the_next_file_is_written_while_the_one_before_is_finished() {
    let mut scene = scene("", no_faults());
    let first = four_parts();
    let mut file = scene.uploads.open(scene.key(0), TYPE).unwrap();
    scene.uploads.write(&mut file, &first).unwrap();
    scene.uploads.close(file).unwrap();
    let mut file = scene.uploads.open(scene.key(1), TYPE).unwrap();
    scene.uploads.write(&mut file, b"second").unwrap();
    assert_eq!(scene.stored(0), None, "nobody waited for the first file");
    scene.uploads.close(file).unwrap();
    let stored = scene.uploads.settle().unwrap();
    assert_eq!(
        stored.iter().map(|file| file.bytes).collect::<Vec<_>>(),
        [first.len() as u64, 6]
    );
    assert_eq!(scene.stored(0), Some(first));
}

#[test]
fn a_store_that_does_not_encrypt_as_asked_is_refused() {
    let whole = ["PutObject"];
    let in_parts = [
        "CreateMultipartUpload",
        "UploadPart",
        "UploadPart",
        "UploadPart",
        "UploadPart",
        "CompleteMultipartUpload",
    ];
    for (fields, asked) in [
        (r#""encryption": "AES256""#, "AES256"),
        (r#""encryption": "aws:kms", "kms_key_id": "k""#, "aws:kms"),
    ] {
        for (bytes, expected) in [(&b"small"[..], &whole[..]), (&four_parts(), &in_parts)] {
            let mut scene = scene(fields, no_faults());
            scene.world.store.borrow_mut().ignores_encryption = true;
            let error = scene.export(&[bytes]).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "`{}` is not encrypted: encryption = \"{asked}\" was requested, but the store's response does \
                     not mention it",
                    scene.key(0)
                )
            );
            let Failure::Refused(Explanation { hint: Some(hint), .. }) = Failure::from(error) else {
                panic!("another case");
            };
            assert_eq!(
                hint,
                "set up server-side encryption in the store, or remove encryption from the destination"
            );
            assert_eq!(*scene.world.arrived.borrow(), expected);
            let deleted = format!("`{}` has been deleted", scene.key(0));
            assert_eq!(scene.abort_all(), [deleted]);
            assert_eq!(scene.stored(0), None);
        }
    }
}

#[test]
fn any_answer_may_say_that_an_upload_is_encrypted_but_none_may_say_otherwise() {
    for (asked, expected) in [("AES256", true), ("aws:kms", false)] {
        let key_id = match asked {
            "aws:kms" => r#", "kms_key_id": "k""#,
            _ => "",
        };
        let mut scene = scene(&format!(r#""encryption": "{asked}"{key_id}"#), no_faults());
        scene.world.store.borrow_mut().says_encryption_late = true;
        let outcome = scene.export(&[&four_parts()]);
        assert_eq!(outcome.is_ok(), expected, "{outcome:?}");
        if let Err(error) = outcome {
            let words = "the store's response says `AES256`";
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(scene.abort_all(), Vec::<String>::new());
            assert_eq!(scene.world.count("CompleteMultipartUpload"), 0);
        }
    }
}

#[test]
fn a_failed_middle_part_is_never_forgotten() {
    let mut scene = scene("", faults("UploadPart", 2, 2, Fault::Error(403, "AccessDenied")));
    let error = scene.export(&[&four_parts()]).unwrap_err();
    assert!(error.to_string().starts_with("UploadPart of `"), "{error}");
    assert!(matches!(Failure::from(error), Failure::Refused(_)));
    assert_eq!(scene.abort_all(), Vec::<String>::new());
    assert_eq!(scene.world.count("CompleteMultipartUpload"), 0);
    assert_eq!(scene.stored(0), None);
    assert_eq!(scene.world.open_uploads(), []);
}

#[test]
fn a_part_that_fails_for_a_while_is_sent_again_unchanged() {
    let mut scene = scene("", faults("UploadPart", 2, 8, Fault::Error(503, "SlowDown")));
    scene.export(&[&four_parts()]).unwrap();
    assert_eq!(scene.stored(0), Some(four_parts()));
    assert_eq!(scene.uploads.counts().retries, 7);
}

#[test]
fn completes_answer_is_lost() {
    let mut scene = scene("", faults("CompleteMultipartUpload", 1, 1, Fault::AnswerLost));
    let stored = scene.export(&[&four_parts()]).unwrap();
    // Repeated, answered NoSuchUpload, and proven by HEAD.
    assert_eq!(scene.world.count("CompleteMultipartUpload"), 2);
    assert_eq!(scene.world.count("HeadObject"), 1);
    assert_eq!(stored[0].etag, scene.world.store.borrow().objects[&scene.key(0)].etag);
}

#[test]
fn no_such_upload_after_success_is_success() {
    let mut scene = scene("", faults("CompleteMultipartUpload", 1, 1, Fault::Twice));
    scene.export(&[&four_parts()]).unwrap();
    assert_eq!(scene.stored(0), Some(four_parts()));
}

#[test]
fn no_such_upload_without_success_is_failure() {
    let mut scene = scene(
        "",
        faults("CompleteMultipartUpload", 1, 1, Fault::Error(404, "NoSuchUpload")),
    );
    // An earlier attempt's object of the same size is no proof.
    let mut earlier = uploads(&scene.world, &scene.settings, &run("attempt-0"));
    scene.world.set_faults(no_faults());
    earlier
        .store()
        .put(&scene.key(0), TYPE, vec![0; four_parts().len()])
        .unwrap();
    scene.world.set_faults(faults(
        "CompleteMultipartUpload",
        1,
        1,
        Fault::Error(404, "NoSuchUpload"),
    ));
    let failure = Failure::from(scene.export(&[&four_parts()]).unwrap_err());
    assert!(
        matches!(&failure, Failure::Unavailable { reason, .. } if reason.message.contains("404 NoSuchUpload")),
        "{failure:?}"
    );
    assert_eq!(scene.abort_all(), Vec::<String>::new());
    assert_eq!(scene.world.open_uploads(), []);
}

#[test]
fn a_lost_answer_that_cannot_be_proven_is_unavailable() {
    let mut scene = scene("", faults("CompleteMultipartUpload", 1, 1, Fault::AnswerLost));
    scene.world.denied.borrow_mut().insert("HeadObject");
    let failure = Failure::from(scene.export(&[&four_parts()]).unwrap_err());
    let Failure::Unavailable { reason, .. } = failure else {
        panic!("{failure:?}")
    };
    let Explanation { message, hint } = reason;
    assert!(
        message.contains("is complete (the credentials do not allow reading it)"),
        "{message}"
    );
    assert!(hint.is_some_and(|hint| hint.starts_with("grant s3:GetObject on `")));
}

#[test]
fn the_part_after_the_last_is_refused_and_nothing_is_cut_off() {
    let mut scene = scene("", no_faults());
    let mut file = scene.uploads.open(scene.key(0), TYPE).unwrap();
    let capacity = LIMITS.part_size_bytes * LIMITS.max_parts as usize;
    scene.uploads.write(&mut file, &vec![1; capacity - 19]).unwrap();
    assert_eq!((file.remaining_bytes(), file.parts_exhausted()), (19, true));
    scene.uploads.write(&mut file, &[2; 19]).unwrap();
    let error = scene.uploads.write(&mut file, &[3]).unwrap_err();
    let told = error.explanation();
    assert!(told.message.ends_with("does not fit into 8 parts"), "{told:?}");
    assert_eq!(
        told.hint.as_deref(),
        Some("set max_file_size_mb to split the export into several files")
    );
    assert!(matches!(Failure::from(error), Failure::Refused(_)));
    // A caller that heeds the signal loses nothing.
    scene.uploads.close(file).unwrap();
    scene.uploads.settle().unwrap();
    assert_eq!(scene.stored(0).unwrap().len(), capacity);
}

#[test]
fn credentials_expire_between_parts() {
    let mut scene = scene("", no_faults());
    let mut file = scene.uploads.open(scene.key(0), TYPE).unwrap();
    scene.uploads.write(&mut file, &four_parts()[..40]).unwrap();
    scene.world.credentials_valid_from.set(1);
    scene.uploads.write(&mut file, &four_parts()[40..]).unwrap();
    scene.uploads.close(file).unwrap();
    scene.uploads.settle().unwrap();
    assert_eq!(scene.stored(0), Some(four_parts()));
    assert_eq!(scene.world.refreshes.get(), 1, "several requests learn of one expiry");
}

#[test]
fn credentials_that_stay_expired_are_refused() {
    let mut scene = scene("", no_faults());
    scene.world.credentials_valid_from.set(9);
    let failure = Failure::from(scene.export(&[b"x"]).unwrap_err());
    let Failure::Refused(Explanation { message, hint }) = failure else {
        panic!("{failure:?}")
    };
    assert!(
        message.contains("400 ExpiredToken") && message.contains("2 attempts"),
        "{message}"
    );
    assert_eq!(hint.as_deref(), Some("renew the temporary credentials at their source"));
}

#[test]
fn a_wrong_clock_is_corrected_once() {
    let mut scene = scene("", no_faults());
    scene.world.skew_s.set(7_200);
    scene.export(&[&four_parts()]).unwrap();
    assert_eq!(scene.stored(0), Some(four_parts()));
    assert_eq!(scene.uploads.counts().retries, 1);
}

#[test]
fn an_abort_that_fails_names_the_upload_and_recover_aborts_it() {
    let mut scene = scene("", faults("UploadPart", 1, 1, Fault::Error(403, "AccessDenied")));
    scene.world.denied.borrow_mut().insert("AbortMultipartUpload");
    scene.export(&[&four_parts()]).unwrap_err();
    let left_open = scene.uploads.abort_all().left_open;
    assert_eq!(left_open.len(), 1);
    assert_eq!(
        (left_open[0].key.as_str(), left_open[0].upload_id.as_deref()),
        (scene.key(0).as_str(), Some("upload&1"))
    );
    let told = left_open[0].explanation();
    let expected = format!(
        "upload `upload&1` of `{}` is left open: AbortMultipartUpload of",
        scene.key(0)
    );
    assert!(told.message.starts_with(&expected), "{told:?}");
    assert!(
        told.hint
            .is_some_and(|hint| hint.starts_with("grant s3:AbortMultipartUpload on `")),
        "{left_open:?}"
    );

    scene.world.denied.borrow_mut().clear();
    let notes = scene.world.notes.borrow().clone();
    let recovery = recover(
        Rc::new(Host(scene.world.clone())),
        &scene.settings,
        &run("attempt-2"),
        &notes,
    );
    let aborted = Aborted {
        key: scene.key(0),
        upload_id: "upload&1".to_owned(),
    };
    assert_eq!((recovery.aborted, recovery.left_open), (vec![aborted], Vec::new()));
    assert_eq!(scene.world.open_uploads(), []);
}

#[test]
fn an_upload_created_twice_is_swept_up() {
    let mut scene = scene("", faults("CreateMultipartUpload", 1, 2, Fault::AnswerLost));
    scene.export(&[&four_parts()]).unwrap();
    assert_eq!(scene.world.store.borrow().uploads_created, 3);
    assert_eq!(scene.world.open_uploads(), []);
    assert_eq!(scene.uploads.take_left_open(), []);
}

#[test]
fn an_upload_created_twice_that_cannot_be_found_is_reported() {
    let mut scene = scene("", faults("CreateMultipartUpload", 1, 1, Fault::AnswerLost));
    scene.world.denied.borrow_mut().insert("ListMultipartUploads");
    scene.export(&[&four_parts()]).unwrap();
    let left_open = scene.uploads.take_left_open();
    assert_eq!(left_open.len(), 1);
    assert_eq!((&left_open[0].key, &left_open[0].upload_id), (&scene.key(0), &None));
    let told = left_open[0].explanation().message;
    assert!(told.contains("whose id is unknown may be left open"), "{told}");
}

#[test]
fn a_crash_between_create_and_its_note_is_cleaned_up() {
    let mut scene = scene("", faults("CreateMultipartUpload", 1, 99, Fault::AnswerLost));
    scene.export(&[&four_parts()]).unwrap_err();
    drop(scene.uploads); // Killed: no abort_all.
    assert_eq!(scene.world.open_uploads().len(), 10);
    // Another run's upload under a longer key stays.
    scene.world.set_faults(no_faults());
    let other = uploads(&scene.world, &scene.settings, &run("attempt-1"));
    let mut other = other;
    let mut file = other
        .open(format!("{}.other", scene.keys.data(0).unwrap()), TYPE)
        .unwrap();
    other.write(&mut file, &four_parts()).unwrap();
    let notes = vec![scene.world.notes.borrow()[0].clone()];
    let recovery = recover(
        Rc::new(Host(scene.world.clone())),
        &scene.settings,
        &run("attempt-2"),
        &notes,
    );
    assert_eq!((recovery.aborted.len(), recovery.left_open.len()), (10, 0));
    assert_eq!(scene.world.open_uploads().len(), 1);
}

#[test]
fn without_a_note_nothing_is_begun() {
    let text = "the host could not save a note about an upload, so nothing was started that it could not clean up: why";
    let told = |hint: Option<&str>| Explanation::new(text).with_hint(hint.map(str::to_owned));
    let unavailable = |hint| Failure::Unavailable {
        reason: told(hint),
        retry_after_ms: None,
    };
    let of_host = Explanation::new("why").with_hint("do so".to_owned());
    let shorter = "raise max_file_size_mb, or export shorter intervals";
    for (refusal, expected) in [
        (NoteError::Unavailable("why".into()), unavailable(None)),
        (NoteError::Unavailable(of_host.clone()), unavailable(Some("do so"))),
        (NoteError::UsedUp("why".into()), Failure::Refused(told(Some(shorter)))),
        (NoteError::UsedUp(of_host), Failure::Refused(told(Some("do so")))),
        (NoteError::TooLong("why".into()), Failure::Defect(text.to_owned())),
    ] {
        let mut scene = scene("", no_faults());
        scene.world.notes_fail.replace(Some(refusal));
        let failure = Failure::from(scene.export(&[&four_parts()]).unwrap_err());
        assert_eq!(failure, expected);
        assert_eq!(scene.world.count("CreateMultipartUpload"), 0);
    }
}

#[test]
fn another_etag_than_the_parts_is_found_out() {
    let mut scene = scene("", faults("UploadPart", 2, 2, Fault::WrongEtag));
    let failure = Failure::from(scene.export(&[&four_parts()]).unwrap_err());
    assert!(
        matches!(&failure, Failure::Unavailable { reason, .. } if reason.message.contains("InvalidPart")),
        "{failure:?}"
    );
    assert_eq!(scene.abort_all(), Vec::<String>::new());
    assert_eq!(scene.world.open_uploads(), []);
}

/// Two responses that no S3 store gives, and none that only one gives: nobody waits for that to pass.
#[test]
fn a_server_that_is_not_s3_is_found_out_after_one_confirmation() {
    let page = |from| faults("CreateMultipartUpload", from, usize::MAX, Fault::Page(200));
    let mut scene = scene("", page(1));
    let error = scene.export(&[&four_parts()]).unwrap_err();
    assert_eq!(scene.world.count("CreateMultipartUpload"), 0);
    let said = format!(
        "CreateMultipartUpload of `{}` in bucket `bucket` failed: the server at https://store.test:9000 does not \
         respond like S3: status 200, a web page rather than XML (2 attempts)",
        scene.key(0)
    );
    assert_eq!(error.to_string(), said);
    let Failure::Refused(told) = Failure::from(error) else {
        panic!("what is not S3 is refused");
    };
    assert!(
        told.hint.is_some_and(|hint| hint.contains("endpoint_url")),
        "no way out"
    );

    // A store that was there may come back.
    scene.world.set_faults(page(4));
    let error = scene.export(&[&four_parts(), &four_parts()]).unwrap_err();
    assert!(error.to_string().contains("(10 attempts)"), "{error}");
    assert!(matches!(Failure::from(error), Failure::Unavailable { .. }));
}
