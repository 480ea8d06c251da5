//! `cargo xtask build`: the shipped artifact, its digest and its notices. Encodes nothing when nothing changed.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::process::say;
use crate::setup::{self, Toolchain};
use crate::workspace::Workspace;
use crate::{component, notices};

/// The package that becomes the component.
pub const PLUGIN: &str = "s3-destination";

/// The component's file name, from which the digest's follows.
const ARTIFACT: &str = "s3_destination.wasm";

/// The files that a build left in `dist`.
pub struct Artifact {
    pub path: PathBuf,
    pub digest: String,
}

/// `cargo xtask build`.
pub fn run(workspace: &Workspace, _arguments: &[String]) -> Result<()> {
    let toolchain = setup::ensure(workspace)?;
    let artifact = build(workspace, &toolchain)?;
    println!("{}  {}", artifact.digest, artifact.path.display());
    Ok(())
}

/// Builds the component into `dist` and returns where it is.
pub fn build(workspace: &Workspace, toolchain: &Toolchain) -> Result<Artifact> {
    say("building the component (a first build takes two or three minutes)");
    let core_path = component::build_core(workspace, toolchain, PLUGIN)?;
    let dist = workspace.dist();
    let path = dist.join(ARTIFACT);
    let digest_path = dist.join(format!("{ARTIFACT}.sha256"));
    let stamp = dist.join(".core.sha256");
    let core = read(&core_path)?;

    // The stamp names the module and the contract that the component was made from and checked against.
    let contract = component::read_contract(&workspace.wit())?;
    let made_from = format!("{} {}\n", digest_of(&core), digest_of(contract.as_bytes()));
    let unchanged =
        path.exists() && digest_path.exists() && fs::read_to_string(&stamp).is_ok_and(|before| before == made_from);
    if !unchanged {
        let component = component::encode(&core)?;
        component::check_imports(&component, &workspace.wit())?;
        fs::create_dir_all(&dist)?;
        write(&path, &component)?;
        let line = format!("{}  {ARTIFACT}\n", digest_of(&component));
        write(&digest_path, line.as_bytes())?;
        let notices = notices::collect(workspace, &toolchain.sysroot)?;
        write(&dist.join("THIRD-PARTY-NOTICES.txt"), notices.as_bytes())?;
        write(&stamp, made_from.as_bytes())?;
    }
    let component = read(&path)?;
    let digest = digest_of(&component);
    say(format!(
        "dist/{ARTIFACT}: {} bytes, SHA-256 {digest}{}",
        component.len(),
        if unchanged { " (unchanged)" } else { "" }
    ));
    Ok(Artifact { path, digest })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// SHA-256 in lower-case hexadecimal.
fn digest_of(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}
