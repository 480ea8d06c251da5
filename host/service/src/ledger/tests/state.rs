//! Holding, noting, reading back and forgetting runs, while others do the same.

use super::*;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use batch_export_runner::{FailureCode, FoundNotes, Lease, Origin, RunOwner, State, StateMemory};

fn origin(id: &str, destination: &str, attempt: &str) -> Origin {
    let header = Header {
        destination: destination.to_owned(),
        id: id.to_owned(),
        ..header(0)
    };
    Origin::new(header, attempt.to_owned(), json!({ "bucket_name": "old" }))
}

/// A ledger, and a run in it that was abandoned after one note.
fn abandoned() -> (TempDir, LedgerState) {
    let (folder, ledger) = ledger();
    let state = ledger.state();
    let held = state.lease("a").expect("free");
    let journal = held.begin(&origin("a", "x", "1")).expect("a journal");
    journal.note(b"upload", true).expect("kept");
    (folder, state)
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
fn a_run_that_a_service_has_not_held_yet_is_not_taken_for_abandoned() {
    let (_folder, ledger) = ledger();
    cover(&ledger, [0]);
    start(&ledger, 0, at(1));
    let is_attended = || ledger.is_attended(&id(0)).expect("a look");
    assert!(!is_attended(), "nobody is there");
    let service = ledger.lock_service().expect("the only one");
    assert!(is_attended(), "it may wait for memory");
    drop(service);
    let held = ledger.state().lease(&id(0)).expect("free");
    assert!(is_attended(), "somebody holds it");
    drop(held);
    assert!(!is_attended());
}

/// Memory keeps the same promises as the ledger, as long as the process lives.
#[test]
fn both_states_hold_a_run_once_keep_its_notes_and_forget_it() {
    let (_folder, ledger) = ledger();
    let states: [Box<dyn State>; 2] = [Box::new(ledger.state()), Box::new(StateMemory::default())];
    for state in states {
        assert!(state.leftovers().expect("a list").is_empty(), "{state:?}");
        let held = state.lease("a").expect("free");
        let code = state.lease("a").map_err(|failure| failure.code()).err();
        assert_eq!(code, Some(FailureCode::RUN_IN_PROGRESS), "{state:?}");
        for attempt in ["2", "1"] {
            let journal = held.begin(&origin("a", "x", attempt)).expect("a journal");
            journal.note(attempt.as_bytes(), true).expect("kept");
            journal.note(b"", false).expect("kept");
        }
        assert_eq!(
            held.attempts().expect("a list"),
            ["2", "1"],
            "in their order: {state:?}"
        );
        held.forget("2").expect("forgotten");
        drop(held);
        assert_eq!(owner(&*state, "a"), RunOwner::Destination("x".to_owned()), "{state:?}");
        let held = state.lease("a").expect("let go");
        let FoundNotes::Notes(leftover) = only(&*held) else {
            panic!("no notes in {state:?}");
        };
        assert_eq!(leftover.notes, [&b"1"[..], b""], "{state:?}");
        assert_eq!(leftover.origin.header.id, "a");
        assert!(matches!(held.read("2"), FoundNotes::Nothing), "{state:?}");
        held.forget("1").expect("forgotten");
        held.finish().expect("gone");
        assert!(state.leftovers().expect("a list").is_empty(), "{state:?}");
        for seal in ["f", "g"] {
            assert_ne!(state.last_check("x").expect("read").as_deref(), Some(seal), "{state:?}");
            state.remember_check("x", seal).expect("written");
            assert_eq!(state.last_check("x").expect("read").as_deref(), Some(seal), "{state:?}");
        }
    }
}

#[test]
fn notes_survive_the_process_and_stay_until_they_are_forgotten() {
    let (folder, state) = abandoned();
    drop(state);
    let ledger = Ledger::open(folder.path()).expect("a ledger");
    let state = ledger.state();
    let held = state.lease("a").expect("let go");
    assert!(matches!(only(&*held), FoundNotes::Notes(leftover) if leftover.notes == [b"upload"]));
    let said = ledger.forget_notes("a").expect_err("it is held");
    assert_eq!(said.code(), FailureCode::RUN_IN_PROGRESS);
    held.finish().expect("let go");
    assert_eq!(
        state.leftovers().expect("a list").runs.len(),
        1,
        "the end of a run forgets no note"
    );
    assert_eq!(ledger.forget_notes("a").expect("written"), 1);
    assert_eq!(ledger.forget_notes("a").expect("written"), 0);
    assert!(state.leftovers().expect("a list").is_empty());
}

#[test]
fn a_note_that_nobody_would_find_is_refused() {
    let (_folder, ledger) = ledger();
    let held = ledger.state().lease("a").expect("free");
    let journal = held.begin(&origin("a", "x", "1")).expect("a journal");
    assert!(held.begin(&origin("a", "x", "1")).is_err(), "an attempt begins once");
    held.forget("1").expect("forgotten");
    journal.note(b"late", true).expect_err("nobody would read it");
}

#[test]
fn notes_that_cannot_be_used_are_named_and_kept() {
    let (folder, state) = abandoned();
    let raw = rusqlite::Connection::open(folder.path().join(LEDGER_FILE)).expect("a database");
    let newer = serde_json::to_string(&origin("a", "x", "1"))
        .expect("JSON")
        .replace("\"form\":1", "\"form\":2");
    let other = serde_json::to_string(&origin("../../victim", "x", "1")).expect("JSON");
    for (text, said) in [
        ("x", "it does not begin with the run that its notes belong to"),
        (newer.as_str(), "it has format 2, but this program supports 1"),
        (
            other.as_str(),
            "it belongs to a different run or attempt than its name says",
        ),
    ] {
        raw.execute("UPDATE journals SET origin = ?1", [text]).expect("changed");
        let held = state.lease("a").expect("free");
        assert!(
            matches!(only(&*held), FoundNotes::Unreadable(problem) if problem == said),
            "{said}"
        );
        drop(held);
        assert_eq!(state.leftovers().expect("a list").runs.len(), 1);
    }
    raw.execute("UPDATE journals SET origin = 'x'", []).expect("changed");
    assert_eq!(owner(&state, "a"), RunOwner::Unreadable);
}

#[test]
fn ids_are_no_paths_and_a_lock_that_is_something_else_is_left_alone() {
    let (folder, ledger) = ledger();
    let state = ledger.state();
    fs::create_dir(folder.path().join("victim")).expect("a folder");
    for id in [
        "",
        ".",
        "..",
        "../victim",
        "/",
        "a/b",
        "a\0b",
        ".x",
        "a b",
        &"a".repeat(300),
    ] {
        let failure = state.lease(id).expect_err(id);
        assert_eq!(failure.code(), FailureCode::STATE_UNUSABLE, "{failure}");
    }
    drop(state.lease("first").expect("free"));
    let locks = folder.path().join("locks");
    fs::create_dir(locks.join("folder")).expect("a folder");
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.path().join("victim"), locks.join("link")).expect("a link");
    for id in ["folder", "link"] {
        let failure = state.lease(id).expect_err(id);
        assert_eq!(failure.code(), FailureCode::STATE_UNUSABLE, "{failure}");
        assert!(locks.join(id).exists());
    }
}

