//! Servers that go away in the middle, and tables that are written to meanwhile.

use std::time::{Duration, Instant};

use crate::database::{arguments, configuration, count, open, server, sql};
use batch_export_source::SourceErrorKind;
use batch_export_tests::program::Program;
use batch_export_tests::scene::{BUCKET, Scene};

fn large(rows: u32) {
    sql(&format!(
        "DROP TABLE IF EXISTS large; CREATE UNLOGGED TABLE large AS SELECT i AS id, '2026-01-01Z'::timestamptz + i * interval
             '10 ms' AS at, repeat('x', 200) AS filler FROM generate_series(1, {rows}) i"
    ));
}

/// Waits until the server answers again, after a crash.
fn recovered() {
    let begun = Instant::now();
    while std::panic::catch_unwind(|| sql("SELECT 1")).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not come back");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Returns the process of the server that copies for the program, once rows are on their way.
fn backend() -> String {
    let begun = Instant::now();
    loop {
        let found = sql("SELECT pid FROM pg_stat_progress_copy WHERE tuples_processed > 1000");
        if let Some(pid) = found.lines().next() {
            return pid.to_owned();
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "no copy begins");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until no server process is left of a run.
fn left() {
    let begun = Instant::now();
    while sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'batch-export'").trim() != "0" {
        assert!(begun.elapsed() < Duration::from_secs(5), "it is still there");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_is_ended_or_killed_is_a_failure_for_now_and_leaves_nothing() {
    large(3_000_000);
    let scene = Scene::new().await;
    let source = "table = \"large\"\ntime_column = \"at\"";
    let program = Program::new(&configuration(&scene, "orders", "Parquet", source));
    let arguments = arguments("run");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    for is_killed in [false, true] {
        let running = program.start(&arguments);
        let backend = backend();
        if is_killed {
            let killed = std::process::Command::new("sh")
                .args(["-c", &format!("kill -9 {backend}")])
                .status();
            assert!(killed.expect("a shell").success());
        } else {
            sql(&format!("SELECT pg_terminate_backend({backend})"));
        }
        let printed = running.wait();
        assert_eq!(printed.code, Some(3), "{printed:?}");
        assert!(printed.stderr.contains("PostgreSQL at 127.0.0.1"), "{printed:?}");
        assert_eq!(scene.store.keys(BUCKET), [""; 0]);
        assert!(scene.store.open_uploads().is_empty(), "{printed:?}");
        recovered();
        left();
    }
}

#[test]
fn what_is_written_meanwhile_is_not_in_the_snapshot() {
    large(200_000);
    let mut source = open(server(), "large").expect("a source");
    let first = source.next_batch().expect("rows").expect("a batch").num_rows();
    sql("DELETE FROM large WHERE id % 2 = 0; UPDATE large SET filler = 'y';
         INSERT INTO large SELECT i, '2026-01-01 12:00Z', 'z' FROM generate_series(1, 1000) i");
    assert_eq!(first + count(source.as_mut()).expect("rows"), 200_000);
    let mut source = open(server(), "large").expect("a source");
    assert_eq!(count(source.as_mut()).expect("rows"), 101_000);
}

#[test]
fn a_source_that_is_left_ends_its_statement() {
    large(1_000_000);
    let mut source = open(server(), "large").expect("a source");
    source.next_batch().expect("rows").expect("a batch");
    assert!(!backend().is_empty());
    drop(source);
    left();
}

#[test]
fn a_server_with_too_many_connections_and_one_with_too_little_time_are_failures_for_now() {
    large(1_000_000);
    let kind = |role: &str| {
        let mut server = server();
        server.user = Some(role.to_owned());
        let error = open(server, "large")
            .and_then(|mut source| count(source.as_mut()))
            .expect_err(role);
        assert_eq!(error.kind(), SourceErrorKind::Transient, "{error}");
        error.to_string()
    };
    sql("DO $$ BEGIN
           IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'crowded') THEN DROP OWNED BY crowded, hurried; END IF;
         END $$;
         DROP ROLE IF EXISTS crowded, hurried;
         CREATE ROLE crowded LOGIN CONNECTION LIMIT 0; CREATE ROLE hurried LOGIN; GRANT SELECT ON large TO crowded, hurried;
         ALTER ROLE hurried SET statement_timeout = 5");
    assert!(kind("crowded").contains("53300"));
    assert!(kind("hurried").contains("57014"));
}
