//! By how much the start of a run is moved, so that destinations of one schedule do not all start at once. The same
//! destination and interval always give the same delay, on every machine and in every version.

use std::time::Duration;

use batch_export_source::Interval;

/// Returns a delay of at most `most` that destination and interval decide.
pub(crate) fn delay(destination: &str, window: Interval, most: Duration) -> Duration {
    let mut hash = FNV_OFFSET;
    for byte in destination.bytes().chain(window.end().0.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
    }
    let share = u128::from(mixed(hash));
    let micros = (most.as_micros() + 1).saturating_mul(share) >> 64;
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)).min(most)
}

// FNV-1a, whose high bits hardly move between neighbours, and splitmix64's last step, which spreads them. Not the
// standard library's hasher: that one may change with the compiler.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

fn mixed(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
