//! Cleans up what earlier attempts left open: their notes go to a fresh instance's `recover`, under the configuration
//! that they were written under. Does not delete a note until the plugin says that nothing it mentions is still open.

mod outcome;
mod startup;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::events::{Events, RunEvents, RunStage};
use crate::exporter::{Access, Exporter, SessionParts};
use crate::failure::Failure;
use crate::state::{FoundNotes, Lease, Leftover};
use crate::tokens::RunTokens;
use batch_export_sandbox::MemoryJournal;
use batch_export_sandbox::contract;
use batch_export_system::{Budget, Interrupted, Token};

pub use outcome::{AbortedUpload, LeftOpen, Recovery};
pub use startup::StartupRecovery;
pub(crate) use startup::recover_leftovers;

/// The longest time to clean up after one attempt: far less than the plugin would go on trying. A store that is down is
/// tried again at the next start.
const RECOVERY_TIME: Duration = Duration::from_secs(60);
/// The longest time to clean up while the store does not respond, or says only that it cannot: it is down, and whoever
/// starts a run waits.
const UNANSWERED_TIME: Duration = Duration::from_secs(10);
/// The longest time to clean up once the run has been interrupted: a request or two, not a wait for a store.
const INTERRUPTED_RECOVERY_TIME: Duration = Duration::from_secs(5);
/// Notes of an attempt that a message repeats.
const NOTES_SHOWN: usize = 5;

/// Cleans up after attempts at runs of one destination, with what a run of it has anyway.
pub(crate) struct Cleaner<'a> {
    pub exporter: &'a Exporter,
    pub access: Access,
    pub memory: Arc<Budget>,
    pub events: &'a Events,
    pub tokens: &'a RunTokens,
    /// When the interruption was noticed.
    pub interrupted: OnceLock<Instant>,
}

/// Why an attempt was not cleaned up.
enum Uncleaned {
    /// No time was left; notes stay.
    Late(String),
    /// It cannot be done now; notes stay.
    Failed(Failure),
}

/// The outcome of cleaning up after some attempts.
#[derive(Debug, Default)]
pub(crate) struct Cleaned {
    pub recovery: Recovery,
    /// Whether the time for one of them was not enough: the store may be down.
    pub is_late: bool,
}

