//! Configuration files, right and wrong: what is decided from them and what is said about them.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::credentials::CredentialSettings;
use crate::source::SourceSettings;

const FILE: &str = "conf/exports.toml";

fn parse(text: &str) -> Result<Config, ConfigError> {
    let variable = |name: &str| match name {
        "KEY" => Some("canary-4711".to_owned()),
        "KEY_AND_BREAK" => Some("canary-4711\n".to_owned()),
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
    assert_eq!(
        destination.network.ca_file.as_deref(),
        Some(Path::new("conf/ca.pem"))
    );
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
    assert_eq!(
        (files.dialect.delimiter, files.dialect.quotes),
        (Some(b'\t'), false)
    );
    let columns: Vec<String> = files
        .columns
        .iter()
        .map(|(name, column)| format!("{name}: {column}"))
        .collect();
    assert_eq!(
        columns,
        ["the amount: decimal(38,9)", "timestamp: timestamp(ms)"]
    );

    let secret = BTreeSet::from(["bucket_name".to_owned(), "max_file_size_mb".to_owned()]);
    let (_, mistyped) = destination.fields.open(&secret);
    assert_eq!(mistyped, ["max_file_size_mb"]);
    let (open, mistyped) = destination.fields.open(&BTreeSet::new());
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
    assert_eq!(mistyped, Vec::<&str>::new());
    assert!(!format!("{config:?}").contains("canary"), "{config:?}");
    assert_eq!(
        destination.fields.place("tags.team"),
        Place {
            line: 11,
            column: 1
        }
    );
    assert_eq!(
        destination.fields.place("region"),
        Place {
            line: 5,
            column: 15
        }
    );
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
            "2:1: sate_dir: is not known here; did you mean `state_dir`?; allowed: state_dir, component, destinations",
            "3:2: component.path: is missing; name the component's file, or leave [component] out",
            "4:1: component.file: is not known here; allowed: path",
            "5:15: destinations.my archive: a destination's name has letters, digits, `-` and `_` only, at most 64",
            "5:15: destinations.my archive.model: is missing; name what is exported: events, persons or sessions",
            "7:15: destinations.my archive.bucket_name: the environment variable NO_SUCH is not set; set it, or write the value here",
            "10:8: destinations.my archive.source.type: `file` is not one of the choices; did you mean `files`?; allowed: sample, files",
            "15:17: destinations.b.source.rows_per_hour: 0 is out of range; allowed: 1 to 3600000000",
            "16:1: destinations.b.source.path: is not known here; allowed: type, rows_per_hour",
            "18:10: destinations.b.egress.allow[0]: `allow`: `ftp://x` is neither http nor https; write for example \"https://proxy.internal:8443/bucket/exports/\"",
            "18:21: destinations.b.egress.allow[1]: expected a string, found an integer",
            "19:17: destinations.b.egress.allow_private: expected an array of strings, found a string",
            "20:9: destinations.b.egress.proxy: is not a proxy; write it like http://proxy.example.com:3128",
            "22:19: destinations.b.limits.guest_memory_mb: expected an integer, found a string",
            "23:1: destinations.b.limits.computing_time_s: is not known here; did you mean `compute_time_s`?; allowed: guest_memory_mb, source_memory_mb, compute_time_s, waiting_time_s, run_time_s, request_time_s, requests_in_flight",
            "24:17: destinations.b.credentials.external_id: means nothing without role_arn; set that, or remove it",
            "24:17: destinations.b.credentials.source: is missing; write source = \"host\" to sign with this machine's own credentials",
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
            "1:1: destinations: is missing; describe at least one in a table such as [destinations.archive]",
        ),
        (
            "[destinations]",
            "1:1: destinations: is missing; describe at least one in a table such as [destinations.archive]",
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
            "1:15: destinations.a.source: is missing; say where rows come from: source = { type = \"sample\" }, or type = \"files\" with a path",
        ),
        (
            &with_source("events", ""),
            "3:17: destinations.a.source.type: is missing; it is `sample` or `files`",
        ),
        (
            &with_source("events", "type = \"files\""),
            "3:17: destinations.a.source.path: is missing; name a file, a folder or a glob such as `events/**/*.parquet`",
        ),
        (
            &with_source(
                "orders",
                "type = \"files\"\npath = \"a\"\ncolumns = { amount = \"decimal(77,0)\" }",
            ),
            "6:22: destinations.a.source.columns.amount: `decimal(77,0)` is not a type of column: a decimal has 1 to 76 digits, and at most as many of them behind the point, as in decimal(38,9); allowed: text, json, int64, uint64, float64, boolean, decimal(P,S), timestamp, timestamp(s), timestamp(ms), timestamp(us), timestamp(ns), list(text)",
        ),
        (
            &with_source(
                "orders",
                "type = \"files\"\npath = \"a\"\ncolumns = { amount = 5 }",
            ),
            "6:22: destinations.a.source.columns.amount: expected a string, found an integer; allowed: text, json, int64, uint64, float64, boolean, decimal(P,S), timestamp, timestamp(s), timestamp(ms), timestamp(us), timestamp(ns), list(text)",
        ),
        (
            &with_source(
                "events",
                "type = \"files\"\npath = \"a\"\ncolumns = { timestamp = \"int64\" }",
            ),
            "6:25: destinations.a.source.columns.timestamp: the column `timestamp` of the model events is timestamp (µs, UTC), so `int64` does not go with it; allowed: text, json, int64, uint64, float64, boolean, decimal(P,S), timestamp, timestamp(s), timestamp(ms), timestamp(us), timestamp(ns), list(text)",
        ),
        (
            &with_source(
                "orders",
                "type = \"files\"\npath = \"a\"\ntime_column = \"t\"\ncolumns = { t = \"text\" }",
            ),
            "3:17: destinations.a.source.columns.t: the time column cannot be text; it is a timestamp",
        ),
        (
            &with_source(
                "orders",
                "type = \"files\"\npath = \"a\"\ndelimiter = \";;\"",
            ),
            "6:13: destinations.a.source.delimiter: is not a delimiter; it is one character, such as `;`, `|` or `\\t`, and not a quote",
        ),
        (
            &with_source("orders", "type = \"sample\""),
            "3:17: destinations.a.source: the sample source has no model `orders`; use events, persons or sessions",
        ),
        (
            &with_source("a b", "type = \"sample\""),
            "2:9: destinations.a.model: `a b` is no model's name; use events, persons or sessions, or with a files source another name of letters, digits, `-` and `_`",
        ),
        (
            &with_source(
                "events",
                "type = \"files\"\npath = \"x\"\nformat = \"json\"",
            ),
            "6:10: destinations.a.source.format: `json` is not one of the choices; did you mean `jsonl`?; allowed: jsonl, csv",
        ),
        (
            &with_source(
                "events",
                "type = \"sample\"\nrows_per_hour = 99999999999999999999",
            ),
            "5:17: destinations.a.source.rows_per_hour: 99999999999999999999 does not fit into 64 bits",
        ),
        (
            &with_source("events", "type = \"${env:}\""),
            "4:8: destinations.a.source.type: `${env:}` is no substitution; write `${env:NAME}`, or `$${` for the characters themselves",
        ),
        (
            &with_source("events", "type = \"${env:KEY\""),
            "4:8: destinations.a.source.type: `${` is never closed; write `${env:NAME}`, or `$${` for the characters themselves",
        ),
    ];
    for (text, expect) in cases {
        let found = problems(text);
        assert!(
            found.iter().any(|line| line == expect),
            "{text}\n{found:#?}"
        );
    }
}

