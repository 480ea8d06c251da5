//! What happens in runs, written down: their lines and how far they are go into the ledger in pieces, and stand here
//! for whoever watches them now. Never makes a run wait for a disk.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use batch_export_runner::{Failure, RunEvent, RunEventKind, RunProgress, RunReport, RunStage};
use batch_export_sandbox::{EventKind, Level};
use batch_export_source::Moment;
use batch_export_system::explain::counted;

use crate::ledger::{AttemptProgress, Ledger, LedgerError, LogLine};

/// Lines that wait for the ledger before new ones are counted only: what a minute of sixteen talkative runs makes.
const LINES_WAITING: usize = 50_000;

/// Writes down what happens in any number of runs. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct Recorder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ledger: Ledger,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    runs: HashMap<String, Tracked>,
    lines: Vec<LogLine>,
    /// How far attempts were that are over, where the ledger does not know it yet.
    over: Vec<AttemptProgress>,
    lost: u64,
}

#[derive(Debug)]
struct Tracked {
    live: LiveRun,
    requests: HashSet<u64>,
    /// Whether the ledger knows less of it than is here.
    is_new: bool,
}

/// A run in progress.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LiveRun {
    /// The run.
    pub run_id: String,
    /// The destination's name.
    pub destination: String,
    /// The number of the attempt.
    pub attempt: u32,
    /// The attempt's id, once it has one.
    pub attempt_id: Option<String>,
    /// When the attempt started.
    pub since: Moment,
    /// What it is doing.
    pub stage: Option<RunStage>,
    /// How far it is.
    pub progress: RunProgress,
    /// Requests without a response yet.
    pub requests_in_flight: u64,
    /// Requests that got no response, or one that says to try again.
    pub requests_failed: u64,
    /// Warnings so far.
    pub warnings: u32,
}

impl Recorder {
    /// Returns a recorder that writes to this ledger.
    pub fn new(ledger: Ledger) -> Self {
        Recorder(Arc::new(Inner {
            ledger,
            kept: Mutex::default(),
        }))
    }

    /// Follows an attempt from now on; events of runs that nobody announced are not recorded.
    pub fn started(&self, run_id: &str, destination: &str, attempt: u32, now: Moment) {
        let live = LiveRun {
            run_id: run_id.to_owned(),
            destination: destination.to_owned(),
            attempt,
            attempt_id: None,
            since: now,
            stage: None,
            progress: RunProgress::default(),
            requests_in_flight: 0,
            requests_failed: 0,
            warnings: 0,
        };
        let tracked = Tracked {
            live,
            requests: HashSet::new(),
            is_new: false,
        };
        self.kept().runs.insert(run_id.to_owned(), tracked);
    }

    /// Takes an event. It is in the ledger after the next [`flush`](Self::flush).
    pub fn event(&self, event: &RunEvent, now: Moment) {
        let kept = &mut *self.kept();
        let Some(tracked) = kept.runs.get_mut(&*event.run_id) else {
            return;
        };
        let live = &mut tracked.live;
        if live.attempt_id.is_none() && is_its_own(&event.what) {
            live.attempt_id = Some(event.attempt_id.to_string());
            tracked.is_new = true;
        }
        let line = match &event.what {
            RunEventKind::Stage(stage) => {
                live.stage = Some(*stage);
                stage_in_words(*stage).map(|text| ("info", text.to_owned()))
            }
            RunEventKind::Progress(at) => {
                live.progress = *at;
                tracked.is_new = true;
                None
            }
            RunEventKind::Log { level, line } => Some((level_in_words(*level), format!("plugin: {line}"))),
            RunEventKind::SourceLog(line) => Some(("info", format!("source: {line}"))),
            RunEventKind::Warning(warning) => {
                live.warnings += 1;
                Some(("warn", warning.in_one_text()))
            }
            RunEventKind::Request(request) => {
                tracked.request(request.request, &request.kind);
                None
            }
            _ => None,
        };
        if let Some((level, line)) = line {
            let attempt = tracked.live.attempt;
            kept.add(&event.run_id, attempt, level, line, now);
        }
    }

