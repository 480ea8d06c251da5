//! Multipart uploads, from create to the last part or abort; completing is in `complete`, single PUTs in `objects`.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html>

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use crate::attributes::Attributes;
use crate::checksum::Algorithm;
use crate::hex;
use crate::receive::{Upload as Body, declared_checksum, receive};
use crate::shared::{Shared, bucket, set_checksum, signed, strong};
use crate::state::{self, Buckets, Upload, UploadChecksum};

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
pub(crate) const PART_NUMBER_LIMIT: u16 = 10_000;

/// Most parts of one ListParts answer.
const LIST_LIMIT: i32 = 1000;

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html>
pub(crate) async fn create(
    shared: &Shared,
    request: S3Request<CreateMultipartUploadInput>,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let input = request.input;
    let attributes = Attributes::parse(&request.headers)?;
    let checksum = upload_checksum(
        input.checksum_algorithm.as_ref().map(ChecksumAlgorithm::as_str),
        input.checksum_type.as_ref().map(ChecksumType::as_str),
    )?;
    let encryption = attributes.encryption()?;
    let mut buckets = shared.buckets();
    let uploads = &mut bucket(&mut buckets, &input.bucket)?.uploads;
    let id = upload_id(shared.next_upload.fetch_add(1, Ordering::Relaxed));
    let upload = Upload {
        key: input.key.clone(),
        initiated: SystemTime::now(),
        attributes,
        checksum,
        parts: BTreeMap::new(),
    };
    uploads.insert(id.clone(), upload);
    let output = CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(id),
        checksum_algorithm: checksum.map(|checksum| ChecksumAlgorithm::from_static(checksum.algorithm.name())),
        checksum_type: checksum.map(|checksum| ChecksumType::from_static(checksum.type_name())),
        ..Default::default()
    };
    Ok(S3Response::with_headers(output, encryption))
}

/// Ids sort by age and differ between runs of the store, so that one kept from an earlier run names nothing.
fn upload_id(number: u64) -> String {
    let started = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.as_nanos() as u64);
    format!("{number:08x}{:08x}{started:016x}", std::process::id())
}

