//! The tools that are compared, and the command line of an export by each. Measures nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use crate::export::config_file;
use crate::job::{ACCESS_KEY, BUCKET, FileFormat, Format, Job, REGION, SECRET_KEY, Way};

/// The hours of a day, which is what each export is about.
const DAY_HOURS: u32 = 24;

/// Something that takes events from a Parquet file to a store.
#[derive(Debug, PartialEq, Eq)]
pub struct Tool {
    /// The name in tables.
    pub name: &'static str,
    /// The name as an argument, and of its script.
    pub word: &'static str,
    pub kind: Kind,
    /// Why it does not write JSON Lines.
    pub no_json_lines: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The program as users run it, the component in it.
    Program,
    /// The same plugin code as a part of the bench program.
    Native,
    /// A Python script.
    Script,
}

pub const TOOLS: [Tool; 7] = [
    Tool {
        name: "batch-export",
        word: "batch-export",
        kind: Kind::Program,
        no_json_lines: None,
    },
    Tool {
        name: "native build",
        word: "native",
        kind: Kind::Native,
        no_json_lines: None,
    },
    script("polars", "polars"),
    Tool {
        no_json_lines: Some("it writes no JSON"),
        ..script("pyarrow", "pyarrow")
    },
    script("DuckDB", "duckdb"),
    script("chdb", "chdb"),
    script("PostHog's path", "posthog"),
];

const fn script(name: &'static str, word: &'static str) -> Tool {
    Tool {
        name,
        word,
        kind: Kind::Script,
        no_json_lines: None,
    }
}

/// What formats are called as arguments, in scripts and in names of files.
pub fn word(format: Format) -> &'static str {
    match format.file_format {
        FileFormat::Parquet => "parquet",
        FileFormat::JSONLines => "jsonl",
    }
}

/// Where the programs and scripts are, and the folder in which each export may leave what it likes.
pub struct Places {
    pub program: PathBuf,
    pub python: PathBuf,
    pub scripts: PathBuf,
    pub scratch: PathBuf,
}

impl Places {
    /// A Python script with what it is told.
    pub fn script(&self, name: &str, job: &serde_json::Value) -> Command {
        let mut command = Command::new(&self.python);
        command
            .arg(self.scripts.join(name).with_extension("py"))
            .arg(job.to_string())
            .env("PYTHONDONTWRITEBYTECODE", "1");
        without_credentials(&mut command);
        command
    }

    /// The export of one day's file to the store at `endpoint`.
    pub fn export(&self, tool: &Tool, format: Format, day: u32, input: &Path, endpoint: &str) -> Result<Command> {
        let scratch = self.scratch.join(format!("day-{day}"));
        fs::create_dir_all(&scratch).with_context(|| format!("cannot make the folder {}", scratch.display()))?;
        let job = Job {
            way: Way::Native,
            input: input.to_owned(),
            first_hour: day * DAY_HOURS,
            hours: DAY_HOURS,
            format,
            further: serde_json::Map::new(),
            part_size_bytes: None,
            component: PathBuf::new(),
            state: scratch.join("state"),
        };
        match tool.kind {
            Kind::Program => self.run(&job, endpoint, &scratch),
            Kind::Native => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("child").arg(serde_json::to_string(&(job, endpoint))?);
                Ok(command)
            }
            Kind::Script => {
                let store = json!({
                    "endpoint": endpoint, "region": REGION, "bucket": BUCKET,
                    "access_key": ACCESS_KEY, "secret_key": SECRET_KEY,
                });
                let extension = match format.file_format {
                    FileFormat::Parquet => "parquet",
                    FileFormat::JSONLines => "jsonl.gz",
                };
                let job = json!({
                    "input": input, "format": word(format), "store": store, "scratch": scratch,
                    "key": format!("events/{day}.{extension}"),
                });
                Ok(self.script(&format!("export_{}", tool.word), &job))
            }
        }
    }

    /// The program as users run it, with a configuration file.
    fn run(&self, job: &Job, endpoint: &str, scratch: &Path) -> Result<Command> {
        let config = scratch.join("batch-export.toml");
        fs::write(&config, config_file(job, endpoint)?)
            .with_context(|| format!("cannot write {}", config.display()))?;
        let interval = job.interval()?;
        let start = interval.start().context("the interval is open")?;
        let mut command = Command::new(&self.program);
        command
            .arg("run")
            .arg("--config")
            .arg(config)
            .arg("--start")
            .arg(start.to_string())
            .arg("--end")
            .arg(interval.end().to_string());
        without_credentials(&mut command);
        Ok(command)
    }
}

/// Keys of the machine's own would win over those of the store.
fn without_credentials(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
}
