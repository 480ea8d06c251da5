//! A scripted server on loopback that answers as ClickHouse does, and in every way that an answer can break.

mod breaks;
mod refusals;
mod server;
mod statements;

use super::*;
use crate::select::EventFilter;
use crate::sql::{Query, Syntax};
use crate::supplier::TimeColumns;
use arrow::array::AsArray;
use arrow::datatypes::UInt64Type;
use batch_export_system::explain::Explain;
use server::{Answer, Server as Scripted};

/// Rows of table `t` with the columns `id` and `name`.
fn table_settings(server: &Scripted) -> ClickHouseSettings {
    let times = TimeColumns {
        arrival: Some("at".to_owned()),
        event: None,
    };
    let rows = Rows::table("db.t").expect("a table");
    let query = QuerySettings::new("orders", rows, times).expect("settings");
    ClickHouseSettings::new(&server.url(), query).expect("settings")
}

fn query_settings(server: &Scripted, text: &str) -> ClickHouseSettings {
    let query = Query::parse(text, Syntax::ClickHouse).expect("a query");
    let query = QuerySettings::new("orders", Rows::Query(query), TimeColumns::default()).expect("settings");
    ClickHouseSettings::new(&server.url(), query).expect("settings")
}

const QUERY: &str = "SELECT id, name FROM t WHERE at >= {data_interval_start} AND at < {data_interval_end}";

fn hour() -> Selection {
    let interval = Interval::parse("2023-07-28T00:00Z", "2023-07-28T01:00Z").expect("an hour");
    Selection::new(interval, EventFilter::default())
}

/// Returns what a run with these settings reads: the ids, and the warnings.
fn read(
    settings: &ClickHouseSettings,
    selection: Selection,
    token: &Token,
) -> Result<(Vec<u64>, Vec<String>), SourceError> {
    let factory = ClickHouseFactory::new(settings.clone());
    let mut source = factory.open(selection, token, &Budget::unlimited())?;
    let mut ids = Vec::new();
    while let Some(batch) = source.next_batch()? {
        let column = batch.column_by_name("id").expect("ids");
        ids.extend(column.as_primitive::<UInt64Type>().values());
    }
    let warnings = source.warnings().iter().map(Cause::in_one_text).collect();
    Ok((ids, warnings))
}

fn read_query(server: &Scripted) -> Result<(Vec<u64>, Vec<String>), SourceError> {
    read(&query_settings(server, QUERY), hour(), &Token::new())
}

#[track_caller]
fn error<T>(read: Result<T, SourceError>) -> (String, SourceErrorKind) {
    let error = read.map(|_| ()).expect_err("an error");
    let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
    (format!("{}{hint}", error.message()), error.kind())
}

#[test]
fn rows_are_read_and_what_is_not_utf8_is_repaired_and_counted() {
    let server = Scripted::new(|_| None);
    let (ids, warnings) = read_query(&server).expect("rows");
    assert_eq!(ids, [1, 2, 3, 4]);
    let [order, repaired] = &warnings[..] else {
        panic!("{warnings:?}")
    };
    assert!(order.contains("order"), "{order}");
    assert_eq!(
        repaired,
        "1 text of ClickHouse had bytes that are not UTF-8, which are U+FFFD in the files; export such columns as \
         hexadecimal digits with a query, as in hex(column)"
    );
    let seen = server.seen();
    let kinds: Vec<&str> = seen.iter().map(|request| request.kind()).collect();
    assert_eq!(kinds, ["settings", "describe", "count", "rows"]);
    for request in &seen {
        assert!(
            request
                .parameter("query_id")
                .is_some_and(|id| id.starts_with("batch-export-"))
        );
        assert_eq!(request.header("x-clickhouse-user").as_deref(), Some("default"));
    }
    let rows = &seen[3];
    assert_eq!(rows.parameter("max_block_size").as_deref(), Some("8192"));
    assert_eq!(
        rows.parameter("output_format_arrow_string_as_string").as_deref(),
        Some("0")
    );
}

#[test]
fn columns_can_be_seen_without_asking_for_a_row() {
    let server = Scripted::new(|_| None);
    let factory = ClickHouseFactory::new(query_settings(&server, QUERY));
    assert_eq!(factory.surveyed(None), None);
    let source = factory
        .open(hour(), &Token::new(), &Budget::unlimited())
        .expect("columns");
    assert_eq!(source.schema().field(1).name(), "name");
    drop(source);
    let kinds: Vec<_> = server.seen().iter().map(|request| request.kind()).collect();
    assert_eq!(kinds, ["settings", "describe"]);
}

