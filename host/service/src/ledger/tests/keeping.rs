//! How long things are kept, and copies.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering};

const DAY: i64 = 24 * HOUR;

fn keep(runs_days: u32, runs: u64, log_days: u32) -> Keep {
    Keep {
        runs_days,
        runs,
        log_days,
    }
}

fn line(hour: i64, at: Moment) -> LogLine {
    LogLine {
        run: id(hour),
        attempt: 1,
        at,
        level: "info".to_owned(),
        line: "a line".to_owned(),
    }
}

fn known(ledger: &Ledger) -> Vec<i64> {
    let filter = RunFilter {
        limit: 100,
        ..RunFilter::default()
    };
    let runs = ledger.runs(&filter).expect("read");
    runs.iter().rev().map(|run| run.end.0 / HOUR - 1).collect()
}

#[test]
fn what_is_old_and_over_is_forgotten_with_all_that_belongs_to_it() {
    let (_folder, ledger) = ledger();
    cover(&ledger, 0..4);
    for hour in [0, 1] {
        attempt(&ledger, hour, &completed(1), at(4));
        ledger.record(&[line(hour, at(4))], &[]).expect("written");
    }
    start(&ledger, 2, at(4));
    let now = Moment(at(4).0 + 10 * DAY);
    while ledger.forget_old(keep(11, 100, 11), now).expect("written") {}
    assert_eq!(known(&ledger), [0, 1, 2, 3]);
    while ledger.forget_old(keep(11, 100, 9), now).expect("written") {}
    assert_eq!(ledger.lines(&id(0), 0, 10).expect("read"), []);
    while ledger.forget_old(keep(9, 100, 9), now).expect("written") {}
    assert_eq!(known(&ledger), [2, 3], "what runs or waits stays");
    assert_eq!(ledger.attempts(&id(0)).expect("read"), []);
}

#[test]
fn of_too_many_runs_the_oldest_go_and_never_what_waits_runs_or_has_notes() {
    let (_folder, ledger) = ledger();
    cover(&ledger, 0..6);
    let state = ledger.state();
    let lease = batch_export_runner::State::lease(&state, &id(0)).expect("free");
    let origin = batch_export_runner::Origin::new(header(0), "1".to_owned(), json!({}));
    lease
        .begin(&origin)
        .expect("a journal")
        .note(b"open", true)
        .expect("kept");
    drop(lease);
    for hour in [0, 1, 2, 3] {
        attempt(&ledger, hour, &completed(1), at(7 + hour));
    }
    while ledger.forget_old(keep(100, 3, 100), at(20)).expect("written") {}
    assert_eq!(known(&ledger), [3, 4, 5]);
    while ledger.forget_old(keep(0, 0, 0), at(20)).expect("written") {}
    assert_eq!(known(&ledger), [4, 5]);
    let left = batch_export_runner::State::leftovers(&state).expect("read");
    assert_eq!(left.runs.len(), 1, "its notes outlive it");
}

#[test]
fn a_talkative_run_keeps_so_many_lines_and_no_more() {
    let (_folder, ledger) = ledger();
    cover(&ledger, [0, 1]);
    let lines: Vec<LogLine> = (0..LINES_LIMIT + 5).map(|_| line(0, at(1))).collect();
    ledger.record(&lines, &[]).expect("written");
    ledger
        .record(&[line(0, at(2)), line(1, at(2)), line(9, at(2))], &[])
        .expect("written");
    let kept = |hour| ledger.lines(&id(hour), 0, u32::MAX).expect("read").len() as u64;
    assert_eq!((kept(0), kept(1), kept(9)), (LINES_LIMIT, 1, 0));
    let (first, _) = ledger.lines(&id(0), 0, 1).expect("read").remove(0);
    assert_eq!(ledger.lines(&id(0), first, 3).expect("read").len(), 3);
}

#[test]
fn a_backup_is_whole_while_others_write_and_replaces_nothing() {
    let (folder, ledger) = ledger();
    cover(&ledger, 0..50);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let other = Ledger::open(folder.path()).expect("another handle");
        let stop = &stop;
        scope.spawn(move || {
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                attempt(&other, number % 50, &failed(RunState::FailedRetryable), at(60));
            }
        });
        for number in 0..5 {
            let place = folder.path().join(format!("copy-{number}"));
            std::fs::create_dir(&place).expect("a folder");
            let file = place.join(LEDGER_FILE);
            ledger.backup(&file).expect("written");
            let copy = Ledger::open(&place).expect("a ledger");
            copy.examine().expect("whole");
            assert_eq!(known(&copy).len(), 50);
            #[cfg(unix)]
            assert_eq!(mode(&file), 0o600);
            assert!(matches!(ledger.backup(&file), Err(LedgerError::BackupExists { .. })));
        }
        stop.store(true, Ordering::Relaxed);
    });
    let nowhere = folder.path().join("no/such/folder.sqlite");
    let error = Failure::from(ledger.backup(&nowhere).expect_err("there is no folder"));
    let said = format!(
        "cannot write the backup {}: no such file or directory",
        nowhere.display()
    );
    assert_eq!(
        (error.message(), error.code()),
        (said.as_str(), LedgerError::BACKUP_FAILED)
    );
}

#[cfg(unix)]
pub(super) fn mode(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).expect("there").permissions().mode() & 0o777
}
