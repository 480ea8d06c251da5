//! Runs and backfills in JSON. Times are in UTC.

use serde::Serialize;
use serde_json::Value;

use batch_export_service::ledger::{Backfill, BackfillState, Origin, Run, RunState};
use batch_export_source::{Ends, Moment};

/// Returns a moment in ISO 8601.
pub fn iso(moment: Moment) -> String {
    moment.to_string()
}

/// The service that works with the ledger, if there is one.
#[derive(Debug, Serialize)]
pub struct ServiceJson {
    running: bool,
    /// Its process, where that is known.
    process: Option<u32>,
}

impl ServiceJson {
    pub fn new(service: Option<u32>) -> Self {
        ServiceJson {
            running: service.is_some(),
            process: service.filter(|pid| *pid != 0),
        }
    }
}

/// A run, with what its last attempt came to.
#[derive(Debug, Serialize)]
pub struct RunJson {
    run_id: String,
    destination: String,
    model: String,
    interval: Ends,
    state: RunState,
    reason: Option<String>,
    origin: Origin,
    backfill: Option<i64>,
    created_at: String,
    /// When it may start, while it waits.
    not_before: Option<String>,
    started_at: Option<String>,
    finished_at: Option<String>,
    attempts: u32,
    rows: u64,
    bytes: u64,
    files: u32,
    warnings: u32,
    cancel_requested: bool,
    error: Option<Value>,
}

impl From<&Run> for RunJson {
    fn from(run: &Run) -> Self {
        RunJson {
            run_id: run.id.clone(),
            destination: run.destination.clone(),
            model: run.model.clone(),
            interval: run.ends(),
            state: run.state,
            reason: run.reason.clone(),
            origin: run.origin,
            backfill: run.backfill,
            created_at: iso(run.created),
            not_before: run.state.is_waiting().then(|| iso(run.not_before)),
            started_at: run.started.map(iso),
            finished_at: run.finished.map(iso),
            attempts: run.attempts,
            rows: run.rows,
            bytes: run.bytes,
            files: run.files,
            warnings: run.warnings,
            cancel_requested: run.cancel_requested,
            error: run.error.clone(),
        }
    }
}

/// A backfill, with how far it is.
#[derive(Debug, Serialize)]
pub struct BackfillJson {
    backfill: i64,
    destination: String,
    interval: Ends,
    state: BackfillState,
    runs: u64,
    completed: u64,
    failed: u64,
    running: u64,
    waiting: u64,
    concurrency: u32,
    created_at: String,
    cancelled_at: Option<String>,
}

impl From<&Backfill> for BackfillJson {
    fn from(backfill: &Backfill) -> Self {
        BackfillJson {
            backfill: backfill.id,
            destination: backfill.destination.clone(),
            interval: Ends::of(Some(backfill.start.0), backfill.end.0),
            state: backfill.state(),
            runs: backfill.count(|_| true),
            completed: backfill.count(|state| state == RunState::Completed),
            failed: backfill.count(|state| matches!(state, RunState::Failed | RunState::TimedOut)),
            running: backfill.count(|state| state == RunState::Running),
            waiting: backfill.count(RunState::is_waiting),
            concurrency: backfill.runs_at_once,
            created_at: iso(backfill.created),
            cancelled_at: backfill.cancelled.map(iso),
        }
    }
}
