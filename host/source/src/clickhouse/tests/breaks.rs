//! Every way in which an answer with rows can break. None of them ends as success.

use super::server::{LAST_CHUNK, arrow, chunk, head, head_with};
use super::*;

const TAG: &str = "abcdefghijklmnop";

fn tagged(bytes: &[u8], text: &str) -> Vec<u8> {
    let mark = format!(
        "\r\n__exception__\r\n{TAG}\r\n{text}\r\n{} {TAG}\r\n__exception__\r\n",
        text.len()
    );
    let header = format!("X-ClickHouse-Exception-Tag: {TAG}\r\n");
    [&head_with(&header)[..], &chunk(bytes), &chunk(mark.as_bytes())].concat()
}

/// What the server writes, what is said of it, and what it means.
fn broken(answer: Answer) -> (String, SourceErrorKind) {
    let server = Scripted::new(move |request| (request.kind() == "rows").then(|| answer.clone()));
    let (said, kind) = error(read_query(&server));
    let said = said.strip_prefix(&format!("{}: ", server.origin())).map(str::to_owned);
    (said.expect("the server's name"), kind)
}

#[test]
fn no_broken_stream_ends_as_success() {
    use SourceErrorKind::{Permanent, Transient};
    let rows = arrow();
    let chunks = |parts: &[&[u8]]| -> Vec<u8> {
        let parts = parts.iter().filter(|part| !part.is_empty());
        head().into_iter().chain(parts.flat_map(|part| chunk(part))).collect()
    };
    let ended = |parts: &[&[u8]]| [&chunks(parts)[..], LAST_CHUNK].concat();
    let without_end = &rows[..rows.len() - 8];
    let first_batch = {
        // The schema and the first batch end where the second begins: both batches have one length.
        let marks: Vec<usize> = (0..rows.len() - 8)
            .filter(|at| rows[*at..].starts_with(&[0xff; 4]))
            .collect();
        *marks.last().expect("a message")
    };
    let length = |declared: usize, body: &[u8]| {
        let head = format!("HTTP/1.1 200 OK\r\nX-ClickHouse-Query-Id: x\r\nContent-Length: {declared}\r\n\r\n");
        [head.as_bytes(), body].concat()
    };
    let old = b"Code: 241. DB::Exception: Memory limit (total) exceeded. (MEMORY_LIMIT_EXCEEDED) (version 24.8.1.1)\n";
    let new = "Code: 395. DB::Exception: boom. (FUNCTION_THROW_IF_VALUE_IS_NON_ZERO) (version 26.9.2.1)";
    let mut garbage = rows.clone();
    for byte in &mut garbage[first_batch + 8..first_batch + 64] {
        *byte = 0xa5;
    }
    let other_schema = {
        let mut other = rows.clone();
        let at = other.windows(2).position(|two| two == b"c1").expect("a name");
        other[at + 1] = b'9';
        other
    };
    let huge = [&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f][..], &rows[8..]].concat();
    let page = "<html><head><title>Sign in</title></head><body>Sign in</body></html>";
    for (what, bytes, expect, meant) in [
        (
            "cut in a length",
            ended(&[&rows[..6]]),
            "its rows are cut or corrupt: it ends in the middle of a message",
            Transient,
        ),
        (
            "cut in a batch",
            ended(&[&rows[..first_batch + 100]]),
            "its rows are cut or corrupt: it ends in the middle",
            Transient,
        ),
        (
            "cut between batches",
            ended(&[&rows[..first_batch]]),
            "its rows are cut or corrupt: it stops without saying",
            Transient,
        ),
        (
            "cut before the end mark",
            ended(&[without_end]),
            "its rows are cut or corrupt: it stops without saying",
            Transient,
        ),
        (
            "cut in the end mark",
            ended(&[&rows[..rows.len() - 3]]),
            "its rows are cut or corrupt: it ends in the middle",
            Transient,
        ),
        (
            "no rows at all",
            ended(&[]),
            "its rows are cut or corrupt: it stops without saying",
            Transient,
        ),
        (
            "data after the end",
            ended(&[&rows, b"x"]),
            "its rows are cut or corrupt: it contains data after the end",
            Transient,
        ),
        (
            "a second stream",
            ended(&[&rows, &rows]),
            "its rows are cut or corrupt: it contains data after the end",
            Transient,
        ),
        (
            "an old server's exception in a batch",
            chunks(&[&rows[..first_batch + 100], old]),
            "Memory limit (total) exceeded (MEMORY_LIMIT_EXCEEDED); let the administrator",
            Transient,
        ),
        (
            "an old server's exception, and the end of the chunks",
            ended(&[&rows[..first_batch], old]),
            "Memory limit (total) exceeded (MEMORY_LIMIT_EXCEEDED)",
            Transient,
        ),
        (
            "an old server's exception after the end",
            ended(&[&rows, old]),
            "Memory limit (total) exceeded",
            Transient,
        ),
        (
            "a new server's exception in a batch",
            tagged(&rows[..first_batch + 100], new),
            "boom (FUNCTION_THROW",
            Permanent,
        ),
        (
            "a new server's exception after the last batch",
            tagged(without_end, new),
            "boom (FUNCTION_THROW",
            Permanent,
        ),
        (
            "a new server's exception after the end",
            tagged(&rows, new),
            "boom (FUNCTION_THROW",
            Permanent,
        ),
        (
            "a row that looks like an exception, and a cut",
            [
                &head_with(&format!("X-ClickHouse-Exception-Tag: {TAG}\r\n"))[..],
                &chunk(&rows[..first_batch + 100]),
                &chunk(old),
            ]
            .concat(),
            "its answer broke off",
            Transient,
        ),
        (
            "chunks without their end",
            chunks(&[&rows]),
            "its answer broke off",
            Transient,
        ),
        (
            "a chunk that is cut",
            chunks(&[&rows])[..head().len() + 400].to_vec(),
            "its answer broke off",
            Transient,
        ),
        (
            "a length that is too long",
            length(rows.len() + 1, &rows),
            "its answer broke off",
            Transient,
        ),
        (
            "a length that is too short",
            length(rows.len() - 8, &rows),
            "its rows are cut or corrupt: it stops without",
            Transient,
        ),
        (
            "neither a length nor chunks",
            [b"HTTP/1.0 200 OK\r\nX-ClickHouse-Query-Id: x\r\n\r\n", &rows[..]].concat(),
            "its answer has neither a length nor chunks",
            Permanent,
        ),
        (
            "garbage in a batch",
            ended(&[&garbage]),
            "its rows are cut or corrupt",
            Transient,
        ),
        (
            "no Arrow",
            ended(&[b"1\tname\n2\tname\n"]),
            "its rows are cut or corrupt: one of its messages does not begin",
            Transient,
        ),
        (
            "a header without end",
            ended(&[&huge]),
            "its rows are cut or corrupt: one of its messages has a header of impossible",
            Transient,
        ),
        (
            "other columns",
            ended(&[&other_schema]),
            "its rows are not those that it described: column `name` (String) arrives as",
            Permanent,
        ),
        (
            "a page",
            ended(&[page.as_bytes()]),
            "its rows are cut or corrupt",
            Transient,
        ),
        ("nothing", Vec::new(), "its answer broke off", Transient),
        (
            "half a head",
            b"HTTP/1.1 200 OK\r\nX-Click".to_vec(),
            "its answer broke off",
            Transient,
        ),
    ] {
        let (said, kind) = broken(Answer::raw(bytes));
        assert!(said.starts_with(expect), "{what}: {said}");
        assert_eq!(kind, meant, "{what}: {said}");
    }
}

