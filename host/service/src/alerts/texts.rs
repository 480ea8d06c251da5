//! What is told: pure functions from what happened to the words and the JSON of an alert.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::ledger::{Ended, NewAlert, OpenCause, Run, RunState};
use crate::words::words;
use batch_export_runner::config::AlertSettings;
use batch_export_source::{Ends, Interval, Moment};
use batch_export_system::explain::counted;
use batch_export_system::terminal::one_line;

/// Characters of a text of others that an alert repeats.
const QUOTED_CHARS: usize = 1_500;
/// How often intervals are told of that are skipped again and again.
const SKIPPED_AGAIN: Duration = Duration::from_secs(86_400);

words! {
    /// What an alert is about. Those that are open until they pass are their own causes.
    #[non_exhaustive]
    Kind {
        /// A run failed for good.
        RunFailed = "run_failed",
        /// The schedule was paused, because runs failed one after the other.
        Paused = "paused",
        /// An interval was not exported in time.
        Late = "late",
        /// Several intervals in a row had no rows.
        NoRows = "no_rows",
        /// Intervals are not exported.
        Skipped = "skipped",
        /// What an earlier alert told of has passed.
        Recovered = "recovered",
        /// Somebody wants to know whether alerts arrive.
        Test = "test",
    }
}

/// An interval that is late.
#[derive(Debug, Clone, PartialEq)]
pub struct Late<'a> {
    /// The oldest interval that is.
    pub interval: Interval,
    /// How many there are.
    pub intervals: u64,
    /// Its run, if it has one.
    pub run_id: Option<&'a str>,
    /// The failure of the run's last attempt, as JSON.
    pub error: Option<&'a Value>,
}

/// Intervals that are not exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped<'a> {
    /// How many.
    pub intervals: u64,
    /// Where the first one starts.
    pub start: Moment,
    /// Where the last one ends.
    pub end: Moment,
    /// Why, in words that end a sentence.
    pub reason: &'a str,
}

/// What a receiver gets, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Body {
    /// Everything in a few lines, as receivers that are compatible with Slack show it.
    pub text: String,
    /// The kind.
    pub kind: Kind,
    /// The destination; none of a test.
    pub destination: Option<String>,
    /// The run, if it is about one.
    pub run_id: Option<String>,
    /// The interval, if it is about one, or the whole span of several.
    pub interval: Option<Ends>,
    /// When it was raised, in ISO 8601.
    pub at: String,
    /// What happened, and why.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The version of this program.
    pub host_version: &'static str,
}

/// An alert that is not raised yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub body: Body,
    /// Whether it is told although its cause is open.
    pub again: bool,
    again_after: Option<Duration>,
}

impl Told {
    fn new(kind: Kind, destination: &str, message: String, hint: Option<String>) -> Self {
        Told {
            body: Body {
                text: String::new(),
                kind,
                destination: (!destination.is_empty()).then(|| destination.to_owned()),
                run_id: None,
                interval: None,
                at: String::new(),
                message,
                hint,
                host_version: env!("CARGO_PKG_VERSION"),
            },
            again: false,
            again_after: None,
        }
    }

    fn of_interval(mut self, interval: Ends) -> Self {
        self.body.interval = Some(interval);
        self
    }

    fn of_run(mut self, id: Option<&str>) -> Self {
        self.body.run_id = id.map(str::to_owned);
        self
    }

    /// Has it told again while its cause is open, after a time.
    fn again_after(mut self, time: Duration) -> Self {
        (self.again, self.again_after) = (true, Some(time));
        self
    }

    pub(super) fn into_body(mut self, now: Moment) -> Body {
        self.body.at = now.to_string();
        self.body.text = text(&self.body);
        self.body
    }

    pub(super) fn into_alert(self, now: Moment) -> NewAlert {
        let again_after = self.again_after;
        let body = self.into_body(now);
        NewAlert {
            kind: body.kind.as_str(),
            destination: body.destination.clone().unwrap_or_default(),
            cause: body.kind.as_str(),
            again_after,
            body: serde_json::json!(body).to_string(),
        }
    }
}

/// Returns the alert in a few lines. In Slack, `<!channel>` in a text would call everybody, and a link could show
/// another address than it has: <https://docs.slack.dev/messaging/formatting-message-text#escaping>.
fn text(body: &Body) -> String {
    let mut lines = vec![match &body.destination {
        Some(destination) => format!("batch-export, {destination}: {}", body.message),
        None => format!("batch-export: {}", body.message),
    }];
    lines.extend(body.hint.iter().map(|hint| format!("What to do: {hint}")));
    lines.push(format!("At {}", body.at));
    lines
        .join("\n")
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// A text of others in one harmless line that is not too long.
fn quoted(text: &str) -> String {
    let line = one_line(text);
    match line.char_indices().nth(QUOTED_CHARS) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line.into_owned(),
    }
}

/// What is wrong, of a failure as JSON.
fn said(error: Option<&Value>) -> String {
    let message = error.and_then(|error| error["message"].as_str());
    quoted(message.unwrap_or("it is not known why"))
}

/// What to do about it first, of a failure as JSON, and then.
fn to_do(error: Option<&Value>, then: &str) -> String {
    match error.and_then(|error| error["hint"].as_str()) {
        Some(hint) => format!("{}; then {then}", quoted(hint)),
        None => then.to_owned(),
    }
}

