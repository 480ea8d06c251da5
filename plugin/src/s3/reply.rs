//! Replies: S3's responses parsed into types. Responses are untrusted: bounded, never assumed to be XML, and a success
//! counts only if it has what the operation promises.

use crate::imports::Response;
use crate::s3::checksum::Checksum;
use crate::s3::error::{Cause, ErrorReply, MESSAGE_LIMIT_CHARS};
use crate::s3::request::{ATTEMPT_HEADER, ENCRYPTION_HEADER, ENCRYPTION_KEY_HEADER, Operation, RUN_HEADER};
use crate::s3::xml::{self, Element};
use crate::settings::ChecksumAlgorithm;

/// Longest KMS key identifier. <https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html>
pub const MAX_KMS_KEY_ID_BYTES: usize = 2048;
/// Longest upload id that is accepted: S3's are about 130 bytes, those of other stores up to a few hundred. With a key
/// of 1,024 bytes a note of both stays under the contract's 4 KiB.
pub const MAX_UPLOAD_ID_BYTES: usize = 2_048;
/// Longest code, request id, region or ETag taken over from a response.
const MAX_NAME_CHARS: usize = 200;

/// A successful reply, as promised by its operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// An object or a part is stored.
    Stored(Stored),
    /// An upload is open.
    Created(Created),
    /// The properties of an object according to HEAD.
    Head(ObjectHead),
    /// An object's bytes.
    Body(Vec<u8>),
    /// Open uploads.
    Uploads(Vec<ListedUpload>),
    /// Deleted or aborted, without further data.
    Done,
}

/// A type that a caller expects the reply to its operation to have.
pub trait FromReply: Sized {
    /// Converts a reply; `None` for the reply to another operation, which only a defect of the plugin can cause.
    fn from_reply(reply: Reply) -> Option<Self>;
}

/// The reply to PutObject, UploadPart and CompleteMultipartUpload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Exactly as in the header; never empty.
    pub etag: String,
    /// The store's checksum, base64, perhaps with `-<parts>`.
    pub checksum: Option<String>,
    /// What the store says about the encryption of the object.
    pub encryption: ServerSide,
}

/// The reply to CreateMultipartUpload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    pub upload_id: String,
    /// What the store says about the future encryption of the object.
    pub encryption: ServerSide,
}

/// The properties of an object according to HEAD.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectHead {
    pub bytes: u64,
    pub etag: String,
    /// The run that wrote it, if it was this plugin.
    pub run_id: Option<String>,
    pub attempt: Option<String>,
    /// The store's checksums of it; some stores keep several.
    pub checksums: Vec<(ChecksumAlgorithm, String)>,
    pub encryption: ServerSide,
}

impl ObjectHead {
    /// Returns whether this run wrote it, in any attempt.
    pub fn is_of(&self, run_id: &str) -> bool {
        self.run_id.as_deref() == Some(run_id)
    }

    /// Returns the store's checksum for this algorithm.
    pub fn checksum(&self, algorithm: ChecksumAlgorithm) -> Option<&str> {
        let found = self.checksums.iter().find(|(other, _)| *other == algorithm);
        found.map(|(_, text)| text.as_str())
    }
}

/// What the store says about server-side encryption.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerSide {
    /// `AES256` or `aws:kms`; absent if it says nothing.
    pub algorithm: Option<String>,
    /// The KMS key, usually as an ARN.
    pub key_id: Option<String>,
}

/// An open upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedUpload {
    pub key: String,
    pub upload_id: String,
}

impl FromReply for Stored {
    fn from_reply(reply: Reply) -> Option<Self> {
        match reply {
            Reply::Stored(stored) => Some(stored),
            _ => None,
        }
    }
}

impl FromReply for Created {
    fn from_reply(reply: Reply) -> Option<Self> {
        match reply {
            Reply::Created(created) => Some(created),
            _ => None,
        }
    }
}

impl FromReply for ObjectHead {
    fn from_reply(reply: Reply) -> Option<Self> {
        match reply {
            Reply::Head(head) => Some(head),
            _ => None,
        }
    }
}

