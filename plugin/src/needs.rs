//! The host memory that a run needs, computed from its settings alone: the plan states it, and the host decides by it
//! whether the run may start. These are upper bounds, measured where they do not follow from the plugin's own limits.

use crate::config::limits::MAX_PART_SIZE_BYTES;
use crate::encode::{MAX_ROW_TEXT_BYTES, parquet_memory_bytes};
use crate::settings::{Format, JsonLinesCodec, MIB, Settings};
use crate::upload::PARTS_IN_FLIGHT;

/// Maximum linear memory for any accepted configuration: the largest part, row and row group, and the tables of the
/// highest codec levels.
pub const MEMORY_LIMIT_BYTES: u64 = 512 * MIB as u64;
/// Maximum payload bytes for any accepted configuration.
pub const PAYLOAD_LIMIT_BYTES: u64 = payload_bytes(MAX_PART_SIZE_BYTES);

/// Upper bound for the document that completes an upload of 10,000 parts with ETags and checksums.
const COMPLETE_BODY_BYTES: usize = 4 * MIB;
/// Memory for the program itself, a batch of usual rows, blocks and their text.
const BASE_BYTES: u64 = 40 * MIB as u64;
/// Number of parts held in the guest: the one being filled, and the one being handed to the host.
const PARTS_HELD: u64 = 2;
/// Memory for the tables and windows of the most demanding JSON Lines codec, zstd from level 10 on.
const CODEC_BYTES: u64 = 40 * MIB as u64;
/// How many times larger than its row a text can be: every byte as `\u00xx`.
const MAX_TEXT_GROWTH: u64 = 6;
/// Maximum number of columns that the plan's estimate covers; wider tables may need up to [`MEMORY_LIMIT_BYTES`].
const USUAL_COLUMNS: usize = 128;

/// Returns the maximum linear memory for a run with these settings, for tables of usual width.
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

/// Returns the maximum payload bytes of a run with parts of this size: the parts in flight, one that is compared with
/// an existing object, and the document that completes an upload.
pub const fn payload_bytes(part_size_bytes: usize) -> u64 {
    ((PARTS_IN_FLIGHT + 1) * part_size_bytes + COMPLETE_BODY_BYTES) as u64
}
