//! Checks of a destination: on request, before its first run, and for an interval without rows, so that a broken
//! configuration never hides behind quiet hours. Exports nothing.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::events::RunStage;
use super::exporter::{self, Exporter};
use super::failure::{Failure, FailureClass, FailureCode};
use super::prepared::Prepared;
use super::recovery::{Cleaned, LeftOpen};
use super::runner::Runner;
use super::tokens::{RunTokens, ended};
use batch_export_sandbox::contract::{CheckDepth, CheckStep, Grant, StepOutcome};
use batch_export_source::Interval;
use batch_export_system::Interrupted;
use batch_export_system::explain::Cause;

/// Maximum duration of a check. It makes about ten small requests: a store that takes longer for them is not available
/// for a run either.
const CHECK_TIME: Duration = Duration::from_secs(120);
/// The step that tells what could not be cleaned up.
const CLEAN_UP: &str = "clean up";

/// The occasion of an automatic check.
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
            Occasion::FirstUse => "the destination was checked before its first run with these settings and keys",
            Occasion::NoRows => "there are no rows to export, so the destination itself was checked",
        }
    }
}

/// Tries the destination with the settings of a run, as far as it goes.
pub(crate) async fn check(
    runner: &Runner,
    exporter: &Exporter,
    interval: Interval,
    tokens: &RunTokens,
) -> Result<Vec<CheckStep>, Failure> {
    let prepared = Prepared::new(runner, exporter, interval, tokens).await?;
    prepared.events.stage(RunStage::Checking);
    let mut steps = steps(&prepared, CheckDepth::Full).await?;
    let works = failing(&steps).next().is_none();
    let mut kept_in_mind = prepared.lease.finish();
    if works {
        let state = runner.state();
        let seal = exporter.seal();
        let remembered = seal.and_then(|seal| state.remember_check(&exporter.name, &seal));
        kept_in_mind = kept_in_mind.and(remembered);
    }
    // The destination is not to blame for a state folder that cannot be written.
    steps.extend(kept_in_mind.err().map(|error| CheckStep {
        name: "remember the outcome".to_owned(),
        outcome: StepOutcome::Skipped,
        detail: error.message().to_owned(),
        hint: error.hint().map(str::to_owned),
        retry_after_ms: None,
    }));
    Ok(steps)
}

/// Makes an automatic check and returns the resulting warnings. What does not work is an error.
pub(super) async fn automatic(prepared: &Prepared<'_>, occasion: Occasion) -> Result<Vec<Cause>, Failure> {
    let steps = steps(prepared, occasion.depth()).await?;
    // What is left open is noted and does not stand in the way of a run.
    let failing: Vec<CheckStep> = failing(&steps).filter(|step| step.name != CLEAN_UP).cloned().collect();
    if !failing.is_empty() {
        return Err(unready(occasion, &failing));
    }
    let worth_a_warning = |step: &&CheckStep| match occasion {
        Occasion::FirstUse => step.outcome == StepOutcome::Skipped || step.name == CLEAN_UP,
        Occasion::NoRows => step.name == CLEAN_UP,
    };
    let warning = |step: &CheckStep| {
        let warning = Cause::new(format!("{}: {}: {}", occasion.in_words(), step.name, step.detail));
        match &step.hint {
            Some(hint) => warning.with_hint(hint),
            None => warning,
        }
    };
    Ok(steps.iter().filter(worth_a_warning).map(warning).collect())
}

/// Makes every step, and one more where something could not be cleaned up.
async fn steps(prepared: &Prepared<'_>, depth: CheckDepth) -> Result<Vec<CheckStep>, Failure> {
    let Prepared {
        exporter, plan, work, ..
    } = prepared;
    let run = prepared.header.run(exporter::attempt_id()?);
    let session = prepared.session(&run, exporter.limits.of_plan(plan))?;
    let token = work.child().with_deadline(Instant::now() + CHECK_TIME);
    let outcome = match token.run(session.check(depth)).await {
        Ok(steps) => steps.map_err(Failure::from),
        Err(Interrupted::DeadlinePassed) if work.check().is_ok() => Ok(vec![out_of_time(
            &plan.grants,
            exporter.destination().network.proxy.is_some(),
        )]),
        Err(reason) => Err(ended(reason, exporter.limits.run_time)),
    };
    session.close().await;
    let left_open = clean_up(prepared).await;
    let mut steps = outcome?;
    if !left_open.is_empty() {
        let told: Vec<String> = left_open.iter().map(LeftOpen::to_string).collect();
        let hints: BTreeSet<&str> = left_open.iter().filter_map(|left| left.hint.as_deref()).collect();
        steps.push(CheckStep {
            name: CLEAN_UP.to_owned(),
            outcome: StepOutcome::Unavailable,
            detail: format!("left open, and tried again by the next run: {}", told.join(", ")),
            hint: (!hints.is_empty()).then(|| hints.into_iter().collect::<Vec<_>>().join("; ")),
            retry_after_ms: None,
        });
    }
    Ok(steps)
}

