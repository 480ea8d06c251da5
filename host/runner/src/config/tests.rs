//! Configuration files, right and wrong: what is decided from them and what is said about them.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::credentials::CredentialSettings;
use crate::failure::Failure;
use batch_export_source::SourceSettings;

mod clickhouse;
mod models;
mod postgres;
mod service;
mod signing;
mod source;

const FILE: &str = "conf/exports.toml";

fn parse(text: &str) -> Result<Config, ConfigError> {
    let variable = |name: &str| match name {
        "KEY" => Some("canary-4711".to_owned()),
        "KEY_AND_BREAK" => Some("canary-4711\n".to_owned()),
        "HOOK" => Some("https://user:canary@hooks.example.com:8443/canary-4711?canary=4711".to_owned()),
        "BUCKET" => Some("exports".to_owned()),
        "EMPTY" => Some(String::new()),
        "BLANK" => Some(" \t".to_owned()),
        _ => None,
    };
    Config::parse(Path::new(FILE), text, &variable)
}

fn problems(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(config) => panic!("accepted: {config:?}"),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains("canary"), "{text}");
            text.lines()
                .skip(1)
                .map(|line| line.trim().replace("conf/exports.toml:", ""))
                .collect()
        }
    }
}

const VALID: &str = r#"
state_dir = "state"
[component]
path = "/opt/s3.wasm"
[destinations.archive]
model = "events"
bucket_name = "${env:BUCKET}-$${env:BUCKET}"
max_file_size_mb = 100
use_virtual_style_addressing = true
include_events = ["$pageview", "signed up"]
tags = { team = "data", cost = 1.5 }
aws_access_key_id = "AKID"
aws_secret_access_key = "${env:KEY}"
[destinations.archive.source]
type = "files"
path = "events/*.parquet"
time_column = "timestamp"
delimiter = "\t"
quotes = "none"
columns = { timestamp = "timestamp(ms)", "the amount" = "decimal(38,9)" }
[destinations.archive.egress]
allow_private = ["127.0.0.1:9000"]
ca_file = "ca.pem"
proxy = "http://user:${env:KEY}@proxy:3128"
[destinations.archive.limits]
guest_memory_mb = 128
"#;

#[test]
fn a_whole_file_is_read_with_paths_beside_it_and_secrets_apart() {
    let config = parse(VALID).expect("valid");
    assert_eq!(config.state_dir, Path::new("conf/state"));
    assert_eq!(config.component.as_deref(), Some(Path::new("/opt/s3.wasm")));
    let destination = config.destination(None).expect("the only one");
    assert_eq!(destination.name, "archive");
    assert_eq!(destination.limits.guest_memory_bytes, 128 << 20);
    assert_eq!(destination.network.ca_file.as_deref(), Some(Path::new("conf/ca.pem")));
    assert_eq!(destination.egress.allow_private.len(), 1);
    let CredentialSettings::Keys(keys) = &destination.credentials else {
        panic!("{:?}", destination.credentials);
    };
    assert_eq!(keys.access_key_id, "AKID");
    assert_eq!(keys.secret_access_key.expose(), "canary-4711");
    let SourceSettings::Files(files) = &destination.source else {
        panic!("{:?}", destination.source);
    };
    assert_eq!(
        (files.base.as_path(), files.path.as_str()),
        (Path::new("conf"), "events/*.parquet")
    );
    assert_eq!(files.time_column, "timestamp");
    assert_eq!((files.dialect.delimiter, files.dialect.quotes), (Some(b'\t'), false));
    let columns: Vec<String> = files
        .columns
        .iter()
        .map(|(name, column)| format!("{name}: {column}"))
        .collect();
    assert_eq!(columns, ["the amount: decimal(38,9)", "timestamp: timestamp(ms)"]);

    let (open, mistyped) = destination.configuration.open(&BTreeSet::new());
    assert_eq!(
        open,
        serde_json::json!({
            "bucket_name": "exports-${env:BUCKET}",
            "max_file_size_mb": 100,
            "use_virtual_style_addressing": true,
            "include_events": ["$pageview", "signed up"],
            "tags": {"team": "data", "cost": 1.5},
        })
    );
    assert_eq!(mistyped, Vec::<String>::new());
    assert!(!format!("{config:?}").contains("canary"), "{config:?}");
    for (pointer, line, column) in [("/tags/team", 11, 10), ("/region", 5, 15)] {
        let failure = crate::destination::invalid(vec![Problem::new(pointer, "is odd")]);
        let failure = config.located("archive", failure);
        let problem = &failure.problems()[0];
        assert_eq!(problem.at, Some(Place { line, column }), "{pointer}");
        assert_eq!(problem.pointer, format!("/destinations/archive{pointer}"));
        assert_eq!(failure.file(), Some(Path::new(FILE)));
    }
}

