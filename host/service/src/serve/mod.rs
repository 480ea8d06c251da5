//! The service: runs every destination of a configuration on its schedule until it is stopped. Drives the scheduler
//! with the clock, starts what it names, and stores what came of it.

mod fleet;
mod housekeeping;
mod leftovers;
mod reload;
mod stopping;
mod underway;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::ledger::{Ledger, LedgerError};
use crate::scheduler::{End, Scheduler, Tick};
use batch_export_runner::config::Config;
use batch_export_runner::{Events, Failure, Runner, Runtime, RuntimeLimits};
use batch_export_source::Moment;
use batch_export_system::explain::Cause;
use fleet::Fleet;
use housekeeping::Housekeeping;
use reload::Watched;
use underway::{Finished, Underway};

/// The longest time between two looks at ledger and clock: commands are noticed, and clocks compared, at least this
/// often.
const LOOK: Duration = Duration::from_millis(500);
/// The wait before the ledger is tried again that could not be read or written.
const LEDGER_WAIT: Duration = Duration::from_secs(1);
/// A gap between two looks in which the process must have stood still: stopped, suspended, or starved.
const STALL: Duration = Duration::from_secs(10);
/// A difference between the wall clock and the monotonic one after which the clock is said to have been set.
const CLOCK_JUMP: Duration = Duration::from_secs(10);

/// What somebody asks of a service that is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Start nothing more, let runs finish within the time that the configuration gives, and end. A second one ends the
    /// runs at once.
    Stop(&'static str),
    /// Read the configuration again.
    Reload,
}

/// What a service works with.
pub struct ServiceOptions {
    /// Reads the configuration, at the start and whenever it is to be read again.
    pub read: Box<dyn Fn() -> Result<Config, Failure> + Send + Sync>,
    /// Returns the time.
    pub clock: fn() -> Moment,
}

/// A service that has been started.
struct Service {
    options: ServiceOptions,
    ledger: Ledger,
    runner: Runner,
    runtime: Runtime,
    fleet: Fleet,
    scheduler: Scheduler,
    underway: BTreeMap<String, Underway>,
    attempts: JoinSet<Finished>,
    /// Outcomes that the ledger could not take yet. Nothing new is started before it has them.
    unsaved: Vec<End>,
    orders_seen: i64,
    watched: Watched,
    housekeeping: Housekeeping,
    looked: Instant,
    ledger_fails: bool,
    /// The difference between the clocks at the last look, in microseconds.
    clock_offset: i64,
    began: Instant,
}

/// Runs a service until it is stopped.
///
/// # Errors
/// Fails at the start: for a configuration or a component that cannot be used, for a ledger that cannot be, or that
/// another service works with. Once it has started it ends by [`Order::Stop`] alone.
pub async fn serve(options: ServiceOptions, mut orders: mpsc::Receiver<Order>) -> Result<(), Failure> {
    let config = (options.read)()?;
    let ledger = Ledger::open(&config.state_dir)?;
    let _lock = ledger.lock_service()?;
    ledger.examine()?;
    let runtime = Runtime::new(limits(&config));
    let fleet = Fleet::load(config, &runtime).await?;
    let (events, received) = Events::queue();
    let runner = Runner::new(runtime.clone(), ledger.state()).with_events(events);
    let mut service = Service {
        scheduler: Scheduler::new(ledger.clone(), fleet.config.service.runs_at_once),
        watched: Watched::new(&fleet.config),
        housekeeping: Housekeeping::start(&ledger, &fleet, received, options.clock).await?,
        options,
        ledger,
        runner,
        runtime,
        fleet,
        underway: BTreeMap::new(),
        attempts: JoinSet::new(),
        unsaved: Vec::new(),
        orders_seen: 0,
        looked: Instant::now(),
        ledger_fails: false,
        clock_offset: 0,
        began: Instant::now(),
    };
    service.begin()?;
    let stopped = service.work(&mut orders).await;
    service.stop(stopped, &mut orders).await;
    Ok(())
}

fn limits(config: &Config) -> RuntimeLimits {
    let mut limits = RuntimeLimits::default();
    limits.runs_at_once = config.service.runs_at_once;
    limits.memory_bytes = config.service.memory_bytes;
    limits
}

impl Service {
    fn now(&self) -> Moment {
        (self.options.clock)()
    }