/// Cleans up, and returns what could not be: of this check and of earlier ones.
async fn clean_up(prepared: &Prepared<'_>) -> Vec<LeftOpen> {
    let mut cleaned = Cleaned::default();
    let noted = prepared.cleaner.run(&*prepared.lease, &mut cleaned).await;
    let mut left_open = cleaned.recovery.left_open;
    left_open.extend(noted.err().map(|error| LeftOpen::unknown(&error)));
    left_open
}

/// Those that did not work.
pub fn failing(steps: &[CheckStep]) -> impl Iterator<Item = &CheckStep> {
    let fails = |step: &&CheckStep| matches!(step.outcome, StepOutcome::Failed | StepOutcome::Unavailable);
    steps.iter().filter(fails)
}

/// What failing steps come to: worth retrying only when every failure may pass by itself.
pub fn class(steps: &[CheckStep]) -> FailureClass {
    let for_good = |step: &CheckStep| step.outcome == StepOutcome::Failed;
    if steps.iter().any(for_good) {
        FailureClass::Failed
    } else {
        FailureClass::Retryable
    }
}

/// Returns how long the destination asked to be left alone, where that is all that keeps the steps from passing.
pub fn retry_after(steps: &[CheckStep]) -> Option<Duration> {
    let is_all = class(steps) == FailureClass::Retryable;
    let longest = failing(steps).filter_map(|step| step.retry_after_ms).max();
    longest.filter(|_| is_all).map(Duration::from_millis)
}

/// Makes the failure of an automatic check. Steps that fail for the same reason are named together.
fn unready(occasion: Occasion, failing: &[CheckStep]) -> Failure {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut hints: Vec<&str> = Vec::new();
    for step in failing {
        match reasons.iter_mut().find(|(known, _)| *known == step.detail) {
            Some((_, names)) => names.push(&step.name),
            None => reasons.push((&step.detail, vec![&step.name])),
        }
        hints.extend(step.hint.as_deref().filter(|hint| !hints.contains(hint)));
    }
    let messages: Vec<String> = reasons
        .iter()
        .map(|(message, names)| format!("{}: {message}", names.join(", ")))
        .collect();
    hints.push("run `batch-export check` to repeat the check");
    Failure::new(
        class(failing),
        FailureCode::CHECK_FAILED,
        format!("{}, and the check failed: {}", occasion.in_words(), messages.join("; ")),
    )
    .with_hint(hints.join("; "))
    .with_retry_after(retry_after(failing))
}

fn out_of_time(grants: &[Grant], is_proxied: bool) -> CheckStep {
    let proxy = if is_proxied { ", or the proxy before it," } else { "" };
    let store = grants.first().map_or("the store", |grant| &grant.origin);
    CheckStep {
        name: "check".to_owned(),
        outcome: StepOutcome::Unavailable,
        detail: format!(
            "took longer than {} s: {store}{proxy} responds too slowly",
            CHECK_TIME.as_secs()
        ),
        hint: Some("check that `endpoint_url` names an S3 store, and that it is up; try again".to_owned()),
        retry_after_ms: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_fail_alike_are_named_together_and_each_hint_is_said_once() {
        let step = |name: &str, detail: &str, hint: Option<&str>| CheckStep {
            name: name.to_owned(),
            outcome: StepOutcome::Failed,
            detail: detail.to_owned(),
            hint: hint.map(str::to_owned),
            retry_after_ms: None,
        };
        let failing = [
            step("write", "403; no colon: needed", Some("grant it")),
            step("begin upload", "403; no colon: needed", Some("grant it")),
            step("abort", "404", None),
        ];
        let failure = unready(Occasion::NoRows, &failing);
        assert_eq!(
            failure.message(),
            "there are no rows to export, so the destination itself was checked, and the check failed: write, begin \
             upload: 403; no colon: needed; abort: 404"
        );
        assert_eq!(
            failure.hint(),
            Some("grant it; run `batch-export check` to repeat the check")
        );
    }

    #[test]
    fn a_try_that_nobody_waited_for_is_a_step_worth_retrying() {
        for (is_proxied, place) in [(false, "the store"), (true, "the store, or the proxy before it,")] {
            let step = out_of_time(&[], is_proxied);
            let detail = format!("took longer than 120 s: {place} responds too slowly");
            assert_eq!(step.detail, detail);
            assert_eq!(class(&[step]), FailureClass::Retryable);
        }
    }
}