#[test]
fn every_problem_is_reported_at_once_with_its_line() {
    let text = r#"
sate_dir = "x"
[component]
file = "x"
[destinations."my archive"]
modle = "events"
bucket_name = "${env:NO_SUCH}"
credentials = { source = "host" }
[destinations."my archive".source]
type = "file"
[destinations.b]
model = "events"
[destinations.b.source]
type = "sample"
rows_per_hour = 0
path = "x"
[destinations.b.egress]
allow = ["ftp://x", 5]
allow_private = "10.0.0.0/8"
proxy = "socks5://user:canary@proxy"
[destinations.b.limits]
guest_memory_mb = "128"
computing_time_s = 5
[destinations.b.credentials]
external_id = "42"
"#;
    assert_eq!(
        problems(text),
        [
            "2:1: sate_dir: unknown key; did you mean `state_dir`?; allowed: state_dir, component, destinations, service, alerts",
            "3:2: component.path: missing; name the plugin's file, or omit [component]",
            "4:1: component.file: unknown key; allowed: path",
            "5:15: destinations.my archive: a destination's name consists of at most 64 letters, digits, `-` and `_`",
            "5:15: destinations.my archive.model: missing; name the model to export: events, persons or sessions",
            "7:15: destinations.my archive.bucket_name: the environment variable NO_SUCH is not set; set it, or write the value here",
            "10:8: destinations.my archive.source.type: `file` is not a valid value; did you mean `files`?; allowed: sample, files, command, clickhouse, postgres",
            "15:17: destinations.b.source.rows_per_hour: 0 is out of range; allowed: 1 to 3,600,000,000",
            "16:1: destinations.b.source.path: unknown key; allowed: type, rows_per_hour",
            "18:10: destinations.b.egress.allow[0]: `allow`: `ftp://x` is neither http nor https; use for example \
             \"https://proxy.internal:8443/bucket/exports/\"",
            "18:21: destinations.b.egress.allow[1]: expected a string, found an integer",
            "19:17: destinations.b.egress.allow_private: expected an array of strings, found a string; \
             write allow_private = [\"10.0.0.0/8\"]",
            "20:9: destinations.b.egress.proxy: not a valid proxy URL; write it like http://proxy.example.com:3128",
            "22:19: destinations.b.limits.guest_memory_mb: expected an integer, found a string",
            "23:1: destinations.b.limits.computing_time_s: unknown key; did you mean `compute_time_s`?; allowed: guest_memory_mb, source_memory_mb, compute_time_s, waiting_time_s, run_time_s, request_time_s, requests_in_flight",
            "24:17: destinations.b.credentials.source: missing; write source = \"host\" to sign with this machine's own credentials",
            "25:1: destinations.b.credentials.external_id: has no effect without role_arn; set role_arn, or remove it",
        ]
    );
}

/// A destination with this source.
fn with_source(model: &str, source: &str) -> String {
    format!(
        "[destinations.a]\nmodel = \"{model}\"\n[destinations.a.source]\n{source}\n\
         [destinations.a.credentials]\nsource = \"host\"\n"
    )
}

