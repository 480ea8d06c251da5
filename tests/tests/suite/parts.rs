//! A destination made from parts by a program is the same as one from a configuration file: the same plan, and the same
//! problems, once with pointers and once with lines.

use std::path::Path;
use std::sync::Arc;

use batch_export_runner::config::Config;
use batch_export_runner::exporter::{Exporter, attempt_id};
use batch_export_runner::loading::Loaded;
use batch_export_runner::{
    Configuration, CredentialSettings, Destination, DestinationParts, Failure, Runtime, component,
};
use batch_export_sandbox::contract::Plan;
use batch_export_sandbox::{Credentials, Secret};
use batch_export_source::{Interval, Model, SourceSettings};
use batch_export_tests::components;
use serde_json::{Value, json};

const FILE: &str = r#"[destinations.archive]
model = "events"
bucket_name = "exports"
region = "eu-central-1"
prefix = "{table}/"
aws_access_key_id = "AKID"
aws_secret_access_key = "secret"
source = { type = "sample", rows_per_hour = 7 }
"#;

fn parts() -> DestinationParts {
    let keys = Credentials::new(&Secret::new("AKID"), Secret::new("secret"), None, None);
    DestinationParts {
        name: "archive".to_owned(),
        model: "events".to_owned(),
        configuration: fields(json!({
            "bucket_name": "exports", "region": "eu-central-1", "prefix": "{table}/",
        })),
        source: Some(SourceSettings::Sample {
            model: Model::Events,
            rows_per_hour: 7,
        }),
        credentials: Some(CredentialSettings::Keys(keys.expect("keys"))),
        ..DestinationParts::default()
    }
}

fn fields(value: Value) -> Configuration {
    Configuration::from(value.as_object().expect("an object").clone())
}

async fn plugin() -> Loaded {
    let component = component::open(Some(&components::destination())).expect("a component");
    let loaded = Runtime::default().load(&component, &|_| ()).await;
    loaded.expect("a plugin")
}

/// The plan without what differs between any two attempts.
async fn plan(destination: Destination, loaded: &Loaded) -> Result<Plan, Failure> {
    let exporter = Exporter::new(&Arc::new(destination), loaded)?;
    let hour = Interval::parse("2023-07-28T00:00Z", "2023-07-28T01:00Z").expect("an hour");
    let run = exporter.header(hour).run(attempt_id()?);
    let plan = exporter.plan(&run).await?;
    exporter.grants(&run, &plan)?;
    Ok(plan)
}

fn parse(text: &str) -> Result<Config, Failure> {
    Ok(Config::parse(Path::new("x.toml"), text, &|_| None)?)
}

fn of_file(config: &Config) -> Destination {
    let destination = config.destination(Some("archive")).expect("it is there");
    Destination::clone(destination)
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_and_a_file_give_the_same_plan() {
    let loaded = plugin().await;
    let config = parse(FILE).expect("valid");
    let from_file = plan(of_file(&config), &loaded).await.expect("a plan");
    let made = Destination::new(parts()).expect("valid");
    assert_eq!(plan(made, &loaded).await.expect("a plan"), from_file);
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_have_pointers_and_in_a_file_lines() {
    let loaded = plugin().await;
    let wrong = FILE.replace("region = ", "regoin = ");
    let config = parse(&wrong).expect("the host's part is valid");
    let told = plan(of_file(&config), &loaded).await.expect_err("wrong");
    let made = Destination::new(DestinationParts {
        configuration: fields(json!({
            "bucket_name": "exports", "regoin": "eu-central-1", "prefix": "{table}/",
        })),
        ..parts()
    });
    let failure = plan(made.expect("valid so far"), &loaded).await.expect_err("wrong");
    assert_eq!(failure.problems(), told.problems());
    let pointers: Vec<&str> = failure.problems().iter().map(|p| p.pointer.as_str()).collect();
    assert!(pointers.contains(&"/regoin"), "{pointers:?}");

    let located = config.located("archive", told);
    for (problem, bare) in located.problems().iter().zip(failure.problems()) {
        assert_eq!(problem.message, bare.message);
        assert!(problem.pointer.ends_with(&bare.pointer), "{problem:?}");
        assert!(problem.at.is_some(), "{problem:?}");
    }
    let is_placed = |field: &str, line| {
        let mut problems = located.problems().iter();
        problems.any(|p| p.field() == field && p.at.is_some_and(|at| at.line == line))
    };
    assert!(is_placed("destinations.archive.regoin", 4), "{located:?}");
}

#[test]
fn what_the_host_finds_wrong_is_the_same_as_well() {
    let wrong = FILE.replace("\"events\"", "\"evens\"").replace("archive", "arch ive");
    let wrong = wrong.replace("[destinations.arch ive]", "[destinations.\"arch ive\"]");
    let told = parse(&wrong).expect_err("wrong");
    let failure = Destination::new(DestinationParts {
        name: "arch ive".to_owned(),
        model: "evens".to_owned(),
        ..parts()
    });
    let failure = failure.expect_err("wrong");
    let messages = |failure: &Failure| -> Vec<String> {
        let problems = failure.problems().iter();
        let mut messages: Vec<String> = problems.map(|p| p.message.clone()).collect();
        messages.sort();
        messages
    };
    let expect = [
        "`evens` is not a known model",
        "a destination's name consists of at most 64 letters, digits, `-` and `_`",
    ];
    assert_eq!(messages(&failure), expect);
    assert_eq!(messages(&told), expect);
}
