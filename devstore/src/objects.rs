//! The operations on single objects: put, get, head, delete; multipart uploads are in `uploads`.

use std::sync::Arc;

use http::StatusCode;
use s3s::dto::*;
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use crate::answer::refusal;
use crate::attributes::Attributes;
use crate::checksum::Running;
use crate::door::WholeBody;
use crate::hex;
use crate::receive::{Upload, declared_checksum, receive};
use crate::shared::{NewObject, Shared, bucket, check_write_condition, set_checksum, signed, strong};
use crate::state::{self, Object};
use crate::storage::Keeper;

/// Keys of one DeleteObjects request.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>
const DELETE_LIMIT_KEYS: usize = 1000;

/// What S3 answers for an object stored without a type.
const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>
pub(crate) async fn put(shared: &Shared, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
    let input = request.input;
    let condition = |existing: Option<&Arc<Object>>| {
        check_write_condition(existing, input.if_match.as_ref(), input.if_none_match.as_ref())
    };
    condition(bucket(&mut shared.buckets(), &input.bucket)?.objects.get(&input.key))?;
    let attributes = Attributes::parse(&request.headers)?;
    let upload = Upload {
        headers: &request.headers,
        extensions: &request.extensions,
        blob: input.body,
        trailers: request.trailing_headers.as_ref(),
    };
    let received = receive(&shared.keeper, upload, None, shared.rules.verify_payload_hash).await?;
    let joined = shared.keeper.join(&[&received.data]).map_err(S3Error::internal_error)?;
    let new = NewObject {
        bucket: &input.bucket,
        key: &input.key,
        size_bytes: received.size_bytes,
        etag: hex(&received.md5),
        checksum: received.checksum,
        attributes,
        part_sizes_bytes: Vec::new(),
    };
    let mut buckets = shared.buckets();
    // Another request may have come first while the body arrived.
    condition(bucket(&mut buckets, &input.bucket)?.objects.get(&input.key))?;
    let object = shared.publish(&mut buckets, new, joined)?;
    let mut output = PutObjectOutput {
        e_tag: strong(&object.etag),
        ..Default::default()
    };
    set_checksum!(output, &object.checksum);
    output.checksum_type = object
        .checksum
        .as_ref()
        .map(|sum| ChecksumType::from_static(sum.type_name()));
    Ok(S3Response::with_headers(output, object.attributes.encryption()?))
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>
pub(crate) async fn get(shared: &Shared, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
    let input = request.input;
    refuse_part_number(input.part_number)?;
    let object = shared.object(&input.bucket, &input.key)?;
    check_read_condition(&object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
    let size = object.size_bytes;
    let range = input.range.map(|range| range.check(size)).transpose()?;
    let (start, end) = range.as_ref().map_or((0, size), |range| (range.start, range.end));
    let body = object
        .data
        .read(start, end)
        .map_err(S3Error::internal_error)?
        .ok_or_else(|| {
            s3_error!(
                NotImplemented,
                "This store was started to discard data: objects can be listed, not read."
            )
        })?;
    let mut output = GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        body: Some(StreamingBlob::wrap(body)),
        content_length: signed(end - start),
        content_range: range.map(|range| format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1))),
        content_type: Some(DEFAULT_CONTENT_TYPE.to_owned()),
        e_tag: strong(&object.etag),
        last_modified: Some(object.modified.into()),
        tag_count: object.attributes.tag_count(),
        ..Default::default()
    };
    if input.checksum_mode.is_some() && output.content_range.is_none() {
        set_checksum!(output, &object.checksum);
        output.checksum_type = object
            .checksum
            .as_ref()
            .map(|sum| ChecksumType::from_static(sum.type_name()));
    }
    Ok(S3Response::with_headers(output, object.attributes.echoed()?))
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html>
pub(crate) async fn head(
    shared: &Shared,
    request: S3Request<HeadObjectInput>,
) -> S3Result<S3Response<HeadObjectOutput>> {
    let input = request.input;
    refuse_part_number(input.part_number)?;
    let object = shared.object(&input.bucket, &input.key)?;
    check_read_condition(&object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
    let mut output = HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: signed(object.size_bytes),
        content_type: Some(DEFAULT_CONTENT_TYPE.to_owned()),
        e_tag: strong(&object.etag),
        last_modified: Some(object.modified.into()),
        ..Default::default()
    };
    if input.checksum_mode.is_some() {
        set_checksum!(output, &object.checksum);
        output.checksum_type = object
            .checksum
            .as_ref()
            .map(|sum| ChecksumType::from_static(sum.type_name()));
    }
    Ok(S3Response::with_headers(output, object.attributes.echoed()?))
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectTagging.html>
pub(crate) async fn tags(
    shared: &Shared,
    request: S3Request<GetObjectTaggingInput>,
) -> S3Result<S3Response<GetObjectTaggingOutput>> {
    let object = shared.object(&request.input.bucket, &request.input.key)?;
    let tags = object.attributes.tags()?.into_iter();
    Ok(S3Response::new(GetObjectTaggingOutput {
        tag_set: tags
            .map(|(key, value)| Tag {
                key: Some(key),
                value: Some(value),
            })
            .collect(),
        ..Default::default()
    }))
}

fn refuse_part_number(part_number: Option<i32>) -> S3Result<()> {
    match part_number {
        Some(_) => Err(s3_error!(
            NotImplemented,
            "This store does not read objects by part number; use a range."
        )),
        None => Ok(()),
    }
}

fn check_read_condition(
    object: &Object,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    let matches = |condition: &ETagCondition| match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.value() == object.etag,
    };
    if if_match.is_some_and(|condition| !matches(condition)) {
        return Err(s3_error!(
            PreconditionFailed,
            "At least one of the pre-conditions you specified did not hold"
        ));
    }
    if if_none_match.is_some_and(matches) {
        return Err(refusal(
            StatusCode::NOT_MODIFIED.as_u16(),
            "NotModified",
            "Not Modified",
        ));
    }
    Ok(())
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html>
pub(crate) async fn delete(
    shared: &Shared,
    request: S3Request<DeleteObjectInput>,
) -> S3Result<S3Response<DeleteObjectOutput>> {
    remove(shared, &request.input.bucket, &request.input.key)?;
    Ok(S3Response::new(DeleteObjectOutput::default()))
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>
pub(crate) async fn delete_many(
    shared: &Shared,
    request: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    check_delete_digest(&request)?;
    let input = request.input;
    if input.delete.objects.is_empty() || input.delete.objects.len() > DELETE_LIMIT_KEYS {
        return Err(s3_error!(
            MalformedXML,
            "A request deletes 1 to {DELETE_LIMIT_KEYS} keys."
        ));
    }
    let mut deleted = Vec::new();
    for object in input.delete.objects {
        remove(shared, &input.bucket, &object.key)?;
        deleted.push(DeletedObject {
            key: Some(object.key),
            ..Default::default()
        });
    }
    let deleted = Some(deleted).filter(|_| input.delete.quiet != Some(true));
    Ok(S3Response::new(DeleteObjectsOutput {
        deleted,
        ..Default::default()
    }))
}

/// This operation must carry a digest of its body; the MD5 has been checked at the door.
fn check_delete_digest(request: &S3Request<DeleteObjectsInput>) -> S3Result<()> {
    let declared = declared_checksum(&request.headers)?;
    let Some(declared) = declared else {
        return match request.headers.contains_key("content-md5") {
            true => Ok(()),
            false => Err(s3_error!(
                InvalidRequest,
                "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"
            )),
        };
    };
    let mut running = Running::new(declared.algorithm);
    if let Some(WholeBody(body)) = request.extensions.get::<WholeBody>() {
        running.update(body);
    }
    if declared.bytes.is_some_and(|expected| expected != running.finish()) {
        return Err(s3_error!(
            BadDigest,
            "The {} you specified did not match the calculated checksum.",
            declared.algorithm.name()
        ));
    }
    Ok(())
}

/// Deleting what does not exist succeeds.
fn remove(shared: &Shared, bucket_name: &str, key: &str) -> S3Result<()> {
    let mut buckets = shared.buckets();
    let Some(object) = bucket(&mut buckets, bucket_name)?.objects.remove(key) else {
        return Ok(());
    };
    if let Keeper::Folder(folder) = &shared.keeper {
        state::forget(folder, bucket_name, key).map_err(S3Error::internal_error)?;
    }
    shared.keeper.remove(&object.data).map_err(S3Error::internal_error)
}