    /// Says what an attempt came to, and follows it no longer.
    pub fn ended(&self, run_id: &str, outcome: Result<&RunReport, &Failure>, now: Moment) {
        let kept = &mut *self.kept();
        let Some(tracked) = kept.runs.remove(run_id) else {
            return;
        };
        let attempt = tracked.live.attempt;
        let (level, line) = match outcome {
            Ok(report) => ("info", in_words(report)),
            Err(failure) => ("error", failure.in_one_text()),
        };
        kept.add(run_id, attempt, level, line, now);
        for left in outcome.err().into_iter().flat_map(Failure::left_open) {
            kept.add(run_id, attempt, "warn", format!("left open: {left}"), now);
        }
        kept.over.push(tracked.progress());
    }

    /// Writes what is new to the ledger; does nothing where there is nothing. What cannot be written stays for the next
    /// time. Blocks for as long as the ledger does.
    pub fn flush(&self, now: Moment) -> Result<(), LedgerError> {
        let (lines, progress) = self.kept().take(now);
        let written = self.0.ledger.record(&lines, &progress);
        if written.is_err() {
            self.kept().put_back(lines, progress);
        }
        written
    }

    /// Returns the runs in progress, by their ids.
    pub fn live(&self) -> Vec<LiveRun> {
        let mut live: Vec<LiveRun> = self.kept().runs.values().map(|run| run.live.clone()).collect();
        live.sort_by(|one, other| one.run_id.cmp(&other.run_id));
        live
    }

    /// Returns the ledger that it writes to.
    pub fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tracked {
    fn request(&mut self, number: u64, kind: &EventKind) {
        match kind {
            EventKind::Sent { .. } => {
                self.requests.insert(number);
            }
            kind => {
                self.requests.remove(&number);
                let is_in_vain = match kind {
                    EventKind::Responded { status } => *status >= 500 || *status == 429,
                    EventKind::Failed { .. } => true,
                    _ => false,
                };
                self.live.requests_failed += u64::from(is_in_vain);
            }
        }
        self.live.requests_in_flight = self.requests.len() as u64;
    }

    fn progress(&self) -> AttemptProgress {
        AttemptProgress {
            run: self.live.run_id.clone(),
            attempt: self.live.attempt,
            id: self.live.attempt_id.clone(),
            rows: self.live.progress.rows_supplied,
        }
    }
}

impl Kept {
    fn add(&mut self, run: &str, attempt: u32, level: &str, line: String, at: Moment) {
        if self.lines.len() >= LINES_WAITING {
            self.lost += 1;
            return;
        }
        self.lines.push(LogLine {
            run: run.to_owned(),
            attempt,
            at,
            level: level.to_owned(),
            line,
        });
    }

    fn take(&mut self, now: Moment) -> (Vec<LogLine>, Vec<AttemptProgress>) {
        let mut lines = std::mem::take(&mut self.lines);
        if self.lost > 0
            && let Some(last) = lines.last().cloned()
        {
            let lost = counted(self.lost, "line");
            lines.push(LogLine {
                at: now,
                level: "warn".to_owned(),
                line: format!("{lost} of this and other runs were lost, because the ledger could not be written"),
                ..last
            });
            self.lost = 0;
        }
        let mut progress = std::mem::take(&mut self.over);
        for run in self.runs.values_mut() {
            if std::mem::take(&mut run.is_new) {
                progress.push(run.progress());
            }
        }
        (lines, progress)
    }

