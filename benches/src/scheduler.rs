//! What scheduling itself costs: the real scheduler with the real ledger on disk, a clock that is virtual, and runs
//! that do nothing. From 100 to 10,000 destinations for three days, a run should cost the same and memory stay flat.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::json;

use batch_export_runner::{Failure, FailureClass, FailureCode};
use batch_export_schedule::{Schedule, ScheduleParts};
use batch_export_service::ledger::{Keep, Ledger, Outcome, RunFilter, RunState, Started};
use batch_export_service::scheduler::policy::Attempt;
use batch_export_service::scheduler::{Configured, End, Scheduler};
use batch_export_source::Moment;

use crate::measure::{Bench, cpu_seconds};
use crate::table::{Printed, count, table};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
/// 2026-03-27T23:30Z: the second day of the simulation is the one on which Europe's clocks change.
const BEGIN: Moment = Moment(1_774_654_200 * SECOND);
const DAYS: i64 = 3;
const SIZES: [usize; 3] = [100, 1_000, 10_000];
/// Runs at once: enough for ten thousand destinations whose hour ends at the same moment.
const RUNS_AT_ONCE: usize = 256;
/// Of a hundred attempts so many fail and are made again.
const FAILING: u64 = 2;

/// What one size took.
#[derive(Debug, Serialize)]
struct Point {
    destinations: usize,
    intervals_due: u64,
    runs_completed: u64,
    attempts: u64,
    commits: u64,
    seconds: f64,
    cpu_seconds: f64,
    ledger_bytes: u64,
    /// After each of the days.
    resident_bytes: Vec<u64>,
}

/// Where the simulated ledgers are: in memory, so that three days take minutes and CPU is what is measured. What a
/// commit takes on the disk is measured by itself.
const MEMORY: &str = "/dev/shm";
/// Commits whose time is measured on the disk.
const COMMITS: u32 = 500;

/// Simulates and prints.
pub fn run(bench: &Bench) -> Result<Printed> {
    let commit = commit_time(&bench.folder.join("scheduler"))?;
    let memory = Path::new(MEMORY);
    let folder = match memory.is_dir() {
        true => memory.join(format!("batch-export-bench-{}", std::process::id())),
        false => bench.folder.join("scheduler"),
    };
    let (mut points, mut rows) = (Vec::new(), Vec::new());
    for destinations in SIZES {
        eprintln!("bench: {} destinations for {DAYS} days", count(destinations as f64));
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(&folder)?;
        let point = simulate(destinations, &Ledger::open(&folder)?)?;
        ensure!(
            point.intervals_due == point.runs_completed,
            "{} intervals were due, and {} were run",
            point.intervals_due,
            point.runs_completed
        );
        let runs = point.runs_completed as f64;
        rows.push(vec![
            count(destinations as f64),
            count(point.runs_completed as f64),
            format!("{:.0} µs", point.cpu_seconds / runs * 1e6),
            format!("{:.2}", point.commits as f64 / runs),
            format!("{:.0}", point.ledger_bytes as f64 / runs),
            point
                .resident_bytes
                .iter()
                .map(|bytes| (bytes >> 20).to_string())
                .collect::<Vec<_>>()
                .join(" / "),
        ]);
        points.push(point);
    }
    fs::remove_dir_all(&folder).ok();
    let head = [
        "destinations",
        "runs",
        "CPU a run",
        "commits a run",
        "ledger bytes a run",
        "MiB resident after each day",
    ];
    let title = format!(
        "scheduling alone: {DAYS} days of mixed intervals, every interval that was due was run, {FAILING} % of the \
         attempts failed and were made again; a commit takes {:.1} ms on this disk",
        commit.as_secs_f64() * 1e3
    );
    Ok(Printed {
        text: table(&title, &head, &rows),
        measurements: points.iter().map(|point| json!(point)).collect(),
    })
}

/// Returns what a durable commit of the ledger takes on the disk of a folder.
fn commit_time(folder: &Path) -> Result<Duration> {
    fs::remove_dir_all(folder).ok();
    fs::create_dir_all(folder)?;
    let ledger = Ledger::open(folder)?;
    let begun = Instant::now();
    for number in 0..COMMITS {
        let name = format!("destination-{number}");
        ledger.see(&[(name.as_str(), None)], BEGIN)?;
    }
    let time = begun.elapsed() / COMMITS;
    drop(ledger);
    fs::remove_dir_all(folder).ok();
    Ok(time)
}

/// Of a hundred destinations 2 export every five minutes, 78 every hour, 20 every day in their own zones.
fn configured(number: usize) -> Result<Configured> {
    const ZONES: [&str; 4] = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"];
    let (every, zone) = match number % 100 {
        0 | 50 => ("5 minutes", None),
        n if n % 5 == 1 => ("day", Some(ZONES[number / 5 % ZONES.len()].to_owned())),
        _ => ("hour", None),
    };
    let mut parts = ScheduleParts::new(every.parse()?);
    parts.timezone = zone;
    parts.jitter = Duration::from_secs(60);
    let schedule = Schedule::new(parts).map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    Ok(Configured {
        name: format!("destination-{number}"),
        model: "events".to_owned(),
        schedule: Some(schedule),
        component: "0".repeat(64),
    })
}

