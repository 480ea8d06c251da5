//! What to do about a failed request: an instruction chosen by code, status and operation. Decides nothing else, and
//! does not describe what happened.

#[cfg(test)]
mod tests;

use crate::imports::{SignerError, TransportError};
use crate::s3::error::{Cause, ErrorReply, S3Error};
use crate::s3::request::OperationKind;

/// Returns what to do about it, if that is known. What the host says about its own settings takes precedence over
/// anything that the plugin could guess.
pub fn of(error: &S3Error) -> Option<String> {
    match error.cause.as_ref() {
        Cause::Error(reply) => of_reply(error, reply),
        Cause::Malformed { .. } => Some(NOT_S3.into()),
        Cause::Damaged { .. } => Some(DAMAGED.into()),
        Cause::Transport(transport) => of_transport(transport, &error.origin),
        Cause::Signer(SignerError::Forbidden(said) | SignerError::Missing(said) | SignerError::Unavailable(said)) => {
            said.hint.clone()
        }
        Cause::Defect(_) => None,
    }
}

fn of_transport(error: &TransportError, origin: &str) -> Option<String> {
    let (said, ours) = match error {
        TransportError::Connect(said) => (said, Some(no_connection(origin))),
        TransportError::Tls(said) => (said, Some(CERTIFICATE)),
        TransportError::TooLarge(said) => (said, Some(NOT_S3)),
        TransportError::Timeout(said) => (said, Some(SILENT)),
        TransportError::Forbidden(said) | TransportError::Interrupted(said) => (said, None),
    };
    said.hint.clone().or(ours.map(str::to_owned))
}

/// AWS is not the operator's to start, and has no address to correct.
fn no_connection(origin: &str) -> &'static str {
    match origin.contains(".amazonaws.com") {
        true => NO_CONNECTION_TO_AWS,
        false => NO_CONNECTION,
    }
}

fn of_reply(error: &S3Error, reply: &ErrorReply) -> Option<String> {
    if let Some(region) = error.other_region() {
        return Some(format!("set region to `{region}`"));
    }
    match reply.code.as_deref() {
        Some(code) => of_code(error, code, reply),
        None => of_status(error, reply),
    }
}

fn of_code(error: &S3Error, code: &str, reply: &ErrorReply) -> Option<String> {
    let is_of_kms = code.starts_with("KMS.") && code != "KMS.ThrottlingException";
    if is_of_kms || (is_denial(code) && reply.message.to_ascii_lowercase().contains("kms")) {
        return Some(KMS.into());
    }
    if is_denial(code) {
        return Some(permission(error));
    }
    let known = HINTS.iter().find(|(codes, _)| codes.contains(&code));
    match known {
        Some((_, text)) => Some((*text).into()),
        // A code of the store's own: the status shows which kind of redirect it is.
        None if (300..400).contains(&reply.status) => of_status(error, reply),
        None => None,
    }
}

/// Returns whether the code says that the credentials do not allow this.
pub fn is_denial(code: &str) -> bool {
    matches!(code, "AccessDenied" | "Forbidden")
}

/// Returns a hint for responses without a code: HEAD cannot carry one, and servers other than S3 send none.
fn of_status(error: &S3Error, reply: &ErrorReply) -> Option<String> {
    let is_page = !reply.message.is_empty();
    Some(match reply.status {
        307 => REDIRECTED_FOR_NOW.into(),
        300..=399 => REDIRECTED.into(),
        407 => A_PROXY.into(),
        400..=499 if is_page => NOT_S3.into(),
        400 => SILENT_400.into(),
        401 => NOT_S3.into(),
        403 => format!("{KEYS}; {}", permission(error)),
        404 => BUCKET.into(),
        405 => NO_BUCKET_ADDRESS.into(),
        412 => OCCUPIED.into(),
        413 => TOO_LARGE.into(),
        501 => MISSING_FEATURE.into(),
        505 => NOT_S3.into(),
        507 => FULL.into(),
        _ => return None,
    })
}

/// Names the permission that a request needs, and where.
pub fn permission(error: &S3Error) -> String {
    let action = error.operation.permission();
    let place = match error.operation {
        OperationKind::ListMultipartUploads => format!("the bucket `{}`", error.bucket),
        _ => format!("`{}/{}`", error.bucket, error.key),
    };
    let owner = match error.names_owner {
        true => ", and that expected_bucket_owner is the account that owns it",
        false => "",
    };
    format!("grant {action} on {place}, and check that no policy of the bucket denies it{owner}")
}

const NOT_S3: &str = "check endpoint_url: the response seems to come from something other than an S3 store, such as a proxy or a \
     website";
pub const DAMAGED: &str = "retry; if it happens again, check any proxies in between and the store's disks, because \
                           something is altering the data";
const NO_CONNECTION: &str = "start the store if you run it yourself, or correct endpoint_url; check that this machine can \
                             reach the store";
const NO_CONNECTION_TO_AWS: &str = "check region and bucket_name, and that this machine can reach the internet";
const SILENT: &str = "check that the store is up, and that endpoint_url, if it is set, names the store";
const CERTIFICATE: &str = "check that the certificate is valid for this host name (a bucket name with dots needs \
                           path-style \
                           addressing) and that this machine trusts its CA";
