//! The rows of a file that belong to a run: the interval and the event lists as a mask over a batch. Reads nothing.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::buffer::{BooleanBuffer, ScalarBuffer};
use arrow::compute;
use arrow::datatypes::{
    DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow::error::ArrowError;
use batch_export_system::explain::Cause;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::interval::Interval;
use crate::model::Model;

/// The rows that a run wants.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Selection {
    /// Those whose time is in it.
    pub interval: Interval,
    /// The time of a row that counts.
    pub by: TimeOf,
    /// Of these, the ones whose event it takes.
    pub events: EventFilter,
}

impl Selection {
    /// Returns the rows that arrived in an interval.
    pub fn new(interval: Interval, events: EventFilter) -> Self {
        Selection {
            interval,
            by: TimeOf::Arrival,
            events,
        }
    }

    /// Returns the rows of the same interval by another time.
    #[must_use]
    pub fn by(self, by: TimeOf) -> Self {
        Selection { by, ..self }
    }
}

/// The time by which a row belongs to an interval. Sources that know only one take it for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum TimeOf {
    /// When the row arrived: no interval that is over ever gets another row, so that runs which follow the clock export
    /// each row once.
    #[default]
    Arrival,
    /// When what the row tells of happened: for intervals of the past, which then hold what belongs to them.
    Event,
}

/// Include and exclude lists of event names; both apply.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFilter {
    include: Option<HashSet<String>>,
    exclude: HashSet<String>,
}

/// The two fields of a destination that say which events are exported. Their meaning is the contract's, so the host
/// reads them itself: a plugin that misread them could lose every row.
pub const EVENT_LISTS: [&str; 2] = ["include_events", "exclude_events"];

/// A list of events that cannot be obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {message}")]
pub struct EventListError {
    /// The field's name.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: Cause,
}

impl EventFilter {
    /// Returns the filter that the operator's configuration asks for. An empty list of included names is all, as if it
    /// were not there; a list that could not be applied is an error, never ignored.
    pub fn of(configuration: &Value, model: &str) -> Result<Self, EventListError> {
        let [include, exclude] = EVENT_LISTS;
        let included = names(configuration, include)?;
        let excluded = names(configuration, exclude)?;
        if model != Model::Events.name() {
            let listed = [(include, &included), (exclude, &excluded)];
            if let Some((field, _)) = listed.iter().find(|(_, names)| !names.is_empty()) {
                return Err(EventListError {
                    field,
                    message: Cause::new(format!(
                        "it applies only to the model events, but this destination exports {model}"
                    ))
                    .with_hint("remove it"),
                });
            }
        }
        let included = (!included.is_empty()).then_some(included);
        Ok(Self::new(included, excluded))
    }

    /// Returns a filter that takes the included names, or all without such a list, but not the excluded ones.
    pub fn new(include: Option<Vec<String>>, exclude: Vec<String>) -> Self {
        Self {
            include: include.map(|names| names.into_iter().collect()),
            exclude: exclude.into_iter().collect(),
        }
    }

    /// Returns the names of the include list, in order, if there is one.
    pub(crate) fn included(&self) -> Option<Vec<&str>> {
        self.include.as_ref().map(sorted)
    }

    /// Returns the names of the exclude list, in order.
    pub(crate) fn excluded(&self) -> Vec<&str> {
        sorted(&self.exclude)
    }

    /// Returns whether every row is taken.
    pub fn takes_all(&self) -> bool {
        self.include.is_none() && self.exclude.is_empty()
    }

    /// Returns whether a row of that event is taken. A row without a name is on no list: an include list omits it, an
    /// exclude list keeps it.
    pub fn takes(&self, event: Option<&str>) -> bool {
        match (event, &self.include) {
            (None, include) => include.is_none(),
            (Some(event), Some(include)) if !include.contains(event) => false,
            (Some(event), _) => !self.exclude.contains(event),
        }
    }

    /// Returns one bit for each value of a column of strings of any type.
    pub fn mask(&self, events: &ArrayRef) -> Result<BooleanArray, ArrowError> {
        let events = compute::cast(events, &DataType::Utf8)?;
        let events = events.as_string::<i32>();
        Ok(events.iter().map(|event| Some(self.takes(event))).collect())
    }
}

