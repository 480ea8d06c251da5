//! The limits of a configuration, each with its reason, and the part size that follows from them.

use crate::encode::PARQUET_MAX_FILE_BYTES;
use crate::settings::MIB;

/// Largest configuration document: far above any list of event names, and far below what would strain the guest.
pub const MAX_CONFIGURATION_BYTES: usize = 1024 * 1024;

/// Most parts of a multipart upload. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
pub const MAX_PARTS: u64 = 10_000;
/// Smallest part that is not the last. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
pub const MIN_PART_SIZE_BYTES: usize = 5 * MIB;
/// Usual part size, used as long as [`MAX_PARTS`] suffice: larger parts cost more to cross the component boundary,
/// smaller ones need more requests.
pub const USUAL_PART_SIZE_BYTES: usize = 8 * MIB;
/// Largest part: several of them must fit into the memory of guest and host.
pub const MAX_PART_SIZE_BYTES: usize = 32 * MIB;
/// Room for what a file may hold beyond `max_file_size_mb`, in MiB: the row that fills it, and what a codec still
/// buffers. Since 32 MiB × 10,000 is 312.5 GiB, this leaves a maximum object size of 312 GiB.
pub const OVERSHOOT_ROOM_MB: u64 = 512;
/// Largest `max_file_size_mb`: 312 GiB.
pub const MAX_FILE_SIZE_MB: i64 = ((MAX_PART_SIZE_BYTES / MIB) as u64 * MAX_PARTS - OVERSHOOT_ROOM_MB) as i64;

/// Largest `max_file_size_mb` for Parquet, 3.75 GiB: the guest's writer counts in 32 bits.
pub const MAX_PARQUET_FILE_SIZE_MB: u64 = PARQUET_MAX_FILE_BYTES / MIB as u64;

/// Largest `max_row_mb`: a row is held in memory both as received and as written.
pub const MAX_ROW_MB: i64 = 64;

/// The lowest level that any codec accepts.
pub const LOWEST_LEVEL: i64 = 0;
/// The highest level that any codec accepts.
pub const HIGHEST_LEVEL: i64 = 22;

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html>
pub const MAX_TAGS: usize = 10;
/// In characters; same page as [`MAX_TAGS`].
pub const MAX_TAG_KEY_CHARS: usize = 128;
/// In characters; same page as [`MAX_TAGS`].
pub const MAX_TAG_VALUE_CHARS: usize = 256;

/// Total size of the names and values of all user metadata.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>
pub const MAX_METADATA_BYTES: usize = 2048;
/// Maximum number of user metadata entries: what common servers (100 headers) accept in addition to our own.
pub const MAX_METADATA: usize = 32;

/// Prefix of the user metadata that proves which run and attempt created an object.
pub const RESERVED_METADATA: &str = "batch-export-";

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
pub const BUCKET_NAME_BYTES: std::ops::RangeInclusive<usize> = 3..=63;
/// Longest region, above any real one; it becomes part of host names and signing scopes.
pub const MAX_REGION_BYTES: usize = 63;
/// Longest storage class, above any real one.
pub const MAX_STORAGE_CLASS_BYTES: usize = 64;

/// Returns the size of every part but the last: the usual size, or larger in whole MiB if a file of this size with its
/// overshoot would need more than [`MAX_PARTS`] parts. A run without a limit continues in another file after the last
/// part.
pub fn part_size_bytes(max_file_size_mb: u64) -> usize {
    let needed_mb = (max_file_size_mb + OVERSHOOT_ROOM_MB).div_ceil(MAX_PARTS);
    let needed_mb = usize::try_from(needed_mb).unwrap_or(usize::MAX / MIB);
    (needed_mb * MIB).clamp(USUAL_PART_SIZE_BYTES, MAX_PART_SIZE_BYTES)
}
