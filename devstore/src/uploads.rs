//! Multipart uploads, from create to complete or abort; single PUTs are in `objects`.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html>

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use md5::{Digest, Md5};
use s3s::dto::*;
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use crate::attributes::Attributes;
use crate::checksum::{Algorithm, Checksum, combined, composite};
use crate::hex;
use crate::receive::{Upload as Body, declared_checksum, receive};
use crate::shared::{
    NewObject, Shared, bucket, check_write_condition, set_checksum, signed, strong,
};
use crate::state::{self, Buckets, Upload, UploadChecksum};

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
const PART_NUMBER_LIMIT: u16 = 10_000;

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
        input
            .checksum_algorithm
            .as_ref()
            .map(ChecksumAlgorithm::as_str),
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
        checksum_algorithm: checksum
            .map(|checksum| ChecksumAlgorithm::from_static(checksum.algorithm.name())),
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
fn upload_checksum(
    algorithm: Option<&str>,
    kind: Option<&str>,
) -> S3Result<Option<UploadChecksum>> {
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
        (
            Algorithm::Crc32 | Algorithm::Crc32c | Algorithm::Sha256,
            None | Some(ChecksumType::COMPOSITE),
        ) => false,
        (_, Some(kind)) => {
            return Err(s3_error!(
                InvalidRequest,
                "The {kind} checksum type cannot be used with the {} checksum algorithm.",
                algorithm.name()
            ));
        }
    };
    Ok(Some(UploadChecksum {
        algorithm,
        full_object,
    }))
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
        let name =
            |algorithm: Option<Algorithm>| algorithm.map_or("null", Algorithm::name).to_lowercase();
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
    let received = receive(
        &shared.keeper,
        body,
        expected,
        shared.rules.verify_payload_hash,
    )
    .await?;
    let part = Arc::new(state::Part {
        data: received.data,
        size_bytes: received.size_bytes,
        md5: received.md5,
        checksum: received.checksum,
        modified: SystemTime::now(),
    });
    // The upload may have ended while the body arrived.
    find(
        &mut shared.buckets(),
        &input.bucket,
        &input.key,
        &input.upload_id,
    )?
    .parts
    .insert(number, part.clone());
    let mut output = UploadPartOutput {
        e_tag: strong(&hex(&part.md5)),
        ..Default::default()
    };
    set_checksum!(output, &part.checksum);
    Ok(S3Response::with_headers(output, encryption))
}

fn part_number(number: Option<i32>) -> S3Result<u16> {
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

fn find<'a>(
    buckets: &'a mut Buckets,
    bucket_name: &str,
    key: &str,
    id: &str,
) -> S3Result<&'a mut Upload> {
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

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>
pub(crate) async fn complete(
    shared: &Shared,
    request: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let input = request.input;
    let named = input
        .multipart_upload
        .and_then(|upload| upload.parts)
        .unwrap_or_default();
    let condition = |buckets: &mut Buckets| {
        let existing = bucket(buckets, &input.bucket)?.objects.get(&input.key);
        check_write_condition(
            existing,
            input.if_match.as_ref(),
            input.if_none_match.as_ref(),
        )
    };
    let (parts, checksum, attributes) = {
        let mut buckets = shared.buckets();
        let upload = find(&mut buckets, &input.bucket, &input.key, &input.upload_id)?;
        let parts = chosen_parts(shared, upload, &named)?;
        let checksum = upload
            .checksum
            .map(|checksum| whole_checksum(checksum, &parts))
            .transpose()?;
        let attributes = upload.attributes.clone();
        check_whole(
            &request.headers,
            checksum.as_ref(),
            input.mpu_object_size,
            &parts,
        )?;
        condition(&mut buckets)?;
        (parts, checksum, attributes)
    };
    let part_data: Vec<_> = parts.iter().map(|part| &part.data).collect();
    // Copying in a folder takes a while: neither under the lock nor on the threads that answer others.
    let joined = tokio::task::block_in_place(|| shared.keeper.join(&part_data))
        .map_err(S3Error::internal_error)?;
    let new = NewObject {
        bucket: &input.bucket,
        key: &input.key,
        size_bytes: parts.iter().map(|part| part.size_bytes).sum(),
        etag: multipart_etag(&parts),
        checksum,
        attributes,
        part_sizes_bytes: parts.iter().map(|part| part.size_bytes).collect(),
    };
    let mut buckets = shared.buckets();
    // A second Complete or an Abort may have come first.
    find(&mut buckets, &input.bucket, &input.key, &input.upload_id)?;
    condition(&mut buckets)?;
    let object = shared.publish(&mut buckets, new, joined)?;
    bucket(&mut buckets, &input.bucket)?
        .uploads
        .remove(&input.upload_id);
    let mut output = CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", input.bucket, input.key)),
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: strong(&object.etag),
        ..Default::default()
    };
    set_checksum!(output, &object.checksum);
    output.checksum_type = object
        .checksum
        .as_ref()
        .map(|sum| ChecksumType::from_static(sum.type_name()));
    Ok(S3Response::with_headers(
        output,
        object.attributes.encryption()?,
    ))
}

