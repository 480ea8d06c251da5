//! Servers that refuse, that are none, and that are something else.

use super::*;
use std::net::TcpListener;

fn refused(kind: &'static str, answer: Answer) -> (String, SourceErrorKind) {
    let server = Scripted::new(move |request| (request.kind() == kind).then(|| answer.clone()));
    let (said, kind) = error(read_query(&server));
    let said = said.strip_prefix(&format!("{}: ", server.origin())).map(str::to_owned);
    (said.expect("the server's name"), kind)
}

#[test]
fn exceptions_are_transient_or_permanent_and_say_what_to_do() {
    use SourceErrorKind::{Permanent, Transient};
    for (status, code, name, expect, meant) in [
        (
            404,
            60,
            "UNKNOWN_TABLE",
            "no (UNKNOWN_TABLE); correct the source's `table` or `query`",
            Permanent,
        ),
        (
            404,
            47,
            "UNKNOWN_IDENTIFIER",
            "no (UNKNOWN_IDENTIFIER); correct the source's `query`",
            Permanent,
        ),
        (
            403,
            516,
            "AUTHENTICATION_FAILED",
            "no (AUTHENTICATION_FAILED); correct the source's `user` and `password`",
            Permanent,
        ),
        (
            403,
            497,
            "ACCESS_DENIED",
            "no (ACCESS_DENIED); grant the user SELECT on the table",
            Permanent,
        ),
        (
            500,
            164,
            "READONLY",
            "no (READONLY); the user may not change this setting",
            Permanent,
        ),
        (
            500,
            202,
            "TOO_MANY_SIMULTANEOUS_QUERIES",
            "no (TOO_MANY_SIMULTANEOUS_QUERIES); let fewer queries run",
            Transient,
        ),
        (
            500,
            241,
            "MEMORY_LIMIT_EXCEEDED",
            "no (MEMORY_LIMIT_EXCEEDED); let the administrator raise",
            Transient,
        ),
        (500, 210, "NETWORK_ERROR", "no (NETWORK_ERROR)", Transient),
        (500, 999, "KEEPER_EXCEPTION", "no (KEEPER_EXCEPTION)", Transient),
        (500, 394, "QUERY_WAS_CANCELLED", "no (QUERY_WAS_CANCELLED)", Transient),
        (
            500,
            395,
            "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO",
            "no (FUNCTION_THROW",
            Permanent,
        ),
    ] {
        let text = format!("Code: {code}. DB::Exception: no. ({name}) (version 26.9.2.1 (official build))\n");
        for step in ["settings", "describe", "count", "rows"] {
            let (said, kind) = refused(step, Answer::exception(status, code, &text));
            assert!(said.starts_with(expect), "{said}");
            assert_eq!(kind, meant, "{code}");
        }
    }
}

#[test]
fn an_exception_in_an_answer_that_had_begun_well_is_one() {
    let text = "Code: 241. DB::Exception: Memory. (MEMORY_LIMIT_EXCEEDED) (version 24.8.1.1)\n";
    for (step, before) in [
        ("settings", server::SETTINGS),
        ("describe", "[\"id\",\"UInt64\"]\n"),
        ("count", "4\n"),
    ] {
        let (said, kind) = refused(step, Answer::text(&format!("{before}{text}")));
        assert!(said.starts_with("Memory (MEMORY_LIMIT_EXCEEDED)"), "{step}: {said}");
        assert_eq!(kind, SourceErrorKind::Transient, "{step}");
    }
}

#[test]
fn a_mistake_in_a_query_is_shown_with_a_caret() {
    let server = Scripted::new(|request| {
        let position = request.sql.find("FRM").map_or(0, |at| at + 1);
        let text = format!(
            "Code: 62. DB::Exception: Syntax error: failed at position {position} (FRM) (line 2, col 12): FRM t. Expected \
             one of: FROM. (SYNTAX_ERROR) (version 26.9.2.1)\n"
        );
        (request.kind() == "describe").then(|| Answer::exception(400, 62, &text))
    });
    let text = "SELECT id, 'é'\n  FRM t\nWHERE at >= {data_interval_start} AND at < {data_interval_end}";
    let error = read(&query_settings(&server, text), hour(), &Token::new()).expect_err("a mistake");
    assert_eq!(
        error.message(),
        format!("{}: Syntax error (SYNTAX_ERROR)", server.origin())
    );
    assert_eq!(error.excerpt().as_deref(), Some("  FRM t\n  ^"));
    assert_eq!(error.hint().as_deref(), Some("correct the source's `query`"));
    assert_eq!(error.kind(), SourceErrorKind::Permanent);
}

