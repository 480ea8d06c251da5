//! Completing a multipart upload: every check on the list of parts and on the whole; the other steps are in `uploads`.

use std::sync::Arc;

use md5::{Digest, Md5};
use s3s::dto::*;
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use crate::checksum::{Algorithm, Checksum, combined, composite};
use crate::hex;
use crate::shared::{NewObject, Shared, bucket, check_write_condition, set_checksum, signed, strong};
use crate::state::{self, Buckets, Upload, UploadChecksum};
use crate::uploads::{PART_NUMBER_LIMIT, find, part_number};

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
        check_write_condition(existing, input.if_match.as_ref(), input.if_none_match.as_ref())
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
        check_whole(&request.headers, checksum.as_ref(), input.mpu_object_size, &parts)?;
        condition(&mut buckets)?;
        (parts, checksum, attributes)
    };
    let part_data: Vec<_> = parts.iter().map(|part| &part.data).collect();
    // Copying in a folder takes a while: neither under the lock nor on the threads that answer others.
    let joined = tokio::task::block_in_place(|| shared.keeper.join(&part_data)).map_err(S3Error::internal_error)?;
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
    bucket(&mut buckets, &input.bucket)?.uploads.remove(&input.upload_id);
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
    Ok(S3Response::with_headers(output, object.attributes.encryption()?))
}

/// The parts that Complete names, each checked against what was uploaded.
fn chosen_parts(shared: &Shared, upload: &Upload, named: &[CompletedPart]) -> S3Result<Vec<Arc<state::Part>>> {
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
        Some(value) if uploaded.checksum.as_ref().map(Checksum::value).as_ref() != Some(value) => Err(s3_error!(
            InvalidPart,
            "The checksum of part {number} is not the one it was uploaded with."
        )),
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
    if shared.rules.equal_parts && (before.iter().any(|part| part.size_bytes != first) || last > first) {
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
        false => Some(composite(checksum.algorithm, sums.iter().map(|(sum, _)| *sum))),
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
    // Composite values end with `-N`, so they are compared as they are.
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
    if declared_type
        .is_some_and(|kind| checksum.is_none_or(|checksum| kind.as_bytes() != checksum.type_name().as_bytes()))
    {
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
