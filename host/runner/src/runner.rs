//! The host's side of all runs of a process: one runtime, one state, one queue of events, and what is done with them.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::attempt;
use crate::check;
use crate::events::Events;
use crate::exporter::Exporter;
use crate::failure::Failure;
use crate::recovery::{self, Cleaner, StartupRecovery};
use crate::report::RunReport;
use crate::runtime::Runtime;
use crate::state::State;
use crate::tokens::{RunTokens, ended};
use crate::verify::{Compare, VerifyReport, Watch, read_back};
use batch_export_sandbox::contract::CheckStep;
use batch_export_source::Interval;
use batch_export_system::Token;

/// Runs, checks, reads back and cleans up destinations. Cheap to clone.
#[derive(Clone)]
pub struct Runner {
    runtime: Runtime,
    state: Arc<dyn State>,
    events: Events,
}

impl Runner {
    /// Returns a runner without a receiver of its events.
    pub fn new(runtime: Runtime, state: impl State + 'static) -> Self {
        Self {
            runtime,
            state: Arc::new(state),
            events: Events::none(),
        }
    }

    /// Sends what happens in its runs to this queue.
    #[must_use]
    pub fn with_events(mut self, events: Events) -> Self {
        self.events = events;
        self
    }

    /// Exports one interval. When its tokens say so, it ends within a second and cleans up what is open, as far as that
    /// goes quickly; what is not cleaned up stays noted.
    pub async fn run(&self, exporter: &Exporter, interval: Interval, tokens: &RunTokens) -> Result<RunReport, Failure> {
        let done = attempt::run(self, exporter, interval, tokens).await;
        done.map_err(|failure| tokens.told(failure))
    }

    /// Checks the destination with the settings of a run, as far as it goes.
    pub async fn check(
        &self,
        exporter: &Exporter,
        interval: Interval,
        tokens: &RunTokens,
    ) -> Result<Vec<CheckStep>, Failure> {
        let done = check::check(self, exporter, interval, tokens).await;
        done.map_err(|failure| tokens.told(failure))
    }

    /// Cleans up what processes that are gone left open at a destination: the job of a host that starts, to be done
    /// once for each destination. Runs that are in progress are left alone, and so is the run `except`.
    pub async fn recover(
        &self,
        exporter: &Exporter,
        except: Option<&str>,
        tokens: &RunTokens,
    ) -> Result<StartupRecovery, Failure> {
        let mut left = self.state.leftovers()?;
        left.runs.retain(|run| Some(run.id.as_str()) != except);
        if left.is_empty() {
            return Ok(StartupRecovery::default());
        }
        let cleaner = Cleaner {
            exporter,
            access: self.runtime.access(exporter)?,
            // One after the other, and before any run: they need nothing set aside.
            memory: Arc::clone(exporter.plugin.sandbox().budget()),
            events: &self.events,
            tokens,
            interrupted: OnceLock::new(),
        };
        let done = recovery::recover_leftovers(&cleaner, &*self.state, left).await;
        done.map_err(|failure| tokens.told(failure))
    }

    /// Reads a run back and compares it, until `token` says that it must end or the time of a run is up. Faults are in
    /// the report; an error means that reading itself failed.
    pub async fn verify(
        &self,
        exporter: &Exporter,
        interval: Interval,
        compare: Compare,
        token: &Token,
        watch: Watch,
    ) -> Result<VerifyReport, Failure> {
        let limit = exporter.limits.run_time;
        let token = token.child().with_deadline(Instant::now() + limit);
        // Nor does a thread go on that nobody waits for any more.
        let _left = token.cancel_on_drop();
        let reading = read_back(self, exporter, interval, compare, &token, watch);
        let read = token.run(reading).await;
        read.unwrap_or_else(|reason| Err(ended(reason, limit)))
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub(crate) fn state(&self) -> &dyn State {
        &*self.state
    }

    pub(crate) fn events(&self) -> &Events {
        &self.events
    }
}
