//! What is told apart when a component is loaded. Guests at work are tested with real components, elsewhere.

use super::*;
use crate::capability::network::NetworkOptions;

fn sandbox(runtime: &tokio::runtime::Runtime) -> Sandbox {
    let network = Network::new(&NetworkOptions::default()).unwrap();
    let options = SandboxOptions {
        compile_cache: CompileCache::Off,
        ..SandboxOptions::default()
    };
    Sandbox::new(&options, runtime.handle().clone(), network).unwrap()
}

#[test]
fn bytes_that_are_no_plugin_are_each_told_apart() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sandbox = sandbox(&runtime);
    let export = |name: &str| format!(r#"(component (instance $i) (export "{name}" (instance $i)))"#);
    let with_import = |name: &str| {
        format!(
            r#"(component (import "{name}" (instance)) (instance $i)
                (export "batch-export:destination/exporter@0.1.0" (instance $i)))"#
        )
    };
    let cases = [
        ("# text".to_owned(), "not a WebAssembly file"),
        ("(module)".to_owned(), "a core WebAssembly module"),
        ("(component)".to_owned(), "it exports nothing"),
        (export("wasi:cli/run@0.2.0"), "it exports `wasi:cli/run@0.2.0`"),
        (
            export("batch-export:destination/exporter@0.2.0"),
            "implements contract batch-export:destination 0.2.0, but this host supports 0.1.0",
        ),
        (export("batch-export:destination/exporter@0.1.0"), "interfaces differ"),
        (
            with_import("wasi:cli/environment@0.2.0"),
            "imports `wasi:cli/environment@0.2.0`",
        ),
        (
            with_import("batch-export:destination/http@0.2.0"),
            "imports `batch-export:destination/http@0.2.0`",
        ),
    ];
    for (text, expected) in cases {
        let bytes = wat::parse_str(&text).unwrap_or_else(|_| text.clone().into_bytes());
        let error = sandbox.load(&bytes).expect_err(&text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let cut = &wat::parse_str(export("a:b/c@1.0.0")).unwrap()[..20];
    let error = sandbox.load(cut).unwrap_err();
    assert!(matches!(error, LoadError::Invalid(_)), "{error}");
    for short in [&b""[..], b"\0asm", b"\0asm\r\0"] {
        assert!(sandbox.load(short).is_err());
    }
}