#[test]
fn a_stream_cut_at_any_byte_is_not_a_success() {
    let rows = arrow();
    // Every fifth byte, and each of the last.
    let cuts = (0..rows.len()).step_by(5).chain(rows.len() - 9..rows.len());
    for cut in cuts {
        let (said, kind) = broken(Answer::chunks(&rows[..cut]));
        assert_eq!(kind, SourceErrorKind::Transient, "{cut}: {said}");
    }
}

#[test]
fn a_stall_ends_the_run_after_the_time_that_is_configured() {
    let rows = arrow();
    for bytes in [
        Vec::new(),
        head(),
        [&head()[..], &chunk(&rows[..rows.len() / 2])].concat(),
    ] {
        let server = Scripted::new(move |request| (request.kind() == "rows").then(|| Answer::hang(bytes.clone())));
        let mut settings = query_settings(&server, QUERY);
        settings.query_timeout = Duration::from_secs(1);
        let begun = std::time::Instant::now();
        let (said, kind) = error(read(&settings, hour(), &Token::new()));
        assert!(
            said.contains("it was silent for 1 s; run it again, or raise the source's `query_timeout`"),
            "{said}"
        );
        assert_eq!(kind, SourceErrorKind::Transient);
        assert!(begun.elapsed() < Duration::from_secs(3));
        assert!(server.seen().iter().any(|request| request.kind() == "kill"));
    }
}

#[test]
fn columns_of_another_number_are_told() {
    for (columns, expect) in [
        ("[\"id\",\"UInt64\"]\n", "2 columns arrive, 1 were asked for"),
        (
            "[\"id\",\"UInt64\"]\n[\"name\",\"Array(String)\"]\n",
            "column `name` (Array(String)) arrives as Binary",
        ),
        (
            "[\"id\",\"Nullable(Int64)\"]\n[\"name\",\"String\"]\n",
            "column `id` (Nullable(Int64)) arrives as UInt64",
        ),
    ] {
        let server = Scripted::new(move |request| (request.kind() == "describe").then(|| Answer::text(columns)));
        let (said, kind) = error(read_query(&server));
        assert!(said.contains(expect), "{said}");
        assert!(
            said.ends_with("report this with the server's version, 26.9.2.1"),
            "{said}"
        );
        assert_eq!(kind, SourceErrorKind::Permanent);
    }
}
