//! What a PostgreSQL server says when it refuses, and what a connection says when it ends: whether the same run may
//! work later, and what to do. Repeats no password, whatever the server sends.

use std::error::Error as _;
use std::io;

use batch_export_system::Secret;
use batch_export_system::explain::{Cause, plain};
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, ErrorPosition};

use super::tls;
use crate::error::{SourceError, SourceErrorKind};
use crate::sql;

/// Shorter passwords are not looked for in what a server says: they are found in any text.
const SHORTEST_HIDDEN_BYTES: usize = 4;
/// What takes a password's place.
const HIDDEN: &str = "[***]";

/// The reason why rows are not had from a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub cause: Cause,
    pub kind: SourceErrorKind,
}

/// What a failure is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub host: &'a str,
    pub user: &'a str,
    pub database: &'a str,
    pub password: Option<&'a Secret>,
    pub statement: Option<&'a str>,
}

impl Failure {
    pub(super) fn transient(cause: Cause) -> Self {
        let kind = SourceErrorKind::Transient;
        Self { cause, kind }
    }

    pub(super) fn permanent(cause: Cause) -> Self {
        let kind = SourceErrorKind::Permanent;
        Self { cause, kind }
    }

    /// Returns what an error of the client means.
    pub(super) fn of(error: &Error, context: &Context<'_>) -> Self {
        let failure = match error.as_db_error() {
            Some(said) => of_server(said, context),
            None => of_connection(error, context),
        };
        failure.hiding(context.password)
    }

    /// Returns it as the error of a source.
    pub(super) fn into_error(self, origin: &str) -> SourceError {
        SourceError::supplier(origin, self.cause, self.kind)
    }

    fn hiding(self, password: Option<&Secret>) -> Self {
        match password.map(Secret::expose) {
            Some(password) if password.len() >= SHORTEST_HIDDEN_BYTES => Self {
                cause: self.cause.each(|text| text.replace(password, HIDDEN)),
                ..self
            },
            _ => self,
        }
    }
}

fn of_connection(error: &Error, context: &Context<'_>) -> Failure {
    let cause = error.source();
    if let Some(error) = cause.and_then(|cause| cause.downcast_ref::<io::Error>()) {
        if let Some(refusal) = tls::refusal(error, context.host) {
            return Failure::permanent(refusal);
        }
        return match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Failure::permanent(
                Cause::new(format!("its answer cannot be read: {}", plain(error)))
                    .with_hint("check that a PostgreSQL server listens there"),
            ),
            _ => ended(&plain(error)),
        };
    }
    if error.is_closed() {
        return ended("it was closed");
    }
    let said = cause.map(ToString::to_string).unwrap_or_default();
    let hinted = |text: &str, hint: &str| Failure::permanent(Cause::new(text).with_hint(hint));
    match said.as_str() {
        "server does not support TLS" => hinted(
            "it does not offer TLS",
            "turn ssl on in the server, or set sslmode = \"disable\" if every machine on the way is trusted",
        ),
        "password missing" => hinted(
            "it asks for a password, but there is none",
            "set password, such as \"${env:NAME}\", or add a line to ~/.pgpass",
        ),
        "server did not use channel binding" => hinted(
            "the password is not bound to the TLS connection, as channel_binding asks for",
            "use TLS and a password of the kind scram-sha-256, or remove channel_binding",
        ),
        "unsupported authentication method" | "unsupported SASL mechanism" => hinted(
            "it asks for a way to log in that is not supported",
            "let it take a password (scram-sha-256) or a client certificate (cert) from this user in pg_hba.conf",
        ),
        _ if !said.is_empty() => hinted(
            &format!("{error}: {said}"),
            "check that a PostgreSQL server listens there, and report this if it does",
        ),
        _ => hinted(
            &format!("its answer is not what was expected ({error})"),
            "check that a PostgreSQL server listens there, and report this if it does",
        ),
    }
}

/// Returns the failure of a connection that ended before the rows did.
fn ended(how: &str) -> Failure {
    Failure::transient(
        Cause::new(format!("the connection ended before all rows were read: {how}"))
            .with_hint("run it again; if it happens every time, look into the server's log"),
    )
}

/// The part of the server that refuses to hide rows in silence.
const ROW_SECURITY_ROUTINE: &str = "check_enable_rls";

