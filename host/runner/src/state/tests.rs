//! Holding, noting, reading back and forgetting runs, while others do the same and files are not what they should be.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::failure::FailureCode;

fn header(id: &str, destination: &str) -> Header {
    Header {
        destination: destination.to_owned(),
        id: id.to_owned(),
        model: "events".to_owned(),
        start_micros: None,
        end_micros: 7,
    }
}

fn origin(id: &str, destination: &str, attempt: &str) -> Origin {
    Origin::new(
        header(id, destination),
        attempt.to_owned(),
        json!({ "bucket_name": "old" }),
    )
}

/// A state folder, and a run in it that was abandoned after one note.
fn abandoned() -> (TempDir, StateFolder) {
    let folder = tempfile::tempdir().expect("a folder");
    let state = StateFolder::new(folder.path());
    let held = state.lease("a").expect("free");
    let journal = held.begin(&origin("a", "x", "1")).expect("a journal");
    journal.note(b"upload", true).expect("kept");
    (folder, state)
}

fn ids(state: &dyn State) -> Vec<String> {
    let left = state.leftovers().expect("a list");
    left.runs.into_iter().map(|run| run.id).collect()
}

fn owner(state: &dyn State, id: &str) -> RunOwner {
    let left = state.leftovers().expect("a list");
    let found = left.runs.into_iter().find(|run| run.id == id);
    found.expect("it is there").owner
}

fn only(held: &dyn Lease) -> FoundNotes {
    let attempts = held.attempts().expect("a list");
    assert_eq!(attempts.len(), 1, "{attempts:?}");
    held.read(&attempts[0])
}

#[test]
fn a_run_is_held_once_and_its_notes_are_found_after_it_was_let_go() {
    let (_folder, state) = abandoned();
    assert_eq!(owner(&state, "a"), RunOwner::Destination("x".to_owned()));
    let held = state.lease("a").expect("let go");
    let code = state.lease("a").map_err(|failure| failure.code()).err();
    assert_eq!(code, Some(FailureCode::RUN_IN_PROGRESS));
    let FoundNotes::Notes(leftover) = only(&*held) else {
        panic!("no notes");
    };
    assert_eq!(leftover.notes, [b"upload"]);
    assert_eq!(leftover.origin, origin("a", "x", "1").begun_like(&leftover.origin));
    held.forget(&leftover.origin.attempt).expect("gone");
    assert_eq!(held.attempts().expect("a list"), Vec::<String>::new());
    held.finish().expect("gone");
    assert_eq!(ids(&state), Vec::<String>::new());
}

impl Origin {
    /// The same but for the time.
    fn begun_like(self, other: &Self) -> Self {
        Self {
            begun: other.begun,
            ..self
        }
    }
}

/// Memory keeps the same promises as a folder, as long as the process lives.
#[test]
fn both_states_hold_a_run_once_keep_its_notes_and_forget_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let states: [Box<dyn State>; 2] = [
        Box::new(StateFolder::new(folder.path())),
        Box::new(StateMemory::default()),
    ];
    for state in states {
        assert!(state.leftovers().expect("a list").is_empty(), "{state:?}");
        let held = state.lease("a").expect("free");
        let code = state.lease("a").map_err(|failure| failure.code()).err();
        assert_eq!(code, Some(FailureCode::RUN_IN_PROGRESS), "{state:?}");
        for attempt in ["1", "2"] {
            let journal = held.begin(&origin("a", "x", attempt)).expect("a journal");
            journal.note(attempt.as_bytes(), true).expect("kept");
        }
        held.forget("2").expect("forgotten");
        drop(held);
        let expect = RunOwner::Destination("x".to_owned());
        assert_eq!(owner(&*state, "a"), expect, "{state:?}");
        let held = state.lease("a").expect("let go");
        assert_eq!(held.attempts().expect("a list"), ["1"], "{state:?}");
        let FoundNotes::Notes(leftover) = held.read("1") else {
            panic!("no notes in {state:?}");
        };
        assert_eq!(leftover.notes, [b"1"], "{state:?}");
        assert!(matches!(held.read("2"), FoundNotes::Nothing), "{state:?}");
        held.forget("1").expect("forgotten");
        held.finish().expect("gone");
        assert!(state.leftovers().expect("a list").is_empty(), "{state:?}");
        assert_ne!(state.last_check("x").expect("read").as_deref(), Some("f"), "{state:?}");
        state.remember_check("x", "f").expect("written");
        assert_eq!(state.last_check("x").expect("read").as_deref(), Some("f"), "{state:?}");
    }
}

