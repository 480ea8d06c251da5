//! The program as its users see it: output, messages and exit codes. Needs no store and no component.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that unwraps has failed, and says where"
)]

mod help;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_batch-export"))
        .args(arguments)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .env("CANARY", "canary-4711")
        .env_remove("BATCH_EXPORT_CONFIG")
        .output()
        .expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

const HALF: &str = r#"
[destinations.archive]
model = "events"
secret = "${env:CANARY}"
sorce = "${env:NOT_SET_ANYWHERE}"
credentials = { source = "host" }
[destinations.archive.source]
type = "sampel"
"#;

const VALID: &str = r#"
[destinations.archive]
model = "events"
secret = "${env:CANARY}"
credentials = { source = "host" }
[destinations.archive.source]
type = "sample"
"#;

/// Arguments, exit code, and what standard error says in full.
#[test]
fn failures_are_one_message_with_the_right_exit_code() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in [
        ("half.toml", HALF.as_bytes()),
        ("valid.toml", VALID.as_bytes()),
        ("text.wasm", b"no component"),
        ("module.wasm", b"\0asm\x01\0\0\0"),
        ("component.wasm", b"\0asm\x0d\0\x01\0"),
    ] {
        fs::write(folder.path().join(name), content).expect("a file");
    }
    let cases: [(&[&str], i32, &str); 9] = [
        (
            &["validate", "--config", "none.toml"],
            2,
            "error: cannot read the configuration none.toml: no such file or directory\nhint: name an existing \
             file with --config, or in BATCH_EXPORT_CONFIG if that named this one\n",
        ),
        (
            &["validate", "--config", "half.toml", "--component", "none.wasm"],
            2,
            "error: the configuration has 3 problems
  half.toml: cannot read the component none.wasm: no such file or directory
    hint: name a readable component file, or none to use the built-in one
  half.toml:5:9: destinations.archive.sorce: the environment variable NOT_SET_ANYWHERE is not set
    hint: set it, or write the value here
  half.toml:8:8: destinations.archive.source.type: `sampel` is not a valid value
    hint: did you mean `sample`?
    allowed: sample, files, command, clickhouse, postgres
",
        ),
        (
            &[
                "run",
                "--config",
                "valid.toml",
                "--destination",
                "nowhere",
                "--start",
                "2024-01-01",
                "--end",
                "2024-01-02",
            ],
            2,
            "error: there is no destination `nowhere` in valid.toml\nhint: write `archive`, the only destination in \
             it\n",
        ),
        (
            &[
                "run",
                "--config",
                "valid.toml",
                "--start",
                "2024-01-02",
                "--end",
                "2024-01-01",
            ],
            2,
            "error: --end is before --start: 2024-01-01T00:00:00+00:00 is earlier than \
             2024-01-02T00:00:00+00:00\nhint: swap them\n",
        ),
        (
            &[
                "plan",
                "--config",
                "valid.toml",
                "--start",
                "noon",
                "--end",
                "2024-01-01",
            ],
            2,
            "error: --start: `noon` is not a time\nhint: write it like 2023-07-28T01:00:00Z (without a zone it is UTC)\n",
        ),
        (
            &["inspect", "none.wasm"],
            2,
            "error: cannot read the component none.wasm: no such file or directory\nhint: name a readable component \
             file, or none to use the built-in one\n",
        ),
        (
            &["inspect", "text.wasm"],
            2,
            "error: cannot load text.wasm: not a WebAssembly file: it does not begin with `\\0asm`\nhint: specify a \
             destination component such as s3_destination.wasm\n",
        ),
        (
            &["inspect", "module.wasm"],
            2,
            "error: cannot load module.wasm: a core WebAssembly module, not a component\nhint: turn it into a component with `cargo xtask build` or `wasm-tools component new`\n",
        ),
        (
            &["validate", "--config", "valid.toml", "--component", "component.wasm"],
            2,
            "error: cannot load component.wasm: the component exports no `batch-export:destination/exporter@0.1.0`, \
             so it is not a destination plugin; it exports nothing\nhint: specify a destination plugin\n",
        ),
    ];
    for (arguments, code, expect) in cases {
        let output = run(folder.path(), arguments);
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(stderr, expect, "{arguments:?}");
        assert_eq!(
            (output.status.code(), stdout.as_str()),
            (Some(code), ""),
            "{arguments:?}"
        );
        assert!(!stderr.contains("canary"), "{stderr}");
    }
}

