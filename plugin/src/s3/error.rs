//! What went wrong with a request, told so that the reader can act: the typed error of every S3 operation. Decides
//! nothing about repeating (that is `retry`) and never quotes an answer at length.

use std::fmt;

use crate::failure::Failure;
use crate::imports::{SignerError, TransportError};
use crate::s3::request::OperationKind;

/// Longest text taken over from an answer: enough for S3's sentences, too short for an HTML page.
pub const MESSAGE_LIMIT_CHARS: usize = 300;

/// Why one attempt brought no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The store answered with an error (or with a redirect, which is one here).
    Error(ErrorReply),
    /// The store answered success, but not in the form that the operation has.
    Malformed { status: u16, what: String },
    /// The store answered success, with another checksum than that of the bytes sent.
    Damaged { status: u16 },
    /// There is no response.
    Transport(TransportError),
    /// There is no key to sign with.
    Signer(SignerError),
    /// What only a defect of the plugin or the host brings about; the text says whose.
    Defect(String),
}

/// An error as the store told it; every text is cut and free of control characters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorReply {
    pub status: u16,
    /// `<Code>` of the body; absent where the body is empty (HEAD) or no S3 error document.
    pub code: Option<String>,
    /// `<Message>`, or the beginning of whatever else the body was.
    pub message: String,
    /// `x-amz-request-id`, or `<RequestId>`.
    pub request_id: Option<String>,
    /// The region that the store says is right: `x-amz-bucket-region` or `<Region>`.
    pub region: Option<String>,
    /// `Retry-After`, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl Cause {
    /// Whether the request may have been carried out although it brought no result.
    ///
    /// An error in the 400s says that nothing was done. Anything else (a server error, a success that cannot be
    /// read, no answer) leaves it open.
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
    /// A person must act: the same request will be refused again.
    Refused,
    /// A later run may succeed.
    Unavailable { retry_after_ms: Option<u64> },
    /// The plugin or the host must be repaired.
    Defect,
}

/// An S3 operation that failed after every repetition it was worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Error {
    pub operation: OperationKind,
    /// Where it was sent: scheme, host and port.
    pub origin: String,
    pub bucket: String,
    /// The object's key, or the prefix for a listing.
    pub key: String,
    /// Boxed, because errors travel in every result.
    pub cause: Box<Cause>,
    /// How often it was sent.
    pub attempts: u32,
    pub class: Class,
    /// At least one attempt may have been carried out.
    pub doubtful: bool,
    /// The region that the request was signed for.
    pub signed_region: String,
}

impl std::error::Error for S3Error {}

