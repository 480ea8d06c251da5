//! Installs what the foreign hosts need: a Python with wasmtime, a Node with JSPI, and the component turned into
//! JavaScript. Everything goes below the target folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Stage, install};
use crate::process::{self, say};
use crate::setup;

/// Exports that wait for requests, and imports in which they wait: in JavaScript these are promises.
const ASYNC_EXPORTS: [&str; 4] = ["check", "encode-batch", "finish", "recover"];
const ASYNC_IMPORTS: [&str; 2] = ["[method]exchange.wait", "wait-any"];

/// The run of the foreign hosts, with all that it needs installed.
pub fn script(stage: &Stage) -> Result<Command> {
    let driver = install::python(stage, "servers")?;
    let python = install::python(stage, "hosts")?;
    let modules = node_modules(stage)?;
    let node = modules.join("node/bin/node");
    let mut line = stage.script(&driver, "hosts.py", "hosts");
    line.arg("--python").arg(python);
    line.arg("--transpiled").arg(transpile(stage, &node, &modules)?);
    line.arg("--node").arg(node);
    Ok(line)
}

/// The npm packages that `hosts/package.json` pins; returns their folder.
fn node_modules(stage: &Stage) -> Result<PathBuf> {
    let manifest = stage.scripts.join("hosts/package.json");
    let pinned = fs::read(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    let folder = stage.folder.join("npm");
    let modules = folder.join("node_modules");
    // The copy is written last: an interrupted installation is repeated.
    let installed = folder.join("installed.json");
    if fs::read(&installed).is_ok_and(|before| before == pinned) {
        return Ok(modules);
    }
    ensure_npm()?;
    say("installing the npm packages of tests/conformance/hosts/package.json (up to 600 MB, a minute or two)");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let copy = folder.join("package.json");
    fs::write(&copy, &pinned).with_context(|| format!("cannot write {}", copy.display()))?;
    process::run(
        Command::new("npm")
            .args(["install", "--silent", "--no-audit", "--no-fund"])
            .current_dir(&folder),
    )?;
    fs::write(&installed, pinned).with_context(|| format!("cannot write {}", installed.display()))?;
    Ok(modules)
}

fn ensure_npm() -> Result<()> {
    let is_ready = || process::read(Command::new("npm").arg("--version")).map(|_| ());
    if is_ready().is_ok() {
        return Ok(());
    }
    if setup::can_apt() {
        say("installing npm with apt-get");
        setup::apt_install(&["npm"])?;
    }
    is_ready().context(
        "`npm` is missing. On Debian and Ubuntu:\n\n    sudo apt-get install -y npm\n\n\
         elsewhere https://nodejs.org; then run the same command again",
    )
}

/// Turns the component into a JavaScript module; returns its path.
fn transpile(stage: &Stage, node: &Path, modules: &Path) -> Result<PathBuf> {
    let folder = stage.folder.join("hosts-javascript");
    let named = |interface: &str, functions: &[&str]| -> Vec<String> {
        functions
            .iter()
            .map(|function| format!("batch-export:destination/{interface}@0.1.0#{function}"))
            .collect()
    };
    process::run(
        Command::new(node)
            .arg(modules.join("@bytecodealliance/jco/dist/jco.js"))
            .arg("transpile")
            .arg(&stage.component)
            .args(["--quiet", "--no-typescript", "--name", "destination"])
            .args(["--instantiation", "async", "--async-mode", "jspi"])
            .arg("--async-imports")
            .args(named("http", &ASYNC_IMPORTS))
            .arg("--async-exports")
            .args(named("exporter", &ASYNC_EXPORTS))
            .arg("--out-dir")
            .arg(&folder),
    )?;
    Ok(folder.join("destination.js"))
}
