//! The S3 operations with the exact method, URL and headers of each. Neither signs nor sends.

use std::fmt;

use crate::imports::Method;
use crate::s3::checksum::{Checksum, ObjectChecksum};
use crate::s3::endpoint::{Endpoint, canonical_query};
use crate::settings::{Encryption, ObjectSettings, PayloadSigning, Run, Settings};

/// Metadata that names the run on everything it creates: together with the attempt, it proves whose an object is.
pub const RUN_HEADER: &str = "x-amz-meta-batch-export-run";
/// Metadata that names the attempt on everything it creates.
pub const ATTEMPT_HEADER: &str = "x-amz-meta-batch-export-attempt";

/// Header that requests server-side encryption, and in a response confirms it.
pub const ENCRYPTION_HEADER: &str = "x-amz-server-side-encryption";
/// Header that names the KMS key to encrypt with, and in a response the one that was used.
pub const ENCRYPTION_KEY_HEADER: &str = "x-amz-server-side-encryption-aws-kms-key-id";

/// An operation that the plugin requests from S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Write an object with one request.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>
    PutObject { key: String, content_type: &'static str },
    /// Begin a multipart upload.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html>
    CreateMultipartUpload { key: String, content_type: &'static str },
    /// Write one part of an upload; a part written again replaces the earlier one.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html>
    UploadPart {
        key: String,
        upload_id: String,
        part_number: u32,
    },
    /// Make the object of the uploaded parts (the body lists them: [`complete_body`]).
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>
    CompleteMultipartUpload {
        key: String,
        upload_id: String,
        /// The object's size: sent along with a checksum, so that the store compares it.
        bytes: u64,
        checksum: Option<ObjectChecksum>,
    },
    /// Give an upload up and free its parts.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html>
    AbortMultipartUpload { key: String, upload_id: String },
    /// Open uploads whose keys begin with this.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html>
    ListMultipartUploads { prefix: String },
    /// An object's size, ETag and metadata.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html>
    HeadObject { key: String },
    /// Read an object.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>
    GetObject { key: String },
    /// Delete an object; deleting what is not there succeeds.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html>
    DeleteObject { key: String },
}

/// An operation without its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperationKind {
    PutObject,
    CreateMultipartUpload,
    UploadPart,
    CompleteMultipartUpload,
    AbortMultipartUpload,
    ListMultipartUploads,
    HeadObject,
    GetObject,
    DeleteObject,
}

impl OperationKind {
    /// Returns the IAM action that allows it.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>
    pub fn permission(self) -> &'static str {
        match self {
            OperationKind::PutObject
            | OperationKind::CreateMultipartUpload
            | OperationKind::UploadPart
            | OperationKind::CompleteMultipartUpload => "s3:PutObject",
            OperationKind::AbortMultipartUpload => "s3:AbortMultipartUpload",
            OperationKind::ListMultipartUploads => "s3:ListBucketMultipartUploads",
            OperationKind::HeadObject | OperationKind::GetObject => "s3:GetObject",
            OperationKind::DeleteObject => "s3:DeleteObject",
        }
    }
}

impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Operation {
    /// Which one it is.
    pub fn kind(&self) -> OperationKind {
        match self {
            Operation::PutObject { .. } => OperationKind::PutObject,
            Operation::CreateMultipartUpload { .. } => OperationKind::CreateMultipartUpload,
            Operation::UploadPart { .. } => OperationKind::UploadPart,
            Operation::CompleteMultipartUpload { .. } => OperationKind::CompleteMultipartUpload,
            Operation::AbortMultipartUpload { .. } => OperationKind::AbortMultipartUpload,
            Operation::ListMultipartUploads { .. } => OperationKind::ListMultipartUploads,
            Operation::HeadObject { .. } => OperationKind::HeadObject,
            Operation::GetObject { .. } => OperationKind::GetObject,
            Operation::DeleteObject { .. } => OperationKind::DeleteObject,
        }
    }

    /// Returns the object it is about; the prefix for a listing.
    pub fn key(&self) -> &str {
        match self {
            Operation::PutObject { key, .. }
            | Operation::CreateMultipartUpload { key, .. }
            | Operation::UploadPart { key, .. }
            | Operation::CompleteMultipartUpload { key, .. }
            | Operation::AbortMultipartUpload { key, .. }
            | Operation::HeadObject { key }
            | Operation::GetObject { key }
            | Operation::DeleteObject { key } => key,
            Operation::ListMultipartUploads { prefix } => prefix,
        }
    }

    /// Returns whether its body is the object's own bytes, which a checksum guards.
    pub fn carries_data(&self) -> bool {
        matches!(self.kind(), OperationKind::PutObject | OperationKind::UploadPart)
    }

    /// Returns whether it makes an object, which no abort takes away again.
    pub fn makes_object(&self) -> bool {
        matches!(
            self.kind(),
            OperationKind::PutObject | OperationKind::CompleteMultipartUpload
        )
    }

    fn method(&self) -> Method {
        match self.kind() {
            OperationKind::PutObject | OperationKind::UploadPart => Method::Put,
            OperationKind::CreateMultipartUpload | OperationKind::CompleteMultipartUpload => Method::Post,
            OperationKind::AbortMultipartUpload | OperationKind::DeleteObject => Method::Delete,
            OperationKind::HeadObject => Method::Head,
            OperationKind::GetObject | OperationKind::ListMultipartUploads => Method::Get,
        }
    }

    fn query(&self) -> Vec<(&'static str, String)> {
        match self {
            Operation::CreateMultipartUpload { .. } => vec![("uploads", String::new())],
            Operation::UploadPart {
                upload_id, part_number, ..
            } => {
                vec![("partNumber", part_number.to_string()), ("uploadId", upload_id.clone())]
            }
            Operation::CompleteMultipartUpload { upload_id, .. }
            | Operation::AbortMultipartUpload { upload_id, .. } => {
                vec![("uploadId", upload_id.clone())]
            }
            Operation::ListMultipartUploads { prefix } => {
                vec![("prefix", prefix.clone()), ("uploads", String::new())]
            }
            Operation::PutObject { .. }
            | Operation::HeadObject { .. }
            | Operation::GetObject { .. }
            | Operation::DeleteObject { .. } => Vec::new(),
        }
    }
}

/// Where requests go and what they all carry: the part of the settings that S3 sees. Holds no secrets.
#[derive(Debug, Clone)]
pub struct Target {
    pub bucket: String,
    pub region: String,
    pub endpoint: Endpoint,
    pub object: ObjectSettings,
    pub payload_signing: PayloadSigning,
    pub run_id: String,
    pub attempt: String,
    /// What the whole run may take.
    pub time_limit_seconds: Option<u32>,
}

impl Target {
    /// Returns the target of this run.
    pub fn new(settings: &Settings, run: &Run) -> Self {
        Target {
            bucket: settings.bucket.clone(),
            region: settings.region.clone(),
            endpoint: settings.endpoint.clone(),
            object: settings.object.clone(),
            payload_signing: settings.payload_signing,
            run_id: run.id.clone(),
            attempt: run.attempt.clone(),
            time_limit_seconds: run.time_limit_seconds,
        }
    }
}

/// A request that only lacks its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    pub method: Method,
    pub url: String,
    pub host: String,
    /// Percent-encoded once.
    pub path: String,
    /// Canonical: encoded and sorted.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Unsigned {
    /// Returns the request for an operation; `checksum` is that of the data it carries.
    pub fn new(target: &Target, operation: &Operation, checksum: Option<&Checksum>) -> Self {
        let key = match operation {
            Operation::ListMultipartUploads { .. } => None,
            _ => Some(operation.key()),
        };
        let query = operation.query();
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Unsigned {
            method: operation.method(),
            url: target.endpoint.url(key, &query),
            host: target.endpoint.host().to_owned(),
            path: target.endpoint.path(key),
            query: canonical_query(&query),
            headers: headers(target, operation, checksum),
        }
    }
}

