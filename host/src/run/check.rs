//! Trying a destination: when somebody asks, before its first run, and for an interval without rows, so that a broken
//! configuration never hides behind quiet hours. Exports nothing.

use std::time::Duration;

use super::error::{Cause, Class};
use super::state::{HeldRun, State};
use super::target::{self, Access, Target};
use super::{Listener, recover_all};
use crate::capability::log::LogSink;
use crate::interval::Interval;
use crate::sandbox::contract::{CheckDepth, CheckStep, Plan, Recovery, Run, StepOutcome};

/// Longest try that nobody asked for. It makes about ten small requests: a store that takes longer for them is not
/// available for a run either.
const AUTOMATIC_TIME: Duration = Duration::from_secs(120);

/// Why a destination is tried unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    FirstUse,
    NoRows,
}

impl Occasion {
    fn depth(self) -> CheckDepth {
        match self {
            Occasion::FirstUse => CheckDepth::Full,
            Occasion::NoRows => CheckDepth::Traceless,
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Occasion::FirstUse => "the destination was tried before its first run",
            Occasion::NoRows => "the interval has no rows, so the destination itself was tried",
        }
    }
}

/// Tries the destination with the settings of a run, as far as it goes.
pub async fn check(
    target: &Target,
    state: &State,
    interval: Interval,
    log: LogSink,
) -> Result<Vec<CheckStep>, Cause> {
    let header = target.header(interval);
    let run = header.run(target::attempt_id()?);
    let plan = target.plan(&run).await?;
    let access = target.access()?;
    let held = state.hold(header)?;
    let trial = Trial {
        target,
        plan: &plan,
        access: &access,
        held: &held,
        listener: &Listener {
            progress: &|_| {},
            log,
        },
    };
    let (steps, kept) = trial.steps(run, CheckDepth::Full).await?;
    if !kept {
        held.clear()?;
    }
    if failing(&steps).next().is_none() {
        state.remember_check(&target.name, &target.fingerprint())?;
    }
    Ok(steps)
}

/// What a try works with.
pub(super) struct Trial<'a> {
    pub target: &'a Target,
    pub plan: &'a Plan,
    pub access: &'a Access,
    pub held: &'a HeldRun,
    pub listener: &'a Listener<'a>,
}

impl Trial<'_> {
    /// A try that nobody asked for, and the warnings that come of it. What does not work is an error.
    pub(super) async fn unasked(&self, occasion: Occasion) -> Result<Vec<String>, Cause> {
        let run = self.held.header.run(target::attempt_id()?);
        let tried = self.steps(run, occasion.depth());
        let steps = match tokio::time::timeout(AUTOMATIC_TIME, tried).await {
            Ok(outcome) => outcome?.0,
            Err(_) => vec![out_of_time()],
        };
        let failing: Vec<CheckStep> = failing(&steps).cloned().collect();
        if !failing.is_empty() {
            return Err(Cause::Unready {
                occasion: occasion.in_words(),
                class: class(&steps),
                failing,
            });
        }
        let skipped = steps
            .iter()
            .filter(|step| step.outcome == StepOutcome::Skipped);
        Ok(match occasion {
            Occasion::FirstUse => skipped
                .map(|step| format!("{}: {}: {}", occasion.in_words(), step.name, step.detail))
                .collect(),
            Occasion::NoRows => Vec::new(),
        })
    }

    /// Every step, and whether notes had to be kept of what could not be cleaned up.
    async fn steps(&self, run: Run, depth: CheckDepth) -> Result<(Vec<CheckStep>, bool), Cause> {
        let journal = Box::new(self.held.journal(&run.attempt)?);
        let log = self.listener.log.clone();
        let session = self
            .target
            .session(&run, self.plan, self.access, journal, log)?;
        let outcome = session.check(depth).await;
        drop(session);
        let mut recovery = Recovery::default();
        let kept = recover_all(
            self.target,
            self.access,
            self.held,
            self.listener,
            &mut recovery,
        )
        .await?;
        Ok((outcome?, kept))
    }
}

/// Those that did not work.
pub fn failing(steps: &[CheckStep]) -> impl Iterator<Item = &CheckStep> {
    let fails =
        |step: &&CheckStep| matches!(step.outcome, StepOutcome::Failed | StepOutcome::Unavailable);
    steps.iter().filter(fails)
}

/// What failing steps come to: worth retrying only when every failure may pass by itself.
pub fn class(steps: &[CheckStep]) -> Class {
    let for_good = |step: &CheckStep| step.outcome == StepOutcome::Failed;
    if steps.iter().any(for_good) {
        Class::Failed
    } else {
        Class::Retryable
    }
}

fn out_of_time() -> CheckStep {
    CheckStep {
        name: "check".to_owned(),
        outcome: StepOutcome::Unavailable,
        detail: format!(
            "took longer than {} s: the store, or a proxy before it, answers too slowly",
            AUTOMATIC_TIME.as_secs()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_try_that_nobody_waited_for_is_a_step_worth_retrying() {
        let step = out_of_time();
        assert_eq!(
            step.detail,
            "took longer than 120 s: the store, or a proxy before it, answers too slowly"
        );
        assert_eq!(class(&[step]), Class::Retryable);
    }
}
