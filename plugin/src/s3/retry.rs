//! Decides whether a failed attempt is retried: the single table of statuses, codes and transport errors. Sends
//! nothing, counts nothing and knows no time.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>

use crate::imports::{SignerError, TransportError};
use crate::s3::error::{Cause, Class, ErrorReply};

/// Maximum number of times one request is sent. If a fifth of all requests fail, ten attempts lose one request in ten
/// million; with the delays below they span about a minute, which outlasts a store's restart or rebalancing.
pub const MAX_ATTEMPTS: u32 = 10;
/// The first delay, doubled each time (the host adds jitter).
const FIRST_DELAY_MS: u32 = 100;
/// Maximum delay that doubling reaches.
const MAX_DELAY_MS: u32 = 15_000;
/// Longest `Retry-After` that a run waits for: longer ones end the run, and the scheduler waits.
const MAX_RETRY_AFTER_MS: u64 = 60_000;

/// What to do about a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Send it again after a delay.
    Retry,
    /// Send it again with new credentials, once; else it is refused.
    RefreshCredentials,
    /// Send it again with the server's time, once; else it is refused.
    CorrectClock,
    /// Send it again after a delay, once: if the next response is of the same kind, it is refused.
    Confirm,
    /// Action is required.
    Refuse,
    /// A later run may succeed; retrying now would not help.
    GiveUp,
}

use Decision::{Confirm, CorrectClock, GiveUp, RefreshCredentials, Refuse, Retry};

/// Decisions by code, which takes precedence over the status: RequestTimeout and ExpiredToken come with 400, a skewed
/// clock with 403, and InternalError may come with 200.
pub(crate) const CODES: &[(&str, Decision)] = &[
    // Busy or briefly out of order.
    ("SlowDown", Retry),
    ("SlowDownRead", Retry),
    ("SlowDownWrite", Retry),
    ("TooManyRequests", Retry),
    ("Throttling", Retry),
    ("ThrottlingException", Retry),
    ("RequestLimitExceeded", Retry),
    ("BandwidthLimitExceeded", Retry),
    ("KMS.ThrottlingException", Retry),
    ("InternalError", Retry),
    ("ServiceUnavailable", Retry),
    ("ServerBusy", Retry),
    ("Busy", Retry),
    ("RequestTimeout", Retry),
    ("OperationAborted", Retry),
    ("ConditionalRequestConflict", Retry),
    ("XMinioServerNotInitialized", Retry),
    // Damaged in transit.
    ("BadDigest", Retry),
    ("XAmzContentSHA256Mismatch", Retry),
    ("XAmzContentChecksumMismatch", Retry),
    ("IncompleteBody", Retry),
    // Repaired by the host, once.
    ("ExpiredToken", RefreshCredentials),
    ("ExpiredTokenException", RefreshCredentials),
    ("TokenRefreshRequired", RefreshCredentials),
    ("RequestTimeTooSkewed", CorrectClock),
    // The upload was lost: a new run starts a new one.
    ("NoSuchUpload", GiveUp),
    ("InvalidPart", GiveUp),
    ("InvalidPartOrder", GiveUp),
    ("XMinioStorageFull", GiveUp),
    ("InsufficientStorage", GiveUp),
];

/// Decides about one failed attempt.
pub fn decide(cause: &Cause) -> Decision {
    match cause {
        Cause::Error(answer) => decide_answer(answer),
        Cause::Malformed { .. } => Confirm,
        Cause::Damaged { .. } => Retry,
        Cause::Transport(error) => match error {
            TransportError::Connect(_) | TransportError::Timeout(_) | TransportError::Interrupted(_) => Retry,
            TransportError::Forbidden(_) | TransportError::Tls(_) => Refuse,
            TransportError::TooLarge(_) => GiveUp,
        },
        Cause::Signer(error) => match error {
            SignerError::Forbidden(_) | SignerError::Missing(_) => Refuse,
            SignerError::Unavailable(_) => GiveUp,
        },
        Cause::Defect(_) => Refuse,
    }
}