    /// In front of what has come meanwhile.
    fn put_back(&mut self, mut lines: Vec<LogLine>, mut progress: Vec<AttemptProgress>) {
        lines.append(&mut self.lines);
        self.lost += lines.len().saturating_sub(LINES_WAITING) as u64;
        lines.truncate(LINES_WAITING);
        self.lines = lines;
        progress.append(&mut self.over);
        self.over = progress;
    }
}

/// Returns whether an event has the id of the attempt that is in progress: checks, and recovery of earlier attempts at
/// the same run, have ids of their own.
fn is_its_own(what: &RunEventKind) -> bool {
    match what {
        RunEventKind::Stage(stage) => *stage != RunStage::Recovering,
        RunEventKind::Progress(_) => true,
        _ => false,
    }
}

fn in_words(report: &RunReport) -> String {
    let files = counted(report.report.files.len() as u64, "file");
    let rows = counted(report.report.rows_exported, "row");
    format!("completed: {rows} in {files}, after {:.1} s", report.seconds)
}

/// What is worth a line: the end has one of its own.
fn stage_in_words(stage: RunStage) -> Option<&'static str> {
    match stage {
        RunStage::Waiting => Some("waiting for its turn"),
        RunStage::Planning => Some("planning"),
        RunStage::Recovering => Some("cleaning up after an earlier attempt"),
        RunStage::Checking => Some("checking the destination"),
        RunStage::Exporting => Some("exporting"),
        RunStage::CleaningUp => Some("cleaning up"),
        _ => None,
    }
}

