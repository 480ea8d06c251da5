//! Programs of others that checks need: found where they are installed, else built into the target folder. Nothing is
//! installed outside of it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::process::{self, cargo, say};
use crate::workspace::Workspace;

/// A crate with a program, and the version that the checks were written for.
pub struct Tool {
    pub package: &'static str,
    pub program: &'static str,
    pub version: &'static str,
}

/// Runs fuzz targets.
pub const FUZZ: Tool = Tool {
    package: "cargo-fuzz",
    program: "cargo-fuzz",
    version: "0.13.2",
};

/// Checks licences, versions and origins of dependencies.
pub const DENY: Tool = Tool {
    package: "cargo-deny",
    program: "cargo-deny",
    version: "0.20.2",
};

/// Checks spelling.
pub const TYPOS: Tool = Tool {
    package: "typos-cli",
    program: "typos",
    version: "1.52.0",
};

/// Returns the program's path; installs it if it is missing.
pub fn ensure(workspace: &Workspace, tool: &Tool) -> Result<PathBuf> {
    let root = workspace.target.join("tools");
    let built = root.join("bin").join(tool.program);
    let is_right = |path: &PathBuf| {
        process::read(Command::new(path).arg("--version")).is_ok_and(|printed| printed.contains(tool.version))
    };
    if let Some(found) = [PathBuf::from(tool.program), built.clone()].into_iter().find(is_right) {
        return Ok(found);
    }
    say(format!(
        "building {} {} into the target folder (a few minutes)",
        tool.package, tool.version
    ));
    process::run(
        cargo()
            // Unoptimised: it builds in a third of the time, and runs for seconds.
            .args(["install", "--debug", "--locked", "--force", tool.package])
            .args(["--version", tool.version, "--root"])
            .arg(&root)
            .env("CARGO_TARGET_DIR", root.join("build"))
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            // The workspace's own settings are not the tool's.
            .current_dir(&workspace.target),
    )?;
    Ok(built)
}
