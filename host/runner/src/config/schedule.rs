//! One `[destinations.NAME.schedule]` table: when the service exports the destination. What a schedule may be is
//! decided where it is made.

use std::time::Duration;

use super::destination::parsed;
use super::section::Section;
use super::tree::PlaceIndex;
use crate::problem::Problem;
use batch_export_schedule::{Every, MAX_CATCH_UP, MAX_RUNS_AT_ONCE, Schedule, ScheduleParts, Weekday};
use batch_export_source::Moment;
use batch_export_system::explain::Cause;

/// Reads the table, if there is one. No schedule although there is one leaves at least one problem behind.
pub(super) fn read(places: &PlaceIndex, destination: &mut Section<'_>) -> Option<Schedule> {
    let mut section = destination.section("schedule")?;
    let every = section.parsed("every", parsed::<Every>);
    if every.is_none() {
        section.missing("every", "say how often to export, as in every = \"hour\"");
    }
    // Without a length, the other keys are read as those of weeks, for which all of them mean something.
    let mut parts = ScheduleParts::new(every.unwrap_or(Every::WEEK));
    let zone = section.secret("timezone").map(|(_, zone)| zone);
    parts.timezone = zone.as_ref().map(|zone| zone.value().to_owned());
    let hour = section.integer("offset_hour", 0..=23);
    parts.offset_hour = hour.and_then(|hour| u8::try_from(hour).ok());
    let by_number = |number| Weekday::from_number(number).map_err(|error| Cause::of(&error));
    parts.offset_day = section.text_or_integer("offset_day", parsed::<Weekday>, by_number);
    let any = Duration::ZERO..=Duration::MAX;
    parts.jitter = section.duration("jitter", any.clone()).unwrap_or(parts.jitter);
    parts.start_at = section.time("start_at", moment);
    parts.end_at = section.time("end_at", moment);
    parts.settle = section.duration("settle", any).unwrap_or(parts.settle);
    parts.catch_up = section.number("catch_up", 0..=MAX_CATCH_UP);
    parts.runs_at_once = section.number("runs_at_once", 1..=MAX_RUNS_AT_ONCE);
    let schedule = Schedule::new(parts);
    for problem in schedule.as_ref().err().into_iter().flatten() {
        // A variable may have put a secret even into the zone's name.
        let shown = |said: &str| {
            zone.as_ref()
                .map_or_else(|| said.to_owned(), |zone| zone.redacted(said))
        };
        let pointer = format!("/{}", problem.field);
        section.add(Problem::new(pointer, problem.cause.clone().each(shown)), places);
    }
    section.finish();
    schedule.ok().filter(|_| every.is_some())
}

fn moment(text: &str) -> Result<Moment, Cause> {
    Moment::parse(text).map_err(|error| Cause::of(&error))
}
