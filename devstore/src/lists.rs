//! The operations that list: buckets, objects, open uploads; ListParts is in `uploads`.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as TOKEN;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use crate::shared::{Shared, bucket, signed, strong};

/// Maximum number of entries in one response.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>
const LIST_LIMIT: i32 = 1000;

/// `encoding-type=url` leaves these as they are.
const UNESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A page of a listing in key order.
struct Page<T> {
    entries: Vec<T>,
    /// What several keys have in common up to the delimiter; counts as one entry.
    prefixes: BTreeSet<String>,
    /// The key, or common prefix, after which the next page begins.
    next: Option<String>,
}

/// Cuts a page out of `keys`, which must come in order.
fn page<'a, T>(
    keys: impl Iterator<Item = (&'a str, T)>,
    prefix: &str,
    delimiter: Option<&str>,
    limit: i32,
    skip: impl Fn(&str, Option<&str>) -> bool,
) -> Page<T> {
    let limit = limit.clamp(0, LIST_LIMIT) as usize;
    let mut page = Page {
        entries: Vec::new(),
        prefixes: BTreeSet::new(),
        next: None,
    };
    let mut last = None;
    for (key, entry) in keys {
        let Some(rest) = key.strip_prefix(prefix) else {
            continue;
        };
        let common = delimiter
            .filter(|delimiter| !delimiter.is_empty())
            .and_then(|delimiter| Some(&key[..prefix.len() + rest.find(delimiter)? + delimiter.len()]));
        if skip(key, common) || common.is_some_and(|common| page.prefixes.contains(common)) {
            continue;
        }
        if page.entries.len() + page.prefixes.len() == limit {
            page.next = last;
            return page;
        }
        match common {
            Some(common) => {
                page.prefixes.insert(common.to_owned());
            }
            None => page.entries.push(entry),
        }
        last = Some(common.unwrap_or(key).to_owned());
    }
    page
}

/// How keys are written in an answer.
fn encoder(encoding: Option<&EncodingType>) -> S3Result<fn(&str) -> String> {
    match encoding.map(EncodingType::as_str) {
        None => Ok(|key| key.to_owned()),
        Some(EncodingType::URL) => Ok(|key| utf8_percent_encode(key, UNESCAPED).to_string()),
        Some(_) => Err(s3_error!(
            InvalidArgument,
            "Invalid Encoding Method specified in Request"
        )),
    }
}

