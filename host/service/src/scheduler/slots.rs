//! Which of the runs that wait starts next: each destination in turn, the newest interval first, and one slot is always
//! kept for an interval that has just ended, so that neither a slow run nor a backfill delays it.

use super::{Scheduler, Tick, Underway};
use crate::ledger::{LedgerError, Waiting};
use batch_export_source::Moment;

/// Runs of a destination without a schedule at once: a backfill's own limit is usually lower.
const DEFAULT_RUNS_AT_ONCE: usize = 4;

impl Scheduler {
    /// Starts runs as long as there is room.
    pub(super) fn fill(&mut self, now: Moment, tick: &mut Tick) -> Result<(), LedgerError> {
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
            let component = entry.configured.component.clone();
            match self.ledger.next_run(&name, !last_slot, now)? {
                Some(run) if !last_slot || is_newest(&run, covered) => {
                    let started = self.ledger.start(&run.id, &component, now);
                    // It is still its turn if the ledger could not be written.
                    self.make_ready(&name);
                    if let Some(started) = started? {
                        self.note(&name, run.backfill.is_some(), &started.run.id);
                        tick.start.push(started);
                    }
                }
                Some(_) => self.held.push(name),
                None => self.wait(name, now)?,
            }
        }
        Ok(())
    }

    /// Decides when a destination without a run that can start now is looked at again.
    fn wait(&mut self, name: String, now: Moment) -> Result<(), LedgerError> {
        match self.ledger.next_start(&name)? {
            Some(at) if at > now => self.wake_at(&name, at),
            // A backfill that has to leave room for others, or that has as many runs as it may.
            Some(_) => self.held.push(name),
            None => {}
        }
        Ok(())
    }

    fn note(&mut self, name: &str, is_backfill: bool, run_id: &str) {
        self.backfills_running += usize::from(is_backfill);
        if let Some(entry) = self.entries.get_mut(name) {
            entry.running += 1;
        }
        let underway = Underway {
            destination: name.to_owned(),
            is_backfill,
        };
        self.running.insert(run_id.to_owned(), underway);
    }
}

impl super::Entry {
    /// How many of its runs may be under way at once.
    fn limit(&self) -> usize {
        let schedule = self.configured.schedule.as_ref();
        schedule.map_or(DEFAULT_RUNS_AT_ONCE, |schedule| schedule.runs_at_once() as usize)
    }
}

fn is_newest(run: &Waiting, covered: Option<Moment>) -> bool {
    run.backfill.is_none() && Some(run.end) == covered
}
