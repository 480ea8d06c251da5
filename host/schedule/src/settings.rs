//! A schedule as it is configured, and the checks that make it one that cannot be wrong.

use std::time::Duration;

use jiff::tz::{self, TimeZone};

use batch_export_source::Moment;
use batch_export_system::explain::count;
use batch_export_system::near_miss;

use crate::every::{Every, Unit};
use crate::grid::{Calendar, Grid};
use crate::problem::ScheduleProblem;
use crate::weekday::Weekday;

/// The wait after an interval's end unless configured: rows are stored a little later than they arrive.
pub const SETTLE: Duration = Duration::from_secs(60);

/// The longest wait after an interval's end. It may exceed the interval, as with hours of which rows take two hours to
/// arrive; beyond a day, a wrong unit is likelier than a wish.
pub const MAX_SETTLE: Duration = Duration::from_secs(86_400);

/// The most missed intervals that are made up: with the newest, they are [`MAX_DUE`](crate::MAX_DUE).
pub const MAX_CATCH_UP: u32 = 9_999;

/// Runs of one destination at the same time unless configured.
pub const RUNS_AT_ONCE: u32 = 4;

/// The most runs of one destination at the same time: more than any machine encodes at once.
pub const MAX_RUNS_AT_ONCE: u32 = 256;

/// The parts of a schedule, as configured: nothing is checked yet.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleParts {
    /// The length of the intervals.
    pub every: Every,
    /// The time zone of days and weeks, by its IANA name such as `Europe/Berlin`; `None` is UTC.
    pub timezone: Option<String>,
    /// The hour at which days and weeks begin, 0 to 23; `None` is 0.
    pub offset_hour: Option<u8>,
    /// The day on which weeks begin; `None` is Monday.
    pub offset_day: Option<Weekday>,
    /// The longest time by which a start is moved; shorter than the interval.
    pub jitter: Duration,
    /// Nothing before this moment is exported.
    pub start_at: Option<Moment>,
    /// No interval that ends after this moment is exported.
    pub end_at: Option<Moment>,
    /// How long after an interval's end its run starts; at most [`MAX_SETTLE`].
    pub settle: Duration,
    /// How many missed intervals are made up beside the newest, at most [`MAX_CATCH_UP`]; `None` is 24 for less than a
    /// day, 7 for days and 4 for weeks.
    pub catch_up: Option<u32>,
    /// How many runs of the destination may be in progress at a time, at most [`MAX_RUNS_AT_ONCE`]; `None` is
    /// [`RUNS_AT_ONCE`].
    pub runs_at_once: Option<u32>,
}

impl ScheduleParts {
    /// Returns the parts of a schedule in which everything else is as usual.
    pub fn new(every: Every) -> Self {
        ScheduleParts {
            every,
            timezone: None,
            offset_hour: None,
            offset_day: None,
            jitter: Duration::ZERO,
            start_at: None,
            end_at: None,
            settle: SETTLE,
            catch_up: None,
            runs_at_once: None,
        }
    }
}

/// When the intervals of a destination begin and end, and when their runs start.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pub(crate) grid: Grid,
    /// The first boundary that is not before `start_at`.
    pub(crate) begins: Option<Moment>,
    /// The last boundary that is not after `end_at`.
    pub(crate) ends: Option<Moment>,
    parts: ScheduleParts,
}

impl Schedule {
    /// Returns the schedule of these parts, or everything that is wrong with them.
    pub fn new(parts: ScheduleParts) -> Result<Self, Vec<ScheduleProblem>> {
        let mut problems = Vec::new();
        let mut parts = parts;
        let grid = grid(&parts, &mut problems);
        check_durations(&parts, &mut problems);
        check_numbers(&parts, &mut problems);
        if let Grid::Calendar(calendar) = &grid
            && let Some(name) = calendar.zone.iana_name()
        {
            parts.timezone = Some(name.to_owned());
        }
        let mut schedule = Schedule {
            grid,
            begins: None,
            ends: None,
            parts,
        };
        schedule.begins = schedule.parts.start_at.map(|at| schedule.boundary_at_or_after(at));
        schedule.ends = schedule.parts.end_at.map(|at| schedule.boundary_at_or_before(at));
        problems.extend(schedule.no_interval());
        if problems.is_empty() {
            Ok(schedule)
        } else {
            Err(problems)
        }
    }

    /// What is wrong if no interval lies between start and end.
    fn no_interval(&self) -> Option<ScheduleProblem> {
        let (start, end) = (self.parts.start_at?, self.parts.end_at?);
        if start >= end {
            let text = format!("it is not after start_at: {end} is not later than {start}");
            return Some(ScheduleProblem::new(
                "end_at",
                text,
                "give a later time, or remove one of the two",
            ));
        }
        let (begins, ends) = (self.begins?, self.ends?);
        (begins >= ends).then(|| {
            let text = format!("no whole interval lies between start_at and end_at: the first one starts at {begins}");
            let hint = format!("give {} or a later time", self.boundary_after(begins));
            ScheduleProblem::new("end_at", text, hint)
        })
    }

    /// Returns the parts that it was made of, with the zone by its usual name.
    pub fn parts(&self) -> &ScheduleParts {
        &self.parts
    }

    /// Returns the length of the intervals.
    pub fn every(&self) -> &Every {
        &self.parts.every
    }

    /// Returns the name of the time zone by which days and weeks begin; `UTC` for minutes and hours.
    pub fn timezone(&self) -> &str {
        self.parts.timezone.as_deref().unwrap_or(UTC)
    }

    /// Returns how long after an interval's end its run starts.
    pub fn settle(&self) -> Duration {
        self.parts.settle
    }

