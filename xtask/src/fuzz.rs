//! `cargo xtask fuzz`: inputs that libFuzzer makes up against what the plugin and the readers of text files promise of
//! any input, one target after the other. Needs a nightly compiler, so it is not part of `cargo xtask test`; changes
//! nothing in the repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{self, say};
use crate::tools;
use crate::workspace::Workspace;

/// Targets, and the longest input of each in bytes: room for what they read, little enough for many runs a second.
const TARGETS: &[(&str, u32)] = &[
    // A configuration with every field takes a few hundred.
    ("configuration", 4096),
    // A few records; longer ones find nothing new.
    ("csv", 512),
    // A frame and its header.
    ("frames", 1024),
    // Positions and values, or messages of their own: one of every kind of column is below 4 KiB.
    ("ipc", 8192),
    // A few rows with a member of each kind.
    ("json_lines", 512),
    // Strings are read eight bytes at a time, and brackets kept 64 to a word: some of each.
    ("json_text", 1024),
    // The longest key is 1,024 bytes.
    ("template", 2048),
    ("xml", 4096),
];
/// Targets that are about the source's readers; the others are about the plugin.
const SOURCE_TARGETS: [&str; 3] = ["csv", "frames", "json_lines"];

/// The package whose tests replay a target's corpus.
fn package_of(target: &str) -> &'static str {
    match SOURCE_TARGETS.contains(&target) {
        true => "batch-export-source",
        false => "s3-destination",
    }
}

/// A minute finds what a small change has broken; what needs hours is for `--seconds`.
const DEFAULT_SECONDS: u32 = 60;
/// The same inputs in the same order for the same build, so that the gate judges a change and not the luck of the draw;
/// `--seed` draws others.
const DEFAULT_SEED: u32 = 1;
/// Far more than the plugin is given; a message that makes it take more is a find.
const MEMORY_MB: u32 = 2048;
/// A single input that takes longer is a find: usual ones take less than a millisecond.
const INPUT_SECONDS: u32 = 20;
/// The toolchain that compiles the targets.
const TOOLCHAIN: &str = "nightly";

/// `cargo xtask fuzz [TARGET | plugin | source] [--seconds N] [--seed N]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let Chosen { targets, seconds, seed } = chosen(arguments)?;
    let triple = nightly_triple()?;
    let folder = workspace.target.join("fuzz");
    say("building the fuzz targets (a first build takes five to ten minutes on two cores)");
    build(workspace, &tools::ensure(workspace, &tools::FUZZ)?, &folder)?;
    let fuzzer = Fuzzer {
        programs: folder.join(triple).join("release"),
        committed: workspace.root.join("fuzz").join("corpus"),
        found: folder.join("corpus"),
        artifacts: folder.join("artifacts"),
    };
    let mut broken = Vec::new();
    for (target, max_bytes) in targets {
        say(format!("fuzzing {target} for {seconds} seconds"));
        if !fuzzer.fuzz(target, max_bytes, seconds, seed)? {
            broken.push(target);
        }
    }
    if !broken.is_empty() {
        bail!("found inputs that violate an invariant: {}", broken.join(", "));
    }
    Ok(())
}

struct Chosen {
    targets: Vec<(&'static str, u32)>,
    seconds: u32,
    seed: u32,
}

fn chosen(arguments: &[String]) -> Result<Chosen> {
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    let mut chosen = Chosen {
        targets: TARGETS.to_vec(),
        seconds: DEFAULT_SECONDS,
        seed: DEFAULT_SEED,
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut number = |meaning: &str| {
            arguments
                .next()
                .and_then(|number| number.parse().ok())
                .filter(|number| *number > 0)
                .with_context(|| format!("`{argument}` requires a positive whole number: {meaning}"))
        };
        match argument.as_str() {
            "--seconds" => chosen.seconds = number("how long each target runs")?,
            "--seed" => chosen.seed = number("the seed for generating inputs")?,
            "source" => chosen.targets.retain(|(name, _)| SOURCE_TARGETS.contains(name)),
            "plugin" => chosen.targets.retain(|(name, _)| !SOURCE_TARGETS.contains(name)),
            name if names.contains(&name) => chosen.targets.retain(|(target, _)| *target == name),
            other => bail!(
                "unknown fuzz target `{other}`; give one of {}, `plugin` or `source` for all of one kind, \
                 `--seconds N` or `--seed N`",
                names.join(", ")
            ),
        }
    }
    Ok(chosen)
}

/// The machine that the nightly compiler builds for, which names the folder of what it builds.
fn nightly_triple() -> Result<String> {
    let version = process::read(nightly("rustc").arg("-vV")).with_context(|| {
        format!(
            "fuzzing needs a nightly compiler; install one with\n\n    \
             rustup toolchain install {TOOLCHAIN} --profile minimal\n\nand run the same command again"
        )
    })?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` does not name a host")?.to_owned())
}

/// A program of the nightly toolchain. What cargo told us of its own toolchain must not reach it.
fn nightly(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", TOOLCHAIN]).arg(program.as_ref());
    for variable in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(variable);
    }
    command
}

/// Without a sanitizer: the plugin has no `unsafe` code, and runs in a sandbox where a broken dependency's reaches
/// nothing. The targets look for panics and broken promises, and without one twice as many inputs are tried.
fn build(workspace: &Workspace, tool: &Path, folder: &Path) -> Result<()> {
    let mut command = nightly(tool);
    command.args(["fuzz", "build", "--sanitizer", "none", "--target-dir"]);
    command.arg(folder).current_dir(&workspace.root);
    process::run(&mut command)
}

/// The folder of the targets, and those that they read and write. New inputs stay in the target folder: what is
/// committed is chosen by hand.
struct Fuzzer {
    programs: PathBuf,
    committed: PathBuf,
    found: PathBuf,
    artifacts: PathBuf,
}

impl Fuzzer {
    /// Whether the target held.
    fn fuzz(&self, target: &str, max_bytes: u32, seconds: u32, seed: u32) -> Result<bool> {
        let committed = self.committed.join(target);
        let found = self.found.join(target);
        let artifacts = self.artifacts.join(target);
        for folder in [&found, &artifacts] {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let status = Command::new(self.programs.join(target))
            .args([&found, &committed])
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-seed={seed}"))
            .arg(format!("-max_len={max_bytes}"))
            .arg(format!("-rss_limit_mb={MEMORY_MB}"))
            .arg(format!("-timeout={INPUT_SECONDS}"))
            .args(["-verbosity=0", "-print_final_stats=1"])
            .status()
            .with_context(|| format!("cannot start the target {target}"))?;
        if !status.success() {
            say(format!(
                "{target} ended with {status}. The input is in {artifacts}; to turn it into a test, copy it to \
                 {committed} under a name that says what is wrong with it, and run\n\n    \
                 cargo test --package {package} --test fuzz_corpus {target}",
                package = package_of(target),
                artifacts = artifacts.display(),
                committed = committed.display(),
            ));
        }
        Ok(status.success())
    }
}
