//! Whether an object that is there is ours: after a lost answer, and where `If-None-Match` found one. Asks nothing
//! itself and takes nothing for proven that the store did not say.

use crate::s3::checksum::ObjectChecksum;
use crate::s3::error::S3Error;
use crate::s3::reply::{ObjectHead, Reply};
use crate::s3::request::Target;
use crate::upload::UploadError;

/// What an error left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Did CompleteMultipartUpload take effect?
    Completed,
    /// Is the object that `If-None-Match` found this run's own?
    Ours,
}

impl Question {
    /// The question to ask the store after this error, if any. A lost PUT is not asked about: it was repeated until
    /// repeating was no use, and the next run overwrites whatever it left.
    pub fn left_by(error: &S3Error, doubtful: bool, multipart: bool) -> Option<Question> {
        if error.is_precondition_failed() {
            Some(Question::Ours)
        } else if multipart && (doubtful || error.is_not_found()) {
            Some(Question::Completed)
        } else {
            None
        }
    }
}

/// The last answer about an object must say that it is encrypted as the settings ask: some stores take the header and
/// do nothing.
pub fn encrypted(key: &str, reply: &Reply, target: &Target) -> Result<(), UploadError> {
    match (
        confirms_encryption(key, reply, target)?,
        target.object.encryption.header_value(),
    ) {
        (false, Some(asked)) => Err(UploadError::Unencrypted {
            key: key.to_owned(),
            asked,
            answered: None,
        }),
        _ => Ok(()),
    }
}

/// Whether an answer on the way to an object says so already. Of CreateMultipartUpload, UploadPart and
/// CompleteMultipartUpload, S3 says it in each, other stores in one.
pub fn confirms_encryption(key: &str, reply: &Reply, target: &Target) -> Result<bool, UploadError> {
    match (target.object.encryption.header_value(), reply.encryption()) {
        (Some(asked), Some(answered)) if asked != answered => Err(UploadError::Unencrypted {
            key: key.to_owned(),
            asked,
            answered: Some(answered.to_owned()),
        }),
        (asked, answered) => Ok(asked == answered || asked.is_none()),
    }
}

/// What the object must be.
pub struct Expected<'a> {
    pub target: &'a Target,
    pub bytes: u64,
    pub checksum: Option<&'a ObjectChecksum>,
}

/// The object is there as it should be.
#[derive(Debug, PartialEq, Eq)]
pub struct Proven {
    pub etag: String,
    /// This attempt's own write took effect; false when an earlier attempt's equal object stands.
    pub completed: bool,
}

/// The verdict on HEAD's answer.
pub fn judge(
    question: Question,
    error: &S3Error,
    head: Result<Reply, S3Error>,
    expected: &Expected<'_>,
) -> Result<Proven, UploadError> {
    let unproven = |why: String, class| UploadError::Unproven {
        class,
        key: error.key.clone(),
        why,
        error: Box::new(error.clone()),
    };
    let head = match head {
        Ok(reply) => reply.into_head(),
        // No object: the write did not take effect, so the error stands.
        Err(missing) if missing.is_not_found() => return Err(error.clone().into()),
        // What a person must do about the error does not change by this, and what may pass may still pass.
        Err(forbidden) if forbidden.is_forbidden() => {
            let why = "the credentials may not read it (s3:GetObject)".into();
            return Err(unproven(why, error.class));
        }
        Err(other) => return Err(unproven(other.to_string(), other.class)),
    };
    match (recognise(&error.key, head, expected), question) {
        (Ok(proven), Question::Completed) if proven.completed => Ok(proven),
        // Some other object is there: ours is not, and the error stands.
        (_, Question::Completed) => Err(error.clone().into()),
        (recognised, Question::Ours) => recognised,
    }
}

/// The verdict on an object that is there where nothing may be overwritten: it is what this run writes, or in the way.
pub fn recognise(
    key: &str,
    head: ObjectHead,
    expected: &Expected<'_>,
) -> Result<Proven, UploadError> {
    match difference(&head, expected) {
        None => Ok(Proven {
            completed: head.attempt.as_deref() == Some(expected.target.attempt.as_str()),
            etag: head.etag,
        }),
        Some(why) => Err(UploadError::Occupied {
            key: key.to_owned(),
            why,
        }),
    }
}

/// In what the object differs from what this run writes.
fn difference(head: &ObjectHead, expected: &Expected<'_>) -> Option<String> {
    if head.run_id.as_deref() != Some(expected.target.run_id.as_str()) {
        return Some("it was not written by this run".into());
    }
    if head.bytes != expected.bytes {
        return Some(format!(
            "it has {} bytes where this run has {}",
            head.bytes, expected.bytes
        ));
    }
    if contradicts(head.checksum.as_deref(), expected.checksum) {
        return Some("its checksum is another".into());
    }
    None
}

/// Whether the store's checksum of an object says that its bytes are not ours. Stores without full-object checksums
/// answer a composite one (`…-<parts>`), which cannot be compared and contradicts nothing.
pub fn contradicts(reported: Option<&str>, ours: Option<&ObjectChecksum>) -> bool {
    match (reported, ours) {
        (Some(reported), Some(ours)) => {
            reported.contains('-') == ours.text.contains('-') && reported != ours.text
        }
        _ => false,
    }
}