fn simulate(destinations: usize, ledger: &Ledger) -> Result<Point> {
    let configured: Vec<Configured> = (0..destinations).map(configured).collect::<Result<_>>()?;
    let end = Moment(BEGIN.0 + DAYS * DAY);
    let mut scheduler = Scheduler::new(ledger.clone(), RUNS_AT_ONCE);
    let (begun, cpu_before) = (Instant::now(), cpu_seconds()?);
    scheduler.configure(configured.clone(), BEGIN)?;
    let mut underway: HashMap<String, Started> = HashMap::new();
    let mut ends: BinaryHeap<Reverse<(Moment, String)>> = BinaryHeap::new();
    let (mut now, mut attempts, mut commits, mut resident_bytes) = (BEGIN, 0_u64, 0_u64, Vec::new());
    let mut next_day = BEGIN.0 + DAY;
    // What is due at the very end may run until it is over.
    while now < end || !underway.is_empty() {
        let mut next = end;
        if now < end {
            let tick = scheduler.tick(now)?;
            commits += u64::from(!tick.start.is_empty()) + u64::from(tick.has_covered);
            attempts += tick.start.len() as u64;
            for started in tick.start {
                let took = 5 + hash(&started.run.id, started.attempt) % 50;
                ends.push(Reverse((Moment(now.0 + took as i64 * SECOND), started.run.id.clone())));
                underway.insert(started.run.id.clone(), started);
            }
            next = tick.next.unwrap_or(end).min(end);
        }
        now = match ends.peek() {
            Some(Reverse((at, _))) if *at <= next || now >= end => *at,
            _ => next.max(Moment(now.0 + 1)),
        };
        let mut over = Vec::new();
        while let Some(Reverse((at, _))) = ends.peek()
            && *at <= now
        {
            let Some(Reverse((_, run_id))) = ends.pop() else { break };
            let started = underway.remove(&run_id).context("a run ended that had not started")?;
            let (attempt, outcome) = (started.attempt, outcome(&started, now));
            over.push(End {
                run_id,
                attempt,
                outcome,
            });
        }
        if !over.is_empty() {
            scheduler.ended(&over, now)?;
            commits += 1;
        }
        if now.0 >= next_day {
            next_day += DAY;
            resident_bytes.push(resident()?);
        }
    }
    let (seconds, cpu_seconds) = (begun.elapsed().as_secs_f64(), cpu_seconds()? - cpu_before);
    // Those that failed last wait for another attempt that the end of the simulation cuts off; they are completed here.
    let mut late = Scheduler::new(ledger.clone(), RUNS_AT_ONCE);
    let unscheduled = configured.iter().map(|one| Configured {
        schedule: None,
        ..one.clone()
    });
    late.configure(unscheduled.collect(), end)?;
    let mut now = Moment(end.0 + HOUR);
    loop {
        let tick = late.tick(now)?;
        if tick.start.is_empty() {
            break;
        }
        let over = tick.start.into_iter().map(|started| End {
            run_id: started.run.id,
            attempt: started.attempt,
            outcome: done(now),
        });
        late.ended(&over.collect::<Vec<_>>(), now)?;
        now = Moment(now.0 + SECOND);
    }
    let due = configured.iter().filter_map(|one| one.schedule.as_ref());
    let due = due.map(|schedule| {
        let settled = Moment(end.0 - 1 - schedule.settle().as_micros() as i64);
        let to = schedule.boundary_at_or_before(settled);
        schedule.windows(schedule.first(BEGIN), to).count() as u64
    });
    let intervals_due = due.sum();
    let counts = |state| -> Result<u64> {
        let mut sum = 0;
        for one in &configured {
            let counts = ledger.counts(&one.name)?;
            sum += counts
                .iter()
                .find(|(known, _)| *known == state)
                .map_or(0, |(_, count)| *count);
        }
        Ok(sum)
    };
    let runs_completed = counts(RunState::Completed)?;
    let ledger_bytes = fs::metadata(ledger.file())?.len();
    // Nor does anything else wait or fail.
    let others = ledger.runs(&RunFilter {
        states: RunState::ALL
            .iter()
            .copied()
            .filter(|state| *state != RunState::Completed)
            .collect(),
        limit: 1,
        ..RunFilter::default()
    })?;
    ensure!(others.is_empty(), "{others:?}");
    ledger.forget_old(
        Keep {
            runs_days: 400,
            runs: 1_000_000,
            log_days: 30,
        },
        end,
    )?;
    Ok(Point {
        destinations,
        intervals_due,
        runs_completed,
        attempts,
        commits,
        seconds,
        cpu_seconds,
        ledger_bytes,
        resident_bytes,
    })
}

fn outcome(started: &Started, now: Moment) -> Outcome {
    if hash(&started.run.id, started.attempt + 100) % 100 >= FAILING {
        return done(now);
    }
    let attempt = Attempt {
        run_id: &started.run.id,
        tries: started.run.tries,
        used: Duration::from_millis(started.run.used_ms),
        took: Duration::from_secs(10),
        stood_still: false,
        limit: Duration::from_secs(6 * 3_600),
        now,
    };
    let failure = Failure::new(
        FailureClass::Retryable,
        FailureCode::STORE_UNAVAILABLE,
        "the store answered 503",
    );
    attempt.failed(&failure)
}

fn done(now: Moment) -> Outcome {
    Outcome {
        state: RunState::Completed,
        not_before: now,
        used_ms: 10_000,
        counts: true,
        rows: 1_000,
        bytes: 100_000,
        files: 1,
        warnings: 0,
        report: Some(
            json!({"rows_supplied": 1_000, "files": [{"key": "events/2026/03/28/file.parquet", "rows": 1_000}]}),
        ),
        error: None,
        reason: None,
    }
}

/// A number that is the same for the same run.
fn hash(run_id: &str, attempt: u32) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (run_id, attempt).hash(&mut hasher);
    hasher.finish()
}

fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).context("VmRSS")?;
    Ok(kib.trim().parse::<u64>()? << 10)
}