#[test]
fn syntax_errors_name_the_place_and_quote_nothing() {
    for (text, place) in [
        ("a = \"canary", "1:"),
        ("[destinations.a]\nmodel = = 1", "2:9"),
        (
            "[destinations.a]\nmodel = \"events\"\nmodel = \"persons\"",
            "3:1",
        ),
        ("[destinations.a\n", "1:"),
    ] {
        let found = problems(text);
        assert!(found[0].starts_with(place), "{text}: {found:?}");
        assert!(found[0].contains(": not TOML: "), "{text}: {found:?}");
    }
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
    assert_eq!(
        config.destination(None).expect_err("two").to_string(),
        "conf/exports.toml holds 2 destinations; choose one with --destination: a, b"
    );
    assert_eq!(
        config.destination(Some("c")).expect_err("none").to_string(),
        "no destination is named `c` in conf/exports.toml; there are a, b"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("exports.toml");
    let cases: [(Option<Vec<u8>>, &str); 3] = [
        (
            None,
            "cannot read the configuration exports.toml: No such file or directory (os error 2); name an existing file with --config",
        ),
        (
            Some(vec![0xff, 0xfe]),
            "the configuration exports.toml is not UTF-8 text; save it as UTF-8",
        ),
        (
            Some(vec![b'#'; MAX_FILE_BYTES as usize + 1]),
            "the configuration exports.toml is larger than 1048576 bytes; is it the right file?",
        ),
    ];
    for (bytes, expect) in cases {
        if let Some(bytes) = bytes {
            std::fs::write(&path, bytes).expect("a file");
        }
        let error = Config::load(&path).expect_err(expect).to_string();
        let folder = format!("{}/", folder.path().display());
        assert_eq!(error.replace(&folder, ""), expect);
    }
}

#[test]
fn problems_are_counted_and_placed_in_the_file() {
    let cases = [
        (
            "[destinations]",
            "the configuration has a problem:\n  conf/exports.toml:1:1: destinations: is missing; describe at least one in a table such as [destinations.archive]",
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

#[test]
fn near_misses_are_near() {
    let known = ["bucket_name", "region", "prefix", "source"];
    for (written, expect) in [
        ("bucket", None),
        ("bucketname", Some("bucket_name")),
        ("regoin", Some("region")),
        ("sorce", Some("source")),
        ("password", None),
    ] {
        assert_eq!(near_miss(written, known), expect, "{written}");
    }
}

/// A destination that lacks nothing but what signs, with these lines of it.
fn signed_by(lines: &str) -> String {
    format!("[destinations.a]\nmodel = \"events\"\nsource = {{ type = \"sample\" }}\n{lines}\n")
}

#[test]
fn a_destination_signs_with_keys_or_with_the_hosts_credentials_by_name() {
    let config = |lines: &str| match parse(&signed_by(lines)) {
        Ok(config) => config.destination(None).expect("one").credentials.clone(),
        Err(error) => panic!("{lines}: {error}"),
    };
    for (lines, token) in [
        (
            "aws_access_key_id = \"A/B+C=\"\naws_secret_access_key = \"${env:KEY}\"",
            None,
        ),
        (
            "aws_access_key_id = \"A\"\naws_secret_access_key = \"K\"\naws_session_token = \"${env:KEY}\"",
            Some("canary-4711"),
        ),
    ] {
        let CredentialSettings::Keys(keys) = config(lines) else {
            panic!("{lines}");
        };
        assert_eq!(keys.session_token.as_ref().map(|t| t.expose()), token);
    }
    for (lines, profile) in [
        ("credentials = { source = \"host\" }", None),
        (
            "credentials = { source = \"host\", profile = \"exports\" }",
            Some("exports"),
        ),
        (
            "[destinations.a.credentials]\nsource = \"host\"\nrole_arn = \"r\"\nsts_endpoint_url = \"https://sts.internal\"",
            None,
        ),
    ] {
        let CredentialSettings::Host(options) = config(lines) else {
            panic!("{lines}");
        };
        assert_eq!(options.profile.as_deref(), profile);
    }
}

/// Nothing that is missing, empty or half there is another identity, and nothing of a key is repeated.
#[test]
fn keys_that_are_missing_empty_or_spoilt_are_refused_where_they_stand() {
    let ways = "give aws_access_key_id and aws_secret_access_key, such as \"${env:NAME}\", or write credentials = { source = \"host\" } to sign with this machine's own credentials (environment, profile, role, metadata)";
    let id = "aws_access_key_id = \"A\"\n";
    let key = "aws_secret_access_key = \"canary\"\n";
    let spoilt = |value: &str| format!("{id}aws_secret_access_key = {value}");
    let faults = [
        ("\"canary\\n\"", "ends with a line break"),
        ("\"canary\\r\\n\"", "ends with a line break"),
        ("\"\"\"canary\ncanary\"\"\"", "has a line break in it"),
        ("\"${env:KEY_AND_BREAK}\"", "ends with a line break"),
        ("\" canary\"", "begins with a blank"),
        ("\"canary\\t\"", "ends with a blank"),
        ("\"canary\u{a0}\"", "ends with a blank"),
        ("\"canary canary\"", "has a blank in it"),
        ("\"canary\\u0000\"", "has a control character in it"),
        ("\"canary\\u0085\"", "ends with a blank"),
        (
            "\"canary\u{200b}\"",
            "has a character in it that is not ASCII",
        ),
        ("\"canäry\"", "has a character in it that is not ASCII"),
    ];
    let mut cases: Vec<(String, Vec<String>)> = faults
        .map(|(value, fault)| {
            let said = format!("5:25: destinations.a.aws_secret_access_key: {fault}; correct it where it comes from");
            (spoilt(value), vec![said])
        })
        .into();
    cases.extend([
        (String::new(), vec![format!("1:15: destinations.a.credentials: is missing; {ways}")]),
        (
            "aws_acces_key_id = \"A\"".to_owned(),
            vec![format!("1:15: destinations.a.credentials: is missing; {ways}; is `aws_acces_key_id` meant for one of the keys?")],
        ),
        (
            id.to_owned(),
            vec!["4:1: destinations.a.aws_secret_access_key: is missing, and aws_access_key_id is set; keys come in pairs".to_owned()],
        ),
        (
            format!("{key}aws_access_keyid = \"A\""),
            vec!["4:1: destinations.a.aws_access_key_id: is missing, and aws_secret_access_key is set; keys come in pairs; is `aws_access_keyid` meant for it?".to_owned()],
        ),
        (
            "aws_session_token = \"canary\"".to_owned(),
            vec!["4:1: destinations.a.aws_session_token: is set without aws_access_key_id and aws_secret_access_key, which it belongs to; set all three, or none".to_owned()],
        ),
        (
            "aws_access_key_id = \"\"\naws_secret_access_key = \" \"".to_owned(),
            vec![
                "4:21: destinations.a.aws_access_key_id: is empty; give a value, or remove the line".to_owned(),
                "5:25: destinations.a.aws_secret_access_key: is empty; give a value, or remove the line".to_owned(),
            ],
        ),
        (
            "aws_access_key_id = \"${env:EMPTY}\"\naws_secret_access_key = \"${env:BLANK}\"".to_owned(),
            vec![
                "4:21: destinations.a.aws_access_key_id: the environment variable EMPTY is set, but empty; give it a value, or write the value here".to_owned(),
                "5:25: destinations.a.aws_secret_access_key: the environment variable BLANK is set, but empty; give it a value, or write the value here".to_owned(),
            ],
        ),
        (
            format!("{id}{key}aws_session_token = \"${{env:EMPTY}}\""),
            vec!["6:21: destinations.a.aws_session_token: the environment variable EMPTY is set, but empty; give it a value, or write the value here".to_owned()],
        ),
        (
            format!("{id}{key}aws_session_token = \"\""),
            vec!["6:21: destinations.a.aws_session_token: is empty; give a value, or remove the line".to_owned()],
        ),
        (
            format!("{id}{key}credentials = {{ source = \"host\" }}"),
            vec!["6:1: destinations.a.credentials: stands beside keys (aws_…), and only one of the two can sign; remove the other".to_owned()],
        ),
        (
            format!("{id}aws_secret_access_key = 5"),
            vec!["5:25: destinations.a.aws_secret_access_key: expected a string, found an integer".to_owned()],
        ),
        (
            "credentials = {}".to_owned(),
            vec!["4:1: destinations.a.credentials.source: is missing; write source = \"host\" to sign with this machine's own credentials".to_owned()],
        ),
        (
            "credentials = { source = \"hots\" }".to_owned(),
            vec!["4:26: destinations.a.credentials.source: `hots` is not one of the choices; did you mean `host`?; allowed: host".to_owned()],
        ),
        (
            "credentials = { source = \"host\", profile = \"${env:EMPTY}\" }".to_owned(),
            vec!["4:44: destinations.a.credentials.profile: the environment variable EMPTY is set, but empty; give it a value, or write the value here".to_owned()],
        ),
        (
            "credentials = { source = \"host\", role_arn = \"\" }".to_owned(),
            vec!["4:45: destinations.a.credentials.role_arn: is empty; give a value, or remove the line".to_owned()],
        ),
        (
            "credentials = { source = \"host\", role_arn = \"r\", sts_endpoint_url = \"https://user:canary@sts\" }".to_owned(),
            vec!["4:69: destinations.a.credentials.sts_endpoint_url: is not the address of a server; write it like https://sts.eu-central-1.amazonaws.com".to_owned()],
        ),
    ]);
    for (lines, expect) in cases {
        assert_eq!(problems(&signed_by(&lines)), expect, "{lines}");
    }
}

/// What a variable holds may be a secret wherever it was put: no message repeats it.
#[test]
fn nothing_that_a_variable_held_is_repeated() {
    let with = |line: &str| signed_by(&format!("credentials = {{ source = \"host\" }}\n{line}"));
    let cases = [
        (
            with("check = \"${env:KEY}\""),
            "5:9: destinations.a.check: `${env:KEY}` is not one of the choices; allowed: automatic, on_request",
        ),
        (
            with("egress = { allow = [\"ftp://${env:KEY}/\"] }"),
            "5:21: destinations.a.egress.allow[0]: `allow`: `ftp://${env:KEY}/` is neither http nor https; write for example \"https://proxy.internal:8443/bucket/exports/\"",
        ),
        (
            with("egress = { proxy = \"${env:KEY}\" }"),
            "5:20: destinations.a.egress.proxy: is not a proxy; write it like http://proxy.example.com:3128",
        ),
        (
            with("").replace("\"events\"", "\"${env:KEY} \""),
            "2:9: destinations.a.model: `${env:KEY} ` is no model's name; use events, persons or sessions, or with a files source another name of letters, digits, `-` and `_`",
        ),
        (
            with("").replace("\"sample\"", "\"${env:KEY}\""),
            "3:19: destinations.a.source.type: `${env:KEY}` is not one of the choices; allowed: sample, files",
        ),
    ];
    for (text, expect) in cases {
        assert_eq!(problems(&text), [expect], "{text}");
    }
    // What the plugin says of its fields passes the same way.
    let config = parse(&with(
        "region = \"${env:KEY}\"\ntags = { team = \"x-${env:KEY}\" }",
    ))
    .expect("valid");
    let fields = &config.destination(None).expect("one").fields;
    for (field, said, expect) in [
        (
            "region",
            "`canary-4711` is no region",
            "`${env:KEY}` is no region",
        ),
        (
            "region",
            "`canary-47 …` is no region",
            "`${env:KEY}` is no region",
        ),
        (
            "region",
            "canary-4711 is no region",
            "the value of `${env:KEY}` is not allowed",
        ),
        (
            "tags.team",
            "`x-canary 4711` is too long",
            "`x-${env:KEY}` is too long",
        ),
        (
            "prefix",
            "goes not with `canary-4711`",
            "goes not with `${env:KEY}`",
        ),
        ("prefix", "is missing", "is missing"),
    ] {
        assert_eq!(fields.redacted(field, said), expect);
    }
}

mod source;
