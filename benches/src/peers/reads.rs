//! Reading what was written: each reader in a process of its own and in turn, its queries one after the other.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use super::exports::Exports;
use super::tool::{Tool, word};
use crate::events::User;
use crate::job::{FileFormat, Format, hours};

/// The readers, by the names of their scripts.
const READERS: [(&str, &str); 3] = [("DuckDB", "duckdb"), ("polars", "polars"), ("pyarrow", "pyarrow")];
/// The queries, by what scripts call them and by what tables do. JSON Lines are read whole only.
pub const QUERIES: [(&str, &str); 4] = [
    ("whole", "whole"),
    ("column", "one column"),
    ("hour", "one hour"),
    ("user", "one user"),
];
/// In the middle of the day.
const HOUR: u32 = 13;
/// Neither one of the busiest nor one of the idlest.
const USER: User = User(1_000);

/// The times of one query to one file.
pub struct Read {
    pub tool: &'static Tool,
    pub format: Format,
    pub reader: &'static str,
    pub query: &'static str,
    pub seconds: Vec<f64>,
    answer: Value,
}

impl Read {
    pub fn to_json(&self) -> Value {
        json!({
            "read": self.tool.word, "format": word(self.format), "reader": self.reader, "query": self.query,
            "seconds": self.seconds, "answer": self.answer,
        })
    }
}

#[derive(Deserialize)]
struct Measured {
    seconds: f64,
    answer: Value,
}

/// Every output, by every reader, in all rounds. An output with the same bytes as one before it is not read again.
pub fn run(exports: &Exports) -> Result<Vec<Read>> {
    let mut files: Vec<(&'static Tool, Format, Vec<u8>)> = Vec::new();
    for (tool, format) in exports.pairs() {
        let bytes = fs::read(exports.output(tool, format))?;
        if !files.iter().any(|(.., known)| *known == bytes) {
            files.push((tool, format, bytes));
        }
    }
    let files: Vec<(&'static Tool, Format)> = files.into_iter().map(|(tool, format, _)| (tool, format)).collect();
    let mut reads: Vec<Read> = Vec::new();
    for round in 0..exports.rounds {
        for (reader, script) in READERS {
            eprintln!("bench: round {} of {}: reading by {reader}", round + 1, exports.rounds);
            for &(tool, format) in files.iter().filter(|(_, format)| can(script, *format)) {
                let mut measured = ask(exports, tool, format, script)
                    .with_context(|| format!("{reader} cannot read the {format} of {}", tool.name))?;
                for (query, Measured { seconds, answer }) in QUERIES
                    .iter()
                    .filter_map(|(query, _)| Some((*query, measured.remove(*query)?)))
                {
                    let is_this = |read: &&mut Read| {
                        (read.tool, read.format, read.reader, read.query) == (tool, format, reader, query)
                    };
                    match reads.iter_mut().find(is_this) {
                        Some(read) => read.seconds.push(seconds),
                        None => reads.push(Read {
                            tool,
                            format,
                            reader,
                            query,
                            seconds: vec![seconds],
                            answer,
                        }),
                    }
                }
            }
        }
    }
    ensure_same_answers(&reads)?;
    Ok(reads)
}

/// pyarrow has no reader of JSON Lines that takes nested values of changing types.
fn can(script: &str, format: Format) -> bool {
    format.file_format == FileFormat::Parquet || script != "pyarrow"
}

fn ask(exports: &Exports, tool: &Tool, format: Format, script: &str) -> Result<BTreeMap<String, Measured>> {
    let hour = hours(HOUR, 1)?;
    let start = hour.start().context("the hour is open")?;
    let job = json!({
        "file": exports.output(tool, format), "format": word(format),
        "hour": [start.to_string(), hour.end().to_string()], "user": USER.distinct_id(),
    });
    let output = exports.places.script(&format!("read_{script}"), &job).output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The same question to the same reader about files of the same rows has one answer. JSON texts nested in JSON Lines
/// have no length of their own.
fn ensure_same_answers(reads: &[Read]) -> Result<()> {
    for read in reads
        .iter()
        .filter(|read| read.format.file_format == FileFormat::Parquet)
    {
        let same = |other: &&Read| (other.format, other.reader, other.query) == (read.format, read.reader, read.query);
        if let Some(first) = reads.iter().find(same)
            && first.answer != read.answer
        {
            bail!(
                "{} answers the query `{}` with {} from the file of {} and with {} from that of {}",
                read.reader,
                read.query,
                first.answer,
                first.tool.name,
                read.answer,
                read.tool.name
            );
        }
    }
    Ok(())
}
