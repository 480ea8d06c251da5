//! What the status and `Retry-After` of a response say, in words and as a kind. Reads no body and sends nothing.

use std::time::Duration;

use batch_export_system::explain::count;

/// Whether the store fails or is busy, and may carry out the same request later: the plugin's `retry` says so of the
/// same statuses.
pub(super) fn is_busy(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502..=504 | 506..=599)
}

/// Says what a store does to a request by answering with this status, for the middle of a sentence.
pub(super) fn does(status: u16) -> &'static str {
    match is_busy(status) {
        true => "cannot carry out",
        false => "refuses",
    }
}

/// Says how long the store asked to wait, for the end of a sentence.
pub(super) fn asks_to_wait(retry_after: Option<Duration>) -> String {
    match retry_after.map_or(0, |time| time.as_secs()) {
        0 => String::new(),
        seconds => format!("; the store asks to wait {} s", count(seconds)),
    }
}

/// Reads `Retry-After`: seconds only, as the plugin does.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_secs)
}

/// Whether S3 would explain a response with this status, which has no code and no request id.
pub(super) fn is_foreign(status: u16, is_empty: bool) -> bool {
    match status {
        // A proxy's own.
        407 => false,
        401 | 404 | 405 => true,
        400..=499 => !is_empty && !is_busy(status),
        _ => false,
    }
}
