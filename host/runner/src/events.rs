//! Events of runs as they happen, through a queue that never makes a run wait. If nobody takes them, replaceable events
//! (progress, requests) are dropped and counted; warnings, log lines and stages never are.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde::Serialize;
use tokio::sync::Notify;

use batch_export_sandbox::contract::{Progress, Run};
use batch_export_sandbox::{Event as RequestEvent, EventKind as RequestEventKind, Level, LogSink, Observer};
use batch_export_source::LineSink;
use batch_export_system::explain::Cause;

/// Events that wait before progress and requests are dropped: more than a second's worth of a fast run.
pub const EVENTS_WAITING: usize = 1_024;

/// Something that happened in a run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RunEvent {
    /// The run.
    pub run_id: Arc<str>,
    /// The attempt.
    pub attempt_id: Arc<str>,
    /// What happened.
    pub what: RunEventKind,
}

impl RunEvent {
    /// Returns an event of an attempt, for whoever receives events and is tested.
    pub fn new(run_id: &str, attempt_id: &str, what: RunEventKind) -> Self {
        RunEvent {
            run_id: run_id.into(),
            attempt_id: attempt_id.into(),
            what,
        }
    }
}

/// What happened in a run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RunEventKind {
    /// The run entered a stage.
    Stage(RunStage),
    /// Rows were supplied.
    Progress(RunProgress),
    /// The plugin logged a line.
    Log {
        /// How much it matters.
        level: Level,
        /// The line.
        line: String,
    },
    /// The source logged a line.
    SourceLog(String),
    /// The plugin sent a request, or a response came.
    Request(RequestEvent),
    /// Something that the operator should know, though nothing failed.
    Warning(Cause),
}

/// A stage of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunStage {
    /// It waits until fewer runs are in progress.
    Waiting,
    /// Its plan is made and compared with the operator's policy.
    Planning,
    /// What the attempt, which is over, left open is cleaned up by a fresh instance.
    Recovering,
    /// The destination is checked.
    Checking,
    /// Rows are read and written.
    Exporting,
    /// It failed or was interrupted, and what it left open is cleaned up.
    CleaningUp,
    /// It is over, and everything is written.
    Succeeded,
    /// It is over, and failed.
    Failed,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct RunProgress {
    /// Rows given to the plugin.
    pub rows_supplied: u64,
    /// Messages that they came in.
    pub batches: u64,
    /// Bytes of those messages.
    pub bytes_supplied: u64,
    /// What the plugin says.
    pub destination: Progress,
}

/// Takes the events of any number of runs. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Events(Weak<Queue>);

