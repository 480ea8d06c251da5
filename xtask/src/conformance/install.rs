//! Installs the readers and servers of a conformance run where that needs no question, else stops with the exact
//! command. Never starts a server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Stage;
use crate::process::{self, say};
use crate::setup;

/// Debian's packages of Ceph's gateway and the least cluster under it.
const CEPH_PACKAGES: [&str; 4] = ["radosgw", "ceph-mon", "ceph-osd", "ceph-mgr"];

/// The version of Garage that the suite's expectations were written for.
const GARAGE_VERSION: &str = "2.5.0";

/// Ends well with a Python that does for the packages pinned here, else with a word on why not.
const PYTHON_PROBE: &str = "import sys, venv, ensurepip
if sys.version_info < (3, 11): sys.exit(\"it is Python \" + sys.version.split()[0])";

/// A virtual environment with exactly the packages that the requirements of that name pin; answers its Python.
pub fn python(stage: &Stage, name: &str) -> Result<PathBuf> {
    let requirements = stage.scripts.join(format!("requirements-{name}.txt"));
    let pinned = fs::read(&requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    let environment = stage.folder.join(format!("venv-{name}"));
    let python = environment.join("bin/python");
    // The copy is written last: an installation that was interrupted is done again.
    let installed = environment.join("installed.txt");
    if fs::read(&installed).is_ok_and(|before| before == pinned) {
        return Ok(python);
    }
    say(format!(
        "installing the Python packages of tests/conformance/requirements-{name}.txt (up to 500 MB, a minute or two)"
    ));
    process::run(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&environment),
    )?;
    process::run(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--no-deps", "--requirement"])
            .arg(&requirements)
            .stdout(Stdio::null()),
    )?;
    fs::write(&installed, pinned).with_context(|| format!("cannot write {}", installed.display()))?;
    Ok(python)
}

/// A Python that can make virtual environments: Debian's cannot until a package of its own is there, and says so only
/// when it is in the middle of it.
pub fn ensure_python() -> Result<()> {
    let is_ready = || process::read(Command::new("python3").args(["-c", PYTHON_PROBE])).map(|_| ());
    if is_ready().is_ok() {
        return Ok(());
    }
    if setup::can_apt() {
        say("installing python3-venv by apt-get");
        setup::apt_install(&["python3", "python3-venv"])?;
    }
    is_ready().context(
        "`python3` must be Python 3.11 or later with the modules venv and ensurepip. On Debian and Ubuntu:\n\n    \
         sudo apt-get install -y python3 python3-venv\n\n\
         elsewhere your package manager's python3, or https://www.python.org; then run the same command again",
    )
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
        say("wrong clocks are not tried: there is no `faketime` (Debian's package of that name)");
        return Ok(());
    }
    say("installing faketime by apt-get");
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
    say("installing Ceph by apt-get (about 400 MB on disk, a minute or two)");
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
    say("installing Garage by cargo (about a quarter of an hour on two cores)");
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
