//! `cargo xtask lint`: formatting, spelling, dependencies, clippy for the host machine and for wasm, documentation;
//! warnings are errors.

use std::process::Command;

use anyhow::Result;

use crate::build::PLUGIN;
use crate::component::cargo_for_wasm;
use crate::guests::HOSTILE;
use crate::process::{self, cargo, say};
use crate::setup::{self, Toolchain};
use crate::tools;
use crate::workspace::{WASM_TARGET, Workspace};

/// `cargo xtask lint`.
pub fn run(workspace: &Workspace, _arguments: &[String]) -> Result<()> {
    let toolchain = setup::ensure(workspace)?;
    formatting(workspace)?;
    spelling(workspace)?;
    dependencies(workspace)?;
    clippy(workspace, &toolchain)?;
    say("documentation");
    process::run(
        cargo()
            .args(["doc", "--locked", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings")
            .current_dir(&workspace.root),
    )
}

fn formatting(workspace: &Workspace) -> Result<()> {
    say("formatting");
    // The others are workspaces of their own, which `--all` does not include.
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml", "xtask/public-api/Cargo.toml"] {
        process::run(
            cargo()
                .args(["fmt", "--all", "--check", "--manifest-path", manifest])
                .current_dir(&workspace.root),
        )?;
    }
    Ok(())
}

/// What is misspelled on purpose is listed in `_typos.toml`.
fn spelling(workspace: &Workspace) -> Result<()> {
    say("spelling");
    process::run(
        Command::new(tools::ensure(workspace, &tools::TYPOS)?)
            .args(["--format", "brief"])
            .current_dir(&workspace.root),
    )
}

/// Licences, versions and origins, as `deny.toml` says. Known vulnerabilities are in a database on the network, so
/// `cargo deny check advisories` is for people and services that have one.
fn dependencies(workspace: &Workspace) -> Result<()> {
    say("licences, versions and origins of dependencies");
    process::run(
        Command::new(tools::ensure(workspace, &tools::DENY)?)
            .args(["--offline", "check", "bans", "licenses", "sources"])
            .current_dir(&workspace.root),
    )
}

fn clippy(workspace: &Workspace, toolchain: &Toolchain) -> Result<()> {
    say("clippy (a first run takes a few minutes)");
    process::run(
        cargo()
            .args([
                "clippy",
                "--locked",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ])
            .current_dir(&workspace.root),
    )?;
    say("clippy for wasm");
    process::run(
        cargo_for_wasm(workspace, toolchain)?
            .args(["clippy", "--locked", "--release", "--lib", "--target", WASM_TARGET])
            .args(["-p", PLUGIN, "-p", HOSTILE, "--", "-D", "warnings"]),
    )
}
