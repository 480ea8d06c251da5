//! The start-up job of a host: cleans up once, within a bounded time, after runs that a process left behind and nobody
//! holds. What remains is reported in a few lines, however many runs there are.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Cleaned, Cleaner, Recovery};
use crate::failure::{Failure, FailureCode};
use crate::report::were;
use crate::state::{Lease, Leftovers, RunOwner, State};
use batch_export_system::explain::{Cause, count};

/// The longest time for all runs that were left behind. What is not reached stays for the next start.
const STARTUP_TIME: Duration = Duration::from_secs(120);
/// Things that are named one by one; more of a kind are counted.
const NAMED: usize = 5;

/// The outcome of cleaning up at a start.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct StartupRecovery {
    /// Uploads that were aborted, and those that were not.
    pub recovery: Recovery,
    /// What the operator should know of runs that stay, and what to do about them.
    pub warnings: Vec<Cause>,
}

/// What stays, by kind.
#[derive(Default)]
struct Staying {
    /// For each destination that is not configured any more: how many runs, and where the first of them is.
    orphans: BTreeMap<String, (usize, String)>,
    failed: Vec<Cause>,
    waiting: usize,
    further_uploads: usize,
    more: bool,
}

/// Cleans up after every run of a destination that a process left behind and nobody holds, one at a time.
pub(crate) async fn recover_leftovers(
    cleaner: &Cleaner<'_>,
    state: &dyn State,
    left: Leftovers,
) -> Result<StartupRecovery, Failure> {
    let begun = Instant::now();
    let mut staying = Staying {
        more: left.more,
        ..Staying::default()
    };
    let mut cleaned = Cleaned::default();
    for run in left.runs {
        let is_ours = match &run.owner {
            RunOwner::Unknown => continue,
            RunOwner::Destination(name) if *name == cleaner.exporter.name => true,
            // It may have other credentials and another plugin: its own runs clean up.
            RunOwner::Destination(name) if cleaner.exporter.knows(name) => continue,
            RunOwner::Destination(_) => false,
            RunOwner::Unreadable => true,
        };
        let lease = match state.lease(&run.id) {
            Ok(lease) => lease,
            // It is in progress.
            Err(failure) if failure.code() == FailureCode::RUN_IN_PROGRESS => continue,
            Err(failure) => {
                staying.failed.push(Cause::of(&failure));
                continue;
            }
        };
        match run.owner {
            RunOwner::Destination(name) if !is_ours => {
                let place = || (0, lease.place(None));
                staying.orphans.entry(name).or_insert_with(place).0 += 1;
            }
            _ if cleaned.is_late || begun.elapsed() > STARTUP_TIME || cleaner.tokens.is_over() => {
                staying.waiting += 1;
            }
            _ => clean(cleaner, lease, &mut cleaned, &mut staying).await?,
        }
    }
    Ok(StartupRecovery {
        recovery: cleaned.recovery,
        warnings: staying.warnings(&cleaner.exporter.place_of_destinations()),
    })
}

async fn clean(
    cleaner: &Cleaner<'_>,
    lease: Box<dyn Lease>,
    cleaned: &mut Cleaned,
    staying: &mut Staying,
) -> Result<(), Failure> {
    // Whoever ends the work waits for nothing that can be done at the next start.
    match cleaner.tokens.work.run(cleaner.run(&*lease, cleaned)).await {
        Ok(done) => done?,
        Err(_) => {
            staying.waiting += 1;
            return Ok(());
        }
    }
    let open = &mut cleaned.recovery.left_open;
    staying.further_uploads += open.len().saturating_sub(NAMED);
    open.truncate(NAMED);
    if let Err(failure) = lease.finish() {
        staying.failed.push(Cause::of(&failure));
    }
    Ok(())
}

impl Staying {
    /// Reports what remains; `file` is where destinations are configured.
    fn warnings(self, file: &str) -> Vec<Cause> {
        let mut told = named(self.failed, "more earlier runs cannot be examined");
        for (name, (number, place)) in self.orphans {
            let (runs, notes) = match number {
                1 => ("an earlier run".to_owned(), format!("its notes are kept in {place}")),
                many => (
                    format!("{} earlier runs", count(many as u64)),
                    format!("their notes are kept; those of the first are in {place}"),
                ),
            };
            let orphans = Cause::new(format!(
                "{runs} of the destination `{name}` may have left uploads open, and {file} has no such destination: {notes}"
            ));
            told.push(orphans.with_hint(format!(
                "add the destination again under that name and run it once, or abort its uploads at the store and run \
                 `batch-export ledger forget --destination {name}`"
            )));
        }
        if self.further_uploads > 0 {
            let more = count(self.further_uploads as u64);
            told.push(format!("{more} more uploads of earlier runs may still be open; their notes are kept").into());
        }
        if self.waiting > 0 {
            let waiting = were(self.waiting as u64, "earlier run");
            told.push(format!("{waiting} not cleaned up in time: the next start continues with them").into());
        }
        if self.more {
            told.push("there are more earlier runs than one start can examine".into());
        }
        told
    }
}

/// Returns the first warnings, and the number of the others.
fn named(mut warnings: Vec<Cause>, further: &str) -> Vec<Cause> {
    let more = warnings.len().saturating_sub(NAMED);
    warnings.truncate(NAMED);
    warnings.extend((more > 0).then(|| format!("{} {further}", count(more as u64)).into()));
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_runs_is_told_in_a_few_lines() {
        let staying = Staying {
            orphans: BTreeMap::from([
                ("old".to_owned(), (1_200, "the ledger (run old-1)".to_owned())),
                ("older".to_owned(), (1, "the ledger (run older-1)".to_owned())),
            ]),
            failed: (0..6).map(|n| format!("run {n}").into()).collect(),
            waiting: 7,
            further_uploads: 9,
            more: true,
        };
        let warnings = staying.warnings("exports.toml");
        let told: Vec<String> = warnings.iter().map(Cause::in_one_text).collect();
        assert_eq!(told.len(), 6 + 2 + 3, "{told:#?}");
        assert_eq!(told[5], "1 more earlier runs cannot be examined");
        assert_eq!(
            told[6],
            "1,200 earlier runs of the destination `old` may have left uploads open, and exports.toml has no such \
             destination: their notes are kept; those of the first are in the ledger (run old-1); add the destination \
             again under that name and run it once, or abort its uploads at the store and run `batch-export ledger forget \
             --destination old`"
        );
        assert!(told[7].starts_with("an earlier run of the destination `older` may"));
        assert_eq!(
            told[9],
            "7 earlier runs were not cleaned up in time: the next start continues with them"
        );
        assert_eq!(Staying::default().warnings("exports.toml"), []);
    }
}