impl S3Error {
    /// The status, where there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self.cause.as_ref() {
            Cause::Error(answer) => Some(answer.status),
            Cause::Malformed { status, .. } | Cause::Damaged { status } => Some(*status),
            Cause::Transport(_) | Cause::Signer(_) | Cause::Defect(_) => None,
        }
    }

    /// The code in the body, where there was one.
    pub fn code(&self) -> Option<&str> {
        match self.cause.as_ref() {
            Cause::Error(answer) => answer.code.as_deref(),
            _ => None,
        }
    }

    /// Whether the store says that the thing does not exist (an object, or an upload that has ended).
    pub fn is_not_found(&self) -> bool {
        match self.code() {
            Some(code) => matches!(code, "NoSuchKey" | "NoSuchUpload" | "NotFound"),
            None => self.status() == Some(404),
        }
    }

    /// Whether the store says that these credentials may not do this.
    pub fn is_forbidden(&self) -> bool {
        match self.code() {
            Some(code) => matches!(code, "AccessDenied" | "AllAccessDisabled" | "Forbidden"),
            None => self.status() == Some(403),
        }
    }

    /// Whether the store said that it keeps other bytes than were sent.
    pub fn is_damaged(&self) -> bool {
        matches!(*self.cause, Cause::Damaged { .. })
    }

    /// Whether the store keeps the object where it must be restored from before it can be read.
    pub fn is_archived(&self) -> bool {
        self.code() == Some("InvalidObjectState")
    }

    /// Whether `If-None-Match` found an object.
    pub fn is_precondition_failed(&self) -> bool {
        self.code() == Some("PreconditionFailed") || self.status() == Some(412)
    }

    /// What to change, where that is known.
    pub fn remedy(&self) -> Option<String> {
        match self.cause.as_ref() {
            Cause::Error(answer) => self.remedy_for(answer),
            Cause::Malformed { .. } => Some(NOT_S3.into()),
            Cause::Damaged { .. } => Some(DAMAGED.into()),
            Cause::Transport(TransportError::TooLarge(_)) => Some(NOT_S3.into()),
            // The host says by itself when the other end speaks no TLS at all.
            Cause::Transport(TransportError::Tls(text)) if text.contains("plain HTTP") => None,
            Cause::Transport(TransportError::Tls(_)) => Some(
                "check that the certificate is valid for this host name (a bucket name with dots needs path-style \
                 addressing) and that its CA is trusted"
                    .into(),
            ),
            Cause::Transport(TransportError::Connect(_)) => {
                Some("check endpoint_url, region and bucket_name, and that the store can be reached".into())
            }
            Cause::Transport(_) | Cause::Signer(_) | Cause::Defect(_) => None,
        }
    }

    fn remedy_for(&self, answer: &ErrorReply) -> Option<String> {
        if let Some(region) = &answer.region
            && *region != self.signed_region
            && (answer.status / 100 == 3
                || matches!(
                    answer.code.as_deref(),
                    Some("AuthorizationHeaderMalformed" | "IllegalLocationConstraintException")
                )
                || (answer.code.is_none() && matches!(answer.status, 400 | 403)))
        {
            return Some(format!(
                "the bucket is in region `{region}`, the configuration says `{}`: set region to `{region}`",
                self.signed_region
            ));
        }
        let code = answer.code.as_deref();
        if let Some(code) = code
            && let Some((_, text)) = REMEDIES.iter().find(|(name, _)| *name == code)
        {
            return Some((*text).into());
        }
        if code.is_some_and(|code| code.starts_with("KMS.")) {
            return Some(KMS.into());
        }
        let is_page = code.is_none() && !answer.message.is_empty();
        if is_page && (400..500).contains(&answer.status) && answer.status != 407 {
            return Some(NOT_S3.into());
        }
        if code == Some("AccessDenied") || (code.is_none() && answer.status == 403) {
            let action = self.operation.permission();
            let text = if answer.message.to_ascii_lowercase().contains("kms") {
                KMS.into()
            } else {
                format!("the credentials need {action} on this key (and the bucket policy must not deny it)")
            };
            return Some(text);
        }
        match answer.status {
            307 => Some(REDIRECTED_FOR_NOW.into()),
            300..=399 => Some(
                "the store redirects, and redirects are not followed: set region and endpoint_url to where the \
                 bucket is"
                    .into(),
            ),
            407 => Some("the HTTP proxy asks for credentials".into()),
            _ => None,
        }
    }

    /// The contract's failure for it.
    pub fn into_failure(self) -> Failure {
        match self.class {
            Class::Refused => Failure::Refused(self.to_string()),
            Class::Unavailable { retry_after_ms } => Failure::Unavailable {
                message: self.to_string(),
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

/// `PutObject of "key" in bucket "name" failed: 403 AccessDenied: Access Denied (request id …, 1 attempt); remedy`
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
                "{status}, but the store's checksum differs from that of the bytes sent"
            )?,
            Cause::Transport(error) => fmt_transport(error, f)?,
            Cause::Signer(error) => fmt_signer(error, f)?,
            Cause::Defect(text) => f.write_str(text)?,
        }
        let plural = if self.attempts == 1 { "" } else { "s" };
        match request_id {
            Some(id) => write!(f, " (request id {id}, {} attempt{plural})", self.attempts)?,
            None => write!(f, " ({} attempt{plural})", self.attempts)?,
        }
        match self.remedy() {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

fn fmt_transport(error: &TransportError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match error {
        TransportError::Forbidden(text) => write!(f, "the host does not allow the request: {text}"),
        TransportError::Connect(text) => write!(f, "no connection: {text}"),
        TransportError::Tls(text) => write!(f, "TLS failed: {text}"),
        TransportError::Timeout(text) => write!(f, "no response in time: {text}"),
        TransportError::Interrupted(text) => write!(f, "the connection closed early: {text}"),
        TransportError::TooLarge(text) => write!(f, "the response is too large: {text}"),
    }
}

fn fmt_signer(error: &SignerError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match error {
        SignerError::Forbidden(text) => write!(f, "the host does not sign for this: {text}"),
        SignerError::Missing(text) => write!(f, "no credentials: {text}"),
        SignerError::Unavailable(text) => {
            write!(f, "credentials are not available at present: {text}")
        }
    }
}

const NOT_S3: &str = "something other than an S3 store (a proxy, a web page) seems to respond: check endpoint_url";
const DAMAGED: &str =
    "something between here and the store changes what passes, or the store keeps other bytes than it gets";
const KMS: &str = "the credentials need kms:GenerateDataKey and kms:Decrypt on the key, and it must be enabled and in \
                   the bucket's region: check kms_key_id";

const REDIRECTED_FOR_NOW: &str = "the bucket is reached at another endpoint at present, as in the first hours of a new one, and \
                                  redirects are not followed: run again later, or set region and endpoint_url to where it is";

/// Codes whose remedy is always the same.
const REMEDIES: &[(&str, &str)] = &[
    ("NoSuchBucket", "check bucket_name, region and endpoint_url"),
    (
        "InvalidBucketName",
        "check bucket_name; a store with its own endpoint may need path-style addressing",
    ),
    (
        "SignatureDoesNotMatch",
        "check aws_secret_access_key; behind a proxy, check that it passes path and headers on unchanged",
    ),
    (
        "InvalidAccessKeyId",
        "check aws_access_key_id: this store does not know it; temporary credentials also need aws_session_token",
    ),
    (
        "InvalidToken",
        "check aws_session_token: it does not belong to this access key",
    ),
    (
        "InvalidClientTokenId",
        "check aws_access_key_id: this store does not know it",
    ),
    (
        "ExpiredToken",
        "the temporary credentials ran out and the new ones did too: renew them at their source",
    ),
    (
        "TokenRefreshRequired",
        "the temporary credentials must be renewed at their source",
    ),
    (
        "RequestTimeTooSkewed",
        "the clocks of this machine and of the store differ by more than 15 minutes: set this machine's clock",
    ),
    (
        "PermanentRedirect",
        "the bucket is reached at another endpoint: check region and endpoint_url",
    ),
    ("TemporaryRedirect", REDIRECTED_FOR_NOW),
    (
        "AuthorizationHeaderMalformed",
        "check region: the store expects signatures for another one",
    ),
    ("AccountProblem", "the account cannot be used: see its billing state"),
    (
        "AllAccessDisabled",
        "all access to this bucket is switched off by the store's operator",
    ),
    (
        "EntityTooLarge",
        "the store takes no object or part of this size: lower max_file_size_mb",
    ),
    ("EntityTooSmall", "the store wants larger parts than this one"),
    ("KeyTooLongError", "shorten prefix"),
    (
        "InvalidStorageClass",
        "this store does not have that class: check storage_class",
    ),
    (
        "AccessControlListNotSupported",
        "the bucket has ACLs switched off: remove acl",
    ),
    (
        "InvalidTag",
        "check tags: at most 10, keys up to 128 and values up to 256 characters",
    ),
    ("MetadataTooLarge", "shorten metadata: 2 KB in all"),
    (
        "NotImplemented",
        "this store lacks a feature that the configuration asks for: try checksum = none, or drop encryption, acl, tags, storage_class or if_none_match",
    ),
    (
        "MethodNotAllowed",
        "the address is not that of a bucket: check endpoint_url and use_virtual_style_addressing",
    ),
    (
        "PreconditionFailed",
        "an object is there already and if_none_match forbids overwriting it",
    ),
    ("QuotaExceeded", "the store's quota is used up"),
    ("XMinioStorageFull", "the store's disks are full"),
    (
        "ServerSideEncryptionConfigurationNotFoundError",
        "the store has no encryption set up: check encryption",
    ),
];
