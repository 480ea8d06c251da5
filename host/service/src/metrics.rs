//! What the service has done and how it stands, as OpenMetrics text. Labels are destinations of the configuration and
//! outcomes, nothing else, so that the number of series is bounded. Measures nothing itself.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::ledger::RunState;
use batch_export_source::Moment;

/// The content type of what [`Metrics::encode`] returns.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the durations of runs that are told apart, in seconds: from a small run to the longest allowed.
const DURATION_BUCKETS: [f64; 10] = [
    1.0, 5.0, 30.0, 120.0, 600.0, 1_800.0, 3_600.0, 10_800.0, 43_200.0, 259_200.0,
];

/// The states in which a run is over, as values of the label `outcome`.
const OUTCOMES: [RunState; 4] = [
    RunState::Completed,
    RunState::Failed,
    RunState::TimedOut,
    RunState::Cancelled,
];

/// All metrics of a service. Cheap to clone; clones count together.
///
/// What happens to a destination that is not in the configuration ([`Metrics::configured`]) is not counted.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    /// Held while its members get series or lose them, so that none stays behind.
    destinations: RwLock<BTreeSet<String>>,
    peak_memory: Mutex<u64>,
    runs: Family<Outcome, Counter>,
    run_duration: Family<Destination, Histogram>,
    rows: Family<Destination, Counter>,
    bytes: Family<Destination, Counter>,
    files: Family<Destination, Counter>,
    run_memory: Family<Destination, Gauge>,
    retries: Family<Destination, Counter>,
    skipped: Family<Destination, Counter>,
    lag: Family<Destination, Gauge<f64, std::sync::atomic::AtomicU64>>,
    last_success: Family<Destination, Gauge<f64, std::sync::atomic::AtomicU64>>,
    paused: Family<Destination, Gauge>,
    runs_waiting: Gauge,
    runs_in_progress: Gauge,
    requests: Gauge,
    memory: Gauge,
    memory_peak: Gauge,
    memory_limit: Gauge,
    ledger_errors: Counter,
    alerts_sent: Counter,
    alert_errors: Counter,
    alerts_given_up: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Destination {
    destination: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    destination: String,
    outcome: &'static str,
}

/// The end of an attempt at a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunEnd {
    /// The state in which it left the run.
    pub state: RunState,
    /// How long the attempt took.
    pub duration: Duration,
    /// Rows exported.
    pub rows: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Files written.
    pub files: u64,
    /// Most memory that the plugin held, where it is known.
    pub peak_guest_memory_bytes: Option<u64>,
}

/// How a destination stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// The time since the end of the oldest interval that should be exported and is not; zero if there is none.
    pub lag: Duration,
    /// When a run was last completed.
    pub last_success: Option<Moment>,
    /// Whether its schedule is paused.
    pub is_paused: bool,
}