fn decide_answer(answer: &ErrorReply) -> Decision {
    // A temporary redirect: a later run will find the bucket in its place. One that names a region requires action.
    let is_redirect = matches!(answer.code.as_deref(), None | Some("TemporaryRedirect"));
    if answer.status == 307 && is_redirect && answer.region.is_none() {
        return GiveUp;
    }
    let decision = answer
        .code
        .as_deref()
        .and_then(|code| CODES.iter().find(|(name, _)| *name == code))
        .map(|(_, decision)| *decision);
    let decision = match (decision, answer.code.as_deref()) {
        (Some(decision), _) => decision,
        // A code that says which action is required, even if a gateway turned it into a 500.
        (None, Some(code)) if code.starts_with("KMS.") || PERMANENT.contains(&code) => Refuse,
        // HEAD cannot carry a code: this is S3's response to expired credentials.
        (None, None) if answer.status == 400 && answer.message.is_empty() => RefreshCredentials,
        // A conflict without a code may be one of two concurrent operations, which passes.
        (None, None) if answer.status == 409 => Retry,
        (None, _) => decide_status(answer.status),
    };
    match answer.retry_after_ms {
        Some(wait_ms) if decision == Retry && wait_ms > MAX_RETRY_AFTER_MS => GiveUp,
        _ => decision,
    }
}

/// Codes for which retries do not help, whatever the status.
pub(crate) const PERMANENT: &[&str] = &[
    "AccessDenied",
    "AccountProblem",
    "AllAccessDisabled",
    "AuthorizationHeaderMalformed",
    "EntityTooLarge",
    "EntityTooSmall",
    "InvalidAccessKeyId",
    "InvalidArgument",
    "InvalidBucketName",
    "InvalidRequest",
    "InvalidStorageClass",
    "InvalidToken",
    "KeyTooLongError",
    "MethodNotAllowed",
    "NoSuchBucket",
    "NoSuchKey",
    "NotImplemented",
    "PermanentRedirect",
    "PreconditionFailed",
    "SignatureDoesNotMatch",
];

fn decide_status(status: u16) -> Decision {
    match status {
        408 | 425 | 429 | 500 | 502 | 503 | 504 => Retry,
        // Cloudflare (in front of R2) cannot reach the store.
        520..=524 => Retry,
        501 | 505 => Refuse,
        // A success that carries an error without a known code counts as a server error.
        200..=299 => Retry,
        500..=599 => GiveUp,
        _ => Refuse,
    }
}

/// Returns the delay before the next attempt: doubled with every attempt made so far, and at least what the store asked
/// for.
pub fn delay_ms(attempts: u32, cause: &Cause) -> u32 {
    let doublings = attempts.saturating_sub(1).min(16);
    let backoff_ms = FIRST_DELAY_MS.saturating_mul(1 << doublings).min(MAX_DELAY_MS);
    let asked_ms = retry_after_ms(cause).unwrap_or(0).min(MAX_RETRY_AFTER_MS);
    backoff_ms.max(u32::try_from(asked_ms).unwrap_or(MAX_DELAY_MS))
}

/// Returns the class of a failure that is not retried any more.
pub fn class(decision: Decision, cause: &Cause) -> Class {
    match decision {
        _ if matches!(cause, Cause::Defect(_)) => Class::Defect,
        Retry | GiveUp => Class::Unavailable {
            retry_after_ms: retry_after_ms(cause),
        },
        RefreshCredentials | CorrectClock | Confirm | Refuse => Class::Refused,
    }
}