const KMS: &str = "grant kms:GenerateDataKey and kms:Decrypt on the key, and check that kms_key_id names an enabled \
                   key in \
                   the bucket's region";
const KEYS: &str = "check aws_access_key_id and aws_secret_access_key (a response without a body does not say whether \
                    they are wrong or lack a permission)";
const SILENT_400: &str = "renew the credentials if they are temporary, and check region (a response without a body \
                          does not say which of them is wrong)";
const BUCKET: &str = "create the bucket, or check bucket_name, region and endpoint_url";
const REDIRECTED: &str =
    "set region and endpoint_url to the bucket's location: the store redirects, and redirects are not followed";
const REDIRECTED_FOR_NOW: &str = "retry later, or set region and endpoint_url to the bucket's location: a new bucket \
                                  is served from another endpoint for some hours, and redirects are not followed";
const A_PROXY: &str =
    "check endpoint_url: it names a proxy, which belongs in `proxy` in the destination's `egress` table";
const NO_BUCKET_ADDRESS: &str = "check endpoint_url and use_virtual_style_addressing: the address is not a bucket's";
pub const OCCUPIED: &str = "delete the object, change prefix, or unset if_none_match";
const TOO_LARGE: &str = "lower max_file_size_mb: the store does not accept objects or parts of this size";
const MISSING_FEATURE: &str = "set checksum = \"none\", or remove encryption, acl, tags, storage_class or \
                               if_none_match: the store does not support a feature that the configuration uses";
pub const UNENCRYPTED: &str = "set up server-side encryption in the store, or remove encryption from the destination";
const FULL: &str = "free up space in the store, or raise its quota";
const ACCESS_KEY: &str = "check aws_access_key_id, which the store does not recognize; if the credentials are \
                          temporary, set aws_session_token as well";
const RENEW: &str = "renew the temporary credentials at their source";
const REGION: &str = "check region: the store expects a different one";
const SETTING: &str = "check the setting that the store's message refers to: encryption, kms_key_id, acl, \
                       storage_class, tags, \
                       metadata and checksum are sent as configured";
const LOST_UPLOAD: &str = "if it happens again, check that no lifecycle rule and no other program aborts uploads or \
                           deletes \
                           parts under prefix";

/// Hints by code. Codes of problems that pass by themselves are not listed.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
pub const HINTS: &[(&[&str], &str)] = &[
    (&["NoSuchBucket"], BUCKET),
    (
        &["InvalidBucketName"],
        "check bucket_name; if the store has its own endpoint, set use_virtual_style_addressing = false",
    ),
    (
        &["NoSuchKey"],
        "check that no lifecycle rule and no other program deletes objects under prefix",
    ),
    (
        &["SignatureDoesNotMatch"],
        "check aws_secret_access_key; if there is a proxy in front of the store, check that it forwards path and \
         headers unchanged",
    ),
    (&["InvalidAccessKeyId", "InvalidClientTokenId"], ACCESS_KEY),
    (
        &["InvalidToken"],
        "check aws_session_token, which does not belong to this access key",
    ),
    (
        &["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"],
        RENEW,
    ),
    (
        &["RequestTimeTooSkewed"],
        "correct this machine's clock, which differs from the store's by more than 15 minutes",
    ),
    (&["PermanentRedirect"], REDIRECTED),
    (&["TemporaryRedirect"], REDIRECTED_FOR_NOW),
    (
        &["AuthorizationHeaderMalformed", "IllegalLocationConstraintException"],
        REGION,
    ),
    (&["AccountProblem"], "check the account's billing status"),
    (
        &["AllAccessDisabled"],
        "ask the store's operator, who has disabled all access to this bucket",
    ),
    (&["EntityTooLarge"], TOO_LARGE),
    (
        &["EntityTooSmall"],
        "raise max_file_size_mb: parts grow with it, and this store requires larger ones",
    ),
    (&["KeyTooLongError"], "shorten prefix"),
    (
        &["InvalidStorageClass"],
        "check storage_class, which this store does not support",
    ),
    (
        &["AccessControlListNotSupported"],
        "remove acl: ACLs are disabled for the bucket",
    ),
    (
        &["InvalidTag"],
        "check tags: at most 10, keys of up to 128 and values of up to 256 characters",
    ),
    (&["MetadataTooLarge"], "shorten metadata to 2 KB in total"),
    (&["InvalidArgument", "InvalidRequest"], SETTING),
    (&["NotImplemented"], MISSING_FEATURE),
    (&["MethodNotAllowed"], NO_BUCKET_ADDRESS),
    (&["PreconditionFailed"], OCCUPIED),
    (&["QuotaExceeded", "XMinioStorageFull", "InsufficientStorage"], FULL),
    (
        &[
            "ServerSideEncryptionConfigurationNotFoundError",
            "InvalidEncryptionAlgorithmError",
        ],
        UNENCRYPTED,
    ),
    (
        &[
            "BadDigest",
            "XAmzContentSHA256Mismatch",
            "XAmzContentChecksumMismatch",
            "IncompleteBody",
        ],
        DAMAGED,
    ),
    (&["NoSuchUpload", "InvalidPart", "InvalidPartOrder"], LOST_UPLOAD),
    (
        &["InvalidObjectState"],
        "restore the object from its storage class before reading it",
    ),
];
