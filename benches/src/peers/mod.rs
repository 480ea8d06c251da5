//! This project next to what people would use instead: the same events from the same file to the same store, each tool
//! in processes of its own, in turn; then what each has written is compared with the input, and read.

mod exports;
pub mod input;
mod machine;
mod reads;
mod tables;
mod tool;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::job::Format;
use crate::measure::Bench;
use crate::table::Printed;
use exports::Exports;
use machine::Machine;
use tool::{Places, TOOLS, Tool};

/// Rows of a day, unless told otherwise.
pub const ROWS: u64 = 1_000_000;

const FORMATS: [Format; 2] = [Format::PARQUET_ZSTD, Format::JSON_LINES_GZIP];

#[derive(clap::Args)]
pub struct Settings {
    /// Only these tools and formats (batch-export, native, polars, pyarrow, duckdb, chdb, posthog; parquet, jsonl),
    /// with commas between them.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Also write the tables, which are Markdown, to this file.
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// The program as it is shipped.
    #[arg(long, default_value = "target/release/batch-export")]
    program: PathBuf,
    /// A Python with the packages that `requirements.txt` among the scripts pins.
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// The folder of the peers' scripts.
    #[arg(long, default_value = "benches/peers")]
    scripts: PathBuf,
}

/// Exports, compares, reads, and prints.
pub fn run(bench: &Bench, settings: &Settings) -> Result<Printed> {
    let (tools, formats) = chosen(&settings.only)?;
    let folder = bench.folder.join("peers");
    let places = Places {
        program: std::path::absolute(&settings.program)?,
        python: std::path::absolute(&settings.python)?,
        scripts: std::path::absolute(&settings.scripts)?,
        scratch: folder.join("scratch"),
    };
    for left_over in ["scratch", "outputs"].map(|name| folder.join(name)) {
        if left_over.exists() {
            fs::remove_dir_all(&left_over)?;
        }
        fs::create_dir_all(&left_over).with_context(|| format!("cannot make the folder {}", left_over.display()))?;
    }
    let exports = Exports {
        inputs: input::days(&folder, bench.rows)?,
        outputs: folder.join("outputs"),
        places,
        tools,
        formats,
        rounds: bench.rounds,
    };
    exports.warm_up(&folder)?;
    let machine = Machine::look(&exports.places)?;
    let exported = exports.run()?;
    let read = reads::run(&exports)?;
    let small_print = machine.small_print(bench, &exports.inputs)?;
    let text = tables::all(&exported, &read, &small_print);
    if let Some(file) = &settings.markdown {
        fs::write(file, &text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    fs::remove_dir_all(&exports.outputs)?;
    fs::remove_dir_all(&exports.places.scratch)?;
    let mut measurements = vec![json!({ "small_print": small_print, "rows": bench.rows })];
    measurements.extend(exported.iter().map(exports::Series::to_json));
    measurements.extend(read.iter().map(reads::Read::to_json));
    Ok(Printed { text, measurements })
}

/// The tools and the formats that are asked for: all of those of which none is named.
fn chosen(only: &[String]) -> Result<(Vec<&'static Tool>, Vec<Format>)> {
    let words = TOOLS.iter().map(|tool| tool.word).chain(FORMATS.map(tool::word));
    let words: Vec<&str> = words.collect();
    if let Some(unknown) = only.iter().find(|name| !words.contains(&name.as_str())) {
        bail!("`{unknown}` is not a tool or format; choose from {}", words.join(", "));
    }
    let named = |word: &str| only.iter().any(|name| name == word);
    let all_tools = !TOOLS.iter().any(|tool| named(tool.word));
    let all_formats = !FORMATS.iter().any(|format| named(tool::word(*format)));
    let tools = TOOLS.iter().filter(|tool| all_tools || named(tool.word));
    let formats = FORMATS
        .into_iter()
        .filter(|format| all_formats || named(tool::word(*format)));
    Ok((tools.collect(), formats.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_choose_tools_and_formats_and_unknown_ones_are_refused() {
        let chosen = |only: &[&str]| {
            let only: Vec<String> = only.iter().map(|word| (*word).to_owned()).collect();
            chosen(&only)
        };
        let (tools, formats) = chosen(&[]).unwrap();
        assert_eq!((tools.len(), formats.len()), (TOOLS.len(), FORMATS.len()));
        let (tools, formats) = chosen(&["jsonl", "polars"]).unwrap();
        assert_eq!(tools, [&TOOLS[2]]);
        assert_eq!(formats, [Format::JSON_LINES_GZIP]);
        let (tools, formats) = chosen(&["parquet"]).unwrap();
        assert_eq!((tools.len(), formats), (TOOLS.len(), vec![Format::PARQUET_ZSTD]));
        let error = chosen(&["spark"]).unwrap_err().to_string();
        assert!(error.starts_with("`spark` is not a tool or format; choose from batch-export, native, "));
    }
}
