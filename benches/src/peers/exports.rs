//! The exports: every tool in turn, one day and both days at once, each to a store of its own that counts requests and
//! keeps what it is sent; the first outputs are compared with the input.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use devstore::{DevStore, Identity, Options};
use serde::Serialize;
use serde_json::{Value, json};

use super::input::{self, DAYS};
use super::tool::{Places, Tool, word};
use crate::job::{ACCESS_KEY, BUCKET, FileFormat, Format, REGION, SECRET_KEY};
use crate::tree::{self, Usage};

/// Rows of the exports that do not count: they compile the component and fill the page cache.
const WARM_UP_ROWS: u64 = 5_000;

/// What is exported, by what and to where.
pub struct Exports {
    pub inputs: Vec<PathBuf>,
    pub outputs: PathBuf,
    pub places: Places,
    pub tools: Vec<&'static Tool>,
    pub formats: Vec<Format>,
    pub rounds: usize,
}

/// What one round took.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Export {
    pub seconds: f64,
    pub cpu_seconds: f64,
    pub peak_bytes: u64,
    /// Objects in the store.
    pub written_bytes: u64,
    pub requests: u64,
}

/// The rounds of one tool, format and number of exports at once. None where the tool cannot do it.
pub struct Series {
    pub tool: &'static Tool,
    pub format: Format,
    pub at_once: u32,
    pub rounds: Vec<Export>,
}

impl Series {
    pub fn to_json(&self) -> Value {
        json!({
            "export": self.tool.word, "format": word(self.format), "at_once": self.at_once, "rounds": self.rounds,
        })
    }
}

impl Exports {
    /// Each tool once with few rows.
    pub fn warm_up(&self, folder: &Path) -> Result<()> {
        let inputs = input::days(folder, WARM_UP_ROWS)?;
        for (tool, format) in self.pairs() {
            eprintln!("bench: warming up: {format} by {}", tool.name);
            self.export(tool, format, &inputs)?;
        }
        Ok(())
    }

    /// All rounds.
    pub fn run(&self) -> Result<Vec<Series>> {
        let mut all = Vec::new();
        for &format in &self.formats {
            for at_once in 1..=DAYS {
                let series = |tool| Series {
                    tool,
                    format,
                    at_once,
                    rounds: Vec::new(),
                };
                all.extend(self.tools.iter().copied().map(series));
            }
        }
        for round in 0..self.rounds {
            for series in all.iter_mut().filter(|series| can(series.tool, series.format)) {
                let (tool, format, at_once) = (series.tool, series.format, series.at_once);
                eprintln!(
                    "bench: round {} of {}: {format} by {}, {at_once} at once",
                    round + 1,
                    self.rounds,
                    tool.name
                );
                let (export, store) = self.export(tool, format, &self.inputs[..at_once as usize])?;
                series.rounds.push(export);
                if round == 0 && at_once == 1 {
                    self.keep(tool, format, &store)?;
                }
            }
            if round == 0 {
                self.compare()?;
            }
        }
        Ok(all)
    }

    /// The tools and formats that go together.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static Tool, Format)> {
        let tools = |format| self.tools.iter().map(move |tool| (*tool, format));
        self.formats
            .iter()
            .copied()
            .flat_map(tools)
            .filter(|(tool, format)| can(tool, *format))
    }

    /// The output of a tool.
    pub fn output(&self, tool: &Tool, format: Format) -> PathBuf {
        let extension = match format.file_format {
            FileFormat::Parquet => "parquet",
            FileFormat::JSONLines => "jsonl.gz",
        };
        self.outputs.join(format!("{}.{extension}", tool.word))
    }

    /// One export of each of these days, all at once.
    fn export(&self, tool: &Tool, format: Format, inputs: &[PathBuf]) -> Result<(Export, DevStore)> {
        let store = start_store()?;
        let commands = (0..)
            .zip(inputs)
            .map(|(day, input)| self.places.export(tool, format, day, input, &store.endpoint()));
        let commands = commands.collect::<Result<_>>()?;
        let usage = tree::measured(commands, &self.places.scratch)
            .with_context(|| format!("the export to {format} by {} failed", tool.name))?;
        let objects = store.objects(BUCKET);
        if objects.len() != inputs.len() {
            let keys = store.keys(BUCKET).join(", ");
            bail!(
                "the export to {format} by {} left other objects than one for each input: {keys}",
                tool.name
            );
        }
        let Usage {
            seconds,
            cpu_seconds,
            peak_bytes,
        } = usage;
        let export = Export {
            seconds,
            cpu_seconds,
            peak_bytes,
            written_bytes: objects.iter().map(|object| object.size_bytes).sum(),
            requests: store.requests().len() as u64,
        };
        Ok((export, store))
    }

    fn keep(&self, tool: &Tool, format: Format, store: &DevStore) -> Result<()> {
        for key in store.keys(BUCKET) {
            let path = self.output(tool, format);
            let object = store.object(BUCKET, &key)?;
            fs::write(&path, object.bytes).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// Rows and values of each output with those of the input.
    fn compare(&self) -> Result<()> {
        for (tool, format) in self.pairs() {
            eprintln!("bench: comparing: {format} by {}", tool.name);
            let job = json!({
                "input": self.inputs[0], "output": self.output(tool, format),
                "format": word(format), "writer": tool.word,
            });
            tree::measured(vec![self.places.script("compare", &job)], &self.places.scratch)
                .with_context(|| format!("what {} wrote as {format} is not what it was given", tool.name))?;
        }
        Ok(())
    }
}

fn can(tool: &Tool, format: Format) -> bool {
    format.file_format == FileFormat::Parquet || tool.no_json_lines.is_none()
}

/// A store in this process, whose memory and CPU no export is charged for.
fn start_store() -> Result<DevStore> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let options = Options {
        buckets: vec![BUCKET.to_owned()],
        identities: vec![Identity::new(ACCESS_KEY, SECRET_KEY)],
        region: REGION.to_owned(),
        ..Options::default()
    };
    Ok(runtime.block_on(options.start())?)
}
