//! Whether an object that is there is ours and as it should be: after a lost answer, and where `if_none_match` found
//! one. Asks nothing itself and takes nothing for proven that the store did not say.

use crate::failure::Explanation;
use crate::s3::checksum::Comparison;
use crate::s3::error::{Class, S3Error};
use crate::s3::fingerprint::ObjectFingerprint;
use crate::s3::reply::{ObjectHead, ServerSide};
use crate::s3::request::Target;
use crate::settings::Encryption;
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

/// Whether an answer on the way to an object says so already; an error where it says otherwise. Of
/// CreateMultipartUpload, UploadPart and CompleteMultipartUpload, S3 says it in each, other stores in one.
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

/// An ARN ends with the key's id, and stores answer either. What an alias stands for only the store knows.
fn is_same_key(asked: &str, answered: &str) -> bool {
    let id = |key: &str| key.rsplit(['/', ':']).next().map(str::to_ascii_lowercase);
    asked.contains("alias/") || id(asked) == id(answered)
}

/// What the object must be.
pub struct Expected<'a> {
    pub target: &'a Target,
    pub bytes: u64,
    pub fingerprint: &'a ObjectFingerprint,
    /// An answer on the way said already that it is encrypted as asked.
    pub is_encrypted: bool,
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
        // No object: the write did not take effect, so the error stands.
        Err(missing) if missing.is_not_found() => return Err(error.clone().into()),
        // The action that the write requires does not change by this, and what may pass may still pass.
        Err(forbidden) if forbidden.is_forbidden() => {
            let why = Explanation::new("the credentials may not read it");
            return Err(unproven(
                why.with_hint(forbidden.explanation_with_good_keys().hint),
                error.class,
            ));
        }
        Err(other) => {
            // Whose object is in the way may be seen later; whether the write took effect, too, but the write's own
            // error says what is to be done about it.
            let class = match (question, other.class) {
                (Question::Ours, Class::Unavailable { .. }) => other.class,
                _ => error.class,
            };
            return Err(unproven(other.explanation(), class));
        }
    };
    match (recognise(&error.key, head, expected), question) {
        (Ok(proven), Question::Completed) if proven.completed => Ok(proven),
        // Some other object is there: ours is not, and the error stands.
        (Ok(_) | Err(UploadError::Occupied { .. }), Question::Completed) => Err(error.clone().into()),
        (recognised, _) => recognised,
    }
}

/// The verdict on an object that is there: this attempt's own as it should be, an earlier attempt's equal one, or one
/// that is in the way.
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

/// In what the object differs from what this run writes.
fn difference(head: &ObjectHead, expected: &Expected<'_>, is_own: bool) -> Option<String> {
    if !head.is_of(&expected.target.run_id) {
        return Some("it was not written by this run".into());
    }
    if head.bytes != expected.bytes {
        return Some(format!(
            "it is {} bytes long where this run has {}",
            head.bytes, expected.bytes
        ));
    }
    match expected.fingerprint.compare(head) {
        Comparison::Same => None,
        Comparison::Other(why) => Some(why),
        // An attempt writes a key once and completes it of acknowledged parts alone, so its mark is the proof.
        Comparison::Unknown(_) if is_own => None,
        Comparison::Unknown(why) => Some(why),
    }
}

/// What the answer to CompleteMultipartUpload says of the object's checksum, where it says anything: another one, and
/// one that cannot be compared, is not a success.
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