/// Returns what an error of the server means, by its SQLSTATE.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn of_server(error: &DbError, context: &Context<'_>) -> Failure {
    let code = error.code().code();
    let said = format!("{} (SQLSTATE {code})", error.message());
    let (is_transient, hint) = meaning(code, context);
    // What the server says of it depends on its language.
    let is_hidden = error.routine() == Some(ROW_SECURITY_ROUTINE);
    let hint = match (hint, error.hint()) {
        _ if is_hidden => Some(
            "let the role see all rows (ALTER ROLE … BYPASSRLS), or set row_security = \"apply\" in the source to export \
             only those that it sees"
                .to_owned(),
        ),
        (Some(hint), _) => Some(hint),
        (None, Some(hint)) => Some(hint.to_owned()),
        (None, None) if is_transient => Some("run it again".to_owned()),
        (None, None) => Some("correct the source's table or query".to_owned()),
    };
    let cause = Cause::new(said);
    let cause = match hint {
        Some(hint) => cause.with_hint(hint),
        None => cause,
    };
    let cause = match (error.position(), context.statement) {
        (Some(ErrorPosition::Original(at)), Some(statement)) => {
            let at = usize::try_from(*at).unwrap_or(usize::MAX);
            cause.with_excerpt(sql::caret(statement, at))
        }
        _ => cause,
    };
    match is_transient {
        true => Failure::transient(cause),
        false => Failure::permanent(cause),
    }
}

/// Returns whether what a SQLSTATE says may be over later, and what to do.
fn meaning(code: &str, context: &Context<'_>) -> (bool, Option<String>) {
    let Context { user, database, .. } = context;
    let hint = match code {
        "28P01" => format!("correct the password of the user `{user}`"),
        "28000" => format!(
            "let the server take connections of the user `{user}` to the database `{database}` from this machine \
             (pg_hba.conf), or correct the user"
        ),
        "3D000" => "correct the database".to_owned(),
        "42501" => format!("grant the user `{user}` the right, as in GRANT SELECT ON … TO \"{user}\""),
        "42P01" => "correct the table; a name is taken as it is written, upper and lower case apart".to_owned(),
        "3F000" => "correct the name of the schema".to_owned(),
        "22021" => "the database holds bytes that are no text (its encoding is SQL_ASCII): convert the column in a \
                    query, as in convert_from(column::bytea, 'LATIN1')"
            .to_owned(),
        "25006" => "write a query that changes nothing: the source only reads".to_owned(),
        "53300" => "run it again when fewer programs are connected, or raise max_connections in the server".to_owned(),
        "57014" => "run it again; raise the source's statement_timeout, or the server's, if it takes longer than that"
            .to_owned(),
        "57P01" | "57P02" | "57P03" => "run it again when the server is up".to_owned(),
        "40001" | "40P01" => {
            "run it again; on a standby, raise max_standby_streaming_delay if it happens often".to_owned()
        }
        _ => return (is_transient(code), None),
    };
    (is_transient(code), Some(hint))
}

/// Returns whether the same statement may work later without any change.
fn is_transient(code: &str) -> bool {
    /// Connections, conflicts of transactions, resources, the machine.
    const CLASSES: [&str; 4] = ["08", "40", "53", "58"];
    /// Locks; the operator's part in it: cancelled, shut down, crashed, starting up, idle for too long.
    const CODES: [&str; 9] = [
        "55P03", "55006", "57014", "57P01", "57P02", "57P03", "57P05", "25P03", "25P04",
    ];
    CLASSES.iter().any(|class| code.starts_with(class)) || CODES.contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_over_later_is_told_from_what_must_be_changed() {
        for (code, expect) in [
            ("08006", true),
            ("40001", true),
            ("53300", true),
            ("57014", true),
            ("57P01", true),
            ("57P02", true),
            ("57P03", true),
            ("55P03", true),
            ("58030", true),
            ("28P01", false),
            ("28000", false),
            ("3D000", false),
            ("42P01", false),
            ("42703", false),
            ("42601", false),
            ("42501", false),
            ("22012", false),
            ("25006", false),
            ("XX001", false),
        ] {
            assert_eq!(is_transient(code), expect, "{code}");
        }
    }

    #[test]
    fn no_failure_repeats_the_password() {
        let password = Secret::new("p'a\\ss\"w:ord");
        let failure = Failure::permanent(Cause::new("odd: p'a\\ss\"w:ord").with_hint("remove p'a\\ss\"w:ord"));
        let text = failure.hiding(Some(&password)).cause.in_one_text();
        assert_eq!(text, "odd: [***]; remove [***]");
    }
}
