//! The names of objects: the keys of a run. Reads no clock; all times come from the interval.

use chrono::format::SecondsFormat;
use chrono::{DateTime, Datelike, Timelike, Utc};

use crate::failure::{Failure, Problem};
use crate::settings::{
    Format, Interval, JsonLinesCodec, KeyStyle, ManifestName, ManifestWhen, ParquetCodec, ParquetExtension, Run,
    Settings,
};
use crate::template::{MAX_KEY_BYTES, Variable, check_path};
use crate::words::shown;

/// Years that four digits can represent, and Python's `datetime` (which readers of keys use) too.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;
/// Placeholder for the start of an interval that has none, and for each component of it.
const NO_START: &str = "START";
/// Prefix of a file name that hides the file from programs that read whole folders (Spark, pyarrow, Hive, Trino).
const HIDDEN: &str = "_";
/// The largest number of a data file that [`KeyNames::data`] accepts. Every key is checked with it, so that no run
/// discovers halfway through that a number has one digit too many.
const MAX_FILE_INDEX: u32 = u32::MAX;

/// The keys of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyNames {
    /// Folder and `<start>-<end>`: what every data key of the run begins with.
    stem: String,
    /// `.jsonl.gz`
    extension: String,
    splitting: bool,
    manifest: Option<String>,
}

