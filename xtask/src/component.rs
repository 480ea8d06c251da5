//! A package of the workspace made into a WebAssembly component: cargo build, wrap, check the imports. The flags that
//! decide the bytes are here and nowhere else.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use wit_component::{ComponentEncoder, DecodedWasm};
use wit_parser::{Resolve, WorldId};

use crate::process;
use crate::setup::Toolchain;
use crate::workspace::{WASM_TARGET, Workspace};

/// For the C code in the component (zstd): the same instructions that the Rust code may use.
const C_FLAGS: &str = "-O3 -msimd128 -mbulk-memory";

/// Builds the package's core module and returns where it is.
pub fn build_core(workspace: &Workspace, toolchain: &Toolchain, package: &str) -> Result<PathBuf> {
    let mut command = cargo_for_wasm(workspace, toolchain)?;
    command.args(["build", "--locked", "--release", "--lib", "-p", package]);
    command.args(["--target", WASM_TARGET]);
    process::run(&mut command)?;
    Ok(workspace.core_module(package))
}

/// Cargo with the environment that every wasm build shares, so that clippy reuses what a build made. Paths are mapped
/// away and the variables of the user's own environment that change code are dropped: the same commit, rustc and
/// clang give the same bytes in any folder.
pub fn cargo_for_wasm(workspace: &Workspace, toolchain: &Toolchain) -> Result<Command> {
    let std_sources = toolchain.sysroot.join("lib/rustlib/src/rust");
    let mut maps = vec![
        (workspace.root.clone(), "/batch-export".to_owned()),
        (std_sources, format!("/rustc/{}", toolchain.rustc_commit)),
    ];
    for registry in registry_folders()? {
        maps.push((registry, "/cargo/registry".to_owned()));
    }
    let mut flags = vec![OsString::from("-Ctarget-feature=+simd128")];
    for (from, to) in maps {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(&from);
        flag.push(format!("={to}"));
        flags.push(flag);
    }

    let mut command = process::cargo();
    command
        .current_dir(&workspace.root)
        .env("CARGO_TARGET_DIR", &workspace.target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f".as_ref()))
        .env("CC_wasm32_unknown_unknown", &toolchain.clang)
        .env("CFLAGS_wasm32_unknown_unknown", C_FLAGS)
        .env("AR_wasm32_unknown_unknown", archiver(&toolchain.clang));
    for foreign in ["RUSTFLAGS", "CFLAGS", "TARGET_CFLAGS", "TARGET_CC", "TARGET_AR"] {
        command.env_remove(foreign);
    }
    Ok(command)
}

/// LLVM's archiver if there is one next to the compiler, else the system's: rustc takes the objects out of the archive
/// and makes an index of its own, so the bytes are the same. (GNU ar takes any file; Apple's wants Mach-O objects.)
fn archiver(clang: &Path) -> PathBuf {
    let sibling = clang.with_file_name("llvm-ar");
    if sibling.is_file() {
        sibling
    } else {
        PathBuf::from("ar")
    }
}

/// The folder in which cargo unpacks crates: one for each registry or mirror, whose name must not be part of the
/// result.
fn registry_folders() -> Result<Vec<PathBuf>> {
    let cargo_home = match (std::env::var_os("CARGO_HOME"), std::env::var_os("HOME")) {
        (Some(cargo_home), _) => PathBuf::from(cargo_home),
        (None, Some(home)) => Path::new(&home).join(".cargo"),
        (None, None) => bail!("cannot find cargo's sources: neither CARGO_HOME nor HOME is set"),
    };
    let sources = cargo_home.join("registry/src");
    if !sources.is_dir() {
        return Ok(Vec::new());
    }
    let mut folders = Vec::new();
    for entry in fs::read_dir(&sources).with_context(|| sources.display().to_string())? {
        folders.push(entry?.path());
    }
    folders.sort();
    Ok(folders)
}

/// Wraps a core module that carries the contract's description (wit-bindgen puts it there) into a component.
pub fn encode(core: &[u8]) -> Result<Vec<u8>> {
    ComponentEncoder::default()
        .validate(true)
        .module(core)?
        .encode()
        .context("cannot turn the core module into a component")
}

/// Insist that the component imports what the world imports, no more and no less.
pub fn check_imports(component: &[u8], wit: &Path) -> Result<()> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component)? else {
        bail!("the result of the build is a WIT package, not a component");
    };
    let actual = imports(&resolve, world);
    let (resolve, world) = parse_world(&read_contract(wit)?)?;
    let expected = imports(&resolve, world);
    let extra: Vec<_> = actual.difference(&expected).collect();
    let missing: Vec<_> = expected.difference(&actual).collect();
    ensure!(
        extra.is_empty() && missing.is_empty(),
        "the component's imports differ from the world's: unexpected {extra:?}, unused {missing:?}"
    );
    Ok(())
}

/// The contract's text.
pub fn read_contract(wit: &Path) -> Result<String> {
    let path = wit.join("destination.wit");
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// The world of a contract's text.
pub fn parse_world(contract: &str) -> Result<(Resolve, WorldId)> {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("destination.wit", contract)?;
    let world = resolve.select_world(&[package], Some("destination"))?;
    Ok((resolve, world))
}

fn imports(resolve: &Resolve, world: WorldId) -> BTreeSet<String> {
    let keys = resolve.worlds[world].imports.keys();
    keys.map(|key| resolve.name_world_key(key)).collect()
}
