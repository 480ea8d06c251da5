//! `cargo xtask bench`: the component, then the bench program as users would build it, and its numbers. What is
//! measured and printed is decided there.

use std::process::Command;

use anyhow::Result;

use crate::postgres::{self, Server};
use crate::process::{self, say};
use crate::workspace::Workspace;
use crate::{build, python, setup};

/// The bench that needs the program and a Python of its own.
const PEERS: &str = "peers";
/// The bench that needs the program.
const CURVE: &str = "curve";
/// The bench that needs the program and a PostgreSQL.
const SOURCES: &str = "sources";

/// `cargo xtask bench [ARGUMENTS…]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let names = |name: &str| arguments.iter().any(|argument| argument == name);
    let with_peers = names(PEERS);
    if with_peers {
        python::ensure()?;
    }
    let toolchain = setup::ensure(workspace)?;
    let component = build::build(workspace, &toolchain)?;
    say("building the program and the benches for release (a first build takes ten minutes on two cores)");
    process::run(
        process::cargo()
            .args(["build", "--locked", "--release"])
            .args(["--package", "batch-export", "--package", "batch-export-benches"])
            .env("CARGO_TARGET_DIR", &workspace.target)
            .current_dir(&workspace.root),
    )?;
    let programs = workspace.target.join("release");
    let folder = workspace.target.join("bench");
    let mut bench = Command::new(programs.join("bench"));
    bench
        .args(arguments)
        .arg("--component")
        .arg(&component.path)
        .arg("--folder")
        .arg(&folder)
        .current_dir(&workspace.root);
    let database = match names(SOURCES) {
        true => Some(Server::start(&postgres::programs()?, &folder.join("postgres"))?),
        false => None,
    };
    if let Some(database) = &database {
        let url = format!(
            "postgresql://admin@127.0.0.1:{}/postgres?sslmode=disable",
            database.port
        );
        bench.arg("--postgres").arg(url);
    }
    if with_peers || names(CURVE) || database.is_some() {
        bench.arg("--program").arg(programs.join("batch-export"));
    }
    if with_peers {
        let scripts = workspace.root.join("benches").join(PEERS);
        let python = python::environment(&scripts.join("requirements.txt"), &folder.join("venv-peers"))?;
        bench.arg("--python").arg(python).arg("--scripts").arg(scripts);
    }
    process::run(&mut bench)
}
