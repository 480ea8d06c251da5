//! `cargo xtask lint`: formatting, clippy for the host machine and for wasm, documentation; warnings are errors.

use anyhow::Result;

use crate::build::PLUGIN;
use crate::component::cargo_for_wasm;
use crate::guests::HOSTILE;
use crate::process::{self, cargo, say};
use crate::setup;
use crate::workspace::{WASM_TARGET, Workspace};

/// `cargo xtask lint`.
pub fn run(workspace: &Workspace, _arguments: &[String]) -> Result<()> {
    let toolchain = setup::ensure(workspace)?;
    say("formatting");
    // The fuzz targets are a workspace of their own, which the other one's `--all` leaves out.
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        process::run(
            cargo()
                .args(["fmt", "--all", "--check", "--manifest-path", manifest])
                .current_dir(&workspace.root),
        )?;
    }
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
        cargo_for_wasm(workspace, &toolchain)?
            .args([
                "clippy",
                "--locked",
                "--release",
                "--lib",
                "--target",
                WASM_TARGET,
            ])
            .args(["-p", PLUGIN, "-p", HOSTILE, "--", "-D", "warnings"]),
    )?;
    say("documentation");
    process::run(
        cargo()
            .args(["doc", "--locked", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings")
            .current_dir(&workspace.root),
    )
}
