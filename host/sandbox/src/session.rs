//! One run's instance on a thread of its own. Calls go in through a bounded channel and come back one by one; after a
//! trap every further call gets the same error. Knows nothing of intervals, sources or retries.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use batch_export_system::Budget;
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Store, Trap, UpdateDeadline};

use super::bindings::batch_export::destination::types as wit;
use super::bindings::exports::batch_export::destination::exporter::Guest;
use super::bindings::{Destination, DestinationPre};
use super::clock::{Clock, Stop};
use super::contract::{CheckDepth, CheckStep, Description, Failure, Plan, Progress, Recovery, Report};
use super::convert;
use super::failed::{CallError, Crash};
use super::imports::State;
use super::memory::Memory;
use crate::capability::Capabilities;
use crate::capability::http::{Http, Traffic};
use crate::capability::log::Log;
use crate::capability::signer::Signer;
use crate::limits::{HOSTCALL_BYTES, Limits, THREAD_STACK_BYTES};

/// Calls that may wait for the guest. A session has one caller; a second place lets it hand over the next batch while
/// the guest still works on this one.
const CALLS_WAITING: usize = 1;

type Job = Box<dyn FnOnce(&mut Instance) + Send>;

/// One instance, for one run. The guest works on one call at a time; await each call before the next.
///
/// Dropping a call's future does not stop the guest: the call goes on and its result is lost. [`Session::cancel`] stops
/// it. Dropping the session cancels what the guest does and ends its thread, a moment later; no note is taken once it
/// is dropped, and a note that is being written is waited for. [`Session::close`] waits for the end of it all.
pub struct Session {
    jobs: mpsc::Sender<Job>,
    canceller: watch::Sender<bool>,
    /// Nothing is ever sent: it closes when the thread and all that the instance had in progress are gone.
    ended: Option<oneshot::Receiver<()>>,
    notes: NoteGate,
    configuration: Arc<str>,
    run: wit::Run,
    peak_memory_bytes: Arc<AtomicUsize>,
    traffic: Arc<Traffic>,
    instructions: Option<Arc<AtomicU64>>,
}

/// Cancels a session from elsewhere. Cheap to clone; does not keep the session alive.
#[derive(Debug, Clone)]
pub struct Canceller(watch::Sender<bool>);

impl Canceller {
    /// Ends what the guest does, whether it computes or waits; its call returns `Crashed` with `Cancelled`.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }
}

pub(super) struct Start<'a> {
    pub(super) engine: &'a Engine,
    pub(super) plugin: DestinationPre<State>,
    pub(super) runtime: Handle,
    pub(super) run: wit::Run,
    pub(super) configuration: Arc<str>,
    pub(super) capabilities: Capabilities,
    pub(super) limits: Limits,
    /// What all sessions may hold together.
    pub(super) memory: Arc<Budget>,
}

/// The guest on its own thread.
struct Instance {
    store: Store<State>,
    plugin: DestinationPre<State>,
    /// Made with the first call, so that a component whose start never ends is stopped by the same clock.
    exports: Option<Destination>,
    ended: Option<CallError>,
    /// Instructions executed, where the engine counts them.
    instructions: Option<Arc<AtomicU64>>,
}