#[test]
fn usage_errors_exit_with_2_and_name_the_argument() {
    let folder = tempfile::tempdir().expect("a folder");
    let interval =
        "error: no interval is given\nhint: specify it with --last, such as `--last hour`, or with --start and --end\n";
    let cases: [(&[&str], &str); 5] = [
        (&["run"], interval),
        (
            &["planx"],
            "error: there is no command `planx`\nhint: did you mean `plan`?\n",
        ),
        (
            &["check", "--\u{1b}[31m"],
            "error: there is no option `--\\u{1b}[31m`\nhint: see `batch-export check --help`\n",
        ),
        (
            &["schema", "event"],
            "error: `event` is not a valid value for `MODEL`\nhint: use one of events, persons, sessions\n",
        ),
        (
            &["completions", "command.com"],
            "error: `command.com` is not a valid value for `SHELL`\nhint: use one of bash, elvish, fish, powershell, \
             zsh\n",
        ),
    ];
    for (arguments, expect) in cases {
        let output = run(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_eq!((text(&output.stderr).as_str(), output.stdout.len()), (expect, 0));
        let arguments = [arguments, &["--json"]].concat();
        let output = run(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
        assert_eq!(json["error"]["class"], "configuration", "{json}");
        assert_eq!(json["error"]["code"], "usage_invalid", "{json}");
        assert_eq!(json["error"]["exit_code"], 2, "{json}");
        assert!(json["error"]["hint"].is_string(), "{json}");
    }
}

#[test]
fn a_variable_that_is_set_to_nothing_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_batch-export"))
        .arg("validate")
        .current_dir(folder.path())
        .env("BATCH_EXPORT_CONFIG", "")
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(
        text(&output.stderr),
        "error: the environment variable BATCH_EXPORT_CONFIG is empty\nhint: set it to the path of a configuration file, or unset it\n"
    );
}

#[cfg(unix)]
#[test]
fn a_link_to_nothing_is_called_what_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("gone", &link).expect("a link");
    fs::write(folder.path().join("x.toml"), VALID).expect("a file");
    for arguments in [
        &["validate", "--config", "link"][..],
        &["inspect", "link"],
        &["validate", "--config", "x.toml", "--component", "link"],
    ] {
        let stderr = text(&run(folder.path(), arguments).stderr);
        assert!(
            stderr.contains("it is a link to gone, which does not exist\n"),
            "{stderr}"
        );
    }
}

#[test]
fn schemas_are_shown_in_words_and_as_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let words = text(&run(folder.path(), &["schema", "events"]).stdout);
    assert!(words.starts_with("events: One row per event"), "{words}");
    assert!(words.contains("\n  properties         JSON text\n"), "{words}");
    let json = run(folder.path(), &["schema", "sessions", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(json["models"][0]["columns"][6]["name"], "urls");
    assert_eq!(json["models"][0]["columns"][6]["kind"], "list of text");
    let all = run(folder.path(), &["schema", "--json"]).stdout;
    let all: serde_json::Value = serde_json::from_slice(&all).expect("JSON");
    assert_eq!(all["models"].as_array().map(Vec::len), Some(3));
}

#[test]
fn validate_says_as_json_where_each_problem_is() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("half.toml"), HALF).expect("a file");
    let output = run(
        folder.path(),
        &[
            "validate",
            "--config",
            "half.toml",
            "--component",
            "none.wasm",
            "--json",
        ],
    );
    assert_eq!(output.status.code(), Some(2));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["valid"], false);
    // The component is not in the file, and all is said at once.
    let component = &json["problems"][0];
    assert_eq!(component["line"], serde_json::Value::Null);
    let unreadable = "cannot read the component none.wasm: no such file or directory";
    assert_eq!(component["message"], unreadable);
    assert_eq!(json["problems"][2]["line"], 8);
    assert_eq!(json["problems"][2]["field"], "destinations.archive.source.type");
    assert_eq!(
        json["problems"][2]["allowed"],
        "sample, files, command, clickhouse, postgres"
    );
}

#[test]
fn completions_are_printed_for_a_shell() {
    let folder = tempfile::tempdir().expect("a folder");
    for shell in ["bash", "zsh", "fish"] {
        let output = run(folder.path(), &["completions", shell]);
        let script = text(&output.stdout);
        assert!(
            script.contains("batch-export") && script.contains("validate"),
            "{shell}"
        );
    }
}

/// A component that has the right export and compiles, but is no destination.
const EMPTY: &str = r#"(component (instance $i) (export "batch-export:destination/exporter@0.1.0" (instance $i))
    (core module (func (export "f") (result i32) (i32.const 7))))"#;