/// The parts that Complete names, each checked against what was uploaded.
fn chosen_parts(
    shared: &Shared,
    upload: &Upload,
    named: &[CompletedPart],
) -> S3Result<Vec<Arc<state::Part>>> {
    if named.is_empty() || named.len() > usize::from(PART_NUMBER_LIMIT) {
        return Err(s3_error!(
            MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema"
        ));
    }
    let mut chosen: Vec<Arc<state::Part>> = Vec::with_capacity(named.len());
    let mut previous = 0;
    for part in named {
        let number = part_number(part.part_number)?;
        if number <= previous {
            return Err(s3_error!(
                InvalidPartOrder,
                "The list of parts was not in ascending order. The parts list must be specified in order by part number."
            ));
        }
        previous = number;
        let invalid = || {
            s3_error!(
                InvalidPart,
                "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag. (part {number})"
            )
        };
        let uploaded = upload.parts.get(&number).ok_or_else(invalid)?;
        if part
            .e_tag
            .as_ref()
            .is_none_or(|etag| etag.value() != hex(&uploaded.md5))
        {
            return Err(invalid());
        }
        check_named_checksum(upload.checksum, part, uploaded, number)?;
        chosen.push(uploaded.clone());
    }
    check_part_sizes(shared, &chosen)?;
    Ok(chosen)
}

/// Composite checksums need each part's in the list; one that is there must be right.
fn check_named_checksum(
    checksum: Option<UploadChecksum>,
    named: &CompletedPart,
    uploaded: &state::Part,
    number: u16,
) -> S3Result<()> {
    let Some(checksum) = checksum else {
        return Ok(());
    };
    let value = match checksum.algorithm {
        Algorithm::Crc64Nvme => &named.checksum_crc64nvme,
        Algorithm::Crc32c => &named.checksum_crc32c,
        Algorithm::Crc32 => &named.checksum_crc32,
        Algorithm::Sha256 => &named.checksum_sha256,
    };
    match value {
        None if !checksum.full_object => Err(s3_error!(
            InvalidRequest,
            "The upload was created using a {} checksum. The complete request must include the checksum for each part. It was missing for part {number} in the request.",
            checksum.algorithm.name().to_lowercase()
        )),
        Some(value) if uploaded.checksum.as_ref().map(Checksum::value).as_ref() != Some(value) => {
            Err(s3_error!(
                InvalidPart,
                "The checksum of part {number} is not the one it was uploaded with."
            ))
        }
        _ => Ok(()),
    }
}

