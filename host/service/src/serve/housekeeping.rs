//! What a service does beside running exports: it writes down what happens in runs, answers whoever asks how it stands,
//! tells people what they have to know, and forgets what is old. Nothing here keeps a run waiting.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{error, warn};

use super::Service;
use super::fleet::Fleet;
use super::underway::Underway;
use crate::alerts::{self, Alerts, Late, Receivers};
use crate::ledger::{Ended, Keep, Ledger, LedgerError, Outcome, Run, RunState};
use crate::listener::{Health, Listener, router};
use crate::metrics::{Load, Metrics, RunEnd, Standing};
use crate::record::Recorder;
use crate::scheduler::{Scheduler, Tick};
use batch_export_runner::config::AlertSettings;
use batch_export_runner::{EventReceiver, Failure, RunReport};
use batch_export_source::Moment;
use batch_export_system::Token;

/// How often what happened in runs goes into the ledger.
const FLUSH: Duration = Duration::from_secs(1);
/// How often it is looked at how far every destination is.
const STANDING: Duration = Duration::from_secs(15);
/// How often runs are looked for whose process is gone, and what is old is forgotten.
const TIDYING: Duration = Duration::from_secs(60);

/// Everything beside the runs.
pub(super) struct Housekeeping {
    ledger: Ledger,
    recorder: Recorder,
    metrics: Metrics,
    health: Health,
    alerts: Alerts,
    receivers: watch::Sender<Receivers>,
    token: Token,
    tasks: Vec<JoinHandle<()>>,
    stood: Option<Instant>,
    tidied: Instant,
}

impl Housekeeping {
    /// Starts everything that goes on beside the runs.
    pub(super) async fn start(
        ledger: &Ledger,
        fleet: &Fleet,
        received: EventReceiver,
        clock: fn() -> Moment,
    ) -> Result<Self, Failure> {
        let recorder = Recorder::new(ledger.clone());
        let (metrics, health, token) = (Metrics::new(), Health::new(), Token::new());
        let alerts = Alerts::new(ledger)?;
        let (receivers, addressed) = watch::channel(fleet.receivers()?);
        let mut tasks = Vec::new();
        if let Some(address) = fleet.config.service.listen {
            let listener = Listener::bind(address).await?;
            tracing::info!(address = %listener.address(), "listening for /healthz, /readyz and /metrics");
            tasks.push(tokio::spawn(listener.serve(router(&health, &metrics), token.clone())));
        }
        tasks.push(tokio::spawn(record(recorder.clone(), received, clock, token.clone())));
        let dispatched = alerts::dispatch(alerts.clone(), addressed, metrics.clone(), clock, token.clone());
        tasks.push(tokio::spawn(dispatched));
        Ok(Housekeeping {
            ledger: ledger.clone(),
            recorder,
            metrics,
            health,
            alerts,
            receivers,
            token,
            tasks,
            stood: None,
            tidied: Instant::now(),
        })
    }

    pub(super) fn ready(&self) {
        self.health.started();
    }

    pub(super) fn beat(&self) {
        self.health.beat();
    }

    pub(super) fn stopping(&self) {
        self.health.stopping();
    }

    pub(super) fn ledger_works(&self, works: Result<(), &LedgerError>) {
        if works.is_err() {
            self.metrics.ledger_failed();
        }
        self.health.ledger(works.map_err(ToString::to_string));
    }

    /// Takes over what another configuration says.
    pub(super) fn reconfigured(&mut self, fleet: &Fleet, now: Moment) {
        self.metrics.configured(fleet.exporters.keys().map(String::as_str));
        let names: Vec<&str> = fleet.exporters.keys().map(String::as_str).collect();
        if let Err(error) = self.alerts.configured(&names, &fleet.config.alerts, now) {
            error!("{error}");
        }
        match fleet.receivers() {
            Ok(receivers) => {
                self.receivers.send_replace(receivers);
            }
            Err(failure) => error!("alerts go on to their earlier receivers: {}", failure.in_one_text()),
        }
        self.stood = None;
    }

    pub(super) fn started(&self, underway: &Underway, now: Moment) {
        let Underway { run, attempt, .. } = underway;
        self.recorder.started(&run.id, &run.destination, *attempt, now);
    }

    pub(super) fn ended(
        &self,
        underway: &Underway,
        outcome: &Outcome,
        result: &Result<RunReport, Failure>,
        now: Moment,
    ) {
        let run = &underway.run;
        self.recorder.ended(&run.id, result.as_ref(), now);
        let peak = result.as_ref().ok().map(|report| report.peak_guest_memory_bytes as u64);
        let end = RunEnd {
            state: outcome.state,
            duration: underway.took(),
            rows: outcome.rows,
            bytes: outcome.bytes,
            files: outcome.files.into(),
            peak_guest_memory_bytes: peak,
        };
        self.metrics.run_ended(&run.destination, &end);
    }

    /// Tells people what the end of an attempt means.
    pub(super) fn saved(
        &self,
        run_id: &str,
        ended: &Ended,
        settings: &AlertSettings,
        now: Moment,
    ) -> Result<(), LedgerError> {
        if !ended.state.is_over() {
            return Ok(());
        }
        match self.ledger.run(run_id)? {
            Ok(run) => self.alerts.run_ended(&run, ended, settings, now),
            Err(_) => Ok(()),
        }
    }

