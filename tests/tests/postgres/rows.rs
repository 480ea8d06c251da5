//! A million events, compared value by value by another reader, and a million wide rows in bounded memory.

use std::time::Duration;

use crate::database::{arguments, configuration, duck, exported, sql};
use batch_export_tests::program::Program;
use batch_export_tests::scene::{BUCKET, Scene};

const ROWS: u64 = 1_000_000;
/// What the host may take at most.
const HOST_BYTES: u64 = 300 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_million_events_arrive_value_by_value() {
    sql(&format!(
        "DROP TABLE IF EXISTS events;
         CREATE UNLOGGED TABLE events (uuid uuid, event text, distinct_id varchar(40), person_id uuid, properties jsonb,
             person_properties jsonb, elements_chain text, timestamp timestamptz, created_at timestamptz,
             _inserted_at timestamptz NOT NULL, price numeric(12,4), tags text[]);
         INSERT INTO events SELECT md5(i::text)::uuid, (ARRAY['$pageview','click','größe',NULL])[1 + i % 4], 'user ' || i % 1000,
             CASE WHEN i % 7 > 0 THEN md5((i % 100)::text)::uuid END,
             jsonb_build_object('n', i, 'x', i / 7.0, 't', E'q\"\\\\' || chr(200 + i % 5000), 'l', jsonb_build_array(i, NULL)),
             CASE WHEN i % 3 > 0 THEN jsonb_build_object('k', i % 10) END, repeat('a', i % 30),
             '2026-01-01Z'::timestamptz + i * interval '86 ms' - interval '1 day', NULL,
             '2026-01-01Z'::timestamptz + (i::bigint * 7919 % {ROWS}) * interval '86.399 ms',
             (i - 500000) / 7.0, CASE i % 3 WHEN 0 THEN ARRAY['a', NULL, i::text] WHEN 1 THEN '{{}}' END
         FROM generate_series(1, {ROWS}) i;
         INSERT INTO events (event, _inserted_at) VALUES ('other day', '2026-01-02Z'), ('other day', '2025-12-31 23:59:59.999999Z')"
    ));
    let scene = Scene::new().await;
    let source = "table = \"events\"\ntime_column = \"_inserted_at\"";
    let micros = |column: &str| format!("(extract(epoch from {column}) * 1000000)::bigint");
    let (program, parquet) = exported(&scene, "events", "Parquet", source);
    let expected = program.folder.path().join("expected.csv");
    std::fs::write(
        &expected,
        sql(&format!(
            "COPY (SELECT uuid, event, distinct_id, person_id, properties::text, person_properties::text, elements_chain, {},
                 {}, {}, price, array_to_string(tags, '|', '~') FROM events
                 WHERE _inserted_at >= '2026-01-01Z' AND _inserted_at < '2026-01-02Z')
             TO STDOUT (FORMAT csv, NULL '\\N')",
            micros("timestamp"),
            micros("created_at"),
            micros("_inserted_at"),
        )),
    )
    .expect("written");
    let text = |column: &str| format!("CAST({column} AS VARCHAR)");
    let json = |column: &str| format!("json({column})");
    let names = [
        "uuid",
        "event",
        "distinct_id",
        "person_id",
        "properties",
        "person_properties",
        "elements_chain",
    ];
    let names = [
        &names[..],
        &["timestamp", "created_at", "_inserted_at", "price", "tags"],
    ]
    .concat();
    let listed: Vec<String> = names.iter().map(|name| format!("'{name}': 'VARCHAR'")).collect();
    let of_csv = names.iter().map(|name| match *name {
        "properties" | "person_properties" => json(name),
        name => name.to_owned(),
    });
    let of_file = |micros: &dyn Fn(&str) -> String| {
        let columns = names.iter().map(|name| match *name {
            "properties" | "person_properties" => json(name),
            "timestamp" | "created_at" | "_inserted_at" => text(&micros(name)),
            "tags" => "array_to_string(list_transform(tags, lambda e: coalesce(e, '~')), '|')".to_owned(),
            name => text(name),
        });
        columns.collect::<Vec<_>>().join(", ")
    };
    let csv = format!(
        "CREATE TABLE expected AS SELECT {} FROM read_csv('{}', header = false, nullstr = '\\N', allow_quoted_nulls = false, \
         columns = {{{}}});\n",
        of_csv.collect::<Vec<_>>().join(", "),
        expected.display(),
        listed.join(", ")
    );
    let compared = "SELECT (SELECT count(*) FROM found), (SELECT count(*) FROM expected),
        (SELECT count(*) FROM (SELECT * FROM expected EXCEPT ALL SELECT * FROM found)),
        (SELECT count(*) FROM (SELECT * FROM found EXCEPT ALL SELECT * FROM expected)),
        (SELECT to_json(e) FROM (SELECT * FROM expected EXCEPT ALL SELECT * FROM found) e LIMIT 1),
        (SELECT to_json(e) FROM (SELECT * FROM found EXCEPT ALL SELECT * FROM expected) e LIMIT 1)";
    let epoch = |name: &str| format!("epoch_us({name})");
    let file = parquet.display();
    let found = format!(
        "CREATE TABLE found AS SELECT {} FROM read_parquet('{file}');\n",
        of_file(&epoch)
    );
    let same = |rows: Vec<Vec<serde_json::Value>>| {
        assert_eq!(
            format!("{:?}", &rows[0][..4]),
            format!("[Number({ROWS}), Number({ROWS}), Number(0), Number(0)]"),
            "{rows:?}"
        );
    };
    same(duck(&format!("{csv}{found}{compared}")));

    let (_program, lines) = exported(&scene, "events", "JSONLines", source);
    let types = "uuid: 'VARCHAR', event: 'VARCHAR', distinct_id: 'VARCHAR', person_id: 'VARCHAR', properties: 'JSON', \
                 person_properties: 'JSON', elements_chain: 'VARCHAR', timestamp: 'TIMESTAMPTZ', created_at: 'TIMESTAMPTZ', \
                 _inserted_at: 'TIMESTAMPTZ', price: 'DECIMAL(12,4)', tags: 'VARCHAR[]'";
    let found = format!(
        "CREATE TABLE found AS SELECT {} FROM read_json('{}', format = 'newline_delimited', columns = {{{types}}});\n",
        of_file(&epoch),
        lines.display()
    );
    same(duck(&format!("{csv}{found}{compared}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_wide_rows_take_little_memory() {
    sql(&format!(
        "DROP VIEW IF EXISTS wide; CREATE VIEW wide AS SELECT i AS id, '2026-01-01 12:00Z'::timestamptz AS at,
             repeat(md5(i::text), 12) AS a, repeat(md5((i / 2)::text), 12) AS b FROM generate_series(1, {ROWS}) i"
    ));
    for format in ["Parquet", "JSONLines"] {
        export_within_memory(format).await;
    }
}

async fn export_within_memory(format: &str) {
    let scene = Scene::new().await;
    // The server has no order to offer without sorting a gigabyte.
    let source = "table = \"wide\"\ntime_column = \"at\"\norder_by = []";
    let mut settings = configuration(&scene, "orders", format, source);
    settings = settings.replace("check = ", "compression = \"zstd\"\ncheck = ");
    let program = Program::new(&settings);
    let arguments = arguments("run");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut running = program.start(&arguments);
    let status = format!("/proc/{}/status", running.id());
    let mut peak = 0;
    while running.is_running() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0) << 10);
        std::thread::sleep(Duration::from_millis(50));
    }
    let printed = running.wait();
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(printed.stdout.contains("1,000,000 rows"), "{printed:?}");
    assert!(printed.stderr.contains("order"), "the caution is missing: {printed:?}");
    assert_eq!(scene.store.keys(BUCKET).len(), 1);
    println!(
        "a million wide rows as {format}: the host took {} MiB at most",
        peak >> 20
    );
    assert!((1..HOST_BYTES).contains(&peak), "{format}: {peak}");
}
