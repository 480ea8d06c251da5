//! `cargo xtask demo`: the component and the host's `demo` command. That command decides what is shown.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::process::{self, say};
use crate::workspace::Workspace;
use crate::{build, setup};

/// `cargo xtask demo [ARGUMENTS…]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let toolchain = setup::ensure(workspace)?;
    // The host takes the component in when it is compiled.
    build::build(workspace, &toolchain)?;
    let program = build_program(workspace)?;
    process::run(
        Command::new(program)
            .arg("demo")
            .args(arguments)
            .current_dir(&workspace.root),
    )
}

/// Builds `batch-export` and returns where it is. Features are decided for the whole workspace, as for the tests, so
/// that one command's artefacts serve the other.
pub fn build_program(workspace: &Workspace) -> Result<PathBuf> {
    say("building the host (a first build takes five to ten minutes on two cores)");
    process::run(
        process::cargo()
            .args(["build", "--locked", "--workspace", "--bin", "batch-export"])
            .env("CARGO_TARGET_DIR", &workspace.target)
            .current_dir(&workspace.root),
    )?;
    Ok(workspace.target.join("debug").join("batch-export"))
}
