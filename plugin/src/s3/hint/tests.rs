//! What people are told of refusals: what happened in the message, and what to do in the hint. Sends nothing.

use super::*;
use crate::failure::Explanation;
use crate::imports::Response;
use crate::s3::error::Class;
use crate::s3::reply;
use crate::s3::request::Operation;
use crate::s3::retry;

const GRANT: &str = "grant s3:PutObject on `bucket/folder/file`, and check that no policy of the bucket denies it";

/// One operation of each kind.
fn operations() -> [Operation; 9] {
    let key = || "folder/file".to_owned();
    let upload_id = || "id".to_owned();
    let content_type = "text/plain";
    [
        Operation::PutObject {
            key: key(),
            content_type,
        },
        Operation::CreateMultipartUpload {
            key: key(),
            content_type,
        },
        Operation::UploadPart {
            key: key(),
            upload_id: upload_id(),
            part_number: 1,
        },
        Operation::CompleteMultipartUpload {
            key: key(),
            upload_id: upload_id(),
            bytes: 1,
            checksum: None,
        },
        Operation::AbortMultipartUpload {
            key: key(),
            upload_id: upload_id(),
        },
        Operation::ListMultipartUploads { prefix: key() },
        Operation::HeadObject { key: key() },
        Operation::GetObject { key: key() },
        Operation::DeleteObject { key: key() },
    ]
}

fn put() -> Operation {
    let [put, ..] = operations();
    put
}

/// Status, headers, body, message and hint.
type Refusal<'a> = (u16, &'a [(&'a str, &'a str)], &'a str, String, &'a str);
/// An error of the host's, its text and the hint that the plugin has for it.
type HostsError<'a> = (fn(Explanation) -> Cause, &'a str, Option<&'a str>);

fn refused(operation: &Operation, status: u16, headers: &[(&str, &str)], body: &str) -> S3Error {
    let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    let response = Response {
        status,
        headers: headers.collect(),
        body: body.as_bytes().to_vec(),
    };
    S3Error::sample(operation, reply::read(operation, None, &response).unwrap_err())
}

fn coded(code: &str) -> String {
    format!("<Error><Code>{code}</Code></Error>")
}

