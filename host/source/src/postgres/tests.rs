//! Rows from a server of ours that says what a test wants, whole and cut at every byte.

mod fake;
mod statements;
mod values;

use std::time::{Duration, Instant};

use super::*;
use crate::error::SourceErrorKind;
use crate::interval::Interval;
use crate::select::EventFilter;
use crate::sql::{QuerySettings, Rows};
use crate::supplier::TimeColumns;
use crate::tally::Tally;
use arrow::array::AsArray;
use arrow::datatypes::Int32Type;
use batch_export_system::Secret;
use batch_export_system::explain::Explain;
use fake::{Answer, Fake};

fn hour() -> Selection {
    let interval = Interval::parse("2026-01-01T00:00Z", "2026-01-01T01:00Z").expect("an interval");
    Selection::new(interval, EventFilter::default())
}

fn settings(server: PostgresServer) -> PostgresSettings {
    let times = TimeColumns {
        arrival: Some("at".to_owned()),
        event: None,
    };
    let query = QuerySettings::new("orders", Rows::table("orders").expect("a table"), times).expect("settings");
    PostgresSettings::new(server, query)
}

fn open(settings: &PostgresSettings, token: &Token) -> Result<Box<dyn Source>, SourceError> {
    let budget = Budget::new(1 << 30);
    PostgresFactory::new(settings.clone()).open(hour(), token, &budget)
}

fn ids(source: &mut dyn Source) -> Result<Vec<i32>, SourceError> {
    let mut ids = Vec::new();
    while let Some(batch) = source.next_batch()? {
        ids.extend(batch.column(0).as_primitive::<Int32Type>().values());
    }
    Ok(ids)
}

fn read(fake: &Fake) -> Result<(Vec<i32>, Tally), SourceError> {
    let mut source = open(&settings(fake.server()), &Token::new())?;
    let ids = ids(source.as_mut())?;
    Ok((ids, source.tally()))
}

#[test]
fn rows_come_with_all_that_proves_their_end() {
    let fake = Fake::new(Answer::default());
    let (ids, tally) = read(&fake).expect("rows");
    assert_eq!(ids, [1, 2, 3]);
    assert_eq!((tally.rows_read, tally.rows_without_time), (3 + 2, 2));
    let asked = fake.statements();
    let copy = asked.iter().find(|asked| asked.starts_with("COPY")).expect("a copy");
    assert_eq!(
        copy,
        "COPY (SELECT source_rows.\"id\", source_rows.\"at\", source_rows.\"name\" FROM \"orders\" AS source_rows WHERE \
         source_rows.\"at\" >= TIMESTAMPTZ '2026-01-01 00:00:00.000000+00' AND source_rows.\"at\" < TIMESTAMPTZ \
         '2026-01-01 01:00:00.000000+00' ORDER BY source_rows.\"at\") TO STDOUT (FORMAT binary)"
    );
    assert!(
        asked[0].starts_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"),
        "{asked:?}"
    );
    assert_eq!(asked.last().map(String::as_str), Some("SELECT 1; COMMIT"));
}

#[test]
fn a_connection_cut_at_any_byte_is_no_success() {
    let whole = Answer::default().copy_bytes().len();
    for cut in 0..=whole {
        let fake = Fake::new(Answer {
            cut_after: Some(cut),
            ..Answer::default()
        });
        let error = read(&fake).expect_err("cut");
        assert_eq!(error.kind(), SourceErrorKind::Transient, "{cut}: {error}");
        assert!(error.hint().is_some(), "{cut}");
    }
}

#[test]
fn rows_without_their_trailer_are_no_success() {
    let fake = Fake::new(Answer {
        has_trailer: false,
        ..Answer::default()
    });
    let error = read(&fake).expect_err("no trailer");
    assert_eq!(error.kind(), SourceErrorKind::Transient);
    assert!(error.to_string().contains("rows are missing"), "{error}");
    let fake = Fake::new(Answer {
        after_trailer: vec![0],
        ..Answer::default()
    });
    let error = read(&fake).expect_err("more after the trailer");
    assert!(error.to_string().contains("more after their end"), "{error}");
}

#[test]
fn a_server_that_fails_in_the_middle_is_no_success() {
    for (code, kind) in [
        ("57P01", SourceErrorKind::Transient),
        ("57P02", SourceErrorKind::Transient),
        ("40001", SourceErrorKind::Transient),
        ("57014", SourceErrorKind::Transient),
        ("53100", SourceErrorKind::Transient),
        ("22012", SourceErrorKind::Permanent),
    ] {
        for after in 0..=3 {
            let fake = Fake::new(Answer {
                fails_after: Some((after, code)),
                ..Answer::default()
            });
            let error = read(&fake).expect_err(code);
            assert_eq!(error.kind(), kind, "{code}: {error}");
            assert!(error.to_string().contains(code), "{error}");
        }
    }
    // What goes wrong after the last row makes the transaction one that cannot be committed.
    let fake = Fake::new(Answer {
        commit_fails: Some("25P02"),
        ..Answer::default()
    });
    let error = read(&fake).expect_err("the transaction failed");
    assert!(error.to_string().contains("25P02"), "{error}");
}

