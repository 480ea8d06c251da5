//! Which intervals have become due: each gets a run in the ledger, or a row that says why it has none.

use super::{Scheduler, Skipped, Tick};
use crate::ledger::{Due, LedgerError, Pause, PausedBy};
use batch_export_runner::Header;
use batch_export_runner::exporter::run_id;
use batch_export_source::{Interval, Moment};

impl Scheduler {
    /// Gives every interval that is due its run, of all destinations whose time has come, in one transaction.
    pub(super) fn cover(&mut self, now: Moment, tick: &mut Tick) -> Result<(), LedgerError> {
        let mut runs: Vec<Due> = Vec::new();
        let mut covered: Vec<(String, Moment)> = Vec::new();
        let mut wakes: Vec<(String, Moment)> = Vec::new();
        let mut left_out: Vec<Skipped> = Vec::new();
        let names: Vec<String> = self
            .wakes
            .iter()
            .take_while(|(at, _)| *at <= now)
            .map(|(_, name)| name.clone())
            .collect();
        for name in &names {
            let Some(entry) = self.entries.get(name) else {
                continue;
            };
            let (Some(schedule), Some(from)) = (&entry.configured.schedule, entry.covered) else {
                continue;
            };
            if from > now {
                let settle = i64::try_from(schedule.settle().as_micros()).unwrap_or(i64::MAX);
                let again = self.ledger.uncover(name, settle, now)?;
                if again > 0 {
                    tick.set_back.push((name.clone(), again));
                }
            }
            let due = schedule.due(name, from, now);
            let model = &entry.configured.model;
            let paused = entry.pause.as_ref().map(in_words);
            let mut skip = |intervals: &[Interval], reason: &str, is_pause: bool| {
                left_out.extend(skipped(name, intervals, reason, is_pause));
                runs.extend(intervals.iter().map(|interval| Due {
                    header: header(name, model, *interval),
                    not_before: now,
                    skipped: Some(reason.to_owned()),
                }));
            };
            match &paused {
                Some(reason) => {
                    skip(&due.skip, reason, true);
                    skip(&due.run, reason, true);
                }
                None => {
                    let reason = format!(
                        "missed: the service was not running, and catch_up makes up {} intervals at most",
                        schedule.catch_up()
                    );
                    skip(&due.skip, &reason, false);
                    runs.extend(due.run.iter().map(|interval| Due {
                        header: header(name, model, *interval),
                        not_before: schedule.starts_at(name, *interval),
                        skipped: None,
                    }));
                }
            }
            if due.covered > from {
                covered.push((name.clone(), due.covered));
            }
            let next = if due.more { Some(now) } else { due.next };
            wakes.extend(next.map(|next| (name.clone(), next)));
        }
        if !covered.is_empty() {
            let covered: Vec<(&str, Moment)> = covered.iter().map(|(name, to)| (name.as_str(), *to)).collect();
            self.ledger.cover(&covered, &runs, now)?;
            tick.has_covered = true;
            tick.skipped.extend(left_out);
        }
        // Only now that the ledger has it: after an error the same intervals are due again.
        for name in names {
            if let Some(entry) = self.entries.get_mut(&name)
                && let Some(wake) = entry.wake.take()
            {
                self.wakes.remove(&(wake, name.clone()));
            }
            self.make_ready(&name);
        }
        for (name, to) in covered {
            if let Some(entry) = self.entries.get_mut(&name) {
                entry.covered = Some(to);
            }
        }
        for (name, at) in wakes {
            self.wake_at(&name, at);
        }
        Ok(())
    }
}

fn header(name: &str, model: &str, interval: Interval) -> Header {
    Header {
        destination: name.to_owned(),
        id: run_id(name, model, interval),
        model: model.to_owned(),
        start_micros: interval.start().map(|start| start.0),
        end_micros: interval.end().0,
    }
}

fn skipped(name: &str, intervals: &[Interval], reason: &str, is_pause: bool) -> Option<Skipped> {
    let (first, last) = (intervals.first()?, intervals.last()?);
    Some(Skipped {
        destination: name.to_owned(),
        intervals: intervals.len() as u64,
        from: first.start().unwrap_or(first.end()),
        to: last.end(),
        reason: reason.to_owned(),
        is_pause,
    })
}

/// Returns why an interval that ends during a pause is not run. The ledger finds them again by the first word.
fn in_words(pause: &Pause) -> String {
    let by = match pause.by {
        PausedBy::Operator => "paused",
        PausedBy::Failures => "paused by the service",
    };
    match &pause.reason {
        Some(reason) => format!("{by}: {reason}"),
        None => by.to_owned(),
    }
}
