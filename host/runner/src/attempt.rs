//! One attempt at a run: plan, grants, leftovers of earlier attempts, then every batch through a fresh instance, and
//! the proof that what was reported is what was supplied. Knows no command line and no schedule.

use std::sync::OnceLock;
use std::time::Instant;

use crate::check::{Check, Occasion};
use crate::destination::CheckMode;
use crate::events::{RunEventKind, RunEvents, RunProgress, RunStage};
use crate::exporter::{self, Access, Exporter};
use crate::failure::Failure;
use crate::proof::{self, Carried};
use crate::recovery::{Cleaned, Cleaner};
use crate::report::{Done, RunReport};
use crate::runner::Runner;
use crate::state::{Header, Lease};
use crate::tokens::{RunTokens, ended};
use batch_export_sandbox::Session;
use batch_export_sandbox::contract::{Plan, Report, Run};
use batch_export_source::{Feed, Interval, Selection, Summary};
use batch_export_system::Token;

/// Exports one interval. When its tokens say so, it ends within a second and cleans up what is open, as far as that
/// goes quickly; what is not cleaned up stays noted.
pub(crate) async fn run(
    runner: &Runner,
    exporter: &Exporter,
    interval: Interval,
    tokens: &RunTokens,
) -> Result<RunReport, Failure> {
    let header = exporter.header(interval);
    let run = header.run(exporter::attempt_id()?);
    let events = runner.events().of(&run);
    events.stage(RunStage::Waiting);
    let _admitted = runner.runtime().admit(exporter, &tokens.work).await?;
    let begun = Instant::now();
    let limit = exporter.limits.run_time;
    let work = tokens.work.child().with_deadline(begun + limit);

    events.stage(RunStage::Planning);
    let plan = work.run(exporter.plan(&run)).await;
    let plan = plan.map_err(|reason| ended(reason, limit))??;
    exporter.grants(&run, &plan)?;
    let access = runner.runtime().access(exporter)?;
    let lease = runner.state().lease(&run.id)?;
    let cleaner = Cleaner {
        exporter,
        access: &access,
        events: runner.events(),
        tokens,
        interrupted: OnceLock::new(),
    };
    events.stage(RunStage::Recovering);
    let mut cleaned = Cleaned::default();
    cleaner.run(&*lease, &mut cleaned).await?;

    let attempt = Attempt {
        runner,
        exporter,
        header: &header,
        run: &run,
        plan: &plan,
        access: &access,
        lease: &*lease,
        cleaner: &cleaner,
        events: &events,
        work: &work,
    };
    match attempt.export(interval).await {
        Ok(mut done) => {
            // Neither makes a run that succeeded a failure: what stays is looked at by the next start.
            let forgotten = lease.forget(&run.attempt).and_then(|()| lease.finish());
            let forgotten = forgotten.err().map(|failure| failure.in_one_text());
            done.warnings.extend(forgotten);
            let elapsed = begun.elapsed();
            let report = done.into_report(exporter, run, elapsed, cleaned.recovery);
            events.warn(&report.warnings);
            events.stage(RunStage::Succeeded);
            Ok(report)
        }
        Err(failure) => {
            events.stage(RunStage::CleaningUp);
            let failure = clean_up(&cleaner, lease, failure).await;
            events.stage(RunStage::Failed);
            Err(failure)
        }
    }
}

/// One attempt and all that it works with.
struct Attempt<'a> {
    runner: &'a Runner,
    exporter: &'a Exporter,
    header: &'a Header,
    run: &'a Run,
    plan: &'a Plan,
    access: &'a Access,
    lease: &'a dyn Lease,
    cleaner: &'a Cleaner<'a>,
    events: &'a RunEvents,
    work: &'a Token,
}