    pub(super) fn ticked(&self, tick: &Tick, now: Moment) -> Result<(), LedgerError> {
        for skipped in &tick.skipped {
            self.metrics.skipped(&skipped.destination, skipped.intervals);
            if skipped.is_pause {
                continue;
            }
            warn!(
                destination = skipped.destination,
                intervals = skipped.intervals,
                from = %skipped.from,
                to = %skipped.to,
                "intervals are skipped: {}",
                skipped.reason
            );
            let told = alerts::Skipped {
                intervals: skipped.intervals,
                start: skipped.from,
                end: skipped.to,
                reason: &skipped.reason,
            };
            self.alerts.skipped(&skipped.destination, &told, now)?;
        }
        Ok(())
    }

    /// Looks how far every destination is, now and then.
    pub(super) fn look(&mut self, scheduler: &Scheduler, fleet: &Fleet, now: Moment) -> Result<(), LedgerError> {
        if self.stood.is_some_and(|stood| stood.elapsed() < STANDING) {
            return Ok(());
        }
        self.stood = Some(Instant::now());
        let live = self.recorder.live();
        // All plugins share it.
        let budget = fleet
            .exporters
            .values()
            .next()
            .map(|exporter| exporter.plugin.sandbox().budget());
        let (memory_bytes, memory_limit_bytes) = budget.map_or((0, 0), |all| (all.held_bytes(), all.limit_bytes()));
        self.metrics.loaded(&Load {
            runs_waiting: self.ledger.count_waiting()?,
            runs_in_progress: scheduler.running() as u64,
            requests_in_flight: live.iter().map(|run| run.requests_in_flight).sum(),
            memory_bytes: memory_bytes as u64,
            memory_limit_bytes: memory_limit_bytes as u64,
        });
        for (configured, pause, _) in scheduler.destinations() {
            let name = configured.name.as_str();
            let open = self.ledger.oldest_open(name)?;
            let last = self.ledger.last_run(name, Some(RunState::Completed))?;
            self.metrics.stands(
                name,
                &Standing {
                    lag: open.as_ref().map_or(Duration::ZERO, |run| since(run.end, now)),
                    last_success: last.and_then(|run| run.finished),
                    is_paused: pause.is_some(),
                },
            );
            let late = open.as_ref().and_then(|run| late(run, fleet, now));
            let late = match late {
                Some(late) => Some(Late {
                    intervals: self.ledger.count_open(name)?,
                    ..late
                }),
                None => None,
            };
            self.alerts.late(name, late.as_ref(), now)?;
        }
        Ok(())
    }

    /// Returns whether it is time to tidy up.
    pub(super) fn is_time_to_tidy(&mut self) -> bool {
        let is_time = self.tidied.elapsed() >= TIDYING;
        if is_time {
            self.tidied = Instant::now();
        }
        is_time
    }

    /// Ends what goes on beside the runs.
    pub(super) async fn end(self) {
        self.token.cancel();
        for task in self.tasks {
            // One that panicked has ended as well.
            task.await.ok();
        }
    }
}

impl Service {
    /// Takes up runs of processes that are gone, and forgets a piece of what is old.
    pub(super) fn tidy(&mut self) {
        if self.housekeeping.is_time_to_tidy()
            && let Err(failure) = self.tidy_up(self.now())
        {
            warn!("cannot tidy up the ledger: {}", failure.in_one_text());
        }
    }

    fn tidy_up(&mut self, now: Moment) -> Result<(), Failure> {
        if self.take_up_interrupted(now)? {
            self.scheduler.refresh(now)?;
        }
        let settings = &self.fleet.config.service;
        let keep = Keep {
            runs_days: u32::try_from(settings.keep_runs_days).unwrap_or(u32::MAX),
            runs: settings.keep_runs,
            log_days: u32::try_from(settings.keep_logs_days).unwrap_or(u32::MAX),
        };
        self.ledger.forget_old(keep, now)?;
        Ok(())
    }
}

/// Returns the oldest interval that is not exported, if it should have been by now.
fn late<'a>(run: &'a Run, fleet: &Fleet, now: Moment) -> Option<Late<'a>> {
    let interval = run.interval()?;
    let schedule = fleet.config.schedule(&run.destination)?;
    let due = schedule.starts_at(&run.destination, interval);
    let is_late = since(due, now) > fleet.config.alerts.late_after;
    is_late.then(|| Late {
        interval,
        intervals: 1,
        run_id: Some(&run.id),
        error: run.error.as_ref(),
    })
}

fn since(moment: Moment, now: Moment) -> Duration {
    Duration::from_micros(u64::try_from(now.0.saturating_sub(moment.0)).unwrap_or(0))
}

/// Writes down what happens in runs until the service ends.
async fn record(recorder: Recorder, mut received: EventReceiver, clock: fn() -> Moment, token: Token) {
    let mut flushes = tokio::time::interval(FLUSH);
    let work = async {
        loop {
            tokio::select! {
                event = received.next() => recorder.event(&event, clock()),
                _ = flushes.tick() => flush(&recorder, clock).await,
            }
        }
    };
    // Interrupted is the only way in which this ends.
    token.run(work).await.ok();
    while let Some(event) = received.try_next() {
        recorder.event(&event, clock());
    }
    flush(&recorder, clock).await;
}

async fn flush(recorder: &Recorder, clock: fn() -> Moment) {
    let recorder = recorder.clone();
    let flushed = tokio::task::spawn_blocking(move || recorder.flush(clock())).await;
    if let Ok(Err(error)) = flushed {
        warn!("{error}; what happens in runs is kept until it works");
    }
}
