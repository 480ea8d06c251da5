//! Input: a line with a status and a checksum's number, lines with headers, an empty line, the body. Whatever a store
//! answers, each operation reads it as a reply that keeps its promises or as an error that fits in a log line.

use s3_destination::failure::Failure;
use s3_destination::imports::Response;
use s3_destination::s3::checksum::{Checksum, ObjectChecksum};
use s3_destination::s3::error::{Cause, S3Error};
use s3_destination::s3::reply::{self, MAX_UPLOAD_ID_BYTES, Reply};
use s3_destination::s3::request::Operation;
use s3_destination::s3::retry;
use s3_destination::settings::ChecksumAlgorithm;

/// What an operation's words, a hint and everything taken over from an answer can come to.
const MAX_ERROR_BYTES: usize = 8192;
/// More than a run ever waits before it sends a request again.
const MAX_DELAY_MS: u32 = 10 * 60 * 1000;

pub fn check(input: &[u8]) {
    let (response, checksum) = parsed(input);
    let sent = checksum.map(|algorithm| Checksum::of(algorithm, b"bytes"));
    for operation in operations(sent.as_ref()) {
        match reply::read(&operation, sent.as_ref(), &response) {
            Ok(reply) => {
                assert!((200..300).contains(&response.status));
                keeps_its_promise(&operation, &reply);
            }
            Err(cause) => fits_in_a_line(&operation, cause),
        }
    }
}

fn parsed(input: &[u8]) -> (Response, Option<ChecksumAlgorithm>) {
    let mut rest = input;
    let mut line = || {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let (line, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after.get(1..).unwrap_or_default();
        String::from_utf8_lossy(line).into_owned()
    };
    let first = line();
    let (status, checksum) = first.split_once(' ').unwrap_or((&first, ""));
    let mut headers = Vec::new();
    loop {
        let header = line();
        match header.split_once(": ") {
            Some((name, value)) => headers.push((name.to_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let response = Response {
        status: status.parse().unwrap_or(200),
        headers,
        body: rest.to_vec(),
    };
    let checksum = match checksum {
        "1" => Some(ChecksumAlgorithm::Crc64Nvme),
        "2" => Some(ChecksumAlgorithm::Crc32c),
        "3" => Some(ChecksumAlgorithm::Crc32),
        "4" => Some(ChecksumAlgorithm::Sha256),
        _ => None,
    };
    (response, checksum)
}

fn operations(sent: Option<&Checksum>) -> Vec<Operation> {
    let key = || "folder/file".to_owned();
    let upload_id = || "an upload".to_owned();
    let content_type = "text/plain";
    vec![
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
            bytes: 5,
            checksum: sent.map(ObjectChecksum::of_body),
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

fn keeps_its_promise(operation: &Operation, reply: &Reply) {
    let is_one_line = |text: &str| !text.is_empty() && !text.contains(char::is_control);
    match (operation, reply) {
        (
            Operation::PutObject { .. } | Operation::UploadPart { .. } | Operation::CompleteMultipartUpload { .. },
            Reply::Stored(stored),
        ) => {
            assert!(is_one_line(&stored.etag), "{stored:?}");
            let checksum = stored.checksum.as_deref();
            assert!(checksum.is_none_or(is_one_line), "{checksum:?}");
        }
        (Operation::CreateMultipartUpload { .. }, Reply::Created(created)) => {
            let upload_id = &created.upload_id;
            assert!(is_one_line(upload_id) && upload_id.len() <= MAX_UPLOAD_ID_BYTES);
        }
        (Operation::ListMultipartUploads { .. }, Reply::Uploads(uploads)) => {
            for upload in uploads {
                assert!(is_one_line(&upload.upload_id), "{upload:?}");
            }
        }
        (Operation::HeadObject { .. }, Reply::Head(head)) => {
            assert!(is_one_line(&head.etag), "{head:?}");
        }
        (Operation::GetObject { .. }, Reply::Body(_)) => {}
        (Operation::AbortMultipartUpload { .. } | Operation::DeleteObject { .. }, Reply::Done) => {}
        _ => panic!("{operation:?} was answered by {reply:?}"),
    }
}

fn fits_in_a_line(operation: &Operation, cause: Cause) {
    let decision = retry::decide(&cause);
    assert!(retry::delay_ms(1, &cause) <= MAX_DELAY_MS);
    assert!(retry::delay_ms(retry::MAX_ATTEMPTS, &cause) <= MAX_DELAY_MS);
    let error = S3Error {
        origin: "https://store.test".into(),
        operation: operation.kind(),
        bucket: "bucket".into(),
        key: operation.key().into(),
        class: retry::class(decision, &cause),
        doubtful: cause.may_have_taken_effect(),
        cause: Box::new(cause),
        attempts: 1,
        signed_region: "eu-central-1".into(),
        names_owner: false,
    };
    let said = error.to_string();
    assert!(said.len() <= MAX_ERROR_BYTES, "{} bytes", said.len());
    assert!(!said.contains(char::is_control), "{said:?}");
    match error.into_failure() {
        Failure::Refused(reason) | Failure::Unavailable { reason, .. } => {
            for text in [Some(reason.message), reason.hint].into_iter().flatten() {
                assert!(text.len() <= MAX_ERROR_BYTES && !text.contains(char::is_control));
            }
        }
        other => panic!("a store's answer failed as {other:?}"),
    }
}
