//! Sample rows: the same for the same interval, of the models' columns, and spread over time as asked.

use arrow::array::{Array, AsArray};
use arrow::compute::concat_batches;
use arrow::datatypes::TimestampMicrosecondType;

use super::*;
use crate::EventFilter;
use crate::interval::Interval;

fn rows(model: Model, rate: u64, start: &str, end: &str) -> RecordBatch {
    filtered(model, rate, start, end, EventFilter::default()).0
}

fn filtered(model: Model, rate: u64, start: &str, end: &str, events: EventFilter) -> (RecordBatch, Tally) {
    let interval = Interval::parse(start, end).expect("an interval");
    let mut source = Sample::new(model, rate, Selection::new(interval, events), &Token::new());
    let mut batches = Vec::new();
    while let Some(batch) = source.next_batch().expect("rows") {
        batches.push(batch);
    }
    (
        concat_batches(&source.schema(), &batches).expect("one schema"),
        source.tally(),
    )
}

#[test]
fn the_same_interval_gives_the_same_rows_and_neighbours_join_without_a_seam() {
    for model in Model::ALL {
        for rate in [1, 7, 10_000] {
            let both = rows(model, rate, "2024-03-01T00:00Z", "2024-03-01T03:17:05.000003Z");
            let again = rows(model, rate, "2024-03-01T00:00Z", "2024-03-01T03:17:05.000003Z");
            assert_eq!(both, again);
            let first = rows(model, rate, "2024-03-01T00:00Z", "2024-03-01T01:00:00.000001Z");
            let second = rows(
                model,
                rate,
                "2024-03-01T01:00:00.000001Z",
                "2024-03-01T03:17:05.000003Z",
            );
            let joined = concat_batches(&both.schema(), [&first, &second]).expect("one schema");
            assert_eq!(joined, both, "{} at {rate} rows an hour", model.name());
        }
    }
}

#[test]
fn an_hour_has_its_rows_and_all_their_times_lie_inside() {
    for model in Model::ALL {
        for rate in [1, 3, 7_200, 12_345] {
            let batch = rows(model, rate, "2024-03-01T05:00Z", "2024-03-01T06:00Z");
            assert_eq!(batch.num_rows() as u64, rate, "{}", model.name());
            let bounds = 1_709_269_200_000_000..1_709_272_800_000_000_i64;
            let times = match model {
                Model::Events => vec!["timestamp", "created_at", "_inserted_at"],
                Model::Persons | Model::Sessions => vec!["_inserted_at"],
            };
            for name in times {
                let column = batch.column_by_name(name).expect(name);
                let column = column.as_primitive::<TimestampMicrosecondType>();
                assert_eq!(column.null_count(), 0);
                assert!(column.values().iter().all(|time| bounds.contains(time)), "{name}");
                assert!(column.values().is_sorted(), "{name}");
            }
        }
    }
}

#[test]
fn events_are_of_realistic_size_and_their_properties_are_json() {
    let batch = rows(Model::Events, 2_000, "2024-03-01T05:00Z", "2024-03-01T06:00Z");
    let mut bytes = 0;
    for column in batch.columns() {
        bytes += column.to_data().get_slice_memory_size().expect("a size");
    }
    let each = bytes / batch.num_rows();
    assert!((800..1_100).contains(&each), "{each} bytes a row");
    for name in ["properties", "person_properties"] {
        let column = batch.column_by_name(name).expect(name).as_string::<i32>();
        for text in column.iter().flatten() {
            serde_json::from_str::<serde_json::Value>(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        }
    }
    assert!(batch.column_by_name("person_properties").expect("it").null_count() > 0);
    let ids = batch.column_by_name("uuid").expect("ids").as_string::<i32>();
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
}

#[test]
fn event_lists_leave_rows_out_and_count_them() {
    let all = rows(Model::Events, 1_000, "2024-03-01T05:00Z", "2024-03-01T06:00Z");
    let events = EventFilter::new(
        Some(vec!["$pageview".into(), "$exception".into()]),
        vec!["$exception".into()],
    );
    let (some, tally) = filtered(Model::Events, 1_000, "2024-03-01T05:00Z", "2024-03-01T06:00Z", events);
    let expected: Vec<_> = all
        .column(1)
        .as_string::<i32>()
        .iter()
        .map(|name| Some(name == Some("$pageview")))
        .collect();
    let expected = arrow::compute::filter_record_batch(&all, &expected.into()).expect("rows");
    assert_eq!(some, expected);
    assert_eq!(tally.rows_of_other_events as usize, all.num_rows() - some.num_rows());
}
