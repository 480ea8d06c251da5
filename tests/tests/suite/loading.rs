//! Loading: what is not a destination component is refused with a sentence that names the way out, and what was loaded
//! already is not loaded again.

use batch_export_sandbox::NetworkOptions;
use batch_export_system::explain::Cause;
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
        ("text", b"hello, world".to_vec(), &["not a WebAssembly file"]),
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
        ("cut short", whole[..whole.len() / 2].to_vec(), &["truncated"]),
        ("damaged", bad_middle, &["corrupt"]),
    ];
    for (name, bytes, words) in cases {
        let error = Cause::of(&scene.sandbox.load(&bytes).expect_err(name)).in_one_text();
        for word in words {
            assert!(error.contains(word), "{name}: `{word}` is not in: {error}");
        }
        assert!(!error.contains('\n'), "{name}: more than a line: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_give_the_same_plugin_and_the_same_options_the_same_network() {
    let scene = Scene::new().await;
    let bytes = std::fs::read(components::destination()).expect("the component");
    let hostile = std::fs::read(components::guest("hostile")).expect("a guest");
    let load = || scene.sandbox.load(&bytes).expect("a plugin");
    assert_eq!(load(), load());
    let other = scene.sandbox.load(&hostile).expect("another");
    assert_ne!(load(), other);

    let folder = tempfile::tempdir().expect("a folder");
    let mut options = NetworkOptions::default();
    scene.sandbox.network(&options).expect("a network");
    // Options that cannot be used are no network, however often they are asked for.
    options.ca_file = Some(folder.path().join("none.pem"));
    for _ in 0..2 {
        let error = scene.sandbox.network(&options).err().expect("no such file");
        assert!(error.to_string().contains("none.pem"), "{error}");
    }
}

/// A section of a component that holds a core module: its number, its length, and the module.
fn with_module(component: &[u8], text: &str) -> Vec<u8> {
    let module = wat::parse_str(format!("(module {text})")).expect("a module");
    let mut bytes = [component, &[1]].concat();
    let mut length = module.len();
    while length >= 0x80 {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    [bytes, module].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_in_the_shape_of_a_plugin_are_refused_before_they_are_compiled() {
    let scene = Scene::new().await;
    let plugin = std::fs::read(components::guest("hostile")).expect("a guest");
    let variables = format!(
        "(func (local {}) {})",
        "i64 ".repeat(4_000),
        (0..4_000)
            .map(|n| format!(
                "(local.set {n} (i64.add (local.get {}) (i64.const 1)))",
                (n * 7) % 4_000
            ))
            .collect::<String>()
    );
    let cases = [
        ("variables", variables, "4,000 variables in one function"),
        (
            "functions",
            "(func (drop (i32.const 1)))".repeat(40_001),
            "functions, and the limit is 40,000",
        ),
        ("modules", String::new(), "nested modules and components"),
    ];
    for (name, text, expect) in cases {
        let mut bytes = with_module(&plugin, &text);
        if name == "modules" {
            for _ in 0..40 {
                bytes = with_module(&bytes, "");
            }
        }
        let error = scene.sandbox.load(&bytes).expect_err(name).to_string();
        assert!(error.contains(expect), "{name}: {error}");
    }
    // One more module by itself is no harm.
    scene
        .sandbox
        .load(&with_module(&plugin, "(func)"))
        .expect("it is a plugin");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loaded_component_says_what_it_is() {
    let scene = Scene::new().await;
    let plugin = scene.destination();
    assert_eq!(plugin.digest().len(), 64);
    let description = plugin.describe().await.expect("describe");
    assert_eq!(description.name, "s3");
    let formats: Vec<_> = description.formats.iter().map(|format| format.name.as_str()).collect();
    assert_eq!(formats, ["JSONLines", "Parquet"]);
}