/// Real responses and what people read.
#[test]
fn errors_say_what_happened_and_the_way_out() {
    let of_region = "set region to `eu-west-3`";
    let there = ", because the bucket is in region `eu-west-3`, but region is set to `us-east-1`";
    let table: [Refusal; 16] = [
        (
            403,
            &[("x-amz-request-id", "R1")],
            "<Error><Code>SignatureDoesNotMatch</Code><Message>It does not match.</Message></Error>",
            "403 SignatureDoesNotMatch: It does not match. (request id R1, 1 attempt)".into(),
            "check aws_secret_access_key; if there is a proxy in front of the store, check that it forwards path and \
             headers unchanged",
        ),
        (
            403,
            &[],
            "<Error><Code>InvalidAccessKeyId</Code><RequestId>R2</RequestId></Error>",
            "403 InvalidAccessKeyId (request id R2, 1 attempt)".into(),
            ACCESS_KEY,
        ),
        (
            403,
            &[],
            "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
            "403 AccessDenied: Access Denied (1 attempt)".into(),
            GRANT,
        ),
        (
            403,
            &[],
            "<Error><Code>AccessDenied</Code><Message>not authorized to perform: kms:GenerateDataKey</Message></Error>",
            "403 AccessDenied: not authorized to perform: kms:GenerateDataKey (1 attempt)".into(),
            KMS,
        ),
        (
            400,
            &[],
            &coded("KMS.NotFoundException"),
            "400 KMS.NotFoundException (1 attempt)".into(),
            KMS,
        ),
        (
            404,
            &[],
            &coded("NoSuchBucket"),
            "404 NoSuchBucket (1 attempt)".into(),
            "create the bucket, or check bucket_name, region and endpoint_url",
        ),
        (
            400,
            &[],
            "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-3</Region></Error>",
            format!("400 AuthorizationHeaderMalformed{there} (1 attempt)"),
            of_region,
        ),
        (
            301,
            &[("x-amz-bucket-region", "eu-west-3")],
            "",
            format!("301{there} (1 attempt)"),
            of_region,
        ),
        (
            400,
            &[("x-amz-bucket-region", "eu-west-3")],
            "",
            format!("400{there} (1 attempt)"),
            of_region,
        ),
        (
            302,
            &[("location", "https://elsewhere.test/")],
            "",
            "302 (1 attempt)".into(),
            REDIRECTED,
        ),
        (
            400,
            &[],
            &coded("EntityTooLarge"),
            "400 EntityTooLarge (1 attempt)".into(),
            "lower max_file_size_mb: the store does not accept objects or parts of this size",
        ),
        (
            400,
            &[],
            "<html>\u{1b}[31m\r\n<b>Bad   Request</b></html>",
            "400: <html>\\u{1b}[31m <b>Bad Request</b></html> (1 attempt)".into(),
            NOT_S3,
        ),
        (
            404,
            &[],
            "<html>nothing here</html>",
            "404: <html>nothing here</html> (1 attempt)".into(),
            NOT_S3,
        ),
        (
            403,
            &[],
            "Forbidden by the gateway",
            "403: Forbidden by the gateway (1 attempt)".into(),
            NOT_S3,
        ),
        (404, &[], "", "404 (1 attempt)".into(), BUCKET),
        (501, &[], "", "501 (1 attempt)".into(), MISSING_FEATURE),
    ];
    for (status, headers, body, message, hint) in table {
        let error = refused(&put(), status, headers, body);
        let message = format!("PutObject of `folder/file` in bucket `bucket` failed: {message}");
        assert_eq!(
            error.explanation(),
            Explanation::new(message).with_hint(hint.to_owned())
        );
        assert_eq!(error.class, Class::Refused, "{status} {body}");
        assert!(!error.cause.may_have_taken_effect() || status >= 500);
    }
}

/// HEAD gets no reason: wrong keys and a missing permission look alike, so both are named.
#[test]
fn a_403_without_a_body_names_both_possibilities() {
    for (operation, action) in operations().iter().zip([
        "s3:PutObject on `bucket/folder/file`",
        "s3:PutObject on `bucket/folder/file`",
        "s3:PutObject on `bucket/folder/file`",
        "s3:PutObject on `bucket/folder/file`",
        "s3:AbortMultipartUpload on `bucket/folder/file`",
        "s3:ListBucketMultipartUploads on the bucket `bucket`",
        "s3:GetObject on `bucket/folder/file`",
        "s3:GetObject on `bucket/folder/file`",
        "s3:DeleteObject on `bucket/folder/file`",
    ]) {
        let grant = format!("grant {action}, and check that no policy of the bucket denies it");
        let silent = refused(operation, 403, &[], "").explanation();
        assert_eq!(silent.hint, Some(format!("{KEYS}; {grant}")));
        let denied = refused(operation, 403, &[], &coded("AccessDenied"));
        assert_eq!(denied.explanation().hint, Some(grant.clone()));
        let owned = S3Error {
            names_owner: true,
            ..denied
        };
        let owner = ", and that expected_bucket_owner is the account that owns it";
        assert_eq!(owned.explanation().hint, Some(format!("{grant}{owner}")));
    }
}

/// Not worth repeating now, but a later run may find the bucket in its place.
#[test]
fn a_redirect_for_now_may_be_over_at_the_next_run() {
    for (body, said) in [
        ("", "307"),
        (
            "<Error><Code>TemporaryRedirect</Code><Message>Please re-send.</Message></Error>",
            "307 TemporaryRedirect: Please re-send.",
        ),
    ] {
        let error = refused(&put(), 307, &[], body);
        let message = format!("PutObject of `folder/file` in bucket `bucket` failed: {said} (1 attempt)");
        let told = Explanation::new(message).with_hint(REDIRECTED_FOR_NOW.to_owned());
        assert_eq!(error.explanation(), told);
        assert_eq!(error.class, Class::Unavailable { retry_after_ms: None });
    }
}

