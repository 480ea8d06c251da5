//! What answers come to: successes, errors with their words, and anything else a network can say.

use proptest::prelude::*;

use super::*;
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

fn error(operation: &Operation, cause: Cause) -> S3Error {
    S3Error::sample(operation, cause)
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
        (put(), response(200, &[], ""), "its response contains no ETag"),
        (
            put(),
            response(200, &[("etag", " ")], ""),
            "its response contains no ETag",
        ),
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
            "its response contains no usable UploadId",
        ),
        (
            create(),
            response(200, &[], &long_id),
            "its response contains no usable UploadId",
        ),
        (
            complete(),
            response(200, &[], "<CompleteMultipartUploadResult/>"),
            "its response contains no ETag",
        ),
        (
            head(),
            response(200, &[("etag", "e")], ""),
            "its response contains no Content-Length",
        ),
        (
            head(),
            response(200, &[("content-length", "7")], ""),
            "its response contains no ETag",
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