fn common_prefixes(prefixes: BTreeSet<String>, encode: fn(&str) -> String) -> Option<CommonPrefixList> {
    Some(
        prefixes
            .iter()
            .map(|prefix| CommonPrefix {
                prefix: Some(encode(prefix)),
            })
            .collect(),
    )
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>
pub(crate) async fn objects(
    shared: &Shared,
    request: S3Request<ListObjectsV2Input>,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let input = request.input;
    let encode = encoder(input.encoding_type.as_ref())?;
    let token = input.continuation_token.as_deref().map(|token| {
        let key = TOKEN.decode(token).ok().and_then(|key| String::from_utf8(key).ok());
        key.ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))
    });
    let after = token
        .transpose()?
        .or_else(|| input.start_after.clone())
        .unwrap_or_default();
    let prefix = input.prefix.clone().unwrap_or_default();
    let limit = input.max_keys.unwrap_or(LIST_LIMIT);
    let mut buckets = shared.buckets();
    let objects = &bucket(&mut buckets, &input.bucket)?.objects;
    let keys = objects.iter().map(|(key, object)| (key.as_str(), (key, object)));
    let page = page(keys, &prefix, input.delimiter.as_deref(), limit, |key, common| {
        !after.is_empty() && (key <= after.as_str() || common.is_some_and(|common| common <= after.as_str()))
    });
    let contents: Vec<Object> = page
        .entries
        .iter()
        .map(|(key, object)| Object {
            key: Some(encode(key)),
            size: signed(object.size_bytes),
            e_tag: strong(&object.etag),
            last_modified: Some(object.modified.into()),
            storage_class: Some(ObjectStorageClass::from(
                object
                    .attributes
                    .get("x-amz-storage-class")
                    .unwrap_or(StorageClass::STANDARD)
                    .to_owned(),
            )),
            checksum_algorithm: object
                .checksum
                .as_ref()
                .map(|checksum| vec![ChecksumAlgorithm::from_static(checksum.algorithm.name())]),
            checksum_type: object
                .checksum
                .as_ref()
                .map(|checksum| ChecksumType::from_static(checksum.type_name())),
            ..Default::default()
        })
        .collect();
    let count = contents.len() + page.prefixes.len();
    let output = ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(encode(&prefix)),
        delimiter: input.delimiter,
        max_keys: Some(limit),
        key_count: i32::try_from(count).ok(),
        continuation_token: input.continuation_token,
        start_after: input.start_after.as_deref().map(encode),
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.map(|key| TOKEN.encode(key)),
        contents: Some(contents),
        common_prefixes: common_prefixes(page.prefixes, encode),
        encoding_type: input.encoding_type,
        ..Default::default()
    };
    Ok(S3Response::new(output))
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html>
pub(crate) async fn uploads(
    shared: &Shared,
    request: S3Request<ListMultipartUploadsInput>,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    let input = request.input;
    let encode = encoder(input.encoding_type.as_ref())?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let limit = input.max_uploads.unwrap_or(LIST_LIMIT);
    let key_marker = input.key_marker.clone().unwrap_or_default();
    let id_marker = input.upload_id_marker.clone().unwrap_or_default();
    let mut buckets = shared.buckets();
    let mut open: Vec<_> = bucket(&mut buckets, &input.bucket)?.uploads.iter().collect();
    open.sort_by_key(|(id, upload)| (&upload.key, *id));
    // A key marker alone skips the key's uploads; with an id marker only those up to it.
    let after_marker = open.into_iter().filter(|(id, upload)| {
        upload.key > key_marker || (upload.key == key_marker && !id_marker.is_empty() && **id > id_marker)
    });
    let keys = after_marker.map(|(id, upload)| (upload.key.as_str(), (id, upload)));
    let page = page(keys, &prefix, input.delimiter.as_deref(), limit, |_, common| {
        common.is_some_and(|common| !key_marker.is_empty() && common <= key_marker.as_str())
    });
    let last_id = page.entries.last().map(|(id, _)| (*id).clone());
    let uploads = page.entries.iter().map(|(id, upload)| MultipartUpload {
        key: Some(encode(&upload.key)),
        upload_id: Some((*id).clone()),
        initiated: Some(upload.initiated.into()),
        checksum_algorithm: upload
            .checksum
            .map(|sum| ChecksumAlgorithm::from_static(sum.algorithm.name())),
        checksum_type: upload.checksum.map(|sum| ChecksumType::from_static(sum.type_name())),
        ..Default::default()
    });
    let output = ListMultipartUploadsOutput {
        prefix: Some(encode(&prefix)),
        delimiter: input.delimiter,
        key_marker: Some(encode(&key_marker)),
        upload_id_marker: Some(id_marker),
        max_uploads: Some(limit),
        is_truncated: Some(page.next.is_some()),
        next_upload_id_marker: last_id.filter(|_| page.next.is_some()),
        next_key_marker: page.next.as_deref().map(encode),
        uploads: Some(uploads.collect()),
        common_prefixes: common_prefixes(page.prefixes, encode),
        encoding_type: input.encoding_type,
        bucket: Some(input.bucket),
        ..Default::default()
    };
    Ok(S3Response::new(output))
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html>
pub(crate) async fn buckets(shared: &Shared) -> S3Result<S3Response<ListBucketsOutput>> {
    let names = shared.buckets().keys().cloned().collect::<Vec<_>>();
    let buckets = names.into_iter().map(|name| Bucket {
        name: Some(name),
        bucket_region: Some(shared.region.to_string()),
        ..Default::default()
    });
    Ok(S3Response::new(ListBucketsOutput {
        buckets: Some(buckets.collect()),
        ..Default::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prefix, delimiter, limit, and the pages they give.
    type Case = (
        &'static str,
        Option<&'static str>,
        i32,
        &'static [&'static [&'static str]],
    );

    /// Every page of a listing, entries and prefixes as one list each.
    fn listed(prefix: &str, delimiter: Option<&str>, limit: i32) -> Vec<Vec<String>> {
        const KEYS: [&str; 7] = ["a", "a/1", "a/2", "b/1/x", "b/2", "c", "d/"];
        let mut pages = Vec::new();
        let mut after = String::new();
        loop {
            let keys = KEYS.iter().map(|key| (*key, key.to_string()));
            let page = page(keys, prefix, delimiter, limit, |key, common| {
                !after.is_empty() && (key <= after.as_str() || common.is_some_and(|common| common <= after.as_str()))
            });
            pages.push(page.entries.into_iter().chain(page.prefixes).collect());
            match page.next {
                Some(next) => after = next,
                None => return pages,
            }
        }
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_repetition() {
        let cases: [Case; 5] = [
            ("", None, 1000, &[&["a", "a/1", "a/2", "b/1/x", "b/2", "c", "d/"]]),
            ("", None, 3, &[&["a", "a/1", "a/2"], &["b/1/x", "b/2", "c"], &["d/"]]),
            ("", Some("/"), 2, &[&["a", "a/"], &["c", "b/"], &["d/"]]),
            ("b/", Some("/"), 1, &[&["b/1/"], &["b/2"]]),
            ("z", Some("/"), 1, &[&[]]),
        ];
        for (prefix, delimiter, limit, expected) in cases {
            assert_eq!(
                listed(prefix, delimiter, limit),
                expected,
                "{prefix:?} {delimiter:?} {limit}"
            );
        }
    }
}
