//! `cargo xtask demo`: the component and the host's `demo` command. What is shown is decided there.

use anyhow::Result;

use crate::process::{self, say};
use crate::workspace::Workspace;
use crate::{build, setup};

/// `cargo xtask demo [ARGUMENTS…]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let toolchain = setup::ensure(workspace)?;
    let artifact = build::build(workspace, &toolchain)?;
    say("building the host (a first build takes five to ten minutes on two cores)");
    process::run(
        process::cargo()
            .args(["run", "--locked", "--quiet", "--package", "batch-export"])
            .args(["--", "demo"])
            .args(arguments)
            .env("BATCH_EXPORT_COMPONENT", &artifact.path)
            .current_dir(&workspace.root),
    )
}
