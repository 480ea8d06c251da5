//! What ClickHouse says when it fails: its text taken out of an answer, what that means for a run, and what to do about
//! it. Sends nothing.

use batch_export_system::explain::Cause;

use crate::error::SourceErrorKind::{self, Permanent, Transient};
use crate::sql::caret;

/// An exception of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exception {
    code: u32,
    /// Its name, such as `UNKNOWN_TABLE`, where the server tells it.
    name: Option<String>,
    message: String,
}

/// What stands around an exception in an answer that had begun.
const MARKER: &str = "__exception__\r\n";
const BEGINNING: &str = "Code: ";
const AFTER_CODE: &str = ". DB::Exception: ";
/// What follows an exception that is told over HTTP.
const VERSION: &str = " (version ";
/// Characters of a message that are told: the rest repeats the query or lists what could have been meant.
const MESSAGE_CHARS: usize = 500;

/// Exceptions after which the same query may succeed without any change, by their codes and names: limits that queries
/// share, the network between servers, replicas that are behind or have no Keeper, and what stops or starts.
const TRANSIENT: &[(u32, &str)] = &[
    (159, "TIMEOUT_EXCEEDED"),
    (160, "TOO_SLOW"),
    (173, "CANNOT_ALLOCATE_MEMORY"),
    (201, "QUOTA_EXCEEDED"),
    (202, "TOO_MANY_SIMULTANEOUS_QUERIES"),
    (241, "MEMORY_LIMIT_EXCEEDED"),
    (243, "NOT_ENOUGH_SPACE"),
    (373, "SESSION_IS_LOCKED"),
    (439, "CANNOT_SCHEDULE_TASK"),
    (3, "UNEXPECTED_END_OF_FILE"),
    (32, "ATTEMPT_TO_READ_AFTER_EOF"),
    (95, "CANNOT_READ_FROM_SOCKET"),
    (96, "CANNOT_WRITE_TO_SOCKET"),
    (198, "DNS_ERROR"),
    (203, "NO_FREE_CONNECTION"),
    (209, "SOCKET_TIMEOUT"),
    (210, "NETWORK_ERROR"),
    (265, "NO_AVAILABLE_REPLICA"),
    (279, "ALL_CONNECTION_TRIES_FAILED"),
    (369, "ALL_REPLICAS_ARE_STALE"),
    (499, "S3_ERROR"),
    (519, "NO_REMOTE_SHARD_AVAILABLE"),
    (225, "NO_ZOOKEEPER"),
    (285, "TOO_FEW_LIVE_REPLICAS"),
    (286, "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE"),
    (289, "REPLICA_IS_NOT_IN_QUORUM"),
    (999, "KEEPER_EXCEPTION"),
    (218, "TABLE_IS_DROPPED"),
    (236, "ABORTED"),
    (341, "UNFINISHED"),
    (394, "QUERY_WAS_CANCELLED"),
    (425, "SYSTEM_ERROR"),
    (667, "NOT_INITIALIZED"),
    (722, "ASYNC_LOAD_WAIT_FAILED"),
    (733, "TABLE_IS_BEING_RESTARTED"),
    (734, "CANNOT_WRITE_AFTER_BUFFER_CANCELED"),
    (735, "QUERY_WAS_CANCELLED_BY_CLIENT"),
    (738, "PART_IS_LOCKED"),
    (1000, "POCO_EXCEPTION"),
    (1001, "STD_EXCEPTION"),
    (1002, "UNKNOWN_EXCEPTION"),
];

