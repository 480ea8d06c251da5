//! What the program answers: one JSON object whatever the outcome, text that fits a terminal, silence when all is well,
//! and intervals that a schedule asks for.

use std::fs;

use batch_export_tests::components;
use batch_export_tests::program::{Printed, Program, configuration};
use batch_export_tests::scene::{BUCKET, Scene};
use devstore::{Fault, Operation, What};
use serde_json::Value;

/// A command with the shipped component.
fn call(program: &Program, command: &str, further: &[&str]) -> Printed {
    let component = components::destination();
    let component = component.to_str().expect("UTF-8");
    let arguments = [command, "--config", "exports.toml", "--component", component];
    program.run(&[&arguments, further].concat())
}

const HOUR: [&str; 4] = ["--start", "2023-07-28T00:00:00Z", "--end", "2023-07-28T01:00:00Z"];

#[track_caller]
fn json(printed: &Printed) -> Value {
    serde_json::from_str(&printed.stdout).unwrap_or_else(|error| panic!("{error}: {printed:?}"))
}

/// Every command that reads the configuration, with what it needs besides.
const COMMANDS: [(&str, &[&str]); 5] = [
    ("run", &HOUR),
    ("verify", &HOUR),
    ("plan", &HOUR),
    ("check", &[]),
    ("validate", &[]),
];

