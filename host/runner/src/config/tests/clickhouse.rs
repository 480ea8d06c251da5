//! Sources of type `clickhouse`: what is decided from their keys, and what is said about them.

use super::*;
use batch_export_source::{QuerySettings, Rows, TimeOf};
use std::time::Duration;

fn text(model: &str, keys: &str) -> String {
    format!(
        "[destinations.a]\nmodel = \"{model}\"\nbucket_name = \"b\"\nregion = \"r\"\nprefix = \"\"\ncredentials = {{ source = \
         \"host\" }}\n[destinations.a.source]\ntype = \"clickhouse\"\n{keys}\n"
    )
}

const TABLE: &str = "url = \"https://db:8443\"\ntable = \"shop.orders\"\ntime_column = \"at\"\n";

#[test]
fn every_key_is_read() {
    let keys = format!(
        "{TABLE}user = \"u\"\npassword = \"${{env:KEY}}\"\ndatabase = \"d\"\nca_file = \"ca.pem\"\nquery_timeout = \"2 minutes\"\norder_by = \
         [\"at\", \"id\"]\nsettings = {{ select_sequential_consistency = \"1\" }}"
    );
    let config = parse(&text("orders", &keys)).expect("valid");
    let SourceSettings::ClickHouse(found) = &config.destinations[0].source else {
        panic!("{config:?}");
    };
    assert_eq!(found.user.as_deref(), Some("u"));
    assert_eq!(
        found.password.as_ref().map(|password| password.expose()),
        Some("canary-4711")
    );
    assert!(!format!("{config:?}").contains("canary-4711"));
    assert_eq!(found.database.as_deref(), Some("d"));
    assert_eq!(found.ca_file.as_deref(), Some(Path::new("conf/ca.pem")));
    assert_eq!(found.query_timeout, Duration::from_secs(120));
    let query: &QuerySettings = &found.query;
    assert_eq!(query.rows, Rows::Table(vec!["shop".to_owned(), "orders".to_owned()]));
    assert_eq!(query.order_of(TimeOf::Arrival), ["at", "id"]);
}

#[test]
fn what_cannot_be_right_is_told_where_it_stands() {
    for (model, keys, expect) in [
        (
            "orders",
            "table = \"t\"\ntime_column = \"at\"",
            "destinations.a.source.url: missing; write the address of the HTTP",
        ),
        (
            "orders",
            "url = \"https://u:${env:KEY}@db\"\ntable = \"t\"\ntime_column = \"at\"",
            "9:7: destinations.a.source.url: a URL must not hold user and password, which would be seen in logs; write \
             them in `user` and `password`",
        ),
        (
            "orders",
            "url = \"https://db\"",
            "destinations.a.source.table: missing; name a table with `table`",
        ),
        (
            "orders",
            "url = \"https://db\"\ntable = \"a.b.c\"\ntime_column = \"at\"",
            "10:1: destinations.a.source.table: it has too many parts; write it as database.table",
        ),
        (
            "orders",
            "url = \"https://db\"\nquery = \"SELECT 1\"",
            "nothing says which rows belong to an interval: every run would export all of them",
        ),
        (
            "events",
            "url = \"https://db\"\ntable = \"t\"\ntime_column = \"event\"",
            "11:15: destinations.a.source.time_column: the model's column `event` holds text, not times",
        ),
        (
            "events",
            "url = \"https://db\"\ntable = \"t\"\ntime_column = \"timestamp\"\nbackfill_time_column = \"properties\"",
            "12:24: destinations.a.source.backfill_time_column: the model's column `properties` holds JSON text",
        ),
        (
            "orders",
            "url = \"https://db\"\ntable = \"t\"\ntime_column = \"at\"\nsettings = { limit = \"5\" }",
            "destinations.a.source.settings.limit: the source decides this itself; remove it",
        ),
        (
            "orders",
            "url = \"https://db\"\ntable = \"t\"\ntime_column = \"at\"\nsettings = { max_threads = 5 }",
            "destinations.a.source.settings.max_threads: expected a string, found an integer",
        ),
        (
            "orders",
            "url = \"https://db\"\ntable = \"t\"\ntime_column = \"at\"\nquery_timeout = \"0 seconds\"",
            "destinations.a.source.query_timeout: `0 seconds` is out of range",
        ),
        (
            "orders",
            "url = \"https://db\"\ntable = \"t\"\ntime_column = \"at\"\nport = 8123",
            "destinations.a.source.port: unknown key",
        ),
    ] {
        let found = problems(&text(model, keys));
        assert!(
            found.iter().any(|problem| problem.contains(expect)),
            "{keys}\n{found:?}"
        );
        assert!(!found.iter().any(|problem| problem.contains("canary")), "{found:?}");
    }
}