#[test]
fn what_is_not_clickhouse_is_told_apart() {
    use SourceErrorKind::{Permanent, Transient};
    let page = "<html>\n<head><title>502 Bad Gateway</title></head><body>nginx</body></html>";
    for (answer, expect, meant) in [
        (
            Answer::with("200 OK", "Content-Type: text/html\r\n", page),
            "its answer is not ClickHouse's (HTTP status 200): 502 Bad Gateway nginx; check that the source's `url`",
            Permanent,
        ),
        (
            Answer::with("502 Bad Gateway", "", page),
            "its answer is not ClickHouse's (HTTP status 502): 502 Bad Gateway nginx; check that the server behind",
            Transient,
        ),
        (
            Answer::with("503 Unavailable", "", ""),
            "its answer is not ClickHouse's (HTTP status 503); check",
            Transient,
        ),
        (
            Answer::with("429 Slow Down", "", ""),
            "its answer is not ClickHouse's (HTTP status 429)",
            Transient,
        ),
        (
            Answer::with("404 Not Found", "", "no"),
            "its answer is not ClickHouse's (HTTP status 404): no",
            Permanent,
        ),
        (
            Answer::with("302 Found", "Location: https://login.example.com/\r\n", ""),
            "it redirects to https://login.example.com/ (302); write the address of the server itself",
            Permanent,
        ),
        (
            Answer::with(
                "400 Bad Request",
                "",
                "Port 9000 is for clickhouse-client program\r\nYou must use port 8123 for HTTP.\r\n",
            ),
            "its answer is not ClickHouse's (HTTP status 400): Port 9000 is for clickhouse-client program You must use port 8123 for HTTP.",
            Permanent,
        ),
        (
            Answer::text("Ok.\n"),
            "its answer is not ClickHouse's: it does not tell its settings",
            Permanent,
        ),
        (
            Answer::raw("SSH-2.0-OpenSSH_9.2\r\n"),
            "it does not speak HTTP",
            Permanent,
        ),
        (
            Answer::with(
                "200 OK",
                &"X-ClickHouse-Progress: {\"read_rows\":\"1\"}\r\n".repeat(500),
                "",
            ),
            "its answer has more headers than are read; let the administrator set send_progress_in_http_headers = 0",
            Permanent,
        ),
        (
            Answer::with(
                "200 OK",
                &format!("X-ClickHouse-Summary: {}\r\n", "x".repeat(1 << 20)),
                "",
            ),
            "its answer has more headers than are read",
            Permanent,
        ),
    ] {
        let (said, kind) = refused("settings", answer);
        assert!(said.starts_with(expect), "{said}");
        assert_eq!(kind, meant, "{said}");
    }
}

#[test]
fn a_long_error_is_read_in_part_and_told_in_part() {
    let text = format!(
        "Code: 47. DB::Exception: {}. (UNKNOWN_IDENTIFIER)",
        "x".repeat(10 << 20)
    );
    let (said, _) = refused("describe", Answer::exception(404, 47, &text));
    assert!(said.len() < 1_000, "{}", said.len());
}

#[test]
fn a_server_that_is_not_there_is_transient() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let query = Query::parse(QUERY, Syntax::ClickHouse).expect("a query");
    let query = QuerySettings::new("orders", Rows::Query(query), TimeColumns::default()).expect("settings");
    let at = |url: &str| {
        let settings = ClickHouseSettings::new(url, query.clone()).expect("settings");
        error(read(&settings, hour(), &Token::new()))
    };
    let (said, kind) = at(&format!("http://{address}"));
    assert!(
        said.contains("nothing listens there (connection refused); check host and port"),
        "{said}"
    );
    assert_eq!(kind, SourceErrorKind::Transient);
    let (said, kind) = at("http://no-such-host.invalid:8123");
    assert!(said.contains("no connection"), "{said}");
    assert_eq!(kind, SourceErrorKind::Transient);
    let plain = Scripted::new(|_| None);
    let (said, kind) = at(&plain.url().replace("http:", "https:"));
    assert!(
        said.contains("it speaks plain HTTP; write http:// in place of https://"),
        "{said}"
    );
    assert_eq!(kind, SourceErrorKind::Permanent);
}

#[test]
fn urls_that_hold_a_password_or_parameters_are_refused_without_repeating_them() {
    for (url, expect) in [
        (
            "https://u:s3cret@h:8443",
            "a URL must not hold user and password, which would be seen in logs",
        ),
        ("https://h:8443/?password=s3cret", "it has parameters"),
        ("tcp://s3cret:9000", "not the URL of an HTTP interface"),
        ("s3cret", "not a URL (relative URL without a base)"),
    ] {
        let cause = ClickHouseSettings::check_url(url).expect_err(url);
        assert_eq!(cause.message(), expect);
        assert!(!cause.in_one_text().contains("s3cret"));
    }
    assert!(ClickHouseSettings::check_rows(&Rows::table("a.b.c").expect("a name")).is_err());
}
