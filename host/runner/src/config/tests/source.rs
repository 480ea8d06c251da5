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