#[test]
fn a_run_with_notes_is_not_cleared() {
    let (_folder, state) = abandoned();
    state.lease("a").expect("free").finish().expect("kept");
    assert_eq!(ids(&state), ["a"]);
}

#[test]
fn names_and_headers_are_no_paths() {
    let (folder, state) = abandoned();
    let victim = folder.path().join("victim");
    fs::create_dir(&victim).expect("a folder");
    fs::write(victim.join("file"), "precious").expect("a file");
    for id in [
        "",
        ".",
        "..",
        "../victim",
        "/",
        "a/b",
        "a\0b",
        ".gone-x",
        "a b",
        &"a".repeat(129),
    ] {
        let error = state.lease(id).expect_err(id).to_string();
        assert!(error.contains("this is not the id of a run"), "{error}");
    }
    // What earlier versions wrote, and what its notes say of their run, is believed as little.
    let evil = folder.path().join("runs/evil");
    fs::create_dir(&evil).expect("a folder");
    let text =
        json!({ "destination": "x", "id": "../../victim", "model": "events", "start_micros": null, "end_micros": 1 });
    fs::write(evil.join("run.json"), text.to_string()).expect("written");
    let held = state.lease("evil").expect("free");
    drop(held.begin(&origin("../../victim", "x", "1")).expect("a journal"));
    let FoundNotes::Unreadable(problem) = only(&*held) else {
        panic!("it was believed");
    };
    assert_eq!(problem, "it belongs to a different run or attempt than its name says");
    drop(held);
    assert_eq!(owner(&state, "evil"), RunOwner::Unreadable);
    fs::remove_file(evil.join("1.notes")).expect("removed");
    state.lease("evil").expect("free").finish().expect("gone");
    assert!(!evil.exists() && victim.join("file").exists());
}

#[test]
fn what_is_no_run_is_named_and_left_alone() {
    let (folder, state) = abandoned();
    let runs = folder.path().join("runs");
    fs::create_dir(runs.join("b c")).expect("a folder");
    fs::write(runs.join("file"), "x").expect("a file");
    symlink(folder.path(), runs.join("link")).expect("a link");
    fs::create_dir(runs.join("open")).expect("a folder");
    fs::set_permissions(runs.join("open"), fs::Permissions::from_mode(0o777)).expect("a mode");
    let left = state.leftovers().expect("a list");
    assert_eq!(left.runs.len(), 1);
    assert_eq!(left.runs[0].id, "a");
    let names: Vec<_> = left
        .strange
        .iter()
        .map(|path| Path::new(path).file_name().expect("a name"))
        .collect();
    assert_eq!(names, ["b c", "file", "link", "open"]);
    for name in ["file", "link", "open"] {
        assert!(
            matches!(state.lease(name), Err(failure) if failure.code() == FailureCode::STATE_UNUSABLE),
            "{name}"
        );
        assert!(runs.join(name).exists(), "{name}");
    }
}

#[test]
fn a_link_in_a_runs_folder_is_not_followed_and_a_folder_in_it_is_not_deleted() {
    let (folder, state) = abandoned();
    let outside = folder.path().join("outside.notes");
    fs::rename(folder.path().join("runs/a/1.notes"), &outside).expect("moved");
    symlink(&outside, folder.path().join("runs/a/1.notes")).expect("a link");
    let held = state.lease("a").expect("free");
    assert!(matches!(only(&*held), FoundNotes::Unreadable(problem) if problem.contains("symbolic link")));
    fs::remove_file(folder.path().join("runs/a/1.notes")).expect("removed");
    fs::create_dir(folder.path().join("runs/a/folder")).expect("a folder");
    fs::write(folder.path().join("runs/a/folder/file"), "x").expect("a file");
    held.finish().expect_err("a folder is in it");
    assert!(outside.exists());
    let kept = fs::read_dir(folder.path().join("runs")).expect("a list").next();
    let kept = kept.expect("one").expect("an entry").path();
    assert!(kept.join("folder/file").exists(), "{}", kept.display());
    // The run itself can begin again.
    state.lease("a").expect("free");
}

