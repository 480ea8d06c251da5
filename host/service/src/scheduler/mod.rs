//! Decides which run starts when: from the schedules, the ledger and the time. Knows no clock, thread or network:
//! whoever drives it says what time it is, starts what it names, and tells it what came of that.

mod due;
pub mod policy;
mod slots;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::ledger::{Ended, Ledger, LedgerError, Outcome, Pause, Started};
use batch_export_schedule::Schedule;
use batch_export_source::Moment;

/// A destination as the scheduler is given it.
#[derive(Debug, Clone)]
pub struct Configured {
    /// Its name.
    pub name: String,
    /// What it exports.
    pub model: String,
    /// When its intervals end; without one it runs backfills only.
    pub schedule: Option<Schedule>,
    /// SHA-256 of its plugin.
    pub component: String,
}

/// Decides which run starts when.
#[derive(Debug)]
pub struct Scheduler {
    ledger: Ledger,
    /// Runs at once, of all destinations.
    runs_at_once: usize,
    entries: BTreeMap<String, Entry>,
    /// When each destination is looked at again: at most one time for each.
    wakes: BTreeSet<(Moment, String)>,
    /// Destinations that may have a run to start, in the order of their turns; each at most once.
    ready: VecDeque<String>,
    /// Destinations that have a run for which there is no room: ready again when a run ends.
    held: Vec<String>,
    /// The destinations of runs in progress, by the runs' ids.
    running: HashMap<String, String>,
    last: Option<Moment>,
    /// Whether the ledger failed halfway, so that what is here may differ from it.
    is_stale: bool,
    /// What is in the ledger and nobody was told yet, because something failed after it.
    untold: Tick,
}

#[derive(Debug)]
struct Entry {
    configured: Configured,
    covered: Option<Moment>,
    pause: Option<Pause>,
    running: usize,
    is_ready: bool,
    wake: Option<Moment>,
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// The run.
    pub run_id: String,
    /// The number of the attempt.
    pub attempt: u32,
    /// What it came to.
    pub outcome: Outcome,
}

/// What a look comes to.
#[derive(Debug, Default)]
pub struct Tick {
    /// Whether intervals became due: the ledger has a run for each.
    pub has_covered: bool,
    /// Attempts that begin now. The ledger has them as running.
    pub start: Vec<Started>,
    /// Intervals that were skipped.
    pub skipped: Vec<Skipped>,
    /// Destinations whose clock was ahead, with how many intervals run again.
    pub set_back: Vec<(String, u64)>,
    /// When to look again at the latest; `None`: nothing is due by itself.
    pub next: Option<Moment>,
}

/// Intervals of a destination that were skipped at once, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The destination.
    pub destination: String,
    /// How many intervals.
    pub intervals: u64,
    /// Where the first one starts.
    pub from: Moment,
    /// Where the last one ends.
    pub to: Moment,
    /// Why.
    pub reason: String,
    /// Whether the destination is paused, so that nobody need be told of it again.
    pub is_pause: bool,
}

impl Scheduler {
    /// Returns a scheduler without destinations.
    pub fn new(ledger: Ledger, runs_at_once: usize) -> Self {
        Scheduler {
            ledger,
            runs_at_once: runs_at_once.max(1),
            entries: BTreeMap::new(),
            wakes: BTreeSet::new(),
            ready: VecDeque::new(),
            held: Vec::new(),
            running: HashMap::new(),
            last: None,
            is_stale: false,
            untold: Tick::default(),
        }
    }

    /// Takes over the destinations of a configuration, new or changed. What runs of others goes on; what waits of them
    /// stays in the ledger.
    pub fn configure(&mut self, configured: Vec<Configured>, now: Moment) -> Result<(), LedgerError> {
        let seen: Vec<(&str, Option<Moment>)> = configured
            .iter()
            .map(|one| {
                (
                    one.name.as_str(),
                    one.schedule.as_ref().map(|schedule| schedule.first(now)),
                )
            })
            .collect();
        self.ledger.see(&seen, now)?;
        let mut running: HashMap<String, usize> = HashMap::new();
        for destination in self.running.values() {
            *running.entry(destination.clone()).or_default() += 1;
        }
        self.entries = configured
            .into_iter()
            .map(|configured| {
                let entry = Entry {
                    covered: None,
                    pause: None,
                    running: running.get(&configured.name).copied().unwrap_or(0),
                    is_ready: false,
                    wake: None,
                    configured,
                };
                (entry.configured.name.clone(), entry)
            })
            .collect();
        self.refresh(now)
    }

