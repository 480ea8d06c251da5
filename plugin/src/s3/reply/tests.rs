//! What answers come to: successes, errors with their words, and anything else a network can say.

use proptest::prelude::*;

use super::*;
use crate::imports::TransportError;
use crate::s3::checksum::Checksum;
use crate::s3::error::{Class, S3Error};
use crate::s3::retry;

fn key() -> String {
    "folder/file".into()
}

fn put() -> Operation {
    Operation::PutObject {
        key: key(),
        content_type: "text/plain",
    }
}

fn create() -> Operation {
    Operation::CreateMultipartUpload {
        key: key(),
        content_type: "text/plain",
    }
}

fn complete() -> Operation {
    Operation::CompleteMultipartUpload {
        key: key(),
        upload_id: "id".into(),
        bytes: 1,
        checksum: None,
    }
}

fn head() -> Operation {
    Operation::HeadObject { key: key() }
}

fn list() -> Operation {
    Operation::ListMultipartUploads { prefix: key() }
}

fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    Response {
        status,
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
        body: body.as_bytes().to_vec(),
    }
}

/// The error as the client would build it, of an operation signed for `us-east-1`.
fn error(operation: &Operation, cause: Cause) -> S3Error {
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
    }
}

#[test]
fn successes() {
    let stored = Reply::Stored(Stored {
        etag: "\"e\"".into(),
        checksum: None,
        encryption: ServerSide::default(),
    });
    assert_eq!(
        read(&put(), None, &response(200, &[("etag", "\"e\"")], "")),
        Ok(stored.clone())
    );
    let body = "<InitiateMultipartUploadResult xmlns='x'><Bucket>b</Bucket><UploadId>a&amp;b</UploadId></InitiateMultipartUploadResult>";
    assert_eq!(
        read(&create(), None, &response(200, &[], body)),
        Ok(Reply::Created(Created {
            upload_id: "a&b".into(),
            encryption: ServerSide::default(),
        }))
    );
    // S3 keeps the connection alive with white space until the outcome is known.
    let body = "<?xml version=\"1.0\"?>\n   \n<CompleteMultipartUploadResult><ETag>&quot;e&quot;</ETag></CompleteMultipartUploadResult>";
    assert_eq!(read(&complete(), None, &response(200, &[], body)), Ok(stored));
    let headers = [
        ("content-length", "12"),
        ("etag", "\"e\""),
        ("x-amz-meta-batch-export-run", "r"),
        ("x-amz-meta-batch-export-attempt", "a"),
        ("x-amz-checksum-sha256", "AAAA-2"),
        ("x-amz-checksum-crc32", "AAAAAA=="),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "arn:1"),
    ];
    let expected = ObjectHead {
        bytes: 12,
        etag: "\"e\"".into(),
        run_id: Some("r".into()),
        attempt: Some("a".into()),
        checksums: vec![
            (ChecksumAlgorithm::Crc32, "AAAAAA==".into()),
            (ChecksumAlgorithm::Sha256, "AAAA-2".into()),
        ],
        encryption: ServerSide {
            algorithm: Some("aws:kms".into()),
            key_id: Some("arn:1".into()),
        },
    };
    assert_eq!(
        read(&head(), None, &response(200, &headers, "")),
        Ok(Reply::Head(expected))
    );
    let body = "<ListMultipartUploadsResult><Upload><Key>a &amp; b</Key><UploadId>1</UploadId></Upload>\
                <Upload><Key>no id</Key></Upload></ListMultipartUploadsResult>";
    let expected = vec![ListedUpload {
        key: "a & b".into(),
        upload_id: "1".into(),
    }];
    assert_eq!(
        read(&list(), None, &response(200, &[], body)),
        Ok(Reply::Uploads(expected))
    );
}