impl Session {
    pub(super) fn start(start: Start<'_>) -> Result<Self, CallError> {
        let (canceller, cancelled) = watch::channel(false);
        let could_not_start = |text: String| CallError::Crashed {
            export: "instantiation",
            cause: Crash::Start(text),
        };
        let limits = start.limits;
        let given = start.capabilities;
        let http = Http::new(
            &given.network,
            given.grants.clone(),
            limits.http.clone(),
            start.runtime.clone(),
            Arc::clone(&start.memory),
            given.observer,
        )
        .map_err(|e| could_not_start(e.to_string()))?;
        let memory = Memory::new(limits.guest_memory_bytes, &start.memory);
        let (peak_memory_bytes, traffic) = (memory.peak_bytes(), http.traffic());
        let notes = NoteGate::default();
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.http.exchanges_open);
        let mut store = Store::new(
            start.engine,
            State {
                table,
                signer: Signer::new(given.credentials, given.grants, http.server_date(), http.redactor()),
                http,
                journal: given.journal,
                note_gate: notes.clone(),
                notes_left: limits.notes,
                note_limit_bytes: limits.note_bytes,
                log: Log::new(given.log, &limits),
                clock: Clock::new(
                    start.runtime,
                    cancelled,
                    limits.compute_time_per_call,
                    limits.waiting_time_per_call,
                ),
                memory,
            },
        );
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(limits.http.payload_bytes.saturating_add(HOSTCALL_BYTES));
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut context| {
            context.data_mut().clock.tick().map_err(wasmtime::Error::new)?;
            Ok(UpdateDeadline::Continue(1))
        });
        // An error means that this engine does not count.
        let instructions = store.set_fuel(u64::MAX).is_ok().then(Arc::<AtomicU64>::default);
        let instance = Instance {
            store,
            plugin: start.plugin,
            exports: None,
            ended: None,
            instructions: instructions.clone(),
        };
        let (jobs, mut inbox) = mpsc::channel::<Job>(CALLS_WAITING);
        let (alive, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name("destination".to_owned())
            .stack_size(THREAD_STACK_BYTES)
            .spawn(move || {
                // Dropped in reverse order: the instance and its requests first.
                let _alive: oneshot::Sender<()> = alive;
                let mut instance = instance;
                while let Some(job) = inbox.blocking_recv() {
                    job(&mut instance);
                }
            })
            .map_err(|e| could_not_start(format!("cannot start a thread for it: {e}")))?;
        Ok(Session {
            jobs,
            canceller,
            ended: Some(ended),
            notes,
            configuration: start.configuration,
            run: start.run,
            peak_memory_bytes,
            traffic,
            instructions,
        })
    }

    /// Checks the destination with the very settings of the run.
    pub async fn check(&self, depth: CheckDepth) -> Result<Vec<CheckStep>, CallError> {
        let (configuration, run) = (Arc::clone(&self.configuration), self.run.clone());
        let steps = self
            .call("check", move |guest, store| {
                guest.call_check(store, &configuration, &run, depth.into())
            })
            .await?;
        Ok(convert::steps(steps))
    }

    /// Begins the run with the schema message of an Arrow IPC stream.
    pub async fn configure(&self, schema: impl Into<Bytes>) -> Result<(), CallError> {
        let (configuration, run) = (Arc::clone(&self.configuration), self.run.clone());
        let schema = schema.into();
        self.call("configure", move |guest, store| {
            guest.call_configure(store, &configuration, &run, &schema)
        })
        .await
    }

    /// Hands over the next messages of the Arrow IPC stream: any dictionary batches, then one record batch.
    pub async fn encode_batch(&self, messages: impl Into<Bytes>) -> Result<Progress, CallError> {
        let messages = messages.into();
        self.call("encode-batch", move |guest, store| {
            guest.call_encode_batch(store, &messages)
        })
        .await
        .map(Progress::from)
    }

    /// Says that there are no more rows, and how many were supplied: finishes the last file, then writes the manifest.
    pub async fn finish(&self, rows_supplied: u64) -> Result<Report, CallError> {
        self.call("finish", move |guest, store| guest.call_finish(store, rows_supplied))
            .await
            .map(Report::from)
    }

    /// Cleans up what an earlier instance of this run left open, from its notes in order.
    pub async fn recover(&self, notes: Vec<Vec<u8>>) -> Result<Recovery, CallError> {
        let (configuration, run) = (Arc::clone(&self.configuration), self.run.clone());
        self.call("recover", move |guest, store| {
            guest.call_recover(store, &configuration, &run, &notes)
        })
        .await
        .map(Recovery::from)
    }

    pub(super) async fn describe(&self) -> Result<Description, CallError> {
        self.call("describe", |guest, store| guest.call_describe(store).map(Ok))
            .await
            .map(Description::from)
    }

    pub(super) async fn plan(&self) -> Result<Plan, CallError> {
        let (configuration, run) = (Arc::clone(&self.configuration), self.run.clone());
        self.call("plan", move |guest, store| guest.call_plan(store, &configuration, &run))
            .await
            .map(Plan::from)
    }

    /// Ends what the guest does, whether it computes or waits; every further call returns `Crashed` with `Cancelled`.
    pub fn cancel(&self) {
        self.canceller.send_replace(true);
    }

    /// Ends the session and waits until nothing of it is left: no guest that computes, no request that was not
    /// abandoned, no note that is being written. What it left open can be cleaned up then.
    pub async fn close(mut self) {
        self.cancel();
        let ended = self.ended.take();
        // Without a sender the thread has no further call to wait for.
        drop(self);
        if let Some(ended) = ended {
            // An error is what is waited for: the other end is gone.
            ended.await.ok();
        }
    }

    /// Returns a handle that cancels this session from another task.
    pub fn canceller(&self) -> Canceller {
        Canceller(self.canceller.clone())
    }

    /// Returns the most bytes of linear memory that the guest has held so far.
    pub fn peak_memory_bytes(&self) -> usize {
        self.peak_memory_bytes.load(Ordering::Relaxed)
    }

    /// Returns what the guest has sent so far.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Returns how many instructions the guest has executed in the calls that have returned, each counted as one
    /// however much memory it moves; `None` unless the sandbox counts them.
    pub fn instructions(&self) -> Option<u64> {
        self.instructions.as_ref().map(|all| all.load(Ordering::Relaxed))
    }

    async fn call<T, F>(&self, export: &'static str, call: F) -> Result<T, CallError>
    where
        T: Send + 'static,
        F: FnOnce(
                &Guest,
                &mut Store<State>,
            )
                -> wasmtime::Result<Result<T, super::bindings::batch_export::destination::types::Failure>>
            + Send
            + 'static,
    {
        let (result_to, result_of) = oneshot::channel();
        let job: Job = Box::new(move |instance| {
            let result = instance.call(export, call);
            // An error means that the caller was dropped, and nobody waits for the result any more.
            drop(result_to.send(result));
        });
        let lost = || CallError::Crashed {
            export,
            cause: Crash::Lost,
        };
        self.jobs.send(job).await.map_err(|_| lost())?;
        result_of.await.map_err(|_| lost())?
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.cancel();
        self.notes.close();
    }
}

