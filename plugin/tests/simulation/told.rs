//! What people are told, as texts to look into. Decides nothing.

use s3_destination::failure::Explanation;
use s3_destination::upload::Remains;

/// What happened, of each.
pub fn messages_of(told: &[Explanation]) -> Vec<String> {
    told.iter().map(|told| told.message.clone()).collect()
}

/// What is left of files that were given up: uploads first, then objects.
pub fn remarks_of(remains: Remains) -> Vec<String> {
    let uploads = remains.left_open.iter().map(|left| left.explanation().message);
    uploads.chain(messages_of(&remains.condemned)).collect()
}