#[test]
fn a_success_without_what_it_promises_is_none() {
    let sent = Checksum::of(ChecksumAlgorithm::Crc32, b"x");
    let long_id = format!(
        "<InitiateMultipartUploadResult><UploadId>{}</UploadId></InitiateMultipartUploadResult>",
        "i".repeat(5_000)
    );
    let table = [
        (put(), response(200, &[], ""), "it has no ETag"),
        (put(), response(200, &[("etag", " ")], ""), "it has no ETag"),
        (
            create(),
            response(200, &[], "<html>hello</html>"),
            "`html` instead of `InitiateMultipartUploadResult`",
        ),
        (
            create(),
            response(200, &[], "<!DOCTYPE html>"),
            "a web page rather than XML",
        ),
        (create(), response(200, &[], ""), "no complete XML document"),
        (
            create(),
            response(200, &[], "<InitiateMultipartUploadResult/>"),
            "it has no usable UploadId",
        ),
        (create(), response(200, &[], &long_id), "it has no usable UploadId"),
        (
            complete(),
            response(200, &[], "<CompleteMultipartUploadResult/>"),
            "it has no ETag",
        ),
        (
            head(),
            response(200, &[("etag", "e")], ""),
            "it has no Content-Length or ETag",
        ),
    ];
    for (operation, response, expected) in table {
        let cause = read(&operation, Some(&sent), &response).unwrap_err();
        assert_eq!(
            cause,
            Cause::Malformed {
                status: 200,
                what: expected.into()
            }
        );
        assert!(cause.may_have_taken_effect());
    }
    let other = response(200, &[("etag", "e"), ("x-amz-checksum-crc32", "AAAAAA==")], "");
    let cause = read(&put(), Some(&sent), &other).unwrap_err();
    assert_eq!(cause, Cause::Damaged { status: 200 });
    assert!(cause.may_have_taken_effect());
}

#[test]
fn a_200_with_an_error_is_an_error() {
    let body = "<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>";
    let cause = read(&complete(), None, &response(200, &[], body)).unwrap_err();
    assert!(cause.may_have_taken_effect());
    assert_eq!(retry::decide(&cause), retry::Decision::Retry);
}

/// Real responses and what people read.
#[test]
fn errors_say_everything_and_the_way_out() {
    let prefix = "PutObject of `folder/file` in bucket `bucket` failed: ";
    let table: [(Response, &str); 15] = [
        (
            response(
                403,
                &[("x-amz-request-id", "R1")],
                "<Error><Code>SignatureDoesNotMatch</Code><Message>It does not match.</Message></Error>",
            ),
            "403 SignatureDoesNotMatch: It does not match. (request id R1, 1 attempt); check aws_secret_access_key; behind a proxy, check that it passes path and headers on unchanged",
        ),
        (
            response(
                403,
                &[],
                "<Error><Code>InvalidAccessKeyId</Code><RequestId>R2</RequestId></Error>",
            ),
            "403 InvalidAccessKeyId (request id R2, 1 attempt); check aws_access_key_id: this store does not know it; temporary credentials also need aws_session_token",
        ),
        (
            response(
                403,
                &[],
                "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
            ),
            "403 AccessDenied: Access Denied (1 attempt); the credentials need s3:PutObject on this key (and the bucket policy must not deny it)",
        ),
        (
            response(
                403,
                &[],
                "<Error><Code>AccessDenied</Code><Message>not authorized to perform: kms:GenerateDataKey</Message></Error>",
            ),
            "403 AccessDenied: not authorized to perform: kms:GenerateDataKey (1 attempt); the credentials need kms:GenerateDataKey and kms:Decrypt on the key, and it must be enabled and in the bucket's region: check kms_key_id",
        ),
        (
            response(400, &[], "<Error><Code>KMS.NotFoundException</Code></Error>"),
            "400 KMS.NotFoundException (1 attempt); the credentials need kms:GenerateDataKey and kms:Decrypt on the key, and it must be enabled and in the bucket's region: check kms_key_id",
        ),
        (
            response(404, &[], "<Error><Code>NoSuchBucket</Code></Error>"),
            "404 NoSuchBucket (1 attempt); check bucket_name, region and endpoint_url",
        ),
        (
            response(
                400,
                &[],
                "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-3</Region></Error>",
            ),
            "400 AuthorizationHeaderMalformed (1 attempt); the bucket is in region `eu-west-3`, the configuration says `us-east-1`: set region to `eu-west-3`",
        ),
        (
            response(301, &[("x-amz-bucket-region", "eu-west-3")], ""),
            "301 (1 attempt); the bucket is in region `eu-west-3`, the configuration says `us-east-1`: set region to `eu-west-3`",
        ),
        (
            response(302, &[("location", "https://elsewhere.test/")], ""),
            "302 (1 attempt); the store redirects, and redirects are not followed: set region and endpoint_url to where the bucket is",
        ),
        (
            response(303, &[("location", "https://elsewhere.test/")], ""),
            "303 (1 attempt); the store redirects, and redirects are not followed: set region and endpoint_url to where the bucket is",
        ),
        (
            response(400, &[], "<Error><Code>EntityTooLarge</Code></Error>"),
            "400 EntityTooLarge (1 attempt); the store takes no object or part of this size: lower max_file_size_mb",
        ),
        (
            response(400, &[], "<html>\u{1b}[31m\r\n<b>Bad   Request</b></html>"),
            "400: <html> [31m <b>Bad Request</b></html> (1 attempt); something other than an S3 store (a proxy, a web page) seems to respond: check endpoint_url",
        ),
        (
            response(404, &[], "<html>nothing here</html>"),
            "404: <html>nothing here</html> (1 attempt); something other than an S3 store (a proxy, a web page) seems to respond: check endpoint_url",
        ),
        (
            response(403, &[], "Forbidden by the gateway"),
            "403: Forbidden by the gateway (1 attempt); something other than an S3 store (a proxy, a web page) seems to respond: check endpoint_url",
        ),
        (
            response(403, &[], ""),
            "403 (1 attempt); the credentials need s3:PutObject on this key (and the bucket policy must not deny it)",
        ),
    ];
    for (response, expected) in table {
        let error = error(&put(), read(&put(), None, &response).unwrap_err());
        assert_eq!(error.to_string(), format!("{prefix}{expected}"));
        assert_eq!(error.class, Class::Refused);
        assert!(!error.cause.may_have_taken_effect());
    }
}

