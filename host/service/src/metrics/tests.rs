//! What is exported is OpenMetrics, bounded, and counts what happened.

mod pages;

use super::*;
use crate::test_support::openmetrics;

const END: RunEnd = RunEnd {
    state: RunState::Completed,
    duration: Duration::from_secs(7),
    rows: 1_000,
    bytes: 4_096,
    files: 2,
    peak_guest_memory_bytes: Some(64 << 20),
};

fn filled(destination: &str) -> Metrics {
    let metrics = Metrics::new();
    metrics.configured([destination]);
    for state in RunState::ALL {
        metrics.run_ended(destination, &RunEnd { state: *state, ..END });
    }
    metrics.skipped(destination, 13);
    metrics.stands(
        destination,
        &Standing {
            lag: Duration::from_millis(1_500),
            last_success: Some(Moment(1_700_000_000_500_000)),
            is_paused: true,
        },
    );
    metrics
}

#[test]
fn what_happened_is_counted() {
    let metrics = filled("archive");
    metrics.loaded(&Load {
        memory_bytes: 100,
        ..Load::default()
    });
    metrics.loaded(&Load {
        runs_waiting: 5,
        runs_in_progress: 3,
        requests_in_flight: 8,
        memory_bytes: 50,
        memory_limit_bytes: 1_000,
    });
    metrics.ledger_failed();
    metrics.alert_sent();
    metrics.alert_failed(false);
    metrics.alert_failed(true);
    let series = openmetrics::parse(&metrics.encode().unwrap()).unwrap();
    let expect = [
        ("runs_total{destination=archive,outcome=completed}", 1.0),
        ("runs_total{destination=archive,outcome=failed}", 1.0),
        ("runs_total{destination=archive,outcome=timed_out}", 1.0),
        ("runs_total{destination=archive,outcome=cancelled}", 1.0),
        ("run_duration_seconds_count{destination=archive}", 4.0),
        ("run_duration_seconds_sum{destination=archive}", 28.0),
        ("rows_total{destination=archive}", 1_000.0),
        ("bytes_total{destination=archive}", 4_096.0),
        ("files_total{destination=archive}", 2.0),
        ("run_peak_guest_memory_bytes{destination=archive}", f64::from(64 << 20)),
        ("retries_total{destination=archive}", 1.0),
        ("intervals_skipped_total{destination=archive}", 13.0),
        ("interval_lag_seconds{destination=archive}", 1.5),
        ("last_success_timestamp_seconds{destination=archive}", 1_700_000_000.5),
        ("paused{destination=archive}", 1.0),
        ("runs_waiting", 5.0),
        ("runs_in_progress", 3.0),
        ("requests_in_flight", 8.0),
        ("memory_bytes", 50.0),
        ("memory_peak_bytes", 100.0),
        ("memory_limit_bytes", 1_000.0),
        ("ledger_errors_total", 1.0),
        ("alerts_sent_total", 1.0),
        ("alert_errors_total", 2.0),
        ("alerts_given_up_total", 1.0),
        (concat!("build_info{version=", env!("CARGO_PKG_VERSION"), "}"), 1.0),
    ];
    for (name, value) in expect {
        assert_eq!(series.value(&format!("batch_export_{name}")), Some(value), "{name}");
    }
    let bucket = "run_duration_seconds_bucket";
    let others = expect.map(|(name, _)| name.split('{').next().unwrap().to_owned());
    for name in series.names() {
        let name = name.strip_prefix("batch_export_").unwrap();
        assert!(
            name == bucket || others.iter().any(|other| other == name),
            "{name} is in no test"
        );
    }
}

#[test]
fn a_name_that_is_no_label_is_escaped() {
    let metrics = filled("a\"b\\c\nd");
    let series = openmetrics::parse(&metrics.encode().unwrap()).unwrap();
    let name = "batch_export_intervals_skipped_total{destination=a\"b\\c\nd}";
    assert_eq!(series.value(name), Some(13.0));
}

#[test]
fn a_new_destination_starts_at_zero_and_one_that_is_gone_leaves_nothing() {
    let metrics = filled("archive");
    metrics.configured(["mirror"]);
    let encoded = metrics.encode().unwrap();
    assert!(!encoded.contains("archive"), "{encoded}");
    let series = openmetrics::parse(&encoded).unwrap();
    for name in [
        "runs_total{destination=mirror,outcome=failed}",
        "retries_total{destination=mirror}",
    ] {
        assert_eq!(series.value(&format!("batch_export_{name}")), Some(0.0), "{name}");
    }
    // A run of it that was in progress ends later.
    metrics.run_ended("archive", &END);
    metrics.skipped("archive", 1);
    assert!(!metrics.encode().unwrap().contains("archive"));
    // Counters of those that stay go on.
    metrics.run_ended("mirror", &END);
    metrics.configured(["mirror", "archive"]);
    let series = openmetrics::parse(&metrics.encode().unwrap()).unwrap();
    let completed = |name| format!("batch_export_runs_total{{destination={name},outcome=completed}}");
    assert_eq!(series.value(&completed("mirror")), Some(1.0));
    assert_eq!(series.value(&completed("archive")), Some(0.0));
}

#[test]
fn clones_count_together_from_any_thread() {
    let metrics = Metrics::new();
    metrics.configured(["archive"]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let metrics = metrics.clone();
            scope.spawn(move || (0..100).for_each(|_| metrics.run_ended("archive", &END)));
        }
    });
    let series = openmetrics::parse(&metrics.encode().unwrap()).unwrap();
    let rows = series.value("batch_export_rows_total{destination=archive}");
    assert_eq!(rows, Some(400_000.0));
}