/// How the process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Runs that wait for their turn or their time.
    pub runs_waiting: u64,
    /// Runs that are in progress.
    pub runs_in_progress: u64,
    /// Requests to stores that are in progress.
    pub requests_in_flight: u64,
    /// Memory that runs hold.
    pub memory_bytes: u64,
    /// Memory that all runs together may hold.
    pub memory_limit_bytes: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Returns metrics of a service that has done nothing yet.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("batch_export");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version of batch-export", version);
        let mut new = Registrar(&mut registry);
        let durations: fn() -> Histogram = || Histogram::new(DURATION_BUCKETS);
        let inner = Inner {
            runs: new.add("runs", "Runs that are over", Family::default()),
            run_duration: new.unit(
                "run_duration",
                "How long the last attempt of runs that are over took",
                Unit::Seconds,
                Family::new_with_constructor(durations),
            ),
            rows: new.add("rows", "Rows exported by completed runs", Family::default()),
            bytes: new.add("bytes", "Bytes written by completed runs", Family::default()),
            files: new.add("files", "Files written by completed runs", Family::default()),
            run_memory: new.unit(
                "run_peak_guest_memory",
                "Most memory that the plugin held in the last attempt",
                Unit::Bytes,
                Family::default(),
            ),
            retries: new.add("retries", "Attempts that failed and are made again", Family::default()),
            skipped: new.add(
                "intervals_skipped",
                "Intervals that were not exported",
                Family::default(),
            ),
            lag: new.unit(
                "interval_lag",
                "Time since the end of the oldest interval that should be exported and is not",
                Unit::Seconds,
                Family::default(),
            ),
            last_success: new.unit(
                "last_success_timestamp",
                "When a run was last completed",
                Unit::Seconds,
                Family::default(),
            ),
            paused: new.add("paused", "Whether the schedule is paused", Family::default()),
            runs_waiting: new.add(
                "runs_waiting",
                "Runs that wait for their turn or their time",
                Gauge::default(),
            ),
            runs_in_progress: new.add("runs_in_progress", "Runs that are in progress", Gauge::default()),
            requests: new.add("requests_in_flight", "Requests to stores in progress", Gauge::default()),
            memory: new.unit("memory", "Memory that runs hold", Unit::Bytes, Gauge::default()),
            memory_peak: new.unit(
                "memory_peak",
                "Most memory that runs held",
                Unit::Bytes,
                Gauge::default(),
            ),
            memory_limit: new.unit(
                "memory_limit",
                "Memory that runs may hold",
                Unit::Bytes,
                Gauge::default(),
            ),
            ledger_errors: new.add(
                "ledger_errors",
                "Times that the ledger could not be read or written",
                Counter::default(),
            ),
            alerts_sent: new.add("alerts_sent", "Alerts that a receiver took", Counter::default()),
            alert_errors: new.add(
                "alert_errors",
                "Attempts to send an alert that failed",
                Counter::default(),
            ),
            alerts_given_up: new.add(
                "alerts_given_up",
                "Alerts that a receiver never took",
                Counter::default(),
            ),
            destinations: RwLock::default(),
            peak_memory: Mutex::default(),
            registry,
        };
        Metrics(Arc::new(inner))
    }

    /// Notes which destinations there are. The counters of a new one start at zero, and one that is gone is forgotten.
    pub fn configured<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let inner = &self.0;
        let mut known = inner.destinations.write().unwrap_or_else(PoisonError::into_inner);
        let now: BTreeSet<String> = names.into_iter().map(str::to_owned).collect();
        known.difference(&now).for_each(|name| inner.forget(name));
        now.difference(&known).for_each(|name| inner.begin(name));
        *known = now;
    }

    /// Counts the end of an attempt: a run that is over, or one that is to be tried again.
    pub fn run_ended(&self, destination: &str, end: &RunEnd) {
        self.of(destination, |inner, label| {
            if let Some(peak) = end.peak_guest_memory_bytes {
                inner.run_memory.get_or_create(label).set(signed(peak));
            }
            if end.state == RunState::FailedRetryable {
                inner.retries.get_or_create(label).inc();
            }
            if !OUTCOMES.contains(&end.state) {
                return;
            }
            inner.runs.get_or_create(&label.with(end.state)).inc();
            let seconds = end.duration.as_secs_f64();
            inner.run_duration.get_or_create(label).observe(seconds);
            if end.state == RunState::Completed {
                inner.rows.get_or_create(label).inc_by(end.rows);
                inner.bytes.get_or_create(label).inc_by(end.bytes);
                inner.files.get_or_create(label).inc_by(end.files);
            }
        });
    }

    /// Counts intervals that are not exported.
    pub fn skipped(&self, destination: &str, intervals: u64) {
        self.of(destination, |inner, label| {
            inner.skipped.get_or_create(label).inc_by(intervals);
        });
    }

    /// Notes how a destination stands now.
    pub fn stands(&self, destination: &str, standing: &Standing) {
        self.of(destination, |inner, label| {
            inner.lag.get_or_create(label).set(standing.lag.as_secs_f64());
            inner.paused.get_or_create(label).set(standing.is_paused.into());
            if let Some(at) = standing.last_success {
                let seconds = Duration::from_micros(at.0.unsigned_abs()).as_secs_f64();
                inner.last_success.get_or_create(label).set(seconds);
            }
        });
    }

    /// Notes how the process stands now.
    pub fn loaded(&self, load: &Load) {
        let inner = &self.0;
        inner.runs_waiting.set(signed(load.runs_waiting));
        inner.runs_in_progress.set(signed(load.runs_in_progress));
        inner.requests.set(signed(load.requests_in_flight));
        inner.memory.set(signed(load.memory_bytes));
        inner.memory_limit.set(signed(load.memory_limit_bytes));
        let mut peak = inner.peak_memory.lock().unwrap_or_else(PoisonError::into_inner);
        *peak = load.memory_bytes.max(*peak);
        inner.memory_peak.set(signed(*peak));
    }

    /// Counts a call of the ledger that failed.
    pub fn ledger_failed(&self) {
        self.0.ledger_errors.inc();
    }

    /// Counts an alert that a receiver took.
    pub fn alert_sent(&self) {
        self.0.alerts_sent.inc();
    }

    /// Counts an attempt to send an alert that failed; `given_up` if it was the last one.
    pub fn alert_failed(&self, given_up: bool) {
        self.0.alert_errors.inc();
        if given_up {
            self.0.alerts_given_up.inc();
        }
    }

    /// Returns everything as OpenMetrics text.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut encoded = String::new();
        text::encode(&mut encoded, &self.0.registry)?;
        Ok(encoded)
    }

    /// Changes the series of a destination, if there is one of that name.
    fn of(&self, destination: &str, change: impl FnOnce(&Inner, &Destination)) {
        let known = self.0.destinations.read().unwrap_or_else(PoisonError::into_inner);
        if known.contains(destination) {
            let destination = destination.to_owned();
            change(&self.0, &Destination { destination });
        }
    }
}

impl Inner {
    /// Begins the counters of a destination: one that appears with its first failure would hide that from `increase`.
    fn begin(&self, name: &str) {
        let destination = name.to_owned();
        let label = Destination { destination };
        for outcome in OUTCOMES {
            drop(self.runs.get_or_create(&label.with(outcome)));
        }
        for counter in [&self.rows, &self.bytes, &self.files, &self.retries, &self.skipped] {
            drop(counter.get_or_create(&label));
        }
    }

    fn forget(&self, name: &str) {
        let destination = name.to_owned();
        let label = Destination { destination };
        for outcome in OUTCOMES {
            self.runs.remove(&label.with(outcome));
        }
        for counter in [&self.rows, &self.bytes, &self.files, &self.retries, &self.skipped] {
            counter.remove(&label);
        }
        for gauge in [&self.lag, &self.last_success] {
            gauge.remove(&label);
        }
        for gauge in [&self.run_memory, &self.paused] {
            gauge.remove(&label);
        }
        self.run_duration.remove(&label);
    }
}

impl Destination {
    fn with(&self, outcome: RunState) -> Outcome {
        Outcome {
            destination: self.destination.clone(),
            outcome: outcome.as_str(),
        }
    }
}

/// Registers metrics and hands them on.
struct Registrar<'a>(&'a mut Registry);

impl Registrar<'_> {
    fn add<M: prometheus_client::registry::Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }

    fn unit<M: prometheus_client::registry::Metric + Clone>(
        &mut self,
        name: &str,
        help: &str,
        unit: Unit,
        metric: M,
    ) -> M {
        self.0.register_with_unit(name, help, unit, metric.clone());
        metric
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