/// Not worth repeating now, but a later run may find the bucket in its place.
#[test]
fn a_redirect_for_now_may_be_over_at_the_next_run() {
    let way_out = "the bucket is reached at another endpoint at present, as in the first hours of a new one, and redirects are not followed: run again later, or set region and endpoint_url to where it is";
    for (body, said) in [
        ("", "307"),
        (
            "<Error><Code>TemporaryRedirect</Code><Message>Please re-send.</Message></Error>",
            "307 TemporaryRedirect: Please re-send.",
        ),
    ] {
        let error = error(&put(), read(&put(), None, &response(307, &[], body)).unwrap_err());
        assert_eq!(
            error.to_string(),
            format!("PutObject of `folder/file` in bucket `bucket` failed: {said} (1 attempt); {way_out}")
        );
        assert_eq!(error.class, Class::Unavailable { retry_after_ms: None });
    }
}

#[test]
fn what_is_quoted_of_a_malformed_answer_is_one_short_line() {
    let body = format!("<A></\u{1b}[2J\r\n{}>", "b".repeat(3_000));
    let cause = read(&create(), None, &response(200, &[], &body)).unwrap_err();
    let text = error(&create(), cause).to_string();
    assert!(text.contains("no well-formed XML") && text.contains("…"), "{text}");
    assert!(
        text.chars().count() < 1_000 && !text.contains(char::is_control),
        "{text:?}"
    );
}

#[test]
fn transport_errors_say_the_way_out() {
    let error = error(&put(), Cause::Transport(TransportError::Tls("name mismatch".into())));
    assert!(
        error
            .to_string()
            .contains("TLS failed: name mismatch (1 attempt); check that the certificate is valid")
    );
    assert_eq!(error.class, Class::Refused);
    let plain = "h: the server speaks plain HTTP; use http://".to_owned();
    let error = self::error(&put(), Cause::Transport(TransportError::Tls(plain)));
    assert!(error.to_string().ends_with("use http:// (1 attempt)"), "{error}");
}

#[test]
fn retry_after_reaches_the_scheduler() {
    let cause = read(&put(), None, &response(503, &[("retry-after", "120")], "")).unwrap_err();
    assert_eq!(
        error(&put(), cause).class,
        Class::Unavailable {
            retry_after_ms: Some(120_000)
        }
    );
    for unusable in ["soon", "-1", "99999999999999999999", "Wed, 21 Oct 2026 07:28:00 GMT"] {
        let cause = read(&put(), None, &response(503, &[("retry-after", unusable)], "")).unwrap_err();
        assert_eq!(error(&put(), cause).class, Class::Unavailable { retry_after_ms: None });
    }
}

proptest! {
    #[test]
    fn any_answer_is_taken_and_messages_stay_short(
        status in 100_u16..1000,
        body in prop::collection::vec(any::<u8>(), 0..3_000),
        header in "\\PC{0,500}",
    ) {
        let headers = ["etag", "x-amz-request-id", "x-amz-bucket-region", "retry-after", "content-length"]
            .map(|name| (name.to_owned(), header.clone()))
            .to_vec();
        let response = Response { status, headers, body };
        for operation in [put(), create(), complete(), head(), list()] {
            if let Err(cause) = read(&operation, None, &response) {
                let text = error(&operation, cause).to_string();
                prop_assert!(text.chars().count() < 1_500 && !text.contains(char::is_control), "{}", text);
            }
        }
    }
}