#[tokio::test(flavor = "multi_thread")]
async fn with_json_every_failure_is_one_object_with_its_class() {
    let scene = Scene::new().await;
    let good = configuration(&scene, "exports", 1_000, "");
    let no_private = good.replace("egress.allow_private", "egress.allow = []\n# ");
    let unknown = good.replace("region =", "regoin =");
    for (text, words) in [(&no_private, "not public"), (&unknown, "regoin")] {
        let program = Program::new(text);
        for (command, further) in COMMANDS {
            let printed = call(&program, command, &[further, &["--json"]].concat());
            assert_eq!(printed.code, Some(2), "{command}: {printed:?}");
            let found = json(&printed);
            assert_eq!(found["status"], "failed", "{command}: {found}");
            assert_eq!(found["error"]["class"], "configuration", "{command}: {found}");
            assert_eq!(found["error"]["exit_code"], 2, "{command}: {found}");
            assert!(found["finished_at"].is_string(), "{command}: {found}");
            assert!(found.to_string().contains(words), "{command}: {found}");
            assert!(printed.stderr.contains("error: "), "{command}: {printed:?}");
            let named = found["destination"] == "exports" && found["bucket"] == BUCKET;
            assert!(named || command == "validate", "{command}: {found}");
        }
    }
    let program = Program::new(&good);
    scene.store.set_faults(vec![Fault::on(
        Operation::PutObject,
        What::Status(403, "AccessDenied".to_owned()),
    )]);
    for (command, further) in [("run", &HOUR[..]), ("check", &[])] {
        let printed = call(&program, command, &[further, &["--json"]].concat());
        assert_eq!(printed.code, Some(1), "{command}: {printed:?}");
        let found = json(&printed);
        assert_eq!(found["error"]["class"], "failed", "{command}: {found}");
        assert!(found["error"]["message"].is_string(), "{command}: {found}");
    }
    let usage = program.run(&["run", "--json"]);
    assert_eq!(
        (usage.code, json(&usage)["error"]["exit_code"].clone()),
        (Some(2), 2.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn validate_lists_every_problem_in_words_and_as_json() {
    let scene = Scene::new().await;
    let good = configuration(&scene, "exports", 1_000, "");
    let address = scene.store.address();
    let cases = [
        (
            "an address that is not allowed",
            good.replace("egress.allow_private", "egress.allow = []\n# "),
            "destinations.exports.endpoint_url",
            format!("allow_private in [destinations.exports.egress], as in allow_private = [\"{address}\"]"),
        ),
        (
            "certificates that are not there",
            format!("{good}egress.ca_file = \"nope.pem\"\n"),
            "destinations.exports.egress.ca_file",
            "there is no regular file at this path".to_owned(),
        ),
        (
            "a bucket that no URL can carry",
            good.replace(BUCKET, "a/../b"),
            "destinations.exports.bucket_name",
            "bucket".to_owned(),
        ),
        (
            "a syntax error",
            good.replace("[destinations.exports]", "[destinations.exports"),
            "",
            "not TOML".to_owned(),
        ),
        ("no destination", String::new(), "destinations", "missing".to_owned()),
    ];
    for (name, text, field, words) in cases {
        assert_ne!(text, good, "{name}: the case spoils nothing");
        let program = Program::new(&text);
        let printed = call(&program, "validate", &["--json"]);
        assert_eq!(printed.code, Some(2), "{name}: {printed:?}");
        let found = json(&printed);
        assert_eq!(found["valid"], false, "{name}: {found}");
        let problems = found["problems"].as_array().expect("a list");
        let problem = problems
            .iter()
            .find(|problem| problem["field"] == field)
            .unwrap_or_else(|| panic!("{name}: {found}"));
        assert!(problem["line"].as_u64().is_some_and(|line| line > 0), "{name}: {found}");
        assert!(problem["column"].is_u64(), "{name}: {found}");
        let whole = format!("{problem}");
        assert!(whole.replace("\\\"", "\"").contains(&words), "{name}: {found}");
        assert!(
            !whole.contains("NAME") && !whole.contains("2023-07-28"),
            "{name}: {found}"
        );
        // The words say the same as the list.
        let printed = call(&program, "validate", &[]);
        assert_eq!((printed.code, printed.stdout.as_str()), (Some(2), ""), "{name}");
        for problem in problems {
            let place = format!("exports.toml:{}:{}:", problem["line"], problem["column"]);
            let message = problem["message"].as_str().expect("a message");
            assert!(printed.stderr.contains(&place), "{name}: {place} in {printed:?}");
            assert!(printed.stderr.contains(message), "{name}: {message} in {printed:?}");
        }
    }
    for (name, arguments) in [
        ("no file", ["--config", "none.toml", "--json"]),
        ("no such destination", ["--destination", "none", "--json"]),
        ("no component", ["--component", "none.wasm", "--json"]),
    ] {
        let program = Program::new(&good);
        let mut arguments = [&["validate"][..], &arguments].concat();
        if name != "no file" {
            arguments.extend(["--config", "exports.toml"]);
        }
        let printed = program.run(&arguments);
        assert_eq!(printed.code, Some(2), "{name}: {printed:?}");
        let found = json(&printed);
        let problem = &found["problems"][0];
        assert_eq!(
            (&found["valid"], &problem["line"]),
            (&false.into(), &Value::Null),
            "{name}"
        );
        let message = problem["message"].as_str().expect("a message");
        assert!(printed.stderr.contains(message), "{name}: {printed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interval_that_has_not_ended_is_exported_only_when_asked_for() {
    let scene = Scene::new().await;
    let program = Program::new(&configuration(&scene, "exports", 10, ""));
    // So that no later command says that it compiles the plugin.
    assert_eq!(call(&program, "validate", &[]).code, Some(0));
    let future = ["--start", "2999-01-01T00:00Z", "--end", "2999-01-01T01:00Z"];
    for command in ["run", "verify"] {
        let printed = call(&program, command, &future);
        assert_eq!(printed.code, Some(2), "{command}: {printed:?}");
        assert!(printed.stderr.contains("--allow-unfinished"), "{command}: {printed:?}");
    }
    assert_eq!(scene.store.keys(BUCKET), Vec::<String>::new());
    let printed = call(&program, "plan", &[&future[..], &["--json"]].concat());
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let warning = json(&printed)["warnings"][0].to_string();
    assert!(warning.contains("has not ended"), "{warning}");

    let asked = [&future[..], &["--allow-unfinished"]].concat();
    for command in ["run", "verify", "plan"] {
        let printed = call(&program, command, &asked);
        assert_eq!(printed.code, Some(0), "{command}: {printed:?}");
        assert_eq!(printed.stderr, "", "{command}");
    }
    assert_eq!(scene.store.keys(BUCKET).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_hour_is_exported_and_verified_and_quiet_runs_print_nothing() {
    let scene = Scene::new().await;
    let program = Program::new(&configuration(&scene, "exports", 1, ""));
    for command in ["run", "verify"] {
        let printed = call(&program, command, &["--last", "day", "--quiet"]);
        assert_eq!(printed.code, Some(0), "{command}: {printed:?}");
        assert_eq!(
            (printed.stdout.as_str(), printed.stderr.as_str()),
            ("", ""),
            "{command}"
        );
    }
    let keys = scene.store.keys(BUCKET);
    assert_eq!(keys.len(), 1, "{keys:?}");
    let printed = call(&program, "verify", &["--last", "day", "--json", "--quiet"]);
    let found = json(&printed);
    assert_eq!((&found["status"], &found["rows"]), (&"succeeded".into(), &24.into()));
    let ends = [&found["interval"]["start"], &found["interval"]["end"]];
    for end in ends {
        let end = end.as_str().expect("a time");
        assert!(
            end.ends_with("T00:00:00+00:00") && keys[0].contains(end),
            "{end}: {keys:?}"
        );
    }
    // What is wrong is said however quiet: nobody wrote this day.
    let printed = call(&program, "verify", &["--last", "week", "--quiet"]);
    assert_eq!((printed.code, printed.stdout.as_str()), (Some(1), ""), "{printed:?}");
    assert!(printed.stderr.contains("error: "), "{printed:?}");
}

/// Rows of a model of one's own, an hour before and after the tests' hour.
const ORDERS: &str = r#"{"id":1,"placed_at":"2023-07-27T23:30:00Z"}
{"id":2,"placed_at":"2023-07-28T01:30:00Z"}
"#;

fn orders(scene: &Scene, time_column: &str) -> String {
    let sample = "source = { type = \"sample\", rows_per_hour = 1 }";
    let files = format!("source = {{ type = \"files\", path = \"orders.jsonl\", time_column = \"{time_column}\" }}");
    let text = configuration(scene, "exports", 1, "").replace("\"events\"", "\"orders\"");
    assert!(text.contains(sample), "{text}");
    text.replace(sample, &files)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_source_holds_is_known_before_and_after_a_run() {
    let scene = Scene::new().await;
    let program = Program::new(&orders(&scene, "placed_at"));
    let missing = call(&program, "validate", &["--source", "--json"]);
    assert_eq!(missing.code, Some(1), "{missing:?}");
    let problem = json(&missing)["problems"][0].clone();
    assert_eq!(problem["field"], "destinations.exports.source");
    assert!(
        problem["message"].as_str().is_some_and(|m| m.contains("orders.jsonl")),
        "{problem}"
    );
    assert!(problem["line"].is_u64(), "{problem}");
    assert_eq!(
        call(&program, "validate", &[]).code,
        Some(0),
        "without the source it is valid"
    );

    fs::write(program.folder.path().join("orders.jsonl"), ORDERS).expect("rows");
    let printed = call(&program, "plan", &[&HOUR[..], &["--source", "--json"]].concat());
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let source = json(&printed)["source"].clone();
    assert_eq!(source["columns"][1]["name"], "placed_at");
    assert_eq!((&source["rows"], &source["rows_in_interval"]), (&2.into(), &0.into()));
    assert_eq!(source["earliest"], "2023-07-27T23:30:00+00:00");
    assert_eq!(source["latest"], "2023-07-28T01:30:00+00:00");
    let printed = call(&program, "validate", &["--source"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(printed.stdout.contains("2023-07-28T01:30:00+00:00"), "{printed:?}");

    for quiet in [&[][..], &["--quiet"]] {
        let printed = call(&program, "run", &[&HOUR[..], quiet].concat());
        assert_eq!(printed.code, Some(0), "{printed:?}");
        let times = "warning: the times in the source's `placed_at` are from 2023-07-27T23:30:00+00:00 to 2023-07-28T01:30:00+00:00 (2 rows)\n";
        assert!(printed.stderr.contains(times), "{printed:?}");
    }

    program.configure(&orders(&scene, "paid_at"));
    let printed = call(&program, "validate", &["--source"]);
    assert_eq!(printed.code, Some(1), "{printed:?}");
    assert!(printed.stderr.contains("`paid_at`"), "{printed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_name_bucket_interval_and_time_and_fit_a_terminal() {
    let scene = Scene::new().await;
    let text = configuration(&scene, "exports", 12_000, "max_file_size_mb = 1").replace(
        "prefix = \"exports/\"",
        "prefix = \"exports/{table}/{year}/{month}/{day}/\"",
    );
    let program = Program::new(&text);
    // So that no later command says that it compiles the plugin.
    assert_eq!(call(&program, "validate", &[]).code, Some(0));
    for (command, further, words) in [
        ("plan", &HOUR[..], "what a run of events will do"),
        ("check", &[], "\n7 of 7 passed\n"),
        ("run", &HOUR, "12,000 rows in "),
        ("verify", &HOUR, ": OK, 12,000 rows in "),
    ] {
        let printed = call(&program, command, further);
        assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), ""), "{command}");
        let shown = &printed.stdout;
        assert!(
            shown.starts_with("exports: ") && shown.contains(words),
            "{command}: {shown}"
        );
        assert!(shown.contains(BUCKET), "{command}: {shown}");
        let interval = "2023-07-28T00:00:00+00:00 to 2023-07-28T01:00:00+00:00";
        assert!(command == "check" || shown.contains(interval), "{command}: {shown}");
        let stamped = shown.contains("\n  finished  20");
        assert!(stamped || matches!(command, "check" | "plan"), "{command}: {shown}");
        for line in shown.lines() {
            // A key in the middle of a sentence is not broken.
            let is_one_word = !line.trim().contains(' ');
            assert!(line.chars().count() <= 80 || is_one_word, "{command}: {line}");
        }
    }
}

#[test]
fn a_configuration_of_the_usual_name_needs_no_option() {
    let program = Program::new("");
    let printed = program.run(&["validate"]);
    assert_eq!(printed.code, Some(2), "{printed:?}");
    assert_eq!(
        printed.stderr,
        "error: there is no batch-export.toml in the current folder, which is the default when neither --config nor \
         BATCH_EXPORT_CONFIG names a file\nhint: specify a file with --config\n"
    );
    let path = program.folder.path().join("batch-export.toml");
    fs::write(path, "[destinations.a]\nmodel = \"event\"\n").expect("written");
    let printed = program.run(&["validate"]);
    assert!(printed.stderr.contains("batch-export.toml:2:9: "), "{printed:?}");
    assert!(printed.stderr.contains("did you mean `events`?"), "{printed:?}");
}
