//! Names and texts that try to leave their quotes, and intervals as literals.

use crate::interval::{Interval, Moment};
use crate::postgres::settings::{PostgresServer, PostgresSettings};
use crate::postgres::statement::{self, Column, Postgres};
use crate::postgres::types::{Cast, Kind};
use crate::select::{EventFilter, Selection, TimeOf};
use crate::sql::{Dialect, Query, QuerySettings, Rows, Syntax};
use crate::supplier::TimeColumns;

fn column(name: &str, kind: Kind, cast: Cast) -> Column {
    let name = name.to_owned();
    let is_text = kind == Kind::Text && cast == Cast::None;
    Column {
        name,
        kind,
        cast,
        is_text,
    }
}

fn settings(model: &str, rows: Rows, time: Option<&str>) -> PostgresSettings {
    let times = TimeColumns {
        arrival: time.map(str::to_owned),
        event: None,
    };
    PostgresSettings::new(
        PostgresServer::default(),
        QuerySettings::new(model, rows, times).expect("settings"),
    )
}

fn day(events: EventFilter) -> Selection {
    Selection::new(
        Interval::parse("2026-01-01", "2026-01-02").expect("an interval"),
        events,
    )
}

#[test]
fn names_and_texts_do_not_leave_their_quotes() {
    assert_eq!(
        Postgres.identifier("a\"; DROP TABLE x; --").as_deref(),
        Ok("\"a\"\"; DROP TABLE x; --\"")
    );
    assert_eq!(
        Postgres.text("a'; DROP TABLE x; --\\").as_deref(),
        Ok("'a''; DROP TABLE x; --\\'")
    );
    for name in ["", "a\0b", &"x".repeat(64)] {
        Postgres.identifier(name).expect_err(name);
    }
    Postgres.text("a\0b").expect_err("a zero byte");

    let table = Rows::Table(vec!["s\"x".to_owned(), "t\"; --".to_owned()]);
    let mut settings = settings("events", table, Some("at\" OR true --"));
    settings.query.order_by = Some(vec!["a\") TO PROGRAM 'x' --".to_owned()]);
    let columns = [
        column("at\" OR true --", Kind::Timestamp { is_zoned: false }, Cast::None),
        column("a\") TO PROGRAM 'x' --", Kind::Text, Cast::Text),
        column("event", Kind::Text, Cast::None),
    ];
    let events = EventFilter::new(Some(vec!["') OR 1=1 --".to_owned()]), Vec::new());
    let copy = statement::copy(&settings, &day(events), &columns, &[]).expect("a statement");
    assert_eq!(
        copy,
        "COPY (SELECT source_rows.\"at\"\" OR true --\", source_rows.\"a\"\") TO PROGRAM 'x' --\"::pg_catalog.text, \
         source_rows.\"event\" FROM \"s\"\"x\".\"t\"\"; --\" AS source_rows WHERE source_rows.\"at\"\" OR true --\" >= \
         TIMESTAMP '2026-01-01 00:00:00.000000' AND source_rows.\"at\"\" OR true --\" < TIMESTAMP '2026-01-02 \
         00:00:00.000000' AND source_rows.\"event\" COLLATE pg_catalog.\"C\" IN (''') OR 1=1 --') ORDER BY source_rows.\"a\"\") TO \
         PROGRAM 'x' --\") TO STDOUT (FORMAT binary)"
    );
}

#[test]
fn a_query_is_on_lines_of_its_own_with_bounds_of_ours() {
    let query = "SELECT * FROM t WHERE at >= {data_interval_start} AND at < {data_interval_end} -- all";
    let rows = Rows::Query(Query::parse(query, Syntax::Postgres).expect("a query"));
    let settings = settings("orders", rows, None);
    let columns = [
        column("ip", Kind::Text, Cast::Address),
        column("ips", Kind::List(Box::new(Kind::Text)), Cast::AddressOfEach),
        column("spans", Kind::List(Box::new(Kind::Text)), Cast::TextOfEach),
    ];
    let copy = statement::copy(&settings, &day(EventFilter::default()), &columns, &[]).expect("a statement");
    assert_eq!(
        copy,
        "COPY (SELECT pg_catalog.abbrev(source_rows.\"ip\"), source_rows.\"ips\"::pg_catalog.text::pg_catalog.text[], \
         source_rows.\"spans\"::pg_catalog.text[] FROM (\nSELECT * FROM t WHERE at >= TIMESTAMPTZ '2026-01-01 \
         00:00:00.000000+00' AND at < TIMESTAMPTZ '2026-01-02 00:00:00.000000+00' -- all\n) AS source_rows) TO STDOUT \
         (FORMAT binary)"
    );
    let describing = statement::describe(&settings, &day(EventFilter::default())).expect("a statement");
    assert!(describing.starts_with("SELECT * FROM (\nSELECT"), "{describing}");
}

#[test]
fn a_table_is_ordered_by_its_key_where_the_operator_names_no_order() {
    let columns = [
        column("at", Kind::Timestamp { is_zoned: true }, Cast::None),
        column("shop", Kind::Text, Cast::None),
        column("id", Kind::Text, Cast::None),
    ];
    let key = ["shop", "at", "id"].map(str::to_owned);
    let mut settings = settings("orders", Rows::table("orders").expect("a table"), Some("at"));
    let ordered = |settings: &PostgresSettings, key: &[String]| {
        let copy = statement::copy(settings, &day(EventFilter::default()), &columns, key).expect("a statement");
        copy.split_once(" ORDER BY ").map(|(_, order)| order.to_owned())
    };
    assert_eq!(
        ordered(&settings, &key).as_deref(),
        Some("source_rows.\"at\", source_rows.\"shop\", source_rows.\"id\") TO STDOUT (FORMAT binary)")
    );
    settings.query.order_by = Some(vec!["id".to_owned()]);
    let own = ordered(&settings, &key);
    assert!(own.is_some_and(|order| order.starts_with("source_rows.\"id\")")));
    settings.query.order_by = Some(Vec::new());
    assert_eq!(ordered(&settings, &key), None);
}

#[test]
fn moments_of_no_year_are_before_or_after_all_others() {
    assert_eq!(
        Postgres.moment(Moment(0)),
        "TIMESTAMPTZ '1970-01-01 00:00:00.000000+00'"
    );
    assert_eq!(
        Postgres.moment(Moment(-1)),
        "TIMESTAMPTZ '1969-12-31 23:59:59.999999+00'"
    );
    assert_eq!(
        Postgres.moment(Moment(-62_135_596_800_000_000)),
        "TIMESTAMPTZ '0001-01-01 00:00:00.000000+00'"
    );
    assert_eq!(Postgres.moment(Moment(i64::MAX)), "TIMESTAMPTZ 'infinity'");
    assert_eq!(Postgres.moment(Moment(i64::MIN)), "TIMESTAMPTZ '-infinity'");
    assert_eq!(Postgres.beginning(), "TIMESTAMPTZ '-infinity'");
    let settings = settings("orders", Rows::table("t").expect("a table"), Some("day"));
    let columns = [column("day", Kind::Date, Cast::None)];
    let all = Selection::new(Interval::always(), EventFilter::default()).by(TimeOf::Event);
    let copy = statement::copy(&settings, &all, &columns, &[]).expect("a statement");
    let expect = "WHERE source_rows.\"day\" >= TIMESTAMP '-infinity' AND source_rows.\"day\" < TIMESTAMP 'infinity'";
    assert!(copy.contains(expect), "{copy}");
}
