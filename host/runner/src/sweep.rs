//! What earlier attempts left open: their notes given to a fresh instance's `recover`, under the configuration that they
//! were written under. Forgets no note until the plugin says that nothing it tells of is open any more.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Listener;
use super::failure::{Failure, FailureCode};
use super::state::{Found, HeldRun, Leftover, Owner, State};
use super::stop::Stop;
use super::target::{Access, Target};
use batch_export_sandbox::MemoryJournal;
use batch_export_sandbox::contract::Recovery;

/// Longest time for cleaning up after one attempt: a store that is down is tried again at the next start.
const RECOVERY_TIME: Duration = Duration::from_secs(120);
/// Longest time that a run spends on what others left before it begins itself.
const SWEEP_TIME: Duration = Duration::from_secs(300);
/// Longest time for cleaning up once somebody asked the run to end: a request or two, not a wait for a store.
const INTERRUPTED_RECOVERY_TIME: Duration = Duration::from_secs(5);
/// Things that are only reported, each by its path: more of them are counted.
const MAX_REPORTED: usize = 20;

/// Cleans up with what a run has anyway.
pub(super) struct Sweep<'a> {
    pub target: &'a Target,
    pub access: &'a Access,
    pub listener: &'a Listener<'a>,
    pub stop: &'a Stop,
}

/// What is said of notes that stay.
#[derive(Default)]
struct Reported {
    lines: Vec<String>,
    further: usize,
}

impl Reported {
    fn add(&mut self, line: String) {
        match self.lines.len() < MAX_REPORTED {
            true => self.lines.push(line),
            false => self.further += 1,
        }
    }

    fn into_lines(mut self, state: &str) -> Vec<String> {
        if self.further > 0 {
            let further = self.further;
            self.lines
                .push(format!("{further} more such notes are kept in {state}"));
        }
        self.lines
    }
}