/// An interval in the unit of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    start: Option<i128>,
    end: i128,
}

/// A mask, and how many rows had no time.
pub(crate) struct TimeMask {
    pub mask: BooleanArray,
    pub without_time: u64,
}

impl Bounds {
    /// Returns the interval in another unit. Coarser units round up: `t >= start` for whole seconds is
    /// `t >= ceil(start)`, and so is `t < end`.
    pub(crate) fn new(interval: &Interval, unit: TimeUnit) -> Self {
        let convert = |micros: i64| match unit {
            TimeUnit::Second => ceil_div(micros, 1_000_000),
            TimeUnit::Millisecond => ceil_div(micros, 1_000),
            TimeUnit::Microsecond => i128::from(micros),
            // The years 1 to 9999 are more nanoseconds than 64 bits count.
            TimeUnit::Nanosecond => i128::from(micros) * 1_000,
        };
        Self {
            start: interval.start().map(|start| convert(start.0)),
            end: convert(interval.end().0),
        }
    }

    pub(crate) fn contains(&self, time: i64) -> bool {
        let time = i128::from(time);
        self.start.is_none_or(|start| time >= start) && time < self.end
    }

    /// Returns whether no time from `min` to `max` is inside.
    pub(crate) fn excludes(&self, min: i64, max: i64) -> bool {
        self.start.is_some_and(|start| i128::from(max) < start) || i128::from(min) >= self.end
    }

    /// Returns one bit for each value; null times are in no interval.
    pub(crate) fn mask(&self, times: &dyn Array, unit: TimeUnit) -> TimeMask {
        let values = timestamps(times, unit);
        let inside = BooleanBuffer::collect_bool(values.len(), |row| self.contains(values[row]));
        let mask = match times.nulls() {
            Some(nulls) => BooleanArray::new(&inside & nulls.inner(), None),
            None => BooleanArray::new(inside, None),
        };
        TimeMask {
            mask,
            without_time: times.null_count() as u64,
        }
    }
}

fn sorted(names: &HashSet<String>) -> Vec<&str> {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    names
}

fn names(configuration: &Value, field: &'static str) -> Result<Vec<String>, EventListError> {
    let wrong = || EventListError {
        field,
        message: "must be a list of event names, such as [\"$pageview\", \"signed up\"]".into(),
    };
    match configuration.get(field) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(list) => list
            .as_array()
            .ok_or_else(wrong)?
            .iter()
            .map(|name| name.as_str().map(str::to_owned).ok_or_else(wrong))
            .collect(),
    }
}

fn ceil_div(micros: i64, by: i64) -> i128 {
    i128::from(micros.div_euclid(by)) + i128::from(micros.rem_euclid(by) != 0)
}

