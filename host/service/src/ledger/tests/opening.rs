//! Opening: who may, what is found there, and who else works with it.

use super::*;
use batch_export_runner::{FailureClass, FailureCode};
use rusqlite::Connection;
use std::fs;

/// The failure of opening a folder's ledger.
fn refused(folder: &Path) -> Failure {
    Ledger::open(folder).expect_err("it cannot be used").into()
}

fn raw(folder: &Path) -> Connection {
    Connection::open(folder.join(LEDGER_FILE)).expect("a database")
}

#[test]
fn a_ledger_that_this_version_cannot_use_is_refused_with_what_to_do() {
    let other = |sql: &'static str| {
        move |folder: &Path| {
            raw(folder).execute_batch(sql).expect("executed");
        }
    };
    type Prepare = Box<dyn Fn(&Path)>;
    let cases: [(Prepare, FailureCode, &str, &str); 5] = [
        (
            Box::new(|folder| {
                drop(Ledger::open(folder).expect("a ledger"));
                raw(folder).execute_batch("PRAGMA user_version = 7").expect("executed");
            }),
            LedgerError::NEWER,
            "has version 7, but this program supports up to 1",
            "use the newer version",
        ),
        (
            Box::new(other("CREATE TABLE cake (id INTEGER)")),
            LedgerError::UNUSABLE,
            "is not a ledger of this program",
            "move the file away",
        ),
        (
            Box::new(other("CREATE TABLE cake (id INTEGER); PRAGMA user_version = 1")),
            LedgerError::UNUSABLE,
            "is not a ledger of this program",
            "move the file away",
        ),
        (
            Box::new(|folder| fs::write(folder.join(LEDGER_FILE), [b'x'; 5_000]).expect("written")),
            LedgerError::DAMAGED,
            "is damaged: file is not a database",
            "copy your last `batch-export ledger backup`",
        ),
        (
            Box::new(|folder| fs::create_dir(folder.join(LEDGER_FILE)).expect("a folder")),
            LedgerError::UNUSABLE,
            "cannot keep the ledger in",
            "`state_dir`",
        ),
    ];
    for (prepare, code, message, hint) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        prepare(folder.path());
        let failure = refused(folder.path());
        assert_eq!(
            (failure.class(), failure.code()),
            (FailureClass::Failed, code),
            "{failure}"
        );
        assert!(failure.message().contains(message), "{failure}");
        let given = failure.hint().unwrap_or_default();
        assert!(given.contains(hint), "{given}");
    }
}

#[test]
fn a_network_file_system_is_refused_with_the_setting_to_change() {
    let error = LedgerError::Network {
        folder: "/mnt/x".into(),
        system: "NFS",
    };
    assert_eq!(
        Failure::from(error).in_one_text(),
        "cannot keep the ledger in /mnt/x: it is on a network file system (NFS), on which two machines would damage it; let \
         `state_dir` name a folder on a local disk"
    );
}

#[test]
fn damage_inside_is_found_by_an_examination_and_named_where_it_is_met() {
    let (folder, ledger) = ledger();
    cover(&ledger, 0..500);
    ledger.examine().expect("whole");
    let file = ledger.file();
    drop(ledger);
    let mut bytes = fs::read(&file).expect("read");
    // Not the schema, which comes first.
    let half = bytes.len() / 2;
    for byte in bytes.iter_mut().skip(half) {
        *byte = 0x5a;
    }
    fs::write(&file, bytes).expect("written");
    let ledger = Ledger::open(folder.path()).expect("its beginning is whole");
    let failure = Failure::from(ledger.examine().expect_err("damaged"));
    assert_eq!(failure.code(), LedgerError::DAMAGED);
    assert!(failure.message().contains("is damaged: "), "{failure}");
    let filter = RunFilter {
        limit: 1_000,
        ..RunFilter::default()
    };
    let failure = Failure::from(ledger.runs(&filter).expect_err("damaged"));
    assert_eq!(failure.code(), LedgerError::DAMAGED, "{failure}");
    assert!(failure.hint().is_some_and(|hint| hint.contains("backup")));
}

#[test]
fn any_number_of_processes_may_open_a_new_ledger_at_once() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().expect("a folder");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    Ledger::open(folder.path())
                        .expect("a ledger")
                        .see(&[("x", None)], at(0))
                });
            }
        });
        let names = Ledger::open(folder.path())
            .expect("a ledger")
            .destinations()
            .expect("read");
        assert_eq!(names.len(), 1);
    }
}