/// Hands the events out, in order. Dropping it ends the queue; runs go on.
#[derive(Debug)]
pub struct EventReceiver(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<RunEvent>,
    dropped: u64,
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Events {
    /// Returns a queue's two ends.
    pub fn queue() -> (Self, EventReceiver) {
        let queue = Arc::<Queue>::default();
        (Events(Arc::downgrade(&queue)), EventReceiver(queue))
    }

    /// Returns events without a receiver.
    pub fn none() -> Self {
        Events::default()
    }

    /// Returns the events of one attempt.
    pub(crate) fn of(&self, run: &Run) -> RunEvents {
        RunEvents {
            events: self.clone(),
            run_id: run.id.as_str().into(),
            attempt_id: run.attempt.as_str().into(),
            answers: Arc::default(),
        }
    }

    fn send(&self, event: RunEvent) {
        let Some(queue) = self.0.upgrade() else {
            return;
        };
        let can_be_dropped = matches!(event.what, RunEventKind::Progress(_) | RunEventKind::Request(_));
        let mut waiting = queue.waiting();
        match can_be_dropped && waiting.events.len() >= EVENTS_WAITING {
            true => waiting.dropped += 1,
            false => waiting.events.push_back(event),
        }
        drop(waiting);
        queue.arrived.notify_one();
    }
}

impl EventReceiver {
    /// Waits for the next event. Never ends by itself: the caller knows when the runs are over.
    pub async fn next(&mut self) -> RunEvent {
        loop {
            let arrived = self.0.arrived.notified();
            if let Some(event) = self.0.waiting().events.pop_front() {
                return event;
            }
            arrived.await;
        }
    }

    /// Takes the next event, if one waits.
    pub fn try_next(&mut self) -> Option<RunEvent> {
        self.0.waiting().events.pop_front()
    }

    /// Returns how many events were dropped because nobody took them in time.
    pub fn dropped(&self) -> u64 {
        self.0.waiting().dropped
    }
}

/// The events of one attempt.
#[derive(Debug, Clone)]
pub(crate) struct RunEvents {
    events: Events,
    run_id: Arc<str>,
    attempt_id: Arc<str>,
    answers: Arc<AtomicU64>,
}

impl RunEvents {
    pub(crate) fn send(&self, what: RunEventKind) {
        self.events.send(RunEvent {
            run_id: Arc::clone(&self.run_id),
            attempt_id: Arc::clone(&self.attempt_id),
            what,
        });
    }

    pub(crate) fn stage(&self, stage: RunStage) {
        self.send(RunEventKind::Stage(stage));
    }

    pub(crate) fn warn(&self, warnings: &[Cause]) {
        for warning in warnings {
            self.send(RunEventKind::Warning(warning.clone()));
        }
    }

    /// Takes the lines of a session.
    pub(crate) fn log_sink(&self) -> LogSink {
        let events = self.clone();
        Arc::new(move |level, line| {
            let line = line.to_owned();
            events.send(RunEventKind::Log { level, line });
        })
    }

    /// Takes the lines of a source.
    pub(crate) fn line_sink(&self) -> LineSink {
        let events = self.clone();
        LineSink::new(move |line| events.send(RunEventKind::SourceLog(line.to_owned())))
    }

    /// Observes the requests of a session.
    pub(crate) fn observer(&self) -> Observer {
        let events = self.clone();
        Arc::new(move |event| {
            if matches!(event.kind, RequestEventKind::Responded { status } if status < 500) {
                events.answers.fetch_add(1, Ordering::Relaxed);
            }
            events.send(RunEventKind::Request(event.clone()));
        })
    }

    /// Returns how often a destination responded, without saying that it cannot serve the request.
    pub(crate) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch_export_sandbox::contract::Interval;

    fn run() -> Run {
        Run {
            id: "r".to_owned(),
            attempt: "a".to_owned(),
            model: "events".to_owned(),
            interval: Interval {
                start_micros: None,
                end_micros: 1,
            },
        }
    }

    fn progress(rows_supplied: u64) -> RunEventKind {
        RunEventKind::Progress(RunProgress {
            rows_supplied,
            ..RunProgress::default()
        })
    }

    #[tokio::test]
    async fn a_queue_that_nobody_reads_drops_progress_only_and_counts_it() {
        let (events, mut receiver) = Events::queue();
        let events = events.of(&run());
        for rows in 0..3_000 {
            events.send(progress(rows));
            if rows % 1_000 == 999 {
                events.warn(&[format!("after {rows}").into()]);
            }
        }
        events.log_sink()(Level::Warn, "a line");
        assert_eq!(receiver.dropped(), 3_000 - EVENTS_WAITING as u64 + 1);
        let (mut seen, mut told) = (0, Vec::new());
        while let Some(event) = receiver.try_next() {
            assert_eq!((&*event.run_id, &*event.attempt_id), ("r", "a"));
            match event.what {
                RunEventKind::Progress(_) => seen += 1,
                RunEventKind::Warning(warning) => told.push(warning.to_string()),
                RunEventKind::Log { line, .. } => told.push(line),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(seen, EVENTS_WAITING - 1);
        assert_eq!(told, ["after 999", "after 1999", "after 2999", "a line"]);
        // It goes on as before once there is room.
        events.stage(RunStage::Succeeded);
        let event = receiver.next().await;
        assert!(matches!(event.what, RunEventKind::Stage(RunStage::Succeeded)));
    }

    #[tokio::test]
    async fn events_that_nobody_receives_are_nobodys_burden() {
        let (events, receiver) = Events::queue();
        drop(receiver);
        for events in [events, Events::none()] {
            let events = events.of(&run());
            for rows in 0..10_000 {
                events.send(progress(rows));
            }
        }
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let (events, mut receiver) = Events::queue();
        let waiting = tokio::spawn(async move { receiver.next().await });
        tokio::task::yield_now().await;
        events.of(&run()).stage(RunStage::Waiting);
        let event = waiting.await.expect("an event");
        assert!(matches!(event.what, RunEventKind::Stage(RunStage::Waiting)));
    }
}