#[test]
fn a_length_that_no_row_has_is_refused_before_room_is_made_for_it() {
    let mut huge = vec![b'd'];
    huge.extend(i32::MAX.to_be_bytes());
    let fake = Fake::new(Answer {
        instead_of_rows: Some(huge),
        ..Answer::default()
    });
    let error = read(&fake).expect_err("too large");
    assert_eq!(error.kind(), SourceErrorKind::Permanent);
    assert!(error.to_string().contains("larger than any row"), "{error}");
}

#[test]
fn a_server_that_hangs_ends_with_the_time_to_connect() {
    let fake = Fake::new(Answer {
        is_silent: true,
        ..Answer::default()
    });
    let mut server = fake.server();
    server.connect_timeout = Some(Duration::from_millis(200));
    let error = open(&settings(server), &Token::new()).err().expect("no answer");
    assert_eq!(error.kind(), SourceErrorKind::Transient);
    assert!(error.to_string().contains("no connection within"), "{error}");
}

#[test]
fn a_run_that_is_cancelled_ends_at_once_and_asks_the_server_to_stop() {
    let fake = Fake::new(Answer {
        stalls_after: Some(1),
        ..Answer::default()
    });
    let token = Token::new();
    let mut source = open(&settings(fake.server()), &token).expect("a source");
    let canceller = {
        let token = token.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            token.cancel();
        })
    };
    let begun = Instant::now();
    let error = ids(source.as_mut()).expect_err("cancelled");
    assert_eq!(error.kind(), SourceErrorKind::Cancelled, "{error}");
    drop(source);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    canceller.join().expect("cancelled");
    assert!(fake.was_cancelled(), "the server was not asked");
}

#[test]
fn nobody_who_listens_is_a_failure_for_now() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let mut server = Fake::new(Answer::default()).server();
    server.port = Some(port.expect("a port").port());
    let error = open(&settings(server), &Token::new()).err().expect("nobody");
    assert_eq!(error.kind(), SourceErrorKind::Transient);
    assert!(error.to_string().contains("connection refused"), "{error}");
    assert!(error.hint().expect("a hint").contains("check host and port"));
}

#[test]
fn a_password_is_sent_as_it_is_and_repeated_nowhere() {
    let odd = "p:a@s/s?w%2F#o'r\"d\\ \u{e9}\u{1f600}`$x";
    let fake = Fake::new(Answer {
        password: Some(odd.to_owned()),
        ..Answer::default()
    });
    let mut server = fake.server();
    server.password = Some(Secret::new(odd));
    open(&settings(server.clone()), &Token::new()).expect("let in");
    // The server repeats what it was given.
    let wrong = format!("{odd}!");
    server.password = Some(Secret::new(&wrong));
    let settings = settings(server.clone());
    assert!(!format!("{settings:?}").contains("a@s"));
    let error = open(&settings, &Token::new()).err().expect("refused");
    assert_eq!(error.kind(), SourceErrorKind::Permanent);
    let text = format!("{error} {error:?} {:?}", error.hint());
    assert!(text.contains("28P01") && !text.contains("a@s"), "{text}");
    server.password = None;
    server.passfile = Some("/nonexistent/passwords".into());
    let error = open(&super::tests::settings(server), &Token::new())
        .err()
        .expect("no file");
    assert!(error.to_string().contains("file of passwords"), "{error}");
}

#[test]
fn a_server_without_tls_is_never_talked_to_without_it() {
    let fake = Fake::new(Answer::default());
    let mut server = fake.server();
    for mode in [None, Some(SslMode::VerifyCa), Some(SslMode::Require)] {
        server.sslmode = mode;
        server.password = Some(Secret::new("hunter22"));
        let error = open(&settings(server.clone()), &Token::new()).err().expect("no TLS");
        assert_eq!(error.kind(), SourceErrorKind::Permanent);
        let text = format!("{error} {:?}", error.hint());
        // Where the machine trusts nobody, that is said first.
        assert!(
            text.contains("does not offer TLS") || text.contains("no certificates"),
            "{text}"
        );
    }
    assert_eq!(fake.statements(), [""; 0]);
}

#[test]
fn columns_that_do_not_fit_are_an_error_before_any_row_is_asked_for() {
    let fake = Fake::new(Answer::default());
    let mut of_text = settings(fake.server());
    of_text.query.times.arrival = Some("name".to_owned());
    let error = open(&of_text, &Token::new()).err().expect("a text");
    assert!(error.to_string().contains("the time column `name` is Utf8"), "{error}");
    let mut missing = settings(fake.server());
    missing.query.times.arrival = Some("nowhere".to_owned());
    let error = open(&missing, &Token::new()).err().expect("no such column");
    assert!(
        error.to_string().contains("the time column `nowhere` is missing"),
        "{error}"
    );
    let mut order = settings(fake.server());
    order.query.order_by = Some(vec!["names".to_owned()]);
    let error = open(&order, &Token::new()).err().expect("no such column");
    assert!(error.to_string().contains("order_by names `names`"), "{error}");
    let mut events = settings(fake.server());
    events.query.model = "events".to_owned();
    let error = open(&events, &Token::new()).err().expect("not the columns of events");
    assert!(error.to_string().contains("column `uuid` (text) is missing"), "{error}");
    assert!(!fake.statements().iter().any(|asked| asked.starts_with("COPY")));
}
