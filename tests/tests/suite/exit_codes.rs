//! One meaning for each exit code: whatever goes wrong has the same class and the same code in every command that meets
//! it, as text and as JSON.

use std::fs;

use batch_export_tests::components;
use batch_export_tests::program::{Printed, Program, configuration};
use batch_export_tests::scene::Scene;
use serde_json::Value;

/// Every command that reads a configuration, with what it needs to meet a wrong source.
const COMMANDS: [(&str, &[&str]); 5] = [
    ("validate", &["--source"]),
    ("plan", &["--source", "--last", "hour"]),
    ("run", &["--last", "hour"]),
    ("verify", &["--last", "hour"]),
    ("check", &[]),
];
/// What the class of a failure makes the exit code.
const CODES: [(&str, i32); 3] = [("failed", 1), ("configuration", 2), ("retryable", 3)];

fn with_files(scene: &Scene, path: &str) -> String {
    let source = "source = { type = \"sample\", rows_per_hour = 1 }";
    let files = format!("source = {{ type = \"files\", path = \"{path}\", time_column = \"at\" }}");
    configuration(scene, "archive", 1, "")
        .replace(source, &files)
        .replace("model = \"events\"", "model = \"own\"\ncustom_model = true")
}

fn run(program: &Program, command: &str, further: &[&str]) -> Printed {
    let component = components::destination();
    let component = component.to_str().expect("UTF-8");
    let mut arguments = vec![command, "--config", "exports.toml", "--component", component, "--json"];
    arguments.extend(further);
    program.run(&arguments)
}

/// Something wrong, which commands meet it, and what each of them must say.
struct Case {
    name: &'static str,
    configuration: String,
    meets: &'static [&'static str],
    class: &'static str,
    /// `validate` gathers problems with a configuration under one code.
    code: &'static str,
    hint: &'static str,
}

const READ_SOURCE: &[&str] = &["validate", "plan", "run", "verify"];
const ALL: &[&str] = &["validate", "plan", "run", "verify", "check"];

#[tokio::test(flavor = "multi_thread")]
async fn the_same_failure_has_the_same_exit_code_in_every_command() {
    let scene = Scene::new().await;
    let usual = configuration(&scene, "archive", 1, "");
    let listed = format!("egress.allow_private = [\"{}\"]", scene.store.address());
    let cases = [
        Case {
            name: "a source that is not there",
            configuration: with_files(&scene, "none.jsonl"),
            meets: READ_SOURCE,
            class: "failed",
            code: "source_unreadable",
            hint: "correct the source's `path`",
        },
        Case {
            name: "a link to nothing",
            configuration: with_files(&scene, "link.jsonl"),
            meets: READ_SOURCE,
            class: "failed",
            code: "source_unreadable",
            hint: "correct or remove the link",
        },
        Case {
            name: "a source that is damaged, as a child process told",
            configuration: with_files(&scene, "bad.jsonl"),
            meets: READ_SOURCE,
            class: "failed",
            code: "source_unreadable",
            hint: "write null, or a valid JSON value",
        },
        Case {
            name: "an address that nobody allowed",
            configuration: usual.replace(&listed, ""),
            meets: ALL,
            class: "configuration",
            code: "grant_refused",
            hint: "to allow it, add it to allow_private in [destinations.archive.egress], as in ",
        },
        Case {
            name: "a field of the plugin's that is wrong",
            configuration: usual.replace("us-east-1", "us east"),
            meets: ALL,
            class: "configuration",
            code: "",
            hint: "",
        },
        Case {
            name: "a file that is not TOML",
            configuration: "[".to_owned(),
            meets: ALL,
            class: "configuration",
            code: "configuration_invalid",
            hint: "",
        },
    ];
    for case in cases {
        let program = Program::new(&case.configuration);
        let folder = program.folder.path();
        fs::write(folder.join("bad.jsonl"), "{\"at\":NaN}\n").expect("written");
        std::os::unix::fs::symlink("gone", folder.join("link.jsonl")).expect("a link");
        for (command, further) in COMMANDS {
            if !case.meets.contains(&command) {
                continue;
            }
            let printed = run(&program, command, further);
            let told: Value = serde_json::from_str(&printed.stdout).expect("one object");
            let error = &told["error"];
            let place = format!("{}, {command}: {printed:?}", case.name);
            assert_eq!(error["class"], case.class, "{place}");
            let (_, code) = CODES.iter().find(|(class, _)| *class == case.class).expect("a class");
            assert_eq!(printed.code, Some(*code), "{place}");
            assert_eq!(error["exit_code"], *code, "{place}");
            let gathers = command == "validate" && case.class == "configuration";
            if !case.code.is_empty() && !gathers {
                assert_eq!(error["code"], case.code, "{place}");
            }
            assert!(printed.stderr.contains(case.hint), "{place}");
            if command == "validate" {
                assert_eq!(told["valid"], false, "{place}");
                assert!(!told["problems"].as_array().expect("problems").is_empty(), "{place}");
            }
        }
    }
}

/// A port at which nobody listens: what to do is said in the words of that, not of some failed step.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_not_there_is_worth_retrying_everywhere() {
    let scene = Scene::new().await;
    let (endpoint, address) = (scene.store.endpoint(), scene.store.address().to_string());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let text = configuration(&scene, "archive", 1, "")
        .replace(&endpoint, &format!("http://{closed}"))
        .replace(&address, &closed);
    let program = Program::new(&text);
    for (command, further) in [("check", &[][..]), ("verify", &["--last", "hour"])] {
        let printed = run(&program, command, further);
        assert_eq!(printed.code, Some(3), "{command}: {printed:?}");
        let told: Value = serde_json::from_str(&printed.stdout).expect("one object");
        assert_eq!(told["error"]["class"], "retryable", "{told}");
        let hint = told["error"]["hint"].as_str().expect("a hint");
        assert!(
            hint.starts_with("start the store") && hint.contains("endpoint_url"),
            "{hint}"
        );
        let said = format!("nothing listens at {closed} (connection refused)");
        assert!(printed.stdout.contains(&said), "{command}: {printed:?}");
        for raw in ["os error", "tcp connect", "client error"] {
            assert!(!printed.stdout.contains(raw), "{command}: {printed:?}");
        }
    }
}
