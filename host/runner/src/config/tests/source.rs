//! Sources that no files can make right.

use super::*;

#[test]
fn a_path_and_a_time_column_that_can_never_do_are_problems() {
    let text = |path: &str, time_column: &str| {
        format!(
            "[destinations.a]\nmodel = \"events\"\n[destinations.a.source]\ntype = \"files\"\npath = \"{path}\"\ntime_column = \"{time_column}\"\n"
        )
    };
    for (path, time_column, expect) in [
        (
            "s3://bucket/in",
            "timestamp",
            "path: files are read from this machine only",
        ),
        (
            "~/in/*.parquet",
            "timestamp",
            "path: `~` is not expanded to a home folder",
        ),
        ("in/{a,b", "timestamp", "path: the brace `{a,b` is never closed"),
        (
            "in",
            "event",
            "time_column: the model's column `event` holds text, not times; use one of its timestamps: `timestamp`, `created_at`, `_inserted_at`",
        ),
        (
            "in",
            "properties",
            "time_column: the model's column `properties` holds JSON text, not times",
        ),
    ] {
        let found = problems(&text(path, time_column));
        assert!(found.iter().any(|problem| problem.contains(expect)), "{found:?}");
    }
}
