//! `backfill`: exports the intervals between two times that were not exported, by the service.

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::Clock;
use crate::about::About;
use crate::error;
use crate::history::range::{Range, range};
use crate::history::{BackfillJson, History, Place, ServiceJson, length};
use crate::message::wrapped;
use crate::output::{self, Answer, Form};
use crate::signals::until_first;
use crate::words;
use batch_export_runner::{Failure, FailureClass, FailureCode, Header, exporter};
use batch_export_schedule::Schedule;
use batch_export_service::ledger::{Backfill, BackfillOrder, BackfillPlan, BackfillState, Due, RunState};
use batch_export_source::{Ends, Interval, Moment};

/// How often the bar moves.
const LOOK: Duration = Duration::from_millis(500);
/// Intervals of one backfill: a year of 5 minutes.
const MAX_INTERVALS: usize = 110_000;

/// Let the service export the intervals between two times that are not exported yet.
///
/// The same command again goes on where a backfill was cancelled or failed. Ctrl-C only ends the watching.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  batch-export backfill archive --from 2026-01-01 --to 2026-02-01\n  batch-export backfill \
                  archive --from 2026-01-01 --to 2026-01-02 --yes"
)]
pub struct BackfillArgs {
    /// The destination.
    name: String,
    #[command(flatten)]
    place: Place,
    /// Where its first interval starts, in ISO 8601; without an offset in the time zone of the schedule.
    #[arg(long, value_name = "TIME")]
    from: String,
    /// Where its last interval ends.
    #[arg(long, value_name = "TIME")]
    to: String,
    /// Runs of it at once, as far as the `runs_at_once` of the destination and the service leave one for the schedule.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    concurrency: u32,
    /// Export intervals that are completed again as well.
    #[arg(long)]
    again: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Do not wait for its end.
    #[arg(long)]
    detach: bool,
    /// Print the backfill as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct OrderedJson {
    plan: PlanJson,
    /// Null where nothing was to do, or nobody said yes.
    backfill: Option<BackfillJson>,
    service: ServiceJson,
}

#[derive(Serialize)]
struct PlanJson {
    between: Ends,
    intervals: u64,
    completed: u64,
    under_way: u64,
    to_run: u64,
    /// From how long runs of this destination took.
    estimated_seconds: Option<u64>,
}

impl BackfillArgs {
    pub async fn execute(self, clock: Clock) -> ExitCode {
        let outcome = self.backfill(clock).await;
        output::show(Form::new(self.json, false), clock(), &About::default(), outcome)
    }

