//! The pages about metrics, the rules for Prometheus and the dashboard for Grafana name what is really exported.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::test_support::openmetrics::Series;
use crate::test_support::yaml;

const PAGE: &str = include_str!("../../../../../docs/monitoring.md");
const RULES: &str = include_str!("../../../../../docs/prometheus-rules.yml");
const DASHBOARD: &str = include_str!("../../../../../docs/grafana-dashboard.json");

fn exported() -> Series {
    openmetrics::parse(&filled("archive").encode().unwrap()).unwrap()
}

/// The metric that a series belongs to, as the page names it.
fn metric(series: &str) -> &str {
    let histogram = ["_bucket", "_sum", "_count"].iter();
    let mut without = histogram.filter_map(|suffix| series.strip_suffix(suffix));
    without.next().unwrap_or(series)
}

#[test]
fn the_page_describes_every_metric_with_its_labels() {
    let series = exported();
    let mut exported: BTreeSet<(String, String)> = BTreeSet::new();
    for name in series.names() {
        let labels = series.labels(name).into_iter().filter(|label| *label != "le");
        let labels: Vec<String> = labels.map(|label| format!("`{label}`")).collect();
        exported.insert((metric(name).to_owned(), labels.join(", ")));
    }
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `batch_export_"));
    let described = rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert!(cells.len() == 4 && !cells[2].is_empty(), "{row}");
        let name = format!("batch_export_{}", cells[0].trim_end_matches('`'));
        (name, cells[1].to_owned())
    });
    assert_eq!(described.collect::<BTreeSet<_>>(), exported);
    for outcome in OUTCOMES {
        assert!(PAGE.contains(&format!("`{outcome}`")), "{outcome}");
    }
}

/// Checks the names, labels and outcomes in an expression of PromQL. What a label is joined or grouped by may also come
/// from the scrape.
fn check(expression: &str, series: &Series) -> Result<(), String> {
    let wrong = |what: String| Err(format!("{what} in: {expression}"));
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = 0;
    for (start, _) in expression.match_indices("batch_export_") {
        let rest = &expression[start..];
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        found += 1;
        if !series.names().contains(name) {
            return wrong(format!("there is no {name}"));
        }
        let matchers = match after.strip_prefix('{') {
            Some(inside) => inside.split('}').next().unwrap_or_default(),
            None => "",
        };
        for matcher in matchers.split(',').filter(|matcher| !matcher.is_empty()) {
            let (label, value) = matcher.split_once('=').ok_or("a matcher without =")?;
            let label = label.trim_end_matches('!');
            if !series.labels(name).contains(label) {
                return wrong(format!("{name} has no label {label}"));
            }
            let mut values = value.trim_start_matches('~').trim_matches('"').split('|');
            if label == "outcome" && !values.all(|value| OUTCOMES.iter().any(|outcome| outcome.as_str() == value)) {
                return wrong(format!("an outcome that does not exist: {value}"));
            }
        }
        let before = &expression[..start];
        let is_rate = before.ends_with("rate(") || before.ends_with("increase(");
        let grows = name.ends_with("_total") || name.ends_with("_bucket");
        if grows != is_rate {
            return wrong(format!("{name} is a counter if and only if its growth is asked for"));
        }
    }
    for word in ["by (", "on ("] {
        for group in expression.split(word).skip(1) {
            for label in group.split(')').next().unwrap_or_default().split(", ") {
                if !["destination", "outcome", "le", "instance"].contains(&label) {
                    return wrong(format!("no label {label}"));
                }
            }
        }
    }
    match found {
        0 => wrong("no metric".to_owned()),
        _ => Ok(()),
    }
}

#[test]
fn the_rules_for_prometheus_name_what_is_exported() {
    let series = exported();
    let rules = yaml::parse(RULES).unwrap();
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() > 5);
    for rule in rules {
        check(rule["expr"].as_str().unwrap(), &series).unwrap();
        assert!(rule["alert"].as_str().unwrap().starts_with("BatchExport"), "{rule}");
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{rule}");
        for annotation in ["summary", "description"] {
            let text = rule["annotations"][annotation].as_str().unwrap();
            for used in text.split("$labels.").skip(1) {
                assert!(used.starts_with("destination }}"), "{text}");
            }
        }
    }
    assert!(PAGE.contains("BatchExportDown") && RULES.contains("alert: BatchExportDown"));
}

/// Every expression of the dashboard.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("expr").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| expressions(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_for_grafana_names_what_is_exported() {
    let series = exported();
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut found = Vec::new();
    expressions(&dashboard, &mut found);
    assert!(found.len() > 15, "{found:?}");
    found.iter().for_each(|expression| check(expression, &series).unwrap());
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<&str> = panels.iter().map(|panel| panel["title"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "a title is there twice");
    let variable = dashboard["templating"]["list"][1]["query"]["query"].as_str().unwrap();
    assert_eq!(variable, "label_values(batch_export_runs_total, destination)");
    // What no panel shows is exported for nobody, but for what only rules or people need.
    let unseen = series
        .names()
        .into_iter()
        .map(metric)
        .filter(|name| !DASHBOARD.contains(name));
    let unseen: BTreeSet<&str> = unseen.collect();
    let expect = ["batch_export_files_total", "batch_export_run_peak_guest_memory_bytes"];
    assert_eq!(unseen, expect.into());
}

#[test]
fn expressions_that_are_wrong_are_found() {
    let series = exported();
    for (expression, expect) in [
        ("batch_export_run_total > 0", "there is no batch_export_run_total"),
        ("batch_export_runs", "there is no batch_export_runs "),
        (
            "increase(batch_export_rows_total{outcome=\"failed\"}[1h])",
            "has no label outcome",
        ),
        (
            "rate(batch_export_runs_total{outcome=~\"failed|broken\"}[1h])",
            "an outcome",
        ),
        ("batch_export_rows_total > 0", "its growth"),
        ("increase(batch_export_paused[1h])", "its growth"),
        ("sum by (bucket) (batch_export_paused)", "no label bucket"),
        ("up == 0", "no metric"),
    ] {
        let found = check(expression, &series).unwrap_err();
        assert!(found.contains(expect), "{found}");
    }
    assert_eq!(check("sum by (destination) (batch_export_paused)", &series), Ok(()));
}