/// Whether notes are still taken. A note that is being written is finished before the gate is closed, and then none
/// follows.
#[derive(Debug, Clone, Default)]
pub(super) struct NoteGate(Arc<Mutex<bool>>);

impl NoteGate {
    fn close(&self) {
        *self.closed() = true;
    }

    /// Does it, unless the session is gone.
    pub(super) fn pass<T>(&self, note: impl FnOnce() -> T) -> Result<T, Stop> {
        let closed = self.closed();
        match *closed {
            true => Err(Stop::Cancelled),
            false => Ok(note()),
        }
    }

    fn closed(&self) -> MutexGuard<'_, bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Instance {
    fn call<T>(
        &mut self,
        export: &'static str,
        call: impl FnOnce(
            &Guest,
            &mut Store<State>,
        )
            -> wasmtime::Result<Result<T, super::bindings::batch_export::destination::types::Failure>>,
    ) -> Result<T, CallError> {
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        self.store.data_mut().begin_call();
        let outcome = self.enter(call);
        if let (Some(all), Ok(left)) = (&self.instructions, self.store.get_fuel()) {
            all.store(u64::MAX - left, Ordering::Relaxed);
        }
        match outcome {
            Ok(result) => result.map_err(|failure| CallError::Failed(Failure::from(failure))),
            Err(error) => {
                let hostcall_limit_bytes = self.store.hostcall_fuel();
                let crashed = CallError::Crashed {
                    export,
                    cause: explain(&error, hostcall_limit_bytes, self.store.data_mut()),
                };
                self.ended = Some(crashed.clone());
                // What it had in progress is cancelled now, not when the session is dropped.
                self.store.data_mut().table = ResourceTable::new();
                Err(crashed)
            }
        }
    }

    fn enter<T>(&mut self, call: impl FnOnce(&Guest, &mut Store<State>) -> wasmtime::Result<T>) -> wasmtime::Result<T> {
        if self.store.data().clock.is_cancelled() {
            return Err(wasmtime::Error::new(Stop::Cancelled));
        }
        if self.exports.is_none() {
            self.exports = Some(self.plugin.instantiate(&mut self.store)?);
        }
        match &self.exports {
            Some(exports) => call(exports.batch_export_destination_exporter(), &mut self.store),
            None => Err(wasmtime::Error::msg("the instance was not made")),
        }
    }
}

/// In wasmtime's message when a guest hands over more than `Store::set_hostcall_fuel` allows; its type is private.
const HOSTCALL_LIMIT_MARK: &str = "fuel allocated for hostcalls";

/// Returns the cause in the host's words: what the host itself ended, then what it recorded before the trap, then the
/// trap.
fn explain(error: &wasmtime::Error, hostcall_limit_bytes: usize, state: &mut State) -> Crash {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return match stop.clone() {
            Stop::Cancelled => Crash::Cancelled,
            Stop::ComputeTime { limit } => Crash::ComputeTime { limit },
            Stop::WaitingTime { limit } => Crash::WaitingTime { limit },
            Stop::OverLimit(text) => Crash::OverLimit(text),
            Stop::Crowded => Crash::Crowded {
                limit_bytes: state.memory.all_bytes(),
            },
        };
    }
    if state.memory.is_crowded() {
        return Crash::Crowded {
            limit_bytes: state.memory.all_bytes(),
        };
    }
    if let Some((wanted_bytes, limit_bytes)) = state.memory.refused() {
        return Crash::OutOfMemory {
            wanted_bytes,
            limit_bytes,
        };
    }
    let root = error.root_cause().to_string();
    if root.contains(HOSTCALL_LIMIT_MARK) {
        return Crash::OverLimit(format!(
            "it passed too much data to the host in one call; the limit is {hostcall_limit_bytes} bytes"
        ));
    }
    match (error.downcast_ref::<Trap>(), state.log.take_last_error()) {
        (Some(Trap::UnreachableCodeReached), Some(text)) => Crash::Panic(text),
        (Some(trap), _) => Crash::Trap(trap.to_string()),
        (None, _) => Crash::Trap(crate::egress::shortened(&root)),
    }
}
