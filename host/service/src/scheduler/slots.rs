//! Which of the runs that wait starts next: each destination in turn, the newest interval first, and one slot is always
//! kept for an interval that has just ended, so that neither a slow run nor a backfill delays it.

use std::time::Duration;

use super::policy::MAX_RETRY_AFTER;
use super::{Scheduler, Tick};
use crate::ledger::{Batch, LedgerError, Started, Waiting};
use batch_export_source::Moment;

/// Runs of a destination without a schedule at once: a backfill's own limit is usually lower.
const DEFAULT_RUNS_AT_ONCE: usize = 4;

impl Scheduler {
    /// Starts runs as long as there is room, all of them in one transaction.
    pub(super) fn fill(&mut self, now: Moment, tick: &mut Tick) -> Result<(), LedgerError> {
        if self.ready.is_empty() || self.running.len() >= self.runs_at_once {
            return Ok(());
        }
        let mut started = Vec::new();
        let ledger = self.ledger.clone();
        let filled = ledger.batch(|batch| self.fill_from(batch, now, &mut started));
        if let Err(error) = filled {
            // The ledger has none of it.
            for started in started {
                self.over(&started.run.id);
            }
            self.is_stale = true;
            return Err(error);
        }
        tick.start = started;
        Ok(())
    }

    fn fill_from(&mut self, batch: &Batch<'_>, now: Moment, begun: &mut Vec<Started>) -> Result<(), LedgerError> {
        while self.running.len() < self.runs_at_once {
            let Some(name) = self.ready.pop_front() else {
                break;
            };
            let Some(entry) = self.entries.get_mut(&name) else {
                continue;
            };
            entry.is_ready = false;
            let limit = entry.limit();
            if entry.running >= limit {
                // Its own end makes it ready again.
                continue;
            }
            // The last slot is for the newest interval alone.
            let last_slot = entry.running + 1 == limit && limit > 1
                || self.running.len() + 1 == self.runs_at_once && self.runs_at_once > 1;
            let covered = entry.covered;
            match batch.next_run(&name, !last_slot, now)? {
                Some(run) if !last_slot || is_newest(&run, covered) => {
                    let started = batch.start(&run.id, &entry.configured.component, now)?;
                    self.make_ready(&name);
                    if let Some(started) = started {
                        if let Some(entry) = self.entries.get_mut(&name) {
                            entry.running += 1;
                        }
                        self.running.insert(started.run.id.clone(), name);
                        begun.push(started);
                    }
                }
                Some(_) => self.held.push(name),
                None => self.wait(batch, name, now)?,
            }
        }
        Ok(())
    }

    /// Decides when a destination without a run that can start now is looked at again.
    fn wait(&mut self, batch: &Batch<'_>, name: String, now: Moment) -> Result<(), LedgerError> {
        match batch.next_start(&name)? {
            Some(at) if at > now => self.wake_at(&name, at),
            // A backfill that has to leave room for others, or that has as many runs as it may.
            Some(_) => self.held.push(name),
            None => {}
        }
        Ok(())
    }
}

impl super::Entry {
    /// How long a run may wait whose interval has ended, in microseconds: as long as its schedule moves a start, or as
    /// a store may ask for.
    pub(super) fn longest_wait(&self) -> (&str, i64) {
        let schedule = self.configured.schedule.as_ref();
        let moved = schedule.map_or(Duration::ZERO, |schedule| schedule.settle() + schedule.jitter());
        let longest = moved.max(MAX_RETRY_AFTER);
        let micros = i64::try_from(longest.as_micros()).unwrap_or(i64::MAX);
        (&self.configured.name, micros)
    }

    /// How many of its runs may be in progress at once.
    fn limit(&self) -> usize {
        let schedule = self.configured.schedule.as_ref();
        schedule.map_or(DEFAULT_RUNS_AT_ONCE, |schedule| schedule.runs_at_once() as usize)
    }
}

fn is_newest(run: &Waiting, covered: Option<Moment>) -> bool {
    run.backfill.is_none() && Some(run.end) == covered
}
