//! `cargo xtask conformance`: the real component against readers, servers and hosts of other projects. Installs and
//! builds; what is asked of them is in `tests/conformance`. Everything it makes is below `target/conformance`.

mod hosts;
mod install;
mod postgres;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::process::{self, say};
use crate::workspace::Workspace;
use crate::{build, python, setup};

/// What can be named, in the order in which it runs; the last two words mean several.
const NAMES: [&str; 12] = [
    "readers",
    "commands",
    "clickhouse",
    "postgres",
    "hosts",
    "orchestrators",
    "devstore",
    "seaweedfs",
    "ceph",
    "garage",
    "servers",
    "all",
];

/// `cargo xtask conformance [NAMES…] [--only TEXT] [--json]`.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let (names, options) = arguments.split_at(
        arguments
            .iter()
            .position(|argument| argument.starts_with("--"))
            .unwrap_or(arguments.len()),
    );
    let chosen = Chosen::from(names)?;
    python::ensure()?;
    let toolchain = setup::ensure(workspace)?;
    let stage = Stage {
        scripts: workspace.root.join("tests/conformance"),
        folder: workspace.target.join("conformance"),
        component: build::build(workspace, &toolchain)?.path,
        programs: build_programs(workspace)?,
    };
    if chosen.postgres {
        postgres::run(workspace, &stage, options)?;
    }
    let mut scripts = Vec::new();
    if chosen.readers {
        scripts.push(readers(&stage)?);
    }
    if chosen.commands {
        scripts.push(commands(&stage)?);
    }
    if chosen.clickhouse {
        scripts.push(clickhouse(&stage)?);
    }
    if chosen.hosts {
        scripts.push(hosts::script(&stage)?);
    }
    if chosen.orchestrators {
        scripts.push(orchestrators(&stage)?);
    }
    if !chosen.stores.is_empty() {
        scripts.push(servers(&stage, &chosen.stores)?);
    }
    for script in &mut scripts {
        script.args(options);
    }
    run_all(scripts)
}

/// One after the other. Every trouble is told before the command fails: a reader's must not hide a server's.
fn run_all(mut scripts: Vec<Command>) -> Result<()> {
    let last = scripts.pop();
    let mut failed: Vec<String> = scripts
        .iter_mut()
        .filter_map(|script| process::run(script).err())
        .map(|error| error.to_string())
        .collect();
    if let Some(mut last) = last {
        if failed.is_empty() {
            // This process becomes the script, which so hears of Ctrl-C and ends its servers before it ends.
            return process::replace(&mut last);
        }
        failed.extend(process::run(&mut last).err().map(|error| error.to_string()));
    }
    match failed.is_empty() {
        true => Ok(()),
        false => bail!("{}", failed.join("\n")),
    }
}

/// The run of the readers, with all that it needs installed.
fn readers(stage: &Stage) -> Result<Command> {
    let python = install::python(stage, "readers")?;
    Ok(stage.script(&python, "readers.py", "readers"))
}

/// The run of the example programs that supply rows, with all that they need installed.
fn commands(stage: &Stage) -> Result<Command> {
    let python = install::python(stage, "commands")?;
    Ok(stage.script(&python, "commands.py", "commands"))
}

/// The run of the source that reads ClickHouse, against its engine.
fn clickhouse(stage: &Stage) -> Result<Command> {
    let python = install::python(stage, "clickhouse")?;
    Ok(stage.script(&python, "clickhouse.py", "clickhouse"))
}

/// The run of the orchestrators, each with an environment of its own.
fn orchestrators(stage: &Stage) -> Result<Command> {
    let driver = install::python(stage, "servers")?;
    let mut line = stage.script(&driver, "orchestrators.py", "orchestrators");
    for name in ["airflow", "dagster"] {
        line.arg(format!("--{name}")).arg(install::python(stage, name)?);
    }
    Ok(line)
}

/// The run of these servers, with all that it needs installed.
fn servers(stage: &Stage, stores: &[&str]) -> Result<Command> {
    let python = install::python(stage, "servers")?;
    install::faketime()?;
    let mut line = stage.script(&python, "suite.py", "servers");
    for store in stores {
        match *store {
            "seaweedfs" => {
                line.arg("--seaweedfs").arg(install::seaweedfs(&python)?);
            }
            "ceph" => install::ceph()?,
            "garage" => {
                line.arg("--garage").arg(install::garage(&stage.folder)?);
            }
            _ => {}
        }
    }
    line.args(stores);
    Ok(line)
}

