//! `cargo xtask public-api`: what each library offers, one line for each item, compared with its `public-api.txt`, so
//! that a change of it is seen in review. Writes the files only when asked to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{self, cargo, say};
use crate::workspace::Workspace;

/// The libraries that others build on: package and folder.
const LIBRARIES: [(&str, &str); 6] = [
    ("batch-export-system", "host/system"),
    ("batch-export-sandbox", "host/sandbox"),
    ("batch-export-source", "host/source"),
    ("batch-export-schedule", "host/schedule"),
    ("batch-export-runner", "host/runner"),
    ("batch-export-service", "host/service"),
];

/// `cargo xtask public-api [--write]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let is_writing = match arguments {
        [] => false,
        [option] if option == "--write" => true,
        _ => bail!("`cargo xtask public-api` only accepts `--write`"),
    };
    say("documenting the libraries as JSON");
    let documented = document(workspace)?;
    let mut changed = Vec::new();
    for (package, folder) in LIBRARIES {
        let path = workspace.root.join(folder).join("public-api.txt");
        let found = listed(workspace, &documented, package)?;
        let written = fs::read_to_string(&path).unwrap_or_default();
        if found == written {
            continue;
        }
        if is_writing {
            fs::write(&path, found).with_context(|| format!("cannot write {}", path.display()))?;
            say(format!("wrote {folder}/public-api.txt"));
        } else {
            changed.push(format!("{folder}:\n{}", difference(&written, &found)));
        }
    }
    if !changed.is_empty() {
        bail!(
            "the public API of a library differs from its public-api.txt:\n{}\nIf that is intended, run \
             `cargo xtask public-api --write` and commit the result",
            changed.join("\n")
        );
    }
    Ok(())
}

/// Documents the libraries; returns the folder with a JSON file for each.
fn document(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target.join("public-api");
    process::run(
        cargo()
            // All members at once, or cargo would resolve other features and rebuild what they depend on.
            .args(["doc", "--locked", "--workspace", "--lib", "--no-deps", "--quiet"])
            .env("RUSTDOC", wrapper(&folder)?)
            .env(
                "RUSTDOCFLAGS",
                "-Zunstable-options --output-format=json --cap-lints=allow",
            )
            .current_dir(&workspace.root),
    )?;
    Ok(workspace.target.join("doc"))
}

/// A rustdoc that takes unstable options: its JSON is one. The variable that allows them must not reach rustc and build
/// scripts, which would rebuild the world.
fn wrapper(folder: &Path) -> Result<PathBuf> {
    let script = folder.join("rustdoc");
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::write(&script, "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n")
        .with_context(|| format!("cannot write {}", script.display()))?;
    process::run(Command::new("chmod").arg("+x").arg(&script))?;
    Ok(script)
}

/// One line for each public item.
fn listed(workspace: &Workspace, documented: &Path, package: &str) -> Result<String> {
    let json = documented.join(package.replace('-', "_")).with_extension("json");
    process::read(
        cargo()
            .args(["run", "--quiet", "--locked", "--manifest-path"])
            .arg("xtask/public-api/Cargo.toml")
            .arg("--target-dir")
            .arg(workspace.target.join("tools/build"))
            .arg("--")
            .arg(json)
            .current_dir(&workspace.root),
    )
}

/// The lines that are in one text only.
fn difference(before: &str, after: &str) -> String {
    let only_in = |one: &str, other: &str, sign: char| -> Vec<String> {
        let known: std::collections::HashSet<&str> = other.lines().collect();
        one.lines()
            .filter(|line| !known.contains(line))
            .map(|line| format!("  {sign} {line}"))
            .collect()
    };
    let mut lines = only_in(before, after, '-');
    lines.extend(only_in(after, before, '+'));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_side_are_shown_with_their_sign() {
        assert_eq!(
            difference("pub fn a\npub fn b\n", "pub fn b\npub fn c\n"),
            "  - pub fn a\n  + pub fn c"
        );
        assert_eq!(difference("same\n", "same\n"), "");
    }
}
