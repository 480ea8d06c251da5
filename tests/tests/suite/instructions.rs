//! What an export costs in the guest, counted in WebAssembly instructions: the same on every machine, so a change that
//! makes the component slower fails here and not in somebody's bill. Looks at no clock.

use batch_export_sandbox::{Limits, SandboxOptions};
use batch_export_source::{EventFilter, Interval, Model, SampleFactory, Selection, SourceFactory};
use batch_export_system::{Budget, Token};
use batch_export_tests::scene::{Messages, Scene};
use devstore::Options;
use serde_json::json;

const ROWS: u64 = 10_000;
/// How much a change may cost, or save, before the number below has to be written anew: a percentage of it.
const TOLERANCE_PERCENT: u64 = 5;

/// Format and codec, with the instructions that a row of the sample source's events takes.
const COSTS: [(&str, &str, u64); 6] = [
    ("Parquet", "zstd", 38_964),
    ("Parquet", "snappy", 23_998),
    ("Parquet", "none", 16_501),
    ("JSONLines", "gzip", 174_724),
    ("JSONLines", "zstd", 70_012),
    ("JSONLines", "none", 26_418),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_export_costs_what_it_used_to() {
    let mut sandbox = SandboxOptions::default();
    sandbox.count_instructions = true;
    let scene = Scene::with_sandbox(Options::default(), sandbox).await;
    let plugin = scene.destination();
    let messages = events();
    let mut changed = Vec::new();
    for (format, codec, known) in COSTS {
        let fields = json!({"file_format": format, "compression": codec});
        let configuration = scene.configuration(&format!("{format}-{codec}/"), fields);
        let outcome = scene.run(&plugin, &configuration, &messages, Limits::default()).await;
        assert_eq!(outcome.report().rows_exported, ROWS, "{format} {codec}");
        let counted = outcome.instructions.expect("a count") / ROWS;
        if counted.abs_diff(known) * 100 > known * TOLERANCE_PERCENT {
            changed.push(format!("{format} {codec}: {known} a row before, {counted} now"));
        }
    }
    assert!(
        changed.is_empty(),
        "the guest's cost changed by more than {TOLERANCE_PERCENT} %; if that is meant, write the new numbers into \
         COSTS and say in the commit what they buy:\n{}",
        changed.join("\n")
    );
}

fn events() -> Messages {
    let selection = Selection::new(
        Interval::parse("2023-07-28T00:00:00Z", "2023-07-28T01:00:00Z").expect("an interval"),
        EventFilter::default(),
    );
    let factory = SampleFactory::new(Model::Events, ROWS);
    let source = factory.open(selection, &Token::new(), &Budget::unlimited());
    let mut source = source.expect("a source");
    let batches = std::iter::from_fn(|| source.next_batch().expect("rows"));
    Messages::of(&batches.collect::<Vec<_>>())
}
