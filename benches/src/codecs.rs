//! Size and speed of every codec and level that people choose from, natively, on events like real ones: few users make
//! most of them, 25 properties with Unicode, nesting, hexadecimal and UUIDs. Default levels are chosen by these
//! numbers.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use s3_destination::encode::{BlockLimits, FileEncoder, Layout, Meaning, Rechunker};
use s3_destination::settings::{Format, JsonLinesCodec, ParquetCodec};
use serde_json::json;

use crate::measure::Bench;
use crate::table::{Printed, table};

/// Rows of a batch, as a source supplies them.
const BATCH_ROWS: u64 = 4_096;
/// The largest row that is taken, far above any made here.
const MAX_ROW_BYTES: usize = 1 << 20;
/// 2023-07-28T00:00:00Z
const START_MICROS: i64 = 1_690_502_400_000_000;

const NAMES: [&str; 8] = [
    "$pageview",
    "$pageview",
    "$pageview",
    "$autocapture",
    "$autocapture",
    "$pageleave",
    "$feature_flag_called",
    "signed up",
];
const BROWSERS: [(&str, &str); 5] = [
    ("Chrome", "Windows"),
    ("Safari", "Mac OS X"),
    ("Mobile Safari", "iOS"),
    ("Firefox", "Linux"),
    ("Chrome", "Android"),
];
const CITIES: [&str; 8] = [
    "Berlin",
    "São Paulo",
    "東京",
    "Zürich",
    "New York",
    "København",
    "Kraków",
    "Москва",
];
const PATHS: [&str; 6] = [
    "/",
    "/pricing",
    "/docs/getting-started",
    "/app/dashboard/",
    "/app/project/insights/",
    "/blog/post-",
];
const WORDS: [&str; 10] = [
    "data", "product", "team", "flag", "funnel", "cohort", "replay", "invoice", "export", "query",
];

/// The formats, codecs and levels that are compared.
fn formats() -> Vec<(Format, &'static str)> {
    let mut formats = vec![
        (Format::JsonLines(JsonLinesCodec::None), "JSON Lines"),
        (Format::Parquet(ParquetCodec::None), "Parquet"),
        (Format::Parquet(ParquetCodec::Lz4), "Parquet"),
        (Format::Parquet(ParquetCodec::Snappy), "Parquet"),
    ];
    for level in [1, 2, 3, 4, 6, 9] {
        let (lines, parquet) = (JsonLinesCodec::Zstd(level), ParquetCodec::Zstd(level));
        formats.push((Format::JsonLines(lines), "JSON Lines"));
        formats.push((Format::Parquet(parquet), "Parquet"));
    }
    for level in [1, 3, 4, 6, 9] {
        let (lines, parquet) = (JsonLinesCodec::Gzip(level), ParquetCodec::Gzip(level));
        formats.push((Format::JsonLines(lines), "JSON Lines"));
        formats.push((Format::Parquet(parquet), "Parquet"));
    }
    for level in [1, 3, 4, 5, 6, 9] {
        let (lines, parquet) = (JsonLinesCodec::Brotli(level), ParquetCodec::Brotli(level));
        formats.push((Format::JsonLines(lines), "JSON Lines"));
        formats.push((Format::Parquet(parquet), "Parquet"));
    }
    formats.sort_by_key(|(format, name)| (*name, format.compression(), format.level()));
    formats
}

/// Measures and prints.
pub fn run(bench: &Bench) -> Result<Printed> {
    let batches = (0..bench.rows.div_ceil(BATCH_ROWS)).map(events);
    let batches: Vec<RecordBatch> = batches.collect::<Result<_>>()?;
    let plain = exported(&batches, Format::JsonLines(JsonLinesCodec::None))?.0 as f64;
    let mut rows = Vec::new();
    let mut measurements = Vec::new();
    for (format, name) in formats() {
        let (bytes, seconds) = exported(&batches, format)?;
        let level = format.level().map(|level| level.to_string());
        rows.push(vec![
            format!("{name}, {} {}", format.compression(), level.unwrap_or_default()),
            format!("{:.1} MB", bytes as f64 / 1e6),
            format!("{:.1} %", 100.0 * bytes as f64 / plain),
            format!("{:.0}", plain / 1e6 / seconds),
        ]);
        measurements.push(json!({
            "format": format.name(), "compression": format.compression(), "level": format.level(),
            "bytes": bytes, "text_bytes": plain, "seconds": seconds,
        }));
    }
    let caption = format!(
        "Codecs and levels, native, one thread: {} events like real ones; shares and MB/s are of plain JSON Lines",
        bench.rows.div_ceil(BATCH_ROWS) * BATCH_ROWS
    );
    Ok(Printed {
        text: table(&caption, &["file", "size", "of text", "MB/s"], &rows),
        measurements,
    })
}