impl Attempt<'_> {
    async fn export(&self, interval: Interval) -> Result<Done, Failure> {
        let state = self.runner.state();
        let automatic = self.exporter.check == CheckMode::Automatic;
        let name = &self.exporter.name;
        let unchecked = automatic
            && match state.last_check(name)? {
                Some(seal) => !self.exporter.is_sealed_by(&seal)?,
                None => true,
            };
        let mut warnings = Vec::new();
        if unchecked {
            self.events.stage(RunStage::Checking);
            warnings = self.check().automatic(Occasion::FirstUse).await?;
            state.remember_check(name, &self.exporter.seal()?)?;
        }
        self.events.stage(RunStage::Exporting);
        let origin = self.exporter.origin(self.header, &self.run.attempt);
        let journal = self.lease.begin(&origin)?;
        let session = self
            .exporter
            .session(self.run, self.plan, self.access, journal, self.events)?;
        let mut feed = None;
        let outcome = self.work.run(self.through(&session, &mut feed, interval));
        let outcome = outcome.await;
        let peak_guest_memory_bytes = session.peak_memory_bytes();
        let carried = Carried::by(&session);
        // However it ended, nothing is read, noted or sent any more when cleaning up begins.
        session.close().await;
        if let Some(feed) = feed {
            feed.close().await;
        }
        let limit = self.exporter.limits.run_time;
        let (progress, source, report) = outcome.map_err(|reason| ended(reason, limit))??;
        let policy = self.exporter.policy(self.run)?;
        let bytes_exported = proof::of_report(
            &report,
            self.plan,
            &policy,
            &source.tally,
            progress.rows_supplied,
            carried,
        )?;
        warnings.extend(source.warnings);
        if automatic && !unchecked && progress.rows_supplied == 0 {
            self.events.stage(RunStage::Checking);
            warnings.extend(self.check().automatic(Occasion::NoRows).await?);
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

    /// Sends all rows through one instance. The feed is the caller's, who outlives an interruption.
    async fn through(
        &self,
        session: &Session,
        feed: &mut Option<Feed>,
        interval: Interval,
    ) -> Result<(RunProgress, Summary, Report), Failure> {
        let selection = Selection {
            interval,
            events: self.exporter.events()?,
        };
        let memory_bytes = self.exporter.limits.source_memory_bytes;
        let factory = self.exporter.source.factory(memory_bytes);
        let budget = self.exporter.plugin.sandbox().budget();
        let feed = feed.insert(Feed::start(factory, selection, self.work, budget).await?);
        session.configure(feed.schema().to_vec()).await?;
        let progress = self.supply(session, feed).await?;
        let report = session.finish(progress.rows_supplied).await?;
        let summary = feed.summary().cloned().unwrap_or_default();
        Ok((progress, summary, report))
    }

    async fn supply(&self, session: &Session, feed: &mut Feed) -> Result<RunProgress, Failure> {
        let mut progress = RunProgress::default();
        while let Some(message) = feed.next().await? {
            let bytes = message.bytes.len() as u64;
            progress.destination = session.encode_batch(message.bytes).await?;
            progress.rows_supplied += message.rows;
            progress.bytes_supplied += bytes;
            progress.batches += 1;
            self.events.send(RunEventKind::Progress(progress));
        }
        Ok(progress)
    }

    fn check(&self) -> Check<'_> {
        Check {
            cleaner: self.cleaner,
            plan: self.plan,
            header: self.header,
            lease: self.lease,
            work: self.work,
        }
    }
}

/// Aborts what a failed attempt left open; what cannot be aborted stays noted for the next start.
async fn clean_up(cleaner: &Cleaner<'_>, lease: Box<dyn Lease>, failure: Failure) -> Failure {
    let mut cleaned = Cleaned::default();
    let noted = cleaner.run(&*lease, &mut cleaned).await;
    let mut left_open = cleaned.recovery.left_open;
    left_open.extend(noted.err().map(|error| format!("what the attempt noted ({error})")));
    left_open.extend(lease.finish().err().map(|error| format!("the run's folder ({error})")));
    failure.leaving_open(left_open)
}
