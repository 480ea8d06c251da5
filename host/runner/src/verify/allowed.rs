//! The number of bytes that are downloaded of an object at most: what the store or the manifest says. Reads nothing.

use super::store::Answer;
use batch_export_system::explain::count;

/// Largest object: what S3 takes (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>).
const OBJECT_LIMIT_BYTES: u64 = 50 << 40;

/// The limit of a download, and its origin.
pub(super) struct Allowed {
    pub bytes: u64,
    pub said: &'static str,
}

/// Returns the limit. Where neither says how large a file is, or the two contradict each other, it is not downloaded.
pub(super) fn allowed_bytes(answer: &Answer, listed: Option<u64>) -> Result<Allowed, String> {
    let stored = answer.head.bytes;
    match (listed, stored) {
        (Some(listed), Some(stored)) if listed != stored => Err(format!(
            "was not read: according to the manifest it has {} bytes, but the store has {}",
            count(listed),
            count(stored)
        )),
        (_, Some(stored)) if stored > OBJECT_LIMIT_BYTES => Err(format!(
            "was not read: the store says that it has {} bytes, more than any object can have",
            count(stored)
        )),
        (_, Some(bytes)) => Ok(Allowed {
            bytes,
            said: "the store announced",
        }),
        (Some(bytes), None) => Ok(Allowed {
            bytes: bytes.min(OBJECT_LIMIT_BYTES),
            said: "the manifest lists",
        }),
        (None, None) => Err("was not read: the store does not report its size".to_owned()),
    }
}
