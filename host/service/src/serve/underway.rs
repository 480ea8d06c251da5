//! Attempts that are in progress: how they start, how they are ended from outside, and what comes of them.

use std::time::{Duration, Instant};

use tokio::task::JoinError;
use tracing::{error, info, warn};

use super::Service;
use crate::ledger::{LedgerError, Origin, Outcome, Run, RunState, Started};
use crate::scheduler::End;
use crate::scheduler::policy::Attempt;
use batch_export_runner::{Failure, FailureClass, FailureCode, RunReport, RunTokens};
use batch_export_source::{Moment, TimeOf};

/// An attempt that is in progress.
#[derive(Debug)]
pub(super) struct Underway {
    pub run: Run,
    pub attempt: u32,
    pub began: Instant,
    /// The time for which the process stood still meanwhile.
    pub stood_still: Duration,
    /// How long the run may take, with all its attempts.
    limit: Duration,
    pub tokens: RunTokens,
}

/// An attempt that is over.
#[derive(Debug)]
pub(super) struct Finished {
    pub run_id: String,
    pub result: Result<RunReport, Failure>,
}

impl Underway {
    /// Ends it because somebody asked for that.
    pub(super) fn cancel(&self) {
        self.tokens.work.cancel();
    }

    pub(super) fn took(&self) -> Duration {
        self.began.elapsed().saturating_sub(self.stood_still)
    }

    fn outcome(&self, result: &Result<RunReport, Failure>, now: Moment) -> Outcome {
        let attempt = Attempt {
            run_id: &self.run.id,
            tries: self.run.tries,
            used: Duration::from_millis(self.run.used_ms),
            took: self.took(),
            stood_still: self.stood_still > Duration::ZERO,
            limit: self.limit,
            now,
        };
        match result {
            Ok(report) => attempt.succeeded(report),
            Err(failure) => attempt.failed(failure),
        }
    }
}

impl Service {
    /// Starts an attempt that the ledger has as begun.
    pub(super) fn start(&mut self, started: Started) {
        let Started { run, attempt } = started;
        let now = self.now();
        let limit = self.fleet.time_limit(&run.destination);
        let underway = Underway {
            attempt,
            began: Instant::now(),
            stood_still: Duration::ZERO,
            limit,
            tokens: RunTokens::new(),
            run,
        };
        let run_id = underway.run.id.clone();
        info!(
            destination = underway.run.destination,
            run = run_id,
            attempt,
            interval = %shown(&underway.run),
            "the run starts"
        );
        self.housekeeping.started(&underway, now);
        let ready = self
            .fleet
            .exporter(&underway.run.destination)
            .zip(underway.run.interval());
        match ready {
            Some((exporter, interval)) => {
                let left = limit.saturating_sub(Duration::from_millis(underway.run.used_ms));
                // Before the schedule began nobody took rows by their arrival. An interval of the schedule that runs
                // again takes those that it took then, whoever asks for it: they are replaced in the bucket.
                let by = match underway.run.origin {
                    Origin::Backfill => TimeOf::Event,
                    Origin::Schedule | Origin::Hand => TimeOf::Arrival,
                };
                let mut exporter = exporter.clone().selecting(by);
                exporter.limits.run_time = exporter.limits.run_time.min(left);
                let (runner, tokens) = (self.runner.clone(), underway.tokens.clone());
                let id = run_id.clone();
                self.underway.insert(run_id, underway);
                self.attempts.spawn(async move {
                    // On a task of its own, so that a panic ends that and is told.
                    let work = tokio::spawn(async move { runner.run(&exporter, interval, &tokens).await });
                    Finished {
                        run_id: id,
                        result: work.await.unwrap_or_else(|error| Err(panicked(&error))),
                    }
                });
            }
            // Its destination left the configuration between the decision and now.
            None => {
                let gone = Failure::cancelled();
                let outcome = Outcome {
                    reason: Some("its destination is not configured any more".to_owned()),
                    ..underway.outcome(&Err(gone), now)
                };
                self.unsaved.push(End {
                    run_id,
                    attempt,
                    outcome,
                });
            }
        }
    }