#[test]
fn what_is_wrong_is_said_in_one_sentence() {
    let cases = [
        (
            "",
            "1:1: destinations: missing; add at least one in a table such as [destinations.archive]",
        ),
        (
            "[destinations]",
            "1:1: destinations: missing; add at least one in a table such as [destinations.archive]",
        ),
        (
            "destinations = 5",
            "1:16: destinations: expected a table, found an integer",
        ),
        (
            "[destinations]\na = 1",
            "2:5: destinations.a: expected a table, found an integer",
        ),
        (
            "[destinations.a]\nmodel = \"events\"\ncredentials = { source = \"host\" }",
            "1:15: destinations.a.source: missing; specify where rows come from: source = { type = \"sample\" }, or \
             type = \"files\" with a path",
        ),
        (
            &with_source("events", ""),
            "3:17: destinations.a.source.type: missing; write `sample`, `files`, `command`, `clickhouse` or `postgres`",
        ),
        (
            &with_source("events", "type = \"files\"\npath = \"\""),
            "5:8: destinations.a.source.path: empty; name a file, a folder or a glob such as `events/**/*.parquet`",
        ),
        (
            &with_source("events", "type = \"files\"\npath = \"src/[\""),
            "5:8: destinations.a.source.path: `src/[` is not a valid glob: invalid range pattern; write `[[]` for a \
             bracket that is part of a name",
        ),
        (
            "state_dir = \"/dev/null\"",
            "1:13: state_dir: /dev/null is not a folder; let it name another folder",
        ),
        (
            "[destinations.a.egress]\nno_proxy = \"localhost, a b,\"",
            "2:12: destinations.a.egress.no_proxy: `a b` is not a name, an address or a block of addresses; separate them by \
             commas, as in \"localhost,.internal,10.0.0.0/8\"",
        ),
        (
            "[destinations.a.egress]\nno_proxy = \"10.0.0.0/33\"",
            "2:12: destinations.a.egress.no_proxy: `10.0.0.0/33` is not a name, an address or a block of addresses; separate \
             them by commas, as in \"localhost,.internal,10.0.0.0/8\"",
        ),
        (
            "[destinations.a]\nmodel = \"\"",
            "2:9: destinations.a.model: empty; name the model to export: events, persons or sessions",
        ),
        (
            &with_source("events", "type = \"files\""),
            "3:17: destinations.a.source.path: missing; name a file, a folder or a glob such as `events/**/*.parquet`",
        ),
        (
            &with_source(
                "orders",
                "type = \"files\"\npath = \"a\"\ncolumns = { amount = \"decimal(77,0)\" }",
            ),
            "6:22: destinations.a.source.columns.amount: `decimal(77,0)` is not a column type: a decimal has 1 to 76 \
             digits, and at most as many of them after the decimal point, as in decimal(38,9); allowed: text, json, \
             int64, uint64, float64, boolean, decimal(P,S), timestamp, timestamp(s), timestamp(ms), timestamp(us), \
             timestamp(ns), list(text)",
        ),
        (
            &with_source("orders", "type = \"files\"\npath = \"a\"\ncolumns = { amount = 5 }"),
            "6:22: destinations.a.source.columns.amount: expected a string, found an integer; allowed: text, json, int64, uint64, float64, boolean, decimal(P,S), timestamp, timestamp(s), timestamp(ms), timestamp(us), timestamp(ns), list(text)",
        ),
        (
            &with_source(
                "events",
                "type = \"files\"\npath = \"a\"\ncolumns = { timestamp = \"int64\" }",
            ),
            "6:25: destinations.a.source.columns.timestamp: the column `timestamp` of the model events is timestamp (µs, UTC), so it cannot be `int64`; allowed: text, json, int64, uint64, float64, boolean, decimal(P,S), timestamp, timestamp(s), timestamp(ms), timestamp(us), timestamp(ns), list(text)",
        ),
        (
            &with_source(
                "orders",
                "type = \"files\"\npath = \"a\"\ntime_column = \"t\"\ncolumns = { t = \"text\" }",
            ),
            "7:17: destinations.a.source.columns.t: the time column cannot be text; it is a timestamp",
        ),
        (
            &with_source("orders", "type = \"files\"\npath = \"a\"\ndelimiter = \";;\""),
            "6:13: destinations.a.source.delimiter: not a delimiter; write one character, such as `;`, `|` or `\\t`, and not a quote",
        ),
        (
            &with_source("orders", "type = \"sample\""),
            "3:17: destinations.a.source: the sample source has no model `orders`; use events, persons or sessions",
        ),
        (
            &with_source("a b", "type = \"sample\""),
            "2:9: destinations.a.model: `a b` is not a valid model name; use events, persons or sessions, or with a \
             files source another name made of letters, digits, `-` and `_`",
        ),
        (
            &with_source("events", "type = \"files\"\npath = \"x\"\nformat = \"json\""),
            "6:10: destinations.a.source.format: `json` is not a valid value; did you mean `jsonl`?; allowed: jsonl, csv",
        ),
        (
            &with_source("events", "type = \"sample\"\nrows_per_hour = 99999999999999999999"),
            "5:17: destinations.a.source.rows_per_hour: 99999999999999999999 does not fit into 64 bits",
        ),
        (
            &with_source("events", "type = \"${env:}\""),
            "4:8: destinations.a.source.type: `${env:}` is not a valid substitution; write `${env:NAME}`, or `$${` for the characters themselves",
        ),
        (
            &with_source("events", "type = \"${env:KEY\""),
            "4:8: destinations.a.source.type: `${` is not closed; write `${env:NAME}`, or `$${` for the characters themselves",
        ),
    ];
    for (text, expect) in cases {
        let found = problems(text);
        assert!(found.iter().any(|line| line == expect), "{text}\n{found:#?}");
    }
}