impl Sweep<'_> {
    /// Cleans up after every run but one that a process left behind and nobody holds, one at a time. The answer is what
    /// a person should know of notes that stay.
    pub async fn others(
        &self,
        state: &State,
        besides: &str,
        recovery: &mut Recovery,
    ) -> Result<Vec<String>, Failure> {
        let left = state.left()?;
        let begun = Instant::now();
        let mut said = Reported::default();
        for path in left.strange {
            said.add(format!(
                "{} is not the folder of a run and is left alone; delete it if it is not yours",
                path.display()
            ));
        }
        if left.more {
            said.add("there are more earlier runs than one run looks at".to_owned());
        }
        let (mut waiting, mut unnamed) = (0_usize, 0_usize);
        for id in left.ids.iter().filter(|id| id.as_str() != besides) {
            let owner = state.owner_of(id)?;
            match &owner {
                Owner::Unknown => continue,
                Owner::Destination(name) if *name == self.target.name => {}
                Owner::Destination(name) if self.target.knows(name) => continue,
                Owner::Destination(_) | Owner::Nobody | Owner::Unreadable => {}
            }
            let held = match state.hold(id) {
                Ok(held) => held,
                // It is in progress somewhere, or its folder is not ours to touch: then its own runs say so.
                Err(failure) if failure.code() == FailureCode::RUN_IN_PROGRESS => continue,
                Err(other) => {
                    said.add(other.in_one_text());
                    continue;
                }
            };
            if let Owner::Destination(name) = &owner
                && *name != self.target.name
            {
                said.add(self.without_destination(name, &held));
                continue;
            }
            if begun.elapsed() > SWEEP_TIME || self.stop.is_asked() {
                waiting += 1;
                continue;
            }
            self.one(&held, recovery).await?;
            unnamed += recovery.left_open.len().saturating_sub(MAX_REPORTED);
            recovery.left_open.truncate(MAX_REPORTED);
            if let Err(error) = held.clear_if_empty() {
                said.add(error.in_one_text());
            }
        }
        if unnamed > 0 {
            said.add(format!(
                "{unnamed} more uploads of earlier runs may still be open; their notes are kept"
            ));
        }
        if waiting > 0 {
            said.add(format!(
                "{waiting} more earlier runs were not cleaned up within {} s; the next run goes on with them",
                SWEEP_TIME.as_secs()
            ));
        }
        Ok(said.into_lines("the state folder"))
    }

    fn without_destination(&self, name: &str, held: &HeldRun) -> String {
        format!(
            "an earlier run of the destination `{name}` may have left uploads open, and {} has no such destination: its \
             notes are kept in {}; add the destination again and run it once, or abort its uploads at the store and \
             delete that folder",
            self.target.file().display(),
            held.folder().display()
        )
    }

    /// Every attempt of a run that left notes; those that are dealt with are forgotten.
    pub async fn one(&self, held: &HeldRun, recovery: &mut Recovery) -> Result<(), Failure> {
        for path in held.attempts()? {
            match held.read(&path) {
                Found::Nothing => {}
                Found::Unreadable(problem) => {
                    recovery.left_open.push(unreadable(&path, &problem));
                }
                Found::Notes(leftover) => self.attempt(leftover, recovery).await?,
            }
        }
        Ok(())
    }

    async fn attempt(&self, leftover: Leftover, recovery: &mut Recovery) -> Result<(), Failure> {
        let damaged = leftover.damaged_bytes > 0;
        if damaged {
            let problem = format!("{} bytes of it are damaged", leftover.damaged_bytes);
            recovery
                .left_open
                .push(unreadable(&leftover.path, &problem));
        }
        if leftover.notes.is_empty() {
            return match damaged {
                true => Ok(()),
                false => leftover.forget(),
            };
        }
        let under = self.target.differing(&leftover.origin.configuration);
        let under = match under.as_str() {
            "" => String::new(),
            differing => format!(" (with its earlier configuration: {differing})"),
        };
        match self.recover(&leftover).await {
            Ok(done) => {
                let is_clean = done.left_open.is_empty() && !damaged;
                let with_place = |text: String| format!("{text}{under}");
                recovery
                    .aborted
                    .extend(done.aborted.into_iter().map(with_place));
                recovery
                    .left_open
                    .extend(done.left_open.into_iter().map(with_place));
                match is_clean {
                    true => leftover.forget(),
                    false => Ok(()),
                }
            }
            Err(problem) => {
                recovery.left_open.push(format!(
                    "uploads of attempt {} of run {}{under}: {problem}; its notes are kept in {}",
                    leftover.origin.attempt,
                    leftover.origin.header.id,
                    leftover.path.display()
                ));
                Ok(())
            }
        }
    }

    /// Has a fresh instance abort what an attempt noted, where that attempt wrote and with today's credentials.
    async fn recover(&self, leftover: &Leftover) -> Result<Recovery, String> {
        let origin = &leftover.origin;
        let run = origin.header.run(origin.attempt.clone());
        let said = |failure: Failure| failure.in_one_text();
        let then = self.target.configured(origin.configuration.clone());
        let access = self
            .target
            .access_earlier(&then, self.access)
            .map_err(said)?;
        let plan = self.in_time(then.plan(&run)).await?.map_err(said)?;
        // Recovery opens nothing, so its own notes need not outlive it.
        let journal = Box::new(MemoryJournal::default());
        let session = then
            .session(&run, &plan, &access, journal, self.listener)
            .map_err(said)?;
        let outcome = self.in_time(session.recover(leftover.notes.clone())).await;
        session.close().await;
        outcome?.map_err(|error| error.to_string())
    }

    /// Waits for some of the cleaning up, but not for ever, and not for long once somebody waits for its end.
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, String> {
        let hurried = async {
            let since = self.stop.asked().await;
            tokio::time::sleep_until((since + INTERRUPTED_RECOVERY_TIME).into()).await;
        };
        tokio::select! {
            biased;
            () = self.stop.asked_at_once() => Err("cleaning up was interrupted as well".to_owned()),
            done = work => Ok(done),
            () = hurried => Err(format!(
                "not cleaned up within {} s of the interruption",
                INTERRUPTED_RECOVERY_TIME.as_secs()
            )),
            () = tokio::time::sleep(RECOVERY_TIME) => {
                Err(format!("no answer within {} s", RECOVERY_TIME.as_secs()))
            }
        }
    }
}

fn unreadable(path: &Path, problem: &str) -> String {
    format!(
        "uploads that {} tells of, which cannot be used: {problem}; look for open uploads at the store, abort them, and \
         delete the file",
        path.display()
    )
}

/// The fields in which an earlier configuration differs from today's, each with its earlier value.
pub(super) fn differing(earlier: &Value, now: &Value) -> String {
    let fields = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let (earlier, now) = (fields(earlier), fields(now));
    let changed = earlier
        .iter()
        .filter(|(name, value)| now.get(*name) != Some(value))
        .map(|(name, value)| format!("{name} = {value}"));
    let added = now
        .keys()
        .filter(|name| !earlier.contains_key(*name))
        .map(|name| format!("no {name}"));
    changed.chain(added).collect::<Vec<_>>().join(", ")
}
