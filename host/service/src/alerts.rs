//! Alerts: what somebody has to know although nobody looks, told once for each cause. Turns what happened into alerts
//! in the ledger, from where a dispatcher takes them to their receivers. Never waits for a receiver.

mod command;
mod dispatcher;
mod receivers;
#[cfg(test)]
mod tests;
mod texts;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

pub use dispatcher::dispatch;
pub use receivers::{Receivers, Tested};
pub use texts::{Kind, Late, Skipped};

use crate::ledger::{Ended, Ledger, NewAlert, OpenCause, PausedBy, Result, Run, RunState};
use batch_export_runner::config::AlertSettings;
use batch_export_source::Moment;

/// Raises alerts. Cheap to clone; clones share what they know. Its calls block for as long as the ledger does, but
/// touch it only where something is to be told or was.
#[derive(Debug, Clone)]
pub struct Alerts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ledger: Ledger,
    /// Causes that are open, by destination: what the ledger holds as well.
    open: Mutex<BTreeMap<String, Vec<OpenCause>>>,
    raised: Notify,
}

impl Alerts {
    /// Reads from the ledger which causes are open.
    pub fn new(ledger: &Ledger) -> Result<Self> {
        let alerts = Alerts(Arc::new(Inner {
            ledger: ledger.clone(),
            open: Mutex::default(),
            raised: Notify::new(),
        }));
        alerts.refresh()?;
        Ok(alerts)
    }

    /// Notes which destinations there are: what was wrong with others is nobody's concern any more. Makes up for what a
    /// process that ended between the end of a run and its alert did not tell.
    pub fn configured(&self, names: &[&str], settings: &AlertSettings, now: Moment) -> Result<()> {
        let names: BTreeSet<&str> = names.iter().copied().collect();
        let open: Vec<OpenCause> = self.open().values().flatten().cloned().collect();
        for cause in open.iter().filter(|cause| !names.contains(cause.destination.as_str())) {
            self.0.ledger.forget_cause(cause)?;
        }
        self.refresh()?;
        for row in self.0.ledger.destinations()? {
            let name = row.name.as_str();
            let is_open = self.open().contains_key(name);
            let is_empty = settings.no_rows > 0 && row.empty_in_a_row >= settings.no_rows;
            if !names.contains(name) || !(is_open || is_empty || row.failed_in_a_row > 0) {
                continue;
            }
            let is_paused = row.pause.as_ref().is_some_and(|pause| pause.by == PausedBy::Failures);
            if let Some(run) = self.0.ledger.last_run(name, None)? {
                let ended = Ended {
                    state: run.state,
                    failed_in_a_row: row.failed_in_a_row,
                    empty_in_a_row: row.empty_in_a_row,
                    paused: is_paused && !self.is_open(name, Kind::Paused),
                };
                self.run_ended(&run, &ended, settings, now)?;
            }
        }
        Ok(())
    }

    /// Tells what the end of an attempt means for people. `run` is the run as it is after it; nothing is told of an
    /// attempt that another one follows.
    pub fn run_ended(&self, run: &Run, ended: &Ended, settings: &AlertSettings, now: Moment) -> Result<()> {
        // A run by hand may have changed them.
        self.refresh()?;
        let name = run.destination.as_str();
        if ended.state == RunState::Completed {
            let mut passed = vec![Kind::RunFailed];
            if self.is_open(name, Kind::Paused) {
                let row = self.0.ledger.destination(name)?;
                let is_paused = row.is_some_and(|row| row.pause.is_some());
                passed.extend((!is_paused).then_some(Kind::Paused));
            }
            if ended.empty_in_a_row == 0 {
                passed.push(Kind::NoRows);
            }
            self.pass(name, &passed, now)?;
        }
        self.raise(texts::of_run(run, ended, settings), now)
    }

    /// Tells that an interval of a destination is late, or that none is any more.
    pub fn late(&self, destination: &str, late: Option<&Late<'_>>, now: Moment) -> Result<()> {
        match late {
            Some(late) if !self.is_open(destination, Kind::Late) => {
                self.raise(vec![texts::of_late(destination, late, now)], now)
            }
            None => self.pass(destination, &[Kind::Late], now),
            Some(_) => Ok(()),
        }
    }

    /// Tells that intervals are not exported. It is a fact and passes in no other way than by a backfill, so that
    /// nobody is told of its end; while more are skipped, it is told once a day.
    pub fn skipped(&self, destination: &str, skipped: &Skipped<'_>, now: Moment) -> Result<()> {
        self.raise(vec![texts::of_skipped(destination, skipped)], now)
    }

    /// Waits until an alert was raised by this process.
    pub(crate) async fn raised(&self) {
        self.0.raised.notified().await;
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    fn raise(&self, alerts: Vec<texts::Told>, now: Moment) -> Result<()> {
        let is_due = |told: &texts::Told| {
            let destination = told.body.destination.as_deref().unwrap_or_default();
            told.again || !self.is_open(destination, told.body.kind)
        };
        let alerts: Vec<NewAlert> = alerts
            .into_iter()
            .filter(is_due)
            .map(|told| told.into_alert(now))
            .collect();
        if !alerts.is_empty() && self.0.ledger.raise(&alerts, now)? > 0 {
            self.0.raised.notify_one();
            self.refresh()?;
        }
        Ok(())
    }

    fn pass(&self, destination: &str, kinds: &[Kind], now: Moment) -> Result<()> {
        let open: Vec<&str> = kinds
            .iter()
            .filter(|kind| self.is_open(destination, **kind))
            .map(|kind| kind.as_str())
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        let recovered = |passed: &[OpenCause]| texts::of_recovery(destination, passed).into_alert(now);
        if self.0.ledger.pass(destination, &open, recovered, now)? > 0 {
            self.0.raised.notify_one();
        }
        self.refresh()
    }

    fn is_open(&self, destination: &str, kind: Kind) -> bool {
        let open = self.open();
        let causes = open.get(destination);
        causes.is_some_and(|causes| causes.iter().any(|open| open.cause == kind.as_str()))
    }

    fn refresh(&self) -> Result<()> {
        let mut by_destination: BTreeMap<String, Vec<OpenCause>> = BTreeMap::new();
        for cause in self.0.ledger.causes()? {
            by_destination.entry(cause.destination.clone()).or_default().push(cause);
        }
        *self.open() = by_destination;
        Ok(())
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<String, Vec<OpenCause>>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