impl Cleaner<'_> {
    /// Cleans up after every attempt of a run that left notes, and forgets those that are done with. Once the time for
    /// one is not enough, it is not enough for the others either.
    pub(crate) async fn run(&self, lease: &dyn Lease, cleaned: &mut Cleaned) -> Result<(), Failure> {
        for attempt in lease.attempts()? {
            match lease.read(&attempt) {
                FoundNotes::Nothing => {}
                FoundNotes::Unreadable(problem) => {
                    let place = lease.place(Some(&attempt));
                    cleaned.recovery.left_open.push(unreadable(&place, &problem));
                }
                FoundNotes::Notes(leftover) => self.attempt(lease, leftover, cleaned).await?,
            }
        }
        Ok(())
    }

    async fn attempt(&self, lease: &dyn Lease, leftover: Leftover, cleaned: &mut Cleaned) -> Result<(), Failure> {
        let attempt = &leftover.origin.attempt;
        let place = lease.place(Some(attempt));
        let recovery = &mut cleaned.recovery;
        if leftover.notes.is_empty() {
            return lease.forget(attempt);
        }
        let under = self.exporter.differing(&leftover.origin.configuration);
        let under = (!under.is_empty()).then_some(under);
        let recovered = match cleaned.is_late {
            false => self.recover(&leftover).await,
            true => Err(Uncleaned::Late(
                "not attempted, because the previous one took too long".to_owned(),
            )),
        };
        let (reason, hint) = match recovered {
            Ok(done) => {
                let is_clean = done.left_open.is_empty();
                recovery.add(done, under.as_ref());
                return match is_clean {
                    true => lease.forget(attempt),
                    false => Ok(()),
                };
            }
            Err(Uncleaned::Late(reason)) => {
                cleaned.is_late = true;
                (reason, None)
            }
            Err(Uncleaned::Failed(failure)) => (failure.message().to_owned(), failure.hint().map(str::to_owned)),
        };
        recovery.left_open.push(LeftOpen {
            key: None,
            upload_id: None,
            reason: format!(
                "uploads of attempt {attempt} of run {} may be open: {reason}; its notes are kept in {place}: {}",
                leftover.origin.header.id,
                in_words(&leftover.notes)
            ),
            hint,
            earlier_configuration: under,
        });
        Ok(())
    }

    /// Has a fresh instance abort what an attempt noted, where that attempt wrote and with today's credentials.
    async fn recover(&self, leftover: &Leftover) -> Result<contract::Recovery, Uncleaned> {
        let origin = &leftover.origin;
        let run = origin.header.run(origin.attempt.clone());
        let failed = Uncleaned::Failed;
        let then = self.exporter.configured(origin.configuration.clone());
        let access = self.exporter.access_earlier(&then, &self.access).map_err(failed)?;
        let deadline = Instant::now() + RECOVERY_TIME;
        let token = self.tokens.clean_up.child().with_deadline(deadline);
        let events = self.events.of(&run);
        events.stage(RunStage::Recovering);
        let plan = self.in_time(&token, &events, then.plan(&run)).await?;
        let plan = plan.map_err(failed)?;
        let session = then.session(SessionParts {
            run: &run,
            plan: &plan,
            access: &access,
            memory: &self.memory,
            limits: then.limits.of_plan(&plan),
            // Recovery opens nothing, so its own notes need not outlive it.
            journal: Box::new(MemoryJournal::default()),
            events: &events,
        });
        let session = session.map_err(failed)?;
        let recovered = session.recover(leftover.notes.clone());
        let outcome = self.in_time(&token, &events, recovered).await;
        session.close().await;
        outcome?.map_err(|error| failed(error.into()))
    }

    /// Waits for the clean-up, but not forever, and not for long once the run has been interrupted.
    async fn in_time<T>(
        &self,
        token: &Token,
        events: &RunEvents,
        work: impl Future<Output = T>,
    ) -> Result<T, Uncleaned> {
        let hurried = async {
            if self.tokens.work.interrupted().await == Interrupted::Cancelled {
                let since = *self.interrupted.get_or_init(Instant::now);
                tokio::time::sleep_until((since + INTERRUPTED_RECOVERY_TIME).into()).await;
            } else {
                // The run's own deadline does not apply here: the token has another.
                std::future::pending().await
            }
        };
        let unanswered = async {
            let mut known = None;
            while known != Some(events.answers()) {
                known = Some(events.answers());
                tokio::time::sleep(UNANSWERED_TIME).await;
            }
        };
        let late = |time: Duration, what| Uncleaned::Late(format!("not cleaned up within {} s{what}", time.as_secs()));
        tokio::select! {
            biased;
            done = token.run(work) => done.map_err(|reason| match reason {
                Interrupted::Cancelled => {
                    Uncleaned::Late("cleaning up was interrupted as well".to_owned())
                }
                Interrupted::DeadlinePassed => late(RECOVERY_TIME, ""),
            }),
            () = hurried => Err(late(INTERRUPTED_RECOVERY_TIME, " of the interruption")),
            () = unanswered => Err(late(UNANSWERED_TIME, ", because the store does not respond")),
        }
    }
}

fn unreadable(place: &str, problem: &str) -> LeftOpen {
    LeftOpen {
        key: None,
        upload_id: None,
        reason: format!("uploads noted in {place}, which cannot be read: {problem}"),
        hint: Some(
            "look for open uploads in the store, abort them, and forget the notes by `batch-export ledger forget RUN`"
                .to_owned(),
        ),
        earlier_configuration: None,
    }
}

/// Returns what the last notes say, as far as they are text: with the usual plugin, keys and upload ids.
fn in_words(notes: &[Vec<u8>]) -> String {
    let skipped = notes.len().saturating_sub(NOTES_SHOWN);
    let shown = notes[skipped..].iter().map(|note| {
        let text = String::from_utf8_lossy(note);
        let lines = text.lines().filter(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join(" ")
    });
    let before = (skipped > 0).then(|| format!("{skipped} more"));
    before.into_iter().chain(shown).collect::<Vec<_>>().join(", ")
}

/// Returns the fields in which an earlier configuration differs from today's, each with its earlier value.
pub(crate) fn differing(earlier: &Value, now: &Value) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_notes_are_told_as_text() {
        let notes: Vec<Vec<u8>> = (1..=7)
            .map(|n| format!("opened\nid-{n}\nx/a-{n}.jsonl").into_bytes())
            .collect();
        assert_eq!(
            in_words(&notes),
            "2 more, opened id-3 x/a-3.jsonl, opened id-4 x/a-4.jsonl, opened id-5 x/a-5.jsonl, opened id-6 x/a-6.jsonl, opened id-7 x/a-7.jsonl"
        );
        assert_eq!(in_words(&notes[..1]), "opened id-1 x/a-1.jsonl");
        assert_eq!(in_words(&[vec![0xff, b'\n', b'x']]), "\u{fffd} x");
    }
}