impl KeyNames {
    /// Decides the keys of a run. An interval that is inverted or outside the years 1 to 9999, and a key that is too
    /// long or has dot segments or control characters, is a [`Failure::Config`].
    pub fn new(settings: &Settings, run: &Run) -> Result<KeyNames, Failure> {
        let (start, end) = times(&run.interval)?;
        let style = settings.key_style;
        let start_written = start.map_or_else(|| NO_START.to_owned(), |start| written(start, style));
        let end_written = written(end, style);
        let rendered = settings.prefix.render(|variable| match variable {
            Variable::Start(part) => start.map_or_else(|| NO_START.to_owned(), |time| part.of(time)),
            Variable::End(part) => part.of(end),
            Variable::Table => run.model.clone(),
            Variable::DataIntervalStart => start_written.clone(),
            Variable::DataIntervalEnd => end_written.clone(),
        });
        // Exactly one `/` between prefix and name, none in front; those inside the prefix are kept.
        let folder = match rendered.trim_matches('/') {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        let name = format!("{start_written}-{end_written}");
        let stem = format!("{folder}{name}");
        check_path(&stem)
            .map_err(|message| Problem::new("prefix", format!("gives the key {}, which {message}", shown(&stem))))?;
        let splitting = settings.max_file_size_bytes.is_some();
        let hidden = match settings.manifest_name {
            ManifestName::Visible => "",
            ManifestName::Hidden => HIDDEN,
        };
        let manifest = match settings.manifest_when {
            ManifestWhen::Split if !splitting => None,
            ManifestWhen::Split | ManifestWhen::Rows | ManifestWhen::Always => {
                Some(format!("{folder}{hidden}{name}_manifest.json"))
            }
        };
        let names = KeyNames {
            stem,
            extension: extension(settings.format, settings.parquet_extension),
            splitting,
            manifest,
        };
        names.check_lengths()?;
        Ok(names)
    }

    /// Returns every key that the run, its check or its recovery may use.
    fn check_lengths(&self) -> Result<(), Failure> {
        let longest = [self.probe(), self.unchecked_data(MAX_FILE_INDEX)];
        let keys = longest.into_iter().chain(self.manifest());
        match keys.max_by_key(String::len) {
            Some(key) => fitting(key).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Returns the key of data file `index`, counted from 0. With splitting, every name is numbered; without, only
    /// those after the first (an unlimited file that reached the last part of its upload continues in another file).
    pub fn data(&self, index: u32) -> Result<String, Failure> {
        fitting(self.unchecked_data(index))
    }

    fn unchecked_data(&self, index: u32) -> String {
        let KeyNames { stem, extension, .. } = self;
        match (self.splitting, index) {
            (false, 0) => format!("{stem}{extension}"),
            (_, index) => format!("{stem}-{index}{extension}"),
        }
    }

    /// Returns the keys of all data files in one pattern with `{n}` for the number, if splitting is on.
    pub fn data_pattern(&self) -> Option<String> {
        self.splitting.then(|| format!("{}-{{n}}{}", self.stem, self.extension))
    }

    /// Returns the key of the manifest, if the settings ask for one.
    pub fn manifest(&self) -> Option<String> {
        self.manifest.clone()
    }

    /// Returns the keys that runs of this interval have under other settings: another format, codec, splitting or
    /// manifest. Keys that are too long for a store are omitted.
    pub fn siblings(&self) -> Vec<String> {
        let KeyNames { stem, .. } = self;
        let mine = self.data(0).unwrap_or_default();
        let files = EXTENSIONS
            .iter()
            .flat_map(|end| [format!("{stem}{end}"), format!("{stem}-0{end}")]);
        files
            .chain(self.other_manifest())
            .filter(|key| *key != mine && key.len() <= MAX_KEY_BYTES)
            .collect()
    }

    /// Returns the keys that indicate an export of this interval to which files numbered like this run's may belong:
    /// the first file of the other form (split or not), and the manifest if this run does not replace it.
    pub fn other_exports(&self) -> Vec<String> {
        let KeyNames { stem, extension, .. } = self;
        let first = match self.splitting {
            true => format!("{stem}{extension}"),
            false => format!("{stem}-0{extension}"),
        };
        [first].into_iter().chain(self.other_manifest()).collect()
    }

    /// Returns the manifest's key under other settings, if this run does not write it.
    fn other_manifest(&self) -> Option<String> {
        let key = format!("{}_manifest.json", self.stem);
        (self.manifest.as_ref() != Some(&key)).then_some(key)
    }

    /// Returns what every key of the run begins with, except that of a hidden manifest.
    pub fn stem(&self) -> &str {
        &self.stem
    }

    /// Returns the key of the object that `check` writes, reads and deletes.
    pub fn probe(&self) -> String {
        format!("{}_check", self.stem)
    }
}

fn fitting(key: String) -> Result<String, Failure> {
    if key.len() <= MAX_KEY_BYTES {
        return Ok(key);
    }
    let beginning: String = key.chars().take(60).collect();
    let message = format!(
        "gives keys that begin with `{beginning}…` and are up to {} bytes long",
        key.len()
    );
    Err(Problem::new("prefix", message)
        .with_hint("use a shorter prefix".to_owned())
        .allowing(format!(
            "keys of at most {MAX_KEY_BYTES} bytes of UTF-8 including the file number"
        ))
        .into())
}

fn times(interval: &Interval) -> Result<(Option<DateTime<Utc>>, DateTime<Utc>), Failure> {
    let start = interval.start_micros.map(|micros| time("start", micros)).transpose()?;
    let end = time("end", interval.end_micros)?;
    match start {
        Some(start) if start >= end => {
            let message = format!(
                "the interval is inverted or empty: it starts at {} and ends at {}",
                written(start, KeyStyle::Iso),
                written(end, KeyStyle::Iso)
            );
            Err(Problem::new("", message).allowing("a start before the end").into())
        }
        start => Ok((start, end)),
    }
}

fn time(which: &str, micros: i64) -> Result<DateTime<Utc>, Failure> {
    DateTime::from_timestamp_micros(micros)
        .filter(|time| YEARS.contains(&time.year()))
        .ok_or_else(|| {
            let message = format!(
                "the {which} of the interval ({micros} µs since 1970) is outside the years that keys can \
                         represent"
            );
            let years = format!("years {} to {}", YEARS.start(), YEARS.end());
            Problem::new("", message).allowing(years).into()
        })
}

/// Formats a time in the ISO style of keys and manifests: `2023-04-25T13:30:00+00:00`, with six digits of fraction when
/// it is not zero. `None` outside the years that four digits can represent.
pub fn iso(micros: i64) -> Option<String> {
    DateTime::from_timestamp_micros(micros)
        .filter(|time| YEARS.contains(&time.year()))
        .map(|time| written(time, KeyStyle::Iso))
}

fn written(time: DateTime<Utc>, style: KeyStyle) -> String {
    let fraction = time.timestamp_subsec_micros();
    match style {
        KeyStyle::Iso => {
            let precision = match fraction {
                0 => SecondsFormat::Secs,
                _ => SecondsFormat::Micros,
            };
            time.to_rfc3339_opts(precision, false)
        }
        KeyStyle::Compact => {
            let fraction = match fraction {
                0 => String::new(),
                micros => format!(".{micros:06}"),
            };
            format!(
                "{:04}{:02}{:02}T{:02}{:02}{:02}{fraction}Z",
                time.year(),
                time.month(),
                time.day(),
                time.hour(),
                time.minute(),
                time.second()
            )
        }
    }
}

/// Every extension that [`extension`] can return.
const EXTENSIONS: [&str; 10] = [
    ".jsonl",
    ".jsonl.gz",
    ".jsonl.br",
    ".jsonl.zst",
    ".parquet",
    ".parquet.gz",
    ".parquet.br",
    ".parquet.zst",
    ".parquet.lz4",
    ".parquet.sz",
];

fn extension(format: Format, parquet: ParquetExtension) -> String {
    let (base, codec) = match format {
        Format::JsonLines(codec) => (
            ".jsonl",
            match codec {
                JsonLinesCodec::None => "",
                JsonLinesCodec::Gzip(_) => ".gz",
                JsonLinesCodec::Brotli(_) => ".br",
                JsonLinesCodec::Zstd(_) => ".zst",
            },
        ),
        Format::Parquet(codec) => (
            ".parquet",
            match (parquet, codec) {
                (ParquetExtension::Plain, _) | (_, ParquetCodec::None) => "",
                (_, ParquetCodec::Gzip(_)) => ".gz",
                (_, ParquetCodec::Brotli(_)) => ".br",
                (_, ParquetCodec::Zstd(_)) => ".zst",
                (_, ParquetCodec::Lz4) => ".lz4",
                (_, ParquetCodec::Snappy) => ".sz",
            },
        ),
    };
    format!("{base}{codec}")
}

#[cfg(test)]
mod tests;