    /// Takes up what an earlier process left: runs that it had in progress start again.
    fn begin(&mut self) -> Result<(), Failure> {
        let now = self.now();
        self.clock_offset = self.offset(now);
        self.orders_seen = self.ledger.orders()?;
        self.take_up_interrupted(now)?;
        self.housekeeping.reconfigured(&self.fleet, now);
        self.scheduler.configure(self.fleet.configured(), now)?;
        self.recover_leftovers();
        let names = self.fleet.exporters.keys();
        let scheduled = names.filter(|name| self.fleet.config.schedule(name).is_some()).count();
        info!(
            destinations = self.fleet.exporters.len(),
            scheduled,
            config = %self.fleet.config.file.display(),
            ledger = %self.ledger.file().display(),
            "the service has started"
        );
        if scheduled == 0 {
            warn!("no destination has a schedule, so nothing runs by itself; add [destinations.NAME.schedule]");
        }
        self.housekeeping.ready();
        Ok(())
    }

    /// Works until somebody asks for the end; returns what did.
    async fn work(&mut self, orders: &mut mpsc::Receiver<Order>) -> &'static str {
        loop {
            let wait = self.look().await;
            self.tidy();
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(Order::Stop(by)) => return by,
                    Some(Order::Reload) => self.reload().await,
                    None => return "the program",
                },
                Some(finished) = self.attempts.join_next() => self.finished(finished),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One look at everything; returns how long to wait for the next.
    async fn look(&mut self) -> Duration {
        let now = self.now();
        self.compare_clocks(now);
        self.housekeeping.beat();
        if self.watched.has_changed() {
            self.reload().await;
        }
        match self.advance(now) {
            Ok(wait) => {
                self.ledger_works(Ok(()));
                wait
            }
            Err(error) => {
                self.ledger_works(Err(&error));
                LEDGER_WAIT
            }
        }
    }

    fn advance(&mut self, now: Moment) -> Result<Duration, LedgerError> {
        self.save(now)?;
        self.take_orders(now)?;
        let mut tick = self.scheduler.tick(now)?;
        // First of all: the ledger has them as running, whatever becomes of the rest.
        for started in std::mem::take(&mut tick.start) {
            self.start(started);
        }
        self.housekeeping.ticked(&tick, now)?;
        let Tick { set_back, next, .. } = tick;
        for (destination, intervals) in set_back {
            warn!(
                destination,
                intervals, "the clock was set back; intervals that had not ended run again when they have"
            );
        }
        self.housekeeping.look(&self.scheduler, &self.fleet, now)?;
        let until = next.map_or(LOOK, |next| {
            Duration::from_micros(u64::try_from(next.0 - now.0).unwrap_or(0)).min(LOOK)
        });
        Ok(until.max(Duration::from_millis(10)))
    }

    /// Says that the ledger does not work, or that it works again, once for each change.
    fn ledger_works(&mut self, works: Result<(), &LedgerError>) {
        let before = std::mem::replace(&mut self.ledger_fails, works.is_err());
        match works {
            Err(error) if !before => {
                let text = Cause::of(error).in_one_text();
                error!("{text}; nothing new is started, and what comes of runs is kept, until it works");
            }
            Ok(()) if before => info!("the ledger works again"),
            _ => {}
        }
        self.housekeeping.ledger_works(works);
    }

    /// Notices what commands asked for.
    fn take_orders(&mut self, now: Moment) -> Result<(), LedgerError> {
        let orders = self.ledger.orders()?;
        if orders == self.orders_seen {
            return Ok(());
        }
        for run_id in self.ledger.cancel_requests()? {
            if let Some(underway) = self.underway.get(&run_id) {
                underway.cancel();
            }
        }
        self.scheduler.refresh(now)?;
        self.orders_seen = orders;
        Ok(())
    }

    /// Tells what happened to the clocks since the last look: whether the process stood still, and whether somebody set
    /// the time.
    fn compare_clocks(&mut self, now: Moment) {
        let gap = self.looked.elapsed();
        self.looked = Instant::now();
        if gap > STALL {
            warn!(
                seconds = gap.as_secs(),
                "this process stood still; the time is not counted against its runs"
            );
            for underway in self.underway.values_mut() {
                underway.stood_still += gap;
            }
        }
        let offset = self.offset(now);
        let jumped = offset - self.clock_offset;
        self.clock_offset = offset;
        if jumped.unsigned_abs() > CLOCK_JUMP.as_micros() as u64 {
            warn!(seconds = jumped / 1_000_000, "the clock of this machine was set");
        }
    }

    fn offset(&self, now: Moment) -> i64 {
        now.0 - i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX)
    }
}
