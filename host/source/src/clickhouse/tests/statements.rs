//! The statements as they are sent: bounds of every type of time, event lists, and names that try to leave their
//! quotes.

use super::*;
use crate::clickhouse::statement::aliases;

fn columns(described: &[(&str, &str)]) -> Vec<Column> {
    let line = |(name, written): &(&str, &str)| format!("{}\n", serde_json::json!([name, written]));
    let answer: String = described.iter().map(line).collect();
    describe::columns(answer.as_bytes()).expect("columns")
}

fn table(model: &str, name: &str) -> QuerySettings {
    let times = TimeColumns {
        arrival: Some("at".to_owned()),
        event: None,
    };
    QuerySettings::new(model, Rows::table(name).expect("a table"), times).expect("settings")
}

fn between(start: &str, end: &str) -> Selection {
    Selection::new(
        Interval::parse(start, end).expect("an interval"),
        EventFilter::default(),
    )
}

#[test]
fn an_interval_is_asked_for_in_the_columns_own_type() {
    let day = ("2023-07-28", "2023-07-29");
    let late = ("2023-07-28T00:00:00.000001Z", "2300-01-01");
    for (written, (start, end), expect) in [
        (
            "DateTime('Asia/Tokyo')",
            day,
            "`at` >= toDateTime64('2023-07-28 00:00:00.000000', 6, 'UTC') AND `at` < toDateTime64('2023-07-29 \
             00:00:00.000000', 6, 'UTC')",
        ),
        (
            "DateTime64(3)",
            late,
            "`at` >= toDateTime64('2023-07-28 00:00:00.000001', 6, 'UTC')",
        ),
        (
            "Nullable(DateTime64(9, 'UTC'))",
            ("START", "2023-07-29"),
            "`at` < toDateTime64('2023-07-29 00:00:00.000000', 6, 'UTC')",
        ),
        (
            "DateTime64(9)",
            ("2200-01-01", "2270-01-01"),
            "`at` >= toDateTime64('2200-01-01 00:00:00.000000', 6, 'UTC')",
        ),
        (
            "DateTime64(3)",
            ("1000-01-01", "1001-01-01"),
            "`at` < toDateTime64('1900-01-01 00:00:00.000000', 6, 'UTC')",
        ),
        (
            "Date",
            day,
            "`at` >= toDate('2023-07-28') AND `at` < toDate('2023-07-29')",
        ),
        // A date is its first moment: an hour in its middle has none.
        (
            "Date32",
            ("2023-07-28T10:00Z", "2023-07-28T11:00Z"),
            "`at` >= toDate32('2023-07-29') AND `at` < toDate32('2023-07-29')",
        ),
        ("LowCardinality(Date)", ("1950-01-01", "2200-01-01"), ""),
        (
            "SimpleAggregateFunction(max, Nullable(Date))",
            ("START", "2023-07-29"),
            "`at` < toDate('2023-07-29')",
        ),
        ("Date", ("1950-01-01", "1960-01-01"), "`at` < toDate('1970-01-01')"),
        ("String", day, ""),
    ] {
        let columns = columns(&[("id", "UInt64"), ("at", written)]);
        let statements = Statements::new(&table("orders", "t"), &columns, &between(start, end)).expect("statements");
        let condition = if expect.is_empty() {
            String::new()
        } else {
            format!("\nWHERE {expect}")
        };
        assert_eq!(
            statements.count(),
            format!("SELECT count()\nFROM `t`{condition}\nFORMAT TabSeparated"),
            "{written}"
        );
    }
}

#[test]
fn rows_are_asked_for_with_casts_aliases_and_an_order() {
    let columns = columns(&[
        ("uuid", "UUID"),
        ("event", "Enum8('a' = 1)"),
        ("c0", "DateTime"),
        ("at", "DateTime"),
    ]);
    let mut selection = between("START", "2023-07-29");
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    selection.events = EventFilter::new(Some(list(&["a", "it's\\"])), list(&["b"]));
    let statements = Statements::new(&table("events", "db.t"), &columns, &selection).expect("statements");
    assert_eq!(
        statements.rows(),
        "SELECT CAST(`uuid`, 'String') AS c_0, CAST(`event`, 'String') AS c_1, CAST(`c0`, 'DateTime64(0, \\'UTC\\')') AS \
         c_2, CAST(`at`, 'DateTime64(0, \\'UTC\\')') AS c_3\nFROM `db`.`t`\nWHERE `at` < toDateTime64('2023-07-29 \
         00:00:00.000000', 6, 'UTC') AND CAST(`event`, 'String') IN ('a', 'it\\'s\\\\') AND (CAST(`event`, 'String') IS \
         NULL OR CAST(`event`, 'String') NOT IN ('b'))\nORDER BY `at`, `uuid`\nFORMAT ArrowStream"
    );
    assert_eq!(aliases(&columns), ["c_0", "c_1", "c_2", "c_3"]);
}

