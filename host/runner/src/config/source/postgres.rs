//! A source of type `postgres`.

use std::path::Path;
use std::time::Duration;

use super::query;
use crate::config::section::Section;
use batch_export_source::{Infinity, PostgresServer, PostgresSettings, RowSecurity, SourceSettings, SslMode, Syntax};
use batch_export_system::explain::Cause;

/// The time that a statement may take: a second is little, and more than a week is a mistake.
const STATEMENT_TIMES: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(7 * 86_400);
/// The time in which a connection must be made.
const CONNECT_TIMES: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);
/// The keys for which a URL has parts of its own.
const IN_URL: [&str; 5] = ["host", "port", "database", "user", "service"];

/// Reads the table's keys.
pub(super) fn read(folder: &Path, model: Option<&str>, section: &mut Section<'_>) -> Option<SourceSettings> {
    let at = section.at;
    let url_at = section.place("url");
    let places = IN_URL.map(|key| (key, section.place(key)));
    let url = section.parsed("url", PostgresServer::from_url);
    let keys = read_keys(folder, section);
    if url_at.is_some() {
        for (key, at) in places {
            if let Some(at) = at {
                let cause = Cause::new("there is a `url` too, which says it").with_hint("remove one of them");
                section.problem(at, key, cause);
            }
        }
    } else if keys.host.is_none() && keys.service.is_none() {
        section.missing("host", "name the server with `host`, `url` or `service`");
    }
    if url_at.is_none() && keys.user.is_none() && keys.service.is_none() {
        section.missing("user", "name the role to read as");
    }
    let statement_timeout = section.duration("statement_timeout", STATEMENT_TIMES);
    let infinity = section.choice("infinity", &[("refuse", Infinity::Refuse), ("null", Infinity::Null)]);
    let row_security = section.choice(
        "row_security",
        &[("refuse", RowSecurity::Refuse), ("apply", RowSecurity::Apply)],
    );
    let query = query::read(model, Syntax::Postgres, section);
    let server = match (url_at, url) {
        (Some(_), None) => return None,
        (_, Some(url)) => merged(keys, url, at, section),
        (None, None) => keys,
    };
    if let Some(problem) = server.problem() {
        section.problem(at, "sslmode", problem);
    }
    let mut settings = PostgresSettings::new(server, query?);
    settings.statement_timeout = statement_timeout;
    settings.infinity = infinity.unwrap_or_default();
    settings.row_security = row_security.unwrap_or_default();
    Some(SourceSettings::Postgres(settings))
}

/// Reads the keys that say where the server is.
fn read_keys(folder: &Path, section: &mut Section<'_>) -> PostgresServer {
    let mut text = |key| section.text(key).map(|(_, text)| text);
    let mut server = PostgresServer::default();
    server.host = text("host");
    server.database = text("database");
    server.user = text("user");
    server.service = text("service");
    server.application_name = text("application_name");
    server.options = text("options");
    let mut file = |key| section.text(key).map(|(_, path)| folder.join(path));
    server.passfile = file("passfile");
    server.service_file = file("service_file");
    server.ca_file = file("ca_file");
    server.certificate_file = file("certificate_file");
    server.key_file = file("key_file");
    server.password = section.secret("password").map(|(_, text)| text.secret().clone());
    server.port = section.number("port", 1..=u16::MAX);
    server.sslmode = section.parsed("sslmode", str::parse::<SslMode>);
    server.connect_timeout = section.duration("connect_timeout", CONNECT_TIMES);
    server
}

/// Returns what the keys and the URL say together; they must not say the same thing twice.
fn merged(
    keys: PostgresServer,
    url: PostgresServer,
    at: crate::problem::Place,
    section: &mut Section<'_>,
) -> PostgresServer {
    let twice = [
        ("password", keys.password.is_some() && url.password.is_some()),
        ("sslmode", keys.sslmode.is_some() && url.sslmode.is_some()),
        ("ca_file", keys.ca_file.is_some() && url.ca_file.is_some()),
        (
            "certificate_file",
            keys.certificate_file.is_some() && url.certificate_file.is_some(),
        ),
        ("key_file", keys.key_file.is_some() && url.key_file.is_some()),
        ("passfile", keys.passfile.is_some() && url.passfile.is_some()),
    ];
    for (key, is_twice) in twice {
        if is_twice {
            let cause = Cause::new("the `url` says it too").with_hint("remove one of them");
            section.problem(at, key, cause);
        }
    }
    keys.or(url)
}