impl Exception {
    /// Reads an exception at the beginning of a text.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut message = text.trim();
        let mut code = None;
        // What one server was told by another begins with the other's code.
        while let Some((found, rest)) = numbered(message) {
            code = code.or(Some(found));
            message = rest;
        }
        let code = code?;
        let (message, name) = named(message);
        Some(Self {
            code,
            name,
            message: shortened(message),
        })
    }

    /// Finds an exception in what arrived last of an answer with rows. A server that names a tag writes it around its
    /// exceptions, so that no row can look like one.
    pub(super) fn find(tail: &[u8], tag: Option<&str>) -> Option<Self> {
        let text = String::from_utf8_lossy(tail);
        if let Some(tag) = tag {
            let start = format!("{MARKER}{tag}\r\n");
            let (_, text) = text.split_once(&start)?;
            let end = format!(" {tag}");
            let message = match text.rsplit_once(&end) {
                // The number in front of the second tag is the message's length.
                Some((message, _)) => message.trim_end_matches(|c: char| c.is_ascii_digit()),
                None => text,
            };
            return Self::read(message);
        }
        // Without a tag, only its place tells it from a text in a row: what follows it is nothing but text, to the end.
        let (at, _) = text
            .rmatch_indices(BEGINNING)
            .find(|(at, _)| numbered(&text[*at..]).is_some())?;
        let rest = &text[at..];
        let is_text = !rest.contains(|c: char| c == '\u{fffd}' || (c.is_control() && !c.is_whitespace()));
        (is_text && rest.contains(VERSION)).then(|| Self::read(rest))?
    }

    /// Finds an exception in an answer of lines, none of which begins like one.
    pub(super) fn in_lines(answer: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(answer);
        let begins = |at: usize| at == 0 || text[..at].ends_with('\n');
        let (at, _) = text.rmatch_indices(BEGINNING).find(|(at, _)| begins(*at))?;
        Self::read(&text[at..])
    }

    /// Returns what it means for a run.
    pub(super) fn kind(&self) -> SourceErrorKind {
        match TRANSIENT.iter().any(|(code, _)| *code == self.code) {
            true => Transient,
            false => Permanent,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        Some(match self.code {
            60 => {
                "correct the source's `table` or `query`, or its `database`; the user must be allowed to read the table"
            }
            81 => "correct the source's `database`, or the name of the table",
            47 | 36 | 42 | 43 | 46 | 53 | 62 | 70 | 179 => "correct the source's `query`",
            115 => "correct the source's `settings`",
            164 | 452 => {
                "the user may not change this setting: remove it from the source's `settings`, or let the \
                 administrator allow it"
            }
            192..=194 | 516 => "correct the source's `user` and `password`",
            497 | 291 => "grant the user SELECT on the table, or name only columns that it may read in a query",
            158 | 307 | 396 => "let the administrator raise the limit, or export shorter intervals",
            241 => {
                "let the administrator raise the user's memory limit or set max_bytes_before_external_sort, export \
                 shorter intervals, or set the source's `order_by` to the first columns of the table's own order"
            }
            407 => "convert the column in a query, as in CAST(column AS DateTime64(6)) for times after 2262",
            159 | 160 => "let the administrator raise max_execution_time, or export shorter intervals",
            202 => "let fewer queries run at once, or raise max_concurrent_queries",
            _ => return None,
        })
    }

    /// Returns it as a reason, with the line of the statement where that has a mistake.
    pub(super) fn cause(&self, statement: &str) -> Cause {
        let name = self.name.clone().unwrap_or_else(|| format!("code {}", self.code));
        let cause = match self.mistake(statement) {
            Some((said, shown)) => Cause::new(format!("{said} ({name})")).with_excerpt(shown),
            None => Cause::new(format!("{} ({name})", self.message)),
        };
        match self.hint() {
            Some(hint) => cause.with_hint(hint),
            None => cause,
        }
    }

    /// Returns what is wrong in a statement, and the place under its line. The server counts bytes, from 1.
    fn mistake(&self, statement: &str) -> Option<(String, String)> {
        const FAILED: &str = "failed at position ";
        let (said, rest) = self.message.split_once(FAILED)?;
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let byte: usize = rest[..digits].parse().ok()?;
        let before = statement.get(..byte.checked_sub(1)?)?;
        let said = said.trim_end_matches([':', ' ']);
        Some((said.to_owned(), caret(statement, before.chars().count() + 1)))
    }
}

/// Returns the code of a message that begins with one, and the rest.
fn numbered(text: &str) -> Option<(u32, &str)> {
    let rest = text.strip_prefix(BEGINNING)?;
    let (code, rest) = rest.split_once(AFTER_CODE)?;
    Some((code.parse().ok()?, rest))
}

/// Cuts off what follows a message: `. (UNKNOWN_TABLE) (version 26.9.2.1 (official build))`.
fn named(text: &str) -> (&str, Option<String>) {
    let text = text.rfind(VERSION).map_or(text, |end| &text[..end]).trim_end();
    let Some((message, name)) = text.strip_suffix(')').and_then(|text| text.rsplit_once(" (")) else {
        return (text, None);
    };
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    match is_name {
        true => (message, Some(name.to_owned())),
        false => (text, None),
    }
}