#[cfg(unix)]
#[test]
fn everything_is_its_owners_alone() {
    use super::keeping::mode;
    let (folder, ledger) = ledger();
    let _service = ledger.lock_service().expect("free");
    let lease = batch_export_runner::State::lease(&ledger.state(), "run").expect("free");
    cover(&ledger, [0]);
    let mut seen = Vec::new();
    let mut waiting = vec![folder.path().to_path_buf()];
    while let Some(path) = waiting.pop() {
        for entry in fs::read_dir(path).expect("a list") {
            let path = entry.expect("an entry").path();
            let expect = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&path), expect, "{}", path.display());
            seen.push(path.file_name().expect("a name").to_string_lossy().into_owned());
            if path.is_dir() {
                waiting.push(path);
            }
        }
    }
    seen.sort();
    let files = [
        "ledger.sqlite",
        "ledger.sqlite-shm",
        "ledger.sqlite-wal",
        "locks",
        "run",
        "service.lock",
    ];
    assert_eq!(seen, files);
    drop(lease);
}

#[cfg(unix)]
#[test]
fn what_others_could_have_put_there_is_not_used() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("a mode");
    let failure = refused(folder.path());
    let path = folder.path().display();
    assert_eq!(
        failure.in_one_text(),
        format!(
            "cannot keep the ledger in {path}: other users can write to it (its mode is 777); run `chmod go-w {path}`, or \
             let `state_dir` name a folder of your own inside it"
        )
    );
    // A link in the place of the file is not followed; one to the folder was the operator's choice.
    let (elsewhere, _kept) = ledger();
    let folder = tempfile::tempdir().expect("a folder");
    symlink(elsewhere.path().join(LEDGER_FILE), folder.path().join(LEDGER_FILE)).expect("a link");
    assert_eq!(refused(folder.path()).code(), LedgerError::UNUSABLE);
    let link = folder.path().join("link");
    symlink(elsewhere.path(), &link).expect("a link");
    Ledger::open(&link).expect("a ledger");
}

#[test]
fn a_second_service_is_refused_and_a_command_sees_the_first() {
    let (folder, ledger) = ledger();
    assert_eq!(ledger.service().expect("read"), None);
    let first = ledger.lock_service().expect("free");
    let other = Ledger::open(folder.path()).expect("another handle");
    let pid = std::process::id();
    assert_eq!(other.service().expect("read"), Some(pid));
    let failure = Failure::from(other.lock_service().expect_err("one is enough"));
    assert_eq!(failure.code(), LedgerError::SERVICE_RUNNING);
    let said = format!("another service (process {pid}) is already running with ");
    assert!(failure.message().starts_with(&said), "{failure}");
    drop(first);
    assert_eq!(other.service().expect("read"), None);
    let looking = std::thread::spawn({
        let other = other.clone();
        move || (0..200).for_each(|_| drop(other.service()))
    });
    for _ in 0..20 {
        drop(ledger.lock_service().expect("commands that look are in nobody's way"));
    }
    looking.join().expect("no panic");
}

#[test]
fn what_one_process_asks_for_another_one_notices() {
    let (folder, ledger) = ledger();
    cover(&ledger, [0]);
    let other = Ledger::open(folder.path()).expect("another handle");
    let before = other.orders().expect("read");
    assert_eq!(other.orders().expect("read"), before);
    start(&ledger, 0, at(1));
    assert_eq!(other.orders().expect("read"), before, "what a service does is no order");
    ledger.cancel(&id(0), at(1)).expect("written");
    assert!(other.orders().expect("read") > before);
    assert_eq!(other.cancel_requests().expect("read"), [id(0)]);
}

#[test]
fn a_full_disk_is_temporary_and_loses_nothing_that_was_acknowledged() {
    let (folder, ledger) = ledger();
    cover(&ledger, 0..10);
    let long = |hour| {
        let line = LogLine {
            run: id(hour),
            attempt: 1,
            at: at(1),
            level: "info".to_owned(),
            line: "x".repeat(4_000),
        };
        vec![line; 100]
    };
    ledger.limit_pages(4);
    let error = ledger.record(&long(0), &[]).expect_err("no room");
    assert!(error.is_transient(), "{error}");
    let failure = Failure::from(error);
    assert_eq!(
        (failure.class(), failure.code()),
        (FailureClass::Retryable, LedgerError::UNAVAILABLE)
    );
    assert_eq!(
        failure.message(),
        "the ledger cannot be read or written: the disk is full"
    );
    assert_eq!(failure.hint(), Some("free some space on the disk of `state_dir`"));
    let other = Ledger::open(folder.path()).expect("another handle");
    assert_eq!(other.lines(&id(0), 0, 10).expect("read"), [], "all or nothing");
    assert_eq!(other.counts("x").expect("read"), [(RunState::Starting, 10)]);
    ledger.limit_pages(u32::MAX);
    ledger.record(&long(0), &[]).expect("there is room again");
}

impl Ledger {
    /// Lets the database grow by so many pages and no more.
    pub(super) fn limit_pages(&self, more: u32) {
        self.read(|connection| {
            let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            let limit = pages.saturating_add(i64::from(more)).min(i64::from(u32::MAX) - 2);
            connection.query_row(&format!("PRAGMA max_page_count = {limit}"), [], |_| Ok(()))?;
            Ok(())
        })
        .expect("a limit");
    }
}