#[test]
fn syntax_errors_name_the_place_and_quote_nothing() {
    for (text, place) in [
        ("a = \"canary", "1:"),
        ("[destinations.a]\nmodel = = 1", "2:9"),
        ("[destinations.a]\nmodel = \"events\"\nmodel = \"persons\"", "3:1"),
        ("[destinations.a\n", "1:"),
    ] {
        let found = problems(text);
        assert!(found[0].starts_with(place), "{text}: {found:?}");
        assert!(found[0].contains(": not TOML: "), "{text}: {found:?}");
    }
    let twice = problems("[destinations.a]\nmodel = \"canary\"\nmodel = \"persons\"");
    let expect = "3:1: not TOML: the key `model` is set a second time; write it once: a list takes several values, and a \
                  table several keys";
    assert_eq!(twice[0], expect);
}

#[test]
fn a_destination_is_chosen_by_name() {
    let two = format!(
        "{}{}",
        with_source("events", "type = \"sample\""),
        with_source("events", "type = \"sample\"").replace(".a", ".b")
    );
    let config = parse(&two).expect("valid");
    assert_eq!(config.destination(Some("b")).expect("b").name, "b");
    for (name, expect) in [
        (
            None,
            "conf/exports.toml has 2 destinations, but none was selected; choose one with --destination: a, b",
        ),
        (
            Some("c"),
            "there is no destination `c` in conf/exports.toml; use one of a, b",
        ),
    ] {
        let error = config.destination(name).expect_err(expect);
        assert_eq!(Failure::from(error).in_one_text(), expect);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("exports.toml");
    let cases: [(Option<Vec<u8>>, &str); 3] = [
        (
            None,
            "cannot read the configuration exports.toml: no such file or directory; name an existing file with \
             --config, or in BATCH_EXPORT_CONFIG if that named this one",
        ),
        (
            Some(vec![0xff, 0xfe]),
            "the configuration exports.toml is not valid UTF-8; save it as UTF-8",
        ),
        (
            Some(vec![b'#'; MAX_FILE_BYTES as usize + 1]),
            "the configuration exports.toml is larger than 1,048,576 bytes; specify the right file with --config",
        ),
    ];
    for (bytes, expect) in cases {
        if let Some(bytes) = bytes {
            std::fs::write(&path, bytes).expect("a file");
        }
        let error = Config::load(&path).expect_err(expect);
        let error = Failure::from(error).in_one_text();
        let folder = format!("{}/", folder.path().display());
        assert_eq!(error.replace(&folder, ""), expect);
    }
    // What never ends, or never begins, is not read at all.
    #[cfg(unix)]
    assert_eq!(
        Config::load(Path::new("/dev/zero")).expect_err("a device").to_string(),
        "cannot read the configuration /dev/zero: it is a device, not a file"
    );
}

#[test]
fn problems_are_counted_and_placed_in_the_file() {
    let cases = [
        (
            "[destinations]",
            "the configuration has a problem:\n  conf/exports.toml:1:1: destinations: missing; add at least one in a \
             table such as [destinations.archive]",
        ),
        (
            "destinations = 5\ncomponent = 5",
            "the configuration has 2 problems:\n  conf/exports.toml:1:16: destinations: expected a table, found an integer\n  conf/exports.toml:2:13: component: expected a table, found an integer",
        ),
    ];
    for (text, expect) in cases {
        assert_eq!(parse(text).expect_err(expect).to_string(), expect);
    }
}
