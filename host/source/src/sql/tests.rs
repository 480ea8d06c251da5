//! Queries with good and bad places for an interval, and text that tries to leave its quotes.

use super::*;
use batch_export_system::explain::Explain;

/// A dialect with the quotes of the standard.
struct Standard;

impl Dialect for Standard {
    fn identifier(&self, name: &str) -> Result<String, Cause> {
        Ok(format!("\"{}\"", name.replace('"', "\"\"")))
    }

    fn text(&self, text: &str) -> Result<String, Cause> {
        Ok(format!("'{}'", text.replace('\'', "''")))
    }

    fn moment(&self, moment: Moment) -> String {
        format!("TIMESTAMP '{moment}'")
    }

    fn beginning(&self) -> String {
        "TIMESTAMP '-infinity'".to_owned()
    }
}

fn with(text: &str, syntax: Syntax) -> Result<String, String> {
    match Query::parse(text, syntax) {
        Ok(query) => Ok(query.with("A", "B")),
        Err(cause) => Err(cause.in_one_text()),
    }
}

#[test]
fn bounds_take_the_places_of_their_names_in_code_alone() {
    let range = "at >= {data_interval_start} AND at < {data_interval_end}";
    for (text, expect) in [
        (format!("SELECT 1 WHERE {range}"), "SELECT 1 WHERE at >= A AND at < B"),
        (
            format!("SELECT 1 WHERE {range} ; -- the end\n"),
            "SELECT 1 WHERE at >= A AND at < B  -- the end",
        ),
        (
            format!("SELECT '{{1,2}}', $${{x}}$$ WHERE {range}"),
            "SELECT '{1,2}', $${x}$$ WHERE at >= A AND at < B",
        ),
        (
            format!("SELECT ';' -- a; {{b}}\nWHERE {range}"),
            "SELECT ';' -- a; {b}\nWHERE at >= A AND at < B",
        ),
        (
            format!("SELECT 'it''s', \"a;b\" WHERE {range}"),
            "SELECT 'it''s', \"a;b\" WHERE at >= A AND at < B",
        ),
        (
            format!("SELECT /* /* ; */ */ 1 WHERE {range}"),
            "SELECT /* /* ; */ */ 1 WHERE at >= A AND at < B",
        ),
        (
            format!("SELECT '\\' WHERE {range}"),
            "SELECT '\\' WHERE at >= A AND at < B",
        ),
        (
            format!("SELECT E'\\';' WHERE {range}"),
            "SELECT E'\\';' WHERE at >= A AND at < B",
        ),
        (
            "SELECT {ts: 1}, { data_interval_start }, {data_interval_end}".to_owned(),
            "SELECT {ts: 1}, A, B",
        ),
        (
            "SELECT a$b, $1, $tag$ ; ' $tag$".to_owned(),
            "SELECT a$b, $1, $tag$ ; ' $tag$",
        ),
    ] {
        assert_eq!(with(&text, Syntax::Postgres).as_deref(), Ok(expect), "{text}");
    }
    for (text, expect) in [
        (
            "SELECT 'it\\'s; ' # a; comment\n, 1",
            "SELECT 'it\\'s; ' # a; comment\n, 1",
        ),
        ("SELECT {id:UInt64}, {'a': 1}", "SELECT {id:UInt64}, {'a': 1}"),
        ("SELECT 1 /* /* */", "SELECT 1 /* /* */"),
    ] {
        assert_eq!(with(text, Syntax::ClickHouse).as_deref(), Ok(expect), "{text}");
    }
}

#[test]
fn what_is_wrong_with_a_query_is_said() {
    for (text, expect) in [
        ("", "it is empty; write a query, as in SELECT * FROM orders"),
        (
            " -- nothing\n;",
            "it is empty; write a query, as in SELECT * FROM orders",
        ),
        ("SELECT 1; SELECT 2", "it has more than one statement; write one query"),
        (
            "SELECT 1; DROP TABLE a",
            "it has more than one statement; write one query",
        ),
        (
            "SELECT {Data_Interval_End}",
            "`{Data_Interval_End}` stands for nothing; use `{data_interval_start}` and `{data_interval_end}`",
        ),
        (
            "SELECT {day}",
            "`{day}` stands for nothing; use `{data_interval_start}` and `{data_interval_end}`",
        ),
        (
            "SELECT '{data_interval_start}'",
            "`{data_interval_start}` is in quotes; write {data_interval_start} without quotes: a literal with its type takes \
             its place",
        ),
        (
            "SELECT {data_interval_end}",
            "it has `{data_interval_end}` but not `{data_interval_start}`, so that different intervals would export the same \
             rows; use `{data_interval_start}` as well: an interval includes its start and excludes its end",
        ),
        (
            "SELECT {data_interval_start} -- {data_interval_end}",
            "it has `{data_interval_start}` but not `{data_interval_end}`, so that different intervals would export the same \
             rows; use `{data_interval_end}` as well: an interval includes its start and excludes its end",
        ),
        ("SELECT 1,\n 'abc", "the quote `'` in line 2 is not closed; close it"),
        ("SELECT \"abc", "the quote `\"` in line 1 is not closed; close it"),
        ("SELECT $a$ $b$", "the quote `$a$` in line 1 is not closed; close it"),
        ("SELECT /* a", "the comment in line 1 is not closed; close it"),
    ] {
        assert_eq!(with(text, Syntax::Postgres), Err(expect.to_owned()), "{text}");
    }
}