fn retry_after_ms(cause: &Cause) -> Option<u64> {
    match cause {
        Cause::Error(answer) => answer.retry_after_ms,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, code: &str) -> Cause {
        Cause::Error(ErrorReply {
            status,
            code: (!code.is_empty()).then(|| code.to_owned()),
            ..ErrorReply::default()
        })
    }

    #[test]
    fn statuses_and_codes() {
        let table: &[(u16, &str, Decision)] = &[
            (408, "", Retry),
            (429, "", Retry),
            (500, "", Retry),
            (502, "", Retry),
            (503, "", Retry),
            (504, "", Retry),
            (522, "", Retry),
            (400, "", RefreshCredentials),
            (401, "", Refuse),
            (409, "", Retry),
            (409, "SomethingNew", Refuse),
            (403, "", Refuse),
            (404, "", Refuse),
            (301, "", Refuse),
            (302, "", Refuse),
            (308, "", Refuse),
            (307, "", GiveUp),
            (307, "TemporaryRedirect", GiveUp),
            (307, "AccessDenied", Refuse),
            (501, "", Refuse),
            (507, "", GiveUp),
            (418, "Teapot", Refuse),
            (503, "SlowDown", Retry),
            (503, "SomethingNew", Retry),
            (400, "RequestTimeout", Retry),
            (200, "InternalError", Retry),
            (200, "SlowDown", Retry),
            (409, "OperationAborted", Retry),
            (400, "BadDigest", Retry),
            (400, "XAmzContentSHA256Mismatch", Retry),
            (400, "ExpiredToken", RefreshCredentials),
            (403, "RequestTimeTooSkewed", CorrectClock),
            (403, "InvalidAccessKeyId", Refuse),
            (403, "SignatureDoesNotMatch", Refuse),
            (403, "AccessDenied", Refuse),
            (500, "AccessDenied", Refuse),
            (200, "AccessDenied", Refuse),
            (404, "NoSuchBucket", Refuse),
            (301, "PermanentRedirect", Refuse),
            (400, "AuthorizationHeaderMalformed", Refuse),
            (400, "EntityTooLarge", Refuse),
            (400, "KMS.NotFoundException", Refuse),
            (500, "KMS.DisabledException", Refuse),
            (404, "NoSuchUpload", GiveUp),
        ];
        for (status, code, expected) in table {
            assert_eq!(decide(&answer(*status, code)), *expected, "{status} {code}");
        }
    }

    #[test]
    fn a_redirect_for_now_that_names_a_region_is_for_a_person() {
        let Cause::Error(mut moved) = answer(307, "TemporaryRedirect") else {
            panic!("another cause");
        };
        moved.region = Some("eu-west-3".to_owned());
        assert_eq!(decide(&Cause::Error(moved)), Refuse);
    }

    #[test]
    fn transport_and_signer() {
        let text = || "why".to_owned();
        let table = [
            (Cause::Transport(TransportError::Connect("why".into())), Retry),
            (Cause::Transport(TransportError::Timeout("why".into())), Retry),
            (Cause::Transport(TransportError::Interrupted("why".into())), Retry),
            (Cause::Transport(TransportError::Tls("why".into())), Refuse),
            (Cause::Transport(TransportError::Forbidden("why".into())), Refuse),
            (Cause::Transport(TransportError::TooLarge("why".into())), GiveUp),
            (Cause::Signer(SignerError::Forbidden("why".into())), Refuse),
            (Cause::Signer(SignerError::Missing("why".into())), Refuse),
            (Cause::Signer(SignerError::Unavailable("why".into())), GiveUp),
            (
                Cause::Malformed {
                    status: 200,
                    what: text(),
                },
                Confirm,
            ),
            (Cause::Damaged { status: 200 }, Retry),
            (Cause::Defect(text()), Refuse),
        ];
        for (cause, expected) in table {
            assert_eq!(decide(&cause), expected, "{cause:?}");
        }
    }

    #[test]
    fn a_defect_is_a_class_of_its_own() {
        let cause = Cause::Defect("why".to_owned());
        assert_eq!(class(decide(&cause), &cause), Class::Defect);
    }

    #[test]
    fn delays_double_up_to_a_limit_and_follow_retry_after_up_to_another() {
        let busy = answer(503, "SlowDown");
        let delays: Vec<u32> = (1..=10).map(|attempts| delay_ms(attempts, &busy)).collect();
        assert_eq!(
            delays,
            [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 15_000, 15_000]
        );

        let asked = |retry_after_ms| {
            Cause::Error(ErrorReply {
                status: 503,
                retry_after_ms: Some(retry_after_ms),
                ..ErrorReply::default()
            })
        };
        assert_eq!(delay_ms(1, &asked(7_000)), 7_000);
        assert_eq!(delay_ms(9, &asked(7_000)), 15_000);
        assert_eq!(decide(&asked(60_000)), Retry);
        assert_eq!(decide(&asked(60_001)), GiveUp);
        assert_eq!(
            class(GiveUp, &asked(60_001)),
            Class::Unavailable {
                retry_after_ms: Some(60_001)
            }
        );
    }
}
