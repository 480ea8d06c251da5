//! PostgreSQL as a source: keys that belong together, keys that contradict, and secrets that no message repeats.

use super::*;
use batch_export_source::{Infinity, PostgresSettings, SslMode};
use std::time::Duration;

fn text(source: &str) -> String {
    format!(
        "[destinations.a]\nmodel = \"orders\"\nbucket_name = \"bucket\"\nregion = \"r\"\nprefix = \"\"\n\
         credentials = {{ source = \"host\" }}\n[destinations.a.source]\ntype = \"postgres\"\n{source}\n"
    )
}

fn read(source: &str) -> PostgresSettings {
    let config = parse(&text(source)).expect("valid");
    match &config.destinations[0].source {
        SourceSettings::Postgres(settings) => settings.clone(),
        other => panic!("{other:?}"),
    }
}

const ROWS: &str = "table = \"orders\"\ntime_column = \"at\"";

#[test]
fn keys_say_where_the_server_is_and_how_it_is_asked() {
    let settings = read(&format!(
        "host = \"db\"\nport = 6432\ndatabase = \"sales\"\nuser = \"reader\"\npassword = \"hunter22\"\nsslmode = \"verify-ca\"\n\
         ca_file = \"ca.pem\"\npassfile = \"/etc/pass\"\nstatement_timeout = \"5 minutes\"\nconnect_timeout = \"3 seconds\"\n\
         infinity = \"null\"\noptions = \"-c search_path=x\"\n{ROWS}"
    ));
    let server = &settings.server;
    assert_eq!((server.host.as_deref(), server.port), (Some("db"), Some(6432)));
    assert_eq!(server.sslmode, Some(SslMode::VerifyCa));
    assert_eq!(server.ca_file.as_deref(), Some(Path::new("conf/ca.pem")));
    assert_eq!(server.passfile.as_deref(), Some(Path::new("/etc/pass")));
    assert_eq!(
        server.password.as_ref().map(|password| password.expose()),
        Some("hunter22")
    );
    assert_eq!(server.connect_timeout, Some(Duration::from_secs(3)));
    assert_eq!(settings.statement_timeout, Some(Duration::from_secs(300)));
    assert_eq!(settings.infinity, Infinity::Null);
    assert!(!format!("{settings:?}").contains("hunter22"));

    let settings = read(&format!(
        "url = \"postgresql://reader@db/sales\"\npassword = \"hunter22\"\nsslmode = \"require\"\n{ROWS}"
    ));
    assert_eq!(settings.server.database.as_deref(), Some("sales"));
    assert_eq!(settings.server.sslmode, Some(SslMode::Require));
    assert!(settings.server.password.is_some());
    assert_eq!(settings.infinity, Infinity::Refuse);
    assert_eq!(
        read(&format!("service = \"sales\"\n{ROWS}")).server.service.as_deref(),
        Some("sales")
    );
}

#[test]
fn what_cannot_be_meant_is_a_problem_that_repeats_no_secret() {
    for (source, expect) in [
        (ROWS.to_owned(), "host: missing"),
        (format!("host = \"db\"\n{ROWS}"), "user: missing"),
        (
            format!("url = \"postgresql://u:hunter22@db/d\"\nhost = \"db\"\n{ROWS}"),
            "host: there is a `url` too",
        ),
        (
            format!("url = \"postgresql://u:hunter22@db/d\"\npassword = \"hunter22\"\n{ROWS}"),
            "password: the `url` says it too",
        ),
        (
            format!("url = \"postgresql://u:hunter22@db:x/d\"\n{ROWS}"),
            "url: its port is not a number",
        ),
        (
            format!("url = \"mysql://u:hunter22@db/d\"\n{ROWS}"),
            "url: it does not begin with postgresql://",
        ),
        (
            format!("host = \"db\"\nuser = \"u\"\nsslmode = \"prefer\"\n{ROWS}"),
            "sslmode: sslmode `prefer` is not accepted",
        ),
        (
            format!("host = \"db\"\nuser = \"u\"\nsslmode = \"verify\"\n{ROWS}"),
            "sslmode: the sslmode is not known",
        ),
        (
            format!("host = \"db\"\nuser = \"u\"\nkey_file = \"k\"\n{ROWS}"),
            "its certificate_file is not",
        ),
        (
            format!("host = \"db\"\nuser = \"u\"\nport = 0\n{ROWS}"),
            "port: 0 is out of range",
        ),
        (
            format!("host = \"db\"\nuser = \"u\"\ninfinity = \"zero\"\n{ROWS}"),
            "infinity: `zero` is not a valid value",
        ),
        (
            format!("host = \"db\"\nuser = \"u\"\nstatement_timeout = 5\n{ROWS}"),
            "statement_timeout: expected a string",
        ),
        (
            "host = \"db\"\nuser = \"u\"\ntable = \"orders\"".to_owned(),
            "nothing says which rows belong to an interval",
        ),
        (
            "host = \"db\"\nuser = \"u\"\ntable = \"a b\"\ntime_column = \"at\"".to_owned(),
            "table: `a b` is not the name",
        ),
        (
            format!("host = \"db\"\nuser = \"u\"\npasswords = \"hunter22\"\n{ROWS}"),
            "passwords: unknown key",
        ),
    ] {
        let found = problems(&text(&source));
        assert!(
            found.iter().any(|problem| problem.contains(expect)),
            "{source}: {found:?}"
        );
        assert!(!format!("{found:?}").contains("hunter"), "{found:?}");
    }
    let events = text(&format!(
        "host = \"db\"\nuser = \"u\"\n{}",
        ROWS.replace("\"at\"", "\"event\"")
    ))
    .replace("orders\"\nb", "events\"\nb");
    let found = problems(&events);
    assert!(
        found.iter().any(|problem| problem.contains("holds text, not times")),
        "{found:?}"
    );
}
