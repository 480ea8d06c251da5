//! Sources that no files can make right.

use super::*;
use batch_export_source::TimeOf;

#[test]
fn a_path_and_a_time_column_that_can_never_do_are_problems() {
    let text = |path: &str, times: &str| {
        format!(
            "[destinations.a]\nmodel = \"events\"\n[destinations.a.source]\ntype = \"files\"\npath = \"{path}\"\n{times}\n"
        )
    };
    for (path, times, expect) in [
        ("s3://bucket/in", "", "path: files are read from this machine only"),
        ("~/in/*.parquet", "", "path: `~` is not expanded to a home folder"),
        ("in/{a,b", "", "path: the brace `{a,b` is never closed"),
        (
            "in",
            "time_column = \"event\"",
            "6:15: destinations.a.source.time_column: the model's column `event` holds text, not times; use one of its \
             timestamps: `timestamp`, `created_at`, `_inserted_at`",
        ),
        (
            "in",
            "time_column = \"properties\"",
            "6:15: destinations.a.source.time_column: the model's column `properties` holds JSON text, not times",
        ),
        (
            "in",
            "backfill_time_column = \"event\"",
            "6:24: destinations.a.source.backfill_time_column: the model's column `event` holds text, not times; use \
             one of its timestamps: `timestamp`, `created_at`, `_inserted_at`",
        ),
    ] {
        let found = problems(&text(path, times));
        assert!(found.iter().any(|problem| problem.contains(expect)), "{found:?}");
    }
}

#[test]
fn a_backfill_selects_by_the_time_of_the_event() {
    let columns = |model: &str, times: &str| {
        let text = format!(
            "[destinations.a]\nmodel = \"{model}\"\nbucket_name = \"b\"\nregion = \"r\"\nprefix = \"\"\ncredentials = {{ source = \
             \"host\" }}\n[destinations.a.source]\ntype = \"files\"\npath = \"in\"\n{times}\n"
        );
        let config = parse(&text).expect("valid");
        let SourceSettings::Files(files) = &config.destinations[0].source else {
            panic!("{config:?}");
        };
        [TimeOf::Arrival, TimeOf::Event].map(|by| files.time_column_of(by).to_owned())
    };
    for (model, times, expect) in [
        ("events", "", ["_inserted_at", "timestamp"]),
        ("events", "time_column = \"created_at\"", ["created_at", "timestamp"]),
        (
            "events",
            "backfill_time_column = \"_inserted_at\"",
            ["_inserted_at", "_inserted_at"],
        ),
        ("persons", "", ["_inserted_at", "_inserted_at"]),
        ("orders", "time_column = \"at\"", ["at", "at"]),
        (
            "orders",
            "time_column = \"at\"\nbackfill_time_column = \"ordered_at\"",
            ["at", "ordered_at"],
        ),
    ] {
        assert_eq!(columns(model, times), expect, "{model} {times}");
    }
}

#[test]
fn a_command_is_read_with_what_it_is_given() {
    let text = |keys: &str| {
        format!(
            "[destinations.a]\nmodel = \"orders\"\nbucket_name = \"b\"\nregion = \"r\"\nprefix = \"\"\ncredentials = {{ source = \
             \"host\" }}\n[destinations.a.source]\ntype = \"command\"\n{keys}\n"
        )
    };
    let interval = "\"{data_interval_start}\", \"{data_interval_end}\"";
    let config = parse(&text(&format!(
        "command = [\"python3\", \"export.py\", {interval}]\nenvironment = [\"PATH\"]\nfolder = \"scripts\"\n\
         time_column = \"at\""
    )))
    .expect("valid");
    let SourceSettings::Command(command) = &config.destinations[0].source else {
        panic!("{config:?}");
    };
    assert_eq!(command.base, Path::new("conf"));
    assert_eq!(command.environment, ["PATH"]);
    assert_eq!(command.folder.as_deref(), Some(Path::new("scripts")));
    let times = [TimeOf::Arrival, TimeOf::Event].map(|by| command.time_column_of(by));
    // What the program gives for an interval is all that a backfill takes, too.
    assert_eq!(times, [Some("at"), Some("at")]);
    let config = parse(&text(
        "command = [\"export\"]\ntime_column = \"at\"\nbackfill_time_column = \"placed_at\"",
    ))
    .expect("valid");
    let SourceSettings::Command(command) = &config.destinations[0].source else {
        panic!("{config:?}");
    };
    assert_eq!(command.time_column_of(TimeOf::Event), Some("placed_at"));

    for (keys, expect) in [
        (
            String::new(),
            vec!["command: missing; write the program and its arguments, as in [\"python3\", \"export.py\"]"],
        ),
        (
            "command = []".to_owned(),
            vec!["command: it is empty; write the program and its arguments"],
        ),
        (
            "command = \"python3 export.py\"".to_owned(),
            vec!["command: expected an array of strings, found a string"],
        ),
        (
            "command = [\"python3\", \"export.py\"]".to_owned(),
            vec![
                "command: nothing says which rows belong to an interval: every run would export all of them; pass \
                 {data_interval_start} and {data_interval_end} to the program, or set time_column",
            ],
        ),
        (
            "command = [\"a\", \"{data_interval_starts}\", \"{data_interval_end}\"]".to_owned(),
            vec!["command[1]: `{data_interval_starts}` stands for nothing; did you mean `{data_interval_start}`?"],
        ),
        (
            format!("command = [\"a\", {interval}]\nenvironment = [\"A=canary\"]"),
            vec!["environment[0]: not the name of an environment variable; write its name alone, without a value"],
        ),
        (
            format!("command = [\"a\", {interval}]\npath = \"x\""),
            vec!["path: unknown key"],
        ),
    ] {
        let found = problems(&text(&keys));
        assert_eq!(found.len(), expect.len(), "{keys}: {found:?}");
        for (found, expect) in found.iter().zip(expect) {
            let found = found.split_once("source.").map_or(found.as_str(), |(_, rest)| rest);
            assert!(found.starts_with(expect), "{keys}: {found}");
        }
    }

    let text = text("command = [\"a\"]\ntime_column = \"event\"").replace("orders", "events");
    let found = problems(&text);
    assert!(
        found[0].contains("the model's column `event` holds text, not times"),
        "{found:?}"
    );
}

#[test]
fn an_argument_may_be_secret() {
    let secret = "command = [\"mysql\", \"--password=${env:KEY}\", \"{data_interval_start}\", \"{data_interval_end}\"]";
    let text = format!(
        "[destinations.a]\nmodel = \"orders\"\nbucket_name = \"b\"\nregion = \"r\"\nprefix = \"\"\ncredentials = {{ source = \
         \"host\" }}\n[destinations.a.source]\ntype = \"command\"\n{secret}\n"
    );
    let config = parse(&text).expect("valid");
    assert!(!format!("{config:?}").contains("canary"), "{config:?}");
}