/// Which checksums an upload may have.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html>
fn upload_checksum(algorithm: Option<&str>, kind: Option<&str>) -> S3Result<Option<UploadChecksum>> {
    let Some(name) = algorithm else {
        return match kind {
            Some(_) => Err(s3_error!(
                InvalidRequest,
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
            )),
            None => Ok(None),
        };
    };
    let algorithm = Algorithm::from_name(name).ok_or_else(|| {
        s3_error!(InvalidRequest, "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA256]")
    })?;
    let full_object = match (algorithm, kind) {
        (Algorithm::Crc64Nvme, None | Some(ChecksumType::FULL_OBJECT)) => true,
        (Algorithm::Crc32 | Algorithm::Crc32c, Some(ChecksumType::FULL_OBJECT)) => true,
        (Algorithm::Crc32 | Algorithm::Crc32c | Algorithm::Sha256, None | Some(ChecksumType::COMPOSITE)) => false,
        (_, Some(kind)) => {
            return Err(s3_error!(
                InvalidRequest,
                "The {kind} checksum type cannot be used with the {} checksum algorithm.",
                algorithm.name()
            ));
        }
    };
    Ok(Some(UploadChecksum { algorithm, full_object }))
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html>
pub(crate) async fn part(
    shared: &Shared,
    request: S3Request<UploadPartInput>,
) -> S3Result<S3Response<UploadPartOutput>> {
    let input = request.input;
    let number = part_number(Some(input.part_number))?;
    let (checksum, encryption) = {
        let mut buckets = shared.buckets();
        let upload = find(&mut buckets, &input.bucket, &input.key, &input.upload_id)?;
        (upload.checksum, upload.attributes.encryption()?)
    };
    let declared = declared_checksum(&request.headers)?.map(|declared| declared.algorithm);
    let expected = checksum.map(|checksum| checksum.algorithm);
    if declared.is_some() && declared != expected {
        let name = |algorithm: Option<Algorithm>| algorithm.map_or("null", Algorithm::name).to_lowercase();
        return Err(s3_error!(
            InvalidRequest,
            "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
            name(expected),
            name(declared)
        ));
    }
    let body = Body {
        headers: &request.headers,
        extensions: &request.extensions,
        blob: input.body,
        trailers: request.trailing_headers.as_ref(),
    };
    let received = receive(&shared.keeper, body, expected, shared.rules.verify_payload_hash).await?;
    let part = Arc::new(state::Part {
        data: received.data,
        size_bytes: received.size_bytes,
        md5: received.md5,
        checksum: received.checksum,
        modified: SystemTime::now(),
    });
    // The upload may have ended while the body arrived.
    find(&mut shared.buckets(), &input.bucket, &input.key, &input.upload_id)?
        .parts
        .insert(number, part.clone());
    let mut output = UploadPartOutput {
        e_tag: strong(&hex(&part.md5)),
        ..Default::default()
    };
    set_checksum!(output, &part.checksum);
    Ok(S3Response::with_headers(output, encryption))
}

pub(crate) fn part_number(number: Option<i32>) -> S3Result<u16> {
    number
        .and_then(|number| u16::try_from(number).ok())
        .filter(|number| (1..=PART_NUMBER_LIMIT).contains(number))
        .ok_or_else(|| {
            s3_error!(
                InvalidArgument,
                "Part number must be an integer between 1 and {PART_NUMBER_LIMIT}, inclusive"
            )
        })
}

pub(crate) fn find<'a>(buckets: &'a mut Buckets, bucket_name: &str, key: &str, id: &str) -> S3Result<&'a mut Upload> {
    let upload = bucket(buckets, bucket_name)?
        .uploads
        .get_mut(id)
        .filter(|upload| upload.key == key);
    upload.ok_or_else(|| {
        s3_error!(
            NoSuchUpload,
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
        )
    })
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html>
pub(crate) async fn abort(
    shared: &Shared,
    request: S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let input = request.input;
    let mut buckets = shared.buckets();
    find(&mut buckets, &input.bucket, &input.key, &input.upload_id)?;
    bucket(&mut buckets, &input.bucket)?.uploads.remove(&input.upload_id);
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html>
pub(crate) async fn list_parts(
    shared: &Shared,
    request: S3Request<ListPartsInput>,
) -> S3Result<S3Response<ListPartsOutput>> {
    let input = request.input;
    let mut buckets = shared.buckets();
    let upload = find(&mut buckets, &input.bucket, &input.key, &input.upload_id)?;
    let limit = input.max_parts.unwrap_or(LIST_LIMIT).clamp(0, LIST_LIMIT);
    let marker = input.part_number_marker.unwrap_or(0);
    let mut after = upload
        .parts
        .iter()
        .filter(|(number, _)| i32::from(**number) > marker)
        .peekable();
    let mut parts = Vec::new();
    while parts.len() < limit as usize
        && let Some((number, part)) = after.next()
    {
        let mut listed = Part {
            part_number: Some(i32::from(*number)),
            size: signed(part.size_bytes),
            e_tag: strong(&hex(&part.md5)),
            last_modified: Some(part.modified.into()),
            ..Default::default()
        };
        set_checksum!(listed, &part.checksum);
        parts.push(listed);
    }
    let truncated = after.peek().is_some();
    let output = ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        max_parts: Some(limit),
        part_number_marker: input.part_number_marker,
        next_part_number_marker: parts.last().and_then(|part| part.part_number).filter(|_| truncated),
        is_truncated: Some(truncated),
        checksum_algorithm: upload
            .checksum
            .map(|sum| ChecksumAlgorithm::from_static(sum.algorithm.name())),
        checksum_type: upload.checksum.map(|sum| ChecksumType::from_static(sum.type_name())),
        parts: Some(parts),
        ..Default::default()
    };
    Ok(S3Response::new(output))
}
