//! Holds the pages against the program: every example validates, every command and option exists, and every key that
//! the host reads is described. The plugin's own part of the pages is tested in the plugin.

use std::collections::BTreeSet;
use std::fs;

use batch_export_runner::config::{AlertSettings, ServiceSettings};
use batch_export_sandbox::Limits;
use batch_export_schedule::{RUNS_AT_ONCE, SETTLE};
use batch_export_tests::components::{self, repository};
use batch_export_tests::program::Program;
use serde_json::Value;

/// The README and the pages for users, by path from the repository's root.
const PAGES: [&str; 12] = [
    "README.md",
    "docs/clickhouse.md",
    "docs/commands.md",
    "docs/configuration.md",
    "docs/embedding.md",
    "docs/monitoring.md",
    "docs/orchestrators.md",
    "docs/plugin-authors.md",
    "docs/programs.md",
    "docs/service.md",
    "docs/sources.md",
    "docs/stores.md",
];

fn page(name: &str) -> String {
    fs::read_to_string(repository().join(name)).expect(name)
}

/// Texts between ``` fences of that language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let begin = format!("```{language}\n");
    text.split(&begin)
        .skip(1)
        .map(|rest| rest.split("\n```").next().expect("a first part"))
        .collect()
}

/// `validate` with the shipped component, of what stands in the program's folder.
fn validate(program: &Program, json: &[&str]) -> batch_export_tests::program::Printed {
    let component = components::destination();
    let component = component.to_str().expect("UTF-8");
    let arguments = ["validate", "--config", "exports.toml", "--component", component];
    program.run(&[&arguments, json].concat())
}

