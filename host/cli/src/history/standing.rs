//! How a destination stands: one word, and what it is made from.

use serde::Serialize;
use serde_json::Value;

use super::History;
use batch_export_runner::{Failure, FailureClass};
use batch_export_schedule::Schedule;
use batch_export_service::ledger::{Pause, Run, RunState, Skipped};
use batch_export_source::Moment;

/// How a destination stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    Ok,
    Running,
    /// More than one interval has ended and is not exported.
    Late,
    /// Its last run failed.
    Failing,
    Paused,
    /// It has a schedule, and no run yet.
    New,
    NoSchedule,
    /// It is not in the configuration any more.
    Removed,
}

impl Word {
    pub fn in_words(self) -> &'static str {
        match self {
            Word::Ok => "ok",
            Word::Running => "running",
            Word::Late => "late",
            Word::Failing => "failing",
            Word::Paused => "paused",
            Word::New => "new",
            Word::NoSchedule => "no schedule",
            Word::Removed => "removed",
        }
    }
}

/// A destination, as configuration and ledger know it.
pub struct Standing<'a> {
    pub name: String,
    pub word: Word,
    pub schedule: Option<&'a Schedule>,
    pub pause: Option<Pause>,
    /// The run that ended last.
    pub last: Option<Run>,
    /// When the next run may start.
    pub next: Option<Moment>,
    /// Everything before it is exported.
    pub exported: Option<Moment>,
    pub running: u64,
    pub waiting: u64,
    /// Of those that wait, the ones that make up for missed intervals.
    pub made_up: u64,
    pub failed_in_a_row: u32,
    pub skipped: Option<Skipped>,
    /// Intervals that have ended and that no service has seen.
    pub unseen: u64,
}

impl<'a> Standing<'a> {
    pub fn of(history: &'a History, name: &str, now: Moment) -> Result<Self, Failure> {
        let ledger = &history.ledger;
        let schedule = history.config.schedule(name);
        let row = ledger.destination(name)?;
        let counts = ledger.counts(name)?;
        let count = |which: fn(RunState) -> bool| {
            let counted = counts.iter().filter(|(state, _)| which(*state));
            counted.map(|(_, count)| count).sum::<u64>()
        };
        let covered = row.as_ref().and_then(|row| row.covered);
        let exported = schedule.and(ledger.exported_up_to(name)?);
        let due = schedule.map(|schedule| schedule.due(name, covered.unwrap_or_else(|| schedule.first(now)), now));
        let next_of_schedule = due.as_ref().and_then(|due| due.next);
        let is_configured = history.is_configured(name);
        let waiting_start = ledger.next_start(name)?.filter(|_| is_configured);
        let waiting = count(RunState::is_waiting);
        let pause = row.as_ref().and_then(|row| row.pause.clone());
        // A service gives them their runs at once.
        let unseen = due.as_ref().filter(|_| history.service.is_none() && pause.is_none());
        let mut standing = Standing {
            name: name.to_owned(),
            word: Word::Ok,
            schedule,
            next: match &pause {
                Some(_) => None,
                None => [waiting_start, next_of_schedule].into_iter().flatten().min(),
            },
            pause,
            last: ledger.last_run(name, None)?,
            exported,
            running: count(|state| state == RunState::Running),
            waiting,
            made_up: waiting,
            failed_in_a_row: row.as_ref().map_or(0, |row| row.failed_in_a_row),
            skipped: ledger.skipped(name)?,
            unseen: unseen.map_or(0, |due| (due.run.len() + due.skip.len()) as u64),
        };
        standing.word = standing.word_for(is_configured, now);
        Ok(standing)
    }

    fn word_for(&self, is_configured: bool, now: Moment) -> Word {
        match self.schedule {
            _ if !is_configured => Word::Removed,
            _ if self.pause.is_some() => Word::Paused,
            _ if self.failed().is_some() => Word::Failing,
            Some(schedule) if self.is_late(schedule, now) => Word::Late,
            _ if self.running > 0 => Word::Running,
            None => Word::NoSchedule,
            Some(_) if self.last.is_none() => Word::New,
            Some(_) => Word::Ok,
        }
    }

    /// Returns whether more than one interval has ended and is not exported: one may be in progress.
    fn is_late(&self, schedule: &Schedule, now: Moment) -> bool {
        let Some(exported) = self.exported else {
            return false;
        };
        let settle = i64::try_from(schedule.settle().as_micros()).unwrap_or(i64::MAX);
        let settled = schedule.boundary_at_or_before(Moment(now.0.saturating_sub(settle)));
        schedule.windows(exported, settled).nth(1).is_some()
    }

    /// Returns the run that ended last, if it failed: somebody who asks for it again has not made it succeed yet, but
    /// one that was ended on purpose, by a stop of the service for instance, failed at nothing.
    pub fn failed(&self) -> Option<&Run> {
        let is_failed = |run: &&Run| {
            let failed = [RunState::Failed, RunState::FailedRetryable, RunState::TimedOut];
            failed.contains(&run.state) || run.state == RunState::Starting && run.error.as_ref().is_some_and(is_a_fault)
        };
        self.last.as_ref().filter(is_failed)
    }
}

/// Returns whether the failure of an attempt is more than that somebody ended it.
fn is_a_fault(error: &Value) -> bool {
    let on_purpose = [FailureClass::Cancelled, FailureClass::ShutDown];
    let on_purpose = on_purpose.map(|class| serde_json::to_value(class).unwrap_or_default());
    !on_purpose.contains(&error["class"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch_export_runner::FailureCode;

    #[test]
    fn what_somebody_ended_is_no_fault() {
        let store = Failure::new(FailureClass::Retryable, FailureCode::STORE_UNAVAILABLE, "503");
        for (failure, expect) in [(Failure::cancelled(), false), (store, true)] {
            let error = serde_json::to_value(&failure).expect("JSON");
            assert_eq!(is_a_fault(&error), expect, "{error}");
        }
        assert!(!is_a_fault(&serde_json::json!({ "class": "shut_down" })));
    }
}
