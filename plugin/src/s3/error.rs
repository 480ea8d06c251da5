//! What went wrong with a request: the typed error of every S3 operation. Decides neither about retries (see `retry`)
//! nor about what to do (see `hint`), and never quotes a response at length.

use std::fmt;

use crate::failure::{Explanation, Failure};
use crate::imports::{SignerError, TransportError};
use crate::s3::hint;
use crate::s3::request::OperationKind;
#[cfg(test)]
use crate::s3::{request::Operation, retry};
use crate::words::count;

/// Longest text taken from a response: enough for S3's sentences, too short for an HTML page.
pub const MESSAGE_LIMIT_CHARS: usize = 300;

/// The reason why one attempt returned no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The store responded with an error (or a redirect, which counts as one here).
    Error(ErrorReply),
    /// The store reported success, but not in the form that the operation requires.
    Malformed { status: u16, what: String },
    /// The store reported success, but with a different checksum than that of the bytes sent.
    Damaged { status: u16 },
    /// There is no response.
    Transport(TransportError),
    /// There is no key to sign with.
    Signer(SignerError),
    /// Something that only a defect of the plugin or the host can cause; the text says whose.
    Defect(String),
}

/// An error as reported by the store; all texts are cut and free of control characters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorReply {
    pub status: u16,
    /// `<Code>` of the body; absent if the body is empty (HEAD) or not an S3 error document.
    pub code: Option<String>,
    /// `<Message>`, or otherwise the beginning of the body.
    pub message: String,
    /// `x-amz-request-id`, or `<RequestId>`.
    pub request_id: Option<String>,
    /// The correct region according to the store: `x-amz-bucket-region` or `<Region>`.
    pub region: Option<String>,
    /// `Retry-After`, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl Cause {
    /// Returns whether the request may have been carried out although it returned no result.
    /// An error in the 400s means that nothing was done. Anything else (a server error, a success that cannot be read,
    /// no response) leaves it open.
    pub fn may_have_taken_effect(&self) -> bool {
        match self {
            Cause::Error(answer) => !(300..500).contains(&answer.status),
            Cause::Malformed { .. } | Cause::Damaged { .. } => true,
            Cause::Transport(TransportError::Timeout(_) | TransportError::Interrupted(_)) => true,
            Cause::Transport(TransportError::TooLarge(_)) => true,
            Cause::Transport(_) | Cause::Signer(_) | Cause::Defect(_) => false,
        }
    }
}

/// What a caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Action is required: the same request will be refused again.
    Refused,
    /// A later run may succeed.
    Unavailable { retry_after_ms: Option<u64> },
    /// The plugin or the host must be fixed.
    Defect,
}

/// An S3 operation that failed after all reasonable retries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Error {
    pub operation: OperationKind,
    /// Where it was sent: scheme, host and port.
    pub origin: Box<str>,
    pub bucket: Box<str>,
    /// The object's key, or the prefix for a listing.
    pub key: String,
    /// Boxed, because errors travel in every result.
    pub cause: Box<Cause>,
    /// The number of times it was sent.
    pub attempts: u32,
    pub class: Class,
    /// Whether at least one attempt may have been carried out.
    pub doubtful: bool,
    /// The region that the request was signed for.
    pub signed_region: Box<str>,
    /// Whether the request named the account that must own the bucket.
    pub names_owner: bool,
}

impl std::error::Error for S3Error {}

impl S3Error {
    /// Makes the error as the client would, for an operation signed for `us-east-1`.
    #[cfg(test)]
    pub(crate) fn sample(operation: &Operation, cause: Cause) -> Self {
        S3Error {
            origin: "https://store.test".into(),
            operation: operation.kind(),
            bucket: "bucket".into(),
            key: operation.key().into(),
            class: retry::class(retry::decide(&cause), &cause),
            cause: Box::new(cause),
            attempts: 1,
            doubtful: false,
            signed_region: "us-east-1".into(),
            names_owner: false,
        }
    }

    /// Returns the status, if there was a response.
    pub fn status(&self) -> Option<u16> {
        match self.cause.as_ref() {
            Cause::Error(answer) => Some(answer.status),
            Cause::Malformed { status, .. } | Cause::Damaged { status } => Some(*status),
            Cause::Transport(_) | Cause::Signer(_) | Cause::Defect(_) => None,
        }
    }

    /// Returns the code in the body, if there was one.
    pub fn code(&self) -> Option<&str> {
        match self.cause.as_ref() {
            Cause::Error(answer) => answer.code.as_deref(),
            _ => None,
        }
    }

    /// Returns whether the store says that the target does not exist (an object, or an upload that has ended).
    pub fn is_not_found(&self) -> bool {
        match self.code() {
            Some(code) => matches!(code, "NoSuchKey" | "NoSuchUpload" | "NotFound"),
            None => self.status() == Some(404),
        }
    }

    /// Returns whether the store says that the credentials do not allow this.
    pub fn is_forbidden(&self) -> bool {
        match self.code() {
            Some(code) => matches!(code, "AccessDenied" | "AllAccessDisabled" | "Forbidden"),
            None => self.status() == Some(403),
        }
    }