/// Threads with handles of their own, as processes have them.
#[test]
fn two_holders_never_meet() {
    const THREADS: usize = 8;
    const TIMES: usize = 200;
    let (folder, _ledger) = ledger();
    let (holders, held, busy) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (folder, holders, held, busy) = (&folder, &holders, &held, &busy);
            scope.spawn(move || {
                let state = Ledger::open(folder.path()).expect("a handle").state();
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
fn any_number_of_abandoned_runs_is_looked_at() {
    let (_folder, ledger) = ledger();
    let state = ledger.state();
    for number in 0..300 {
        let id = format!("run-{number}");
        state
            .lease(&id)
            .expect("free")
            .begin(&origin(&id, "x", &id))
            .expect("a journal");
    }
    let left = state.leftovers().expect("a list");
    assert_eq!((left.runs.len(), left.more), (300, false));
    for run in &left.runs {
        assert_eq!(run.owner, RunOwner::Destination("x".to_owned()));
        assert!(!ledger.is_held(&run.id).expect("looked"));
    }
    let held = state.lease("run-7").expect("free");
    assert!(ledger.is_held("run-7").expect("looked"));
    drop(held);
    assert!(!ledger.is_held("run-7").expect("looked"));
}

#[test]
fn notes_of_a_full_disk_are_refused_and_those_before_and_after_are_kept() {
    let (folder, ledger) = ledger();
    let held = ledger.state().lease("a").expect("free");
    let journal = held.begin(&origin("a", "x", "1")).expect("a journal");
    journal.note(b"before", true).expect("kept");
    ledger.limit_pages(0);
    let refused = (0..100)
        .find_map(|_| journal.note(&[7; 4_000], true).err())
        .expect("no room");
    assert_eq!(
        refused.to_string(),
        "the ledger cannot be read or written: the disk is full"
    );
    ledger.limit_pages(u32::MAX);
    journal.note(b"after", true).expect("kept");
    drop(held);
    let again = Ledger::open(folder.path())
        .expect("a handle")
        .state()
        .lease("a")
        .expect("let go");
    let FoundNotes::Notes(leftover) = only(&*again) else {
        panic!("no notes");
    };
    assert_eq!(leftover.notes.first().map(Vec::as_slice), Some(&b"before"[..]));
    assert_eq!(leftover.notes.last().map(Vec::as_slice), Some(&b"after"[..]));
}