#[test]
fn notes_without_a_beginning_are_told_from_nothing_noted() {
    let (folder, state) = abandoned();
    let path = folder.path().join("runs/a/1.notes");
    let whole = fs::read(&path).expect("read");
    let held = state.lease("a").expect("free");
    // An earlier form of file, damage, another form, and a rename.
    let mut damaged = whole.clone();
    damaged[30] ^= 1;
    for bytes in [&b"\x06\0\0\0not notes"[..], &damaged] {
        fs::write(&path, [bytes, &[1; 64]].concat()).expect("written");
        assert!(matches!(only(&*held), FoundNotes::Unreadable(_)), "{bytes:?}");
        assert!(path.exists());
    }
    fs::write(&path, &whole).expect("written");
    let renamed = path.with_file_name("2.notes");
    fs::rename(&path, &renamed).expect("renamed");
    assert!(matches!(only(&*held), FoundNotes::Unreadable(_)));
    fs::rename(&renamed, &path).expect("renamed");
    // The process ended before the first note was whole: the plugin could not add one.
    for bytes in [&whole[..0], &whole[..5], &whole[..40]] {
        fs::write(&path, bytes).expect("written");
        assert!(matches!(only(&*held), FoundNotes::Nothing), "{bytes:?}");
        assert!(!path.exists());
    }
    // Damage behind the first note: what can be read is used, and the rest is said.
    fs::write(&path, [&whole, &[9; 64][..]].concat()).expect("written");
    assert!(matches!(
        only(&*held),
        FoundNotes::Notes(Leftover { damaged_bytes: 64, notes, .. }) if notes == [b"upload"]
    ));
}

#[test]
fn two_holders_never_meet() {
    const THREADS: usize = 8;
    const TIMES: usize = 300;
    let folder = tempfile::tempdir().expect("a folder");
    let state = StateFolder::new(folder.path());
    let (holders, held, busy) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (state, holders, held, busy) = (&state, &holders, &held, &busy);
            scope.spawn(move || {
                for time in 0..TIMES {
                    match state.lease("run") {
                        Ok(run) => {
                            assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                            held.fetch_add(1, Ordering::SeqCst);
                            std::thread::yield_now();
                            assert_eq!(holders.fetch_sub(1, Ordering::SeqCst), 1, "two at once");
                            // Some clear the run, as at its end, and some just let go, as when they crash.
                            if (thread + time) % 3 > 0 {
                                run.finish().expect("its own to clear");
                            }
                        }
                        Err(failure) if failure.code() == FailureCode::RUN_IN_PROGRESS => {
                            busy.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
    });
    let (held, busy) = (held.into_inner(), busy.into_inner());
    assert_eq!(held + busy, THREADS * TIMES);
    assert!(held > 0);
}

#[test]
fn any_number_of_abandoned_runs_is_looked_at_with_a_few_open_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = StateFolder::new(folder.path());
    for number in 0..300 {
        let id = format!("run-{number}");
        let held = state.lease(&id).expect("free");
        held.begin(&origin(&id, "x", "1")).expect("a journal");
    }
    let open = || fs::read_dir("/proc/self/fd").expect("Linux").count();
    let before = open();
    let left = state.leftovers().expect("a list");
    assert_eq!((left.runs.len(), left.more), (300, false));
    for run in &left.runs {
        assert_eq!(run.owner, RunOwner::Destination("x".to_owned()));
        let held = state.lease(&run.id).expect("free");
        assert!(open() < before + 64, "files stay open");
        assert!(matches!(only(&*held), FoundNotes::Notes(_)));
    }
}

#[test]
fn a_state_folder_of_which_others_can_write_is_refused_by_name() {
    let (folder, state) = abandoned();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("a mode");
    let path = folder.path().display();
    assert_eq!(
        state.lease("a").expect_err("refused").in_one_text(),
        format!(
            "cannot keep state in {path}: other users can write to it (its mode is 777); run `chmod go-w {path}`, or let \
             `state_dir` name a folder of your own inside it"
        )
    );
    assert!(state.leftovers().is_err() && state.last_check("x").is_err());
}

#[test]
fn what_was_tried_is_remembered_whole_or_not_at_all() {
    let (folder, state) = abandoned();
    assert_ne!(state.last_check("x").expect("read").as_deref(), Some("f"));
    state.remember_check("x", "f").expect("written");
    state.remember_check("x", "g").expect("replaced");
    assert_eq!(state.last_check("x").expect("read").as_deref(), Some("g"));
    assert_ne!(state.last_check("x").expect("read").as_deref(), Some("f"));
    let names = fs::read_dir(folder.path().join("checked")).expect("a list");
    assert_eq!(names.count(), 1, "no temporary file stays");
}
