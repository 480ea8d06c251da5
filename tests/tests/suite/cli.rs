//! The program as a user meets it: exit codes, one clear message for each kind of bad input, and no secret anywhere.

use batch_export_tests::program::{self, Program};
use batch_export_tests::scene::{ACCESS_KEY, BUCKET, SECRET_KEY, Scene};
use devstore::{Identity, Options};

/// A configuration that works with the scene's store: a thousand sample rows an hour.
fn configuration(scene: &Scene) -> String {
    let fields = "file_format = \"Parquet\"\ncompression = \"zstd\"\nmax_file_size_mb = 1";
    program::configuration(scene, "exports", 1_000, fields)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_says_what_it_did_in_words_and_in_json() {
    let scene = Scene::new().await;
    let program = Program::new(&configuration(&scene));
    let printed = program.export(&[]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(printed.stdout.contains("1,000 rows"), "{printed:?}");
    let printed = program.export(&["--json"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let report: serde_json::Value = serde_json::from_str(&printed.stdout).expect("JSON");
    assert_eq!(report["rows_supplied"], 1_000);
    assert_eq!(scene.store.keys(BUCKET).len(), 2, "one file and its manifest");
}

/// How a configuration is spoilt, the exit code, and words of the message.
type Case = (&'static str, &'static str, &'static str, i32, &'static [&'static str]);

const CASES: [Case; 10] = [
    (
        "no such bucket",
        "bucket_name = \"test-bucket\"",
        "bucket_name = \"no-such-bucket\"",
        1,
        &["NoSuchBucket", "no-such-bucket"],
    ),
    (
        "wrong secret",
        "test-secret-key",
        "canary-wrong-secret",
        1,
        &["SignatureDoesNotMatch"],
    ),
    (
        "unknown field",
        "max_file_size_mb",
        "max_file_size",
        2,
        &["max_file_size"],
    ),
    (
        "misspelt key of the host's",
        "check = \"on_request\"",
        "chek = \"on_request\"",
        2,
        &["destinations.exports.chek", "hint: did you mean the host's `check`?"],
    ),
    (
        "unknown format",
        "\"Parquet\"",
        "\"Avro\"",
        2,
        &["file_format", "Avro", "JSONLines"],
    ),
    (
        "codec of another format",
        "\"zstd\"",
        "\"lzma\"",
        2,
        &["compression", "lzma"],
    ),
    (
        "unknown prefix variable",
        "prefix = \"exports/",
        "prefix = \"{tabel}/",
        2,
        &["prefix", "tabel", "table"],
    ),
    (
        "no such model",
        "model = \"events\"",
        "model = \"evens\"",
        2,
        &["model", "evens"],
    ),
    (
        "no TOML",
        "[destinations.exports]",
        "[destinations.exports",
        2,
        &["exports.toml"],
    ),
    (
        "address that is not allowed",
        "egress.allow_private",
        "egress.allow",
        2,
        &["allow"],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_one_clear_message_with_the_right_exit_code() {
    let scene = Scene::new().await;
    let mut wrong = Vec::new();
    for (name, from, to, code, words) in CASES {
        let good = configuration(&scene);
        assert!(good.contains(from), "{name}: the case spoils nothing");
        let printed = Program::new(&good.replace(from, to)).export(&[]);
        let missing: Vec<_> = words.iter().filter(|word| !printed.stderr.contains(**word)).collect();
        let noisy = printed.stderr.contains("backtrace") || printed.stderr.contains("panicked");
        if printed.code != Some(code) || !missing.is_empty() || noisy || printed.stderr.contains("canary") {
            wrong.push(format!("{name}: wanted {code} and {words:?}, got {printed:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert_eq!(scene.store.keys(BUCKET), Vec::<String>::new());
    assert_eq!(scene.store.open_uploads(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inverted_interval_is_a_usage_error() {
    let scene = Scene::new().await;
    let program = Program::new(&configuration(&scene));
    let printed = program.run(&[
        "run",
        "--config",
        "exports.toml",
        "--start",
        "2023-07-28T01:00:00Z",
        "--end",
        "2023-07-28T00:00:00Z",
    ]);
    assert_eq!(printed.code, Some(2), "{printed:?}");
    assert!(printed.stderr.contains("2023-07-28T01:00:00"), "{printed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_appears_nowhere() {
    let canary = "CANARY4711/secret+key";
    let options = Options {
        identities: vec![Identity::new(ACCESS_KEY, canary)],
        ..Options::default()
    };
    let scene = Scene::with(options).await;
    let text = configuration(&scene)
        .replace(SECRET_KEY, canary)
        .replace("max_file_size_mb", "manifest = \"detailed\"\nmax_file_size_mb");
    let program = Program::new(&text);
    let mut seen = Vec::new();
    for further in [&["--json"][..], &[]] {
        let printed = program.export(further);
        assert_eq!(printed.code, Some(0), "{printed:?}");
        seen.push(("printed".to_owned(), format!("{printed:?}").into_bytes()));
    }
    scene.store.set_identities(vec![Identity::new(ACCESS_KEY, "another")]);
    let printed = program.export(&[]);
    assert_eq!(printed.code, Some(1), "{printed:?}");
    seen.push(("printed on failure".to_owned(), format!("{printed:?}").into_bytes()));
    for key in scene.store.keys(BUCKET) {
        let object = scene.store.object(BUCKET, &key).expect("an object");
        seen.push((key, object.bytes.to_vec()));
    }
    seen.push((
        "requests".to_owned(),
        format!("{:?}", scene.store.requests()).into_bytes(),
    ));
    let mut folders = vec![program.folder.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name != "exports.toml") {
                seen.push((path.display().to_string(), std::fs::read(&path).expect("a file")));
            }
        }
    }
    assert!(seen.len() >= 6, "there is less to search than there should be");
    for (place, bytes) in seen {
        let needle = b"CANARY4711";
        assert!(
            !bytes.windows(needle.len()).any(|window| window == needle),
            "the secret is in {place}"
        );
    }
}
