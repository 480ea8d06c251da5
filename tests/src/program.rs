//! The program `batch-export` as a user runs it: a folder, a configuration file, arguments, and what it printed.

use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::components;

/// A folder with a configuration file, in which the program is run.
pub struct Program {
    pub folder: TempDir,
}

/// What a run of the program gave.
#[derive(Debug)]
pub struct Printed {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    /// A folder with this configuration in `exports.toml`.
    pub fn new(configuration: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("exports.toml"), configuration).expect("written");
        Program { folder }
    }

    /// Run it with these arguments; nothing of the test's own environment that could carry credentials reaches it.
    pub fn run(&self, arguments: &[&str]) -> Printed {
        let mut command = Command::new(executable());
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("NO_COLOR", "1");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                command.env_remove(name);
            }
        }
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().expect("the program starts");
        Printed {
            code: status.code(),
            stdout: String::from_utf8(stdout).expect("UTF-8"),
            stderr: String::from_utf8(stderr).expect("UTF-8"),
        }
    }

    /// `run` over the first hour of the tests, with the shipped component.
    pub fn export(&self, further: &[&str]) -> Printed {
        let component = components::destination();
        let component = component.to_str().expect("UTF-8");
        let mut arguments = vec!["run", "--config", "exports.toml", "--component", component];
        arguments.extend([
            "--start",
            "2023-07-28T00:00:00Z",
            "--end",
            "2023-07-28T01:00:00Z",
        ]);
        arguments.extend(further);
        self.run(&arguments)
    }
}

/// The program that cargo built beside this test.
fn executable() -> PathBuf {
    if let Some(path) = std::env::var_os("BATCH_EXPORT_PROGRAM") {
        return path.into();
    }
    let test = std::env::current_exe().expect("this test's own path");
    let profile = test
        .parent()
        .and_then(|deps| deps.parent())
        .expect("target/<profile>/deps/");
    let program = profile.join("batch-export");
    assert!(
        program.is_file(),
        "{} is missing: run `cargo build --workspace --bin batch-export`",
        program.display()
    );
    program
}