    /// Takes what came of an attempt, and of others that are over as well.
    pub(super) fn finished(&mut self, first: Result<Finished, JoinError>) {
        let now = self.now();
        // Before anything is concluded from the time that they took.
        self.compare_clocks(now);
        let mut next = Some(first);
        while let Some(finished) = next {
            match finished {
                Ok(finished) => self.take(finished, now),
                Err(error) => error!("a task of the service ended: {error}"),
            }
            next = self.attempts.try_join_next();
        }
        if let Err(error) = self.save(now) {
            self.ledger_works(Err(&error));
        }
    }

    fn take(&mut self, finished: Finished, now: Moment) {
        let Finished { run_id, result } = finished;
        let Some(underway) = self.underway.remove(&run_id) else {
            return;
        };
        let outcome = underway.outcome(&result, now);
        tell(&underway, &outcome, &result);
        self.housekeeping.ended(&underway, &outcome, &result, now);
        let attempt = underway.attempt;
        self.unsaved.push(End {
            run_id,
            attempt,
            outcome,
        });
    }

    /// Stores outcomes that are not in the ledger yet.
    pub(super) fn save(&mut self, now: Moment) -> Result<(), LedgerError> {
        if self.unsaved.is_empty() {
            return Ok(());
        }
        let stored = self.scheduler.ended(&self.unsaved, now)?;
        let saved = std::mem::take(&mut self.unsaved);
        let alerts = &self.fleet.config.alerts;
        let told = saved.iter().zip(&stored).map(|(end, ended)| {
            // One that cannot be told of keeps nobody from hearing of the others.
            self.housekeeping.saved(&end.run_id, ended, alerts, now)
        });
        told.fold(Ok(()), Result::and)
    }

    /// Lets runs start again that the ledger has as in progress and that no process is at work on.
    /// Returns whether there were any.
    pub(super) fn take_up_interrupted(&mut self, now: Moment) -> Result<bool, Failure> {
        let mut found = false;
        for run in self.ledger.running()? {
            if self.underway.contains_key(&run.id) || self.ledger.is_held(&run.id)? {
                continue;
            }
            let state = self.ledger.interrupted(&run, now)?;
            found = true;
            warn!(
                destination = run.destination,
                run = run.id,
                "the process of a run ended before the run did; it is {state} now"
            );
        }
        Ok(found)
    }
}

/// Says in the log what came of an attempt.
fn tell(underway: &Underway, outcome: &Outcome, result: &Result<RunReport, Failure>) {
    let Underway { run, attempt, .. } = underway;
    let (destination, run_id, interval) = (&run.destination, &run.id, shown(run));
    match result {
        Ok(report) => info!(
            destination,
            run = run_id,
            attempt,
            interval,
            rows = outcome.rows,
            bytes = outcome.bytes,
            files = outcome.files,
            warnings = report.warnings.len(),
            seconds = report.seconds,
            "the run is completed"
        ),
        Err(failure) => {
            let text = failure.in_one_text();
            let state = outcome.state;
            match state {
                RunState::FailedRetryable | RunState::Starting => warn!(
                    destination,
                    run = run_id,
                    attempt,
                    interval,
                    next_attempt = %outcome.not_before,
                    "the attempt failed and another one follows: {text}"
                ),
                RunState::Cancelled => warn!(destination, run = run_id, attempt, interval, "the run was cancelled"),
                _ => error!(
                    destination,
                    run = run_id,
                    attempt,
                    interval,
                    "the run has {state}: {text}"
                ),
            }
        }
    }
}

fn shown(run: &Run) -> String {
    match run.start {
        Some(start) => format!("{start} to {}", run.end),
        None => format!("the beginning to {}", run.end),
    }
}

/// Makes the failure of an attempt in which this program panicked.
fn panicked(error: &JoinError) -> Failure {
    let message = format!("the run ended because of a bug in this program: {error}");
    Failure::new(FailureClass::Defect, FailureCode::THREAD_LOST, message).with_hint("report it")
}