#[test]
fn blocks_have_as_many_rows_as_their_size_allows() {
    for (sampled, expect) in [
        ("1000\t1000000", "16777"),
        ("1000\t9000", "65409"),
        ("10\t900000000", "1"),
        ("0\t0", "65409"),
    ] {
        let server = Scripted::new(move |request| match request.kind() {
            "describe" => Some(Answer::text(
                "[\"id\",\"UInt64\"]\n[\"name\",\"String\"]\n[\"at\",\"DateTime\"]\n",
            )),
            "sample" => Some(Answer::text(&format!("{sampled}\n"))),
            _ => None,
        });
        let settings = table_settings(&server);
        // The rows that the server has are others than it describes, which is not what this is about.
        error(read(&settings, hour(), &Token::new()));
        let seen = server.seen();
        let rows = seen.iter().find(|request| request.kind() == "rows").expect("rows");
        assert_eq!(rows.parameter("max_block_size").as_deref(), Some(expect), "{sampled}");
    }
}

#[test]
fn a_count_that_differs_is_resolved_by_another() {
    // Counted before, counted after, and what is said.
    for (counts, expect) in [
        ([4, 0], None),
        ([3, 4], None),
        (
            [5, 5],
            Some(
                "4 rows arrived, but it counts 5; run it again; if this repeats, the query gives other rows each time",
            ),
        ),
        (
            [3, 5],
            Some("the interval was still written to: 4 rows arrived, it counted 3 before and 5 after; run it again"),
        ),
    ] {
        let server = Scripted::new(move |request| {
            let at = usize::from(request.earlier("rows") > 0);
            (request.kind() == "count").then(|| Answer::text(&format!("{}\n", counts[at])))
        });
        match expect {
            None => assert_eq!(read_query(&server).expect("rows").0, [1, 2, 3, 4], "{counts:?}"),
            Some(expect) => {
                let (said, kind) = error(read_query(&server));
                assert!(said.starts_with(&format!("{}: {expect}", server.origin())), "{said}");
                assert_eq!(kind, SourceErrorKind::Transient);
            }
        }
    }
}

#[test]
fn a_run_that_ends_early_ends_its_query() {
    let server = Scripted::new(|request| (request.kind() == "rows").then(|| Answer::hang(server::head())));
    let token = Token::new();
    let reading = {
        let (settings, token) = (query_settings(&server, QUERY), token.clone());
        std::thread::spawn(move || error(read(&settings, hour(), &token)).1)
    };
    while !server.seen().iter().any(|request| request.kind() == "rows") {
        std::thread::sleep(Duration::from_millis(5));
    }
    let told = std::time::Instant::now();
    token.cancel();
    assert_eq!(reading.join().expect("no panic"), SourceErrorKind::Cancelled);
    assert!(told.elapsed() < Duration::from_secs(1), "{:?}", told.elapsed());
    let seen = server.seen();
    let rows = seen.iter().find(|request| request.kind() == "rows").expect("rows");
    let id = rows.parameter("query_id").expect("an id");
    let kill = seen.iter().find(|request| request.kind() == "kill").expect("a kill");
    assert_eq!(kill.sql, format!("KILL QUERY WHERE query_id = '{id}' ASYNC"));
}

#[test]
fn a_run_that_was_read_to_its_end_ends_no_query() {
    let server = Scripted::new(|_| None);
    read_query(&server).expect("rows");
    assert!(!server.seen().iter().any(|request| request.kind() == "kill"));
}

#[test]
fn settings_of_the_operator_are_sent_with_each_query() {
    let server = Scripted::new(|request| {
        let settings = format!(
            "{}{}",
            server::SETTINGS,
            server::setting("select_sequential_consistency", "0", 0)
        );
        (request.kind() == "settings").then(|| Answer::text(&settings))
    });
    let mut settings = query_settings(&server, QUERY);
    settings.set("select_sequential_consistency", "1").expect("a setting");
    settings.database = Some("a&b=c".to_owned());
    read(&settings, hour(), &Token::new()).expect("rows");
    for request in server.seen().iter().skip(1) {
        assert_eq!(request.parameter("select_sequential_consistency").as_deref(), Some("1"));
        assert_eq!(request.parameter("database").as_deref(), Some("a&b=c"));
    }
}

#[test]
fn a_password_of_any_characters_arrives_and_is_never_told() {
    for (user, password) in [
        ("reader", "p\u{e4}ss: &=%\"'\\\u{1F980}"),
        ("reader", " blanks "),
        ("re:ader", "plain"),
        ("r", "\n\r\0"),
        ("r", "Code"),
    ] {
        let refusal =
            format!("Code: 516. DB::Exception: {user}: the password `{password}` is wrong. (AUTHENTICATION_FAILED)");
        let server = Scripted::new(move |_| Some(Answer::exception(403, 516, &refusal)));
        let mut settings = query_settings(&server, QUERY);
        settings.user = Some(user.to_owned());
        settings.password = Some(Secret::new(password));
        let (said, kind) = error(read(&settings, hour(), &Token::new()));
        assert!(!said.contains(password), "{said}");
        assert_eq!(kind, SourceErrorKind::Permanent);
        assert!(!format!("{settings:?}").contains(password));
        let seen = server.seen();
        assert!(!seen[0].target.contains(password));
        assert_eq!(seen[0].credentials(), (user.to_owned(), password.to_owned()));
    }
}