#[test]
fn a_query_stays_on_lines_of_its_own() {
    let server = Scripted::new(|_| None);
    let text = format!("{QUERY} -- the end {{");
    read(&query_settings(&server, &text), hour(), &Token::new()).expect("rows");
    let seen = server.seen();
    let inner = "(\nSELECT id, name FROM t WHERE at >= toDateTime64('2023-07-28 00:00:00.000000', 6, 'UTC') AND at < \
                 toDateTime64('2023-07-28 01:00:00.000000', 6, 'UTC') -- the end {\n)";
    assert_eq!(
        seen[1].sql,
        format!("DESCRIBE TABLE {inner}\nFORMAT JSONCompactEachRow")
    );
    assert_eq!(
        seen[3].sql,
        format!("SELECT CAST(`id`, 'UInt64') AS c0, CAST(`name`, 'String') AS c1\nFROM {inner}\nFORMAT ArrowStream")
    );
}

#[test]
fn an_order_by_a_column_that_is_not_there_is_told() {
    let mut settings = table("orders", "t");
    settings.order_by = Some(vec!["at".to_owned(), "idd".to_owned()]);
    let columns = columns(&[("id", "UInt64"), ("at", "DateTime")]);
    let cause = Statements::new(&settings, &columns, &between("START", "2023-07-29")).expect_err("refused");
    assert_eq!(
        cause.in_one_text(),
        "order_by names `idd`, which the rows do not have; use the names of columns: `id`, `at`"
    );
}

/// What is left of a statement when the texts and names in quotes are taken out, as ClickHouse reads them.
fn outside(statement: &str) -> String {
    let mut outside = String::new();
    let mut chars = statement.chars().peekable();
    while let Some(c) = chars.next() {
        if !matches!(c, '\'' | '`') {
            outside.push(c);
            continue;
        }
        outside.push('?');
        loop {
            match chars.next().expect("a closed quote") {
                '\\' => drop(chars.next()),
                end if end == c => match chars.next_if_eq(&c) {
                    Some(_) => {}
                    None => break,
                },
                _ => {}
            }
        }
    }
    outside
}

#[test]
fn no_name_and_no_text_leaves_its_quotes() {
    let hostile = [
        "a",
        "`",
        "\\`",
        "\\",
        "``",
        "'",
        "\\'",
        "\"",
        "\n",
        "\0",
        "/*",
        "-- ",
        ";",
        "') FROM x --",
        "`) FROM x --",
        "\\\\`",
        "{a}",
        "é\u{1F980}",
    ];
    for name in hostile {
        let enum_type = format!("Enum8({} = 1)", names::quoted(name, '\''));
        let tuple_type = format!("Tuple({} DateTime)", names::quoted(name, '`'));
        let columns = columns(&[
            ("uuid", "UUID"),
            ("event", "String"),
            (name, &tuple_type),
            ("e", &enum_type),
            ("at", "DateTime"),
        ]);
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        let mut settings = table("events", &format!("db.{quoted}"));
        settings.order_by = Some(vec![name.to_owned()]);
        let mut selection = between("START", "2023-07-29");
        selection.events = EventFilter::new(Some(vec![name.to_owned()]), vec![name.to_owned()]);
        let statements = Statements::new(&settings, &columns, &selection).expect("statements");
        let prefix = aliases(&columns)[0].trim_end_matches('0').to_owned();
        let at = "?";
        let list: Vec<String> = (0..5)
            .map(|index| format!("CAST({at}, ?) AS {prefix}{index}"))
            .collect();
        assert_eq!(
            outside(&statements.rows()),
            format!(
                "SELECT {}\nFROM ?.?\nWHERE ? < toDateTime64(?, 6, ?) AND ? IN (?) AND (? IS NULL OR ? NOT IN (?))\nORDER BY \
                 ?\nFORMAT ArrowStream",
                list.join(", ")
            ),
            "{name:?}"
        );
    }
}