fn inspect_empty(folder: &Path, cache: &str) -> (Option<i32>, String) {
    fs::write(folder.join("empty.wasm"), wat::parse_str(EMPTY).expect("wat")).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_batch-export"))
        .args(["inspect", "empty.wasm"])
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .env("HOME", folder)
        .env("XDG_CACHE_HOME", cache)
        .output()
        .expect("the program runs");
    (output.status.code(), text(&output.stderr))
}

#[cfg(unix)]
#[test]
fn a_plugin_is_compiled_into_the_users_cache_with_a_line_for_who_waits() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    let kept = cache.join("batch-export");
    let at = |path: &Path| path.display().to_string();
    let refused = "error: cannot load empty.wasm: the component's interfaces differ";
    // A relative path is ignored, as the specification wants.
    for (named, kept) in [
        (at(&cache), at(&kept)),
        ("relative".to_owned(), at(&folder.path().join(".cache/batch-export"))),
    ] {
        let (code, stderr) = inspect_empty(folder.path(), &named);
        let lines: Vec<&str> = stderr.lines().collect();
        assert!(lines[0].starts_with("compiling empty.wasm, about "), "{stderr}");
        assert!(
            lines[0].ends_with(&format!(" s the first time; kept in {kept}")),
            "{stderr}"
        );
        assert!(lines[1].starts_with(refused), "{stderr}");
        assert!(lines[2].starts_with("hint: "), "{stderr}");
        assert_eq!((code, lines.len()), (Some(2), 3), "{stderr}");
    }
    let mode = |path: &Path| fs::metadata(path).expect("it is there").mode() & 0o777;
    assert_eq!(mode(&kept), 0o700);
    let compiled = kept.join("modules");
    assert_eq!(mode(&compiled), 0o700, "the child wrote it for its owner only");

    fs::set_permissions(&kept, fs::Permissions::from_mode(0o777)).expect("a mode");
    for (cache, problem) in [
        (
            at(&cache),
            "other users can write to it (its mode is 777); run `chmod go-w ",
        ),
        ("/proc/none".to_owned(), "no such file or directory"),
    ] {
        let (code, stderr) = inspect_empty(folder.path(), &cache);
        let lines: Vec<&str> = stderr.lines().collect();
        assert!(
            lines[0].starts_with("warning: compiled plugins are not kept in "),
            "{stderr}"
        );
        assert!(lines[0].contains(problem), "{stderr}");
        assert!(lines[1].ends_with(" s each time"), "{stderr}");
        assert!(lines[2].starts_with(refused), "{stderr}");
        assert!(lines[3].starts_with("hint: "), "{stderr}");
        assert_eq!((code, lines.len()), (Some(2), 4), "{stderr}");
    }
}

#[cfg(unix)]
#[test]
fn what_compiles_has_little_memory_and_says_nothing_when_that_runs_out() {
    use std::io::Write;
    use std::process::Stdio;
    let functions = "(func (result i32) (i32.const 7))".repeat(5_000);
    let large = wat::parse_str(format!("(component (core module {functions}))")).expect("wat");
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().display().to_string();
    let length = u32::try_from(cache.len()).expect("a short path");
    let job = [&length.to_le_bytes()[..], cache.as_bytes(), &large].concat();
    // The smaller one first: what is in the cache needs no memory to compile.
    for (memory_bytes, answer) in [(8_u64 << 20, ""), (1 << 31, "compiled")] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_batch-export"))
            .args(["child-process", "compile", &memory_bytes.to_string()])
            .env("RAYON_NUM_THREADS", "2")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        let mut input = child.stdin.take().expect("a pipe");
        // A child that is gone already does not take it.
        input.write_all(&job).ok();
        drop(input);
        let output = child.wait_with_output().expect("its end");
        assert_eq!(text(&output.stdout), answer, "{memory_bytes}");
        assert_eq!(output.status.success(), answer == "compiled", "{output:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_kept_is_a_failure_and_output_that_nobody_reads_is_none() {
    use std::process::Stdio;
    let lost = "error: the command succeeded, but its output cannot be written: no space left on device\n\
                hint: make room there, or direct standard output elsewhere\n";
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["run", "--help"],
        &["schema", "events"],
    ] {
        let full = fs::File::options().write(true).open("/dev/full").expect("a device");
        let (reader, closed) = std::io::pipe().expect("a pipe");
        drop(reader);
        for (stdout, code, stderr) in [(Stdio::from(full), 1, lost), (Stdio::from(closed), 0, "")] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_batch-export"));
            let output = command.args(arguments).stdout(stdout).output().expect("it runs");
            let told = (output.status.code(), text(&output.stderr));
            assert_eq!(told, (Some(code), stderr.to_owned()), "{arguments:?}");
        }
    }
}
