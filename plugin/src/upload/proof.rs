//! Decides whether an existing object is ours and as it should be: after a lost response, and if `if_none_match` found
//! one. Sends no requests itself and takes only what the store said as proof.

use crate::failure::Explanation;
use crate::s3::checksum::Comparison;
use crate::s3::error::{Class, S3Error};
use crate::s3::fingerprint::ObjectFingerprint;
use crate::s3::reply::{ObjectHead, ServerSide};
use crate::s3::request::Target;
use crate::settings::Encryption;
use crate::upload::UploadError;

/// A question that an error left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Did CompleteMultipartUpload take effect?
    Completed,
    /// Is the object that `If-None-Match` found this run's own?
    Ours,
}

impl Question {
    /// Returns the question to ask the store after this error, if any. A lost PUT needs none: it was repeated until
    /// that no longer made sense, and the next run overwrites whatever it left.
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

/// Checks that the last response about an object says that it is encrypted as configured: some stores accept the header
/// and do nothing.
pub fn encrypted(key: &str, said: &ServerSide, target: &Target) -> Result<(), UploadError> {
    match (
        confirms_encryption(key, said, target)?,
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

/// Returns whether an earlier response already says so; an error if it says otherwise. S3 says it in the responses to
/// CreateMultipartUpload, UploadPart and CompleteMultipartUpload, other stores in only one of them.
pub fn confirms_encryption(key: &str, said: &ServerSide, target: &Target) -> Result<bool, UploadError> {
    let Some(asked) = target.object.encryption.header_value() else {
        return Ok(true);
    };
    match &said.algorithm {
        Some(answered) if answered != asked => Err(UploadError::Unencrypted {
            key: key.to_owned(),
            asked,
            answered: Some(answered.clone()),
        }),
        answered => match (&target.object.encryption, &said.key_id) {
            (Encryption::Kms { key_id }, Some(other)) if !is_same_key(key_id, other) => {
                Err(UploadError::OtherEncryptionKey {
                    key: key.to_owned(),
                    asked: key_id.clone(),
                    answered: other.clone(),
                })
            }
            _ => Ok(answered.is_some()),
        },
    }
}

/// Compares keys. An ARN ends with the key's id, and stores return either. Only the store knows what an alias stands
/// for.
fn is_same_key(asked: &str, answered: &str) -> bool {
    let id = |key: &str| key.rsplit(['/', ':']).next().map(str::to_ascii_lowercase);
    asked.contains("alias/") || id(asked) == id(answered)
}

/// The properties that the object must have.
pub struct Expected<'a> {
    pub target: &'a Target,
    pub bytes: u64,
    pub fingerprint: &'a ObjectFingerprint,
    /// Whether an earlier response already said that it is encrypted as requested.
    pub is_encrypted: bool,
}

/// The object exists and is as it should be.
#[derive(Debug, PartialEq, Eq)]
pub struct Proven {
    pub etag: String,
    /// Whether this attempt's own write took effect; false if an identical object of an earlier attempt is in place.
    pub completed: bool,
}

/// Judges the response to HEAD.
pub fn judge(
    question: Question,
    error: &S3Error,
    head: Result<ObjectHead, S3Error>,
    expected: &Expected<'_>,
) -> Result<Proven, UploadError> {
    let unproven = |why: Explanation, class| UploadError::Unproven {
        class,
        key: error.key.clone(),
        why,
        error: Box::new(error.clone()),
    };
    let head = match head {
        Ok(head) => head,
        // No object: the write did not take effect, so the error is final.
        Err(missing) if missing.is_not_found() => return Err(error.clone().into()),
        // This does not change the action that the write requires, and a temporary failure is still temporary.
        Err(forbidden) if forbidden.is_forbidden() => {
            let why = Explanation::new("the credentials do not allow reading it");
            return Err(unproven(
                why.with_hint(forbidden.explanation_with_good_keys().hint),
                error.class,
            ));
        }
        Err(other) => {
            // A later run may see whose object is in the way, and whether the write took effect, but the write's own
            // error says what to do about it.
            let class = match (question, other.class) {
                (Question::Ours, Class::Unavailable { .. }) => other.class,
                _ => error.class,
            };
            return Err(unproven(other.explanation(), class));
        }
    };
    match (recognise(&error.key, head, expected), question) {
        (Ok(proven), Question::Completed) if proven.completed => Ok(proven),
        // Another object exists instead of ours, so the error is final.
        (Ok(_) | Err(UploadError::Occupied { .. }), Question::Completed) => Err(error.clone().into()),
        (recognised, _) => recognised,
    }
}

/// Judges an existing object: this attempt's own as it should be, an identical one of an earlier attempt, or one that
/// is in the way.
pub fn recognise(key: &str, head: ObjectHead, expected: &Expected<'_>) -> Result<Proven, UploadError> {
    let encryption = match expected.is_encrypted {
        true => Ok(()),
        false => encrypted(key, &head.encryption, expected.target),
    };
    let is_own =
        head.is_of(&expected.target.run_id) && head.attempt.as_deref() == Some(expected.target.attempt.as_str());
    match difference(&head, expected, is_own) {
        Some(why) if is_own => Err(UploadError::Corrupt {
            key: key.to_owned(),
            why,
        }),
        Some(why) => Err(occupied(key, why)),
        None => match encryption {
            Err(error) if is_own => Err(error),
            Err(error) => Err(occupied(key, error.to_string())),
            Ok(()) => Ok(Proven {
                completed: is_own,
                etag: head.etag,
            }),
        },
    }
}

fn occupied(key: &str, why: String) -> UploadError {
    UploadError::Occupied {
        key: key.to_owned(),
        why,
    }
}

/// Returns how the object differs from what this run writes.
fn difference(head: &ObjectHead, expected: &Expected<'_>, is_own: bool) -> Option<String> {
    if !head.is_of(&expected.target.run_id) {
        return Some("it was not written by this run".into());
    }
    if head.bytes != expected.bytes {
        return Some(format!(
            "it is {} bytes long, not {} as in this run",
            head.bytes, expected.bytes
        ));
    }
    match expected.fingerprint.compare(head) {
        Comparison::Same => None,
        Comparison::Other(why) => Some(why),
        // An attempt writes a key once and completes it only from acknowledged parts, so its mark is the proof.
        Comparison::Unknown(_) if is_own => None,
        Comparison::Unknown(why) => Some(why),
    }
}

/// Checks the checksum in the response to CompleteMultipartUpload, if there is one: a different one, and one that
/// cannot be compared, is not a success.
pub fn checksum_confirmed(key: &str, reported: Option<&str>, ours: &ObjectFingerprint) -> Result<(), UploadError> {
    let (Some(reported), Some(ours)) = (reported, ours.checksum()) else {
        return Ok(());
    };
    match ours.compare(reported) {
        Comparison::Same => Ok(()),
        Comparison::Other(why) => Err(UploadError::Corrupt {
            key: key.to_owned(),
            why,
        }),
        Comparison::Unknown(why) => Err(UploadError::Incomparable {
            key: key.to_owned(),
            why,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_by_its_id_whatever_stands_before_it() {
        let id = "1234abcd-12ab-34cd-56ef-1234567890ab";
        let arn = format!("arn:aws:kms:eu-central-1:111122223333:key/{id}");
        let minio = format!("arn:aws:kms:{id}");
        for (asked, answered, same) in [
            (id, arn.as_str(), true),
            (&arn, &arn, true),
            (&arn, id, true),
            (id, &minio, true),
            (id, &id.to_uppercase(), true),
            ("alias/exports", &arn, true),
            (&arn, "arn:aws:kms:eu-central-1:111122223333:key/other", false),
            (id, "other", false),
        ] {
            assert_eq!(is_same_key(asked, answered), same, "{asked} {answered}");
        }
    }
}
