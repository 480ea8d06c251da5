//! The help of every command.

use super::{run, text};

/// Every command, and the arguments that its help gives as an example.
const COMMANDS: [(&str, &str); 23] = [
    (
        "demo",
        "\n  batch-export demo\n  batch-export demo --folder demo --keep\n  batch-export demo --folder demo --stay",
    ),
    (
        "run",
        "\n  batch-export run --config exports.toml \\\n    --start 2023-07-28T00:00:00Z --end 2023-07-28T01:00:00Z\n  batch-export run --last hour --quiet",
    ),
    (
        "verify",
        "\n  batch-export verify --config exports.toml \\\n    --start 2023-07-28T00:00:00Z --end 2023-07-28T01:00:00Z",
    ),
    (
        "plan",
        "\n  batch-export plan --config exports.toml \\\n    --start 2023-07-28T00:00:00Z --end 2023-07-28T01:00:00Z",
    ),
    (
        "preview",
        "\n  batch-export preview --config exports.toml \\\n    --start 2023-07-28T00:00:00Z --end 2023-07-28T01:00:00Z\n  batch-export preview --last day --rows 3 --no-count",
    ),
    (
        "check",
        "\n  batch-export check --config exports.toml --destination archive",
    ),
    ("validate", "\n  batch-export validate --config exports.toml"),
    ("inspect", "\n  batch-export inspect dist/s3_destination.wasm --json"),
    (
        "schema",
        "\n  batch-export schema events --json\n  batch-export schema --destination archive",
    ),
    (
        "serve",
        "\n  batch-export serve --config exports.toml\n  batch-export serve --config exports.toml --log-level debug 2> service.log",
    ),
    (
        "status",
        "\n  batch-export status\n  batch-export status archive\n  watch batch-export status",
    ),
    (
        "runs",
        "\n  batch-export runs\n  batch-export runs archive --state failed",
    ),
    ("show", "\n  batch-export show 3f9c2a17"),
    ("logs", "\n  batch-export logs 3f9c2a17 --follow"),
    ("retry", "\n  batch-export retry 3f9c2a17"),
    (
        "cancel",
        "\n  batch-export cancel 3f9c2a17\n  batch-export cancel --backfill 3",
    ),
    ("pause", "\n  batch-export pause archive --reason \"the bucket moves\""),
    ("unpause", "\n  batch-export unpause archive --backfill"),
    (
        "backfill",
        "\n  batch-export backfill archive --from 2026-01-01 --to 2026-02-01\n  batch-export backfill archive --from 2026-01-01 --to 2026-01-02 --yes",
    ),
    ("backfills", "\n  batch-export backfills"),
    (
        "ledger",
        "\n  batch-export ledger backup /backups/ledger.sqlite\n  batch-export ledger forget 3f9c2a17",
    ),
    ("alerts", "\n  batch-export alerts test --config exports.toml"),
    (
        "completions",
        "\n  batch-export completions bash \\\n    > ~/.local/share/bash-completion/completions/batch-export",
    ),
];

#[test]
fn every_command_has_help_with_an_example_of_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let overview = text(&run(folder.path(), &["--help"]).stdout);
    let codes = "Exit codes: 0 success, 1 permanent failure, 2 usage or configuration error, 3 temporary failure \
                 (retry later), 4 bug in the plugin or in this program, 130 interrupted, 129 or 143 terminated.";
    let words: Vec<&str> = overview.split_whitespace().collect();
    assert!(words.join(" ").ends_with(codes), "{overview}");
    for (command, example) in COMMANDS {
        let is_listed = overview.contains(&format!("\n  {command} "));
        assert!(is_listed, "{command} in\n{overview}");
        let output = run(folder.path(), &[command, "--help"]);
        let help = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{command}");
        assert!(help.contains("\n\nExample"), "{help}");
        assert!(help.ends_with(&format!(":{example}\n")), "{help}");
        let longest = help.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(80), "{help}");
        let without = ["completions", "serve", "ledger", "alerts"];
        assert!(without.contains(&command) || help.contains("--json"), "{help}");
    }
}
