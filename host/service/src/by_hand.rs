//! A run by hand in the history: it is there from the moment at which its process holds it to the moment at which that
//! lets go, so that whoever finds a run that is in progress and that nobody holds knows that its process is gone.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use batch_export_runner::{
    Failure, FailureClass, FoundNotes, Header, Lease, Leftovers, Origin, RunReport, RunTokens, State,
};
use batch_export_sandbox::Journal;
use batch_export_source::Moment;

use crate::ledger::{LedgerError, LedgerState, Outcome, RunState, StartedByHand};
use crate::record::Recorder;

/// How often somebody may ask for the end of a run before it notices.
const CANCEL_LOOK: Duration = Duration::from_millis(500);
/// How often what happened is written down.
const FLUSH: Duration = Duration::from_secs(1);

/// The state of one run by hand, which notes it in the ledger. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct HandRun(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: LedgerState,
    recorder: Recorder,
    header: Header,
    component: String,
    clock: fn() -> Moment,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    started: Option<(StartedByHand, Instant)>,
    lease: Option<LetGo>,
}

/// A lease that the run has let go of, and the ledger not yet.
#[derive(Debug)]
struct LetGo {
    lease: Box<dyn Lease>,
    is_finished: bool,
}

impl HandRun {
    /// Returns the state for a run that is about to begin; `component` is the digest of its plugin.
    pub fn new(recorder: &Recorder, header: Header, component: &str, clock: fn() -> Moment) -> Self {
        HandRun(Arc::new(Inner {
            state: recorder.ledger().state(),
            recorder: recorder.clone(),
            header,
            component: component.to_owned(),
            clock,
            kept: Mutex::default(),
        }))
    }

    /// Does the run's work, writes down what happens meanwhile, and ends the work when somebody asks for that; `tell`
    /// is called then. What the ledger cannot take now, it gets later.
    pub async fn during<T>(&self, work: impl Future<Output = T>, tokens: &RunTokens, tell: impl Fn()) -> T {
        tokio::select! {
            done = work => done,
            never = self.watch(tokens, tell) => match never {},
        }
    }

    async fn watch(&self, tokens: &RunTokens, tell: impl Fn()) -> Infallible {
        let mut known = None;
        let mut flushed = Instant::now();
        loop {
            tokio::time::sleep(CANCEL_LOOK).await;
            let (run, is_due) = (self.clone(), flushed.elapsed() >= FLUSH);
            let looked = tokio::task::spawn_blocking(move || run.look(known, is_due)).await;
            if is_due {
                flushed = Instant::now();
            }
            if let Ok((orders, is_cancelled)) = looked {
                known = orders;
                if is_cancelled && tokens.work.check().is_ok() {
                    tell();
                    tokens.work.cancel();
                }
            }
        }
    }

    /// Returns the number of orders so far, and whether somebody wants the run to end.
    fn look(&self, known: Option<i64>, is_flushed: bool) -> (Option<i64>, bool) {
        let Inner { recorder, header, .. } = &*self.0;
        let ledger = recorder.ledger();
        if is_flushed {
            // It stays with the recorder, and the end of the run says so if it has to stay there.
            recorder.flush((self.0.clock)()).ok();
        }
        match ledger.orders() {
            Ok(orders) if Some(orders) == known => (known, false),
            Ok(orders) => match ledger.cancel_requests() {
                Ok(requests) => (Some(orders), requests.contains(&header.id)),
                Err(_) => (None, false),
            },
            Err(_) => (None, false),
        }
    }

    /// Notes what the run came to, and lets go of it. Does nothing where it never began.
    pub fn end(&self, outcome: Result<&RunReport, &Failure>) -> Result<(), LedgerError> {
        let Inner {
            recorder,
            header,
            clock,
            ..
        } = &*self.0;
        let (started, lease) = {
            let mut kept = self.kept();
            (kept.started.take(), kept.lease.take())
        };
        let Some((started, since)) = started else {
            return Ok(());
        };
        let (now, used) = (clock(), since.elapsed());
        recorder.ended(&header.id, outcome, now);
        let outcome = match outcome {
            Ok(report) => Outcome::completed(report, used, now),
            Err(failure) => Outcome::failed(failure, state_after(failure), used, now),
        };
        let flushed = recorder.flush(now);
        let ended = recorder.ledger().end_by_hand(&started, &outcome, now);
        if let Some(LetGo {
            lease,
            is_finished: true,
        }) = lease
        {
            // A lock that stays is in nobody's way.
            lease.finish().ok();
        }
        flushed?;
        ended.map(|_| ())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns where a failure by hand leaves a run: nobody tries again by himself.
fn state_after(failure: &Failure) -> RunState {
    match failure.class() {
        FailureClass::Cancelled | FailureClass::ShutDown => RunState::Cancelled,
        FailureClass::TimedOut => RunState::TimedOut,
        _ => RunState::Failed,
    }
}

impl State for HandRun {
    fn lease(&self, run_id: &str) -> Result<Box<dyn Lease>, Failure> {
        let lease = self.0.state.lease(run_id)?;
        let Inner {
            recorder,
            header,
            component,
            clock,
            ..
        } = &*self.0;
        if run_id != header.id {
            return Ok(lease);
        }
        let now = clock();
        let started = recorder.ledger().start_by_hand(header, component, now)?;
        recorder.started(run_id, &header.destination, started.started.attempt, now);
        self.kept().started = Some((started, Instant::now()));
        Ok(Box::new(HandLease {
            run: self.clone(),
            lease: Some(lease),
            is_finished: false,
        }))
    }

    fn leftovers(&self) -> Result<Leftovers, Failure> {
        self.0.state.leftovers()
    }

    fn last_check(&self, destination: &str) -> Result<Option<String>, Failure> {
        self.0.state.last_check(destination)
    }

    fn remember_check(&self, destination: &str, seal: &str) -> Result<(), Failure> {
        self.0.state.remember_check(destination, seal)
    }
}

/// The lease of the run. When the run lets go of it, it is held on until the ledger knows how the run ended.
#[derive(Debug)]
struct HandLease {
    run: HandRun,
    /// There until it is dropped.
    lease: Option<Box<dyn Lease>>,
    is_finished: bool,
}

impl HandLease {
    fn lease(&self) -> Result<&dyn Lease, Failure> {
        let lost = || Failure::from(LedgerError::Strange("a run that was let go of is used".to_owned()));
        self.lease.as_deref().ok_or_else(lost)
    }
}

impl Drop for HandLease {
    fn drop(&mut self) {
        let is_finished = self.is_finished;
        let kept = self.lease.take().map(|lease| LetGo { lease, is_finished });
        self.run.kept().lease = kept;
    }
}

impl Lease for HandLease {
    fn begin(&self, origin: &Origin) -> Result<Box<dyn Journal>, Failure> {
        self.lease()?.begin(origin)
    }

    fn attempts(&self) -> Result<Vec<String>, Failure> {
        self.lease()?.attempts()
    }

    fn read(&self, attempt: &str) -> FoundNotes {
        match self.lease() {
            Ok(lease) => lease.read(attempt),
            Err(failure) => FoundNotes::Unreadable(failure.message().to_owned()),
        }
    }

    fn forget(&self, attempt: &str) -> Result<(), Failure> {
        self.lease()?.forget(attempt)
    }

    fn place(&self, attempt: Option<&str>) -> String {
        self.lease().map(|lease| lease.place(attempt)).unwrap_or_default()
    }

    fn finish(mut self: Box<Self>) -> Result<(), Failure> {
        self.is_finished = true;
        Ok(())
    }
}
