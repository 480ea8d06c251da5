//! Installs the readers and servers of a conformance run where that needs no question, else stops with the exact
//! command. Never starts a server.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use super::Stage;
use crate::process::{self, say};
use crate::{python, setup};

/// Debian's packages of Ceph's gateway and the least cluster under it.
const CEPH_PACKAGES: [&str; 4] = ["radosgw", "ceph-mon", "ceph-osd", "ceph-mgr"];

/// The version of Garage that the suite's expectations were written for.
const GARAGE_VERSION: &str = "2.5.0";

/// A virtual environment with exactly the packages that the requirements of that name pin; answers its Python.
pub fn python(stage: &Stage, name: &str) -> Result<PathBuf> {
    let requirements = stage.scripts.join(format!("requirements-{name}.txt"));
    python::environment(&requirements, &stage.folder.join(format!("venv-{name}")))
}

/// The server that the requirements brought along.
pub fn seaweedfs(python: &Path) -> Result<PathBuf> {
    let weed = python.with_file_name("weed");
    if !weed.is_file() {
        bail!(
            "{} is missing though its package is installed; remove that folder's environment and try again",
            weed.display()
        );
    }
    Ok(weed)
}

/// Whether a program answers for its version.
fn is_there(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What shifts the clock of the program under test. One feature of many needs it, so the rest runs without it, and the
/// table says what was not tried.
pub fn faketime() -> Result<()> {
    if is_there("faketime") {
        return Ok(());
    }
    if !setup::can_apt() {
        say("wrong clocks are not tested, because `faketime` is missing (install the Debian package of that name)");
        return Ok(());
    }
    say("installing faketime with apt-get");
    setup::apt_install(&["faketime"])
}

/// Ceph by Debian's package manager, as root.
pub fn ceph() -> Result<()> {
    let programs = ["radosgw", "radosgw-admin", "ceph-mon", "ceph-osd", "ceph", "monmaptool"];
    if programs.iter().all(|program| is_there(program)) {
        return Ok(());
    }
    if !setup::can_apt() {
        bail!(
            "Ceph is missing. Install it with\n\n    sudo apt-get install -y --no-install-recommends {}\n\n\
             (or your system's packages of these programs: {}) and run the same command again",
            CEPH_PACKAGES.join(" "),
            programs.join(", ")
        );
    }
    say("installing Ceph with apt-get (about 400 MB on disk, a minute or two)");
    setup::apt_install(&CEPH_PACKAGES)
}

/// Garage, compiled from its crate into a folder of ours.
pub fn garage(folder: &Path) -> Result<PathBuf> {
    let root = folder.join("garage");
    let garage = root.join("bin/garage");
    let version = process::read(Command::new(&garage).arg("--version"));
    if version.is_ok_and(|version| version.contains(GARAGE_VERSION)) {
        return Ok(garage);
    }
    say("installing Garage with cargo (about a quarter of an hour on two cores)");
    process::run(
        process::cargo()
            .args(["install", "garage", "--version", GARAGE_VERSION, "--locked"])
            .args([
                "--no-default-features",
                "--features",
                "bundled-libs,lmdb,sqlite",
                "--root",
            ])
            .arg(&root)
            // Its own: the workspace's target folder would be locked for as long as this takes.
            .env("CARGO_TARGET_DIR", root.join("build"))
            .current_dir(folder),
    )?;
    Ok(garage)
}
