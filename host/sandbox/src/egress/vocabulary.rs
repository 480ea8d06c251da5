//! The requests and headers that an export to S3 can need at all. What is not in these two tables is refused even
//! on the configured bucket: `?policy` and `?acl` change access, `x-amz-copy-source` reads other buckets.

use std::collections::BTreeSet;

use http::Method;

/// S3's object operations (Amazon S3 API Reference, "Actions"), by method and query keys.
const OPERATIONS: [(&str, &[&str]); 11] = [
    ("PUT", &[]),                         // PutObject
    ("PUT", &["partNumber", "uploadId"]), // UploadPart
    ("POST", &["uploads"]),               // CreateMultipartUpload
    ("POST", &["uploadId"]),              // CompleteMultipartUpload
    ("DELETE", &["uploadId"]),            // AbortMultipartUpload
    ("DELETE", &[]),                      // DeleteObject
    ("GET", &[]),                         // GetObject
    ("GET", &["uploadId"]),               // ListParts
    ("HEAD", &[]),                        // HeadObject
    ("HEAD", &["partNumber"]),            // HeadObject, of one part
    ("GET", &LISTING),                    // ListMultipartUploads, on the bucket itself
];

/// The query keys of the one operation on a bucket: it lists open uploads, under the configured prefix only.
const LISTING: [&str; 2] = ["prefix", "uploads"];
/// The key among them that says which.
pub(super) const LISTING_PREFIX: &str = "prefix";

/// Headers that these operations carry. A trailing `*` covers every ending.
const HEADERS: [&str; 29] = [
    "accept",
    "authorization",
    "cache-control",
    "content-disposition",
    "content-language",
    "content-md5",
    "content-type",
    "if-match",
    "if-none-match",
    "range",
    "user-agent",
    "x-amz-checksum-*",
    "x-amz-checksum-algorithm",
    "x-amz-checksum-mode",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-expected-bucket-owner",
    "x-amz-meta-*",
    "x-amz-mp-object-size",
    "x-amz-request-payer",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-server-side-encryption-context",
    "x-amz-storage-class",
    "x-amz-tagging",
    "x-goog-meta-*",
];

/// Makes an object readable by others, so it is allowed only where the configuration asks for it.
const ACL_HEADER: &str = "x-amz-acl";

pub(super) fn check_operation(method: &Method, query: &BTreeSet<String>) -> Result<(), String> {
    let known = OPERATIONS.iter().any(|(m, keys)| {
        *m == method.as_str()
            && keys.len() == query.len()
            && keys.iter().all(|k| query.contains(*k))
    });
    if known {
        return Ok(());
    }
    let keys: Vec<&str> = query.iter().map(String::as_str).collect();
    Err(format!(
        "{method} with the query keys [{}] is no request that an export needs (those on single objects and uploads are)",
        super::shortened(&keys.join(", "))
    ))
}

/// Whether a grant with these query keys lists a bucket's open uploads.
pub(super) fn is_listing(query: &BTreeSet<String>) -> bool {
    query.iter().map(String::as_str).eq(LISTING)
}

pub(super) fn check_header_pattern(pattern: &str, acl_configured: bool) -> Result<(), String> {
    let known = HEADERS.iter().any(|known| covers(known, pattern));
    if known || (acl_configured && pattern == ACL_HEADER) {
        return Ok(());
    }
    Err(format!(
        "the header `{}` is none that an export needs",
        super::shortened(pattern)
    ))
}

/// Whether every name that `asked` allows is allowed by `known`.
pub(super) fn covers(known: &str, asked: &str) -> bool {
    match known.strip_suffix('*') {
        Some(stem) => asked.strip_suffix('*').unwrap_or(asked).starts_with(stem),
        None => known == asked,
    }
}
