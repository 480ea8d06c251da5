//! Settings that are wrong, and names that try to be more than names.

use crate::database::{command, configuration, run, sql};
use batch_export_tests::program::{Printed, Program};
use batch_export_tests::scene::{BUCKET, Scene};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_and_nothing_is_written() {
    sql(
        "DROP TABLE IF EXISTS good; CREATE TABLE good (id int, at timestamptz, name text, j json);
         DROP TABLE IF EXISTS closed; CREATE TABLE closed (id int, at timestamptz);
         INSERT INTO good VALUES (1, '2026-01-01 01:00Z', 'x', '{}')",
    );
    let scene = Scene::new().await;
    let range = "at >= {data_interval_start} AND at < {data_interval_end}";
    for (source, code, expect) in [
        (
            format!("query = \"SELECT * FRM good WHERE {range}\""),
            1,
            "\n  |          ^\n".to_owned(),
        ),
        (
            format!("query = \"SELECT names FROM good WHERE {range}\""),
            1,
            "hint: Perhaps you meant to reference the column \"good.name\".".to_owned(),
        ),
        (
            format!("query = \"SELECT 1 / 0 FROM good WHERE {range}\""),
            1,
            "division by zero".to_owned(),
        ),
        (
            format!("query = \"SELECT 1 AS a, 2 AS a FROM good WHERE {range}\""),
            1,
            "column `a` appears twice".to_owned(),
        ),
        (
            format!("query = \"DELETE FROM good WHERE {range} RETURNING *\""),
            1,
            "syntax error".to_owned(),
        ),
        (
            format!("query = \"SELECT *, nextval('pg_toast') FROM good WHERE {range}\""),
            1,
            "pg_toast".to_owned(),
        ),
        (
            "query = \"SELECT * FROM good WHERE at >= {data_interval_starts}\"".to_owned(),
            2,
            "`{data_interval_starts}` stands for nothing".to_owned(),
        ),
        (
            "table = \"nowhere\"\ntime_column = \"at\"".to_owned(),
            1,
            "42P01".to_owned(),
        ),
        (
            "table = \"good\"\ntime_column = \"name\"".to_owned(),
            1,
            "the time column `name` is Utf8, expected a timestamp".to_owned(),
        ),
        (
            "table = \"good\"\ntime_column = \"when\"".to_owned(),
            1,
            "the time column `when` is missing".to_owned(),
        ),
        (
            "table = \"good\"\ntime_column = \"at\"\norder_by = [\"j\"]".to_owned(),
            1,
            "could not identify an ordering operator for type json".to_owned(),
        ),
        (
            "table = \"good\"".to_owned(),
            2,
            "nothing says which rows belong to an interval".to_owned(),
        ),
        (
            "time_column = \"at\"".to_owned(),
            2,
            "name a table with `table`".to_owned(),
        ),
    ] {
        let program = Program::new(&configuration(&scene, "orders", "Parquet", &source));
        let printed = run(&program);
        assert_eq!(printed.code, Some(code), "{source}: {printed:?}");
        assert!(printed.stderr.contains(&expect), "{source}: {printed:?}");
        assert!(printed.stderr.contains("hint:"), "{source}: {printed:?}");
    }
    assert_eq!(scene.store.keys(BUCKET), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_a_time_are_counted_in_the_same_snapshot() {
    sql(
        "DROP TABLE IF EXISTS timeless; CREATE TABLE timeless (id int, at timestamp);
         INSERT INTO timeless VALUES (1, '2026-01-01 01:00'), (2, NULL), (3, NULL), (4, '2026-01-02')",
    );
    let scene = Scene::new().await;
    let source = "table = \"timeless\"\ntime_column = \"at\"";
    let program = Program::new(&configuration(&scene, "orders", "JSONLines", source));
    let printed = run(&program);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let said = format!("{}{}", printed.stdout, printed.stderr);
    assert!(
        said.contains("1 row") && said.contains("2 rows") && said.contains("time"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_of_a_query_with_bounds_takes_what_the_query_gives() {
    // It happened before the interval in which it arrived.
    sql(
        "DROP TABLE IF EXISTS late; CREATE TABLE late AS SELECT 'u' AS uuid, 'e' AS event, 'd' AS distinct_id, 'p' AS person_id,
             '{}'::jsonb AS properties, '{}'::jsonb AS person_properties, '' AS elements_chain,
             timestamptz '2025-12-31 23:00Z' AS timestamp, now() AS created_at, timestamptz '2026-01-01 05:00Z' AS _inserted_at",
    );
    let scene = Scene::new().await;
    let source = "query = \"SELECT * FROM late WHERE _inserted_at >= {data_interval_start} AND _inserted_at < \
                  {data_interval_end}\"\ntime_column = \"_inserted_at\"";
    let program = Program::new(&configuration(&scene, "events", "JSONLines", source));
    for name in ["run", "verify"] {
        let printed = command(&program, name, &["--backfill"]);
        assert_eq!(printed.code, Some(0), "{name}: {printed:?}");
        assert!(printed.stdout.contains("1 row"), "{name}: {printed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn event_lists_compare_names_as_they_are_written() {
    sql("DROP TABLE IF EXISTS listed; DROP COLLATION IF EXISTS anycase;
         CREATE COLLATION anycase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE TABLE listed (uuid text, event text COLLATE anycase, distinct_id text, person_id text, properties jsonb,
             person_properties jsonb, elements_chain text, timestamp timestamptz, created_at timestamptz, _inserted_at
             timestamptz);
         INSERT INTO listed (uuid, event, _inserted_at) SELECT n::text, CASE n % 2 WHEN 0 THEN 'a' ELSE 'A' END,
             '2026-01-01 01:00Z' FROM generate_series(1, 10) n");
    let scene = Scene::new().await;
    let source = "table = \"listed\"\ntime_column = \"_inserted_at\"";
    for column in ["text COLLATE anycase", "char(5)"] {
        sql(&format!("ALTER TABLE listed ALTER COLUMN event TYPE {column}"));
        let name = if column == "char(5)" { "a    " } else { "a" };
        let settings = configuration(&scene, "events", "JSONLines", source);
        let settings = settings.replace("check = ", &format!("exclude_events = [\"{name}\"]\ncheck = "));
        let printed = run(&Program::new(&settings));
        assert_eq!(printed.code, Some(0), "{column}: {printed:?}");
        assert!(printed.stdout.contains("5 rows"), "{column}: {printed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_whose_time_is_infinite_are_counted() {
    sql(
        "DROP TABLE IF EXISTS endless; CREATE TABLE endless (id int PRIMARY KEY, at timestamptz NOT NULL);
         INSERT INTO endless VALUES (1, '2026-01-01 01:00Z'), (2, 'infinity'), (3, '-infinity'), (4, '2026-02-01')",
    );
    let scene = Scene::new().await;
    let source = "table = \"endless\"\ntime_column = \"at\"";
    let program = Program::new(&configuration(&scene, "orders", "JSONLines", source));
    let printed = run(&program);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let said = format!("{}{}", printed.stdout, printed.stderr);
    assert!(said.contains("2 rows were omitted: no time"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_one_time_come_in_the_order_of_the_primary_key() {
    // Written in an order that is neither that of the key nor its opposite.
    sql(
        "DROP TABLE IF EXISTS keyed; CREATE TABLE keyed (\"the ID\" int, shop text, at timestamptz NOT NULL, PRIMARY KEY \
         (shop, \"the ID\"));
         INSERT INTO keyed SELECT (n * 7919) % 1000, 'shop ' || n % 3, '2026-01-01 01:00Z' FROM generate_series(1, 1000) n;
         DROP TABLE IF EXISTS keyless; CREATE TABLE keyless AS TABLE keyed",
    );
    let scene = Scene::new().await;
    let rows = |printed: &Printed| -> Vec<(String, i64)> {
        assert_eq!(printed.code, Some(0), "{printed:?}");
        let preview: Value = serde_json::from_str(&printed.stdout).expect("JSON");
        let rows = preview["rows"].as_array().expect("rows").iter();
        rows.map(|row| {
            let text = |column: usize| row[column].as_str().expect("a text");
            (text(1).to_owned(), text(0).parse().expect("a number"))
        })
        .collect()
    };
    let preview = |table: &str| {
        let source = format!("table = \"{table}\"\ntime_column = \"at\"");
        let program = Program::new(&configuration(&scene, "orders", "JSONLines", &source));
        command(&program, "preview", &["--rows", "1000", "--json"])
    };
    let keyed = preview("keyed");
    let found = rows(&keyed);
    let mut sorted = found.clone();
    sorted.sort();
    assert!(found.len() == 1000 && found == sorted, "{found:?}");
    assert!(!keyed.stdout.contains("in any order"), "{keyed:?}");
    let keyless = preview("keyless");
    assert_eq!(rows(&keyless).len(), 1000);
    assert!(keyless.stdout.contains("rows are ordered by `at` alone"), "{keyless:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_policy_hides_are_not_left_out_in_silence() {
    sql(
        "DROP TABLE IF EXISTS hidden; CREATE TABLE hidden (id int PRIMARY KEY, at timestamptz NOT NULL);
         INSERT INTO hidden VALUES (1, '2026-01-01 01:00Z'), (2, '2026-01-01 02:00Z');
         ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
         CREATE POLICY odd ON hidden FOR SELECT USING (id % 2 = 1);
         DROP ROLE IF EXISTS onlooker; CREATE ROLE onlooker LOGIN; GRANT SELECT ON hidden TO onlooker",
    );
    let scene = Scene::new().await;
    let as_onlooker = |further: &str| {
        let source = format!("table = \"hidden\"\ntime_column = \"at\"\n{further}");
        let settings = configuration(&scene, "orders", "JSONLines", &source);
        let lines = settings.lines().map(|line| match line.starts_with("user = ") {
            true => "user = \"onlooker\"",
            false => line,
        });
        Program::new(&lines.map(|line| format!("{line}\n")).collect::<String>())
    };
    let refused = run(&as_onlooker(""));
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("row_security = \"apply\""), "{refused:?}");
    let applied = run(&as_onlooker("row_security = \"apply\""));
    assert_eq!(applied.code, Some(0), "{applied:?}");
    assert!(applied.stdout.contains("1 row"), "{applied:?}");
    sql("DROP TABLE hidden; DROP ROLE onlooker");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_names_whatever_is_in_them() {
    let odd = "a\"; DROP TABLE victim; --";
    let quoted = odd.replace('"', "\"\"");
    sql(&format!(
        "DROP TABLE IF EXISTS victim; CREATE TABLE victim (id int); INSERT INTO victim VALUES (1);
         DROP TABLE IF EXISTS \"{quoted}\";
         CREATE TABLE \"{quoted}\" (uuid text, event text, distinct_id text, person_id text, properties json,
             person_properties json, elements_chain text, timestamp timestamptz, created_at timestamptz,
             _inserted_at timestamptz, \"{quoted}\" timestamptz, \"') TO PROGRAM 'touch /tmp/broken-out' --\" text);
         INSERT INTO \"{quoted}\" (uuid, event, \"{quoted}\") VALUES ('1', $$') OR true --$$, '2026-01-01 01:00Z'),
             ('2', 'other', '2026-01-01 02:00Z')"
    ));
    let scene = Scene::new().await;
    let column = odd.replace('"', "\\\"");
    let source = format!(
        "table = '\"{quoted}\"'\ntime_column = \"{column}\"\norder_by = [\"{column}\", \"') TO PROGRAM 'touch /tmp/broken-out' --\"]"
    );
    let lists = "include_events = [\"') OR true --\", \"'; DROP TABLE victim; --\"]\nexclude_events = [\"\\\\'\"]\n";
    let settings =
        configuration(&scene, "events", "JSONLines", &source).replace("check = ", &format!("{lists}check = "));
    let program = Program::new(&settings);
    let printed = run(&program);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(printed.stdout.contains("1 row"), "{printed:?}");
    assert_eq!(sql("SELECT count(*) FROM victim").trim(), "1");
    assert!(!std::path::Path::new("/tmp/broken-out").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_shown_before_it_is_exported_and_one_without_rows_is_no_failure() {
    sql(
        "DROP TABLE IF EXISTS empty; CREATE TABLE empty (id int, at timestamptz NOT NULL, price numeric(8,2), j jsonb)",
    );
    let scene = Scene::new().await;
    let source = "table = \"empty\"\ntime_column = \"at\"";
    let program = Program::new(&configuration(&scene, "orders", "Parquet", source));
    for name in ["plan", "preview", "run"] {
        let printed = command(&program, name, &[]);
        assert_eq!(printed.code, Some(0), "{name}: {printed:?}");
    }
    let shown = command(&program, "preview", &[]).stdout;
    assert!(
        ["id", "at", "price", "j"].iter().all(|name| shown.contains(name)),
        "{shown}"
    );
    sql("INSERT INTO empty VALUES (7, '2026-01-01 05:00Z', 12.5, '{\"a\": 1}')");
    let shown = command(&program, "preview", &[]).stdout;
    assert!(shown.contains("12.50"), "{shown}");
    let columns = program.run(&[
        "schema",
        "--config",
        "exports.toml",
        "--destination",
        "archive",
        "--component",
        component(),
    ]);
    assert_eq!(columns.code, Some(0), "{columns:?}");
    assert!(columns.stdout.contains("price"), "{columns:?}");
}

fn component() -> &'static str {
    batch_export_tests::components::destination()
        .to_str()
        .expect("UTF-8")
        .to_owned()
        .leak()
}