/// What to run.
struct Chosen {
    readers: bool,
    commands: bool,
    clickhouse: bool,
    hosts: bool,
    orchestrators: bool,
    postgres: bool,
    stores: Vec<&'static str>,
}

impl Chosen {
    /// Without a name everything that takes minutes; Garage, which is compiled for a quarter of an hour, by name only.
    fn from(arguments: &[String]) -> Result<Self> {
        if let Some(unknown) = arguments.iter().find(|name| !NAMES.contains(&name.as_str())) {
            bail!(
                "there is no conformance run `{unknown}`; there are {}",
                NAMES.join(", ")
            );
        }
        let asked = |name: &str| arguments.iter().any(|argument| argument == name);
        let all = arguments.is_empty() || asked("all");
        let servers = all || asked("servers");
        let stores = ["devstore", "seaweedfs", "ceph", "garage"]
            .into_iter()
            .filter(|name| asked(name) || (servers && *name != "garage"))
            .collect();
        Ok(Self {
            readers: all || asked("readers"),
            commands: all || asked("commands"),
            clickhouse: all || asked("clickhouse"),
            hosts: all || asked("hosts"),
            orchestrators: all || asked("orchestrators"),
            postgres: all || asked("postgres"),
            stores,
        })
    }
}

/// The programs that were built, and the folders in use.
struct Stage {
    scripts: PathBuf,
    folder: PathBuf,
    component: PathBuf,
    programs: PathBuf,
}

impl Stage {
    /// A script of ours with what all of them are told.
    fn script(&self, python: &Path, name: &str, folder: &str) -> Command {
        let mut command = Command::new(python);
        command
            .arg(self.scripts.join(name))
            .arg("--program")
            .arg(self.programs.join("batch-export"))
            .arg("--devstore")
            .arg(self.programs.join("devstore"))
            .arg("--component")
            .arg(&self.component)
            .arg("--folder")
            .arg(self.folder.join(folder))
            .arg("--state")
            .arg(self.folder.join("state"))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

/// Builds what users run and the store next to it, with the features of the tests, so that one command's artefacts
/// serve the other.
fn build_programs(workspace: &Workspace) -> Result<PathBuf> {
    say("building the host and devstore (a first build takes five to ten minutes on two cores)");
    process::run(
        process::cargo()
            .args(["build", "--locked", "--workspace"])
            .args(["--bin", "batch-export", "--bin", "devstore"])
            .env("CARGO_TARGET_DIR", &workspace.target)
            .current_dir(&workspace.root),
    )?;
    Ok(workspace.target.join("debug"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_choose_what_runs_and_unknown_ones_are_refused() {
        let chosen = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            Chosen::from(&names).map(|chosen| {
                let sources = [chosen.readers, chosen.commands, chosen.clickhouse, chosen.postgres];
                let scripts = [&sources[..], &[chosen.hosts, chosen.orchestrators]].concat();
                (scripts, chosen.stores)
            })
        };
        let usual = vec!["devstore", "seaweedfs", "ceph"];
        for (names, scripts, stores) in [
            (&[][..], &[true; 6][..], usual.clone()),
            (&["all"], &[true; 6][..], usual.clone()),
            (&["servers"], &[false; 6], usual.clone()),
            (&["readers"], &[true, false, false, false, false, false], vec![]),
            (&["commands"], &[false, true, false, false, false, false], vec![]),
            (&["clickhouse"], &[false, false, true, false, false, false], vec![]),
            (&["postgres"], &[false, false, false, true, false, false], vec![]),
            (&["hosts"], &[false, false, false, false, true, false], vec![]),
            (&["orchestrators"], &[false, false, false, false, false, true], vec![]),
            (&["ceph", "seaweedfs"], &[false; 6], vec!["seaweedfs", "ceph"]),
            (&["garage"], &[false; 6], vec!["garage"]),
            (
                &["all", "garage"],
                &[true; 6][..],
                vec!["devstore", "seaweedfs", "ceph", "garage"],
            ),
        ] {
            assert_eq!(
                chosen(names).expect("known names"),
                (scripts.to_vec(), stores),
                "{names:?}"
            );
        }
        let error = chosen(&["minio"]).expect_err("unknown").to_string();
        assert_eq!(
            error,
            "there is no conformance run `minio`; there are readers, commands, clickhouse, postgres, hosts, orchestrators, devstore, seaweedfs, ceph, garage, servers, all"
        );
    }
}
