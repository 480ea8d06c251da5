//! `cargo xtask reproduce`: two builds in different folders must give the same bytes. Never touches this checkout's
//! own target folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::build;
use crate::process::{self, say};
use crate::setup;
use crate::workspace::Workspace;

/// Folders of different depth and length, so that no path and no length of one can hide in the result.
const FOLDERS: [&str; 2] = ["a", "another/folder/of-a-longer-name"];

/// `cargo xtask reproduce`.
pub fn run(workspace: &Workspace, _arguments: &[String]) -> Result<()> {
    let toolchain = setup::ensure(workspace)?;
    let base = workspace.target.join("reproduce");
    if base.exists() {
        fs::remove_dir_all(&base)?;
    }
    let mut digests = Vec::new();
    for (number, folder) in FOLDERS.iter().enumerate() {
        let root = base.join(folder);
        say(format!(
            "build {} of {} in {}",
            number + 1,
            FOLDERS.len(),
            root.display()
        ));
        copy_sources(workspace, &root)?;
        let copy = Workspace {
            target: base.join(format!("target-{number}")),
            root,
        };
        let artifact = build::build(&copy, &toolchain)?;
        refuse_paths(&artifact.path, &base)?;
        digests.push(artifact.digest);
    }
    if digests[0] != digests[1] {
        bail!(
            "not reproducible: {} and {} (the builds are kept in {})",
            digests[0],
            digests[1],
            base.display()
        );
    }
    fs::remove_dir_all(&base)?;
    println!("reproducible: {}", digests[0]);
    Ok(())
}

/// Copies what git tracks or would track: the build must need nothing else.
fn copy_sources(workspace: &Workspace, to: &Path) -> Result<()> {
    let listed = process::read(
        std::process::Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&workspace.root),
    )?;
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        let from = workspace.root.join(name);
        // A tracked file that was deleted but not yet committed is not a source.
        if !from.is_file() {
            continue;
        }
        let to = to.join(name);
        let folder = to.parent().map(PathBuf::from).unwrap_or_default();
        fs::create_dir_all(&folder)?;
        fs::copy(&from, &to).with_context(|| format!("cannot copy {name}"))?;
    }
    Ok(())
}

/// A path of this machine in the artifact would be both a leak and a difference.
fn refuse_paths(artifact: &Path, base: &Path) -> Result<()> {
    let bytes = fs::read(artifact)?;
    let needle = base.as_os_str().as_encoded_bytes();
    if bytes.windows(needle.len()).any(|window| window == needle) {
        bail!("the component contains the path {}", base.display());
    }
    Ok(())
}
