//! `cargo xtask test`: the whole workspace's tests against the real component and the test guests, and one line at the
//! end that says how many there were.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process::{self, cargo, say};
use crate::workspace::Workspace;
use crate::{build, demo, guests, setup};

/// `cargo xtask test [FILTER]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let toolchain = setup::ensure(workspace)?;
    let artifact = build::build(workspace, &toolchain)?;
    guests::build(workspace, &toolchain)?;
    // The tests start the program itself, which no test target of theirs depends on.
    let program = demo::build_program(workspace)?;

    let environment = |mut command: Command| {
        command
            .current_dir(&workspace.root)
            .env("BATCH_EXPORT_COMPONENT", &artifact.path)
            .env("BATCH_EXPORT_PROGRAM", &program)
            .env("BATCH_EXPORT_TEST_GUESTS", workspace.test_guests());
        command
    };
    say("building the tests (a first build takes five to ten minutes on two cores)");
    let has_nextest = process::read(cargo().args(["nextest", "--version"])).is_ok();
    let mut tests = environment(cargo());
    if has_nextest {
        tests.args([
            "nextest",
            "run",
            "--locked",
            "--workspace",
            "--no-tests=pass",
            "--no-fail-fast",
        ]);
    } else {
        tests.args([
            "test",
            "--locked",
            "--workspace",
            "--no-fail-fast",
            "--lib",
            "--bins",
            "--tests",
            "--examples",
        ]);
    }
    let mut counted = count(tests.args(arguments))?;
    say("documentation tests");
    let mut doc_tests = environment(cargo());
    doc_tests.args(["test", "--locked", "--workspace", "--doc"]);
    counted.add(count(doc_tests.args(arguments))?);

    println!(
        "test result: {}. {} passed; {} failed; {} skipped",
        if counted.succeeded { "ok" } else { "FAILED" },
        counted.passed,
        counted.failed,
        counted.skipped
    );
    if !counted.succeeded {
        bail!("tests failed; their output is above");
    }
    Ok(())
}

/// The sum of a test runner's summaries.
struct Count {
    succeeded: bool,
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Count {
    fn add(&mut self, other: Count) {
        self.succeeded &= other.succeeded;
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Takes in a line if it is a summary: nextest's `Summary [ 1.2s] 5 tests run: 4 passed, 1 failed, 0 skipped` or
    /// libtest's `test result: ok. 4 passed; 1 failed; 0 ignored; …`.
    /// The summary of a single test that nextest shows when it failed is indented, and counted by nextest's own.
    fn take_line(&mut self, line: &str) {
        if !line.trim().starts_with("Summary [") && !line.starts_with("test result:") {
            return;
        }
        let words: Vec<&str> = line
            .split([' ', ',', ';', '('])
            .filter(|word| !word.is_empty())
            .collect();
        for pair in words.windows(2) {
            let Ok(number) = pair[0].parse::<u64>() else {
                continue;
            };
            match pair[1] {
                "passed" => self.passed += number,
                "failed" | "timed" => self.failed += number,
                "skipped" | "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }
}

/// Runs a test runner, its output passing through, and counts. Libtest summarises on standard output, nextest on
/// standard error: the two are read one after the other's thread, so that neither pipe fills up.
fn count(command: &mut Command) -> Result<Count> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start cargo")?;
    let stdout = child.stdout.take().context("cargo has no standard output")?;
    let stderr = child.stderr.take().context("cargo has no standard error")?;
    let mut count = Count {
        succeeded: false,
        passed: 0,
        failed: 0,
        skipped: 0,
    };
    let stderr_reader = std::thread::spawn(move || pass_through(stderr, |line| eprintln!("{line}")));
    let mut lines = pass_through(stdout, |line| println!("{line}"))?;
    match stderr_reader.join() {
        Ok(read) => lines.extend(read?),
        Err(_) => bail!("reading cargo's standard error failed"),
    }
    for line in &lines {
        count.take_line(line);
    }
    count.succeeded = child.wait()?.success();
    Ok(count)
}

/// Shows every line as it comes, and return those that may be summaries.
fn pass_through(stream: impl Read, show: impl Fn(&str)) -> Result<Vec<String>> {
    let mut summaries = Vec::new();
    for line in BufReader::new(stream).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        show(&line);
        if line.contains("Summary [") || line.contains("test result:") {
            summaries.push(line.into_owned());
        }
    }
    Ok(summaries)
}
