//! Rules of format, codec, level and file size. Reads no document.

use super::fields;
use super::limits;
use super::values::Values;
use crate::settings::{Format, JsonLinesCodec, ParquetCodec};

/// Compression levels of gzip (<https://www.zlib.net/manual.html>).
const GZIP_LEVELS: Levels = Levels {
    min: 0,
    max: 9,
    default: 6,
    place: "",
};
/// Compression levels of brotli (RFC 7932's reference encoder).
const BROTLI_LEVELS: Levels = Levels {
    min: 0,
    max: 11,
    default: 5,
    place: "",
};
/// Compression levels of zstd; the default is the fastest, because compression takes most of the time.
const ZSTD_LEVELS: Levels = Levels {
    min: 1,
    max: 22,
    default: 1,
    place: "",
};
/// Compression levels of zstd in Parquet. There zstd sizes its tables by the page, which a single large value can fill:
/// 81 MiB at level 19 and up to 700 MiB beyond it, more than the guest has.
const PARQUET_ZSTD_LEVELS: Levels = Levels {
    max: 19,
    place: " in Parquet",
    ..ZSTD_LEVELS
};

struct Levels {
    min: i64,
    max: i64,
    default: u32,
    /// Where these levels apply, if not everywhere.
    place: &'static str,
}

/// Decides the format with its codec and level.
pub fn format(values: &mut Values) -> Format {
    let compression = values.choice(&fields::COMPRESSION).to_owned();
    let parquet = values.choice(&fields::FILE_FORMAT) == "Parquet";
    if !parquet && !fields::JSON_LINES_COMPRESSIONS.contains(&compression.as_str()) {
        values.problem(
            &fields::COMPRESSION,
            &format!("`{compression}` cannot be used with JSONLines"),
            Some("`none`, `gzip`, `brotli` or `zstd`; or `file_format` `Parquet`"),
        );
    }
    match compression.as_str() {
        "gzip" => {
            let level = level(values, &GZIP_LEVELS);
            match parquet {
                true => Format::Parquet(ParquetCodec::Gzip(level)),
                false => Format::JsonLines(JsonLinesCodec::Gzip(level)),
            }
        }
        "brotli" => {
            let level = level(values, &BROTLI_LEVELS);
            match parquet {
                true => Format::Parquet(ParquetCodec::Brotli(level)),
                false => Format::JsonLines(JsonLinesCodec::Brotli(level)),
            }
        }
        "zstd" => {
            let levels = match parquet {
                true => &PARQUET_ZSTD_LEVELS,
                false => &ZSTD_LEVELS,
            };
            let level = level(values, levels).cast_signed();
            match parquet {
                true => Format::Parquet(ParquetCodec::Zstd(level)),
                false => Format::JsonLines(JsonLinesCodec::Zstd(level)),
            }
        }
        without_levels => {
            if values.is_given(&fields::COMPRESSION_LEVEL) {
                values.problem(
                    &fields::COMPRESSION_LEVEL,
                    &format!("compression `{without_levels}` has no levels"),
                    Some("remove the level, or use the compression zstd, gzip or brotli"),
                );
            }
            match (parquet, without_levels) {
                (true, "lz4") => Format::Parquet(ParquetCodec::Lz4),
                (true, "snappy") => Format::Parquet(ParquetCodec::Snappy),
                (true, _) => Format::Parquet(ParquetCodec::None),
                (false, _) => Format::JsonLines(JsonLinesCodec::None),
            }
        }
    }
}

/// Returns the size limit. A Parquet file always ends before 4 GiB, and a limit that cannot be kept is better refused
/// than ignored.
pub fn max_file_size_mb(values: &mut Values, format: Format) -> u64 {
    let asked = values.whole(&fields::MAX_FILE_SIZE_MB).map_or(0, i64::unsigned_abs);
    if matches!(format, Format::Parquet(_)) && asked > limits::MAX_PARQUET_FILE_SIZE_MB {
        values.problem(
            &fields::MAX_FILE_SIZE_MB,
            &format!("`{asked}` is more than a Parquet file can hold"),
            Some(&format!(
                "0 to {} for Parquet (0 writes files of the largest possible size)",
                limits::MAX_PARQUET_FILE_SIZE_MB
            )),
        );
    }
    asked
}

fn level(values: &mut Values, levels: &Levels) -> u32 {
    let Some(level) = values.whole(&fields::COMPRESSION_LEVEL) else {
        return levels.default;
    };
    match u32::try_from(level) {
        Ok(level) if (levels.min..=levels.max).contains(&i64::from(level)) => level,
        _ => {
            let compression = values.choice(&fields::COMPRESSION).to_owned();
            values.problem(
                &fields::COMPRESSION_LEVEL,
                &format!("{compression}{} has no level `{level}`", levels.place),
                Some(&format!(
                    "{} to {} for {compression}{}",
                    levels.min, levels.max, levels.place
                )),
            );
            levels.default
        }
    }
}