    /// Takes over how many runs may be in progress at once; those that are go on.
    pub fn set_runs_at_once(&mut self, runs: usize) {
        self.runs_at_once = runs.max(1);
    }

    /// Looks at the ledger anew: at the start, and after another process has changed it.
    pub fn refresh(&mut self, now: Moment) -> Result<(), LedgerError> {
        let longest: Vec<(&str, i64)> = self.entries.values().map(Entry::longest_wait).collect();
        self.ledger.bring_forward(&longest, now)?;
        for row in self.ledger.destinations()? {
            if let Some(entry) = self.entries.get_mut(&row.name) {
                entry.covered = row.covered;
                entry.pause = row.pause;
            }
        }
        self.wakes.clear();
        self.ready.clear();
        self.held.clear();
        for entry in self.entries.values_mut() {
            entry.is_ready = false;
            entry.wake = None;
        }
        for name in self.ledger.waiting_destinations()? {
            self.make_ready(&name);
        }
        // Each is asked when its next interval is due, which is cheap.
        let names: Vec<String> = self.entries.keys().cloned().collect();
        for name in names {
            self.wake_at(&name, now);
        }
        Ok(())
    }

    /// Looks at what is due and starts what there is room for.
    pub fn tick(&mut self, now: Moment) -> Result<Tick, LedgerError> {
        // After the clock was set back every wake was made by one that is no longer right.
        if self.is_stale || self.last.is_some_and(|last| now < last) {
            self.refresh(now)?;
            self.is_stale = false;
        }
        self.last = Some(now);
        let mut tick = std::mem::take(&mut self.untold);
        let done = self.cover(now, &mut tick).and_then(|()| self.fill(now, &mut tick));
        if let Err(error) = done {
            self.untold = tick;
            return Err(error);
        }
        tick.next = self.wakes.first().map(|(at, _)| *at);
        Ok(tick)
    }

    /// Notes what attempts came to, in the ledger first, all of them in one transaction. After an error nothing has
    /// changed, and the call can be repeated.
    pub fn ended(&mut self, ends: &[End], now: Moment) -> Result<Vec<Ended>, LedgerError> {
        let stored = self.ledger.batch(|batch| {
            let stored = ends
                .iter()
                .map(|end| batch.end(&end.run_id, end.attempt, &end.outcome, now));
            stored.collect::<Result<Vec<Ended>, LedgerError>>()
        })?;
        self.last = self.last.max(Some(now));
        for (end, ended) in ends.iter().zip(&stored) {
            let Some(destination) = self.over(&end.run_id) else {
                continue;
            };
            for name in std::mem::take(&mut self.held) {
                self.make_ready(&name);
            }
            self.make_ready(&destination);
            // Its pause is in the ledger.
            self.is_stale |= ended.paused;
        }
        Ok(stored)
    }

    /// Takes a run off those in progress; returns its destination.
    fn over(&mut self, run_id: &str) -> Option<String> {
        let destination = self.running.remove(run_id)?;
        if let Some(entry) = self.entries.get_mut(&destination) {
            entry.running = entry.running.saturating_sub(1);
        }
        Some(destination)
    }

    /// Returns how many runs are in progress.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Returns the destinations with their pauses, and up to where their schedules are covered.
    pub fn destinations(&self) -> impl Iterator<Item = (&Configured, Option<&Pause>, Option<Moment>)> {
        let entries = self.entries.values();
        entries.map(|entry| (&entry.configured, entry.pause.as_ref(), entry.covered))
    }

    fn make_ready(&mut self, name: &str) {
        if let Some(entry) = self.entries.get_mut(name)
            && !entry.is_ready
        {
            entry.is_ready = true;
            self.ready.push_back(name.to_owned());
        }
    }

    /// Sets when a destination is looked at again, unless that is sooner already.
    fn wake_at(&mut self, name: &str, at: Moment) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        if entry.wake.is_some_and(|wake| wake <= at) {
            return;
        }
        if let Some(wake) = entry.wake.replace(at) {
            self.wakes.remove(&(wake, name.to_owned()));
        }
        self.wakes.insert((at, name.to_owned()));
    }
}
