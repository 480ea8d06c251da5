//! One attempt at a run: leftovers of earlier attempts, then every batch through a fresh instance, and the proof that
//! what was reported is what was supplied. Knows no command line and no schedule.

use crate::check::{self, Occasion};
use crate::destination::CheckMode;
use crate::events::{RunEventKind, RunProgress, RunStage};
use crate::exporter::Exporter;
use crate::failure::Failure;
use crate::prepared::Prepared;
use crate::proof::{self, Carried};
use crate::recovery::{Cleaned, Cleaner, LeftOpen};
use crate::report::{Done, RunReport};
use crate::runner::Runner;
use crate::state::Lease;
use crate::tokens::{RunTokens, ended};
use batch_export_sandbox::Session;
use batch_export_sandbox::contract::Report;
use batch_export_source::{Feed, Interval, Summary};
use batch_export_system::explain::Cause;

/// Exports one interval. When its tokens say so, it ends within a second and cleans up what is open, as far as that
/// goes quickly; what is not cleaned up stays noted.
pub(crate) async fn run(
    runner: &Runner,
    exporter: &Exporter,
    interval: Interval,
    tokens: &RunTokens,
) -> Result<RunReport, Failure> {
    let prepared = Prepared::new(runner, exporter, interval, tokens).await?;
    let mut cleaned = Cleaned::default();
    let cleaning = prepared.cleaner.run(&*prepared.lease, &mut cleaned);
    let outcome = prepared.work.run(cleaning).await;
    outcome.map_err(|reason| ended(reason, exporter.limits.run_time))??;
    let outcome = export(&prepared, interval).await;
    let Prepared {
        run,
        lease,
        cleaner,
        events,
        begun,
        ..
    } = prepared;
    match outcome {
        Ok(mut done) => {
            // Neither makes a run that succeeded a failure: what stays is looked at by the next start.
            let forgotten = lease.forget(&run.attempt).and_then(|()| lease.finish());
            let forgotten = forgotten.err().map(|failure| Cause::of(&failure));
            done.warnings.extend(forgotten);
            let report = done.into_report(exporter, run, begun.elapsed(), cleaned.recovery);
            events.warn(&report.warnings);
            events.stage(RunStage::Succeeded);
            Ok(report)
        }
        Err(failure) => {
            events.stage(RunStage::CleaningUp);
            let failure = clean_up(&cleaner, lease, exporter.naming_plugin(failure)).await;
            events.stage(RunStage::Failed);
            Err(failure)
        }
    }
}

async fn export(prepared: &Prepared<'_>, interval: Interval) -> Result<Done, Failure> {
    let Prepared { exporter, events, .. } = prepared;
    let state = prepared.runner.state();
    let automatic = exporter.check == CheckMode::Automatic;
    let unchecked = automatic
        && match state.last_check(&exporter.name)? {
            Some(seal) => !exporter.is_sealed_by(&seal)?,
            None => true,
        };
    let mut warnings = Vec::new();
    if unchecked {
        events.stage(RunStage::Checking);
        warnings = check::automatic(prepared, Occasion::FirstUse).await?;
        state.remember_check(&exporter.name, &exporter.seal()?)?;
    }
    events.stage(RunStage::Exporting);
    let mut open = Open::default();
    let outcome = prepared.work.run(open.carry(prepared, interval)).await;
    // However it ended, nothing is read, noted or sent any more when cleaning up begins.
    open.close().await;
    let carried = outcome.map_err(|reason| ended(reason, exporter.limits.run_time))??;
    let Through {
        progress,
        source,
        report,
        sent,
        peak_guest_memory_bytes,
    } = carried;
    let policy = exporter.policy(&prepared.run)?;
    let supplied = progress.rows_supplied;
    let bytes_exported = proof::of_report(&report, &prepared.plan, &policy, &source.tally, supplied, sent)?;
    warnings.extend(source.warnings);
    if automatic && !unchecked && supplied == 0 {
        events.stage(RunStage::Checking);
        warnings.extend(check::automatic(prepared, Occasion::NoRows).await?);
    }
    Ok(Done {
        progress,
        source: source.tally,
        report,
        bytes_exported,
        peak_guest_memory_bytes,
        warnings,
    })
}

/// What came of sending all rows through one instance.
struct Through {
    progress: RunProgress,
    source: Summary,
    report: Report,
    sent: Carried,
    peak_guest_memory_bytes: usize,
}

/// What is open while rows go through, and outlives an interruption of that.
#[derive(Default)]
struct Open {
    feed: Option<Feed>,
    session: Option<Session>,
}

impl Open {
    /// Sends all rows through one instance.
    async fn carry(&mut self, prepared: &Prepared<'_>, interval: Interval) -> Result<Through, Failure> {
        let exporter = prepared.exporter;
        let selection = exporter.selection(interval)?;
        let factory = exporter.logging_rows(prepared.events.line_sink());
        let feed = Feed::start(factory, selection, &prepared.work, &prepared.memory.source).await?;
        let feed = self.feed.insert(feed);
        let limits = exporter.limits_of(&prepared.plan, feed.columns());
        let session = self.session.insert(prepared.session(&prepared.run, limits)?);
        session.configure(feed.schema().to_vec()).await?;
        let progress = supply(prepared, session, feed).await?;
        let report = session.finish(progress.rows_supplied).await?;
        Ok(Through {
            progress,
            source: feed.summary().cloned().unwrap_or_default(),
            report,
            sent: Carried::by(session),
            peak_guest_memory_bytes: session.peak_memory_bytes(),
        })
    }

    async fn close(self) {
        if let Some(session) = self.session {
            session.close().await;
        }
        if let Some(feed) = self.feed {
            feed.close().await;
        }
    }
}

async fn supply(prepared: &Prepared<'_>, session: &Session, feed: &mut Feed) -> Result<RunProgress, Failure> {
    let mut progress = RunProgress::default();
    while let Some(message) = feed.next().await? {
        let bytes = message.bytes.len() as u64;
        progress.destination = session.encode_batch(message.bytes).await?;
        progress.rows_supplied += message.rows;
        progress.bytes_supplied += bytes;
        progress.batches += 1;
        prepared.events.send(RunEventKind::Progress(progress));
    }
    Ok(progress)
}

/// Aborts what a failed attempt left open; what cannot be aborted stays noted for the next start.
async fn clean_up(cleaner: &Cleaner<'_>, lease: Box<dyn Lease>, failure: Failure) -> Failure {
    let mut cleaned = Cleaned::default();
    let noted = cleaner.run(&*lease, &mut cleaned).await;
    let mut left_open = cleaned.recovery.left_open;
    left_open.extend(noted.err().map(|error| LeftOpen::unknown(&error)));
    left_open.extend(lease.finish().err().map(|error| LeftOpen::unknown(&error)));
    failure.leaving_open(left_open)
}
