//! First and last moment of a file's rows by the source, for a detailed manifest's word to be compared with. Reads no
//! file of a store.

use arrow::array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Schema, TimeUnit};

use batch_export_source::{Model, Moment};

/// Follows a moment that no ISO text can express.
const OUT_OF_RANGE: &str = " µs since 1970-01-01T00:00:00+00:00";
/// Names of UTC, in lower case.
const UTC: [&str; 6] = ["utc", "etc/utc", "z", "+00:00", "+00", "+0000"];

/// The column whose first and last moment a detailed manifest has; `None` where the source has none of that name that
/// holds moments in UTC.
pub(super) fn time_column(model: &str, schema: &Schema) -> Option<usize> {
    let name = match Model::named(model) {
        Some(Model::Events) => "timestamp",
        Some(Model::Persons | Model::Sessions) | None => "_inserted_at",
    };
    let (index, field) = schema.column_with_name(name)?;
    match field.data_type() {
        DataType::Timestamp(_, None) => Some(index),
        DataType::Timestamp(_, Some(zone)) => UTC.contains(&zone.to_ascii_lowercase().as_str()).then_some(index),
        _ => None,
    }
}

/// First and last moment of the rows seen so far, in microseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Times(Option<(i128, i128)>);

impl Times {
    /// Takes in some rows of a column.
    pub(crate) fn see(&mut self, column: &ArrayRef, rows: std::ops::Range<usize>) {
        for micros in rows.filter_map(|row| micros_at(column, row)) {
            self.0 = Some(match self.0 {
                None => (micros, micros),
                Some((first, last)) => (first.min(micros), last.max(micros)),
            });
        }
    }

    /// Returns what is wrong with a manifest's two texts.
    pub(crate) fn faults(&self, first: Option<&str>, last: Option<&str>) -> Vec<String> {
        let compare = |name: &str, listed: Option<&str>, right: Option<i128>| {
            let is_right = listed.map(micros_of) == right.map(Some);
            (!is_right).then(|| {
                format!(
                    "the manifest says {name} {}, but the source has {}",
                    super::report::quoted(listed.unwrap_or("null")),
                    right.map_or_else(|| "null".to_owned(), in_words)
                )
            })
        };
        [
            compare("min_timestamp", first, self.0.map(|(first, _)| first)),
            compare("max_timestamp", last, self.0.map(|(_, last)| last)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// A row's moment, floored to microseconds; `None` where it is null or not a timestamp.
fn micros_at(column: &ArrayRef, row: usize) -> Option<i128> {
    if column.is_null(row) {
        return None;
    }
    let DataType::Timestamp(unit, _) = column.data_type() else {
        return None;
    };
    Some(match unit {
        TimeUnit::Second => i128::from(column.as_primitive::<TimestampSecondType>().value(row)) * 1_000_000,
        TimeUnit::Millisecond => i128::from(column.as_primitive::<TimestampMillisecondType>().value(row)) * 1_000,
        TimeUnit::Microsecond => i128::from(column.as_primitive::<TimestampMicrosecondType>().value(row)),
        TimeUnit::Nanosecond => {
            i128::from(column.as_primitive::<TimestampNanosecondType>().value(row)).div_euclid(1_000)
        }
    })
}

/// The moment that a manifest's text says; `None` where it says none.
fn micros_of(text: &str) -> Option<i128> {
    match text.strip_suffix(OUT_OF_RANGE) {
        Some(micros) => micros.parse().ok(),
        None => Moment::parse(text).ok().map(|moment| i128::from(moment.0)),
    }
}

fn in_words(micros: i128) -> String {
    let moment = i64::try_from(micros).map(Moment).ok();
    match moment.filter(|moment| moment.is_in_range()) {
        Some(moment) => moment.to_string(),
        None => format!("{micros}{OUT_OF_RANGE}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::{TimestampMicrosecondArray, TimestampNanosecondArray};
    use arrow::datatypes::Field;

    #[test]
    fn the_first_and_the_last_moment_are_compared_with_a_manifests_texts() {
        let first = "2024-03-01T05:00:00+00:00";
        let micros = 1_709_269_200_000_000;
        let column: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![
            Some(micros + 5),
            None,
            Some(micros),
            Some(micros - 1),
        ]));
        let mut times = Times::default();
        times.see(&column, 0..3);
        let last = "2024-03-01T05:00:00.000005Z";
        assert_eq!(times.faults(Some(first), Some(last)), Vec::<String>::new());
        let says = |listed: &str| {
            format!("the manifest says max_timestamp {listed}, but the source has 2024-03-01T05:00:00.000005+00:00")
        };
        for listed in [Some(first), Some("soon"), None] {
            let expect = [says(listed.unwrap_or("null"))];
            assert_eq!(times.faults(Some(first), listed), expect);
        }
        let nothing = Times::default();
        assert_eq!(nothing.faults(None, None), Vec::<String>::new());
        assert_eq!(nothing.faults(Some(first), None).len(), 1);
    }

    #[test]
    fn nanoseconds_are_floored_and_what_no_text_can_express_is_a_number() {
        let column: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![-1, 1_999]));
        let mut times = Times::default();
        times.see(&column, 0..2);
        let faults = times.faults(
            Some("1969-12-31T23:59:59.999999+00:00"),
            Some("1970-01-01T00:00:00.000001+00:00"),
        );
        assert_eq!(faults, Vec::<String>::new());
        let column: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![i64::MAX]));
        let mut times = Times::default();
        times.see(&column, 0..1);
        let text = format!("{}{OUT_OF_RANGE}", i64::MAX);
        assert_eq!(times.faults(Some(&text), Some(&text)), Vec::<String>::new());
    }

    #[test]
    fn each_model_has_its_column_of_moments_in_utc() {
        let schema = |name: &str, zone: Option<&str>| {
            let zone = zone.map(Into::into);
            let data_type = DataType::Timestamp(TimeUnit::Microsecond, zone);
            Schema::new(vec![Field::new(name, data_type, true)])
        };
        for (model, name, zone, expect) in [
            ("events", "timestamp", Some("UTC"), Some(0)),
            ("events", "_inserted_at", Some("UTC"), None),
            ("persons", "_inserted_at", None, Some(0)),
            ("own", "_inserted_at", Some("Etc/UTC"), Some(0)),
            ("own", "_inserted_at", Some("Europe/Berlin"), None),
            ("own", "timestamp", Some("UTC"), None),
        ] {
            assert_eq!(time_column(model, &schema(name, zone)), expect, "{model}");
        }
    }
}