    /// Returns the longest time by which a start is moved.
    pub fn jitter(&self) -> Duration {
        self.parts.jitter
    }

    /// Returns the moment before which nothing is exported.
    pub fn start_at(&self) -> Option<Moment> {
        self.parts.start_at
    }

    /// Returns the moment after which no interval ends.
    pub fn end_at(&self) -> Option<Moment> {
        self.parts.end_at
    }

    /// Returns how many missed intervals are made up beside the newest.
    pub fn catch_up(&self) -> u32 {
        self.parts.catch_up.unwrap_or_else(|| self.parts.every.catch_up())
    }

    /// Returns how many runs of the destination may be in progress at a time.
    pub fn runs_at_once(&self) -> u32 {
        self.parts.runs_at_once.unwrap_or(RUNS_AT_ONCE)
    }

    /// Returns how long a run may take: 6 hours for an hour, a day for a day, 3 days for a week; for minutes the
    /// interval or 20 minutes, and for several hours the interval or 6 hours, whichever is longer.
    pub fn time_limit(&self) -> Duration {
        self.parts.every.time_limit()
    }
}

const UTC: &str = "UTC";

fn grid(parts: &ScheduleParts, problems: &mut Vec<ScheduleProblem>) -> Grid {
    if parts.every.is_counted() {
        let written = [
            ("timezone", parts.timezone.is_some()),
            ("offset_hour", parts.offset_hour.is_some()),
            ("offset_day", parts.offset_day.is_some()),
        ];
        for (field, _) in written.into_iter().filter(|(_, is_written)| *is_written) {
            let text =
                "it has no effect on intervals of minutes or hours, which are counted from the Unix epoch in UTC";
            problems.push(ScheduleProblem::new(
                field,
                text,
                "remove it, or set every to \"day\" or \"week\"",
            ));
        }
        return Grid::Steps(i64::try_from(parts.every.period().as_micros()).unwrap_or(i64::MAX));
    }
    let zone = parts.timezone.as_deref().map_or(Ok(TimeZone::UTC), zone);
    let zone = zone.unwrap_or_else(|problem| {
        problems.push(problem);
        TimeZone::UTC
    });
    let hour = parts.offset_hour.unwrap_or(0);
    if hour > 23 {
        let text = format!("{hour} is not an hour of the day");
        problems.push(ScheduleProblem::new("offset_hour", text, "give a number from 0 to 23"));
    }
    let is_week = parts.every.unit() == Unit::Week;
    if parts.offset_day.is_some() && !is_week {
        let text = "it has no effect on intervals of a day";
        problems.push(ScheduleProblem::new(
            "offset_day",
            text,
            "remove it, or set every to \"week\"",
        ));
    }
    Grid::Calendar(Calendar {
        zone,
        hour: i8::try_from(hour.min(23)).unwrap_or(0),
        weekday: is_week.then(|| parts.offset_day.unwrap_or_default()),
    })
}

/// Looks a time zone up by its name.
fn zone(name: &str) -> Result<TimeZone, ScheduleProblem> {
    match TimeZone::get(name) {
        Ok(zone) if !zone.is_unknown() => Ok(zone),
        _ => {
            let hint = match meant(name) {
                Some(zone) => format!("did you mean `{zone}`?"),
                None => "give a name of the IANA time zone database, such as Europe/Berlin".to_owned(),
            };
            Err(ScheduleProblem::new(
                "timezone",
                format!("there is no time zone `{name}`"),
                hint,
            ))
        }
    }
}

/// The time zone that was probably meant: one of nearly that name, or of a place of nearly that name.
fn meant(name: &str) -> Option<String> {
    let lower = |zone: &str| zone.trim().replace(' ', "_").to_lowercase();
    let place = |zone: &str| lower(zone.rsplit('/').next().unwrap_or(zone));
    let known: Vec<String> = tz::db().available().map(|zone| zone.to_string()).collect();
    let nearest = |part: &dyn Fn(&str) -> String| {
        let parts: Vec<String> = known.iter().map(|zone| part(zone)).collect();
        let near = near_miss(&part(name), parts.iter().map(String::as_str))?;
        let at = parts.iter().position(|part| part == near)?;
        known.get(at).cloned()
    };
    match name.contains('/') {
        true => nearest(&lower).or_else(|| nearest(&place)),
        false => nearest(&place),
    }
}

fn check_durations(parts: &ScheduleParts, problems: &mut Vec<ScheduleProblem>) {
    if parts.jitter >= parts.every.period() {
        let text = "it is not shorter than the interval, so a run could start after the next one";
        problems.push(ScheduleProblem::new(
            "jitter",
            text,
            "give less than the length of an interval",
        ));
    }
    if parts.settle > MAX_SETTLE {
        let hint = "give at most \"24 hours\"; rows that arrive even later are what a backfill is for";
        problems.push(ScheduleProblem::new("settle", "it is longer than a day", hint));
    }
}

fn check_numbers(parts: &ScheduleParts, problems: &mut Vec<ScheduleProblem>) {
    let mut check = |field, number: Option<u32>, least: u32, most: u32| {
        if let Some(number) = number.filter(|number| !(least..=most).contains(number)) {
            let text = format!("{} is out of range", count(number.into()));
            let hint = format!("give a number from {least} to {}", count(most.into()));
            problems.push(ScheduleProblem::new(field, text, hint));
        }
    };
    check("catch_up", parts.catch_up, 0, MAX_CATCH_UP);
    check("runs_at_once", parts.runs_at_once, 1, MAX_RUNS_AT_ONCE);
}