/// Every code that any table knows, with every operation: a refusal has a hint, and no message holds it.
#[test]
fn each_refusal_of_a_known_kind_has_a_hint_of_its_own() {
    let hints = HINTS.iter().flat_map(|(codes, _)| codes.iter().copied());
    let decided = retry::CODES.iter().map(|(code, _)| *code);
    let kms = ["KMS.DisabledException", "KMS.ThrottlingException"];
    let codes = hints.chain(decided).chain(retry::PERMANENT.iter().copied()).chain(kms);
    for code in codes {
        for operation in operations() {
            let error = refused(&operation, 400, &[], &coded(code));
            let Explanation { message, hint } = error.explanation();
            let is_for_good = error.class == Class::Refused;
            assert!(hint.is_some() || !is_for_good, "{code} of {operation:?}: no hint");
            assert!(message.ends_with(&format!("400 {code} (1 attempt)")), "{message}");
        }
    }
    for status in [300, 301, 302, 303, 308, 400, 401, 403, 404, 405, 412, 413, 501, 505] {
        for operation in operations() {
            let error = refused(&operation, status, &[], "");
            let told = error.explanation();
            assert!(
                told.hint.is_some() && error.class == Class::Refused,
                "{status}: {told:?}"
            );
            assert!(told.message.ends_with(&format!("{status} (1 attempt)")), "{told:?}");
        }
    }
}

/// What the host says of its own settings comes first; where it says nothing, the plugin says what it knows.
#[test]
fn the_hosts_hint_comes_before_the_plugins() {
    let told = |said: &str, hint: Option<&str>| Explanation::new(said).with_hint(hint.map(str::to_owned));
    let without = told("why", None);
    let with = told("why", Some("set ca_file"));
    let cases: [HostsError; 9] = [
        (
            |said| Cause::Transport(TransportError::Connect(said)),
            "no connection: why",
            Some(NO_CONNECTION),
        ),
        (
            |said| Cause::Transport(TransportError::Tls(said)),
            "TLS failed: why",
            Some(CERTIFICATE),
        ),
        (
            |said| Cause::Transport(TransportError::TooLarge(said)),
            "the response is too large: why",
            Some(NOT_S3),
        ),
        (
            |said| Cause::Transport(TransportError::Forbidden(said)),
            "the host does not allow the request: why",
            None,
        ),
        (
            |said| Cause::Transport(TransportError::Timeout(said)),
            "no response in time: why",
            Some(SILENT),
        ),
        (|said| Cause::Transport(TransportError::Interrupted(said)), "why", None),
        (
            |said| Cause::Signer(SignerError::Forbidden(said)),
            "the host refuses to sign this request: why",
            None,
        ),
        (
            |said| Cause::Signer(SignerError::Missing(said)),
            "no credentials: why",
            None,
        ),
        (
            |said| Cause::Signer(SignerError::Unavailable(said)),
            "credentials are currently unavailable: why",
            None,
        ),
    ];
    for (cause, message, hint) in cases {
        let message = format!("PutObject of `folder/file` in bucket `bucket` failed: {message} (1 attempt)");
        let error = |said: &Explanation| S3Error::sample(&put(), cause(said.clone())).explanation();
        assert_eq!(error(&without), told(&message, hint));
        assert_eq!(error(&with), told(&message, Some("set ca_file")));
    }
    let to_aws = S3Error {
        origin: "https://bucket.s3.cn-north-1.amazonaws.com.cn".into(),
        ..S3Error::sample(&put(), Cause::Transport(TransportError::Connect(without)))
    };
    assert_eq!(to_aws.explanation().hint.as_deref(), Some(NO_CONNECTION_TO_AWS));
}