fn check_part_sizes(shared: &Shared, parts: &[Arc<state::Part>]) -> S3Result<()> {
    let Some((_, before)) = parts.split_last() else {
        return Ok(());
    };
    if before
        .iter()
        .any(|part| part.size_bytes < shared.rules.min_part_size_bytes)
    {
        return Err(s3_error!(
            EntityTooSmall,
            "Your proposed upload is smaller than the minimum allowed size"
        ));
    }
    let first = parts[0].size_bytes;
    let last = parts[parts.len() - 1].size_bytes;
    if shared.rules.equal_parts
        && (before.iter().any(|part| part.size_bytes != first) || last > first)
    {
        return Err(s3_error!(
            InvalidPart,
            "All non-trailing parts must have the same length."
        ));
    }
    Ok(())
}

fn whole_checksum(checksum: UploadChecksum, parts: &[Arc<state::Part>]) -> S3Result<Checksum> {
    let sums: Option<Vec<_>> = parts
        .iter()
        .map(|part| {
            part.checksum
                .as_ref()
                .map(|sum| (sum.bytes.as_slice(), part.size_bytes))
        })
        .collect();
    let sums = sums.unwrap_or_default();
    let whole = match checksum.full_object {
        true => combined(checksum.algorithm, sums.into_iter()),
        false => Some(composite(
            checksum.algorithm,
            sums.iter().map(|(sum, _)| *sum),
        )),
    };
    whole.ok_or_else(|| {
        s3_error!(
            InternalError,
            "{} cannot be combined over parts.",
            checksum.algorithm.name()
        )
    })
}

/// What Complete declares about the whole object.
fn check_whole(
    headers: &http::HeaderMap,
    checksum: Option<&Checksum>,
    size: Option<i64>,
    parts: &[Arc<state::Part>],
) -> S3Result<()> {
    let total = parts.iter().map(|part| part.size_bytes).sum();
    if size.is_some_and(|size| Some(size) != signed(total)) {
        return Err(s3_error!(
            InvalidRequest,
            "The x-amz-mp-object-size header says another size than the {total} bytes of the parts."
        ));
    }
    // Composite values come with `-N` behind them, so they are compared as they stand.
    for algorithm in Algorithm::ALL {
        let Some(value) = headers.get(algorithm.header()) else {
            continue;
        };
        let computed = checksum
            .filter(|checksum| checksum.algorithm == algorithm)
            .map(Checksum::value);
        if computed
            .as_ref()
            .is_none_or(|computed| computed.as_bytes() != value.as_bytes())
        {
            return Err(s3_error!(
                BadDigest,
                "The {} you specified did not match the calculated checksum.",
                algorithm.name()
            ));
        }
    }
    let declared_type = headers.get("x-amz-checksum-type");
    if declared_type.is_some_and(|kind| {
        checksum.is_none_or(|checksum| kind.as_bytes() != checksum.type_name().as_bytes())
    }) {
        return Err(s3_error!(
            InvalidRequest,
            "The upload was not created with this checksum type."
        ));
    }
    Ok(())
}

/// The MD5 of the parts' MD5s, then the number of parts.
fn multipart_etag(parts: &[Arc<state::Part>]) -> String {
    let mut md5 = Md5::new();
    parts.iter().for_each(|part| md5.update(part.md5));
    let digest: [u8; 16] = md5.finalize().into();
    format!("{}-{}", hex(&digest), parts.len())
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html>
pub(crate) async fn abort(
    shared: &Shared,
    request: S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let input = request.input;
    let mut buckets = shared.buckets();
    find(&mut buckets, &input.bucket, &input.key, &input.upload_id)?;
    bucket(&mut buckets, &input.bucket)?
        .uploads
        .remove(&input.upload_id);
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
        next_part_number_marker: parts
            .last()
            .and_then(|part| part.part_number)
            .filter(|_| truncated),
        is_truncated: Some(truncated),
        checksum_algorithm: upload
            .checksum
            .map(|sum| ChecksumAlgorithm::from_static(sum.algorithm.name())),
        checksum_type: upload
            .checksum
            .map(|sum| ChecksumType::from_static(sum.type_name())),
        parts: Some(parts),
        ..Default::default()
    };
    Ok(S3Response::new(output))
}
