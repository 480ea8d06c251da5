//! What a run may use up: files, notes, requests. Each limit ends it for good, with what to change, and leaves nothing
//! open that is not named.

use std::num::NonZeroU64;
use std::rc::Rc;

use s3_destination::failure::{Explanation, Failure};
use s3_destination::recover::recover;
use s3_destination::upload::Limits;

use crate::disasters::{four_parts, scene};
use crate::runs::{LIMITS, after, configured, exported, messages};
use crate::simulated::{Fault, Faults, Host, no_faults, run, settings};

/// As many files as the limit says are stored; one more ends the run for good, and no manifest names those before it.
#[test]
fn a_run_that_needs_too_many_files_ends_for_good_and_says_what_to_change() {
    let mut settings = settings("");
    settings.max_file_size_bytes = NonZeroU64::new(1);
    let limits = Limits { max_files: 3, ..LIMITS };
    let (world, _) = after(&settings, 0);
    assert_eq!(exported(&world, &settings, 3, limits).files.len(), 3);

    let (world, keys) = after(&settings, 0);
    let mut export = configured(&world, &settings, limits);
    let ended = export
        .encode_batch(messages(4).1)
        .and_then(|_| export.finish(4).map(|_| ()));
    assert_eq!(
        ended.unwrap_err(),
        Failure::Refused(
            Explanation::new("the run needs more than 3 files (limit MAX_FILES)")
                .with_hint("raise max_file_size_mb, or export shorter intervals".to_owned())
        )
    );
    let store = world.store.borrow();
    assert!(!store.objects.contains_key(&keys.manifest().unwrap()));
    assert!(store.uploads.is_empty());
}

/// Whether the note before an upload or the one with its id is one too many, the run ends for good and cleans up.
#[test]
fn a_run_that_used_up_its_notes_ends_for_good_and_leaves_nothing_open() {
    for limit in [0, 1] {
        let mut scene = scene("", no_faults());
        scene.world.notes_limit.set(limit);
        let failure = Failure::from(scene.export(&[&four_parts()]).unwrap_err());
        let Failure::Refused(Explanation { message, hint }) = failure else {
            panic!("after {limit} notes: {failure:?}");
        };
        assert!(message.ends_with(": limit `notes`"), "{message}");
        assert_eq!(
            hint.as_deref(),
            Some("raise max_file_size_mb, or export shorter intervals")
        );
        assert_eq!(scene.abort_all(), Vec::<String>::new());
        assert_eq!(scene.world.count("CreateMultipartUpload"), limit);
        assert_eq!(scene.world.open_uploads(), []);
    }
}

/// The host's hint says what to change. It takes no request to abort either: what stays open is named, and the next
/// attempt finds it in the notes.
#[test]
fn a_run_that_used_up_its_requests_ends_for_good_and_names_what_stays_open() {
    const SAID: &str = "3 requests, its limit (`requests`)";
    const HINT: &str = "export shorter intervals";
    let mut requests = 0;
    let used_up: Faults = Box::new(move |_, _| {
        requests += 1;
        (requests > 3).then_some(Fault::Forbidden(SAID, HINT))
    });
    let mut scene = scene("", used_up);
    let failure = Failure::from(scene.export(&[&four_parts()]).unwrap_err());
    assert!(
        matches!(&failure, Failure::Refused(Explanation { message, hint })
            if message.contains(SAID) && message.contains("(1 attempt)") && hint.as_deref() == Some(HINT)),
        "{failure:?}"
    );
    let remarks = scene.abort_all();
    assert_eq!(remarks.len(), 1, "{remarks:?}");
    assert!(remarks[0].contains("upload `upload&1` of"), "{remarks:?}");
    scene.world.set_faults(no_faults());
    let notes = scene.world.notes.borrow().clone();
    let host = Rc::new(Host(scene.world.clone()));
    let recovery = recover(host, &scene.settings, &run("attempt-2"), &notes);
    assert_eq!((recovery.aborted.len(), recovery.left_open.len()), (1, 0));
    assert_eq!(scene.world.open_uploads(), []);
}
