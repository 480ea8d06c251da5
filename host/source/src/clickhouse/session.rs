//! The settings under which a server answers: which of those that this source needs are there already, which may be
//! sent, and which a user may not change. Sends the one statement that tells.

use batch_export_system::explain::Cause;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

use super::client::{Server, Statement};
use super::names;
use crate::error::{SourceError, SourceErrorKind};

/// Settings under which a server leaves rows out and calls that a success, and their values under which it does not.
const COMPLETE: [(&str, &str); 16] = [
    ("read_overflow_mode", "throw"),
    ("read_overflow_mode_leaf", "throw"),
    ("group_by_overflow_mode", "throw"),
    ("sort_overflow_mode", "throw"),
    ("result_overflow_mode", "throw"),
    ("timeout_overflow_mode", "throw"),
    ("timeout_overflow_mode_leaf", "throw"),
    ("set_overflow_mode", "throw"),
    ("join_overflow_mode", "throw"),
    ("transfer_overflow_mode", "throw"),
    ("distinct_overflow_mode", "throw"),
    ("limit", "0"),
    ("offset", "0"),
    ("skip_unavailable_shards", "0"),
    ("use_query_cache", "0"),
    ("partial_result_on_first_cancel", "0"),
];

/// Settings that make the answer what is read best. Without them an answer is read as well, or refused.
const WISHED: [(&str, &str); 5] = [
    // texts as bytes, so that what is not UTF-8 is repaired and counted rather than refused
    ("output_format_arrow_string_as_string", "0"),
    ("output_format_arrow_fixed_string_as_fixed_byte_array", "1"),
    // what runs for nobody ends
    ("cancel_http_readonly_queries_on_client_close", "1"),
    // progress as headers would be more of them than are read
    ("send_progress_in_http_headers", "0"),
    ("http_write_exception_in_output_format", "0"),
];

/// Settings of the operator's own that would take the place of what this source decides.
const OWN: [&str; 16] = [
    "additional_result_filter",
    "additional_table_filters",
    "query",
    "query_id",
    "user",
    "password",
    "database",
    "default_format",
    "session_id",
    "session_timeout",
    "session_check",
    "compress",
    "decompress",
    "wait_end_of_query",
    "stacktrace",
    "close_session",
];

/// Rows of a block, which becomes a record batch.
pub(super) const BLOCK_ROWS: &str = "max_block_size";

/// Returns what is wrong with a setting of the operator's.
pub(super) fn fault(name: &str) -> Option<Cause> {
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !is_name {
        return Some("it is not the name of a setting".into());
    }
    let decided = COMPLETE.iter().chain(&WISHED).map(|(name, _)| *name);
    decided
        .chain(OWN)
        .any(|own| own == name)
        .then(|| Cause::new("the source decides this itself").with_hint("remove it"))
}

/// What a server allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    pub version: String,
    /// What is sent with each statement.
    pub settings: Vec<(String, String)>,
    /// Whether the number of rows in a block may be chosen.
    pub may_choose_blocks: bool,
}

#[derive(Debug)]
struct Found {
    value: String,
    is_fixed: bool,
}

impl Session {
    /// Asks the server.
    pub(super) fn open(server: &Server, own: &BTreeMap<String, String>) -> Result<Self, SourceError> {
        let decided = COMPLETE.iter().chain(&WISHED).map(|(name, _)| *name);
        let names = decided
            .chain(["readonly", BLOCK_ROWS])
            .chain(own.keys().map(String::as_str));
        let names: Vec<String> = names.map(|name| names::quoted(name, '\'')).collect();
        let sql = format!(
            "SELECT version(), name, value, readonly FROM system.settings WHERE name IN ({})\nFORMAT JSONCompactEachRow",
            names.join(", ")
        );
        let statement = Statement {
            sql: &sql,
            settings: &[],
        };
        let answer = server.short(statement)?;
        read(&answer, own).map_err(|cause| server.error(cause, SourceErrorKind::Permanent))
    }
}