/// Cuts off the statement that a message repeats, and what is too long.
fn shortened(message: &str) -> String {
    let message = ["In scope ", ": While executing ", ": while executing "]
        .iter()
        .fold(message, |text, mark| {
            text.split_once(mark).map_or(text, |(text, _)| text)
        });
    let message = message.trim_end_matches(['.', ':', ' ', '\r', '\n']);
    match message.char_indices().nth(MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch_export_system::explain::Explain;

    fn read(text: &str) -> Exception {
        Exception::read(text).expect("an exception")
    }

    #[test]
    fn an_exception_is_told_with_its_name_and_without_the_statement() {
        for (text, expect, kind) in [
            (
                "Code: 60. DB::Exception: Unknown table expression identifier 'nope'. Maybe you meant system.one? In scope \
                 SELECT * FROM nope. (UNKNOWN_TABLE) (version 26.9.2.1 (official build))\n",
                "Unknown table expression identifier 'nope'. Maybe you meant system.one? (UNKNOWN_TABLE)",
                Permanent,
            ),
            (
                "Code: 407. DB::Exception: Code: 407. DB::Exception: Decimal math overflow. (DECIMAL_OVERFLOW) (version \
                 26.9.2.1). (DECIMAL_OVERFLOW)",
                "Decimal math overflow. (DECIMAL_OVERFLOW)",
                Permanent,
            ),
            (
                "Code: 241. DB::Exception: Memory limit (total) exceeded: would use 1 GiB: While executing MergeTree. \
                 (MEMORY_LIMIT_EXCEEDED)",
                "Memory limit (total) exceeded: would use 1 GiB (MEMORY_LIMIT_EXCEEDED)",
                Transient,
            ),
            ("Code: 9999. DB::Exception: what", "what (code 9999)", Permanent),
        ] {
            let exception = read(text);
            let said = exception.cause("").message();
            assert_eq!(
                said.replace(". (DECIMAL", " (DECIMAL"),
                expect.replace(". (DECIMAL", " (DECIMAL")
            );
            assert_eq!(exception.kind(), kind, "{text}");
        }
        for text in ["", "<html>", "Code: x. DB::Exception: y", "Code: 5"] {
            assert_eq!(Exception::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_mistake_is_shown_under_its_line() {
        let statement = "DESCRIBE TABLE (\nSELECT 'é' AS e, 2 FRM a\n)";
        let text = "Code: 62. DB::Exception: Syntax error: failed at position 42 (a) (line 2, col 24): a\n) FORMAT. Expected \
                    one of: x. (SYNTAX_ERROR) (version 1)";
        let cause = read(text).cause(statement);
        assert_eq!(cause.message(), "Syntax error (SYNTAX_ERROR)");
        assert_eq!(
            cause.excerpt().as_deref(),
            Some("SELECT 'é' AS e, 2 FRM a\n                       ^")
        );
        assert_eq!(cause.hint().as_deref(), Some("correct the source's `query`"));
        // A place that is none.
        let odd = read("Code: 62. DB::Exception: Syntax error: failed at position 99999 (a): a. (SYNTAX_ERROR)");
        assert!(odd.cause(statement).message().starts_with("Syntax error: failed"));
    }

    #[test]
    fn an_exception_in_the_middle_of_rows_is_found_and_rows_that_look_like_one_are_not() {
        let old = b"\xff\xff\0rows Code: 1. DB::Exception: a row. \0Code: 241. DB::Exception: Memory. \
                    (MEMORY_LIMIT_EXCEEDED) (version 24.8.1.1)\n";
        assert_eq!(Exception::find(old, None).map(|found| found.code), Some(241));
        assert_eq!(Exception::find(old, Some("abcdefghijklmnop")), None);
        // A row of a table of logs, in a stream that was cut behind it.
        let row = [&old[..], b"\0\0\0next row"].concat();
        assert_eq!(Exception::find(&row, None), None);
        assert_eq!(Exception::find(&old[..60], None), None);
        let new =
            b"rows\r\n__exception__\r\nabcdefghijklmnop\r\nCode: 395. DB::Exception: boom. (FUNCTION_THROW)\r\n52 \
                    abcdefghijklmnop\r\n__exception__\r\n";
        let found = Exception::find(new, Some("abcdefghijklmnop")).expect("an exception");
        assert_eq!((found.code, found.message.as_str()), (395, "boom"));
        // Cut in the middle of its own end.
        let cut = b"\r\n__exception__\r\nabcdefghijklmnop\r\nCode: 395. DB::Exception: boom";
        assert!(Exception::find(cut, Some("abcdefghijklmnop")).is_some());
    }
}