#[test]
fn tables_are_named_as_the_database_stores_them() {
    for (name, expect) in [
        ("orders", vec!["orders"]),
        ("public.Orders", vec!["public", "Orders"]),
        (" \"a.b\".\"say \"\"x\"\"\" ", vec!["a.b", "say \"x\""]),
        ("a.b.c", vec!["a", "b", "c"]),
        ("größe.número", vec!["größe", "número"]),
    ] {
        let expect = Rows::Table(expect.into_iter().map(str::to_owned).collect());
        assert_eq!(Rows::table(name), Ok(expect), "{name}");
    }
    for name in [
        "",
        ".",
        "a.",
        "a b",
        "a;b",
        "a.b.c.d",
        "\"a",
        "\"a\"b",
        "(SELECT 1)",
        "a'b",
        "\"\"",
    ] {
        let cause = Rows::table(name).expect_err(name);
        assert!(cause.hint().is_some(), "{name}");
    }
}

#[test]
fn rows_need_something_that_says_their_interval() {
    let table = || Rows::table("orders").expect("a table");
    let query = |text: &str| Rows::Query(Query::parse(text, Syntax::Postgres).expect("a query"));
    let at = || TimeColumns {
        arrival: Some("at".to_owned()),
        event: None,
    };
    let bounded = || query("SELECT {data_interval_start}, {data_interval_end}");
    QuerySettings::new("orders", table(), at()).expect("by time");
    QuerySettings::new("orders", query("SELECT 1"), at()).expect("by time");
    QuerySettings::new("orders", bounded(), TimeColumns::default()).expect("by itself");
    QuerySettings::new("orders", table(), TimeColumns::default()).expect_err("by nothing");
    QuerySettings::new("orders", query("SELECT 1"), TimeColumns::default()).expect_err("by nothing");

    // What a backfill asks a query with bounds for is what it gets: no other column decides then.
    let timed = QuerySettings::new("events", bounded(), at()).expect("by itself");
    assert_eq!(timed.time_column_of(TimeOf::Event), Some("at"));
    let both = TimeColumns {
        event: Some("happened".to_owned()),
        ..at()
    };
    let cause = QuerySettings::new("orders", bounded(), both.clone()).expect_err("twice");
    assert!(
        cause
            .to_string()
            .starts_with("backfill_time_column has no effect: the query says"),
        "{cause}"
    );
    QuerySettings::new("orders", query("SELECT 1"), both).expect("by time");

    let order = |settings: &QuerySettings, by| settings.order_of(by).join(",");
    let mut settings = QuerySettings::new("events", table(), at()).expect("by time");
    assert_eq!(order(&settings, TimeOf::Arrival), "at,uuid");
    assert_eq!(order(&settings, TimeOf::Event), "timestamp,uuid");
    assert_eq!(settings.caution(), None);
    settings.order_by = Some(vec!["id".to_owned()]);
    assert_eq!(order(&settings, TimeOf::Event), "id");
    settings.order_by = Some(Vec::new());
    assert_eq!(order(&settings, TimeOf::Event), "");
    assert!(settings.caution().is_some());
    let by_time = QuerySettings::new("orders", table(), at()).expect("by time");
    assert!(
        by_time
            .caution()
            .is_some_and(|told| told.to_string().starts_with("rows are ordered by `at` alone"))
    );
    let unordered = QuerySettings::new("events", bounded(), TimeColumns::default()).expect("by itself");
    assert!(unordered.caution().is_some());
}

#[test]
fn event_names_do_not_leave_their_quotes() {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let condition = |include: Option<&[&str]>, exclude: &[&str]| {
        let filter = EventFilter::new(include.map(list), list(exclude));
        events(&Standard, "e", &filter).expect("a condition")
    };
    assert_eq!(condition(None, &[]), None);
    assert_eq!(condition(Some(&[]), &[]).as_deref(), Some("1 = 0"));
    assert_eq!(condition(Some(&["b", "a"]), &[]).as_deref(), Some("e IN ('a', 'b')"));
    assert_eq!(
        condition(None, &["') OR 1=1 --"]).as_deref(),
        Some("(e IS NULL OR e NOT IN (''') OR 1=1 --'))")
    );
    assert_eq!(
        condition(Some(&["a"]), &["b"]).as_deref(),
        Some("e IN ('a') AND (e IS NULL OR e NOT IN ('b'))")
    );
}

#[test]
fn a_caret_points_at_the_mistake() {
    assert_eq!(caret("SELECT FRM x", 8), "SELECT FRM x\n       ^");
    assert_eq!(caret("SELECT *\nFROM (\n  größe,, x\n)", 25), "  größe,, x\n        ^");
    let long = format!("{}!", "x".repeat(500));
    let shown = caret(&long, 501);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].ends_with('!') && lines[0].len() == lines[1].len(), "{shown}");
    assert_eq!(caret("a", 99), "a\n ^");
}
