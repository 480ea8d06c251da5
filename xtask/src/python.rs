//! Python for what compares us with others: a version that does, and environments of pinned packages. Runs no script.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::process::{self, say};
use crate::setup;

/// Ends well with a Python that does for the packages pinned here, else with a word on why not.
const PYTHON_PROBE: &str = "import sys, venv, ensurepip
if sys.version_info < (3, 11): sys.exit(\"it is Python \" + sys.version.split()[0])";

/// A Python that can make virtual environments: Debian's cannot until a package of its own is there, and says so only
/// when it is in the middle of it.
pub fn ensure() -> Result<()> {
    let is_ready = || process::read(Command::new("python3").args(["-c", PYTHON_PROBE])).map(|_| ());
    if is_ready().is_ok() {
        return Ok(());
    }
    if setup::can_apt() {
        say("installing python3-venv with apt-get");
        setup::apt_install(&["python3", "python3-venv"])?;
    }
    is_ready().context(
        "`python3` must be Python 3.11 or later with the modules venv and ensurepip. On Debian and Ubuntu:\n\n    \
         sudo apt-get install -y python3 python3-venv\n\n\
         elsewhere your package manager's python3, or https://www.python.org; then run the same command again",
    )
}

/// Makes a virtual environment with exactly the packages that the requirements pin, unless it is there; answers its
/// Python.
pub fn environment(requirements: &Path, environment: &Path) -> Result<PathBuf> {
    let pinned = fs::read(requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    let python = environment.join("bin/python");
    // The copy is written last: an installation that was interrupted is done again.
    let installed = environment.join("installed.txt");
    if fs::read(&installed).is_ok_and(|before| before == pinned) {
        return Ok(python);
    }
    say(format!(
        "installing the Python packages of {} (up to 800 MB, a minute or two)",
        requirements.display()
    ));
    process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment))?;
    process::run(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--no-deps", "--requirement"])
            .arg(requirements)
            .stdout(Stdio::null()),
    )?;
    fs::write(&installed, pinned).with_context(|| format!("cannot write {}", installed.display()))?;
    Ok(python)
}
