//! Schemas against models. Reads no rows.

use std::sync::Arc;

use arrow::datatypes::TimeUnit;

use super::*;

fn usual(kind: ColumnKind) -> DataType {
    match kind {
        ColumnKind::Text | ColumnKind::Json => DataType::Utf8,
        ColumnKind::TextList => DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))),
        ColumnKind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnKind::Integer => DataType::Int64,
        ColumnKind::Float => DataType::Float64,
        ColumnKind::Boolean => DataType::Boolean,
    }
}

fn schema(model: &Model) -> Vec<Field> {
    model
        .columns
        .iter()
        .map(|(name, kind)| Field::new(*name, usual(*kind), true))
        .collect()
}

fn check(model: &str, fields: Vec<Field>) -> Result<(), String> {
    match check_schema(model, &Schema::new(fields)) {
        Ok(()) => Ok(()),
        Err(Failure::Data(Explanation { message, hint: Some(_) })) => Err(message),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn each_model_takes_its_own_columns_and_more() {
    for (model, columns) in [(&EVENTS, 10), (&PERSONS, 9), (&SESSIONS, 48)] {
        assert_eq!(model.columns.len(), columns);
        let mut fields = schema(model);
        assert_eq!(check(model.name, fields.clone()), Ok(()));
        fields.push(Field::new("extra", DataType::Binary, true));
        fields.reverse();
        assert_eq!(check(model.name, fields), Ok(()));
        assert!(model.columns.contains(&(model.time_column, ColumnKind::Timestamp)));
    }
}

#[test]
fn columns_that_the_operator_chose_are_not_missed_but_have_the_models_types() {
    let chosen = |fields: Vec<Field>, mark: &str| {
        let mark = [("batch_export.columns".to_owned(), mark.to_owned())];
        check_schema("events", &Schema::new_with_metadata(fields, mark)).map_err(|failure| format!("{failure:?}"))
    };
    let event = || Field::new("event", DataType::Utf8, true);
    let renamed = || Field::new("when", DataType::Date32, true);
    assert_eq!(chosen(vec![renamed(), event()], "chosen"), Ok(()));
    let wrong = chosen(vec![event(), Field::new("timestamp", DataType::Utf8, true)], "chosen");
    assert!(
        wrong.as_ref().is_err_and(|told| told.contains("`timestamp` is Utf8")),
        "{wrong:?}"
    );
    let twice = chosen(vec![event(), event()], "chosen");
    assert!(
        twice.as_ref().is_err_and(|told| told.contains("more than once")),
        "{twice:?}"
    );
    let none = chosen(Vec::new(), "chosen");
    assert!(
        none.as_ref().is_err_and(|told| told.contains("there are no columns")),
        "{none:?}"
    );
    let other = chosen(vec![event()], "all");
    assert!(
        other.as_ref().is_err_and(|told| told.contains("`uuid` is missing")),
        "{other:?}"
    );
}

#[test]
fn kinds_take_every_form_of_their_type() {
    let dictionary = |values| DataType::Dictionary(Box::new(DataType::Int32), Box::new(values));
    let stamp = |unit, zone: Option<&str>| DataType::Timestamp(unit, zone.map(Into::into));
    let list = |item| Arc::new(Field::new("item", item, true));
    let cases = [
        (ColumnKind::Text, DataType::LargeUtf8, true),
        (ColumnKind::Text, DataType::Utf8View, true),
        (ColumnKind::Json, dictionary(DataType::Utf8), true),
        (ColumnKind::Text, dictionary(DataType::Int8), false),
        (ColumnKind::Text, DataType::Binary, false),
        (
            ColumnKind::TextList,
            DataType::LargeList(list(DataType::LargeUtf8)),
            true,
        ),
        (ColumnKind::TextList, DataType::ListView(list(DataType::Utf8View)), true),
        (
            ColumnKind::TextList,
            DataType::FixedSizeList(list(DataType::Utf8), 2),
            true,
        ),
        (ColumnKind::TextList, DataType::List(list(DataType::Int64)), false),
        (ColumnKind::TextList, DataType::Utf8, false),
        (ColumnKind::Timestamp, stamp(TimeUnit::Nanosecond, None), true),
        (ColumnKind::Timestamp, stamp(TimeUnit::Second, Some("+00:00")), true),
        (
            ColumnKind::Timestamp,
            stamp(TimeUnit::Microsecond, Some("Europe/Berlin")),
            false,
        ),
        (ColumnKind::Timestamp, DataType::Date64, false),
        (ColumnKind::Integer, DataType::Int8, true),
        (ColumnKind::Integer, DataType::UInt64, true),
        (ColumnKind::Integer, DataType::Float64, false),
        (ColumnKind::Float, DataType::Float32, true),
        (ColumnKind::Float, DataType::Int64, false),
        (ColumnKind::Boolean, DataType::Boolean, true),
        (ColumnKind::Boolean, DataType::Int8, false),
    ];
    for (kind, data_type, taken) in cases {
        let field = Field::new("c", data_type, true);
        assert_eq!(kind.takes(&field), taken, "{kind:?} {field:?}");
    }
}

#[test]
fn everything_wrong_is_in_one_message() {
    let mut fields = schema(&PERSONS);
    fields.retain(|field| field.name() != "person_id");
    fields[0] = Field::new("team_id", DataType::Utf8, true);
    fields.push(Field::new("distinct_id", DataType::Utf8, true));
    fields.push(Field::new("distinct_id", DataType::Utf8, true));
    assert_eq!(
        check("persons", fields).unwrap_err(),
        "the source's columns do not fit the model `persons`: `team_id` is Utf8, not integer (Int64); `person_id` is \
         missing (string (Utf8)); `distinct_id` occurs more than once"
    );
    let mut fields = schema(&EVENTS);
    fields[7] = Field::new(
        "timestamp",
        DataType::Timestamp(TimeUnit::Second, Some("Asia/Tokyo".into())),
        true,
    );
    assert_eq!(
        check("events", fields).unwrap_err(),
        "the source's columns do not fit the model `events`: `timestamp` is Timestamp(s, \"Asia/Tokyo\"), not \
         timestamp \
         in UTC (Timestamp, µs)"
    );
    assert_eq!(
        check("invoices", vec![]).unwrap_err(),
        "the source's columns do not fit the model `invoices`: there are no columns"
    );
}

#[test]
fn unknown_models_pass_as_they_are() {
    assert!(required("invoices").is_none());
    assert_eq!(check("invoices", vec![Field::new("n", DataType::Int64, false)]), Ok(()));
}

#[test]
fn what_models_make_of_columns() {
    let cases = [
        ("events", "properties", Meaning::Json),
        ("events", "person_properties", Meaning::Json),
        ("events", "uuid", Meaning::Text),
        ("events", "timestamp", Meaning::Own),
        ("events", "extra", Meaning::Own),
        ("persons", "properties", Meaning::Json),
        ("sessions", "properties", Meaning::Own),
        ("sessions", "urls", Meaning::Own),
        ("invoices", "properties", Meaning::Own),
    ];
    for (model, name, meaning) in cases {
        let schema = Schema::new(vec![Field::new(name, DataType::Utf8, true)]);
        assert_eq!(meanings(model, &schema), [meaning], "{model} {name}");
    }
}

#[test]
fn a_uuid_will_do_where_text_is_wanted() {
    let bytes = DataType::FixedSizeBinary(16);
    let uuid = |data_type: &DataType| {
        Field::new("uuid", data_type.clone(), true)
            .with_metadata([("ARROW:extension:name".to_owned(), "arrow.uuid".to_owned())])
    };
    let keyed = DataType::Dictionary(Box::new(DataType::Int32), Box::new(bytes.clone()));
    let cases = [
        (ColumnKind::Text, uuid(&bytes), true),
        (ColumnKind::Text, uuid(&keyed), true),
        (ColumnKind::Text, uuid(&DataType::FixedSizeBinary(4)), false),
        (ColumnKind::Text, Field::new("uuid", bytes.clone(), true), false),
        (ColumnKind::Json, uuid(&bytes), false),
    ];
    for (kind, field, takes) in cases {
        assert_eq!(kind.takes(&field), takes, "{kind:?} {field:?}");
    }
}

#[test]
fn the_time_of_a_row() {
    let schema = |names: &[&str]| {
        Schema::new(
            names
                .iter()
                .map(|name| Field::new(*name, usual(ColumnKind::Timestamp), true))
                .collect::<Vec<_>>(),
        )
    };
    let both = schema(&["_inserted_at", "timestamp"]);
    let cases = [
        ("events", &both, Some(1)),
        ("persons", &both, Some(0)),
        ("sessions", &both, Some(0)),
        ("invoices", &both, Some(0)),
        ("invoices", &schema(&["timestamp"]), None),
    ];
    for (model, schema, index) in cases {
        assert_eq!(time_column(model, schema), index, "{model}");
    }
    let text = Schema::new(vec![Field::new("_inserted_at", DataType::Utf8, true)]);
    assert_eq!(time_column("invoices", &text), None);
}
