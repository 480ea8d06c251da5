//! What is no destination component is refused when it is loaded, with a sentence that names the way out.

use batch_export_tests::components;
use batch_export_tests::scene::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_destination_component_is_refused_in_a_sentence() {
    let scene = Scene::new().await;
    let guest = |name: &str| std::fs::read(components::guest(name)).expect("a guest");
    let whole = guest("hostile");
    let mut bad_middle = whole.clone();
    let middle = bad_middle.len() / 2;
    bad_middle[middle..middle + 64].fill(0xff);
    let cases: [(&str, Vec<u8>, &[&str]); 8] = [
        ("empty", Vec::new(), &["not a WebAssembly file"]),
        (
            "text",
            b"hello, world".to_vec(),
            &["not a WebAssembly file"],
        ),
        (
            "core module",
            guest("core-module"),
            &["core WebAssembly module", "xtask build"],
        ),
        ("other version", guest("other-version"), &["0.2.0", "0.1.0"]),
        (
            "extra import",
            guest("extra-import"),
            &["environment", "does not provide"],
        ),
        (
            "other world",
            guest("other-world"),
            &["no `batch-export:destination/exporter", "`run`"],
        ),
        (
            "cut short",
            whole[..whole.len() / 2].to_vec(),
            &["cut short"],
        ),
        ("damaged", bad_middle, &["damaged"]),
    ];
    for (name, bytes, words) in cases {
        let error = scene.sandbox.load(&bytes).expect_err(name).to_string();
        for word in words {
            assert!(error.contains(word), "{name}: `{word}` is not in: {error}");
        }
        assert!(!error.contains('\n'), "{name}: more than a line: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loaded_component_says_what_it_is() {
    let scene = Scene::new().await;
    let plugin = scene.destination();
    assert_eq!(plugin.digest().len(), 64);
    let description = plugin.describe().await.expect("describe");
    assert_eq!(description.name, "s3");
    let formats: Vec<_> = description
        .formats
        .iter()
        .map(|format| format.name.as_str())
        .collect();
    assert_eq!(formats, ["JSONLines", "Parquet"]);
}