    async fn backfill(&self, clock: Clock) -> Result<Answer<OrderedJson>, Failure> {
        let history = self.place.open()?;
        let order = self.order(&history, clock())?;
        let plan = history.ledger.plan_backfill(&order)?;
        let at_once = self.at_once(&history);
        let estimate = estimate(&plan, at_once);
        let mut json = OrderedJson {
            plan: PlanJson {
                between: Ends::of(Some(order.start.0), order.end.0),
                intervals: plan.intervals,
                completed: plan.completed,
                under_way: plan.under_way,
                to_run: plan.to_run,
                estimated_seconds: estimate.map(|time| time.as_secs()),
            },
            backfill: None,
            service: history.service_json(),
        };
        let text = self.plan_in_words(&order, &plan, estimate.zip(Some(at_once)));
        if plan.to_run == 0 {
            return Ok(Answer::new(json, format!("{text}nothing to do\n")));
        }
        // Who is asked has to see what about; the answer must not repeat it.
        let mut said = text;
        if !self.yes {
            if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
                return Ok(Answer {
                    failure: Some(unconfirmed(&plan)),
                    ..Answer::new(json, said)
                });
            }
            output::note(said.trim_end());
            said.clear();
            if !confirmed(&plan) {
                return Ok(Answer::new(json, "nothing was changed\n".to_owned()));
            }
        }
        let backfill = history.ledger.backfill(&order, clock())?;
        let (backfill, told, failure) = self.watch(&history, backfill).await?;
        json.backfill = Some(BackfillJson::from(&backfill));
        Ok(Answer {
            failure,
            ..Answer::new(json, format!("{said}{}\n", wrapped(&told, 2)))
        })
    }

    fn order(&self, history: &History, now: Moment) -> Result<BackfillOrder, Failure> {
        let destination = history.config.destination(Some(&self.name))?;
        let Some(schedule) = history.config.schedule(&self.name) else {
            let message = format!(
                "{} has no schedule, so it is not known what its intervals are",
                self.name
            );
            return Err(Failure::new(FailureClass::Configuration, error::NO_SCHEDULE, message).with_hint(format!(
                "add `[destinations.{}.schedule]` with `every`, or export intervals one by one with `batch-export run`",
                self.name
            )));
        };
        let Range { from, to } = range(schedule, &self.from, &self.to, now)?;
        let intervals: Vec<Interval> = schedule.windows(from, to).take(MAX_INTERVALS + 1).collect();
        if intervals.len() > MAX_INTERVALS {
            let most = words::count(MAX_INTERVALS as u64);
            let message = format!("these are more than {most} intervals, the most of one backfill");
            return Err(
                Failure::new(FailureClass::Configuration, error::BACKFILL_INVALID, message)
                    .with_hint("ask for them in several pieces"),
            );
        }
        let due = |interval: &Interval| Due {
            header: Header {
                destination: self.name.clone(),
                id: exporter::run_id(&self.name, &destination.model, *interval),
                model: destination.model.clone(),
                start_micros: interval.start().map(|start| start.0),
                end_micros: interval.end().0,
            },
            not_before: schedule.starts_at(&self.name, *interval),
            skipped: None,
        };
        Ok(BackfillOrder {
            destination: self.name.clone(),
            start: from,
            end: to,
            runs_at_once: self.concurrency,
            runs: intervals.iter().map(due).collect(),
            again: self.again,
        })
    }

    /// How many of its runs there are at once if nothing else is to do: one of those that the destination and the
    /// service may have is kept for the schedule.
    fn at_once(&self, history: &History) -> u32 {
        let of_destination = history.config.schedule(&self.name).map_or(1, Schedule::runs_at_once);
        let of_service = u32::try_from(history.config.service.runs_at_once).unwrap_or(u32::MAX);
        let most = of_destination.min(of_service).saturating_sub(1).max(1);
        self.concurrency.min(most)
    }

    fn plan_in_words(&self, order: &BackfillOrder, plan: &BackfillPlan, estimate: Option<(Duration, u32)>) -> String {
        let intervals = words::counted(plan.intervals, "interval");
        let head = format!("{}: {intervals} from {} to {}", self.name, order.start, order.end);
        let left = if self.again {
            "they run again"
        } else {
            "they stay as they are; see --again"
        };
        let mut facts = vec![("to run".to_owned(), words::count(plan.to_run))];
        let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value));
        if plan.completed > 0 {
            fact("completed", format!("{} ({left})", words::count(plan.completed)));
        }
        if plan.under_way > 0 {
            fact(
                "in progress",
                format!("{} (waiting or running already)", words::count(plan.under_way)),
            );
        }
        if let Some((time, at_once)) = estimate.filter(|_| plan.to_run > 0) {
            fact(
                "estimate",
                format!("{}, {} at once", length(time), words::counted(at_once.into(), "run")),
            );
        }
        format!("{}\n{}", wrapped(&head, 2), words::table(&facts))
    }

    /// Waits for the end of a backfill while a service works on it, and says how it stands.
    async fn watch(
        &self,
        history: &History,
        backfill: Backfill,
    ) -> Result<(Backfill, String, Option<Failure>), Failure> {
        let id = backfill.id;
        let started = format!("backfill {id}: {}", history.when());
        if self.detach || history.service.is_none() {
            return Ok((backfill, started, None));
        }
        let bar = bar(&backfill);
        let watching = until_first(async |_| {
            loop {
                let now = find(history, id)?;
                bar.set_position(now.count(RunState::is_over));
                if now.state() != BackfillState::Running {
                    return Ok((now, true));
                }
                if history.ledger.service()?.is_none() {
                    return Ok((now, false));
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        let watched = watching.await;
        bar.finish_and_clear();
        match watched {
            Ok((backfill, true)) => {
                let (told, failure) = ended(&backfill);
                Ok((backfill, told, failure))
            }
            Ok((backfill, false)) => {
                let told =
                    format!("backfill {id}: the service has ended; it goes on with the next `batch-export serve`");
                Ok((backfill, told, None))
            }
            Err(failure) if matches!(failure.class(), FailureClass::Cancelled | FailureClass::ShutDown) => {
                let told = format!(
                    "backfill {id} goes on: `batch-export backfills` shows how far it is, and `batch-export cancel \
                     --backfill {id}` ends it"
                );
                Ok((find(history, id)?, told, Some(failure)))
            }
            Err(failure) => Err(failure),
        }
    }
}

fn find(history: &History, id: i64) -> Result<Backfill, Failure> {
    history.ledger.find_backfill(id)?.ok_or_else(|| {
        let message = format!("backfill {id} no longer exists");
        Failure::new(FailureClass::Failed, error::BACKFILL_UNKNOWN, message)
    })
}

/// What an ended backfill came to.
fn ended(backfill: &Backfill) -> (String, Option<Failure>) {
    let id = backfill.id;
    let completed = backfill.count(|state| state == RunState::Completed);
    let all = backfill.count(|_| true);
    let told = format!("backfill {id}: {completed} of {} completed", words::counted(all, "run"));
    let failure = match backfill.state() {
        BackfillState::Failed => {
            let failed = backfill.count(|state| matches!(state, RunState::Failed | RunState::TimedOut));
            let message = format!("{failed} of {} failed", words::counted(all, "run"));
            let hint =
                format!("see `batch-export runs --backfill {id} --state failed`, and run the same command again");
            Some(Failure::new(FailureClass::Failed, error::BACKFILL_FAILED, message).with_hint(hint))
        }
        BackfillState::Cancelled => {
            let message = format!("backfill {id} was cancelled");
            let failure = Failure::new(FailureClass::Failed, FailureCode::CANCELLED, message);
            Some(failure.with_hint("run the same command again to go on"))
        }
        _ => None,
    };
    (told, failure)
}

/// How long it takes if its runs take as long as those before.
fn estimate(plan: &BackfillPlan, runs_at_once: u32) -> Option<Duration> {
    let rounds = plan.to_run.div_ceil(u64::from(runs_at_once.max(1)));
    plan.average_ms
        .map(|average| Duration::from_millis(average.saturating_mul(rounds)))
}

fn bar(backfill: &Backfill) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(backfill.count(|_| true));
    let style = ProgressStyle::with_template("{elapsed_precise} [{bar:30}] {pos} of {len} intervals, {eta} left");
    // A template that does not parse would leave the default style, which shows much the same.
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn unconfirmed(plan: &BackfillPlan) -> Failure {
    let runs = words::counted(plan.to_run, "interval");
    let message = format!("nobody can be asked here whether these {runs} are to be exported");
    Failure::new(FailureClass::Configuration, error::NOT_CONFIRMED, message).with_hint("add --yes")
}

/// Asks, and returns whether the answer is yes.
fn confirmed(plan: &BackfillPlan) -> bool {
    let mut stderr = std::io::stderr().lock();
    let question = format!("Export {}? [y/N] ", words::counted(plan.to_run, "interval"));
    let mut answer = String::new();
    let asked = write!(stderr, "{question}").and_then(|()| stderr.flush());
    drop(stderr);
    let read = asked.and_then(|()| std::io::stdin().lock().read_line(&mut answer));
    read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}
