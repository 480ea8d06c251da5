//! The licences of everything that is linked into the component, with the texts that the crates ship. Build scripts,
//! procedural macros and what only the host uses are not in the component and not in here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::build::PLUGIN;
use crate::process;
use crate::workspace::{WASM_TARGET, Workspace};

/// How names of files start that carry licence or attribution texts.
const NOTICE_FILES: &[&str] = &["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

/// Crates that bring sources of another project in a folder of their own, whose notices count as well.
const VENDORED: &[(&str, &str)] = &[("zstd-sys", "zstd")];

const HEADER: &str = "\
s3_destination.wasm contains the following third-party software. For each licence text, the crates that ship it are
named above it; where a crate offers a choice of licences, all of its texts are given.
";

/// A crate as linked.
struct Crate {
    name: String,
    version: String,
    license: String,
    folder: PathBuf,
}

/// The notices file.
pub fn collect(workspace: &Workspace, sysroot: &Path) -> Result<String> {
    let crates = linked_crates(workspace)?;
    let mut text = String::from(HEADER);
    text.push('\n');
    // Text → the crates that ship it: most MIT texts differ in a line only, most Apache ones not at all.
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for krate in &crates {
        let name = format!("{} {}", krate.name, krate.version);
        text.push_str(&format!("* {name}: {}\n", krate.license));
        let vendored = VENDORED.iter().filter(|(of, _)| *of == krate.name);
        let folders = vendored.map(|(_, folder)| krate.folder.join(folder));
        for folder in std::iter::once(krate.folder.clone()).chain(folders) {
            for notice in notice_texts(&folder)? {
                texts.entry(notice).or_default().insert(name.clone());
            }
        }
    }
    text.push_str("* the Rust standard library: MIT OR Apache-2.0\n");
    for notice in notice_texts(&sysroot.join("share/doc/rust"))? {
        let name = "the Rust standard library".to_owned();
        texts.entry(notice).or_default().insert(name);
    }
    for (notice, names) in texts {
        let names: Vec<_> = names.into_iter().collect();
        let rule = "=".repeat(100);
        text.push_str(&format!("\n{rule}\n{}\n{rule}\n\n{notice}\n", names.join(", ")));
    }
    Ok(text)
}

/// What `cargo tree` says is linked (features decided for the plugin alone), with the folders that `cargo metadata`
/// knows.
fn linked_crates(workspace: &Workspace) -> Result<Vec<Crate>> {
    let tree = process::read(
        process::cargo()
            .args(["tree", "--locked", "--package", PLUGIN, "--target", WASM_TARGET])
            .args(["--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"])
            .current_dir(&workspace.root),
    )?;
    let linked: BTreeSet<(&str, &str)> = tree
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, rest)| (name, rest.split(' ').next().unwrap_or(rest).trim_start_matches('v')))
        .filter(|(name, _)| *name != PLUGIN)
        .collect();

    let metadata = process::read(
        process::cargo()
            .args(["metadata", "--locked", "--format-version=1"])
            .args(["--filter-platform", WASM_TARGET])
            .current_dir(&workspace.root),
    )?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"]
        .as_array()
        .context("`cargo metadata` does not list any packages")?;
    let field = |package: &Value, name: &str| package[name].as_str().unwrap_or_default().to_owned();
    let mut crates: Vec<Crate> = packages
        .iter()
        .map(|package| Crate {
            name: field(package, "name"),
            version: field(package, "version"),
            license: field(package, "license"),
            folder: PathBuf::from(field(package, "manifest_path")),
        })
        .filter(|krate| linked.contains(&(krate.name.as_str(), krate.version.as_str())))
        .collect();
    for krate in &mut crates {
        krate.folder.pop();
    }
    crates.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(crates)
}

/// Returns the licence texts in a folder, in the order of their names. HTML is omitted: it repeats the plain texts.
fn notice_texts(folder: &Path) -> Result<Vec<String>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        let is_notice = NOTICE_FILES.iter().any(|start| name.starts_with(start));
        if is_notice && path.is_file() && !name.ends_with(".HTML") {
            files.push(path);
        }
    }
    files.sort();
    let read = |path: PathBuf| -> Result<String> {
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
        Ok(text.trim_matches('\n').to_owned())
    };
    files.into_iter().map(read).collect()
}