/// The reply to GetObject.
impl FromReply for Vec<u8> {
    fn from_reply(reply: Reply) -> Option<Self> {
        match reply {
            Reply::Body(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// The reply to ListMultipartUploads.
impl FromReply for Vec<ListedUpload> {
    fn from_reply(reply: Reply) -> Option<Self> {
        match reply {
            Reply::Uploads(uploads) => Some(uploads),
            _ => None,
        }
    }
}

/// The reply to AbortMultipartUpload and DeleteObject.
impl FromReply for () {
    fn from_reply(reply: Reply) -> Option<Self> {
        match reply {
            Reply::Done => Some(()),
            _ => None,
        }
    }
}

/// Reads the response to an operation; `sent` is the checksum of the data it carried.
pub fn read(operation: &Operation, sent: Option<&Checksum>, response: &Response) -> Result<Reply, Cause> {
    if !(200..300).contains(&response.status) {
        return Err(Cause::Error(error_reply(response)));
    }
    let malformed = |what: String| Cause::Malformed {
        status: response.status,
        what,
    };
    let encryption = server_side(response);
    match operation {
        Operation::PutObject { .. } | Operation::UploadPart { .. } => {
            let etag = response
                .header("etag")
                .and_then(name)
                .ok_or_else(|| malformed("its response contains no ETag".into()))?;
            let checksum = sent
                .and_then(|sent| response.header(sent.algorithm().header()))
                .and_then(name);
            if let (Some(sent), Some(stored)) = (sent, &checksum)
                && sent.base64() != *stored
            {
                return Err(Cause::Damaged {
                    status: response.status,
                });
            }
            Ok(Reply::Stored(Stored {
                etag,
                checksum,
                encryption,
            }))
        }
        Operation::CreateMultipartUpload { .. } => {
            let root = document(response, "InitiateMultipartUploadResult")?;
            match root.child_text("UploadId") {
                Some(id) if is_upload_id(id) => Ok(Reply::Created(Created {
                    upload_id: id.to_owned(),
                    encryption,
                })),
                _ => Err(malformed("its response contains no usable UploadId".into())),
            }
        }
        Operation::CompleteMultipartUpload { checksum, .. } => {
            let root = document(response, "CompleteMultipartUploadResult")?;
            let etag = root
                .child_text("ETag")
                .and_then(name)
                .ok_or_else(|| malformed("its response contains no ETag".into()))?;
            let checksum = checksum
                .as_ref()
                .and_then(|ours| root.child_text(ours.algorithm().element()))
                .and_then(name);
            Ok(Reply::Stored(Stored {
                etag,
                checksum,
                encryption,
            }))
        }
        Operation::ListMultipartUploads { .. } => Ok(Reply::Uploads(listed(&document(
            response,
            "ListMultipartUploadsResult",
        )?))),
        Operation::HeadObject { .. } => head(response).map(Reply::Head).map_err(malformed),
        Operation::GetObject { .. } => Ok(Reply::Body(response.body.clone())),
        Operation::AbortMultipartUpload { .. } | Operation::DeleteObject { .. } => Ok(Reply::Done),
    }
}

/// Returns whether a response, as parsed, is one that only an S3 store would give: with an S3 document or a request id.
pub fn is_s3(read: &Result<Reply, Cause>, response: &Response) -> bool {
    match read {
        Ok(Reply::Created(_) | Reply::Uploads(_)) => true,
        Err(Cause::Error(reply)) if reply.code.is_some() => true,
        Ok(_) | Err(Cause::Error(_)) => response.header("x-amz-request-id").is_some(),
        Err(_) => false,
    }
}

/// Returns the document of a success. Stores begin to respond before they know the outcome, so a 200 may carry an
/// error.
fn document(response: &Response, expected: &str) -> Result<Element, Cause> {
    let malformed = |what: String| Cause::Malformed {
        status: response.status,
        what,
    };
    // What is wrong may quote the response.
    let root = xml::parse(&response.body).map_err(|what| malformed(clean(&what, MESSAGE_LIMIT_CHARS)))?;
    match root.name.as_str() {
        "Error" => Err(Cause::Error(error_reply(response))),
        name if name == expected => Ok(root),
        other => Err(malformed(format!(
            "`{}` instead of `{expected}`",
            clean(other, MAX_NAME_CHARS)
        ))),
    }
}

fn listed(root: &Element) -> Vec<ListedUpload> {
    let uploads = root.children.iter().filter(|child| child.name == "Upload");
    let uploads = uploads.filter_map(|upload| {
        // Keys are compared as they are: not trimmed.
        let key = upload.children.iter().find(|child| child.name == "Key")?.text.clone();
        let upload_id = upload.child_text("UploadId").filter(|id| is_upload_id(id))?.to_owned();
        Some(ListedUpload { key, upload_id })
    });
    uploads.collect()
}

fn server_side(response: &Response) -> ServerSide {
    // The key's id may be as long as the configured one, and is compared in full.
    let key_id = response
        .header(ENCRYPTION_KEY_HEADER)
        .filter(|id| id.len() <= MAX_KMS_KEY_ID_BYTES && !id.is_empty());
    ServerSide {
        algorithm: response.header(ENCRYPTION_HEADER).and_then(name),
        key_id: key_id.map(|id| clean(id, MAX_KMS_KEY_ID_BYTES)),
    }
}

fn head(response: &Response) -> Result<ObjectHead, String> {
    let checksum = |algorithm: &ChecksumAlgorithm| {
        let text = response.header(algorithm.header()).and_then(name)?;
        Some((*algorithm, text))
    };
    let bytes = response
        .header("content-length")
        .and_then(|text| text.trim().parse().ok());
    let etag = response.header("etag").and_then(name);
    let lacks = |what: &str| format!("its response contains no {what}");
    Ok(ObjectHead {
        bytes: bytes.ok_or_else(|| lacks("Content-Length"))?,
        etag: etag.ok_or_else(|| lacks("ETag"))?,
        run_id: response.header(RUN_HEADER).and_then(name),
        attempt: response.header(ATTEMPT_HEADER).and_then(name),
        checksums: ChecksumAlgorithm::ALL.iter().filter_map(checksum).collect(),
        encryption: server_side(response),
    })
}

fn error_reply(response: &Response) -> ErrorReply {
    let document = xml::parse(&response.body).ok().filter(|root| root.name == "Error");
    let text = |name: &str| document.as_ref().and_then(|root| root.child_text(name));
    let message = match (&document, text("Message")) {
        (_, Some(message)) => clean(message, MESSAGE_LIMIT_CHARS),
        (Some(_), None) => String::new(),
        (None, None) => clean(&String::from_utf8_lossy(beginning(&response.body)), MESSAGE_LIMIT_CHARS),
    };
    ErrorReply {
        status: response.status,
        code: text("Code").and_then(name),
        message,
        request_id: response
            .header("x-amz-request-id")
            .or_else(|| text("RequestId"))
            .and_then(name),
        region: response
            .header("x-amz-bucket-region")
            .or_else(|| text("Region"))
            .and_then(name),
        retry_after_ms: response.header("retry-after").and_then(retry_after_ms),
    }
}

/// Parses seconds only: for the form with a date the plugin would need a clock, and S3 does not use it.
fn retry_after_ms(value: &str) -> Option<u64> {
    value.trim().parse::<u64>().ok()?.checked_mul(1_000)
}

/// Returns enough of a body for a message, whatever its size.
fn beginning(body: &[u8]) -> &[u8] {
    &body[..body.len().min(MESSAGE_LIMIT_CHARS * 4)]
}

/// Returns whether this is a usable upload id: it is used in URLs, where it is encoded, and in notes, where it must be
/// a single line.
fn is_upload_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= MAX_UPLOAD_ID_BYTES && !id.chars().any(char::is_control)
}

fn name(text: &str) -> Option<String> {
    Some(clean(text, MAX_NAME_CHARS)).filter(|text| !text.is_empty())
}

/// Returns one line with control characters escaped, cut to the limit.
fn clean(text: &str, limit_chars: usize) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        for character in word.chars() {
            match character.is_control() {
                true => line.extend(character.escape_default()),
                false => line.push(character),
            }
        }
    }
    match line.char_indices().nth(limit_chars) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests;
