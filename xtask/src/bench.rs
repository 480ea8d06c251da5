//! `cargo xtask bench`: the component, then the bench program as users would build it, and its numbers. What is
//! measured and printed is decided there.

use std::process::Command;

use anyhow::Result;

use crate::process::{self, say};
use crate::workspace::Workspace;
use crate::{build, setup};

/// `cargo xtask bench [ARGUMENTS…]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let toolchain = setup::ensure(workspace)?;
    let component = build::build(workspace, &toolchain)?;
    say("building the benches for release (a first build takes ten minutes on two cores)");
    process::run(
        process::cargo()
            .args(["build", "--locked", "--release"])
            .args(["--package", "batch-export-benches"])
            .env("CARGO_TARGET_DIR", &workspace.target)
            .current_dir(&workspace.root),
    )?;
    process::run(
        Command::new(workspace.target.join("release").join("bench"))
            .args(arguments)
            .arg("--component")
            .arg(&component.path)
            .arg("--folder")
            .arg(workspace.target.join("bench"))
            .current_dir(&workspace.root),
    )
}