/// Returns the numbers in a timestamp column of that unit.
pub(crate) fn timestamps(times: &dyn Array, unit: TimeUnit) -> ScalarBuffer<i64> {
    match unit {
        TimeUnit::Second => times.as_primitive::<TimestampSecondType>().values().clone(),
        TimeUnit::Millisecond => times.as_primitive::<TimestampMillisecondType>().values().clone(),
        TimeUnit::Microsecond => times.as_primitive::<TimestampMicrosecondType>().values().clone(),
        TimeUnit::Nanosecond => times.as_primitive::<TimestampNanosecondType>().values().clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{StringViewArray, TimestampMillisecondArray};
    use serde_json::json;
    use std::sync::Arc;

    fn interval(start: &str, end: &str) -> Interval {
        Interval::parse(start, end).expect("an interval")
    }

    #[test]
    fn bounds_are_half_open_in_every_unit() {
        let interval = interval("1970-01-01T00:00:01.000001Z", "1970-01-01T00:00:03Z");
        for (unit, first, last) in [
            (TimeUnit::Second, 2, 2),
            (TimeUnit::Millisecond, 1_001, 2_999),
            (TimeUnit::Microsecond, 1_000_001, 2_999_999),
            (TimeUnit::Nanosecond, 1_000_001_000, 2_999_999_999),
        ] {
            let bounds = Bounds::new(&interval, unit);
            assert!(!bounds.contains(first - 1), "{unit:?}");
            assert!(bounds.contains(first) && bounds.contains(last), "{unit:?}");
            assert!(!bounds.contains(last + 1), "{unit:?}");
            assert!(bounds.excludes(first - 9, first - 1), "{unit:?}");
            assert!(bounds.excludes(last + 1, last + 9), "{unit:?}");
            assert!(!bounds.excludes(first - 9, first), "{unit:?}");
        }
    }

    #[test]
    fn times_before_1970_round_like_the_others() {
        let bounds = Bounds::new(
            &interval("1969-12-31T23:59:58.5Z", "1969-12-31T23:59:59.5Z"),
            TimeUnit::Second,
        );
        assert_eq!(
            [-3, -2, -1, 0].map(|second| bounds.contains(second)),
            [false, false, true, false]
        );
    }

    #[test]
    fn the_last_nanosecond_that_can_be_written_is_in_an_interval_that_ends_later() {
        let late = Bounds::new(
            &interval("2262-01-01T00:00:00Z", "2300-01-01T00:00:00Z"),
            TimeUnit::Nanosecond,
        );
        assert!(late.contains(i64::MAX) && !late.contains(i64::MIN));
        let early = Bounds::new(
            &interval("1600-01-01T00:00:00Z", "1700-01-01T00:00:00Z"),
            TimeUnit::Nanosecond,
        );
        assert!(early.contains(i64::MIN) && !early.contains(i64::MAX));
    }

    #[test]
    fn null_times_are_outside_and_counted() {
        let times = TimestampMillisecondArray::from(vec![Some(0), None, Some(5)]);
        let masked = Bounds::new(&interval("START", "1970-01-01T00:00:00.005Z"), TimeUnit::Millisecond)
            .mask(&times, TimeUnit::Millisecond);
        assert_eq!(masked.without_time, 1);
        assert_eq!(masked.mask, BooleanArray::from(vec![true, false, false]));
    }

    #[test]
    fn the_operators_lists_are_read_from_the_configuration() {
        let filter = |configuration: Value, model: &str| EventFilter::of(&configuration, model);
        let list = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        for (configuration, expect) in [
            (json!({}), EventFilter::default()),
            (json!({"include_events": []}), EventFilter::default()),
            (
                json!({"include_events": ["a", ""], "exclude_events": ["b"]}),
                EventFilter::new(Some(list(&["a", ""])), list(&["b"])),
            ),
            (json!({"exclude_events": ["b"]}), EventFilter::new(None, list(&["b"]))),
        ] {
            assert_eq!(filter(configuration.clone(), "events"), Ok(expect), "{configuration}");
        }
        for (configuration, model, field) in [
            (json!({"include_events": "a"}), "events", "include_events"),
            (json!({"include_events": [1]}), "events", "include_events"),
            (json!({"exclude_events": {"a": 1}}), "events", "exclude_events"),
            (json!({"exclude_events": ["a"]}), "persons", "exclude_events"),
            (json!({"include_events": ["a"]}), "orders", "include_events"),
        ] {
            let error = filter(configuration.clone(), model).expect_err("refused");
            assert_eq!(error.field, field, "{configuration}");
        }
        assert_eq!(
            filter(json!({"include_events": []}), "persons"),
            Ok(EventFilter::default())
        );
    }

    #[test]
    fn event_lists_both_apply() {
        let events: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), Some("b"), None]));
        let list = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        for (include, exclude, expect) in [
            (None, list(&[]), [true, true, true]),
            (None, list(&["a"]), [false, true, true]),
            (Some(list(&["a", "b"])), list(&["b"]), [true, false, false]),
            (Some(list(&[])), list(&[]), [false, false, false]),
        ] {
            let filter = EventFilter::new(include, exclude);
            let mask = filter.mask(&events).expect("a mask");
            assert_eq!(mask, BooleanArray::from(expect.to_vec()), "{filter:?}");
        }
    }
}
