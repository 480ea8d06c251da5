//! The reasons why a file could not be stored, as distinguished by callers. Decides nothing.

use crate::failure::{Explanation, Failure, joined};
use crate::imports::NoteError;
use crate::s3::error::{Class, S3Error};
use crate::s3::hint;

/// The reason why a file is not (or not provably) in the store. The text says what happened, and its hint what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    /// The store refused or is not available.
    #[error(transparent)]
    Store(#[from] S3Error),
    /// The host could not save a note about an upload, and a crash could leave an upload without a note open.
    #[error(
        "the host could not save a note about an upload, so nothing was started that it could not clean up: {}",
        .0.explanation().message
    )]
    Journal(NoteError),
    /// There are more bytes than an object of that many parts can hold; nothing was truncated.
    #[error("`{key}` does not fit into {max_parts} parts")]
    TooManyParts { key: String, max_parts: u32 },
    /// The completeness proof failed: parts or bytes are missing. Nothing was completed.
    #[error("`{key}` was not completed: {what}")]
    Incomplete { key: String, what: String },
    /// What this attempt wrote is stored, but differs from what was sent.
    #[error("`{key}` arrived damaged: {why}")]
    Corrupt { key: String, why: String },
    /// The store returned a checksum that says nothing about the bytes sent.
    #[error("it is not known whether `{key}` arrived intact: {why}")]
    Incomparable { key: String, why: String },
    /// The store accepted the encryption settings but did not apply them.
    #[error(
        "`{key}` is not encrypted: encryption = \"{asked}\" was requested, but the store's response {}",
        answered.as_ref().map_or("does not mention it".to_owned(), |said| format!("says `{said}`"))
    )]
    Unencrypted {
        key: String,
        asked: &'static str,
        answered: Option<String>,
    },
    /// The store encrypted with a different key than requested.
    #[error("`{key}` is encrypted with the key `{answered}` instead of the kms_key_id `{asked}`")]
    OtherEncryptionKey {
        key: String,
        asked: String,
        answered: String,
    },
    /// `if_none_match` forbids overwriting, and the existing object is not this run's.
    #[error("`{key}` already exists and if_none_match forbids overwriting it: {why}")]
    Occupied { key: String, why: String },
    /// A response was lost, and what the store holds does not prove that the object is complete.
    #[error("cannot prove that `{key}` is complete ({}), after: {error}", why.message)]
    Unproven {
        key: String,
        why: Explanation,
        error: Box<S3Error>,
        class: Class,
    },
}

impl UploadError {
    /// Returns what happened, and what to do about it.
    pub fn explanation(&self) -> Explanation {
        Explanation::new(self.to_string()).with_hint(self.hint())
    }

    /// Returns what to do about it, if that is known.
    fn hint(&self) -> Option<String> {
        let text = match self {
            UploadError::Store(error) => return error.explanation().hint,
            UploadError::Journal(error) => return note_hint(error),
            UploadError::Unproven { why, error, .. } => return joined([why.hint.clone(), error.explanation().hint]),
            // A defect.
            UploadError::Incomplete { .. } => return None,
            UploadError::TooManyParts { .. } => "set max_file_size_mb to split the export into several files",
            UploadError::Corrupt { .. } => hint::DAMAGED,
            UploadError::Incomparable { .. } => "set checksum to another algorithm, or to none",
            UploadError::Unencrypted { .. } => hint::UNENCRYPTED,
            UploadError::OtherEncryptionKey { .. } => {
                "check kms_key_id, and which key the store is configured to encrypt with"
            }
            UploadError::Occupied { .. } => hint::OCCUPIED,
        };
        Some(text.to_owned())
    }

    /// Returns the key under which this attempt may have left an object that nobody should read: damaged, or not
    /// encrypted as requested.
    pub fn condemned_key(&self) -> Option<&str> {
        match self {
            UploadError::Corrupt { key, .. }
            | UploadError::Incomparable { key, .. }
            | UploadError::Unencrypted { key, .. }
            | UploadError::OtherEncryptionKey { key, .. } => Some(key),
            UploadError::Store(error) if error.is_damaged() => Some(&error.key),
            UploadError::Store(_)
            | UploadError::Journal(_)
            | UploadError::TooManyParts { .. }
            | UploadError::Incomplete { .. }
            | UploadError::Occupied { .. }
            | UploadError::Unproven { .. } => None,
        }
    }
}

/// Returns what to change if the host accepts no more notes: fewer uploads need fewer notes.
fn note_hint(error: &NoteError) -> Option<String> {
    let ours = match error {
        NoteError::UsedUp(_) => Some("raise max_file_size_mb, or export shorter intervals".to_owned()),
        NoteError::TooLong(_) | NoteError::Unavailable(_) => None,
    };
    error.explanation().hint.clone().or(ours)
}

impl From<NoteError> for UploadError {
    fn from(error: NoteError) -> Self {
        UploadError::Journal(error)
    }
}

impl From<UploadError> for Failure {
    fn from(error: UploadError) -> Self {
        let reason = error.explanation();
        let retry_after_ms = match &error {
            UploadError::Store(inner) => return inner.clone().into_failure(),
            UploadError::TooManyParts { .. }
            | UploadError::Incomparable { .. }
            | UploadError::Unencrypted { .. }
            | UploadError::OtherEncryptionKey { .. }
            | UploadError::Occupied { .. } => {
                return Failure::Refused(reason);
            }
            UploadError::Unproven { class, .. } => match *class {
                Class::Unavailable { retry_after_ms } => retry_after_ms,
                Class::Refused => return Failure::Refused(reason),
                Class::Defect => return Failure::Defect(reason.message),
            },
            UploadError::Journal(error) => match error {
                NoteError::Unavailable(_) => None,
                NoteError::UsedUp(_) => return Failure::Refused(reason),
                NoteError::TooLong(_) => return Failure::Defect(reason.message),
            },
            UploadError::Incomplete { .. } => {
                return Failure::Defect(reason.message);
            }
            UploadError::Corrupt { .. } => None,
        };
        Failure::Unavailable { reason, retry_after_ms }
    }
}
