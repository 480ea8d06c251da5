//! Rows that are selected by the time of their arrival, or by that of the event.

use super::*;

/// Row 1 happened in the hour and arrived in it, row 2 happened in it, row 3 arrived in it.
const ORDERS: &str = r#"{"arrived":"2024-03-01T05:10:00Z","happened":"2024-03-01T05:09:00Z","n":1}
{"arrived":"2024-03-01T06:10:00Z","happened":"2024-03-01T05:59:00Z","n":2}
{"arrived":"2024-03-01T05:01:00Z","happened":"2024-03-01T04:59:00Z","n":3}
"#;

fn orders(folder: &TempDir, backfill_time_column: Option<&str>) -> FilesSettings {
    put(folder, "orders.jsonl", ORDERS);
    FilesSettings {
        model: "orders".to_owned(),
        time_column: "arrived".to_owned(),
        backfill_time_column: backfill_time_column.map(str::to_owned),
        ..settings(folder.path(), "orders.jsonl")
    }
}

fn selected(settings: &FilesSettings, by: TimeOf) -> RecordBatch {
    drain(&mut open(settings, selection(START, END).by(by)).expect("files"))
}

#[test]
fn a_row_belongs_to_the_interval_by_the_time_that_is_asked_for() {
    let folder = folder();
    let numbers = |settings: &FilesSettings, by| {
        let rows = selected(settings, by);
        let column = rows.column_by_name("n").expect("a column");
        let column = column.as_primitive::<arrow::datatypes::Int64Type>();
        column.values().to_vec()
    };
    let both = orders(&folder, Some("happened"));
    assert_eq!(numbers(&both, TimeOf::Arrival), [1, 3]);
    assert_eq!(numbers(&both, TimeOf::Event), [1, 2]);
    let one = orders(&folder, None);
    assert_eq!(numbers(&one, TimeOf::Event), [1, 3]);
}

#[test]
fn the_columns_are_the_same_whichever_time_selects() {
    let folder = folder();
    let settings = orders(&folder, Some("happened"));
    let by_arrival = selected(&settings, TimeOf::Arrival).schema();
    assert_eq!(selected(&settings, TimeOf::Event).schema(), by_arrival);
    for name in ["arrived", "happened"] {
        let field = by_arrival.field_with_name(name).expect("a column");
        assert!(matches!(field.data_type(), DataType::Timestamp(..)), "{field}");
    }
}

#[test]
fn row_groups_are_pruned_by_the_column_that_selects() {
    let folder = folder();
    let rows = sample(Model::Events, "2024-03-01T03:00Z", "2024-03-01T08:00Z");
    put(&folder, "a.parquet", parquet(&rows, 250));
    let settings = settings(folder.path(), "a.parquet");
    let micros = |column: &str, rows: &RecordBatch| {
        let times = rows.column_by_name(column).expect("a column");
        crate::select::timestamps(times, TimeUnit::Microsecond).to_vec()
    };
    let hour = Interval::parse(START, END).expect("an interval");
    for (by, column) in [(TimeOf::Arrival, "_inserted_at"), (TimeOf::Event, "timestamp")] {
        let expect: Vec<i64> = micros(column, &rows);
        let expect = expect.iter().filter(|at| hour.contains(crate::Moment(**at))).count();
        let mut files = open(&settings, selection(START, END).by(by)).expect("files");
        assert_eq!(drain(&mut files).num_rows(), expect, "{column}");
        assert!(expect > 400 && files.tally().row_groups_pruned > 0, "{column}");
    }
}

#[test]
fn a_column_of_backfills_that_is_not_there_is_named_by_its_own_key() {
    let folder = folder();
    let settings = orders(&folder, Some("hapened"));
    assert_eq!(selected(&settings, TimeOf::Arrival).num_rows(), 2);
    let error = open(&settings, selection(START, END).by(TimeOf::Event))
        .err()
        .expect("an error");
    let said = error.to_string();
    assert!(
        said.contains("the time column `hapened` is missing (the source's `backfill_time_column` can name a different"),
        "{said}"
    );
}