fn level_in_words(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Due, RunState};
    use batch_export_runner::Header;
    use batch_export_system::explain::Cause;

    fn header(end: i64) -> Header {
        Header {
            destination: "archive".to_owned(),
            id: format!("archive-{end}"),
            model: "events".to_owned(),
            start_micros: None,
            end_micros: end,
        }
    }

    /// A recorder that follows two runs that have started.
    fn recorder() -> (tempfile::TempDir, Recorder) {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = Ledger::open(folder.path()).expect("a ledger");
        for end in [1, 2] {
            let due = Due {
                header: header(end),
                not_before: Moment(0),
                skipped: None,
            };
            ledger.cover(&[], &[due], Moment(3)).expect("covered");
            let started = ledger.start(&header(end).id, "c", Moment(4)).expect("started");
            assert_eq!(started.expect("it waits").run.state, RunState::Running);
        }
        let recorder = Recorder::new(ledger);
        recorder.started("archive-1", "archive", 1, Moment(4));
        recorder.started("archive-2", "archive", 1, Moment(4));
        (folder, recorder)
    }

    fn event(run: &str, what: RunEventKind) -> RunEvent {
        RunEvent::new(run, &format!("attempt-at-{run}"), what)
    }

    fn log(line: &str) -> RunEventKind {
        RunEventKind::Log {
            level: Level::Warn,
            line: line.to_owned(),
        }
    }

    fn progress(rows: u64) -> RunEventKind {
        let mut at = RunProgress::default();
        at.rows_supplied = rows;
        RunEventKind::Progress(at)
    }

    fn lines(recorder: &Recorder, run: &str) -> Vec<String> {
        let lines = recorder.ledger().lines(run, 0, 100).expect("lines");
        lines
            .into_iter()
            .map(|(_, line)| format!("{} {}", line.level, line.line))
            .collect()
    }

    #[test]
    fn what_happens_in_runs_is_in_the_ledger_after_a_flush_and_here_at_once() {
        let (_folder, recorder) = recorder();
        let earlier = RunEvent::new("archive-1", "earlier", RunEventKind::Stage(RunStage::Recovering));
        recorder.event(&earlier, Moment(5));
        recorder.event(&event("archive-1", RunEventKind::Stage(RunStage::Exporting)), Moment(6));
        recorder.event(&event("archive-1", log("slow")), Moment(7));
        recorder.event(&event("archive-2", progress(70)), Moment(7));
        recorder.event(
            &event("archive-2", RunEventKind::Warning(Cause::new("odd").with_hint("look"))),
            Moment(8),
        );
        recorder.event(&event("somebody-elses", log("no")), Moment(8));
        let live = recorder.live();
        let seen: Vec<_> = live
            .iter()
            .map(|run| {
                (
                    run.stage,
                    run.progress.rows_supplied,
                    run.warnings,
                    run.attempt_id.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                (Some(RunStage::Exporting), 0, 0, Some("attempt-at-archive-1")),
                (None, 70, 1, Some("attempt-at-archive-2")),
            ]
        );
        assert_eq!(lines(&recorder, "archive-1"), Vec::<String>::new());
        recorder.flush(Moment(9)).expect("written");
        recorder.flush(Moment(9)).expect("nothing new");
        let told = [
            "info cleaning up after an earlier attempt",
            "info exporting",
            "warn plugin: slow",
        ];
        assert_eq!(lines(&recorder, "archive-1"), told);
        assert_eq!(lines(&recorder, "archive-2"), ["warn odd; look"]);
        let attempt = recorder.ledger().attempts("archive-2").expect("attempts").remove(0);
        assert_eq!(
            (attempt.rows, attempt.id.as_deref()),
            (70, Some("attempt-at-archive-2"))
        );

        recorder.event(&event("archive-2", progress(90)), Moment(10));
        let failure = Failure::cancelled();
        recorder.ended("archive-2", Err(&failure), Moment(11));
        recorder.event(&event("archive-2", log("too late")), Moment(12));
        recorder.flush(Moment(12)).expect("written");
        assert_eq!(lines(&recorder, "archive-2")[1..], ["error interrupted"]);
        assert_eq!(recorder.ledger().attempts("archive-2").expect("attempts")[0].rows, 90);
        assert_eq!(recorder.live().len(), 1);
    }

    #[test]
    fn requests_are_counted_while_they_are_under_way() {
        let (_folder, recorder) = recorder();
        let request = |number, kind| {
            let request = batch_export_sandbox::Event {
                sequence: 0,
                request: number,
                kind,
            };
            recorder.event(&event("archive-1", RunEventKind::Request(request)), Moment(5));
            let live = &recorder.live()[0];
            (live.requests_in_flight, live.requests_failed)
        };
        let sent = || EventKind::Sent {
            operation: "UploadPart".to_owned(),
            host: "store".to_owned(),
            method: Default::default(),
            path: "/x".to_owned(),
            body_bytes: 1,
        };
        assert_eq!(request(0, sent()), (1, 0));
        assert_eq!(request(1, sent()), (2, 0));
        assert_eq!(request(0, EventKind::Responded { status: 200 }), (1, 0));
        assert_eq!(request(1, EventKind::Responded { status: 503 }), (0, 1));
        assert_eq!(request(2, sent()), (1, 1));
        assert_eq!(request(2, EventKind::Cancelled), (0, 1));
    }

    #[test]
    fn what_the_ledger_cannot_take_waits_and_no_more_than_fits() {
        let (folder, recorder) = recorder();
        recorder.event(&event("archive-1", log("first")), Moment(5));
        // Somebody else writes to the database in a way that it does not survive.
        let file = rusqlite::Connection::open(folder.path().join(crate::ledger::LEDGER_FILE)).expect("a database");
        file.execute_batch("ALTER TABLE log RENAME TO gone").expect("renamed");
        assert!(recorder.flush(Moment(6)).is_err());
        for number in 0..LINES_WAITING + 10 {
            recorder.event(&event("archive-2", log(&number.to_string())), Moment(7));
        }
        assert!(recorder.flush(Moment(8)).is_err());
        file.execute_batch("ALTER TABLE gone RENAME TO log").expect("renamed");
        recorder.flush(Moment(9)).expect("written");
        assert_eq!(lines(&recorder, "archive-1"), ["warn plugin: first"]);
        let kept = recorder.ledger().lines("archive-2", 0, u32::MAX).expect("lines");
        assert_eq!(kept.len() as u64, crate::ledger::LINES_LIMIT, "{:?}", kept.last());
    }
}
