//! What a run needs of the host's memory, from its settings alone: the plan says it, and a host decides by it whether
//! the run may start. Upper bounds, measured where no limit of the plugin's gives them.

use crate::config::limits::MAX_PART_SIZE_BYTES;
use crate::encode::{MAX_ROW_TEXT_BYTES, parquet_memory_bytes};
use crate::settings::{Format, JsonLinesCodec, MIB, Settings};
use crate::upload::PARTS_IN_FLIGHT;

/// Most linear memory that any accepted configuration needs: the largest part, row and row group, and the tables of
/// the highest codec levels.
pub const MEMORY_LIMIT_BYTES: u64 = 512 * MIB as u64;
/// Most bytes in payloads that any accepted configuration needs.
pub const PAYLOAD_LIMIT_BYTES: u64 = payload_bytes(MAX_PART_SIZE_BYTES);

/// More than 10,000 parts with ETags and checksums take up in the document that completes an upload.
const COMPLETE_BODY_BYTES: usize = 4 * MIB;
/// The program itself, a batch of usual rows, blocks and their text.
const BASE_BYTES: u64 = 40 * MIB as u64;
/// Parts held in the guest: the one being filled, and the one being handed to the host.
const PARTS_HELD: u64 = 2;
/// Tables and windows of the most demanding codec of JSON Lines: zstd from level 10 on.
const CODEC_BYTES: u64 = 40 * MIB as u64;
/// How many times as large as the row its text can be: every byte as `\u00xx`.
const MAX_TEXT_GROWTH: u64 = 6;
/// Columns of a table for which the plan speaks; wider ones may take up to [`MEMORY_LIMIT_BYTES`].
const USUAL_COLUMNS: usize = 128;

/// Most linear memory that a run with these settings needs, for tables of usual width.
pub fn memory_bytes(settings: &Settings) -> u64 {
    let row_bytes = settings.max_row_bytes as u64;
    let writer_bytes = match settings.format {
        Format::JsonLines(codec) => {
            // The row, its text, and what the codec has made of the text before it is taken.
            let text_bytes = MAX_ROW_TEXT_BYTES.min(row_bytes * MAX_TEXT_GROWTH);
            let codec_bytes = match codec {
                JsonLinesCodec::None => 0,
                JsonLinesCodec::Gzip(_) | JsonLinesCodec::Brotli(_) | JsonLinesCodec::Zstd(_) => CODEC_BYTES,
            };
            row_bytes + 2 * text_bytes + codec_bytes
        }
        // The row as it came, converted, as a page, and as a compressed page.
        Format::Parquet(codec) => 4 * row_bytes + parquet_memory_bytes(codec, USUAL_COLUMNS),
    };
    let parts_bytes = PARTS_HELD * settings.part_size_bytes as u64;
    (BASE_BYTES + parts_bytes + writer_bytes).min(MEMORY_LIMIT_BYTES)
}

/// Most bytes in payloads of a run with parts of this size: the parts in flight, one that is compared with an object
/// that is there, and the document that completes an upload.
pub const fn payload_bytes(part_size_bytes: usize) -> u64 {
    ((PARTS_IN_FLIGHT + 1) * part_size_bytes + COMPLETE_BODY_BYTES) as u64
}
