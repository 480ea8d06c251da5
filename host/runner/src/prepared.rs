//! What every attempt begins with, be it at a run or at a check: a place among the runs of the process, a plan that the
//! policy allows, the memory that it needs, the lease. Sends nothing.

use std::sync::OnceLock;
use std::time::Instant;

use crate::events::{RunEvents, RunStage};
use crate::exporter::{self, Exporter, SessionParts};
use crate::failure::Failure;
use crate::recovery::Cleaner;
use crate::runner::Runner;
use crate::runtime::{Admission, RunMemory};
use crate::state::{Header, Lease};
use crate::tokens::{RunTokens, ended};
use batch_export_sandbox::contract::{Plan, Run};
use batch_export_sandbox::{Journal, Limits, Session};
use batch_export_source::Interval;
use batch_export_system::Token;

/// An attempt that may begin, and all that it works with.
pub(crate) struct Prepared<'a> {
    pub runner: &'a Runner,
    pub exporter: &'a Exporter,
    pub header: Header,
    pub run: Run,
    pub plan: Plan,
    pub memory: RunMemory,
    pub lease: Box<dyn Lease>,
    pub cleaner: Cleaner<'a>,
    pub events: RunEvents,
    pub begun: Instant,
    /// Ends when the tokens say so, and when the time of a run is up.
    pub work: Token,
    _admission: Admission,
}

impl<'a> Prepared<'a> {
    /// Waits for a place among the runs and for memory, and takes the lease.
    pub(crate) async fn new(
        runner: &'a Runner,
        exporter: &'a Exporter,
        interval: Interval,
        tokens: &'a RunTokens,
    ) -> Result<Self, Failure> {
        let header = exporter.header(interval);
        let run = header.run(exporter::attempt_id()?);
        let events = runner.events().of(&run);
        let runtime = runner.runtime();
        events.stage(RunStage::Waiting);
        let admission = runtime.admit(&tokens.work).await?;
        events.stage(RunStage::Planning);
        let limit = exporter.limits.run_time;
        let plan = tokens.work.run(exporter.plan(&run)).await;
        let plan = plan.map_err(|reason| ended(reason, limit))??;
        exporter.grants(&run, &plan)?;
        let memory = runtime.set_aside(exporter, &plan, &tokens.work).await?;
        let begun = Instant::now();
        let lease = runner.state().lease(&run.id)?;
        let cleaner = Cleaner {
            exporter,
            access: runtime.access(exporter)?,
            memory: memory.session.clone(),
            events: runner.events(),
            tokens,
            interrupted: OnceLock::new(),
        };
        Ok(Prepared {
            runner,
            exporter,
            header,
            run,
            plan,
            memory,
            lease,
            cleaner,
            events,
            begun,
            work: tokens.work.child().with_deadline(begun + limit),
            _admission: admission,
        })
    }

    /// Starts a fresh instance for an attempt at the run, whose notes are kept.
    pub(crate) fn session(&self, run: &Run, limits: Limits) -> Result<Session, Failure> {
        let journal: Box<dyn Journal> = self.lease.begin(&self.exporter.origin(&self.header, &run.attempt))?;
        self.exporter.session(SessionParts {
            run,
            plan: &self.plan,
            access: &self.cleaner.access,
            memory: &self.memory.session,
            limits,
            journal,
            events: &self.runner.events().of(run),
        })
    }
}