#[test]
fn every_example_validates() {
    let program = Program::new("");
    let (_, authority) = devstore::acceptor(&[]).expect("a certificate");
    fs::write(program.folder.path().join("internal-ca.pem"), authority).expect("written");
    let mut wrong = Vec::new();
    let mut validated = 0;
    for name in PAGES {
        let text = page(name);
        let configurations = blocks(&text, "toml");
        for block in configurations
            .into_iter()
            .filter(|block| block.contains("[destinations."))
        {
            // Variables that no test sets: any value will do.
            let filled: String = block
                .lines()
                .map(|line| line.replace("${env:", "$${env:") + "\n")
                .collect();
            fs::write(program.folder.path().join("exports.toml"), filled).expect("written");
            let printed = validate(&program, &[]);
            if printed.code != Some(0) {
                wrong.push(format!("{name}: {}\n{block}", printed.stderr));
            }
            validated += 1;
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(validated > 10, "only {validated} examples were found");
}

/// Every call of the program in the pages' shell examples, with the page.
fn calls() -> BTreeSet<(&'static str, String)> {
    let mut calls = BTreeSet::new();
    for name in PAGES {
        let text = page(name);
        let lines = blocks(&text, "sh").join("\n").replace("\\\n", " ");
        for line in lines.lines() {
            let line = line.split(" # ").next().expect("a first part").trim();
            if let Some(call) = line.strip_prefix("batch-export ") {
                calls.insert((name, call.to_owned()));
            }
        }
    }
    calls
}

/// The README's file under the name that commands read by default, with a sample in place of its files.
const BY_DEFAULT: &str = r#"[destinations.archive]
model = "events"
bucket_name = "my-exports"
region = "eu-central-1"
prefix = "{table}/{year}/{month}/{day}/"
credentials = { source = "host" }
source = { type = "sample", rows_per_hour = 10 }
"#;

#[test]
fn commands_that_send_nothing_do_what_the_pages_say() {
    let program = Program::new("");
    fs::write(program.folder.path().join("batch-export.toml"), BY_DEFAULT).expect("written");
    let component = components::destination();
    let component = component.to_str().expect("UTF-8");
    let mut wrong = Vec::new();
    let mut ran = 0;
    for (name, call) in calls() {
        let mut words: Vec<&str> = call.split_whitespace().collect();
        let alone = words[0] == "completions" || words[0] == "schema" && !words.contains(&"--destination");
        if !alone && !["validate", "plan", "preview", "schema"].contains(&words[0]) {
            continue;
        }
        if !alone {
            words.extend(["--component", component]);
        }
        let printed = program.run(&words);
        if printed.code != Some(0) || printed.stdout.is_empty() {
            wrong.push(format!("{name}: {call}: {printed:?}"));
        }
        ran += 1;
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(ran >= 6, "only {ran} calls were run");
}

#[test]
fn every_command_and_option_exists() {
    let program = Program::new("");
    let calls = calls();
    assert!(calls.len() > 8, "only {} calls were found", calls.len());
    let mut wrong = Vec::new();
    for (name, call) in calls {
        let mut words = call.split_whitespace();
        let command = words.next().expect("a command");
        let mut help = program.run(&[command, "--help"]);
        if help.stdout.contains("\nCommands:") {
            // The options are those of its own command.
            let inner = words.next().expect("a command of a command");
            help = program.run(&[command, inner, "--help"]);
        }
        if help.code != Some(0) {
            wrong.push(format!("{name}: there is no command `{command}`"));
        }
        for option in words.filter(|word| word.starts_with("--")) {
            if !help.stdout.contains(option) {
                wrong.push(format!("{name}: `{command}` has no option {option}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn every_command_is_in_the_commands_page_with_its_options() {
    let program = Program::new("");
    let text = page("docs/commands.md");
    let (common, _) = text.split_once("\n## ").expect("sections");
    let help = program.run(&["--help"]).stdout;
    let listed = help.split_once("Commands:").expect("commands").1;
    let commands: Vec<&str> = listed
        .lines()
        .skip(1)
        .take_while(|line| !line.trim().is_empty())
        // Names stand at the beginning; what is further in continues a summary.
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() > 6, "{commands:?}");
    let mut missing = Vec::new();
    for command in commands {
        let begin = format!("\n## `{command}`\n");
        let Some((_, rest)) = text.split_once(&begin) else {
            missing.push(format!("`{command}`"));
            continue;
        };
        let section = rest.split("\n## ").next().expect("a first part");
        let help = program.run(&[command, "--help"]).stdout;
        for word in help.split([' ', ',', '\n']) {
            let is_option = word.starts_with("--") && word.len() > 2 && word != "--help";
            if is_option && !section.contains(word) && !common.contains(word) {
                missing.push(format!("`{command}`: {word}"));
            }
        }
    }
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
}

/// The files in a folder and below it, by path from the repository's root.
fn files_below(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(repository().join(folder)).expect(folder);
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.expect("an entry");
        let path = format!("{folder}/{}", entry.file_name().to_str().expect("UTF-8"));
        if entry.file_type().expect("a type").is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// Checks that the blocks of a page in these languages are the files of a folder.
#[track_caller]
fn shows(name: &str, languages: &[&str], folder: &str, at_least: usize) {
    let text = page(name);
    let shown: BTreeSet<&str> = languages.iter().flat_map(|language| blocks(&text, language)).collect();
    let files: BTreeSet<String> = files_below(folder)
        .iter()
        .map(|name| page(name).trim_end().to_owned())
        .collect();
    assert!(files.len() >= at_least, "only {} files were found", files.len());
    let files: BTreeSet<&str> = files.iter().map(String::as_str).collect();
    assert_eq!(shown, files, "copy the files of {folder} into the page");
}

#[test]
fn the_orchestrators_page_shows_the_files_that_are_run() {
    let languages = ["python", "ini", "yaml"];
    shows(
        "docs/orchestrators.md",
        &languages,
        "tests/conformance/orchestrators",
        6,
    );
}

#[test]
fn the_programs_page_shows_the_files_that_are_run() {
    shows("docs/programs.md", &["python"], "docs/examples", 3);
}

/// A key that does not exist, wherever the host reads keys: it answers with those that do.
const UNKNOWN_KEYS: &str = r#"
zzzzzzzz = 1
[component]
path = "x.wasm"
zzzzzzzz = 1
[destinations.a]
model = "events"
[destinations.a.source]
type = "files"
path = "x"
zzzzzzzz = 1
[destinations.a.egress]
zzzzzzzz = 1
[destinations.a.limits]
zzzzzzzz = 1
[destinations.a.schedule]
every = "hour"
zzzzzzzz = 1
[destinations.a.credentials]
source = "host"
zzzzzzzz = 1
[destinations.b]
model = "events"
credentials = { source = "host" }
[destinations.b.source]
type = "sample"
zzzzzzzz = 1
[destinations.c]
model = "orders"
credentials = { source = "host" }
[destinations.c.source]
type = "command"
command = ["a", "{data_interval_start}", "{data_interval_end}"]
zzzzzzzz = 1
[destinations.d]
model = "events"
credentials = { source = "host" }
[destinations.d.source]
type = "clickhouse"
url = "https://db"
table = "t"
time_column = "at"
zzzzzzzz = 1
[destinations.e]
model = "events"
credentials = { source = "host" }
[destinations.e.source]
type = "postgres"
host = "db"
user = "reader"
table = "t"
time_column = "at"
zzzzzzzz = 1
[service]
zzzzzzzz = 1
[alerts]
zzzzzzzz = 1
[[alerts.webhook]]
url = "https://hooks.example.com"
zzzzzzzz = 1
"#;

#[test]
fn every_key_that_the_host_reads_is_in_the_configuration_page() {
    let text = page("docs/configuration.md");
    let printed = validate(&Program::new(UNKNOWN_KEYS), &["--json"]);
    assert_eq!(printed.code, Some(2), "{printed:?}");
    let answer: Value = serde_json::from_str(&printed.stdout).expect("JSON");
    // What the plugin finds wrong with its own fields is said as well.
    let problems = answer["problems"].as_array().expect("problems").iter();
    let problems: Vec<&Value> = problems.filter(|problem| problem["message"] == "unknown key").collect();
    assert_eq!(problems.len(), UNKNOWN_KEYS.matches("zzzzzzzz").count(), "{problems:?}");
    let mut missing = Vec::new();
    for problem in problems {
        let known = problem["allowed"].as_str().expect("what is allowed");
        for key in known.split(", ") {
            if !text.contains(&format!("`{key}")) {
                missing.push(format!("{}: `{key}`", problem["field"]));
            }
        }
    }
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
}

/// The default that the configuration page gives for a key, as a number, in the part with this heading.
fn default_of(heading: &str, key: &str) -> String {
    let text = page("docs/configuration.md");
    let heading = format!("### `[{heading}]`\n");
    let (_, part) = text.split_once(&heading).expect("a heading");
    let row = format!("| `{key}` |");
    let row = part.lines().find(|line| line.starts_with(&row)).expect(key);
    let default = row.split('|').nth(3).expect("a default");
    default.trim().trim_matches('`').replace(',', "")
}

#[test]
fn defaults_of_the_service_are_the_hosts() {
    let (service, alerts) = (ServiceSettings::default(), AlertSettings::default());
    let listen = service.listen.expect("an address");
    let seconds = |time: std::time::Duration| time.as_secs();
    for (heading, key, default) in [
        ("service", "runs_at_once", service.runs_at_once.to_string()),
        ("service", "memory_mb", (service.memory_bytes >> 20).to_string()),
        ("service", "listen", listen.to_string()),
        (
            "service",
            "stop_time",
            format!("{} seconds", seconds(service.stop_time)),
        ),
        ("service", "keep_runs_days", service.keep_runs_days.to_string()),
        ("service", "keep_runs", service.keep_runs.to_string()),
        ("service", "keep_logs_days", service.keep_logs_days.to_string()),
        (
            "alerts",
            "late_after",
            format!("{} hour", seconds(alerts.late_after) / 3_600),
        ),
        ("alerts", "no_rows", alerts.no_rows.to_string()),
        (
            "destinations.NAME.schedule",
            "settle",
            format!("{} seconds", seconds(SETTLE)),
        ),
        ("destinations.NAME.schedule", "runs_at_once", RUNS_AT_ONCE.to_string()),
    ] {
        assert_eq!(default_of(heading, key), default, "{key}");
    }
}

#[test]
fn defaults_of_limits_are_the_hosts() {
    let limits = Limits::default();
    for (key, default) in [
        ("guest_memory_mb", limits.guest_memory_bytes as u64 >> 20),
        ("source_memory_mb", limits.source_memory_bytes >> 20),
        ("compute_time_s", limits.compute_time_per_call.as_secs()),
        ("waiting_time_s", limits.waiting_time_per_call.as_secs()),
        ("run_time_s", limits.run_time.as_secs()),
        ("request_time_s", limits.http.timeout.as_secs()),
        ("requests_in_flight", limits.http.in_flight as u64),
    ] {
        assert_eq!(
            default_of("destinations.NAME.limits", key),
            default.to_string(),
            "{key}"
        );
    }
}
