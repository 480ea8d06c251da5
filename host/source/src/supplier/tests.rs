//! Rows of a supplier that fit a model, that do not, and that belong elsewhere.

use super::*;
use crate::interval::Interval;
use crate::select::EventFilter;
use arrow::array::{Date32Array, Int32Array, Int64Array, StringArray, TimestampMillisecondArray};
use batch_export_system::explain::Explain;
use std::collections::VecDeque;

struct Given {
    schema: SchemaRef,
    batches: VecDeque<Result<RecordBatch, SourceError>>,
}

impl Supplier for Given {
    fn origin(&self) -> &str {
        "the database"
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, SourceError> {
        assert!(self.schema.index_of("panic").is_err(), "of this kind");
        self.batches.pop_front().transpose()
    }
}

fn supplied(
    model: &str,
    time_column: Option<&str>,
    selection: Selection,
    batches: Vec<Vec<(&str, ArrayRef)>>,
) -> Result<Supplied, SourceError> {
    let batches: VecDeque<RecordBatch> = batches
        .into_iter()
        .map(|columns| RecordBatch::try_from_iter(columns).expect("a batch"))
        .collect();
    let given = Given {
        schema: batches[0].schema(),
        batches: batches.into_iter().map(Ok).collect(),
    };
    let times = TimeColumns {
        arrival: time_column.map(str::to_owned),
        event: None,
    };
    Supplied::new(Box::new(given), model, &times, selection, &Token::new())
}

fn minute() -> Selection {
    let interval = Interval::parse("1970-01-01T00:00Z", "1970-01-01T00:01Z").expect("an interval");
    Selection::new(interval, EventFilter::default())
}

fn ids(source: &mut Supplied) -> Result<Vec<i64>, SourceError> {
    let mut ids = Vec::new();
    while let Some(batch) = source.next_batch()? {
        let column = compute::cast(batch.column_by_name("id").expect("ids"), &DataType::Int64).expect("integers");
        let column = column.as_any().downcast_ref::<Int64Array>().expect("integers").clone();
        ids.extend(column.values());
    }
    Ok(ids)
}

fn batch(ids: &[i32], at: &[Option<i64>]) -> Vec<(&'static str, ArrayRef)> {
    vec![
        ("id", Arc::new(Int32Array::from(ids.to_vec())) as ArrayRef),
        ("at", Arc::new(TimestampMillisecondArray::from(at.to_vec()))),
    ]
}

#[test]
fn rows_of_other_intervals_are_omitted_and_counted() {
    let batches = vec![
        batch(&[1, 2, 3], &[Some(0), Some(60_000), None]),
        batch(&[4, 5], &[Some(59_999), Some(-1)]),
    ];
    let mut source = supplied("orders", Some("at"), minute(), batches.clone()).expect("a source");
    assert_eq!(ids(&mut source).expect("rows"), [1, 4]);
    let tally = source.tally();
    assert_eq!(
        (tally.rows_read, tally.rows_outside_interval, tally.rows_without_time),
        (5, 2, 1)
    );
    assert_eq!(tally.rows_kept(), Some(2));

    let mut source = supplied("orders", None, minute(), batches).expect("a source");
    assert_eq!(ids(&mut source).expect("rows"), [1, 2, 3, 4, 5]);
    assert_eq!(source.tally().rows_kept(), Some(5));
}

#[test]
fn a_date_is_its_first_moment() {
    let days = Date32Array::from(vec![Some(-1), Some(0), Some(1), None]);
    let columns = vec![
        ("id", Arc::new(Int32Array::from(vec![1, 2, 3, 4])) as ArrayRef),
        ("day", Arc::new(days) as ArrayRef),
    ];
    let mut source = supplied("orders", Some("day"), minute(), vec![columns]).expect("a source");
    assert_eq!(ids(&mut source).expect("rows"), [2]);
}

#[test]
fn columns_that_do_not_fit_are_named_at_once() {
    let text = |name: &'static str| (name, Arc::new(StringArray::from(vec!["x"])) as ArrayRef);
    let problems = |model: &str, columns| {
        let error = supplied(model, Some("at"), minute(), vec![columns])
            .err()
            .expect("refused");
        assert_eq!(error.kind(), SourceErrorKind::Permanent);
        error.to_string()
    };
    assert_eq!(
        problems("orders", vec![text("at"), text("b")]),
        "the database: the rows do not fit the model `orders`: the time column `at` is Utf8, expected a timestamp (the \
         source's `time_column` can name a different one); the columns found are `at`, `b`"
    );
    let events = problems("events", vec![text("uuid"), text("timestamp")]);
    assert!(events.contains("column `event` (text) is missing"), "{events}");
    assert!(
        events.contains("column `timestamp` is Utf8, expected timestamp"),
        "{events}"
    );

    let doubled = Schema::new(vec![
        arrow::datatypes::Field::new("a", DataType::Utf8, true),
        arrow::datatypes::Field::new("a", DataType::Utf8, true),
    ]);
    let error = check("the database", &doubled, "orders", None, TimeOf::Arrival).expect_err("doubled");
    assert!(error.to_string().ends_with("column `a` appears twice"), "{error}");
}

#[test]
fn a_value_that_does_not_fit_is_named_by_its_row() {
    let model = Model::Persons.schema();
    let columns: Vec<(&str, ArrayRef)> = model
        .fields()
        .iter()
        .map(|field| {
            let column: ArrayRef = match field.name().as_str() {
                "team_id" => Arc::new(arrow::array::UInt64Array::from(vec![1, 2, u64::MAX])),
                _ => arrow::array::new_null_array(field.data_type(), 3),
            };
            (field.name().as_str(), column)
        })
        .collect();
    let mut source = supplied("persons", None, minute(), vec![columns]).expect("a source");
    let error = source.next_batch().expect_err("too large");
    assert!(
        error.to_string().starts_with("the database: row 3, column `team_id`: "),
        "{error}"
    );
}

#[test]
fn a_decoder_that_panics_ends_the_run_alone() {
    let columns = vec![("panic", Arc::new(Int32Array::from(vec![1])) as ArrayRef)];
    let mut source = supplied("orders", None, minute(), vec![columns]).expect("a source");
    let error = source.next_batch().expect_err("a panic");
    assert!(
        error.to_string().contains("its rows cannot be decoded: of this kind"),
        "{error}"
    );
    assert!(error.hint().is_some());
}
