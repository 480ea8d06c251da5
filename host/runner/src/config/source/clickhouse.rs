//! A source of type `clickhouse`.

use std::path::Path;
use std::time::Duration;

use super::query;
use crate::config::section::Section;
use batch_export_source::{ClickHouseSettings, SourceSettings, Syntax};
use batch_export_system::Secret;

/// The shortest and the longest time that a server may be silent.
const QUERY_TIMEOUTS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(24 * 60 * 60));

/// Reads the table's keys.
pub(super) fn read(folder: &Path, model: Option<&str>, section: &mut Section<'_>) -> Option<SourceSettings> {
    let place = section.place("url");
    let url = section.parsed("url", |text| {
        ClickHouseSettings::check_url(text).map(|url| url.to_string())
    });
    if place.is_none() {
        section.missing(
            "url",
            "write the address of the HTTP interface, as in url = \"https://db.example.com:8443\"",
        );
    }
    let user = section.text("user").map(|(_, user)| user);
    let password = section.secret("password").map(|(_, text)| Secret::new(text.value()));
    let database = section.text("database").map(|(_, name)| name);
    let ca_file = section.text("ca_file").map(|(_, path)| folder.join(path));
    let (shortest, longest) = QUERY_TIMEOUTS;
    let query_timeout = section.duration("query_timeout", shortest..=longest);
    let table = section.place("table");
    let query = query::read(model, Syntax::ClickHouse, section);
    let mut settings = Vec::new();
    if let Some(section) = section.section("settings") {
        section.each_text("the server's settings as texts", |name, value| {
            ClickHouseSettings::check_setting(name)?;
            settings.push((name.to_owned(), value.to_owned()));
            Ok(())
        });
    }
    let query = query?;
    if let Err(cause) = ClickHouseSettings::check_rows(&query.rows) {
        section.problem(table.unwrap_or(section.at), "table", cause);
        return None;
    }
    let mut source = ClickHouseSettings::new(&url?, query).ok()?;
    source.user = user;
    source.password = password;
    source.database = database;
    source.ca_file = ca_file;
    if let Some(query_timeout) = query_timeout {
        source.query_timeout = query_timeout;
    }
    for (name, value) in settings {
        source.set(&name, &value).ok()?;
    }
    Some(SourceSettings::ClickHouse(source))
}