fn headers(target: &Target, operation: &Operation, checksum: Option<&Checksum>) -> Vec<(String, String)> {
    let mut headers = Headers(Vec::new());
    if let Some(owner) = &target.object.expected_bucket_owner {
        headers.add("x-amz-expected-bucket-owner", owner);
    }
    if operation.carries_data()
        && let Some(checksum) = checksum
    {
        headers.add(checksum.algorithm().header(), &checksum.base64());
    }
    match operation {
        Operation::PutObject { content_type, .. } => {
            headers.describe_object(target, content_type);
            headers.forbid_overwriting(target);
        }
        Operation::CreateMultipartUpload { content_type, .. } => {
            headers.describe_object(target, content_type);
            if let Some(algorithm) = target.object.checksum {
                headers.add("x-amz-checksum-algorithm", algorithm.name());
                headers.add("x-amz-checksum-type", algorithm.multipart_type());
            }
        }
        Operation::CompleteMultipartUpload { bytes, checksum, .. } => {
            headers.add("content-type", "application/xml");
            headers.forbid_overwriting(target);
            if let Some(checksum) = checksum {
                headers.add("x-amz-checksum-type", checksum.algorithm().multipart_type());
                headers.add("x-amz-mp-object-size", &bytes.to_string());
                // A composite checksum is compared with the response instead: stores differ in the form they accept.
                if let Some(whole) = checksum.whole() {
                    headers.add(checksum.algorithm().header(), whole);
                }
            }
        }
        Operation::HeadObject { .. } if target.object.checksum.is_some() => {
            headers.add("x-amz-checksum-mode", "ENABLED");
        }
        _ => {}
    }
    headers.0
}

struct Headers(Vec<(String, String)>);

impl Headers {
    fn add(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    fn describe_object(&mut self, target: &Target, content_type: &str) {
        let object = &target.object;
        self.add("content-type", content_type);
        if let Some(encryption) = object.encryption.header_value() {
            self.add(ENCRYPTION_HEADER, encryption);
        }
        match &object.encryption {
            Encryption::BucketDefault | Encryption::Aes256 => {}
            Encryption::Kms { key_id } => {
                self.add(ENCRYPTION_KEY_HEADER, key_id);
            }
        }
        if let Some(class) = &object.storage_class {
            self.add("x-amz-storage-class", class);
        }
        if let Some(acl) = &object.acl {
            self.add("x-amz-acl", acl);
        }
        if !object.tags.is_empty() {
            let tags: Vec<String> = object
                .tags
                .iter()
                .map(|(key, value)| canonical_query(&[(key, value)]))
                .collect();
            self.add("x-amz-tagging", &tags.join("&"));
        }
        for (name, value) in &object.metadata {
            self.add(&format!("x-amz-meta-{}", name.to_ascii_lowercase()), value);
        }
        self.add(RUN_HEADER, &target.run_id);
        self.add(ATTEMPT_HEADER, &target.attempt);
    }

    fn forbid_overwriting(&mut self, target: &Target) {
        if target.object.if_none_match {
            self.add("if-none-match", "*");
        }
    }
}

/// A part that the store acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletedPart {
    pub number: u32,
    /// As it stood in the header.
    pub etag: String,
    pub checksum: Option<Checksum>,
}

/// Returns the document that `CompleteMultipartUpload` sends.
pub fn complete_body(parts: &[CompletedPart]) -> Vec<u8> {
    let mut xml = String::from(r#"<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">"#);
    for part in parts {
        xml.push_str(&format!(
            "<Part><PartNumber>{}</PartNumber><ETag>{}</ETag>",
            part.number,
            quick_xml::escape::escape(&part.etag)
        ));
        if let Some(checksum) = &part.checksum {
            let element = checksum.algorithm().element();
            xml.push_str(&format!("<{element}>{}</{element}>", checksum.base64()));
        }
        xml.push_str("</Part>");
    }
    xml.push_str("</CompleteMultipartUpload>");
    xml.into_bytes()
}