fn between(run: &Run) -> String {
    match run.start {
        Some(start) => format!("{start} to {}", run.end),
        None => format!("everything before {}", run.end),
    }
}

/// Returns what the end of an attempt has to tell, apart from what has passed with it.
pub(super) fn of_run(run: &Run, ended: &Ended, settings: &AlertSettings) -> Vec<Told> {
    let name = run.destination.as_str();
    let mut told = Vec::new();
    let how = match ended.state {
        RunState::Failed => Some("failed for good"),
        RunState::TimedOut => Some("took longer than it may and was given up"),
        _ => None,
    };
    // One by hand is not counted: whoever ran it has seen it fail.
    if let Some(how) = how.filter(|_| ended.failed_in_a_row > 0) {
        let attempts = counted(run.tries.max(1).into(), "attempt");
        let message = format!(
            "the run of {} {how} after {attempts}: {}",
            between(run),
            said(run.error.as_ref())
        );
        let hint = to_do(run.error.as_ref(), &format!("run `batch-export retry {}`", run.id));
        told.push(Told::new(Kind::RunFailed, name, message, Some(hint)));
    }
    if ended.paused {
        let message = format!(
            "the schedule is paused, because {} in a row failed, the last one with: {}",
            counted(ended.failed_in_a_row.into(), "run"),
            said(run.error.as_ref())
        );
        let then = format!(
            "run `batch-export unpause {name} --backfill`, and `batch-export retry` for the runs that failed \
             (`batch-export runs {name}` lists them)"
        );
        // A new pause is news even if the one before was never followed by a run that was completed.
        let paused = Told::new(Kind::Paused, name, message, Some(to_do(run.error.as_ref(), &then)));
        told.push(paused.again_after(Duration::ZERO));
    }
    if ended.state == RunState::Completed && settings.no_rows > 0 && ended.empty_in_a_row >= settings.no_rows {
        let message = match ended.empty_in_a_row {
            1 => format!("the interval {} had no rows", between(run)),
            many => format!("the last {} had no rows", counted(many.into(), "interval")),
        };
        let hint = "check that rows still arrive in the source; if this is usual, set `no_rows` in [alerts] higher, \
                    or to 0";
        told.push(Told::new(Kind::NoRows, name, message, Some(hint.to_owned())));
    }
    told.into_iter()
        .map(|told| told.of_run(Some(&run.id)).of_interval(run.ends()))
        .collect()
}

pub(super) fn of_late(destination: &str, late: &Late<'_>, now: Moment) -> Told {
    let ago = now.0.saturating_sub(late.interval.end().0);
    let which = match late.intervals {
        0 | 1 => "it has".to_owned(),
        many => format!("it and {} after it have", counted(many - 1, "interval")),
    };
    let mut message = format!(
        "the interval {} is late: it ended {} ago, and {which} not been exported",
        late.interval,
        in_words(ago)
    );
    if late.error.is_some() {
        message = format!("{message}; the last attempt failed with: {}", said(late.error));
    }
    let look = match late.run_id {
        Some(run) => format!("see `batch-export show {run}`"),
        None => "see `batch-export status`".to_owned(),
    };
    Told::new(Kind::Late, destination, message, Some(to_do(late.error, &look)))
        .of_run(late.run_id)
        .of_interval(late.interval.into())
}

pub(super) fn of_skipped(destination: &str, skipped: &Skipped<'_>) -> Told {
    let Skipped { start, end, .. } = skipped;
    let message = format!(
        "{} from {start} to {end} {} not exported: {}",
        counted(skipped.intervals, "interval"),
        if skipped.intervals == 1 { "is" } else { "are" },
        quoted(skipped.reason)
    );
    let hint = format!("to export them, run `batch-export backfill {destination} --from {start} --to {end}`");
    Told::new(Kind::Skipped, destination, message, Some(hint))
        .of_interval(Ends::of(Some(start.0), end.0))
        .again_after(SKIPPED_AGAIN)
}

/// Returns what is told when causes have passed, of which there is at least one.
pub(super) fn of_recovery(destination: &str, passed: &[OpenCause]) -> Told {
    let was = |open: &OpenCause| {
        let what = match open.cause.as_str() {
            "run_failed" => "runs had failed",
            "paused" => "the schedule had been paused",
            "late" => "intervals had been late",
            "no_rows" => "intervals had had no rows",
            other => other,
        };
        format!("{what} since {}", open.since)
    };
    let causes: Vec<String> = passed.iter().map(was).collect();
    Told::new(
        Kind::Recovered,
        destination,
        format!("it works again; {}", causes.join(", ")),
        None,
    )
}

/// Returns a test, which is about nothing.
pub(super) fn of_test() -> Told {
    let message = "this is a test: alerts arrive here".to_owned();
    Told::new(Kind::Test, "", message, None)
}

/// A time in its largest unit: `3 hours`.
fn in_words(micros: i64) -> String {
    let minutes = u64::try_from(micros / 60_000_000).unwrap_or(0);
    match minutes {
        0..120 => counted(minutes, "minute"),
        120..2_880 => counted(minutes / 60, "hour"),
        _ => counted(minutes / 1_440, "day"),
    }
}