/// Bytes of the one file, and how long it took.
fn exported(batches: &[RecordBatch], format: Format) -> Result<(usize, f64)> {
    let begun = Instant::now();
    let meanings = [Meaning::Text, Meaning::Text, Meaning::Text, Meaning::Json];
    let schema = batches
        .first()
        .map(RecordBatch::schema)
        .unwrap_or_else(|| Arc::new(arrow::datatypes::Schema::empty()));
    let layout = Layout::new(&schema, format, None, &meanings)?;
    let mut rechunker = Rechunker::new(&layout, BlockLimits::of_export(MAX_ROW_BYTES));
    let mut encoder = FileEncoder::new(&layout)?;
    let mut blocks = Vec::new();
    for batch in batches {
        blocks.extend(rechunker.push(batch)?);
    }
    blocks.extend(rechunker.finish()?);
    let mut bytes = 0;
    for block in blocks {
        let mut row = 0;
        while row < block.rows.num_rows() {
            row += encoder.write(&block.rows, row)?;
            bytes += encoder.take_output().len();
        }
    }
    bytes += encoder.finish()?.output.len();
    Ok((bytes, begun.elapsed().as_secs_f64()))
}

/// Numbers that look like chance and are the same on every machine (SplitMix64).
struct Chance(u64);

impl Chance {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }

    fn of<T: Copy, const N: usize>(&mut self, values: [T; N]) -> T {
        values[self.below(N as u64) as usize]
    }

    /// A few users make most of the events.
    fn user(&mut self) -> u64 {
        let most = self.below(20_000) + 1;
        self.below(most) * self.below(most) / 20_000
    }
}

fn uuid(number: u64, more: u64) -> String {
    let (a, b, c) = (number >> 32, number >> 16 & 0xFFFF, number & 0xFFF);
    let (d, e) = (more >> 48 & 0x3FFF | 0x8000, more & 0xFFFF_FFFF_FFFF);
    format!("{a:08x}-{b:04x}-7{c:03x}-{d:04x}-{e:012x}")
}

/// The same number for the same user, and another for each purpose.
fn of_user(user: u64, purpose: u64) -> u64 {
    Chance(user << 8 | purpose).number()
}

fn properties(chance: &mut Chance, user: u64, name: &str, at_micros: i64) -> String {
    let (browser, system) = chance.of(BROWSERS);
    let mut path = chance.of(PATHS).to_owned();
    if path.ends_with(['/', '-']) && path.len() > 1 {
        path.push_str(&format!("{:x}", chance.below(1 << 40)));
    }
    let (word, other) = (chance.of(WORDS), chance.of(WORDS));
    let mut properties = json!({
        "$os": system, "$os_version": format!("{}.{}", chance.below(10) + 8, chance.below(9)),
        "$browser": browser, "$browser_version": 90 + chance.below(40),
        "$device_type": if matches!(system, "iOS" | "Android") { "Mobile" } else { "Desktop" },
        "$current_url": format!("https://app.example.com{path}?ref={word}"), "$host": "app.example.com",
        "$pathname": path, "$screen_height": chance.of([768, 900, 1080, 1440]),
        "$screen_width": chance.of([1366, 1440, 1920, 2560]), "$viewport_height": 400 + chance.below(1_000),
        "$viewport_width": 300 + chance.below(2_200), "$lib": "web",
        "$lib_version": format!("1.{}.{}", 60 + chance.below(30), chance.below(4)),
        "$insert_id": format!("{:016x}", chance.number()), "$time": at_micros as f64 / 1e6,
        "distinct_id": format!("user-{user}"), "$device_id": uuid(of_user(user, 1), of_user(user, 2)),
        "$session_id": uuid(of_user(user, at_micros as u64 / 600_000_000), of_user(user, 3)),
        "$window_id": uuid(chance.number(), chance.number()), "$referrer": "$direct",
        "$geoip_city_name": chance.of(CITIES), "$geoip_latitude": chance.below(1_200_000) as f64 / 1e4 - 60.0,
        "$active_feature_flags": [word, other],
        "$set": {"email": format!("user-{user}@example.com"), "plan": chance.of(["free", "pro", "scale"])},
    });
    if name == "$autocapture" {
        properties["$elements"] = json!([
            {"tag_name": "button", "$el_text": format!("{word} {other}"), "nth_child": chance.below(9)},
            {"tag_name": "div", "nth_child": chance.below(9)},
        ]);
    }
    properties.to_string()
}

fn events(batch: u64) -> Result<RecordBatch> {
    let mut chance = Chance(batch << 32);
    let mut columns: [Vec<String>; 4] = Default::default();
    let mut times = Vec::new();
    for row in batch * BATCH_ROWS..(batch + 1) * BATCH_ROWS {
        let at_micros = START_MICROS + row as i64 * 15_000 + chance.below(9_000) as i64;
        let (user, name) = (chance.user(), chance.of(NAMES));
        let cells = [
            uuid((at_micros as u64 / 1_000) << 16, chance.number()),
            name.to_owned(),
            format!("user-{user}"),
            properties(&mut chance, user, name, at_micros),
        ];
        for (column, cell) in columns.iter_mut().zip(cells) {
            column.push(cell);
        }
        times.push(at_micros);
    }
    let texts = columns.map(|cells| Arc::new(StringArray::from(cells)) as ArrayRef);
    let names = ["uuid", "event", "distinct_id", "properties"];
    let times = TimestampMicrosecondArray::from(times).with_timezone("UTC");
    let columns = names.into_iter().zip(texts);
    let columns = columns.chain([("timestamp", Arc::new(times) as ArrayRef)]);
    Ok(RecordBatch::try_from_iter(columns)?)
}