fn read(answer: &[u8], own: &BTreeMap<String, String>) -> Result<Session, Cause> {
    let unreadable = || {
        Cause::new("its answer is not ClickHouse's: it does not tell its settings").with_hint(
            "check that the source's `url` is that of ClickHouse's HTTP interface (port 8123, or 8443 with TLS)",
        )
    };
    let text = std::str::from_utf8(answer).map_err(|_| unreadable())?;
    let mut found = HashMap::new();
    let mut version = String::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let row: Vec<Value> = serde_json::from_str(line).map_err(|_| unreadable())?;
        let [Value::String(said), Value::String(name), Value::String(value), fixed] = row.as_slice() else {
            return Err(unreadable());
        };
        version.clone_from(said);
        let is_fixed = fixed.as_u64().is_some_and(|fixed| fixed != 0);
        found.insert(
            name.clone(),
            Found {
                value: value.clone(),
                is_fixed,
            },
        );
    }
    let readonly = found.get("readonly").ok_or_else(unreadable)?.value == "1";
    let may = |name: &str| found.get(name).is_some_and(|found| !found.is_fixed && !readonly);
    let differs = |name: &str, wanted: &str| found.get(name).is_some_and(|found| found.value != wanted);
    let mut settings = Vec::new();
    let mut send = |name: &str, value: &str| settings.push((name.to_owned(), value.to_owned()));
    let mut lossy = Vec::new();
    for (name, wanted) in COMPLETE {
        if differs(name, wanted) {
            match may(name) {
                true => send(name, wanted),
                false => lossy.push(format!("{name} = {wanted}")),
            }
        }
    }
    if !lossy.is_empty() {
        return Err(Cause::new(
            "under the user's settings it leaves rows out without an error, and the user may not change them",
        )
        .with_hint(format!("let the administrator set {} for this user", lossy.join(", "))));
    }
    for (name, wanted) in WISHED {
        if differs(name, wanted) && may(name) {
            send(name, wanted);
        }
    }
    for (name, value) in own {
        if !found.contains_key(name) {
            return Err(Cause::new(format!("it has no setting `{name}`")).with_hint("correct the source's `settings`"));
        }
        // One that has this value need not be sent, and who may not change it may keep it.
        if differs(name, value) {
            send(name, value);
        }
    }
    Ok(Session {
        version,
        settings,
        may_choose_blocks: may(BLOCK_ROWS) && !own.contains_key(BLOCK_ROWS),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch_export_system::explain::Explain;

    fn session(rows: &[(&str, &str, u8)], own: &[(&str, &str)]) -> Result<Session, String> {
        let line = |(name, value, fixed): &(&str, &str, u8)| format!("[\"26.9.2.1\",\"{name}\",\"{value}\",{fixed}]\n");
        let answer: String = rows.iter().map(line).collect();
        let own = own
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        read(answer.as_bytes(), &own).map_err(|cause| cause.in_one_text())
    }

    fn sent(session: &Session) -> Vec<(&str, &str)> {
        let pairs = session.settings.iter();
        pairs.map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    #[test]
    fn settings_are_sent_where_they_differ_and_may_be_changed() {
        let free = [
            ("readonly", "0", 0),
            ("max_block_size", "65409", 0),
            ("limit", "0", 0),
            ("read_overflow_mode", "break", 0),
            ("output_format_arrow_string_as_string", "1", 0),
            ("send_progress_in_http_headers", "1", 1),
        ];
        let found = session(&free, &[]).expect("a session");
        assert_eq!(
            sent(&found),
            [
                ("read_overflow_mode", "throw"),
                ("output_format_arrow_string_as_string", "0")
            ]
        );
        assert!(found.may_choose_blocks);
        let own = session(&free, &[("max_block_size", "100")]).expect("a session");
        assert!(sent(&own).contains(&("max_block_size", "100")) && !own.may_choose_blocks);
        assert_eq!(
            session(&free, &[("select_sequentialconsistency", "1")]),
            Err("it has no setting `select_sequentialconsistency`; correct the source's `settings`".to_owned())
        );
    }

    #[test]
    fn a_user_who_may_change_nothing_is_sent_nothing_and_refused_where_rows_would_be_lost() {
        let fixed = [
            ("readonly", "1", 1),
            ("max_block_size", "65409", 1),
            ("output_format_arrow_string_as_string", "1", 1),
        ];
        let found = session(&fixed, &[]).expect("a session");
        assert_eq!((sent(&found), found.may_choose_blocks), (vec![], false));
        let lossy = [
            ("readonly", "1", 1),
            ("read_overflow_mode", "break", 1),
            ("limit", "5", 1),
        ];
        assert_eq!(
            session(&lossy, &[]),
            Err(
                "under the user's settings it leaves rows out without an error, and the user may not change them; let \
                 the administrator set read_overflow_mode = throw, limit = 0 for this user"
                    .to_owned()
            )
        );
    }

    #[test]
    fn an_answer_of_something_else_is_told_apart() {
        for answer in ["", "Ok.\n", "[]", "[1,2,3,4]", "{\"a\":1}", "<html></html>"] {
            let cause = read(answer.as_bytes(), &BTreeMap::new()).expect_err(answer);
            assert!(
                cause.message().starts_with("its answer is not ClickHouse's"),
                "{answer}"
            );
        }
    }

    #[test]
    fn settings_that_the_source_decides_cannot_be_set() {
        assert_eq!(fault("select_sequential_consistency"), None);
        assert_eq!(fault("max_block_size"), None);
        for name in [
            "limit",
            "query",
            "password",
            "a b",
            "",
            "x&y=1",
            "output_format_arrow_string_as_string",
        ] {
            assert!(fault(name).is_some(), "{name}");
        }
    }
}
