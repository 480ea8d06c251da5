//! The tests of the `postgres` source, with a server that runs until they are over.

use anyhow::Result;

use super::{Stage, install};
use crate::postgres::{Server, programs};
use crate::process::{self, cargo, say};
use crate::workspace::Workspace;
use crate::{guests, setup};

/// Starts a server, and runs the tests against it.
pub fn run(workspace: &Workspace, stage: &Stage, options: &[String]) -> Result<()> {
    let programs = programs()?;
    let python = install::python(stage, "postgres")?;
    guests::build(workspace, &setup::ensure(workspace)?)?;
    let server = Server::start(&programs, &stage.folder.join("postgres"))?;
    say("exporting from PostgreSQL (some two minutes)");
    let mut tests = cargo();
    tests
        .current_dir(&workspace.root)
        .env("BATCH_EXPORT_COMPONENT", &stage.component)
        .env("BATCH_EXPORT_PROGRAM", stage.programs.join("batch-export"))
        .env("BATCH_EXPORT_TEST_GUESTS", workspace.test_guests())
        .env("POSTGRES_PROGRAMS", &programs)
        .env("POSTGRES_PORT", server.port.to_string())
        .env("POSTGRES_SOCKETS", &server.sockets)
        .env("POSTGRES_OWNER", &server.owner.name)
        .env("POSTGRES_PYTHON", &python)
        .args(["test", "--locked", "--workspace", "--test", "postgres", "--"])
        .args(options.iter().filter(|option| !option.starts_with("--")))
        .args(["--test-threads", "1"]);
    process::run(&mut tests)
}