    /// Returns whether the store said that it keeps different bytes than were sent.
    pub fn is_damaged(&self) -> bool {
        matches!(*self.cause, Cause::Damaged { .. })
    }

    /// Returns whether the object must be restored from its storage class before it can be read.
    pub fn is_archived(&self) -> bool {
        self.code() == Some("InvalidObjectState")
    }

    /// Returns whether `If-None-Match` found an object.
    pub fn is_precondition_failed(&self) -> bool {
        self.code() == Some("PreconditionFailed") || self.status() == Some(412)
    }

    /// Returns the correct region according to the store, if that is why it refused.
    pub fn other_region(&self) -> Option<&str> {
        let Cause::Error(answer) = self.cause.as_ref() else {
            return None;
        };
        let is_about_regions = answer.status / 100 == 3
            || match answer.code.as_deref() {
                Some(code) => matches!(
                    code,
                    "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" | "PermanentRedirect"
                ),
                None => matches!(answer.status, 400 | 403),
            };
        let region = answer.region.as_deref()?;
        (is_about_regions && *region != *self.signed_region).then_some(region)
    }

    /// Returns what happened and what to do about it if the store accepted the same keys for another request: then they
    /// are not to blame for a refusal without a reason.
    pub fn explanation_with_good_keys(&self) -> Explanation {
        match self.is_forbidden() && self.code().is_none() {
            true => Explanation::new(self.to_string()).with_hint(hint::permission(self)),
            false => self.explanation(),
        }
    }

    /// Returns what happened, and what to do about it.
    pub fn explanation(&self) -> Explanation {
        Explanation::new(self.to_string()).with_hint(hint::of(self))
    }

    /// Returns the contract's failure for it.
    pub fn into_failure(self) -> Failure {
        match self.class {
            Class::Refused => Failure::Refused(self.explanation()),
            Class::Unavailable { retry_after_ms } => Failure::Unavailable {
                reason: self.explanation(),
                retry_after_ms,
            },
            Class::Defect => Failure::Defect(self.to_string()),
        }
    }
}

impl From<S3Error> for Failure {
    fn from(error: S3Error) -> Self {
        error.into_failure()
    }
}

/// `PutObject of "key" in bucket "name" failed: 403 AccessDenied: Access Denied (request id …, 1 attempt)`; what to do
/// about it is in [`S3Error::explanation`].
impl fmt::Display for S3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of `{}` in bucket `{}` failed: ",
            self.operation, self.key, self.bucket
        )?;
        let mut request_id = None;
        match self.cause.as_ref() {
            Cause::Error(answer) => {
                write!(f, "{}", answer.status)?;
                if let Some(code) = &answer.code {
                    write!(f, " {code}")?;
                }
                if !answer.message.is_empty() {
                    write!(f, ": {}", answer.message)?;
                }
                if let Some(region) = self.other_region() {
                    write!(
                        f,
                        ", because the bucket is in region `{region}`, but region is set to `{}`",
                        self.signed_region
                    )?;
                }
                if let Some(wait_ms @ 1..) = answer.retry_after_ms {
                    write!(f, "; the store asks to wait {} s", count(wait_ms / 1_000))?;
                }
                request_id = answer.request_id.as_deref();
            }
            Cause::Malformed { status, what } => {
                let origin = &self.origin;
                write!(
                    f,
                    "the server at {origin} does not respond like S3: status {status}, {what}"
                )?;
            }
            Cause::Damaged { status } => write!(
                f,
                "the store responded with status {status}, but its checksum differs from that of the bytes sent"
            )?,
            Cause::Transport(error) => fmt_transport(error, f)?,
            Cause::Signer(error) => fmt_signer(error, f)?,
            Cause::Defect(text) => f.write_str(text)?,
        }
        let plural = if self.attempts == 1 { "" } else { "s" };
        match request_id {
            Some(id) => write!(f, " (request id {id}, {} attempt{plural})", self.attempts),
            None => write!(f, " ({} attempt{plural})", self.attempts),
        }
    }
}

fn fmt_transport(error: &TransportError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (what, said) = match error {
        // It names the server, and what it did.
        TransportError::Interrupted(said) => return f.write_str(&said.message),
        TransportError::Forbidden(said) => ("the host does not allow the request", said),
        TransportError::Connect(said) => ("no connection", said),
        TransportError::Tls(said) => ("TLS failed", said),
        TransportError::Timeout(said) => ("no response in time", said),
        TransportError::TooLarge(said) => ("the response is too large", said),
    };
    write!(f, "{what}: {}", said.message)
}

fn fmt_signer(error: &SignerError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (what, said) = match error {
        SignerError::Forbidden(said) => ("the host refuses to sign this request", said),
        SignerError::Missing(said) => ("no credentials", said),
        SignerError::Unavailable(said) => ("credentials are currently unavailable", said),
    };
    write!(f, "{what}: {}", said.message)
}
